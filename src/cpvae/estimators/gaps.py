"""Missing cells of new rows: how often the cells of each column are missing in each category, and draws from that.

The model of what is missing is the simplest one. A cell of a new row is missing with the rate of its column among the
training rows of its category, whatever its value and the other cells are. So each column has as many missing cells as
in the table of the fit, and a category that lacks a column more often than others still does. Cells that are always
missing together are not missing together in new rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from cpvae.data.schema import Schema
from cpvae.errors import InputError
from cpvae.nn.draws import uniform_

if TYPE_CHECKING:
    from cpvae.estimators.contract import DeepMixture


def rates(missing: Tensor, rows: Tensor) -> np.ndarray:
    """Compute how often cells are missing in each category: ``(K, F)`` and ``(K,)`` -> ``(K, F)``.

    Each category counts as one row more, which has the rates of all rows: so a category without rows has those.

    Args:
        missing: missing cells of each category and column; rows: of each category.

    >>> rates(torch.tensor([[2.0], [0.0]]), torch.tensor([4.0, 0.0])).tolist()
    [[0.5], [0.5]]
    """
    overall = missing.sum(0) / rows.sum()
    found: np.ndarray = ((missing + overall) / (rows.unsqueeze(-1) + 1)).numpy(force=True)
    return found


def drawn(estimator: DeepMixture, c: np.ndarray) -> np.ndarray:
    """Draw which cells of new rows are missing, given their categories ``(n,)``: booleans ``(n, F)``.

    Raises:
        InputError: rows are no table; a model saved before the rates were kept.
    """
    if estimator.schema_ is None:
        raise InputError("missing=True: expected a model of a table, whose cells may be missing; leave it out")
    if estimator.missing_rates_ is None:
        raise InputError(
            "missing=True: this model was saved by a version that did not keep how often cells are missing; expected "
            "one that does; fit again"
        )
    found: np.ndarray = (
        uniform_(torch.empty(len(c), len(estimator.schema_.columns))).numpy() < estimator.missing_rates_[c]
    )
    return found


def as_kept(found: np.ndarray | None, schema: Schema | None) -> dict[str, list[float]] | None:
    """Give the rates as JSON holds them: a list over categories for each column that has missing cells."""
    if found is None or schema is None:
        return None
    return {name: own.tolist() for name, own in zip(schema.names, found.T, strict=True) if own.any()}


def restored(kept: Any, schema: Schema | None, n_components: int) -> np.ndarray | None:
    """Read the rates that a file holds; None where it holds none.

    Raises:
        InputError: what no fit has kept.
    """
    if kept is None or schema is None:
        return None
    found = np.zeros((n_components, len(schema.columns)))
    names = list(schema.names)
    for name, own in kept.items() if isinstance(kept, Mapping) else [("", None)]:
        right = isinstance(own, list) and len(own) == n_components and all(map(_is_rate, own))
        if name not in names or not right:
            raise InputError(f"the rates of missing cells of the column {str(name)[:40]!r} cannot be used; fit again")
        found[:, names.index(name)] = own
    return found


def _is_rate(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1
