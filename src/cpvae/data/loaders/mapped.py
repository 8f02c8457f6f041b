"""Arrays that are made of files once, kept in the cache, and mapped into memory from there.

A batch is drawn uniformly from all rows, and neither Parquet nor AnnData's files give access to single rows: for
nearly every row a block of many would be decoded. An array that is mapped into memory does, like any `.npy` file. Every
process reads only the rows that it asks for. The arrays are found again as long as the files stay as they are.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import numpy as np
from filelock import FileLock

from cpvae.data.loaders.checks import input_error
from cpvae.data.loaders.records import Array
from cpvae.extras import needed

LARGE = 2**25  # bytes of numbers beyond which they are mapped into memory; less is read faster than it is copied
Shapes = Mapping[str, tuple[tuple[int, ...], np.dtype[Any]]]  # of each array by its name, "" for the only one
Files = Mapping[str, IO[bytes]]  # to write the numbers of each array to, row by row


def cache() -> Path:
    """Name the folder where large tables are kept as arrays; it may be removed at any time."""
    with needed("finding the cache"):
        import pooch
    return Path(pooch.os_cache("cpvae")) / "tables"


def size_of(shapes: Shapes) -> int:
    """Count the bytes of all arrays.

    >>> size_of({"": ((10, 3), np.dtype("float32"))})
    120
    """
    return sum(int(np.prod(shape)) * dtype.itemsize for shape, dtype in shapes.values())


def mapped(
    paths: Sequence[Path], part: str, of: object, shapes: Shapes, write: Callable[[Files], bool]
) -> dict[str, Array] | None:
    """Map arrays of the numbers in some files into memory, copy-on-write; write them into the cache if need be.

    Args:
        paths: the files; where one of them changes, their arrays are replaced.
        part: the part of the files that the arrays are of.
        of: what else decides how they are written.
        shapes: of the arrays.
        write: writes them; False where it turns out that they cannot be, in which case nothing is kept.

    Returns:
        The arrays by their names, or None where they could not be written.

    Raises:
        InputError: the cache cannot be written, or has no room.
    """
    folder = cache()
    which = _digest([[str(path.resolve()) for path in paths], part])
    states = [(path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
    kinds = {name: (shape, dtype.str) for name, (shape, dtype) in shapes.items()}
    state = _digest([states, of, kinds])
    targets = {name: folder / f"{which}-{state}{name and '-'}{name}.npy" for name in shapes}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f"{which}.lock"):  # others wait, and find what the first has made
            if not all(target.exists() for target in targets.values()):
                for old in folder.glob(f"{which}-*.npy"):  # of the files as they were
                    old.unlink()
                if not _written(shapes, targets, write):
                    return None
    except OSError as error:
        raise input_error(
            f"{folder}: {error.strerror or error}; expected room for {size_of(shapes):,} bytes, the numbers of "
            f"{paths[0].parent}; make room, or set XDG_CACHE_HOME to another folder"
        ) from error
    return {name: np.lib.format.open_memmap(target, mode="c") for name, target in targets.items()}


def _written(shapes: Shapes, targets: Mapping[str, Path], write: Callable[[Files], bool]) -> bool:
    """Write arrays, which take their places when all of them are there; nothing, and False, where that cannot be."""
    with ExitStack() as stack:
        files, made = dict[str, IO[bytes]](), dict[str, Path]()
        for name, (shape, dtype) in shapes.items():
            folder = targets[name].parent
            file = stack.enter_context(
                tempfile.NamedTemporaryFile(dir=folder, prefix=".", suffix=".part", delete=False)
            )
            files[name], made[name] = file, Path(file.name)
            stack.callback(made[name].unlink, missing_ok=True)
            header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_2_0(file, header)
        if not write(files):
            return False
        for name, target in targets.items():
            files[name].flush()
            made[name].replace(target)
    return True


def _digest(of: object) -> str:
    return hashlib.sha256(repr(of).encode()).hexdigest()[:16]
