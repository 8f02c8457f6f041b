"""Describing the categories of a fitted model by rows: what `model.describe(X)` answers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from cpvae.estimators.novelty import lowest, odd
from cpvae.probability import likelihoods
from cpvae.words.contrasts import Contrast, Feature, contrasts, features_of, with_distances
from cpvae.words.description import Category, Description, reason
from cpvae.words.examples import border_rows, typical_rows
from cpvae.words.measures import measures
from cpvae.words.phrases import known_in_words
from cpvae.words.tree import Tree, tree_of
from cpvae.words.units import in_order

if TYPE_CHECKING:
    from cpvae.estimators.clusterer import Clusterer
    from cpvae.estimators.contract import DeepMixture

TYPICAL, ON_BORDER = 8, 5  # rows of each category
MAX_COMPARED = 10_000  # rows whose columns are compared
MAX_VALUES = 20_000_000  # numbers of these rows: 160 MB


def describe(model: Clusterer, X: ArrayLike) -> Description:
    """Describe the categories of a model by rows; see `Clusterer.describe`."""
    matrix = model._check_rows(X, reset=False)
    return described(model, matrix, *model.judge(X), model.transform(X), np.arange(len(matrix)))


def tree(model: Clusterer, X: ArrayLike) -> Tree:
    """Join the categories of a model by the rows that they share; see `Clusterer.tree`."""
    return tree_of(model.predict_proba(X), model.names_)


def some_of(n: int, most: int = MAX_COMPARED) -> np.ndarray:
    """Draw the positions of some of n rows, in their order, always the same; of few rows all."""
    return np.sort(np.random.RandomState(0).permutation(n)[:most])


def described(
    model: Clusterer, matrix: Any, proba: np.ndarray, elbo: np.ndarray, z: np.ndarray, numbers: np.ndarray
) -> Description:
    """Describe categories by rows about which the model was asked already.

    Args:
        matrix: rows as `_check_rows` gives them, ``(n, F)``.
        proba: of the categories, ``(n, K)``; elbo: bounds, nats, ``(n,)``; z: posterior means, ``(n, D)``.
        numbers: by which the rows are named, ``(n,)``.
    """
    n, k = proba.shape
    categories = proba.argmax(1)
    counts = np.bincount(categories, minlength=k)
    some = some_of(n, min(MAX_COMPARED, max(100, MAX_VALUES // matrix.shape[1])))
    shown = np.asarray(matrix[some], dtype=np.float64)
    columns, shape = told(model, shown, categories[some], k), shape_of(model, shown)
    row_shape = model.image_shape_ or model.signal_shape_ or matrix.shape[1:]
    found = []
    for c in range(k):
        typical = typical_rows(z, proba, c, model.means_[c], model.scales_[c], TYPICAL)
        border = [
            replace(one, row=int(numbers[one.row]), name=model.names_.get(one.neighbour, ""))
            for one in border_rows(proba, c, ON_BORDER)
        ]
        mean, spread = (None, None) if shape is None else _mean_and_spread(matrix, categories == c, row_shape)
        compared = int((categories[some] == c).sum())
        found.append(
            Category(
                number=c,
                name=model.names_.get(c, ""),
                rows=int(counts[c]),
                share=float(counts[c] / n),
                columns=tuple(columns[c]),
                typical=tuple(int(numbers[i]) for i in typical),
                border=tuple(border),
                mean=mean,
                spread=spread,
                why="" if columns[c] else reason(compared, len(some) - compared),
            )
        )
    known = known_in_words(model.known_)
    told_known = f"In the fit the labels of {known}." if known else ""
    odd_rows = np.flatnonzero(odd(model, matrix, elbo, lowest(model)))
    odd_rows = numbers[odd_rows[np.argsort(elbo[odd_rows], kind="stable")]]
    tree = tree_of(proba[some], model.names_)
    return Description(tuple(found), n, len(some), tree, told_known, tuple(map(int, odd_rows)))


def told(model: DeepMixture, matrix: np.ndarray, groups: np.ndarray, n: int) -> list[list[Contrast]]:
    """Find the columns that set groups of rows apart, or the measures of signals and pictures.

    A group of counts is marked only by what is more frequent in it than elsewhere.

    Args:
        matrix: rows as `_check_rows` gives them, ``(m, F)``.
        groups: of the rows, ``(m,)``, numbers from 0 to ``n - 1``.
    """
    found = compared(model, matrix)
    if are_counts(model):
        return contrasts(*found, groups, n, more_only=True)
    return contrasts(*with_distances(*found), groups, n)


def shape_of(model: DeepMixture, matrix: np.ndarray) -> tuple[int, ...] | None:
    """Give the shape of rows that are pictures, signals or curves, such as a signal in a table of numbers; else None.

    Args:
        matrix: rows as `_check_rows` gives them, ``(n, F)``.
    """
    if model.image_shape_ is not None or model.signal_shape_ is not None:
        return model.image_shape_ or model.signal_shape_
    plain = model.schema_ is None and getattr(model, "feature_names_in_", None) is None
    return (1, matrix.shape[1]) if plain and not are_counts(model) and in_order(matrix) else None


def compared(model: DeepMixture, matrix: np.ndarray) -> tuple[np.ndarray, list[Feature]]:
    """Give the columns by which rows are compared, ``(n, E)``, and what they are.

    A level is a column of 0 and 1. Counts are compared at the median total of the rows: a large cell, or a long text,
    has more of everything. Columns of images, signals and curves mean little alone: their rows are measured.

    Args:
        matrix: rows as `_check_rows` gives them, ``(n, F)``.
    """
    names, shape = getattr(model, "feature_names_in_", None), shape_of(model, matrix)
    if shape is not None:
        return measures(
            matrix.reshape(-1, *shape),
            ink=issubclass(likelihoods.LIKELIHOODS[model.likelihood_], likelihoods.Bernoulli),
        )
    if model.schema_ is not None:
        values, _ = model.schema_.expand(matrix)
        return values, features_of(model.schema_, values, [])
    given = [f"column {i}" for i in range(matrix.shape[1])] if names is None else [str(name) for name in names]
    features = features_of(None, matrix, given)
    if not are_counts(model):
        return matrix, features
    total = matrix.sum(1, keepdims=True)
    return matrix / np.where(total > 0, total, 1.0) * np.median(total), features


def are_counts(model: DeepMixture) -> bool:
    """Say whether the rows of a model are counts, such as genes in cells."""
    return model.kind_ == "counts" or issubclass(likelihoods.LIKELIHOODS[model.likelihood_], likelihoods.Counts)


def _mean_and_spread(matrix: Any, own: np.ndarray, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Compute mean and standard deviation of some rows in the shape of a row; NaN where no row has a value."""
    rows = np.asarray(matrix[own], dtype=np.float64)
    known = ~np.isnan(rows)
    count = known.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(known, rows, 0.0).sum(0) / count
        spread = np.sqrt(np.where(known, np.square(rows - mean), 0.0).sum(0) / count)
    return mean.reshape(shape), spread.reshape(shape)
