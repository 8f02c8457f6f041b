"""The rows of a page, their places on the map, and what the model says of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.neighbors import NearestNeighbors

from cpvae.errors import InputError, counted
from cpvae.estimators.contract import DeepMixture
from cpvae.study.layout import MOST_BY_UMAP, Layout, lay_out
from cpvae.study.report.shown import Shown, look_at, rows_shown

MAX_DECODED = 2_000_000  # rows times categories: some minutes on a processor
NEIGHBOURS = 8  # shown of a row
FEWEST = 3  # rows of a map


@dataclass(frozen=True, eq=False)
class Seen:
    """All that a page shows of a fitted model and some rows. Rows are named by their position, from 0.

    Attributes:
        model: fitted.
        shown: the rows, n of them, and what the model says of each.
        layout: their places on the map.
        data_name: what the data are called; rows_name: which rows these are, such as "train", or "".
        names: columns by which a person knows a row, such as names of files: heading -> cells ``(n,)``.
    """

    model: DeepMixture
    shown: Shown
    layout: Layout
    data_name: str
    rows_name: str = ""
    names: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def n(self) -> int:
        """The number of rows."""
        return len(self.shown.index)

    @property
    def categories(self) -> np.ndarray:
        """The likeliest category of each row, ``(n,)``; 0 of all rows for a model without categories."""
        return np.zeros(self.n, np.int64) if self.shown.categories is None else self.shown.categories

    @property
    def probability(self) -> np.ndarray:
        """The probability of this category, ``(n,)``."""
        return np.ones(self.n) if self.shown.categories is None else self.shown.evaluation.proba.max(1)

    @cached_property
    def _neighbours(self) -> NearestNeighbors:
        return NearestNeighbors(n_neighbors=min(NEIGHBOURS + 1, self.n)).fit(self.shown.z)

    def near(self, rows: np.ndarray) -> np.ndarray:
        """Find the rows whose codes are nearest to those of `rows` ``(m,)``, nearest first, ``(m, NEIGHBOURS)``.

        All others are neighbours where there are fewer rows than that.
        """
        found = self._neighbours.kneighbors(self.shown.z[rows], return_distance=False)
        return np.array([own[own != row][: min(NEIGHBOURS, self.n - 1)] for own, row in zip(found, rows, strict=True)])


def see(
    model: DeepMixture,
    X: ArrayLike,
    *,
    data_name: str,
    rows_name: str = "",
    labels: ArrayLike | None = None,
    names: Mapping[str, Any] | None = None,
    max_rows: int = 20_000,
    layout: str = "auto",
    say: Callable[[str], None] = lambda text: None,
) -> Seen:
    """Ask a model about rows, and lay them out.

    Args:
        model: fitted.
        X: rows, as the model takes them; at most `max_rows` of them are shown, drawn with a fixed seed, and fewer where
            these times the categories are above `MAX_DECODED`, or their values above 20,000,000.
        data_name, rows_name: what data and rows are called.
        labels: of the rows, ``(N,)``; they are only shown.
        names: columns by which a person knows a row, heading -> cells ``(N,)``.
        layout: of `cpvae.study.layout.lay_out`.
        say: is told what takes long.

    Raises:
        InputError: rows that the model does not take, or fewer than three; labels of another length.
    """
    X = X if hasattr(X, "shape") else np.asarray(X)
    total = X.shape[0]
    if total < FEWEST:
        raise InputError(
            f"{data_name}: {counted(total, 'row')}; expected at least {FEWEST}, which a map needs; give more rows"
        )
    n = rows_shown(model, X.shape, max_rows, MAX_DECODED)
    fewer = n < min(total, max_rows)
    if total > 5_000 or fewer:
        why = ", fewer than --rows, since there are many categories or wide rows" * fewer
        say(f"asking the model about {n:,} of {total:,} rows{why}")
    shown = look_at(model, X, labels, None, max_rows, MAX_DECODED)
    if 5_000 < len(shown.index) <= MOST_BY_UMAP and layout != "pca":
        say("laying them out, for which --layout pca needs no time")
    place = lay_out(shown.z, shown.categories, layout)
    if place is None:  # one number for each row
        z = shown.z[:, 0].astype(np.float64)
        place = Layout(
            np.column_stack([z, np.zeros(len(z))]), ("z", ""), f"{counted(len(z), 'row')}: the posterior mean of z."
        )
    own = {name: np.asarray(cells)[shown.index] for name, cells in (names or {}).items()}
    return Seen(model, shown, place, data_name, rows_name, own)
