"""Known categories of some rows, as people give them: one label for each row, and a mark where there is none."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from cpvae.errors import InputError
from cpvae.words.names import checked, shown

UNKNOWN = -1  # the category of a row without a label, as scikit-learn's semi-supervised estimators have it
NONE = ("", "-1", "nan")  # text of a row without a label; NumPy writes NaN among text as "nan"
MARKS = "-1, NaN, None or empty"
TOLD = 10  # classes in a message


@dataclass(frozen=True)
class Known:
    """Known categories of some rows.

    Attributes:
        categories: int64 ``(n,)``, `UNKNOWN` for a row without a label.
        names: category -> name of its class; empty where labels are the numbers of categories.
        n_components: K.
    """

    categories: np.ndarray
    names: dict[int, str]
    n_components: int

    @property
    def counts(self) -> tuple[int, ...]:
        """The number of rows known of each category, ``(K,)``."""
        own = self.categories[self.categories != UNKNOWN]
        return tuple(np.bincount(own, minlength=self.n_components).tolist())

    def as_dict(self) -> dict[str, Any]:
        """Tell these labels from others, as JSON holds it."""
        sha = hashlib.sha256(np.ascontiguousarray(self.categories, dtype="<i8").data)
        return {
            "rows": sum(self.counts),
            "classes": {str(k): self.names.get(k, str(k)) for k, n in enumerate(self.counts) if n},
            "sha256": sha.hexdigest()[:16],
        }


def read(known: Any, X: Any, n: int, n_components: int) -> Known:
    """Read the labels that are given for some rows.

    Whole numbers from 0 to K - 1 are the numbers of categories. Text names classes, which get the categories in sorted
    order, and so do other whole numbers where there are as many of them as categories.

    Args:
        known: one label for each row, ``(n,)`` or ``(n, 1)``: whole numbers or text; -1, NaN, None or empty text
            for a row without one.
        X: the rows; where these and `known` are both of pandas, their indices must agree.
        n: number of rows.
        n_components: K.

    Raises:
        InputError: no labels, or not one for each row; labels that are neither whole numbers nor text; more classes
            than categories; names that categories cannot have.

    Examples:
        >>> read(["owl", None, "cat", ""], None, 4, 3).categories.tolist()
        [1, -1, 0, -1]
        >>> read([2, -1, -1, 0], None, 4, 3).categories.tolist()
        [2, -1, -1, 0]
    """
    labels = [_label(value) for value in _values(known, X, n)]
    odd = [(i, value) for i, value in enumerate(labels) if isinstance(value, _Odd)]
    if odd:
        i, value = odd[0]
        more = f", and {len(odd) - 1:,} more like it" if len(odd) > 1 else ""
        raise InputError(
            f"known={shown(value.value)} in row {i} (counted from 0){more}: expected whole numbers or text, or {MARKS} "
            "for rows without a label; correct it"
        )
    there = np.array([label is not None for label in labels], dtype=bool)
    if not there.any():
        raise InputError(
            f"known has no label, all {n} rows are without one ({MARKS}): expected a label for at least one row; give "
            "one, or leave known out"
        )
    given = [label for label in labels if label is not None]
    if any(isinstance(label, str) for label in given):
        given = [str(label) for label in given]
    places = _places(sorted(set(given)), n_components)
    categories = np.full(n, UNKNOWN, dtype=np.int64)
    categories[there] = [places[label] for label in given]
    named = {k: _name(label) for label, k in places.items()}
    if all(k == label for label, k in places.items()):
        named = {}
    try:
        names = checked(named, n_components)
    except InputError as error:
        raise InputError(f"known: classes become names of categories; {error}") from error
    return Known(categories, names, n_components)


def _places(classes: list[Any], n_components: int) -> Mapping[Any, int]:
    """Give each class a category.

    Raises:
        InputError: there are more classes than categories, or a number that no category has.
    """
    numbers = not isinstance(classes[0], str)
    if numbers and classes[0] >= 0 and classes[-1] < n_components:
        return {label: label for label in classes}
    if len(classes) > n_components:
        raise InputError(
            f"known has {len(classes)} classes ({_few(classes)}) for n_components={n_components}: expected at most as "
            "many classes as categories; ask for more components, or give fewer classes"
        )
    if numbers and len(classes) < n_components:
        beyond = [label for label in classes if not 0 <= label < n_components]
        raise InputError(
            f"known has labels {_few(beyond)} for n_components={n_components}: whole numbers are the numbers of "
            f"categories, expected 0 to {n_components - 1}; give these, ask for more components, or name classes"
        )
    return {label: k for k, label in enumerate(classes)}


def _name(label: int | str) -> str:
    """Name the category of a class; a number gets a word before it, since a number alone is that of a category.

    >>> _name("owl"), _name(3), _name("3")
    ('owl', 'class 3', 'class 3')
    """
    return label if isinstance(label, str) and not label.isdecimal() else f"class {label}"


def _few(classes: list[Any]) -> str:
    told = [shown(label) for label in classes[:TOLD]]
    return ", ".join(told) + ", ..." * (len(classes) > TOLD)


class _Odd:
    """A value that is no label."""

    def __init__(self, value: Any):
        self.value = value


def _label(value: Any) -> int | str | _Odd | None:
    """Read one value: a whole number, text, or None for no label."""
    if isinstance(value, (bytes, np.bytes_)):
        value = value.decode("utf-8", "replace")
    if isinstance(value, (bool, np.bool_)):
        return str(value)
    if isinstance(value, str):
        text = str(value).strip()
        return None if text in NONE else text
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, (int, float, np.integer, np.floating)):
        if value != value or value == UNKNOWN:
            return None
        return int(value) if np.isfinite(value) and int(value) == value else _Odd(value)
    return _Odd(value)


def _values(known: Any, X: Any, n: int) -> list[Any]:
    """Give the values that were given, one for each row.

    Raises:
        InputError: they are not one for each row, or in another order than the rows.
    """
    expected = f"expected one label for each of the {n} rows, ({n},)"
    if isinstance(known, (str, bytes, Mapping, set, frozenset)) or not hasattr(known, "__len__"):
        advice = ""
        if isinstance(known, str):
            advice = f"; of a column of X give X[{known!r}], and X without it"
        raise InputError(f"known={shown(known)}: {expected}, as a list, an array or a Series{advice}")
    if isinstance(known, torch.Tensor):
        known = known.numpy(force=True)
    if isinstance(known, np.ma.MaskedArray):
        known, gone = known.data.astype(object), np.ma.getmaskarray(known)
        known[gone] = None
    _check_index(known, X)
    try:
        values = np.asarray(known, dtype=object)
    except ValueError:
        values = np.empty((0, 0), dtype=object)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.shape != (n,):
        what = f"{len(known)} labels" if values.ndim == 1 else f"labels of shape {np.shape(values)}"
        raise InputError(f"known has {what}: {expected}; give {MARKS} for rows without a label")
    return list(values)


def _check_index(known: Any, X: Any) -> None:
    """Refuse labels whose index says that they are in another order than the rows, or of other rows."""
    if not isinstance(known, (pd.Series, pd.DataFrame)) or not isinstance(X, pd.DataFrame) or len(known) != len(X):
        return
    counted = pd.RangeIndex(len(known))
    if not known.index.equals(X.index) and not known.index.equals(counted):
        raise InputError(
            "known has another index than X: expected the rows of X in their order; give known.loc[X.index], or "
            "known.to_numpy() if its order is that of the rows"
        )


def tell(known: Known, n: int) -> str:
    """Say in a line what was read, for whoever watches a fit.

    >>> tell(Known(np.array([0, -1, 1, -1]), {0: "cat", 1: "owl"}, 3), 4)
    'known: 2 of 4 rows have a label (cat 1, owl 1); 1 category has none and is found'
    """
    counts = known.counts
    each = [f"{known.names.get(k, str(k))} {own:,}" for k, own in enumerate(counts) if own]
    told = ", ".join([*each[:TOLD], *[f"{len(each) - TOLD} more classes"] * (len(each) > TOLD)])
    free = known.n_components - len(each)
    found = f"{free} categories have none and are found" if free > 1 else "1 category has none and is found"
    return f"known: {sum(counts):,} of {n:,} rows have a label ({told})" + f"; {found}" * bool(free)
