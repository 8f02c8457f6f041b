"""Tables: text files, Parquet, Feather, ORC, Excel, ARFF, JSON, Stata and SAS.

Every column is a feature, apart from the labels.

A table of numbers without missing cells becomes an array. Any other stays a data frame; what its columns hold is for
`cpvae.schema` to say.
"""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cpvae.data.loaders import shards
from cpvae.data.loaders.checks import check_labels, check_rows, check_values, check_x, expanded, input_error, reading
from cpvae.data.loaders.records import NO_LABEL, Array, Asked, Opened, Split
from cpvae.data.loaders.text import (
    OPENERS,
    SAMPLE_LINES,
    check_one_header,
    check_repeats,
    check_title,
    has_header,
    opened,
    read_text,
    suffix_of,
    told_numbers,
)
from cpvae.errors import nearest
from cpvae.extras import needed

if TYPE_CHECKING:
    import pandas as pd

    Column = pd.Series[Any]

LAST = "last"  # in place of the name of a label column


def read_table(path: Path, asked: Asked) -> Opened:
    """Read a table from a file, or Parquet files from a folder or a pattern.

    Args:
        path: its suffix, one of `SUFFIXES`, tells the format; text may be compressed (.gz, .bz2, .xz).
        asked: `labels` is the name of the label column, "last" for the last one, or a file, which is not read here;
            `known` names a column that is left out.

    Raises:
        InputError: a file that cannot be read as what it claims; two columns of one name; cells that no table has, an
            infinity; an unknown label column; a library that is missing.
    """
    parts = shards.find(path) or [path]
    if suffix_of(parts[0]) == shards.SUFFIX:
        return _read_parquet(path, parts, asked)
    frame, notes = READERS[suffix_of(path)](path)
    with reading(path, "a table"):
        return _table(frame, notes, path, asked)


def _read_parquet(path: Path, parts: list[Path], asked: Asked) -> Opened:
    """Read Parquet files as one table.

    Numbers that would take more than `cpvae.data.loaders.mapped.LARGE` bytes are mapped into memory, not read.
    """
    import pandas as pd

    _needed("pyarrow", "a parquet file", path)
    from pyarrow.parquet import read_table

    if len(parts) > 1:
        shards.check_alike(parts)
    own = shards.names(parts)
    check_repeats(own, path)
    column, known = label_columns(asked, own, path)
    numbers = shards.as_array(parts, column, known)
    if numbers is not None:
        x, names, y = numbers
        check_rows(len(x), path)
        found, notes = (None, []) if y is None else label_column(pd.Series(y), str(column), path)
        split = Split(check_x(x, path, names), found)
        return Opened({"all": split}, "table", names, tuple(notes), column is not None, _apart(column, known))
    frames = []
    for one in parts:
        with reading(one, "a parquet file"):
            frames.append(shards.as_pandas(read_table(one)))
    with reading(path, "a parquet file"):
        frame = frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)
        return table_of(frame, path, asked)


def table_of(frame: pd.DataFrame, path: Path, asked: Asked) -> Opened:
    """Read the cells of a table, or of some of its rows, that came from a file."""
    return _table(*_tidied(frame, path), path, asked)


def _read_feather(path: Path) -> tuple[pd.DataFrame, list[str]]:
    import pandas as pd

    _needed("pyarrow", "a feather file", path)
    with reading(path, "a feather file"):
        return _tidied(pd.read_feather(path), path)


def _read_orc(path: Path) -> tuple[pd.DataFrame, list[str]]:
    import pandas as pd

    _needed("pyarrow", "an ORC file", path)
    with reading(path, "an ORC file"):
        return _tidied(pd.read_orc(path), path)


def _read_json(path: Path) -> tuple[pd.DataFrame, list[str]]:
    """Read a list of records, or columns by name; in a `.jsonl`, and where a `.json` is written so, a record a line."""
    import pandas as pd

    what = "records in JSON, a list of them or one a line, or columns by name"
    with reading(path, what), opened(path, "utf-8-sig") as file:
        value = _from_json(file.read(), lines=suffix_of(path) != ".json")
        return _tidied(pd.DataFrame(_records(value)), path)


def _from_json(text: str, lines: bool) -> Any:
    """Read JSON, or a list of the values that stand one a line; `lines` says that they do, text may show it.

    >>> _from_json('[1, 2]', lines=False), _from_json('1\\n2', lines=False), _from_json('[1, 2]', lines=True)
    ([1, 2], [1, 2], [[1, 2]])

    Raises:
        ValueError: with the line at fault.
    """
    if not lines:
        try:
            return json.loads(text)
        except json.JSONDecodeError as error:
            if error.msg != "Extra data":  # after a whole value: there are more of them
                raise
    values = []
    for number, line in enumerate(text.split("\n"), 1):  # text of JSON may hold what else ends a line
        try:
            values += [json.loads(line)] if line.strip() else []
        except json.JSONDecodeError as error:
            raise ValueError(f"line {number}, column {error.colno}: {error.msg}") from error
    return values


def _records(value: Any) -> Any:
    """Take records or columns out of JSON, in whichever of the usual ways it holds them.

    >>> rows = [{"a": 1}, {"a": 2}]
    >>> _records(rows) == _records({"rows": rows, "version": 1}) == _records({"found": {"rows": rows}}) == rows
    True
    >>> _records({"columns": ["a"], "index": [0, 1], "data": [[1], [2]]}).equals(_records([["a"], [1], [2]]))
    True
    >>> _records({"0": {"a": 1}, "1": {"a": 2}}) == rows
    True
    >>> _records({"a": 1, "b": "x"}), _records({"a": [1, 2], "b": [{}, {}]})
    ([{'a': 1, 'b': 'x'}], {'a': [1, 2], 'b': [{}, {}]})
    """
    import pandas as pd

    if isinstance(value, list):
        return pd.DataFrame(value[1:], columns=value[0]) if _is_headed(value) else value
    if not isinstance(value, dict):
        return [value]
    lists = {key: one for key, one in value.items() if isinstance(one, list) and one}
    rows = [one for key, one in lists.items() if isinstance(one[0], list) and key != "columns"]
    if "columns" in lists and len(rows) == 1:
        return pd.DataFrame(rows[0], columns=value["columns"])
    records = [one for one in lists.values() if isinstance(one[0], dict)]
    if len(records) == 1:  # beside columns as long it would be one of them
        alike = sum(len(one) == len(records[0]) for one in lists.values())
        return records[0] if alike == 1 else value
    inner = [one for one in value.values() if isinstance(one, dict)]
    if len(inner) == len(value) and all(map(str.isdecimal, value)) and not any(map(str.isdecimal, inner[0])):
        return inner  # the rows by their numbers
    if not lists and len(inner) == 1 and any(isinstance(one, list) for one in inner[0].values()):
        return _records(inner[0])
    return value if lists or inner else [value]


def _is_headed(rows: list[Any]) -> bool:
    """Say whether the first of some lists names the columns of the others."""
    if not all(isinstance(row, list) and len(row) == len(rows[0]) for row in rows) or len(rows) < 2:
        return False
    return all(isinstance(name, str) for name in rows[0]) and has_header([list(map(str, row)) for row in rows])


def _read_stata(path: Path) -> tuple[pd.DataFrame, list[str]]:
    import pandas as pd

    with reading(path, "a file of Stata"):
        return _tidied(pd.read_stata(path), path)


def _read_sas(path: Path) -> tuple[pd.DataFrame, list[str]]:
    import pandas as pd

    with reading(path, "a file of SAS"):
        return _tidied(pd.read_sas(path), path)


def _read_excel(path: Path) -> tuple[pd.DataFrame, list[str]]:
    """Read the only sheet with cells of a workbook; a line that is all empty is left out."""
    import pandas as pd

    _needed("openpyxl", "an Excel workbook", path)
    with reading(path, "an Excel workbook"):
        with pd.ExcelFile(path, engine="openpyxl") as book:
            filled = {str(name): sheet for name in book.sheet_names if (sheet := _sheet(book, name)).size}
        if not filled:
            raise input_error(f"{path}: no sheet has cells; expected one with a table; write the table into it")
        if len(filled) > 1:
            listed = ", ".join(map(repr, filled))
            raise input_error(
                f"{path}: {len(filled)} sheets with cells ({listed}); expected one; save the one you mean as a file of "
                "its own"
            )
        table, said = _headed(next(iter(filled.values())), path)
        table, notes = _tidied(table, path)
        return table, [*(f"{path.name}: {note}" for note in said), *notes]


def _sheet(book: Any, name: Any) -> pd.DataFrame:
    """Read the lines of a sheet that are not empty."""
    import pandas as pd

    # objects: pandas would make numbers of text such as 01067
    grid = pd.read_excel(book, sheet_name=name, header=None, keep_default_na=False, na_values=[""], dtype=object)
    return grid.dropna(how="all").dropna(how="all", axis=1).reset_index(drop=True)


def _headed(grid: pd.DataFrame, path: Path) -> tuple[pd.DataFrame, list[str]]:
    """Take the names of the columns from the first of the lines, unless it holds data."""
    import pandas as pd

    head = grid.iloc[:SAMPLE_LINES].astype(object)
    rows = head.where(head.notna(), "").map(lambda cell: str(cell).strip()).to_numpy().tolist()
    check_title(path, rows)
    if not has_header(rows):
        return grid.set_axis(pd.Index(map(str, range(grid.shape[1]))), axis=1), [told_numbers(grid.shape[1])]
    check_one_header(path, rows)
    check_repeats([name for name in rows[0] if name], path)
    names = [name or f"Unnamed: {i}" for i, name in enumerate(rows[0])]
    return grid.iloc[1:].reset_index(drop=True).set_axis(pd.Index(names), axis=1), []


_DATE = re.compile(r"""^(\s*@attribute\s+(?:'[^']*'|"[^"]*"|\S+)\s+)date\b.*$""", re.I | re.M)  # unknown to liac-arff


def _read_arff(path: Path) -> tuple[pd.DataFrame, list[str]]:
    """Read an ARFF file; nominal attributes whose values are all numbers are columns of numbers.

    liac-arff reads it: SciPy's reader refuses text, and nominal values with blanks before them.
    """
    import pandas as pd

    from cpvae.data.cells import is_plain_number

    arff = _needed("arff", "an ARFF file", path)
    with reading(path, "an ARFF file"):
        content = path.read_bytes()
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = content.decode("cp1252", "replace")
        found = arff.loads(_DATE.sub(r"\1string", text))
        names = [str(name) for name, _ in found["attributes"]]
        check_repeats(names, path)
        frame = pd.DataFrame(found["data"], columns=names)
        for name, values in found["attributes"]:
            if isinstance(values, list) and not all(map(is_plain_number, values)):
                frame[str(name)] = pd.Categorical(frame[str(name)], categories=values)
        return _tidied(frame, path)


def _tidied(frame: pd.DataFrame, path: Path) -> tuple[pd.DataFrame, list[str]]:
    from cpvae.data.cells import read_frame

    check_repeats([str(name) for name in frame.columns], path)
    frame, notes = read_frame(frame)
    return frame, [f"{path.name}: {note}" for note in notes]


READERS: dict[str, Callable[[Path], tuple[pd.DataFrame, list[str]]]] = {
    **dict.fromkeys((".csv", ".tsv", ".tab", ".txt", ".data", ".dat"), read_text),
    **dict.fromkeys((".json", ".jsonl", ".ndjson"), _read_json),
    **dict.fromkeys((".sas7bdat", ".xpt"), _read_sas),
    ".dta": _read_stata,
    ".orc": _read_orc,
    **dict.fromkeys((".feather", ".arrow"), _read_feather),
    ".xlsx": _read_excel,
    ".arff": _read_arff,
}
SUFFIXES = (*READERS, shards.SUFFIX)


def is_table(path: Path) -> bool:
    """Say whether the name of a file is that of a table."""
    suffix = suffix_of(path)
    compressed = path.suffix.lower() in OPENERS
    return READERS.get(suffix) in (read_text, _read_json) if compressed else suffix in SUFFIXES


def _needed(module: str, what: str, path: Path) -> Any:
    with needed(f"{path}: {what}"):
        return importlib.import_module(module)


def label_columns(asked: Asked, names: Sequence[str], path: Path) -> tuple[str | None, str | None]:
    """Find the column of labels, and that of known labels; None where there is none in the table.

    Raises:
        InputError: neither a column nor a file.
    """
    return _named(asked.labels, names, path, "label column"), _named(asked.known, names, path, "column of known labels")


def _named(asked: str | None, names: Sequence[str], path: Path, what: str) -> str | None:
    """Find the column asked for; None where none is, or where its cells are in a file of their own.

    Raises:
        InputError: neither a column nor a file.
    """
    if asked is None or asked in names:
        return asked
    if asked == LAST and names:
        return names[-1]
    if expanded(Path(asked)).exists():
        return None
    # the whole list of a wide table would not be one readable line
    known = get_close_matches(asked, names, n=1) or names[:10]
    raise input_error(f"{path}: no {what} {asked!r}{nearest(asked, known)}")


def _table(frame: pd.DataFrame, notes: list[str], path: Path, asked: Asked) -> Opened:
    import pandas as pd

    names = [str(name) for name in frame.columns]
    check_repeats(names, path)
    column, known = label_columns(asked, names, path)
    left_out = _apart(column, known)
    if column != asked.labels and column is not None:
        notes = [*notes, f"{path.name}: the labels are in the last column, {column!r}"]
    features = [k for k, name in enumerate(names) if name not in left_out]
    if not features:
        raise input_error(f"{path}: no columns besides the labels; expected one or more columns of numbers")
    check_rows(len(frame), path)
    kept = tuple(names[k] for k in features)
    y = None
    if column is not None:
        y, more = label_column(frame.iloc[:, names.index(column)], column, path)
        notes = [*notes, *more]
    index = frame.index
    named = None if isinstance(index, pd.RangeIndex) or index.dtype.kind in "iu" else index.astype(str).to_numpy()
    split = Split(_features(frame.iloc[:, features], kept, path), y, named)
    return Opened({"all": split}, "table", kept, tuple(notes), column is not None, left_out)


def _apart(*labels: str | None) -> tuple[str, ...]:
    """Name the columns of labels, each once."""
    return tuple(dict.fromkeys(name for name in labels if name is not None))


def _features(frame: pd.DataFrame, names: tuple[str, ...], path: Path) -> Array | pd.DataFrame:
    """Give the features as an array where they are all numbers without units, or all booleans, and none is missing."""
    from cpvae.data.cells import signs_of

    kinds = {getattr(dtype, "kind", "O") for dtype in frame.dtypes}
    alike = kinds == {"b"} or kinds <= set("iuf")
    if alike and not signs_of(frame) and not frame.isna().any(axis=None):
        dtypes = {getattr(dtype, "numpy_dtype", dtype) for dtype in frame.dtypes}
        return check_x(frame.to_numpy(dtype=np.result_type(*dtypes)), path, names)
    numbers = [i for i, dtype in enumerate(frame.dtypes) if getattr(dtype, "kind", "O") == "f"]
    values = frame.iloc[:, numbers].to_numpy(dtype=np.float64, na_value=np.nan)
    check_values(np.where(np.isnan(values), 0.0, values), path, tuple(names[i] for i in numbers))
    frame = frame.reset_index(drop=True)
    frame.columns = frame.columns.astype(str)
    return frame


def label_column(column: Column, name: str, path: Path) -> tuple[Array, list[str]]:
    """Give the labels of the rows, and say how many rows have none."""
    missing = column.isna().to_numpy(dtype=bool)
    if missing.all():
        raise input_error(f"{path}: label column {name!r} is empty; expected labels; leave it out")
    notes = []
    if missing.any():
        n = int(missing.sum())
        rows = f"{n:,} row{'s have' if n != 1 else ' has'} no label in {name!r}"
        notes.append(f"{path.name}: {rows}: taken for {NO_LABEL!r}, and left out where categories are judged")
    if not missing.any() and getattr(column.dtype, "kind", "O") in "biuf":
        y: Array = column.to_numpy(dtype=getattr(column.dtype, "numpy_dtype", None))
    else:
        from cpvae.data.cells import as_text

        y = np.array([NO_LABEL if gone else as_text(value) for value, gone in zip(column, missing, strict=True)])
    return check_labels(y, len(column), f"{path}, label column {name!r}"), notes
