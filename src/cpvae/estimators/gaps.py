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

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from cpvae.errors import InputError
from cpvae.nn.draws import uniform_
from cpvae.probability.models import VAE

if TYPE_CHECKING:
    from cpvae.estimators.contract import DeepMixture

IN_FILE = "missing_rates"  # name of the rates of signals among the tensors of a file
LEAST_LEFT = 1e-9  # of a share by which another is divided


def lacking(estimator: DeepMixture, model: VAE) -> bool:
    """Say whether values were missing among the rows of a fit, where its rows are a table or signals."""
    if estimator.schema_ is not None:
        return any(column.missing for column in estimator.schema_.columns)
    return estimator.signal_shape_ is not None and getattr(model.likelihood, "gaps", None) is not None


def rates(missing: Tensor, rows: Tensor) -> np.ndarray:
    """Compute how often cells are missing in each category: ``(K, F)`` and ``(K,)`` -> ``(K, F)``.

    Each category counts as one row more, which has the rates of all rows: so a category without rows has those.

    Args:
        missing: missing cells of each category and column; rows: of each category.

    >>> rates(torch.tensor([[2.0], [0.0]]), torch.tensor([4.0, 0.0])).tolist()
    [[0.5], [0.5]]
    """
    overall = missing.sum(0) / rows.sum()
    found: np.ndarray = ((missing + overall) / (rows.unsqueeze(-1) + 1)).clamp_max(1.0).numpy(force=True)
    return found


def to_keep(estimator: DeepMixture, found: np.ndarray | None) -> np.ndarray | None:
    """Give the rates that an estimator keeps: zeros where nothing was missing, None where rows cannot have gaps.

    Those of signals, which may be many, are float32.
    """
    if estimator.schema_ is None and estimator.signal_shape_ is None:
        return None
    rates = np.zeros((estimator.n_components_, estimator.n_features_in_)) if found is None else found
    return rates if estimator.signal_shape_ is None else rates.astype(np.float32)


def drawn(estimator: DeepMixture, c: np.ndarray, known: np.ndarray | None = None) -> np.ndarray:
    """Draw which cells of new rows are missing, given their categories ``(n,)``: booleans ``(n, F)``.

    Args:
        known: cells that are there in every row, booleans ``(F,)``: no signal ends before the last of them.

    Raises:
        InputError: rows are neither a table nor signals; a model saved before the rates were kept.
    """
    if estimator.schema_ is None and estimator.signal_shape_ is None:
        raise InputError(
            "missing=True: expected a model of a table or of signals, whose values may be missing; leave it out"
        )
    if estimator.missing_rates_ is None:
        raise InputError(
            "missing=True: this model was saved by a version that did not keep how often cells are missing; expected "
            "one that does; fit again"
        )
    if estimator.signal_shape_ is None:
        found = _independent(estimator.missing_rates_[c])
    else:
        found = _ends(estimator.missing_rates_.reshape(-1, *estimator.signal_shape_), c, known)
    if known is not None:
        found[:, known] = False
    return found


def _independent(rates: np.ndarray) -> np.ndarray:
    found: np.ndarray = uniform_(torch.empty(rates.shape)).numpy() < rates
    return found


def _ends(rates: np.ndarray, c: np.ndarray, known: np.ndarray | None) -> np.ndarray:
    """Draw which values of signals of the categories `c` are missing, booleans ``(n, channels * time)``.

    Args:
        rates: of each category, ``(K, channels, time)``; known: values that are there in every signal.
    """
    found = np.empty((len(c), *rates.shape[1:]), dtype=bool)
    ended = after_the_end(rates)
    inside = (rates - ended) / np.maximum(1 - ended, LEAST_LEFT)
    last = 0 if known is None or not known.any() else int(np.flatnonzero(known.reshape(rates.shape[1:]).any(0))[-1])
    least = ended[..., last].max(-1)  # of a number that leaves the signal there until its last known value
    number = least[c] + (1 - least[c]) * uniform_(torch.empty(len(c))).numpy()
    for k in np.unique(c):
        own = np.flatnonzero(c == k)
        missing = number[own, None, None] < ended[k]
        if inside[k].any():
            holes = missing | _independent(np.broadcast_to(inside[k], missing.shape))
            missing = np.where(holes.all((1, 2), keepdims=True), missing, holes)  # a signal has a value
        found[own] = missing
    return found.reshape(len(c), -1)


def after_the_end(rates: np.ndarray) -> np.ndarray:
    """Find how often signals have ended, from how often their values are missing: ``(..., T)`` -> ``(..., T)``.

    A signal that has ended stays so, and no signal has ended at its first time. The least rate of a channel is that of
    values missing inside of signals, which are those that have not ended.

    >>> after_the_end(np.array([0.0, 0.0, 0.5, 1.0])).tolist(), after_the_end(np.array([0.5, 0.75, 0.5])).tolist()
    ([0.0, 0.0, 0.5, 1.0], [0.0, 0.0, 0.0])
    """
    least_from = np.minimum.accumulate(rates[..., ::-1], axis=-1)[..., ::-1]
    inside = least_from[..., :1]
    ended: np.ndarray = (least_from - inside) / np.maximum(1 - inside, LEAST_LEFT)
    return ended


# -- in a file ---------------------------------------------------------------------------------------------------------


def as_kept(estimator: DeepMixture) -> dict[str, list[float]] | None:
    """Give the rates as JSON holds them: a list over categories for each column that has missing cells.

    Those of signals, which may be many, are a tensor (`as_tensors`), and leave this empty.
    """
    found, schema = estimator.missing_rates_, estimator.schema_
    if found is None or schema is None:
        return None if found is None else {}
    return {name: own.tolist() for name, own in zip(schema.names, found.T, strict=True) if own.any()}


def as_tensors(estimator: DeepMixture) -> dict[str, Tensor]:
    """Give the rates of signals that have missing values, beside the weights of the model."""
    found = estimator.missing_rates_
    if estimator.signal_shape_ is None or found is None or not found.any():
        return {}
    return {IN_FILE: torch.from_numpy(found)}


def restored(kept: Any, tensor: Tensor | None, estimator: DeepMixture) -> np.ndarray | None:
    """Read the rates that a file holds, as `as_kept` and `as_tensors` gave them; None where it holds none.

    Raises:
        InputError: what no fit has kept.
    """
    n_components, schema = estimator.n_components_, estimator.schema_
    if estimator.signal_shape_ is not None:
        shape = (n_components, estimator.n_features_in_)
        if tensor is None:
            return None if kept is None else np.zeros(shape, np.float32)
        if tensor.shape != shape or tensor.dtype != torch.float32 or not bool(((tensor >= 0) & (tensor <= 1)).all()):
            raise InputError("the rates of missing values of signals cannot be used; fit again")
        return tensor.numpy()
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
