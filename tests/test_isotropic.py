"""One scale for all columns, and the rule that chooses it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.decomposition import PCA

from cpvae.data.rows import Rows
from cpvae.errors import FitWarning
from cpvae.probability.likelihoods.choice import choose, make
from cpvae.probability.likelihoods.likelihood import Form


def spreads(n: int = 400) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, 4)) * [4.0, 2.0, 1.0, 0.5] + [0, 3, 0, -1]


def test_distances_keep_their_ratios():
    x = spreads()
    likelihood = make("isotropic", Rows(x), Form((4,)))
    y = likelihood.to_model(torch.from_numpy(x)).double()
    apart = [torch.cdist(rows[:20], rows[:20]) for rows in (torch.from_numpy(x), y)]
    torch.testing.assert_close(apart[0] / likelihood.scale[0], apart[1], rtol=1e-5, atol=1e-5)
    assert float(y.square().sum(1).mean()) == pytest.approx(4, rel=1e-5)
    torch.testing.assert_close(likelihood.to_data(y), torch.from_numpy(x), rtol=1e-5, atol=1e-5)


def test_the_density_is_that_of_the_data():
    """With one noise in one unit it is the Gaussian of each column by its own spread, the noise divided by that."""
    x = spreads()
    one, own = (make(name, Rows(x), Form((4,), noise=0.5)).double() for name in ("isotropic", "gaussian"))
    mean = torch.from_numpy(x[:1] + 0.1)
    rows = torch.from_numpy(x[1:6])
    found = one.log_prob(one.to_model(mean).double()[None], one.to_model(rows).double())
    sigma = 0.5 * one.scale
    expected = torch.distributions.Normal(mean, sigma).log_prob(rows).sum(-1, keepdim=True)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
    assert not torch.allclose(one.scale, own.scale)


def test_constant_columns_do_not_count():
    x = spreads()
    x[:, 2] = 5
    with pytest.warns(FitWarning, match=r"1 constant column: 2 \(5\)"):
        likelihood = make("isotropic", Rows(x), Form((4,)))
    assert float(likelihood.scale[0]) == pytest.approx(np.sqrt(x[:, [0, 1, 3]].var(0).mean()))


@pytest.mark.parametrize(
    ("x", "why"),
    [
        (PCA(20).fit_transform(load_digits().data), "uncorrelated columns of falling spread: principal components"),
        (PCA(20).fit_transform(load_digits().data)[::3], "uncorrelated columns of falling spread"),
        (load_digits().data, "64 columns of like spread: one scale for all"),
        (load_digits().data[:, 20:40] + 1, ""),
        (load_wine().data, ""),
        (load_breast_cancer().data, ""),
        (np.random.default_rng(0).normal(size=(300, 3)), ""),
        (np.random.default_rng(0).normal(size=(300, 80)) * np.logspace(-3, 3, 80), ""),
    ],
)
def test_which_rows_have_one_scale(x, why):
    found = choose(x, Form(x.shape[1:]))
    assert found.name == ("isotropic" if why else "gaussian")
    assert found.why.startswith(why)


def test_directions_have_one_scale():
    x = np.random.default_rng(0).normal(size=(300, 8)) * np.arange(1, 9)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    assert choose(x.astype(np.float32), Form((8,))).why.startswith("rows of one length: directions")
