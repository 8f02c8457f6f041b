"""Checks of arguments: what was given, what was expected."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np

from cpvae.errors import InputError, nearest

MOST_LAYERS = 100  # more of them are a slip, and to build them would take minutes
MOST = 2**31 - 1  # more rows, widths or epochs than this are a slip of the finger
LARGEST_SEED = 2**32 - 1  # of NumPy


def whole(name: str, value: Any, least: int, most: int = MOST) -> None:
    """Refuse what is not a whole number from `least` to `most`."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise InputError(f"{name}={shown(value)}: expected a whole number of at least {least}")
    if int(value) > most:
        raise InputError(f"{name}={shown(value)}: expected a whole number of at most {most}")


def shown(value: Any) -> str:
    """Write a value that was given; Python refuses to write whole numbers of many thousand digits.

    >>> shown(1.5), shown(10**5000)
    ('1.5', 'a number of 16,610 bits')
    """
    try:
        return repr(value)
    except ValueError:
        return f"a number of {int(value).bit_length():,} bits"


def seed(name: str, value: Any) -> None:
    """Refuse what scikit-learn would not take as a random state: it has no place for NumPy's new generators."""
    if isinstance(value, np.random.Generator):
        raise InputError(
            f"{name} is a numpy.random.Generator: expected a whole number, a numpy.random.RandomState or None; draw a "
            "number with it: int(rng.integers(2**31))"
        )
    if value is not None and not isinstance(value, np.random.RandomState):
        whole(name, value, 0, LARGEST_SEED)


def between(name: str, value: Any, low: float, high: float, lowest: bool = False, highest: bool = False) -> None:
    """Refuse what is not a number strictly between `low` and `high`; `lowest` and `highest` allow these themselves."""
    inside = not isinstance(value, bool) and isinstance(value, Real)
    if not inside or not (low < value < high or (lowest and value == low) or (highest and value == high)):
        expected = f"above {low:g}" if high == math.inf else f"between {low:g} and {high:g}"
        if highest:
            expected = f"from {low:g} to {high:g}" if lowest else f"above {low:g}, up to {high:g}"
        elif lowest:
            expected = f"{low:g} or {expected}" if high == math.inf else f"from {low:g} to below {high:g}"
        raise InputError(f"{name}={shown(value)}: expected a number {expected}")


def one_of(name: str, value: Any, known: Sequence[str]) -> None:
    """Refuse a name that is not known, with the nearest that is."""
    if isinstance(value, str) and value in known:
        return
    plain = isinstance(value, (str, int, float, type(None)))
    given = f"{name}={shown(value)}" if plain else f"{name} of type {type(value).__name__}"
    raise InputError(f"{given} is unknown{nearest(str(value), known)}")


def widths(name: str, value: Any) -> None:
    """Refuse what is not a tuple of one width or more."""
    if not isinstance(value, (tuple, list)) or not value:
        raise InputError(f"{name}={value!r}: expected the widths of the hidden layers, such as (300, 300)")
    if len(value) > MOST_LAYERS:
        raise InputError(f"{name} has {len(value):,} widths: expected at most {MOST_LAYERS}; give fewer layers")
    for width in value:
        whole(name, width, 1)


def as_path(name: str, value: Any) -> Path:
    """Make a path of text or a path; refuse anything else, and empty text.

    >>> as_path("path", "digits.cpvae").suffix
    '.cpvae'
    """
    if not isinstance(value, (str, os.PathLike)) or not isinstance(os.fspath(value), str):
        raise InputError(f"{name} of type {type(value).__name__}: expected a path, as text or a pathlib.Path")
    if not os.fspath(value):
        raise InputError(f"{name}='': expected a path, which is not empty")
    return Path(value)
