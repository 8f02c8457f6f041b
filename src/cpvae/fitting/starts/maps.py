"""Graphs of neighbours, and maps on which a chain of them is one group: UMAP, with what it compiles kept on disk."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from scipy import sparse
from sklearn.neighbors import NearestNeighbors, kneighbors_graph

from cpvae.extras import needed
from cpvae.fitting.starts.task import Points

EPOCHS = 200  # what UMAP takes for more than 10,000 rows; for fewer it takes 500, which find the same groups
EXACT = 20_000  # rows at most whose neighbours are found exactly; the search of UMAP is faster for more


@contextmanager
def torch_threads_kept() -> Iterator[None]:
    """Give PyTorch back the threads it had before the block: Numba, behind UMAP, sets those of OpenMP for both."""
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)


def installed() -> bool:
    """Say whether umap-learn is there to make maps."""
    return importlib.util.find_spec("umap") is not None


def keep_compiled() -> None:
    """Have Numba keep on disk what it compiles of UMAP, as ``numba.njit(cache=True)`` would.

    UMAP asks for it in none of its functions, so that each process would compile for ten seconds, longer than a small
    table takes to fit. A function that another version of UMAP names otherwise is compiled anew.
    """
    from umap import layouts, umap_

    for module, name in (
        (umap_, "smooth_knn_dist"),
        (umap_, "compute_membership_strengths"),
        (layouts, "_nb_optimize_layout_euclidean_single_epoch"),
    ):
        keep = getattr(getattr(module, name, None), "enable_caching", None)
        if keep is not None:
            keep()


class Map(NamedTuple):
    """Points laid out by UMAP, ``(m, n_components)``, and the weighted graph of neighbours that it drew, ``(m, m)``."""

    layout: np.ndarray
    graph: sparse.csr_matrix

    def modularity(self, categories: np.ndarray) -> float:
        """Compute the `modularity` of categories ``(m,)`` on the graph."""
        return modularity(self.graph, categories)

    def crossing(self, categories: np.ndarray) -> float:
        """Compute the share of the graph's weight between categories ``(m,)``, which are integers from 0."""
        return float(1 - np.trace(shares(self.graph, categories)))


def neighbours(points: Points, n_neighbors: int) -> sparse.csr_matrix:
    """Join each of some points to its nearest ones, and these to it: a symmetric graph ``(m, m)`` of ones."""
    graph = kneighbors_graph(points, min(n_neighbors, len(points) - 1))
    return graph.maximum(graph.T).tocsr()


def shares(graph: sparse.csr_matrix, categories: np.ndarray) -> np.ndarray:
    """Compute the share of a graph's weight between each two categories, ``(K, K)``.

    Args:
        graph: ``(m, m)``.
        categories: integers from 0 ``(m,)``.
    """
    within = np.eye(categories.max() + 1)[categories]
    found: np.ndarray = within.T @ (graph @ within) / graph.sum()
    return found


def modularity(graph: sparse.csr_matrix, categories: np.ndarray) -> float:
    """Compute the share of a graph's weight within categories, less what chance would put there.

    Newman and Girvan (2004), of weights: Newman (2004). At most 1; about 0 for categories without a meaning.

    Args:
        graph: ``(m, m)``.
        categories: integers from 0 ``(m,)``.
    """
    share = shares(graph, categories)
    return float(np.trace(share) - (share.sum(0) ** 2).sum())


def laid_out(
    points: Points,
    n_neighbors: int,
    n_components: int,
    random: np.random.RandomState,
    n_maps: int = 1,
    min_dist: float = 0.0,
) -> list[Map]:
    """Lay points ``(m, d)`` out in ``n_components`` dimensions by UMAP (McInnes, Healy and Melville, 2018).

    Args:
        points: to lay out.
        n_neighbors: of each; n_components: of the map.
        random: gives the seeds.
        n_maps: how many maps are made.
        min_dist: distance to which like points come; 0 makes groups dense, which can then be told apart.

    Returns:
        `n_maps` maps of the same graph, each from another seed.

    Raises:
        InputError: umap-learn is not installed.
    """
    with warnings.catch_warnings(), torch_threads_kept():
        # That one of its kinds needs TensorFlow; that a given seed leaves it one thread; that a graph has parts.
        warnings.simplefilter("ignore")
        with needed("init='umap'", otherwise="init='autoencoder'"):
            from umap import UMAP
        keep_compiled()
        points = np.asarray(points, dtype=np.float32)
        known = (None, None, None)
        if len(points) <= EXACT:
            distances, indices = NearestNeighbors(n_neighbors=n_neighbors).fit(points).kneighbors(points)
            known = indices.astype(np.int32), distances.astype(np.float32), None
        fits = [
            UMAP(
                n_neighbors=n_neighbors,
                n_components=n_components,
                min_dist=min_dist,
                n_epochs=EPOCHS,
                random_state=random.randint(2**31 - 1),
                n_jobs=1,
                precomputed_knn=known,
            ).fit(points)
            for _ in range(n_maps)
        ]
        return [Map(one.embedding_, one.graph_) for one in fits]
