"""Rows of which most numbers are zero: kept sparse, made dense a batch at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import csr_array


class SparseRows(csr_array):
    """A sparse matrix ``(n, features)`` that can stand where an array of rows is expected.

    It has a length, its parts are of its own kind, and NumPy may have a part of it, or all, as an array.

    >>> rows = SparseRows(np.eye(3, 4))
    >>> len(rows), np.asarray(rows[:1])
    (3, array([[1., 0., 0., 0.]]))
    """

    def __len__(self) -> int:
        return int(self.shape[0])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        dense: np.ndarray = self.toarray()
        return dense if dtype is None else dense.astype(dtype, copy=False)
