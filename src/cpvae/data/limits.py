"""Limits: the numbers that float32 holds with room for squares and sums, and the memory of this machine."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from cpvae.errors import InputError

LARGEST = 1e30  # float32 ends at 3.4e38
BLOCK_BYTES = 1 << 24  # looked at together: a memory-mapped file is never read whole
CONTAINER = Path("/sys/fs/cgroup/memory.max")  # bytes, or "max"


def first_beyond(values: Any, missing: bool = True) -> tuple[int, ...] | None:
    """Find the first number beyond ±1e30, or infinite, in the order of rows; without `missing` also NaN.

    Args:
        values: numbers ``(n, ...)``; `cpvae.data.sparse.SparseRows` are made dense a block at a time.

    Returns:
        Its index, or None.

    >>> first_beyond(np.array([[1.0, np.nan], [1e31, 2.0]])), first_beyond(np.array([0.0, -1e30]))
    ((1, 0), None)
    """
    if values.dtype.kind != "f" or not len(values):  # the largest 64-bit integer is 1.8e19
        return None
    for start, block in blocks(values):
        # a NaN makes both comparisons false
        if not block.size or (float(block.min()) >= -LARGEST and float(block.max()) <= LARGEST):
            continue
        bad = ~(np.abs(block.astype(np.float64)) <= LARGEST)
        if missing:
            bad &= ~np.isnan(block)
        if bad.any():
            within, *others = np.argwhere(bad)[0].tolist()
            return (start + within, *others)
    return None


def first_missing(values: Any) -> tuple[int, ...] | None:
    """Find the first missing cell, NaN, in the order of rows.

    Args:
        values: numbers ``(n, ...)``; `cpvae.data.sparse.SparseRows` are made dense a block at a time.

    Returns:
        Its index, or None.

    >>> first_missing(np.array([[1.0, 2.0], [np.inf, np.nan]])), first_missing(np.array([1, 2]))
    ((1, 1), None)
    """
    if values.dtype.kind != "f" or not len(values):
        return None
    for start, block in blocks(values):
        missing = np.isnan(block)
        if missing.any():
            within, *others = np.argwhere(missing)[0].tolist()
            return (start + within, *others)
    return None


def blocks(values: Any) -> Iterator[tuple[int, np.ndarray]]:
    """Give parts of rows, each with the place of its first row."""
    bytes_a_row = values.dtype.itemsize * int(np.prod(values.shape[1:]))
    step = max(1, BLOCK_BYTES // max(1, bytes_a_row))
    for start in range(0, len(values), step):
        yield start, np.asarray(values[start : start + step])


def check_memory(needed: int, given: str, advice: str) -> None:
    """Refuse so many bytes that this machine could not hold them; Linux would end the process instead.

    Args:
        needed: bytes.
        given: what needs them, and advice: what to give instead, for the message.

    Raises:
        InputError: there are fewer.
    """
    if needed > memory():
        raise InputError(f"{given}: needs about {needed / 1e9:,.0f} GB, more memory than there is; give {advice}")


def memory() -> float:
    """Say how many bytes of memory this machine or container has; infinity where that is not known."""
    found = math.inf
    if hasattr(os, "sysconf"):
        found = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        return min(found, int(CONTAINER.read_text()))
    except (OSError, ValueError):  # no container, or one without a limit
        return found
