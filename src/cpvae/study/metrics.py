"""Agreement of categories with labels: functions of arrays.

Categories have no names, so an accuracy needs a mapping to labels. Two are in use, and differ when there are more
categories than classes: the best one-to-one mapping (Hungarian method: Kuhn, 1955), and the most frequent label of each
category (majority), which only grows with more categories. A mapping should be learned on other rows than it is judged
on.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.metrics.cluster import contingency_matrix

Mapping = dict[int, object]


def hungarian_mapping(labels: np.ndarray, categories: np.ndarray) -> Mapping:
    """Find the one-to-one mapping from category to label that agrees with most rows; spare categories have none.

    Args:
        labels: ``(n,)``, any type; categories: ``(n,)``, integers.

    >>> hungarian_mapping(np.array(["a", "a", "b"]), np.array([1, 1, 0]))
    {0: 'b', 1: 'a'}
    """
    if not len(labels):
        return {}
    names, groups = np.unique(labels), np.unique(categories)
    table = contingency_matrix(labels, categories)
    rows, columns = linear_sum_assignment(table, maximize=True)
    pairs = sorted((groups[column].item(), names[row].item()) for row, column in zip(rows, columns, strict=True))
    return dict(pairs)


def majority_mapping(labels: np.ndarray, categories: np.ndarray) -> Mapping:
    """Find the most frequent label of each category.

    >>> majority_mapping(np.array(["a", "a", "b"]), np.array([1, 0, 1]))
    {0: 'a', 1: 'a'}
    """
    names, groups = np.unique(labels), np.unique(categories)
    table = contingency_matrix(labels, categories)
    return {group.item(): names[i].item() for group, i in zip(groups, table.argmax(0), strict=True)}


def accuracy(labels: np.ndarray, categories: np.ndarray, mapping: Mapping) -> float:
    """Compute the share of rows whose category maps to their label; a category without a mapping is wrong.

    >>> accuracy(np.array(["a", "b"]), np.array([1, 2]), {1: "a"})
    0.5
    """
    return float(np.mean([mapping.get(c) == y for c, y in zip(categories.tolist(), labels.tolist(), strict=True)]))


def accuracy_hungarian(labels: np.ndarray, categories: np.ndarray) -> float:
    """Compute the accuracy under the best one-to-one mapping, learned on the same rows."""
    return accuracy(labels, categories, hungarian_mapping(labels, categories))


def accuracy_majority(labels: np.ndarray, categories: np.ndarray) -> float:
    """Compute the accuracy (purity) under the majority mapping, learned on the same rows."""
    return accuracy(labels, categories, majority_mapping(labels, categories))


def nmi(labels: np.ndarray, categories: np.ndarray) -> float:
    """Compute the normalised mutual information, by the arithmetic mean of the entropies; 1 is perfect agreement."""
    return float(normalized_mutual_info_score(labels, categories))


def ari(labels: np.ndarray, categories: np.ndarray) -> float:
    """Compute the adjusted Rand index (Hubert and Arabie, 1985); 0 is chance, 1 perfect agreement."""
    return float(adjusted_rand_score(labels, categories))


class Calibration(NamedTuple):
    """Rows in bins of their highest probability: how many, its mean, and the share that is right, each ``(bins,)``."""

    rows: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray

    @property
    def error(self) -> float:
        """The expected calibration error (Naeini, Cooper and Hauskrecht, 2015): the mean gap, weighted by rows."""
        return float((self.rows * np.abs(self.confidence - self.accuracy)).sum() / self.rows.sum())


def calibration(labels: np.ndarray, proba: np.ndarray, mapping: Mapping, n_bins: int = 15) -> Calibration:
    """Measure whether probabilities mean what they say: of rows given 0.9, are nine of ten right?

    Args:
        labels: ``(n,)``; proba: ``(n, K)``; mapping: from category to label, learned on other rows.
        n_bins: of equal width from 0 to 1; those without rows are left out.

    >>> proba = np.array([[0.8, 0.2], [0.8, 0.2], [0.1, 0.9], [0.1, 0.9]])
    >>> found = calibration(np.array(["a", "b", "b", "b"]), proba, {0: "a", 1: "b"})
    >>> found.accuracy.tolist(), round(found.error, 3)
    ([0.5, 1.0], 0.2)
    """
    categories, confidence = proba.argmax(1), proba.max(1).astype(np.float64)
    right = np.array([mapping.get(c) == y for c, y in zip(categories.tolist(), labels.tolist(), strict=True)], float)
    place = np.minimum((confidence * n_bins).astype(int), n_bins - 1)
    count, sure, sum_right = (np.bincount(place, w, n_bins) for w in (None, confidence, right))
    some = count > 0
    return Calibration(count[some], sure[some] / count[some], sum_right[some] / count[some])
