"""New groups among rows: how many stand apart from rows of known groups."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from cpvae.fitting.starts import newcomers
from cpvae.fitting.starts.maps import Map
from cpvae.fitting.starts.tables import Table

PLACES = ((0, 0), (9, 0), (0, 9), (9, 9))


def blobs(n: int, *which: int, seed: int = 0) -> np.ndarray:
    random = np.random.RandomState(seed)
    return np.concatenate([random.normal(PLACES[i], 1, (n, 2)) for i in which]).astype(np.float32)


def on_map(new: np.ndarray, known: np.ndarray, n_known: int = 2, least: int = 10) -> np.ndarray:
    return newcomers.on_map(new, known, n_known, least, np.random.RandomState(0))


@pytest.mark.parametrize("mapped", [True, False])
def test_groups_on_a_map_are_those_that_known_rows_are_far_from(monkeypatch, mapped):
    if not mapped:
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    found = on_map(blobs(60, 0, 1, 2, 3), blobs(60, 0, 1, seed=1))
    assert (found[:120] == -1).mean() > 0.95
    new = found[120:].reshape(2, 60)
    assert set(np.unique(new)) - {-1} == {0, 1}
    assert all((one == np.bincount(one + 1).argmax() - 1).mean() > 0.9 for one in new)
    assert new[0, 0] != new[1, 0]
    assert (on_map(blobs(60, 0, 1, seed=2), blobs(60, 0, 1, seed=1)) == -1).mean() > 0.95


def test_a_known_group_stays_known_however_many_of_the_new_rows_are_of_it():
    others = np.concatenate([blobs(10, 0, seed=1) + 30 * i for i in range(1, 20)])
    known = np.concatenate([blobs(400, 0, seed=2), others])
    assert (on_map(blobs(400, 0), known, 20) == -1).mean() > 0.95
    found = on_map(np.concatenate([blobs(400, 0), blobs(40, 2) + 45]), known, 20)
    assert (found[400:] >= 0).mean() > 0.9


def test_groups_that_share_neighbours_are_one():
    pairs = np.array([(0, 1), (1, 2), (3, 4), (4, 5), (6, 7), (7, 8), (2, 3), (5, 8)])
    graph = sparse.coo_matrix((np.r_[[1.0] * 6, 0.5, 0.01], pairs.T), (9, 9))
    drawn = Map(np.zeros((9, 1)), (graph + graph.T).tocsr())
    found = np.repeat([0, 1, 2], 3)
    assert newcomers._merged(drawn, found, np.arange(3)).tolist() == [0] * 6 + [1] * 3
    assert newcomers._merged(drawn, found, np.array([1, 2])).tolist() == [-1] * 3 + [0] * 3 + [1] * 3


def test_a_new_group_beside_a_known_one_is_not_taken_for_it(monkeypatch):
    """The larger groups of HDBSCAN's tree hold both, because a third group is far from either."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    known = np.concatenate([blobs(60, 0, seed=1), blobs(60, 0, seed=2) + np.float32((60, 0))])
    found = on_map(blobs(60, 0) + np.float32((4.5, 0)), known)
    assert (found >= 0).mean() > 0.9


def test_few_points_have_no_groups():
    assert (on_map(blobs(2, 2), blobs(1, 0, 1)) == -1).all()


def mixed(n: int, *which: int, seed: int = 0) -> Table:
    """Make a table of two numbers and a level of three, which the groups prefer differently."""
    random = np.random.RandomState(seed)
    levels = np.eye(3)[np.concatenate([random.choice(3, n, p=np.roll([0.8, 0.1, 0.1], i)) for i in which])]
    return replace(Table.of_numbers(blobs(n, *which, seed=seed) / 4), levels=levels, sizes=[3])


def test_classes_are_added_for_as_long_as_held_out_rows_gain():
    known = replace(mixed(60, 0, 1, seed=1), known=np.repeat([0, 1], 60))
    for which in ((0, 1), (0, 1, 2), (0, 1, 2, 3)):
        found = newcomers.by_classes(mixed(60, *which), known, 2, np.random.RandomState(0)).reshape(-1, 60)
        assert found.max() == len(which) - 3
        assert (found[:2] == [[-2], [-1]]).mean() > 0.95
        assert all((own == own[0]).mean() > 0.9 for own in found[2:])
