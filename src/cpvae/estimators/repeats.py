"""Values that repeat in a column of numbers more often than a density says: zeros, round sums, the ends of a scale.

A density gives a single number no probability. The numbers of a table often have some: no debt, 1,000 rather than
1,013. A fit sees them as narrow hills, as wide as its noise, so that drawn numbers lie beside them. So each fit of a
table looks for such values, and new rows have them as often as the training rows do:

1. Rows are drawn from the model. A value repeats if it is more frequent among the training rows than among drawn and
   rounded ones, by a binomial test for each distinct value of the column, together at the level `LEVEL` (Bonferroni).
2. Drawn numbers around such a value are written as it: so many that their share is that of the value among the
   training rows. With q the share of drawn numbers below a value, and f its share among training rows, these are the
   drawn numbers of ranks q - f/2 to q + f/2. Where the ranks of neighbours meet, they are moved apart as little as
   possible, which is an isotonic regression of the ranks (Barlow, Bartholomew, Bremner and Brunk, 1972).

Which numbers become zeros thus follows from the density: they are those of rows whose density is near zero. Numbers
elsewhere stay as they are drawn. The density itself stays too, and bounds with it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import stats
from sklearn.isotonic import IsotonicRegression

from cpvae.data.columns import ON_A_LINE, Column
from cpvae.data.rows import Rows
from cpvae.data.schema import Schema
from cpvae.nn.draws import seeded
from cpvae.probability.likelihoods.columns import Columns

if TYPE_CHECKING:
    from cpvae.estimators.contract import DeepMixture

DRAWN = 10_000  # rows at most
AT_ONCE = 2000
MOST_ROWS = 200_000  # of the fit; of more, so many evenly spread ones
MOST_NUMBERS = 2**24  # of rows that are drawn or looked at, so that wide tables have fewer; bounds memory
LEAST = 5  # rows that have a value that repeats
LEVEL = 0.01

Repeats = list[tuple[float, float, float]]  # values, and the ends between which drawn numbers are written as them


def with_repeats(estimator: DeepMixture, rows: Rows, weights: np.ndarray | None) -> Schema | None:
    """Find the values that repeat in the columns of a fitted table.

    Args:
        rows: of the training, in the units of the data.
        weights: how many rows each stands for, ``(n,)``; None for one each.

    Returns:
        The schema of the estimator with these values: as it is where rows are modelled as a matrix, None without one.
    """
    schema = estimator.schema_
    if schema is None or not isinstance(estimator.model_.likelihood, Columns):
        return schema
    columns = [replace(column, repeats=()) for column in schema.columns]
    most = min(MOST_ROWS, MOST_NUMBERS // len(columns))
    if len(rows) > most:
        some = np.linspace(0, len(rows) - 1, most).astype(np.int64)
        rows, weights = rows.some(some), None if weights is None else weights[some]
    places = [j for j, column in enumerate(columns) if column.kind in ON_A_LINE]
    values = torch.cat([x[:, places].cpu().double() for x in rows.chunks()]).numpy()
    repeated = [j for j, own in zip(places, values.T, strict=True) if _may_repeat(own)]
    drawn = _drawn(estimator, min(DRAWN, MOST_NUMBERS // len(columns))) if repeated else None
    for j in repeated:
        assert drawn is not None
        own = values[:, places.index(j)]
        columns[j] = replace(columns[j], repeats=tuple(find(columns[j], own, drawn[:, j], weights)))
    return replace(schema, columns=tuple(columns))


def find(column: Column, values: np.ndarray, drawn: np.ndarray, weights: np.ndarray | None = None) -> Repeats:
    """Find the values that repeat in a column, and the ends between which drawn numbers are written as each.

    Args:
        values: of the training rows, ``(n,)``, NaN where missing; drawn: from the density, ``(m,)``.
        weights: how many rows each training row stands for, ``(n,)``; None for one each.

    >>> drawn = np.linspace(-1, 4, 1001)
    >>> find(Column("debt", "numeric", least=0.0), np.r_[np.zeros(60), np.linspace(1, 3, 40)], drawn)
    [(0.0, 0.0, 2.0)]
    """
    there = ~np.isnan(values)
    weights = np.ones(len(values))[there] if weights is None else weights[there]
    distinct, place, rows = np.unique(values[there], return_inverse=True, return_counts=True)
    shares = np.bincount(place, weights) / weights.sum()
    held = np.sort(column.held(drawn))
    rounded = np.sort(column.rounded(held))
    beside = _counted(rounded, distinct, "right") - _counted(rounded, distinct, "left")
    n = weights.sum() ** 2 / np.square(weights).sum()
    chance = stats.binom.sf(np.ceil(shares * n - 1e-9) - 1, np.ceil(n), (beside + 0.5) / (len(held) + 1))
    chosen = (rows >= LEAST) & (chance < LEVEL / max(1, len(distinct)))
    distinct, shares = distinct[chosen], shares[chosen]
    if not len(distinct):
        return []
    middle = 0.5 * (_counted(held, distinct, "left") + _counted(held, distinct, "right")) / len(held)
    before = np.cumsum(shares) - shares
    apart = IsotonicRegression(y_min=0.0, y_max=max(0.0, 1 - shares.sum()))
    first = before + apart.fit_transform(np.arange(len(shares)), middle - shares / 2 - before, sample_weight=shares)
    low, high = (np.quantile(held, np.clip(ranks, 0, 1)) for ranks in (first, first + shares))
    # a number between a value and its ranks is written as the value too, so that larger ones are written as larger ones
    wide_low, wide_high = np.minimum(low, distinct), np.maximum(high, distinct)
    wide_low[1:] = np.maximum(wide_low[1:], high[:-1])
    wide_high[:-1] = np.minimum(wide_high[:-1], low[1:])
    return list(zip(distinct.tolist(), wide_low.tolist(), wide_high.tolist(), strict=True))


def _counted(ordered: np.ndarray, values: np.ndarray, side: str) -> np.ndarray:
    """Count the numbers below values ("left"), or up to them ("right")."""
    found: np.ndarray = np.searchsorted(ordered, values, side=side)  # type: ignore[call-overload]
    return found


def _may_repeat(values: np.ndarray) -> bool:
    """Say whether some value is in as many rows as one that repeats must be."""
    return bool((np.unique(values[~np.isnan(values)], return_counts=True)[1] >= LEAST).any())


@torch.no_grad()
def _drawn(estimator: DeepMixture, n: int) -> np.ndarray:
    """Draw rows of numbers from the density, ``(n, F)``."""
    model = estimator.model_
    device = model.device
    with seeded(estimator.seed_):
        c = estimator._draw_components(n, None, "auto").to(device)
        return torch.cat([model.sample(part) for part in c.split(AT_ONCE)]).double().numpy(force=True)
