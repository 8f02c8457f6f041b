"""What the columns of a table hold, and how its cells become numbers and back.

A column is of one of three kinds:

- "categorical": one of a few levels. Text, booleans, pandas categories, and numbers of which only two differ.
- "count": how often something happened. Whole numbers from 0 to 10,000 whose variance is at least 0.8 of their mean:
  a negative binomial, the density for counts (`cpvae.probability.likelihoods.columns.Columns`), cannot be narrower
  than a Poisson, whose variance is its mean. Calendar years and ratings spread less than that; many identifiers are
  larger.
- "numeric": every other number.

Missing cells (None, NaN, pandas' NA) stay missing: nothing here fills them. In the matrix of numbers that `encode`
makes a level is its position among the levels, and a missing cell is NaN.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from cpvae.errors import InputError, nearest

if TYPE_CHECKING:
    Series = pd.Series[Any]

KINDS = ("numeric", "categorical", "count")
IGNORE = "ignore"  # in place of a kind: the column is left out

MOST_COUNT = 10_000  # larger whole numbers are taken for measurements
LEAST_DISPERSION = 0.8  # variance over mean; of a Poisson it is 1, of a sample of one at times a little less
LARGEST_COUNT = 2**24  # up to which float32 holds every whole number
CHUNK = 10_000  # rows looked at together, for an array that lies on the disk
LARGEST = 1e30  # float32 ends at 3.4e38; squares of standardised values need room
MANY_LEVELS = 50  # always allowed; more may be up to half of the rows

Level = str | bool | int | float
Given = Mapping[str, str | Sequence[Level]]  # of a column its kind, or its levels


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        name: as in the table.
        kind: one of `KINDS`.
        levels: of a categorical column, in order; the code of a level is its position.
        missing: how many cells were missing in the table that the schema was made from.
    """

    name: str
    kind: str
    levels: tuple[Level, ...] = ()
    missing: int = 0

    def encode(self, cells: Series) -> np.ndarray:
        """Cells as float64 ``(n,)``; NaN where missing.

        Raises:
            InputError: an unknown level; text, an infinity or a value above 1e30 where numbers are expected; a count
                that is negative, fractional or above 2^24.
        """
        if self.kind == "categorical":
            return self._codes(cells)
        values = _numbers(cells, self.name, self.kind)
        if self.kind == "count":
            bad = (values < 0) | (values != np.floor(values)) & ~np.isnan(values) | (values > LARGEST_COUNT)
            if bad.any():
                row = int(bad.argmax())
                raise InputError(
                    f"column {self.name!r}: {values[row]:g} in row {row} (counted from 0) is no count; expected whole "
                    f"numbers from 0 to {LARGEST_COUNT:,}; correct it, or make the column 'numeric' in the schema"
                )
        return values

    def _codes(self, cells: Series) -> np.ndarray:
        values, distinct = _factorised(cells, self.name)
        known = {_key(level, self.levels): code for code, level in enumerate(self.levels)}
        codes = np.array([known.get(_key(value, self.levels), -1) for value in distinct] + [np.nan])
        result: np.ndarray = codes[values]  # a missing cell has the index -1
        if (result == -1).any():
            row = int((result == -1).argmax())
            raise InputError(
                f"column {self.name!r}: the value {str(distinct[values[row]])[:60]!r} in row {row} (counted from 0) "
                f"was not there in the fit; expected {listed(self.levels)}; correct it or leave the cell empty"
            )
        return result

    def decode(self, values: np.ndarray) -> Series:
        """Numbers ``(n,)`` to cells: levels, whole counts, numbers; None or NaN where missing."""
        missing = np.isnan(values)
        if self.kind == "numeric":
            return pd.Series(values)
        if self.kind == "count":
            return pd.Series(np.rint(values) if missing.any() else np.rint(values).astype(np.int64))
        table = pd.Series(list(self.levels))
        codes = np.where(missing, 0, np.nan_to_num(values)).astype(np.int64)
        cells = table.iloc[codes].reset_index(drop=True)
        if not missing.any():
            return cells
        if cells.dtype.kind == "b":
            cells = cells.astype(object)
        return cells.where(~missing, None)

    def describe(self) -> str:
        """The column in a line, to be read by people.

        >>> Column("colour", "categorical", ("blue", "red"), missing=3).describe()
        "colour: categorical, 2 levels ('blue', 'red'); 3 cells missing"
        """
        text = f"{self.name}: {self.kind}"
        if self.levels:
            text += f", {len(self.levels)} levels ({listed(self.levels)})"
        return text + (f"; {self.missing:,} cell{'s' * (self.missing != 1)} missing" if self.missing else "")


@dataclass(frozen=True)
class Schema:
    """The columns of a table that are modelled, in order.

    Attributes:
        columns: those modelled.
        given: the names of all columns of the table, the ignored ones included.

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

    @classmethod
    def infer(cls, frame: pd.DataFrame, given: Given | None = None) -> Self:
        """The schema of a table: what is not given is inferred as this module's docstring says.

        Args:
            frame: ``n`` rows.
            given: column name -> one of `KINDS`, or "ignore", or the levels of a categorical column, of which some may
                be absent from these rows.

        Raises:
            InputError: an unknown kind, a column that is not there, two of one name; a column without any value or
                with a single one; text with nearly as many levels as rows; numbers mixed with text; text, fractions or
                infinities where `given` says otherwise; dates, lists and other cells that are neither numbers nor text.
        """
        given = dict(given or {})
        check_given(given)
        names = column_names(frame)
        absent = [name for name in given if name not in names]
        if absent:
            raise InputError(f"the schema names a column {absent[0]!r} that is not there{nearest(absent[0], names)}")
        columns = [
            _infer_column(frame.iloc[:, i], name, given.get(name))
            for i, name in enumerate(names)
            if given.get(name) != IGNORE
        ]
        if not columns:
            raise InputError("no column is left to model; expected one or more; ignore fewer in the schema")
        return cls(tuple(columns), tuple(names))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns modelled."""
        return tuple(column.name for column in self.columns)

    @property
    def ignored(self) -> tuple[str, ...]:
        """The names of the columns that are left out."""
        return tuple(name for name in self.given if name not in self.names)

    @property
    def all_numeric(self) -> bool:
        """Whether every column of the table is numeric, without missing cells."""
        plain = all(column.kind == "numeric" and not column.missing for column in self.columns)
        return plain and not self.ignored

    def encode(self, frame: pd.DataFrame) -> np.ndarray:
        """Cells as numbers: a table with these columns, in any order -> float64 ``(n, F)``, NaN where missing.

        Raises:
            InputError: a column that is not there or that the fit did not have, a row without any value, and what
                `Column.encode` refuses.
        """
        names = column_names(frame)
        for name in self.names:
            if name not in names:
                raise InputError(f"no column {name!r}{nearest(name, names[:10])}; give the columns of the fit")
        for name in names:
            if name not in self.given:
                raise InputError(f"a column {name!r} that the fit did not have; expected {listed(self.names)}; drop it")
        matrix = np.column_stack([column.encode(frame.iloc[:, names.index(column.name)]) for column in self.columns])
        empty = np.isnan(matrix).all(1)
        if empty.any():
            raise InputError(
                f"row {int(empty.argmax())} (counted from 0) has no value in any column ({int(empty.sum())} such "
                f"row{'s' * (int(empty.sum()) != 1)}); expected one or more; drop the row"
            )
        return matrix

    def decode(self, matrix: np.ndarray) -> pd.DataFrame:
        """Numbers ``(n, F)`` to a table: the levels as they were, whole counts, missing cells None or NaN."""
        cells = {column.name: column.decode(matrix[:, j]) for j, column in enumerate(self.columns)}
        return pd.DataFrame(cells, columns=list(self.names))

    def expand(self, matrix: np.ndarray) -> tuple[np.ndarray, list[str]]:
        """Each categorical column as one column of 0 and 1 for each level: ``(n, F)`` -> ``(n, E)``, names.

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
        """A line for each column of the table."""
        columns = {column.name: column for column in self.columns}
        return [columns[name].describe() if name in columns else f"{name}: ignored" for name in self.given]

    def as_given(self) -> dict[str, str | list[Level]]:
        """Say of each column what a fit to a part of the rows must know: its kind, or its levels.

        >>> frame = pd.DataFrame({"a": [1.5, 2.5, 3.5], "b": ["x", "y", "x"], "c": [1, 1, 1]})
        >>> Schema.infer(frame, {"c": "ignore"}).as_given()
        {'a': 'numeric', 'b': ['x', 'y'], 'c': 'ignore'}
        """
        modelled = {column.name: list(column.levels) or column.kind for column in self.columns}
        return {name: modelled.get(name, IGNORE) for name in self.given}

    def as_dict(self) -> dict[str, Any]:
        """Lists and plain values, as JSON can hold them."""
        columns = [{**asdict(column), "levels": list(column.levels)} for column in self.columns]
        return {"columns": columns, "given": list(self.given)}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """What `as_dict` made.

        Raises:
            InputError: a kind that is not known, or names that do not fit together.
        """
        columns = []
        for item in value["columns"]:
            column = Column(str(item["name"]), str(item["kind"]), tuple(item["levels"]), int(item["missing"]))
            check_given({column.name: column.kind})
            if (column.kind == "categorical") != (len(column.levels) > 1):
                raise InputError(f"column {column.name!r} is {column.kind} with {len(column.levels)} levels; fit again")
            columns.append(column)
        schema = cls(tuple(columns), tuple(map(str, value["given"])))
        if not columns or not set(schema.names) <= set(schema.given):
            raise InputError("a schema without columns, or with columns that are not in its table; fit again")
        return schema


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
        elif kind not in (*KINDS, IGNORE):
            raise InputError(f"the schema says {kind!r} of column {name!r}{nearest(str(kind), (*KINDS, IGNORE))}")


def _check_levels(name: str, levels: Sequence[object]) -> None:
    """Refuse levels that are fewer than two, repeated, or of several types."""
    kinds = {str if isinstance(level, str) else bool if isinstance(level, bool) else Real for level in levels}
    plain = all(isinstance(level, (str, Real)) for level in levels)
    if not plain or len(kinds) != 1 or len(levels) < 2 or len(set(levels)) < len(levels):
        raise InputError(
            f"the schema gives the column {name!r} the levels {listed(list(map(str, levels)))}: expected two or more, "
            "different, all of them text or all numbers; correct them"
        )


def as_frame(rows: Any, names: Sequence[str] | None = None) -> pd.DataFrame:
    """A table: data frames as they are, arrays ``(n, F)`` with the names given, or "0", "1", ...

    Raises:
        InputError: what is neither, or has other columns than `names`.
    """
    if isinstance(rows, pd.DataFrame):
        return rows
    try:
        array = np.asarray(rows)
    except ValueError as error:
        raise InputError(" ".join(str(error).split())) from error
    if array.ndim != 2:
        raise InputError(f"an array of shape {array.shape}: expected a table, (n, columns); reshape it")
    if names is not None and len(names) != array.shape[1]:
        raise InputError(f"rows of {array.shape[1]} columns; expected {len(names)}, as the model was fitted on")
    return pd.DataFrame(array, columns=list(names) if names is not None else [str(i) for i in range(array.shape[1])])


def column_names(frame: pd.DataFrame) -> list[str]:
    """Names of the columns as text.

    Raises:
        InputError: two of one name.
    """
    names = [str(name) for name in frame.columns]
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise InputError(f"more than one column is called {repeated[0]!r}; expected different names; rename them")
    return names


def first_gap(rows: Any) -> str:
    """Where rows have text or a missing cell first, in words; "" where all cells are numbers.

    Looks at data frames and at floating numbers in two dimensions; other rows cannot have any.

    >>> first_gap(pd.DataFrame({"a": [1, 2], "b": [0.5, None]}))
    "a missing cell in column 'b', row 1 (counted from 0)"
    """
    if isinstance(rows, pd.DataFrame):
        for i, name in enumerate(rows.columns):
            cells = rows.iloc[:, i]
            if len(cells) and not _holds_numbers(cells):
                return f"column {str(name)!r} holds {'text' if cells.notna().any() else 'no numbers'}"
            if cells.isna().any():
                return f"a missing cell in column {str(name)!r}, row {int(cells.isna().argmax())} (counted from 0)"
        return ""
    try:
        array = np.asarray(rows) if isinstance(rows, (list, tuple)) else rows
    except ValueError:  # ragged: refused where rows are checked
        return ""
    if not isinstance(array, np.ndarray) or array.ndim != 2 or array.dtype.kind != "f":
        return ""
    for start in range(0, len(array), CHUNK):
        missing = np.argwhere(np.isnan(array[start : start + CHUNK]))
        if len(missing):
            return f"a missing cell in column {missing[0, 1]}, row {start + missing[0, 0]} (counted from 0)"
    return ""


def listed(values: Sequence[Level], most: int = 5) -> str:
    """Values with commas, the first few of many.

    >>> listed(("a", "b")), listed(range(100))
    ("'a', 'b'", '0, 1, 2, 3, 4, ... (100 in all)')
    """
    text = ", ".join(repr(value[:40] if isinstance(value, str) else value) for value in values[:most])
    return text + (f", ... ({len(values)} in all)" if len(values) > most else "")


# -- one column -------------------------------------------------------------------------------------------------------


def _infer_column(cells: Series, name: str, kind: str | Sequence[Level] | None) -> Column:
    missing = int(cells.isna().sum())
    if missing == len(cells):
        raise InputError(
            f"column {name!r} has no value in any of the {len(cells)} rows; expected some; drop the column, or make it "
            "'ignore' in the schema"
        )
    if cells.dtype.kind in "cmM":
        raise InputError(
            f"column {name!r} has dtype {cells.dtype}; expected numbers, text or booleans; convert it, or make it "
            "'ignore' in the schema"
        )
    if kind is not None and not isinstance(kind, str):
        given = Column(name, "categorical", tuple(kind), missing)
        given.encode(cells)  # refuses a cell of another level
        return given
    kind = kind or _guess(cells, name)
    column = Column(name, kind, _levels(cells, name) if kind == "categorical" else (), missing)
    values = column.encode(cells)
    distinct = np.unique(values[~np.isnan(values)])
    if len(distinct) < 2:
        value = column.decode(distinct).iloc[0]
        raise InputError(
            f"constant column {name!r} (its only value is {value!r}): expected values that vary; drop it, or make it "
            "'ignore' in the schema"
        )
    return column


def _guess(cells: Series, name: str) -> str:
    """The kind of a column; see this module's docstring."""
    if not _holds_numbers(cells) or cells.dtype.kind == "b":
        _refuse_mixture(cells, name)
        return "categorical"
    values = _numbers(cells, name, "numeric")
    values = values[~np.isnan(values)]
    if len(np.unique(values)) <= 2:
        return "categorical"
    counted = bool(((values >= 0) & (values == np.floor(values))).all()) and values.max() <= MOST_COUNT
    return "count" if counted and values.var() >= LEAST_DISPERSION * values.mean() else "numeric"


def _holds_numbers(cells: Series) -> bool:
    """Whether a column is of numbers or booleans, be it as Python objects."""
    if isinstance(cells.dtype, pd.CategoricalDtype):
        return False
    if cells.dtype == object:
        cells = cells.dropna().infer_objects()
    return cells.dtype.kind in "biuf"


def _refuse_mixture(cells: Series, name: str) -> None:
    """Numbers with a little text among them are a slip, or a mark for missing cells, rather than levels."""
    if cells.dtype.kind == "b" or isinstance(cells.dtype, pd.CategoricalDtype):
        return
    observed = cells.dropna()
    text = pd.to_numeric(observed.astype(str), errors="coerce").isna().to_numpy()
    if text.any() and text.mean() < 0.5:
        row = int(np.flatnonzero(cells.notna())[text.argmax()])
        raise InputError(
            f"column {name!r} holds numbers and text, first {str(cells.iloc[row])[:60]!r} in row {row} (counted from "
            "0); expected one or the other; correct the cell or leave it empty, or make the column 'categorical' in "
            "the schema"
        )


def _levels(cells: Series, name: str) -> tuple[Level, ...]:
    """The levels of a categorical column in order: of pandas' categories theirs, else sorted."""
    _, distinct = _factorised(cells, name)
    most = max(MANY_LEVELS, len(cells) // 2)
    if len(distinct) > most:
        raise InputError(
            f"column {name!r} has {len(distinct):,} levels in {len(cells):,} rows, as an identifier has; expected at "
            f"most {most:,}; make it 'ignore' in the schema, or 'numeric' if it holds numbers"
        )
    if isinstance(cells.dtype, pd.CategoricalDtype):
        found = set(distinct)
        distinct = [category for category in cells.dtype.categories if category in found]
    if all(isinstance(value, (bool, np.bool_)) for value in distinct):
        return tuple(sorted(map(bool, distinct)))
    if all(isinstance(value, Real) for value in distinct):
        numbers = [float(value) for value in distinct]
        return tuple(sorted(int(value) if value.is_integer() else value for value in numbers))
    texts = list(dict.fromkeys(_text(value) for value in distinct))
    return tuple(texts if isinstance(cells.dtype, pd.CategoricalDtype) else sorted(texts))


def _factorised(cells: Series, name: str) -> tuple[np.ndarray, list[Any]]:
    """For each cell the index of its value among the distinct ones, -1 where missing; and these."""
    try:
        index, distinct = pd.factorize(cells)
    except TypeError as error:
        raise _not_a_level(name, cells.dropna().iloc[0]) from error
    values = list(distinct)
    for value in values:
        if isinstance(value, float) and np.isinf(value):
            raise _infinite(name, int((index == values.index(value)).argmax()))
        if not isinstance(value, (str, bytes, Real, np.bool_)):
            raise _not_a_level(name, value)
    return index, values


def _not_a_level(name: str, value: object) -> InputError:
    return InputError(
        f"column {name!r} holds {type(value).__name__} cells, such as {str(value)[:40]!r}; expected numbers, text or "
        "booleans; convert it, or make it 'ignore' in the schema"
    )


def _infinite(name: str, row: int) -> InputError:
    return InputError(
        f"infinity in column {name!r}, row {row} (counted from 0); expected finite numbers; replace it or drop the row"
    )


def _text(value: Any) -> str:
    """A cell as text; a whole number that missing cells made a float is written whole."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return str(value)


def _key(value: object, levels: Sequence[Level]) -> Level:
    """What of a cell is compared with the levels: a file may bring the text "1" as a number, or the reverse."""
    if isinstance(levels[0], str):
        return _text(value)
    try:
        return float(value)  # type: ignore[arg-type]  # of True and False too
    except (TypeError, ValueError):
        return {"true": 1.0, "false": 0.0}.get(_text(value).lower(), _text(value))


def _numbers(cells: Series, name: str, kind: str) -> np.ndarray:
    """A column as float64 ``(n,)``, NaN where missing."""
    if not isinstance(cells.dtype, pd.CategoricalDtype) and cells.dtype.kind in "biuf":
        values = cells.to_numpy(dtype=np.float64, na_value=np.nan)
    else:
        given = cells.astype(object)
        try:
            numbers = pd.to_numeric(given, errors="coerce")
            wrong = (numbers.isna() & given.notna()).to_numpy()
        except (TypeError, ValueError):  # cells that hold lists, records, ...
            wrong = given.notna().to_numpy()
        if wrong.any():
            row = int(wrong.argmax())
            raise InputError(
                f"column {name!r} is {kind} but holds text, first {str(given.iloc[row])[:60]!r} in row {row} (counted "
                "from 0); expected numbers; correct the cell or leave it empty, or make the column 'categorical' in "
                "the schema"
            )
        values = numbers.to_numpy(dtype=np.float64, na_value=np.nan)
    large = np.abs(values) > LARGEST
    if large.any():
        row = int(large.argmax())
        if np.isinf(values[row]):
            raise _infinite(name, row)
        raise InputError(
            f"{values[row]:.3g} in column {name!r}, row {row} (counted from 0); expected absolute values up to "
            f"{LARGEST:g}, what float32 holds; rescale the column"
        )
    return values
