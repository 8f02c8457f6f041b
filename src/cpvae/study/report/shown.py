"""The rows a page is about: which they are, and what the model says of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from cpvae.data.schema import as_frame
from cpvae.errors import InputError
from cpvae.estimators.clusterer import clusters
from cpvae.estimators.contract import DeepMixture
from cpvae.estimators.describing import described, shape_of, some_of
from cpvae.probability.estimates import Evaluation, components_used, in_use
from cpvae.words.description import Description
from cpvae.words.phrases import percent
from cpvae.words.units import sources_of, units_of, written

MAX_ROWS = 5_000  # rows looked at
MAX_DECODED = 100_000  # rows times categories, if that is less: so that a page does not take an hour
MAX_VALUES = 20_000_000  # numbers of these rows: 160 MB
DRAWN = 30  # categories at most


@dataclass(frozen=True)
class Shown:
    """The rows a page is about, and what the model says of them.

    Attributes:
        given: as the estimator takes them.
        values: ``(n, F)`` float64, in the units of the data; of a table with a schema one column for each level, NaN
            where a cell is missing.
        index: their numbers in what was given, ``(n,)``; total: how many were given.
        labels: ``(n,)`` or None.
        names: of the columns of `values`; units: how their values are written (`cpvae.words.units`).
        sources: from which column of the table each is.
        curve: ``(channels, time)`` where the columns have an order and are drawn as curves; else None.
        missing: share of the cells of the table that are missing.
        z: posterior means, ``(n, D)``.
        categories: ``(n,)``, or None for a model without; description: of them, rows by their numbers.
    """

    given: Any
    values: np.ndarray
    index: np.ndarray
    total: int
    labels: np.ndarray | None
    names: list[str]
    units: list[str]
    sources: list[int]
    curve: tuple[int, ...] | None
    missing: float
    evaluation: Evaluation
    z: np.ndarray
    categories: np.ndarray | None
    description: Description | None

    def standardise(self, values: np.ndarray) -> np.ndarray:
        """Give values ``(m, F)`` in standard deviations from the mean of these rows."""
        scale = means(np.square(self.values - self.means)) ** 0.5
        return (values - self.means) / np.where(scale > 0, scale, 1.0)

    @property
    def means(self) -> np.ndarray:
        """The means of the columns, ``(F,)``."""
        return means(self.values)

    def main_label(self, own: np.ndarray) -> str:
        """Say which label most of some rows have; "" without labels or rows."""
        if self.labels is None or not own.any():
            return ""
        names, counts = np.unique(self.labels[own], return_counts=True)
        return f"label {names[counts.argmax()]} in {percent(float(counts.max() / own.sum()))} of them"

    def cell(self, j: int, value: float) -> str:
        """Write a value, or a mean, of column `j`."""
        return written(float(value), self.units[j])

    def cells(self, row: np.ndarray) -> list[str]:
        """Write a row ``(F,)``."""
        return [self.cell(j, value) for j, value in enumerate(row)]

    def most_apart(self, a: np.ndarray, b: np.ndarray, most: int) -> np.ndarray:
        """Find the columns in which the means of two sets of rows differ most, in standard deviations, largest first.

        Args:
            a, b: rows ``(n, F)`` and ``(m, F)``, in the units of the data.
            most: how many columns at most.
        """
        apart = np.abs(np.nan_to_num(means(self.standardise(a)) - means(self.standardise(b))))
        return np.argsort(-apart, kind="stable")[:most]


def rows_shown(model: DeepMixture, shape: Sequence[int], max_rows: int, max_decoded: int) -> int:
    """Say how many rows of an array of a shape are shown; the limits are those of `look_at`."""
    wide = max(100, MAX_VALUES // max(1, math.prod(shape[1:])))
    return min(shape[0], max_rows, max(1_000, max_decoded // model.n_components_), wide)


def look_at(
    model: DeepMixture,
    X: ArrayLike,
    labels: ArrayLike | None,
    feature_names: Sequence[str] | None,
    max_rows: int,
    max_decoded: int = MAX_DECODED,
) -> Shown:
    """Choose rows and ask the model about them.

    Args:
        model: fitted.
        X: rows; labels: of them, ``(n,)``.
        feature_names: of the columns, by default those the model or the rows bring.
        max_rows: rows at most; max_decoded: rows times categories at most, but for a thousand rows.

    Raises:
        InputError: rows that the model does not take, or labels of another length.
    """
    X = X if hasattr(X, "shape") else np.asarray(X)
    total = X.shape[0]
    y = None if labels is None else np.asarray(labels)
    if y is not None and y.shape != (total,):
        raise InputError(
            f"labels of shape {y.shape} for {total} rows: expected ({total},); give one label for each row"
        )
    n = rows_shown(model, X.shape, max_rows, max_decoded)
    index = some_of(total, n)
    given = _as_fitted(model, X.iloc[index] if isinstance(X, pd.DataFrame) else X[index])  # type: ignore[index]
    evaluation = model.evaluate(given)
    schema = model.schema_ if model.signal_shape_ is None else None
    missing = 0.0
    if schema is not None:
        matrix = schema.encode(given)
        values, names = schema.expand(matrix)
        missing = float(np.isnan(matrix).mean())
    else:
        values = np.asarray(given, dtype=np.float64).reshape(n, -1)
        names = _names(model, feature_names, values.shape[1])
    z, description = model.transform(given), None
    if clusters(model):
        description = described(
            model, model._check_rows(given, reset=False), evaluation.proba, evaluation.elbo, z, index
        )
    return Shown(
        given=given,
        values=values,
        index=index,
        total=total,
        labels=_usable(None if y is None else y[index]),
        names=[str(name) for name in names],
        units=units_of(schema, values) if model.image_shape_ is None else [],
        sources=sources_of(schema, values.shape[1]),
        curve=_curve(model, values, feature_names is not None or hasattr(model, "feature_names_in_")),
        missing=missing,
        evaluation=evaluation,
        z=z,
        categories=None if description is None else evaluation.proba.argmax(1),
        description=description,
    )


def _names(model: DeepMixture, given: Sequence[str] | None, n: int) -> list[str]:
    """Name n columns: as they are given, else as the fit had them, else by their numbers."""
    names = given if given is not None else getattr(model, "feature_names_in_", None)
    return [f"column {i}" for i in range(n)] if names is None or len(names) != n else list(names)


def _curve(model: DeepMixture, values: np.ndarray, named: bool) -> tuple[int, ...] | None:
    """Find ``(channels, time)`` of rows that are curves: of signals, or of columns without names that have an order."""
    if model.image_shape_ is not None or (named and model.signal_shape_ is None):
        return None
    return shape_of(model, values)


def _as_fitted(model: DeepMixture, rows: Any) -> Any:
    """Name the columns of rows if the model was fitted with names, and only then, as scikit-learn wants it.

    Signals that end sooner than those of the fit are as long as they are.
    """
    if model.signal_shape_ is not None:
        return model._check_rows(rows, reset=False).reshape(-1, *model.signal_shape_)
    if model.schema_ is not None:
        return as_frame(rows, model.schema_.given)
    names = getattr(model, "feature_names_in_", None)
    if isinstance(rows, pd.DataFrame):
        return rows if names is not None else rows.to_numpy()
    rows = np.asarray(rows)
    if names is None:
        return rows
    if rows.ndim != 2 or rows.shape[1] != len(names):
        raise InputError(f"rows of shape {rows.shape[1:]}: expected the {len(names)} columns the model was fitted on")
    return pd.DataFrame(rows, columns=list(names))


def _usable(labels: np.ndarray | None) -> np.ndarray | None:
    """Turn labels into text; None if they are measurements: more than half of them distinct."""
    if labels is None:
        return None
    text = labels.astype(str)
    return text if len(np.unique(text)) <= max(20, len(text) // 2) else None


def categories_to_draw(weights: np.ndarray, counts: np.ndarray, most: int = DRAWN) -> np.ndarray:
    """Choose the categories worth a picture, largest first: those with at least a tenth of an even share.

    Args:
        weights: their shares, ``(K,)``.
        counts: how many of the rows shown are in each; one without is left out, unless the rows are too few to tell.
        most: at most so many.
    """
    order = np.argsort(-weights, kind="stable")
    worth = in_use(weights)
    if counts.sum() >= len(weights):
        worth &= counts > 0
    return order[worth[order]][:most]


def used_categories(shown: Shown) -> int:
    """Count the categories in use on these rows (`cpvae.probability.estimates.components_used`)."""
    return components_used(shown.evaluation.rows_of_categories)


def means(values: np.ndarray) -> np.ndarray:
    """Compute means of the columns ``(n, F)`` over the cells that are not missing; NaN where there are none.

    >>> means(np.array([[1.0, np.nan], [3.0, np.nan]])).tolist()
    [2.0, nan]
    """
    known = ~np.isnan(values)
    count = known.sum(0)
    total = np.where(known, values, 0.0).sum(0)
    return np.divide(total, count, out=np.full(values.shape[1], np.nan), where=count > 0)
