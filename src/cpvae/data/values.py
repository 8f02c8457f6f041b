"""Values of the cells of a column: which differ, their numbers, and what no column can hold."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cpvae.data.cells import as_text, lose_digits, odd_cells
from cpvae.data.faults import Fault, cell
from cpvae.data.limits import LARGEST, first_beyond

if TYPE_CHECKING:
    Series = pd.Series[Any]

EXACT = 2**53  # float64 has every whole number up to it


def factorised(cells: Series, name: str) -> tuple[np.ndarray, list[Any]]:
    """Give for each cell the place of its value among the distinct ones, -1 where missing; and these.

    Raises:
        Fault: cells that no column of a table can have, an infinity.
    """
    try:
        index, distinct = pd.factorize(cells)
    except (TypeError, NotImplementedError) as error:  # of Arrow the latter
        raise odd_cells(name, cells.dropna().iloc[0]) from error
    values = list(distinct)
    for place, value in enumerate(values):
        if isinstance(value, float) and np.isinf(value):
            raise infinite(name, int((index == place).argmax()))
        if not isinstance(value, (str, bytes, Real, np.bool_, pd.Interval)):
            raise odd_cells(name, value)
    return index, values


def too_long(cells: Series) -> bool:
    """Say whether a column has whole numbers, or text of them, that floating-point numbers would not tell apart.

    >>> too_long(pd.Series([10**17, 10**17 + 1])), too_long(pd.Series([1, 2])), too_long(pd.Series([1e18, 2e18]))
    (True, False, False)
    """
    if isinstance(cells.dtype, pd.CategoricalDtype) or cells.dtype.kind in "bfcmM":
        return False
    if cells.dtype.kind in "iu" and cells.min() >= -EXACT and cells.max() <= EXACT:
        return False
    return lose_digits([as_text(value) for value in cells.dropna().unique()])


def infinite(name: str, row: int) -> Fault:
    """Say that a column has an infinity."""
    return Fault("infinity", cell(name, "inf", row), "expected finite numbers; replace it or drop the row")


def too_large(name: str, value: float, row: int) -> Fault:
    """Say that a column has a value beyond what float32 can compute with."""
    remedy = "expected what float32 holds; rescale the columns"
    return Fault(f"absolute values above {LARGEST:g}", cell(name, f"{value:.3g}", row), remedy)


def numbers(cells: Series, name: str, kind: str) -> np.ndarray:
    """Give a column as float64 ``(n,)``, NaN where missing.

    Raises:
        Fault: text, an infinity, a value above 1e30.
    """
    if not isinstance(cells.dtype, pd.CategoricalDtype) and cells.dtype.kind in "biuf":
        values = cells.to_numpy(dtype=np.float64, na_value=np.nan)
    else:
        values = _numbers_in_text(cells.astype(object), name, kind)
    large = first_beyond(values)
    if large is not None:
        row = large[0]
        if np.isinf(values[row]):
            raise infinite(name, row)
        raise too_large(name, float(values[row]), row)
    return values


def _numbers_in_text(given: Series, name: str, kind: str) -> np.ndarray:
    try:
        found = pd.to_numeric(given, errors="coerce")
        wrong = (found.isna() & given.notna()).to_numpy()
    except (TypeError, ValueError):  # cells that hold lists, records, ...
        wrong = given.notna().to_numpy()
    if wrong.any():
        row = int(wrong.argmax())
        if not isinstance(given.iloc[row], (str, bytes)):
            raise odd_cells(name, given.iloc[row])
        raise Fault(
            f"text in a column that is {kind}",
            cell(name, given.iloc[row], row),
            "expected numbers; correct the cells or leave them empty, or make the columns 'categorical' or 'ignore' in "
            "the schema",
        )
    return found.to_numpy(dtype=np.float64, na_value=np.nan)
