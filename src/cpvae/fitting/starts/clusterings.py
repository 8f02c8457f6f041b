"""Clusterings, from points to categories."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KNeighborsClassifier

from cpvae.fitting.starts import latent_classes, seeded
from cpvae.fitting.starts.maps import installed, laid_out, modularity, neighbours
from cpvae.fitting.starts.means import k_means, restarts
from cpvae.fitting.starts.tables import Table
from cpvae.fitting.starts.task import Points

MANY = 20  # components beyond which a mixture would leave some empty, and k-means does not
MOST_MAPPED = 100  # components beyond which it is not tried whether sources are ellipses
TRIED = 10_000  # rows at most on which it is tried whether sources are ellipses
TINY = 1e-12  # in place of a variance of zero: the points of codes may all be the same
ROWS_MAPPED = 6_000  # on all maps together, but for the first
MOST_MAPS = 3
PARTING = 0.95  # of the modularity of other groups, that those of a mixture need
APART = 0.005  # share of the weight of a graph between groups that chains of neighbours tell apart
FEWEST_NEIGHBOURS, MOST_NEIGHBOURS = 10, 20  # of a row, in the graph that UMAP lays out


class Clustering(Protocol):
    """Function from points ``(m, d)``, a number of components and a random state to one that gives points a category.

    Where categories of some points are `known`, ``(m,)`` with -1 for all others, the others join these.
    """

    def __call__(
        self, points: Points, n_components: int, random: np.random.RandomState, *, known: np.ndarray | None = None
    ) -> Callable[[Points], np.ndarray]: ...


def enough(points: Points, n_components: int) -> bool:
    """Tell whether there are points enough for a covariance of each component."""
    return len(points) >= 5 * n_components * points.shape[1]


def gaussian_mixture(
    points: Points,
    n_components: int,
    random: np.random.RandomState,
    n_init: int | None = None,
    *,
    known: np.ndarray | None = None,
) -> Callable[[Points], np.ndarray]:
    """Fit scikit-learn's mixture of Gaussians with full covariances, the best of `n_init` by its likelihood.

    With known categories it is `seeded.mixture`. With few points for its parameters, or many components, k-means.
    """
    if n_components > MANY or not enough(points, n_components):
        return k_means(points, n_components, random, n_init, known=known)
    if known is not None:
        begun = n_init or seeded.beginnings(n_components, known)
        fits = [seeded.mixture(points, n_components, random, known) for _ in range(begun)]
        best = max(fits, key=lambda fit: fit[0])[1]
        return seeded.numbered(lambda others: best.log_joint(others).argmax(1), points, n_components, known)
    spread = max(float(np.var(points, axis=0).mean()), TINY)
    n_init = n_init or restarts(points)
    mixture = GaussianMixture(n_components, n_init=n_init, reg_covar=1e-3 * spread, max_iter=200, random_state=random)
    found: Callable[[Points], np.ndarray] = mixture.fit(points).predict
    return found


def n_neighbours(n: int, n_components: int) -> int:
    """Choose the neighbours of each of n rows in the graph that UMAP lays out: 5 to 20.

    An eighth of the rows of a component, so that a chain of rows, as of a thing that turns, is not cut short, but 10
    where that is fewer. Never more than half of them, which would join it to others.

    >>> n_neighbours(60_000, 10), n_neighbours(1440, 20), n_neighbours(400, 40)
    (20, 10, 5)
    """
    rows = n // n_components
    return int(np.clip(np.clip(rows // 8, FEWEST_NEIGHBOURS, MOST_NEIGHBOURS), 5, max(5, rows // 2)))


def classes(
    points: Points, n_components: int, random: np.random.RandomState, *, known: np.ndarray | None = None
) -> Callable[[Points], np.ndarray]:
    """Find the classes of `cpvae.fitting.starts.latent_classes`.

    All directions of the points have one unit, in which their mean variance is 1.
    """
    loc, scale = points.mean(0), max(float(np.var(points, axis=0).mean()), TINY) ** 0.5

    def table(others: Points) -> Table:
        return Table.of_numbers((others - loc) / scale, known if others is points else None)

    found = latent_classes.fit(table(points), n_components, random)
    return lambda others: found.likeliest(table(others))


def umap_mixture(
    points: Points,
    n_components: int,
    random: np.random.RandomState,
    *,
    known: np.ndarray | None = None,
    other: Callable[[Points], np.ndarray] | None = None,
) -> Callable[[Points], np.ndarray]:
    """Fit mixtures of Gaussians on points laid out by UMAP, and take the groups that cut the graph of neighbours best.

    UMAP draws rows together that a chain of neighbours joins, whatever shape they form; with the code of an autoencoder
    that is N2D (McConville et al., 2021). A map, and where a mixture begins, are drawn at random, and few rows fall
    into other groups each time. So several maps are made of few rows, with several mixtures on each. The likelihood of
    a mixture says how round its groups are on a map; their modularity says how well they part the neighbours.
    Where categories are known, some mixtures begin at their points, and the share of known points that are in their
    categories counts beside the modularity. Known categories then spread over the graph (`seeded.spread`). Other points
    get the category of most of their neighbours. An `other` clustering is taken in place of mixtures that do not lie
    `APART` on the graph, or no more than it does.

    Raises:
        InputError: umap-learn is not installed.
    """
    if len(points) <= MOST_NEIGHBOURS:
        return gaussian_mixture(points, n_components, random, known=known)
    neighbours = n_neighbours(len(points), n_components)
    n_maps = int(np.clip(ROWS_MAPPED // len(points), 1, MOST_MAPS))
    best, categories = -np.inf, np.zeros(len(points), dtype=np.int64)
    tried: list[np.ndarray | None] = [None] * restarts(points)
    if known is not None:
        tried += [known] * seeded.beginnings(n_components, known)
    maps = laid_out(points, neighbours, min(10, points.shape[1]), random, n_maps)
    chosen = maps[0]
    for one in maps:
        for own in tried:
            found = gaussian_mixture(one.layout, n_components, random, n_init=1, known=own)(one.layout)
            value = one.modularity(found)
            if known is not None:
                found = seeded.numbering(found, n_components, known)[found]
                value += seeded.agreement(found, known)
            if value > best:
                best, categories, chosen = value, found, one
    if other is not None and chosen.crossing(categories) > min(APART, chosen.crossing(other(points))):
        return other
    if known is not None:
        categories = seeded.spread(chosen.graph, chosen.layout, categories, n_components, known)
    nearest = KNeighborsClassifier(5).fit(points, categories)

    def predict(others: Points) -> np.ndarray:
        return categories if others is points else nearest.predict(others)

    return predict


def ellipses(points: Points, n_components: int, random: np.random.RandomState) -> bool:
    """Tell whether Gaussians, one for each source, describe points as well as more of them do.

    They do not where a mixture with three times as many components is the better one, in likelihood, for a clear
    majority of held-out points: 55 % and two standard errors more. A share, since a few points far out would decide a
    mean.
    """
    points = points[random.permutation(len(points))[:TRIED]]
    first, rest = np.split(points, [len(points) * 4 // 5])
    if len(first) < 3 * n_components:
        return True
    full = enough(first, n_components)
    spread = max(float(np.var(points, axis=0).mean()), TINY)
    few, many = (
        GaussianMixture(
            k, n_init=2, covariance_type="full" if full else "diag", reg_covar=1e-3 * spread, random_state=random
        )
        .fit(first)
        .score_samples(rest)
        for k in (n_components, 3 * n_components)
    )
    return float(np.mean(many > few)) < 0.55 + 1.0 / np.sqrt(len(rest))


def mixture_or_classes(
    points: Points, n_components: int, random: np.random.RandomState, *, known: np.ndarray | None = None
) -> Callable[[Points], np.ndarray]:
    """Choose `gaussian_mixture`, or `classes` where there are few rows or these part neighbours better.

    Full covariances follow ellipses of any form, but also the lines and spikes that rounding makes, through the midst
    of neighbours.
    """
    found = classes(points, n_components, random, known=known)
    if n_components > MANY or not enough(points, n_components):
        return found
    full = gaussian_mixture(points, n_components, random, known=known)
    some = random.permutation(len(points))[:TRIED]
    graph = neighbours(points[some], n_neighbours(len(some), n_components))
    by_mixture, by_classes = (modularity(graph, category(points)[some]) for category in (full, found))
    return full if by_mixture >= PARTING * by_classes else found


def mixture_or_map(
    points: Points, n_components: int, random: np.random.RandomState, *, known: np.ndarray | None = None
) -> Callable[[Points], np.ndarray]:
    """Choose `mixture_or_classes`, or `umap_mixture` where sources are no `ellipses` and lie apart on its graph.

    Beyond 100 components, or without umap-learn, no map is tried.
    """
    found = mixture_or_classes(points, n_components, random, known=known)
    mapped = n_components <= MOST_MAPPED and installed()
    if not mapped or ellipses(points, n_components, random):
        return found
    return umap_mixture(points, n_components, random, known=known, other=found)
