"""Tables of several kinds of columns: densities by scipy, missing cells exactly marginal, estimators, commands."""

from __future__ import annotations

import json
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from scipy.special import log_softmax, logsumexp
from sklearn.base import clone
from sklearn.metrics import adjusted_rand_score
from torch import Tensor, nn

from conftest import MANY, LinearDecoder, effort
from cpvae import CPVAE, VAE, InputError, load
from cpvae.checkpoints import load_tensors, save_tensors
from cpvae.data import loaders
from cpvae.data.conditions import read_given
from cpvae.data.loaders import make_table
from cpvae.data.noise import row_keys
from cpvae.data.rows import Rows
from cpvae.data.schema import Column, Schema
from cpvae.errors import FitWarning, already_said
from cpvae.fitting import loop
from cpvae.fitting.starts import latent_classes, normals
from cpvae.fitting.starts.normals import Diagonal, Tied
from cpvae.fitting.starts.tables import Table, table_of
from cpvae.nn.layers import Dense
from cpvae.probability import recipes
from cpvae.probability.bounds import elbo
from cpvae.probability.distributions import DiagonalNormal
from cpvae.probability.estimates import evaluate, log_likelihood
from cpvae.probability.expectations import Exact, Joint
from cpvae.probability.likelihoods.choice import make, make_like
from cpvae.probability.likelihoods.columns import Columns
from cpvae.probability.likelihoods.likelihood import Form
from cpvae.probability.models import VAE as VAEModule
from cpvae.probability.priors import Conditional
from cpvae.study import metrics
from test_cli import TINY, call, done, refused, stopping, tree

torch.set_num_threads(1)
QUICK: dict[str, Any] = {"latent_dim": 2, "hidden": (16,), "max_epochs": 3, "random_state": 0}


def mixed(n: int = 200, missing: float = 0.2) -> pd.DataFrame:
    """Make ten columns of three kinds, with whole numbers among the numeric ones."""
    return make_table(n, 3, missing, seed=1)[0]


def form(schema: Schema, noise: float | None = None) -> Form:
    return Form((len(schema.columns),), schema=schema, noise=noise)


def made(frame: pd.DataFrame, given: dict[str, str] | None = None) -> tuple[Columns, Schema, Tensor]:
    """Make a likelihood in double precision with moved parameters, its schema, and the rows."""
    schema = Schema.infer(frame, given)
    matrix = schema.encode(frame)
    likelihood = make("columns", Rows(matrix), form(schema)).double()
    likelihood.log_noise.data = 0.5 * torch.randn(len(likelihood.log_noise)).double()
    likelihood.log_concentration.data = torch.randn(len(likelihood.log_concentration)).double()
    return likelihood, schema, torch.from_numpy(matrix)


def by_scipy(likelihood: Columns, schema: Schema, params: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Compute the log-density of each cell, ``(B, M, F)``, NaN if missing. Outputs are numbers, counts, levels."""
    cells = np.full((*params.shape[:2], x.shape[1]), np.nan)
    kinds = np.array([column.kind for column in schema.columns])
    numbers, counts = np.flatnonzero(kinds == "numeric"), np.flatnonzero(kinds == "count")
    at = 0
    for i, j in enumerate(numbers):
        loc, scale, noise = (float(v.detach()[i]) for v in (likelihood.loc, likelihood.scale, likelihood.noise))
        cells[:, :, j] = stats.norm(loc + scale * params[:, :, at], scale * noise).logpdf(x[:, None, j])
        at += 1
    for i, j in enumerate(counts):
        mean = float(likelihood.count_mean[i]) * np.exp(params[:, :, at])
        r = float(likelihood.concentration.detach()[i])
        value = stats.nbinom(r, r / (r + mean)).logpmf(np.nan_to_num(x[:, None, j]))
        cells[:, :, j] = np.where(np.isnan(x[:, None, j]), np.nan, value)
        at += 1
    sizes = [len(column.levels) for column in schema.columns]
    for j in sorted(np.flatnonzero(kinds == "categorical"), key=lambda j: sizes[j]):
        log_p = log_softmax(params[:, :, at : at + sizes[j]], -1)
        code = np.broadcast_to(np.nan_to_num(x[:, j]).astype(int)[:, None, None], (*log_p.shape[:2], 1))
        chosen = np.take_along_axis(log_p, code, -1)[..., 0]
        cells[:, :, j] = np.where(np.isnan(x[:, None, j]), np.nan, chosen)
        at += sizes[j]
    assert at == params.shape[-1] == likelihood.n_outputs
    return cells


# ---------------------------------------------------------------- the density


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_log_prob_by_scipy(missing):
    likelihood, schema, x = made(mixed(40, missing))
    params = torch.randn(40, 3, likelihood.n_outputs).double()
    ours = likelihood.log_prob(params, likelihood.to_model(x)).detach().numpy()
    expected = np.nansum(by_scipy(likelihood, schema, params.numpy(), x.numpy()), -1)
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-9)


def test_a_missing_cell_leaves_the_marginal():
    """Exactly what the likelihood of the other columns says of the same row, for a column of each kind."""
    frame = mixed(60, 0.0)
    likelihood, schema, x = made(frame)
    params = torch.randn(60, 2, likelihood.n_outputs).double()
    for name, outputs in {"income": [1], "calls": [5], "plan": [10, 11, 12, 13]}.items():
        gone = x.clone()
        gone[:, schema.names.index(name)] = torch.nan
        with_gap = likelihood.log_prob(params, likelihood.to_model(gone))
        other, _, rest = made(frame.drop(columns=name))
        numbers = [i for i in range(4) if f"{name}" != schema.names[i]]
        other.log_noise.data = likelihood.log_noise.data[numbers]
        counts = [i for i in range(3) if schema.names[7 + i] != name]
        other.log_concentration.data = likelihood.log_concentration.data[counts]
        kept = [i for i in range(likelihood.n_outputs) if i not in outputs]
        without = other.log_prob(params[..., kept], other.to_model(rest))
        torch.testing.assert_close(with_gap, without, rtol=0, atol=1e-12)


def test_it_sums_and_integrates_to_one():
    """Over a grid of a number, all levels, and counts far into the tail; and over the cells observed if one is not."""
    columns = (Column("a", "numeric", (), 1), Column("b", "categorical", ("u", "v", "w"), 1), Column("c", "count"))
    likelihood = Columns(Schema(columns, ("a", "b", "c"))).double()
    likelihood.loc.fill_(100.0)
    likelihood.scale.fill_(7.0)
    likelihood.count_mean.fill_(3.0)
    likelihood.log_concentration.data.fill_(0.5)
    grid = 100 + 7 * torch.linspace(-9, 9, 301, dtype=torch.float64)
    levels, counts = torch.arange(3).double(), torch.arange(400).double()
    nothing = torch.tensor([torch.nan]).double()
    params = torch.randn(1, 1, likelihood.n_outputs).double().clamp(-0.5, 0.5)
    for a in (grid, nothing):
        for b in (levels, nothing):
            for c in (counts, nothing):
                rows = torch.cartesian_prod(a, b, c)
                total = likelihood.log_prob(params, likelihood.to_model(rows)).exp().sum()
                step = float(grid[1] - grid[0]) if len(a) > 1 else 1.0
                assert float(total.detach()) * step == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("count", [0, 1, 100, 10_000])
@pytest.mark.parametrize("concentration", [0.01, 1.0, 1e5])
def test_counts_in_single_precision(count, concentration):
    """The terms of a negative binomial are 100,000 nats where their sum is ten."""
    likelihood = Columns(Schema((Column("a", "count"),), ("a",)))
    likelihood.count_mean.fill_(50.0)
    likelihood.log_concentration.data.fill_(np.log(concentration))
    outputs = torch.tensor([[[-3.0], [0.0], [np.log(200.0)], [6.0]]], dtype=torch.float32)
    r, mean = float(likelihood.concentration.detach()), 50 * np.exp(outputs.double().numpy())
    expected = stats.nbinom(r, r / (r + mean)).logpmf(count)[..., 0]
    ours = likelihood.log_prob(outputs, torch.tensor([[float(count)]]))
    assert ours.dtype == torch.float32
    np.testing.assert_allclose(ours.detach().numpy(), expected, rtol=2e-6, atol=2e-5)


def test_mean_and_draws(agree):
    likelihood, schema, _ = made(mixed())
    params = 0.5 * torch.randn(1, likelihood.n_outputs).double()
    with torch.no_grad():
        drawn = likelihood.to_data(likelihood(params.expand(4_000, -1)).sample())
        mean = likelihood.to_data(likelihood(params).mean)[0]
    for j, column in enumerate(schema.columns):
        if column.kind == "categorical":
            share = np.bincount(drawn[:, j].int(), minlength=len(column.levels)) / len(drawn)
            codes = np.arange(len(column.levels), dtype=float)
            x = np.full((len(codes), len(schema.columns)), np.nan)
            x[:, j] = codes
            log_p = by_scipy(likelihood, schema, params.numpy()[None].repeat(len(codes), 0), x)[:, 0, j]
            assert np.abs(share - np.exp(log_p)).max() < 5 * 0.5 / np.sqrt(len(drawn))
            assert int(mean[j]) == log_p.argmax()
        else:
            agree(drawn[:, j], float(mean[j]))
    whole = drawn[:, likelihood.count]
    assert torch.equal(whole, whole.round())


def test_units_go_there_and_back():
    likelihood, _, x = made(mixed())
    y = likelihood.to_model(x)
    torch.testing.assert_close(likelihood.to_data(y), x, equal_nan=True)
    single = make("columns", Rows(x.numpy()), form(Schema.infer(mixed())))
    again = single.to_data(single.to_model(x))
    torch.testing.assert_close(again, x, rtol=1e-5, atol=1e-4, equal_nan=True)
    assert single.to_model(x).dtype == torch.float32


def test_units_are_those_of_the_observed_cells():
    likelihood, schema, x = made(mixed())
    y = likelihood.to_model(x)[:, likelihood.numeric].numpy()
    np.testing.assert_allclose(np.nanmean(y, 0), 0, atol=1e-12)
    np.testing.assert_allclose(np.nanstd(y, 0), 1, atol=1e-12)
    counts = [schema.names.index(name) for name in ("visits", "calls", "returns")]
    np.testing.assert_allclose(likelihood.count_mean, np.nanmean(x.numpy()[:, counts], 0))


def test_what_the_encoder_sees():
    frame = pd.DataFrame(
        {"a": [1.0, 2.0, 4.5, None], "b": ["u", "v", None, "w"], "c": [0, 3, 40, 8], "d": ["p", "q", "p", "q"]}
    )
    likelihood, _, x = made(frame)
    seen = likelihood.inputs(likelihood.to_model(x)).numpy()
    a, c = frame["a"].to_numpy(), np.log1p(frame["c"].to_numpy())
    expected = np.column_stack(
        [
            np.nan_to_num((a - np.nanmean(a)) / np.nanstd(a)),
            (c - c.mean()) / c.std(),
            [[1, 0], [0, 1], [1, 0], [0, 1]],  # d: columns of fewer levels come first
            [[1, 0, 0], [0, 1, 0], [0, 0, 0], [0, 0, 1]],  # b
            [[0, 0], [0, 0], [0, 1], [1, 0]],  # a and b had gaps
        ]
    )
    np.testing.assert_allclose(seen, expected, atol=1e-12)
    assert (likelihood.n_inputs, likelihood.n_outputs, likelihood.limits) == (9, 7, None)


def test_what_lies_behind_a_missing_cell_changes_nothing():
    """NaN has many bit patterns, and the noise of a row is a function of its bits."""
    likelihood, _, x = made(mixed(20))
    likelihood = likelihood.float()
    bits = x.clone().view(torch.int64)
    bits[x.isnan()] = torch.tensor(-1).to(torch.int64) ^ 12345  # another NaN, with its sign bit set
    other = bits.view(torch.float64)
    assert bool((other.isnan() == x.isnan()).all())
    y, z = likelihood.to_model(x), likelihood.to_model(other)
    assert torch.equal(y.view(torch.int32), z.view(torch.int32))
    assert torch.equal(row_keys(y), row_keys(z))
    frame = mixed(20).astype(object)
    answers = []
    for nothing in (None, np.nan, pd.NA):
        answers.append(Schema.infer(mixed()).encode(frame.where(frame.notna(), nothing)))
    np.testing.assert_array_equal(answers[0], answers[1])
    np.testing.assert_array_equal(answers[0], answers[2])


def test_gradients_are_finite_and_blind_to_missing_cells():
    likelihood, schema, x = made(mixed(50, 0.5))
    params = torch.randn(50, 1, likelihood.n_outputs).double().requires_grad_()
    likelihood.log_prob(params, likelihood.to_model(x)).sum().backward()
    for gradient in (params.grad, likelihood.log_noise.grad, likelihood.log_concentration.grad):
        assert gradient is not None
        assert bool(gradient.isfinite().all())
    assert params.grad is not None
    missing = x[:, schema.names.index("income")].isnan()
    assert bool((params.grad[missing, 0, 1] == 0).all())
    assert bool((params.grad[~missing, 0, 1] != 0).all())


def test_noise_and_concentration_are_learned(agree):
    """From draws with known parameters, by gradient ascent, with a third of the cells missing."""
    columns = (Column("a", "numeric", (), 1), Column("b", "numeric", (), 1), Column("c", "count", (), 1))
    likelihood = Columns(Schema(columns, ("a", "b", "c"))).double()
    random = np.random.default_rng(0)
    y = np.column_stack(
        [random.normal(0, 0.2, 20_000), random.normal(0, 2.0, 20_000), random.negative_binomial(3, 0.75, 20_000)]
    )
    y[random.random(y.shape) < 0.3] = np.nan
    optimiser = torch.optim.Adam(likelihood.parameters(), lr=0.05)
    for _ in range(150):
        optimiser.zero_grad()
        (-likelihood.log_prob(torch.zeros(1, 1, 3).double(), torch.from_numpy(y)).mean()).backward()
        optimiser.step()
    np.testing.assert_allclose(likelihood.noise.detach(), np.sqrt(np.nanmean(y[:, :2] ** 2, 0)), rtol=0.01)
    np.testing.assert_allclose(likelihood.concentration.detach(), [3.0], rtol=0.15)


def test_noise_is_not_below_what_a_column_resolves():
    """Years are whole: a sigma far below a year would make the density as large as one likes."""
    frame = pd.DataFrame({"year": 2000 + np.arange(50) % 10, "size": np.random.default_rng(0).normal(size=50)})
    likelihood, _, _ = made(frame)
    likelihood.log_noise.data.fill_(-50)
    noise = (likelihood.noise * likelihood.scale).detach()
    assert float(noise[0]) == pytest.approx(1 / np.sqrt(12))
    assert float(likelihood.noise.detach()[1]) < 0.01
    (-likelihood.log_prob(torch.zeros(1, 1, 2).double(), torch.ones(1, 2).double())).sum().backward()
    assert bool((likelihood.log_noise.grad < 0).all())  # and it can leave the floor
    fixed = make("columns", Rows(frame.to_numpy(float)), form(Schema.infer(frame), 0.01))
    np.testing.assert_allclose(fixed.noise, 0.01)
    assert not fixed.log_noise.requires_grad


def test_values_far_away_are_named():
    likelihood, _, x = made(mixed())
    x[7, 1] = 1e29
    with pytest.raises(InputError, match=r"value 1e\+29 in column 'income': more than 1e\+12 standard deviations"):
        likelihood.check(Rows(x.numpy()))


def test_units_travel_with_the_weights():
    likelihood, schema, x = made(mixed())
    with torch.device("meta"):
        other = make_like("columns", likelihood.state_dict(), form(schema))
    other.load_state_dict(likelihood.state_dict(), assign=True)
    params, y = torch.randn(200, 2, likelihood.n_outputs).double(), likelihood.to_model(x)
    assert torch.equal(other.to_model(x).nan_to_num(), y.nan_to_num())
    assert torch.equal(other.log_prob(params, y), likelihood.log_prob(params, y))


# ---------------------------------------------------------------- amounts


def amounts() -> tuple[Columns, np.ndarray]:
    """Make a likelihood of incomes, some of them zero or missing, and the rows."""
    random = np.random.default_rng(0)
    x = np.where(random.random(400) < 0.2, 0, random.lognormal(8, 1, 400)).round(2)
    x[::9] = np.nan
    frame = pd.DataFrame({"income": x, "size": random.normal(size=400)})
    schema = Schema.infer(frame)
    assert [column.kind for column in schema.columns] == ["amount", "numeric"]
    return Columns.of(Rows(schema.encode(frame)), Form((2,), schema=schema)).double(), schema.encode(frame)


def test_a_density_of_amounts_integrates_to_one_and_is_that_of_the_amount():
    likelihood, x = amounts()
    params = torch.tensor([[[0.3, 0.0]]], dtype=torch.float64)
    likelihood.log_noise.data[:] = -0.5
    unit = float(likelihood.unit)
    on_line = np.linspace(-9, 16, 20_001)
    grid = np.sinh(on_line) * unit
    rows = torch.from_numpy(np.column_stack([grid, np.full(len(grid), np.nan)]))
    density = likelihood.log_prob(params, likelihood.to_model(rows)).exp()[:, 0].detach().numpy()
    assert np.trapezoid(density, grid) == pytest.approx(1, abs=1e-3)
    loc, scale = float(likelihood.loc[0]), float(likelihood.scale[0])
    noise = float(likelihood.noise[0].detach())
    expected = stats.norm(loc + 0.3 * scale, noise * scale).pdf(on_line) / np.hypot(grid, unit)
    np.testing.assert_allclose(density, expected, rtol=1e-9, atol=1e-300)
    standard = likelihood.to_model(torch.from_numpy(x))[:, 0].numpy()
    assert np.nanmean(standard) == pytest.approx(0, abs=1e-9)
    assert np.nanstd(standard) == pytest.approx(1)
    back = likelihood.to_data(likelihood.to_model(torch.from_numpy(x))).numpy()
    np.testing.assert_allclose(back, x, rtol=1e-9, atol=1e-9)
    gone = likelihood.log_prob(params, torch.tensor([[np.nan, np.nan]]).double())
    assert float(gone.detach()) == 0.0


def test_amounts_travel_with_the_weights_and_new_ones_are_not_negative(tmp_path):
    random = np.random.default_rng(1)
    frame = pd.DataFrame({"price": random.lognormal(3, 1, 300).round(2), "year": random.integers(1995, 2015, 300)})
    model = CPVAE(2, **{**QUICK, "max_epochs": 40}).fit(frame)
    model.save(tmp_path / "m")
    new, _ = load(tmp_path / "m").sample(2_000, random_state=0)
    pd.testing.assert_frame_equal(new, model.sample(2_000, random_state=0)[0])
    assert (new["price"] >= 0).all()
    assert (new["price"] == 0).mean() < 0.05
    assert new["price"].median() == pytest.approx(frame["price"].median(), rel=0.3)
    np.testing.assert_array_equal(new["price"], new["price"].round(2))
    assert new["year"].dtype.kind == "i"
    assert new["year"].between(1995, 2014).all()
    later = pd.DataFrame({"price": [-3.0, 0.0, 1e6], "year": [1990, 2020, 2000]})
    assert np.isfinite(model.score_samples(later)).all()


# ---------------------------------------------------------------- a model solved exactly, cells missing


class Solved(nn.Module):
    """The posterior q(c | x) q(z | x, c) by Bayes' rule from the observed cells; z is one number."""

    def __init__(self, prior: Conditional, decoder: LinearDecoder, likelihood: Columns):
        super().__init__()
        self.n_categories = prior.n_components
        self.parts = (prior, decoder, likelihood)

    def forward(self, inputs: Tensor) -> Joint:
        prior, decoder, likelihood = self.parts
        f = len(likelihood.loc)
        y, observed = inputs[:, None, :f], 1 - inputs[:, None, f:]  # all columns had gaps: values, then masks
        a, weight = decoder.a[:, :, 0], observed / likelihood.noise**2
        precision = prior.scale[:, 0] ** -2 + (a**2 * weight).sum(-1)
        pull = prior.loc[:, 0] / prior.scale[:, 0] ** 2 + (a * weight * (y - decoder.b)).sum(-1)
        loc, scale = (pull / precision).unsqueeze(-1), (precision**-0.5).unsqueeze(-1)
        logits = torch.from_numpy(truth(*self.parts, inputs)).log_softmax(-1)

        def given(c: Tensor) -> Any:
            index = c.expand(len(inputs), -1).unsqueeze(-1)
            return DiagonalNormal(loc.gather(1, index), scale.gather(1, index))

        return Joint(logits, given)


def truth(prior: Conditional, decoder: LinearDecoder, likelihood: Columns, inputs: Tensor) -> np.ndarray:
    """Compute log p(x_observed, c) in the units of the data by scipy, ``(n, K)``."""
    f = len(likelihood.loc)
    x = likelihood.to_data(inputs[:, :f]).numpy()
    observed = inputs[:, f:].numpy() == 0
    scale = likelihood.scale.numpy()
    result = np.zeros((len(x), prior.n_components))
    for k in range(prior.n_components):
        a = decoder.a[k].numpy()
        centre = likelihood.loc.numpy() + scale * (decoder.b[k].numpy() + a @ prior.loc[k].numpy())
        noise = np.diag(likelihood.noise.numpy() ** 2)
        covariance = (a @ a.T * float(prior.scale[k]) ** 2 + noise) * np.outer(scale, scale)
        for i, seen in enumerate(observed):
            marginal = stats.multivariate_normal(centre[seen], covariance[np.ix_(seen, seen)])
            result[i, k] = marginal.logpdf(x[i, seen]) + float(prior.logits.log_softmax(-1)[k])
    return result


def test_estimates_are_exact_where_the_marginal_is_known():
    """With the exact posterior every importance weight is p(x_observed), and L, L* and log p(x) are one number."""
    k, f, n = 3, 5, 30
    columns = tuple(Column(f"x{j}", "numeric", (), 1) for j in range(f))
    likelihood = Columns(Schema(columns, tuple(column.name for column in columns))).double()
    likelihood.loc.copy_(5 * torch.randn(f))
    likelihood.scale.copy_(torch.randn(f).exp())
    likelihood.log_noise.data = 0.3 * torch.randn(f).double()
    decoder = LinearDecoder(torch.randn(k, f, 1).double(), 2 * torch.randn(k, f).double())
    prior = Conditional(k, 1, "learned").double()
    prior.set_components(torch.randn(k, 1).double(), (0.5 * torch.randn(k, 1).double()).exp())
    prior.logits.data = torch.randn(k).double()
    for part in (likelihood, decoder, prior):
        part.requires_grad_(False)
    model = VAEModule(Solved(prior, decoder, likelihood), prior, decoder, likelihood, 1)
    y = 2 * torch.randn(n, f).double()
    y[torch.rand(n, f) < 0.4] = torch.nan
    y[:, 0] = torch.randn(n)  # no row without any
    expected = truth(prior, decoder, likelihood, likelihood.inputs(y))
    log_p = logsumexp(expected, -1)
    found = evaluate(model, y, 1)
    np.testing.assert_allclose(log_likelihood(model, y, 20), log_p, atol=1e-9)
    np.testing.assert_allclose(found.elbo, log_p, atol=1e-9)
    np.testing.assert_allclose(found.elbo_tight, log_p, atol=1e-9)
    np.testing.assert_allclose(found.proba, np.exp(expected - log_p[:, None]), atol=1e-9)


def test_a_step_has_finite_gradients_everywhere():
    likelihood, _, x = made(mixed(50, 0.5))
    model = recipes.cpvae(likelihood, 3, 2, Dense((8,))).double()
    terms = elbo(model, likelihood.to_model(x), Exact())
    (-terms.elbo.mean()).backward()
    gradients = {name: p.grad for name, p in model.named_parameters() if p.requires_grad and "prior.logits" not in name}
    assert all(gradient is not None and bool(gradient.isfinite().all()) for gradient in gradients.values())


# ---------------------------------------------------------------- the start


@pytest.mark.parametrize(("n_classes", "kind"), [(25, latent_classes.Classes), (51, latent_classes.Means)])
def test_tables_of_up_to_fifty_categories_begin_with_a_mixture(n_classes, kind, monkeypatch):
    monkeypatch.setattr(latent_classes, "stability", lambda found: 1.0)  # as sure as k-means, which does not go before
    random = np.random.RandomState(0)
    table = Table.of_numbers(random.normal(size=(150, 2)) + 20.0 * random.randint(8, size=(150, 1)))
    assert isinstance(latent_classes.fit(table, n_classes, random), kind)


def test_latent_classes_by_scipy():
    """log p(x, c) of the classes that hard assignments make, cell by cell."""
    frame, y = make_table(300, 3, 0.3, seed=2)
    likelihood, schema, x = made(frame)
    rows = likelihood.to_model(x)
    table = table_of([likelihood.cells(rows)])
    weights = np.eye(3)[y]
    joint = latent_classes.estimate(table, weights, Diagonal.of(table, weights)).log_joint(table)
    expected = np.tile(np.log(np.bincount(y) / 300), (300, 1))
    counts = np.log1p(x[:, 7:].numpy())
    numbers = np.column_stack([rows[:, :4].numpy(), (counts - np.nanmean(counts, 0)) / np.nanstd(counts, 0)])
    for k in range(3):
        own = y == k
        spread = np.sqrt(np.nanvar(numbers[own], 0) + normals.ADDED_VARIANCE)
        expected[:, k] += np.nansum(stats.norm(np.nanmean(numbers[own], 0), spread).logpdf(numbers), 1)
        for j in (4, 5, 6):
            codes = x[:, j].numpy()
            m = len(schema.columns[j].levels)
            here = ~np.isnan(codes)
            everywhere = np.bincount(codes[here].astype(int), minlength=m) + 1
            counts = np.bincount(codes[here & own].astype(int), minlength=m)
            share = counts + m * everywhere / everywhere.sum()
            log_share = np.log(share / share.sum())
            expected[:, k] += np.where(np.isnan(codes), 0, log_share[np.nan_to_num(codes).astype(int)])
    np.testing.assert_allclose(joint, expected, atol=1e-6)


def test_a_level_that_is_rare_everywhere_is_rare_in_a_class_without_it():
    """Give two levels that no row of a class has the order of their shares in other rows."""
    codes = np.repeat([0, 1, 2], [10, 30, 60])
    table = Table(np.zeros((100, 0)), np.zeros((100, 0)), np.eye(4)[codes], [4])
    weights = np.eye(2)[(codes < 2).astype(int)]
    first = latent_classes.estimate(table, weights, Diagonal.of(table, weights)).log_levels[0]
    assert first.argsort().tolist() == [3, 0, 1, 2]
    np.testing.assert_allclose(np.exp(first[1]), 4 * 31 / 104 / 64)


def test_numbers_that_vary_together_by_scipy():
    """The density of what is observed in each row is that of the marginal normal."""
    random = np.random.default_rng(0)
    x = random.normal(size=(40, 4)) @ random.normal(size=(4, 4))
    observed = (random.random((40, 4)) > 0.3).astype(float)
    table = Table(x * observed, observed, np.zeros((40, 0)), [])
    tied = Tied.of(table, np.eye(2)[random.integers(2, size=40)])
    found = tied.log_density(table)
    for row, there in enumerate(observed > 0):
        for k in range(2):
            covariance = tied.covariance[np.ix_(there, there)]
            expected = (
                stats.multivariate_normal(tied.mean[k, there], covariance).logpdf(x[row, there]) if any(there) else 0
            )
            assert found[row, k] == pytest.approx(expected, abs=1e-9)


def some_missing(random: np.random.Generator, n: int = 90) -> Table:
    """Make a table of numbers that depend on each other and one column of levels; in some rows nothing is there."""
    kinds = np.array([[1, 1, 1, 1], [1, 0, 1, 1], [0, 1, 1, 0], [0, 0, 0, 0]])
    observed = kinds[np.arange(n) % 4].astype(float)
    x = random.normal(size=(n, 4)) @ random.normal(size=(4, 4))
    levels = np.eye(3)[random.integers(3, size=n)] * (np.arange(n) % 5 > 0)[:, None]
    return Table(x * observed, observed, levels, [3], np.where(np.arange(n) < 9, np.arange(n) % 3, -1))


def test_numbers_that_vary_together_learn_from_what_is_expected_in_missing_cells():
    """Sums over rows and classes one by one, of the expected numbers and their squares."""
    random = np.random.default_rng(0)
    table, weights = some_missing(random), random.dirichlet(np.ones(3), 90)
    before = Tied.of(table, weights)
    first, second = np.zeros((3, 4)), np.zeros((4, 4))
    for x, there, w in zip(table.numbers, table.observed > 0, weights, strict=True):
        inverse = np.linalg.inv(before.covariance[np.ix_(there, there)])
        spread = before.covariance - before.covariance[:, there] @ inverse @ before.covariance[there]
        for k in range(3):
            mean = before.mean[k] + before.covariance[:, there] @ inverse @ (x - before.mean[k])[there]
            first[k] += w[k] * mean
            second += w[k] * (np.outer(mean, mean) + spread)
    mean = first / weights.sum(0)[:, None]
    expected = (second - (weights.sum(0) * mean.T) @ mean) / 90 + normals.ADDED_VARIANCE * np.eye(4)
    found = before.updated(table, weights)
    np.testing.assert_allclose(found.mean, mean, atol=1e-9)
    np.testing.assert_allclose(found.covariance, expected, atol=1e-9)


def test_many_steps_leave_a_covariance_symmetric():
    random = np.random.default_rng(0)
    table, weights = some_missing(random), random.dirichlet(np.ones(3), 90)
    tied = Tied.of(table, weights)
    for _ in range(200):
        tied = tied.updated(table, weights)
    np.testing.assert_array_equal(tied.covariance, tied.covariance.T)


@pytest.mark.parametrize("shape", [Diagonal, Tied])
def test_runs_of_em_side_by_side_end_as_each_does_alone(shape):
    """Runs that are as good as over leave the others to go on."""
    random = np.random.default_rng(1)
    table = some_missing(random)
    weights = random.dirichlet(np.ones(3), (6, 90))
    together = latent_classes._em(table, weights, shape, 60)
    assert len(together) == 6
    for begun, end in zip(weights, together, strict=True):
        (alone,) = latent_classes._em(table, begun[None], shape, 60)
        assert end.value == pytest.approx(alone.value, abs=1e-9)
        np.testing.assert_allclose(end.weights, alone.weights, atol=1e-6)
        np.testing.assert_allclose(end.classes.log_joint(table), alone.classes.log_joint(table), atol=1e-6)
        assert (end.weights.argmax(1)[:9] == table.known[:9]).all()


def test_how_many_runs_of_em_are_made_at_once_changes_nothing(monkeypatch):
    table = some_missing(np.random.default_rng(1))

    def found() -> np.ndarray:
        random = np.random.RandomState(0)
        return latent_classes.mixture(Tied, table, 3, random, latent_classes.Effort(30, 60)).log_joint(table)

    together = found()
    for at_once in (1, 7 * table.points.size * 3):
        monkeypatch.setattr(latent_classes, "AT_ONCE", at_once)
        np.testing.assert_allclose(found(), together, atol=1e-6)


def test_groups_are_not_cut_along_what_all_of_them_share(monkeypatch):
    """Three kinds, each of small and large ones: independent columns would make a class of the large ones."""
    effort(monkeypatch, MANY)
    random = np.random.default_rng(0)
    y, size = random.integers(3, size=300), random.normal(size=300)
    shape = np.array([[0, 0, 0], [4, -4, 0], [4, 0, -4]])[y]
    frame = pd.DataFrame(shape + 1.5 * size[:, None] + 0.3 * random.normal(size=(300, 3)), columns=list("abc"))
    frame["sex"] = np.where(size + 0.5 * random.normal(size=300) > 0, "f", "m")
    frame.iloc[::20, 1] = np.nan
    likelihood, _, x = made(frame)
    table = table_of([likelihood.cells(likelihood.to_model(x))])
    ways = {
        shape: latent_classes.mixture(shape, table, 3, np.random.RandomState(0), latent_classes.Effort(20, 200))
        for shape in (Diagonal, Tied)
    }
    assert adjusted_rand_score(y, ways[Diagonal].likeliest(table)) < 0.5
    assert adjusted_rand_score(y, ways[Tied].likeliest(table)) > 0.9
    assert adjusted_rand_score(y, latent_classes.fit(table, 3, np.random.RandomState(0)).likeliest(table)) > 0.9


def test_classes_that_other_rows_do_not_have_are_not_taken(monkeypatch):
    """Digits on a display of seven segments, of which one in ten is wrong (Breiman et al., 1984).

    Of ten classes in 400 rows a mixture learns what is wrong in these rows, and k-means does not.
    """
    effort(monkeypatch, MANY)
    digits = [
        "1110111",
        "0010010",
        "1011101",
        "1011011",
        "0111010",
        "1101011",
        "1101111",
        "1010010",
        "1111111",
        "1111011",
    ]
    segments = np.array([[int(segment) for segment in digit] for digit in digits])
    for seed in (0, 2):
        random = np.random.default_rng(seed)
        y = random.integers(10, size=400)
        x = segments[y] ^ (random.random((400, 7)) < 0.1)
        table = Table(np.zeros((400, 0)), np.zeros((400, 0)), np.eye(2)[x].reshape(400, 14), [2] * 7)
        mixture = latent_classes.mixture(
            Diagonal, table, 10, np.random.RandomState(0), latent_classes.Effort(50, 200)
        ).likeliest(table)
        found = latent_classes.fit(table, 10, np.random.RandomState(0))
        assert isinstance(found, latent_classes.Means)
        assert adjusted_rand_score(y, found.likeliest(table)) > adjusted_rand_score(y, mixture) + 0.02


def test_of_two_mixtures_as_sure_as_each_other_the_likelier_is_taken(monkeypatch):
    """Groups that vary together in one way: the criterion of Schwarz is that of tied numbers."""
    random = np.random.default_rng(0)
    y, size = random.integers(2, size=200), random.normal(size=200)
    x = np.array([[0, 0, 0], [3, -3, 0]])[y] + 2 * size[:, None] + 0.5 * random.normal(size=(200, 3))
    table = Table.of_numbers((x - x.mean(0)) / x.std(0))
    chance = latent_classes.Means(lambda points: random.integers(2, size=len(points)))
    monkeypatch.setattr(latent_classes, "means", lambda *asked: chance)  # found again nowhere
    monkeypatch.setattr(latent_classes, "AS_SURE", 2.0)
    found = latent_classes.fit(table, 2, np.random.RandomState(0))
    assert isinstance(found, latent_classes.Classes)
    assert isinstance(found.numbers, Tied)
    expected = logsumexp(found.log_joint(table), axis=1).sum() - 0.5 * (2 * 3 + 6) * np.log(200)
    assert found.schwarz(table) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("shape", [Diagonal, Tied])
def test_each_step_of_em_raises_the_likelihood(shape, monkeypatch):
    """Without the constants that keep classes from shrinking, as theory has it."""
    monkeypatch.setattr(normals, "ADDED_VARIANCE", 1e-9)
    monkeypatch.setattr(latent_classes, "PSEUDO_ROWS", 1e-12)
    likelihood, _, x = made(mixed(300))
    table = table_of([likelihood.cells(likelihood.to_model(x))])
    weights = np.random.default_rng(0).dirichlet(np.ones(3), 300)
    values, numbers = [], shape.of(table, weights)
    for _ in range(30):
        classes = latent_classes.estimate(table, weights, numbers)
        joint, numbers = classes.log_joint(table), classes.numbers
        values.append(float(logsumexp(joint, 1).sum()))
        weights = np.exp(joint - logsumexp(joint, 1, keepdims=True))
    assert (np.diff(values) > -1e-6).all()
    assert values[-1] > values[0]


# ---------------------------------------------------------------- estimators


@pytest.fixture(scope="module")
def fitted() -> CPVAE:
    return CPVAE(3, **{**QUICK, "max_epochs": 80}).fit(mixed(900))


def test_it_finds_the_sources_of_a_table(fitted):
    """Better than k-means on filled cells, without labels; and not because of what is missing."""
    frame, y = make_table(900, 3, 0.2, seed=1)
    assert metrics.accuracy_hungarian(y, fitted.predict(frame)) > 0.85
    gaps = frame.isna().sum(axis=1).to_numpy()
    assert metrics.nmi(gaps > 2, fitted.predict(frame)) < 0.02


def test_what_it_draws_looks_like_the_table(fitted):
    frame = mixed(900)
    rows, categories = fitted.sample(4_000, random_state=1)
    assert isinstance(rows, pd.DataFrame)
    assert list(rows.columns) == list(frame.columns)
    assert not rows.isna().any(axis=None)
    assert rows["visits"].dtype.kind == "i"
    assert set(rows["plan"]) <= {"basic", "family", "free", "premium"}
    for name in ("score", "distance"):
        assert abs(rows[name].mean() - frame[name].mean()) < 0.25 * frame[name].std()
        assert 0.7 < rows[name].std() / frame[name].std() < 1.4
    shares = pd.DataFrame({"given": frame["region"].value_counts(normalize=True), "new": rows["region"].value_counts()})
    assert (shares["given"] - shares["new"] / 4_000).abs().max() < 0.1
    only, c = fitted.sample(20, component=1, mean=True)
    assert set(c.tolist()) == {1}
    assert np.isfinite(fitted.score_samples(only)).all()
    assert categories.shape == (4_000,)


def test_answers_do_not_depend_on_batch_order_or_columns(fitted):
    frame = mixed(60)
    proba = fitted.predict_proba(frame)
    np.testing.assert_allclose(fitted.predict_proba(frame[::-1])[::-1], proba, atol=1e-5)
    np.testing.assert_allclose(fitted.predict_proba(frame[7:8]), proba[7:8], atol=1e-5)
    np.testing.assert_array_equal(fitted.predict_proba(frame[frame.columns[::-1]]), proba)
    np.testing.assert_array_equal(fitted.predict_proba(frame.astype(object).where(frame.notna(), None)), proba)


def test_a_reconstruction_fills_cells_that_no_bound_reads(fitted):
    frame = mixed(60)
    made_up = fitted.reconstruct(frame)
    assert isinstance(made_up, pd.DataFrame)
    assert made_up.shape == frame.shape
    assert not made_up.isna().any(axis=None)
    assert fitted.transform(frame).shape == (60, 2)
    bound, weighted = fitted.score_samples(frame), fitted.log_likelihood(frame, 200)
    assert (bound < weighted + 1.0).all()


def test_save_and_load(fitted, tmp_path):
    frame = mixed(60)
    fitted.save(tmp_path / "m.cpvae")
    other = load(tmp_path / "m.cpvae")
    assert other.schema_ == fitted.schema_
    np.testing.assert_array_equal(other.predict_proba(frame), fitted.predict_proba(frame))
    pd.testing.assert_frame_equal(other.sample(5)[0], fitted.sample(5)[0])
    header = load_tensors(tmp_path / "m.cpvae")[1]
    assert Schema.from_dict(header["fitted"]["schema"]) == fitted.schema_
    assert header["params"]["schema"] is None
    pd.testing.assert_frame_equal(pickle.loads(pickle.dumps(fitted)).sample(5)[0], fitted.sample(5)[0])


def test_a_schema_is_kept_and_its_ignored_columns_may_be_there_or_not(tmp_path):
    frame = mixed(80).assign(code=[f"row {i}" for i in range(80)])
    with pytest.warns(FitWarning, match=r"1 of 11 columns is left out: 'code' \(identifier\); to model one, say in a"):
        assert CPVAE(2, **QUICK).fit(frame).schema_.identifiers == ("code",)
    given = {"code": "ignore", "visits": "numeric"}
    model = clone(CPVAE(2, schema=given, **QUICK)).fit(frame)
    assert model.n_features_in_ == 10
    assert list(model.feature_names_in_) == list(frame.columns[:-1])
    kinds = {column.name: column.kind for column in model.schema_.columns}
    assert kinds["visits"] == "numeric"
    np.testing.assert_array_equal(model.predict(frame), model.predict(frame.drop(columns="code")))
    model.save(tmp_path / "m")
    assert load(tmp_path / "m").get_params()["schema"] == given
    assert "code" not in model.sample(2)[0]


def test_warnings_point_at_the_line_of_the_user(fitted):
    frame = mixed(20)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        fitted.predict(frame.assign(new=1))
        fitted.transform(frame.drop(columns=frame.columns[0]))
        CPVAE(2, **QUICK).fit(mixed(80).assign(code=[f"row {i}" for i in range(80)]))
    assert {Path(one.filename).name for one in said} == {Path(__file__).name}
    assert len({one.lineno for one in said}) == 3


@pytest.mark.parametrize("make", [CPVAE, VAE])
def test_arrays_with_missing_cells(make):
    x = np.random.default_rng(0).normal(size=(60, 3))
    x[::7, 1] = np.nan
    model = make(**({"n_components": 2} if make is CPVAE else {}), **QUICK).fit(x)
    assert model.likelihood_ == "columns"
    assert model.n_features_in_ == 3
    assert not hasattr(model, "feature_names_in_")
    assert list(model.sample(2)[0].columns) == ["0", "1", "2"]
    np.testing.assert_array_equal(model.score_samples(x.tolist()), model.score_samples(x))
    assert np.isfinite(model.score_samples(model.reconstruct(x))).all()
    with pytest.raises(InputError, match="rows of 2 columns; expected 3"):
        model.score(x[:, :2])


def test_a_table_is_modelled_by_its_columns_and_an_array_as_a_matrix():
    """A missing cell changes the kind of no column, and rows may lack it later."""
    x = np.random.default_rng(0).poisson(2, (60, 3)).astype(float)
    for rows in (x, x.tolist(), x.astype(object)):
        model = CPVAE(2, **QUICK).fit(rows)
        assert (model.likelihood_, model.schema_) == ("gaussian", None)
        assert isinstance(model.sample(2)[0], np.ndarray)
    gap = x.copy()
    gap[3, 1] = np.nan
    for rows in (gap, gap.tolist(), np.where(np.isnan(gap), None, gap)):
        schema = CPVAE(2, **QUICK).fit(rows).schema_
        assert [(column.kind, column.missing) for column in schema.columns] == [
            ("numeric", 0),
            ("numeric", 1),
            ("numeric", 0),
        ]
    for rows in (pd.DataFrame(x), pd.DataFrame(gap), pd.DataFrame(gap, dtype=object)):
        model = CPVAE(2, **QUICK).fit(rows)
        assert (model.likelihood_, [column.kind for column in model.schema_.columns]) == ("columns", ["count"] * 3)
        assert np.isfinite(model.score_samples(pd.DataFrame(gap))).all()
    for asked in ({"likelihood": "columns"}, {"schema": {}}, {"schema": {"0": "count"}}):
        model = CPVAE(2, **QUICK, **asked).fit(x)
        assert [column.kind for column in model.schema_.columns] == ["count"] * 3


def test_fitting_again_forgets_the_schema():
    x = np.random.default_rng(0).normal(size=(60, 3))
    gaps = np.where(np.random.default_rng(1).random(x.shape) < 0.1, np.nan, x)
    model = CPVAE(2, **QUICK).fit(gaps).fit(x)
    assert (model.likelihood_, model.schema_) == ("gaussian", None)


@pytest.mark.parametrize(
    ("rows", "params", "message"),
    [
        (mixed(20), {"likelihood": "gaussian"}, "expected numbers in all cells, for likelihood 'gaussian'"),
        ([[1.0, np.nan], [2.0, 1.0]], {"likelihood": "gaussian"}, "a missing cell in column 1, row 0 (counted from 0)"),
        (
            mixed(20),
            {"likelihood": "gaussian", "schema": {}},
            "likelihood='gaussian' with a schema: expected 'columns'",
        ),
        (mixed(20), {"schema": {"income": "money"}}, "the schema says 'money' of column 'income'"),
        (mixed(20), {"schema": ["income"]}, "schema=['income']: expected column names with kinds"),
        (mixed(20), {"schema": {"incomes": "numeric"}}, "that is not there; did you mean 'income'?"),
        (np.zeros((5, 2, 2)), {"likelihood": "columns"}, "an array of shape (5, 1, 2, 2): expected a table"),
        (np.full((5, 2, 2), np.nan), {}, "a missing cell in column 0, row 0 (counted from 0), of images"),
        (mixed(1), {}, "a table of 1 row (n_samples=1) and 10 columns: expected at least 2 rows"),
    ],
)
def test_refused_in_python(rows, params, message, tmp_path):
    with pytest.raises(InputError) as caught:
        CPVAE(1, **QUICK, **params).fit(rows, out=tmp_path / "new")
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert not (tmp_path / "new").exists()


# ---------------------------------------------------------------- commands


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder with a table, its labels, and a schema."""
    monkeypatch.chdir(tmp_path)
    frame, y = make_table(120, 3, 0.1, seed=1)
    frame.assign(code=[f"row {i}" for i in range(120)], source=y).to_csv("t.csv", index=False)
    Path("s.json").write_text(json.dumps({"code": "ignore", "visits": "numeric"}))
    return tmp_path


FIT = ("fit", "t.csv", "--labels", "source", "--schema", "s.json", "--out", "run", *TINY)


def test_numbers_with_few_values_are_written_as_they_were():
    """Middles of classes, far from evenly apart: new numbers are among them, and conditions know it."""
    classes = (2500.0, 7500.0, 15000.0, 35000.0)
    random = np.random.default_rng(0)
    table = pd.DataFrame({"income": random.choice(classes, 100), "size": random.normal(size=100)})
    schema = Schema.infer(table, {"income": "numeric"})
    column = schema.columns[0]
    assert column.values == classes
    assert schema.columns[1].values == ()
    assert Schema.from_dict(json.loads(json.dumps(schema.as_dict()))) == schema
    drawn = np.array([-1.0, 4999, 5001, 1e9, np.nan])
    np.testing.assert_array_equal(column.rounded(drawn), [2500, 2500, 7500, 35000, np.nan])
    condition = read_given({"income": (3000, 20000)}, schema.columns, {})
    assert (condition.low[0], condition.high[0]) == (7500, 15000)
    low, high = condition.event()
    assert (low[0], high[0]) == (5000, 25000)
    low, high = read_given({"income": (None, 8000)}, schema.columns, {}).event()
    assert (low[0], high[0]) == (-np.inf, 11250)
    for given, message in (
        (20000, "no row has it, the nearest that one can have is 15000"),
        ((16000, 20000), "no row lies in it, the nearest value that one can have is 15000"),
    ):
        with pytest.raises(InputError, match=message):
            read_given({"income": given}, schema.columns, {})
    kept = schema.as_dict()
    for bad in ([2.0, 1.0], ["x"], [1.0, None]):
        kept["columns"][0]["values"] = bad
        with pytest.raises(InputError, match=r"has the values .*: expected numbers in order; fit again"):
            Schema.from_dict(kept)
    assert Schema.infer(table[:20], {"income": "numeric"}).columns[0].values == ()  # too few rows to tell


def test_from_the_table_to_new_rows_and_a_report(place):
    loud = [option for option in FIT if option != "--quiet"]
    answer = call(*loud, "--json")
    assert answer.code == 0, answer.err
    assert json.loads(answer.out)["accuracy"] > 0
    assert "  plan: categorical, 4 levels ('basic', 'family', 'free', 'premium'); " in answer.err
    assert "  calls: count; " in answer.err
    assert "likelihood" not in answer.err  # the lines of the columns say it
    assert "for a column that holds labels: --labels COLUMN" in answer.err
    config = json.loads((place / "run" / "config.json").read_text())
    assert config["params"]["schema"] == {"code": "ignore", "visits": "numeric"}
    kinds = {column["name"]: column["kind"] for column in config["schema"]["columns"]}
    assert (kinds["visits"], kinds["calls"], kinds["plan"]) == ("numeric", "count", "categorical")
    assert json.loads(done("evaluate", "run", "t.csv", "--labels", "source", "--json").out)["n"] == 120
    done("cluster", "run", "t.csv", "--labels", "source", "--out", "l.csv")
    assert len(pd.read_csv("l.csv")) == 120
    done("sample", "run", "-n", "7", "--out", "new.csv")
    new = pd.read_csv("new.csv")
    assert list(new.columns) == ["component", *pd.read_csv("t.csv").columns[:10]]
    assert set(new["region"]) <= {"north", "south", "west"}
    answer = done("sample", "run", "-n", "7", "--out", "new.npz")
    assert (
        "levels are their positions in the schema in .npz; for rows that commands read back write a .csv" in answer.err
    )
    codes = np.load("new.npz")["x"]
    assert codes.shape == (7, 10)
    assert set(codes[:, list(kinds).index("region")]) <= {0, 1, 2}
    answer = done("impute", "run", "t.csv", "--labels", "source", "--out", "filled.csv")
    assert "no part of the model" not in answer.err
    filled, given = pd.read_csv("filled.csv"), pd.read_csv("t.csv")
    assert list(filled.columns) == [name for name in given.columns if name != "source"]
    assert not filled[list(kinds)].isna().any(axis=None)
    new.drop(columns="component").to_csv("again.csv", index=False)
    assert json.loads(done("evaluate", "run", "again.csv", "--json").out)["n"] == 7
    done("report", "run")
    page = (place / "run" / "report.html").read_text()
    assert "plan=premium" in page
    assert "of the cells are missing" in page
    assert "nan" not in page.lower().replace("nanmean", "").split("<svg")[0]


def test_resume_keeps_the_schema(place, monkeypatch):
    options = (*FIT[:-1], "--epochs", "4", "--batch-size", "10", "--quiet")
    done(*(option if option != "run" else "whole" for option in options))
    with monkeypatch.context() as patch:
        patch.setattr(loop._Run, "_step", stopping(after=7))
        assert call(*options).code == 130
    done("fit", "t.csv", "--labels", "source", "--out", "run", "--resume", "--quiet")
    whole, resumed = load("whole"), load("run")
    assert whole.schema_ == resumed.schema_
    np.testing.assert_array_equal(whole.weights_, resumed.weights_)


def test_a_wide_table_of_one_kind_is_a_matrix(place):
    random = np.random.default_rng(0)
    for name, values, likelihood in (
        ("few", random.normal(size=(60, 3)), "columns"),
        ("numbers", random.normal(size=(60, 100)), "isotropic"),
        ("ink", random.integers(0, 2, (60, 100)), "bernoulli"),
    ):
        frame = pd.DataFrame(values).add_prefix("x").assign(id=[f"row {i}" for i in range(60)])
        frame.to_csv(f"{name}.csv", index=False)
        done("fit", f"{name}.csv", "--out", name, *TINY)
        model = load(name)
        assert (model.likelihood_, model.schema_.identifiers) == (likelihood, ("id",)), name
        done("evaluate", name, f"{name}.csv")
        new, _ = model.sample(2)
        assert list(new.columns) == list(frame.columns[:-1])
    frame.loc[3, "x7"] = None
    with pytest.raises(InputError, match=r"row 3 .*; expected a number in every cell of a matrix of 100 columns"):
        model.score(frame)
    for other in (frame[frame.columns[::-1]], frame.drop(columns="x7")):
        with already_said(), pytest.raises(InputError, match="a missing cell in column 'x7'"):
            model.score(other)


def test_the_named_table():
    data = loaders.load("table")
    assert {name: split.x.shape for name, split in data.splits.items()} == {
        "train": (3000, 10),
        "valid": (500, 10),
        "test": (1500, 10),
    }
    assert data.likelihood == "columns"
    assert data.feature_names == tuple(data.splits["test"].x.columns)


def changed(name: str, row: int, value: object) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def change(frame: pd.DataFrame) -> pd.DataFrame:
        frame = frame.astype(object)
        frame.loc[row, name] = value
        return frame

    return change


def without_row(frame: pd.DataFrame, row: int) -> pd.DataFrame:
    frame = frame.copy()
    frame.loc[row] = None
    return frame


BAD_FITS: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], str, str]] = {
    "text among numbers": (changed("score", 3, "high"), "{}", "column 'score' (first 'high' in row 3, counted from 0)"),
    "infinity": (changed("score", 3, "inf"), "{}", "infinity in column 'score', data row 4"),
    "negative count": (changed("visits", 3, -1), '{"visits": "count"}', "column 'visits' (first '-1' in row 3"),
    "fractional count": (changed("visits", 3, 1.5), '{"visits": "count"}', "column 'visits' (first '1.5' in row 3"),
    "text as numbers": (lambda f: f, '{"plan": "numeric"}', "text in a column that is numeric: column 'plan' (first"),
    "absent column": (lambda f: f, '{"plann": "categorical"}', "'plann' that is not there; did you mean 'plan'"),
    "unknown kind": (
        lambda f: f,
        '{"plan": "categoric"}',
        "says 'categoric' of column 'plan'; did you mean 'categorical'",
    ),
    "no mapping": (lambda f: f, "[1]", "--schema s.json: holds a list; expected a JSON object of columns and kinds"),
    "no JSON": (lambda f: f, "{", "--schema s.json: Expecting property name"),
    "everything ignored": (lambda f: f[["plan"]], '{"plan": "ignore"}', "no column is left to model"),
    "all constant": (
        lambda f: f[["plan"]].assign(plan=3, b="u"),
        "{}",
        "left to model: 'plan' (its only value is 3), 'b'",
    ),
}


@pytest.mark.parametrize("case", BAD_FITS)
def test_tables_that_cannot_be_fitted(case, place):
    change, schema, message = BAD_FITS[case]
    frame = pd.read_csv("t.csv").drop(columns=["code", "source"])
    change(frame).to_csv("t.csv", index=False)
    (place / "s.json").write_text(schema)
    before = tree(place)
    assert message in refused("fit", "t.csv", "--schema", "s.json", "--out", "new", *TINY)
    assert tree(place) == before


def test_no_file_of_a_schema(place):
    message = refused("fit", "t.csv", "--schema", "nosuch.json", "--out", "new", *TINY)
    assert message.startswith("--schema nosuch.json: No such file or directory; expected a JSON object")
    assert "with a schema: expected 'columns'" in refused(
        "fit", "t.csv", "--schema", "s.json", "--likelihood", "gaussian", "--out", "new", *TINY
    )
    assert not (place / "new").exists()


def test_rows_that_do_not_suit_the_fit(place):
    done(*FIT)
    frame = pd.read_csv("t.csv").drop(columns=["source"])
    cases: dict[str, tuple[pd.DataFrame, str]] = {
        "count": (changed("calls", 9, 0.5)(frame), "column 'calls' (first '0.5' in row 9, counted from 0)"),
        "text": (changed("score", 9, "high")(frame), "column 'score' (first 'high' in row 9, counted from 0)"),
        "infinity": (changed("score", 9, "inf")(frame), "infinity in column 'score', data row 10"),
        "far": (changed("score", 9, 1e29)(frame), "value 1e+29 in column 'score': more than 1e+12 standard deviations"),
        "other columns": (frame.add_prefix("x"), "no column of the fit is there"),
    }
    before = tree(place / "run")
    for frame, message in cases.values():
        frame.to_csv("bad.csv", index=False)
        found = refused("evaluate", "run", "bad.csv", "--json")
        assert message in found
        assert refused("cluster", "run", "bad.csv", "--out", "l.csv") == found
        assert refused("report", "run", "--data", "bad.csv")
    assert not (place / "l.csv").exists()
    assert tree(place / "run") == before
    np.savez("x.npz", x=np.zeros((5, 3)))
    assert "rows of 3 columns; expected 11 columns" in refused("evaluate", "run", "x.npz")


def test_levels_of_validation_rows_that_are_new_are_missing():
    frame = mixed(60)
    valid = frame.copy()
    valid.loc[4, "plan"] = "gold"
    with pytest.warns(FitWarning, match="column 'plan' has 'gold' in 1 cell: not there in the fit, taken as missing"):
        CPVAE(2, **QUICK).fit(frame, X_valid=valid)


# ---------------------------------------------------------------- copies with hidden cells


@pytest.fixture(scope="module")
def by_one_column() -> tuple[CPVAE, pd.DataFrame, np.ndarray]:
    """Fit three known categories that one column tells, of which no training row lacks a cell."""
    random, c = np.random.default_rng(0), np.arange(300) % 3
    table = pd.DataFrame({"a": 4.0 * (c - 1) + random.normal(size=300), "b": random.choice(["u", "v"], 300)})
    model = CPVAE(3, max_epochs=20, learning_rate=0.02, batch_size=20, latent_dim=2, hidden=(16,), random_state=0).fit(
        table, known=c
    )
    return model, table, c


def test_a_row_without_what_tells_its_category_may_be_in_any(by_one_column):
    """The middle category looks like a column that is hidden, unless hidden cells were seen in training."""
    model, table, c = by_one_column
    assert (model.predict(table) == c).mean() > 0.95
    np.testing.assert_allclose(model.predict_proba(table.assign(a=np.nan)).mean(0), 1 / 3, atol=0.15)


def test_gaps_are_answered_by_the_encoder_and_whole_rows_by_bounds(by_one_column, tmp_path):
    model, table, _ = by_one_column
    table = table.head(20).copy()
    table.loc[:9, "a"] = np.nan
    found = model.evaluate(table)
    np.testing.assert_array_equal(found.proba[:10], found.q_c[:10])
    assert not np.isclose(found.proba[10:], found.q_c[10:], atol=1e-4).all()
    np.testing.assert_array_equal(model.predict_proba(table), found.proba)
    model.save(tmp_path / "model")
    np.testing.assert_array_equal(load(tmp_path / "model").predict_proba(table), found.proba)


def test_fits_without_hidden_cells_stay_as_they_were(tmp_path):
    """As those of files from before: gaps of the training rows alone are seen, and bounds answer for all rows."""
    table = mixed(60)
    model = CPVAE(2, max_epochs=1, latent_dim=2, hidden=(8,), augment="none", random_state=0).fit(table)
    assert len(model.model_.likelihood.gaps) == sum(column.missing > 0 for column in model.schema_.columns)
    model.save(tmp_path / "model")
    tensors, meta = load_tensors(tmp_path / "model")
    del meta["fitted"]["consistent"], meta["params"]["augment"], meta["format_version"], meta["sha256"]
    save_tensors(tmp_path / "old", tensors, meta)
    old = load(tmp_path / "old")
    assert not old.consistent_
    np.testing.assert_array_equal(old.predict_proba(table), model.predict_proba(table))
    with pytest.raises(InputError, match="augment='hide' for rows taken for matrix: expected table whose columns have"):
        CPVAE(2, augment="hide", max_epochs=1).fit(np.random.default_rng(0).normal(size=(30, 3)))
