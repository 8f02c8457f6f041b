"""Peers of `impute`: the imputers of scikit-learn with their defaults, on numbers in units of their spread.

A column of levels becomes columns of zeros and ones, all of them missing where the level is. For nearest neighbours
each level has a column. For regressions the first level has none, since columns that add up to one predict each other.
A filled cell has the level whose column is largest.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer

DRAWS = 39  # of each cell


class Asked(Protocol):
    """A table with holes: its cells that are seen ``(n, F)``, the number of levels of each column, and a seed."""

    @property
    def seen(self) -> np.ndarray: ...
    @property
    def sizes(self) -> list[int]: ...
    @property
    def seed(self) -> int: ...


@dataclass(frozen=True)
class Filled:
    """Filled tables, as numbers.

    Attributes:
        mean: best guesses, ``(n, F)``.
        draws: ``(DRAWS, n, F)``; None where a system gives none.
    """

    mean: np.ndarray
    draws: np.ndarray | None = None


class Encoded:
    """A table as columns of numbers, and back.

    Args:
        task: the table.
        first: whether the first level of a column has a column of its own.
    """

    def __init__(self, task: Asked, first: bool):
        self.seen, self.sizes, self.skipped = task.seen, task.sizes, int(not first)
        self.loc, self.scale = np.nanmean(self.seen, 0), np.nanstd(self.seen, 0)
        self.scale = np.where(self.scale > 0, self.scale, 1.0)
        blocks = []
        for j, size in enumerate(self.sizes):
            cells = self.seen[:, j]
            if size:
                block = (cells[:, None] == np.arange(self.skipped, size)).astype(float)
                block[np.isnan(cells)] = np.nan
            else:
                block = ((cells - self.loc[j]) / self.scale[j])[:, None]
            blocks.append(block)
        self.places = np.cumsum([0, *(block.shape[1] for block in blocks)])
        self.matrix = np.concatenate(blocks, 1)

    def filled(self, matrix: np.ndarray) -> np.ndarray:
        """Turn filled columns into the numbers of the table, ``(n, F)``; cells that were seen stay."""
        parts = []
        for j, size in enumerate(self.sizes):
            block = matrix[:, self.places[j] : self.places[j + 1]]
            if size and self.skipped:
                block = np.column_stack([1 - block.sum(1), block])
            parts.append(block.argmax(1) if size else self.loc[j] + self.scale[j] * block[:, 0])
        return np.where(np.isnan(self.seen), np.column_stack(parts), self.seen)


def mean_and_mode(task: Asked) -> Filled:
    """Fill in the mean of a column, or its most frequent level."""
    best = [
        np.bincount(cells[~np.isnan(cells)].astype(int)).argmax() if size else np.nanmean(cells)
        for cells, size in zip(task.seen.T, task.sizes, strict=True)
    ]
    return Filled(np.where(np.isnan(task.seen), best, task.seen))


def neighbours(task: Asked) -> Filled:
    """Fill in the mean of the five nearest rows."""
    encoded = Encoded(task, True)
    return Filled(encoded.filled(KNNImputer(keep_empty_features=True).fit_transform(encoded.matrix)))


def chained(task: Asked) -> Filled:
    """Fill in by chained Bayesian regressions; for draws the chain is run again, by other seeds, with its posterior."""
    encoded = Encoded(task, False)

    def run(seed: int, **how: Any) -> np.ndarray:
        imputer = IterativeImputer(random_state=seed, keep_empty_features=True, **how)
        return encoded.filled(imputer.fit_transform(encoded.matrix))

    draws = [run(1000 * task.seed + i, sample_posterior=True) for i in range(DRAWS)]
    return Filled(run(task.seed), np.stack(draws))


def trees(task: Asked) -> Filled:
    """Fill in by chained boosted trees."""
    encoded = Encoded(task, False)
    forest = HistGradientBoostingRegressor(random_state=task.seed)
    imputer = IterativeImputer(forest, random_state=task.seed, keep_empty_features=True)
    return Filled(encoded.filled(imputer.fit_transform(encoded.matrix)))


def quiet(run: Callable[[Asked], Filled]) -> Callable[[Asked], Filled]:
    """Silence warnings that a chain has not converged."""

    def found(task: Asked) -> Filled:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return run(task)

    return found


PEERS = {
    "mean and mode": mean_and_mode,
    "KNNImputer": neighbours,
    "IterativeImputer": quiet(chained),
    "IterativeImputer, trees": quiet(trees),
}
