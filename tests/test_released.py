"""Choices of the released code: each does what its name says, and the library holds none of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from cpvae import CPVAE, InputError, load
from cpvae.checkpoints import load_tensors, save_tensors
from cpvae.estimators.zoo import ESTIMATORS
from cpvae.files import read_json, write_json
from cpvae.fitting.schedules import constant
from cpvae.nn.layers import Dense
from cpvae.probability import recipes
from cpvae.probability.expectations import Relaxed
from cpvae.probability.likelihoods.bernoulli import Bernoulli
from paper.released import ReleasedCPVAE, estimator_name, known, two_draws

QUICK = {"latent_dim": 3, "hidden": (16,), "max_epochs": 2, "init": "gmm", "random_state": 0}


def test_choices_of_the_released_code():
    """Each does what its name says, and nothing is left of it by default."""
    x = load_digits().images[:300] / 16
    few = {**QUICK, "max_epochs": 3, "likelihood": "bernoulli"}
    model = ReleasedCPVAE(4, released=("fixed-prior", "elu-logits"), **few).fit(x)
    prior = model.model_.prior
    assert not prior.loc.requires_grad
    np.testing.assert_array_equal(model.scales_, 1.0)  # also after a start, which sets those that are learned
    free = CPVAE(4, **few).fit(x)
    assert np.abs(free.scales_ - 1).max() > 0.05
    y = torch.cat(list(model._observed(x)))
    for fitted, bent in ((model, True), (free, False)):
        posterior = fitted.model_.posterior
        posterior.logits.weight.data.mul_(50)
        spread = (lambda q: (q.max(1).values - q.min(1).values).max())(fitted.model_.encode(y).logits)
        top = posterior.logits(posterior.encoder(y)).max(1).values
        assert bool((spread <= top.max() + 1).all()) == bent
    twice = ReleasedCPVAE(4, released=("two-draws",), expectation="relaxed", **few).fit(x)
    once = CPVAE(4, expectation="relaxed", **few).fit(x)
    assert twice.history_[-1]["train_relaxed_not_a_bound"] != once.history_[-1]["train_relaxed_not_a_bound"]
    for wrong, said in (
        ({"released": ("fixed",)}, "did you mean 'fixed-prior'"),
        ({"released": "fixed-prior"}, "in a tuple"),
        ({"released": ("two-draws",)}, "expected 'relaxed'"),
        ({"released": ("fixed-prior",), "covariance_type": "full"}, "expected 'diag'"),
    ):
        with pytest.raises(InputError, match=said):
            ReleasedCPVAE(4, **wrong).fit(x)


def test_of_two_relaxed_draws_the_decoder_sees_the_second():
    model, seen, drawn = recipes.cpvae(Bernoulli(5), 4, 2, Dense((6,))), [], []

    def expectation(logits, step):
        drawn.append(Relaxed(constant(1.0))(logits))
        return drawn[-1]

    model.decoder.register_forward_pre_hook(lambda module, given: seen.append(given[1]))
    terms = two_draws(model, torch.bernoulli(torch.rand(3, 5)), expectation)
    assert terms.elbo.shape == (3,)
    first, second = drawn
    torch.testing.assert_close(seen, [second.c])
    assert (first.c - second.c).abs().max() > 0.1


def test_a_fit_with_such_choices_is_opened_where_they_are_known(tmp_path):
    x = np.random.RandomState(0).normal(size=(60, 5))
    model = ReleasedCPVAE(2, released=("fixed-prior",), **QUICK).fit(x, out=tmp_path / "run")
    with known():
        assert list(ESTIMATORS)[-1] == estimator_name("cpvae", {"released": ["fixed-prior"]}) == "cpvae-released"
        found = load(tmp_path / "run")
    assert type(found) is ReleasedCPVAE
    np.testing.assert_array_equal(found.score_samples(x), model.score_samples(x))
    assert "cpvae-released" not in ESTIMATORS
    with pytest.raises(InputError, match="holds a 'ReleasedCPVAE', which this version does not know"):
        load(tmp_path / "run")


def test_a_model_from_when_the_library_had_such_choices_is_opened_if_it_has_none(tmp_path):
    x = np.random.RandomState(0).normal(size=(60, 5))
    model = CPVAE(2, **QUICK).fit(x, out=tmp_path / "run")
    path = tmp_path / "run" / "model.safetensors"
    config = read_json(tmp_path / "run" / "config.json", "", "")
    write_json(tmp_path / "run" / "config.json", {**config, "params": {**config["params"], "released": []}})
    tensors, meta = load_tensors(path)
    save_tensors(path, tensors, {**meta, "params": {**meta["params"], "released": []}})
    np.testing.assert_array_equal(load(path).score_samples(x), model.score_samples(x))
    again = CPVAE(2, **QUICK).fit(x, out=tmp_path / "run", resume=True)
    np.testing.assert_array_equal(again.score_samples(x), model.score_samples(x))
    save_tensors(path, tensors, {**meta, "params": {**meta["params"], "released": ["two-draws"]}})
    with pytest.raises(InputError, match="fitted with released, which this version does not have"):
        load(path)
