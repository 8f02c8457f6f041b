"""HDF5 files: `.h5`, `.hdf5`, and MATLAB's of version 7.3. Needs h5py."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from cpvae.data.limits import check_memory
from cpvae.data.loaders import roles
from cpvae.data.loaders.checks import input_error, reading
from cpvae.data.loaders.records import Asked, Opened
from cpvae.extras import needed

SIGNATURE = b"\x89HDF\r\n\x1a\n"  # that HDF5 begins with
HEAD = 4096  # bytes in which it is looked for: before it, MATLAB has a block of its own


def read_hdf5(path: Path, asked: Asked, reverse: bool = False) -> Opened:
    """Find the rows and labels among the data sets of an HDF5 file; see `cpvae.data.loaders.roles.assemble`.

    A file of 10x Genomics or of AnnData is read as one (`cpvae.data.loaders.cells`).

    Args:
        path: the file.
        asked: `labels` may be the name of a data set.
        reverse: whether axes are in reverse order, as MATLAB writes them.

    Raises:
        InputError: no h5py, no such data sets, or a damaged file.
    """
    from cpvae.data.loaders import cells

    with opened_hdf5(path) as file:
        import h5py

        if cells.is_10x(file):
            return cells.read_10x(file, path)
        if cells.is_anndata(file):
            return cells.read_anndata(path, asked)
        sets: dict[str, Any] = {}
        file.visititems(lambda name, item: sets.update({name: item}) if isinstance(item, h5py.Dataset) else None)
        short = {name.rpartition("/")[2]: name for name in sets}
        if len(short) == len(sets):  # the last part of a name says it all
            sets = {key: sets[name] for key, name in short.items()}
        sparse = {name: file[name] for name in _sparse_groups(file)}
        sets = {name: item for name, item in sets.items() if item.parent.name.strip("/") not in sparse} | sparse
        keys = [name for name, item in sets.items() if name in sparse or (item.ndim and item.size > 1)]
        keys = [name for name in keys if not name.startswith("#")]

        def member(name: str) -> Any:
            item = sets[name]
            if name in sparse:
                return _sparse(item, path)
            check_memory(item.size * item.dtype.itemsize, f"{path}[{name}]", "fewer rows")
            values = np.asarray(item.asstr()[:] if h5py.check_string_dtype(item.dtype) else item[:])
            values = values.astype(str) if values.dtype.kind == "O" else values
            return values.T if reverse else values

        return roles.assemble(keys, member, path, asked, turned=reverse)


@contextmanager
def opened_hdf5(path: Path, expected: str = "an HDF5 file") -> Iterator[Any]:
    """Open an HDF5 file.

    Raises:
        InputError: it is none, or its end is missing; what is read of it is damaged.
    """
    with needed(f"{path}: reading it"):
        import h5py
    with reading(path, expected):
        try:
            file = h5py.File(path, "r")
        except PermissionError:
            raise
        except OSError as error:
            with path.open("rb") as start:
                begun = SIGNATURE in start.read(HEAD)
            found = "an HDF5 file that is cut short or damaged" if begun else "not an HDF5 file"
            raise input_error(f"{path}: {found}; expected a whole one; copy or download it again") from error
        with file:
            yield file


def _sparse_groups(file: Any) -> list[str]:
    """Name the groups that hold a sparse matrix in parts: its values, and where they are."""
    found: list[str] = []

    def look(name: str, item: Any) -> None:
        parts = {*item} if hasattr(item, "keys") else set()
        if {"data", "ir", "jc"} <= parts or {"data", "indices", "indptr"} <= parts:
            found.append(name)

    file.visititems(look)
    return found


def _sparse(group: Any, path: Path) -> Any:
    """Read a sparse matrix: as MATLAB keeps it, column by column, or as AnnData does.

    Raises:
        InputError: it is not said how the parts belong together.
    """
    from scipy.sparse import csc_array, csr_array

    check_memory(3 * group["data"].size * 8, f"{path}[{group.name}]", "fewer rows")
    if "ir" in group:
        starts = group["jc"][:]
        shape = int(group.attrs["MATLAB_sparse"]), len(starts) - 1
        return csc_array((group["data"][:], group["ir"][:].astype(np.int64), starts.astype(np.int64)), shape=shape)
    form, shape = str(group.attrs.get("encoding-type", "")), group.attrs.get("shape")
    if form not in ("csr_matrix", "csc_matrix") or shape is None:
        raise input_error(
            f"{path}: {group.name!r} holds a sparse matrix in parts; expected one as AnnData or MATLAB writes it; save "
            "it with scipy.sparse.save_npz"
        )
    parts = (group["data"][:], group["indices"][:], group["indptr"][:])
    n, features = map(int, shape)
    return (csr_array if form == "csr_matrix" else csc_array)(parts, shape=(n, features))
