"""MATLAB files, `.mat`, of all versions."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from cpvae.data.limits import check_memory
from cpvae.data.loaders import roles
from cpvae.data.loaders.checks import input_error, reading
from cpvae.data.loaders.hdf5 import read_hdf5
from cpvae.data.loaders.records import Asked, Opened, Split

NUMBERS = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "single", "double", "logical")


def read_mat(path: Path, asked: Asked) -> Opened:
    """Find the rows and labels among the variables of a MATLAB file; see `cpvae.data.loaders.roles.assemble`.

    A picture that is kept as a row is in MATLAB's order, column by column. That it is a picture must be said, by
    `kind`; then it is turned upright.

    Raises:
        InputError: no such variables, cells or structures instead of numbers, or a damaged file.
    """
    from scipy.io import loadmat, whosmat

    with reading(path, "a MATLAB file"):
        try:
            found = {name: (shape, kind) for name, shape, kind in whosmat(str(path))}
        except NotImplementedError:  # version 7.3 is HDF5
            return _upright(read_hdf5(path, asked, reverse=True), asked)
        keys = [name for name, (shape, kind) in found.items() if kind in (*NUMBERS, "sparse") and math.prod(shape) > 1]
        if asked.labels in found:
            keys.append(str(asked.labels))
        if not keys and found:
            name, (shape, kind) = next(iter(found.items()))
            size = " x ".join(map(str, shape))
            raise input_error(
                f"{path}: {name!r} is {size} of MATLAB's type {kind}; expected variables of numbers; save them one by "
                "one"
            )

        def member(name: str) -> Any:
            shape, kind = found[name]
            if kind != "sparse":
                check_memory(8 * math.prod(shape), f"{path}[{name}]", "fewer rows")
            value = loadmat(str(path), variable_names=[name])[name]
            return _text(value) if isinstance(value, np.ndarray) and value.dtype.kind in "OU" else value

        opened = roles.assemble(list(dict.fromkeys(keys)), member, path, asked, turned=True)
    return _upright(opened, asked)


def _text(cells: np.ndarray) -> np.ndarray:
    """Turn a cell array of text into text."""
    return np.array([str(np.asarray(cell).ravel()[0]) if np.size(cell) else "" for cell in cells.ravel()])


def _upright(opened: Opened, asked: Asked) -> Opened:
    """Turn rows of squares in column order into pictures, where these are asked for; else say a word about it."""
    first: Any = next(iter(opened.splits.values())).x
    if first.ndim != 2 or not isinstance(first, np.ndarray):
        return opened
    side = math.isqrt(first.shape[1])
    height, width = asked.sides or (side, side)
    if height < 8 or height * width != first.shape[1]:
        return opened
    if asked.kind != "images":
        note = (
            f"{first.shape[1]:,} columns are taken for a matrix; for pictures of {width} x {height} in columns say "
            "kind='images' (--kind images)"
        )
        return Opened(opened.splits, opened.kind, opened.names, (*opened.notes, note), opened.labelled)
    splits = {
        name: Split(
            np.asarray(split.x).reshape(-1, width, height).transpose(0, 2, 1)[:, None], split.y, split.row_names
        )
        for name, split in opened.splits.items()
    }
    return Opened(splits, "images", opened.names, opened.notes, opened.labelled)
