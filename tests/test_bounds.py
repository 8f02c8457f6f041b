"""Bounds against models that are solved: exactly by Bayes' rule, or by sums on a grid."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.special import logsumexp, softmax
from torch import nn

from cpvae.fitting.schedules import constant
from cpvae.nn.layers import Dense
from cpvae.probability import recipes
from cpvae.probability.bounds import (
    TermsGivenC,
    allocate,
    average,
    category_posterior,
    draw_given,
    elbo,
    elbo_assigned,
    elbo_tight,
    importance_weighted,
    terms_given,
)
from cpvae.probability.distributions import CategoricalNormal, DiagonalNormal
from cpvae.probability.estimates import evaluate, log_likelihood
from cpvae.probability.expectations import Categories, Exact, Joint, StraightThrough, SumAndSample
from cpvae.probability.likelihoods.bernoulli import Bernoulli
from cpvae.probability.likelihoods.gaussian import Gaussian

MIXTURES = {
    "paper": {"uniform": True},
    "weights": {},
    "standard units": {"units": False},
    "one component": {"n_components": 1},
    "a line": {"latent_dim": 1, "features": 2},
}

# ---------------------------------------------------------------- with the exact posterior there is no gap


@pytest.fixture(params=MIXTURES)
def solved(request, solve):
    return solve(**MIXTURES[request.param])


def exact_terms(model, y):
    """Compute the terms of ELBO_c without noise.

    log p(x | z, c) is a sum of squares of single coordinates of z. Its mean over z = loc + scale and z = loc - scale is
    its mean under the Gaussian.
    """
    q, p = model.encode(y), model.latent()
    c = torch.arange(p.logits.shape[-1])[None]
    both = [terms_given(model, y, q, p, c, torch.full((1, 1, model.latent_dim), sign).double()) for sign in (1.0, -1.0)]
    return TermsGivenC(*(sum(parts) / 2 for parts in zip(*both, strict=True))), q, p


def test_every_importance_weight_is_p_x(solved):
    """p(x | z, c) p(z | c) p(c) / (q(z | x, c) q(c | x)) is p(x) at any draw: prior, posterior, likelihood and all
    conventions of scale at once."""
    model, y = solved.model, solved.y
    q, p = model.encode(y), model.latent()
    c = torch.arange(p.logits.shape[-1]).repeat(9)[None].expand(len(y), -1)
    noise = 2 * torch.randn(len(y), c.shape[1], model.latent_dim).double()
    weights = sum(draw_given(model, y, q, p, c, noise)[:2]) + p.logits[c] - q.logits.gather(-1, c)
    np.testing.assert_allclose(np.exp(weights.numpy() - solved.log_p(solved.x)[:, None]), 1, rtol=0, atol=1e-12)


def test_every_bound_is_log_p_x(solved):
    model, y = solved.model, solved.y
    given, q, p = exact_terms(model, y)
    log_p = solved.log_p(solved.x)
    terms = average(given, Exact()(q.logits), q, p)
    np.testing.assert_allclose(terms.elbo, log_p, rtol=0, atol=1e-10)
    np.testing.assert_allclose(terms.log_px - terms.kl_c - terms.kl_z, log_p, rtol=0, atol=1e-10)
    np.testing.assert_allclose(elbo_tight(given, p), log_p, rtol=0, atol=1e-10)


@pytest.mark.parametrize(("n_samples", "chunk"), [(6, 500), (50, 500), (50, 7), (1001, 100)])
def test_importance_weighted_is_log_p_x(solved, n_samples, chunk):
    """Whatever the number of draws and however they are cut: no draw has any other weight."""
    model, y, log_p = solved.model, solved.y, solved.log_p(solved.x)
    np.testing.assert_allclose(importance_weighted(model, y, n_samples, chunk=chunk), log_p, rtol=0, atol=1e-10)
    np.testing.assert_allclose(log_likelihood(model, y, n_samples, seed=1), log_p, rtol=0, atol=1e-10)


def test_category_posterior_is_bayes_rule(solved):
    given, _, p = exact_terms(solved.model, solved.y)
    expected = softmax(solved.log_joint(solved.x), -1)
    np.testing.assert_allclose(category_posterior(given, p), expected, rtol=0, atol=1e-10)
    np.testing.assert_allclose(evaluate(solved.model, solved.y).q_c, expected, rtol=0, atol=1e-10)
    np.testing.assert_allclose(evaluate(solved.model, solved.y, 300).proba, expected, rtol=0, atol=0.2)


def test_single_draws_are_right_on_average(solved, agree):
    """`elbo` as training uses it, each row 2,000 times, for both unbiased expectations."""
    for expectation in (Exact(), StraightThrough(constant(0.5))):
        values = elbo(solved.model, solved.y.repeat(2000, 1), expectation).elbo
        agree(values.reshape(2000, -1), solved.log_p(solved.x))


def test_bounds_are_densities_in_the_units_of_the_data(solve):
    """exp L* and the importance-weighted estimate, added up over a plane in the data's units."""
    solved = solve(latent_dim=1, features=2)
    sides = []
    for i in range(2):
        spread = 9 * np.sqrt(solved.covariance[:, i, i]).max()
        low, high = solved.loc[:, i].min() - spread, solved.loc[:, i].max() + spread
        sides.append(torch.linspace(low, high, 400, dtype=torch.float64))
    x = torch.cartesian_prod(*sides)
    area = float((sides[0][1] - sides[0][0]) * (sides[1][1] - sides[1][0]))
    y = solved.model.likelihood.to_model(x)
    given, _, p = exact_terms(solved.model, y)
    assert float(elbo_tight(given, p).exp().sum()) * area == pytest.approx(1, abs=1e-8)
    assert float(importance_weighted(solved.model, y, 6).exp().sum()) * area == pytest.approx(1, abs=1e-8)


def test_samples_follow_the_density(solve, agree):
    """Ancestral samples of each component have the mean and covariance of p(x | c), in the data's units."""
    solved = solve(features=3)
    for k in range(3):
        x = solved.model.sample(torch.full((50_000,), k)).numpy()
        off = x - solved.loc[k]
        agree(x, solved.loc[k])
        agree(np.einsum("ni,nj->nij", off, off).reshape(len(x), -1), solved.covariance[k].ravel())
        agree(solved.model.sample(torch.full((50_000,), k), mean=True), solved.loc[k])


def test_a_wrong_posterior_costs_its_divergence(solve):
    """log p(x) - L = KL(q(c, z | x) || p(c, z | x)), here for a q(z | x, c) that is off by known amounts."""
    solved = solve()
    model, y = solved.model, solved.y
    right = model.encode(y)
    shift, stretch = 0.3, 1.4

    class Wrong(nn.Module):
        n_categories = 3

        def forward(self, y):
            def given(c):
                q = right.given(c).base_dist
                return DiagonalNormal(q.loc + shift * q.scale, stretch * q.scale)

            return right.__class__(right.logits, given)

    model.posterior = Wrong()
    given, q, p = exact_terms(model, y)
    gap = 2 * (0.5 * (stretch**2 + shift**2 - 1) - math.log(stretch))  # two latent dimensions
    np.testing.assert_allclose(average(given, Exact()(q.logits), q, p).elbo, solved.log_p(solved.x) - gap, atol=1e-10)


def test_reparametrised_draws_have_the_moments_of_q(agree):
    q = DiagonalNormal(torch.randn(1, 2, 3).double(), torch.randn(1, 2, 3).double().exp())
    many = DiagonalNormal(*(t.expand(50_000, 2, 3) for t in (q.base_dist.loc, q.base_dist.scale)))
    for z in (many.at(), many.at(torch.randn(50_000, 2, 3).double())):
        agree(z.flatten(1), q.mean.flatten())
        agree((z - q.mean).square().flatten(1), q.variance.flatten())


# ---------------------------------------------------------------- ordering, on a network solved by quadrature


KINDS = ["uniform", "learned", "vae"]


@pytest.fixture(params=KINDS)
def network(request, pixels):
    return pixels(request.param)


def test_quadrature_is_a_distribution(network):
    """What the other tests measure against: the probabilities of all sixteen rows add up to one."""
    assert logsumexp(network.log_p()) == pytest.approx(0, abs=1e-10)


def test_order_of_the_bounds(network):
    """L <= L* <= IW-50 <= log p(x) for each row; the first two exact, the third within its error over 500 runs."""
    model, y, log_p = network.model, network.y, network.log_p()
    given, q, p = network.terms(), model.encode(y), model.latent()
    loose = average(given, Exact()(q.logits), q, p).elbo.detach().numpy()
    tight = elbo_tight(given, p).detach().numpy()
    with torch.no_grad():
        draws = importance_weighted(model, y.repeat(500, 1), 50).reshape(500, -1).numpy()
    mean, error = draws.mean(0), draws.std(0) / np.sqrt(500)
    slack = 1e-10
    assert (loose <= tight + slack).all()
    assert (tight <= mean + 5 * error).all()
    assert (mean <= log_p + 5 * error).all()
    assert (tight <= log_p + slack).all()
    if p.logits.shape[-1] > 1:
        assert (tight - loose).min() > 1e-4
    assert (log_p - tight).max() > 0.05  # otherwise the order would hold by accident


def test_gap_between_the_bounds(network):
    """L* - L = KL(q(c | x) || softmax_c [log p(c) + ELBO_c])."""
    model, y = network.model, network.y
    given, q, p = network.terms(), model.encode(y), model.latent()
    gap = (elbo_tight(given, p) - average(given, Exact()(q.logits), q, p).elbo).detach().numpy()
    log_q = q.logits.detach().numpy()
    score = p.logits.detach().numpy() + given.elbo.numpy()
    best = score - logsumexp(score, -1, keepdims=True)
    np.testing.assert_allclose(gap, (np.exp(log_q) * (log_q - best)).sum(-1), rtol=0, atol=1e-12)
    np.testing.assert_allclose(category_posterior(given, p).detach().numpy(), np.exp(best), rtol=0, atol=1e-12)


def test_evaluate_agrees_with_quadrature(network):
    """The answers users get, with 1,000 draws; the error of L is known from its own second moment."""
    model, y = network.model, network.y
    nodes, node_weights = network.noises()
    result = evaluate(model, y, 1000)
    given, q, p = network.terms(), model.encode(y), model.latent()
    with torch.no_grad():
        weights = Exact()(q.logits).weights
        c = torch.arange(weights.shape[1])[None]
        values = [[(weights * part).sum(-1) for part in draw_given(model, y, q, p, c, e)[:2]] for e in nodes]
        log_px, log_ratio = (torch.stack(part).numpy() for part in zip(*values, strict=True))

    def spread_of(values):
        return np.sqrt(np.maximum(node_weights @ values**2 - (node_weights @ values) ** 2, 1e-20))

    exact = average(given, Categories(torch.zeros(1), weights), q, p)
    for ours, theirs, values in ((result.log_px, exact.log_px, log_px), (result.kl_z, exact.kl_z, log_ratio)):
        error = 5 * spread_of(values) / np.sqrt(1000) + 1e-9
        assert (np.abs(ours - theirs.detach().numpy()) < error).all()
    np.testing.assert_allclose(result.kl_c, exact.kl_c.detach().numpy(), atol=1e-10)
    np.testing.assert_allclose(result.elbo, result.log_px - result.kl_c - result.kl_z, atol=1e-10)
    assert np.abs(result.elbo_tight - elbo_tight(given, p).detach().numpy()).max() < 0.2
    assert (result.elbo_tight - result.elbo > -1e-10).all()


@pytest.mark.parametrize("kind", KINDS)
def test_importance_weights_are_unbiased(kind, pixels, agree):
    """The mean of exp(estimate) over 20,000 repetitions is p(x), not only in the limit of many draws."""
    network = pixels(kind, wide=True)
    y = network.y
    n_samples = 2 * network.model.n_components
    with torch.no_grad():
        draws = importance_weighted(network.model, y.repeat(20_000, 1), n_samples).reshape(20_000, -1)
    agree(draws.exp(), np.exp(network.log_p()))


def test_fewer_draws_than_categories_leave_categories_out(pixels, agree):
    """One draw for three categories: the mean is p(x, c) of the category taken, below p(x)."""
    network = pixels("learned", wide=True)
    model, y = network.model, network.y
    with torch.no_grad():
        draws = importance_weighted(model, y.repeat(20_000, 1), 1).reshape(20_000, -1)
        best = model.encode(y).logits.argmax(-1).numpy()
    agree(draws.exp(), np.exp(network.log_joint()[np.arange(16), best]))


def test_a_subset_of_categories_stays_below(pixels):
    """logsumexp over fewer categories, each asked for by its index, is a smaller lower bound."""
    network = pixels("learned")
    p = network.model.latent()
    whole = elbo_tight(network.terms(), p).detach()
    for kept in ([0], [2], [0, 2], [1, 2]):
        part = network.terms(torch.tensor([kept]))
        below = (p.logits.detach()[kept] + part.elbo).logsumexp(-1)
        assert (below <= whole).all()
        assert (below < whole - 1e-3).any()
        assert (below.numpy() < logsumexp(network.log_joint()[:, kept], -1) + 1e-12).all()


@pytest.mark.parametrize("chunk", [1, 7, 64, 10_000])
def test_chunks_change_memory_and_not_the_result(pixels, chunk, agree):
    network = pixels("learned", wide=True)
    with torch.no_grad():
        draws = importance_weighted(network.model, network.y.repeat(800, 1), 20, chunk=chunk).exp()
    agree(draws.reshape(800, -1), np.exp(network.log_p()))


@pytest.mark.parametrize("kind", ["uniform", "vae"])
def test_the_draws_given_are_those_used(pixels, kind):
    network = pixels(kind)

    def noise(seed):
        numbers = torch.randn(16, 9, network.model.latent_dim, generator=torch.Generator().manual_seed(seed)).double()
        return lambda start, stop: numbers[:, start:stop]

    with torch.no_grad():
        values = [
            importance_weighted(network.model, network.y, 9, noise(s), chunk) for s, chunk in ((1, 9), (1, 4), (2, 9))
        ]
    torch.testing.assert_close(values[0], values[1], rtol=0, atol=1e-12)
    assert not torch.allclose(values[0], values[2])


def test_rows_do_not_share_their_noise(pixels):
    """Equal rows in one call get other draws, so that errors of rows are independent."""
    network = pixels()
    with torch.no_grad():
        same = network.y[[5]].repeat(30, 1)
        assert len(importance_weighted(network.model, same, 5).unique()) == 30
        assert len(elbo(network.model, same, Exact()).log_px.unique()) == 30


def test_assigned_categories(network, agree):
    """L of the posterior that is sure of the category asked for, and the cross-entropy to it."""
    model, given = network.model, network.terms()
    n_categories = model.posterior.n_categories
    c = torch.arange(16) % n_categories
    with torch.no_grad():
        terms, cross_entropy = elbo_assigned(model, network.y.repeat(3000, 1), c.repeat(3000))
        log_q = model.encode(network.y).logits
    rows = torch.arange(16)
    agree((terms.log_px - terms.kl_z).reshape(3000, 16), given.elbo[rows, c])
    np.testing.assert_allclose(cross_entropy[:16], -log_q[rows, c], atol=1e-12)
    log_p_c = model.prior(None).logits.expand(n_categories)
    np.testing.assert_allclose(terms.kl_c[:16], -log_p_c[c].detach(), atol=1e-12)


# ---------------------------------------------------------------- sum and sample


@pytest.mark.parametrize(("top", "often"), [(1, 4.0), (2, 30.0), (4, 1e9), (3, 0.5), (7, 4.0)])
def test_sum_and_sample_is_unbiased_in_value_and_gradient(top, often):
    """Against the exact sum, far from zero: what all terms have in common must not reach the noise of the gradient."""
    torch.manual_seed(0)
    raw = (1.5 * torch.randn(6, 8)).double()
    log_px, kl_z = torch.randn(6, 8).double() - 900, torch.rand(6, 8).double()
    p = CategoricalNormal(torch.zeros(8).double(), torch.zeros(8, 1).double(), torch.ones(8, 1).double())

    def estimates(expectation, n):
        """Estimate the bound of each row n times, ``(n, 6)``, and its gradient, ``(n, 6, 8)``."""
        many = raw.repeat(n, 1).requires_grad_()
        q = Joint(many.log_softmax(-1), lambda c: None)
        categories = expectation(q.logits)
        c = categories.c.expand(6 * n, -1)
        given = TermsGivenC(*(terms.repeat(n, 1).gather(-1, c) for terms in (log_px, kl_z)))
        bound = average(given, categories, q, p).elbo
        return bound.detach().view(n, 6), torch.autograd.grad(bound.sum(), many)[0].view(n, 6, 8)

    values, gradients = estimates(SumAndSample(top, often), 3000)
    for found, exact in zip((values, gradients), estimates(Exact(), 1), strict=True):
        error = found.std(0) / 3000**0.5
        assert ((found.mean(0) - exact[0]).abs() < 5 * error + 1e-9).all()
    assert gradients.std(0).max() < 3  # and not in proportion to 900


def test_sum_and_sample_decodes_what_weighs_something():
    torch.manual_seed(0)
    sure = torch.tensor([0.0, -9.0, -9.0, -9.0]).log_softmax(-1).expand(4000, -1)
    categories = SumAndSample()(sure)
    assert categories.decoded[:, 0].all()
    share = categories.decoded[:, 1:].float().mean(0)  # 30 times 0.00012, and 30 times twice as much
    np.testing.assert_allclose(share, [0.0037, 0.0074], atol=0.005)
    assert not categories.weights[~categories.decoded].any()
    taken = categories.weights[:, 1][categories.decoded[:, 1]]
    np.testing.assert_allclose(taken, 1 / 30, rtol=1e-6)
    assert SumAndSample()(torch.zeros(5, 4).log_softmax(-1)).decoded.all()


def test_sum_and_sample_of_weights_that_vanish_has_a_gradient(monkeypatch):
    monkeypatch.setattr("cpvae.probability.expectations.uniform_", lambda x: x.zero_())
    logits = torch.tensor([[0.0, -200.0, -200.0, -200.0]], requires_grad=True)
    categories = SumAndSample()(logits.log_softmax(-1))
    assert categories.decoded.tolist() == [[True, False, False]]
    assert torch.autograd.grad(categories.weights.sum(), logits)[0].isfinite().all()


def test_only_what_is_asked_for_is_decoded():
    """The terms of some categories are those of all, and the decoder sees no other ones."""
    torch.manual_seed(0)
    model = recipes.cpvae(Bernoulli(6), n_components=4, latent_dim=2, network=Dense((5,)))
    y, c, noise = torch.rand(7, 6).round(), torch.randint(4, (7, 3)), torch.randn(7, 3, 2)
    decoded, seen = torch.rand(7, 3) < 0.4, []
    q, p = model.encode(y), model.latent()
    every = terms_given(model, y, q, p, c, noise)
    model.decoder.register_forward_pre_hook(lambda _, given: seen.append(given[0].shape[:-1].numel()))
    some = terms_given(model, y, q, p, c, noise, decoded)
    assert seen == [int(decoded.sum())]
    torch.testing.assert_close(some.log_px, torch.where(decoded, every.log_px, 0.0))
    torch.testing.assert_close(some.kl_z, every.kl_z)
    seen.clear()
    elbo(model, y, SumAndSample(often=1e-9))
    assert seen == [7]  # the likeliest category of each row alone


def test_sum_and_sample_of_few_categories_is_the_exact_sum_where_all_are_decoded():
    logits = torch.randn(5, 3).log_softmax(-1)
    categories = SumAndSample(2, often=1e9)(logits)
    assert categories.decoded.all()
    assert (categories.weights[:, 0] == logits.exp().amax(-1)).all()
    torch.testing.assert_close(torch.zeros(5, 3).scatter(-1, categories.c, categories.weights), logits.exp())


def test_sum_and_sample_where_one_category_is_certain():
    logits = torch.tensor([[0.0, -200.0, -200.0, -200.0, -200.0]], requires_grad=True)
    categories = SumAndSample(2)(logits.log_softmax(-1))
    assert categories.c[0, 0] == 0
    torch.testing.assert_close(categories.weights.sum(-1), torch.ones(1))
    assert torch.autograd.grad(categories.weights.sum(), logits)[0].isfinite().all()


# ---------------------------------------------------------------- allocate


@pytest.mark.parametrize("n_samples", [1, 2, 3, 4, 7, 50, 1000, 5000])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_allocate_shares_all_draws(n_samples, dtype):
    """The likeliest one each, up to half of the draws, and the others by largest remainder: at most one draw away."""
    weights = torch.cat([(3 * torch.randn(400, 3)).softmax(-1), torch.eye(3), torch.full((1, 3), 1 / 3)]).to(dtype)
    counts = allocate(weights, n_samples)
    assert counts.dtype == torch.int64
    assert (counts.sum(-1) == n_samples).all()
    certain = min(3, n_samples // 2)
    assert (counts > 0).sum(-1).min() >= max(1, certain)
    one = (torch.argsort(weights, dim=-1, descending=True, stable=True).argsort(-1) < certain).double()
    share = one + weights.double() * (n_samples - certain)
    assert (counts - share).abs().max() < 1 + 1e-3


def test_a_likely_category_gets_draws_to_average_whatever_k_is():
    """One draw for each category would leave nothing to average where there are as many categories as draws."""
    weights = torch.full((1, 100), 0.001)
    weights[0, 7] = 1 - 99 * 0.001
    counts = allocate(weights, 100)[0]
    assert counts[7] > 40
    assert (counts > 0).sum() >= 50


# ---------------------------------------------------------------- every learned number learns


def gaussian_model():
    return recipes.cpvae(Gaussian(torch.zeros(6), torch.ones(6)), 3, 2, Dense((7, 5)), "learned")


LEARNERS = {
    "cpvae": lambda: recipes.cpvae(Bernoulli(6), 3, 2, Dense((7, 5))),
    "cpvae, learned weights": lambda: recipes.cpvae(Bernoulli(6), 3, 2, Dense((7, 5)), "learned"),
    "cpvae, gaussian": gaussian_model,
    "vae": lambda: recipes.vae(Bernoulli(6), 2, Dense((7, 5))),
}


@pytest.mark.parametrize("name", LEARNERS)
@pytest.mark.parametrize("expectation", [Exact(), StraightThrough(constant(0.7))], ids=["exact", "straight-through"])
def test_every_parameter_has_a_gradient_and_moves(name, expectation):
    model = LEARNERS[name]()
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    optimiser = torch.optim.Adam([p for p in model.parameters() if p.requires_grad])
    y = model.likelihood.draw(torch.rand(50, 6))
    (-elbo(model, y, expectation).elbo.mean()).backward()
    optimiser.step()
    for key, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad.isfinite().all(), key
            assert (parameter.grad != 0).any(), key
            assert not torch.equal(parameter, before[key]), key
        else:
            assert key == "prior.logits", key
            assert torch.equal(parameter, before[key]), key


def test_gradient_of_the_prior_weights_is_the_aggregated_posterior():
    """d L / d log p(c) = mean q(c | x) - p(c)."""
    model = recipes.cpvae(Bernoulli(6), 3, 2, Dense((7, 5)), "learned").double()
    model.prior.logits.data = torch.tensor([0.5, 0.0, -1.0]).double()
    y = torch.bernoulli(torch.rand(50, 6)).double()
    elbo(model, y, Exact()).elbo.mean().backward()
    expected = model.encode(y).logits.exp().mean(0) - model.prior.logits.softmax(-1)
    torch.testing.assert_close(model.prior.logits.grad, expected.detach(), rtol=0, atol=1e-12)


def test_gradients_are_right(pixels):
    """Automatic differentiation of L against finite differences, noise held fixed."""
    network = pixels("learned")
    model, y = network.model, network.y
    noise = torch.randn(16, 1, 1).double()

    def bound() -> torch.Tensor:
        q, p = model.encode(y), model.latent()
        categories = Exact()(q.logits)
        return average(terms_given(model, y, q, p, categories.c, noise), categories, q, p).elbo.mean()

    bound().backward()
    for name, parameter in model.named_parameters():
        flat, i = parameter.data.view(-1), parameter.numel() // 2
        kept, values = float(flat[i]), []
        for step in (1e-5, -1e-5):
            flat[i] = kept + step
            values.append(bound().item())
        flat[i] = kept
        assert parameter.grad.view(-1)[i].item() == pytest.approx((values[0] - values[1]) / 2e-5, abs=1e-7), name
