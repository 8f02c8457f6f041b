"""How much of what the values of a row say is said more than once."""

from __future__ import annotations

import numpy as np
from sklearn.decomposition import PCA

from cpvae.data.rows import Rows

LOOKED_AT = 2000  # rows at most, drawn at random
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
    index = np.random.RandomState(0).permutation(len(rows))[:LOOKED_AT]
    x = np.concatenate([one.float().numpy(force=True) for one in rows.some(index).chunks()])
    x = x - np.nan_to_num(np.nanmean(x, axis=0))
    x = np.nan_to_num(x)
    spread = x.std(axis=0)
    x = x[:, spread > VARIES * spread.max(initial=0.0)]
    half = len(x) // 2
    n_components = min(EXPLAINED, half // 2, x.shape[1] // 2)
    if n_components < 1:
        return 1.0
    explained = PCA(n_components, svd_solver="randomized", random_state=0).fit(x[:half])
    errors = x[half:] - explained.inverse_transform(explained.transform(x[half:]))
    errors -= errors.mean(axis=0)
    errors /= np.maximum(errors.std(axis=0), np.finfo(np.float32).tiny)
    products = errors @ errors.T
    own = np.diag(products)
    pairs = (float((products**2).sum()) - float((own**2).sum())) / max(1, len(errors) * (len(errors) - 1))
    left = x.shape[1] - n_components  # dimensions of the errors
    return float(np.clip(left * pairs / max(float(own.mean()) ** 2, 1e-30), 1.0, x.shape[1]))
