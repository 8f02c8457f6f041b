"""Rows of data, in their own dtype, read a batch at a time.

Bytes stay bytes, a memory-mapped file stays on the disk, and a sparse matrix stays sparse: only the rows of a batch
become floating numbers.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.sparse import csr_array, vstack
from torch import Tensor

if TYPE_CHECKING:
    from cpvae.data.sparse import SparseRows

CHUNK = 2**20  # numbers read at once: 8 MB for each copy in double precision
_TORCH_DTYPES = frozenset(["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64"])
_WIDER = {"uint16": "int32", "uint32": "int64"}  # of what torch has little or nothing


class Rows:
    """A matrix of which single rows are asked for.

    Args:
        x: ``(n, ...)``; everything after the first dimension is flattened. May be memory-mapped, or sparse.
        index: the rows meant, ``(m,)`` integers; None means all.
        device: where they are kept and batches are made. A sparse matrix is kept by the CPU.
    """

    def __init__(self, x: np.ndarray | SparseRows, index: np.ndarray | None = None, device: torch.device | str = "cpu"):
        self.x: Tensor | _Sparse
        if isinstance(x, np.ndarray):
            x = _of_torch(x)
            with warnings.catch_warnings():
                # A file opened for reading only cannot be written through the tensor either; only `replace` writes.
                warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
                x = x.reshape(len(x), -1)
                if min(x.strides) < 0:  # turned around, which torch cannot do
                    x = x.copy()
                self.x = torch.from_numpy(x).to(device)
        else:
            self.x = _Sparse(x, torch.empty(0, device=device).device)
        self._given: Any = x
        self.device = self.x.device
        self.index: Tensor | None = None
        if index is not None:
            self.index = self.at(index).index

    def __reduce__(self) -> tuple[object, ...]:
        """Pass to another process as the array given, which can stay in the file it is in."""
        index = None if self.index is None else self.index.numpy(force=True)
        return Rows, (self._given, index, self.device)

    def __len__(self) -> int:
        return len(self.x) if self.index is None else len(self.index)

    def at(self, index: np.ndarray) -> Rows:
        """Take other rows ``(m,)`` of the same matrix, which is shared."""
        other = Rows.__new__(Rows)
        other.x, other.device, other._given = self.x, self.device, self._given
        few = len(self.x) < 2**31  # then half the memory
        other.index = torch.from_numpy(np.asarray(index, dtype=np.int32 if few else np.int64)).to(self.device)
        return other

    def part(self, part: slice) -> Rows:
        """Take the rows from one position to another; the matrix is shared."""
        other = Rows.__new__(Rows)
        if self.index is None and isinstance(self.x, _Sparse):  # whose part would be a copy
            return self.at(np.arange(len(self))[part])
        other.x, other._given, other.device = self.x, self._given, self.device
        other.index = None if self.index is None else self.index[part]
        if self.index is None:
            other._given, other.x = self._given[part], self.x[part]
        return other

    def some(self, i: np.ndarray) -> Rows:
        """Take the rows at the positions `i` ``(m,)``; the matrix is shared."""
        return self.at(i if self.index is None else self.index.numpy(force=True)[i])

    def spread(self, n: int) -> Rows:
        """Take n rows, evenly spread, or all if there are no more; the matrix is shared."""
        return self if len(self) <= n else self.some(np.linspace(0, len(self) - 1, n).astype(np.int64))

    def numbers(self, places: Sequence[int]) -> list[int]:
        """Say which rows of the matrix lie at some places among these, counted from 0: a person knows those.

        >>> Rows(np.zeros((5, 2)), np.array([1, 3, 4])).numbers([0, 2])
        [1, 4]
        """
        return [int(i if self.index is None else self.index[i]) for i in places]

    def renew(self, seed: int) -> None:
        """Draw anew the rows that a model draws, from a seed. Given rows stay."""

    def renewal_seconds(self) -> float:
        """Estimate what `renew` takes."""
        return 0.0

    def replace(self, first: int, x: np.ndarray) -> None:
        """Put other rows ``(m, features)`` in the place of those of the matrix from `first` on.

        The matrix must be the caller's own: no file, and no array that somebody gave.
        """
        if isinstance(self.x, _Sparse):
            self.x.replace(first, x)
        else:
            self.x[first : first + len(x)] = torch.from_numpy(x).to(self.x)

    def take(self, i: Tensor) -> Tensor:
        """Read the rows at the positions `i` ``(b,)``, as they are stored: ``(b, features)``."""
        return self.x[i if self.index is None else self.index[i]]

    def chunks(self) -> Iterator[Tensor]:
        """Yield all rows in order, as many at a time as make `CHUNK` numbers."""
        size = max(1, CHUNK // self.x.shape[1])
        for start in range(0, len(self), size):
            stop = min(start + size, len(self))
            yield self.x[start:stop] if self.index is None else self.x[self.index[start:stop]]


class _Sparse:
    """A sparse matrix that gives its rows as dense tensors."""

    def __init__(self, x: SparseRows, device: torch.device):
        self._x = x
        self.device = device
        self.shape = torch.Size(x.shape)
        self.dtype = torch.from_numpy(_of_torch(np.empty(0, x.dtype))).dtype

    def __len__(self) -> int:
        return len(self._x)

    def replace(self, first: int, x: np.ndarray) -> None:
        """Put other rows ``(m, features)`` in the place of those from `first` on."""
        parts = [self._x[:first], csr_array(x), self._x[first + len(x) :]]
        self._x = type(self._x)(vstack(parts, format="csr", dtype=self._x.dtype))

    def __getitem__(self, i: Tensor | slice) -> Tensor:
        rows = self._x[i if isinstance(i, slice) else i.numpy(force=True)]
        return torch.from_numpy(_of_torch(rows.toarray())).to(self.device)


def _of_torch(x: np.ndarray) -> np.ndarray:
    """Give numbers in a kind that torch has: the smallest that holds them."""
    if x.dtype.name in _TORCH_DTYPES and x.dtype.isnative:
        return x
    return x.astype(_WIDER.get(x.dtype.name, "float64"))
