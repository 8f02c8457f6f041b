"""Kinds of columns where nobody says them: careful guesses, each told by a fit.

One rule for all doors: a file on the command line and the same file as a data frame give the same kinds, and a cell
that is missing changes none. In this order:

- Left out: a column without any value; with a single one; an identifier; free text. An identifier is text that differs
  in every row. Whole numbers that do are one where numbers drawn by chance would repeat, or where the name of the
  column says so (`is_numbering`). So are many whole numbers that the name says to be ids, even if they repeat, as of
  customers with several rows, and many whole numbers of more digits than floating-point numbers hold. `cpvae cluster`
  writes identifiers beside the categories. Free text differs in nearly every row.
- "date": the type of dates, text that reads as dates, many times of a day, whole numbers such as 20240131
  (`cpvae.data.dates`).
- "categorical": text, booleans, pandas' categories, numbers of which only two differ, and at most 50 ids.
- "count": how often something happened. Whole numbers with some zeros and a small mean, which trail off to the right
  and vary at least about as much as a Poisson: neither codes, nor ages, years, months, hours or ratings do all of that.
- "amount": numbers that are never negative and so skewed that a few large ones would outweigh all others, such as
  incomes and prices. They are modelled on a scale that is linear for small values and logarithmic for large ones.
- "numeric": every other number.

A table of numbers and a few cells of text is refused: that is a slip rather than a column of levels.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cpvae.data import dates
from cpvae.data.cells import REMEDY, are_codes, as_text, is_measure, lose_digits, several_units, ways_of
from cpvae.data.columns import IGNORE, KINDS, ORDERED, UNORDERED, Column, Level
from cpvae.data.faults import Fault, cell, enumerated
from cpvae.data.values import factorised, numbers, too_long
from cpvae.errors import InputError, nearest

if TYPE_CHECKING:
    Series = pd.Series[Any]

IDENTIFIER, FREE_TEXT, CONSTANT, EMPTY, ASKED = "identifier", "free text", "single value", "no value", "ignored"
UNRESOLVED = "it varies by less than floating-point numbers resolve; subtract a constant"

MANY_LEVELS = 50  # of text always allowed; more may be up to a fifth of the rows
MOST_DIFFERENT = 0.8  # share of rows whose text may differ
MANY_WORDS = 10  # beside more different numbers so few words are no levels
FEW_ROWS = 10  # with fewer rows nothing is taken for an identifier
REPEATS = 4.0  # pairs of equal numbers to be expected by chance, of which an identifier has none
DURATION = re.compile(
    r"-?(\d+ days?,? )?\d+:[0-5]\d(:[0-5]\d(\.\d+)?)?|-?P(\d+[YMWD])*(T(\d+(\.\d+)?[HMS])+)?|(\d+ ?(d|h|min|m|s) ?){2,}"
)
SOMEONE = "account|client|customer|order|patient|product|record|row|sample|session|subject|user"
CODES = "phone|telephone|mobile|fax|iban|isbn|ean|gtin|ssn|imei"
IDS = re.compile(
    rf"(?i:(.*[ _.-])?(id|uuid|guid|{CODES})|({SOMEONE}|phone|mobile|fax)[ _.-]?(id|no|nr|number))|.*[a-z](Id|ID)"
)
UNNAMED = re.compile(r"(unnamed: \d+|)", re.I)
NUMBERED = re.compile(rf"({UNNAMED.pattern}|index|row.?names?)", re.I)

COUNT_ZEROS, COUNT_MEAN, COUNT_MOST = 0.01, 30.0, 10_000  # least share of zeros, largest mean, largest count
COUNT_REACH = 5  # counts go beyond the end of a short scale
COUNT_DISPERSION = 0.8  # least variance over mean; of a Poisson it is 1, of a sample of one at times a little less
COUNT_SKEWNESS = 0.3  # that of a Poisson with the mean 11; of hours, weekdays, codes it is about 0

AMOUNT_SKEWNESS, AMOUNT_CURED = 1.5, 0.6  # least of the values, and its share that may be left on the new scale
AMOUNT_VALUES = 10  # least number of distinct ones
AMOUNT_LINEAR = 0.1  # quantile of the positive values up to which the scale is linear


@dataclass(frozen=True)
class LeftOut:
    """A column that is not modelled.

    Attributes:
        name: as in the table.
        why: "identifier", "free text", "single value", "no value", `UNRESOLVED`, or "ignored" where the user says so.
        value: the single value, as text.
    """

    name: str
    why: str
    value: str = ""

    def describe(self) -> str:
        """Say in a line that the column is left out, and why.

        >>> LeftOut("a", CONSTANT, "3").describe()
        'a: left out, its only value is 3'
        """
        return f"{self.name}: left out, {self.reason}"

    @property
    def reason(self) -> str:
        """Why, in words."""
        return f"its only value is {self.value}" if self.why == CONSTANT else self.why


def column_of(cells: Series, name: str, kind: str | Sequence[Level] | None = None) -> Column | LeftOut:
    """Say what a column holds.

    Args:
        cells: ``(n,)``, text read by `cpvae.data.cells.read_frame`.
        name: of the column.
        kind: what is known of it: one of `KINDS`, a date with its format ("date %d.%m.%Y"), or the levels of a
            categorical column; None to guess.

    Raises:
        Fault: numbers mixed with text; text, fractions or infinities where `kind` says otherwise; cells that are
            neither numbers nor text.

    Examples:
        >>> column_of(pd.Series([1.5, 2.0, 2.7, None]), "size").describe()
        'size: numeric; 1 cell missing'
        >>> column_of(pd.Series(range(1, 101)), "customer").describe()
        'customer: left out, identifier'
    """
    missing = int(cells.isna().sum())
    if missing == len(cells):
        return LeftOut(name, EMPTY)
    if kind is not None and not isinstance(kind, str):
        column = Column(name, "categorical", tuple(kind), missing, format=_categories(cells))
        column.encode(cells)  # refuses other levels
        return column
    if cells.dtype.kind in "cm":
        raise Fault(
            f"cells of dtype {cells.dtype}",
            f"column {name!r}",
            f"expected numbers, text, dates or booleans; {REMEDY}",
        )
    found = _guess(cells, name) if kind is None else kind
    if found in (IDENTIFIER, FREE_TEXT):
        return LeftOut(name, found)
    kind, _, form = found.partition(" ")
    if kind == "date" and not form:
        form = _date_format(cells, name)
    levels = levels_of(cells, name) if kind == "categorical" else ()
    form = form if kind == "date" else _categories(cells) if levels else ""
    zone = dates.zone_of(cells, form) if kind == "date" else ""
    column = Column(name, kind, levels, missing, format=form, zone=zone)
    values = column.encode(cells)
    values = values[~np.isnan(values)]
    if values.min() == values.max():
        if kind != "categorical" and too_long(cells):
            return LeftOut(name, UNRESOLVED)
        return LeftOut(name, CONSTANT, as_text(column.seen(values).decode(values[:1]).iloc[0]))
    if kind == "amount":
        column = Column(name, kind, (), missing, unit=unit_of(values))
    return column.seen(values)


def _guess(cells: Series, name: str) -> str:
    """Give the kind of a column, with the format of a date; or why it is left out."""
    if dates.is_typed(cells):
        return "date"
    if isinstance(cells.dtype, pd.CategoricalDtype):
        return _guess_levels(int(cells.nunique()), int(cells.notna().sum()))
    observed = cells.dropna().infer_objects() if cells.dtype == object else cells
    if observed.dtype.kind == "b":
        return "categorical"
    if observed.dtype.kind not in "iuf" or too_long(observed):
        return _guess_text(cells, name)
    values = numbers(observed, name, "numeric")
    return kind_of_numbers(values[~np.isnan(values)], name)


def _guess_text(cells: Series, name: str) -> str:
    places, distinct = factorised(cells, name)
    texts = [as_text(value) for value in distinct]
    form = dates.find_format(texts)
    levels = _guess_levels(len(texts), int((places >= 0).sum()))
    if lose_digits(texts):
        return levels if levels == "categorical" else IDENTIFIER
    if form is not None and len(texts) > 1 and ("%y" in form.lower() or levels != "categorical"):
        return f"date {dates.as_written(texts, form)}"  # a few times of a day are levels
    if form is None and levels != "categorical":
        _refuse_durations(cells, name, texts)
        _refuse_units(cells, name, texts)
    if not are_codes(texts):
        _refuse_mixture(cells, name, places, texts)
    return levels


def _guess_levels(n: int, observed: int) -> str:
    """Say whether so many different texts in so many cells are levels."""
    if n == observed >= FEW_ROWS:
        return IDENTIFIER
    many = n > max(MANY_LEVELS, observed // 5) or n > max(FEW_ROWS, MOST_DIFFERENT * observed)
    return FREE_TEXT if many else "categorical"


def kind_of_numbers(values: np.ndarray, name: str = "?") -> str:
    """Guess the kind of numbers ``(n,)``, none missing, by the rule of this module's docstring.

    >>> random = np.random.default_rng(0)
    >>> [kind_of_numbers(x) for x in (random.poisson(2, 500), random.integers(0, 24, 500), random.lognormal(size=500))]
    ['count', 'numeric', 'amount']
    >>> kind_of_numbers(np.arange(1_000) // 4, "patient_id"), kind_of_numbers(np.arange(1_000) % 9, "shop_id")
    ('identifier', 'categorical')
    """
    distinct = np.unique(values)
    if len(distinct) <= 2:
        return "categorical"
    if dates.are_whole(distinct):
        return f"date {dates.WHOLE}"
    whole = bool((distinct == np.floor(distinct)).all())
    if whole and len(distinct) == len(values) and is_numbering(distinct, name):
        return IDENTIFIER
    if whole and UNNAMED.fullmatch(name.strip()) and is_index(values):
        return IDENTIFIER
    if whole and len(values) >= FEW_ROWS and IDS.fullmatch(name.strip()):
        return IDENTIFIER if len(distinct) > MANY_LEVELS else "categorical"
    if whole and looks_counted(values):
        return "count"
    if len(distinct) >= AMOUNT_VALUES and distinct[0] >= 0 and is_amount(values):
        return "amount"
    return "numeric"


def is_numbering(distinct: np.ndarray, name: str) -> bool:
    """Say whether whole numbers, all different and in order, number the rows.

    Consecutive ones do, and any others of which so many were drawn from their range that by chance some would repeat.

    >>> cubes = np.arange(100) ** 3
    >>> is_numbering(np.arange(1, 101), "a"), is_numbering(cubes, "a"), is_numbering(cubes, "customer id")
    (True, False, True)
    """
    n, span = len(distinct), float(distinct[-1] - distinct[0] + 1)
    if n < FEW_ROWS:
        return False
    named = any(names.fullmatch(name.strip()) for names in (IDS, NUMBERED))
    return n * (n - 1) / (2 * span) >= REPEATS or named


def is_index(values: np.ndarray) -> bool:
    """Say whether whole numbers are those of rows, or of the rows of several tables one after another.

    >>> is_index(np.arange(5)), is_index(np.array([0, 1, 2, 0, 1])), is_index(np.array([1, 5, 3]))
    (True, True, False)
    """
    goes_on = np.diff(values) == 1
    return values[0] in (0, 1) and bool((goes_on | (values[1:] == values[0])).all()) and bool(goes_on.any())


def looks_counted(values: np.ndarray) -> bool:
    """Say whether whole numbers look like counts of something that happens now and then."""
    if values.min() < 0 or not COUNT_REACH < values.max() <= COUNT_MOST:
        return False
    mean = values.mean()
    if mean > COUNT_MEAN or (values == 0).mean() < COUNT_ZEROS or values.var() < COUNT_DISPERSION * mean:
        return False
    return skewness(values) >= COUNT_SKEWNESS


def is_amount(values: np.ndarray) -> bool:
    """Say whether numbers that are not negative are so skewed that a logarithmic scale suits them better."""
    before = skewness(values)
    return before > AMOUNT_SKEWNESS and abs(skewness(np.arcsinh(values / unit_of(values)))) < AMOUNT_CURED * before


def unit_of(values: np.ndarray) -> float:
    """Give the size up to which amounts are seen on a linear scale: a low quantile of those that are not zero."""
    sizes = np.abs(values[values != 0])
    return float(np.quantile(sizes, AMOUNT_LINEAR)) if len(sizes) else 1.0


def skewness(values: np.ndarray) -> float:
    """Give the third standardised moment; 0 where all values are equal.

    >>> round(skewness(np.array([0.0, 0.0, 0.0, 4.0])), 3), skewness(np.ones(3))
    (1.155, 0.0)
    """
    apart = values - values.mean()
    spread = float(np.sqrt(np.mean(apart**2)))
    return float(np.mean((apart / spread) ** 3)) if spread > 0 else 0.0


def _date_format(cells: Series, name: str) -> str:
    """Find how the dates of a column are written that was said to hold some."""
    if dates.is_typed(cells):
        return dates.typed_format(cells)
    _, distinct = factorised(cells, name)
    if all(isinstance(value, Real) for value in distinct):
        return dates.WHOLE
    texts = [as_text(value) for value in distinct]
    form = dates.find_format(texts)
    if form is None:
        raise Fault(
            "a column of dates that cannot be read",
            cell(name, cells.dropna().iloc[0], int(cells.notna().argmax())),
            "expected one way of writing in all cells; give it in the schema, such as 'date %d.%m.%Y'",
        )
    return dates.as_written(texts, form)


def _refuse_durations(cells: Series, name: str, texts: list[str]) -> None:
    """Refuse durations such as 36:15:00, as those with a type of their own are: they would be taken for names."""
    if texts and all(map(DURATION.fullmatch, texts)):
        row = int(cells.notna().argmax())
        raise Fault(
            "durations", cell(name, cells.iloc[row], row), f"expected numbers, text, dates or booleans; {REMEDY}"
        )


def _refuse_units(cells: Series, name: str, texts: list[str]) -> None:
    """Refuse numbers with several units, which would be taken for names."""
    units = several_units(texts)
    if units:
        row = int(cells.notna().argmax())
        raise Fault(
            f"numbers with several units ({enumerated(units)}) in one column",
            cell(name, cells.iloc[row], row),
            "expected one unit; convert the cells, or make the columns 'ignore' in the schema",
        )


def _refuse_mixture(cells: Series, name: str, places: np.ndarray, texts: list[str]) -> None:
    """Refuse numbers, or dates, with a little text among them: a slip rather than levels."""
    bare = np.array([bool(ways_of(text)) for text in texts])
    measures = np.array([is_measure(text) for text in texts]) & ~bare
    numeric = bare | measures if bare.any() else bare  # where all have a unit, few such as 250 ml and 1 l are levels
    what, remedy, odd = "numbers and text", "'categorical'", ~numeric
    if numeric.all():
        what, odd = "numbers written in several ways", measures if measures.any() else bare
    elif not numeric.any():
        what, remedy, odd = "dates and other text", "'ignore'", ~dates.readable(texts)
    strange = np.append(odd, False)[places]
    words = int(odd.sum()) <= MANY_WORDS < int(numeric.sum())  # beside numbers, however often they stand there
    slips = bool(strange.any()) and (words or strange.sum() < 0.5 * (places >= 0).sum())
    if odd.any() and not numeric.any() and dates.all_readable(texts):
        what, slips = "dates written in several ways", True
    if not slips and not numeric.all():
        return
    row = int(strange.argmax())
    raise Fault(
        f"{what} in one column",
        cell(name, cells.iloc[row], row),
        f"expected one or the other; correct the cells or leave them empty, or make the columns {remedy} in the schema",
    )


def levels_of(cells: Series, name: str) -> tuple[Level, ...]:
    """Give the levels of a categorical column in order: pandas' categories in theirs, others sorted."""
    _, distinct = factorised(cells, name)
    if isinstance(cells.dtype, pd.CategoricalDtype):
        found = set(distinct)
        distinct = [category for category in cells.dtype.categories if category in found]
    if all(isinstance(value, (bool, np.bool_)) for value in distinct):
        return tuple(sorted(map(bool, distinct)))
    if all(isinstance(value, Real) for value in distinct):
        values = [int(value) if float(value).is_integer() else float(value) for value in distinct]
        return tuple(values if isinstance(cells.dtype, pd.CategoricalDtype) else sorted(values))
    texts = list(dict.fromkeys(as_text(value) for value in distinct))
    return tuple(texts if isinstance(cells.dtype, pd.CategoricalDtype) else sorted(texts))


def _categories(cells: Series) -> str:
    """Say whether levels are pandas' categories, and in order (`cpvae.data.columns.Column.format`)."""
    return (ORDERED if cells.dtype.ordered else UNORDERED) if isinstance(cells.dtype, pd.CategoricalDtype) else ""


def check_kind(name: str, kind: object) -> None:
    """Refuse what is no kind.

    Raises:
        InputError: naming the column and the kinds that are known.
    """
    known = (*KINDS, IGNORE)
    base, _, form = str(kind).partition(" ")
    if base not in known or (form and (base != "date" or "%" not in form)):
        raise InputError(f"the schema says {kind!r} of column {name!r}{nearest(str(kind), known)}")
