"""Parquet files as one table, and tables of numbers larger than the memory.

A large table of numbers is written once, a few thousand rows at a time, as the array it is into the cache, and mapped
into memory from there (`cpvae.data.loaders.mapped`).
"""

from __future__ import annotations

import glob
import os
import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cpvae.data.loaders import mapped
from cpvae.data.loaders.checks import input_error, reading, refuse_odd
from cpvae.data.loaders.images import SUFFIXES
from cpvae.data.loaders.records import Array

ROWS_AT_ONCE = 2**14
SUFFIX = ".parquet"


def find(path: Path) -> list[Path]:
    """Find the Parquet files of a folder without images, or of a pattern such as ``part-*.parquet``, in order."""
    if os.path.isdir(path):  # unlike Path.is_dir, also answers for a name that is too long
        files = sorted(one for one in path.iterdir() if not one.name.startswith((".", "_")))
        found = [one for one in files if one.suffix.lower() == SUFFIX]
        if any(one.suffix.lower() in SUFFIXES for one in files):
            return []
        refuse_odd(found, path, f"{SUFFIX} files")
        return found
    if os.path.exists(path) or not re.search(r"[*?\[]", path.name):
        return []
    found = sorted(map(Path, glob.glob(str(path))))
    other = next((one for one in found if one.suffix.lower() != SUFFIX), None)
    if other is not None:
        raise input_error(
            f"{path}: matches {other.name}; expected {SUFFIX} files only; give a narrower pattern, or join the files "
            "into one"
        )
    refuse_odd(found, path.parent, f"{SUFFIX} files")
    return found


def check_alike(paths: list[Path]) -> None:
    """Refuse files that are no parts of one table.

    Raises:
        InputError: one cannot be read, has no rows, other columns than the first, or text where that has numbers.
    """
    first, *_ = paths
    expected: dict[str, Any] = {}
    for path in paths:
        schema, rows = footer(path)
        if not rows:
            raise input_error(f"{path}: 0 rows; expected rows in every file of a table; remove it, or write it again")
        kinds = {field.name: field.type for field in schema}
        expected = expected or kinds
        if list(kinds) != list(expected):
            given, wanted = ([name for name in a if name not in b] for a, b in ((kinds, expected), (expected, kinds)))
            odd = f"no column {wanted[0]!r}" if wanted else f"a column {given[0]!r}" if given else "another order"
            raise input_error(
                f"{path}: {odd}; expected the columns of {first.name}, {', '.join([*expected][:10])}"
                f"{', ...' * (len(expected) > 10)}; give every file the same"
            )
        for name, kind in kinds.items():
            if is_number(kind) != is_number(expected[name]):
                raise input_error(
                    f"{path}: column {name!r} holds {kind}; expected {expected[name]}, as in {first.name}; convert it"
                )


def names(paths: list[Path]) -> list[str]:
    """Give the names of the columns of a table, the index of a data frame left out."""
    with reading(paths[0], "a parquet file"):
        schema, _ = footer(paths[0])
        index = set(_index_columns(schema))
        return [field.name for field in schema if field.name not in index]


def as_array(
    paths: list[Path], labels: str | None, known: str | None = None
) -> tuple[Array, tuple[str, ...], Array | None] | None:
    """Map the numbers of a large table into memory; give these, the names of its columns, and the labels.

    The columns of labels, and of known labels, are no part of the numbers.

    None where the table is not large, has columns that are no numbers, two of one name, or missing cells.

    Raises:
        InputError: the cache cannot be written, or has no room.
    """
    with reading(paths[0], "a parquet file"):
        schemas = [footer(path) for path in paths]
        own = names(paths)
        if len(set(own)) < len(own):
            return None
        kinds = [[schema.field(name).type for name in own if name not in (labels, known)] for schema, _ in schemas]
    features = tuple(name for name in own if name not in (labels, known))
    if not features or not all(is_number(kind) for row in kinds for kind in row):
        return None
    dtype = np.result_type(*{np.dtype(kind.to_pandas_dtype()) for row in kinds for kind in row})
    shape = (sum(rows for _, rows in schemas), len(features))
    if mapped.size_of({"": (shape, dtype)}) <= mapped.LARGE:
        return None
    found = mapped.mapped(paths, "", features, {"": (shape, dtype)}, partial(_write, paths, features, dtype))
    if found is None:
        return None
    return found[""], features, None if labels is None else _column(paths, labels)


def _write(paths: list[Path], features: tuple[str, ...], dtype: np.dtype[Any], files: mapped.Files) -> bool:
    """Write the numbers of all rows; False where a cell is missing."""
    from pyarrow.parquet import ParquetFile

    for path in paths:
        with reading(path, "a parquet file"):
            for batch in ParquetFile(path).iter_batches(ROWS_AT_ONCE, columns=list(features), use_threads=False):
                columns = [batch.column(name) for name in features]
                if any(column.null_count for column in columns):
                    return False
                values = [column.to_numpy(zero_copy_only=False) for column in columns]
                block = np.column_stack(values).astype(dtype, copy=False)
                if dtype.kind == "f" and np.isnan(block).any():
                    return False
                files[""].write(np.ascontiguousarray(block).data)
    return True


def _column(paths: list[Path], name: str) -> Any:
    import pandas as pd
    from pyarrow.parquet import read_table

    return pd.concat([as_pandas(read_table(path, columns=[name]))[name] for path in paths], ignore_index=True)


def as_pandas(table: Any) -> Any:
    """Give a table of Arrow, or a batch of its rows, as a data frame in which long whole numbers keep their digits.

    By themselves those beside missing cells would become floating-point numbers.
    """
    import pandas as pd
    import pyarrow as pa
    from pyarrow.compute import min_max

    from cpvae.data.values import EXACT

    frame = table.to_pandas()
    kept = {pa.int64(): pd.Int64Dtype(), pa.uint64(): pd.UInt64Dtype()}
    for name, column in zip(table.schema.names, table.columns, strict=True):
        if column.type not in kept or not 0 < column.null_count < len(column) or name not in frame:
            continue
        if max(map(abs, min_max(column).as_py().values())) > EXACT:
            frame[name] = column.to_pandas(types_mapper=kept.get).array
    return frame


def footer(path: Path) -> tuple[Any, int]:
    """Read the columns of a file and how many rows it has, and nothing else."""
    from pyarrow.parquet import ParquetFile

    with reading(path, "a parquet file"), ParquetFile(path) as file:
        return file.schema_arrow, file.metadata.num_rows


def _index_columns(schema: Any) -> list[str]:
    """Find the columns that are the index of a data frame, not data."""
    about = schema.pandas_metadata or {}
    return [name for name in about.get("index_columns", []) if isinstance(name, str)]


def is_number(kind: Any) -> bool:
    """Say whether a type of Arrow is one of numbers."""
    from pyarrow import types

    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind))
