"""The units in which the values of each column are written, and the order of columns."""

from __future__ import annotations

import numpy as np

from cpvae.data import dates
from cpvae.data.columns import Column
from cpvae.data.schema import Schema
from cpvae.words.phrases import percent, plain

YEARS = (1000, 2999)  # whole numbers between which a column is taken for years
ALIKE = 0.6  # correlation of neighbouring columns from which they are drawn as a curve,
APART = 0.2  # if it is by so much larger than that of columns far from each other
CURVE = 24  # columns that a curve has at least
FEW_DAYS = 7  # between moments of a column, up to which the time of the day is told


class Date(str):
    """The unit "date" of days since 1970, with the form and the time zone in which `dates.from_days` writes them.

    >>> Date("%H:%M") == "date", Date("%H:%M").form
    (True, '%H:%M')
    """

    form: str
    zone: str

    def __new__(cls, form: str, zone: str = "") -> Date:
        """Make the unit of a column."""
        self = super().__new__(cls, "date")
        self.form, self.zone = form, zone
        return self

    def written(self, days: float) -> str:
        """Write a number of days; the nearest day where the form has no time."""
        timed = "%M" in self.form
        value = np.array([days if timed else round(days)], dtype=np.float64)
        return str(dates.from_days(value, self.form, self.zone if timed else "").iloc[0])


def units_of(schema: Schema | None, values: np.ndarray) -> list[str]:
    """Say how the values of each column are written.

    Args:
        schema: of a table; None where rows are plain numbers.
        values: ``(n, F)``, one column for each level of a categorical one, as `Schema.expand` gives them.

    Returns:
        For each of the F columns "share" (of a level), "year", "number" or a `Date`.

    >>> units_of(None, np.array([[1969.0, 0.5], [1980.0, np.nan]]))
    ['year', 'number']
    """
    columns = () if schema is None else schema.columns
    plain = [Column("", "numeric")] * values.shape[1]
    own = [columns[i] for i in sources_of(schema, values.shape[1])] if columns else plain
    return [_unit(column, cells) for column, cells in zip(own, values.T, strict=True)]


def sources_of(schema: Schema | None, features: int) -> list[int]:
    """Say from which column of the table each of the F columns is: levels of one column have one source."""
    if schema is None:
        return list(range(features))
    return [i for i, column in enumerate(schema.columns) for _ in range(max(1, len(column.levels)))]


def _unit(column: Column, values: np.ndarray) -> str:
    if column.kind == "categorical":
        return "share"
    known = values[~np.isnan(values)]
    whole = len(known) > 0 and bool((known == np.floor(known)).all())
    if column.kind == "date":
        return Date(_form(column, known, whole), column.zone)
    return "year" if whole and YEARS[0] <= known.min() and known.max() <= YEARS[1] else "number"


def _form(column: Column, days: np.ndarray, whole: bool) -> str:
    """Give the form of a mean: a time of a day as in the column, else a day, with its time where days are few."""
    if dates.is_clock(column.format):
        return column.format.replace(".%f", "")
    near = len(days) > 0 and not whole and np.ptp(days) <= FEW_DAYS
    return "%Y-%m-%d %H:%M" if near else "%Y-%m-%d"


def written(value: float, unit: str, digits: int = 4) -> str:
    """Write a value, or a mean, in its unit, a plain number in so many digits; a missing one is empty.

    >>> written(0.0008929, "share"), written(1969.4, "year"), written(606.25, "number"), written(np.nan, "share")
    ('0.1 %', '1969', '606.2', '')
    >>> written(19_000.2, Date("%Y-%m-%d")), written(19_000.25, Date("%H:%M"))
    ('2022-01-08', '06:00')
    """
    if np.isnan(value):
        return ""
    if isinstance(unit, Date):
        return unit.written(value)
    if unit == "share":
        return percent(value)
    if unit == "year":
        return str(round(value))
    return plain(value, digits)


def in_order(values: np.ndarray) -> bool:
    """Say whether columns without names have an order, such as time: neighbours are alike, and others less so.

    Args:
        values: ``(n, F)``, without missing cells.

    >>> time = np.linspace(0, 6, 50)
    >>> waves = np.sin(time + np.random.RandomState(0).rand(30, 1) * 6)
    >>> in_order(waves), in_order(waves[:, np.random.RandomState(0).permutation(50)])
    (True, False)
    """
    n, features = values.shape
    if features < CURVE or n < 3 or not np.isfinite(values).all():
        return False
    scale = values.std(0)
    standard = (values - values.mean(0)) / np.where(scale > 0, scale, 1.0)
    near = float((standard[:, 1:] * standard[:, :-1]).mean())
    half = features // 2
    far = float((standard[:, half:] * standard[:, : features - half]).mean())
    return near >= ALIKE and near - far >= APART
