"""Columns of a schema as a file holds them: whatever a file says is looked at before it is believed."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from cpvae.data import dates
from cpvae.data.columns import Column
from cpvae.data.limits import LARGEST
from cpvae.errors import InputError

MOST_DECIMALS = 20  # of a column


def stored_column(item: Mapping[str, Any]) -> Column:
    """Make the column that a file describes; models saved by earlier versions say less of each.

    Raises:
        InputError: numbers that no column has, or a kind that does not go with them.
    """
    values = item.get("values", ())
    if not isinstance(values, (list, tuple)):
        raise InputError(f"a column has the values {str(values)[:40]}: expected a list of numbers; fit again")
    column = Column(
        str(item["name"]),
        str(item["kind"]),
        tuple(item["levels"]),
        int(item["missing"]),
        decimals=item.get("decimals"),
        least=item.get("least"),
        most=item.get("most"),
        unit=item.get("unit"),
        format=str(item.get("format", "")),
        step=item.get("step"),
        zone=str(item.get("zone", "")),
        values=tuple(values),
        repeats=_repeats(item),
        sign=str(item.get("sign", "")),
    )
    numbers = {name: getattr(column, name) for name in ("decimals", "least", "most", "unit", "step")}
    odd = [key for key, one in numbers.items() if not _is_number_or_none(one, whole=key == "decimals")]
    if odd:
        raise InputError(f"column {column.name!r} has the {odd[0]} {numbers[odd[0]]!r:.40}; fit again")
    if column.step is not None and (column.step <= 0 or column.least is None):
        raise InputError(
            f"column {column.name!r} has the step {column.step!r} and the least {column.least!r}; fit again"
        )
    rising = all(_is_number_or_none(one, whole=False) and one is not None for one in values)
    if not rising or any(one >= other for one, other in itertools.pairwise(values)):
        raise InputError(
            f"column {column.name!r} has the values {column.values!r:.40}: expected numbers in order; fit again"
        )
    if (column.kind == "categorical") != (len(column.levels) > 1):
        raise InputError(f"column {column.name!r} is {column.kind} with {len(column.levels)} levels; fit again")
    if column.format.startswith(dates.PERIOD) and not dates.is_typed_format(column.format):
        raise InputError(f"column {column.name!r} has the format {column.format!r:.40}; fit again")
    if not dates.is_zone(column.zone):
        raise InputError(f"column {column.name!r} has the time zone {column.zone!r:.40}; fit again")
    if (column.kind == "amount") != (column.unit is not None):
        raise InputError(f"column {column.name!r} is {column.kind} with the unit {column.unit}; fit again")
    return column


def _is_number_or_none(value: Any, whole: bool) -> bool:
    """Tell whether a value is a number that a column can have, or None."""
    if value is None:
        return True
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
        return False
    return bool(abs(value) <= (MOST_DECIMALS if whole else LARGEST))


def _repeats(item: Mapping[str, Any]) -> tuple[tuple[float, float, float], ...]:
    """Read the values that repeat in a column, each with its ends; files from before they were kept have none.

    Raises:
        InputError: what no fit has kept.
    """
    kept = item.get("repeats", ())
    right = isinstance(kept, (list, tuple)) and all(
        isinstance(one, (list, tuple))
        and len(one) == 3
        and all(_is_number_or_none(number, whole=False) and number is not None for number in one)
        and one[1] <= one[2]
        for one in kept
    )
    if not right or any(one[2] > other[1] or one[0] >= other[0] for one, other in itertools.pairwise(kept)):
        raise InputError(f"column {item['name']!r} has the repeats {kept!r:.40}: expected values with ends; fit again")
    return tuple((float(value), float(low), float(high)) for value, low, high in kept)
