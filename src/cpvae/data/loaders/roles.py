"""Roles of several named arrays in one file: rows, and labels."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cpvae.data.loaders.checks import check_labels, check_x, input_error, printable
from cpvae.data.loaders.records import Asked, Opened, Split

X_NAMES = ("x", "data", "images", "fea")
Y_NAMES = ("y", "labels", "label", "target", "targets", "gnd")
SPLIT_NAMES = {
    "train": ("train", "training"),
    "valid": ("valid", "val", "validation"),
    "test": ("test", "testing"),
}
SHOWN = 10  # names in a message

Roles = dict[str, tuple[str, str | None]]


def assemble(
    keys: Sequence[str], member: Callable[[str], Any], path: Path, asked: Asked, turned: bool = False
) -> Opened:
    """Read the rows of a file of named arrays, and their labels.

    Names count in any case: x (or data, images, fea) with y (or labels, target, gnd); or x_train, x_valid (x_val),
    x_test with y_train and so on. A single array of any name is x. Labels that are asked for by a name in the file are
    those.

    Args:
        keys: the names of its arrays.
        member: reads one of them.
        path: for messages.
        asked: `labels` may be the name of an array.
        turned: whether rows may lie along the last axis, as MATLAB's users have them; labels tell.

    Raises:
        InputError: names of which none or several may be meant; splits whose rows differ in shape; and what `check_x`
            and `check_labels` refuse.
    """
    splits, notes = {}, []
    roles = find(keys, path, asked.labels)
    for split, (x_key, y_key) in roles.items():
        x = member(x_key)
        y = None if y_key is None else np.asarray(member(y_key))
        if turned and y is not None and x.ndim > 1 and x.shape[0] != y.size == x.shape[-1]:
            x = x.T if x.ndim == 2 else np.moveaxis(x, -1, 0)
            notes.append(f"{x_key!r} has its {y.size:,} rows along the last axis; it was turned")
        x = check_x(x, f"{path}[{x_key}]")
        if y is not None:
            y = check_labels(y.ravel() if y.size == y.shape[-1] else y, len(x), f"{path}[{y_key}]", asked.gaps)
        splits[split] = Split(x, y)
    _check_same_rows(splits, path)
    named = {x_key.lower() for x_key, _ in roles.values()} == {"images"}
    kind = "images" if named and next(iter(splits.values())).x.ndim > 2 else "auto"
    return Opened(splits, kind, notes=tuple(notes), labelled=asked.labels in keys)


def find(keys: Sequence[str], path: Path, labels: str | None = None) -> Roles:
    """Find the name of x and that of y, or None, for each split; "all" where there are none."""
    roles = {}
    for split, endings in SPLIT_NAMES.items():
        x_key = _pick(keys, [f"x_{ending}" for ending in endings], path)
        if x_key is not None:
            roles[split] = (x_key, _pick(keys, [f"y_{ending}" for ending in endings], path))
    y_key = labels if labels in keys else _pick(keys, Y_NAMES, path)
    others = [key for key in keys if key != y_key]
    whole = _pick(others, X_NAMES, path)
    if roles and whole is not None:
        raise input_error(
            f"{path}: holds both {whole!r} and {next(iter(roles.values()))[0]!r}; "
            "expected either one array or splits; remove one of them"
        )
    if roles:
        return roles
    if whole is None and len(keys) == 1:
        return {"all": (keys[0], None)}
    if whole is None and len(others) == 1:
        whole = others[0]
    if whole is None:
        listed = ", ".join(map(printable, keys[:SHOWN])) + f", ... ({len(keys):,} in all)" * (len(keys) > SHOWN)
        raise input_error(
            f"{path}: holds the arrays {listed or '(none)'}; expected 'x', or 'x_train' with "
            "'x_valid' and 'x_test' (labels: 'y', 'y_train', ...), or a single array; rename them"
        )
    return {"all": (whole, y_key)}


def _pick(keys: Sequence[str], wanted: Collection[str], path: Path) -> str | None:
    found = [key for key in keys if key.lower() in wanted]
    if len(found) > 1:
        listed = " and ".join(repr(printable(key)) for key in found[:SHOWN])
        raise input_error(f"{path}: {listed} may both be meant; expected one; remove the other")
    return found[0] if found else None


def _check_same_rows(splits: dict[str, Split], path: Path) -> None:
    shapes = {name: split.x.shape[1:] for name, split in splits.items()}
    if len(set(shapes.values())) > 1:
        listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise input_error(f"{path}: rows of different shapes ({listed}); expected the same in every split")
