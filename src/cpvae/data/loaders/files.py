"""Which reader a path needs."""

from __future__ import annotations

import os
from collections.abc import Callable
from difflib import get_close_matches
from itertools import islice
from pathlib import Path

import numpy as np

from cpvae.data.loaders import shards
from cpvae.data.loaders.arrays import read_npy, read_npz
from cpvae.data.loaders.checks import check_labels, check_x, expanded, input_error, reading
from cpvae.data.loaders.idx import is_idx, labels_beside, read_idx
from cpvae.data.loaders.images import read_images
from cpvae.data.loaders.records import Array, Dataset, Split
from cpvae.data.loaders.registry import NAMES
from cpvae.data.loaders.tables import read_csv, read_parquet
from cpvae.errors import nearest

SUPPORTED = ".npy .npz .csv .parquet, IDX (-ubyte, .idx, also .gz), or a folder of images or of .parquet files"
TABLES: dict[str, Callable[[Path, str | None], tuple[Split, tuple[str, ...] | None]]] = {
    ".csv": read_csv,
    ".parquet": read_parquet,
}


def read(path: Path, labels: str | None = None) -> Dataset:
    """The data in a file or folder; see `cpvae.datasets.load`."""
    names: tuple[str, ...] | None = None
    with reading(path, "file or folder"):
        parts = shards.find(path)
    if not parts:
        _check_path(path)
    if parts:
        split, names = read_parquet(path, labels)
        splits = {"all": split}
    elif path.suffix.lower() in TABLES:
        split, names = TABLES[path.suffix.lower()](path, labels)
        splits = {"all": split}
    else:
        splits = _read_arrays(path)
        if labels is not None:
            splits = _relabel(splits, expanded(Path(labels)), path)
    shape = " x ".join(map(str, next(iter(splits.values())).x.shape[1:]))
    sizes = ", ".join(f"{name} {len(split.x):,}" for name, split in splits.items())
    description = f"{path}: rows of {shape}; {sizes if len(splits) > 1 or 'all' not in splits else _rows(splits)}"
    return Dataset(path.absolute().name, splits, None, names, description)


def _rows(splits: dict[str, Split]) -> str:
    return f"{len(splits['all'].x):,} rows, not split"


def _read_arrays(path: Path) -> dict[str, Split]:
    if path.is_dir():
        return {"all": read_images(path)}
    if path.suffix.lower() == ".npy":
        return {"all": Split(check_x(read_npy(path), path), None)}
    if path.suffix.lower() == ".npz":
        return read_npz(path)
    if _named_as_idx(path) or is_idx(path):
        x = check_x(read_idx(path), path)
        beside = labels_beside(path)
        return {"all": Split(x, None if beside is None else read_labels(beside, len(x)))}
    suffix = f"the suffix {path.suffix!r}" if path.suffix else "no suffix"
    raise input_error(f"{path}: a file with {suffix}; expected {SUPPORTED}; convert it to one of these")


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
    x = splits["all"].x
    return {"all": Split(x, read_labels(labels, len(x)))}


def read_labels(path: Path, n: int) -> Array:
    """(n,) labels from a `.npy` or IDX file, or one column of `.csv` / `.txt`, with or without header."""
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return check_labels(np.array(read_npy(path)), n, path)
    if suffix in (".csv", ".txt"):
        return check_labels(_text_labels(path, n), n, path)
    if path.is_file() and (_named_as_idx(path) or is_idx(path)):
        return check_labels(read_idx(path), n, path)
    raise input_error(f"{path}: not a file of labels; expected .npy, IDX, or .csv / .txt with one column")


def _text_labels(path: Path, n: int) -> Array:
    with reading(path, "a file of labels, one in each line, in UTF-8"):
        lines = path.read_text(encoding="utf-8-sig").strip().splitlines()
        if lines and "," in lines[0]:
            raise input_error(f"{path}: labels in several columns ({lines[0][:60]}); expected one column")
        cells = [line.strip().strip('"') for line in lines]
        if len(cells) == n + 1:  # the first line is a header
            cells = cells[1:]
        try:
            return np.array(cells, dtype=np.int64)
        except (ValueError, OverflowError):
            return np.array(cells, dtype=str)


def _check_path(path: Path, what: str = "file or folder") -> None:
    """`InputError` for what is not there, is empty or is no file or folder (a device may never end)."""
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
    """A run folder holds a picture, and must not pass for a folder of images."""
    if (path / "config.json").is_file() and (path / "history.jsonl").is_file():
        raise input_error(f"{path}: a run that cpvae fit wrote, not data; expected {SUPPORTED}; give the rows")


def _hint(path: Path) -> str:
    """The nearest name in the same folder, else the nearest named data set."""
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
