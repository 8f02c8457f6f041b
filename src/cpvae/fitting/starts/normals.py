"""Shapes of the numbers in the classes of a mixture: normals that are independent, or vary together.

Both know log p(numbers | class) and their own M-step. Missing cells are integrated out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular

from cpvae.fitting.starts.tables import Table

ADDED_VARIANCE = 0.3  # to that of a standardised column in a class: classes are groups of rows, not spikes and outliers
MOST_PATTERNS = 50  # of missing cells; with more, each would need a factor of its own in every step of EM
MOST_TIED = 200  # numbers in a row at most, whose covariances are learned
TINY = 1e-9  # rows of an empty class


class Numbers(Protocol):
    """Normals of the numbers in each of K classes."""

    @staticmethod
    def suits(table: Table) -> bool:
        """Tell whether the shape can be learned from a table."""

    @classmethod
    def of(cls, table: Table, weights: np.ndarray) -> Self:
        """Estimate from the weights of rows in classes, ``(n, K)``."""

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

    @staticmethod
    def suits(table: Table) -> bool:
        return True

    @classmethod
    def of(cls, table: Table, weights: np.ndarray) -> Self:
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

    def updated(self, table: Table, weights: np.ndarray) -> Self:
        return self.of(table, weights)


@dataclass(frozen=True)
class Tied:
    """Numbers that vary together in the same way in each class: `mean` ``(K, P)``, one `covariance` ``(P, P)``."""

    mean: np.ndarray
    covariance: np.ndarray

    @staticmethod
    def suits(table: Table) -> bool:
        return 1 < table.numbers.shape[1] <= MOST_TIED and len(table.patterns) <= MOST_PATTERNS

    @classmethod
    def of(cls, table: Table, weights: np.ndarray) -> Tied:
        """Estimate from the weights of rows in classes, ``(n, K)``, as if columns were independent where cells lack."""
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


SHAPES: tuple[type[Numbers], ...] = (Diagonal, Tied)
