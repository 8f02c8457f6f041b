"""Descent of categories: which ones of a fit with more of them come from which, by the rows that they share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from cpvae.words.phrases import listed


@dataclass(frozen=True)
class Step:
    """Step from a fit to the next one with more categories.

    Attributes:
        before, after: numbers of components of the two fits.
        parents: for each category of the later fit, the category of the earlier one that most of its rows come from;
            None for a category without rows.
        shares: share of its rows that come from there.

    >>> print(Step(2, 4, (0, 0, 1, None), (1.0, 0.9, 1.0, 0.0)))
    From 2 to 4 categories: 0 is parted into 0 and 1; 1 becomes 2.
    """

    before: int
    after: int
    parents: tuple[int | None, ...]
    shares: tuple[float, ...]

    def as_dict(self) -> dict[str, Any]:
        """Give plain values, as JSON holds them."""
        return {**asdict(self), "parents": list(self.parents), "shares": list(self.shares)}

    def __str__(self) -> str:
        parts = []
        for parent in sorted({p for p in self.parents if p is not None}):
            children = [str(k) for k, p in enumerate(self.parents) if p == parent]
            verb = "is parted into" if len(children) > 1 else "becomes"
            parts.append(f"{parent} {verb} {listed(children)}")
        return f"From {self.before} to {self.after} categories: {'; '.join(parts)}."


def steps(categories: Mapping[int, np.ndarray]) -> Iterator[Step]:
    """Say for each two fits that follow where the rows of the later one's categories come from.

    Args:
        categories: number of components -> category of each row, ``(n,)``, the same rows for all fits.
    """
    for before, after in pairwise(sorted(categories)):
        rows = _rows_in_both(categories, before, after)
        total = rows.sum(0)
        parents = tuple(int(rows[:, k].argmax()) if total[k] else None for k in range(after))
        yield Step(before, after, parents, tuple((rows.max(0) / np.maximum(total, 1)).tolist()))


def layers(categories: Mapping[int, np.ndarray]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Give what `cpvae.study.figures.generations` draws: shares of the rows in categories, and in each two."""
    numbers = sorted(categories)
    shares = [np.bincount(categories[k], minlength=k) / len(categories[k]) for k in numbers]
    return shares, [_rows_in_both(categories, a, b) / len(categories[a]) for a, b in pairwise(numbers)]


def _rows_in_both(categories: Mapping[int, np.ndarray], a: int, b: int) -> np.ndarray:
    """Count the rows in each two categories of two fits, ``(a, b)``."""
    return np.bincount(categories[a] * b + categories[b], minlength=a * b).reshape(a, b)
