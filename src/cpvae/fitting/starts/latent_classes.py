"""Latent classes of a table: a mixture in which the columns are independent, as a start for deeper models.

It is what remains of a CP-VAE for tables without its continuous code: p(x) = sum_c p(c) prod_j p(x_j | c), with a
normal for numbers and for log(1 + count), and a categorical for levels (Lazarsfeld and Henry, 1968; of mixed columns:
Everitt, 1988). Missing cells are left out of the product. It is fitted by EM (Dempster, Laird and Rubin, 1977) from
several random assignments, and the best likelihood is kept. All steps are products of matrices.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from scipy.special import logsumexp
from sklearn.cluster import kmeans_plusplus
from torch import Tensor

from cpvae.probability.likelihoods.likelihood import Cells

ADDED_VARIANCE = 0.1  # to that of a standardised column in a class: classes are groups of rows, not spikes and outliers
PSEUDO_ROWS = 1.0  # added to each level of each class


class Table(NamedTuple):
    """A table for EM, the fields those of `cpvae.probability.likelihoods.likelihood.Cells` as float64 arrays."""

    numbers: np.ndarray
    observed: np.ndarray
    levels: np.ndarray
    sizes: list[int]


class Classes(NamedTuple):
    """A mixture of K classes: log-weights ``(K,)``, moments ``(K, P)``, log-probabilities of levels ``(K, T)``."""

    log_weights: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    log_levels: np.ndarray


def table_of(parts: Sequence[Cells]) -> Table:
    """Make a table of the cells of rows, one part after the other."""
    numbers, observed, levels, sizes = zip(*parts, strict=True)

    def joined(part: Sequence[Tensor]) -> np.ndarray:
        values: np.ndarray = torch.cat(list(part)).double().numpy(force=True)
        return values

    return Table(joined(numbers), joined(observed), joined(levels), sizes[0])


def estimate(table: Table, weights: np.ndarray) -> Classes:
    """Take the M-step: estimate the classes that rows belong to with these weights, ``(n, K)``."""
    total = weights.T @ table.observed + 1e-9
    mean = weights.T @ table.numbers / total
    variance = weights.T @ table.numbers**2 / total - mean**2
    counts = weights.T @ table.levels + PSEUDO_ROWS
    blocks = np.split(counts, np.cumsum(table.sizes)[:-1], axis=1) if table.sizes else []
    shares = [block / block.sum(1, keepdims=True) for block in blocks]
    log_levels = np.log(np.concatenate(shares, axis=1)) if shares else counts
    return Classes(np.log(weights.mean(0) + 1e-12), mean, variance + ADDED_VARIANCE, log_levels)


def log_joint(table: Table, classes: Classes) -> np.ndarray:
    """Compute log p(x, c) of what is observed, ``(n, K)``, nats, for standardised numbers."""
    precision = 1 / classes.variance
    constant = table.observed @ (classes.mean**2 * precision + np.log(2 * np.pi * classes.variance)).T
    quadratic = table.numbers**2 @ precision.T - 2 * table.numbers @ (classes.mean * precision).T
    return classes.log_weights - 0.5 * (constant + quadratic) + table.levels @ classes.log_levels.T


def fit(
    table: Table, n_components: int, random: np.random.RandomState, n_init: int = 20, max_iter: int = 200
) -> Classes:
    """Find the best of `n_init` runs of EM by its likelihood."""
    values = np.concatenate([table.numbers, table.levels], axis=1)
    best, best_value = None, -np.inf
    for _ in range(n_init):
        centres, _ = kmeans_plusplus(values, n_components, random_state=random)
        distance = (centres**2).sum(1) - 2 * values @ centres.T
        weights = np.eye(n_components)[distance.argmin(1)]
        value = -np.inf
        for _ in range(max_iter):
            classes = estimate(table, weights)
            joint = log_joint(table, classes)
            evidence = logsumexp(joint, axis=1, keepdims=True)
            before, value = value, float(evidence.mean())
            weights = np.exp(joint - evidence)
            if value - before < 1e-6:
                break
        if best is None or value > best_value:
            best, best_value = classes, value
    assert best is not None
    return best
