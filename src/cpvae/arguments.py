"""Checks of arguments: what was given, what was expected."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np

from cpvae.errors import InputError, nearest

MOST = 2**31 - 1  # more rows, widths or epochs than this are a slip of the finger
LARGEST_SEED = 2**32 - 1  # of NumPy


def whole(name: str, value: Any, least: int, most: int = MOST) -> None:
    """Refuse what is not a whole number from `least` to `most`."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise InputError(f"{name}={value!r}: expected a whole number of at least {least}")
    if int(value) > most:
        raise InputError(f"{name}={value!r}: expected a whole number of at most {most}")


def seed(name: str, value: Any) -> None:
    """Refuse what NumPy would not take as a random state."""
    if value is not None and not isinstance(value, np.random.RandomState):
        whole(name, value, 0, LARGEST_SEED)


def between(name: str, value: Any, low: float, high: float, lowest: bool = False) -> None:
    """Refuse what is not a number strictly between `low` and `high`; with `lowest`, `low` itself is allowed."""
    inside = not isinstance(value, bool) and isinstance(value, Real)
    if not inside or not (low < float(value) < high or (lowest and value == low)):
        expected = f"above {low:g}" if high == math.inf else f"between {low:g} and {high:g}"
        if lowest:
            expected = f"{low:g} or {expected}"
        raise InputError(f"{name}={value!r}: expected a number {expected}")


def one_of(name: str, value: Any, known: Sequence[str]) -> None:
    """Refuse a name that is not known, with the nearest that is."""
    if value not in known:
        raise InputError(f"{name}={value!r} is unknown{nearest(str(value), known)}")


def widths(name: str, value: Any) -> None:
    """Refuse what is not a tuple of one width or more."""
    if not isinstance(value, (tuple, list)) or not value:
        raise InputError(f"{name}={value!r}: expected the widths of the hidden layers, such as (300, 300)")
    for width in value:
        whole(name, width, 1)
