"""Likelihoods by name: chosen for rows, built from them, or empty for a saved model."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from sklearn.preprocessing import StandardScaler

from cpvae.data.rows import Rows
from cpvae.data.schema import Schema
from cpvae.errors import InputError, nearest
from cpvae.probability.likelihoods.bernoulli import Bernoulli
from cpvae.probability.likelihoods.columns import Columns
from cpvae.probability.likelihoods.gaussian import Gaussian
from cpvae.probability.likelihoods.likelihood import Likelihood

NAMES = ("bernoulli", "gaussian", "columns")


def choose(x: np.ndarray, is_image: bool) -> str:
    """The likelihood that suits training rows: "bernoulli" for ink, "gaussian" for measurements.

    Ink are booleans, bytes of images, and values in [0, 1] of images or of which at least a tenth are exactly 0 or 1.
    """
    if x.dtype == np.bool_ or (is_image and x.dtype == np.uint8):
        return "bernoulli"
    some = np.asarray(x[:: max(1, len(x) // 1000)])
    if some.min() < 0 or some.max() > 1:
        return "gaussian"
    extreme = float(np.mean((some == 0) | (some == 1)))
    return "bernoulli" if is_image or extreme >= 0.1 else "gaussian"


def build(
    name: str,
    rows: Rows,
    is_image: bool,
    noise: float | None = None,
    names: Sequence[str] | None = None,
    schema: Schema | None = None,
) -> Likelihood:
    """A likelihood with the units of the training rows.

    Args:
        name: one of `NAMES`.
        rows: training rows; read in chunks.
        is_image: whether all columns share one scale.
        noise: sigma of a Gaussian, in standard deviations of the columns; None learns it.
        names: of the columns, for messages.
        schema: of a table, for "columns".

    Raises:
        InputError: values the likelihood cannot have produced: outside [0, 1] (or of 0..255 bytes) for Bernoulli,
            constant columns for Gaussian and for numbers and counts of a table.
    """
    if name == "columns":
        assert schema is not None
        return _build_columns(rows, schema, noise)
    features = rows.x.shape[1]
    if name == "bernoulli":
        full = 255.0 if is_image and rows.x.dtype == torch.uint8 else 1.0
        grey = any(bool(((x != 0) & (x != full)).any()) for x in rows.chunks())
        bernoulli = Bernoulli(features, full, drawn=grey)
        bernoulli.check(rows)
        return bernoulli
    scaler = StandardScaler()
    for x in rows.chunks():
        scaler.partial_fit(x.cpu().double().reshape(-1, 1 if is_image else features).numpy())
    constant = np.flatnonzero((scaler.scale_ == 1.0) & (scaler.var_ != 1.0))  # as scikit-learn tells them
    if len(constant):
        listed = ", ".join(repr(str(names[i])) if names is not None else str(i) for i in constant[:5])
        raise InputError(
            f"{len(constant)} constant column{'s' * (len(constant) > 1)} ({listed}{', ...' * (len(constant) > 5)}): a "
            "Gaussian needs values that vary; drop them, or scale to [0, 1] and use likelihood 'bernoulli'"
        )
    loc, scale = (torch.from_numpy(np.resize(v, features)) for v in (scaler.mean_, scaler.scale_))
    return Gaussian(loc, scale, noise)


def _build_columns(rows: Rows, schema: Schema, noise: float | None) -> Columns:
    """The units of each column from the cells observed; a sigma cannot fall below what the column resolves.

    Rounded numbers repeat. A sigma far below the step between two of them would make the density as large as one likes
    without saying anything, so that it is held above the standard deviation of what rounding takes away, the step over
    the square root of 12 (Bennett, 1948), and above a thousandth of the column's spread.
    """
    likelihood = Columns(schema, noise)
    x = torch.cat([part.cpu().double() for part in rows.chunks()]).numpy()
    for kind in ("numeric", "count"):
        for i, place in enumerate(likelihood.get_buffer(kind).tolist()):
            values = x[:, place][~np.isnan(x[:, place])]
            distinct = np.unique(values)
            if len(distinct) < 2:
                raise InputError(
                    f"constant column {schema.names[place]!r}: {len(values)} of the {len(x)} training rows have a "
                    "value there, all the same; expected values that vary; drop it, or make it 'ignore' in the schema"
                )
            if kind == "numeric":
                likelihood.loc[i], likelihood.scale[i] = float(values.mean()), float(values.std())
                if noise is None:
                    step = float(np.diff(distinct).min() / values.std())
                    likelihood.floor[i] = max(likelihood.min_noise, step / math.sqrt(12))
                continue
            mean, variance = float(values.mean()), float(values.var())
            logs = np.log1p(values)
            likelihood.count_mean[i] = mean
            likelihood.log_count_loc[i], likelihood.log_count_scale[i] = float(logs.mean()), float(logs.std())
            low, high = likelihood.log_concentration_range
            apart = max(variance - mean, mean**2 / math.exp(high))  # by moments: variance = mean + mean^2 / r
            likelihood.log_concentration.data[i] = float(np.clip(math.log(mean**2 / apart), low, high))
    return likelihood.to(rows.device)


def empty(name: str, features: int, noise: float | None = None, schema: Schema | None = None) -> Likelihood:
    """A likelihood whose units are still to be loaded."""
    if name == "columns" and schema is not None:
        return Columns(schema, noise)
    if name == "bernoulli":
        return Bernoulli(features)
    if name == "gaussian":
        double = torch.float64
        return Gaussian(torch.zeros(features, dtype=double), torch.ones(features, dtype=double), noise)
    raise InputError(f"likelihood {name!r} is unknown{nearest(name, NAMES)}")
