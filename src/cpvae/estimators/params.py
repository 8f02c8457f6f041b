"""Arguments of estimators, each written once: its name, its type, its default, and the values it may have.

A class that takes arguments lists them as fields. `takes_arguments` makes its ``__init__`` of them, as a dataclass
does, so that scikit-learn finds them in the signature and stores them untouched; `check` looks at their values in
`fit`.

Examples:
    >>> @takes_arguments
    ... class Small:
    ...     width: int = argument(whole_from(1), default=3)
    >>> Small(width=2).width
    2
    >>> check(Small(width=0))
    Traceback (most recent call last):
    cpvae.errors.InputError: width=0: expected a whole number of at least 1
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any, TypeVar, dataclass_transform

import numpy as np
import torch

from cpvae.arguments import MOST, between, one_of, seed, whole
from cpvae.errors import InputError

MOST_SECONDS = 1e8  # three years: a plan for more is a slip of the finger
T = TypeVar("T")
RandomState = int | np.random.RandomState | None

Check = Callable[[str, Any], None]
"""Refuses a value of an argument, called with the argument's name and the value."""


def argument(check: Check, *, default: Any, kw_only: bool = True) -> Any:
    """Declare an argument as a field: a check of its values, and its default."""
    return field(default=default, kw_only=kw_only, metadata={"check": check})


@dataclass_transform(kw_only_default=True, eq_default=False, field_specifiers=(argument,))
def takes_arguments(cls: type[T]) -> type[T]:
    """Give a class an ``__init__`` with its arguments and those of its bases."""
    return dataclass(eq=False, repr=False, match_args=False)(cls)


def check(estimator: Any) -> None:
    """Refuse arguments that make no sense, all of them in one line.

    Raises:
        InputError: naming each such argument, its value, and what was expected.
    """
    faults = []
    for one in fields(estimator):
        try:
            one.metadata["check"](one.name, getattr(estimator, one.name))
        except InputError as error:
            faults.append(str(error))
    if faults:
        raise InputError("; ".join(faults))


def whole_from(least: int, most: int = MOST) -> Check:
    """Make a check for whole numbers from `least` to `most`."""
    return partial(_whole_from, least, most)


def _whole_from(least: int, most: int, name: str, value: Any) -> None:
    whole(name, value, least, most)


def from_json(params: Mapping[str, Any]) -> dict[str, Any]:
    """Read arguments as JSON has them, which knows no tuples."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in params.items()}


def within(low: float, high: float, lowest: bool = False, highest: bool = False) -> Check:
    """Make a check for numbers between `low` and `high`, these themselves only with `lowest` and `highest`."""
    return partial(_within, low, high, lowest, highest)


def _within(low: float, high: float, lowest: bool, highest: bool, name: str, value: Any) -> None:
    between(name, value, low, high, lowest, highest)


def among(names: Collection[str]) -> Check:
    """Make a check for names; what a registry gains later is among them too."""
    return partial(_among, names)


def _among(names: Collection[str], name: str, value: Any) -> None:
    one_of(name, value, tuple(names))


def optional(check: Check) -> Check:
    """Make a check that lets None through."""
    return partial(_optional, check)


def _optional(check: Check, name: str, value: Any) -> None:
    if value is not None:
        check(name, value)


def falling(name: str, value: Any) -> None:
    """Refuse what is no pair of positive numbers of which the second is the smaller one."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise InputError(f"{name}={value!r}: expected two numbers, first and last, as (1.0, 0.5)")
    for one in value:
        between(name, one, 0.0, float("inf"))
    if value[1] > value[0]:
        raise InputError(f"{name}={value!r} rises: expected first and last of a falling one; swap them")


def random_state(name: str, value: Any) -> None:
    """Refuse what NumPy does not take as a random state."""
    seed(name, value)


def device(name: str, value: Any) -> None:
    """Refuse what is no name of a device."""
    if not isinstance(value, (str, torch.device)):
        raise InputError(f"{name}={value!r}: expected 'auto', 'cpu' or 'cuda'")


def anything(name: str, value: Any) -> None:
    """Accept every value."""
