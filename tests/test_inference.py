"""Answers about rows: functions of the row, exact means over rows, and the parts of eq. (13)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import logsumexp
from torch import nn
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal, kl_divergence

from cpvae.data.noise import row_keys, row_normal
from cpvae.fitting.validation import validate
from cpvae.nn.layers import Dense, GatedLinear
from cpvae.probability import estimates, recipes
from cpvae.probability.bounds import elbo, importance_weighted
from cpvae.probability.distributions import CategoricalNormal, Continuous, DiagonalNormal
from cpvae.probability.estimates import (
    decompose,
    draw_categories,
    evaluate,
    latent_means,
    log_likelihood,
    standard_error,
)
from cpvae.probability.expectations import Exact, Joint
from cpvae.probability.likelihoods.bernoulli import Bernoulli
from cpvae.probability.models import VAE
from cpvae.probability.posteriors import NormalPosterior

PARTS = ("log_px", "kl_c", "kl_z", "elbo", "elbo_tight", "proba", "q_c")


def small(weights: str = "uniform", n_components: int = 3, latent_dim: int = 2) -> VAE:
    model = recipes.cpvae(Bernoulli(6), n_components, latent_dim, Dense((7, 5)), weights).double()
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data.add_(0.4 * torch.randn_like(parameter))
    return model


def bits(n: int) -> torch.Tensor:
    """Make different rows of six pixels and a few equal ones."""
    return torch.bernoulli(torch.rand(n, 6)).double()


# ---------------------------------------------------------------- functions of the row


@pytest.fixture
def grey() -> torch.Tensor:
    return torch.rand(60, 6).double()


def test_evaluation_is_a_function_of_the_row(grey, monkeypatch):
    model, order = small(), torch.randperm(60)
    whole = evaluate(model, grey, 3)
    shuffled, single = evaluate(model, grey[order], 3), evaluate(model, grey[7:8], 3)
    monkeypatch.setattr(estimates, "DECODED_AT_ONCE", 3 * 7)  # batches of seven rows, the last of four
    parts = evaluate(model, grey, 3)
    for name in PARTS:
        value = getattr(whole, name)
        np.testing.assert_allclose(getattr(shuffled, name), value[order], rtol=0, atol=1e-12, err_msg=name)
        np.testing.assert_allclose(getattr(single, name), value[7:8], rtol=0, atol=1e-12, err_msg=name)
        np.testing.assert_allclose(getattr(parts, name), value, rtol=0, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("evaluated", [1, 4, 19])
def test_of_many_categories_the_likeliest_give_bounds(grey, monkeypatch, evaluated):
    """Cut to some categories, L is that of the cut posterior, by hand; L* is below that of all categories."""
    model = small(n_components=20, latent_dim=3)
    whole = evaluate(model, grey, 2)
    monkeypatch.setattr(estimates, "EVALUATED", evaluated)
    same = evaluate(model, grey, 2)  # no row of this model is sure of so few categories
    np.testing.assert_allclose(same.elbo, whole.elbo, rtol=0, atol=1e-9)
    monkeypatch.setattr(estimates, "LEFT_OUT", 1.0)
    cut = evaluate(model, grey, 2)
    q = torch.from_numpy(whole.q_c)
    kept = q.topk(evaluated).indices
    mask = torch.zeros_like(q).scatter_(-1, kept, 1.0)
    weights = mask * q / (mask * q).sum(-1, keepdim=True)
    with torch.no_grad():
        y = grey
        given = estimates.mean_terms(model, y, model.encode(y), model.latent(), torch.arange(20).unsqueeze(0), 2)
    divergence = torch.special.xlogy(weights, 20 * weights).sum(-1)
    by_hand = (weights * given.elbo).sum(-1) - divergence
    np.testing.assert_allclose(cut.elbo, by_hand.numpy(), rtol=0, atol=1e-9)
    assert (cut.elbo <= cut.elbo_tight + 1e-9).all()
    assert (cut.elbo_tight < whole.elbo_tight).all()
    np.testing.assert_allclose(cut.proba.sum(1), 1.0, atol=1e-9)
    assert ((cut.proba > 0) <= mask.numpy().astype(bool)).all()
    np.testing.assert_array_equal(cut.q_c, whole.q_c)
    with torch.no_grad():
        means = model.encode(grey).given(torch.arange(20).unsqueeze(0)).mean
    np.testing.assert_allclose(latent_means(model, grey), (weights.unsqueeze(-1) * means).sum(1).numpy(), atol=1e-9)


def test_rows_that_are_sure_of_few_categories_are_cut_and_others_are_not(grey, monkeypatch):
    """In the order of the rows, each as if it were evaluated alone."""
    model = small(n_components=20)
    model.posterior.logits.weight.data.mul_(30.0)
    whole = evaluate(model, grey, 2)
    monkeypatch.setattr(estimates, "EVALUATED", 3)
    sure = np.sort(whole.q_c, 1)[:, -3:].sum(1) > 1 - estimates.LEFT_OUT
    assert 5 < sure.sum() < 55
    cut, means = evaluate(model, grey, 2), latent_means(model, grey)
    np.testing.assert_allclose(cut.elbo[~sure], whole.elbo[~sure], rtol=0, atol=1e-9)
    assert ((cut.proba > 0).sum(1) == np.where(sure, 3, 20)).all()
    for i in range(0, 60, 7):
        alone = evaluate(model, grey[i : i + 1], 2)
        np.testing.assert_allclose(alone.elbo_tight, cut.elbo_tight[i : i + 1], rtol=0, atol=1e-9)
        np.testing.assert_allclose(latent_means(model, grey[i : i + 1]), means[i : i + 1], atol=1e-9)


def test_log_likelihood_is_a_function_of_the_row(grey):
    """As the module says of everything in it: the same in any batch and any order."""
    model, order = small(), torch.randperm(60)
    whole = log_likelihood(model, grey, 10, seed=3)
    np.testing.assert_allclose(log_likelihood(model, grey[order], 10, seed=3), whole[order], rtol=0, atol=1e-12)
    np.testing.assert_allclose(log_likelihood(model, grey[7:8], 10, seed=3), whole[7:8], rtol=0, atol=1e-12)


def test_rows_do_not_share_their_noise(grey):
    """Errors of two rows are unrelated: over the rows, the error of L is not larger than independent ones make it."""
    model = small()
    y = torch.rand(3000, 6).double()
    errors = evaluate(model, y).log_px - evaluate(model, y, 300).log_px
    assert abs(errors.mean()) < 5 * standard_error(errors)
    assert abs(np.corrcoef(errors[:-1], errors[1:])[0, 1]) < 5 / np.sqrt(3000)


def test_more_draws_have_less_noise():
    model, y = small(), torch.rand(300, 6).double()
    reference = evaluate(model, y, 1000).log_px
    one, many = (np.std(evaluate(model, y, n).log_px - reference) for n in (1, 100))
    assert 5 < one / many < 20  # the root of 100, within the error of the reference


def test_validation_is_the_mean_over_rows(grey, monkeypatch):
    """FACTS 6.7: batches of 7 with a last one of 4 must not weigh the last rows more."""
    model = small()
    exact = evaluate(model, grey)
    monkeypatch.setattr(estimates, "DECODED_AT_ONCE", 3 * 7)
    terms = validate(model, grey, Exact())[0]
    for name in ("log_px", "kl_c", "kl_z", "elbo"):
        assert float(getattr(terms, name)) == pytest.approx(getattr(exact, name).mean(), abs=1e-12)


def test_latent_means_are_posterior_means(solve, agree):
    """Against draws of z from the exact posterior of a linear model: first c, then z."""
    solved = solve(n=8)
    q = solved.model.encode(solved.y)
    c = Categorical(logits=q.logits).sample((20_000,)).T
    agree(q.given(c).sample().transpose(0, 1).flatten(1), latent_means(solved.model, solved.y).ravel())


def test_standard_error():
    values = np.random.default_rng(0).normal(size=100)
    assert standard_error(values) == pytest.approx(stats.sem(values), abs=1e-15)


# ---------------------------------------------------------------- the number of samples (FACTS 6.6)


@pytest.mark.parametrize("n_samples", [1, 2, 3, 7, 499, 500, 501, 1203])
@pytest.mark.parametrize("kind", ["cpvae", "vae"])
def test_exactly_the_draws_asked_for_are_decoded(n_samples, kind):
    """Counted where they are decoded: for each row its n_samples, below, at and above the chunk of 500."""
    model = small() if kind == "cpvae" else recipes.vae(Bernoulli(6), 2, Dense((7, 5))).double()
    seen: dict[tuple, int] = {}

    def count(module, inputs):
        z, c = inputs
        rows = torch.broadcast_shapes(z.shape[:-1], c.shape)
        seen["draws"] = seen.get("draws", 0) + rows[0] * rows[1]
        seen["different"] = seen.get("different", 0) + len(z.flatten(0, 1).unique(dim=0))

    model.decoder.register_forward_pre_hook(count)
    log_likelihood(model, torch.rand(20, 6).double(), n_samples, seed=0)
    assert seen["draws"] == 20 * n_samples
    assert seen["different"] == 20 * n_samples


def test_seed_of_the_log_likelihood():
    model, y = small(), bits(10)
    a, b, c = (log_likelihood(model, y, 5, seed) for seed in (1, 1, 2))
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)


# ---------------------------------------------------------------- eq. (13)


@pytest.fixture(params=["uniform", "learned", "vae"])
def model(request) -> VAE:
    if request.param == "vae":
        return recipes.vae(Bernoulli(6), 2, Dense((7, 5))).double()
    return small(request.param)


def parts_of(model: VAE, y: torch.Tensor):
    """Compute q(c | x) and q(z | x, c) of all rows as torch's own distributions, and p."""
    q, p = model.encode(y), model.latent()
    k = model.posterior.n_categories
    normal = q.given(torch.arange(k)[None]).base_dist
    return q.logits.detach(), normal.loc.detach(), normal.scale.detach(), p


def test_eq_13(model):
    """E KL = I((z, c); x) + E KL(q(z | c) || p(z | c)) - H(q(c)) + cross-entropy, to rounding."""
    y = bits(50)
    result = decompose(model, y)
    n_categories = model.posterior.n_categories
    right = result.mutual_information.mean() + result.marginal_kl_z.mean()
    right += result.cross_entropy_c - result.marginal_entropy_c
    assert result.kl.mean() == pytest.approx(right, abs=1e-10)
    log_q_c, *_, p = parts_of(model, y)
    q_c = log_q_c.exp().mean(0).numpy()
    assert result.marginal_entropy_c == pytest.approx(stats.entropy(q_c), abs=1e-10)
    p_c = p.logits.detach().exp().numpy()
    kl_c = stats.entropy(q_c, p_c)
    assert result.cross_entropy_c - result.marginal_entropy_c == pytest.approx(kl_c, abs=1e-10)
    if np.ptp(p_c) < 1e-12:
        assert result.cross_entropy_c == pytest.approx(np.log(n_categories), abs=1e-10)


def test_parts_of_eq_13_by_torch_distributions(model):
    """Each part from its definition, with the aggregated posteriors as mixtures over the rows, at the same draws."""
    y = bits(50)
    result = decompose(model, y)
    log_q_c_x, loc, scale, p = parts_of(model, y)
    log_q_c = log_q_c_x.logsumexp(0) - np.log(50)
    noise = row_normal(row_keys(y), (1, 2))[:, 0]
    kl = information = marginal = 0.0
    for k in range(loc.shape[1]):
        each = Independent(Normal(loc[:, k], scale[:, k]), 1)
        z = loc[:, k] + scale[:, k] * noise
        aggregated = MixtureSameFamily(Categorical(logits=log_q_c_x[:, k]), each).log_prob(z)
        log_p = p.log_prob_given(z[:, None], torch.full((1, 1), k))[:, 0].detach()
        w = log_q_c_x[:, k].exp()
        kl += w * (log_q_c_x[:, k] + each.log_prob(z) - p.logits[k].detach() - log_p)
        information += w * (log_q_c_x[:, k] + each.log_prob(z) - log_q_c[k] - aggregated)
        marginal += w * (aggregated - log_p)
    for name, expected in {"kl": kl, "mutual_information": information, "marginal_kl_z": marginal}.items():
        np.testing.assert_allclose(getattr(result, name), expected.numpy(), rtol=0, atol=1e-10, err_msg=name)


def test_eq_13_against_eq_8(model):
    """The Monte Carlo KL of `decompose` and the closed form of eq. (8) agree on average over 2,000 rows."""
    y = torch.rand(2000, 6).double()
    result = decompose(model, y)
    log_q_c_x, loc, scale, p = parts_of(model, y)
    if isinstance(p, CategoricalNormal):
        kl_z = kl_divergence(Normal(loc, scale), Normal(p.loc, p.scale)).sum(-1)
        closed = (log_q_c_x.exp() * (log_q_c_x - p.logits + kl_z)).sum(-1)
    else:
        closed = kl_divergence(DiagonalNormal(loc[:, 0], scale[:, 0]), p.distribution)
    difference = result.kl - closed.detach().numpy()
    assert abs(difference.mean()) < 5 * stats.sem(difference)


def test_parts_of_eq_13_by_quadrature(pixels):
    """In one dimension the mutual information and the marginal divergence are sums over a line of z."""
    network = pixels("learned")
    model, y = network.model, torch.rand(400, 4).double()
    result = decompose(model, y)
    log_q_c_x, loc, scale, p = parts_of(model, y)
    log_w = log_q_c_x.numpy() - np.log(400)
    log_q_c = logsumexp(log_w, 0)
    information = marginal = 0.0
    for k in range(3):
        low, high = (loc[:, k] - 9 * scale[:, k]).min(), (loc[:, k] + 9 * scale[:, k]).max()
        z = np.linspace(float(low), float(high), 8001)
        log_each = stats.norm(loc[:, k, 0].numpy(), scale[:, k, 0].numpy()).logpdf(z[:, None])
        log_joint = log_each + log_w[:, k]  # q(z, c, x_j)
        log_z = logsumexp(log_joint, 1)  # q(z, c)
        log_p = p.log_prob_given(torch.from_numpy(z)[None, :, None], torch.full((1, 1), k))[0].detach().numpy()
        step = z[1] - z[0]
        assert step * np.exp(log_z).sum() == pytest.approx(np.exp(log_q_c[k]), rel=1e-8)
        information += step * (np.exp(log_joint) * (log_joint + np.log(400) - log_z[:, None])).sum()
        marginal += step * (np.exp(log_z) * (log_z - log_q_c[k] - log_p)).sum()
    assert result.mutual_information.mean() == pytest.approx(information, abs=5 * stats.sem(result.mutual_information))
    assert result.marginal_kl_z.mean() == pytest.approx(marginal, abs=5 * stats.sem(result.marginal_kl_z))
    assert 0 < information < np.log(400)
    assert marginal > 0


def test_mutual_information_of_sharp_posteriors_is_log_n():
    """Posteriors that do not overlap identify the row, and c, given by x, adds nothing."""
    model = small(n_components=1)
    model.posterior.head.linear.bias.data[2:] = -20
    model.posterior.head.linear.weight.data[:2] *= 100
    y = torch.rand(40, 6).double()
    assert decompose(model, y).mutual_information.mean() == pytest.approx(np.log(40), abs=1e-3)


def test_mutual_information_of_a_blind_posterior_is_zero():
    model = small()
    for layer in (model.posterior.logits, model.posterior.join):
        layer.weight.data.zero_()
    result = decompose(model, bits(40))
    np.testing.assert_allclose(result.mutual_information, 0, atol=1e-10)


# ---------------------------------------------------------------- one component is a VAE (FACTS 6.11)


class LearnedNormal(nn.Module):
    """A prior p(z): one Gaussian without categories."""

    n_components = 1

    def __init__(self, loc: torch.Tensor, scale: torch.Tensor):
        super().__init__()
        self.loc, self.scale = nn.Parameter(loc), nn.Parameter(scale)

    def forward(self, posterior: nn.Module) -> Continuous:
        return Continuous(DiagonalNormal(self.loc, self.scale))


class Joined(nn.Module):
    """An encoder made of the encoder and the layer after it, for a single category."""

    def __init__(self, encoder: nn.Module, join: GatedLinear):
        super().__init__()
        self.encoder, self.join = encoder, join
        self.out_features = encoder.out_features

    def forward(self, y: torch.Tensor) -> torch.Tensor:
        return self.join(self.encoder(y))


def without_category(layer: GatedLinear) -> GatedLinear:
    """Fold the row of the only category into the bias of a layer."""
    n, width = layer.weight.shape
    plain = GatedLinear(width, n // 2).double()
    plain.weight.data, plain.bias.data = layer.weight.data, layer.bias.data + layer.table.data[0]
    return plain


@pytest.fixture(params=["learned prior", "standard normal"])
def twins(request) -> tuple[VAE, VAE]:
    """Make a CP-VAE with K = 1, and the VAE with the same weights."""
    conditional = small(n_components=1)
    if request.param == "standard normal":
        conditional.prior.set_components(torch.zeros(1, 2), torch.ones(1, 2))
        plain = recipes.vae(Bernoulli(6), 2, Dense((7, 5))).double()
    else:
        plain = recipes.vae(Bernoulli(6), 2, Dense((7, 5))).double()
        plain.prior = LearnedNormal(conditional.prior.loc.data[0], conditional.prior.scale.data[0])
    posterior = NormalPosterior(Joined(conditional.posterior.encoder, without_category(conditional.posterior.join)), 2)
    posterior.head = conditional.posterior.head
    plain.posterior = posterior
    plain.decoder = Dense((7, 5)).decoder(2, 6).double()
    plain.decoder.load_state_dict(
        {k: v for k, v in conditional.decoder.state_dict().items() if k != "hidden.first.table"}
    )
    plain.decoder.hidden.first = without_category(conditional.decoder.hidden.first)
    return conditional, plain


def test_one_component_is_a_vae_when_evaluated(twins):
    y = bits(40)
    ours, theirs = (evaluate(model, y, 2) for model in twins)
    for name in PARTS:
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=0, atol=1e-12, err_msg=name)
    np.testing.assert_allclose(ours.elbo, ours.elbo_tight, rtol=0, atol=1e-12)


def test_one_component_is_a_vae_when_trained(twins):
    """The same bound from the same seed, and the same gradient where weights correspond."""
    y, gradients = bits(40), []
    for model in twins:
        torch.manual_seed(5)
        terms = elbo(model, y, Exact())
        torch.manual_seed(6)
        weighted = importance_weighted(model, y, 9)
        shared = [model.posterior.head.linear.weight, model.decoder.output.weight]
        shared += [model.prior.loc] if isinstance(twins[1].prior, LearnedNormal) else []
        gradients.append((terms.elbo, weighted, *torch.autograd.grad(terms.elbo.sum(), shared)))
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours.squeeze(0), theirs, rtol=0, atol=1e-11)


def test_a_category_drawn_for_a_row_has_the_probability_that_q_gives_it():
    """What validates a model of many categories: the right frequencies, and a function of the row."""
    y = torch.rand(20_000, 3, generator=torch.Generator().manual_seed(0)).double()
    logits = torch.tensor([1.0, 0.0, -2.0, -torch.inf]).double().log_softmax(-1).expand(len(y), 4)
    q = Joint(logits=logits, given=lambda c: DiagonalNormal(torch.zeros(1), torch.ones(1)))
    c, weights, _ = draw_categories(y, q)
    share = torch.bincount(c[:, 0], minlength=4) / len(y)
    torch.testing.assert_close(share.double(), logits[0].exp(), rtol=0, atol=5 * 0.5 / len(y) ** 0.5)
    assert share[3] == 0
    assert weights.eq(1).all()
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(1))
    assert torch.equal(draw_categories(y[order], q).c, c[order])
