"""Readings: what a table has in common with the table of the fit, and what not, in words.

Next month's file is seldom the file of the fit. `find` finds the columns of the fit in it, by their names. What
differs is kept in a `Reading`, from which warnings, refusals and the lines of commands are made.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cpvae.data.faults import enumerated, listed
from cpvae.data.limits import blocks
from cpvae.errors import InputError, ReadWarning, counted, meant, warn

SEARCHED = 1000  # names among which a similar one is looked for


@dataclass(frozen=True)
class Unknown:
    """Cells of a column whose level was not there in the fit.

    Attributes:
        column: its name.
        levels: the distinct ones, as text.
        cells: how many cells have them.
    """

    column: str
    levels: tuple[str, ...]
    cells: int

    def __str__(self) -> str:
        return f"column {self.column!r} has {listed(self.levels, 3)} in {counted(self.cells, 'cell')}"


@dataclass(frozen=True)
class Reading:
    """Findings in a table that is read by the columns of a fit.

    Attributes:
        rows: how many there are.
        names: the columns of the fit that are modelled.
        absent: those of them that are not there, so that their cells are missing.
        others: columns that the fit did not have, which are left out.
        reordered: whether the columns of the fit are there in another order.
        unknown: levels that were not there in the fit, whose cells are missing.
        guessed: cells that are written otherwise than in the fit, a line for each column.
        empty: columns that are there and have no value.
        blank: how many rows have no value at all.
        first_blank: the number of the first of them, from 0.

    Examples:
        >>> print(*Reading(20, ("a", "b"), absent=("b",), others=("c",)).lines("new.csv"), sep="\\n")
        read new.csv: 20 rows, 1 of the 2 columns of the fit
        columns that the fit did not have: 'c'; left out (say --labels c if it holds labels)
        no column 'b', taken as missing
    """

    rows: int
    names: tuple[str, ...]
    absent: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    reordered: bool = False
    unknown: tuple[Unknown, ...] = ()
    guessed: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()
    blank: int = 0
    first_blank: int = 0

    @classmethod
    def join(cls, parts: Sequence[Reading]) -> Reading:
        """Join the findings in the parts of one table, in the order of its rows.

        >>> parts = Reading(20, ("a",), unknown=(Unknown("a", ("u",), 2),)), Reading(5, ("a",), blank=1, first_blank=3)
        >>> Reading.join(parts).differences()[1]
        '1 row has no value in any column (first row 23, counted from 0): nothing is known of them'
        """
        first, *_ = parts
        unknown: dict[str, Unknown] = {}
        rows = blank = first_blank = 0
        for part in parts:
            for one in part.unknown:
                before = unknown.get(one.column, Unknown(one.column, (), 0))
                levels = tuple(dict.fromkeys((*before.levels, *one.levels)))[:SEARCHED]
                unknown[one.column] = Unknown(one.column, levels, before.cells + one.cells)
            first_blank = first_blank if blank or not part.blank else rows + part.first_blank
            blank += part.blank
            rows += part.rows
        return replace(
            first,
            rows=rows,
            unknown=tuple(unknown.values()),
            guessed=tuple(dict.fromkeys(line for part in parts for line in part.guessed)),
            empty=tuple(name for name in first.empty if all(name in part.empty for part in parts)),
            blank=blank,
            first_blank=first_blank,
        )

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Reading:
        """Make a reading of what `dataclasses.asdict` gave, from JSON too.

        >>> reading = Reading(20, ("a",), unknown=(Unknown("a", ("u",), 2),))
        >>> from dataclasses import asdict
        >>> Reading.from_dict(asdict(reading)) == reading
        True
        """
        found: dict[str, Any] = {name: tuple(one) if isinstance(one, list) else one for name, one in value.items()}
        unknown = tuple(Unknown(one["column"], tuple(one["levels"]), one["cells"]) for one in found["unknown"])
        return cls(**{**found, "unknown": unknown})

    def differences(self) -> list[str]:
        """Say what is unlike the table of the fit: columns, levels, ways of writing, rows without a value."""
        said = [self._told_absent()] if self.absent else []
        if self.others:
            said.append(f"{columns_named(self.others)} that the fit did not have, left out")
        return [*said, *self._told_cells()]

    def without(self, names: Collection[str]) -> Reading:
        """Leave aside columns that may be there or not, such as the labels of the fit.

        >>> Reading(20, ("a",), others=("b", "c")).without({"c"}).others
        ('b',)
        """
        return replace(self, others=tuple(name for name in self.others if name not in names))

    def check(self) -> None:
        """Refuse a table that is unlike that of the fit.

        Raises:
            InputError: naming all differences.
        """
        said = self.differences()
        hint = f", {labels_hint(self.others)}" if self.others else ""
        if said:
            raise InputError(
                f"{'; '.join(said)}; expected a table like that of the fit; correct it{hint}, or leave out --strict"
            )

    def warn(self) -> None:
        """Warn of all differences at once."""
        said = self.differences()
        if said:
            warn("; ".join(said), ReadWarning)

    def lines(self, name: str) -> list[str]:
        """Say in about three lines what was read, what was left out, and what is missing.

        Args:
            name: of the data.
        """
        there = len(self.names) - len(self.absent)
        of = f"all {there:,}" if not self.absent else f"{there:,} of the {len(self.names):,}"
        head = f"read {name}: {counted(self.rows, 'row')}, {of} columns of the fit"
        if len(self.names) == 1:
            head = head.replace("all 1 columns", "the one column")
        lines = [head + ", in another order" * self.reordered]
        if self.others:
            lines.append(
                f"columns that the fit did not have: {enumerated(_quoted(self.others))}; left out "
                f"({labels_hint(self.others)})"
            )
        missing = [self._told_absent()] if self.absent else []
        missing += [f"no value in {columns_named(self.empty)}"] if self.empty else []
        missing += self._told_cells()
        return [*lines, "; ".join(missing)] if missing else lines

    def _told_absent(self) -> str:
        return f"no {columns_named(self.absent)}, taken as missing{meant(self.absent[0], self.others)}"

    def _told_cells(self) -> list[str]:
        said = list(self.guessed)
        if self.unknown:
            said.append(f"{enumerated(list(map(str, self.unknown)))}: not there in the fit, taken as missing")
        if self.blank:
            rows = f"{self.blank:,} row{' has' if self.blank == 1 else 's have'}"
            said.append(
                f"{rows} no value in any column (first row {self.first_blank}, counted from 0): nothing is known of "
                "them"
            )
        return said


def find(
    names: Sequence[str], rows: int, wanted: Sequence[str], known: Sequence[str], gaps: bool
) -> tuple[list[int], Reading]:
    """Find the columns of the fit in a table, by their names.

    Args:
        names: of the columns of the table.
        rows: how many it has.
        wanted: the columns that are modelled.
        known: all columns of the table of the fit; those that are not wanted may be there or not.
        gaps: whether a column may be absent; its cells are missing then.

    Returns:
        The places of those that are there, in the order of `wanted`, and what differs.

    Raises:
        InputError: no wanted column is there, or one is absent and `gaps` is false.
    """
    place, own = {name: i for i, name in enumerate(names)}, set(known)
    absent = [name for name in wanted if name not in place]
    if absent and len(absent) == len(wanted):
        alike = {name.casefold().strip() for name in names} & {name.casefold().strip() for name in wanted}
        remedy = "write the names as they were in the fit" if alike else "give rows of the same kind"
        raise InputError(f"no column of the fit is there: expected {listed(wanted)}, found {listed(names)}; {remedy}")
    others = tuple(name for name in names if name not in own)
    if absent and not gaps:
        raise InputError(
            f"no {columns_named(absent)}{meant(absent[0], others)}; expected the columns of the fit, in any order"
        )
    order = [place[name] for name in wanted if name in place]
    return order, Reading(rows, tuple(wanted), tuple(absent), others, order != sorted(order))


def column_names(columns: Iterable[Any]) -> list[str]:
    """Give the names of columns as text.

    Raises:
        InputError: two of one name.
    """
    names = [str(name) for name in columns]
    if len(set(names)) < len(names):
        repeated = [repr(name) for name, count in Counter(names).items() if count > 1]
        raise InputError(
            f"more than one column is called {enumerated(repeated)}; expected different names; rename them"
        )
    return names


def blank_rows(matrix: np.ndarray) -> tuple[int, int]:
    """Count the rows ``(n, F)`` that have no value at all, and give the number of the first; zeros where there is none.

    >>> blank_rows(np.array([[1.0, np.nan], [np.nan, np.nan], [np.nan, np.nan]]))
    (2, 1)
    """
    if matrix.dtype.kind != "f" or not len(matrix):
        return 0, 0
    blank = np.concatenate([np.isnan(part).all(1) for _, part in blocks(matrix)])
    return int(blank.sum()), int(blank.argmax())


def columns_named(names: Sequence[str]) -> str:
    """Name one or several columns.

    >>> columns_named(["a"]), columns_named(["a", "b"])
    ("column 'a'", "columns 'a', 'b'")
    """
    return f"column{'s' * (len(names) != 1)} {enumerated(_quoted(names))}"


def labels_hint(others: Sequence[str]) -> str:
    """Say how to have the first of some columns read as labels."""
    return f"say --labels {shlex.quote(others[0])} if it holds labels"


def _quoted(names: Sequence[str]) -> list[str]:
    return [repr(name) for name in names]
