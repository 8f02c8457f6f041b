"""Draws from mixtures with known answers: of Gaussians, and a table with columns of every kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cpvae.data.loaders.checks import input_error

if TYPE_CHECKING:
    import pandas as pd

LEVELS = {
    "region": ("north", "south", "west"),
    "plan": ("basic", "family", "free", "premium"),
    "channel": ("friend", "mail", "shop", "telephone", "web"),
}


def make_synthetic(
    n_samples: int = 50_000,
    loc: ArrayLike = (0.3, 0.7),
    scale: ArrayLike = 0.05,
    weights: ArrayLike | None = None,
    random_state: int | np.random.Generator | None = 0,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Draw rows from sum_k weights_k N(loc_k, diag(scale_k^2)).

    The defaults are the synthetic data of the CP-VAE paper, 1/2 N(0.3, 0.05) + 1/2 N(0.7, 0.05) in one
    dimension.

    Args:
        n_samples: number of rows.
        loc: (K,) or (K, d) means.
        scale: standard deviations, one number, (K,) or (K, d).
        weights: (K,) probabilities, equal where None.
        random_state: seed or generator.

    Returns:
        x: (n_samples, d) float64. y: (n_samples,) int64, the component of each row.

    Raises:
        InputError: shapes that do not fit together, a scale of zero or less, weights that do not sum to 1.

    >>> x, y = make_synthetic(1000, loc=[[0, 0], [5, 5], [9, 0]], scale=[1, 2, 0.5])
    >>> x.shape, sorted(set(y.tolist()))
    ((1000, 2), [0, 1, 2])
    """
    if n_samples < 1:
        raise input_error(f"n_samples={n_samples}; expected 1 or more")
    means = _floats(loc, "loc")
    means = means.reshape(-1, 1) if means.ndim < 2 else means
    if means.ndim != 2 or means.size == 0:
        raise input_error(f"loc of shape {np.shape(loc)}; expected (K,) or (K, d)")
    deviations = _scales(scale, means)
    rng = np.random.default_rng(random_state)
    y = rng.choice(len(means), size=n_samples, p=_weights(weights, len(means)))
    return means[y] + deviations[y] * rng.standard_normal((n_samples, means.shape[1])), y


def make_table(
    n: int = 3_000, n_clusters: int = 4, missing: float = 0.1, seed: int = 0
) -> tuple[pd.DataFrame, NDArray[np.int64]]:
    """Make a table of customers from several sources, with columns of every kind, and cells missing at random.

    There are four numeric columns (the year joined, income, score and distance), three categorical ones (region, plan
    and channel, of 3, 4 and 5 levels) and three counts (visits, calls and returns). Each has its own location, levels
    or mean in each source. Within a source the numbers and counts of a row are correlated through a common factor,
    income is log-normal, and counts are negative binomial. Sources overlap, and differ in size.

    Args:
        n: rows. n_clusters: sources. missing: the share of cells that are missing; every row keeps at least one.
        seed: fixes the sources, whatever n, and the rows.

    Returns:
        The table, and the source of each row, ``(n,)`` int64.

    Raises:
        InputError: less than one row or source, a share that is not at least 0 and below 1.

    >>> frame, y = make_table(500, n_clusters=3)
    >>> list(frame.columns)
    ['joined', 'income', 'score', 'distance', 'region', 'plan', 'channel', 'visits', 'calls', 'returns']
    >>> frame.shape, sorted(set(y.tolist())), round(float(frame.isna().to_numpy().mean()), 2)
    ((500, 10), [0, 1, 2], 0.1)
    """
    import pandas as pd

    if n < 1 or n_clusters < 1 or not 0 <= missing < 1:
        raise input_error(
            f"n={n}, n_clusters={n_clusters}, missing={missing}; expected at least one row and one source, and a share "
            "from 0 to below 1"
        )
    rng = np.random.default_rng(seed)
    # the sources first, so that they do not depend on how many rows are drawn from them
    weights = rng.dirichlet(np.full(n_clusters, 10.0))
    centres = rng.normal(0, 1.5, (n_clusters, 4))
    loading = 0.6 * rng.choice([-1, 1], 4)
    edges = {name: rng.dirichlet(np.full(len(of), 0.7), n_clusters).cumsum(1) for name, of in LEVELS.items()}
    rates = {name: np.exp(rng.normal(1.2, 0.8, n_clusters)) for name in ("visits", "calls", "returns")}

    y = rng.choice(n_clusters, size=n, p=weights)
    common = rng.standard_normal(n)
    numbers = centres[y] + common[:, None] * loading + 0.8 * rng.standard_normal((n, 4))
    columns: dict[str, Any] = {
        "joined": np.round(2010 + 4 * numbers[:, 0]),
        "income": np.round(np.exp(10 + 0.4 * numbers[:, 1])),
        "score": numbers[:, 2],
        "distance": 20 + 6 * numbers[:, 3],
    }
    for name, of in LEVELS.items():
        codes = (rng.random(n)[:, None] > edges[name][y]).sum(1).clip(max=len(of) - 1)
        columns[name] = np.array(of, dtype=object)[codes]
    for name, rate in rates.items():
        mean = rate[y] * np.exp(0.3 * common - 0.045)
        columns[name] = rng.poisson(mean * rng.gamma(4.0, 1 / 4.0, n)).astype(np.float64)
    frame = pd.DataFrame(columns)
    gone = rng.random(frame.shape) < missing
    gone[np.arange(n), rng.integers(frame.shape[1], size=n)] &= ~gone.all(1)
    return frame.mask(gone), y


def _floats(values: ArrayLike, name: str) -> NDArray[np.float64]:
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise input_error(f"{name}={values!r}; expected an array of numbers") from error
    if not np.isfinite(array).all():
        raise input_error(f"{name}={values!r}; expected finite numbers")
    return array


def _scales(scale: ArrayLike, means: NDArray[np.float64]) -> NDArray[np.float64]:
    array = _floats(scale, "scale")
    if array.shape not in ((), means.shape[:1], means.shape):
        raise input_error(
            f"scale of shape {array.shape} with {len(means)} components; expected one number, (K,), (K, d)"
        )
    if (array <= 0).any():
        raise input_error(f"scale={scale!r}; expected positive standard deviations")
    return np.broadcast_to(array[:, None] if array.ndim == 1 else array, means.shape)


def _weights(weights: ArrayLike | None, k: int) -> NDArray[np.float64] | None:
    if weights is None:
        return None
    array = _floats(weights, "weights")
    if array.shape != (k,) or (array < 0).any() or not np.isclose(array.sum(), 1):
        raise input_error(f"weights={weights!r}; expected {k} probabilities that sum to 1")
    probabilities: NDArray[np.float64] = array / array.sum()
    return probabilities
