"""Changes between old rows and new ones, in words and numbers: the answer of `cpvae.drift`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from cpvae.words.contrasts import COLUMNS, Contrast
from cpvae.words.names import label
from cpvae.words.phrases import capital, listed, percent, plain, short

ALPHA = 0.05  # chance of a false alarm, in any of the questions together
TOLD = 8  # categories, or columns, in a text
NAMED = 4  # columns in a sentence
NOWHERE = -1  # in place of the number of a category, for models that have none


@dataclass(frozen=True)
class ShareChange:
    """The share of a category in old rows and in new ones.

    Attributes:
        category: its number; name: that the user gave it, or "".
        before, now: the shares; low, high: of their difference, a bootstrap interval of 95 %.

    >>> print(ShareChange(1, "", 0.22, 0.36, 0.08, 0.2))
    category 1: 36 % of the rows, before 22 % (+14 points, 95 % interval +8 to +20)
    """

    category: int
    name: str
    before: float
    now: float
    low: float
    high: float

    def __str__(self) -> str:
        points, low, high = (f"{round(100 * one):+d}" for one in (self.now - self.before, self.low, self.high))
        shares = f"{percent(self.now)} of the rows, before {percent(self.before)}"
        return f"{_called(self.category, self.name)}: {shares} ({points} points, 95 % interval {low} to {high})"


@dataclass(frozen=True)
class BoundChange:
    """The bound of log p(x) of the rows of a category, held-out rows of the fit beside new ones.

    Attributes:
        category: its number, or `NOWHERE`; name: that the user gave it, or "".
        before, now: medians, nats a row; low, high: of their difference, a bootstrap interval of 95 %.
        effect: Cliff's delta, positive where new rows are more likely; p: of a rank test, corrected.
    """

    category: int
    name: str
    before: float
    now: float
    low: float
    high: float
    effect: float
    p: float

    def __str__(self) -> str:
        way = "less" if self.effect < 0 else "more"
        medians = f"median bound {plain(self.now)} nats a row, before {plain(self.before)}"
        apart = ", ".join([f"{self.now - self.before:+.2g}", f"95 % interval {self.low:+.2g} to {self.high:+.2g}"])
        return f"rows{_within(self.category, self.name, ' of ')} are {way} usual: {medians} ({apart})"


@dataclass(frozen=True)
class CellChange:
    """A column with more, or fewer, missing cells than before, or with levels that were not there in the fit.

    Attributes:
        column: its name.
        kind: "absent", "missing" or "level".
        before, now: the shares of such cells.
        levels: those that are new, as text.
        p: of Fisher's exact test, corrected for all columns.

    >>> print(CellChange("sex", "missing", 0.03, 0.3, (), 0.001))
    'sex' is missing in 30 % of the rows, before 3.0 %
    >>> print(CellChange("island", "level", 0.0, 0.17, ("Mars",), 0.001))
    'island' has 'Mars', which was not there in the fit, in 17 % of the rows
    """

    column: str
    kind: str
    before: float
    now: float
    levels: tuple[str, ...]
    p: float

    def __str__(self) -> str:
        name = repr(short(self.column))
        if self.kind == "absent":
            return f"{name} is absent"
        if self.kind == "missing":
            return f"{name} is missing in {percent(self.now)} of the rows, before {percent(self.before)}"
        named = listed([repr(short(level)) for level in self.levels[:3]]) + ", ..." * (len(self.levels) > 3)
        were = "which was" if len(self.levels) == 1 else "which were"
        return f"{name} has {named}, {were} not there in the fit, in {percent(self.now)} of the rows"


@dataclass(frozen=True)
class ColumnChange:
    """A column whose values have changed in the rows of a category.

    Attributes:
        category: its number, or `NOWHERE`; name: that the user gave it, or "".
        contrast: new rows ("here") beside old ones ("others"), with effect size, interval and p, corrected for all
            columns and categories.
    """

    category: int
    name: str
    contrast: Contrast

    def __str__(self) -> str:
        one = self.contrast
        effect = f"effect {one.effect:+.2f}, 95 % interval {one.low:+.2f} to {one.high:+.2f}"
        where = _within(self.category, self.name, "in ")
        return f"{where}{': ' * bool(where)}{one.beside('before')} ({effect})"


@dataclass(frozen=True, eq=False)
class Drift:
    """Changes in new rows.

    Attributes:
        rows, before: how many new rows there are, and how many old ones they are compared with.
        mix: the share of each category; empty for a model without categories.
        mix_p: of the change of the mix, corrected; None where there is no mix.
        cells: columns with new levels, and those that are missing more or less often.
        bounds: of each category, how likely its rows are.
        columns: whose values have changed within a category, the largest effect first.
        notes: what could not be compared, and why.

    Every p is corrected for the number of questions, columns and categories. So if nothing has changed, the chance
    that `changed` is true is at most 5 %.
    """

    rows: int
    before: int
    mix: tuple[ShareChange, ...] = ()
    mix_p: float | None = None
    cells: tuple[CellChange, ...] = ()
    bounds: tuple[BoundChange, ...] = ()
    columns: tuple[ColumnChange, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def mix_changed(self) -> bool:
        """Tell whether the categories have other shares than before."""
        return self.mix_p is not None and self.mix_p <= ALPHA

    @property
    def bounds_changed(self) -> tuple[BoundChange, ...]:
        """Give the categories whose rows are more or less likely than before."""
        return tuple(one for one in self.bounds if one.p <= ALPHA)

    @property
    def changed(self) -> bool:
        """Tell whether anything has changed."""
        return self.mix_changed or bool(self.bounds_changed or self.columns or self.cells)

    @property
    def answer(self) -> str:
        """One sentence on what has changed."""
        rows = f"{self.rows:,} new rows" if self.rows != 1 else "1 new row"
        if not self.changed:
            return f"No change found: {rows} are like the {self.before:,} rows before."
        what = ["the mix of the categories"] * self.mix_changed
        inside: dict[tuple[int, str], list[str]] = {(one.category, one.name): [] for one in self.bounds_changed}
        for one in self.columns:
            inside.setdefault((one.category, one.name), []).append(one.contrast.column)
        for (category, name), columns in sorted(inside.items()):
            what.append(f"the rows{_within(category, name, ' within ')}" + f" ({_few(columns)})" * bool(columns))
        if self.cells:
            what.append(f"which cells are there ({_few([one.column for one in self.cells])})")
        return f"Changed: {listed(what)}."

    def __str__(self) -> str:
        lines = [self.answer]
        if self.changed:
            lines.append(f"{self.rows:,} new rows are compared with {self.before:,} rows before.")
        if self.mix_p is not None:
            state = "has changed" if self.mix_changed else "has not changed"
            lines.append(f"The mix of the categories {state} (p {self.mix_p:.2g}):")
            lines += _first(self.mix)
        absent = [one.column for one in self.cells if one.kind == "absent"]
        lines += [f"Absent: {listed([repr(short(name)) for name in absent])}."] if absent else []
        lines += [f"{capital(str(one))}." for one in self.cells if one.kind != "absent"]
        lines += [f"{capital(str(one))}." for one in self.bounds_changed]
        if self.columns:
            lines.append(f"Columns that have changed{' within a category' * bool(self.mix)}, the largest effect first:")
            lines += _first(self.columns)
        return "\n".join([*lines, *(f"{capital(note)}." for note in self.notes)])

    def to_frame(self) -> pd.DataFrame:
        """Give a table with a line for each column that has changed within a category, the largest effect first."""
        lines = [{"category": one.category, "name": one.name, **one.contrast.as_dict()} for one in self.columns]
        frame = pd.DataFrame(lines, columns=["category", "name", *COLUMNS])
        return frame.rename(columns={"here": "now", "others": "before"})

    def as_dict(self) -> dict[str, Any]:
        """Give plain values, as JSON can hold them, and the words."""
        return {
            "changed": self.changed,
            "answer": self.answer,
            "rows": self.rows,
            "before": self.before,
            "mix": {
                "changed": self.mix_changed,
                "p": self.mix_p,
                "categories": [{**asdict(one), "words": str(one)} for one in self.mix],
            },
            "cells": [{**asdict(one), "levels": list(one.levels), "words": str(one)} for one in self.cells],
            "bounds": [{**asdict(one), "changed": one.p <= ALPHA, "words": str(one)} for one in self.bounds],
            "columns": [
                {"category": one.category, "name": one.name, **one.contrast.as_dict(), "words": str(one)}
                for one in self.columns
            ],
            "notes": list(self.notes),
        }


def _first(parts: Sequence[object]) -> list[str]:
    """Write the first parts, a line each, and say how many more there are."""
    more = len(parts) - TOLD
    return [*(f"  {one}" for one in parts[:TOLD]), *[f"  and {more:,} more"] * (more > 0)]


def _few(columns: Sequence[str]) -> str:
    """Name the first columns of several.

    >>> _few(["a", "b", "a"]), _few(list("abcdef"))
    ("'a' and 'b'", "'a', 'b', 'c' and 3 more")
    """
    names = [repr(short(name)) for name in dict.fromkeys(columns)]
    return listed(names if len(names) <= NAMED else [*names[: NAMED - 1], f"{len(names) - NAMED + 1} more"])


def _within(category: int, name: str, word: str) -> str:
    """Say where rows are: nowhere in particular for a model without categories.

    >>> _within(1, "", " within "), _within(NOWHERE, "", " within ")
    (' within category 1', '')
    """
    return "" if category == NOWHERE else word + _called(category, name)


def _called(category: int, name: str) -> str:
    return label(category, {category: name} if name else {})
