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

AT_ONCE = 2**16  # numbers hashed at once: a few copies of them stay in a core's cache
_INCREMENT = -7046029254386353131  # 0x9E3779B97F4A7C15 as a signed integer: 2^64 over the golden ratio


def _shift(x: Tensor, bits: int) -> Tensor:
    """Shift to the right without the sign, which torch's own repeats."""
    shifted = x >> bits
    shifted &= (1 << (64 - bits)) - 1
    return shifted


def _mix(x: Tensor) -> Tensor:
    """Run SplitMix64's finaliser, in place after its first step; integer products wrap around, as they should."""
    x = _shift(x, 30).bitwise_xor_(x)
    x *= -4658895280553007687
    x ^= _shift(x, 27)
    x *= -7723592293110705685
    x ^= _shift(x, 31)
    return x


def row_keys(x: Tensor) -> Tensor:
    """Compute a 64-bit key for each row: floating ``(B, F)`` -> int64 ``(B,)``.

    Equal rows get equal keys, whatever their neighbours: integer sums do not depend on order.

    >>> x = torch.randn(3, 5)
    >>> bool((row_keys(x)[1:] == row_keys(x[1:])).all())
    True
    """
    places = _mix(torch.arange(1, x.shape[-1] + 1, device=x.device) * _INCREMENT)
    sums = []
    for part in x.split(max(1, AT_ONCE // max(1, x.shape[-1]))):
        bits = (part + 0.0).contiguous()  # adding zero turns -0.0, equal to 0.0 but with other bits, into 0.0
        words = bits.view(torch.int64 if x.dtype == torch.float64 else torch.int32) + places
        sums.append((_mix(words).mul_(places | 1)).sum(-1))
    return _mix(torch.cat(sums))


def row_uniform(keys: Tensor, shape: Sequence[int], stream: int = 0) -> Tensor:
    """Draw uniform numbers strictly inside (0, 1): keys ``(B,)`` -> float64 ``(B, *shape)``.

    Args:
        keys: from `row_keys`.
        shape: how many numbers for each row.
        stream: another stream gives other, independent numbers.
    """
    places = torch.arange(math.prod(shape), device=keys.device)
    return _uniform(_starts(keys, stream).unsqueeze(-1), places).view(len(keys), *shape)


def row_uniform_at(keys: Tensor, rows: Tensor, places: Tensor, stream: int = 0) -> Tensor:
    """Draw some numbers of `row_uniform`: keys ``(B,)``, rows and places int64 ``(m,)`` -> float64 ``(m,)``.

    >>> keys = row_keys(torch.randn(3, 5))
    >>> some = row_uniform_at(keys, torch.tensor([0, 2]), torch.tensor([4, 1]))
    >>> bool((some == row_uniform(keys, (5,))[[0, 2], [4, 1]]).all())
    True
    """
    return _uniform(_starts(keys, stream)[rows], places)


def _starts(keys: Tensor, stream: int) -> Tensor:
    """Find the start of each row's numbers in a stream, ``(B,)``."""
    return _mix(keys ^ _mix(torch.tensor(stream + 1, device=keys.device)))


def _uniform(starts: Tensor, places: Tensor) -> Tensor:
    """Give the numbers at some places, counted from 0, behind some starts; both are broadcast."""
    bits = _shift(_mix(starts + (places + 1) * _INCREMENT), 12)  # 52 bits: with the half added still exact
    return bits.double().add_(0.5).mul_(2.0**-52)


def row_normal(keys: Tensor, shape: Sequence[int], stream: int = 0) -> Tensor:
    """Draw standard normal numbers: keys ``(B,)`` -> float64 ``(B, *shape)``."""
    return torch.special.ndtri(row_uniform(keys, shape, stream))
