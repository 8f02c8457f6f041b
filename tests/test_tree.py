"""Which categories join first, and how those of several fits follow from each other."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from cpvae.study import figures
from cpvae.study.generations import layers, steps
from cpvae.words.tree import MOST_LEAVES, shared_with, tree_of


def test_what_two_share_is_the_part_of_their_rows_that_lies_in_both():
    """Rows spread evenly over two lines of which 30 % are one: 30 % of the rows are shared, whatever the weights."""
    for weight in (0.5, 0.9):
        density = np.zeros((170, 2))
        density[:100, 0], density[70:, 1] = weight, 1 - weight
        rows = density.sum(1)
        p = np.repeat(density / rows[:, None], np.rint(10 * rows / rows.min()).astype(int), axis=0)
        assert shared_with(p, 0)[1] == pytest.approx(0.3, abs=0.01)


def test_neighbours_join_before_those_far_away():
    x = np.linspace(-5, 30, 4000)
    density = np.stack([norm(place).pdf(x) for place in (0.0, 12.0, 2.5, 24.0, 15.0)], 1)
    tree = tree_of(density / density.sum(1, keepdims=True), {0: "first", 4: "a" * 60})
    assert [{*join.left, *join.right} for join in tree.joins[:2]] == [{0, 2}, {1, 4}]
    assert [join.shared for join in tree.joins] == sorted((join.shared for join in tree.joins), reverse=True)
    assert tree.in_words.startswith("0 (first) and 2 join first: they share ") or "2 and 0 (first)" in tree.in_words
    assert tree.as_dict()["joins"][0]["shared"] == tree.to_frame()["shared"][0]
    picture = figures.svg(figures.tree(tree))
    assert "0 (first), " in picture
    assert "a" * 60 not in picture


def test_trees_of_few_and_of_many_categories():
    for proba in (np.ones((3, 1)), np.eye(3)[[0, 0, 0]], np.array([[0.6, 0.4], [0.3, 0.7]]), np.eye(3)):
        tree = tree_of(proba, {})
        assert len(tree.joins) == len(tree.leaves) - 1
        assert str(tree) == ("No two categories share 0.1 % of their rows or more." if len(tree.joins) > 1 else "")
        figures.tree(tree)
    many = tree_of(np.eye(MOST_LEAVES + 5), {})
    assert (len(many.leaves), many.left_out) == (MOST_LEAVES, 5)
    figures.tree(many)


def test_categories_of_several_fits_follow_from_each_other():
    found = {4: np.array([0, 0, 1, 1, 3, 3, 3]), 1: np.zeros(7, int), 2: np.array([1, 1, 1, 0, 0, 0, 0])}
    first, second = steps(found)
    assert (first.parents, first.shares) == ((0, 0), (1.0, 1.0))
    assert second.parents == (1, 0, None, 0)
    assert second.shares == (1.0, 0.5, 0.0, 1.0)
    assert str(second) == "From 2 to 4 categories: 0 is parted into 1 and 3; 1 becomes 0."
    shares, flows = layers(found)
    assert [flow.sum() for flow in flows] == pytest.approx([1.0, 1.0])
    assert flows[1].sum(0) == pytest.approx(shares[2])
    figures.svg(figures.generations(shares, flows))
