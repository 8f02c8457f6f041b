"""Distances of synthetic rows to the rows that a model learned from, beside those of held-out rows.

A number is put at its rank among the training rows, from 0 to 1, and a level at a corner of its own, so that two levels
are 1 apart. The distance is Euclidean. A missing cell is like another missing cell. It is as far from a number as two
numbers drawn at random are, and as far from a level as another level.

Three figures tell whether rows were learned by heart:

- `nearer`: how often a synthetic row is nearer to its closest training row than a held-out row to its own. It is 0.5 if
  synthetic rows are as far as new real ones.
- `to_training`: the share of synthetic rows whose closest real row is a training row, not a held-out one. If nothing
  was learned by heart, it is the share of training rows among the real ones (after Platzer and Reutterer, 2021). The
  probability of a share as large is that over random choices of which rows are held out.
- `copies`: synthetic rows that are closer to one training row than a third of the distance to the next one. Real rows,
  which are no copies of each other, tell how often this comes by chance: held-out rows beside the training rows, and
  each training row beside the others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import fisher_exact, norm
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import QuantileTransformer

from cpvae.study.assessing.learners import Estimate, interval, smaller
from cpvae.study.assessing.tables import Table

RATIO = 1 / 3  # of the distance to the second row, below which a row is taken for a copy of the first
UNLIKELY = 0.01  # probability below which closeness is not taken for chance
SAME = 1e-6  # rounding of distances between equal rows
QUANTILES = 1000
MOST_AGAIN = 5_000  # training rows beside each other


@dataclass(frozen=True)
class Copy:
    """A synthetic row that is taken for a copy of a training row; both by their numbers, from 0."""

    row: int
    training_row: int
    exact: bool


@dataclass(frozen=True)
class Closeness:
    """Distances of synthetic rows to training rows.

    Attributes:
        nearer: how often a synthetic row is nearer to a training row than a held-out row is, ties half.
        median, median_held_out: of the distances to the closest training row.
        to_training, expected, p: the share of synthetic rows that are closest to a training row; the share that is
            expected; the probability of at least as much by chance.
        copies: synthetic rows taken for copies, in order.
        real_copies, real_exact, real: how many real rows would be taken for copies of another, and for exact ones, of
            how many.
        rows, held_out, training: how many rows were looked at.
    """

    nearer: Estimate
    median: float
    median_held_out: float
    to_training: float
    expected: float
    p: float
    copies: tuple[Copy, ...]
    real_copies: int
    real_exact: int
    real: int
    rows: int
    held_out: int
    training: int

    @property
    def copies_p(self) -> float:
        """The probability of as large a share of copies among synthetic rows, if real rows had the same."""
        own, other = len(self.copies), self.real_copies
        table = np.array([[own, self.rows - own], [other, self.real - other]])
        return float(fisher_exact(table, alternative="greater").pvalue)

    @property
    def memorised(self) -> tuple[Copy, ...]:
        """Copies that chance does not explain: all of them, or the exact ones if no real row is repeated."""
        if self.copies and self.copies_p < UNLIKELY:
            return self.copies
        return tuple(copy for copy in self.copies if copy.exact and not self.real_exact)

    @property
    def exact(self) -> int:
        """Count the synthetic rows that are equal to a training row, and to no second one."""
        return sum(copy.exact for copy in self.copies)


def closeness(
    training: Table, held_out: Table, synthetic: Table, filled: Table | None = None, seed: int = 0
) -> Closeness:
    """Measure how close synthetic rows are to training rows. Numbers of rows are positions in these tables.

    Args:
        filled: synthetic rows with gaps like those of real rows, for the distances beside those of held-out rows.
    """
    place = _Places(training)
    known, others, new = (place(table) for table in (training, held_out, synthetic))
    near, at = _nearest(new, known)
    held_near, _ = _nearest(others, known)
    beside, held_at = _nearest(new, others)
    again = np.random.RandomState(seed).permutation(len(known))[:MOST_AGAIN]
    among = _nearest(known[again], known, 3)[0][:, 1:]  # without the row itself
    real = np.concatenate([held_near, among])
    distances = near[:, 0] if filled is None else _nearest(place(filled), known, 1)[0][:, 0]
    share, expected, p = _share_to_training(near[:, 0], at, beside[:, 0], held_at, len(known), len(others))
    copied = np.flatnonzero(_is_copy(near))
    return Closeness(
        nearer=interval(smaller, [distances, held_near[:, 0]], seed),
        median=float(np.median(distances)),
        median_held_out=float(np.median(held_near[:, 0])),
        to_training=share,
        expected=expected,
        p=p,
        copies=tuple(Copy(int(i), int(at[i]), bool(near[i, 0] < SAME)) for i in copied),
        real_copies=int(_is_copy(real).sum()),
        real_exact=int((_is_copy(real) & (real[:, 0] < SAME)).sum()),
        real=len(real),
        rows=len(new),
        held_out=len(others),
        training=len(known),
    )


class _Places:
    """Coordinates of rows, ``(n, E)``, by the ranks of the training rows."""

    def __init__(self, training: Table) -> None:
        self.level = training.is_level
        numbers = training.values[:, ~self.level]
        n = min(QUANTILES, len(training))
        self.ranks = QuantileTransformer(n_quantiles=n, subsample=None).fit(numbers) if numbers.shape[1] else None

    def __call__(self, table: Table) -> np.ndarray:
        parts = []
        if self.ranks is not None:
            ranks = self.ranks.transform(table.values[:, ~self.level])
            gaps = np.isnan(ranks)
            parts += [np.where(gaps, 0.5, ranks), gaps * (1 / 12) ** 0.5]  # 1/6 is the mean squared difference of ranks
        for column, codes in zip(table.columns, table.values.T, strict=True):
            if column.kind == "categorical":
                level = np.where(np.isnan(codes), len(column.levels), codes)
                parts.append((level[:, None] == np.arange(len(column.levels) + 1)) / 2**0.5)
        return np.concatenate(parts, axis=1)


def _nearest(rows: np.ndarray, others: np.ndarray, k: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Find the distances to the nearest k of other rows, ``(n, k)``, and the place of the nearest, ``(n,)``."""
    few = min(k, len(others))
    distances, places = NearestNeighbors(n_neighbors=few).fit(others).kneighbors(rows)
    absent = np.full((len(rows), k - few), np.inf)
    return np.concatenate([distances, absent], axis=1), places[:, 0]


def _is_copy(near: np.ndarray) -> np.ndarray:
    """Tell which rows are much closer to one row than to the next, by the distances to both, ``(n, 2)``.

    A row that several training rows share is no copy of one of them.
    """
    return (near[:, 1] > SAME) & (near[:, 0] < RATIO * near[:, 1])


def _share_to_training(
    to_training: np.ndarray, at: np.ndarray, to_held_out: np.ndarray, held_at: np.ndarray, n: int, m: int
) -> tuple[float, float, float]:
    """Compare the share of synthetic rows that are closest to a training row with that expected by chance.

    Given which real row is the closest to each synthetic row, the share is the sum of weights of the training rows. Its
    mean and variance over random choices of m held-out rows among n + m are those of a draw without replacement.

    Returns:
        The share, ties by chance; what is expected; and the probability of at least as much, of a normal distribution.
    """
    expected = n / (n + m)
    tied = np.abs(to_training - to_held_out) < SAME
    mine = np.where(tied, expected, to_training < to_held_out)
    weights = np.zeros(n + m)
    np.add.at(weights, np.where(to_training <= to_held_out, at, n + held_at), 1 / len(mine))
    spread = float(np.square(weights - weights.mean()).sum()) * n * m / ((n + m) * (n + m - 1))
    share = float(mine.mean())
    return share, expected, float(norm.sf((share - expected) / spread**0.5)) if spread > 0 else 1.0
