"""Measure of how often the values of a row say the same."""

from __future__ import annotations

import numpy as np
from sklearn.decomposition import PCA

from cpvae.data.rows import Rows

LOOKED_AT = 2000  # rows at most, drawn at random
MOST_NUMBERS = 2**25  # of these rows, 128 MB: of wide rows there are fewer
EXPLAINED = 20  # principal components that are left out: a code explains about as much
VARIES = 1e-3  # of the largest spread of a column; below it a column says nothing


def overcount(rows: Rows) -> float:
    """Measure by how much independent errors would overstate what a row says: 1 where its errors are independent.

    Neighbouring pixels are wrong together: a shadow darkens a hundred of them. A likelihood that multiplies over pixels
    takes that for a hundred witnesses. Here some principal components stand for what a model explains, and the rest for
    its errors; with eigenvalues l of their correlations the factor is mean(l^2) / mean(l)^2, the design effect of
    correlated observations (Kish, 1965). The components are those of half of the rows, the errors those of the others.

    Args:
        rows: of numbers; missing values have the mean of their column.

    Returns:
        From 1 to the number of columns.

    >>> alone = np.random.RandomState(0).normal(size=(400, 64)).astype(np.float32)
    >>> overcount(Rows(alone)) < 1.1, 8 < overcount(Rows(alone.repeat(8, axis=1))) < 12
    (True, True)
    """
    most = min(LOOKED_AT, max(2, MOST_NUMBERS // rows.x.shape[1]))
    index = np.random.RandomState(0).permutation(len(rows))[:most]
    x = np.concatenate([one.float().numpy(force=True) for one in rows.some(index).chunks()])
    x = x[:, ~np.isnan(x).all(axis=0)]
    x -= np.nanmean(x, axis=0)
    np.nan_to_num(x, copy=False)
    spread = x.std(axis=0)
    least = VARIES * spread.max(initial=0.0)
    x = x[:, spread > least]
    half = len(x) // 2
    n_components = min(EXPLAINED, half // 2, x.shape[1] // 2)
    if n_components < 1:
        return 1.0
    explained = PCA(n_components, svd_solver="randomized", random_state=0).fit(x[:half])
    errors = x[half:] - explained.inverse_transform(explained.transform(x[half:]))
    errors -= errors.mean(axis=0)
    spread = errors.std(axis=0)
    if not (spread > least).any():
        return 1.0
    errors /= np.maximum(spread, np.finfo(np.float32).tiny)
    products = errors @ errors.T
    own = float(np.diag(products).mean())
    pairs = products[~np.eye(len(products), dtype=bool)]
    left = x.shape[1] - n_components  # dimensions of the errors
    # The mean of all pairs is not 0, since the errors sum to zero: of few rows it is large, and says nothing.
    return float(np.clip(left * pairs.var(dtype=np.float64) / own**2, 1.0, x.shape[1]))
