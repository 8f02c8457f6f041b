"""Maps of points, on which a chain of neighbours is one group: UMAP, with what it compiles kept between processes."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from sklearn.neighbors import NearestNeighbors

from cpvae.errors import InputError
from cpvae.fitting.starts.task import Points

EPOCHS = 200  # what UMAP takes for more than 10,000 rows; for fewer it takes 500, which find the same groups
EXACT = 20_000  # rows at most whose neighbours are found exactly; the search of UMAP is faster for more


@contextmanager
def torch_threads_kept() -> Iterator[None]:
    """A block after which PyTorch has the threads it had: Numba, behind UMAP, sets those of OpenMP for both."""
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)


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


def laid_out(points: Points, n_neighbors: int, n_components: int, random: np.random.RandomState) -> np.ndarray:
    """Lay points ``(m, d)`` out in ``n_components`` dimensions by UMAP (McInnes, Healy and Melville, 2018).

    Raises:
        InputError: umap-learn is not installed.
    """
    with warnings.catch_warnings(), torch_threads_kept():
        # That one of its kinds needs TensorFlow; that a given seed leaves it one thread; that a graph has parts.
        warnings.simplefilter("ignore")
        try:
            from umap import UMAP
        except ImportError as error:
            raise InputError(
                "init='umap' needs the package umap-learn: pip install 'cpvae[umap]', or init='autoencoder'"
            ) from error
        keep_compiled()
        points = np.asarray(points, dtype=np.float32)
        known = (None, None, None)
        if len(points) <= EXACT:
            distances, indices = NearestNeighbors(n_neighbors=n_neighbors).fit(points).kneighbors(points)
            known = indices.astype(np.int32), distances.astype(np.float32), None
        layout: np.ndarray = UMAP(
            n_neighbors=n_neighbors,
            n_components=n_components,
            min_dist=0.0,
            n_epochs=EPOCHS,
            random_state=random.randint(2**31 - 1),
            n_jobs=1,
            precomputed_knn=known,
        ).fit_transform(points)
    return layout
