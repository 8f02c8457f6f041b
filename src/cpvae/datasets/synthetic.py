"""Draws from a mixture of Gaussians with known answers."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cpvae.datasets.checks import input_error


def make_synthetic(
    n_samples: int = 50_000,
    loc: ArrayLike = (0.3, 0.7),
    scale: ArrayLike = 0.05,
    weights: ArrayLike | None = None,
    random_state: int | np.random.Generator | None = 0,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Rows from sum_k weights_k N(loc_k, diag(scale_k^2)).

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
