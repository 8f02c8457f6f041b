"""Pictures of image rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from cpvae.errors import InputError
from cpvae.study.figures.style import DPI, blank, styled


def value_limits(images: np.ndarray) -> tuple[float, float]:
    """Choose the values drawn black and white: [0, 1] and [0, 255] where they fit, else the extremes.

    >>> value_limits(np.array([0.2, 0.7])), value_limits(np.array([0, 200])), value_limits(np.array([-2.0, 3.0]))
    ((0.0, 1.0), (0.0, 255.0), (-2.0, 3.0))
    """
    low, high = float(np.min(images)), float(np.max(images))
    if low >= 0 and high <= 1 and images.dtype != np.uint8:
        return 0.0, 1.0
    if low >= 0 and high <= 255:
        return 0.0, 255.0
    return low, high


def pixels(images: np.ndarray, limits: tuple[float, float] | None = None) -> np.ndarray:
    """Turn images into bytes ready to draw.

    Args:
        images: ``(n, h, w)`` or ``(n, c, h, w)``; three channels are red, green, blue, another number is averaged.
        limits: the values drawn black and white, by default `value_limits`.

    Returns:
        uint8 ``(n, h, w)`` or ``(n, h, w, 3)``.
    """
    if images.ndim not in (3, 4):
        raise InputError(f"images of shape {images.shape}: expected (n, height, width) or (n, channels, height, width)")
    low, high = value_limits(images) if limits is None else limits
    scaled = np.clip((images.astype(np.float64) - low) / (high - low or 1.0), 0, 1)
    if scaled.ndim == 4:
        scaled = np.moveaxis(scaled, 1, -1) if scaled.shape[1] == 3 else scaled.mean(1)
    array: np.ndarray = (scaled * 255).round().astype(np.uint8)
    return array


def mosaic(tiles: np.ndarray, columns: int, gap: int = 1) -> np.ndarray:
    """Put tiles ``(n, h, w[, 3])`` side by side, row by row, white between them: uint8 ``(H, W, 3)``.

    >>> mosaic(np.zeros((3, 2, 2), np.uint8), columns=2).shape
    (5, 5, 3)
    """
    if tiles.ndim == 3:
        tiles = np.repeat(tiles[..., None], 3, -1)
    n, h, w, _ = tiles.shape
    lines = -(-n // columns)
    sheet = np.full((lines * (h + gap) - gap, columns * (w + gap) - gap, 3), 255, np.uint8)
    for i, tile in enumerate(tiles):
        top, left = (i // columns) * (h + gap), (i % columns) * (w + gap)
        sheet[top : top + h, left : left + w] = tile
    return sheet


def _zoom(side: int) -> int:
    """Choose dots for each pixel, so that a small image can be seen."""
    return int(np.clip(round(64 / side), 1, 8))


def _gap(side: int) -> int:
    return max(1, side // 14)


@styled
def image_grid(images: np.ndarray, columns: int) -> Figure:
    """Draw images ``(n, [c,] h, w)`` in a grid; each pixel is a whole number of dots, so nothing is blurred."""
    if len(images) == 0 or columns < 1:
        raise InputError(f"{len(images)} images in {columns} columns: expected at least one of each")
    tiles = pixels(images)
    zoom, gap = _zoom(min(tiles.shape[1:3])), _gap(min(tiles.shape[1:3]))
    sheet = mosaic(tiles, min(columns, len(tiles)), gap)
    sheet = np.pad(sheet, ((gap, gap), (gap, gap), (0, 0)), constant_values=255)
    figure = blank(sheet.shape[1] * zoom / DPI, sheet.shape[0] * zoom / DPI)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(sheet, interpolation="nearest", aspect="auto")
    axes.set_axis_off()
    return figure


@styled
def samples_by_category(images: np.ndarray, titles: Sequence[str]) -> Figure:
    """Draw one line of images for each category, its title before it.

    Args:
        images: ``(K, m, c, h, w)`` or ``(K, m, h, w)``.
        titles: K of them.
    """
    if images.ndim not in (4, 5) or len(images) != len(titles) or images.size == 0:
        raise InputError(f"images of shape {images.shape} with {len(titles)} titles: expected (K, m, [c,] h, w) and K")
    tiles = pixels(images.reshape(-1, *images.shape[2:]))
    side = min(tiles.shape[1:3])
    zoom, gap = _zoom(side), _gap(side)
    sheet = mosaic(tiles, images.shape[1], gap)
    margin = max((len(title) for title in titles), default=0) * 7 + 14  # dots, for letters of at most 7
    height, width = sheet.shape[0] * zoom, sheet.shape[1] * zoom
    pad = gap * zoom
    full_width, full_height = width + margin + pad, height + 2 * pad
    figure = blank(full_width / DPI, full_height / DPI)
    axes = figure.add_axes((margin / full_width, pad / full_height, width / full_width, height / full_height))
    axes.imshow(sheet, interpolation="nearest", aspect="auto")
    axes.set_axis_off()
    step = tiles.shape[1] + gap
    for k, title in enumerate(titles):
        axes.text(-8 / zoom, k * step + (tiles.shape[1] - 1) / 2, title, ha="right", va="center")
    return figure
