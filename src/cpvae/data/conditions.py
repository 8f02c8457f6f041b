"""Conditions on rows to be drawn: values of some columns, and ranges of others, read and checked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import time
from typing import Any, Self

import numpy as np
import pandas as pd

from cpvae.data import dates
from cpvae.data.cells import number_alone
from cpvae.data.columns import LARGEST_COUNT, Column
from cpvae.data.faults import listed
from cpvae.errors import InputError, nearest

EXACT = 1e-6  # of a step, within which an end of a range is a number that can be written
SUCH_AS = "expected columns with values or ranges, such as {'region': 'north', 'age': (30, 40)}"


class Words(tuple[str | None, ...]):
    """The ends of a range in the words of the command line, shown as they are written there."""

    def __str__(self) -> str:
        return ":".join(end or "" for end in self)


@dataclass(frozen=True)
class Condition:
    """Condition on a row, in the numbers of the data: a level is its code, a date a number of days.

    Attributes:
        columns: of the rows, F.
        values: ``(F,)``, NaN where a column has no value.
        low, high: least and largest value that is in a range, ``(F,)``, NaN where a column has no range.
    """

    columns: tuple[Column, ...]
    values: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @property
    def known(self) -> np.ndarray:
        """The columns of which something is known, ``(F,)``."""
        return ~(np.isnan(self.values) & np.isnan(self.low) & np.isnan(self.high))

    @property
    def single(self) -> np.ndarray:
        """The values that only one drawn number is written as, ``(F,)``, NaN elsewhere: those that do not repeat."""
        repeated = [
            any(value == one for one, _, _ in column.repeats)
            for column, value in zip(self.columns, self.values, strict=True)
        ]
        return np.where(repeated, np.nan, self.values)

    def event(self) -> tuple[np.ndarray, np.ndarray]:
        """Give the ends ``(F,)`` between which a number must lie before it is written, so that it is written in range.

        A column written with d decimals has a step of 10^-d, or its own; half of it lies outside of the range at each
        end. What lies beyond a bound of the column is written as the bound. Numbers around a value that repeats are
        written as it (`cpvae.data.columns.Column.repeats`).
        """
        repeated = ~np.isnan(self.values) & np.isnan(self.single)
        low, high = (np.where(repeated, self.values, end) for end in (self.low, self.high))
        ends = np.array([_event(*item) for item in zip(self.columns, low, high, strict=True)])
        return ends[:, 0], ends[:, 1]

    def inside(self, matrix: np.ndarray, written: np.ndarray) -> np.ndarray:
        """Choose drawn numbers ``(n, F)`` as they are written, or as they are where they would leave their range."""
        low, high = _open(self.low, self.high)
        return np.where((written >= low) & (written <= high), written, matrix)

    def hold(self, matrix: np.ndarray) -> np.ndarray:
        """Round drawn rows ``(n, F)`` as they are written, with the values and in the ranges that are known."""
        rounded = [column.rounded(matrix[:, j]) for j, column in enumerate(self.columns)]
        held = np.clip(np.column_stack(rounded), *_open(self.low, self.high))
        return np.where(np.isnan(self.values), held, self.values)


@dataclass(frozen=True)
class Part:
    """Part of a picture or a signal that is known.

    Attributes:
        values: of the row, ``(F,)``, in the units of the data, NaN where not known.
    """

    values: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray) -> Self:
        """Check that something is known, and something is left to draw.

        Raises:
            InputError: none or all of the values are NaN.
        """
        known = ~np.isnan(values)
        if known.all():
            raise InputError("given has every value: nothing is left to draw; put NaN where a value is not known")
        if not known.any():
            raise InputError("given has no value, NaN everywhere; expected some that are known; leave given out")
        return cls(values)

    @property
    def known(self) -> np.ndarray:
        """The places that are known, ``(F,)``."""
        return ~np.isnan(self.values)

    def hold(self, matrix: np.ndarray) -> np.ndarray:
        """Put what is known into drawn rows ``(n, F)``."""
        return np.where(np.isnan(self.values), matrix, self.values)


def read_given(given: object, columns: Sequence[Column], left_out: Mapping[str, str]) -> Condition:
    """Read what is known of rows, and name all faults in one line.

    Args:
        given: column name -> a value, or a range ``(a, b)`` with ``a <= x <= b``; None is an open end. A date that is
            written in part, such as "2024-03" for a column of days, is the range of its days.
        columns: of the model.
        left_out: name -> reason for the columns that the model does not have.

    Raises:
        InputError: unknown columns; a level that was not there; what is no number, or no date; a value that no row can
            have; a range that is the wrong way round; a value for every column.

    >>> age = Column("age", "numeric", decimals=0, least=0.0)
    >>> condition = read_given({"age": (29.5, None)}, [age, Column("size", "numeric")], {})
    >>> float(condition.low[0]), float(condition.event()[0][0])
    (30.0, 29.5)
    >>> read_given({"age": 30.2, "sice": 1}, [age, Column("size", "numeric")], {})
    Traceback (most recent call last):
    cpvae.errors.InputError: given age=30.2: no row has it, the nearest that one can have is 30; given 'sice': no such
    column; did you mean 'size'?
    """
    if not isinstance(given, Mapping):
        raise InputError(f"given={str(given)[:60]}: {SUCH_AS}")
    place = _places(columns)
    values, low, high = np.full((3, len(columns)), np.nan)
    faults = []
    for key, asked in given.items():
        name = str(key)
        j = place.get(name)
        if j is None:
            why = f"is left out of the model ({left_out[name]})" if name in left_out else ""
            faults.append(f"given {name!r}: {why or f'no such column{nearest(name, place)}'}")
            continue
        try:
            ends = asked if isinstance(asked, (tuple, list)) else _period(columns[j], asked)
            if ends is not None:
                low[j], high[j] = _range(columns[j], ends)
            else:
                values[j] = _value(columns[j], asked)
        except InputError as error:
            faults.append(f"given {name}={_shown(asked)}: {error}")
    if faults:
        raise InputError("; ".join(faults))
    least, most = (np.array([_limit(_bounded(column), end) for column in columns]) for end in ("least", "most"))
    everything = (low <= least) & (high >= most) & (least < most)  # by such a range nothing is known
    low[everything], high[everything] = np.nan, np.nan
    single = low == high
    values[single], low[single], high[single] = low[single], np.nan, np.nan
    if not np.isnan(values).any():
        raise InputError("given has a value for every column: nothing is left to draw; leave one or more out")
    return Condition(tuple(columns), values, low, high)


def parse_given(texts: Sequence[str], columns: Sequence[Column]) -> dict[str, Any]:
    """Read words of the command line, COLUMN=VALUE or COLUMN=LOW:HIGH, for `read_given`.

    A text that the column reads as a value is one, so that a date with a clock is no range; an open end is empty.

    Raises:
        InputError: a word without "=", or a column that is named twice.

    >>> parse_given(["age=30:40", "size=:2"], [Column("age", "count"), Column("size", "numeric")])
    {'age': ('30', '40'), 'size': (None, '2')}
    >>> str(parse_given(["age=30:40"], [Column("age", "count")])["age"])
    '30:40'
    """
    found: dict[str, Any] = {}
    known = {name: columns[j] for name, j in _places(columns).items()}
    for text in texts:
        names = [text[:i] for i, letter in enumerate(text) if letter == "="]
        if not names:
            raise InputError(f"--given {text!r}: expected COLUMN=VALUE or COLUMN=LOW:HIGH, such as age=30:40")
        name = next((name for name in names if name in known), names[0])
        own = known[name].name if name in known else name
        if own in found:
            raise InputError(f"--given names {own!r} twice; expected one value or range; leave one out")
        found[own] = _parsed(text[len(name) + 1 :], known.get(name))
    return found


def _places(columns: Sequence[Column]) -> dict[str, int]:
    """Give the places of columns by their names; x0, x1, ..., as files call them, are names of those without any.

    >>> _places([Column("0", "numeric")]), _places([Column("size", "numeric")])
    ({'0': 0, 'x0': 0}, {'size': 0})
    """
    place = {column.name: j for j, column in enumerate(columns)}
    unnamed = list(place) == [str(j) for j in place.values()]
    return place | ({f"x{j}": j for j in place.values()} if unnamed else {})


def _parsed(text: str, column: Column | None) -> Any:
    """Tell a range from a value."""
    colons = [i for i, letter in enumerate(text) if letter == ":"]
    if column is None or column.kind == "categorical" or not colons or _is_end(column, text):
        return text
    if column.kind != "date":
        return Words(end.strip() or None for end in text.split(":"))
    pairs = [Words((text[:i].strip() or None, text[i + 1 :].strip() or None)) for i in colons]
    read = [pair for pair in pairs if all(end is None or _is_end(column, end) for end in pair)]
    return read[0] if read else pairs[len(pairs) // 2]


def _is_end(column: Column, text: str) -> bool:
    """Tell whether a text is a value of a column, or a date in part."""
    try:
        return _period(column, text) is not None or math.isfinite(_number(column, text))
    except InputError:
        return False


def _shown(asked: Any) -> str:
    """Show what was given, briefly."""
    if isinstance(asked, Words):
        return str(asked)[:60]
    if isinstance(asked, (tuple, list)):
        return f"({', '.join(map(_shown, asked[:3]))})"
    return str(asked)[:60] if isinstance(asked, (str, float, int)) else repr(asked)[:60]


def _pair(asked: Sequence[Any], low: Any, high: Any) -> str:
    """Show the ends of a range in the way in which another one was given."""
    return _shown(Words((low, high)) if isinstance(asked, Words) else (low, high))


def _number(column: Column, asked: Any) -> float:
    """Read one value as a number: the code of a level, the days of a date."""
    if isinstance(asked, np.ndarray) and not asked.ndim:
        asked = asked.item()
    if not pd.api.types.is_scalar(asked):
        raise InputError("expected a value, or a range as a tuple (low, high)")
    cells = pd.Series([asked])
    if cells.isna().any():
        raise InputError("expected a value; leave it out if nothing is known")
    if column.kind == "categorical":
        found = column.read(cells, guess=False)
        if found.unknown.any():
            raise InputError(f"no such level in the fit{nearest(str(asked), map(str, column.levels))}")
        return float(found.values[0])
    if isinstance(asked, str) and column.kind != "date":
        cells = pd.Series([asked if (alone := number_alone(asked.strip())) is None else alone])
    try:
        if np.iscomplexobj(asked):
            raise InputError("a complex number")
        number = float(replace(column, kind="numeric" if column.kind == "count" else column.kind).encode(cells)[0])
        if math.isnan(number):
            raise InputError("a text that says nothing, such as nan")
        return number
    except (InputError, OverflowError) as error:
        what = "a finite number"
        if column.kind == "date":
            moment = "time" if dates.is_clock(column.format) else "date"
            what = f"a {moment}, such as {column.decode(np.zeros(1)).iloc[0]}"
        raise InputError(f"expected {what}, or a range of two") from error


def _period(column: Column, asked: object) -> tuple[pd.Timestamp, pd.Timestamp] | None:
    """Read a date that is written in part, such as a month of a column of days, as its first and its last moment.

    >>> day = Column("day", "date", format="%Y-%m-%d")
    >>> [str(end) for end in _period(day, "2024-02")], _period(day, "2024-02-01")
    (['2024-02-01 00:00:00', '2024-02-29 23:59:59'], None)
    """
    if column.kind != "date" or not isinstance(asked, (str, time, int, np.integer, pd.Period)):
        return None
    period = asked if isinstance(asked, pd.Period) else dates.period_of(str(asked).strip(), column.format)
    return None if period is None else (period.start_time, period.end_time.floor("s"))  # days lose the last nanosecond


def _value(column: Column, asked: Any) -> float:
    """Read a value that a row can have."""
    value = _number(column, asked)
    possible = float(_bounded(column).rounded(np.array([value]))[0])
    if not math.isclose(value, possible, rel_tol=1e-9, abs_tol=1e-12):
        raise InputError(f"no row has it, the nearest that one can have is {_written(column, possible)}")
    return possible


def _range(column: Column, asked: Sequence[Any]) -> tuple[float, float]:
    """Read a range: the least and the largest value in it that a row can have."""
    if column.kind == "categorical":
        raise InputError(f"a range of levels; expected one of {listed(column.levels)}")
    if len(asked) != 2:
        raise InputError(f"a range has two ends, not {len(asked)}; expected {_pair(asked, 'low', 'high')}")
    if all(end is None for end in asked):
        raise InputError("a range without an end, of which nothing is known; expected one or both; or leave it out")
    periods = [_period(column, end) for end in asked]
    ends = [end if period is None else period[i] for i, (end, period) in enumerate(zip(asked, periods, strict=True))]
    low, high = (
        open_end if end is None or _is_infinite(end, open_end) else _number(column, end)
        for end, open_end in zip(ends, (-math.inf, math.inf), strict=True)
    )
    if low > high:
        raise InputError(f"the range is the wrong way round; expected {_pair(asked, asked[1], asked[0])}")
    bounded = _bounded(column)
    first, last = _within(bounded, low, high)
    least, most = (_limit(bounded, which) for which in ("least", "most"))
    first, last = max(first, least), min(last, most)
    if first > last:
        middle = least if high < least else most if low > most else (low + high) / 2
        possible = float(bounded.rounded(np.array([middle]))[0])
        raise InputError(f"no row lies in it, the nearest value that one can have is {_written(column, possible)}")
    return first, last


def _within(column: Column, low: float, high: float) -> tuple[float, float]:
    """Find the least and the largest number between two ends that the column can write; an open end stays open."""
    if column.values:
        inside = [value for value in column.values if low <= value <= high]
        return (inside[0], inside[-1]) if inside else (math.inf, -math.inf)
    first, last = np.array([low]), np.array([high])
    if not math.isinf(low):
        first = column.stepped(first, lambda steps: np.ceil(steps - EXACT))
    if not math.isinf(high):
        last = column.stepped(last, lambda steps: np.floor(steps + EXACT))
    return float(first[0]), float(last[0])


def _is_infinite(end: Any, infinity: float) -> bool:
    return isinstance(end, (float, np.floating)) and float(end) == infinity


def _bounded(column: Column) -> Column:
    """Give a column with the bounds and decimals of its kind: counts are whole, and from 0 to what float32 holds."""
    if column.kind != "count":
        return column
    most = LARGEST_COUNT if column.most is None else column.most
    return replace(column, decimals=0, least=max(0.0, column.least or 0.0), most=most)


def _limit(column: Column, which: str) -> float:
    """Give a bound of a column; dates have none."""
    found = None if column.kind == "date" else getattr(column, which)
    infinity = -math.inf if which == "least" else math.inf
    return infinity if found is None else float(found)


def _event(column: Column, low: float, high: float) -> tuple[float, float]:
    """Give the ends of a range before rounding; NaN without a range."""
    if column.kind == "count":
        return low, high
    if column.values and not math.isnan(low):
        edges = [-math.inf, *column.middles, math.inf]
        first, last = edges[column.values.index(low)], edges[column.values.index(high) + 1]
    else:
        half = 0.5 * column.spacing[1]
        first = -math.inf if low <= _limit(column, "least") else low - half
        last = math.inf if high >= _limit(column, "most") else high + half
    return _around(column, low, high, first, last)


def _around(column: Column, low: float, high: float, first: float, last: float) -> tuple[float, float]:
    """Move the ends of an event so that all numbers that are written as a value that repeats are in it, or none.

    Larger numbers are written as larger ones. Where no number is written in the range, the ends stay.

    >>> column = Column("debt", "numeric", least=0.0, repeats=((0.0, 0.0, 150.0),))
    >>> _around(column, 0, 90, -math.inf, 90), _around(column, 10, 900, 10, 900), _around(column, 10, 20, 10, 20)
    ((-inf, 150.0), (150.0, 900), (10, 20))
    """
    if not column.repeats or math.isnan(low):
        return first, last
    ends = [
        (
            max((above for value, _, above in column.repeats if not is_over(value)), default=-math.inf),
            min((below for value, below, _ in column.repeats if is_over(value)), default=math.inf),
        )
        for is_over in (lambda value: value >= low, lambda value: value > high)
    ]
    start, stop = (min(max(end, above), below) for end, (above, below) in zip((first, last), ends, strict=True))
    start = -math.inf if start <= _limit(column, "least") else start
    stop = math.inf if stop >= _limit(column, "most") else stop
    return (start, stop) if start < stop else (first, last)


def _open(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give ends for all columns: infinite ones without a range."""
    return np.where(np.isnan(low), -np.inf, low), np.where(np.isnan(high), np.inf, high)


def _written(column: Column, value: float) -> str:
    """Write a number as the cells of a column have it."""
    cell = column.decode(np.array([value])).iloc[0]
    return f"{cell:g}" if isinstance(cell, (float, np.floating)) else str(cell)
