"""Counts with a depth: exact negative binomials, sorts without counts, rows that are no counts."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from torch.distributions import NegativeBinomial

from cpvae.data.rows import Rows
from cpvae.data.schema import Schema
from cpvae.errors import FitWarning, InputError
from cpvae.estimators.zoo import CPVAE, load
from cpvae.probability.likelihoods.choice import choose, make, make_like
from cpvae.probability.likelihoods.counts import Counts, combinations
from cpvae.probability.likelihoods.likelihood import Form
from cpvae.probability.likelihoods.zero_inflated import FIRST_LOGIT
from cpvae.study.metrics import accuracy_hungarian


def cells(n: int = 120, genes: int = 100, depth: float = 150.0) -> tuple[np.ndarray, np.ndarray]:
    """Draw two types of cells that differ in a fifth of the genes, with depths that differ tenfold."""
    random = np.random.default_rng(0)
    y = random.integers(0, 2, n)
    shares = random.dirichlet(np.ones(genes), 2) + 0.3 / genes
    shares[1, genes // 5 :] = shares[0, genes // 5 :]
    shares[1, : genes // 5] *= 4
    shares /= shares.sum(1, keepdims=True)
    return random.poisson(shares[y] * depth * np.exp(random.normal(0, 0.7, (n, 1)))).astype(np.float32), y


def counts(x: np.ndarray | None = None) -> Counts:
    x = cells()[0] if x is None else x
    return make("counts", Rows(x), Form(x.shape[1:]))


@pytest.mark.filterwarnings("ignore::cpvae.errors.FitWarning")
def test_the_density_is_that_of_independent_negative_binomials():
    likelihood = counts().double()
    n = likelihood.n_outputs
    likelihood.log_concentration.data = torch.randn(n).double()
    x, params = torch.from_numpy(cells()[0][:6]), torch.randn(6, 3, n).double()
    y = likelihood.to_model(x).double()
    share = (likelihood.log_share + params).softmax(-1)
    assert torch.allclose(share.sum(-1), torch.ones(6, 3).double())
    mean, r = y.sum(-1)[:, None, None] * share, likelihood.log_concentration.exp()
    expected = NegativeBinomial(r, logits=mean.log() - r.log()).log_prob(y[:, None]).sum(-1)
    torch.testing.assert_close(likelihood.log_prob(params, y), expected, rtol=1e-12, atol=1e-9)


@pytest.mark.filterwarnings("ignore::cpvae.errors.FitWarning")
def test_zero_inflated_counts_are_zero_with_a_probability_of_their_own():
    x = torch.from_numpy(cells()[0][:6])
    plain, more = (make(name, Rows(cells()[0]), Form((100,))).double() for name in ("counts", "zinb"))
    n = plain.n_outputs
    assert more.n_outputs == 2 * n
    shares, logits = torch.randn(6, 3, n).double(), torch.randn(6, 3, n).double()
    y = more.to_model(x).double()
    mean = y.sum(-1)[:, None, None] * (more.log_share + shares).softmax(-1)
    r, pi = more.concentration, (logits + FIRST_LOGIT).sigmoid()
    likely = NegativeBinomial(r, logits=mean.log() - r.log()).log_prob(y[:, None]).exp()
    expected = (pi * (y[:, None] == 0) + (1 - pi) * likely).log().sum(-1)
    params = torch.cat([shares, logits], -1)
    torch.testing.assert_close(more.log_prob(params, y), expected, rtol=1e-10, atol=1e-8)
    none = torch.cat([shares, torch.full_like(logits, -60.0)], -1)
    torch.testing.assert_close(more.log_prob(none, y), plain.log_prob(shares, y), rtol=1e-10, atol=1e-8)
    torch.testing.assert_close(more.expected(params, y[:, None]), plain.expected(shares, y[:, None]) * (1 - pi))
    drawn = more(params[:1, :1]).sample((4000,))[:, 0, 0]
    assert float((drawn == 0).double().mean(0).sub(pi[0, 0]).min()) > -0.05


@pytest.mark.filterwarnings("ignore::cpvae.errors.FitWarning")
def test_a_fit_of_zero_inflated_counts_is_saved_and_samples_counts(tmp_path):
    x, y = cells()
    x *= np.random.default_rng(1).random(x.shape) < 0.5  # half of all counts are lost
    small = {"hidden": (8,), "latent_dim": 2, "max_epochs": 40, "init": "kmeans", "random_state": 0}
    fits = {name: CPVAE(2, likelihood=name, **small).fit(x) for name in ("counts", "zinb")}
    assert fits["zinb"].score(x) > fits["counts"].score(x)
    assert accuracy_hungarian(y, fits["zinb"].predict(x)) > 0.9
    fits["zinb"].save(tmp_path / "model")
    opened = load(tmp_path / "model")
    np.testing.assert_array_equal(opened.predict_proba(x), fits["zinb"].predict_proba(x))
    new = opened.sample(200)[0]
    assert (new == new.round()).all()
    assert abs(float((new == 0).mean()) - float((x == 0).mean())) < 0.1


def test_large_counts_cost_no_precision_in_single_precision():
    x = torch.tensor([[20_000.0, 0, 3, 15_000]])
    likelihood = Counts(4)
    params = torch.tensor([[[0.3, -9.0, -8.0, 0.0]]])
    exact = likelihood.double().log_prob(params.double(), x.double())
    found = likelihood.float().log_prob(params, x)
    assert float((found - exact).detach().abs()) < 2e-3


def test_combinations_of_few_and_of_all_counts():
    x, r = torch.poisson(torch.full((5, 3, 7), 2.0)), torch.rand(7) + 0.5
    every = (torch.lgamma(x + r) - torch.lgamma(r) - torch.lgamma(x + 1)).sum(-1)
    torch.testing.assert_close(combinations(x, r), every, rtol=1e-5, atol=1e-5)


def test_the_concentration_has_the_gradient_of_the_density():
    likelihood = counts().double()
    y, params = likelihood.to_model(torch.from_numpy(cells()[0][:3])).double(), torch.zeros(1, 1, likelihood.n_outputs)
    with torch.no_grad():
        likelihood.log_concentration.fill_(0.3)
    likelihood.log_prob(params.double(), y).sum().backward()
    with torch.no_grad():
        ends = []
        for shift in (1e-5, -1e-5):
            likelihood.log_concentration[4] = 0.3 + shift
            ends.append(float(likelihood.log_prob(params.double(), y).sum()))
    assert float(likelihood.log_concentration.grad[4]) == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-5)


def test_depth_does_not_move_what_the_encoder_sees_but_for_noise():
    likelihood, x = counts(), torch.from_numpy(cells()[0])
    y = likelihood.to_model(x)
    torch.testing.assert_close(likelihood.inputs(3 * y), likelihood.inputs(y))
    seen = likelihood.inputs(y).double()
    assert float(seen.mean(0).abs().max()) < 1e-5
    assert float(seen.square().mean()) == pytest.approx(1, abs=1e-4)


def test_new_rows_are_counts_with_depths_like_those_of_the_fit(agree):
    likelihood, x = counts(), cells()[0]
    drawn = likelihood.to_data(likelihood(torch.zeros(4000, likelihood.n_outputs)).sample()).numpy()
    assert (drawn == np.round(drawn)).all()
    assert drawn.min() >= 0
    logs = np.log(drawn.sum(1).clip(1))
    assert abs(logs.mean() - np.log(x.sum(1)).mean()) < 0.1
    assert abs(logs.std() - np.log(x.sum(1)).std()) < 0.15
    expected = likelihood.expected(torch.zeros(120, likelihood.n_outputs), likelihood.to_model(torch.from_numpy(x)))
    np.testing.assert_allclose(expected.sum(1), x.sum(1), rtol=1e-4)  # a reconstruction has the depth of its row


@pytest.mark.parametrize("name", ["counts", "zinb"])
@pytest.mark.filterwarnings("ignore::cpvae.errors.FitWarning")
def test_new_rows_have_a_count(name):
    x = cells(depth=150)[0][:, :6].clip(0, 3)
    likelihood = make(name, Rows(x[x.sum(1) > 0]), Form((6,)))
    likelihood.log_depth.copy_(torch.tensor([-0.5, 0.7]))
    rows = likelihood(torch.zeros(4000, likelihood.n_outputs))
    draws = []
    for draw in (lambda: rows._draw(rows.batch_shape), rows.sample, rows.sample):
        torch.manual_seed(0)
        draws.append(draw())
    independent, drawn, again = draws
    some = independent.sum(-1) > 0
    assert 0.3 < float(some.double().mean()) < 0.7
    assert torch.equal(drawn[some], independent[some])  # rows that have a count are as they were
    assert torch.equal(drawn, again)
    assert float(drawn.sum(-1).min()) > 0
    assert float((drawn == drawn.round()).double().mean()) == 1
    given = independent[some]
    torch.testing.assert_close(drawn.mean(0), given.mean(0), atol=0.05, rtol=0)
    assert float((drawn.sum(-1) == 1).double().mean() - (given.sum(-1) == 1).double().mean()) == pytest.approx(
        0, abs=0.03
    )


@pytest.mark.parametrize("name", ["counts", "zinb"])
def test_a_row_that_is_hardly_deep_enough_for_a_count_has_one_of_a_likely_sort(name):
    likelihood = make(name, Rows(cells()[0]), Form((100,)))
    likelihood.log_depth.copy_(torch.tensor([-60.0, 0.1]))
    likelihood.log_share.copy_(torch.tensor([0.7, 0.3, *[1e-9] * (likelihood.n_inputs - 2)]).log())
    drawn = likelihood(torch.zeros(1, likelihood.n_outputs)).sample((1200,))[:, 0]
    assert set(drawn.sum(-1).tolist()) == {1.0}
    assert float(drawn[:, 0].mean()) == pytest.approx(0.7, abs=0.05)


def test_a_sort_without_counts_is_left_out():
    x = cells()[0]
    x[:, 7] = 0
    with pytest.warns(FitWarning, match=r"^1 constant column: 7 \(0\), left out of the model$"):
        likelihood = counts(x)
    y = likelihood.to_model(torch.from_numpy(x))
    assert y.shape == (120, 99)
    np.testing.assert_array_equal(likelihood.to_data(y), x)
    with torch.device("meta"):
        other = make_like("counts", likelihood.state_dict(), Form((100,)))
    other.load_state_dict(likelihood.state_dict(), assign=True)
    params = torch.randn(120, 2, 99)
    assert torch.equal(other.log_prob(params, y), likelihood.log_prob(params, y))


@pytest.mark.parametrize("shape", [(20, 5), (4, 5, 5)])
def test_counts_in_signals_and_pictures_are_of_as_many_sorts_as_values(shape):
    x = cells()[0].reshape(-1, *shape)
    model = CPVAE(2, likelihood="counts", latent_dim=2, hidden=(8,), max_epochs=1, init="random", random_state=0).fit(x)
    assert model.model_.likelihood.n_outputs == 100
    assert model.sample(2)[0].shape == (2, *shape)
    flat = CPVAE(2, likelihood="counts", latent_dim=2, hidden=(8,), max_epochs=1, init="random", random_state=0)
    assert flat.fit(x.reshape(-1, 100)).score(x.reshape(-1, 100)) == pytest.approx(model.score(x))


def test_a_sort_that_a_validation_row_alone_has_is_possible():
    x = cells()[0]
    x[:, 7] = 0
    x[0, 7] = 4
    likelihood = make("counts", Rows(x[1:]), Form((100,)), Rows(x[:1]))
    assert likelihood.log_prob(torch.zeros(1, 1, 100), likelihood.to_model(torch.from_numpy(x[:1]))).isfinite().all()


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.5, "0.5 in column 3, row 2 (counted from 0), is no count; expected whole numbers of at least 0"),
        (-1, "-1 in column 3, row 2 (counted from 0), is no count"),
        (np.nan, "nan in column 3, row 2 (counted from 0), is no count"),
    ],
)
def test_what_is_no_count_is_refused(value, said):
    x = cells()[0]
    x[2, 3] = value
    with pytest.raises(InputError) as error:
        counts(x)
    assert str(error.value).startswith(said)


def test_a_depth_of_zero_is_refused():
    x = cells()[0]
    x[[5, 6]] = 0
    expected = r"^no counts in the columns of the model, a depth of zero, in rows 5, 6 \(counted from 0\); expected one"
    with pytest.raises(InputError, match=expected):
        counts(x)
    x[:, 7] = 0
    for seed in range(8):  # with some of them a row is one of those held out
        model = CPVAE(2, kind="counts", latent_dim=2, hidden=(8,), max_epochs=1, random_state=seed)
        with warnings.catch_warnings(action="error"), pytest.raises(InputError, match=expected):
            model.fit(x)  # of the rows given, all of them; what is refused is not warned of
    x[9, 3] = -1
    with pytest.raises(InputError, match=r"^-1 in column 3, row 9 "):
        model.fit(x)


def test_wide_whole_numbers_with_many_zeros_are_counts():
    x = cells(depth=40)[0]
    assert choose(x, Form((100,))).name == "counts"
    assert (
        choose(x.astype(np.uint8), Form((100,))).why
        == "whole numbers in 100 columns, mostly 0 and 1: counts that have a depth"
    )
    assert choose(x[:, :99], Form((99,))).name != "counts"  # not wide
    assert choose(x + 0.5, Form((100,))).name != "counts"
    pixels = np.where(np.random.default_rng(0).random((50, 784)) < 0.8, 0, 250)
    assert choose(pixels, Form((784,))).name != "counts"  # a picture without its shape


def test_columns_that_are_said_to_be_counts_are_modelled_as_counts():
    random = np.random.default_rng(0)
    kind = random.integers(0, 3, 60)
    means = random.lognormal(3, 1.5, 200) * np.exp(random.normal(0, 1.2, (3, 200)) * (random.random(200) < 0.2))
    deep = random.poisson(means[kind] * random.lognormal(0, 0.4, (60, 1)))  # few zeros: reads of whole tissues
    frame = pd.DataFrame(deep, columns=[f"g{i}" for i in range(200)])
    said = "if the whole numbers count something, as reads of genes, say "
    assert choose(deep, Form((200,))).why.endswith(f"{said}kind='counts' (--kind counts)")
    guessed, asked = Schema.infer(frame), Schema.infer(frame, {"*": "count"})
    found = choose(deep, Form((200,), schema=guessed))
    assert found.name in ("gaussian", "isotropic")
    assert found.why.endswith(f'{said}in the schema {{"*": "count"}}')
    assert choose(deep, Form((200,), schema=asked)) == ("counts", "counts in all 200 columns")
    assert said not in choose(deep + 0.5, Form((200,))).why


@pytest.mark.filterwarnings("ignore::cpvae.errors.FitWarning")
def test_types_of_cells_are_found_whatever_their_depth():
    x, y = cells(300)
    model = CPVAE(2, likelihood="counts", latent_dim=4, hidden=(16,), max_epochs=20, init="kmeans", random_state=0).fit(
        x
    )
    assert model.likelihood_ == "counts"
    assert accuracy_hungarian(y, model.predict(x)) > 0.9
    rows, _ = model.sample(20)
    assert rows.shape == (20, 100)
    assert (rows == np.round(rows)).all()
    assert model.reconstruct(x).shape == x.shape
