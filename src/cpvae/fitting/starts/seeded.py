"""Clusterings of points of which some have known categories: the others join them, or form categories of their own.

Categories of which no point is known are found. Two steps do it:

- `mixture`: a mixture of Gaussians, fitted by EM in which the known points stay in their categories (Shental et al.,
  2003). It begins at the means of the known points, and for all other categories at points far from these.
- `spread`: on a graph of neighbours, categories spread from the known points along its edges (Zhu, Ghahramani and
  Lafferty, 2003). The mixture counts a little everywhere, so that what no known point reaches keeps its category. For a
  category without known points some of its most central points stand in.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import sparse
from scipy.linalg import solve_triangular
from scipy.optimize import linear_sum_assignment
from scipy.sparse.linalg import cg
from scipy.special import logsumexp

from cpvae.fitting.starts.task import Points

FIXED = 1000.0  # weight of a known point on a graph, in mean weights of a point
HINTED = 1.0  # the same of what the mixture says of all points of a category of mean size: as one point and its edges
MOST_STEPS = 200  # of EM
TRIED = 10  # beginnings at most, where some categories have no known point
CLOSE = 1e-5  # nats by which the mean log-likelihood of a point grows at least in a step
TINY = 1e-12  # in place of a variance or weight of zero


def centres(points: Points, n_components: int, known: np.ndarray, random: np.random.RandomState) -> Points:
    """Choose where categories begin, ``(K, d)``: at the mean of their known points, or at a point far from others.

    A far point is drawn with a probability that grows with the square of its distance, as k-means++ draws them
    (Arthur and Vassilvitskii, 2007).

    Args:
        points: ``(m, d)``.
        known: categories ``(m,)``, -1 for a point without one; one at least is known.
    """
    found = np.empty((n_components, points.shape[1]))
    near = np.full(len(points), np.inf)
    there = np.bincount(known[known >= 0], minlength=n_components) > 0
    for k in [*np.flatnonzero(there), *np.flatnonzero(~there)]:
        if there[k]:
            found[k] = points[known == k].mean(0)
        else:
            found[k] = points[random.choice(len(points), p=(near + TINY) / (near + TINY).sum())]
        near = np.minimum(near, np.square(points - found[k]).sum(1))
    return found


def nearest(points: Points, others: Points) -> np.ndarray:
    """Find the nearest of some others for each point, ``(m,)``."""
    found: np.ndarray = (np.square(others).sum(1) - 2 * points @ others.T).argmin(1)
    return found


class Gaussians:
    """A mixture of K Gaussians with full covariances.

    Args:
        points: ``(m, d)``.
        weights: of the points in the components, ``(m, K)``.
        added: variance added to each direction.
    """

    def __init__(self, points: Points, weights: np.ndarray, added: float):
        total = weights.sum(0) + TINY
        self.log_weights = np.log(total / total.sum())
        self.mean = weights.T @ points / total[:, None]
        self.factors = []
        for k, mean in enumerate(self.mean):
            x = points - mean
            covariance = (weights[:, k] * x.T) @ x / total[k] + added * np.eye(points.shape[1])
            self.factors.append(np.linalg.cholesky(covariance))

    def log_joint(self, points: Points, known: np.ndarray | None = None) -> np.ndarray:
        """Compute log p(x, c) ``(m, K)``, nats; of a point whose category is known, minus infinity elsewhere."""
        found = np.empty((len(points), len(self.mean)))
        for k, (mean, factor) in enumerate(zip(self.mean, self.factors, strict=True)):
            x = solve_triangular(factor, (points - mean).T, lower=True)
            constant = 0.5 * len(mean) * np.log(2 * np.pi) + np.log(np.diag(factor)).sum()
            found[:, k] = self.log_weights[k] - 0.5 * np.square(x).sum(0) - constant
        return found if known is None else fixed(found, known)


def fixed(log_joint: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Leave rows of a known category no other one: log p(x, c) ``(..., m, K)`` is minus infinity there."""
    others = (known >= 0)[:, None] & (np.arange(log_joint.shape[-1]) != known[:, None])
    return np.where(others, -np.inf, log_joint)


def numbering(categories: np.ndarray, n_components: int, known: np.ndarray) -> np.ndarray:
    """Number categories anew, ``(K,)``, so that as many known points as can be are in theirs; others keep theirs.

    >>> numbering(np.array([0, 0, 1, 1]), 2, np.array([1, -1, -1, -1])).tolist()
    [1, 0]
    """
    there = known >= 0
    table = 1e-6 * np.eye(n_components)
    np.add.at(table, (categories[there], known[there]), 1.0)
    new: np.ndarray = linear_sum_assignment(table, maximize=True)[1]
    return new


def numbered(
    category: Callable[[Points], np.ndarray], points: Points, n_components: int, known: np.ndarray
) -> Callable[[Points], np.ndarray]:
    """Make a clustering one whose categories have the numbers of `numbering`: they may have wandered off their own."""
    new = numbering(category(points), n_components, known)
    return lambda others: new[category(others)]


def agreement(categories: np.ndarray, known: np.ndarray) -> float:
    """Compute the share of the known points that are in their categories."""
    there = known >= 0
    return float((categories[there] == known[there]).mean())


def mixture(
    points: Points, n_components: int, random: np.random.RandomState, known: np.ndarray
) -> tuple[float, Gaussians]:
    """Fit a mixture of Gaussians in which known points stay in their categories, from `centres`.

    Returns:
        The mean log-likelihood of a point, nats (of a known one together with its category), and the mixture.
    """
    points = points.astype(np.float64)
    added = 1e-3 * max(float(points.var(0).mean()), TINY)
    begun = centres(points, n_components, known, random)
    weights = np.exp(fixed(np.log(np.eye(n_components)[nearest(points, begun)] + TINY), known))
    value = -np.inf
    for _ in range(MOST_STEPS):
        found = Gaussians(points, weights, added)
        joint = found.log_joint(points, known)
        evidence = logsumexp(joint, axis=1, keepdims=True)
        before, value = value, float(evidence.mean())
        weights = np.exp(joint - evidence)
        if value - before < CLOSE:
            break
    return value, found


def beginnings(n_components: int, known: np.ndarray) -> int:
    """Count how often a clustering begins anew: once where all categories have known points, since nothing is drawn."""
    return 1 if len(np.unique(known[known >= 0])) == n_components else TRIED


def spread(
    graph: sparse.csr_matrix, layout: Points, categories: np.ndarray, n_components: int, known: np.ndarray
) -> np.ndarray:
    """Let known categories spread along the edges of a graph of neighbours; give a category for each point, ``(m,)``.

    The values F ``(m, K)`` minimise ``sum_ij w_ij |F_i - F_j|^2 / 2 + sum_i l_i |F_i - Y_i|^2``. Y is one at the known
    category, or else at that of the mixture; l_i is large for the first and small for the second.

    Args:
        graph: weights of its edges, symmetric ``(m, m)``.
        layout: points ``(m, d)``; categories: what a mixture says of them, ``(m,)``.
        known: categories ``(m,)``, -1 for a point without one.
    """
    own = known
    known = _with_stand_ins(layout, categories, n_components, known)
    there, each = known >= 0, np.asarray(graph.sum(1)).ravel()
    targets = np.eye(n_components)[np.where(there, known, categories)]
    weights = np.where(there, FIXED, HINTED * n_components / len(known)) * each.mean()
    system = (sparse.diags(each + weights) - graph).tocsr()
    scale = sparse.diags(1 / (each + weights))
    values = [cg(system, weights * target, rtol=1e-5, maxiter=500, M=scale)[0] for target in targets.T]
    found: np.ndarray = np.stack(values, axis=1).argmax(1)
    return np.where(own >= 0, own, found)


def _with_stand_ins(layout: Points, categories: np.ndarray, n_components: int, known: np.ndarray) -> np.ndarray:
    """Put some points into each category without known ones: those nearest to its mean, as many as others have known.

    Without them, what is known of a neighbouring category would flow into it.
    """
    counts = np.bincount(known[known >= 0], minlength=n_components)
    most, found = int(np.median(counts[counts > 0])), known.copy()
    for k in np.flatnonzero(counts == 0):
        own = np.flatnonzero((categories == k) & (known < 0))
        if len(own):
            far = np.square(layout[own] - layout[own].mean(0)).sum(1)
            found[own[far.argsort(kind="stable")[:most]]] = k
    return found
