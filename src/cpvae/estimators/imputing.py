"""Missing cells filled by draws, in the container that has them."""

from __future__ import annotations

import copy
from dataclasses import replace
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from cpvae.data.cells import is_plain_number, read_frame
from cpvae.data.columns import Column
from cpvae.data.containers import as_rows, opened
from cpvae.data.dates import TYPED
from cpvae.data.faults import enumerated
from cpvae.data.rows import Rows
from cpvae.data.schema import as_frame
from cpvae.data.sparse import SparseRows
from cpvae.errors import warn
from cpvae.estimators.given import with_gaps
from cpvae.estimators.rows_in import RowsIn, as_table, framed
from cpvae.estimators.stretch import DRAWS, stretched
from cpvae.probability.conditional import Known, Prior, candidates, complete, expected
from cpvae.probability.likelihoods.columns import Columns
from cpvae.probability.models import VAE as VAEModule

LEAST_CANDIDATES, CANDIDATES_A_DRAW = 256, 8  # of each row
FEW = 20  # candidates in effect, below which a row's draws are said to rest on few


def fill(estimator: RowsIn, X: ArrayLike, n_draws: int, weights: Tensor, stretch: float) -> list[Any]:
    """Fill the missing cells of rows from p(missing | observed), by importance resampling.

    Args:
        estimator: fitted.
        X: rows.
        n_draws: number of filled tables; 0 for one of means and likeliest levels.
        weights: of the components, ``(K,)``.
        stretch: of draws of numbers about their median (`cpvae.estimators.stretch`).

    Returns:
        Tables like X.

    Raises:
        InputError: rows that the model does not take.
    """
    model = with_gaps(estimator)
    checked: Any = estimator._check_rows(X, reset=False, gaps=True)
    estimator._check_drawn(n_draws * max(len(checked), CANDIDATES_A_DRAW), f"n_draws={n_draws}")
    if isinstance(checked, SparseRows):  # without missing cells, as was checked
        return [copy.copy(X) for _ in range(max(1, n_draws))]
    matrix = np.asarray(checked, dtype=np.float64)
    rows = Rows(matrix, device=model.device)
    model.likelihood.check(rows, estimator._form().names)
    gaps = np.flatnonzero(np.isnan(matrix).any(1))
    filled = np.repeat(matrix[None], max(1, n_draws), 0)
    if len(gaps):
        y = model.likelihood.draw_fixed(model.likelihood.to_model(torch.from_numpy(matrix[gaps]).to(rows.device)))
        filled[:, gaps] = _filled(model, Prior(model.latent(), weights), y, n_draws, stretch)
    if estimator.schema_ is None:
        return [_array(estimator, X, np.where(np.isnan(matrix), one, matrix)) for one in filled]
    if n_draws:
        filled = np.stack([estimator.schema_.written(one) for one in filled])
    return _tables(estimator, X, filled)


def _filled(model: VAEModule, prior: Prior, y: Tensor, n_draws: int, stretch: float) -> np.ndarray:
    """Fill rows in the model's units ``(B, F)``: ``(max(1, n_draws), B, F)``, float64, in those of the data."""
    parts, few, position = [], 0, 0
    for found in candidates(model, Known(y), prior, max(LEAST_CANDIDATES, CANDIDATES_A_DRAW * n_draws)):
        known = Known(y[position : position + len(found.c)])
        position += len(found.c)
        few += int((~(found.effective >= FEW)).sum())
        if n_draws and stretch > 1 and isinstance(model.likelihood, Columns):
            drawn = complete(model, known, *found.take(max(n_draws, DRAWS))).transpose(0, 1)
            drawn = torch.where(known.y.isnan(), stretched(model.likelihood, drawn, stretch), drawn)[:n_draws]
        elif n_draws:
            drawn = complete(model, known, *found.take(n_draws)).transpose(0, 1)
        else:
            drawn = expected(model, known, found).unsqueeze(0)
        parts.append(model.likelihood.to_data(drawn).double().numpy(force=True))
    if few:
        warn(
            f"cells of {few:,} of {len(y):,} rows rest on fewer than {FEW} candidates: such rows are rare under the "
            "model, and their draws may miss a part of what is possible"
        )
    return np.concatenate(parts, 1)


def _array(estimator: RowsIn, given: Any, filled: np.ndarray) -> Any:
    """Give filled rows the shape of those of the fit, and the dtype and the observed values of an array.

    Where columns have names, they stay in the order of the rows given, beside others that the model does not have.
    """
    names, rows = getattr(estimator, "feature_names_in_", None), opened(given)
    if names is not None and rows.names is not None:
        frame = as_table(rows.values, rows.names)
        table = frame.copy(deep=False)
        for j, name in enumerate(map(str, names)):
            i = rows.names.index(name)
            own = frame.iloc[:, i]
            gaps = own.isna().to_numpy()
            if gaps.any():
                cells = pd.Series(np.where(gaps, filled[:, j], own), own.index)
                table.isetitem(i, cells.astype(own.dtype if own.dtype.kind == "f" else np.float64))
        return _like(given, not isinstance(given, pd.DataFrame), table)
    values = np.asarray(as_rows(given, *estimator._known()).values)
    dtype = values.dtype if values.dtype.kind == "f" else np.dtype(np.float64)
    return np.where(np.isnan(values), filled.reshape(values.shape), values).astype(dtype)


def _tables(estimator: RowsIn, X: Any, filled: np.ndarray) -> list[Any]:
    """Write filled cells into copies of a table; columns of the fit that it does not have are added."""
    schema = estimator.schema_
    assert schema is not None
    rows = framed(as_rows(X)) if not isinstance(X, pd.DataFrame) else None
    frame = as_frame(X if rows is None else rows.values, schema.given)
    place = {str(name): i for i, name in enumerate(frame.columns)}
    inside = [(j, column, place[column.name]) for j, column in enumerate(schema.columns) if column.name in place]
    own = frame.iloc[:, [i for _, _, i in inside]]
    read = read_frame(own)[0]
    missing = read.isna().to_numpy()
    _tell_left(frame, {i for _, _, i in inside})
    frame = _plain(frame, read, [i for _, _, i in inside])
    tables = []
    for one in filled:
        table = frame.copy(deep=False)
        for (j, column, i), gaps in zip(inside, missing.T, strict=True):
            if gaps.any():
                cells = _put(frame.iloc[:, i], gaps, column, one[gaps, j])
                table.isetitem(i, cells)  # type: ignore[arg-type]  # an array of text would become another type
        for j, column in enumerate(schema.columns):
            if column.name not in place:
                table[column.name] = column.decode(one[:, j]).array
        tables.append(_like(X, rows is not None, table))
    return tables


def _plain(frame: pd.DataFrame, read: pd.DataFrame, places: list[int]) -> pd.DataFrame:
    """Give numbers that are text with signs or separators as numbers where cells are missing beside them.

    Args:
        read: the columns at `places`, as they were read.
    """
    plain = frame.copy(deep=False)
    told = []
    for i, (name, cells) in zip(places, read.items(), strict=True):
        given = frame.iloc[:, i]
        if not cells.isna().any() or cells.dtype.kind not in "iuf" or given.dtype.kind in "biufM":
            continue
        observed = given[cells.notna().to_numpy()].unique()
        if not all(not isinstance(cell, str) or is_plain_number(cell) for cell in observed):
            plain.isetitem(i, cells.to_numpy())
            told.append(repr(str(name)))
    if told:
        those = enumerated(told)
        warn(f"numbers with signs or separators are written without them, beside those that are filled: {those}")
    return plain


def _put(cells: pd.Series[Any], gaps: np.ndarray, column: Column, values: np.ndarray) -> pd.Series[Any]:
    """Write numbers into the gaps ``(n,)`` of a column, as cells of its own type where this can hold them."""
    new = column.decode(values)
    new = new.astype(object) if isinstance(new.dtype, pd.CategoricalDtype) else new
    found = cells.copy()
    if isinstance(found.dtype, pd.CategoricalDtype):
        absent = [level for level in dict.fromkeys(new) if level not in found.cat.categories]
        found = found.cat.add_categories(absent)
    elif found.dtype == object or isinstance(found.dtype, pd.StringDtype):
        if gaps.all():
            return new.set_axis(found.index)
        text = column.kind != "date" and all(isinstance(cell, str) for cell in found[~gaps])
        if text or isinstance(found.dtype, pd.StringDtype):
            new = new.map(str)
    elif found.dtype.kind == "M" and column.kind == "date":  # a date without a zone is of that of the fit
        moments = replace(column, format=TYPED, zone=column.zone or "UTC").decode(values)
        zone = getattr(found.dtype, "tz", None)
        new = moments.dt.tz_localize(None) if zone is None else moments.dt.tz_convert(zone)
    elif isinstance(found.dtype, pd.PeriodDtype) and column.kind == "date":
        new = replace(column, format=TYPED, zone="").decode(values).astype(found.dtype)
    elif found.dtype.kind in "biuf" and _can_be(found.dtype.kind, new):
        new = (new.round() if found.dtype.kind in "iu" else new).astype(found.dtype)
    elif gaps.all():
        return new.set_axis(found.index)
    else:
        found = found.astype(object)
    found[gaps] = new.array
    return found


def _can_be(kind: str, cells: pd.Series[Any]) -> bool:
    """Tell whether cells, or the numbers that they say as text, can be of a type of truth values "b" or of numbers."""
    if kind == "b":
        return bool(cells.isin([0, 1]).all())
    if cells.dtype.kind in "biuf":
        return True
    return all(isinstance(one, Real) or (isinstance(one, str) and is_plain_number(one)) for one in cells)


def _tell_left(frame: pd.DataFrame, inside: set[int]) -> None:
    """Warn of missing cells in columns that the model does not have: they stay."""
    others = [i for i in range(frame.shape[1]) if i not in inside]
    counts = {str(frame.columns[i]): int(frame.iloc[:, i].isna().sum()) for i in others}
    left = [f"{name!r} ({count:,} cell{'s' * (count != 1)})" for name, count in counts.items() if count]
    if left:
        warn(f"no part of the model, so that missing cells stay: {enumerated(left)}")


def _like(X: Any, opened: bool, table: pd.DataFrame) -> Any:
    """Give a table the container it came in."""
    if not opened:
        return table
    if hasattr(X, "to_pandas") and type(X).__module__.split(".")[0] == "polars":
        return type(X)(table.to_dict(orient="list"))
    if isinstance(X, np.ndarray) and X.ndim == 2:
        return table.to_numpy(dtype=X.dtype if X.dtype.kind in "fO" else None)
    return table
