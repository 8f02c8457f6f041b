"""Groups among new rows that stand apart from rows of known groups.

How many there are, the bound of a deep mixture does not tell: its continuous code explains rows of two new groups by
one category nearly as well as by two. So they are found as a start finds categories. Tables with columns of several
kinds are mixtures of latent classes, in which known rows keep their classes, and a class is added for as long as the
likelihood of rows held out gains. Other rows are laid out on a map together with the known ones, and HDBSCAN (Campello,
Moulavi and Sander, 2013) finds the groups: it needs no number of them.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse.csgraph import connected_components
from scipy.special import logsumexp
from sklearn.cluster import HDBSCAN
from sklearn.neighbors import KNeighborsClassifier

from cpvae.fitting.starts import latent_classes
from cpvae.fitting.starts.clusterings import FEWEST_NEIGHBOURS, n_neighbours
from cpvae.fitting.starts.maps import Map, installed, laid_out, neighbours, shares
from cpvae.fitting.starts.normals import SHAPES
from cpvae.fitting.starts.tables import Table
from cpvae.fitting.starts.task import Points

MIXED = 0.1  # known rows for each new one in a group that is new, at most
JOINED = 0.05  # share of the smaller group's neighbours in another from which on the two are one
HELD_OUT = 0.3  # share of new rows by whose likelihood classes are added
SURE = 2.0  # standard errors that it gains by a class
EFFORT = latent_classes.Effort(10, 100)  # of each search for classes
MOST = 20  # groups that are looked for in one go
DIMENSIONS = 5  # of the map


def on_map(new: Points, known: Points, n_known: int, least: int, random: np.random.RandomState) -> np.ndarray:
    """Find groups of new points ``(n, d)`` that hold hardly any points ``(m, d)`` of known groups.

    The groups are the leaves of HDBSCAN's tree: larger ones may hold both a new group and an old one beside it. Leaves
    that share many neighbours are one. Without umap-learn there is no map, and groups are found among the points as
    they are.

    Args:
        known: as many of each group as there are new points that could be of it.
        n_known: number of known groups.
        least: rows of a group, at least 2.

    Returns:
        The group of each new point, integers from 0 ``(n,)``, -1 where there is none.
    """
    points, n = np.concatenate([new, known]), len(new)
    if len(points) <= FEWEST_NEIGHBOURS:
        return np.full(n, -1)
    near = n_neighbours(len(points), n_known + 1)
    if installed():
        drawn = laid_out(points, near, min(DIMENSIONS, points.shape[1]), random)[0]
    else:
        drawn = Map(points, neighbours(points, near))
    leaves = HDBSCAN(min_cluster_size=max(2, least), cluster_selection_method="leaf", copy=True)
    found = leaves.fit(drawn.layout).labels_
    if (found < 0).all():
        return np.full(n, -1)
    inside = found >= 0  # points between groups join the nearest one, and with them the neighbours that these share
    found = KNeighborsClassifier(1).fit(drawn.layout[inside], found[inside]).predict(drawn.layout)
    own, others = (np.bincount(part, minlength=found.max() + 1) for part in (found[:n], found[n:]))
    return _merged(drawn, found, np.flatnonzero(others <= MIXED * own))[:n]


def _merged(drawn: Map, found: np.ndarray, apart: np.ndarray) -> np.ndarray:
    """Number the groups that lie `apart` from 0, those as one that share neighbours; -1 for all other points."""
    share = shares(drawn.graph, found)
    whole = share.sum(1)
    joined = (share > JOINED * np.minimum(whole, whole[:, None]))[np.ix_(apart, apart)]
    number = np.full(len(share), -1)
    number[apart] = connected_components(joined)[1]
    merged: np.ndarray = number[found]
    return merged


def by_classes(new: Table, known: Table, n_known: int, random: np.random.RandomState) -> np.ndarray:
    """Find classes of new rows beside those of known rows, whose classes are 0 to `n_known` - 1.

    A class is added for as long as the likelihood of held-out new rows gains by two standard errors.

    Returns:
        The new class of each new row, integers from 0 ``(n,)``, negative for a row of a known class.
    """
    order = random.permutation(len(new.numbers))
    held = int(HELD_OUT * len(order))
    held_out, first = new.rows(order[:held]), new.rows(order[held:])
    assert known.known is not None
    rows = _stacked(first, known)

    def fitted(k: int) -> tuple[np.ndarray, latent_classes.Classes]:
        ways = [latent_classes.mixture(one, rows, n_known + k, random, EFFORT) for one in SHAPES if one.suits(rows)]
        tried = [(logsumexp(way.log_joint(held_out), axis=1), way) for way in ways]
        return max(tried, key=lambda one: float(one[0].mean()))

    value, best = fitted(0)
    for k in range(1, min(MOST, len(first.numbers)) + 1):
        other, classes = fitted(k)
        gain = other - value
        if gain.mean() <= SURE * gain.std() / np.sqrt(len(gain)):
            break
        value, best = other, classes
    return best.likeliest(new) - n_known


def _stacked(new: Table, known: Table) -> Table:
    """Put rows of known classes under rows whose class is not known."""

    def both(name: str) -> np.ndarray:
        return np.concatenate([getattr(new, name), getattr(known, name)])

    assert known.known is not None
    classes = np.concatenate([np.full(len(new.numbers), -1), known.known])
    return Table(both("numbers"), both("observed"), both("levels"), new.sizes, classes)
