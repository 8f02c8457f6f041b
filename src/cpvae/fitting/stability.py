"""Agreement of several clusterings of the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from sklearn.metrics import adjusted_rand_score


def stability(fits: Sequence[np.ndarray]) -> float:
    """Measure how far several fits agree on the categories of the same rows ``(n,)``: the mean ARI of every two.

    It needs no labels. 1 means the same groups every time. Well below it, what a single fit finds is partly chance.

    >>> stability([np.array([0, 0, 1, 1]), np.array([1, 1, 0, 0]), np.array([2, 2, 3, 3])])
    1.0
    """
    return float(np.mean([adjusted_rand_score(a, b) for a, b in combinations(fits, 2)]))
