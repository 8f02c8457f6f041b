"""Tables: `.csv` and `.parquet`. Every column is a feature, apart from the label column if there is one.

A table of numbers without missing cells becomes an array. Any other stays a data frame; what its columns hold is for
`cpvae.schema` to say.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cpvae.data.loaders import shards
from cpvae.data.loaders.checks import check_labels, check_rows, check_values, check_x, input_error, reading
from cpvae.data.loaders.records import Array, Split
from cpvae.errors import nearest

if TYPE_CHECKING:
    import pandas as pd

    Column = pd.Series[Any]


def read_csv(path: Path, labels: str | None) -> tuple[Split, tuple[str, ...] | None]:
    """A comma-separated UTF-8 table and the names of its feature columns.

    The first line is a header unless all its cells are numbers other than 0, 1, 2, ... (which is how pandas
    writes unnamed columns); a table without header has columns "0", "1", ...

    Raises:
        InputError: an empty file, rows of different lengths, a repeated column, an infinity, cells that are neither
            numbers nor text, an unknown label column.
    """
    import pandas as pd

    with reading(path, "a comma-separated table in UTF-8"):
        header = _scan_csv(path)
        names: list[str] | None = None
        if _is_data(header):
            names = [str(k) for k in range(len(header))]
        frame = pd.read_csv(
            path,
            header=None if names else 0,
            names=names,
            index_col=False,
            encoding="utf-8-sig",
            low_memory=False,  # one dtype for the whole of a column
        )
        return _table(frame, path, labels)


def read_parquet(path: Path, labels: str | None) -> tuple[Split, tuple[str, ...] | None]:
    """A parquet table and the names of its feature columns; a folder or a pattern of files is one table.

    Numbers that would take more than `cpvae.data.loaders.shards.LARGE` bytes are mapped into memory, not read. Errors
    as for `read_csv`, and for files whose columns differ; needs pyarrow.
    """
    import pandas as pd

    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise input_error(
            f"{path}: a parquet file needs pyarrow, which is not installed; pip install 'cpvae[parquet]'"
        ) from error
    paths = shards.find(path) or [path]
    if len(paths) > 1:
        shards.check_alike(paths)
    mapped = shards.mapped(paths, labels)
    if mapped is not None:
        x, names, y = mapped
        check_rows(len(x), path)
        if y is not None:
            y = _label_column(pd.Series(y), str(labels), path)
        return Split(check_x(x, path, names), y), names
    frames = []
    for one in paths:
        with reading(one, "a parquet file"):
            frames.append(pd.read_parquet(one, engine="pyarrow"))
    with reading(path, "a parquet file"):
        return _table(frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True), path, labels)


def _scan_csv(path: Path) -> list[str]:
    """The cells of the first line, after a check that all lines have as many (pandas pads short ones)."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        lines = csv.reader(file)
        header = next((cells for cells in lines if cells), None)
        if header is None:
            raise input_error(f"{path}: an empty file; expected a header and rows of numbers")
        for cells in lines:
            if cells and len(cells) != len(header):
                raise input_error(
                    f"{path}: line {lines.line_num} has {len(cells)} cell{'s' * (len(cells) != 1)} and "
                    f"the first line {len(header)}; expected as many in every line; correct that line"
                )
    _check_repeats([name for name in header if name and not _is_data(header)], path)
    return header


def _is_data(header: Sequence[str]) -> bool:
    try:
        values = [float(cell) for cell in header]
    except ValueError:
        return False
    return values != list(range(len(values)))


def _check_repeats(names: Sequence[str], path: Path) -> None:
    name, count = max(Counter(names).items(), key=lambda item: item[1], default=("", 1))
    if count > 1:
        raise input_error(f"{path}: {count} columns are called {name!r}; expected different names; rename them")


def _table(frame: pd.DataFrame, path: Path, labels: str | None) -> tuple[Split, tuple[str, ...]]:
    names = [str(name) for name in frame.columns]
    _check_repeats(names, path)
    if labels is not None and labels not in names:
        # the whole list of a wide table would not be one readable line
        known = get_close_matches(labels, names, n=1) or names[:10]
        raise input_error(f"{path}: no label column {labels!r}{nearest(labels, known)}")
    features = [k for k, name in enumerate(names) if name != labels]
    if not features:
        raise input_error(f"{path}: no columns besides the labels; expected one or more columns of numbers")
    check_rows(len(frame), path)
    kept = tuple(names[k] for k in features)
    columns = [_cells(frame.iloc[:, k], names[k], path) for k in features]
    x: Array | pd.DataFrame
    if all(column.dtype.kind in "biuf" and not column.isna().any() for column in columns):
        x = check_x(np.column_stack([_numbers(column) for column in columns]), path, kept)
    else:
        x = _mixed(dict(zip(kept, columns, strict=True)), path)
    y = None if labels is None else _label_column(frame.iloc[:, names.index(labels)], labels, path)
    return Split(x, y), kept


def _cells(column: Column, name: str, path: Path) -> Column:
    """A feature column; Python objects and text that are all numbers, or all missing, as numbers."""
    import pandas as pd

    if column.dtype.kind in "cmM":
        raise input_error(
            f"{path}: column {name!r} has dtype {column.dtype}; expected numbers, text or booleans; convert or remove "
            "it"
        )
    if column.dtype.kind in "biuf":
        return column
    observed = column.dropna()
    if not len(observed):
        return column.astype(np.float64)
    wrong = [i for i, cell in enumerate(observed) if not isinstance(cell, (str, bytes, bool, int, float, np.generic))]
    if wrong:
        row = int(np.flatnonzero(column.notna())[wrong[0]])
        raise input_error(
            f"{path}: column {name!r} holds {type(column.iloc[row]).__name__} cells, first in data row {row + 1}; "
            "expected numbers, text or booleans; convert or remove it"
        )
    if observed.infer_objects().dtype.kind != "b":
        numbers = pd.to_numeric(column.astype(object), errors="coerce")
        if numbers.notna().sum() == len(observed):  # numbers that were kept as text
            return numbers.astype(np.float64)
    separators = [mark for mark in (";", "\t") if mark in name and mark in str(observed.iloc[0])]
    if separators:
        raise input_error(
            f"{path}: column {name!r} holds {str(observed.iloc[0])[:60]!r} in its first row; expected one value in a "
            "cell (are the cells separated by something other than a comma?); separate them by commas"
        )
    return column


def _numbers(column: Column) -> Array:
    """(n,) numbers, none missing."""
    return column.to_numpy(dtype=getattr(column.dtype, "numpy_dtype", None))


def _mixed(columns: dict[str, Column], path: Path) -> pd.DataFrame:
    """A table with text or missing cells; `InputError` at the first infinity or value above 1e30."""
    import pandas as pd

    for name, column in columns.items():
        if column.dtype.kind == "f":
            values = column.to_numpy(dtype=np.float64, na_value=np.nan)
            check_values(np.where(np.isnan(values), 0.0, values)[:, None], path, (name,))
    return pd.DataFrame(columns).reset_index(drop=True)


def _label_column(column: Column, name: str, path: Path) -> Array:
    missing = column.isna().to_numpy()
    if missing.any():
        row = int(np.argmax(missing))
        raise input_error(
            f"{path}: label column {name!r} has a missing value in data row {row + 1}; "
            "expected a label in every row; fill it or drop the row"
        )
    if column.dtype.kind in "biuf":
        y: Array = column.to_numpy(dtype=getattr(column.dtype, "numpy_dtype", None))
    else:
        y = np.array([str(value) for value in column])
    return check_labels(y, len(column), f"{path}, label column {name!r}")
