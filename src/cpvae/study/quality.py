"""Numbers that say how good generated rows are.

The paper (sections 5 and 6, Figures 6 to 9) asks four things of new rows, and judges them by eye. Does a category give
rows of one kind? Do rows of every kind appear? Do they look like data? Are they as varied as data? Here a judge
(`cpvae.study.judge`), a classifier trained on labelled rows, looks instead:

- `purity`: of the rows drawn from one component, the share in the judge's most frequent class; Figure 7 as a number.
- `class_coverage`: how many classes appear, and how evenly; Figure 8's "collapse to a few digits".
- `frechet_distance`: between Gaussians fitted to features of real and generated rows (Heusel et al., 2017).
- `neighbourhoods`: precision and recall (Kynkäänniemi et al., 2019), density and coverage (Naeem et al., 2020).

All are functions of arrays; `cpvae.study.judging` draws the rows of a model for them. What depends on features depends
on the judge: compare models under the same judge and with the same number of rows, not with figures from elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
from scipy.stats import bootstrap, entropy
from sklearn.metrics import pairwise_distances_chunked

from cpvae.arguments import whole
from cpvae.errors import InputError
from cpvae.study.judge import Judge

NEIGHBOURS = 5  # which neighbour makes the radius of a ball
SHARE = 0.1  # of a class's share among real rows, from which on it counts as covered
# Distances by scipy, from differences: scikit-learn's "euclidean", from products, is not the same number both ways.
DISTANCE: dict[str, Any] = {"metric": "minkowski", "working_memory": 32}


# ---------------------------------------------------------------- classes


def purity_by_component(labels: Sequence[np.ndarray]) -> np.ndarray:
    """Compute the share of rows of each component that are of its most frequent class, ``(K,)``.

    Args:
        labels: the classes of the rows of each component, K arrays ``(n_k,)``, any type.

    With few rows it is too high by chance: 100 rows drawn evenly from ten classes have 0.15 on average, not 0.1.

    Raises:
        InputError: no components, or one without rows.

    >>> purity_by_component([np.array([7, 7, 7, 1]), np.array([2, 2])]).tolist()
    [0.75, 1.0]
    """
    if not len(labels) or not all(len(group) for group in labels):
        sizes = [len(group) for group in labels]
        raise InputError(f"{sizes} rows in the components: expected at least one in each; draw some from every one")
    return np.array([np.unique(group, return_counts=True)[1].max() / len(group) for group in labels])


def purity(labels: Sequence[np.ndarray], weights: np.ndarray | None = None) -> float:
    """Average `purity_by_component`, all components alike or by weight.

    Args:
        labels: as there.
        weights: of the components, ``(K,)``, at least 0; None counts all alike.

    Raises:
        InputError: not one weight a component, or weights that cannot be normalised.

    >>> purity([np.array([7, 7, 7, 1]), np.array([2, 2])])
    0.875
    >>> purity([np.array([7, 7, 7, 1]), np.array([2, 2])], np.array([0.8, 0.2]))
    0.8
    """
    shares = purity_by_component(labels)
    w = np.ones(len(shares)) if weights is None else np.asarray(weights, dtype=np.float64)
    if w.shape != shares.shape or not (np.isfinite(w).all() and (w >= 0).all() and w.sum() > 0):
        raise InputError(
            f"weights of shape {w.shape} for {len(shares)} components: expected one for each, finite, none negative, "
            "not all 0; give such weights, or None"
        )
    return float(w @ shares / w.sum())


@dataclass(frozen=True)
class ClassCoverage:
    """Classes among generated rows beside those among real rows; entropies and KL in nats.

    `covered`: how many classes of the real rows appear with at least a tenth of their share there; rare classes are
    so measured by their own share, and real rows cover themselves whatever the shares are. `in_data`: how many there
    are. `entropy`, `entropy_data`: of the histograms. `kl`: of the generated histogram from the data's, KL(data ||
    generated), with half a row added to each class on both sides, so that a missing class costs much but not infinity.
    """

    covered: int
    in_data: int
    entropy: float
    entropy_data: float
    kl: float


def class_coverage(real: np.ndarray, generated: np.ndarray) -> ClassCoverage:
    """Compare histograms of classes, ``(n,)`` and ``(m,)`` labels of any type.

    Raises:
        InputError: no labels on one side.

    >>> found = class_coverage(np.array(["a", "a", "b", "b"]), np.array(["a", "a", "a"]))
    >>> found.covered, found.in_data, found.entropy, round(found.entropy_data, 4)
    (1, 2, 0.0, 0.6931)
    """
    if not len(real) or not len(generated):
        raise InputError(f"{len(real)} real and {len(generated)} generated labels: expected some of both; give more")
    classes = np.unique(np.concatenate([real, generated]))
    data, new = (np.bincount(np.searchsorted(classes, y), minlength=len(classes)) for y in (real, generated))
    enough = new * len(real) >= SHARE * data * len(generated)
    return ClassCoverage(
        covered=int(np.sum(enough & (data > 0))),
        in_data=int(np.sum(data > 0)),
        entropy=class_entropy(generated),
        entropy_data=class_entropy(real),
        kl=float(entropy(data + 0.5, new + 0.5)),
    )


def class_entropy(labels: np.ndarray) -> float:
    """Compute the entropy of the histogram of labels ``(n,)``, nats.

    >>> class_entropy(np.array([3, 3, 3])), round(class_entropy(np.array([0, 1, 0, 1])), 4)
    (0.0, 0.6931)
    """
    return float(entropy(np.unique(labels, return_counts=True)[1]))


# ---------------------------------------------------------------- features


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Compute the squared Fréchet distance of Gaussians with the moments of two sets (Heusel et al., 2017).

    ``|m_a - m_b|^2 + tr(S_a + S_b - 2 (S_a S_b)^(1/2))``, in squared units of the features (Dowson and Landau, 1982).

    The trace of the root is the sum of the singular values of ``R_a R_b'``, where ``S = R' R`` and R comes from a QR
    decomposition of the centred rows. No covariance is formed, and no root of a singular matrix taken. So fewer rows
    than features, or dead features, do no harm. With few rows the distance is too high by chance: compare at equal
    numbers.

    Args:
        a, b: ``(n, d)`` and ``(m, d)``, at least two rows each.

    Raises:
        InputError: other shapes.

    >>> a = np.array([[-1.0], [1.0]])  # two points have the variance 2
    >>> round(frechet_distance(a, 3 * a + 5), 6)  # 5^2 + (3 - 1)^2 * 2
    33.0
    """
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        raise InputError(
            f"features of shapes {a.shape} and {b.shape}: expected (n, d) and (m, d), at least two rows each; draw more"
        )
    locs, roots = [], []
    for x in (a, b):
        x = np.asarray(x, dtype=np.float64)
        locs.append(x.mean(0))
        roots.append(np.linalg.qr(x - locs[-1], mode="r") / (len(x) - 1) ** 0.5)
    shared = np.linalg.svd(roots[0] @ roots[1].T, compute_uv=False).sum()
    spread = sum(float((root**2).sum()) for root in roots)
    return max(0.0, float(((locs[0] - locs[1]) ** 2).sum()) + spread - 2 * float(shared))


@dataclass(frozen=True)
class Neighbourhoods:
    """Per-row terms; the mean of each is the figure of that name.

    A row's ball reaches to its k-th nearest neighbour in its own set. `precision` ``(m,)``: whether a generated row
    lies in the ball of some real row. `density` ``(m,)``: in how many, divided by k. `recall` ``(n,)``: whether a
    real row lies in the ball of some generated row. `coverage` ``(n,)``: whether some generated row lies in the ball
    of a real row.
    """

    precision: np.ndarray
    recall: np.ndarray
    density: np.ndarray
    coverage: np.ndarray


def neighbourhoods(real: np.ndarray, generated: np.ndarray, k: int = NEIGHBOURS) -> Neighbourhoods:
    """Measure precision and recall (Kynkäänniemi et al., 2019), density and coverage (Naeem et al., 2020).

    Balls are closed, as in the former paper, so that duplicates are inside theirs. For independent rows of one
    distribution the density is 1 in expectation; for a set beside itself it is ``(k + 1) / k``, since every row is in
    its own ball too. Radius and distance of the same pair are the same number.

    Args:
        real, generated: features, ``(n, d)`` and ``(m, d)``, more than k rows each.
        k: which neighbour makes the radius.

    Raises:
        InputError: other shapes, or too few rows.

    >>> real, generated = np.array([[0.0], [1.0], [3.0]]), np.array([[0.5], [9.0], [9.5]])
    >>> found = neighbourhoods(real, generated, k=1)  # real balls: [-1, 1], [0, 2], [1, 5]
    >>> found.precision.tolist(), found.density.tolist(), found.coverage.tolist()
    ([1.0, 0.0, 0.0], [2.0, 0.0, 0.0], [1.0, 1.0, 0.0])
    """
    whole("k", k, 1)
    if real.ndim != 2 or generated.ndim != 2 or real.shape[1] != generated.shape[1]:
        raise InputError(f"features of shapes {real.shape} and {generated.shape}: expected (n, d) and (m, d)")
    if min(len(real), len(generated)) <= k:
        raise InputError(
            f"{len(real)} real and {len(generated)} generated rows for k={k}: expected more than k of each; draw more"
        )
    radius_real, radius_generated = _radii(real, k), _radii(generated, k)
    inside = np.zeros(len(generated))
    recall, coverage = np.zeros(len(real)), np.zeros(len(real))
    start = 0
    for distances in pairwise_distances_chunked(generated, real, **DISTANCE):
        rows = slice(start, start := start + len(distances))
        within = distances <= radius_real
        inside[rows] = within.sum(1)
        coverage = np.maximum(coverage, within.any(0))
        recall = np.maximum(recall, (distances <= radius_generated[rows, None]).any(0))
    return Neighbourhoods((inside > 0).astype(np.float64), recall, inside / k, coverage)


def _radii(x: np.ndarray, k: int) -> np.ndarray:
    """Find the distance of each row to its k-th nearest neighbour; the row itself, at 0, is not one."""
    return np.concatenate([np.partition(d, k, axis=1)[:, k] for d in pairwise_distances_chunked(x, **DISTANCE)])


# ---------------------------------------------------------------- standard errors


def bootstrap_se(statistic: Callable[..., float], arrays: Sequence[np.ndarray], n: int = 100, seed: int = 0) -> float:
    """Estimate the standard error of a statistic by the bootstrap over rows (Efron, 1979).

    Args:
        statistic: called with arrays like the given ones.
        arrays: independent sets of rows; each is resampled with replacement on its own.
        n: resamples; the error itself is then good to about ``1 / sqrt(2 n)``, 7 % for 100.

    Raises:
        InputError: fewer than two resamples, or a set of fewer than two rows.

    >>> round(bootstrap_se(np.mean, [np.array([0.0, 1.0] * 200)]), 3)  # 0.5 / sqrt(400)
    0.025
    """
    whole("n", n, 2)
    if not arrays or min(len(array) for array in arrays) < 2:
        raise InputError(f"sets of {[len(array) for array in arrays]} rows: expected at least two rows in each")

    def of_rows(*index: np.ndarray) -> float:
        return statistic(*(array[i] for array, i in zip(arrays, index, strict=True)))

    found = bootstrap(
        [np.arange(len(array)) for array in arrays],  # positions, for rows may be vectors or text
        of_rows,
        vectorized=False,
        n_resamples=n,
        method="percentile",
        random_state=np.random.RandomState(seed),
    )
    return float(found.standard_error)


# ---------------------------------------------------------------- all of it


def quality(
    judge: Judge,
    real_x: Any,
    real_y: np.ndarray,
    generated: Any,
    per_component: Sequence[Any] | None = None,
    weights: np.ndarray | None = None,
    *,
    k: int = NEIGHBOURS,
    n_resamples: int = 100,
    seed: int = 0,
) -> dict[str, Any]:
    """Measure generated rows by a judge, each figure with its standard error (``_se``).

    Classes are the judge's on both sides, so that its mistakes touch real and generated rows alike; how many it makes
    is `judge_accuracy`. Standard errors are those of the rows drawn, for this judge and this model: that of purity
    resamples the rows of each component; that of the Fréchet distance resamples both sets of features; those of
    precision, recall, density and coverage resample the per-row terms of `neighbourhoods`, with the balls as they are.

    Args:
        real_x, real_y: rows the judge was not trained on, and their labels.
        generated: rows drawn from the whole model, for all figures but purity; best as many as real ones.
        per_component: rows drawn from each component, K arrays, for purity; None where a model has no components.
        weights: of the components, ``(K,)``; None counts them alike.
        k, n_resamples: of `neighbourhoods` and `bootstrap_se`.

    Returns:
        With components ``purity, purity_se, purity_weighted, purity_by_component`` (a list); always ``classes_covered,
        classes_in_data, class_entropy, class_entropy_se, class_entropy_data, class_kl`` (`ClassCoverage`),
        ``frechet_distance, precision, recall, density, coverage``, each with ``_se``, and ``judge_accuracy``.

    Raises:
        InputError: whatever the parts refuse.
    """
    result: dict[str, Any] = {}
    if per_component is not None:
        labels = [judge.predict(rows) for rows in per_component]
        result["purity"] = purity(labels)
        result["purity_se"] = bootstrap_se(lambda *groups: purity(groups), labels, n_resamples, seed)
        result["purity_weighted"] = purity(labels, weights)
        result["purity_by_component"] = purity_by_component(labels).tolist()
    new = judge.predict(generated)
    names = ("classes_covered", "classes_in_data", "class_entropy", "class_entropy_data", "class_kl")
    result |= dict(zip(names, astuple(class_coverage(judge.predict(real_x), new)), strict=True))
    result["class_entropy_se"] = bootstrap_se(class_entropy, [new], n_resamples, seed)
    features = [judge.features(real_x), judge.features(generated)]
    result["frechet_distance"] = frechet_distance(*features)
    result["frechet_distance_se"] = bootstrap_se(frechet_distance, features, n_resamples, seed)
    for name, rows in vars(neighbourhoods(features[0], features[1], k)).items():
        result[name] = float(rows.mean())
        result[f"{name}_se"] = bootstrap_se(np.mean, [rows], n_resamples, seed)
    result["judge_accuracy"] = judge.accuracy(real_x, real_y)
    return result
