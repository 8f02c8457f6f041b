"""Rows given what is known, and missing cells filled: against closed forms, quadrature and rejected draws."""

from __future__ import annotations

import copy
import re
import shlex
import warnings
from datetime import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from scipy import sparse, stats
from scipy.special import logsumexp, softmax
from torch.distributions import Normal

from conftest import Solved
from cpvae import CPHVAE, CPVAE, HVAE, VAE, InputError, MoGVAE, VampHVAE, VampVAE, load
from cpvae.checkpoints import load_tensors, save_tensors
from cpvae.data.columns import Column
from cpvae.data.conditions import parse_given, read_given
from cpvae.data.rows import Rows
from cpvae.data.schema import Schema
from cpvae.errors import FitWarning
from cpvae.estimators import stretch
from cpvae.nn.draws import seeded
from cpvae.nn.layers import Dense
from cpvae.probability import recipes
from cpvae.probability.conditional import Candidates, Known, Prior, candidates, complete, expected
from cpvae.probability.likelihoods.columns import Columns
from cpvae.probability.likelihoods.counts import Counts
from cpvae.probability.likelihoods.mixed import CountColumns
from cpvae.probability.likelihoods.ranges import draw_within, log_mass
from cpvae.probability.likelihoods.zero_inflated import ZeroInflatedCounts
from cpvae.probability.models import VAE as VAEModule
from test_cli import SMALL, done, refused, tree

torch.set_num_threads(1)
TINY: dict[str, Any] = {"latent_dim": 2, "hidden": (16,), "random_state": 0, "validation_fraction": 0.2}
RING = {"ring": "ignore"}


def birds(n: int = 240, missing: float = 0.1) -> pd.DataFrame:
    """Draw a table like that of the penguins: three species, each with its bills, weights, nests and islands."""
    random = np.random.default_rng(0)
    k = random.integers(3, size=n)
    table = pd.DataFrame(
        {
            "ring": [f"N{i:04d}" for i in range(n)],
            "island": np.array(["Biscoe", "Dream", "Torgersen"])[np.where(random.random(n) < 0.9, k, (k + 1) % 3)],
            "bill": (np.array([38.0, 48.0, 47.0])[k] + 2.5 * random.normal(size=n)).round(1),
            "mass": (np.array([3700, 3730, 5080])[k] + 400 * random.normal(size=n)).round(),
            "eggs": random.poisson(np.array([1.0, 4.0, 12.0])[k]),
        }
    )
    gaps = random.random((n, 3)) < missing
    for j, name in enumerate(("island", "bill", "mass")):
        table.loc[gaps[:, j], name] = None
    return table


@pytest.fixture(scope="module")
def fitted() -> CPVAE:
    return CPVAE(3, max_epochs=30, learning_rate=0.02, batch_size=64, schema=RING, **TINY).fit(birds())


def one(model: VAEModule, known: Known, n: int, weights: torch.Tensor | None = None) -> Candidates:
    with seeded(0):
        (found,) = candidates(model, known, Prior(model.latent(), weights), n)
    return found


# ---------------------------------------------------------------- exact answers


@pytest.fixture
def partly(solve) -> tuple[Solved, VAEModule, torch.Tensor]:
    """Make a solved mixture, its model with missing cells, and rows of which columns 0, 2 and 4 are missing."""
    solved = solve(n=6)
    own = solved.model
    likelihood = own.likelihood.with_gaps()
    assert likelihood is not None
    assert own.likelihood.gaps is None  # the model itself stays as it was
    model = VAEModule(own.posterior, own.prior, own.decoder, likelihood, own.latent_dim)
    y = solved.y.clone()
    y[:, [0, 2, 4]] = torch.nan
    return solved, model, y


def test_a_mixture_of_gaussians_given_some_columns(partly):
    """Categories, means of missing cells and the density of those given, from the normal distribution's formulas."""
    solved, model, y = partly
    there, gone = [1, 3], [0, 2, 4]
    x = solved.x.numpy()
    log_joint = np.stack(
        [
            w + stats.multivariate_normal(loc[there], cov[np.ix_(there, there)]).logpdf(x[:, there])
            for w, loc, cov in zip(solved.log_weights, solved.loc, solved.covariance, strict=True)
        ],
        -1,
    )
    proba = softmax(log_joint, -1)
    means = np.stack(
        [
            loc[gone]
            + (x[:, there] - loc[there]) @ np.linalg.solve(cov[np.ix_(there, there)], cov[np.ix_(there, gone)])
            for loc, cov in zip(solved.loc, solved.covariance, strict=True)
        ],
        1,
    )
    for i in range(len(y)):
        found = one(model, Known(y[i : i + 1]), 40_000)
        shares = torch.zeros(3).double().index_add(0, found.c[0], found.shares[0]).numpy()
        assert 0.5 * np.abs(shares - proba[i]).sum() < 1e-2
        assert found.effective[0] > 4_000
        assert float(found.log_known[0]) == pytest.approx(logsumexp(log_joint[i]), abs=0.05)
        mean = model.likelihood.to_data(expected(model, Known(y[i : i + 1]), found))[0].numpy()
        spread = model.likelihood.scale.numpy()[gone]
        assert (np.abs(mean[gone] - proba[i] @ means[i]) / spread).max() < 0.05
        np.testing.assert_allclose(mean[there], x[i, there])


def test_one_category_is_a_condition_too(partly):
    solved, model, y = partly
    found = one(model, Known(y[:1]), 4_000, torch.eye(3).double()[2])
    assert bool((found.c == 2).all())
    there = [1, 3]
    exact = stats.multivariate_normal(solved.loc[2][there], solved.covariance[2][np.ix_(there, there)])
    assert float(found.log_known[0]) == pytest.approx(exact.logpdf(solved.x[0, there].numpy()), abs=0.05)


@pytest.fixture(scope="module")
def network() -> VAEModule:
    """Make a random network over a number, three levels and a count; its encoder knows nothing of its decoder."""
    torch.manual_seed(3)
    columns = (Column("a", "numeric", (), 1), Column("b", "categorical", ("u", "v", "w"), 1), Column("c", "count"))
    likelihood = Columns(Schema(columns, ("a", "b", "c"))).double()
    likelihood.count_mean.fill_(3.0)
    likelihood.log_noise.data.fill_(-1.0)
    model = recipes.cpvae(likelihood, n_components=2, latent_dim=1, network=Dense((6,)), weights="learned").double()
    for parameter in model.parameters():
        parameter.data.add_(0.7 * torch.randn_like(parameter))
    return model.requires_grad_(False)


@pytest.mark.parametrize("weights", [None, [0.9, 0.1]])
@pytest.mark.parametrize(
    ("values", "ranges"),
    [
        ([0.5, np.nan, np.nan], {}),
        ([np.nan, np.nan, 4.0], {0: (-0.5, 0.25)}),
        ([np.nan, np.nan, np.nan], {0: (0.3, np.inf), 2: (5.0, 9.0)}),
    ],
)
def test_levels_given_values_and_ranges_by_quadrature(network, values, ranges, weights):
    model, likelihood, prior = network, network.likelihood, network.prior
    steps = torch.linspace(-10, 10, 4001, dtype=torch.float64)
    log_w = np.log(weights) if weights else prior.logits.log_softmax(-1).numpy()
    r = float(likelihood.concentration)
    joint, levels = [], []
    for k in range(2):
        z = prior.loc[k] + prior.scale[k] * steps
        params = model.decoder(z[None, :, None], torch.full((1, len(z)), k))[0].numpy()
        number = stats.norm(params[:, 0], float(likelihood.noise[0]))
        mean = 3.0 * np.exp(params[:, 1])
        count = stats.nbinom(r, r / (r + mean))
        log_p = stats.norm.logpdf(steps.numpy()) + np.log(0.005) + log_w[k]
        log_p += number.logpdf(values[0]) if not np.isnan(values[0]) else 0.0
        log_p += count.logpmf(values[2]) if not np.isnan(values[2]) else 0.0
        if 0 in ranges:
            log_p += np.log(number.cdf(ranges[0][1]) - number.cdf(ranges[0][0]))
        if 2 in ranges:
            log_p += logsumexp([count.logpmf(i) for i in range(5, 10)], 0)
        joint.append(log_p)
        levels.append(softmax(params[:, 2:], -1))
    exact = np.exp(np.stack(joint) - logsumexp(joint))
    expected_levels = np.einsum("kz,kzl->l", exact, np.stack(levels))
    low, high = (torch.full((3,), torch.nan).double() for _ in range(2))
    for place, ends in ranges.items():
        low[place], high[place] = ends
    known = Known(torch.tensor([values]).double(), low, high)
    found = one(model, known, 30_000, None if weights is None else torch.tensor(weights).double())
    probs = model.decoder(found.z, found.c)[0, :, 2:].softmax(-1)
    assert 0.5 * np.abs((found.shares[0] @ probs).numpy() - expected_levels).sum() < 1e-2
    assert 0.5 * abs(float(found.shares[0] @ (found.c[0] == 0).double()) - exact[0].sum()) < 1e-2
    assert float(found.log_known[0]) == pytest.approx(logsumexp(joint), abs=0.05)
    with seeded(0):
        drawn = complete(model, known, *found.take(8_000))[0].numpy()
    share = np.bincount(drawn[:, 1].astype(int), minlength=3) / len(drawn)
    assert 0.5 * np.abs(share - expected_levels).sum() < 2e-2
    for j, (least, most) in ranges.items():
        assert ((drawn[:, j] >= least) & (drawn[:, j] <= most)).all()
    for j in np.flatnonzero(~np.isnan(values)):
        assert (drawn[:, j] == values[j]).all()


@pytest.mark.parametrize(("low", "high"), [(-0.5, 1.0), (2.0, np.inf), (-np.inf, 0.3), (30.0, 31.0), (-31.0, -30.0)])
def test_truncated_normals(low, high):
    column = Normal(torch.zeros(4_000, 1).double(), torch.ones(1).double())
    ends = torch.tensor([low]).double(), torch.tensor([high]).double()
    truncated = stats.truncnorm(low, high)
    drawn = draw_within(column, *ends)[:, 0].numpy()
    assert stats.kstest(drawn, truncated.cdf).pvalue > 1e-3
    mass = stats.norm.logsf(low) if high > 30 and low > 0 else np.log(stats.norm.cdf(high) - stats.norm.cdf(low))
    if abs(low) < 30 or low == -np.inf or low == 30:
        assert float(log_mass(column, *ends)[0, 0]) == pytest.approx(mass, rel=1e-6)


@pytest.mark.parametrize(("low", "high"), [(0, 2), (3, 7), (60, np.inf), (100, 110), (-np.inf, 4)])
def test_truncated_counts(low, high):
    r, mean = 2.5, 6.0
    column = CountColumns(torch.tensor([r]).double(), logits=torch.full((4_000, 1), np.log(mean / r)).double())
    ends = torch.tensor([float(low)]), torch.tensor([float(high)])
    pmf = stats.nbinom(r, r / (r + mean)).pmf(np.arange(2_000))
    inside = np.where((np.arange(2_000) >= low) & (np.arange(2_000) <= high), pmf, 0)
    assert float(log_mass(column, *ends)[0, 0].exp()) == pytest.approx(inside.sum(), rel=1e-6)
    drawn = draw_within(column, *ends)[:, 0].numpy()
    assert drawn.min() >= low
    assert drawn.max() <= high
    mean_inside = (inside * np.arange(2_000)).sum() / inside.sum()
    assert abs(drawn.mean() - mean_inside) < 5 * drawn.std() / np.sqrt(len(drawn)) + 1e-9


# ---------------------------------------------------------------- estimators


@pytest.mark.parametrize("make", [CPVAE, VAE, MoGVAE, VampVAE, HVAE, VampHVAE, CPHVAE])
def test_rows_are_those_of_sample_that_fulfil_what_is_given(make):
    """For every model: levels, means and components of rows that `sample` happens to draw so, without their waste."""
    model = make(max_epochs=2, schema=RING, **TINY, **({"n_components": 3} if make not in (VAE, HVAE) else {})).fit(
        birds()
    )
    rows, c = model.sample(4_000, given={"mass": (3500, 4200), "eggs": (1, None)})
    plain, k = model.sample(40_000)
    kept = plain["mass"].between(3500, 4200) & (plain["eggs"] >= 1)
    plain, k = plain[kept], k[kept]
    assert rows["mass"].between(3500, 4200).all()
    assert (rows["eggs"] >= 1).all()
    assert list(rows.dtypes) == list(plain.dtypes)
    effective = rows.attrs["effective"]
    assert 1_000 < effective <= rows.attrs["candidates"] == 16_000
    for values, others in [
        *((rows[name], plain[name]) for name in ("bill", "mass", "eggs")),
        *((rows["island"] == level, plain["island"] == level) for level in ("Biscoe", "Dream")),
        *((c == j, k == j) for j in range(3)),
    ]:
        error = np.std(others) * np.sqrt(1 / len(plain) + 1 / effective + 1 / len(rows))
        assert abs(np.mean(values) - np.mean(others)) < 4.5 * error + 1e-9


def test_given_cells_are_as_given(fitted):
    rows, c = fitted.sample(50, given={"island": "Dream", "bill": 47.3, "eggs": (2, 5)}, component=1)
    assert rows.columns.tolist() == ["island", "bill", "mass", "eggs"]
    assert set(rows["island"]) == {"Dream"}
    assert set(rows["bill"]) == {47.3}
    assert rows["eggs"].between(2, 5).all()
    assert rows["eggs"].dtype.kind == "i"
    assert (rows["mass"] == rows["mass"].round()).all()
    assert set(c) == {1}
    again, _ = fitted.sample(50, given={"island": "Dream", "bill": 47.3, "eggs": (2, 5)}, component=1)
    pd.testing.assert_frame_equal(rows, again)


def test_a_bill_follows_from_the_island_and_the_eggs(fitted):
    small, _ = fitted.sample(400, given={"island": "Biscoe", "eggs": 0})
    large, _ = fitted.sample(400, given={"island": "Torgersen", "eggs": (10, None)})
    assert small["bill"].mean() + 3 < large["bill"].mean()
    assert small["mass"].mean() + 500 < large["mass"].mean()


def test_dates_amounts_and_bounds_are_given_in_their_own_units():
    random = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "day": pd.Series(pd.Timestamp("2024-01-01") + pd.to_timedelta(random.integers(0, 700, 150), "D"))
            .dt.strftime("%d.%m.%Y")
            .astype(object),
            "income": random.lognormal(7, 1, 150).round(2),
            "stars": random.integers(1, 6, 150) + 0.0,
            "free": random.random(150),
        }
    )
    model = VAE(max_epochs=1, schema={"stars": "numeric", "income": "amount"}, **TINY).fit(table)
    asked = {"day": ("01.03.2024", "31.03.2024"), "income": (500, 1000), "stars": (None, 1)}
    rows, _ = model.sample(200, given=asked)
    assert rows["day"].str.endswith(".03.2024").all()
    assert rows["day"].nunique() > 20
    assert rows["income"].between(500, 1000).all()
    assert (rows["stars"] == 1).all()
    plain, _ = model.sample(20_000)
    near = plain[plain["income"].between(500, 1000)]
    assert rows["income"].mean() == pytest.approx(near["income"].mean(), abs=40)
    with pytest.raises(InputError, match=r"given stars=6: no row has it, the nearest that one can have is 5"):
        model.sample(1, given={"stars": 6})


def test_a_matrix_of_measurements():
    random = np.random.default_rng(0)
    z = random.normal(size=300)
    x = np.column_stack([z, z + 0.1 * random.normal(size=300), np.full(300, 3.0)])
    with pytest.warns(FitWarning, match="constant"):
        model = VAE(max_epochs=40, learning_rate=0.01, **TINY).fit(x)
    rows, _ = model.sample(300, given={0: 1.5})
    assert rows.shape == (300, 3)
    assert set(rows[:, 0]) == {1.5}
    assert set(rows[:, 2]) == {3.0}
    assert rows[:, 1].mean() == pytest.approx(1.5, abs=0.5)
    with pytest.raises(InputError, match="given 2=4: no row has it, the nearest that one can have is 3"):
        model.sample(1, given={2: 4})


def test_log_prob_takes_lists(fitted):
    with pytest.raises(InputError, match=r"columns='bill': expected a list of names; give \['bill'\]"):
        fitted.log_prob(birds(3), "bill")
    with pytest.raises(InputError, match="columns=5: expected a list of names"):
        fitted.log_prob(birds(3), 5)


def test_log_prob_of_some_columns(fitted):
    """It is a density: over the levels it adds up to one, and the parts of a row add up to the whole."""
    table = birds()[["island", "bill", "mass", "eggs"]].dropna().head(8)
    levels = [table.assign(island=level) for level in ("Biscoe", "Dream", "Torgersen")]
    proba = np.exp([fitted.log_prob(rows, ["island"], ["bill", "eggs"], 4_000) for rows in levels]).sum(0)
    np.testing.assert_allclose(proba, 1, atol=0.03)
    first = fitted.log_prob(table, ["island", "bill"], n_samples=4_000)
    rest = fitted.log_prob(table, ["mass", "eggs"], ["island", "bill"], n_samples=4_000)
    np.testing.assert_allclose(first + rest, fitted.log_likelihood(table, 4_000), atol=0.1)
    with pytest.raises(InputError, match=r"^'bil': no such column; did you mean 'bill'\?; 'eggs' is in columns and in"):
        fitted.log_prob(table, ["bil", "eggs"], ["eggs"])


def test_rows_of_which_two_thirds_of_the_columns_are_given_by_quadrature():
    """A fitted model with a code of one dimension: components, levels and numbers of its rows, within 1e-2."""
    random, table = np.random.default_rng(1), birds(300, 0.0)
    heavy = table["mass"] + 300 * random.normal(size=300) > 4200
    table["sex"] = np.where(heavy, "male", np.where(random.random(300) < 0.8, "female", "unknown"))
    table["wing"] = (0.02 * table["mass"] + 8 * random.normal(size=300)).round()
    small = TINY | {"latent_dim": 1, "hidden": (8,)}
    model = CPVAE(3, max_epochs=6, learning_rate=0.02, batch_size=64, schema=RING, **small).fit(table)
    given = {"island": "Dream", "bill": 45.1, "eggs": 6, "wing": 86}
    n, steps = 40_000, torch.linspace(-8, 8, 2001)
    module = model.model_.requires_grad_(False)
    likelihood = module.likelihood
    assert likelihood.amount is None
    whole = table.drop(columns="ring").head(1).assign(mass=np.nan, sex=None, **given)
    y = next(iter(model._units(whole)))
    joint, levels, masses = [], [], []
    edges = np.array([-np.inf, *(np.arange(3000, 5500, 500) + 0.5), np.inf])
    for k in range(3):
        z = module.prior.loc[k] + module.prior.scale[k] * steps
        params = module.decoder(z[None, :, None], torch.full((1, len(z)), k))
        parts = {int(i): (part, j) for places, part in likelihood.parts(params) for j, i in enumerate(places)}
        names = list(model.schema_.names)
        mass, j = parts[names.index("mass")]
        place = likelihood.numeric.tolist().index(names.index("mass"))
        units = (edges - float(likelihood.loc[place])) / float(likelihood.scale[place])
        masses.append(np.diff(stats.norm(mass.loc[0, :, j].numpy()[:, None], mass.scale[0, 0, j]).cdf(units)))
        sex, j = parts[names.index("sex")]
        levels.append(sex.probs[0, :, j].numpy())
        log_z = stats.norm.logpdf(steps.numpy()) + np.log(model._component_weights()[k].item())
        joint.append(log_z + likelihood.log_prob(params, y)[0].numpy())
    exact = np.exp(np.stack(joint).astype(float) - logsumexp(joint))
    rows, c = model.sample(n, given=given, random_state=0)
    assert rows.attrs["effective"] > 0.4 * n
    found = (np.bincount(c, minlength=3) / n, exact.sum(1))
    order = list(next(column for column in model.schema_.columns if column.name == "sex").levels)
    found += (
        rows["sex"].value_counts(normalize=True).reindex(order, fill_value=0),
        np.einsum("kz,kzl->l", exact, levels),
    )
    found += (np.histogram(rows["mass"], edges)[0] / n, np.einsum("kz,kzb->b", exact, masses))
    far = [0.5 * np.abs(drawn - right).sum() for drawn, right in zip(found[::2], found[1::2], strict=True)]
    assert found[1].max() < 0.9  # no certain answer
    assert max(far) < 1e-2, far


# ---------------------------------------------------------------- filled tables


def test_intervals_of_filled_cells_hold_what_they_say(fitted):
    """A cell and its fifty draws are from one distribution, so that its rank is uniform: 46 of 51 are in the middle."""
    rows, _ = fitted.sample(300, random_state=1)
    random = np.random.default_rng(0)
    gone = random.random(rows.shape) < 0.6
    gone[gone.all(1), 0] = False
    holes = rows.mask(gone)
    filled = fitted.impute(holes, 50)
    inside = []
    for name in ("bill", "mass", "eggs"):
        place = gone[:, rows.columns.get_loc(name)]
        truth, draws = (one[name].to_numpy(float)[..., place] for one in (rows, filled[0]))
        draws = np.stack([table[name].to_numpy(float)[place] for table in filled])
        ties = random.random(truth.shape) * ((draws == truth).sum(0) + 1)
        rank = (draws < truth).sum(0) + ties.astype(int)
        inside.append((rank >= 3) & (rank <= 48))
    inside = np.concatenate(inside)
    assert len(inside) > 500
    assert 0.88 < inside.mean() < 0.92
    place = gone[:, 0]
    proba = np.mean([table["island"][place].to_numpy() == rows["island"][place].to_numpy() for table in filled], 0)
    own = fitted.impute(holes, mean=True)["island"][place]
    assert (own.to_numpy() == rows["island"][place].to_numpy()).mean() > proba.mean()


def test_a_model_that_is_too_sure_is_stretched(fitted):
    """A model with too little noise is measured by rows of the right one, and its intervals then hold what they say."""
    model = copy.deepcopy(fitted)
    with torch.no_grad():
        model.model_.likelihood.log_noise -= 0.6
    rows, _ = fitted.sample(450, random_state=2)
    model.stretch_ = 1.0
    right, sure = (Rows(model.schema_.encode(one)) for one in (rows[:200], model.sample(200)[0]))
    own = stretch.measure(model, sure, right)  # as if it had learned its training rows by heart
    assert 1.2 < own < 2.0
    assert stretch.measure(model, right, sure) > 1.2  # no more than chance makes it less
    assert stretch.measure(model, sure, sure) < 1.1
    gone = np.random.default_rng(0).random((250, 4)) < 0.4
    gone[:, 0] = False
    holes = rows[200:].mask(gone)
    found = []
    for model.stretch_ in (1.0, own):
        with pytest.warns(FitWarning, match="rare under the model"):  # as rows are for one that is too sure
            filled, inside = model.impute(holes, stretch.DRAWS, random_state=0), []
        for name in ("bill", "mass"):
            place = gone[:, rows.columns.get_loc(name)]
            truth = rows[name][200:][place].to_numpy()
            draws = np.sort([table[name][place].to_numpy() for table in filled], 0)
            inside.append((draws[1] <= truth) & (truth <= draws[-2]))
        found.append((np.concatenate(inside).mean(), pd.concat(one["eggs"] for one in filled)))
    assert found[0][0] < 0.8
    assert 0.86 < found[1][0] < 0.94
    assert (found[0][1] == found[1][1]).all()  # counts and levels are drawn as they were


def test_a_stretch_is_kept(fitted, tmp_path: Path):
    file = tmp_path / "model.safetensors"
    assert fitted.stretch_ >= 1
    fitted.save(file)
    assert load(file).stretch_ == fitted.stretch_
    tensors, meta = load_tensors(file)
    del meta["fitted"]["stretch"]
    save_tensors(file, tensors, meta)
    assert load(file).stretch_ == 1  # as of a version that had none
    for bad in (0.5, "wide", None):
        meta["fitted"]["stretch"] = bad
        save_tensors(file, tensors, meta)
        with pytest.raises(InputError, match=r"stretch=.*: expected a number 1 or above 1"):
            load(file)
    few = Rows(fitted.schema_.encode(birds(stretch.LEAST_ROWS - 1)))
    assert stretch.measure(fitted, Rows(fitted.schema_.encode(birds())), few) == 1  # too few to tell


def test_observed_cells_stay_as_they_were(fitted):
    table = birds(40, 0.3).set_index(np.arange(40) + 7)
    table["note"] = [None, "x"] * 20
    table["island"] = table["island"].astype("category")
    table["eggs"] = table["eggs"].astype("Int64").mask(np.arange(40) % 5 == 0)
    table["mass"] = table["mass"].astype("float32")
    table = table[["note", "eggs", "mass", "island", "ring", "bill"]]
    before = table.copy()
    with (
        pytest.warns(FitWarning, match=r"no part of the model, so that missing cells stay: 'note' \(20 cells\)"),
        pytest.warns(FitWarning, match="that the fit did not have, left out"),
    ):
        filled = fitted.impute(table, 2)
    pd.testing.assert_frame_equal(table, before)
    assert len(filled) == 2
    for new in filled:
        assert new.dtypes.to_dict() == table.dtypes.to_dict()
        assert new.index.tolist() == table.index.tolist()
        assert int(new.drop(columns="note").isna().sum().sum()) == 0
        pd.testing.assert_frame_equal(new.where(table.notna()), table.where(table.notna()))
    assert not filled[0].equals(filled[1])
    assert filled[0].equals(fitted_quietly(fitted, table)[0])


def fitted_quietly(model: CPVAE, table: Any) -> Any:
    with pytest.warns(FitWarning):
        return model.impute(table, 2)


def test_levels_that_the_fit_did_not_have_are_no_gaps(fitted):
    table = birds(20, 0.0)[["island", "bill", "mass", "eggs"]]
    table.loc[3, "island"], table.loc[4, "island"] = "Gough", None
    with pytest.warns(FitWarning, match="'Gough' in 1 cell"):
        filled = fitted.impute(table, 1)[0]
    assert filled.loc[3, "island"] == "Gough"
    assert filled.loc[4, "island"] in ("Biscoe", "Dream", "Torgersen")


def test_containers_of_filled_tables(fitted):
    table = birds(20, 0.3).drop(columns="ring")
    table["eggs"] = table["eggs"].where(np.arange(20) > 3)
    frame = pl.DataFrame({name: table[name].astype(object).where(table[name].notna(), None).tolist() for name in table})
    filled = fitted.impute(frame, 1)[0]
    assert isinstance(filled, pl.DataFrame)
    assert filled.null_count().to_numpy().sum() == 0
    x = np.random.default_rng(0).normal(size=(80, 3)).astype(np.float32)
    x[::4, 1] = np.nan
    model = VAE(max_epochs=1, **TINY).fit(x)
    array = model.impute(x, 1)[0]
    assert isinstance(array, np.ndarray)
    assert array.dtype == np.float32
    assert not np.isnan(array).any()
    np.testing.assert_array_equal(array[:, [0, 2]], x[:, [0, 2]])
    whole = birds(10, 0.0)
    pd.testing.assert_frame_equal(fitted.impute(whole, 1)[0], whole)


@pytest.mark.parametrize("nothing", [None, np.nan, pd.NaT, pd.NA])
def test_a_column_without_a_value_is_filled_whatever_its_type(fitted, nothing):
    table = birds(20, 0.0).drop(columns="ring").assign(island=nothing, mass=nothing)
    for filled in (fitted.impute(table, 1)[0], fitted.impute(table, mean=True)):
        assert set(filled["island"]) <= {"Biscoe", "Dream", "Torgersen"}
        assert filled["mass"].between(1000, 9000).all()
    strange = table.assign(island=np.where(np.arange(20) < 3, 7.0, np.nan))
    with pytest.warns(FitWarning, match=r"'7.0' in 3 cells"):
        assert set(fitted.impute(strange, 1)[0]["island"]) <= {7.0, "Biscoe", "Dream", "Torgersen"}


@pytest.mark.parametrize(
    "dtype", ["str", "float", "Int64", "boolean", "category", "datetime64[ns]", "timedelta64[ns]", "period[M]"]
)
def test_a_column_without_a_value_may_have_any_type(dtype):
    random, n = np.random.default_rng(0), 40
    table = pd.DataFrame(
        {
            "size": random.normal(size=n),
            "group": random.choice(["x", "y"], n),
            "member": random.choice([True, False], n),
            "month": pd.period_range("2020-01", periods=n, freq="M"),
            "day": pd.date_range("2020-01-01", periods=n),
        }
    )
    model = CPVAE(2, latent_dim=2, hidden=(8,), max_epochs=1, init="kmeans", random_state=0).fit(table)
    for name in table:
        filled = model.impute(table.assign(**{name: pd.Series([None] * n).astype(dtype)}), 1)[0]
        assert filled[name].notna().all()
        pd.testing.assert_frame_equal(filled.drop(columns=name), table.drop(columns=name))


def test_dates_as_text_are_filled_as_text():
    table = pd.DataFrame({"day": pd.date_range("2020-01-01", periods=40), "size": np.arange(40) / 4})
    model = CPVAE(2, latent_dim=2, hidden=(8,), max_epochs=1, init="kmeans", random_state=0).fit(table)
    text = table["day"].dt.strftime("%Y-%m-%d").astype("str").where(table.index > 0)
    filled = model.impute(table.assign(day=text), 1)[0]["day"]
    assert filled[1:].tolist() == text[1:].tolist()
    assert pd.Timestamp(filled[0]).normalize() == pd.Timestamp(filled[0])


def test_a_mark_of_a_missing_cell_leaves_numbers_as_they_are_written(fitted):
    table = birds(20, 0.0).drop(columns="ring")
    table["mass"] = ["?", *map(str, table["mass"][1:])]
    filled = fitted.impute(table, 1)[0]["mass"]
    assert filled[1:].tolist() == table["mass"][1:].tolist()
    assert 1000 < float(filled[0]) < 9000


def test_numbers_with_separators_are_plain_where_some_are_filled(fitted):
    table = birds(20, 0.0).drop(columns="ring")
    table["mass"] = [f"{value:,.0f} g" if i else None for i, value in enumerate(table["mass"])]
    with pytest.warns(FitWarning, match="numbers with signs or separators are written without them, .*: 'mass'"):
        filled = fitted.impute(table, 1)[0]
    assert filled["mass"].dtype == float
    assert filled["mass"][1:].tolist() == birds(20, 0.0)["mass"][1:].tolist()


def test_columns_of_every_type_keep_it():
    random = np.random.default_rng(0)
    n = 60
    days = pd.Series(pd.Timestamp("2024-01-01") + pd.to_timedelta(random.integers(0, 300, n), "D"))
    table = pd.DataFrame(
        {
            "zoned": days.dt.tz_localize("Europe/Paris"),
            "day": days,
            "month": days.dt.to_period("M"),
            "paid": pd.Series(random.random(n) < 0.5, dtype="boolean"),
            "old": pd.Series(random.random(n) < 0.5, dtype=object),
            "grade": pd.Categorical(random.choice(["a", "b"], n), ["b", "a"], ordered=True),
            "rooms": pd.Series(random.integers(1, 9, n), dtype="Int16"),
            "text": pd.Series(random.normal(size=n).round(2)).map(str).astype(object),
            "size": random.normal(size=n),
        }
    )
    gaps = random.random(table.shape) < 0.2
    gaps[:, -1] = False
    holes = table.mask(gaps)
    model = VAE(max_epochs=1, **TINY).fit(holes)
    for filled in (*model.impute(holes, 2), model.impute(holes, mean=True)):
        assert filled.dtypes.to_dict() == holes.dtypes.to_dict()
        assert int(filled.isna().sum().sum()) == 0
        pd.testing.assert_frame_equal(filled.mask(gaps), holes)
        assert {type(cell) for cell in filled["text"]} == {str}
        assert set(filled["old"]) == {True, False}


def test_signals_with_missing_values():
    x = np.random.default_rng(0).normal(size=(40, 2, 9))
    x[::3, 1, 5:] = np.nan
    model = VAE(max_epochs=1, **TINY).fit(x)
    filled = model.impute(x, 2)
    assert filled[1].shape == x.shape
    assert not np.isnan(filled[0]).any()
    np.testing.assert_array_equal(np.where(np.isnan(x), np.nan, filled[0]), x)
    with pytest.raises(InputError, match=r"given for signals of shape \(2, 9\): expected an array of shape \(2, 9\)"):
        model.sample(1, given={"a": 1})
    with pytest.raises(InputError, match=r"columns of signals of shape \(2, 9\), which have none"):
        model.log_prob(x, ["a"])
    rows, _ = model.sample(3, given=np.where(np.arange(9) < 4, x[1], np.nan))
    assert rows.shape == (3, 2, 9)
    np.testing.assert_array_equal(rows[:, :, :4], np.broadcast_to(x[1, :, :4], (3, 2, 4)))


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"bil": 1}, "given 'bil': no such column; did you mean 'bill'?"),
        ({"ring": "N0001"}, "given 'ring': is left out of the model"),
        ({"island": "Bisco"}, "given island=Bisco: no such level in the fit; did you mean 'Biscoe'?"),
        ({"island": ("Biscoe", "Dream")}, "given island=(Biscoe, Dream): a range of levels; expected one of 'Biscoe'"),
        ({"mass": (4000, 3000)}, "the range is the wrong way round; expected (3000, 4000)"),
        ({"eggs": -1}, "given eggs=-1: no row has it, the nearest that one can have is 0"),
        ({"eggs": 10**9}, "given eggs=1000000000: no row has it, the nearest that one can have is 16777216"),
        ({"eggs": (10**6, 10**6 + 5)}, "what is given has probability zero under the model, for all candidates"),
        ({"eggs": 2.6}, "given eggs=2.6: no row has it, the nearest that one can have is 3"),
        ({"eggs": (-5, -2)}, "given eggs=(-5, -2): no row lies in it, the nearest value that one can have is 0"),
        ({"mass": (3000.2, 3000.4)}, "no row lies in it, the nearest value that one can have is 3000"),
        ({"mass": "heavy"}, "given mass=heavy: expected a finite number"),
        ({"mass": float("nan")}, "given mass=nan: expected a value; leave it out if nothing is known"),
        ({"mass": (1, 2, 3)}, "a range has two ends, not 3; expected (low, high)"),
        ({"mass": (None, None)}, "given mass=(None, None): a range without an end, of which nothing is known"),
        ({"mass": {3000, 4000}}, "expected a value, or a range as a tuple (low, high)"),
        ({"island": {"Dream"}}, "given island={'Dream'}: expected a value, or a range as a tuple (low, high)"),
        ({"mass": 10**400}, ": expected a finite number"),
        ({"mass": (0, 10**400)}, ": expected a finite number"),
        ({"mass": 1 + 2j}, "given mass=(1+2j): expected a finite number"),
        ({"mass": np.array([1, 2])}, "given mass=array([1, 2]): expected a value, or a range as a tuple (low, high)"),
        ({"mass": 1e25}, "more than 1e+12 standard deviations from the rows of the fit"),
        ("mass", "given=mass: expected columns with values or ranges"),
        ({"bil": 1, "eggs": -1}, "did you mean 'bill'?; given eggs=-1: no row has it"),
        (
            {"island": "Dream", "bill": 40.0, "mass": 4000, "eggs": (3, 3)},
            "given has a value for every column: nothing is left to draw; leave one or more out",
        ),
    ],
)
def test_what_cannot_be_given(fitted, given, message):
    with pytest.raises(InputError, match=re.escape(message)) as error:
        fitted.sample(3, given=given)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("make", [Counts, ZeroInflatedCounts])
@pytest.mark.parametrize(
    ("values", "ranges"),
    [
        ([np.nan, 0, np.nan, np.nan], {}),
        ([np.nan, 40, 22, 13], {}),
        ([np.nan, np.nan, 3, np.nan], {1: (4, 6)}),
        ([np.nan, np.nan, np.nan, np.nan], {3: (0, 2)}),
    ],
)
def test_counts_given_counts_and_ranges_by_quadrature(make, values, ranges):
    """Categories, depths and a missing count of a random network: sums over the code and the depth are the truth."""
    torch.manual_seed(3)
    likelihood, loc, scale = make(4).double(), 2.5, 0.6
    likelihood.log_share.copy_(torch.tensor([0.4, 0.3, 0.2, 0.1]).log())
    likelihood.log_concentration.data.copy_(torch.tensor([1.0, 0.0, 2.0, 0.5]))
    likelihood.depth.fill_(12.0)
    likelihood.log_depth.copy_(torch.tensor([loc, scale]))
    own = recipes.cpvae(likelihood, n_components=2, latent_dim=1, network=Dense((6,)), weights="learned").double()
    for parameter in (one for name, one in own.named_parameters() if "likelihood" not in name):
        parameter.data.add_(0.7 * torch.randn_like(parameter))
    own.requires_grad_(False)
    model = VAEModule(own.posterior, own.prior, own.decoder, likelihood.with_gaps(), 1)
    z, t = torch.linspace(-7, 7, 71).double(), loc + scale * np.linspace(-5, 5, 101)
    r, joint, missing = likelihood.concentration.numpy(), [], []
    for k in range(2):
        params = model.decoder((own.prior.loc[k] + own.prior.scale[k] * z)[None, :, None], torch.full((1, len(z)), k))
        rows = likelihood(params[0])
        mean = rows.log_share.exp().numpy()[:, None] * np.exp(t)[:, None]
        zeros = torch.sigmoid(getattr(rows, "logits", torch.full_like(rows.log_share, -torch.inf))).numpy()[:, None]

        def pmf(j, x, mean=mean, zeros=zeros):
            return (x == 0) * zeros[..., j] + (1 - zeros[..., j]) * stats.nbinom(
                r[j], r[j] / (r[j] + mean[..., j])
            ).pmf(x)

        log_p = stats.norm.logpdf(z.numpy())[:, None] + stats.norm.logpdf((t - loc) / scale) + np.log(0.2 * 0.1)
        log_p = log_p + float(own.prior.logits.log_softmax(-1)[k])
        with np.errstate(divide="ignore"):
            for j in np.flatnonzero(~np.isnan(values)):
                log_p = log_p + np.log(pmf(j, values[j]))
        for j, (first, last) in ranges.items():
            log_p = log_p + np.log(sum(pmf(j, x) for x in range(first, last + 1)))
        joint.append(log_p)
        empty = np.zeros_like(log_p)  # the chance that a row drawn at this code and depth has no count
        if not (np.nansum(values) or any(first for first, _ in ranges.values())):
            empty = np.prod([pmf(j, 0) for j in np.flatnonzero(np.isnan(values))], 0)
            for j, (first, last) in ranges.items():
                empty = empty / sum(pmf(j, x) for x in range(first, last + 1))
        missing.append(np.stack([(pmf(0, x) - (x == 0) * empty) / (1 - empty) for x in range(12)], -1))
    exact = np.exp(np.stack(joint) - logsumexp(joint))
    low, high = (torch.full((4,), torch.nan).double() for _ in range(2))
    for j, ends in ranges.items():
        low[j], high[j] = ends
    known = Known(torch.tensor([values]).double(), low, high)
    found = one(model, known, 20_000)
    assert found.effective[0] > 1_000
    assert float(found.log_known[0]) == pytest.approx(logsumexp(joint), abs=0.05)
    assert 0.5 * abs(float(found.shares[0] @ (found.c[0] == 0).double()) - exact[0].sum()) < 1e-2
    assert float(found.shares[0] @ found.depth[0].log()) == pytest.approx(np.einsum("kzt,t->", exact, t), abs=0.02)
    with seeded(0):
        c, code, depth = found.take(15_000)
        drawn = complete(model, known, c, code, depth)[0].numpy()
        each = model.likelihood.of_depth(depth)(model.decoder(code, c)).sample()[0].numpy()
    share = np.bincount(drawn[:, 0].astype(int), minlength=12)[:12] / len(drawn)
    assert 0.5 * np.abs(share - np.einsum("kzt,kztx->x", exact, missing)).sum() < 2e-2
    for j, (first, last) in ranges.items():
        assert set(drawn[:, j]) == set(range(first, last + 1))
    assert float(expected(model, known, found)[0, 0]) == pytest.approx(each[:, 0].mean(), rel=0.05)


@pytest.mark.parametrize("name", ["counts", "zinb"])
def test_rows_filled_with_counts_have_one(name):
    counts = np.random.default_rng(0).poisson(0.3, (150, 5))
    counts = counts[counts.sum(1) > 0]
    model = CPVAE(2, likelihood=name, max_epochs=1, init="random", **TINY).fit(counts)
    rows, _ = model.sample(500, given={0: 0, 1: 0})
    assert (rows[:, :2] == 0).all()
    assert (rows[:, 2:].sum(1) > 0).all()
    assert (model.sample(200, given={0: 0, 1: 0, 2: 0, 3: (0, 1)})[0].sum(1) > 0).all()
    empty = np.array([[0, 0, np.nan, 0, 0], [0, np.nan, np.nan, 0, 0], [1, np.nan, 0, 0, 0]])
    filled = np.stack(model.impute(empty, 40))
    assert (filled[:, 0, 2] > 0).all()
    assert (filled[:, 1, 1:3].sum(1) > 0).all()
    assert (filled[:, 2, 1] == 0).any()  # a row that has a count needs no other


def test_counts_given_and_filled_by_a_fitted_model():
    random = np.random.default_rng(0)
    types = random.integers(2, size=120)
    means = np.where(types[:, None] == [0, 1, 0, 1, 0], 6.0, 1.0) * random.lognormal(0, 0.4, (120, 1))
    counts = np.column_stack([random.poisson(means), np.full(120, 2)])
    model = CPVAE(2, max_epochs=6, learning_rate=0.02, batch_size=20, likelihood="counts", init="random", **TINY)
    with pytest.warns(FitWarning, match="constant"):
        model.fit(counts)
    rows, _ = model.sample(400, given={0: 12, 1: (None, 3)})
    assert set(rows[:, 0]) == {12}
    assert set(rows[:, 5]) == {2}
    assert rows[:, 1].max() <= 3
    assert rows[:, 2].mean() > 2 * rows[:, 3].mean()
    holes = np.where(random.random(counts.shape) < 0.2, np.nan, counts)
    mean, drawn = model.impute(holes, mean=True), model.impute(holes, 2)[1]
    assert (drawn[np.isnan(holes)] == drawn[np.isnan(holes)].round()).all()
    np.testing.assert_array_equal(drawn[~np.isnan(holes)], counts[~np.isnan(holes)])
    gone = np.isnan(holes)
    gone[:, 5] = False
    assert np.abs(mean - counts)[gone].mean() < np.abs(counts.mean(0) - counts)[gone].mean()
    each = np.repeat([[2, 2, 4, 1, 5, 2]], 30, 0)
    each[:, 1] = range(30)
    assert np.exp(model.log_prob(each, [1], [0, 2], 1_000)).sum() == pytest.approx(1, abs=0.03)
    for given, message in (
        ({0: -1}, "given 0=-1: no row has it, the nearest that one can have is 0"),
        ({0: 1.5}, "given 0=1.5: no row has it, the nearest that one can have is 2"),
        ({5: 3}, "given 5=3: no row has it, the nearest that one can have is 2"),
    ):
        with pytest.raises(InputError, match=re.escape(message)):
            model.sample(1, given=given)
    with pytest.raises(InputError, match="mean=True with given: expected draws; leave mean out"):
        model.sample(1, given={0: 1}, mean=True)


def test_columns_of_ink():
    bits = np.random.default_rng(0).integers(0, 2, (30, 5))
    model = VAE(max_epochs=1, **TINY).fit(bits)
    assert model.likelihood_ == "bernoulli"
    rows, _ = model.sample(40, given={0: 1, 1: (0, 1)})
    assert (rows[:, 0] == 1).all()
    assert set(np.unique(rows)) == {0, 1}
    holes = np.where(np.arange(5) < 2, bits, np.nan)
    (filled,) = model.impute(holes, 1)
    np.testing.assert_array_equal(filled[:, :2], bits[:, :2])
    assert set(np.unique(filled)) == {0, 1}
    with pytest.raises(InputError, match=r"given 0=0\.4: no row has it, the nearest that one can have is 0"):
        model.sample(1, given={0: 0.4})


# ---------------------------------------------------------------- pictures


@pytest.mark.parametrize(("likelihood", "divisor"), [("levels", 1), ("gaussian", 1), ("bernoulli", 14)])
def test_parts_of_pictures(likelihood, divisor):
    x = np.random.default_rng(0).integers(0, 15, (24, 4, 6)) / divisor
    model = VAE(max_epochs=1, kind="images", likelihood=likelihood, **TINY).fit(x)
    right = np.arange(6) >= 3
    holes = np.where(right, np.nan, x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)  # draws of so few pixels rest on few candidates
        tables = [*model.impute(holes, 3), model.impute(holes, mean=True)]
        rows, _ = model.sample(20, given=holes[0])
    for filled in tables:
        assert filled.shape == (24, 1, 4, 6)
        np.testing.assert_array_equal(filled[:, 0, :, :3], x[:, :, :3])
        assert not np.isnan(filled).any()
    assert rows.shape == (20, 1, 4, 6)
    np.testing.assert_array_equal(rows[:, 0, :, :3], np.broadcast_to(x[0, :, :3], (20, 4, 3)))
    if likelihood != "gaussian":
        assert set(np.unique(tables[0][:, 0, :, 3:])) <= set(np.arange(16) if likelihood == "levels" else (0, 1))
    for given, message in [
        (x[0], "given has every value: nothing is left to draw"),
        (np.full((4, 6), np.nan), "given has no value, NaN everywhere"),
        (x[0, :2], r"given for images: expected an array of shape \(1, 4, 6\) with numbers"),
        ({"a": 1}, r"given for images of shape \(1, 4, 6\): expected an array"),
        ("half", "given for images of shape"),
    ]:
        with pytest.raises(InputError, match=message):
            model.sample(1, given=given)


def test_a_part_of_a_picture_in_a_file(tmp_path: Path):
    x = np.random.default_rng(0).integers(0, 15, (24, 4, 6))
    run, part, out = tmp_path / "model.safetensors", tmp_path / "part.npy", tmp_path / "new.npz"
    VAE(max_epochs=1, kind="images", **TINY).fit(x).save(run)
    half = np.where(np.arange(6) < 3, x[0], np.nan)
    np.save(part, half)
    done("sample", run, "-n", "5", "--given", part, "--out", out)
    rows = np.load(out)["x"]
    np.testing.assert_array_equal(rows[:, 0, :, :3], np.broadcast_to(x[0, :, :3], (5, 4, 3)))
    done("sample", run, "-n", "4", "--given", part, "--out", tmp_path / "new.png")
    np.save(part, half[:2])
    (tmp_path / "bad.npy").write_text("no array")
    before = tree(tmp_path)
    out = tmp_path / "other.npz"
    expected = "expected one .npy file with an array of shape (1, 4, 6), NaN where a value is not known"
    for words, message in (
        (["age=3"], f"--given age=3 for images: {expected}"),
        ([part, part], f"for images: {expected}"),
        ([tmp_path / "none.npy"], "No such file"),
        ([tmp_path / "bad.npy"], f"; {expected}"),
        ([part], "given for images: expected an array of shape (1, 4, 6)"),
    ):
        asked = [word for one in words for word in ("--given", one)]
        assert message in refused("sample", run, *asked, "--out", out)
    assert tree(tmp_path) == before


def test_a_part_of_a_picture_is_marginalised(pixels):
    """The probability of two pixels is the sum over the other two, by the sixteen probabilities of quadrature."""
    found = pixels()
    own = found.model
    likelihood = own.likelihood.with_gaps()
    assert likelihood is not None
    model = VAEModule(own.posterior, own.prior, own.decoder, likelihood, own.latent_dim).requires_grad_(False)
    y = found.y[[3]].clone()
    y[0, [1, 2]] = torch.nan
    same = ((found.y == y) | y.isnan()).all(1).numpy()
    exact = found.log_joint()[same]
    answer = one(model, Known(y), 20_000)
    assert float(answer.log_known[0]) == pytest.approx(logsumexp(exact), abs=0.02)
    shares = torch.zeros(3).double().index_add(0, answer.c[0], answer.shares[0]).numpy()
    np.testing.assert_allclose(shares, softmax(logsumexp(exact, 0)), atol=2e-2)
    with seeded(0):
        drawn = complete(model, Known(y), *answer.take(8_000))[0]
    patterns = found.y[torch.from_numpy(same)]
    share = (drawn.unsqueeze(1) == patterns).all(-1).double().mean(0).numpy()
    np.testing.assert_allclose(share, softmax(logsumexp(exact, 1)), atol=2e-2)


def test_what_is_rare_is_said(fitted):
    with pytest.warns(
        FitWarning, match=r"draws rest on [\d,]+ of 4,000 candidates, which is few: what is given is rare"
    ):
        fitted.sample(10, given={"bill": 20.0, "mass": 8000.0, "eggs": 30})


def test_columns_without_names_have_those_of_files():
    columns = [Column("0", "numeric"), Column("1", "numeric")]
    found = parse_given(["x1=1:2"], columns)
    assert found == {"1": ("1", "2")}
    for given in (found, {"x1": (1, 2)}):
        assert read_given(given, columns, {}).high[1] == 2
    with pytest.raises(InputError, match="--given names '1' twice"):
        parse_given(["x1=1", "1=1"], columns)
    with pytest.raises(InputError, match="given 'x1': no such column"):
        read_given({"x1": 1}, [Column("1", "numeric"), Column("0", "numeric")], {})


def test_a_sparse_matrix_and_cells_without_names_are_filled_in_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    sparse.save_npz("counts.npz", sparse.csr_matrix(random.poisson(0.4, (30, 110))))
    cells = random.normal(size=(30, 3))
    cells[3] = [0.5, np.nan, 0.5]
    cells[4] = np.nan
    np.save("cells.npy", cells)
    for data, names, cells_told in (("counts.npz", "x0,x1,x2", "0 cells"), ("cells.npy", "0,1,2", "4 cells")):
        said = done("fit", data, "--out", "run-" + data, "-k", 2, "--init", "random", *SMALL).err
        assert said.count("1 row has no value in any column") == (data == "cells.npy")  # once, however often it is met
        assert f"{cells_told} filled in 30 rows" in done("impute", "run-" + data, data, "--out", "filled.csv").err
        assert Path("filled.csv").read_text().startswith(names)
        done("cluster", "run-" + data, "filled.csv", "--out", "labels.csv")


def test_words_of_the_command_line():
    columns = [
        Column("a=b", "numeric"),
        Column("at", "date", format="%Y-%m-%d %H:%M"),
        Column("kind", "categorical", ("x:y", "z")),
    ]
    words = ["a=b=3:4", "at=2024-01-01 10:30", "kind=x:y"]
    assert parse_given(words, columns) == {"a=b": ("3", "4"), "at": "2024-01-01 10:30", "kind": "x:y"}
    found = parse_given(["at=2024-01-01 10:30:2024-01-02 11:30"], columns)
    assert found == {"at": ("2024-01-01 10:30", "2024-01-02 11:30")}
    condition = read_given(found, columns, {})
    assert condition.low[1] < condition.high[1]
    numbers = [Column("age", "numeric"), Column("day", "date", format="%Y-%m-%d")]
    for word, message in (
        ("age=4:3", "given age=4:3: the range is the wrong way round; expected 3:4"),
        ("age=1:2:3", "given age=1:2:3: a range has two ends, not 3; expected low:high"),
        ("age=:", "given age=:: a range without an end"),
        ("age=30-40", "given age=30-40: expected a finite number, or a range of two"),
        ("day=2024-13", "given day=2024-13: expected a date, such as 1970-01-01, or a range of two"),
    ):
        with pytest.raises(InputError, match=re.escape(message)):
            read_given(parse_given([word], numbers), numbers, {})
    for words, message in ((["a"], "expected COLUMN=VALUE"), (["at=1", "at=2"], "names 'at' twice")):
        with pytest.raises(InputError, match=message):
            parse_given(words, columns)


@pytest.mark.parametrize(
    ("asked", "low", "high"),
    [
        ("2024-02", "2024-02-01", "2024-02-29"),
        ("2024", "2024-01-01", "2024-12-31"),
        (2024, "2024-01-01", "2024-12-31"),
        ((np.int64(2023), 2024), "2023-01-01", "2024-12-31"),
        (("2024-02", "2024-03"), "2024-02-01", "2024-03-31"),
        (("2024-02-10", "2024-03"), "2024-02-10", "2024-03-31"),
        ((None, "2024-03"), None, "2024-03-31"),
        (pd.Period("2024-02"), "2024-02-01", "2024-02-29"),
        ("02.2024", "2024-02-01", "2024-02-29"),
        ("Feb 2024", "2024-02-01", "2024-02-29"),
    ],
)
def test_dates_in_part_are_ranges(asked, low, high):
    columns = [Column("day", "date", format="%Y-%m-%d"), Column("age", "numeric")]
    condition = read_given({"day": asked}, columns, {})
    ends = [
        None if np.isinf(end) else columns[0].decode(np.array([end]))[0]
        for end in (*condition.low[:1], *condition.high[:1])
    ]
    assert ends == [low, high]
    assert np.isnan(condition.values[0])
    moment = Column("at", "date", format="%Y-%m-%d %H:%M")
    (*_, first), (*_, last) = read_given({"at": "2024-02-29"}, [columns[1], moment], {}).event()
    assert last - first == pytest.approx(1.0, abs=1e-4)


def days_asked(word: str, form: str) -> tuple[str, str]:
    """Give the first and the last moment of what a word of the command line asks of a column of dates."""
    columns = [Column("at", "date", format=form), Column("age", "numeric")]
    condition = read_given(parse_given([f"at={word}"], columns), columns, {})
    ends = [condition.values[0]] * 2 if np.isnan(condition.low[0]) else [condition.low[0], condition.high[0]]
    first, last = (str(pd.Timestamp(0) + pd.Timedelta(days=end).round("s")) if np.isfinite(end) else "" for end in ends)
    return first, last


@pytest.mark.parametrize(
    ("form", "word", "first", "last"),
    [
        ("%d.%m.%Y %H:%M", "02.09.2023", "2023-09-02 00:00:00", "2023-09-02 23:59:59"),  # not in February
        ("%m/%d/%Y %I:%M %p", "02/09/2023", "2023-02-09 00:00:00", "2023-02-09 23:59:59"),
        ("%d.%m.%Y", "09.2023", "2023-09-01 00:00:00", "2023-09-30 23:59:59"),  # not in the year 1
        ("%d %b %Y", "2023-09", "2023-09-01 00:00:00", "2023-09-30 23:59:59"),
        ("%Y%m%d", "2023-09", "2023-09-01 00:00:00", "2023-09-30 23:59:59"),
        ("%Y%m%d", "202311", "2023-11-01 00:00:00", "2023-11-30 23:59:59"),  # not the first of January
        ("%Y%m%d", "2023", "2023-01-01 00:00:00", "2023-12-31 23:59:59"),
        ("%Y", "2023", "2023-01-01 00:00:00", "2023-01-01 00:00:00"),
        ("", "2023", "2023-01-01 00:00:00", "2023-12-31 23:59:59"),
        ("%H:%M", ":12:00", "", "1900-01-01 12:00:00"),
        ("%H:%M:%S", "9:00:10:00", "1900-01-01 09:00:00", "1900-01-01 10:00:59"),
        ("%H:%M", "9:00:10:00", "1900-01-01 09:00:00", "1900-01-01 10:00:00"),
    ],
)
def test_dates_in_part_are_read_in_the_order_of_their_column(form, word, first, last):
    assert days_asked(word, form) == (first, last)


@pytest.mark.parametrize(
    ("form", "word"),
    [
        ("", "01.09.2023"),
        ("", "2023 10:00"),
        ("%d.%m.%Y", "today"),
        ("%H:%M", "2023-09-01"),
        ("%H:%M", "2023"),
        ("%a %b %d %H:%M:%S %Y", "Mon Jan 29"),  # of no year
    ],
)
def test_what_could_be_another_date_is_refused(form, word):
    with pytest.raises(InputError, match=f"given at={re.escape(word)}: expected a (date|time), such as "):
        days_asked(word, form)


def test_times_of_python_are_given():
    columns = [Column("at", "date", format="%H:%M"), Column("age", "numeric")]
    given = read_given({"at": time(9, 36)}, columns, {}), read_given({"at": "09:36"}, columns, {})
    assert given[0].values[0] == given[1].values[0]
    low, high = (column[0] for column in read_given({"at": (time(9), time(10))}, columns, {}).event())
    assert high - low == pytest.approx(1 / 24)


def test_numbers_are_given_as_tables_write_them():
    columns = [Column("price", "numeric"), Column("age", "numeric")]
    for word, value in (("€1,000.50", 1000.5), ("170,5", 170.5), ("5 %", 5.0), ("1.5", 1.5)):
        assert read_given({"price": word}, columns, {}).values[0] == value
    for asked in ("1,000", "nan", (0, "nan")):  # 1000, or 1
        with pytest.raises(InputError, match=r"given price=.*: expected a finite number"):
            read_given({"price": asked}, columns, {})


@pytest.mark.usefixtures("few_rows")
def test_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    page = (Path(__file__).parents[1] / "docs" / "given.md").read_text()
    monkeypatch.chdir(tmp_path)
    (lines,) = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    for line in lines.splitlines():
        words = shlex.split(line, comments=True)[1:]
        done(*words, *(SMALL if words[0] == "fit" else ()))
    names: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)  # so few epochs leave few candidates
        for code in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
            exec(code, names)
    assert names["nats"].shape == (200,)
    assert (names["rows"]["region"] == "north").all()
    assert len(names["filled"]) == 5
    assert (tmp_path / "filled.csv").exists()


def test_commands(fitted, tmp_path: Path):
    run = tmp_path / "model.safetensors"
    fitted.save(run)
    out, filled, data = tmp_path / "new.csv", tmp_path / "filled.csv", tmp_path / "birds.csv"
    asked = ("--given", "island=Dream", "--given", "mass=3500:4000")
    answer = done("sample", run, "-n", "30", *asked, "--out", out)
    assert re.search(r"draws rest on [\d,]+ of 4,000 candidates", answer.err)
    rows = pd.read_csv(out)
    assert set(rows["island"]) == {"Dream"}
    assert rows["mass"].between(3500, 4000).all()
    table = birds(30, 0.3)
    table.to_csv(data, index=False)
    read = pd.read_csv(data)
    gaps = int(read.isna().sum().sum())
    answer = done("impute", run, data, "--out", filled, "--draws", "2")
    assert f"{gaps} cells filled in 30 rows, 2 times" in answer.err
    both = pd.read_csv(filled)
    assert both.columns.tolist() == ["draw", *read.columns]
    assert both["draw"].tolist() == [0] * 30 + [1] * 30
    assert int(both.isna().sum().sum()) == 0
    pd.testing.assert_frame_equal(both.iloc[:30, 1:].where(read.notna()), read)
    wide = copy.deepcopy(fitted)
    wide.stretch_ = 1.25
    wide.save(tmp_path / "wide.safetensors")
    told = "draws of numbers are 1.25 times as wide as the model's, as rows held out of the fit ask"
    assert told in done("impute", tmp_path / "wide.safetensors", data, "--out", filled).err
    assert told not in done("impute", tmp_path / "wide.safetensors", data, "--out", filled, "--mean").err
    done("impute", run, data, "--out", filled, "--mean")
    assert pd.read_csv(filled).columns.tolist() == read.columns.tolist()
    out.unlink()
    before = tree(tmp_path)
    assert refused("sample", run, "--given", "mas=3", "--out", out).startswith("given 'mas': no such column; did you")
    assert "wrong way round" in refused("sample", run, "--given", "mass=4:3", "--out", out)
    assert "draws=0: expected a whole number" in refused("impute", run, data, "--draws", "0", "--out", out)
    assert "draws=2 with mean: means make one table" in refused(
        "impute", run, data, "--draws", "2", "--mean", "--out", out
    )
    assert tree(tmp_path) == before
