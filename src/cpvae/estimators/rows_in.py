"""Rows as an estimator takes them: checked, told what they are, and given back in the form they came in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from numbers import Integral
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_array, check_is_fitted, validate_data
from torch import Tensor

from cpvae.data.cells import text_columns
from cpvae.data.containers import as_rows, opened
from cpvae.data.faults import enumerated
from cpvae.data.limits import LARGEST, check_memory, first_beyond, first_missing
from cpvae.data.reading import Reading, column_names, find
from cpvae.data.row_kinds import Given
from cpvae.data.rows import Rows
from cpvae.data.schema import EVERY, Schema, as_frame
from cpvae.data.sparse import SparseRows
from cpvae.errors import InputError, ReadWarning, counted, warn
from cpvae.probability.likelihoods.choice import are_counts, by_schema
from cpvae.probability.likelihoods.likelihood import Form
from cpvae.probability.models import VAE as VAEModule

COLUMNS_TOLD = 20
BYTES_A_VALUE = 24  # of drawn rows: float32 or 64, and once more as cells, text or pixels
Table = TypeVar("Table", pd.DataFrame, Given)


class RowsIn(BaseEstimator):  # type: ignore[misc]
    """An estimator's way from rows as people hold them to rows in the model's units, and back.

    Attributes:
        n_features_in_: columns that are modelled.
        image_shape_: ``(channels, height, width)``, or None where rows are no images.
        signal_shape_: ``(channels, time)``, or None where rows are no signals.
        kind_: what rows were taken for, one of `cpvae.data.row_kinds.KINDS`.
        notes_: what was guessed about them, a line each.
        schema_: kinds and levels of the columns of a table, or None where rows are plain numbers.
    """

    kind: str
    likelihood: str
    schema: dict[str, str] | None
    noise: float | None

    model_: VAEModule
    likelihood_: str
    n_features_in_: int
    image_shape_: tuple[int, ...] | None
    signal_shape_: tuple[int, ...] | None
    kind_: str
    notes_: tuple[str, ...]
    schema_: Schema | None

    def _check_rows(self, X: ArrayLike, reset: bool, gaps: bool = False) -> np.ndarray:
        """Turn rows into a matrix in their own dtype, checked by scikit-learn's own validation.

        Images ``(n, channels, height, width)`` or ``(n, height, width)`` are flattened; their shape is kept. A table
        with a schema becomes float64, NaN where a cell is missing.

        Args:
            X: rows.
            reset: whether they are those of a fit.
            gaps: whether values may be missing though none was in the rows of the fit.
        """
        given = opened(X)
        names = None if reset or self.schema_ is not None else getattr(self, "feature_names_in_", None)
        if names is not None and given.names is not None:
            given, reading = in_order(given, names)
            reading.warn()
        said = len(given.notes)
        given = as_rows(given, self.kind) if reset else as_rows(given, *self._known())
        if not reset and self.signal_shape_ is not None:
            for note in given.notes[said:]:
                warn(note, ReadWarning)
        if reset or hasattr(self, "feature_names_in_"):  # a model without names takes columns by their places
            given = framed(given)
        X = given.flat
        _refuse_complex(X)
        if reset:
            self.kind_, self.notes_, self.schema_ = given.kind, given.notes, None
            self.image_shape_ = given.shape if given.kind == "images" else None
            self.signal_shape_ = given.shape if given.kind == "signals" else None
        elif self._are_of_another_shape(given):
            expected = self.image_shape_ or self.signal_shape_ or counted(self.n_features_in_, "column")
            raise InputError(f"{given.kind} of shape {given.shape}: the model was fitted on {expected}; give such rows")
        if reset:
            self.schema_ = infer_schema(given, self.likelihood, self.schema)
        if self.schema_ is not None:
            return self._encode(X, reset, gaps)
        if isinstance(X, SparseRows):
            return self._check_sparse(given, reset)
        _refuse_one_dimension(X)
        likelihood = self._asked_or_fitted(reset)
        if isinstance(X, pd.DataFrame):
            _refuse_text(X, likelihood)
        least = 2 if reset else 1
        try:
            array: np.ndarray = validate_data(
                self, X, reset=reset, dtype="numeric", ensure_min_samples=least, ensure_all_finite=False
            )
        except ValueError as error:
            raise InputError(" ".join(str(error).split())) from error
        gap = "" if gaps else _gap(array, getattr(X, "columns", given.names))
        if gap and given.kind == "images":
            raise InputError(f"{gap}, of images; expected a number in every pixel; fill it or drop the row")
        if gap and given.kind != "signals":
            raise _no_gap(gap, likelihood)
        _refuse_large(array, given)
        return array

    def _are_of_another_shape(self, given: Given) -> bool:
        """Say whether rows are pictures that the model does not take, or signals of another shape than in the fit."""
        if given.kind == "signals" and self.signal_shape_ is None:  # so guessed; a matrix takes them flat
            return False
        return given.kind in ("images", "signals") and given.shape != (self.image_shape_ or self.signal_shape_)

    def _asked_or_fitted(self, reset: bool) -> str:
        """Name the likelihood asked for in a fit, and that of the fit later; in a first fit there is none yet."""
        return self.likelihood if reset else getattr(self, "likelihood_", self.likelihood)

    def _known(self) -> tuple[str, tuple[int, ...] | None]:
        """Say what the rows of the fit were, and their shape: later rows are not guessed anew."""
        shape = self.image_shape_ or self.signal_shape_
        return (self.kind_ if shape or self.kind_ == "counts" else "auto"), shape

    def _check_sparse(self, given: Given, reset: bool) -> Any:
        """Check a sparse matrix, which stays sparse, as scikit-learn checks an array."""
        try:
            sparse = check_array(
                given.values, accept_sparse="csr", ensure_min_samples=2 if reset else 1, ensure_all_finite=False
            )
            array = SparseRows(sparse)
        except ValueError as error:
            raise InputError(" ".join(str(error).split())) from error
        names = None if given.names is None else np.array(given.names, dtype=object)
        if reset:
            self.n_features_in_ = array.shape[1]
            if names is not None:
                self.feature_names_in_ = names
            elif hasattr(self, "feature_names_in_"):  # of an earlier fit
                del self.feature_names_in_
        elif array.shape[1] != self.n_features_in_:
            raise InputError(
                f"X has {array.shape[1]} features, but {type(self).__name__} is expecting {self.n_features_in_} "
                "features as input; give the columns of the fit"
            )
        gap = _gap(array, given.names)
        if gap:
            raise _no_gap(gap, self._asked_or_fitted(reset))
        _refuse_large(array, given)
        return array

    def _encode(self, X: Any, reset: bool, gaps: bool = False) -> np.ndarray:
        """Turn a table into the numbers of its schema, ``(n, columns modelled)``."""
        assert self.schema_ is not None
        frame = as_frame(X, None if reset else self.schema_.given)
        _refuse_small(frame, 1 + reset)
        if reset:
            own = set(self.schema_.names)
            kept = frame.iloc[:1, [i for i, name in enumerate(frame.columns) if str(name) in own]]
            validate_data(self, kept if isinstance(X, pd.DataFrame) else kept.to_numpy(), skip_check_array=True)
        matrix = self.schema_.encode(frame)
        if self.schema_.is_matrix and not by_schema(self.likelihood) and not gaps:
            gap = _gap(matrix, self.schema_.names)
            if gap:
                raise InputError(
                    f"{gap}; expected a number in every cell of a matrix of {counted(matrix.shape[1], 'column')}, as "
                    "in the fit; fill it or drop the row, or fit with likelihood 'columns'"
                )
        return matrix

    def _taken_for(self) -> list[str]:
        """Say what the rows of the fit were taken for, a line each, and how to say otherwise."""
        lines = list(self.notes_)
        if self.schema_ is None:
            return lines
        columns = [column.describe() for column in self.schema_.columns]
        lines += [*self.schema_.notes, *(f"  {line}" for line in columns[:COLUMNS_TOLD])]
        if len(columns) > COLUMNS_TOLD:
            lines.append(
                f"  and {len(columns) - COLUMNS_TOLD:,} more columns; all of them are in the schema of the model"
            )
        codes = [column for column in self.schema_.columns if column.may_be_codes]
        if codes:
            named = enumerated([f"{one.name!r} ({one.least:g} to {one.most:g})" for one in codes])
            lines.append(
                f"modelled as sizes, not as codes: {named}; where one holds codes, say so in the schema, as "
                f"{{{codes[0].name!r}: 'categorical'}}"
            )
        *others, last = self.schema_.columns
        whole = [column.name for column in others if column.kind in ("count", "amount")]
        example = {**dict.fromkeys(whole[:1], "numeric"), last.name: "ignore" if others else last.kind}
        lines.append(
            f"to say otherwise, for instance: schema={example}, or --schema FILE.json; for a column that holds labels: "
            "--labels COLUMN"
        )
        return lines

    def _form(self) -> Form:
        """Tell a likelihood what is known of the rows beside their values."""
        shape = self.image_shape_ or self.signal_shape_ or (self.n_features_in_,)
        return Form(shape, getattr(self, "feature_names_in_", None), self.schema_, self.noise, self.kind_)

    def _units(self, X: ArrayLike) -> Iterator[Tensor]:
        """Give rows in the model's units, so many at a time that any file can be read."""
        check_is_fitted(self)
        rows = Rows(self._check_rows(X, reset=False), device=self.model_.device)
        likelihood = self.model_.likelihood
        likelihood.check(rows, self._form().names)
        return (likelihood.to_model(x) for x in rows.chunks())

    def _observed(self, X: ArrayLike) -> Iterator[Tensor]:
        """Give rows in the model's units, each with the one observation that bounds are for."""
        return (self.model_.likelihood.draw_fixed(y) for y in self._units(X))

    def _check_drawn(self, n: int, given: str) -> None:
        """Refuse to draw so many rows that memory could not hold them; `given` says what asks for them."""
        check_memory(int(n) * self.n_features_in_ * BYTES_A_VALUE, given, "a smaller number")

    def _to_shape(self, x: Tensor, drawn: bool = False) -> Any:
        """Give rows ``(n, features)`` the form of the rows of the fit, and drawn ones the values that repeat there."""
        array: np.ndarray = x.numpy(force=True)
        shape = self.image_shape_ or self.signal_shape_
        if shape is not None:
            return array.reshape(-1, *shape)
        if self.schema_ is None:
            return array
        return self.schema_.decode(self.schema_.written(array) if drawn else array)


def infer_schema(given: Given, likelihood: str, asked: Mapping[str, Any] | None) -> Schema | None:
    """Find the schema by which rows are to be fitted: one rule, wherever they come from.

    The columns of a table are modelled each after its kind. A matrix is one of numbers, and needs a schema only where
    cells are missing.

    Args:
        given: the rows.
        likelihood: that of the estimator, by name.
        asked: its `schema`.

    Returns:
        None where rows are plain numbers.

    Raises:
        InputError: what `Schema.infer` refuses; no table where a schema needs one.
    """
    if given.kind == "signals":  # what is missing there lies after the end of a signal, or in a gap of it
        return None
    if by_schema(likelihood) or asked is not None:
        frame = as_frame(given.values)
        _refuse_small(frame, 2)
        return Schema.infer(frame, asked)
    if likelihood != "auto" or given.kind not in ("table", "matrix"):
        return None
    if given.kind == "matrix" and isinstance(given.flat, pd.DataFrame):
        _refuse_text(given.flat, likelihood)
    if given.kind == "matrix" and (given.flat.ndim != 2 or not first_missing(_numbers(given.flat))):
        return None
    if isinstance(given.flat, SparseRows):
        raise InputError(
            f"{_gap(given.flat, given.names)}, of a sparse matrix; expected a number in every cell that is kept; write "
            "0 for what was not seen, or give a dense table, whose missing cells are marginalised out"
        )
    frame = as_frame(given.flat)
    _refuse_small(frame, 2)
    if given.kind == "matrix":
        return Schema.infer(frame, {EVERY: "numeric"})
    found = Schema.infer(frame)
    return Schema.infer(frame, dict.fromkeys(found.names, "count")) if _is_of_counts(found, frame) else found


def _is_of_counts(schema: Schema, frame: pd.DataFrame) -> bool:
    """Say whether the columns of a table are all counts, though some of them alone look like levels or measurements."""
    columns = frame.iloc[:, [i for i, name in enumerate(schema.given) if name in set(schema.names)]]
    plain = all(isinstance(dtype, np.dtype) and dtype.kind in "iuf" for dtype in columns.dtypes)
    return plain and not any(column.missing for column in schema.columns) and are_counts(Rows(columns.to_numpy()))


def _numbers(rows: Any) -> Any:
    """Give the numbers of a matrix, which may be a data frame of many columns; no copy if these have one type."""
    if not isinstance(rows, pd.DataFrame):
        return rows
    plain = (
        len(set(rows.dtypes)) == 1 and isinstance(rows.dtypes.iloc[0], np.dtype) and rows.dtypes.iloc[0].kind in "iuf"
    )
    return rows.to_numpy() if plain else rows.to_numpy(dtype=np.float64, na_value=np.nan)


def warn_of_columns(schema: Schema | None) -> None:
    """Warn once of all columns that the rule left out, and once of all numbers that may stand for missing cells."""
    left = "" if schema is None else schema.without()
    if left:
        warn(f"{left}; to model one, say in a schema what it holds")
    if schema is not None and schema.doubt:
        warn(schema.doubt)


def _refuse_small(frame: pd.DataFrame, least: int) -> None:
    """Refuse a table of too few rows, or without columns."""
    if len(frame) < least or not frame.shape[1]:
        raise InputError(
            f"a table of {len(frame)} row{'s' * (len(frame) != 1)} (n_samples={len(frame)}) and {frame.shape[1]} "
            "columns: expected at "
            f"least {least} row{'s' * (least > 1)} and 1 column"
        )


def _refuse_text(frame: pd.DataFrame, likelihood: str) -> None:
    """Refuse a table with text where numbers are needed."""
    texts = text_columns(frame)
    for i in texts:
        cells = frame.iloc[:, i]
        if cells.dropna().infer_objects().dtype.kind not in "biuf":
            name = str(frame.columns[i])
            where = " of a matrix" if likelihood == "auto" else f", for likelihood {likelihood!r}"
            raise InputError(
                f"column {name!r} holds text; expected numbers in all cells{where}; drop it, or fit without kind and "
                f"likelihood and with a schema, such as {{{name!r}: 'ignore'}}"
            )


def _gap(matrix: Any, names: Sequence[Any] | None) -> str:
    """Say where a cell is missing first; "" where none is."""
    place = first_missing(matrix)
    if place is None:
        return ""
    column = place[1] if names is None else repr(str(names[place[1]]))
    return f"a missing cell in column {column}, row {place[0]} (counted from 0)"


def _no_gap(where: str, likelihood: str) -> InputError:
    """Say that a likelihood needs numbers in all cells."""
    return InputError(
        f"{where}; expected numbers in all cells, for likelihood {likelihood!r}; drop it, or fit with likelihood "
        "'columns'"
    )


def in_order(rows: Table, names: Sequence[str]) -> tuple[Table, Reading]:
    """Arrange the columns of a table, or of other rows with names, for a model that needs all of them.

    Args:
        rows: ``n`` of them.
        names: the columns of the fit.

    Returns:
        The columns of the fit in their order, and what differs.

    Raises:
        InputError: a column of the fit is absent, or two have one name.
    """
    wanted = [str(name) for name in names]
    own = [str(name) for name in (rows.columns if isinstance(rows, pd.DataFrame) else rows.names or ())]
    if own == wanted:  # also where genes share a name
        return rows, Reading(len(rows), tuple(wanted))
    order, reading = find(column_names(own), len(rows), wanted, wanted, gaps=False)
    if isinstance(rows, pd.DataFrame):
        return rows.iloc[:, order], reading
    values = rows.values.iloc[:, order] if isinstance(rows.values, pd.DataFrame) else rows.values[:, order]
    return replace(rows, values=values, names=tuple(wanted)), reading


def framed(given: Given) -> Given:
    """Keep the names of the columns of an array beside its numbers, as in a data frame, unless two share a name."""
    names, values = given.names, given.values
    if names is None or len({*names}) < len(names) or not isinstance(values, np.ndarray) or values.ndim != 2:
        return given
    return replace(given, values=as_table(values, names))


def as_table(x: Any, names: Sequence[str] | None) -> Any:
    """Name the columns of rows: a data frame that shares their memory, or the rows as they are without names."""
    if names is None:
        return x
    if isinstance(x, pd.DataFrame):
        return as_frame(x, names)
    if isinstance(x, SparseRows):
        sparse: Any = pd.DataFrame.sparse
        return sparse.from_spmatrix(x, columns=list(names))
    return pd.DataFrame(x, columns=list(names), copy=False)


def with_names(x: Any, names: Sequence[str] | None) -> Any:
    """Name the columns of rows as `as_table` does, but leave sparse ones as they are, wherever they lie."""
    return Given("matrix", x, tuple(names)) if names is not None and isinstance(x, SparseRows) else as_table(x, names)


def take(x: Any, index: np.ndarray | slice) -> Any:
    """Take some rows of a data frame, an array, a sparse matrix or one with names."""
    return x.iloc[index] if isinstance(x, pd.DataFrame) else x[index]


def _refuse_one_dimension(rows: Any) -> None:
    """Refuse an array that is a single row, or a single column: it does not say which."""
    if rows.ndim == 1:
        raise InputError(
            f"Expected 2D array, got 1D array instead, of shape {rows.shape}. Reshape your data: array.reshape(-1, 1) "
            "for one column, array.reshape(1, -1) for one row"
        )


def check_labels(X: Any, y: Any) -> None:
    """Refuse labels that cannot be those of rows, although no fit reads them: they may be meant for validation.

    Raises:
        InputError: another number of them than of rows.
    """
    if y is None:
        return
    n, given = _length(X), _length(y)
    if n is not None and given is not None and n != given:
        raise InputError(
            f"y of length {given} for {counted(n, 'row')}: expected one label a row, which is ignored, or nothing; "
            "give rows for validation as X_valid="
        )


def _length(rows: Any) -> int | None:
    """Count rows of an array, a frame, a tensor or a list; None for what does not tell."""
    shape = getattr(rows, "shape", None)
    if isinstance(shape, tuple) and shape and isinstance(shape[0], Integral):
        return int(shape[0])
    return len(rows) if isinstance(rows, (list, tuple)) else None


def _refuse_complex(rows: Any) -> None:
    """Refuse complex numbers."""
    if getattr(getattr(rows, "dtype", None), "kind", "") == "c":
        raise InputError(
            f"Complex data not supported: {rows.dtype}; expected real numbers; give real and imaginary parts as columns"
        )


def _refuse_large(array: Any, given: Given) -> None:
    """Refuse infinity, and values that leave float32."""
    place = first_beyond(array)
    if place is None:
        return
    column = place[1] if given.names is None else repr(given.names[place[1]])
    value = float(array[place])
    what = "infinity" if np.isinf(value) else f"a value of {value:.3g}"
    raise InputError(
        f"{what} in column {column}, row {place[0]} (counted from 0): expected at most {LARGEST:g}, what float32 "
        "holds; rescale the rows, or drop this one"
    )
