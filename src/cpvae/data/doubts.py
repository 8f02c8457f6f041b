"""Doubts about the numbers of a table: some may stand for missing cells, or be slips, though they read as numbers.

Many programs write -999 or 99 for what is missing. Such numbers lie far from all others of their column, or
are the only ones below zero, and would decide what the model learns of it. They are named, and stay as they are: only
the user can know.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from cpvae.data.columns import Column
from cpvae.data.faults import enumerated

if TYPE_CHECKING:
    import pandas as pd

FEW = 10  # cells of which nothing is said
FEW_OTHERS = 3  # distinct numbers that are no scale to measure a distance with
MANY_OTHERS = 30  # distinct numbers, of which it says something that none is negative
OFTEN = 2  # times the cells that a number of the column mostly has
FAR = 100  # times the range of all others
LOOKED_AT = 20_000  # cells of a column
_MARK = re.compile(r"-?(9+[6-9]|8{2,}|7{2,})")  # such as 99, 998, -999, 88


def doubts(frame: pd.DataFrame, columns: Sequence[Column]) -> str:
    """Name the numbers of a table that lie far from all others of their column, or alone below zero; "" for none.

    Args:
        frame: ``n`` rows.
        columns: of them, that are modelled.

    Examples:
        >>> import pandas as pd
        >>> frame = pd.DataFrame({"age": [31, 42, 999, 27, 58, 35, 999, 44, 61, 29, 33]})
        >>> doubts(frame, [Column("age", "numeric")])[:57]
        "numbers far from all others of their column: 999 in 'age'"
    """
    place = {str(name): i for i, name in enumerate(frame.columns)}
    every = max(1, len(frame) // LOOKED_AT)
    frame = frame.iloc[::every]
    plain = all(isinstance(dtype, np.dtype) and dtype.kind in "iuf" for dtype in frame.dtypes)
    matrix = frame.to_numpy(dtype=np.float64) if plain else None  # many columns are read sooner together
    far: list[str] = []
    negative: list[str] = []
    for column in columns:
        if column.kind == "categorical":
            continue
        i = place[column.name]
        values = column.encode(frame.iloc[:, i]) if matrix is None or column.kind == "date" else matrix[:, i]
        values = values[~np.isnan(values)]
        apart = far_ones(values, slips=column.kind != "count")
        alone = lone_negative(values) if column.kind in ("numeric", "amount") else None
        for value in dict.fromkeys([*apart, *([] if alone is None else [alone])]):
            n, shown = int((values == value).sum()), column.decode(np.array([value])).iloc[0]
            shown = f"{shown:g}" if isinstance(shown, float) else str(shown)
            cells = f"{n:,} cell{'s' * (n != 1)}" if every == 1 else "many cells"
            (far if value in apart else negative).append(f"{shown} in {column.name!r} ({cells})")
    heads = {"numbers far from all others of their column": far, "the only negative numbers of their column": negative}
    told = [f"{head}: {enumerated(found)}" for head, found in heads.items() if found]
    remedy = "leave the cells empty if they stand for missing ones or are wrong"
    return "; ".join([*told, remedy]) if told else ""


def far_ones(values: np.ndarray, slips: bool = True) -> list[float]:
    """Find the distinct numbers among many ``(n,)`` that lie far from all others, at either end.

    Args:
        values: ``(n,)``, none missing.
        slips: also find a number that no program writes for a missing cell, but that lies very far away.

    >>> far_ones(np.array([1, 2, 3, 4, 5] * 4 + [88, 88, 99, 99])), far_ones(np.array([*np.arange(20), 1e30]))
    ([99, 88], [1e+30])
    """
    if len(values) < FEW:
        return []
    distinct, counts = np.unique(values, return_counts=True)
    found: list[float] = []
    for ends, times in ((distinct, counts), (distinct[::-1], counts[::-1])):
        marks = 0
        while marks < len(ends) and times[marks] > 1 and _MARK.fullmatch(f"{ends[marks]:g}"):
            marks += 1
        for n, scale in ((marks, 1), (int(slips), FAR)):
            others = ends[n:]
            if not n or len(others) < FEW_OTHERS:
                continue
            if abs(others[0] - ends[n - 1]) > scale * abs(others[-1] - others[0]):
                found += ends[:n].tolist()
                break
    return found


def lone_negative(values: np.ndarray) -> float | None:
    """Find the whole number that is the only negative one among many different numbers ``(n,)``, and often there.

    The coldest day of a mild winter is seldom, and so is a debt among sums of money.

    >>> incomes = np.arange(100) ** 2 + 800
    >>> lone_negative(np.array([*incomes, -1, -1, -1])), lone_negative(np.array([*incomes, -1, -2, -2, -2]))
    (-1.0, None)
    """
    below = values[values < 0]
    if not len(below) or (below != below[0]).any() or below[0] != np.floor(below[0]):
        return None
    _, counts = np.unique(values, return_counts=True)
    often = len(counts) > MANY_OTHERS and counts[0] > OFTEN * np.median(counts[1:])
    return float(below[0]) if often else None
