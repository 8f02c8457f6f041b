"""The names that a user gives to categories."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from cpvae.arguments import whole
from cpvae.data.faults import listed
from cpvae.errors import InputError, nearest

LONGEST = 60  # characters of a name


def checked(names: Any, n_components: int) -> dict[int, str]:
    """Give names with numbers that Python counts by, without spaces at their ends, in the order of the categories.

    Args:
        names: category -> name, or None for no name.

    Raises:
        InputError: there is no such category; a name is no text, empty, too long, or has characters that cannot be
            printed; a name is the number of another category; two names are alike, also where they differ by upper
            and lower case alone. One line names all faults.

    >>> checked({1: "Adelie ", 0: "Gentoo"}, 3)
    {0: 'Gentoo', 1: 'Adelie'}
    """
    if not isinstance(names, Mapping):
        raise InputError(f"names of categories as a {type(names).__name__}: expected a dict, such as {{0: 'Gentoo'}}")
    faults = [
        f"no category {shown(k)}: expected 0 to {n_components - 1}"
        for k in names
        if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or not 0 <= k < n_components
    ]
    names = {k: name for k, name in names.items() if name is not None}
    for k, name in names.items():
        if not isinstance(name, str) or not name.strip():
            faults.append(f"{shown(name)} for category {shown(k)}: expected text that is not empty")
        elif len(name.strip()) > LONGEST:
            faults.append(f"{len(name.strip())} characters for category {shown(k)}: expected at most {LONGEST}")
        elif not name.strip().isprintable():
            faults.append(f"{shown(name)} for category {shown(k)}: expected characters that can be printed")
        elif name.strip() in {str(other) for other in range(n_components)} - {str(k)}:
            faults.append(f"{shown(name)} for category {shown(k)}: expected a name, not the number of another category")
    texts = {k: name.strip() for k, name in names.items() if isinstance(name, str) and name.strip()}
    for alike, n in Counter(text.casefold() for text in texts.values()).items():
        if n > 1:
            same = [k for k, text in texts.items() if text.casefold() == alike]
            faults.append(f"{shown(texts[same[0]])} for categories {listed(same)}: expected a name of its own for each")
    if faults:
        raise InputError(f"names of categories: {'; '.join(faults)}; correct them")
    return {int(k): texts[k] for k in sorted(texts)}


def changed(known: Mapping[int, str], names: Any, n_components: int) -> dict[int, str]:
    """Add names to those there are, or take some away (None). A category is a number, or the name that it has.

    Raises:
        InputError: as `checked`; one category is named twice.

    >>> changed({0: "Gentoo", 1: "Adelie"}, {1: None, 2: "Chinstrap"}, 3)
    {0: 'Gentoo', 2: 'Chinstrap'}
    >>> changed({0: "Gentoo", 1: "Adelie"}, {"gentoo": "Papua"}, 3)
    {0: 'Papua', 1: 'Adelie'}
    """
    if not isinstance(names, Mapping):
        return checked(names, n_components)
    own = _numbers(known)
    keys = [own.get(_folded(k), k) if isinstance(k, str) else k for k in names]
    twice = [k for k, n in Counter(keys).items() if n > 1]
    if twice:
        raise InputError(
            f"category {listed(twice)} is named twice, by its number and by its name: expected one new name"
        )
    return checked({**known, **dict(zip(keys, names.values(), strict=True))}, n_components)


def position(name: str, given: Any, names: Mapping[int, str], n_components: int) -> int:
    """Find the category that is meant by its number, or by the name that the user gave it.

    Args:
        name: of the argument, for errors.
        given: a whole number, as a number or as text, or a name; upper and lower case are the same.
        names: category -> name.

    Raises:
        InputError: there is no such number, or no such name. One line says which there are.

    >>> position("component", "gentoo", {1: "Gentoo"}, 3), position("component", "2", {}, 3)
    (1, 2)
    """
    if isinstance(given, str):
        own = _numbers(names)
        if _folded(given) in own:
            return own[_folded(given)]
        try:
            number = float(given)
        except ValueError:
            hint = nearest(given, names.values()) if names else ", or name categories by rename"
            raise InputError(
                f"{name}={shown(given)}: no category has this name; expected 0 to {n_components - 1}, "
                f"the categories of this model{', or a name' * bool(names)}{hint}"
            ) from None
        given = int(number) if number.is_integer() else number
    whole(name, given, 0)
    if given >= n_components:
        raise InputError(f"{name}={given}: expected 0 to {n_components - 1}, the categories of this model")
    return int(given)


def _numbers(names: Mapping[int, str]) -> dict[str, int]:
    """Give the number of each name, as names are compared."""
    return {_folded(name): k for k, name in names.items()}


def _folded(name: str) -> str:
    return name.strip().casefold()


def stored(value: Any, n_components: int) -> dict[int, str]:
    """Read names as JSON holds them, with numbers as text.

    Raises:
        InputError: as `checked`.

    >>> stored({"0": "Gentoo"}, 2)
    {0: 'Gentoo'}
    """
    if not isinstance(value, Mapping):
        return checked(value, n_components)
    return checked({int(k) if k.isdecimal() else k: name for k, name in value.items()}, n_components)


def label(k: int, names: Mapping[int, str]) -> str:
    """Write which category is meant, with its name where it has one.

    >>> label(0, {0: "Gentoo"}), label(1, {0: "Gentoo"})
    ('category 0 (Gentoo)', 'category 1')
    """
    return f"category {numbered(k, names)}"


def numbered(k: int, names: Mapping[int, str]) -> str:
    """Write the number of a category, with its name where it has one.

    >>> numbered(0, {0: "Gentoo"})
    '0 (Gentoo)'
    """
    return f"{k} ({names[k]})" if k in names else str(k)


def shown(value: object) -> str:
    """Quote what was given, so that it fits on a line."""
    text = repr(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."
