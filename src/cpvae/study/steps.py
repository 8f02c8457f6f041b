"""Rows for a fitted model, some at a time: of Parquet files and cells what is read alone, of other data parts of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import pandas as pd

from cpvae.data.cells import same_anywhere, text_columns
from cpvae.data.columns import Column
from cpvae.data.loaders import parts
from cpvae.data.loaders.parts import CATEGORY, DATE, NUMBER, TEXT, Parted
from cpvae.data.loaders.records import Asked
from cpvae.data.reading import Reading
from cpvae.estimators.contract import DeepMixture
from cpvae.estimators.rows_in import take
from cpvae.study.answers import names_of_rows
from cpvae.study.evaluation import choose_split
from cpvae.study.inputs import data_for, notes_of, read_for, reading_of, rows_where_they_are
from cpvae.study.places import apart_of
from cpvae.study.written import columns_written


class Piece(NamedTuple):
    """Rows that are in memory together.

    Attributes:
        rows: as the model takes them, ``(n, ...)``.
        names: columns by which a person knows them, each ``(n,)``.
        reading: of rows that were read alone, what is unlike the table of the fit.
        notes: what the loader took for granted, a line each.
    """

    rows: Any
    names: Mapping[str, Any]
    reading: Reading | None = None
    notes: tuple[str, ...] = ()


class Step(NamedTuple):
    """Rows whose answer is kept together: the number of the first, how many there are, and how to read them."""

    first: int
    rows: int
    pieces: Callable[[], Iterator[Piece]]


class Stepped(NamedTuple):
    """All rows for a model.

    Attributes:
        name: of the data.
        steps: in the order of the rows.
        notes: what was read, a line each, as far as it is known before.
    """

    name: str
    steps: tuple[Step, ...]
    notes: tuple[str, ...] = ()


def stepped(
    model: DeepMixture,
    about: Mapping[str, Any],
    source: str,
    labels: str | None = None,
    layer: str | None = None,
    split: str | None = None,
    strict: bool = False,
    say: Callable[[str], None] | None = None,
) -> Stepped:
    """Plan how data are read for a fitted model.

    Args:
        about: part `about` of the configuration of its run; may be empty.
        source, labels, layer: the data, as on the command line.
        split: of the data.
        strict: refuse a table that is unlike that of the fit.
        say: is told what is fetched.

    Raises:
        InputError: as for `cpvae.study.inputs.open_run`.
    """
    reading = reading_of(model, about, source, layer)
    table = parts.parted(source, Asked(labels, **reading))
    if table is not None and _reads_alone(model, table):
        asked = (split, strict, apart_of(about))
        alone = tuple(Step(one.first, one.rows, partial(_read, model, table, one, *asked)) for one in table.parts)
        return Stepped(table.path.absolute().name, alone)
    data, read = data_for(model, about, source, labels, layer, strict, say)
    split = choose_split(data, split)
    rows, names = rows_where_they_are(data, split), names_of_rows(model, read, split)
    n = size = len(rows)
    if not (isinstance(rows, pd.DataFrame) and text_columns(rows)):  # text is read as all of a column is
        size = parts.rows_at_once(model.n_features_in_)
    firsts = range(0, n, size)
    steps = (Step(i, min(size, n - i), partial(_take, rows, names, slice(i, i + size))) for i in firsts)
    return Stepped(data.name, tuple(steps), notes_of(data, split))


def _reads_alone(model: DeepMixture, table: Parted) -> bool:
    """Say whether each cell of the columns of the fit means the same whatever other cells are read with it."""
    if model.schema_ is not None:  # where no column has a name of the fit, columns are found by their places
        return not table.kinds.keys().isdisjoint(model.schema_.names) and all(
            _says_alone(table.kinds.get(column.name), column) for column in model.schema_.columns
        )
    own = {*columns_written(model)} & {*table.kinds} or {*table.kinds}
    return all(table.kinds[name] == NUMBER for name in own)


def _says_alone(kind: str | None, column: Column) -> bool:
    """Say whether a cell of some kind, None where the column is absent, means the same in any part of its column."""
    if kind == TEXT:
        text = [level for level in column.levels if isinstance(level, str)]
        return column.kind == "categorical" and len(text) == len(column.levels) and same_anywhere(text)
    return {
        None: True,
        NUMBER: column.kind != "date",
        DATE: column.kind == "date" and not column.format,
        CATEGORY: column.kind == "categorical",
    }.get(kind, False)


def _read(
    model: DeepMixture,
    table: Parted,
    part: parts.Part | parts.Cells,
    split: str | None,
    strict: bool,
    apart: Collection[str],
) -> Iterator[Piece]:
    """Read a part of a table, some rows at a time."""
    modelled = {*columns_written(model)} if model.schema_ is None else {*model.schema_.names}
    for data in table.pieces(part, modelled):
        name = choose_split(data, split)
        found, readings = read_for(data, model, strict, apart)
        yield Piece(rows_where_they_are(found, name), names_of_rows(model, data, name), readings.get(name), data.notes)


def _take(rows: Any, names: Mapping[str, Any], part: slice) -> Iterator[Piece]:
    """Take some of the rows that are open."""
    yield Piece(take(rows, part), {name: cells[part] for name, cells in names.items()})
