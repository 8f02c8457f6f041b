"""Data by name or by path, split into train, validation and test.

>>> from cpvae import datasets
>>> digits = datasets.load("digits")
>>> {name: split.x.shape for name, split in digits.splits.items()}
{'train': (1257, 1, 8, 8), 'valid': (180, 1, 8, 8), 'test': (360, 1, 8, 8)}

Nothing heavy is imported until it is needed: `import cpvae.datasets` costs NumPy alone.
"""

from __future__ import annotations

import os
from pathlib import Path

from cpvae.data.loaders.checks import expanded, input_error
from cpvae.data.loaders.files import read
from cpvae.data.loaders.named import NAMES, load_named
from cpvae.data.loaders.records import Dataset, DatasetStatus, FileStatus, Split
from cpvae.data.loaders.store import data_root, fetch, status, verify
from cpvae.data.loaders.synthetic import make_synthetic, make_table

__all__ = [
    "NAMES",
    "Dataset",
    "DatasetStatus",
    "FileStatus",
    "Split",
    "data_root",
    "fetch",
    "load",
    "make_synthetic",
    "make_table",
    "status",
    "verify",
]


def load(source: str | os.PathLike[str], *, labels: str | None = None, root: Path | None = None) -> Dataset:
    """Read a data set by name (see `NAMES`) or by path.

    Args:
        source: a name, or the path of a `.npy`, `.npz`, `.csv`, `.parquet` or IDX file, of a folder of images or of
            Parquet files, or a pattern of Parquet files such as ``rows/part-*.parquet``. A string equal to a name is
            the name; write `./mnist` for a file called mnist.
        labels: for a table the name of its label column; for arrays, IDX and image folders the path of a file
            of labels (`.npy`, IDX, or `.csv` / `.txt` with one column). Labels are never used to fit.
        root: folder of the named sets, by default `data_root()`. Absent files are downloaded into it.

    Returns:
        A `Dataset`. Tables and vectors are (n, features), images (n, channels, height, width), each in the
        dtype of its file; tables with text or missing cells are data frames. A file that has no splits comes as one
        split called "all".

    Raises:
        InputError: for whatever cannot be used; one line that says what was given, expected and to be done.
    """
    if isinstance(source, str) and source in NAMES:
        if labels is not None:
            raise input_error(
                f"labels={labels!r} given with the named data set {source!r}, which brings its own labels; "
                "leave labels out"
            )
        return load_named(source, root)
    if os.fspath(source) == "":
        raise input_error(f"an empty string as data; expected a path or one of {', '.join(NAMES)}")
    return read(expanded(Path(source)), labels)
