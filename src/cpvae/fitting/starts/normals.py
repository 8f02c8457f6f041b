"""Shapes of the numbers in the classes of a mixture: normals that are independent, or vary together.

Both know log p(numbers | class) and their own M-step. Missing cells are integrated out. All arrays may have leading
dimensions, for several mixtures of the same rows: NumPy takes little longer for them than for one where rows are few.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np

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
        """Estimate from the weights of rows in classes, ``(..., n, K)``."""

    @staticmethod
    def parts(table: Table) -> int:
        """Count the parts of a table that a step of EM goes through one by one."""

    @property
    def n_parameters(self) -> int:
        """Count the numbers that were learned, for each of several mixtures."""

    def log_density(self, table: Table) -> np.ndarray:
        """Compute the log-density of the numbers that are observed, ``(..., n, K)``, nats."""

    def updated(self, table: Table, weights: np.ndarray) -> Self:
        """Take the M-step, with the weights of rows in classes ``(..., n, K)``."""

    def some(self, at: np.ndarray | int) -> Self:
        """Take one or some of several mixtures."""


@dataclass(frozen=True)
class Diagonal:
    """Numbers that are independent within a class: `mean` and `variance` ``(..., K, P)``."""

    mean: np.ndarray
    variance: np.ndarray

    @staticmethod
    def suits(table: Table) -> bool:
        return True

    @classmethod
    def of(cls, table: Table, weights: np.ndarray) -> Self:
        each = weights.swapaxes(-1, -2)
        total = each @ table.observed + TINY
        mean = each @ table.numbers / total
        return cls(mean, each @ table.numbers**2 / total - mean**2 + ADDED_VARIANCE)

    @staticmethod
    def parts(table: Table) -> int:
        return 1

    @property
    def n_parameters(self) -> int:
        return 2 * int(np.prod(self.mean.shape[-2:]))

    def log_density(self, table: Table) -> np.ndarray:
        precision = 1 / self.variance
        constant = table.observed @ (self.mean**2 * precision + np.log(2 * np.pi * self.variance)).swapaxes(-1, -2)
        square, product = precision.swapaxes(-1, -2), (self.mean * precision).swapaxes(-1, -2)
        density: np.ndarray = -0.5 * (constant + table.numbers**2 @ square) + table.numbers @ product
        return density

    def updated(self, table: Table, weights: np.ndarray) -> Self:
        return self.of(table, weights)

    def some(self, at: np.ndarray | int) -> Self:
        return type(self)(self.mean[at], self.variance[at])


@dataclass(frozen=True)
class Tied:
    """Numbers that vary together alike in each class: `mean` ``(..., K, P)``, one `covariance` ``(..., P, P)``."""

    mean: np.ndarray
    covariance: np.ndarray

    @staticmethod
    def suits(table: Table) -> bool:
        return 1 < table.numbers.shape[1] <= MOST_TIED and len(table.patterns) <= MOST_PATTERNS

    @classmethod
    def of(cls, table: Table, weights: np.ndarray) -> Tied:
        """Estimate from the weights of rows in classes, as if columns were independent where cells lack."""
        first = Diagonal.of(table, weights)
        variance = weights.sum(-2, keepdims=True) @ first.variance / weights.shape[-2]
        return cls(first.mean, variance * np.eye(variance.shape[-1])).updated(table, weights)

    @staticmethod
    def parts(table: Table) -> int:
        return len(table.patterns)

    @property
    def n_parameters(self) -> int:
        k, p = self.mean.shape[-2:]
        return k * p + p * (p + 1) // 2

    def log_density(self, table: Table) -> np.ndarray:
        density = np.empty((*self.mean.shape[:-2], len(table.numbers), self.mean.shape[-2]))
        for rows, there in table.patterns:
            factor = np.linalg.cholesky(self.covariance[..., there, :][..., there])
            whiten = np.linalg.inv(factor).swapaxes(-1, -2)
            x, mean = table.numbers[np.ix_(rows, there)] @ whiten, self.mean[..., there] @ whiten
            distance = (x**2).sum(-1)[..., None] + (mean**2).sum(-1)[..., None, :] - 2 * x @ mean.swapaxes(-1, -2)
            half_determinant = np.log(np.diagonal(factor, axis1=-2, axis2=-1)).sum(-1)
            constant = there.sum() * np.log(2 * np.pi) + 2 * half_determinant
            density[..., rows, :] = -0.5 * (distance + constant[..., None, None])
        return density

    def updated(self, table: Table, weights: np.ndarray) -> Tied:
        """Take the M-step, with the weights of rows in classes ``(..., n, K)``, which add up to one for each row.

        In class k the whole row is expected to be ``x @ slope + offset[k]``, where x are its numbers that are there,
        with covariance `spread` around that. So sums over rows are needed of x alone.
        """
        total = weights.sum(-2) + TINY
        first, second = np.zeros_like(self.mean), np.zeros_like(self.covariance)
        for rows, there in table.patterns:
            w, x = weights[..., rows, :], table.numbers[np.ix_(rows, there)]
            beside = self.covariance[..., there, :]
            slope = np.linalg.solve(beside[..., there], beside)
            spread = self.covariance - beside.swapaxes(-1, -2) @ slope
            offset = self.mean - self.mean[..., there] @ slope
            apart = w.sum(-2)[..., None] * offset
            sums = w.swapaxes(-1, -2) @ x @ slope
            first += sums + apart
            second += slope.swapaxes(-1, -2) @ (x.T @ x) @ slope + len(rows) * spread
            second += (2 * sums + apart).swapaxes(-1, -2) @ offset
        mean = first / total[..., None]
        between = (total[..., None] * mean).swapaxes(-1, -2) @ mean
        covariance = (second - between) / weights.shape[-2] + ADDED_VARIANCE * np.eye(second.shape[-1])
        # both sides of the products of `sums` and `offset`; and what rounding leaves lopsided would grow
        return Tied(mean, (covariance + covariance.swapaxes(-1, -2)) / 2)

    def some(self, at: np.ndarray | int) -> Tied:
        return Tied(self.mean[at], self.covariance[at])


SHAPES: tuple[type[Numbers], ...] = (Diagonal, Tied)
