"""One contract for all models: densities, samples, gradients, bounds against exact answers, round trips."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.distributions import Independent, StudentT, kl_divergence

from conftest import marginal
from cpvae import CPHVAE, CPVAE, HVAE, VAE, MoGVAE, VampHVAE, VampVAE, load
from cpvae.data.loaders import load as load_data
from cpvae.data.rows import Rows
from cpvae.errors import FitWarning, InputError
from cpvae.estimators import zoo
from cpvae.estimators.clusterer import Clusterer
from cpvae.fitting.loop import train
from cpvae.fitting.settings import Settings
from cpvae.nn.layers import Dense
from cpvae.probability import estimates, priors, recipes
from cpvae.probability.bounds import elbo, importance_weighted
from cpvae.probability.distributions import Latent, Marginal
from cpvae.probability.estimates import component_probabilities, decompose, evaluate
from cpvae.probability.expectations import Exact
from cpvae.probability.likelihoods.bernoulli import Bernoulli
from cpvae.probability.models import VAE as VAEModule
from cpvae.probability.objectives import Bound
from cpvae.probability.priors import PRIORS, FullConditional, Mixture, Vamp, component_prior
from cpvae.probability.two_level import TwoLevel
from cpvae.study.evaluation import evaluate_model
from cpvae.study.report import words

K = 3
SMALL = Dense((6,))
MODELS = {
    "vae": lambda d=1: recipes.vae(Bernoulli(4, drawn=False), d, SMALL),
    "cpvae": lambda d=1: recipes.cpvae(Bernoulli(4, drawn=False), K, d, SMALL, "learned"),
    "mog": lambda d=1: recipes.mog(Bernoulli(4, drawn=False), K, d, SMALL, "learned"),
    "cpvae-full": lambda d=1: recipes.cpvae(Bernoulli(4, drawn=False), K, d, SMALL, "learned", covariance="full"),
    "cpvae-low-rank": lambda d=1: recipes.cpvae(
        Bernoulli(4, drawn=False), K, d, SMALL, "learned", covariance="low-rank"
    ),
    "mog-low-rank": lambda d=1: recipes.mog(Bernoulli(4, drawn=False), K, d, SMALL, "learned", covariance="low-rank"),
    "mog-full": lambda d=1: recipes.mog(Bernoulli(4, drawn=False), K, d, SMALL, "learned", covariance="full"),
    "vamp": lambda d=1: recipes.vamp(Bernoulli(4, drawn=False), K, d, SMALL),
    "hvae": lambda d=1: recipes.hvae(Bernoulli(4, drawn=False), d, SMALL),
    "hvae-vamp": lambda d=1: recipes.hvae_vamp(Bernoulli(4, drawn=False), K, d, SMALL),
    "hvae-cp": lambda d=1: recipes.hvae_cp(Bernoulli(4, drawn=False), K, d, SMALL, "learned"),
}
WITH_CATEGORIES = ["cpvae", "cpvae-low-rank", "cpvae-full", "hvae-cp"]
OVER_Z = ["mog", "mog-low-rank", "mog-full", "vamp", "hvae-vamp"]
WITH_COMPONENTS = [*WITH_CATEGORIES, *OVER_Z]


def tiny(name: str, d: int = 1) -> VAEModule:
    """Make a random model of four binary pixels in double precision, with components far apart."""
    torch.manual_seed(1)
    model = MODELS[name](d).double()
    for parameter in model.parameters():
        parameter.data.add_(0.5 * torch.randn_like(parameter))
    prior = component_prior(model.prior)
    if isinstance(prior, Vamp):
        prior.pseudo_inputs.data.uniform_(-0.3, 1.3)
    if name == "hvae-cp":  # scales of z1 that a grid can follow
        model.prior.below.head.linear.weight.data.mul_(0.1)
    return model.requires_grad_(False)


def widen(model: VAEModule) -> VAEModule:
    """Make the posterior wider than the prior, so that importance weights vary."""
    posterior = model.posterior
    heads = [posterior.head, posterior.top.head] if hasattr(posterior, "top") else [posterior.head]
    for head in heads:
        d = head.linear.out_features // 2
        head.linear.weight.data.mul_(torch.tensor([0.3] * d + [0.0] * d)[:, None])
        head.linear.bias.data[d:] = 1.5
    return model


def every_row() -> Tensor:
    return torch.cartesian_prod(*[torch.tensor([0.0, 1.0]).double()] * 4)


def grid(model: VAEModule, half: float = 30.0, n: int = 601) -> tuple[Tensor, float]:
    """Make points ``(1, N, D)`` of the latent space, and the volume that each stands for."""
    steps = torch.linspace(-half, half, n, dtype=torch.float64)
    axes = [steps] * model.latent_dim
    return torch.cartesian_prod(*axes).reshape(1, -1, model.latent_dim), float(steps[1] - steps[0]) ** len(axes)


def densities(p: Latent, points: Tensor) -> Tensor:
    """Compute log p(k, z) on a grid, ``(K, N)``, from the log-density and the responsibilities alone."""
    if p.logits.shape[-1] > 1:
        c = torch.arange(p.logits.shape[-1])
        return torch.stack([p.logits[k] + p.log_prob_given(points, k.expand(1, points.shape[1]))[0] for k in c])
    c = torch.zeros(1, points.shape[1], dtype=torch.int64)
    return (p.responsibilities(points, c)[0].log() + p.log_prob_given(points, c)[0, :, None]).T


# -- densities and samples --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_the_density_of_the_prior_integrates_to_one(name: str) -> None:
    model = tiny(name)
    points, volume = grid(model)
    log_joint = densities(model.latent(), points)
    assert float(log_joint.exp().sum()) * volume == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_samples_of_each_component_have_the_moments_that_its_density_claims(name: str) -> None:
    model, n = tiny(name), 40_000
    points, volume = grid(model)
    p = model.latent()
    log_joint = densities(p, points)
    for k in range(len(log_joint)):
        share = log_joint[k].exp() * volume
        weights = share / share.sum()
        if p.mixture is not None:
            assert float(share.sum()) == pytest.approx(float(p.mixture.logits.softmax(-1)[k]), abs=1e-6)
        mean = weights @ points[0]
        variance = weights @ (points[0] - mean).square()
        z = p.sample(torch.full((n,), k))
        error = (variance / n).sqrt()
        assert ((z.mean(0) - mean).abs() < 5 * error).all()
        fourth = weights @ (points[0] - mean) ** 4
        assert ((z.var(0) - variance).abs() < 5 * ((fourth - variance**2) / n).sqrt()).all()


@pytest.mark.parametrize("name", OVER_Z)
def test_a_mixture_over_z_mixes_vectors_and_not_coordinates(name: str) -> None:
    """Against torch's own mixture in three dimensions, at the corner where both coordinates of different means meet."""
    p = tiny(name, 3).latent().top
    assert isinstance(p, Marginal)
    z = torch.cat([p.mixture.loc[[0, 1]], 3 * torch.randn(20, 3).double()])
    z[0, 0] = p.mixture.loc[2, 0]
    torch.testing.assert_close(p.log_prob_given(z[:, None], torch.zeros(1, 1))[:, 0], marginal(p.mixture).log_prob(z))


@pytest.mark.parametrize("name", MODELS)
def test_divergences_agree_with_their_monte_carlo_estimate(name: str) -> None:
    """The divergence that training uses, whatever part of it is in closed form, against the difference of densities."""
    model, n = tiny(name, 2), 20_000
    q, p = model.encode(every_row()[5:6].expand(n, 4)), model.latent()
    c = torch.zeros(1, 1, dtype=torch.int64)
    q_z = q.given(c)
    z = q_z.at(torch.randn(n, 1, model.latent_dim).double())
    estimate = q_z.log_prob(z) - p.log_prob_given(z, c)
    used = p.kl_given(q_z, z, c)
    error = float((estimate - used).std() / math.sqrt(n))
    assert float(estimate.mean()) == pytest.approx(float(used.mean()), abs=5 * error + 1e-9)


@pytest.mark.parametrize("name", ["cpvae", "hvae-cp"])
def test_two_batches_are_encoded_together_as_one_after_the_other(name: str) -> None:
    model, y, c = tiny(name, 2), every_row(), torch.arange(K)[None]
    for both, alone in zip(model.encode_both(y[:5], y[5:]), (model.encode(y[:5]), model.encode(y[5:])), strict=True):
        torch.testing.assert_close(both.logits, alone.logits)
        noise = torch.randn(len(alone.logits), K, model.latent_dim).double()
        torch.testing.assert_close(both.given(c).at(noise), alone.given(c).at(noise))


@pytest.mark.parametrize("name", ["cpvae", "hvae-cp"])
def test_draws_among_the_gaussians_of_categories_have_the_density_of_their_own(name: str) -> None:
    model, c = tiny(name, 2), torch.randint(K, (16, 7))
    q, z = model.encode(every_row()), torch.randn(16, 7, model.latent_dim).double()
    among = q.given(torch.arange(K)[None]).log_prob_among(c, z)
    torch.testing.assert_close(among, q.given(c).log_prob(z))


def test_two_levels_may_have_full_covariances_on_top() -> None:
    make = partial(recipes.hvae_cp, Bernoulli(4, drawn=False), K, 2, SMALL)
    assert isinstance(make(covariance="full").prior.top, FullConditional)
    assert not isinstance(make().prior.top, FullConditional)


# -- parameters -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_every_parameter_is_saved_gets_a_gradient_and_moves(name: str) -> None:
    torch.manual_seed(0)
    model = MODELS[name](2)
    before = {key: value.clone() for key, value in model.named_parameters()}
    assert set(before) <= set(model.state_dict())
    y = every_row().float()
    elbo(model, y, Exact()).elbo.mean().backward()
    for key, parameter in model.named_parameters():
        assert parameter.requires_grad, key
        assert parameter.grad is not None, key
        assert float(parameter.grad.abs().sum()) > 0, key
        parameter.grad = None
    train(model, Rows(every_row().float().numpy()), y, Bound(), Settings(max_epochs=2, batch_size=4))
    still = [key for key, value in model.named_parameters() if torch.equal(value, before[key])]
    assert still == []


def test_gradients_of_a_vamp_prior_reach_the_encoder() -> None:
    model = MODELS["vamp"](2)
    model.latent().log_prob_given(torch.randn(5, 1, 2), torch.zeros(1, 1)).sum().backward()
    assert all(float(p.grad.abs().sum()) > 0 for p in model.posterior.encoder.parameters())


# -- bounds -----------------------------------------------------------------------------------------------------------


def fresh(keys: Tensor, shape: tuple[int, ...], stream: int = 0) -> Tensor:
    """Draw fresh noise in place of noise that is a function of the row."""
    return torch.randn(len(keys), *shape, dtype=torch.float64)


def exact_log_p(model: VAEModule, y: Tensor) -> np.ndarray:
    """Compute log p(x) of rows by quadrature over z, ``(n,)``."""
    points, volume = grid(model, 25.0, 401 if model.latent_dim > 1 else 4001)
    p = model.latent()
    parts = []
    for c in range(p.logits.shape[-1]):
        at = torch.full((1, points.shape[1]), c)
        log_pz = p.log_prob_given(points, at)[0] + p.logits[c]
        logits = model.decoder(points, at)[0]
        log_px = y @ nn.functional.logsigmoid(logits).T + (1 - y) @ nn.functional.logsigmoid(-logits).T
        parts.append((log_px + log_pz).numpy())
    return logsumexp(np.concatenate(parts, 1), 1) + math.log(volume)


@pytest.mark.parametrize("name", MODELS)
def test_bounds_are_ordered_and_below_the_exact_likelihood(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """L <= L* <= importance-weighted <= log p(x), each as a mean over many draws, and the last one reached."""
    torch.manual_seed(2)
    model, y, n = tiny(name), every_row(), 800 if name.startswith("hvae") else 600
    exact = exact_log_p(model, y)
    assert logsumexp(exact) == pytest.approx(0, abs=1e-6)  # all rows there are: their probabilities add up to one
    many = y.repeat(n, 1)

    def mean(values: Tensor) -> tuple[np.ndarray, np.ndarray]:
        table = values.view(n, 16)
        return table.mean(0).numpy(), (table.std(0) / math.sqrt(n)).numpy()

    steps = [mean(elbo(model, many, Exact()).elbo)]
    monkeypatch.setattr(estimates, "row_normal", fresh)
    steps.append(mean(torch.from_numpy(evaluate(model, many, 1).elbo_tight)))
    steps += [mean(importance_weighted(model, many, S)) for S in (2 * K, 8 * K)]
    steps.append((exact, np.zeros(16)))
    for (low, e), (high, f) in pairwise(steps):
        assert (low <= high + 5 * np.hypot(e, f) + 1e-9).all()
    assert (steps[0][0] < exact - 1e-3).any()  # a bound that is no equality, or nothing was tested
    model = widen(model)
    close = importance_weighted(model, y, 60_000 if name.startswith("hvae") else 40_000, chunk=5000).numpy()
    np.testing.assert_allclose(close, exact_log_p(model, y), atol=0.12 if name in ("hvae-vamp", "hvae-cp") else 0.05)


@pytest.mark.parametrize("name", MODELS)
def test_what_evaluate_says_is_ordered(name: str) -> None:
    model = tiny(name, 2)
    found = evaluate(model, every_row(), 4)
    assert (found.elbo <= found.elbo_tight + 1e-9).all()
    components = K if name in WITH_COMPONENTS else 1
    assert found.proba.shape == found.q_c.shape == (16, components)
    np.testing.assert_allclose(found.proba.sum(1), 1)
    np.testing.assert_allclose(found.q_c.sum(1), 1)
    if name not in WITH_CATEGORIES:
        np.testing.assert_allclose(found.elbo, found.elbo_tight)
        np.testing.assert_allclose(component_probabilities(model, every_row()), found.proba)


@pytest.mark.parametrize("name", WITH_COMPONENTS)
def test_the_parts_of_equation_13_are_those_of_quadrature(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each part from its definition on a grid of z, against the mean of many draws."""
    model, n, steps = tiny(name), 100, 4001
    q, p = model.encode(every_row()), model.latent().top
    z = torch.linspace(-40, 40, steps, dtype=torch.float64)
    width = float(z[1] - z[0])
    log_p = densities(p, z.reshape(1, -1, 1))  # log p(k, z), (K, N)
    if name in WITH_CATEGORIES:
        given = q.given(torch.arange(K)[None]).top.base_dist
        log_q = torch.distributions.Normal(given.loc, given.scale).log_prob(z) + q.logits.unsqueeze(-1)
    else:
        given = q.given(torch.zeros(1, 1).long()).top
        log_q = torch.distributions.Normal(given.loc, given.scale).log_prob(z) + log_p.log_softmax(0)
    joint = log_q.exp()  # q(k, z | x), (16, K, N)
    both, q_c_x = joint.mean(0), joint.sum(-1) * width
    q_c, p_c = q_c_x.mean(0), log_p.exp().sum(-1) * width
    entropy = -(q_c * q_c.log()).sum()

    def integral(weights: Tensor, log_ratio: Tensor) -> Tensor:
        return torch.where(weights > 1e-200, weights * log_ratio, 0.0).sum() * width

    expected = {
        "kl": integral(joint, joint.log() - log_p) / 16,
        "mutual_information": integral(joint, joint.log() - both.log()) / 16,
        "mutual_information_c": entropy + torch.special.xlogy(q_c_x, q_c_x).sum(1).mean(),
        "marginal_kl_z": integral(both, both.log() - log_p - (q_c / p_c).log()[:, None]),
        "marginal_entropy_c": entropy,
        "cross_entropy_c": -(q_c * p_c.log()).sum(),
    }

    monkeypatch.setattr(estimates, "row_normal", fresh)
    torch.manual_seed(0)
    found = [decompose(model, every_row()) for _ in range(n)]
    for part, value in expected.items():
        draws = np.array([np.mean(getattr(parts, part)) for parts in found])
        assert draws.mean() == pytest.approx(float(value), abs=5 * draws.std() / math.sqrt(n) + 1e-2), part


@pytest.mark.parametrize("name", MODELS)
def test_the_parts_of_equation_13_add_up(name: str) -> None:
    parts = decompose(tiny(name, 2), every_row())
    total = parts.mutual_information.mean() + parts.marginal_kl_z.mean()
    total += parts.cross_entropy_c - parts.marginal_entropy_c
    assert total == pytest.approx(parts.kl.mean(), abs=1e-9)
    assert (name in WITH_COMPONENTS) == (parts.marginal_entropy_c > 0)


def test_a_code_that_says_nothing_says_nothing_of_its_component() -> None:
    """Too few draws of z would find a likeliest component, and information, in the draws themselves."""
    torch.manual_seed(0)
    model = recipes.mog(Bernoulli(4, drawn=False), 10, 5, SMALL).double().requires_grad_(False)
    model.posterior.head.linear.weight.zero_()
    parts = decompose(model, every_row())
    assert parts.mutual_information.mean() == pytest.approx(0, abs=1e-9)
    assert parts.mutual_information_c < 0.06


# -- one prior as a special case of another ---------------------------------------------------------------------------


def test_a_mixture_of_one_standard_normal_is_the_vae() -> None:
    plain = tiny("vae", 2)
    mixture = VAEModule(plain.posterior, Mixture(1, 2).double(), plain.decoder, plain.likelihood, 2)
    y = every_row()
    for field in ("elbo", "elbo_tight", "kl_z", "proba"):
        np.testing.assert_allclose(getattr(evaluate(mixture, y), field), getattr(evaluate(plain, y), field), atol=1e-12)
    ours = mixture.latent().kl_given(mixture.encode(y).given(None), torch.zeros(16, 1, 2).double(), None)
    assert ours.shape == (16, 1)


def test_a_vamp_prior_whose_pseudo_inputs_are_the_rows_is_their_aggregated_posterior() -> None:
    """Then KL(q(z) || p(z)) is zero, and all of KL(q(z|x) || p(z)) is mutual information."""
    torch.manual_seed(0)
    y = every_row()
    model = recipes.vamp(Bernoulli(4, drawn=False), 16, 2, SMALL).double().requires_grad_(False)
    model.prior.set_pseudo_inputs(y)
    parts = decompose(model, y)
    np.testing.assert_allclose(parts.kl, parts.mutual_information, atol=1e-9)


def test_two_levels_are_the_product_of_both() -> None:
    model = tiny("hvae", 2)
    p, z = model.latent(), torch.randn(7, 1, 4).double()
    assert isinstance(p, TwoLevel)
    top = torch.distributions.Normal(0.0, 1.0).log_prob(z[..., :2]).sum(-1)
    torch.testing.assert_close(p.log_prob_given(z, torch.zeros(1, 1)), top + p.below(z[..., :2]).log_prob(z[..., 2:]))
    q = model.encode(every_row()[:7]).given(None)
    z = q.at()
    expected = kl_divergence(q.top, p.top.distribution) + kl_divergence(q.below(z), p.below(z[..., :2]))
    torch.testing.assert_close(p.kl_given(q, z, torch.zeros(1, 1)), expected)
    again = z.clone()  # not the draw itself: the network runs again, to the same numbers
    torch.testing.assert_close(q.log_prob(z), q.log_prob(again))


# -- pseudo-inputs ----------------------------------------------------------------------------------------------------


def test_pseudo_inputs_begin_as_training_rows_or_as_their_authors_draw_them() -> None:
    x = (load_digits().images[:60] / 16).astype(np.float32)
    kwargs = {"latent_dim": 2, "hidden": (4,), "max_epochs": 1, "learning_rate": 1e-12, "random_state": 0}
    kwargs["likelihood"] = "bernoulli"
    rows = VampVAE(7, **kwargs).fit(x).model_.prior.pseudo_inputs.detach().numpy()
    distance = np.abs(rows[:, None] - x.reshape(1, 60, 64)).max(-1).min(1)
    assert (distance < 1e-6).all()
    assert len(np.unique(rows, axis=0)) == 7
    with pytest.warns(FitWarning, match="of 50 pseudo-inputs are in use"):
        random = VampVAE(50, pseudo_inputs="random", **kwargs).fit(x).model_.prior.pseudo_inputs.detach()
    assert float(random.mean()) == pytest.approx(0.05, abs=0.002)
    assert float(random.std()) == pytest.approx(0.01, abs=0.001)


def test_pseudo_inputs_stay_within_the_limits_of_the_inputs() -> None:
    model = MODELS["vamp"](2)
    inside, outside = model.prior.pseudo_inputs.data.clone().clamp(0, 1), model.prior.pseudo_inputs.data
    outside[0], inside[0] = 7.0, 1.0
    outside[1], inside[1] = -7.0, 0.0
    loc = model.latent().mixture.loc
    model.prior.set_pseudo_inputs(inside)
    torch.testing.assert_close(model.latent().mixture.loc, loc)


def test_pseudo_inputs_beyond_the_limits_are_led_back() -> None:
    """Pixels begin at 0, and one step beyond would freeze them for good."""
    model = MODELS["vamp"](2)
    pseudo_inputs = model.prior.pseudo_inputs
    pseudo_inputs.data.fill_(-0.1)
    for sign in (1.0, -1.0):
        pseudo_inputs.grad = None
        (sign * model.latent().mixture.loc.sum()).backward()
        assert (
            (pseudo_inputs.grad < 0).any(0) | (pseudo_inputs.grad == 0).all(0)
        ).all()  # descent leads up, or not at all
        assert float(pseudo_inputs.grad.abs().sum()) > 0


def test_more_pseudo_inputs_than_training_rows_are_refused() -> None:
    x = np.random.RandomState(0).normal(size=(20, 3))
    with pytest.raises(InputError, match=r"15 training rows for 20 pseudo-inputs: .*pseudo_inputs='random'"):
        VampVAE(20, max_epochs=1)._prepare(recipes.vamp(Bernoulli(3), 20, 2, SMALL), Rows(x[:15]), 0)
    with pytest.raises(InputError, match=r"20 rows .* for n_components=21: expected at least as many rows"):
        VampVAE(21).fit(x)


# -- estimators -------------------------------------------------------------------------------------------------------

ESTIMATORS = {cls.name: cls for cls in (CPVAE, VAE, MoGVAE, VampVAE, HVAE, VampHVAE, CPHVAE)}
QUICK = {"latent_dim": 3, "hidden": (12,), "max_epochs": 3, "batch_size": 50, "random_state": 0}


@pytest.fixture(scope="module")
def fitted() -> dict[str, object]:
    x = load_digits().images[:300] / 16
    models = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        for name, cls in ESTIMATORS.items():
            more = {"n_components": 4} if name in WITH_COMPONENTS else {}
            more |= {"init": "kmeans"} if name in WITH_CATEGORIES else {}
            models[name] = cls(**QUICK, **more).fit(x)
    return models


@pytest.mark.parametrize("name", ESTIMATORS)
def test_save_and_load_give_the_same_answers(name: str, fitted: dict, tmp_path) -> None:
    x, model = load_digits().images[:40] / 16, fitted[name]
    model.save(tmp_path / "model")
    again = load(tmp_path / "model")
    assert type(again) is type(model)
    for ask in ("score_samples", "transform", "reconstruct"):
        np.testing.assert_array_equal(getattr(again, ask)(x), getattr(model, ask)(x))
    np.testing.assert_array_equal(again.log_likelihood(x, 20), model.log_likelihood(x, 20))
    np.testing.assert_array_equal(again.sample(9)[0], model.sample(9)[0])
    if name in WITH_COMPONENTS:
        np.testing.assert_array_equal(again.predict_proba(x), model.predict_proba(x))
        for ask in ("weights_", "means_", "scales_"):
            np.testing.assert_array_equal(getattr(again, ask), getattr(model, ask))


@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_estimator_answers_every_question(name: str, fitted: dict) -> None:
    x, model = load_digits().images[:40] / 16, fitted[name]
    levels = 2 if name.startswith("hvae") else 1
    assert model.transform(x).shape == (40, 3 * levels)
    assert model.sample(5)[0].shape == (5, 1, 8, 8)
    assert isinstance(model, Clusterer) == (name in WITH_COMPONENTS) == hasattr(model, "predict")
    if name in WITH_COMPONENTS:
        assert model.predict_proba(x).shape == (40, 4)
        assert model.means_.shape == model.scales_.shape == (4, 3)
        assert model.weights_.sum() == pytest.approx(1)
        rows, which = model.sample(6, component=2)
        assert rows.shape == (6, 1, 8, 8)
        assert set(which) == {2}
    result = evaluate_model(model, load_data("digits"), "valid", importance_samples=10, n_rows=60)
    assert result["negative_elbo_tight"] <= result["negative_elbo"] + 1e-6
    assert ("accuracy" in result) == (name in WITH_COMPONENTS)


def test_mixtures_sample_by_their_own_prior_and_cpvae_by_the_share_of_its_rows(fitted: dict) -> None:
    for name in set(WITH_COMPONENTS) & set(fitted):
        model = fitted[name]
        _, which = model.sample(4000)
        expected = model.weights_ if name in WITH_CATEGORIES else np.full(4, 0.25)
        np.testing.assert_allclose(np.bincount(which, minlength=4) / 4000, expected, atol=0.04)
        _, which = model.sample(4000, weights="aggregated")
        np.testing.assert_allclose(np.bincount(which, minlength=4) / 4000, model.weights_, atol=0.04)


@pytest.mark.parametrize("name", ["mog", "vamp", "hvae-vamp"])
def test_categories_of_a_mixture_over_z_are_the_responsibilities_of_its_components(name: str, fitted: dict) -> None:
    """By hand, from draws of z and the Gaussians of the prior."""
    x, model = (load_digits().images[:40] / 16 > 0.5).astype(np.float32), fitted[name]
    y = torch.cat(list(model._observed(x)))
    torch.manual_seed(0)
    with torch.no_grad():
        q = model.model_.encode(y).given(None)
        q = getattr(q, "top", q)
        z = q.sample((4000,))[:, :, 0]
    each = torch.distributions.Normal(torch.from_numpy(model.means_), torch.from_numpy(model.scales_))
    expected = each.log_prob(z.unsqueeze(-2)).sum(-1).softmax(-1).mean(0).numpy()
    found = component_probabilities(model.model_, y, 2000).numpy()
    np.testing.assert_allclose(found, expected, atol=0.06)
    assert expected.std(0).max() > 0.02  # rows differ, or nothing was tested


# -- a new prior ------------------------------------------------------------------------------------------------------


def guide() -> list[str]:
    """Run the example of the contributor's guide: a class, and its line in the registry."""
    text = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text()
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


@pytest.fixture
def student_t() -> Iterator[type[nn.Module]]:
    names = {**vars(priors), "Independent": Independent, "StudentT": StudentT}
    for block in guide():
        exec(block, names)
    before = dict(PRIORS)
    PRIORS.update(names["PRIORS"])
    yield names["StudentTPrior"]
    PRIORS.clear()
    PRIORS.update(before)


@pytest.mark.parametrize("cls", [VAE, HVAE])
def test_a_registered_prior_works_everywhere(cls: type, student_t: type, tmp_path) -> None:
    x = load_digits().images[:100] / 16
    model = cls(prior="student-t", **QUICK).fit(x)
    loc = dict(model.model_.named_parameters())["prior.loc" if cls is VAE else "prior.top.loc"]
    assert float(loc.detach().abs().sum()) > 0  # it learned
    assert model.sample(3)[0].shape == (3, 1, 8, 8)
    weighted = model.log_likelihood(x, 100)
    assert model.score(x) <= weighted.mean()
    model.save(tmp_path / "model")
    np.testing.assert_array_equal(load(tmp_path / "model").score_samples(x), model.score_samples(x))


def test_the_density_of_a_registered_prior_integrates_to_one(student_t: type) -> None:
    p = student_t(1).double()(nn.Identity())
    z = torch.linspace(-3000, 3000, 600_001, dtype=torch.float64).reshape(1, -1, 1)
    assert float(p.log_prob_given(z, None).detach().exp().sum() * 0.01) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("cls", [CPVAE, CPHVAE])
def test_signals_have_a_noise_for_each_category_that_a_continued_model_has_more_of(cls: type) -> None:
    random = np.random.RandomState(0)
    old, new = (random.normal(0, s, (40, 1, 8)) for s in (1.0, 3.0))
    model = cls(2, **QUICK, init="kmeans", augment="none").fit(old)
    assert model.model_.noises[-1].shape == (2, 1)
    model.continue_fit(new, n_new=1)
    assert model.model_.noises[-1].shape == (3, 1)
    assert model.predict_proba(new).shape == (40, 3)


@pytest.mark.parametrize("cls", [CPVAE, CPHVAE])
def test_models_with_categories_learn_from_known_rows(cls: type) -> None:
    x = np.random.RandomState(0).normal(size=(60, 2))
    x[:30, 0] += 8
    known = np.repeat([1, -1, 0, -1], [10, 20, 10, 20])
    asked = QUICK | {"max_epochs": 60, "batch_size": 20, "init": "kmeans"}
    found = cls(2, **asked).fit(x, known=known).predict(x)
    assert (found == np.repeat([1, 0], 30)).mean() > 0.85


def test_every_model_has_words_of_its_own() -> None:
    assert {cls.__name__ for cls in ESTIMATORS.values()} == words.MODELS.keys() == {cls.__name__ for cls in zoo.MODELS}


def test_an_unknown_prior_is_one_line() -> None:
    with pytest.raises(InputError, match=r"prior='nromal' is unknown; did you mean 'normal'\?"):
        VAE(prior="nromal").fit(np.zeros((5, 2)))
