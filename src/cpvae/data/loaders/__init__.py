"""Data sets by name or path, split into train, validation and test.

>>> from cpvae import datasets
>>> digits = datasets.load("digits")
>>> {name: split.x.shape for name, split in digits.splits.items()}
{'train': (1257, 1, 8, 8), 'valid': (180, 1, 8, 8), 'test': (360, 1, 8, 8)}

Nothing heavy is imported until it is needed: `import cpvae.datasets` costs NumPy alone.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from cpvae.data.loaders.checks import expanded, input_error
from cpvae.data.loaders.files import SUPPORTED, read, read_named
from cpvae.data.loaders.files import check as check_path
from cpvae.data.loaders.options import applicable
from cpvae.data.loaders.records import Asked, Dataset, DatasetStatus, FileStatus, Split
from cpvae.data.loaders.registry import NAMES
from cpvae.data.loaders.store import data_root, fetch, status, verify
from cpvae.data.loaders.synthetic import make_synthetic, make_table
from cpvae.data.row_kinds import KINDS

__all__ = [
    "NAMES",
    "Dataset",
    "DatasetStatus",
    "FileStatus",
    "Split",
    "applicable",
    "check",
    "data_root",
    "dataset_name",
    "fetch",
    "load",
    "make_synthetic",
    "make_table",
    "status",
    "verify",
]

MOST_SIDE = 10_000  # pixels


def load(
    source: str | os.PathLike[str],
    *,
    labels: str | None = None,
    kind: str = "auto",
    size: int | tuple[int, int] | list[int] | None = None,
    layer: str | None = None,
    shape: tuple[int, ...] | None = None,
    known: str | None = None,
    root: Path | None = None,
) -> Dataset:
    """Read a data set by name (see `NAMES`) or by path.

    Args:
        source: a name, or a path:

            - numbers: `.npy`, `.npz` (also from `scipy.sparse.save_npz`), `.mat`, `.h5`, IDX;
            - a table: text such as `.csv`, `.json`, `.parquet`, `.feather`, `.orc`, `.xlsx`, `.arff`, `.dta`,
              `.sas7bdat`; a folder of Parquet files, or a pattern such as ``rows/part-*.parquet``;
            - pictures: a folder of picture files, which may have a folder for each label;
            - signals: `.ts`, or a pattern such as ``BasicMotions_*.ts``;
            - cells: `.h5ad`, `.zarr` of AnnData, `.h5` from Cell Ranger, `.mtx`, or a folder with a `matrix.mtx`.

            A name comes before a path: write `./mnist` for a file called mnist.
        labels: name of the label column of a table or of cells; name of an array in an `.npz`, `.mat` or `.h5`; or,
            for all formats, the path of a file of labels (`.npy`, IDX, or `.csv` / `.txt` with one column). No fit uses
            labels.
        kind: what the rows are: "table", "matrix", "counts", "images" or "signals"; "auto" decides by format and
            values, and the notes of the data set tell the choice.
        size: pixels a side, or (height, width): the size to which pictures of a folder are resized, or the size of
            pictures that a file holds as rows of pixels, with ``kind="images"``. Other sources refuse it.
        layer: layer of an `.h5ad` or `.zarr` to read instead of X. Other sources refuse it.
        shape: (channels, height, width) of the pictures that a model was fitted on, or (channels, time) of the signals.
            Pictures of a folder are resized to it. With ``kind="images"`` or ``kind="signals"``, rows of as many
            numbers take it. Others stay as they are.
        known: labels that a fit is to know (`Split.known`), in a place as for `labels`: a column, an array or a file. A
            row without a label has an empty cell, NaN or -1 there. The column is no part of the rows.
        root: folder of the named sets, by default `data_root()`. Missing files are downloaded into it.

    Returns:
        A `Dataset`. Tables and vectors are (n, features), images (n, channels, height, width), signals (n, channels,
        time), in the dtype of the file. Tables with text or missing cells are data frames. A file without splits gives
        one split called "all".

    Raises:
        InputError: the data cannot be used; one line says what was given, what was expected and what to do.
    """
    size = tuple(size) if isinstance(size, list) else size  # type: ignore[assignment]
    asked = Asked(labels, kind, size, layer, shape, known)  # type: ignore[arg-type]
    _check_asked(asked)
    if isinstance(source, str) and source in NAMES:
        if labels is not None:
            raise input_error(
                f"labels={labels!r} given with the named data set {source!r}, which brings its own labels; "
                "leave labels out"
            )
        return read_named(source, asked, root)
    return read(_path(source), asked)


def check(source: str | os.PathLike[str]) -> None:
    """Refuse a source that is no name and no existing file or folder, without reading it or importing much.

    Raises:
        InputError: as `load` would.
    """
    if not (isinstance(source, str) and source in NAMES):
        check_path(_path(source))


def dataset_name(source: str) -> str:
    """Give the name of a data set: its own name, or its file name without suffix.

    >>> dataset_name("digits"), dataset_name("/some/where/cells.csv")
    ('digits', 'cells')
    """
    return source if source in NAMES else Path(source).absolute().stem


def _path(source: str | os.PathLike[str]) -> Path:
    if not isinstance(source, (str, os.PathLike)):
        raise input_error(
            f"rows of type {type(source).__name__} as data; expected a path or one of {', '.join(NAMES)}; what is in "
            "memory is given to a fit as it is"
        )
    if os.fspath(source) == "":
        raise input_error(f"an empty string as data; expected a path or one of {', '.join(NAMES)}")
    if re.match(r"[a-z][a-z0-9+.-]+://", os.fspath(source)) or os.fspath(source) == "-":
        raise input_error(
            f"{os.fspath(source)}: no such file or folder; expected {SUPPORTED}; nothing is read from an address or "
            "from standard input: save the rows as a file, and give its path"
        )
    return expanded(Path(source))


def _check_asked(asked: Asked) -> None:
    """Refuse an unknown kind and an invalid size, both in one line."""
    faults = []
    if asked.kind != "auto" and asked.kind not in KINDS:
        faults.append(f"kind={asked.kind!r}: expected 'auto' or one of {', '.join(KINDS)}")
    sides = asked.size if isinstance(asked.size, tuple) else (asked.size, asked.size)
    whole = len(sides) == 2 and all(isinstance(side, int) and 1 <= side <= MOST_SIDE for side in sides)
    if asked.size is not None and not whole:
        faults.append(f"size={asked.size!r}: expected pixels a side from 1 to {MOST_SIDE:,}, or (height, width)")
    if faults:
        raise input_error("; ".join(faults))
