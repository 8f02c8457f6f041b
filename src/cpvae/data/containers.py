"""Rows from whatever holds them: arrays, lists, tensors, data frames, sparse matrices.

Both doors use this module, the estimators and the loaders, so that the same numbers are taken for the same thing by
either. What one row is, `cpvae.data.row_kinds` says.

Missing cells are NaN, None, pandas' NA, or masked. They become NaN and stay missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cpvae.data.faults import enumerated
from cpvae.data.row_kinds import CHANNELS_LAST, KINDS, Given, look_like_images, of_kind
from cpvae.data.weights import repeats
from cpvae.errors import InputError, one_line
from cpvae.extras import needed

if TYPE_CHECKING:
    import pandas as pd

MOST_REASON = 120  # characters of what a library says


def as_rows(x: Any, kind: str = "auto", shape: tuple[int, ...] | None = None) -> Given:
    """Find the rows in what a person hands over, and say what they are.

    Args:
        x: an array, masked or not, of any dtype; a tensor on any device; nested lists, or a list of arrays, tensors or
            PIL images; columns by name; a data frame of pandas or polars, lazy or not, a pyarrow table, an xarray or
            AnnData object; a sparse matrix, which stays sparse.
        kind: one of `KINDS`, or "auto" to decide as the docstring of `cpvae.data.row_kinds` says.
        shape: of a row of that kind, where it is known, as after a fit. Rows that have it are left as they are, and
            flat ones of as many numbers take it. Signals that end sooner get missing values after their end. Those
            that have no value after the last time of the fit are cut there.

    Returns:
        The rows; images have their channels first, a mask became NaN.

    Raises:
        InputError: no rows at all; rows of unequal lengths; what holds no numbers and no cells; a kind that does not go
            with the number of dimensions.

    Examples:
        >>> as_rows([[1.0, None], [2.0, 3.0]]).values
        array([[ 1., nan],
               [ 2.,  3.]])
        >>> as_rows(np.zeros((5, 28, 28, 3))).shape
        (3, 28, 28)
        >>> given = as_rows(np.random.default_rng(0).normal(size=(5, 6, 100)))
        >>> given.kind, given.shape
        ('signals', (6, 100))
        >>> given.notes[0]
        "rows of 6 x 100 taken for signals of 6 channels and 100 times; for pictures say kind='images'"
    """
    if kind != "auto" and kind not in KINDS:
        raise InputError(f"kind={kind!r}: expected 'auto' or one of {', '.join(KINDS)}")
    return of_kind(opened(x), kind, shape)


def repeated(x: Any, weights: Any) -> Given:
    """Give the rows of a container as often as their weights say (`cpvae.data.weights.repeats`), not yet of a kind.

    >>> repeated([[1.0], [2.0], [3.0]], [2, 0, 1]).values.ravel()
    array([1., 1., 3.])
    """
    given = opened(x)
    index = repeats(weights, len(given))
    values = given.values
    values = values.iloc[index].reset_index(drop=True) if hasattr(values, "iloc") else values[index]
    names = None if given.row_names is None else tuple(given.row_names[i] for i in index)
    return replace(given, values=values, row_names=names)


def opened(x: Any) -> Given:
    """Open a container, not yet of a kind, whatever its library raises."""
    try:
        return _opened(x)
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"rows of type {type(x).__name__}, which cannot be read ({one_line(error)[:MOST_REASON]}); expected an "
            "array, a list of rows, a data frame or a sparse matrix; convert them to one of these"
        ) from error


# -- containers --------------------------------------------------------------------------------------------------------


def _opened(x: Any) -> Given:
    """Find the numbers or cells inside of a container, not yet of a kind."""
    if isinstance(x, Given):
        return x
    library = type(x).__module__.split(".")[0]
    if library == "anndata" and hasattr(x, "obs_names"):
        return _from_anndata(x)
    if library == "xarray" and hasattr(x, "to_array") is False and hasattr(x, "values"):  # a DataArray
        return _opened(x.values)
    if library == "pandas" and hasattr(x, "columns"):
        return _from_frame(x)
    if library == "polars" and hasattr(x, "collect"):
        x = x.collect()
    if hasattr(x, "to_pandas"):
        return _from_frame(_to_pandas(x, library))
    if library == "torch":
        if not hasattr(x, "detach"):
            raise InputError(f"rows of type {type(x).__name__}: expected a tensor; give the one that holds the rows")
        return _from_array(_from_tensor(x))
    if hasattr(x, "tocsr"):
        return Given("matrix", _csr(x))
    if isinstance(x, np.ma.MaskedArray):
        return _from_array(_unmasked(x))
    if isinstance(x, (list, tuple)):
        return _from_sequence(x)
    if isinstance(x, Mapping):
        if library in ("h5py", "numpy"):
            held = enumerated(list(map(repr, x)))
            raise InputError(
                f'rows of type {type(x).__name__}, which holds {held}; expected the rows; give one data set, file["x"]'
            )
        return _from_columns(x)
    array = x if isinstance(x, np.memmap) else np.asarray(x)  # a mapped file stays one
    if array.ndim == 0:
        raise InputError(
            f"rows of type {type(x).__name__}: expected an array, a list of rows, a data frame or a sparse matrix; a "
            "file is read by cpvae.datasets.load"
        )
    return _from_array(array)


def _from_anndata(x: Any) -> Given:
    """Take the cells of an AnnData object, in memory or in its file: counts where all are whole, none negative."""
    from cpvae.data.loaders.cells import are_whole, kind_note

    x = x.to_memory() if x.isbacked else x
    if x.X is None:
        raise InputError("an AnnData object without X: expected cells x genes; put the layer that you mean there")
    given = replace(_opened(x.X), names=tuple(map(str, x.var_names)), row_names=tuple(map(str, x.obs_names)))
    if given.kind != "matrix" or not are_whole(given.values):
        return given
    return replace(given, kind="counts", notes=(*given.notes, kind_note(given.values, "X")))


def _to_pandas(x: Any, library: str) -> Any:
    with needed(f"a table of {library}"):
        frame = x.to_pandas()
    return frame if hasattr(frame, "columns") else frame.to_frame()


def _from_frame(frame: pd.DataFrame) -> Given:
    """Take a table as it is, and columns that are all sparse as a sparse matrix."""
    import pandas as pd

    if frame.shape[1] and all(isinstance(dtype, pd.SparseDtype) for dtype in frame.dtypes):
        sparse: Any = frame.sparse
        return Given("matrix", _csr(sparse.to_coo()), tuple(map(str, frame.columns)))
    names = tuple(map(str, frame.columns))
    if len({type(name) for name in frame.columns}) > 1:  # scikit-learn takes names of one type
        frame = frame.set_axis(list(names), axis=1)
    return Given("table", frame, names)


def _from_columns(columns: Mapping[Any, Any]) -> Given:
    """Take the columns of a table by their names."""
    import pandas as pd

    try:
        return _from_frame(pd.DataFrame(columns))
    except (TypeError, ValueError) as error:
        raise InputError(
            f"a {type(columns).__name__} that is no table ({one_line(error)}); expected columns of one length"
        ) from error


def _from_tensor(x: Any) -> Any:
    """Turn a tensor of torch into an array, a sparse one into a sparse matrix."""
    import torch

    x = x.detach()
    if x.layout != torch.strided:
        from scipy.sparse import coo_array

        x = x.to_sparse_coo().coalesce().cpu()
        return coo_array((x.values().numpy(), tuple(x.indices().numpy())), shape=tuple(x.shape))
    if x.dtype == torch.bfloat16:  # NumPy has none
        x = x.float()
    return x.numpy(force=True)


def _csr(x: Any) -> Any:
    from cpvae.data.sparse import SparseRows

    rows = SparseRows(x)
    if not rows.has_canonical_format:
        rows = rows.copy()  # not in the memory of the matrix given
        rows.sum_duplicates()
    return rows


def _unmasked(x: Any) -> np.ndarray:
    """Put NaN where a mask is."""
    if x.dtype.names is None and not np.ma.is_masked(x):
        return np.asarray(x.data)
    if x.dtype.names is not None:  # records, each field of which has a mask of its own
        cells = np.empty(x.shape, dtype=[(name, object) for name in x.dtype.names])
        for name in x.dtype.names:
            cells[name] = _unmasked(x[name].astype(object))
        return cells
    if x.dtype.kind == "O":
        return np.asarray(np.where(np.ma.getmaskarray(x), None, x.data))
    return x.astype(np.float32 if x.dtype in (np.float16, np.float32) else np.float64).filled(np.nan)


def _from_sequence(x: Sequence[Any]) -> Given:
    """Read nested lists, or a list of things that are arrays themselves."""
    if not len(x):
        return Given("matrix", np.asarray(x))
    first = x[0]
    if isinstance(first, Mapping):
        import pandas as pd

        return _from_frame(pd.DataFrame(list(x)))
    if type(first).__module__.startswith("PIL."):
        from cpvae.data.loaders.images import stack

        values, notes = stack(x)
        return Given("images", values, notes=notes)
    if (hasattr(first, "__array__") or hasattr(first, "__array_interface__")) and np.ndim(first):
        return _stacked([_opened(item).values for item in x])
    try:
        array = np.asarray(x)
    except ValueError as error:
        try:
            parts = [np.asarray(row) for row in x]
        except ValueError:
            raise InputError(_unequal(x)) from error
        return _stacked(parts)
    if array.dtype.kind in "OUST" and array.ndim == 2:
        import pandas as pd

        return _from_cells(pd.DataFrame([list(row) for row in x]))
    return _from_array(array)


def _stacked(parts: list[np.ndarray]) -> Given:
    """Put rows given one by one into one array; pad signals of several lengths with NaN."""
    shapes = {part.shape for part in parts}
    if len(shapes) == 1:
        return _from_array(np.stack(parts))
    if all(_is_picture(part) for part in parts):
        with needed("pictures of several sizes"):
            from PIL.Image import fromarray

        from cpvae.data.loaders.images import stack

        values, notes = stack(
            [fromarray(part.reshape(part.shape[:2]) if part.shape[2:] == (1,) else part) for part in parts]
        )
        return Given("images", values, notes=notes)
    if {part.ndim for part in parts} == {2} and len({len(part) for part in parts}) == 1:
        values, note = padded(parts)
        return Given("signals", values, notes=(note,))
    raise InputError(_unequal(parts))


def _is_picture(part: np.ndarray) -> bool:
    """Say whether an array of bytes is a picture: ``(height, width)``, or with channels last."""
    if part.dtype != np.uint8 or part.ndim not in (2, 3) or (part.ndim == 3 and part.shape[2] not in CHANNELS_LAST):
        return False
    return part.ndim == 3 or look_like_images(part[None])


def padded(parts: Sequence[np.ndarray]) -> tuple[np.ndarray, str]:
    """Put signals ``(channels, time)`` of several lengths into one array ``(n, channels, longest)``, with a note.

    What lies after the end of a signal is NaN, a missing value.
    """
    lengths = [part.shape[1] for part in parts]
    dtype = np.float32 if all(part.dtype == np.float32 for part in parts) else np.float64
    values = np.full((len(parts), len(parts[0]), max(lengths)), np.nan, dtype)
    for row, part in zip(values, parts, strict=True):
        row[:, : part.shape[1]] = part
    note = f"signals of {min(lengths)} to {max(lengths)} times; what lies after the end of one is missing"
    return values, note


def _unequal(parts: Sequence[Any]) -> str:
    """Say why rows do not go into one array."""
    shapes = list(map(_shape_of, parts))
    ends = [shape[:-1] for shape in shapes]  # channels of signals, whose last axis may differ
    judged: Sequence[Any] = ends if len(set(ends)) > 1 else shapes
    odd = next((i for i, shape in enumerate(judged) if shape != judged[0]), None)
    if odd is None:
        return "a row whose parts have unequal (inhomogeneous) lengths; expected one length in a row; pad them with NaN"
    given, other = (" x ".join(map(str, shape)) or "a single number" for shape in (shapes[0], shapes[odd]))
    return (
        f"rows of unequal (inhomogeneous) shape: row 0 has {given} and row {odd} has {other}; expected one shape; "
        "resize or pad them; signals may differ in length as a list of arrays (channels, time), and pictures in size "
        "as bytes"
    )


def _shape_of(part: Any) -> tuple[int, ...]:
    """Give the shape of a row, or only its length where parts of it differ in theirs."""
    try:
        return np.shape(part)
    except ValueError:
        return (len(part),)


def _from_array(x: Any) -> Given:
    if not isinstance(x, np.ndarray):
        return Given("matrix", _csr(x))
    if x.dtype.names is not None and x.ndim == 1:  # records
        import pandas as pd

        return _from_frame(pd.DataFrame.from_records(x).infer_objects())
    if x.dtype.kind == "O" and x.ndim == 1 and len(x) and np.ndim(x[0]):  # an array of arrays
        return _from_sequence(list(x))
    if x.dtype.kind in "mM" and x.ndim == 2:  # dates
        return _from_objects(x)
    if x.dtype.kind in "OUST" and x.ndim == 2 and x.size:
        return _from_objects(x)
    return Given("matrix", x)


def _from_objects(x: np.ndarray) -> Given:
    """Read Python objects, text or dates in two dimensions."""
    import pandas as pd

    if x.dtype.kind in "mM":
        return _from_frame(pd.DataFrame({str(i): x[:, i] for i in range(x.shape[1])}))

    if x.dtype.kind == "S":
        x = np.char.decode(x, "utf-8", "replace")
    return _from_cells(pd.DataFrame(x.astype(object)))


def _from_cells(frame: pd.DataFrame) -> Given:
    """Read cells without names of columns: a matrix where all are numbers or missing, else a table of "0", "1", ..."""
    import pandas as pd

    columns = {str(i): _cells(frame.iloc[:, i]) for i in range(frame.shape[1])}
    if all(cells.dtype.kind in "biuf" for cells in columns.values()):
        return Given("matrix", pd.DataFrame(columns).to_numpy(dtype=np.float64, na_value=np.nan))
    if any(
        isinstance(cell, (Mapping, Sequence)) and not isinstance(cell, (str, bytes)) for cell in frame.to_numpy().flat
    ):
        return Given("matrix", frame.to_numpy(dtype=object))  # records or lists in cells: for the caller to refuse
    return Given("table", pd.DataFrame(columns), tuple(columns))


def _cells(cells: Any) -> Any:
    """Turn a column of Python objects into numbers where all its cells are numbers, also as text, or missing."""
    import pandas as pd

    from cpvae.data.cells import are_codes

    observed = cells.notna()
    if cells.dtype.kind == "O" and isinstance(cells[observed].infer_objects().dtype, np.dtype):
        cells = cells.where(observed, None).infer_objects()
    if cells.dtype.kind not in "biufc" and are_codes([str(cell) for cell in cells[observed]]):
        return cells
    if cells.dtype.kind in "cmM":  # pandas would leave the imaginary part out, and make nanoseconds of dates
        return cells
    try:
        numbers = pd.to_numeric(cells, errors="coerce")
    except (TypeError, ValueError):  # cells that are no numbers and no text
        return cells
    return numbers.astype(np.float64) if (numbers.notna() == observed).all() else cells
