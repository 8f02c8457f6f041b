"""Groups of components: overlaps against the exact error of the best rule, and sources that are found again."""

from __future__ import annotations

import re

import numpy as np
import pytest
from scipy.stats import norm

from cpvae import CPVAE, InputError, MoGVAE
from cpvae.data.loaders import Dataset, Split, make_synthetic
from cpvae.estimators.groups import join, overlaps
from cpvae.study.evaluation import agreement, evaluate_model
from cpvae.study.report.page import write_report


def test_an_overlap_is_twice_the_share_put_to_the_wrong_one():
    """Two normals d apart: a posterior that is right on average errs in E[1 - max] >= the best rule's Phi(-d / 2)."""
    random = np.random.RandomState(0)
    for d in (0.0, 1.0, 3.0, 12.0):
        proba = []
        for loc in (0.0, d):
            x = random.normal(loc, size=20_000)
            density = np.stack([norm.pdf(x, 0.0), norm.pdf(x, d)], 1)
            proba.append(density / density.sum(1, keepdims=True))
        found = overlaps(proba)
        grid = np.linspace(-40, 40, 80_001)
        p, q = norm.pdf(grid, 0.0), norm.pdf(grid, d)
        exact = 2 * np.trapezoid(p * q / np.maximum(p + q, 1e-300), grid)
        assert found[0, 1] == found[1, 0] == pytest.approx(exact, abs=0.01)
        assert 2 * norm.cdf(-d / 2) <= found[0, 1] + 0.01
        assert np.allclose(np.diag(found), 1.0)


def test_others_do_not_count_in_the_overlap_of_two():
    """A row that is most likely of a third component says of two only how they compare."""
    row = np.array([[0.01, 0.03, 0.96]])
    third = np.array([[0.0, 0.0, 1.0]])
    assert overlaps([row, row, third])[0, 1] == pytest.approx(1.0)
    assert overlaps([row, np.array([[0.0, 0.04, 0.96]]), third])[0, 1] == pytest.approx(0.75)


def test_chains_are_one_group_and_the_largest_is_the_first():
    overlap = np.eye(6)
    for a, b in ((0, 3), (3, 5), (1, 2)):
        overlap[a, b] = overlap[b, a] = 0.5
    weights = np.array([0.1, 0.35, 0.3, 0.1, 0.001, 0.149])
    assert join(overlap, weights).tolist() == [1, 0, 0, 1, -1, 1]
    assert join(overlap, weights, 0.6).tolist() == [4, 0, 1, 3, -1, 2] or len({*join(overlap, weights, 0.6)}) == 6


@pytest.fixture(scope="module")
def many() -> CPVAE:
    """Make two sources with eight categories."""
    x, _ = make_synthetic(2000, random_state=0)
    small = {"latent_dim": 4, "hidden": (32,), "max_epochs": 25, "batch_size": 100, "learning_rate": 3e-3}
    return CPVAE(8, random_state=0, **small).fit(x)


def test_more_categories_than_sources_form_as_many_groups_as_there_are_sources(many):
    x, source = make_synthetic(1000, random_state=1)
    groups = many.groups()
    assert groups.shape == (8,)
    assert (groups >= 0).sum() > 2  # or there would be nothing to join
    assert groups.max() == 1
    assert (groups[many.predict(x)] == groups[many.predict(x[:1])[0]]).mean() == pytest.approx(0.5, abs=0.05)
    assert np.mean((groups[many.predict(x)] == 0) == (source == 0)) in (
        pytest.approx(1, abs=0.01),
        pytest.approx(0, abs=0.01),
    )


def test_overlaps_are_the_same_at_each_call_and_leave_the_random_state_alone(many):
    import torch

    state = torch.random.get_rng_state()
    first = many.overlaps()
    assert (first == many.overlaps()).all()
    assert (torch.random.get_rng_state() == state).all()
    assert not (first == many.overlaps(n_samples=50)).all()


def test_a_mixture_over_z_has_groups_too_and_nonsense_is_refused(many):
    x, _ = make_synthetic(600, random_state=0)
    model = MoGVAE(3, latent_dim=2, hidden=(16,), max_epochs=5, batch_size=50, random_state=0).fit(x)
    assert model.groups().shape == (3,)
    with pytest.raises(InputError, match="least=0: expected a number between 0 and 1"):
        many.groups(least=0)
    with pytest.raises(InputError, match="n_samples=0"):
        many.overlaps(n_samples=0)


@pytest.mark.usefixtures("undrawn")
def test_the_report_says_how_many_groups_there_are(many, tmp_path):
    x, _ = make_synthetic(500, random_state=2)
    page = write_report(many, x, data_name="synthetic", path=tmp_path / "report.html").read_text()
    text = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    assert re.search(r"groups of categories 2\b", text)
    plain = MoGVAE(2, latent_dim=2, hidden=(8,), max_epochs=1, random_state=0).fit(x)
    assert "groups of" not in write_report(plain, x, data_name="s", path=tmp_path / "two.html").read_text()


def test_accuracy_of_groups_is_that_of_sources_found_in_pieces(many):
    """Eight categories can have two sources right only in part, their two groups wholly."""
    x, source = make_synthetic(2000, random_state=3)
    splits = {"train": Split(x[:1000], source[:1000]), "test": Split(x[1000:], source[1000:])}
    found = evaluate_model(many, Dataset("two", splits, None, None, ""), "test")
    assert found["component_groups"] == 2
    assert found["accuracy_groups"] > 0.99
    assert found["accuracy"] < 0.9  # one to one, six categories have no source left
    assert found["accuracy_majority"] > 0.99


class Given:
    """A model that puts rows where it is told."""

    n_components_ = 4

    def predict(self, x):
        return x[:, 0]


def test_categories_that_are_not_in_use_are_no_group_together():
    """Rows of several dead categories are not right because most of them have one label."""
    x = np.array([0] * 40 + [1] * 40 + [2] * 10 + [3] * 10)[:, None]
    y = np.array(["a"] * 40 + ["b"] * 40 + ["c"] * 20)
    data = Dataset("mine", {"all": Split(x, y)}, None, None, "")
    proba = np.eye(4)[x[:, 0]]
    groups = np.array([0, 1, -1, -1])
    assert agreement(Given(), data, "all", y, proba, groups)["accuracy_groups"] == 0.8
    data = Dataset("mine", {"train": Split(x[80:], y[80:]), "test": Split(x, y)}, None, None, "")
    assert agreement(Given(), data, "test", y, proba, groups)["accuracy_groups"] == 0.0  # no group in training rows
