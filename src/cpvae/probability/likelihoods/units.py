"""Place and spread of columns, or of the channels of signals and pictures, from rows read in chunks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from cpvae.data.rows import Rows
from cpvae.errors import InputError, warn
from cpvae.probability.likelihoods.likelihood import Form

LISTED = 5  # constant columns that a message names


class Units(NamedTuple):
    """Mean and standard deviation of each column or channel, float64 ``(G,)``; the latter is 0 for a constant one."""

    loc: np.ndarray
    scale: np.ndarray


class _Moments:
    """Sums over the chunks of rows seen so far, for each column, NaN left out."""

    def __init__(self) -> None:
        self.scaler = StandardScaler()
        self.first: Tensor | None = None
        self.low = self.high = torch.empty(0)

    def add(self, x: Tensor) -> None:
        x = x.long() if not x.is_floating_point() else x
        low, high = (x, x) if not x.is_floating_point() else (x.nan_to_num(torch.inf), x.nan_to_num(-torch.inf))
        low, high = low.amin(0), high.amax(0)
        if self.first is None:
            # Differences from a value of the column lose no digits where its values are large and its spread is small.
            self.first, self.low, self.high = torch.where(low.isinf(), 0, low), low, high
        self.low, self.high = torch.minimum(self.low, low), torch.maximum(self.high, high)
        self.scaler.partial_fit((x - self.first).double().numpy(force=True))

    def units(self) -> Units:
        assert self.first is not None
        loc = self.first.double().numpy(force=True) + self.scaler.mean_
        scale = np.sqrt(self.scaler.var_)
        spread = (self.high - self.low).double().numpy(force=True)
        tiny = (spread > 0) & ~(scale > 0)  # squares of the smallest numbers are zero
        return Units(loc, np.where(spread > 0, np.where(tiny, spread, scale), 0.0))


def units_of(rows: Rows, form: Form, valid: Rows | None = None) -> Units:
    """Find the units of training rows; those of all rows for a column that varies in the validation rows alone.

    Raises:
        InputError: a column that varies by less than floating-point numbers resolve.
    """
    moments, found = _Moments(), []
    for part in (rows, valid):
        for x in () if part is None else part.chunks():
            grouped = x if form.channels is None else x.view(len(x), form.channels, -1).transpose(1, 2).flatten(0, 1)
            moments.add(grouped)
        found.append(moments.units())
    train, both = found
    low, high = moments.low, moments.high
    unresolved = ((low != high) & (low.double() == high.double())).nonzero().flatten().tolist()
    if unresolved:
        at = unresolved[0]
        raise InputError(
            f"column {form.column(at)} varies from {low[at].item()} to {high[at].item()}, by less than floating-point "
            "numbers resolve there; expected values that differ in their first 15 digits; subtract a constant from the "
            "column, or drop it"
        )
    return Units(*(np.where(train.scale > 0, a, b) for a, b in zip(train, both, strict=True)))


def varying(units: Units, form: Form, n_rows: int) -> np.ndarray:
    """Find the places of the columns that vary, ``(F,)``; say once which do not, and with which value.

    Raises:
        InputError: none varies.
    """
    constant = np.flatnonzero(units.scale == 0)
    if len(constant) == form.features:
        raise InputError(
            f"all {len(constant)} columns are constant in all {n_rows} rows; expected values that vary; give rows that "
            "differ"
        )
    if len(constant):
        warn(f"{left_out(constant, units.loc, form)}, left out of the model")
    return np.flatnonzero(units.scale > 0)


def left_out(constant: Sequence[int] | np.ndarray, values: np.ndarray, form: Form) -> str:
    """Name constant columns with their values, the first few of many.

    >>> left_out([0, 2], np.array([3.0, 0.5, 11.0]), Form((3,), ["a", "b", "c"]))
    "2 constant columns: 'a' (3), 'c' (11)"
    """
    named = ", ".join(f"{form.column(i)} ({values[i]:.6g})" for i in constant[:LISTED])
    return f"{len(constant)} constant column{'s' * (len(constant) > 1)}: {named}{', ...' * (len(constant) > LISTED)}"


def constants(kept: Tensor | None, rest: Tensor | None) -> dict[int, float]:
    """Name the columns that are left out of a model, with the value that each has in all rows.

    Args:
        kept: places of the columns in the model, ``(D,)``; None keeps all.
        rest: values of all columns where they do not vary, ``(F,)``.

    >>> constants(torch.tensor([0, 2]), torch.tensor([0.0, 7.0, 0.0]))
    {1: 7.0}
    """
    if kept is None or rest is None:
        return {}
    places = set(kept.tolist())
    return {place: value for place, value in enumerate(rest.tolist()) if place not in places}


def filled(x: Tensor, kept: Tensor | None, rest: Tensor | None) -> Tensor:
    """Put the values of columns that are left out back into rows: ``(..., D)`` -> ``(..., F)``; see `constants`."""
    if kept is None or rest is None:
        return x
    return rest.expand(*x.shape[:-1], -1).index_copy(-1, kept, x.to(rest.dtype))
