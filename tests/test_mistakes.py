"""Mistakes found in well-known code, one test each; numbers as in the list of those who found them.

Others of the list are caught where they belong: 6 (number of samples) and 11 (one component) in `test_inference`,
the means of validation in `test_inference`.
"""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import multivariate_normal, norm
from torch.distributions import Normal, kl_divergence

from conftest import marginal
from cpvae.checkpoints import load_tensors, save_tensors
from cpvae.data.rows import Rows
from cpvae.fitting.loop import train
from cpvae.fitting.records import Interrupted
from cpvae.fitting.runs import CHECKPOINT
from cpvae.fitting.settings import Settings
from cpvae.nn.layers import Dense
from cpvae.probability import recipes
from cpvae.probability.bounds import elbo
from cpvae.probability.distributions import CategoricalNormal, DiagonalNormal
from cpvae.probability.estimates import evaluate
from cpvae.probability.expectations import Exact
from cpvae.probability.likelihoods.bernoulli import Bernoulli
from cpvae.probability.likelihoods.choice import make
from cpvae.probability.likelihoods.likelihood import Form
from cpvae.probability.objectives import Bound

# ---------------------------------------------------------------- 1: a mixture of vectors, not of coordinates


@pytest.mark.parametrize("latent_dim", [1, 2, 5])
def test_1_mixture_is_of_vectors(latent_dim):
    """Between N(-3, I) and N(3, I) the corner (3, -3) is empty; mixed per coordinate it is as likely as (3, 3)."""
    loc = torch.tensor([[-3.0], [3.0]]).expand(2, latent_dim)
    logits = torch.tensor([0.3, 0.7]).log()
    p = marginal(CategoricalNormal(logits, loc, torch.full((2, latent_dim), 0.5)))
    wrong_corner = np.resize([3.0, -3.0], latent_dim)
    for z in (np.full(latent_dim, 3.0), wrong_corner, np.zeros(latent_dim)):
        parts = [multivariate_normal(np.full(latent_dim, m), 0.25 * np.eye(latent_dim)).logpdf(z) for m in (-3, 3)]
        expected = logsumexp(parts + np.log([0.3, 0.7]))
        assert float(p.log_prob(torch.tensor(z, dtype=torch.float32))) == pytest.approx(expected, rel=1e-5)


# ---------------------------------------------------------------- 2: the prior is learned


@pytest.mark.parametrize(("n_components", "weights"), [(3, "uniform"), (3, "learned"), (1, "uniform")])
def test_2_prior_is_saved_and_learned(n_components, weights):
    model = recipes.cpvae(Bernoulli(6), n_components, 2, Dense((5,)), weights)
    learned = {"prior.loc", "prior.log_scale"} | ({"prior.logits"} if weights == "learned" else set())
    assert learned | {"prior.logits", "prior.aggregated"} <= set(model.state_dict())
    before = {name: model.state_dict()[name].clone() for name in learned}
    x = np.random.default_rng(0).integers(0, 2, (40, 6)).astype(np.float32)
    train(model, Rows(x), torch.from_numpy(x), Bound(), Settings(max_epochs=1, batch_size=20))
    for name in learned:
        assert (model.state_dict()[name] != before[name]).all(), name
    if weights == "uniform":
        assert not model.prior.logits.any()


# ---------------------------------------------------------------- 3: one scale in divergence, density and samples


@pytest.mark.parametrize("scale", [0.3, 1.0, 2.5])
def test_3_samples_have_the_scale_of_the_divergence(scale, agree):
    """The q that the divergence calls identical to component k has the moments of samples of component k."""
    model = recipes.cpvae(Bernoulli(6), 3, 2, Dense((5,))).double()
    model.prior.set_components(torch.randn(3, 2), torch.full((3, 2), scale))
    p = model.latent()
    for k in range(3):
        c, z = torch.full((1, 1), k), p.sample(torch.full((50_000,), k)).detach()
        moments = DiagonalNormal(z.mean(0)[None, None], z.std(0)[None, None])
        assert abs(float(p.kl_given(moments, z[:1, None], c).detach())) < 1e-3
        agree(((z - p.loc[k].detach()) / scale) ** 2, 1.0)


def test_3_posterior_draws_have_the_scale_of_the_divergence(agree):
    """The term KL(z) of the bound, against log q - log p at draws the decoder is given."""
    model = recipes.cpvae(Bernoulli(6), 1, 2, Dense((5,))).double()
    model.posterior.head.linear.bias.data = torch.tensor([0.5, -1.0, -0.7, 0.4]).double()
    seen = []
    model.decoder.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0][:, 0].detach()))
    y = torch.ones(50_000, 6).double()
    terms = elbo(model, y, Exact())
    q = model.encode(y[:1]).given(torch.zeros(1, 1).long())
    p = model.latent().given(torch.zeros(1, 1).long())
    agree((q.log_prob(seen[0][:, None]) - p.log_prob(seen[0][:, None]))[:, 0].detach(), float(terms.kl_z[0].detach()))
    agree(seen[0], q.mean[0, 0].detach())
    agree((seen[0] - q.mean[0, 0].detach()) ** 2, q.variance[0, 0].detach())


# ---------------------------------------------------------------- 5: the closed form, term by term


@pytest.mark.parametrize(("loc", "scale"), [(0.0, 2.0), (0.0, 0.5), (1.5, 1.0), (-1.5, 0.2)])
def test_5_divergence_of_one_gaussian(loc, scale):
    """KL(N(loc, scale^2) || N(1, 3^2)) by integration: log-variance, variance and mean, apart and together."""
    z = np.linspace(loc - 12 * scale, loc + 12 * scale, 20_001)
    q, p = norm(loc, scale), norm(1, 3)
    expected = np.sum(q.pdf(z) * (q.logpdf(z) - p.logpdf(z))) * (z[1] - z[0])
    prior = recipes.cpvae(Bernoulli(2), 2, 1, Dense((3,))).double().prior
    prior.set_components(torch.tensor([[5.0], [1.0]]), torch.tensor([[1.0], [3.0]]))
    q = DiagonalNormal(torch.full((1, 1, 1), loc).double(), torch.full((1, 1, 1), scale).double())
    for c in (torch.tensor([[1]]), torch.tensor([[[0.0, 1.0]]]).double()):
        kl = prior(prior).kl_given(q, q.mean, c).detach()
        assert float(kl) == pytest.approx(expected, abs=1e-6)


# ---------------------------------------------------------------- 7: batches


def still_model() -> tuple:
    """Make a model whose decoder ignores z, so that the bound of each row is one number."""
    torch.manual_seed(3)
    model = recipes.cpvae(Bernoulli(6, drawn=False), 3, 2, Dense((5,)))
    model.decoder.hidden.first.weight.data.zero_()
    x = (np.random.default_rng(1).random((10, 6)) < np.linspace(0, 1, 10)[:, None]).astype(np.float32)
    return model, x, -elbo(model, torch.from_numpy(x), Exact()).elbo.detach().numpy()


@pytest.mark.parametrize("batch_size", [1, 3, 4, 9, 10, 1000])
def test_7_history_is_the_mean_over_rows(batch_size):
    """Ten rows in batches of four leave a last one of two, which must not count double."""
    model, x, bounds = still_model()
    settings = Settings(max_epochs=2, batch_size=batch_size, learning_rate=0.0)
    outcome = train(model, Rows(x), torch.from_numpy(x[:7]), Bound(), settings)
    for record in outcome.history:
        assert record.train_negative_elbo == pytest.approx(bounds.mean(), abs=1e-5)
        assert record.reconstruction + record.kl_c + record.kl_z == pytest.approx(bounds.mean(), abs=1e-5)
        one = -evaluate(model, torch.from_numpy(x[:7])).elbo
        assert record.valid_negative_elbo == pytest.approx(one.mean(), abs=1e-5)


@pytest.mark.parametrize("batch_size", [3, 10, 11, 1000])
def test_7_every_row_trains(batch_size):
    """One epoch looks at each row once; a batch larger than all rows is one step."""
    model, x, _ = still_model()
    seen = []
    model.posterior.register_forward_pre_hook(
        lambda module, inputs: seen.append(inputs[0]) if module.training else None
    )
    before = model.prior.loc.detach().clone()
    valid = torch.from_numpy(x)
    train(model, Rows(x), valid, Bound(), Settings(max_epochs=1, batch_size=batch_size, learning_rate=0.01))
    steps = -(-10 // batch_size)
    rows = torch.cat(seen[:steps])
    assert sorted(map(tuple, rows.tolist())) == sorted(map(tuple, x.tolist()))
    assert (model.prior.loc != before).all()


# ---------------------------------------------------------------- 9: checkpoints


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Write a checkpoint and its rows, and read them back without pickle."""

    def refuse(*arguments, **keywords):
        raise AssertionError("pickle was used")

    for module, names in {pickle: ("dump", "dumps", "load", "loads"), torch: ("save", "load")}.items():
        for name in names:
            monkeypatch.setattr(module, name, refuse)
    x, valid = np.random.default_rng(0).normal(size=(2, 40, 5))
    likelihood = make("gaussian", Rows(x), Form((5,)))
    model = recipes.cpvae(likelihood, 3, 2, Dense((6,)))
    arguments = Rows(x), likelihood.fixed(Rows(valid)), Bound()
    start = torch.arange(40) % 3
    settings = Settings(max_epochs=4, batch_size=15, checkpoint_every=1, start_epochs=1)

    def interrupt(record):
        if record.epoch == 2:
            raise Interrupted

    with pytest.raises(Interrupted):
        train(model, *arguments, settings, start=start, folder=tmp_path, on_epoch=interrupt)
    outcome = train(model, *arguments, settings, start=start, folder=tmp_path, resume=True)
    assert [record.epoch for record in outcome.history] == [1, 2, 3, 4]
    return (tmp_path / CHECKPOINT).read_bytes(), x, valid, likelihood


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_9_no_rows_in_a_checkpoint(written, dtype):
    """Any two neighbouring values of any row, as given and standardised, looked for as bytes."""
    content, x, valid, likelihood = written
    for rows in (x, valid):
        standardised = ((rows - likelihood.loc.numpy()) / likelihood.scale.numpy()).astype(dtype)
        for values in (rows.astype(dtype), standardised):
            for row in values:
                for i in range(len(row) - 1):
                    assert row[i : i + 2].tobytes() not in content
                    assert row[[i + 1, i]].tobytes() not in content
    assert likelihood.loc.numpy().tobytes() in content  # the search does find what is there


def test_9_a_checkpoint_is_data(written):
    """A length, a JSON header, numbers: the file ends where the header says, with nothing to execute."""
    content = written[0]
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    metadata = header.pop("__metadata__")
    assert set(metadata) == {"cpvae"}
    assert max(part["data_offsets"][1] for part in header.values()) == len(content) - 8 - length
    json.loads(metadata["cpvae"])


def test_9_saved_tensors_come_back(tmp_path):
    tensors = {"a": torch.randn(3, 4).double(), "b": torch.tensor(7), "c": torch.zeros(0, 2)}
    save_tensors(tmp_path / "x", tensors, {"note": [1, "two"]})
    back, meta = load_tensors(tmp_path / "x")
    assert meta["note"] == [1, "two"]
    assert back.keys() == tensors.keys()
    for name, value in tensors.items():
        assert back[name].dtype == value.dtype
        assert torch.equal(back[name], value)


# ---------------------------------------------------------------- 11: special cases


def test_11_one_standard_component_is_the_closed_form():
    """K = 1 at N(0, I): 1/2 sum(loc^2 + scale^2 - 1 - log scale^2), and no price for the category."""
    model = recipes.cpvae(Bernoulli(6), 1, 3, Dense((5,))).double()
    y = torch.bernoulli(torch.rand(20, 6)).double()
    q = model.encode(y).given(torch.zeros(1, 1).long()).base_dist
    terms = elbo(model, y, Exact())
    by_hand = 0.5 * (q.loc**2 + q.scale**2 - 1 - (q.scale**2).log()).sum(-1)[:, 0]
    torch.testing.assert_close(terms.kl_z, by_hand, rtol=0, atol=1e-12)
    torch.testing.assert_close(kl_divergence(q, Normal(0.0, 1.0)).sum(-1)[:, 0], by_hand, rtol=0, atol=1e-12)
    assert terms.kl_c.abs().max() < 1e-12
