"""Peers of CP-VAE on the sets of `field_sets`: general clusterings, and the tool of each field.

Rows are encoded as a person would. Counts are divided by the depth of their row, then come log(1 + x) and 50
principal components. Columns of a table are scaled, levels become columns, missing cells are filled in. Pixels become
50 principal components. Signals are standardised channel by channel, then flattened. All systems are told K, but for
HDBSCAN and Leiden, which find a number.
"""

from __future__ import annotations

import importlib.util
import random
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.cluster import HDBSCAN, KMeans
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import kneighbors_graph
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from cpvae.fitting.starts.maps import torch_threads_kept

COMPONENTS = 50
MOST_LEVELS = 20  # of a column that become columns; the rarest are one
FEW_NUMBERS = 5  # up to which whole numbers are codes of levels
NEIGHBOURS = 15

# -- rows as points ----------------------------------------------------------------------------------------------------


def encode(kind: str, x: Any, seed: int) -> np.ndarray:
    """Turn rows into points, ``(n, d)`` float64.

    Args:
        kind: the field of the set (`field_sets.FieldSet.field`).
        x: rows as `cpvae.datasets.load` gives them.
    """
    return {"cells": counts, "text": counts, "table": columns, "signals": flattened, "images": pixels}[kind](x, seed)


def counts(x: Any, seed: int) -> np.ndarray:
    """Scale each row to the median depth, and take logarithms and principal components."""
    dense = np.asarray(x.toarray() if hasattr(x, "toarray") else x, dtype=np.float64)
    depth = np.maximum(dense.sum(1, keepdims=True), 1)
    return components(np.log1p(dense / depth * np.median(depth)), seed)


def columns(x: Any, seed: int) -> np.ndarray:
    """Fill, scale, and turn levels into columns."""
    frame, numbers, levels = parts(x)
    scaled = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    apart = make_pipeline(
        SimpleImputer(strategy="most_frequent"),
        OneHotEncoder(max_categories=MOST_LEVELS, sparse_output=False),
    )
    points = make_column_transformer((scaled, numbers), (apart, levels)).fit_transform(frame)
    return np.asarray(points, dtype=np.float64)


def parts(x: Any) -> tuple[pd.DataFrame, list[str], list[str]]:
    """Name the numbers and the levels of a table, without columns that number its rows or say nothing."""
    frame = pd.DataFrame(x).copy()
    frame.columns = frame.columns.map(str)
    numbers: list[str] = []
    levels: list[str] = []
    for name, column in frame.items():
        known = column.dropna()
        is_number = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
        is_whole = is_number and bool((known == known.round()).all())
        if known.nunique() < 2 or (is_whole and column.is_monotonic_increasing and column.is_unique):
            continue
        few = is_whole and known.nunique() <= FEW_NUMBERS
        (numbers if is_number and not few else levels).append(str(name))
    frame[levels] = frame[levels].astype(object).where(frame[levels].notna(), np.nan)
    return frame, numbers, levels


def pixels(x: Any, seed: int) -> np.ndarray:
    """Flatten pictures, and take principal components."""
    flat = np.asarray(x, dtype=np.float64).reshape(len(x), -1)
    return components(flat / max(float(np.abs(flat).max()), 1.0), seed)


def flattened(x: Any, seed: int) -> np.ndarray:
    """Standardise channels, and fill with their mean what lies after the end of a signal."""
    values = np.asarray(x, dtype=np.float64)
    loc, scale = (part(values, axis=(0, 2), keepdims=True) for part in (np.nanmean, np.nanstd))
    return np.nan_to_num((values - loc) / np.where(scale > 0, scale, 1)).reshape(len(x), -1)


def components(points: np.ndarray, seed: int) -> np.ndarray:
    """Take the first principal components; as many as there are where that is fewer."""
    some = min(COMPONENTS, *points.shape)
    found: np.ndarray = PCA(some, random_state=seed).fit_transform(points)
    return found


# -- clusterings -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Asked:
    """Rows to be clustered: as they were read, and of which field; into how many groups, and by which seed."""

    x: Any
    kind: str
    n_classes: int
    seed: int

    def points(self) -> np.ndarray:
        """Encode the rows."""
        return encode(self.kind, self.x, self.seed)


Groups = np.ndarray  # (n,) integers


def k_means(asked: Asked) -> Groups:
    """Run k-means, the best of ten starts."""
    found: Groups = KMeans(asked.n_classes, n_init=10, random_state=asked.seed).fit_predict(asked.points())
    return found


def mixture(points: np.ndarray, n_classes: int, seed: int, covariance: str) -> Groups:
    """Fit a mixture of Gaussians, the best of five starts."""
    least = 1e-3 * max(float(points.var(0).mean()), 1e-12)
    found: Groups = GaussianMixture(
        n_classes, covariance_type=covariance, n_init=5, reg_covar=least, random_state=seed
    ).fit_predict(points)
    return found


def diagonal(asked: Asked) -> Groups:
    """Fit a mixture with diagonal covariances."""
    return mixture(asked.points(), asked.n_classes, asked.seed, "diag")


def full(asked: Asked) -> Groups:
    """Fit a mixture with full covariances."""
    return mixture(asked.points(), asked.n_classes, asked.seed, "full")


def layout(asked: Asked) -> np.ndarray:
    """Lay points out by UMAP, as its manual has it for clustering: close together, in two dimensions."""
    from umap import UMAP

    points = asked.points()
    neighbours = min(NEIGHBOURS, len(points) - 1)
    found: np.ndarray = UMAP(n_neighbors=neighbours, min_dist=0.0, random_state=asked.seed, n_jobs=1).fit_transform(
        points
    )
    return found


def umap_mixture(asked: Asked) -> Groups:
    """Fit a mixture to a layout."""
    return mixture(layout(asked).astype(np.float64), asked.n_classes, asked.seed, "full")


def umap_hdbscan(asked: Asked) -> Groups:
    """Run HDBSCAN on a layout; what it calls noise is one group more.

    The smallest cluster has a quarter of the rows that each class would have, were all of one size.
    """
    points = layout(asked)
    least = max(5, len(points) // (4 * asked.n_classes))
    found: Groups = HDBSCAN(min_cluster_size=least, copy=True).fit_predict(points)
    return found


def leiden(asked: Asked) -> Groups:
    """Find communities of the graph of neighbours (Traag, Waltman and van Eck, 2019), at resolution 1."""
    import igraph

    graph = kneighbors_graph(asked.points(), NEIGHBOURS)
    edges = sparse.triu(graph.maximum(graph.T)).tocoo()
    igraph.set_random_number_generator(random.Random(asked.seed))
    found = igraph.Graph(len(asked.x), list(zip(edges.row.tolist(), edges.col.tolist(), strict=True)))
    return np.array(found.community_leiden("modularity", n_iterations=10).membership)


def scvi(asked: Asked) -> Groups:
    """Run k-means on the code of scVI (Lopez et al., 2018), which is trained for as long as by default."""
    from anndata import AnnData
    from scvi import settings
    from scvi.model import SCVI

    settings.seed = asked.seed
    cells = AnnData(sparse.csr_matrix(asked.x.toarray() if hasattr(asked.x, "toarray") else asked.x))
    SCVI.setup_anndata(cells)
    model = SCVI(cells)
    model.train(accelerator="cpu", enable_progress_bar=False)
    code = model.get_latent_representation()
    return np.asarray(KMeans(asked.n_classes, n_init=10, random_state=asked.seed).fit_predict(code))


def stepmix(asked: Asked) -> Groups:
    """Fit latent classes of numbers and levels (Morin et al., 2023); missing levels are left out, numbers filled in."""
    from stepmix.stepmix import StepMix

    frame, numbers, levels = parts(asked.x)
    blocks, measurement = [], {}
    if numbers:
        blocks.append(make_pipeline(SimpleImputer(strategy="median"), StandardScaler()).fit_transform(frame[numbers]))
        measurement["numbers"] = {"model": "gaussian_diag", "n_columns": len(numbers), "reg_covar": 1e-2}
    if levels:
        blocks.append(np.stack([codes(frame[name]) for name in levels], axis=1))
        measurement["levels"] = {"model": "categorical_nan", "n_columns": len(levels)}
    model = StepMix(
        asked.n_classes, measurement=measurement, n_init=3, random_state=asked.seed, progress_bar=0, verbose=0
    )
    rows = np.concatenate(blocks, axis=1)
    return np.asarray(model.fit(rows).predict(rows))


def codes(column: pd.Series) -> np.ndarray:
    """Number levels from the most frequent on, ``(n,)``, NaN where one is missing; the rarest are one level."""
    place = {level: float(min(i, MOST_LEVELS - 1)) for i, level in enumerate(column.value_counts().index)}
    numbers: np.ndarray = column.map(place).to_numpy(dtype=np.float64)
    return numbers


def tslearn(asked: Asked) -> Groups:
    """Run k-means by dynamic time warping (Tavenard et al., 2020), each channel standardised."""
    from tslearn.clustering import TimeSeriesKMeans

    values = np.asarray(asked.x, dtype=np.float64)
    loc, scale = (part(values, axis=(0, 2), keepdims=True) for part in (np.nanmean, np.nanstd))
    series = ((values - loc) / np.where(scale > 0, scale, 1)).transpose(0, 2, 1)
    model = TimeSeriesKMeans(asked.n_classes, metric="dtw", max_iter=10, max_iter_barycenter=5, random_state=asked.seed)
    return np.asarray(model.fit_predict(series))


@dataclass(frozen=True)
class Peer:
    """A clustering.

    Attributes:
        run: from rows to groups.
        fields: of which it is the own tool; empty for a general one.
        modules: what it imports, name of the package in the index by name of the module.
    """

    run: Callable[[Asked], Groups]
    fields: tuple[str, ...] = ()
    modules: tuple[tuple[str, str], ...] = ()

    def missing(self) -> str:
        """Say in a line what would have to be installed; nothing where all is there."""
        absent = [package for module, package in self.modules if importlib.util.find_spec(module) is None]
        return f"needs {' and '.join(absent)}: pip install {' '.join(absent)}" if absent else ""

    def suits(self, kind: str) -> bool:
        """Say whether it is run on sets of a field."""
        return not self.fields or kind in self.fields

    def __call__(self, asked: Asked) -> Groups:
        with warnings.catch_warnings(), torch_threads_kept():
            warnings.simplefilter("ignore")  # that a mixture has not converged, that a seed leaves UMAP one thread
            return self.run(asked)


UMAP_LEARN = (("umap", "umap-learn"),)
PEERS = {
    "k-means": Peer(k_means),
    "GMM diag": Peer(diagonal),
    "GMM full": Peer(full),
    "UMAP+GMM": Peer(umap_mixture, modules=UMAP_LEARN),
    "UMAP+HDBSCAN": Peer(umap_hdbscan, modules=UMAP_LEARN),
    "Leiden": Peer(leiden, ("cells", "text"), (("igraph", "igraph"),)),
    "scVI": Peer(scvi, ("cells",), (("scvi", "scvi-tools"),)),
    "StepMix": Peer(stepmix, ("table",), (("stepmix", "stepmix"),)),
    "tslearn": Peer(tslearn, ("signals",), (("tslearn", "tslearn"),)),
}
GENERAL = tuple(name for name, peer in PEERS.items() if not peer.fields)
