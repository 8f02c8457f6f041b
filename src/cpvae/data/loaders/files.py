"""Readers of files, each for the paths that need it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cpvae.data.containers import as_rows
from cpvae.data.loaders import shards, text
from cpvae.data.loaders.arrays import map_npy, read_npy, read_npz
from cpvae.data.loaders.cells import ZARR, find_mtx, read_anndata, read_mtx
from cpvae.data.loaders.checks import check_labels, check_values, check_x, expanded, input_error, reading
from cpvae.data.loaders.hdf5 import read_hdf5
from cpvae.data.loaders.idx import is_idx, labels_beside, read_idx
from cpvae.data.loaders.images import SUFFIXES as IMAGE_SUFFIXES
from cpvae.data.loaders.images import read_images
from cpvae.data.loaders.matlab import read_mat
from cpvae.data.loaders.named import load_named
from cpvae.data.loaders.options import refuse_unused
from cpvae.data.loaders.records import NO_LABEL, Array, Asked, Dataset, Opened, Split
from cpvae.data.loaders.registry import NAMES
from cpvae.data.loaders.series import read_ts
from cpvae.data.loaders.tables import is_table, read_table, table_of
from cpvae.errors import InputError, nearest

if TYPE_CHECKING:
    import pandas as pd

SUPPORTED = (
    "a table (.csv .tsv .txt, also .gz; .parquet .feather .xlsx .arff .json .jsonl .orc .dta .sas7bdat), .npy .npz "
    ".mat .h5 .h5ad .zarr .ts .mtx, IDX (-ubyte, .idx, also .gz), a folder of images or of .parquet files, or one with "
    "a matrix.mtx"
)
_ADVICE = {  # for suffixes that people bring
    (".zip", ".tar", ".tgz", ".7z", ".rar", ".zst"): "unpack the archive, and give the file or folder in it",
    (
        ".pkl",
        ".pickle",
        ".joblib",
        ".pt",
        ".pth",
    ): "to unpickle it could run code: save the rows as .parquet, .npy or .csv, or give them to a fit in Python",
    (".db", ".sqlite", ".sqlite3", ".duckdb"): "save the table that you mean as .parquet or .csv",
    (".rds", ".rda", ".rdata"): "save the table from R as .csv or .parquet",
    (".sav", ".zsav", ".por"): "save it from SPSS as .csv or .dta",
    (".xls", ".xlsb", ".ods", ".numbers"): "save the workbook as .xlsx or .csv",
    (".html", ".htm", ".xml", ".yaml", ".yml"): "save the table in it as .csv or .json",
    (".loom",): "save the cells as .h5ad",
    (".wav", ".mp3", ".edf", ".mp4", ".avi"): "save the signals or pictures in it as .npy",
    (*IMAGE_SUFFIXES, ".heic", ".svg"): "for pictures give the folder that they are in",
}
READERS: dict[str, Callable[[Path, Asked], Opened]] = {
    ".npy": read_npy,
    ".npz": read_npz,
    ".mat": read_mat,
    ".h5": read_hdf5,
    ".hdf5": read_hdf5,
    ".h5ad": read_anndata,
    ZARR: read_anndata,
    ".mtx": read_mtx,
    ".mtx.gz": read_mtx,
}


def read(path: Path, asked: Asked) -> Dataset:
    """Read the data in a file or folder; see `cpvae.datasets.load`."""
    check(path)
    refuse_unused(path, asked)
    return of_opened(_opened(path, asked), asked, path)


def of_frame(frame: pd.DataFrame, path: Path, asked: Asked) -> Dataset:
    """Give rows of a table that were read from a file as `read` gives all of its rows."""
    return of_opened(table_of(frame, path, asked), asked, path)


def of_opened(opened: Opened, asked: Asked, path: Path) -> Dataset:
    """Give the rows of a file, or some of them, as what they are asked to be."""
    opened = _as_asked(opened, asked, path)
    splits = opened.splits
    if asked.labels is not None and not opened.labelled:
        splits = _relabel(splits, expanded(Path(asked.labels)), path)
    if asked.known is not None:
        splits = _with_known(splits, asked, path)
    first = next(iter(splits.values()))
    shape = " x ".join(map(str, first.x.shape[1:]))
    rows = {"images": "images of ", "signals": "signals of "}.get(opened.kind, "rows of ") + shape
    sizes = ", ".join(f"{name} {len(split.x):,}" for name, split in splits.items())
    description = f"{path}: {rows}; {sizes if len(splits) > 1 or 'all' not in splits else _rows(splits)}"
    name = path.absolute().name
    told = opened.notes, opened.kind, asked.as_dict(), opened.apart
    return Dataset(name, splits, None, opened.names, description, *told)


def read_named(name: str, asked: Asked, root: Path | None) -> Dataset:
    """Read a named set; see `cpvae.datasets.load`."""
    refuse_unused(name, asked)
    data = load_named(name, root)
    if asked.known is not None:
        data = replace(data, splits=_with_known_file(data.splits, asked.known, name))
    if asked.kind in ("auto", data.kind):
        return data
    opened = _as_asked(Opened(data.splits, data.kind, data.feature_names), asked, Path(name))
    return replace(
        data,
        splits=opened.splits,
        kind=opened.kind,
        feature_names=opened.names,
        likelihood=None,
        notes=opened.notes,
        reading=asked.as_dict(),
    )


def check(path: Path) -> None:
    """Refuse, without reading it, what is not there or is no file or folder.

    Raises:
        InputError: it cannot be data.
    """
    with reading(path, "file or folder"):
        several = _series(path) or shards.find(path)
    if not several:
        _check_path(path)


def _rows(splits: dict[str, Split]) -> str:
    return f"{len(splits['all'].x):,} rows, not split"


def _opened(path: Path, asked: Asked) -> Opened:
    """Open a path by the reader of its format."""
    with reading(path, "file or folder"):
        series = _series(path)
        parts = [] if series else shards.find(path)
    if parts:
        return read_table(path, asked)
    if series:
        return read_ts(series, asked)
    if is_table(path) and path.is_file():
        return read_table(path, asked)
    if path.is_dir() and path.suffix.lower() != ZARR:
        matrix = find_mtx(path)
        return read_images(path, asked) if matrix is None else read_mtx(matrix, asked)
    name = path.name.lower()
    if name.endswith(".ts"):
        return read_ts([path], asked)
    for suffix, reader in READERS.items():
        if name.endswith(suffix):
            return reader(path, asked)
    if _named_as_idx(path) or is_idx(path):
        x = check_x(read_idx(path), path)
        beside = labels_beside(path)
        y = None if beside is None else read_labels(beside, len(x))
        return Opened({"all": Split(x, y)}, "images" if x.ndim == 3 and x.dtype == np.uint8 else "auto")
    suffix = f"the suffix {path.suffix!r}" if path.suffix else "no suffix"
    advice = (advice for suffixes, advice in _ADVICE.items() if path.suffix.lower() in suffixes)
    raise input_error(
        f"{path}: a file with {suffix}; expected {SUPPORTED}; {next(advice, 'convert it to one of these')}"
    )


def _series(path: Path) -> list[Path]:
    """Find the files that a pattern such as ``BasicMotions_*.ts`` names, training rows first; none for another path."""
    if path.suffix.lower() != ".ts" or not set("*?[") & set(path.name) or path.exists():
        return []
    found = [file for file in path.parent.glob(path.name) if file.is_file()]
    return sorted(found, key=lambda file: ("_TRAIN" not in file.name.upper(), file.name))


def _as_asked(opened: Opened, asked: Asked, path: Path) -> Opened:
    """Take rows for what they are asked to be, else for what their format says, else for what they look like."""
    kind = opened.kind if asked.kind == "auto" else asked.kind
    if kind == "table" and opened.kind == "table":
        return opened
    splits, notes = {}, [*opened.notes]
    shape: tuple[int, ...] | None = None
    for name, split in opened.splits.items():
        try:
            if shape is None:
                given = as_rows(split.x, kind, _known_shape(split.x, asked))
                kind, notes = given.kind, [*notes, *given.notes]
            else:  # as the first one
                given = as_rows(split.x, kind, shape if kind in ("images", "signals") else None)
        except InputError as error:
            raise input_error(f"{path}: {error}") from error
        shape = given.shape
        if given.kind == "images":
            _check_size(given.values.shape[2:], asked, path)
            check_values(given.values, path)
        splits[name] = replace(split, x=given.values)
    names = None if kind in ("images", "signals") else given.names or opened.names
    return replace(opened, splits=splits, kind=kind, names=names, notes=tuple(notes))


def _known_shape(x: Any, asked: Asked) -> tuple[int, ...] | None:
    """Give the shape of signals, and of pictures that are kept as rows, where it is known or a size is asked for."""
    if asked.kind == "signals" and x.ndim > 2:
        return asked.shape
    if asked.kind not in ("images", "signals") or x.ndim != 2:
        return None
    if asked.size is None or asked.sides is None:
        return asked.shape
    height, width = asked.sides
    channels, rest = divmod(x.shape[1], height * width)
    if rest or not channels:
        raise InputError(
            f"rows of {x.shape[1]:,} columns are no pictures of {width} x {height} pixels, the size asked for; "
            f"expected a multiple of {height * width:,} columns; give the size that the pictures have (--size)"
        )
    return channels, height, width


def _check_size(size: tuple[int, ...], asked: Asked, path: Path) -> None:
    """Refuse pictures of another size than the one asked for: only those of a folder are resized."""
    if asked.size is not None and asked.sides is not None and asked.sides != size:
        height, width = asked.sides
        raise input_error(
            f"{path}: pictures of {size[1]} x {size[0]} pixels; expected {width} x {height}, the size asked for; only "
            "the pictures of a folder are resized: resize these, or leave size (--size) out"
        )


def _named_as_idx(path: Path) -> bool:
    name = path.name.lower().removesuffix(".gz")
    return name.endswith("ubyte") or ".idx" in name


def _relabel(splits: dict[str, Split], labels: Path, path: Path) -> dict[str, Split]:
    if "all" not in splits:
        raise input_error(
            f"labels {labels} given for {path}, which is split into {', '.join(splits)}; expected its "
            "labels inside, as 'y_train', ...; add them to the file"
        )
    _check_path(labels, what="file of labels")
    whole = splits["all"]
    return {"all": replace(whole, y=read_labels(labels, len(whole.x)))}


def _with_known(splits: dict[str, Split], asked: Asked, path: Path) -> dict[str, Split]:
    """Add the labels that a fit is to know, from a column or an array of the data, or from a file of their own.

    Raises:
        InputError: they are in neither; they are in data that are split, which tell those of one split alone.
    """
    inside = _opened(path, replace(asked, labels=asked.known, known=None, gaps=True))
    if not inside.labelled:
        return _with_known_file(splits, str(asked.known), str(path))
    if "all" not in inside.splits:
        raise input_error(
            f"{path}: known labels {asked.known!r} in data that are split into {', '.join(splits)}; expected a file of "
            "labels for the training rows; save them as a file of their own"
        )
    return {"all": replace(splits["all"], known=inside.splits["all"].y)}


def _with_known_file(splits: dict[str, Split], known: str, where: str) -> dict[str, Split]:
    """Add the labels that a fit is to know, one for each row of the fit, from a file of their own."""
    file = expanded(Path(known))
    if not file.is_file():
        raise input_error(
            f"{where}: no column, array or file of known labels {known!r}; expected one of them, with a label for each "
            "row"
        )
    name = "train" if "train" in splits else next(iter(splits))
    return {**splits, name: replace(splits[name], known=read_labels(file, len(splits[name].x), gaps=True))}


def read_labels(path: Path, n: int, gaps: bool = False) -> Array:
    """Read labels ``(n,)`` from a `.npy` or IDX file, or one column of `.csv` / `.txt`, with or without header.

    With `gaps` rows may be without one: NaN, or an empty line.
    """
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return check_labels(np.array(map_npy(path)), n, path, gaps)
    if suffix in (".csv", ".tsv", ".txt"):
        return check_labels(_text_labels(path, n, gaps), n, path)
    if path.is_file() and (_named_as_idx(path) or is_idx(path)):
        return check_labels(read_idx(path), n, path)
    raise input_error(f"{path}: not a file of labels; expected .npy, IDX, or .csv / .txt with one column")


def _text_labels(path: Path, n: int, gaps: bool) -> Array:
    with reading(path, "a file of labels, one in each line"):
        with text.opened(path, text.find_encoding(path)) as file:
            lines = file.read().splitlines()
            if not gaps or len(lines) not in (n, n + 1):  # the first or the last row may be without a label
                lines = "\n".join(lines).strip().splitlines()
        if lines and "," in lines[0]:
            raise input_error(f"{path}: labels in several columns ({lines[0][:60]}); expected one column")
        cells = [line.strip().strip('"') for line in lines]
        if len(cells) == n + 1:  # the first line is a header
            cells = cells[1:]
        try:
            return np.array(cells, dtype=np.int64)
        except (ValueError, OverflowError):
            return np.array([cell or NO_LABEL for cell in cells] if gaps else cells, dtype=str)


def _check_path(path: Path, what: str = "file or folder") -> None:
    """Refuse what is not there, is empty or is no file or folder (a device may never end)."""
    with reading(path, what):
        try:
            path.stat()
        except (FileNotFoundError, NotADirectoryError) as error:
            raise input_error(f"{path}: no such {what}{_hint(path)}") from error
        except ValueError as error:  # a null byte
            raise input_error(f"{path!s:.100}: not a path ({error}); expected {SUPPORTED}") from error
        except OSError as error:
            raise input_error(f"{path!s:.100}: {error.strerror}; expected {SUPPORTED}") from error
        if path.is_dir():
            _refuse_run(path)
            return
        if not path.is_file():
            raise input_error(f"{path}: neither a file nor a folder; expected {SUPPORTED}")
        if path.stat().st_size == 0:
            raise input_error(f"{path}: an empty file (0 bytes); expected {SUPPORTED}; write it again")


def _refuse_run(path: Path) -> None:
    """Refuse a run folder, which holds a picture and must not pass for a folder of images."""
    if (path / "config.json").is_file() and (path / "history.jsonl").is_file():
        raise input_error(f"{path}: a run that cpvae fit wrote, not data; expected {SUPPORTED}; give the rows")


def _hint(path: Path) -> str:
    """Suggest the nearest name in the same folder, else the nearest named data set."""
    try:
        with os.scandir(path.parent) as entries:
            siblings = [entry.name for entry in islice(entries, 10_000)]  # matching is slow
    except OSError:
        siblings = []
    close = get_close_matches(path.name, siblings, n=1)
    named = get_close_matches(str(path).lower(), NAMES, n=1)
    if named and not path.suffix:
        return nearest(str(path).lower(), NAMES)
    if close:
        return nearest(path.name, close)
    return f"; expected {SUPPORTED}, or one of the names {', '.join(NAMES)}"
