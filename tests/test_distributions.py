"""Divergences and mixtures against sampling, quadrature and torch's own; expectations against sums they stand for."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import logsumexp
from torch.distributions import (
    Categorical,
    Independent,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
    kl_divergence,
)

from conftest import marginal
from cpvae.fitting.schedules import constant, exponential
from cpvae.probability import distributions
from cpvae.probability.bounds import TermsGivenC, average, elbo, terms_given
from cpvae.probability.distributions import (
    CategoricalFullNormal,
    CategoricalLowRankNormal,
    CategoricalNormal,
    Continuous,
    DiagonalNormal,
)
from cpvae.probability.expectations import Exact, Joint, Relaxed, StraightThrough, entropy
from cpvae.probability.priors import Conditional, StandardNormal


def random_normal(*shape: int) -> Independent:
    return DiagonalNormal(torch.randn(shape).double(), torch.randn(shape).double().mul(0.7).exp())


def random_prior(n_categories: int = 3, latent_dim: int = 2, uniform: bool = False) -> CategoricalNormal:
    logits = torch.zeros(n_categories) if uniform else torch.randn(n_categories)
    q = random_normal(n_categories, latent_dim)
    return CategoricalNormal(logits.double(), q.base_dist.loc, q.base_dist.scale)


# ---------------------------------------------------------------- Gaussians


def test_scale_is_a_standard_deviation():
    loc, scale, z = (np.random.default_rng(0).normal(size=(3, 4)) for _ in range(3))
    ours = DiagonalNormal(torch.tensor(loc), torch.tensor(scale**2)).log_prob(torch.tensor(z))
    for i in range(3):
        expected = stats.multivariate_normal(loc[i], np.diag((scale[i] ** 2) ** 2)).logpdf(z[i])
        assert float(ours[i]) == pytest.approx(expected, abs=1e-10)


def test_kl_to_itself_is_zero():
    p = random_prior(4, 3)
    c = torch.arange(4)
    torch.testing.assert_close(p.kl_given(p.given(c), p.loc, c), torch.zeros(4).double())


def test_kl_given_is_the_mean_log_ratio(agree):
    """The closed form against 100,000 draws of q, for category indices and for one-hot rows."""
    p, q = random_prior(), random_normal(1, 3, 2)
    c = torch.arange(3)[None]
    z = q.sample((100_000,))[:, 0]
    ratio = q.log_prob(z) - torch.stack([p.given(torch.tensor([k])).log_prob(z[:, [k]])[:, 0] for k in range(3)], 1)
    agree(ratio, p.kl_given(q, z[:1], c)[0])
    agree(ratio, p.kl_given(q, z[:1], torch.eye(3).double()[None])[0])


def test_kl_given_a_point_of_the_simplex_is_to_the_mixed_parameters():
    """And its gradient along an edge, at a corner, does not confirm the corner where q sits on the prior of it."""
    p, q = random_prior(4), random_normal(5, 1, 2)
    c = torch.rand(5, 1, 4).double().softmax(-1)
    mixed = DiagonalNormal(c @ p.loc, c @ p.scale)
    torch.testing.assert_close(p.kl_given(q, q.mean, c), kl_divergence(q, mixed), rtol=0, atol=1e-10)
    corner = torch.eye(4).double()[:1, None].requires_grad_()
    p.kl_given(p.given(torch.zeros(1, 1, dtype=torch.int64)), q.mean, corner).sum().backward()
    torch.testing.assert_close(corner.grad, torch.zeros_like(corner))


# ---------------------------------------------------------------- eqs. (8) and (9)


@pytest.mark.parametrize("uniform", [True, False])
def test_eq_8(uniform, agree):
    """The divergence of the joint, from its definition at draws of (c, z), is the two closed forms together."""
    q, p = random_prior(), random_prior(uniform=uniform)
    c = Categorical(logits=q.logits).sample((200_000, 1))
    z = q.given(c).sample()
    log_q = q.logits[c] + q.given(c).log_prob(z)
    log_p = p.logits[c] + p.given(c).log_prob(z)
    every = torch.arange(3)[None]
    given = TermsGivenC(torch.zeros(1, 3).double(), p.kl_given(q.given(every), q.loc[None], every))
    terms = average(given, Exact()(q.logits[None]), Joint(q.logits[None], q.given), p)
    agree((log_q - log_p)[:, 0], (terms.kl_c + terms.kl_z).item())
    kl_z = kl_divergence(Normal(q.loc, q.scale), Normal(p.loc, p.scale)).sum(-1)
    torch.testing.assert_close(terms.kl_c[0], kl_divergence(q.categorical, p.categorical), rtol=0, atol=1e-12)
    torch.testing.assert_close(terms.kl_z[0], q.logits.exp() @ kl_z, rtol=0, atol=1e-12)


@pytest.mark.parametrize("n_categories", [1, 2, 10, 500])
def test_eq_9(n_categories):
    """KL(q(c) || uniform) = log K - H(q(c)), with scipy's entropy."""
    prior = Conditional(n_categories, 2).double()
    log_q = (2 * torch.randn(5, n_categories)).double().log_softmax(-1)
    h = stats.entropy(log_q.exp().numpy(), axis=-1)
    np.testing.assert_allclose(entropy(log_q).numpy(), h, atol=1e-12)
    kl = kl_divergence(Categorical(logits=log_q), prior(prior).categorical).detach().numpy()
    np.testing.assert_allclose(kl, math.log(n_categories) - h, atol=1e-12)


# ---------------------------------------------------------------- priors: one contract

PRIORS = {
    "uniform": lambda: Conditional(3, 2),
    "empirical": lambda: Conditional(3, 2, "empirical"),
    "learned": lambda: Conditional(3, 2, "learned"),
    "one component": lambda: Conditional(1, 2),
    "standard normal": lambda: StandardNormal(2),
}


@pytest.fixture(params=PRIORS)
def prior(request) -> torch.nn.Module:
    prior = PRIORS[request.param]().double()
    for parameter in prior.parameters():
        if parameter.requires_grad:
            parameter.data.add_(0.4 * torch.randn_like(parameter))
    return prior.requires_grad_(False)


def test_weights_are_probabilities(prior):
    assert float(prior(prior).logits.logsumexp(-1)) == pytest.approx(0, abs=1e-12)


def test_density_integrates_to_one(prior):
    """sum_c p(c) p(z | c) over a plane."""
    p = prior(prior)
    line = torch.linspace(-14, 14, 281, dtype=torch.float64)
    z = torch.cartesian_prod(line, line)[None]
    joint = [p.log_prob_given(z, torch.full((1, 1), k)) + p.logits[k] for k in range(getattr(prior, "n_components", 1))]
    area = float(line[1] - line[0]) ** 2
    assert float(torch.stack(joint).logsumexp(0).exp().sum()) * area == pytest.approx(1, abs=1e-10)


def test_samples_have_the_moments_the_density_claims(prior, agree):
    """Mean and variance of each component from quadrature of its density, against 50,000 draws."""
    p = prior(prior)
    line = torch.linspace(-14, 14, 281, dtype=torch.float64)
    z = torch.cartesian_prod(line, line)
    for k in range(getattr(prior, "n_components", 1)):
        density = p.log_prob_given(z[None], torch.full((1, 1), k)).softmax(-1)[0]
        mean = density @ z
        sample = p.sample(torch.full((50_000,), k))
        agree(sample, mean)
        agree((sample - mean) ** 2, density @ (z - mean) ** 2)


def test_divergence_belongs_to_the_density(prior, agree):
    """Closed form against 50,000 draws, and against the density's own parameters: where q = p(z | c) it is zero."""
    p, q = prior(prior), random_normal(1, 1, 2)
    for k in range(getattr(prior, "n_components", 1)):
        c = torch.full((1, 1), k)
        z = q.sample((50_000,))[:, 0]
        agree((q.log_prob(z) - p.log_prob_given(z, c))[:, 0], float(p.kl_given(q, z[:1], c)))
        loc, scale = (
            t.reshape(getattr(prior, "n_components", 1), 2)[k].reshape(1, 1, 2) for t in (prior.loc, prior.scale)
        )
        assert float(p.kl_given(DiagonalNormal(loc, scale), loc, c)) == pytest.approx(0, abs=1e-12)


def test_state_travels(prior):
    other = type(prior)(getattr(prior, "n_components", 1), 2) if isinstance(prior, Conditional) else StandardNormal(2)
    other = other.double()
    other.load_state_dict(prior.state_dict())
    z = torch.randn(1, 8, 2).double()
    for k in range(getattr(prior, "n_components", 1)):
        c = torch.full((1, 1), k)
        ours, theirs = (p(p).log_prob_given(z, c) + p(p).logits[k] for p in (prior, other))
        assert torch.equal(ours, theirs)


def test_marginal_is_a_density(agree):
    """It integrates to one, and draws made by category then Gaussian follow it: a two-dimensional histogram."""
    p = random_prior()
    line = torch.linspace(-12, 12, 481, dtype=torch.float64)
    z = torch.cartesian_prod(line, line)
    density = marginal(p).log_prob(z).exp()
    area = float(line[1] - line[0]) ** 2
    assert float(density.sum()) * area == pytest.approx(1, abs=1e-8)
    draws = p.sample(Categorical(logits=p.logits).sample((100_000,)))
    for corner in ((0.0, 0.0), (1.0, -1.0), (-1.0, 0.5)):
        inside = (draws < torch.tensor(corner)).all(-1).double()
        below = (z[:, 0] < corner[0] - 0.025) & (z[:, 1] < corner[1] - 0.025)
        edge = (z < torch.tensor(corner) + 0.03).all(-1) & ~below
        low, high = float(density[below].sum()) * area, float((density[below].sum() + density[edge].sum()) * area)
        error = float(inside.std()) / len(draws) ** 0.5
        assert low - 5 * error < float(inside.mean()) < high + 5 * error


def test_empirical_weights_follow_the_aggregated_posterior():
    prior = Conditional(3, 2, "empirical")
    assert prior(prior).logits.exp().tolist() == pytest.approx([1 / 3] * 3)
    prior.set_aggregated(torch.tensor([0.7, 0.3, 0.0]).double())
    p = prior(prior).logits.exp()
    assert p[:2].tolist() == pytest.approx([0.7, 0.3], abs=1e-5)
    assert 0 < float(p[2]) < 1e-5
    uniform = Conditional(3, 2)
    uniform.set_aggregated(torch.tensor([0.7, 0.3, 0.0]).double())
    assert uniform(uniform).logits.exp().tolist() == pytest.approx([1 / 3] * 3)
    assert uniform.aggregated.tolist() == pytest.approx([0.7, 0.3, 0.0])


def test_continuous_without_a_closed_form_is_unbiased(agree):
    """A mixture has no registered divergence: log q - log p at the draws, against quadrature."""
    mixture = marginal(random_prior(3, 1))
    q = random_normal(1, 1, 1)
    z = q.sample((50_000,))[:, 0]
    many = DiagonalNormal(q.base_dist.loc.expand(50_000, 1, 1), q.base_dist.scale.expand(50_000, 1, 1))
    grid = torch.linspace(-15, 15, 20_001, dtype=torch.float64)[:, None]
    log_q = q.log_prob(grid[:, None])[:, 0]
    exact = (log_q.exp() * (log_q - mixture.log_prob(grid))).sum() * (grid[1] - grid[0])
    agree(Continuous(mixture).kl_given(many, z, torch.zeros(1, 1).long())[:, 0], float(exact))


def test_continuous_mixture_of_one_is_the_closed_form(agree):
    one = Normal(torch.zeros(1, 2).double(), torch.ones(1, 2).double())
    mixture = MixtureSameFamily(Categorical(logits=torch.zeros(1).double()), Independent(one, 1))
    q = random_normal(1, 1, 2)
    z = q.sample((50_000,))[:, 0]
    many = DiagonalNormal(q.base_dist.loc.expand(50_000, 1, 2), q.base_dist.scale.expand(50_000, 1, 2))
    c = torch.zeros(1, 1).long()
    closed = Continuous(DiagonalNormal(torch.zeros(2).double(), torch.ones(2).double())).kl_given(q, z, c)
    agree(Continuous(mixture).kl_given(many, z, c)[:, 0], float(closed))


# ---------------------------------------------------------------- expectations over q(c | x)


def test_exact_is_the_weighted_average_of_the_categories(pixels):
    """elbo with `Exact`, against the terms of each category asked for alone, at the same noise."""
    model, y = pixels().model, pixels().y
    torch.manual_seed(1)
    terms = elbo(model, y, Exact())
    torch.manual_seed(1)
    noise = torch.randn(len(y), 3, 1, dtype=torch.float64)  # what rsample draws
    q, p = model.encode(y), model.latent()
    each = [terms_given(model, y, q, p, torch.full((1, 1), k), noise[:, [k]]) for k in range(3)]
    weights = q.logits.exp().unbind(-1)
    for part in ("log_px", "kl_z"):
        expected = sum(w * getattr(t, part)[:, 0] for w, t in zip(weights, each, strict=True))
        torch.testing.assert_close(getattr(terms, part), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("expectation", [StraightThrough(constant(0.7))], ids=["straight-through"])
def test_one_draw_is_a_corner_with_the_right_probability(expectation, agree):
    logits = torch.tensor([1.0, 0.0, -2.0]).double().log_softmax(-1)
    c, weights, _ = expectation(logits.expand(50_000, 3), 0)
    if not c.is_floating_point():
        c = torch.nn.functional.one_hot(c, 3).double()
    assert torch.allclose(c.sort(-1).values, torch.tensor([0.0, 0.0, 1.0]).double(), rtol=0, atol=1e-15)
    assert weights.eq(1).all()
    agree(c[:, 0], logits.exp())


@pytest.mark.parametrize("expectation", [StraightThrough(constant(0.5))], ids=["straight-through"])
def test_one_draw_is_unbiased_for_the_bound(expectation, pixels, agree):
    """Each of the sixteen rows 4,000 times, against the sum over c with z integrated out."""
    solved = pixels("learned")
    model, y = solved.model, solved.y
    given, log_q = solved.terms(), model.encode(y).logits.detach()
    exact = (log_q.exp() * given.elbo).sum(-1) - (log_q.exp() * (log_q - model.prior(None).logits.detach())).sum(-1)
    with torch.no_grad():
        draws = elbo(model, y.repeat(4000, 1), expectation).elbo.reshape(4000, 16)
    agree(draws, exact)


@pytest.mark.parametrize(
    "expectation",
    [Exact(), StraightThrough(constant(0.5)), Relaxed(constant(0.5))],
    ids=["exact", "straight-through", "relaxed"],
)
@pytest.mark.parametrize("part", ["log_px", "kl_z"])
def test_gradient_reaches_the_logits(expectation, part, pixels):
    """The categorical head learns from the reconstruction and from KL(z), not only from its own KL."""
    solved = pixels()
    getattr(elbo(solved.model, solved.y, expectation), part).sum().backward()
    gradient = solved.model.posterior.logits.weight.grad
    assert gradient.isfinite().all()
    assert (gradient.abs().amax(1) > 0).all()


def test_relaxed_draws_are_gumbel_softmax():
    """On the simplex, not at its corners; the largest coordinate is Categorical whatever the temperature."""
    logits = torch.tensor([1.0, 0.0, -2.0]).double().log_softmax(-1)
    c = Relaxed(constant(0.8))(logits.expand(20_000, 3), 0).c[:, 0]
    assert c.min() > 0
    torch.testing.assert_close(c.sum(-1), torch.ones(20_000).double())
    assert ((c.max(-1).values < 0.9).double().mean()) > 0.3
    counts = torch.bincount(c.argmax(-1), minlength=3).numpy()
    assert stats.chisquare(counts, 20_000 * logits.exp().numpy()).pvalue > 1e-3
    gap = (c[:, 0].log() - c[:, 1].log()).numpy() * 0.8 - float(logits[0] - logits[1])
    assert stats.kstest(gap, "logistic").pvalue > 1e-3  # a difference of two Gumbels


def test_relaxed_is_not_a_bound(solve):
    """Where it fails: a row half-way between two categories is likely under half of each, and under neither.

    The relaxed value is far above log p(x); the exact sum is below.
    """
    solved = solve(n_components=2, latent_dim=1, features=3, uniform=True, units=False)
    decoder = solved.model.decoder
    decoder.a.zero_()
    decoder.b.copy_(torch.stack([torch.full((3,), 10.0), torch.full((3,), -10.0)]))
    y = torch.zeros(64, 3).double()
    evidence = stats.multivariate_normal([10] * 3, float(solved.model.likelihood.noise) ** 2).logpdf([0] * 3)
    given = logsumexp([evidence, evidence]) - math.log(2)
    assert float(elbo(solved.model, y, Exact()).elbo.max()) <= given + 1e-9
    assert float(elbo(solved.model, y, Relaxed(constant(50.0))).elbo.mean()) > given + 100


def test_temperature_schedule_reaches_the_draw():
    """Hot at the first step, close to uniform; cold later, at a corner."""
    relaxed = Relaxed(exponential(1000.0, 0.1, 1e-3))
    logits = torch.randn(200, 4).double().log_softmax(-1)
    assert (relaxed(logits, 0).c - 0.25).abs().max() < 0.02
    assert (relaxed(logits, 500).c.max(-1).values > 0.99).double().mean() > 0.9


def test_the_step_reaches_the_temperature(pixels):
    seen = []

    def temperature(step: int) -> float:
        seen.append(step)
        return 0.5

    elbo(pixels().model, pixels().y, StraightThrough(temperature), step=17)
    assert seen == [17]


# ---------------------------------------------------------------- covariances of full and of low rank


def full(k: int = 4, dim: int = 3) -> CategoricalFullNormal:
    factor = torch.randn(k, dim, dim, dtype=torch.float64).tril()
    factor.diagonal(dim1=-2, dim2=-1).abs_().add_(0.3)
    return CategoricalFullNormal(torch.randn(k).double(), torch.randn(k, dim).double(), factor)


def low_rank(k: int = 4, dim: int = 3, rank: int = 2) -> CategoricalLowRankNormal:
    loc, own = torch.randn(k, dim).double(), torch.rand(k, dim).double() + 0.3
    return CategoricalLowRankNormal(torch.randn(k).double(), loc, own, torch.randn(k, dim, rank).double())


def covariances(p: CategoricalNormal) -> torch.Tensor:
    if isinstance(p, CategoricalFullNormal):
        return torch.linalg.inv(p.factor @ p.factor.mT)
    return torch.diag_embed(p.own.square()) + p.shared @ p.shared.mT


KINDS = pytest.mark.parametrize("kind", [full, low_rank])


@KINDS
@pytest.mark.parametrize("shared", [True, False])
def test_covariances_agree_with_torch(kind, shared):
    """Divergence from a diagonal posterior and density, against `MultivariateNormal`, one category at a time."""
    torch.manual_seed(3)
    p = kind()
    c = torch.arange(4).unsqueeze(0) if shared else torch.randint(4, (6, 4))
    q = DiagonalNormal(torch.randn(6, 4, 3).double(), torch.rand(6, 4, 3).double() + 0.1)
    z = torch.randn(6, 4, 3).double()
    kl, log_p = p.kl_given(q, z, c), p.log_prob_given(z, c)
    for i in range(6):
        for m in range(4):
            k = int(c.expand(6, 4)[i, m])
            theirs = MultivariateNormal(p.loc[k], covariances(p)[k])
            own = MultivariateNormal(q.mean[i, m], torch.diag(q.base_dist.scale[i, m] ** 2))
            assert kl[i, m].item() == pytest.approx(kl_divergence(own, theirs).item(), rel=1e-9)
            assert log_p[i, m].item() == pytest.approx(theirs.log_prob(z[i, m]).item(), rel=1e-9)


def diagonal(k: int = 4, dim: int = 3) -> CategoricalNormal:
    return CategoricalNormal(torch.randn(k).double(), torch.randn(k, dim).double(), torch.rand(k, dim).double() + 0.3)


@pytest.mark.parametrize("kind", [diagonal, full, low_rank])
def test_between_categories_the_prior_is_one_gaussian(kind):
    """At points of the simplex divergence and density are those of the distribution that `given` gives there."""
    torch.manual_seed(8)
    p, c = kind(), torch.rand(6, 2, 4, dtype=torch.float64).softmax(-1)
    q = DiagonalNormal(torch.randn(6, 2, 3).double(), torch.rand(6, 2, 3).double() + 0.1)
    z, there = torch.randn(6, 2, 3).double(), p.given(c)
    covariance = torch.diag_embed(there.variance) if kind is diagonal else there.covariance_matrix
    theirs = MultivariateNormal(there.mean, covariance)
    own = MultivariateNormal(q.mean, torch.diag_embed(q.base_dist.scale.square()))
    torch.testing.assert_close(p.kl_given(q, z, c), kl_divergence(own, theirs))
    torch.testing.assert_close(p.log_prob_given(z, c), theirs.log_prob(z))


@KINDS
def test_the_gradient_of_covariances_is_that_of_their_divergence(kind):
    torch.manual_seed(9)
    p, c = kind(), torch.tensor([[0, 2], [3, 2]])
    q = DiagonalNormal(torch.randn(2, 2, 3).double(), torch.rand(2, 2, 3).double() + 0.1)
    names = ("loc", "factor") if isinstance(p, CategoricalFullNormal) else ("loc", "own", "shared")
    learned = [getattr(p, name).clone().requires_grad_() for name in names]
    assert torch.autograd.gradcheck(lambda *parts: type(p)(p.logits, *parts).kl_given(q, q.loc, c), learned)


def test_a_low_rank_far_above_its_diagonal_keeps_its_digits_in_single_precision():
    """Woodbury's identity subtracts numbers that are nearly equal; a thousandth of a nat must not come of it."""
    torch.manual_seed(10)
    loc, own, shared = torch.randn(3, 40), 0.01 * torch.rand(3, 40) + 0.005, torch.randn(3, 40, 5)
    p = CategoricalLowRankNormal(torch.zeros(3), loc, own, shared)
    exact = CategoricalLowRankNormal(torch.zeros(3).double(), loc.double(), own.double(), shared.double())
    c, z = torch.arange(3).unsqueeze(0), p.sample(torch.arange(3)).unsqueeze(0)
    q = DiagonalNormal(z, 0.01 * torch.ones_like(z))
    wide = DiagonalNormal(z.double(), q.scale.double())
    close = {"atol": 2e-3, "rtol": 1e-5, "check_dtype": False}
    torch.testing.assert_close(p.kl_given(q, z, c), exact.kl_given(wide, z.double(), c), **close)
    torch.testing.assert_close(p.log_prob_given(z, c), exact.log_prob_given(z.double(), c), **close)
    torch.testing.assert_close(p.log_prob_pairs(z[0]), exact.log_prob_pairs(z[0].double()), rtol=1e-9, atol=1e-9)


@KINDS
def test_covariances_of_all_pairs_are_those_of_each(kind, monkeypatch):
    """Against torch, with so little memory that few z are taken at a time."""
    monkeypatch.setattr(distributions, "OUTER_PRODUCTS", 20)  # nine numbers for each
    torch.manual_seed(7)
    p, z = kind(), torch.randn(7, 3)
    found = p.log_prob_pairs(z)
    assert found.dtype == torch.float64
    components = p.given(torch.arange(p.logits.shape[-1]))
    torch.testing.assert_close(found, components.log_prob(z.double().unsqueeze(1)))


@pytest.mark.parametrize(
    "without",
    [
        lambda loc, scale: CategoricalFullNormal(torch.zeros(4).double(), loc, torch.diag_embed(1 / scale)),
        lambda loc, scale: CategoricalLowRankNormal(torch.zeros(4).double(), loc, scale, torch.zeros(4, 3, 2).double()),
    ],
)
def test_covariances_without_what_is_shared_are_the_diagonal_ones(without):
    torch.manual_seed(4)
    scale = torch.rand(4, 3).double() + 0.2
    plain = CategoricalNormal(torch.zeros(4).double(), torch.randn(4, 3).double(), scale)
    p = without(plain.loc, scale)
    q = DiagonalNormal(torch.randn(5, 4, 3).double(), torch.rand(5, 4, 3).double() + 0.1)
    z, c = q.sample(), torch.arange(4).unsqueeze(0)
    torch.testing.assert_close(p.kl_given(q, z, c), plain.kl_given(q, z, c))
    torch.testing.assert_close(p.log_prob_given(z, c), plain.log_prob_given(z, c))
    torch.testing.assert_close(p.scale, scale)


@KINDS
def test_moments_of_samples_are_those_of_the_covariances(kind):
    """Sampled and divergent by the same numbers: a factor taken for its inverse or transpose shows here."""
    torch.manual_seed(5)
    p = kind()
    for k in range(4):
        z = p.sample(torch.full((200_000,), k)).numpy()
        covariance = covariances(p)[k].numpy()
        spread = np.sqrt(np.diag(covariance))
        np.testing.assert_allclose(z.mean(0), p.loc[k].numpy(), atol=0.02 * spread.max())
        np.testing.assert_allclose(
            np.cov(z.T) / np.outer(spread, spread), covariance / np.outer(spread, spread), atol=0.03
        )
        np.testing.assert_allclose(p.scale[k].numpy(), spread, rtol=1e-9)
