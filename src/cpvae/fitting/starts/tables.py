"""Tables for EM: the cells of rows as arrays, with what is missing of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from cpvae.probability.likelihoods.likelihood import Cells


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

    @classmethod
    def of_numbers(cls, numbers: np.ndarray, known: np.ndarray | None = None) -> Table:
        """Make a table of numbers ``(n, P)`` alone, none of which is missing."""
        return cls(numbers.astype(np.float64), np.ones(numbers.shape), np.zeros((len(numbers), 0)), [], known)

    def rows(self, some: np.ndarray) -> Table:
        """Take the rows at some positions."""
        known = None if self.known is None else self.known[some]
        return Table(self.numbers[some], self.observed[some], self.levels[some], self.sizes, known)

    @cached_property
    def points(self) -> np.ndarray:
        """Rows as points ``(n, P + T)`` that k-means can cluster: two different levels are as far apart as a unit.

        A missing number is at the mean of its column.
        """
        return np.concatenate([self.numbers, self.levels / 2**0.5], axis=1)

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
