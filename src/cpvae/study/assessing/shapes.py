"""Shapes of columns, and trends of pairs of columns: how like those of real rows they are, from 0 to 1.

The figures are those of SDMetrics (`KSComplement`, `TVComplement`, `CorrelationSimilarity`, `ContingencySimilarity`),
so that they can be compared with published ones. SciPy computes them. The package itself is not needed: version 0.32
asks for pandas below 3, and for copulas, whose licence is not an open one. Where the package is installed, a test
compares the figures with its own.

Few rows are unlike each other by chance. So each figure comes with the one that is expected of real rows: real and
synthetic rows are mixed, parted again in the same sizes, and measured.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.stats import ks_2samp

from cpvae.study.assessing.tables import Table

BINS = 10  # of a number that is paired with a level
MOST_PAIRS = 500  # looked at of more
SHUFFLES = 5  # behind what is expected
Measure = Callable[[np.ndarray, np.ndarray], list[float | None]]  # of values of real and of synthetic rows


@dataclass(frozen=True)
class Likeness:
    """Likeness of synthetic rows to real ones.

    Attributes:
        figures: of each column, or each pair of columns; None where a side has no values.
        mean: of the figures.
        expected: the mean that real rows would have, by chance below 1.
    """

    figures: dict[tuple[str, ...], float | None]
    mean: float
    expected: float

    @property
    def shortfall(self) -> float:
        """The difference to the figure that real rows would have."""
        return self.expected - self.mean

    def worst(self, most: int) -> list[tuple[tuple[str, ...], float]]:
        """List columns or pairs with the lowest figures, the lowest first."""
        known = [(names, value) for names, value in self.figures.items() if value is not None]
        return sorted(known, key=lambda item: item[1])[:most]


def shapes(real: Table, synthetic: Table, seed: int = 0) -> Likeness:
    """Compare each column alone: its values, without missing cells."""
    names: list[tuple[str, ...]] = [(column.name,) for column in real.columns]
    level = real.is_level

    def of(a: np.ndarray, b: np.ndarray) -> list[float | None]:
        return [_shape(a[:, j], b[:, j], bool(level[j])) for j in range(len(names))]

    return _likeness(names, of, real, synthetic, seed)


def trends(real: Table, synthetic: Table, seed: int = 0) -> Likeness:
    """Compare pairs of columns; of very many pairs some are drawn."""
    pairs = list(combinations(range(len(real.columns)), 2))
    if len(pairs) > MOST_PAIRS:
        chosen = np.random.RandomState(seed).choice(len(pairs), MOST_PAIRS, replace=False)
        pairs = [pairs[i] for i in np.sort(chosen)]
    names: list[tuple[str, ...]] = [(real.columns[i].name, real.columns[j].name) for i, j in pairs]
    level = real.is_level
    edges = [None if one else _edges(values) for one, values in zip(level, real.values.T, strict=True)]

    def of(a: np.ndarray, b: np.ndarray) -> list[float | None]:
        bins = [(_codes(x, edge), _codes(y, edge)) for x, y, edge in zip(a.T, b.T, edges, strict=True)]
        found: list[float | None] = []
        for i, j in pairs:
            if level[i] or level[j]:
                found.append(_contingency((bins[i][0], bins[j][0]), (bins[i][1], bins[j][1])))
            else:
                found.append(_correlation(a[:, [i, j]], b[:, [i, j]]))
        return found

    return _likeness(names, of, real, synthetic, seed)


def missing(real: Table, synthetic: Table) -> dict[str, tuple[float, float]]:
    """Give the shares of missing cells, real and synthetic, of columns that have some on a side."""
    shares = [np.isnan(table.values).mean(0) for table in (real, synthetic)]
    return {
        column.name: (float(a), float(b)) for column, a, b in zip(real.columns, *shares, strict=True) if a > 0 or b > 0
    }


def _likeness(names: list[tuple[str, ...]], of: Measure, real: Table, synthetic: Table, seed: int) -> Likeness:
    """Measure synthetic rows beside real ones, and what would be measured if they were real."""
    found = of(real.values, synthetic.values)
    pooled, n = real.joined(synthetic).values, len(real)
    random = np.random.RandomState(seed)
    chance = []
    for _ in range(SHUFFLES):
        order = random.permutation(len(pooled))
        chance.append(_mean(of(pooled[order[:n]], pooled[order[n:]])))
    return Likeness(dict(zip(names, found, strict=True)), _mean(found), float(np.mean(chance)))


def _mean(values: list[float | None]) -> float:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else 1.0


def _shape(real: np.ndarray, synthetic: np.ndarray, is_level: bool) -> float | None:
    """Compare a column: one minus the total variation of levels, or the distance of Kolmogorov and Smirnov.

    >>> _shape(np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.0, 1.0, 1.0, 1.0]), True)
    0.75
    >>> _shape(np.array([0.0, 1.0, 2.0, 3.0]), np.array([2.0, 3.0, 9.0, np.nan]), False)
    0.5
    """
    a, b = real[~np.isnan(real)], synthetic[~np.isnan(synthetic)]
    if not len(a) or not len(b):
        return None
    if is_level:
        return _overlap(a.astype(np.int64), b.astype(np.int64))
    return 1.0 - float(ks_2samp(a, b, method="asymp").statistic)


def _edges(values: np.ndarray) -> np.ndarray:
    """Part the range of a number into bins, open at both ends."""
    known = values[~np.isnan(values)]
    edges = np.histogram_bin_edges(known if len(known) else np.zeros(1), bins=BINS)
    edges[0], edges[-1] = -np.inf, np.inf
    return edges


def _codes(values: np.ndarray, edges: np.ndarray | None) -> np.ndarray:
    """Give a column as whole numbers from 0; missing cells have one of their own."""
    known = np.nan_to_num(values if edges is None else np.digitize(values, edges) - 1.0, nan=0.0)
    return np.where(np.isnan(values), 0, 1 + known).astype(np.int64)


def _contingency(real: tuple[np.ndarray, np.ndarray], synthetic: tuple[np.ndarray, np.ndarray]) -> float:
    """Give one minus the total variation of two columns of whole numbers together."""
    width = 1 + max(int(real[1].max()), int(synthetic[1].max()))
    return _overlap(real[0] * width + real[1], synthetic[0] * width + synthetic[1])


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Give one minus the total variation of two samples of whole numbers from 0."""
    length = 1 + max(int(a.max()), int(b.max()))
    shares = (np.bincount(one, minlength=length) / len(one) for one in (a, b))
    return 1.0 - float(np.abs(next(shares) - next(shares)).sum()) / 2


def _correlation(real: np.ndarray, synthetic: np.ndarray) -> float | None:
    """Compare correlations (Pearson) of two columns of numbers, over rows that have both."""
    found = []
    for pair in (real, synthetic):
        known = pair[~np.isnan(pair).any(1)]
        if len(known) < 2 or not (known.std(0) > 0).all():
            return None
        found.append(np.corrcoef(known.T)[0, 1])
    return 1.0 - abs(float(found[0] - found[1])) / 2
