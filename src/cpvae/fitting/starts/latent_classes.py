"""Latent classes of a table: a mixture without a continuous code, as a start for deeper models.

It is what remains of a CP-VAE for tables without its code: p(x) = sum_c p(c) p(numbers | c) prod_j p(level_j | c), with
normals for numbers and for log(1 + count), and a categorical for each column of levels (Lazarsfeld and Henry, 1968; of
mixed columns: Everitt, 1988). Within a class, numbers are independent (`Diagonal`), or they vary together in the same
way in all classes (`Tied`), whichever has the better criterion of Schwarz (1978): Fraley and Raftery (2002) choose the
shapes of mixtures so. Missing cells are integrated out. A mixture is fitted by EM (Dempster, Laird and Rubin, 1977)
from many random assignments, and the best likelihood is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol, Self

import numpy as np
import torch
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.special import logsumexp, softmax
from sklearn.cluster import kmeans_plusplus
from torch import Tensor

from cpvae.fitting.starts import seeded
from cpvae.probability.likelihoods.likelihood import Cells

ADDED_VARIANCE = 0.3  # to that of a standardised column in a class: classes are groups of rows, not spikes and outliers
PSEUDO_ROWS = 1.0  # for each level of a column, added to a class with the shares that levels have in all rows
MOST_PATTERNS = 50  # of missing cells; with more, each would need a factor of its own in every step of EM
MOST_TIED = 200  # numbers in a row at most, whose covariances are learned
ROWS_TRIED = 50_000  # from all assignments together
TRIED = (20, 200)  # assignments at least and at most
SHORT = 10  # steps of EM from each
FINISHED = 10  # of them, gone on with
TINY = 1e-9  # rows of an empty class


class Pattern(NamedTuple):
    """Rows with values in the same columns: their positions, and whether each column is `there`."""

    rows: np.ndarray
    there: np.ndarray


@dataclass(frozen=True)
class Table:
    """A table for EM, the fields those of `cpvae.probability.likelihoods.likelihood.Cells` as float64 arrays.

    Attributes:
        known: classes of the rows ``(n,)``, -1 for a row without one; None knows none.
    """

    numbers: np.ndarray
    observed: np.ndarray
    levels: np.ndarray
    sizes: list[int]
    known: np.ndarray | None = None

    def rows(self, some: np.ndarray) -> Table:
        """Take the rows at some positions."""
        known = None if self.known is None else self.known[some]
        return Table(self.numbers[some], self.observed[some], self.levels[some], self.sizes, known)

    @cached_property
    def patterns(self) -> list[Pattern]:
        """The patterns of missing numbers, the complete rows among them."""
        kinds, which = np.unique(self.observed > 0, axis=0, return_inverse=True)
        return [Pattern(np.flatnonzero(which.ravel() == i), there) for i, there in enumerate(kinds)]


def table_of(parts: Sequence[Cells]) -> Table:
    """Make a table of the cells of rows, one part after the other."""
    numbers, observed, levels, sizes = zip(*parts, strict=True)

    def joined(part: Sequence[Tensor]) -> np.ndarray:
        values: np.ndarray = torch.cat(list(part)).double().numpy(force=True)
        return values

    return Table(joined(numbers), joined(observed), joined(levels), sizes[0])


class Numbers(Protocol):
    """Normals of the numbers in each of K classes."""

    @staticmethod
    def parts(table: Table) -> int:
        """Count the parts of a table that a step of EM goes through one by one."""

    @property
    def n_parameters(self) -> int:
        """Count the numbers that were learned."""

    def log_density(self, table: Table) -> np.ndarray:
        """Compute the log-density of the numbers that are observed, ``(n, K)``, nats."""

    def updated(self, table: Table, weights: np.ndarray) -> Self:
        """Take the M-step, with the weights of rows in classes ``(n, K)``."""


@dataclass(frozen=True)
class Diagonal:
    """Numbers that are independent within a class: `mean` and `variance` ``(K, P)``."""

    mean: np.ndarray
    variance: np.ndarray

    @classmethod
    def of(cls, table: Table, weights: np.ndarray) -> Diagonal:
        """Estimate from the weights of rows in classes, ``(n, K)``."""
        total = weights.T @ table.observed + TINY
        mean = weights.T @ table.numbers / total
        return cls(mean, weights.T @ table.numbers**2 / total - mean**2 + ADDED_VARIANCE)

    @staticmethod
    def parts(table: Table) -> int:
        return 1

    @property
    def n_parameters(self) -> int:
        return self.mean.size + self.variance.size

    def log_density(self, table: Table) -> np.ndarray:
        precision = 1 / self.variance
        constant = table.observed @ (self.mean**2 * precision + np.log(2 * np.pi * self.variance)).T
        quadratic = table.numbers**2 @ precision.T - 2 * table.numbers @ (self.mean * precision).T
        density: np.ndarray = -0.5 * (constant + quadratic)
        return density

    def updated(self, table: Table, weights: np.ndarray) -> Diagonal:
        return Diagonal.of(table, weights)


@dataclass(frozen=True)
class Tied:
    """Numbers that vary together in the same way in each class: `mean` ``(K, P)``, one `covariance` ``(P, P)``."""

    mean: np.ndarray
    covariance: np.ndarray

    @classmethod
    def of(cls, table: Table, weights: np.ndarray) -> Tied:
        """Estimate from the weights of rows in classes ``(n, K)``, as if columns were independent where cells lack."""
        first = Diagonal.of(table, weights)
        covariance = np.diag(weights.sum(0) @ first.variance / len(weights))
        return cls(first.mean, covariance).updated(table, weights)

    @staticmethod
    def parts(table: Table) -> int:
        return len(table.patterns)

    @property
    def n_parameters(self) -> int:
        p = self.mean.shape[1]
        return self.mean.size + p * (p + 1) // 2

    def log_density(self, table: Table) -> np.ndarray:
        density = np.empty((len(table.numbers), len(self.mean)))
        for rows, there in table.patterns:
            factor = np.linalg.cholesky(self.covariance[np.ix_(there, there)])
            x = solve_triangular(factor, table.numbers[np.ix_(rows, there)].T, lower=True)
            mean = solve_triangular(factor, self.mean[:, there].T, lower=True)
            distance = (x**2).sum(0)[:, None] + (mean**2).sum(0) - 2 * x.T @ mean
            constant = there.sum() * np.log(2 * np.pi) + 2 * np.log(np.diag(factor)).sum()
            density[rows] = -0.5 * (distance + constant)
        return density

    def updated(self, table: Table, weights: np.ndarray) -> Tied:
        total = weights.sum(0) + TINY
        first, second = np.zeros_like(self.mean), np.zeros_like(self.covariance)
        for w, x, spread in self._completed(table, weights):
            first += w.T @ x if x.ndim == 2 else np.einsum("nk,nkp->kp", w, x)
            second += x.T @ x if x.ndim == 2 else np.einsum("nk,nkp,nkq->pq", w, x, x)
            second += len(w) * spread
        mean = first / total[:, None]
        covariance = (second - (total * mean.T) @ mean) / len(weights) + ADDED_VARIANCE * np.eye(len(second))
        return Tied(mean, covariance)

    def _completed(self, table: Table, weights: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Give for each pattern the weights, the expected numbers in each class, and the covariance around them.

        Complete rows ``(m, P)`` are the same in all classes; others are ``(m, K, P)``.
        """
        for rows, there in table.patterns:
            x, spread = table.numbers[rows], np.zeros_like(self.covariance)
            if there.all():
                yield weights[rows], x, spread
                continue
            known, lacking = np.ix_(there, there), np.ix_(~there, ~there)
            slope = cho_solve(cho_factor(self.covariance[known]), self.covariance[np.ix_(there, ~there)])
            spread[lacking] = self.covariance[lacking] - self.covariance[np.ix_(~there, there)] @ slope
            full = np.repeat(x[:, None], len(self.mean), axis=1)
            full[:, :, ~there] = self.mean[:, ~there] + (x[:, None, there] - self.mean[:, there]) @ slope
            yield weights[rows], full, spread


@dataclass(frozen=True)
class Classes:
    """A mixture of K classes: log-weights ``(K,)``, normals, log-probabilities of levels ``(K, T)``."""

    log_weights: np.ndarray
    numbers: Numbers
    log_levels: np.ndarray

    def log_joint(self, table: Table) -> np.ndarray:
        """Compute log p(x, c) of what is observed, ``(n, K)``, nats, for standardised numbers.

        A row whose class is known has minus infinity for all others.
        """
        found: np.ndarray = self.log_weights + self.numbers.log_density(table) + table.levels @ self.log_levels.T
        return found if table.known is None else seeded.fixed(found, table.known)

    def posterior(self, table: Table) -> np.ndarray:
        """Compute p(c | x), ``(n, K)``."""
        found: np.ndarray = softmax(self.log_joint(table), axis=1)
        return found


def estimate(table: Table, weights: np.ndarray, numbers: Numbers) -> Classes:
    """Take the M-step: estimate the classes that rows belong to with these weights, ``(n, K)``.

    The probabilities of levels are those of the highest posterior density. Their prior counts as one row for each
    level, shared out as the levels are in all rows (Vermunt and Magidson, 2016): a level that is rare everywhere is so
    in each class.
    """
    counts, everywhere, places = weights.T @ table.levels, table.levels.sum(0) + 1.0, np.cumsum(table.sizes)[:-1]
    log_levels = counts
    if table.sizes:
        columns = zip(np.split(counts, places, axis=1), np.split(everywhere, places), strict=True)
        pseudo = [own + PSEUDO_ROWS * len(rows) * rows / rows.sum() for own, rows in columns]
        log_levels = np.log(np.concatenate([own / own.sum(1, keepdims=True) for own in pseudo], axis=1))
    return Classes(np.log(weights.mean(0) + 1e-12), numbers.updated(table, weights), log_levels)


def fit(table: Table, n_components: int, random: np.random.RandomState, max_iter: int = 200) -> Classes:
    """Find the likeliest classes for each shape of the numbers, and of the shapes the better by Schwarz.

    EM ends in many places. Short runs from many assignments are tried, and the likeliest ones are gone on with
    (Biernacki, Celeux and Govaert, 2003).
    """
    values = np.concatenate([table.numbers, table.levels], axis=1)
    n, p = table.numbers.shape
    shapes: list[type[Diagonal] | type[Tied]] = [Diagonal]
    if 1 < p <= MOST_TIED and len(table.patterns) <= MOST_PATTERNS:
        shapes.append(Tied)
    best: list[tuple[float, Classes]] = []
    starts = [
        _assigned(values, n_components, random, table.known) for _ in range(int(np.clip(ROWS_TRIED // n, *TRIED)))
    ]
    for shape in shapes:
        n_tried = max(TRIED[0], len(starts) // shape.parts(table))
        tried = [_em(table, weights, shape.of(table, weights), SHORT) for weights in starts[:n_tried]]
        tried.sort(key=lambda fitted: fitted[0], reverse=True)
        fits = [_em(table, classes.posterior(table), classes.numbers, max_iter) for _, classes in tried[:FINISHED]]
        value, classes = max(fits, key=lambda fitted: fitted[0])
        best.append((n * value - 0.5 * classes.numbers.n_parameters * np.log(n), classes))
    return max(best, key=lambda fitted: fitted[0])[1]


def _assigned(
    values: np.ndarray, n_components: int, random: np.random.RandomState, known: np.ndarray | None
) -> np.ndarray:
    """Put each row into the class of the nearest of some rows that are far apart: weights ``(n, K)``.

    Classes get the numbers by which most rows of a known class are in their own.
    """
    centres, _ = kmeans_plusplus(values, n_components, random_state=random)
    nearest = ((centres**2).sum(1) - 2 * values @ centres.T).argmin(1)
    if known is not None:
        nearest = np.where(known >= 0, known, seeded.numbering(nearest, n_components, known)[nearest])
    weights: np.ndarray = np.eye(n_components)[nearest]
    return weights


def _em(table: Table, weights: np.ndarray, numbers: Numbers, max_iter: int) -> tuple[float, Classes]:
    """Run EM from an assignment; give the mean log-likelihood of a row, nats, and the classes."""
    value = -np.inf
    for _ in range(max_iter):
        classes = estimate(table, weights, numbers)
        numbers = classes.numbers
        joint = classes.log_joint(table)
        evidence = logsumexp(joint, axis=1, keepdims=True)
        before, value = value, float(evidence.mean())
        weights = np.exp(joint - evidence)
        if value - before < 1e-6:
            break
    return value, classes
