"""The units in which the values of each column are written, and the order of columns."""

from __future__ import annotations

import numpy as np

from cpvae.data.schema import Schema
from cpvae.words.phrases import percent, plain

YEARS = (1000, 2999)  # whole numbers between which a column is taken for years
ALIKE = 0.6  # correlation of neighbouring columns from which they are drawn as a curve,
APART = 0.2  # if it is by so much larger than that of columns far from each other
CURVE = 24  # columns that a curve has at least


def units_of(schema: Schema | None, values: np.ndarray) -> list[str]:
    """Say how the values of each column are written.

    Args:
        schema: of a table; None where rows are plain numbers.
        values: ``(n, F)``, one column for each level of a categorical one, as `Schema.expand` gives them.

    Returns:
        For each of the F columns "share" (of a level), "date" (days since 1970), "year" or "number".

    >>> units_of(None, np.array([[1969.0, 0.5], [1980.0, np.nan]]))
    ['year', 'number']
    """
    columns = () if schema is None else schema.columns
    kinds = [columns[i].kind for i in sources_of(schema, values.shape[1])] if columns else ["numeric"] * values.shape[1]
    return [_unit(kind, column) for kind, column in zip(kinds, values.T, strict=True)]


def sources_of(schema: Schema | None, features: int) -> list[int]:
    """Say from which column of the table each of the F columns is: levels of one column have one source."""
    if schema is None:
        return list(range(features))
    return [i for i, column in enumerate(schema.columns) for _ in range(max(1, len(column.levels)))]


def _unit(kind: str, values: np.ndarray) -> str:
    if kind in ("categorical", "date"):
        return {"categorical": "share", "date": "date"}[kind]
    known = values[~np.isnan(values)]
    whole = len(known) and bool((known == np.floor(known)).all())
    return "year" if whole and YEARS[0] <= known.min() and known.max() <= YEARS[1] else "number"


def written(value: float, unit: str, digits: int = 4) -> str:
    """Write a value, or a mean, in its unit, a plain number in so many digits; a missing one is empty.

    >>> written(0.0008929, "share"), written(1969.4, "year"), written(606.25, "number"), written(np.nan, "share")
    ('0.1 %', '1969', '606.2', '')
    >>> written(19_000.2, "date")
    '2022-01-08'
    """
    if np.isnan(value):
        return ""
    if unit == "share":
        return percent(value)
    if unit == "year":
        return str(round(value))
    if unit == "date" and abs(value) < 3_000_000:
        return str(np.datetime64(round(value), "D"))
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
