"""The split of rows into those to learn from and those to judge by, and the mark by which a resumed fit knows them.

A fit is planned in one order: the schema of its table first, then the split of its rows, then the seeds of its
restarts. A run keeps all three, so that it goes on with the rows it began with, whatever `random_state` is.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from cpvae.data.rows import CHUNK

MAX_VALIDATION = 10_000  # rows; the standard error of their mean bound is then a few hundredths of a nat


@dataclass(frozen=True)
class Split:
    """Positions of the training and of the validation rows, both ``(m,)``, in the order of the rows.

    Attributes:
        overlap: every row is both, since there are too few to spare any.
    """

    train: np.ndarray
    valid: np.ndarray
    overlap: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Give the sizes of both parts and a digest of the positions, as JSON holds them."""
        sha = hashlib.sha256()
        for part in (self.train, self.valid):
            sha.update(np.ascontiguousarray(part, dtype=np.int64).data)
        return {"train": len(self.train), "valid": len(self.valid), "sha256": sha.hexdigest()[:16]}


def split(n: int, fraction: float, least: int, seed: int, kept: np.ndarray | None = None) -> Split:
    """Hold out a share of n rows, drawn at random, for validation.

    Args:
        n: how many rows there are.
        fraction: the share to hold out; at least one row and at most 10,000 of them.
        least: training rows that must be left. Where they would not be, all rows are in both parts.
        seed: fixes the rows that are drawn.
        kept: rows ``(n,)``, true or false, that are held out only if there are too few others.

    Examples:
        >>> found = split(10, 0.2, 2, seed=0)
        >>> found.train.tolist(), found.valid.tolist()
        ([0, 1, 3, 4, 5, 6, 7, 9], [2, 8])
        >>> split(3, 0.2, 3, seed=0).overlap
        True
    """
    n_valid = min(max(1, round(fraction * n)), MAX_VALIDATION)
    if n - n_valid < max(1, least):
        every = np.arange(n)
        return Split(every, every, overlap=True)
    order = np.random.RandomState(seed).permutation(n)
    if kept is not None:
        order = order[np.argsort(kept[order], kind="stable")]
    return Split(np.sort(order[n_valid:]), np.sort(order[:n_valid]))


def fingerprint(rows: np.ndarray) -> dict[str, Any]:
    """Tell rows from others by their shape, their dtype, and a digest of every one of them.

    The rows are read a part at a time, so that a file larger than the memory can be told too.

    Args:
        rows: ``(n, features)``.

    Examples:
        >>> a = np.zeros((5000, 2))
        >>> b = a.copy()
        >>> b[4321, 1] = 1.0
        >>> fingerprint(a)["rows"], fingerprint(a) == fingerprint(b)
        (5000, False)
    """
    sha = hashlib.sha256()
    step = max(1, CHUNK // max(1, rows.shape[1]))
    for start in range(0, len(rows), step):
        sha.update(np.ascontiguousarray(rows[start : start + step]).view(np.uint8).data)
    return {
        "rows": len(rows),
        "features": int(rows.shape[1]),
        "dtype": rows.dtype.name,
        "digest": sha.hexdigest()[:32],
    }
