"""Embeddings, principal components, and other columns that share their units: Gaussians with one scale for all.

To standardise such columns one by one would make the last principal component, which is noise, as large as the first.
`shared_scale` tells such columns from measurements of different things, whose spreads say only in which units they are.
"""

from __future__ import annotations

import numpy as np
import torch

from cpvae.data.rows import Rows
from cpvae.probability.likelihoods.gaussian import Gaussian
from cpvae.probability.likelihoods.likelihood import Form
from cpvae.probability.likelihoods.units import Units, units_of

MANY = 32  # columns from which on like spreads are taken for like units
FEW = 8  # columns up to which components in falling order, or rows of one length, may be chance
SHARE = 8  # an equivalent number of columns of at least one in so many: no few of them have all of the variance
LENGTH = 1e-3  # relative spread of the lengths of rows that have one length
SEEN = 20_000  # rows looked at, at most
WIDEST = 2_000  # columns whose correlations are looked at


class Isotropic(Gaussian):
    """N(x; d(z, c), sigma^2 I) in units of one scale, the root of the mean variance of the columns.

    Args: those of `Gaussian`, which has its methods.
    """

    name = "isotropic"
    description = "Gaussian with one scale for all columns; densities in the units of the data"

    @classmethod
    def _units(cls, rows: Rows, form: Form, valid: Rows | None) -> Units:
        loc, scale = units_of(rows, form, valid)
        varies = scale > 0
        shared = np.sqrt(np.mean(scale[varies] ** 2)) if varies.any() else 0.0
        return Units(loc, np.where(varies, shared, 0.0))


def shared_scale(rows: Rows) -> str:
    """Say why the columns of a matrix share their units; "" where nothing says that they do.

    >>> noise = np.random.default_rng(0).normal(size=(500, 40))
    >>> shared_scale(Rows(noise + np.arange(40)))
    '40 columns of like spread: one scale for all'
    >>> shared_scale(Rows(noise * 10.0 ** np.arange(-20, 20)))
    ''
    >>> shared_scale(Rows(noise / np.linalg.norm(noise, axis=1, keepdims=True)))
    'rows of one length: directions, with one scale for all columns'
    >>> shared_scale(Rows(noise[:, :10] * 3.0 ** -np.arange(10)))
    'uncorrelated columns of falling spread: principal components, with one scale for all'
    """
    n_columns = rows.x.shape[1]
    if n_columns < FEW:
        return ""
    some = rows.spread(SEEN)
    x = torch.cat([part.double() for part in some.chunks()])
    x = x / x.abs().max().clamp_min(torch.finfo(x.dtype).tiny)
    length = x.norm(dim=1)
    if float(length.std()) < LENGTH * float(length.mean()):
        return "rows of one length: directions, with one scale for all columns"
    mean, variance = x.mean(0), x.var(0, correction=0)
    if n_columns <= WIDEST and bool((variance > 0).all()) and bool((variance.diff() <= 0).all()):
        chance = max(0.05, 5 / len(x) ** 0.5)  # of a part of the rows that the components were found from
        centred = bool((mean.abs() <= chance * variance.sqrt()).all())
        correlation = torch.corrcoef(x.t()).fill_diagonal_(0.0).abs().max()
        if centred and float(correlation) <= chance:
            return "uncorrelated columns of falling spread: principal components, with one scale for all"
    equivalent = float(variance.sum() ** 2 / variance.square().sum().clamp_min(torch.finfo(x.dtype).tiny))
    if n_columns >= MANY and equivalent >= n_columns / SHARE:
        return f"{n_columns:,} columns of like spread: one scale for all"
    return ""
