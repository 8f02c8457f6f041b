"""Parquet files, and cells of AnnData, read part by part, for work on more rows than the memory holds.

A part of a Parquet file is one row group, or several small ones, and is read alone. That gives what reading all rows
together would give only if each cell says by itself what it is. Numbers, booleans, dates and categories do. Text does
not: whether a column of text holds numbers, and how they are written, only all of its cells can tell.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cpvae.data.loaders import cells, shards, tables
from cpvae.data.loaders.checks import expanded, reading
from cpvae.data.loaders.files import of_frame, of_opened
from cpvae.data.loaders.records import Asked, Dataset
from cpvae.data.loaders.registry import NAMES
from cpvae.data.loaders.text import suffix_of
from cpvae.extras import needed

if TYPE_CHECKING:
    import pandas as pd

NUMBER, DATE, CATEGORY, TEXT, OTHER = "number", "date", "category", "text", "other"
ROWS_IN_PART = 2**14  # of a file of AnnData: so many that few files hold the answers
CELLS = 2**21  # in memory at once, and of small row groups in a part: 16 MB of numbers


@dataclass(frozen=True)
class Part:
    """Some row groups of a file, one after another.

    Attributes:
        path: the file, one of a table.
        groups: their numbers in the file.
        first: the number of the first of their rows in the table.
        rows: how many there are.
        at_once: rows that are in memory together.
        indexed: whether an index that the file keeps names the rows; that of one file of several does not.
    """

    path: Path
    groups: tuple[int, ...]
    first: int
    rows: int
    at_once: int
    indexed: bool

    def pieces(self, table: Parted, modelled: set[str]) -> Iterator[Dataset]:
        """Read the rows of a part of a table as `Parted.pieces` says."""
        as_is = {name: "category" for name, kind in table.kinds.items() if kind == TEXT and name not in modelled}
        for frame in self._frames(table.without):
            frame = frame.astype({name: kind for name, kind in as_is.items() if name in frame})
            yield of_frame(frame, table.path, Asked(kind=table.asked.kind, shape=table.asked.shape))

    def _frames(self, without: set[str]) -> Iterator[pd.DataFrame]:
        """Read the rows, some at a time, without some columns."""
        from pyarrow.parquet import ParquetFile

        with reading(self.path, "a parquet file"), ParquetFile(self.path) as file:
            kept = [name for name in file.schema_arrow.names if name not in without]
            for batch in file.iter_batches(self.at_once, row_groups=list(self.groups), columns=kept, use_threads=False):
                frame = shards.as_pandas(batch)
                yield frame if self.indexed else frame.reset_index(drop=True)


@dataclass(frozen=True)
class Cells:
    """Some cells of a file of AnnData.

    Attributes:
        stored: the matrix in the file.
        first: the number of the first of them.
        rows: how many there are.
    """

    stored: cells.Stored
    first: int
    rows: int

    def pieces(self, table: Parted, modelled: set[str]) -> Iterator[Dataset]:
        """Read the cells as `Parted.pieces` says."""
        size, end = rows_at_once(len(self.stored.genes)), self.first + self.rows
        for start in range(self.first, end, size):
            taken = self.stored.take(start, min(start + size, end))
            yield of_opened(taken, Asked(kind=table.asked.kind), table.path)


@dataclass(frozen=True)
class Parted:
    """A table in parts.

    Attributes:
        path: as it was given.
        asked: how to read it.
        kinds: what the cells of each column are: numbers, dates, categories, text, or something else.
        without: columns that are no part of the rows.
        parts: in the order of the rows.
    """

    path: Path
    asked: Asked
    kinds: Mapping[str, str]
    without: set[str]
    parts: tuple[Part | Cells, ...]

    def pieces(self, part: Part | Cells, modelled: set[str]) -> Iterator[Dataset]:
        """Read a part, some rows at a time, as `cpvae.datasets.load` reads the whole.

        Args:
            modelled: the columns of a model. Text in others, such as names of rows, stays as it is.

        Raises:
            InputError: as for `cpvae.datasets.load`.
        """
        return part.pieces(self, modelled)


def parted(source: str, asked: Asked) -> Parted | None:
    """Part a table of Parquet files, or cells of AnnData; None for other data, or with labels in a file of their own.

    Raises:
        InputError: a file that cannot be read, files that are no parts of one table, no such label column.
    """
    path = expanded(Path(source))
    if source not in NAMES and path.exists() and cells.has_layers(path):
        return _of_cells(path, asked)
    files = [] if source in NAMES or asked.layer is not None else shards.find(path) or [path]
    if not files or suffix_of(files[0]) != shards.SUFFIX or not files[0].is_file():
        return None
    with needed(f"{path}: a parquet file"):
        import pyarrow  # noqa: F401
    if len(files) > 1:
        shards.check_alike(files)
    own = shards.names(files)
    labels, known = tables.label_columns(asked, own, path)
    kinds = [{field.name: _kind(field.type) for field in shards.footer(one)[0]} for one in files]
    elsewhere = (asked.labels is not None and labels is None) or (asked.known is not None and known is None)
    parts = tuple(_parts(files, rows_at_once(len(own))))
    if elsewhere or len(set(own)) < len(own) or any(one != kinds[0] for one in kinds) or not parts:
        return None
    without = {name for name in (labels, known) if name is not None}
    return Parted(path, asked, {name: kinds[0][name] for name in own}, without, parts)


def _of_cells(path: Path, asked: Asked) -> Parted | None:
    """Part the cells of a file of AnnData."""
    if asked.kind not in ("auto", "counts", "matrix") or (asked.labels is not None and Path(asked.labels).is_file()):
        return None
    found = cells.stored(path, asked)
    if found is None:
        return None
    size = max(ROWS_IN_PART, rows_at_once(len(found.genes)))
    n = found.shape[0]
    parts = tuple(Cells(found, first, min(size, n - first)) for first in range(0, n, size))
    return Parted(path, asked, dict.fromkeys(found.genes, NUMBER), set(), parts) if parts else None


def rows_at_once(columns: int) -> int:
    """Count the rows that are in memory together.

    >>> rows_at_once(20)
    104857
    """
    return max(1, CELLS // max(1, columns))


def _parts(files: list[Path], at_once: int) -> Iterator[Part]:
    """Part files, each by its row groups."""
    from pyarrow.parquet import ParquetFile

    first = 0
    for path in files:
        with reading(path, "a parquet file"), ParquetFile(path) as file:
            sizes = [file.metadata.row_group(i).num_rows for i in range(file.metadata.num_row_groups)]
        groups, n = list[int](), 0
        for i, size in enumerate(sizes):
            if n and n + size > at_once:
                yield Part(path, tuple(groups), first, n, at_once, len(files) == 1)
                first, groups, n = first + n, [], 0
            groups, n = [*groups, i], n + size
        if n:
            yield Part(path, tuple(groups), first, n, at_once, len(files) == 1)
            first += n


def _kind(kind: Any) -> str:
    """Say what the cells of a column are."""
    from pyarrow import types

    if shards.is_number(kind):
        return NUMBER
    if types.is_timestamp(kind) or types.is_date(kind):
        return DATE
    if types.is_dictionary(kind):
        return CATEGORY
    return TEXT if types.is_string(kind) or types.is_large_string(kind) else OTHER
