"""HDF5 files: `.h5`, `.hdf5`, and MATLAB's of version 7.3. Needs h5py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from cpvae.data.limits import check_memory
from cpvae.data.loaders import roles
from cpvae.data.loaders.checks import needed, reading
from cpvae.data.loaders.records import Asked, Opened


def read_hdf5(path: Path, asked: Asked, reverse: bool = False) -> Opened:
    """The rows and labels among the data sets of an HDF5 file; see `cpvae.data.loaders.roles.assemble`.

    A file of 10x Genomics or of AnnData is read as one (`cpvae.data.loaders.cells`).

    Args:
        path: the file.
        asked: `labels` may be the name of a data set.
        reverse: whether axes are in reverse order, as MATLAB writes them.

    Raises:
        InputError: no h5py, no such data sets, or a damaged file.
    """
    from cpvae.data.loaders import cells

    with needed("h5py", path, "cells"):
        import h5py
    with reading(path, "an HDF5 file"), h5py.File(path, "r") as file:
        if cells.is_10x(file):
            return cells.read_10x(file, path)
        if cells.is_anndata(file):
            return cells.read_h5ad(path, asked)
        sets: dict[str, Any] = {}
        file.visititems(lambda name, item: sets.update({name: item}) if isinstance(item, h5py.Dataset) else None)
        short = {name.rpartition("/")[2]: name for name in sets}
        if len(short) == len(sets):  # the last part of a name says it all
            sets = {key: sets[name] for key, name in short.items()}
        keys = [name for name, item in sets.items() if item.ndim and item.size > 1 and not name.startswith("#")]

        def member(name: str) -> np.ndarray:
            item = sets[name]
            check_memory(item.size * item.dtype.itemsize, f"{path}[{name}]", "fewer rows")
            values = np.asarray(item.asstr()[:] if h5py.check_string_dtype(item.dtype) else item[:])
            values = values.astype(str) if values.dtype.kind == "O" else values
            return values.T if reverse else values

        return roles.assemble(keys, member, path, asked, turned=reverse)
