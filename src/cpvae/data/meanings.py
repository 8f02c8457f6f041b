"""Levels of a fit, found again in cells that other programs wrote.

A cell has a level if it is equal to it, as numbers or as text: a file may bring the text "1" as a number, or the
reverse. What has none may still mean one: it differs in capital letters alone ("MALE"), is the same number written
otherwise (7 for "007"), or says yes or no in other words ("yes" for True). That is a guess, made only where one level
can be meant, and told.
"""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from numbers import Integral
from typing import Any

from cpvae.data.cells import as_text

UNKNOWN = -1
TRUTH = {
    **dict.fromkeys(("true", "yes", "y", "t", "on", "1"), True),
    **dict.fromkeys(("false", "no", "n", "f", "off", "0"), False),
}


def codes_of(values: Sequence[Any], levels: Sequence[Any], guess: bool = True) -> tuple[list[int], dict[str, str]]:
    """Find the levels of distinct cells.

    Args:
        values: the cells, none missing.
        levels: of the column, all text or all numbers.
        guess: also take what can only mean one level for it.

    Returns:
        The position of the level of each value, `UNKNOWN` where there is none; and the guesses, value -> level as text.

    Examples:
        >>> codes_of([1, "2", 3.5], (1, 2))
        ([0, 1, -1], {})
        >>> codes_of(["MALE", "male", "unknown"], ("female", "male"))
        ([1, 1, -1], {'MALE': 'male'})
        >>> codes_of(["yes", "no"], (False, True)), codes_of([7], ("007", "A12"))
        (([1, 0], {'yes': 'True', 'no': 'False'}), ([0], {'7': '007'}))
    """
    known = {_key(level, levels): code for code, level in enumerate(levels)}
    codes = [known.get(_key(value, levels), UNKNOWN) for value in values]
    guesses: dict[str, str] = {}
    for meaning in (_folded, _number, _truth):
        if not guess or UNKNOWN not in codes:
            break
        meant = _table(levels, meaning)
        for i, value in enumerate(values):
            found = meaning(value) if codes[i] == UNKNOWN else None
            if found is not None and found in meant:
                codes[i] = meant[found]
                guesses[as_text(value)] = as_text(levels[codes[i]])
    return codes, guesses


def alike(levels: Sequence[Any]) -> list[list[str]]:
    """Give the levels that differ only in case, in blanks, or in how Unicode writes a letter: each group of them.

    >>> alike(["F", "Male", "f", "male ", "other"])
    [['F', 'f'], ['Male', 'male ']]
    """
    found: dict[Hashable, list[str]] = {}
    for level in levels:
        if isinstance(level, str):
            found.setdefault(_folded(level), []).append(level)
    return [same for same in found.values() if len(same) > 1]


def _table(levels: Sequence[Any], meaning: Callable[[Any], Hashable]) -> dict[Hashable, int]:
    """Give the level of each meaning that a single one has; yes and no only where there is nothing else."""
    found = [meaning(level) for level in levels]
    if meaning is _truth and (len(levels) != 2 or None in found):
        return {}
    counts = Counter(found)
    return {one: code for code, one in enumerate(found) if one is not None and counts[one] == 1}


def _key(value: object, levels: Sequence[Any]) -> Hashable:
    """Give what of a cell is compared with the levels."""
    if isinstance(levels[0], str):
        return as_text(value)
    try:
        return _exact(value)  # of True and False too
    except (TypeError, ValueError):
        return {"true": 1.0, "false": 0.0}.get(as_text(value).lower(), as_text(value))


def _folded(value: object) -> str:
    return " ".join(unicodedata.normalize("NFKC", as_text(value)).casefold().split())


def _exact(value: Any) -> float:
    """Give a number; a whole one keeps all its digits.

    >>> _exact("1.50"), _exact(str(2**60 + 1)) == 2**60 + 1
    (1.5, True)
    """
    if isinstance(value, (str, Integral)):
        with suppress(ValueError):
            return int(value)
    return float(value)


def _number(value: object) -> float | None:
    try:
        found = _exact(value)
    except (TypeError, ValueError):
        return None
    return found if math.isfinite(found) else None


def _truth(value: object) -> bool | None:
    return TRUTH.get(as_text(value).casefold())
