"""Missing cells of new rows: how often the cells of each column are missing in each category, and draws from that.

The model of what is missing is the simplest one. A cell of a new row is missing with the rate of its column among the
training rows of its category, whatever its value and the other cells are. So each column has as many missing cells as
in the table of the fit, and a category that lacks a column more often than others still does. Cells that are always
missing together are not missing together in new rows.

Signals end. What lies after the end of one is missing, so the rates of a channel grow towards the end. That growth
tells how many signals have ended by each time. A new signal ends once, in all channels: a number between 0 and 1 is
drawn for it, and it has ended by the first time by which more of the signals have. What is missing inside of signals is
missing independently.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from cpvae.errors import InputError
from cpvae.nn.draws import uniform_
from cpvae.probability.models import VAE

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
        InputError: rows are neither a table nor signals; a model saved before the rates were kept.
    """
    if not columns(estimator):
        raise InputError(
            "missing=True: expected a model of a table or of signals, whose values may be missing; leave it out"
        )
    if estimator.missing_rates_ is None:
        raise InputError(
            "missing=True: this model was saved by a version that did not keep how often cells are missing; expected "
            "one that does; fit again"
        )
    rates = estimator.missing_rates_[c]
    if estimator.signal_shape_ is None:
        return _independent(rates)
    ended = after_the_end(estimator.missing_rates_.reshape(-1, *estimator.signal_shape_)).reshape(-1, rates.shape[1])[c]
    found = uniform_(torch.empty(len(c), 1)).numpy() < ended
    found |= _independent((rates - ended) / np.maximum(1 - ended, 1e-9))
    found[found.all(1)] = False  # a signal without any value is none
    return found


def _independent(rates: np.ndarray) -> np.ndarray:
    found: np.ndarray = uniform_(torch.empty(rates.shape)).numpy() < rates
    return found


def after_the_end(rates: np.ndarray) -> np.ndarray:
    """Find how often signals have ended, from how often their values are missing: ``(..., T)`` -> ``(..., T)``.

    A signal that has ended stays so, and none has at its first time. The least rate of a channel is that of values
    missing inside of signals, which are those that have not ended.

    >>> after_the_end(np.array([0.0, 0.0, 0.5, 1.0])).tolist(), after_the_end(np.array([0.5, 0.75, 0.5])).tolist()
    ([0.0, 0.0, 0.5, 1.0], [0.0, 0.0, 0.0])
    """
    least_from = np.minimum.accumulate(rates[..., ::-1], axis=-1)[..., ::-1]
    inside = least_from[..., :1]
    ended: np.ndarray = (least_from - inside) / np.maximum(1 - inside, 1e-9)
    return ended


def columns(estimator: DeepMixture) -> Sequence[str]:
    """Name the columns whose cells may be missing: those of a table, or the values of a signal by their positions."""
    if estimator.signal_shape_ is not None:
        return [str(j) for j in range(estimator.n_features_in_)]
    return () if estimator.schema_ is None else estimator.schema_.names


def lacking(estimator: DeepMixture, model: VAE) -> bool:
    """Say whether values were missing among the rows of a fit, where its rows are a table or signals."""
    if estimator.schema_ is not None:
        return any(column.missing for column in estimator.schema_.columns)
    return estimator.signal_shape_ is not None and getattr(model.likelihood, "gaps", None) is not None


def as_kept(estimator: DeepMixture) -> dict[str, list[float]] | None:
    """Give the rates as JSON holds them: a list over categories for each column that has missing cells."""
    if estimator.missing_rates_ is None:
        return None
    by_column = zip(columns(estimator), estimator.missing_rates_.T, strict=True)
    return {name: own.tolist() for name, own in by_column if own.any()}


def restored(kept: Any, estimator: DeepMixture) -> np.ndarray | None:
    """Read the rates that a file holds; None where it holds none.

    Raises:
        InputError: what no fit has kept.
    """
    names, n_components = list(columns(estimator)), estimator.n_components_
    if kept is None or not names:
        return None
    found = np.zeros((n_components, len(names)))
    for name, own in kept.items() if isinstance(kept, Mapping) else [("", None)]:
        right = isinstance(own, list) and len(own) == n_components and all(map(_is_rate, own))
        if name not in names or not right:
            raise InputError(f"the rates of missing cells of the column {str(name)[:40]!r} cannot be used; fit again")
        found[:, names.index(name)] = own
    return found


def _is_rate(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1
