"""NumPy files: `.npy` mapped into memory, `.npz` with or without splits, or sparse. Nothing is ever unpickled."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import IO

import numpy as np

from cpvae.data.loaders import roles
from cpvae.data.loaders.checks import check_x, input_error, reading
from cpvae.data.loaders.records import Array, Asked, Opened, Split

SPARSE = {"format", "shape", "data"}  # names that scipy.sparse.save_npz writes


def read_npy(path: Path, asked: Asked) -> Opened:
    """Read the rows of a `.npy` file, memory-mapped copy-on-write: writable in memory, never on disk."""
    return Opened({"all": Split(check_x(map_npy(path), path), None)})


def map_npy(path: Path) -> Array:
    """Map the array of a `.npy` file into memory, copy-on-write."""
    with reading(path, "a .npy file"):
        with path.open("rb") as file:
            _check_header(file, path)
        return np.lib.format.open_memmap(path, mode="c")


def read_npz(path: Path, asked: Asked) -> Opened:
    """Read the splits of a `.npz` file, or one split "all"; or a matrix that `scipy.sparse.save_npz` wrote.

    Raises:
        InputError: damaged files, object arrays, and what `cpvae.data.loaders.roles.assemble` refuses.
    """
    with reading(path, "a .npz file"), zipfile.ZipFile(path) as archive:
        keys = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
        if {*keys} >= SPARSE:
            from scipy.sparse import load_npz

            return Opened({"all": Split(check_x(load_npz(path), path), None)})
        return roles.assemble(keys, lambda key: _member(archive, key, path), path, asked)


def _member(archive: zipfile.ZipFile, key: str, path: Path) -> Array:
    # not np.load, which takes a file that is no archive for another format or for a pickle
    with archive.open(f"{key}.npy") as file:
        _check_header(file, f"{path}[{key}]")
    with archive.open(f"{key}.npy") as file:
        array: Array = np.lib.format.read_array(file, allow_pickle=False)
    return array


def _check_header(file: IO[bytes], where: object) -> None:
    """Refuse arrays of Python objects, which NumPy would unpickle, and headers so long that it advises to."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    try:
        dtype = read(file)[2]
    except ValueError as error:
        if "max_header_size" not in str(error):
            raise
        raise input_error(
            f"{where}: an array whose header is longer than 10,000 characters, as of many fields; expected an array of "
            "numbers; save its fields as columns"
        ) from error
    if dtype.hasobject:
        raise input_error(
            f"{where}: an array of Python objects, which would have to be unpickled and could run "
            "code; expected numbers (or text for labels); convert with .astype('float32') or .astype(str), or, where "
            "rows have several lengths, fill them up with NaN to one length"
        )
