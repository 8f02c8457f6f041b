"""New groups among rows: how many stand apart from rows of known groups."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import numpy as np
import pytest

from cpvae.fitting.starts import newcomers
from cpvae.fitting.starts.tables import Table

PLACES = ((0, 0), (9, 0), (0, 9), (9, 9))


def blobs(n: int, *which: int, seed: int = 0) -> np.ndarray:
    random = np.random.RandomState(seed)
    return np.concatenate([random.normal(PLACES[i], 1, (n, 2)) for i in which]).astype(np.float32)


def on_map(new: np.ndarray, known: np.ndarray, least: int = 10) -> np.ndarray:
    return newcomers.on_map(new, known, 2, least, np.random.RandomState(0))


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


def test_groups_that_share_neighbours_are_one():
    random = np.random.RandomState(0)
    chain = np.stack([np.linspace(0, 40, 120), 30 + random.normal(0, 0.5, 120)], 1)  # a map may tear it apart
    found = on_map(chain.astype(np.float32), blobs(60, 0, 1, seed=1), least=12)
    assert set(found.tolist()) <= {0, -1}
    assert (found == 0).mean() > 0.8


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


def test_a_group_counts_if_it_has_rows_enough_that_are_not_explained():
    found = np.repeat([-1, 0, 1, 2], [50, 50, 9, 50])
    odd = np.concatenate([np.zeros(50), np.ones(50), np.ones(9), np.arange(50) < 3]).astype(bool)
    assert newcomers.count(found, odd, 0.05, 1e-3) == 1  # one is small, in one are no more than chance makes
    assert newcomers.count(found[:50], odd[:50], 0.05, 1e-3) == 0
