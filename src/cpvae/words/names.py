"""The names that a user gives to categories."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from cpvae.data.columns import listed
from cpvae.errors import InputError

LONGEST = 60  # characters of a name


def checked(names: Any, n_components: int) -> dict[int, str]:
    """Give names with numbers that Python counts by, without spaces at their ends, in the order of the categories.

    Args:
        names: category -> name, or None for no name.

    Raises:
        InputError: there is no such category; a name is no text, empty, too long, or has characters that cannot be
            printed; two names are alike, also where they differ by upper and lower case alone. One line names all
            faults.

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
    texts = {k: name.strip() for k, name in names.items() if isinstance(name, str) and name.strip()}
    for alike, n in Counter(text.casefold() for text in texts.values()).items():
        if n > 1:
            same = [k for k, text in texts.items() if text.casefold() == alike]
            faults.append(f"{shown(texts[same[0]])} for categories {listed(same)}: expected a name of its own for each")
    if faults:
        raise InputError(f"names of categories: {'; '.join(faults)}; correct them")
    return {int(k): texts[k] for k in sorted(texts)}


def changed(known: Mapping[int, str], names: Any, n_components: int) -> dict[int, str]:
    """Add names to those there are, or take some away (None).

    Raises:
        InputError: as `checked`.

    >>> changed({0: "Gentoo", 1: "Adelie"}, {1: None, 2: "Chinstrap"}, 3)
    {0: 'Gentoo', 2: 'Chinstrap'}
    """
    return checked({**known, **names} if isinstance(names, Mapping) else names, n_components)


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
