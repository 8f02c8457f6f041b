"""K-means, for any number of categories."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from sklearn.cluster import KMeans

from cpvae.fitting.starts import seeded
from cpvae.fitting.starts.task import Points


def restarts(points: Points) -> int:
    """Count how often a clustering begins anew: more often for fewer points."""
    return int(np.clip(100_000 // len(points), 2, 20))


def k_means(
    points: Points,
    n_components: int,
    random: np.random.RandomState,
    n_init: int | None = None,
    *,
    known: np.ndarray | None = None,
) -> Callable[[Points], np.ndarray]:
    """Run scikit-learn's k-means, the best of `n_init` by its inertia; with known categories once, from their means."""
    if known is None:
        means = KMeans(n_components, n_init=n_init or restarts(points), random_state=random)
        found: Callable[[Points], np.ndarray] = means.fit(points).predict
        return found
    begun = seeded.centres(points, n_components, known, random).astype(points.dtype)
    found = KMeans(n_components, init=begun, n_init=1).fit(points).predict
    return seeded.numbered(found, points, n_components, known)
