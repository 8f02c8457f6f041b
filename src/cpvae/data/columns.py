"""One column of a table: what it holds, and how its cells become numbers and back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from cpvae.data import dates
from cpvae.data.faults import Fault, cell, enumerated, listed
from cpvae.data.limits import LARGEST
from cpvae.data.meanings import UNKNOWN, codes_of
from cpvae.data.values import factorised, numbers, too_long

if TYPE_CHECKING:
    Series = pd.Series[Any]

KINDS = ("numeric", "amount", "count", "categorical", "date")
ON_A_LINE = ("numeric", "amount", "date")  # kinds whose density is a normal one
ORDERED, UNORDERED = "ordered", "unordered"  # formats of levels that are pandas' categories
IGNORE = "ignore"  # in place of a kind: the column is left out

LARGEST_COUNT = 2**24  # up to which float32 holds every whole number
FULL_SCALE = 100  # steps of a scale at most: evenly spaced numbers that all occur, such as ratings or months
FEW_VALUES = 30  # of a number, from which new ones are taken where most numbers between them never occur
FEW_CODES = 12  # whole numbers in a row, up to which they may be codes, such as those of sites
SPARSE = 3  # numbers with the decimals of the column for each value that occurs, from which that is so
REPEATED = 10  # rows for each value, from which values that are further apart than their decimals are a scale

Level = str | bool | int | float


class Cells(NamedTuple):
    """The cells of a column as numbers.

    Attributes:
        values: ``(n,)``, NaN where missing.
        guess: what is written otherwise than in the fit and how it was read, or "".
        unknown: which ``(n,)`` hold a level that was not there in the fit; they are missing.
    """

    values: np.ndarray
    guess: str
    unknown: np.ndarray


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        name: as in the table.
        kind: one of `KINDS`.
        levels: of a categorical column, in order; the code of a level is its position.
        missing: how many cells were missing in the table that the schema was made from.
        decimals: digits behind the point that the numbers had; None for more than six.
        least, most: between which new numbers are written; None for no bound. Of a "date" with a step, `least` is the
            time of the day from which steps are counted, and no bound.
        step: of a scale such as 0, 0.5, 1, the distance between its values; None where the decimals say it. Of a "date"
            a day, an hour or a minute, in days (`cpvae.data.dates.step_of`).
        sign: a unit, a currency or a percent sign that all numbers of the table were written with; "" for none.
        unit: of an "amount", the size up to which it is seen on a linear scale, and above on a logarithmic one.
        format: of a "date", how it is written (`cpvae.data.dates`); "" for the type of dates. Of levels that are
            pandas' categories `ORDERED` or `UNORDERED`.
        zone: of a "date", its time zone (`cpvae.data.dates.zone_of`); "" for none.
        values: of a number that has few values, far from evenly apart, such as the middles of income classes: these, in
            ascending order; empty where all numbers with the decimals and the step can be written.
        repeats: of a fitted column, the values that occur more often than its density says, such as 0 and round sums,
            in ascending order. Each has the ends between which a drawn number is written as it.
    """

    name: str
    kind: str
    levels: tuple[Level, ...] = ()
    missing: int = 0
    decimals: int | None = None
    least: float | None = None
    most: float | None = None
    unit: float | None = None
    format: str = ""
    step: float | None = None
    zone: str = ""
    values: tuple[float, ...] = ()
    repeats: tuple[tuple[float, float, float], ...] = ()
    sign: str = ""

    @property
    def spacing(self) -> tuple[float, float]:
        """The first of the values that can be written, and the distance between them; 0 for no distance."""
        if self.step is not None and self.least is not None:
            return self.least, self.step
        return 0.0, 0.0 if self.decimals is None else 10.0**-self.decimals

    @property
    def middles(self) -> np.ndarray:
        """The numbers half way between `values`, at which rounding goes from one to the next."""
        own = np.array(self.values)
        return (own[1:] + own[:-1]) / 2

    def encode(self, cells: Series) -> np.ndarray:
        """Turn cells into numbers, float64 ``(n,)``; NaN where missing, the number of days for a date.

        Raises:
            InputError: an unknown level; text, an infinity or a value above 1e30 where numbers are expected; a count
                that is negative, fractional or above 2^24; what is no date.
        """
        found = self.read(cells, guess=False)
        if found.unknown.any():
            row = int(found.unknown.argmax())
            raise Fault(
                "values that were not there in the fit",
                cell(self.name, cells.iloc[row], row),
                f"expected {listed(self.levels)}; correct them or leave the cells empty",
            )
        return found.values

    def read(self, cells: Series, guess: bool = True) -> Cells:
        """Turn cells into numbers, and say which ``(n,)`` hold a level that was not there in the fit.

        Args:
            cells: ``(n,)``.
            guess: also read levels and dates that are written otherwise than in the fit, where one thing can be meant.

        Raises:
            InputError: as for `encode`, but for an unknown level, which is missing here.
        """
        if self.kind == "categorical":
            return self._codes(cells, guess)
        nothing = np.zeros(len(cells), dtype=bool)
        if self.kind == "date":
            return Cells(*self._days(cells, guess), nothing)
        values = numbers(cells, self.name, self.kind)
        if self.kind == "count":
            self._check_counts(values)
        return Cells(values, "", nothing)

    def _days(self, cells: Series, guess: bool) -> tuple[np.ndarray, str]:
        """Read dates; where they are not written as in the fit, in the one way that all of them can be read in."""
        if cells.isna().all():
            return np.full(len(cells), np.nan), ""
        days, wrong = dates.to_days(cells, self.format, self.zone)
        if not wrong.any():
            return days, ""
        other = dates.format_of(cells) if guess else None
        if other is None:
            row = int(wrong.argmax())
            first = dates.from_days(np.zeros(1), self.format, self.zone).iloc[0]
            like = f"such as {first}" if self.format else "such as 1970-01-31"
            raise Fault(
                "dates that cannot be read",
                cell(self.name, cells.iloc[row], row),
                f"expected dates {like}, as in the fit; correct the cells or leave them empty",
            )
        form, either = other
        told = f"column {self.name!r} has dates read as {written(form)}, unlike those of the fit"
        return dates.to_days(cells, form, self.zone)[
            0
        ], told + ", though day and month could be the other way round" * either

    def _check_counts(self, values: np.ndarray) -> None:
        bad = (values < 0) | (values != np.floor(values)) & ~np.isnan(values) | (values > LARGEST_COUNT)
        if bad.any():
            row = int(bad.argmax())
            raise Fault(
                "no counts in a column of counts",
                cell(self.name, f"{values[row]:g}", row),
                f"expected whole numbers from 0 to {LARGEST_COUNT:,}; correct the cells, or make the columns 'numeric' "
                "in the schema",
            )

    def _codes(self, cells: Series, guess: bool) -> Cells:
        places, distinct = factorised(cells, self.name)
        found, guesses = codes_of(distinct, self.levels, guess)
        codes = np.array([*found, np.nan])[places]  # a missing cell has the place -1
        unknown = codes == UNKNOWN
        meant = enumerated([f"{value[:40]!r} for {level[:40]!r}" for value, level in guesses.items()], 3)
        told = f"column {self.name!r} has {meant}, written otherwise in the fit" if guesses else ""
        return Cells(np.where(unknown, np.nan, codes), told, unknown)

    def decode(self, values: np.ndarray) -> Series:
        """Turn numbers ``(n,)`` into cells as the table had them.

        Levels and dates are written as they were. Numbers are rounded to the decimals of the column, and held between
        its bounds: no negative price where no price was negative, no rating of 6 on a scale to 5. Missing cells are
        None or NaN.
        """
        missing = np.isnan(values)
        if self.kind == "categorical":
            return self._levels_of(values, missing)
        values = self.rounded(values)
        if self.kind == "date":
            return dates.from_days(values, self.format, self.zone)
        fits = not missing.any() and bool((np.abs(values) < 2.0**53).all())
        return pd.Series(values.astype(np.int64) if self.is_whole and fits else values)

    @property
    def is_whole(self) -> bool:
        """Tell whether all numbers of the column are whole, those of levels such as 1 and 2 among them."""
        if self.kind == "categorical":
            return all(
                isinstance(one, (int, float)) and not isinstance(one, bool) and float(one).is_integer()
                for one in self.levels
            )
        return self.kind == "count" or (self.kind in ("numeric", "amount") and self.decimals == 0)

    def rounded(self, values: np.ndarray) -> np.ndarray:
        """Give numbers ``(n,)`` the decimals and the bounds of the column; levels stay as they are."""
        if self.kind == "categorical":
            return values
        if self.values:
            places = np.searchsorted(self.middles, np.where(np.isnan(values), 0.0, values))
            return np.where(np.isnan(values), np.nan, np.array(self.values)[places])
        decimals = 0 if self.kind == "count" else self.decimals
        if self.step is not None:
            values = self.stepped(values, np.round)
        if decimals is not None:
            values = np.round(values, decimals)
        return self.held(values)

    def stepped(self, values: np.ndarray, rounding: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Round numbers ``(n,)`` to those that can be written, up, down, or to the nearest; dates in their zone."""
        first, step = self.spacing
        if not step:
            return values
        local = dates.to_local(values, self.zone)
        stepped = first + step * rounding((local - first) / step)
        return dates.from_local(stepped, self.zone, values + (stepped - local))

    def written(self, values: np.ndarray) -> np.ndarray:
        """Give numbers ``(n,)`` that were drawn from the density the values that repeat in the column; others stay.

        >>> Column("debt", "amount", unit=1.0, repeats=((0.0, 0.0, 150.0),)).written(np.array([90.0, 151.0])).tolist()
        [0.0, 151.0]
        """
        if not self.repeats:
            return values
        value, low, high = np.array(self.repeats).T
        held = self.held(values)
        place = np.searchsorted(low, held, side="right") - 1
        inside = (place >= 0) & (held <= high[place])
        return np.where(inside, value[place], values)

    def held(self, values: np.ndarray) -> np.ndarray:
        """Hold numbers between the bounds of the column; dates have none."""
        low, high = (-np.inf if self.least is None else self.least), (np.inf if self.most is None else self.most)
        return np.clip(values, max(low, -LARGEST), min(high, LARGEST)) if self.kind != "date" else values

    def _levels_of(self, values: np.ndarray, missing: np.ndarray) -> Series:
        codes = np.where(missing, 0, np.nan_to_num(values)).astype(np.int64)
        if self.format:
            dtype: Any = pd.CategoricalDtype(list(self.levels), ordered=self.format == ORDERED)
            return pd.Series(pd.Categorical.from_codes(np.where(missing, -1, codes), dtype=dtype))
        table = pd.Series(list(self.levels))
        cells = table.iloc[codes].reset_index(drop=True)
        if not missing.any():
            return cells
        if cells.dtype.kind == "b" or too_long(cells):
            cells = cells.astype(object)
        return cells.where(~missing, None)

    def describe(self) -> str:
        """Say in a line, to be read by people, what the column was taken for.

        >>> Column("colour", "categorical", ("blue", "red"), missing=3).describe()
        "colour: categorical, 2 levels ('blue', 'red'); 3 cells missing"
        >>> Column("since", "date", format="%d-%m-%Y").describe()
        'since: date, day-month-year'
        """
        text = f"{self.name}: {self.kind}"
        if self.levels:
            text += f", {len(self.levels)} levels ({listed(self.levels)})"
        if self.kind == "amount":
            text += ", on a logarithmic scale"
        if self.kind == "date" and self.format:
            text += f", {written(self.format)}"
        return text + (f"; {self.missing:,} cell{'s' * (self.missing != 1)} missing" if self.missing else "")

    @property
    def may_be_codes(self) -> bool:
        """Tell whether the numbers of a column may be codes: the whole numbers from one to another, and few of them."""
        if self.kind != "numeric" or self.decimals != 0 or self.least is None or self.most is None:
            return False
        return self.step is None and not self.values and self.most - self.least < FEW_CODES

    def seen(self, values: np.ndarray) -> Column:
        """Give the column the decimals and the bounds of the values it was inferred from, ``(n,)`` without NaN."""
        if self.kind == "categorical" or not len(values):
            return self
        if self.kind == "date":
            days = dates.to_local(values, self.zone)
            step = dates.step_of(days)
            return self if step is None else replace(self, least=float(days.min() % 1), step=step)
        decimals, (least, most) = decimals_of(values), (float(values.min()), float(values.max()))
        step = _step(values, decimals) if self.kind == "numeric" else None
        if step is not None:
            own = None if decimals == 0 and step == 1 else step
            return replace(self, decimals=decimals, least=least, most=most, step=own)
        few = () if self.kind == "count" else _few(values, decimals)
        if few:
            return replace(self, decimals=decimals, least=least, most=most, values=few)
        return replace(self, decimals=decimals, least=0.0 if least >= 0 else None)


def written(form: str) -> str:
    """Say in words how dates are written.

    >>> written("%Y-%m-%d %H:%M")
    'year-month-day hour:minute'
    """
    if form.startswith(dates.PERIOD):
        return f"periods of pandas ({form.removeprefix(dates.PERIOD)})"
    form = dates.plain(form)
    words = {"%Y": "year", "%y": "year", "%m": "month", "%b": "month", "%B": "month", "%d": "day", "%H": "hour"}
    words |= {
        "%I": "hour",
        "%M": "minute",
        "%S": "second",
        ".%f": "",
        " %p": "",
        "%z": "",
        "%a": "weekday",
        "%A": "weekday",
    }
    for mark, word in words.items():
        form = form.replace(mark, word)
    return form


def decimals_of(values: np.ndarray, most: int = 6) -> int | None:
    """Count the digits behind the point that numbers have; None for more than `most`.

    >>> decimals_of(np.array([1.0, 2.0])), decimals_of(np.array([1.25, 3.1])), decimals_of(np.array([np.pi]))
    (0, 2, None)
    """
    for decimals in range(most + 1):
        scaled = values * 10.0**decimals
        if (np.abs(scaled - np.rint(scaled)) <= 4 * np.spacing(np.abs(scaled))).all():
            return decimals
    return None


def _step(values: np.ndarray, decimals: int | None) -> float | None:
    """Find the distance between the values of a scale; None for other numbers.

    >>> halves, uneven = np.array([0.0, 0.5, 1.0] * 10), np.array([0.0, 0.3, 1.0] * 10)
    >>> _step(np.array([1.0, 2.0, 3.0]), 0), _step(halves, 1), _step(uneven, 1)
    (1.0, 0.5, None)
    """
    distinct = np.unique(values)
    if decimals is None or len(distinct) > FULL_SCALE + 1:
        return None
    if decimals == 0 and len(distinct) == distinct[-1] - distinct[0] + 1:
        return 1.0
    steps = np.diff(distinct)
    if len(distinct) < 3 or len(values) < REPEATED * len(distinct) or not np.allclose(steps, steps[0], rtol=1e-6):
        return None
    step = round(float(steps.mean()), decimals)
    return step if step > 1.5 * 10.0**-decimals else None


def _few(values: np.ndarray, decimals: int | None) -> tuple[float, ...]:
    """Find the values of a number that has few; none of other numbers.

    >>> _few(np.array([2500.0, 7500.0, 35000.0] * 10), 0), _few(np.array([0.1, 0.2, 0.4] * 10), 1)
    ((2500.0, 7500.0, 35000.0), ())
    """
    distinct = np.unique(values)
    if not 2 < len(distinct) <= min(FEW_VALUES, len(values) / REPEATED):
        return ()
    possible = np.inf if decimals is None else np.ptp(distinct) * 10.0**decimals
    return tuple(distinct.tolist()) if possible >= SPARSE * len(distinct) else ()
