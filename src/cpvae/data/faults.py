"""Faults of the cells of a table, gathered so that one message names all columns that have the same one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from cpvae.errors import InputError

NAMED = 8  # columns in one message


class Fault(InputError):
    """A column that cannot be used.

    Args:
        problem: what is wrong, in words that many columns can share.
        where: the column, and a cell in it where that helps.
        remedy: what was expected and what to do.
    """

    def __init__(self, problem: str, where: str, remedy: str) -> None:
        super().__init__(f"{problem}: {where}; {remedy}")
        self.problem, self.where, self.remedy = problem, where, remedy

    def __reduce__(self) -> tuple[type[Fault], tuple[str, str, str]]:
        return Fault, (self.problem, self.where, self.remedy)


class Faults:
    """A list of faults that is filled column by column and raised at the end.

    Examples:
        >>> faults = Faults()
        >>> for name in ("a", "b"):
        ...     with faults.collected():
        ...         raise Fault("text in a numeric column", repr(name), "expected numbers")
        >>> faults.check()
        Traceback (most recent call last):
        cpvae.errors.InputError: text in a numeric column: 'a', 'b'; expected numbers
    """

    def __init__(self) -> None:
        self.found: list[Fault] = []

    @contextmanager
    def collected(self) -> Iterator[None]:
        """Keep a fault that is raised inside, and go on."""
        try:
            yield
        except Fault as fault:
            self.found.append(fault)

    def check(self) -> None:
        """Raise nothing, or one error that names all columns with a fault, those with the first problem first.

        Raises:
            InputError: there was a fault.
        """
        alike: dict[tuple[str, str], list[str]] = {}
        for fault in self.found:
            alike.setdefault((fault.problem, fault.remedy), []).append(fault.where)
        told: list[str] = []
        for (problem, remedy), where in alike.items():
            said = f"{problem}: {enumerated(where)}"
            told.append(said if told and remedy == self.found[0].remedy else f"{said}; {remedy}")
        if told:
            raise InputError("; also ".join(told)) from self.found[0]


def enumerated(parts: Sequence[str], most: int = NAMED) -> str:
    """Join parts by commas, the first few of many.

    >>> enumerated(["a", "b"]), enumerated([str(i) for i in range(100)], 3)
    ('a, b', '0, 1, 2, ... (100 in all)')
    """
    return ", ".join(parts[:most]) + (f", ... ({len(parts)} in all)" if len(parts) > most else "")


def listed(values: Sequence[object], most: int = 5) -> str:
    """Join values by commas, the first few of many.

    >>> listed(("a", "b")), listed(range(100))
    ("'a', 'b'", '0, 1, 2, 3, 4, ... (100 in all)')
    """
    return enumerated([repr(value[:40] if isinstance(value, str) else value) for value in values], most)


def cell(name: str, value: object, row: int) -> str:
    """Name a column and its first wrong cell."""
    return f"column {name!r} (first {str(value)[:60]!r} in row {row}, counted from 0)"
