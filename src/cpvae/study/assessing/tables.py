"""Tables as numbers with a schema, which all checks look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cpvae.data.columns import Column


@dataclass(frozen=True)
class Table:
    """Rows of a table as numbers.

    Attributes:
        columns: what each column holds.
        values: ``(n, F)`` float64; the code of a level, the number of days of a date, NaN where a cell is missing.
    """

    columns: tuple[Column, ...]
    values: np.ndarray

    def __len__(self) -> int:
        return len(self.values)

    @property
    def is_level(self) -> np.ndarray:
        """Tell which columns hold levels, ``(F,)``."""
        return np.array([column.kind == "categorical" for column in self.columns])

    def at(self, index: np.ndarray) -> Table:
        """Take the rows at some positions."""
        return replace(self, values=self.values[index])

    def some(self, most: int, seed: int) -> tuple[Table, np.ndarray]:
        """Draw at most so many rows with a seed, and give their positions, in ascending order."""
        if len(self) <= most:
            return self, np.arange(len(self))
        index = np.sort(np.random.RandomState(seed).choice(len(self), most, replace=False))
        return self.at(index), index

    def joined(self, other: Table) -> Table:
        """Append the rows of another table."""
        return replace(self, values=np.concatenate([self.values, other.values]))

    def only(self, chosen: np.ndarray) -> Table:
        """Take the columns that are chosen by a mask ``(F,)``."""
        columns = [column for column, one in zip(self.columns, chosen, strict=True) if one]
        return Table(tuple(columns), self.values[:, chosen])

    def scaled(self) -> np.ndarray:
        """Give the values with amounts on their logarithmic scale, on which they are less skewed."""
        values = self.values.copy()
        for j, column in enumerate(self.columns):
            if column.unit is not None:
                values[:, j] = np.arcsinh(values[:, j] / column.unit)
        return values


def with_gaps_of(real: Table, synthetic: Table, seed: int) -> tuple[Table, list[str]]:
    """Take cells out of columns without gaps, as they are missing in real rows drawn at random.

    A table that was made whole would otherwise be told from the real one by its gaps alone.

    Returns:
        The table, and the names of these columns.
    """
    gaps = np.isnan(real.values)
    whole = gaps.any(0) & ~np.isnan(synthetic.values).any(0)
    drawn = gaps[np.random.RandomState(seed).randint(len(real), size=len(synthetic))]
    values = np.where(drawn & whole, np.nan, synthetic.values)
    return replace(synthetic, values=values), names_at(real.columns, whole)


def names_at(columns: Sequence[Column], chosen: np.ndarray) -> list[str]:
    """Name the columns that are chosen by a mask ``(F,)``."""
    return [column.name for column, one in zip(columns, chosen, strict=True) if one]
