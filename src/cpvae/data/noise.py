"""Random numbers that are a function of the row they are for.

A fitted model is asked about rows one at a time, in batches and in other orders, and must answer the same each time.
Yet each answer is a Monte Carlo estimate, and rows must not share their noise: with common draws the errors of n rows
would be one error, and the standard error of their mean wrong. So each row is hashed to a 64-bit key, and its noise
comes from a counter-based generator with that key (SplitMix64: Steele, Lea and Flood, 2014; the principle is that of
Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

_INCREMENT = -7046029254386353131  # 0x9E3779B97F4A7C15 as a signed integer: 2^64 over the golden ratio


def _shift(x: Tensor, bits: int) -> Tensor:
    """Logical shift to the right: torch's own repeats the sign."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def _mix(x: Tensor) -> Tensor:
    """SplitMix64's finaliser; integer products wrap around, as they should."""
    x = (x ^ _shift(x, 30)) * -4658895280553007687
    x = (x ^ _shift(x, 27)) * -7723592293110705685
    return x ^ _shift(x, 31)


def row_keys(x: Tensor) -> Tensor:
    """A 64-bit key for each row: floating ``(B, F)`` -> int64 ``(B,)``.

    Equal rows get equal keys, whatever their neighbours: integer sums do not depend on order.

    >>> x = torch.randn(3, 5)
    >>> bool((row_keys(x)[1:] == row_keys(x[1:])).all())
    True
    """
    bits = (x + 0.0).contiguous()  # adding zero turns -0.0, equal to 0.0 but with other bits, into 0.0
    words = bits.view(torch.int64 if x.dtype == torch.float64 else torch.int32).long()
    places = _mix(torch.arange(1, x.shape[-1] + 1, device=x.device) * _INCREMENT)
    return _mix((_mix(words + places) * (places | 1)).sum(-1))


def row_uniform(keys: Tensor, shape: Sequence[int], stream: int = 0) -> Tensor:
    """Uniform numbers strictly inside (0, 1): keys ``(B,)`` -> float64 ``(B, *shape)``.

    Args:
        keys: from `row_keys`.
        shape: how many numbers for each row.
        stream: another stream gives other, independent numbers.
    """
    count = math.prod(shape)
    counter = torch.arange(1, count + 1, device=keys.device) * _INCREMENT
    start = _mix(keys ^ _mix(torch.tensor(stream + 1, device=keys.device)))
    bits = _shift(_mix(start.unsqueeze(-1) + counter), 12)  # 52 bits: with the half added still exact
    return ((bits.double() + 0.5) * 2.0**-52).view(len(keys), *shape)


def row_normal(keys: Tensor, shape: Sequence[int], stream: int = 0) -> Tensor:
    """Standard normal numbers: keys ``(B,)`` -> float64 ``(B, *shape)``."""
    return torch.special.ndtri(row_uniform(keys, shape, stream))
