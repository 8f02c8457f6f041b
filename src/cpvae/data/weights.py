"""Weights of rows: a row of weight 2 is learned from as two rows are, and a row of weight 0 not at all."""

from __future__ import annotations

from typing import Any

import numpy as np

from cpvae.errors import InputError

MOST_REPEATS = 10  # rows that each row with a weight becomes, on average, before weights are scaled


def repeats(weights: Any, n: int) -> np.ndarray:
    """Turn the weights of rows into rows that repeat: the place of each, ``(m,)`` integers in order.

    Whole weights are the numbers of repeats. Others are scaled to a mean of 1, and so are whole ones of more than 10 on
    average. They are then rounded up or down such that their sums over successive rows stay right.

    Args:
        weights: ``(n,)`` numbers of at least 0; only their ratios count.
        n: how many rows there are.

    Raises:
        InputError: another shape, what is no number, a negative one, or no weight above 0.

    Examples:
        >>> repeats([1, 0, 3], 3), repeats([0.5, 1.5, 1.0, 1.0], 4)
        (array([0, 2, 2, 2]), array([0, 1, 2, 3]))
    """
    try:
        values = np.asarray(weights, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"sample_weight of type {type(weights).__name__}: expected {n:,} numbers") from error
    if values.shape != (n,):
        raise InputError(f"sample_weight of shape {values.shape}: expected one weight for each row, ({n},)")
    wrong = ~(np.isfinite(values) & (values >= 0))
    if wrong.any():
        row = int(wrong.argmax())
        raise InputError(
            f"sample_weight[{row}]={values[row]:g}: expected a number of at least 0; give 0 to leave a row out"
        )
    used = int((values > 0).sum())
    if not used:
        raise InputError("sample_weight is zero in every row: expected a weight above 0 for the rows to learn from")
    if (values != np.floor(values)).any() or values.sum() > MOST_REPEATS * used:
        values = values * (used / values.sum())
    ends = np.floor(np.cumsum(values) + 0.5).astype(np.int64)
    return np.repeat(np.arange(n), np.diff(ends, prepend=0))
