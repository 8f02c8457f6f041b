"""The schema of a table, stored with a model: it turns cells into numbers, and numbers into cells.

`Schema.infer` looks once at all rows of a table. `cpvae.data.kinds` has the rule for columns, and `cpvae.data.cells`
reads the text of cells. Missing cells (None, NaN, pandas' NA, marks such as "NA") stay missing: nothing here fills
them. `encode` makes a matrix of numbers: a level becomes its position among the levels, a date becomes the number of
days since 1970, and a missing cell becomes NaN.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from numbers import Real
from typing import Any, Self

import numpy as np
import pandas as pd

from cpvae.data import dates, kinds
from cpvae.data.cells import read_frame, same_sign, signs_of
from cpvae.data.columns import IGNORE, KINDS, Column, Level
from cpvae.data.doubts import doubts
from cpvae.data.faults import Faults, enumerated, listed
from cpvae.data.kinds import LeftOut
from cpvae.data.limits import first_beyond
from cpvae.data.meanings import alike
from cpvae.data.reading import Reading, Unknown, blank_rows, column_names, columns_named, find
from cpvae.data.stored import stored_column
from cpvae.data.values import infinite, too_large
from cpvae.errors import InputError, counted, nearest

__all__ = ["KINDS", "Column", "LeftOut", "Schema", "as_frame", "check_given"]

MANY_ROWS = 200_000  # looked at of more, to tell numbers by
WIDE = 100  # columns of one kind from which a table is a matrix
EVERY = "*"  # in place of a name: all columns that are not named

Given = Mapping[str, str | Sequence[Level]]  # of a column its kind, or its levels


# More than 250 lines, by ten: its docstrings have examples.
@dataclass(frozen=True)
class Schema:
    """The columns of a table that are modelled, in order.

    Attributes:
        columns: columns that are modelled.
        given: names of all columns of the table, including columns that are left out.
        left_out: columns that are not modelled, and why.
        notes: assumptions made when the cells were read, one line each; not stored with a model.
        doubt: numbers that may stand for missing cells, in a line, or ""; not stored with a model.

    Examples:
        >>> frame = pd.DataFrame({"size": [1.5, 2.25, None, 0.5], "colour": ["red", "blue", "red", None]})
        >>> schema = Schema.infer(frame)
        >>> [column.kind for column in schema.columns]
        ['numeric', 'categorical']
        >>> matrix = schema.encode(frame)
        >>> matrix.tolist()
        [[1.5, 1.0], [2.25, 0.0], [nan, 1.0], [0.5, nan]]
        >>> schema.decode(matrix[:2])
           size colour
        0  1.50    red
        1  2.25   blue
        >>> schema.expand(matrix)[1]
        ['size', 'colour=blue', 'colour=red']
        >>> Schema.from_dict(schema.as_dict()) == schema
        True
    """

    columns: tuple[Column, ...]
    given: tuple[str, ...]
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = field(default=(), compare=False)
    doubt: str = field(default="", compare=False)

    @classmethod
    def infer(cls, frame: pd.DataFrame, given: Given | None = None) -> Self:
        """Make the schema of a table: the rule of `cpvae.data.kinds` decides for all columns that are not given.

        Args:
            frame: ``n`` rows.
            given: column name -> one of `KINDS`, "ignore", or the levels of a categorical column; some levels may be
                absent from these rows. "date %d.%m.%Y" gives the format of dates. The name "*" stands for all columns
                that are not named.

        Raises:
            InputError: a kind is unknown, a column does not exist, or two have one name; numbers are mixed with text;
                text, fractions or infinities contradict `given`; cells are neither numbers nor text, such as lists; or
                no column is left to model. One message names all columns with the same fault.
        """
        given = dict(given or {})
        check_given(given)
        names = column_names(frame.columns)
        known = set(names)
        absent = [name for name in given if name not in known and name != EVERY]
        if absent:
            raise InputError(
                f"the schema names {columns_named(absent)} that {'is' if len(absent) == 1 else 'are'} not there"
                f"{nearest(absent[0], names[:1000])}"
            )
        kept = {name: given.get(name, given.get(EVERY)) for name in names}
        modelled = [i for i, name in enumerate(names) if kept[name] != IGNORE]
        whole = len(modelled) == len(names)  # a part would be a copy, in memory
        frame, notes = read_frame(frame if whole else frame.iloc[:, modelled])
        found: dict[str, Column | LeftOut] = {name: LeftOut(name, kinds.ASKED) for name in names}
        faults = Faults()
        for i, name in enumerate(names[place] for place in modelled):
            with faults.collected():
                found[name] = _column_of(frame.iloc[:, i], name, kept[name])
        faults.check()
        columns = tuple(column for column in found.values() if isinstance(column, Column))
        signs = signs_of(frame)
        columns = tuple(replace(one, sign=signs.get(one.name, "")) for one in _with_gaps(columns, frame))
        left = tuple(column for column in found.values() if isinstance(column, LeftOut))
        if not columns:
            why = enumerated([f"{one.name!r} ({one.reason})" for one in left])
            text = any(one.why in (kinds.IDENTIFIER, kinds.FREE_TEXT) for one in left)
            raise InputError(
                f"no column is left to model: {why}; expected one or more that vary; ignore fewer in the schema, or "
                "say what they hold" + "; make numbers of text first, by an embedding or by counts of words" * text
            )
        notes += [*_ambiguous(frame, columns), *_alike(columns)]
        return cls(columns, tuple(names), left, tuple(notes), doubts(frame, columns))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of the columns that are modelled."""
        return tuple(column.name for column in self.columns)

    @cached_property
    def ignored(self) -> tuple[str, ...]:
        """The names of the columns that are left out, by the user or by the rule."""
        modelled = set(self.names)
        return tuple(name for name in self.given if name not in modelled)

    @property
    def identifiers(self) -> tuple[str, ...]:
        """The names of the columns that are left out because they only say which row is which."""
        return tuple(one.name for one in self.left_out if one.why == kinds.IDENTIFIER)

    @cached_property
    def all_numeric(self) -> bool:
        """Tell whether every column modelled is numeric, without missing cells, and none is left out."""
        plain = all(column.kind == "numeric" and not column.missing for column in self.columns)
        return plain and not self.ignored

    @cached_property
    def is_matrix(self) -> bool:
        """Tell whether the columns are many and all of one kind, such as genes or pixels, and no cell is missing.

        Such a table is modelled as the matrix it is, not column by column.
        """
        if len(self.columns) < WIDE or any(column.missing for column in self.columns):
            return False
        bits = all(column.levels == (0, 1) for column in self.columns)
        return bits or all(column.kind in ("numeric", "amount", "count") for column in self.columns)

    @cached_property
    def is_plain(self) -> bool:
        """Tell whether the numbers of a table are those in its cells, so that a table on the disk can stay there."""
        return self.is_matrix or all(column.kind in ("numeric", "amount") for column in self.columns)

    def read(self, frame: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray, Reading]:
        """Read a table as that of the fit: its columns in their order, with no level that was not there.

        Columns that the fit did not have are left out, absent ones are missing in every row, and so are cells with a
        level that was not there in the fit.

        Args:
            frame: ``n`` rows.

        Returns:
            The cells, ``(n, F)``; their numbers, as for `encode`; and what is unlike the fit.

        Raises:
            InputError: no column of the fit is there, or what `Column.encode` refuses.

        Examples:
            >>> schema = Schema.infer(pd.DataFrame({"size": [1.5, 2.25, 0.5], "colour": ["red", "blue", "red"]}))
            >>> _, matrix, reading = schema.read(pd.DataFrame({"colour": ["red", "pink"], "shop": [1, 2]}))
            >>> matrix.tolist()
            [[nan, 1.0], [nan, nan]]
            >>> reading.absent, reading.others, str(reading.unknown[0])
            (('size',), ('shop',), "column 'colour' has 'pink' in 1 cell")
        """
        names = column_names(frame.columns)
        order, reading = find(names, len(frame), self.names, self.given, gaps=True)
        if names != list(self.names):
            frame = frame.iloc[:, order]
            frame.columns = pd.Index([names[i] for i in order])
            frame = frame.reindex(columns=list(self.names)) if reading.absent else frame
        return self._read(frame, reading)

    def conform(self, frame: pd.DataFrame, *, strict: bool = False) -> pd.DataFrame:
        """Give the cells of `read`; one warning says what is unlike the fit.

        Args:
            frame: ``n`` rows.
            strict: refuse what would be warned of.

        Raises:
            InputError: as for `read`.
        """
        cells, _, reading = self.read(frame)
        reading.check() if strict else reading.warn()
        return cells

    def encode(self, frame: pd.DataFrame, *, strict: bool = False) -> np.ndarray:
        """Turn cells into numbers: a table as for `conform` -> ``(n, F)``, NaN where missing.

        The numbers are float64, or in the dtype of the table where it is nothing but a matrix of numbers.

        Raises:
            InputError: as for `conform`.
        """
        _, matrix, reading = self.read(frame)
        reading.check() if strict else reading.warn()
        return matrix

    def _read(self, frame: pd.DataFrame, reading: Reading) -> tuple[pd.DataFrame, np.ndarray, Reading]:
        """Read the cells of a table that has the columns of the fit."""
        if self.is_plain and all(isinstance(dtype, np.dtype) and dtype.kind in "iuf" for dtype in frame.dtypes):
            matrix = frame.to_numpy(copy=False)
            check_numbers(matrix, self.names)
            return frame, matrix, self._with_gaps(replace(reading, guessed=tuple(self._other_signs(frame))), matrix)
        read, _ = read_frame(frame)
        matrix = np.full((len(frame), len(self.columns)), np.nan)
        faults, unknown, guessed = Faults(), [], self._other_signs(read)
        for j, column in enumerate(self.columns):
            cells = read.iloc[:, j]
            with faults.collected():
                found = column.read(cells)
                matrix[:, j] = found.values
                if not found.guess and not found.unknown.any():
                    continue
                read = read.copy(deep=False)
                if found.guess:
                    guessed.append(found.guess)
                    read.isetitem(j, column.decode(found.values).array)
                else:
                    read.isetitem(j, cells.astype(object).mask(found.unknown).to_numpy())
                if found.unknown.any():
                    levels = tuple(str(value)[:40] for value in dict.fromkeys(cells[found.unknown]))
                    unknown.append(Unknown(column.name, levels, int(found.unknown.sum())))
        faults.check()
        reading = replace(reading, unknown=tuple(unknown), guessed=tuple(guessed))
        return read, matrix, self._with_gaps(reading, matrix)

    def _other_signs(self, frame: pd.DataFrame) -> list[str]:
        """Say which columns are written with another unit than in the fit, which is not converted."""
        here = signs_of(frame)
        return [
            f"column {one.name!r} is in {new!r}, and was in {one.sign!r} in the fit; numbers stay as they are"
            for one in self.columns
            if one.sign and (new := here.get(one.name)) and not same_sign(one.sign, new)
        ]

    def _with_gaps(self, reading: Reading, matrix: np.ndarray) -> Reading:
        """Note the columns and rows that have no value."""
        blank, first_blank = blank_rows(matrix)
        away = {*reading.absent, *(one.column for one in reading.unknown)}
        empty = [
            name for name, cells in zip(self.names, matrix.T, strict=True) if name not in away and _is_empty(cells)
        ]
        return replace(reading, blank=blank, first_blank=first_blank, empty=tuple(empty))

    def decode(self, matrix: np.ndarray) -> pd.DataFrame:
        """Turn numbers ``(n, F)`` into a table: levels and dates as they were, missing cells None or NaN."""
        cells = [column.decode(matrix[:, j]) for j, column in enumerate(self.columns)]
        return pd.DataFrame(dict(zip(self.names, cells, strict=True)))

    def written(self, matrix: np.ndarray) -> np.ndarray:
        """Give drawn numbers ``(n, F)`` the values that repeat in the columns of the fit; see `Column.repeats`."""
        return np.column_stack([column.written(matrix[:, j]) for j, column in enumerate(self.columns)])

    def expand(self, matrix: np.ndarray) -> tuple[np.ndarray, list[str]]:
        """Give each categorical column as one column of 0 and 1 for each level: ``(n, F)`` -> ``(n, E)``, names.

        A missing cell is missing in all columns of its levels.
        """
        parts: list[np.ndarray] = []
        names: list[str] = []
        for column, values in zip(self.columns, matrix.T, strict=True):
            if column.kind != "categorical":
                parts.append(values)
                names.append(column.name)
                continue
            for code, level in enumerate(column.levels):
                parts.append(np.where(np.isnan(values), np.nan, values == code))
                names.append(f"{column.name}={level}")
        return np.column_stack(parts), names

    def describe(self) -> list[str]:
        """Say in a line for each column of the table what it was taken for."""
        lines = {column.name: column.describe() for column in self.columns}
        lines |= {one.name: one.describe() for one in self.left_out}
        return [lines.get(name, f"{name}: left out") for name in self.given]

    def without(self) -> str:
        """Say which columns the rule left out, and why; "" where there are none, or the user left them out.

        >>> Schema.infer(pd.DataFrame({"a": [1.5, 2.5, 3.5], "b": 3, "c": None})).without()
        "2 of 3 columns are left out: 'b' (its only value is 3), 'c' (no value)"
        """
        left = [f"{one.name!r} ({one.reason})" for one in self.left_out if one.why != kinds.ASKED]
        noun, verb = "column" + "s" * (len(self.given) > 1), "are" if len(left) > 1 else "is"
        return f"{len(left):,} of {len(self.given):,} {noun} {verb} left out: {enumerated(left)}" if left else ""

    def as_given(self) -> dict[str, str | list[Level]]:
        """Say of each column what a fit to a part of the rows must know: its kind, or its levels.

        >>> Schema.infer(pd.DataFrame({"a": [1.5, 2.5, 3.5], "b": list("xyy"), "c": [1, 1, 1]})).as_given()
        {'a': 'numeric', 'b': ['x', 'y'], 'c': 'ignore'}
        """
        modelled: dict[str, str | list[Level]] = {
            column.name: list(column.levels) or f"{column.kind} {column.format}".strip() for column in self.columns
        }
        return {name: modelled.get(name, IGNORE) for name in self.given}

    def as_dict(self) -> dict[str, Any]:
        """Give lists and plain values, as JSON can hold them."""
        columns = [{**asdict(column), "levels": list(column.levels)} for column in self.columns]
        return {"columns": columns, "given": list(self.given), "left_out": [asdict(one) for one in self.left_out]}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """Make the schema that `as_dict` described; models saved by earlier versions say less of each column.

        Raises:
            InputError: a kind that is not known, or names that do not fit together.
        """
        columns = tuple(stored_column(item) for item in value["columns"])
        for column in columns:
            if column.kind not in KINDS:
                check_given({column.name: column.kind})
        left = tuple(LeftOut(**{name: str(item[name]) for name in item}) for item in value.get("left_out", []))
        schema = cls(columns, tuple(map(str, value["given"])), left)
        if not columns or not set(schema.names) <= set(schema.given):
            raise InputError("a schema without columns, or with columns that are not in its table; fit again")
        return schema


def _column_of(cells: pd.Series[Any], name: str, kind: str | Sequence[Level] | None) -> Column | LeftOut:
    """Say what a column holds; of very many rows some are enough to tell a number by."""
    if kind is None and len(cells) > MANY_ROWS and isinstance(cells.dtype, np.dtype) and cells.dtype.kind in "iuf":
        column = kinds.column_of(cells.iloc[:: len(cells) // MANY_ROWS], name)
        if isinstance(column, Column) and column.kind in ("numeric", "amount"):
            return column
    return kinds.column_of(cells, name, kind)


def _with_gaps(columns: tuple[Column, ...], frame: pd.DataFrame) -> tuple[Column, ...]:
    """Count the missing cells of columns that only some rows were looked at of, in one pass over the table."""
    if len(frame) <= MANY_ROWS:
        return columns
    missing = np.zeros(frame.shape[1], dtype=np.int64)
    for start in range(0, len(frame), MANY_ROWS):
        missing += frame.iloc[start : start + MANY_ROWS].isna().to_numpy().sum(0)
    found = dict(zip(map(str, frame.columns), missing.tolist(), strict=True))
    return tuple(replace(column, missing=found[column.name]) for column in columns)


def _is_empty(cells: np.ndarray) -> bool:
    """Say whether there are cells ``(n,)``, and none has a value; the first one mostly tells."""
    return bool(len(cells) and cells[0] != cells[0] and np.isnan(cells).all())


def check_numbers(matrix: np.ndarray, names: Sequence[str]) -> None:
    """Refuse an infinity or an absolute value above 1e30; missing cells pass.

    Raises:
        Fault: naming the first such cell.
    """
    place = first_beyond(matrix)
    if place is not None:
        row, column = place
        value = float(matrix[row, column])
        raise infinite(names[column], row) if np.isinf(value) else too_large(names[column], value, row)


def _ambiguous(frame: pd.DataFrame, columns: Sequence[Column]) -> list[str]:
    """Say which dates were read day first, or month first, though they could be read the other way."""
    place = {str(name): i for i, name in enumerate(frame.columns)}
    names = []
    for column in columns:
        if column.kind != "date" or column.format in (dates.TYPED, dates.WHOLE):
            continue
        texts = [str(value) for value in frame.iloc[:, place[column.name]].dropna().unique()]
        if dates.is_ambiguous(texts, column.format):
            names.append(f"{column.name!r} as {dates.plain(column.format)!r}")
    return [f"dates that can be read day first or month first: {enumerated(names)}"] if names else []


def _alike(columns: Sequence[Column]) -> list[str]:
    """Say which levels look as if they were one, written in several ways."""
    told = [
        f"{' and '.join(repr(level[:40]) for level in same)} in {column.name!r}"
        for column in columns
        for same in alike(column.levels)
    ]
    kept = f"levels that differ in case or blanks alone, kept apart: {enumerated(told)}"
    return [f"{kept}; write them alike if they are one"] if told else []


def check_given(given: object) -> None:
    """Refuse what is not a mapping of column names to kinds or levels.

    Raises:
        InputError: naming the column and the kinds that are known.
    """
    if not isinstance(given, Mapping):
        raise InputError(f"schema={str(given)[:60]}: expected column names with kinds, such as {{'age': 'count'}}")
    for name, kind in given.items():
        if not isinstance(name, str):
            raise InputError(f"the schema names a column {name!r}: expected text; write {str(name)!r}")
        if isinstance(kind, (list, tuple)):
            _check_levels(name, kind)
        else:
            kinds.check_kind(name, kind)


def _check_levels(name: str, levels: Sequence[object]) -> None:
    """Refuse levels that are fewer than two, repeated, or of several types."""
    types = {str if isinstance(level, str) else bool if isinstance(level, bool) else Real for level in levels}
    plain = all(isinstance(level, (str, Real)) for level in levels)
    if not plain or len(types) != 1 or len(levels) < 2 or len(set(levels)) < len(levels):
        raise InputError(
            f"the schema gives the column {name!r} the levels {listed(list(map(str, levels)))}: expected two or more, "
            "different, all of them text or all numbers; correct them"
        )


def as_frame(rows: Any, names: Sequence[str] | None = None) -> pd.DataFrame:
    """Give a table: data frames as they are, arrays ``(n, F)`` with the names given, or "0", "1", ...

    Where one of the two, the data frame or `names`, has no names but "0", "1", ..., columns are found by their places.

    Raises:
        InputError: what is neither, or has other columns than `names`.

    >>> list(as_frame(pd.DataFrame([[1.5, "x"]]), ["size", "colour"])), list(as_frame(pd.DataFrame({"a": [1]}), ["b"]))
    (['size', 'colour'], ['a'])
    """
    if isinstance(rows, pd.DataFrame):
        own = [str(name) for name in rows.columns]
        if names is None or set(own) & set(names) or not (_are_places(own) or _are_places(names)):
            return rows
        _check_as_many(len(own), names)
        return rows.set_axis(list(names), axis=1)
    try:
        array = np.asarray(rows)
    except ValueError as error:
        raise InputError(" ".join(str(error).split())) from error
    if array.ndim != 2:
        raise InputError(f"an array of shape {array.shape}: expected a table, (n, columns); reshape it")
    if names is not None:
        _check_as_many(array.shape[1], names)
    return pd.DataFrame(array, columns=list(names) if names is not None else [str(i) for i in range(array.shape[1])])


def _are_places(names: Sequence[str]) -> bool:
    return list(names) == list(map(str, range(len(names))))


def _check_as_many(columns: int, names: Sequence[str]) -> None:
    if columns != len(names):
        raise InputError(f"rows of {counted(columns, 'column')}; expected {len(names)}, as the model was fitted on")
