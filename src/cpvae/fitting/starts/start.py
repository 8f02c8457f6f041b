"""Starts in which every category has rows of its own.

Trained from nothing with a warm-up, the model often puts all rows into one category: while the KL terms weigh little
the continuous code carries everything, and when they count it is too late. So a start first assigns each row a
category, without labels; the training loop holds these for a few epochs and then lets the bound decide.

A start is a small object called with a `Task`; it gives one category for each training row, or None for no start. By
name in `STARTS`. Those that cluster do it in two steps: rows become points (`Code`), points become categories.
"""

from __future__ import annotations

import importlib.util
import warnings
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

from cpvae.fitting.starts import latent_classes
from cpvae.fitting.starts.clusterings import MANY, Clustering, gaussian_mixture, k_means, mixture_or_map, umap_mixture
from cpvae.fitting.starts.codes import AutoencoderCode, RowCode, SpectrumCode
from cpvae.fitting.starts.task import Code, Start, Task


@dataclass(frozen=True)
class RandomStart:
    """No start, as in the paper: Glorot weights and the warm-up alone."""

    def epochs(self, task: Task) -> int:
        """Train nothing."""
        return 0

    def __call__(self, task: Task) -> None:
        return None


@dataclass(frozen=True)
class ClusteredStart:
    """Categories by clustering the rows' codes.

    Tables with columns of several kinds are clustered as they are by `cpvae.fitting.starts.latent_classes`, which
    leaves missing cells out. The idea of clustering an autoencoder's code to start a deep mixture is that of Xie,
    Girshick and Farhadi (2016) and of VaDE (Jiang et al., 2017).
    """

    code: Code
    clustering: Clustering

    def epochs(self, task: Task) -> int:
        """Count those of the code."""
        return 0 if task.likelihood.mixed or task.n_components == 1 else self.code.epochs(task)

    def __call__(self, task: Task) -> Tensor | None:
        if task.n_components == 1:
            return None
        with warnings.catch_warnings():
            # That rows have fewer different values than there are categories: the fit says how many it came to use.
            warnings.simplefilter("ignore", ConvergenceWarning)
            return self._categories(task)

    def _categories(self, task: Task) -> Tensor:
        """Find a category for each row."""
        if task.likelihood.mixed:
            return torch.from_numpy(self.classes(task))
        code = self.code(task)
        some = task.some(task.max_rows)
        task.on_phase(f"clustering {len(some):,} rows", 0)
        points = np.concatenate([code(x) for x in some.chunks()])
        category = self.clustering(points, task.n_components, np.random.RandomState(task.seed))
        few = np.int16 if task.n_components < 2**15 else np.int64
        if some is task.rows:
            return torch.from_numpy(category(points).astype(few))
        return torch.from_numpy(np.concatenate([category(code(x)).astype(few) for x in task.rows.chunks()]))

    def classes(self, task: Task) -> np.ndarray:
        """Find a category for each row of a table with columns of several kinds."""
        likelihood, random = task.likelihood, np.random.RandomState(task.seed)
        table = latent_classes.table_of([likelihood.cells(likelihood.to_model(x)) for x in task.rows.chunks()])
        n = len(task.rows)
        task.on_phase(f"clustering {min(n, task.max_rows):,} rows", 0)
        some = np.arange(n) if n <= task.max_rows else random.choice(n, task.max_rows, replace=False)
        if task.n_components > MANY:
            points = np.concatenate([table.numbers, table.levels], axis=1)
            return k_means(points[some], task.n_components, random)(points).astype(np.int64)
        classes = latent_classes.fit(table.rows(some), task.n_components, random)
        return classes.log_joint(table).argmax(1)


STARTS: dict[str, Start] = {
    "umap": ClusteredStart(AutoencoderCode(), umap_mixture),
    "autoencoder": ClusteredStart(AutoencoderCode(), gaussian_mixture),
    "rows": ClusteredStart(RowCode(), mixture_or_map),
    "map": ClusteredStart(RowCode(), umap_mixture),
    "gmm": ClusteredStart(RowCode(), gaussian_mixture),
    "kmeans": ClusteredStart(RowCode(), k_means),
    "spectrum": ClusteredStart(SpectrumCode(), umap_mixture),
    "random": RandomStart(),
}


def choose(shape: tuple[int, ...], stationary: bool = False, by_neighbours: bool = False) -> Start:
    """Choose the start for a kind of data.

    Images and signals get "umap", or "autoencoder" where umap-learn is missing; everything else gets "rows". Signals
    that could have begun anywhere (`cpvae.data.signals`) get "spectrum". Cells and documents, whose likelihood asks for
    groups `by_neighbours`, get "map".

    A mixture of Gaussians makes use of the columns' units and of how they vary together, which a map of neighbours
    loses; but sources that are no ellipses are cut in pieces by it. `docs/clusters.md` has both on several data sets.
    """
    mapped = importlib.util.find_spec("umap") is not None
    if len(shape) == 1:
        return STARTS["map" if by_neighbours and mapped else "rows"]
    if stationary:
        return STARTS["spectrum"] if mapped else ClusteredStart(SpectrumCode(), gaussian_mixture)
    return STARTS["umap" if mapped else "autoencoder"]
