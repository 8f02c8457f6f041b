"""Rows as pictures that lie inside the page: images as data URIs, tables as figures."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure
from PIL import Image

from cpvae.estimators.contract import DeepMixture
from cpvae.study import figures
from cpvae.study.figures.signals import CHANNELS
from cpvae.study.report.parts import Picture
from cpvae.study.report.shown import Shown

LARGEST_SIDE = 96  # pixels of an image on the page


def inline(figure: Figure) -> Markup:
    """Put a figure into the page as SVG; its text was escaped as it was written."""
    return Markup(figures.svg(figure))


def data_uri(tile: np.ndarray) -> str:
    """Put uint8 ``(h, w[, 3])`` into a data URI, at most 96 pixels wide: PNG, or JPEG where PNG is large."""
    image = Image.fromarray(tile)
    if max(image.size) > LARGEST_SIDE:
        image.thumbnail((LARGEST_SIDE, LARGEST_SIDE), Image.Resampling.BOX)
    kind, content = "png", _encoded(image, "PNG", optimize=True)
    if len(content) > 5_000:
        kind, content = "jpeg", _encoded(image, "JPEG", quality=85)
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def pictures(images: np.ndarray, alts: Sequence[str], limits: tuple[float, float]) -> list[Picture]:
    """Make images ``(n, c, h, w)`` ready for the page."""
    tiles = figures.pixels(images, limits)
    smooth = max(tiles.shape[1:3]) > 40
    return [Picture(data_uri(tile), alt, smooth) for tile, alt in zip(tiles, alts, strict=True)]


def as_images(model: DeepMixture, values: np.ndarray) -> np.ndarray:
    """Give rows ``(n, F)`` the shape of the images of the fit."""
    assert model.image_shape_ is not None
    return values.reshape(-1, *model.image_shape_)


def limits_of(model: DeepMixture, shown: Shown) -> tuple[float, float]:
    """Choose black and white, the same in every image of the page."""
    return model.model_.likelihood.span or figures.value_limits(shown.values)


def draw(model: DeepMixture, n: int, component: int | None, mean: bool) -> np.ndarray:
    """Draw new rows ``(n, F)``, float64, the same each time the page is made."""
    rows, _ = model.sample(n, component, mean=mean, random_state=0 if component is None else component)
    if model.schema_ is not None and model.signal_shape_ is None:
        return model.schema_.expand(model.schema_.encode(rows))[0]
    return np.asarray(rows).reshape(n, -1).astype(np.float64)


def comparison(shown: Shown, rows: np.ndarray, new: np.ndarray, columns: np.ndarray | None = None) -> Figure:
    """Draw given and new rows of a table: a histogram of one column, a profile of several.

    Args:
        rows, new: ``(n, F)`` and ``(m, F)``, in the units of the data.
        columns: the ones to draw, where there are too many to list and they have no order; by default those in which
            rows and new rows differ most.
    """
    if len(shown.names) == 1:
        limits = (float(np.nanmin(shown.values)), float(np.nanmax(shown.values)))
        rows = rows[~np.isnan(rows[:, 0])]
        return figures.histograms(rows[:, 0], {"new rows": new[:, 0]}, name=shown.names[0], limits=limits)
    if shown.curve is not None:
        curves = {title: values.reshape(-1, *shown.curve) for title, values in (("rows", rows), ("new rows", new))}
        return figures.signals(curves)
    if len(shown.names) <= figures.NAMED:
        columns = np.arange(len(shown.names))
    elif columns is None:
        columns = shown.most_apart(rows, new, figures.NAMED)
    groups = {"rows": shown.standardise(rows)[:, columns], "new rows": shown.standardise(new)[:, columns]}
    return figures.profiles(groups, [shown.names[j] for j in columns])


def drawn_columns(shown: Shown, most: int) -> str:
    """Say which columns a picture has, where it has not all of them."""
    total = len(shown.names)
    if shown.curve is not None:
        channels, guessed = shown.curve[0], shown.curve == (1, total)
        if guessed:
            return "Neighbouring columns are alike, so that they are drawn as a curve."
        return "" if channels <= CHANNELS else f"Drawn are the first {CHANNELS} of {channels} channels."
    return "" if total <= figures.NAMED else f"Drawn are the {most} of {total:,} columns that differ most."
