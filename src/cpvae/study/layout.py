"""A place in the plane for each row, by its code: what the maps of a report and of `cpvae explore` show."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
from sklearn.decomposition import PCA

from cpvae.arguments import one_of
from cpvae.errors import InputError, counted
from cpvae.extras import needed
from cpvae.fitting.starts.maps import laid_out
from cpvae.words.phrases import percent

LAYOUTS = ("auto", "pca", "umap")
ENOUGH = 0.6  # share of the variance of the codes that two axes must hold to be shown by themselves
MOST_BY_UMAP = 20_000  # rows, unless it is asked for: half a minute
NEIGHBOURS = 15  # of a row, in a map by UMAP
LOOSE = 0.4  # distance of like rows there, so that points can be told apart
FEWEST_BY_UMAP = 3 * NEIGHBOURS  # rows


@dataclass(frozen=True, eq=False)
class Layout:
    """Rows in the plane.

    Attributes:
        points: ``(n, 2)`` float64.
        axes: names of the two axes.
        words: a sentence on what a place means.
    """

    points: np.ndarray
    axes: tuple[str, str]
    words: str


def lay_out(z: np.ndarray, categories: np.ndarray | None = None, how: str = "pca") -> Layout | None:
    """Lay rows out by their codes.

    Args:
        z: posterior means, ``(n, D)``.
        categories: of the rows, ``(n,)``: the second axis where z is one number.
        how: "pca" for the two main axes of the codes; "umap" for a map of neighbours; "auto" for the second where two
            axes hold little of the codes, UMAP is installed and the rows are few enough to wait for.

    Returns:
        None where there is no plane: fewer than three rows, or one number for each row and no categories.

    Raises:
        InputError: another `how`, or "umap" where it is not installed or the rows are too few.

    >>> lay_out(np.array([[0.0, 1.0], [2.0, 1.0], [4.0, 1.0]])).points.round(6).tolist()
    [[-2.0, 0.0], [0.0, 0.0], [2.0, 0.0]]
    """
    one_of("layout", how, LAYOUTS)
    z = z.astype(np.float64)
    n, dimensions = z.shape
    if n < 3 or (dimensions == 1 and categories is None):
        return None
    if how == "umap":
        with needed("layout='umap'", otherwise="layout='pca'"):
            import umap  # noqa: F401
        if n < FEWEST_BY_UMAP:
            raise InputError(
                f"layout='umap' of {counted(n, 'row')}: expected {FEWEST_BY_UMAP} or more; use layout='pca'"
            )
        return _by_neighbours(z)
    if dimensions == 1 and categories is not None:
        words = f"{counted(n, 'row')}: the posterior mean of z, one line for each category."
        return Layout(np.column_stack([z[:, 0], categories]), ("z", "category"), words)
    axes = PCA(2, svd_solver="full" if n <= 10_000 else "covariance_eigh").fit(z)
    held = float(np.nan_to_num(axes.explained_variance_ratio_).sum())
    if how == "auto" and held < ENOUGH and FEWEST_BY_UMAP <= n <= MOST_BY_UMAP and find_spec("umap") is not None:
        return _by_neighbours(z)
    words = (
        f"{n:,} rows: posterior means of the {dimensions}-dimensional code on their two main axes, which hold "
        f"{percent(held)} of its variance. What overlaps here may be apart in the other dimensions."
        if dimensions > 2
        else f"{n:,} rows: posterior means of the two-dimensional code."
    )
    return Layout(axes.transform(z), ("first principal axis of z", "second principal axis of z"), words)


def _by_neighbours(z: np.ndarray) -> Layout:
    """Lay rows out so that rows with like codes are neighbours."""
    (found,) = laid_out(z, NEIGHBOURS, 2, np.random.RandomState(0), min_dist=LOOSE)
    words = (
        f"{len(z):,} rows laid out by UMAP so that neighbours have like codes. Distances between groups, and their "
        "sizes, mean little."
    )
    return Layout(found.layout.astype(np.float64), ("first axis of the map", "second axis of the map"), words)
