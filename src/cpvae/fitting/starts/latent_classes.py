"""Latent classes of a table: a mixture without a continuous code, as a start for deeper models.

It is what remains of a CP-VAE for tables without its code: p(x) = sum_c p(c) p(numbers | c) prod_j p(level_j | c).
Numbers and log(1 + count) have normals, and each column of levels a categorical (Lazarsfeld and Henry, 1968; of mixed
columns: Everitt, 1988). Within a class, numbers are independent, or they vary together in the same way in all classes
(`cpvae.fitting.starts.normals`). Missing cells are integrated out. A mixture is fitted by EM (Dempster, Laird and
Rubin, 1977) from many random assignments, and the best likelihood is kept.

A likelihood can gain by classes that are no groups, such as the rows that share a rounded value. So beside both
mixtures stands k-means, and what decides is which of the three finds the same classes again in other samples of the
rows (stability: Ben-Hur, Elisseeff and Guyon, 2002; von Luxburg, 2010).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, Protocol

import numpy as np
from scipy.special import logsumexp
from sklearn.cluster import kmeans_plusplus

from cpvae.fitting.stability import stability
from cpvae.fitting.starts import seeded
from cpvae.fitting.starts.means import k_means
from cpvae.fitting.starts.normals import SHAPES, Numbers
from cpvae.fitting.starts.tables import Table

PSEUDO_ROWS = 1.0  # for each level of a column, added to a class with the shares that levels have in all rows
ROWS_TRIED = 50_000  # from all assignments together
TRIED = (20, 200)  # assignments at least and at most
SHORT = 10  # steps of EM from each
FINISHED = 10  # of them, gone on with at most; of few a third
CLOSE = 1e-6  # nats by which the mean log-likelihood of a row grows at least in a step
AT_ONCE = 2**20  # runs times rows times classes times columns; bounds memory
MOST_CLASSES = 50  # beyond which mixtures take long, and leave some empty
MOST_ROWS = 20_000  # that classes are learned from
ROWS_AGAIN = 5_000  # in all samples of the rows together, in which classes are found again
SAMPLES = (4, 8)  # at least and at most: of few rows more, whose samples differ more
ROWS_SAMPLED = 2_000  # that the samples are drawn from, at most
SHARE = 0.8  # of them in a sample
AS_SURE = 0.05  # difference of adjusted Rand indices that decides nothing between mixtures


class Effort(NamedTuple):
    """Limits of a search for classes: assignments that are tried, and steps of EM at most."""

    tried: int
    steps: int


AGAIN = Effort(10, 50)  # in a sample


class Grouping(Protocol):
    """Classes of rows."""

    def likeliest(self, table: Table) -> np.ndarray:
        """Find the class of each row, ``(n,)``."""


@dataclass(frozen=True)
class Classes:
    """A mixture of K classes: log-weights ``(..., K)``, normals, log-probabilities of levels ``(..., K, T)``.

    Leading dimensions are those of several mixtures of the same rows.
    """

    log_weights: np.ndarray
    numbers: Numbers
    log_levels: np.ndarray

    def log_joint(self, table: Table) -> np.ndarray:
        """Compute log p(x, c) of what is observed, ``(..., n, K)``, nats, for standardised numbers.

        A row whose class is known has minus infinity for all others.
        """
        levels = table.levels @ self.log_levels.swapaxes(-1, -2)
        found: np.ndarray = self.log_weights[..., None, :] + self.numbers.log_density(table) + levels
        return found if table.known is None else seeded.fixed(found, table.known)

    def some(self, at: np.ndarray | int) -> Classes:
        """Take one or some of several mixtures."""
        return Classes(self.log_weights[at], self.numbers.some(at), self.log_levels[at])

    def likeliest(self, table: Table) -> np.ndarray:
        """Find the likeliest class of each row, ``(n,)``."""
        found: np.ndarray = self.log_joint(table).argmax(1)
        return found

    def schwarz(self, table: Table) -> float:
        """Compute the log-likelihood of all rows, nats, less the price of the parameters of the numbers."""
        price = 0.5 * self.numbers.n_parameters * np.log(len(table.numbers))
        return float(logsumexp(self.log_joint(table), axis=1).sum() - price)


class End(NamedTuple):
    """Where a run of EM ended: mean log-likelihood of a row, nats, classes, and p(c | x) ``(n, K)``."""

    value: float
    classes: Classes
    weights: np.ndarray


@dataclass(frozen=True)
class Means:
    """Groups around means, of rows as points: `category` gives each of some points ``(n, P + T)`` its own."""

    category: Callable[[np.ndarray], np.ndarray]

    def likeliest(self, table: Table) -> np.ndarray:
        """Find the nearest mean of each row, ``(n,)``."""
        return self.category(table.points).astype(np.int64)


def fit(table: Table, n_components: int, random: np.random.RandomState) -> Grouping:
    """Find classes as each kind of mixture and as k-means does, and take those that are most surely found again.

    Of two mixtures that are found again about as surely, the better one by Schwarz's criterion (1978) is taken. For
    many classes k-means is run.
    """
    if n_components > MOST_CLASSES:
        return Means(k_means(table.points, n_components, random, known=table.known))
    if len(table.numbers) > MOST_ROWS:
        table = table.rows(_some(table, MOST_ROWS, random))
    mixtures = [partial(mixture, shape) for shape in SHAPES if shape.suits(table)]
    small = table.rows(_some(table, ROWS_SAMPLED, random))
    n_samples, n_rows = (int(np.clip(ROWS_AGAIN // len(small.numbers), *SAMPLES)), int(SHARE * len(small.numbers)))
    samples = [_some(small, max(n_components, n_rows), random) for _ in range(n_samples)]

    def sureness(way: Callable[[Table, int, np.random.RandomState, Effort], Grouping]) -> float:
        return stability([way(small.rows(rows), n_components, random, AGAIN).likeliest(small) for rows in samples])

    effort = Effort(int(np.clip(ROWS_TRIED // len(table.numbers), *TRIED)), 200)
    sure = [sureness(way) for way in mixtures]
    if sureness(means) > max(sure):
        return means(table, n_components, random, effort)
    close = [way for way, value in zip(mixtures, sure, strict=True) if value >= max(sure) - AS_SURE]
    found = [way(table, n_components, random, effort) for way in close]
    return max(found, key=lambda one: one.schwarz(table)) if len(found) > 1 else found[0]


def mixture(
    shape: type[Numbers], table: Table, n_components: int, random: np.random.RandomState, effort: Effort
) -> Classes:
    """Find the likeliest classes whose numbers have a shape.

    EM ends in many places. Short runs from many assignments are tried, and the likeliest ones are gone on with
    (Biernacki, Celeux and Govaert, 2003).
    """
    tried = min(effort.tried, max(TRIED[0], effort.tried // shape.parts(table)))
    at_once = max(1, AT_ONCE // (table.points.size * n_components))
    short: list[End] = []
    for first in range(0, tried, at_once):
        starts = [_assigned(table, n_components, random) for _ in range(first, min(tried, first + at_once))]
        short = _best([*short, *_em(table, np.stack(starts), shape, SHORT)], min(FINISHED, -(-tried // 3)))
    ends: list[End] = []
    for first in range(0, len(short), at_once):
        weights = np.stack([end.weights for end in short[first : first + at_once]])
        ends = _best([*ends, *_em(table, weights, shape, effort.steps)], 1)
    return ends[0].classes


def _best(ends: list[End], n: int) -> list[End]:
    return sorted(ends, key=lambda end: end.value, reverse=True)[:n]


def means(table: Table, n_components: int, random: np.random.RandomState, effort: Effort) -> Means:
    """Run k-means, the best of many quick runs whatever the effort; with known classes once, from their means."""
    return Means(k_means(table.points, n_components, random, TRIED[0], known=table.known))


def estimate(table: Table, weights: np.ndarray, numbers: Numbers) -> Classes:
    """Take the M-step: estimate the classes that rows belong to with these weights, ``(..., n, K)``.

    The probabilities of levels are those of the highest posterior density. Their prior counts as one row for each
    level, shared out as the levels are in all rows (Vermunt and Magidson, 2016): a level that is rare everywhere is so
    in each class.
    """
    counts = weights.swapaxes(-1, -2) @ table.levels
    everywhere, places = table.levels.sum(0) + 1.0, np.cumsum(table.sizes)[:-1]
    log_levels = counts
    if table.sizes:
        columns = zip(np.split(counts, places, axis=-1), np.split(everywhere, places), strict=True)
        pseudo = [own + PSEUDO_ROWS * len(rows) * rows / rows.sum() for own, rows in columns]
        log_levels = np.log(np.concatenate([own / own.sum(-1, keepdims=True) for own in pseudo], axis=-1))
    return Classes(np.log(weights.mean(-2) + 1e-12), numbers.updated(table, weights), log_levels)


def _some(table: Table, n: int, random: np.random.RandomState) -> np.ndarray:
    """Draw the positions of n rows, or of all if there are no more; those of a known class come first."""
    order = random.permutation(len(table.numbers))
    return (order if table.known is None else order[np.argsort(table.known[order] < 0, kind="stable")])[:n]


def _assigned(table: Table, n_components: int, random: np.random.RandomState) -> np.ndarray:
    """Put each row into the class of the nearest of some rows that are far apart: weights ``(n, K)``.

    Classes get the numbers by which most rows of a known class are in their own.
    """
    values, known = np.concatenate([table.numbers, table.levels], axis=1), table.known
    centres, _ = kmeans_plusplus(values, n_components, random_state=random)
    found = seeded.nearest(values, centres)
    if known is not None:
        found = np.where(known >= 0, known, seeded.numbering(found, n_components, known)[found])
    weights: np.ndarray = np.eye(n_components)[found]
    return weights


def _em(table: Table, weights: np.ndarray, shape: type[Numbers], max_iter: int) -> list[End]:
    """Run EM from each of some assignments ``(B, n, K)``, until its likelihood no longer grows."""
    numbers, values = shape.of(table, weights), np.full(len(weights), -np.inf)
    runs, ends = np.arange(len(weights)), dict[int, End]()
    for left in reversed(range(max_iter)):
        before = values
        classes = estimate(table, weights, numbers)
        joint = classes.log_joint(table)
        most = joint.max(-1, keepdims=True)  # scipy's logsumexp takes as long as all else where rows are few
        shares = np.exp(joint - most)
        total = shares.sum(-1, keepdims=True)
        values, weights = (most + np.log(total)).mean((-2, -1)), shares / total
        on = (values - before >= CLOSE) & (left > 0)
        for i in np.flatnonzero(~on):
            ends[int(runs[i])] = End(float(values[i]), classes.some(int(i)), weights[i])
        if not on.any():
            break
        runs, values, weights, numbers = runs[on], values[on], weights[on], classes.numbers.some(on)
    return [ends[i] for i in sorted(ends)]
