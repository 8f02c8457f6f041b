"""Starts in which every category has rows of its own.

Trained from nothing with a warm-up, the model often puts all rows into one category: while the KL terms weigh little
the continuous code carries everything, and when they count it is too late. So a start first assigns each row a
category, without labels; the training loop holds these for a few epochs and then lets the bound decide.

A start is a small object called with a `Task`; it gives one category for each training row, or None for no start. By
name in `STARTS`. Those that cluster do it in two steps: rows become points (`Code`), points become categories.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

from cpvae.data.rows import Rows
from cpvae.fitting.starts import latent_classes, tables
from cpvae.fitting.starts.clusterings import Clustering, gaussian_mixture, mixture_or_map, umap_mixture
from cpvae.fitting.starts.codes import AutoencoderCode, EdgeCode, RowCode, SpectrumCode
from cpvae.fitting.starts.maps import installed
from cpvae.fitting.starts.means import k_means
from cpvae.fitting.starts.task import CutShort, Points, Start, Task, points_of
from cpvae.fitting.starts.ways import Way, codes_of, codings, most_apart

FEWEST_PIXELS = 6  # along a side, of pictures whose edges count
TRIED, TRIED_OF_EACH = 2_000, 20  # rows, in all and for each component, on which it is tried which way is the best
FEW_ROWS = 5000  # that get a category where a start is cut short; a fit trains on them for a moment


@dataclass(frozen=True)
class RandomStart:
    """No start, as in the paper: Glorot weights and the warm-up alone."""

    way: ClassVar[Way] = (RowCode(),)

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

    Args:
        ways: in which rows become points. Of several the one is taken whose groups lie most apart.
        clustering: finds the groups.
    """

    ways: tuple[Way, ...]
    clustering: Clustering

    @property
    def way(self) -> Way:
        """Give its last way."""
        return self.ways[-1]

    def epochs(self, task: Task) -> int:
        """Count those of the codes."""
        if task.likelihood.mixed or task.n_components == 1:
            return 0
        return sum(code.epochs(task) for code in codes_of(self.ways))

    def __call__(self, task: Task) -> Tensor | None:
        """Find a category for each row, ``(n,)``; None where there is one category.

        Raises:
            CutShort: the task is asked to stop; some rows have their categories by k-means on the code so far.
        """
        if task.n_components == 1:
            return None
        with warnings.catch_warnings():
            # That rows have fewer different values than there are categories: the fit says how many it came to use.
            warnings.simplefilter("ignore", ConvergenceWarning)
            categories = self._by_classes(task) if task.likelihood.mixed else self._by_code(task)
        return torch.from_numpy(with_known(categories, task.known))

    def _by_code(self, task: Task) -> np.ndarray:
        """Cluster what the codes make of rows."""
        seen = codings(self.ways, task)

        def points(rows: Rows) -> Points:
            return points_of(rows, seen[0])

        def categories() -> np.ndarray:
            few = np.int16 if task.n_components < 2**15 else np.int64
            best, tried = 0, max(TRIED, TRIED_OF_EACH * task.n_components)
            if len(seen) > 1:
                some = task.some(tried)
                task.on_phase(f"clustering {len(some):,} rows in {len(seen)} ways", 0)
                shown = [points_of(some, way) for way in seen]
                groups = [self._groups(own, tried, task)(own) for own in shown]
                best = most_apart(shown, groups, task.n_components)
                if some is task.rows:
                    return groups[best].astype(few)
            some = task.some(task.max_rows)
            task.on_phase(f"clustering {len(some):,} rows", 0)
            own = points_of(some, seen[best])
            category = self._groups(own, task.max_rows, task)
            if some is task.rows:
                return category(own).astype(few)
            return np.concatenate([category(seen[best](x)).astype(few) for x in task.rows.chunks()])

        return unless_stopped(categories, points, task)

    def _groups(self, points: Points, n: int, task: Task) -> Callable[[Points], np.ndarray]:
        """Cluster the points of the n rows that the task draws."""
        known = task.known_of(task.index(n, np.random.RandomState(task.seed)))
        given = {} if known is None else {"known": known}
        return self.clustering(points, task.n_components, np.random.RandomState(task.seed), **given)

    def _by_classes(self, task: Task) -> np.ndarray:
        """Cluster a table with columns of several kinds."""

        def points(rows: Rows) -> Points:
            return table_of(rows, task).points

        return unless_stopped(lambda: self.classes(task), points, task)

    def classes(self, task: Task) -> np.ndarray:
        """Find a category for each row of a table with columns of several kinds."""
        random, table, n = np.random.RandomState(task.seed), table_of(task.rows, task), len(task.rows)
        task.on_phase(f"clustering {min(n, task.max_rows):,} rows", 0)
        some = task.index(task.max_rows, random)
        return latent_classes.fit(table.rows(some), task.n_components, random).likeliest(table)


def table_of(rows: Rows, task: Task) -> tables.Table:
    """Make the table that rows with columns of several kinds are clustered as."""
    likelihood = task.likelihood
    table = tables.table_of([likelihood.cells(likelihood.to_model(x)) for x in rows.chunks()])
    return table if rows is not task.rows else replace(table, known=task.known)


def unless_stopped(categories: Callable[[], np.ndarray], points: Callable[[Rows], Points], task: Task) -> np.ndarray:
    """Give the categories of all rows, or end with quick ones where the task is asked to stop, before or meanwhile.

    A stop ends the work at once, except within a single call to compiled code, which cannot be interrupted. UMAP's
    search for the neighbours of 50,000 rows is such a call, and so is each k-means.

    Args:
        categories: finds those of all rows, ``(n,)``.
        points: gives rows as points that k-means can cluster, ``(m, d)``.

    Raises:
        CutShort: with categories by k-means, of some rows.
    """
    if not task.stop():
        with task.stop.ends():
            found = categories()
        if not task.stop():
            return found
    index = np.random.RandomState(task.seed).permutation(len(task.rows))[:FEW_ROWS]
    if task.known is not None:
        index = task.index(FEW_ROWS, np.random.RandomState(task.seed))
    some, known = points(task.rows.some(index)), task.known_of(index)
    quick = k_means(some, task.n_components, np.random.RandomState(task.seed), known=known)(some)
    raise CutShort(index, torch.from_numpy(with_known(quick.astype(np.int64), known)))


def with_known(found: np.ndarray, known: np.ndarray | None) -> np.ndarray:
    """Put rows of a known category there: categories ``(n,)`` of the same integers; None knows none."""
    return found if known is None else np.where(known >= 0, known, found).astype(found.dtype)


LEARNED = AutoencoderCode(most_epochs=100)  # beside which stand other codes
ALONE: tuple[Way, ...] = ((RowCode(),),)
PICTURES: tuple[Way, ...] = (LEARNED,), (LEARNED, EdgeCode())
SIGNALS: tuple[Way, ...] = (LEARNED,), (SpectrumCode(),), (RowCode(), SpectrumCode(), LEARNED)
ANYWHERE: tuple[Way, ...] = ((LEARNED, SpectrumCode()),)

STARTS: dict[str, Start] = {
    "edges": ClusteredStart(PICTURES, umap_mixture),
    "signals": ClusteredStart(SIGNALS, umap_mixture),
    "spectrum": ClusteredStart(ANYWHERE, umap_mixture),
    "umap": ClusteredStart(((AutoencoderCode(),),), umap_mixture),
    "autoencoder": ClusteredStart(((AutoencoderCode(),),), gaussian_mixture),
    "rows": ClusteredStart(ALONE, mixture_or_map),
    "map": ClusteredStart(ALONE, umap_mixture),
    "directions": ClusteredStart(((RowCode(direction=True),),), umap_mixture),
    "gmm": ClusteredStart(ALONE, gaussian_mixture),
    "kmeans": ClusteredStart(ALONE, k_means),
    "random": RandomStart(),
}


def choose(shape: tuple[int, ...], stationary: bool = False, by_neighbours: bool = False) -> Start:
    """Choose the start for a kind of data.

    Pictures get "edges" and signals "signals", or "autoencoder" where umap-learn is missing; everything else gets
    "rows". Pictures with fewer than 6 pixels along a side, which have few edges, get "umap". Signals that could have
    begun anywhere (`cpvae.data.signals`) get "spectrum". Cells and documents, whose likelihood asks for groups
    `by_neighbours`, get "directions".

    A mixture of Gaussians makes use of the columns' units and of how they vary together, which a map of neighbours
    loses; but sources that are no ellipses are cut in pieces by it. `docs/clusters.md` has both on several data sets.
    """
    mapped = installed()
    if len(shape) == 1:
        return STARTS["directions" if by_neighbours and mapped else "rows"]
    if stationary:
        return STARTS["spectrum"] if mapped else ClusteredStart(ANYWHERE, gaussian_mixture)
    if not mapped:
        return STARTS["autoencoder"]
    if len(shape) == 2:
        return STARTS["signals"]
    return STARTS["edges" if min(shape[1:]) >= FEWEST_PIXELS else "umap"]
