"""Checks of arrays that are to be data or labels, each with an error of one line."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from cpvae.data.faults import enumerated
from cpvae.data.limits import LARGEST, first_beyond
from cpvae.data.loaders.records import NO_LABEL, Array
from cpvae.errors import InputError


def input_error(message: str) -> InputError:
    """Make an `InputError` about data."""
    return InputError(message)


def printable(name: str, most: int = 60) -> str:
    """Shorten a name to what a message can hold: its first characters, and an ellipsis.

    >>> printable("a" * 100, 5)
    'aaaaa...'
    """
    return name if len(name) <= most else name[:most] + "..."


def expanded(path: Path) -> Path:
    """Put `~/x` in the user's home, where no shell has seen to it; a path that begins otherwise stays as it is."""
    try:
        return path.expanduser()
    except RuntimeError:  # the home of somebody who is not known here
        return path


class reading:
    """A `with` block in which whatever a parser raises becomes an `InputError` about `path`.

    The catch is broad on purpose: numpy, zipfile, zlib, struct, pandas, pyarrow and Pillow document no common
    class, and a damaged file reaches corners of all of them (SyntaxError, KeyError, RecursionError, ...). For
    the same reason warnings about odd file contents are silenced here.
    """

    def __init__(self, path: Path, expected: str) -> None:
        self.path = path
        self.expected = expected
        self._warnings = warnings.catch_warnings()

    def __enter__(self) -> None:
        self._warnings.__enter__()
        warnings.simplefilter("ignore")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._warnings.__exit__(kind, error, traceback)
        if isinstance(error, Exception) and not isinstance(error, InputError):
            raise self._explain(error) from error

    def _explain(self, error: Exception) -> InputError:
        if isinstance(error, PermissionError):
            return input_error(f"{self.path}: permission denied; expected a readable file; allow reading it")
        if isinstance(error, MemoryError):
            return input_error(
                f"{self.path}: more memory needed than there is; expected {self.expected} that fits; "
                "save large arrays as .npy, which is read piece by piece"
            )
        reason = f"{type(error).__name__}: {error}"[:200]
        return input_error(
            f"{self.path}: cannot be read as {self.expected} ({reason}); expected a complete file of that "
            "format; write it again"
        )


def listed(paths: Sequence[Path], folder: Path, most: int = 3) -> str:
    """Name the first few files in a folder."""
    names = [os.path.relpath(path, folder) for path in paths[:most]]
    return ", ".join(names) + (", ..." if len(paths) > most else "")


def refuse_odd(paths: Sequence[Path], folder: Path, what: str) -> None:
    """Refuse pipes, devices, folders and broken links among files; a pipe would be waited for without end."""
    odd = [path for path in paths if not path.is_file()]
    if odd:
        which = str(odd[0]) if len(odd) == 1 else f"{len(odd)} of {len(paths)} in {folder} ({listed(odd, folder)})"
        raise input_error(f"{which}: not a file; expected {what}; remove it, or the broken link")


def check_rows(n: int, where: object) -> None:
    """Refuse data without rows. One row is enough for a fitted model; a fit asks for more by itself."""
    if not n:
        raise input_error(f"{where}: 0 rows; at least 1 is needed, and 2 for a fit; give rows")


def check_x(x: Any, where: object, names: Sequence[str] | None = None) -> Any:
    """Check that data have a legal shape, dtype and range.

    Args:
        x: (n,), (n, features), (n, a, b) or four dimensions; or a sparse matrix. Records, and text or dates in two
            dimensions, are the cells of a table and come as they are.
        where: what the messages call it.
        names: names of the columns of a table.

    Returns:
        The same numbers, of (n,) as (n, 1), in native byte order; a view of `x` wherever possible. A sparse matrix
        comes as `cpvae.data.sparse.SparseRows`.

    Raises:
        InputError: another number of dimensions, no rows, no features, a dtype that is not a number, an
            infinity, an absolute value above 1e30, NaN in a table that has names or in images.
    """
    if not isinstance(x, np.ndarray):
        return _check_sparse(x, where)
    if (x.dtype.names is not None and x.ndim == 1) or (x.dtype.kind in "USM" and x.ndim == 2):
        check_rows(len(x), where)
        return x  # records, text or dates: a table, whose columns are looked at one by one
    x = numeric(x, where)
    if not 1 <= x.ndim <= 4:
        raise input_error(
            f"{where}: an array of shape {x.shape}; expected (n, features) or (n, channels, height, width); reshape it"
        )
    check_rows(len(x), where)
    if x.size == 0:
        raise input_error(f"{where}: an array of shape {x.shape}, without values; expected one or more features")
    check_values(x, where, names, missing=names is None and x.ndim in (2, 3))
    return x[:, None] if x.ndim == 1 else x


def _check_sparse(x: Any, where: object) -> Any:
    from cpvae.data.sparse import SparseRows

    rows = SparseRows(x)
    rows.data = numeric(rows.data, where)
    check_rows(len(rows), where)
    found = first_beyond(rows.data)
    if found is not None:
        at = found[0]
        row, column = int(np.searchsorted(rows.indptr, at, "right")) - 1, int(rows.indices[at])
        raise input_error(f"{where}: a sparse matrix, {_bad_value(float(rows.data[at]), row, [column], None)}")
    return rows


def numeric(x: Array, where: object) -> Array:
    """Give numbers in native byte order; refuse a dtype that is not bool, integer or real."""
    if x.dtype.kind not in "biuf":
        what = "Python objects" if x.dtype.kind == "O" else f"dtype {x.dtype}"
        raise input_error(f"{where}: {what}; expected real numbers; convert with .astype('float32') and save again")
    if x.dtype.kind == "f" and x.dtype.itemsize > 8:  # long double: torch has none
        return x.astype(np.float64)
    return x if x.dtype.isnative else x.astype(x.dtype.newbyteorder("="))


def check_values(x: Array, where: object, names: Sequence[str] | None = None, missing: bool = False) -> None:
    """Refuse the first NaN, infinity or absolute value above 1e30, in row order; with `missing` NaN may be."""
    found = first_beyond(x, missing)
    if found is not None:
        others = [] if names is None else [j for j in range(len(names)) if first_beyond(x[:, j : j + 1], missing)]
        more = enumerated([repr(names[j]) for j in others if j != found[1]]) if names is not None else ""
        also = f"; also in {more}" if more else ""
        raise input_error(f"{where}: {_bad_value(float(x[found]), found[0], list(found[1:]), names)}{also}")


def _bad_value(value: float, row: int, feature: list[int], names: Sequence[str] | None) -> str:
    if names is None:
        at = f"at index [{', '.join(map(str, [row, *feature]))}] (counted from 0)"
    else:
        at = f"in column {names[feature[0]]!r}, data row {row + 1}"
    if np.isnan(value):
        return f"missing value (NaN) {at}; expected a number everywhere; fill it or drop the row"
    if np.isinf(value):
        return f"infinity {at}; expected finite numbers; replace it or drop the row"
    return f"{value:.3g} {at}; expected absolute values up to {LARGEST:g} (float32 arithmetic); rescale the data"


def check_labels(y: Array, n: int, where: object, gaps: bool = False) -> Array:
    """Give labels ``(n,)``: whole floats as integers, bytes as text. With `gaps` NaN becomes `NO_LABEL`, others text.

    Raises:
        InputError: another length or shape, objects, complex numbers, dates, infinity, NaN without `gaps`.
    """
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1 or len(y) != n:
        raise input_error(f"{where}: labels of shape {y.shape}; expected one label for each of the {n} rows, ({n},)")
    if y.dtype.kind not in "biufSU":
        what = "Python objects" if y.dtype.kind == "O" else f"dtype {y.dtype}"
        raise input_error(f"{where}: labels are {what}; expected integers or text; convert with .astype(str)")
    if y.dtype.kind == "S":
        return np.char.decode(y, "utf-8", "replace")
    if y.dtype.kind != "f":
        return y if y.dtype.isnative else y.astype(y.dtype.newbyteorder("="))
    missing = np.isnan(y) if gaps else np.zeros(len(y), dtype=bool)
    own = y[~missing]
    if not np.isfinite(own).all() or not len(own):
        row = int(np.argmin(np.isfinite(y) | missing)) if len(own) else 0
        raise input_error(f"{where}: label {y[row]} at row {row} (counted from 0); expected one label for every row")
    whole = bool((own == np.round(own)).all()) and float(np.abs(own).max()) < 2**53
    own = own.astype(np.int64) if whole else own
    if not missing.any():
        return own
    text = np.full(len(y), NO_LABEL, dtype=object)
    text[~missing] = own.astype(str)
    return text.astype(str)
