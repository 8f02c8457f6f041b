"""NumPy files: `.npy` mapped into memory, `.npz` with or without splits. Nothing is ever unpickled."""

from __future__ import annotations

import zipfile
from collections.abc import Collection
from pathlib import Path

import numpy as np

from cpvae.data.loaders.checks import check_labels, check_x, input_error, reading
from cpvae.data.loaders.records import Array, Split

X_NAMES = ("x", "data", "images")
Y_NAMES = ("y", "labels", "target")
SPLIT_NAMES = {"train": ("train",), "valid": ("valid", "val"), "test": ("test",)}


def read_npy(path: Path) -> Array:
    """The array of a `.npy` file, memory-mapped copy-on-write: writable in memory, never on disk."""
    with reading(path, "a .npy file"):
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            if version == (1, 0):
                dtype = np.lib.format.read_array_header_1_0(file)[2]
            else:
                dtype = np.lib.format.read_array_header_2_0(file)[2]
        _refuse_objects(dtype, path)
        return np.lib.format.open_memmap(path, mode="c")


def read_npz(path: Path) -> dict[str, Split]:
    """The splits of a `.npz` file, or one split "all".

    Keys, in any case: x (or data, images) with y (or labels, target); or x_train, x_valid (x_val), x_test
    with y_train and so on. A single array of any name is x.

    Raises:
        InputError: other keys, damaged files, object arrays, splits whose rows differ in shape.
    """
    with reading(path, "a .npz file"), zipfile.ZipFile(path) as archive:
        keys = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
        splits = {}
        for split, (x_key, y_key) in _roles(keys, path).items():
            where = f"{path}[{x_key}]"
            x = check_x(_member(archive, x_key, path), where)
            y = None
            if y_key is not None:
                y = check_labels(_member(archive, y_key, path), len(x), f"{path}[{y_key}]")
            splits[split] = Split(x, y)
        _check_same_rows(splits, path)
        return splits


def _roles(keys: list[str], path: Path) -> dict[str, tuple[str, str | None]]:
    """Split name -> (key of x, key of y)."""
    roles = {}
    for split, endings in SPLIT_NAMES.items():
        x_key = _pick(keys, [f"x_{ending}" for ending in endings], path)
        if x_key is not None:
            roles[split] = (x_key, _pick(keys, [f"y_{ending}" for ending in endings], path))
    whole = _pick(keys, X_NAMES, path)
    if roles and whole is not None:
        raise input_error(
            f"{path}: holds both {whole!r} and {next(iter(roles.values()))[0]!r}; "
            "expected either one array or splits; remove one of them"
        )
    if roles:
        return roles
    y_key = _pick(keys, Y_NAMES, path)
    others = [key for key in keys if key != y_key]
    if whole is None and len(keys) == 1:
        return {"all": (keys[0], None)}
    if whole is None and len(others) == 1:
        whole = others[0]
    if whole is None:
        raise input_error(
            f"{path}: holds the arrays {', '.join(keys) or '(none)'}; expected 'x', or 'x_train' with "
            "'x_valid' and 'x_test' (labels: 'y', 'y_train', ...), or a single array; rename them"
        )
    return {"all": (whole, y_key)}


def _pick(keys: list[str], wanted: Collection[str], path: Path) -> str | None:
    found = [key for key in keys if key.lower() in wanted]
    if len(found) > 1:
        raise input_error(f"{path}: {' and '.join(map(repr, found))} may both be meant; expected one; remove the other")
    return found[0] if found else None


def _member(archive: zipfile.ZipFile, key: str, path: Path) -> Array:
    # not np.load, which takes a file that is no archive for another format or for a pickle
    with archive.open(f"{key}.npy") as file:
        try:
            array: Array = np.lib.format.read_array(file, allow_pickle=False)
        except ValueError as error:
            if "Object arrays" in str(error):
                _refuse_objects(np.dtype(object), f"{path}[{key}]")
            raise
    return array


def _refuse_objects(dtype: np.dtype[np.generic], where: object) -> None:
    if dtype.hasobject:
        raise input_error(
            f"{where}: an array of Python objects, which would have to be unpickled and could run "
            "code; expected numbers (or text for labels); convert with .astype('float32') or .astype(str)"
        )


def _check_same_rows(splits: dict[str, Split], path: Path) -> None:
    shapes = {name: split.x.shape[1:] for name, split in splits.items()}
    if len(set(shapes.values())) > 1:
        listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise input_error(f"{path}: rows of different shapes ({listed}); expected the same in every split")
