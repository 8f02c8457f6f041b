"""Objectives that a step minimises, and the M-step of a prior."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import pytest
import torch
from torch import Tensor

from cpvae.fitting.devices.world import World
from cpvae.fitting.schedules import constant, linear_fall, linear_warmup
from cpvae.nn.layers import Dense
from cpvae.probability import recipes
from cpvae.probability.bounds import elbo, elbo_assigned, inconsistency, unlikeliness
from cpvae.probability.distributions import DiagonalNormal
from cpvae.probability.expectations import Exact, Relaxed, StraightThrough, SumAndSample
from cpvae.probability.likelihoods.bernoulli import Bernoulli
from cpvae.probability.models import VAE
from cpvae.probability.moments import Moments
from cpvae.probability.objectives import Assigned, Batch, Bound, Consistent, Copies, FromCopies, Objective
from cpvae.probability.posteriors import MAX_LOG_SCALE, MIN_LOG_SCALE
from cpvae.probability.priors import Conditional, FullConditional, FullMixture, LowRankConditional, Mixture

STEP = torch.tensor(3.0)


@dataclass(frozen=True)
class Reversed:
    """Copies with their columns in reverse."""

    def __call__(self, x: Tensor) -> Tensor:
        return x.flip(1)

    def times(self, factor: float) -> Self:
        return self


@dataclass(frozen=True)
class Same(Reversed):
    """Copies that are the rows."""

    def __call__(self, x: Tensor) -> Tensor:
        return x


@pytest.fixture
def model() -> VAE:
    return recipes.cpvae(Bernoulli(6, drawn=False), 3, 2, Dense((8,)))


@pytest.fixture
def batch() -> Batch:
    x = torch.randint(2, (5, 6)).float()
    return Batch(x, x, torch.tensor([0, 1, 2, 0, 1]))


def value(objective: Objective, model: VAE, batch: Batch, seed: int = 1) -> tuple[Tensor, Tensor]:
    torch.manual_seed(seed)
    loss, terms = objective(model, batch, STEP)
    return loss, terms.elbo


def test_a_bound_is_minus_l_and_its_weight_is_that_of_both_kl_terms(model: VAE, batch: Batch) -> None:
    loss, bound = value(Bound(), model, batch)
    torch.manual_seed(1)
    terms = elbo(model, batch.y, Exact())
    torch.testing.assert_close(loss, -terms.elbo)
    torch.testing.assert_close(bound, terms.elbo)
    warm = Bound(beta=linear_warmup(4))
    loss, bound = value(warm, model, batch)
    torch.testing.assert_close(loss, -(terms.log_px - 0.75 * (terms.kl_c + terms.kl_z)))
    torch.testing.assert_close(bound, terms.elbo)
    torch.testing.assert_close(warm.value(terms), terms.elbo)
    light = Bound(beta=constant(0.1))
    torch.testing.assert_close(light.value(terms), terms.log_px - 0.1 * (terms.kl_c + terms.kl_z))


def test_consistency_adds_the_divergence_from_copies(model: VAE, batch: Batch) -> None:
    plain, _ = value(Bound(), model, batch)
    same, _ = value(Consistent(copies=Copies(Same(), drawn=False), weight=20.0), model, batch)
    torch.testing.assert_close(same, plain)
    other, _ = value(Consistent(copies=Copies(Reversed(), drawn=False), weight=20.0), model, batch)
    expected = inconsistency(model.encode(batch.y), model.encode(batch.y.flip(1)))
    torch.testing.assert_close(other - plain, 20 * expected)
    assert (expected > 0).all()


def test_slight_copies_take_the_place_of_a_share_of_rows(
    model: VAE, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Copies are in the bound alone: without a share left it is the bound of the rows."""
    turned = batch._replace(y=batch.y.flip(1))
    reversed_, same = Copies(Reversed(), drawn=False), Copies(Same(), drawn=False)

    def mixed(share: float) -> Consistent:
        return Consistent(copies=same, weight=20.0, slight=reversed_, replaced=constant(share))

    for share, expected in ((0.0, batch), (1.0, turned)):
        torch.manual_seed(1)
        torch.empty(5, 1).uniform_()  # which rows are replaced
        plain, terms = Bound()(model, expected, STEP)
        agree = inconsistency(model.encode(expected.y), model.encode(batch.y))
        torch.manual_seed(1)
        loss, found = mixed(share)(model, batch, STEP)
        torch.testing.assert_close(loss, plain + 20.0 * agree)
        torch.testing.assert_close(found, terms)
    many = torch.eye(6)[:3].repeat(400, 1)  # none is its own reverse
    seen, both = [], model.encode_both
    monkeypatch.setattr(model, "encode_both", lambda y, other: seen.append(y) or both(y, other))
    mixed(0.3)(model, Batch(many, many), STEP)
    assert float((seen[0] != many).any(1).double().mean()) == pytest.approx(0.3, abs=0.05)


def test_two_processes_replace_together_the_rows_of_one(model: VAE) -> None:
    x = torch.eye(6).repeat(5, 1)
    bound = Bound(slight=Copies(Reversed(), drawn=False), replaced=constant(0.5))
    torch.manual_seed(3)
    whole = bound.mixed(model, Batch(x, x), STEP).y
    parts = []
    for rank in range(2):
        torch.manual_seed(3)
        two = World(rank, 2)
        with two.sharing(len(x)):
            mine = x[two.part(len(x))]
            parts.append(bound.mixed(model, Batch(mine, mine), STEP).y)
    assert torch.equal(torch.cat(parts), whole)
    assert 0.2 < float((whole != x).any(1).double().mean()) < 0.8


def test_a_start_is_an_observer_of_categories_whom_l_does_not_hear(model: VAE, batch: Batch) -> None:
    """log p(start | c) is `start_weight` for the same category, and constant otherwise."""
    copies = Copies(Reversed(), drawn=False)
    for forgotten, heard in (
        (Bound(), Bound(start_weight=6.0)),
        (Bound(), Bound(start_weight=2.0, overcount=3.0)),
        (Consistent(copies=copies, weight=20.0), Consistent(copies=copies, weight=20.0, start_weight=6.0)),
    ):
        (loss, terms), (with_start, same) = (value(one, model, batch) for one in (forgotten, heard))
        torch.testing.assert_close(loss - with_start, 6.0 * model.encode(batch.y).logits.exp()[range(5), batch.c])
        torch.testing.assert_close(same, terms)
        torch.testing.assert_close(value(heard, model, batch._replace(c=None))[0], loss)


def test_copies_are_drawn_where_the_model_sees_black_and_white() -> None:
    grey = torch.full((4, 6), 0.5)
    drawn = Copies(Same())(Bernoulli(6), grey)
    assert ((drawn == 0) | (drawn == 1)).all()
    assert torch.equal(Copies(Same(), drawn=False)(Bernoulli(6), grey), grey)


def test_from_copies_the_rows_are_rebuilt(model: VAE, batch: Batch) -> None:
    plain, _ = value(Bound(), model, batch)
    same, _ = value(FromCopies(copies=Copies(Same(), drawn=False)), model, batch)
    torch.testing.assert_close(same, plain)
    found, _ = value(FromCopies(copies=Copies(Reversed(), drawn=False)), model, batch)
    torch.manual_seed(1)
    expected = elbo(model, batch.y, Exact(), q=model.encode(batch.y.flip(1)))
    torch.testing.assert_close(found, -expected.elbo)
    assert not FromCopies(copies=Copies(Same())).chosen
    assert Bound().chosen


def test_assigned_categories_are_learned_by_rows_and_copies(model: VAE, batch: Batch) -> None:
    loss, _ = value(Assigned(constant(0.5)), model, batch)
    torch.manual_seed(1)
    terms, cross_entropy = elbo_assigned(model, batch.y, batch.c)
    torch.testing.assert_close(loss, -(terms.log_px - cross_entropy - 0.5 * terms.kl_z))
    both, _ = value(Assigned(constant(0.5), Copies(Reversed(), drawn=False)), model, batch)
    torch.testing.assert_close(both - loss, unlikeliness(model.encode(batch.y.flip(1)), batch.c))
    heavier, _ = value(Assigned(constant(0.5), weight=3.0), model, batch)
    torch.testing.assert_close(heavier - loss, 2.0 * cross_entropy)


def test_while_a_start_holds_the_weights_are_those_of_the_objective() -> None:
    beta, copies = linear_warmup(5), Copies(Same())
    assert Bound(beta=beta).held == Assigned(beta)
    assert Bound(beta=beta, overcount=9.0).held == Assigned(beta, weight=9.0)
    assert Consistent(beta=beta, copies=copies, weight=1.0).held == Assigned(beta, copies)


def test_only_relaxed_draws_make_no_bound() -> None:
    for expectation in (Exact(), SumAndSample(), StraightThrough(constant(0.5))):
        assert Bound(expectation).is_bound
        assert Consistent(expectation, copies=Copies(Same()), weight=1.0).is_bound
    assert not Bound(Relaxed(constant(0.5))).is_bound
    assert [e.is_exact for e in (Exact(), SumAndSample(), Relaxed(constant(1.0)))] == [True, False, False]


@pytest.mark.parametrize("number", [0.0, 2.0, 4.0, 9.0])
def test_a_schedule_gives_the_same_for_numbers_and_tensors(number: float) -> None:
    for schedule in (linear_warmup(4), linear_warmup(0), constant(0.3), linear_fall(0.5, 4), linear_fall(0.5, 0)):
        assert float(schedule(torch.tensor(number))) == pytest.approx(schedule(number))


@pytest.mark.parametrize("kind", [Conditional, FullConditional, Mixture, FullMixture])
def test_a_matched_prior_has_no_gradient_left(kind: type[Conditional]) -> None:
    """The M-step is the exact one: nothing that the prior learns would lower the divergence of its rows."""
    prior, n = kind(3, 2).double(), 200
    c = torch.arange(n) % 3
    mix = torch.randn(3, 2, 2).double()
    loc = (mix[c] @ torch.randn(n, 2, 1).double())[..., 0] + 3 * torch.randn(3, 2).double()[c]
    scale = (0.3 * torch.randn(n, 2).double()).exp()
    moments = prior.moments()
    assert moments is not None
    for part in torch.arange(n).split(70):
        moments.add(loc[part], scale[part], c[part])
    prior.match(moments)
    q = DiagonalNormal(loc.unsqueeze(1), scale.unsqueeze(1))
    divergence = prior.components().kl_given(q, loc.unsqueeze(1), c.unsqueeze(1)).mean()
    learned = [prior.loc, prior.log_scale, *([prior.lower] if isinstance(prior, FullConditional) else [])]
    for gradient in torch.autograd.grad(divergence, learned):
        assert gradient.abs().max() < 1e-10
    covariance = torch.stack(
        [torch.cov(loc[c == k].T, correction=0) + scale[c == k].square().mean(0).diag() for k in range(3)]
    )
    torch.testing.assert_close(prior.components().scale.detach(), covariance.diagonal(dim1=1, dim2=2).sqrt())


def test_a_matched_prior_of_low_rank_has_the_factors_that_its_rows_have() -> None:
    """Rows whose covariance is of low rank plus a constant have it exactly; others have their variances."""
    prior, n = LowRankConditional(2, 16).double(), 4000
    factors = torch.randn(2, 16, 2).double()
    c = torch.arange(n) % 2
    loc = (factors[c] @ torch.randn(n, 2, 1).double())[..., 0]
    moments = prior.moments()
    assert moments is not None
    moments.add(loc, torch.full_like(loc, 0.5), c)
    prior.match(moments)
    p = prior.components()
    expected = torch.stack([torch.cov(loc[c == k].T, correction=0) + 0.25 * torch.eye(16) for k in range(2)])
    found = torch.diag_embed(p.own.square()) + p.shared @ p.shared.mT
    torch.testing.assert_close(found.detach(), expected, rtol=1e-3, atol=1e-3)
    assert (prior.shared.shape, prior.log_scale.shape) == ((2, 16, 2), (2, 16))


@pytest.mark.parametrize("kind", [Conditional, LowRankConditional, FullConditional])
def test_components_without_rows_stay_and_few_rows_have_no_covariance(kind: type[Conditional]) -> None:
    prior = kind(3, 4)
    before = prior.loc.detach().clone()
    moments = Moments(prior.loc, full=kind is not Conditional)
    moments.add(torch.randn(4, 4), torch.full((4, 4), 1e-6), torch.tensor([1, 1, 1, 2]))
    prior.match(moments)
    assert torch.equal(prior.loc[[0, 2]], before[[0, 2]])
    assert not torch.equal(prior.loc[1], before[1])
    assert prior.components().scale.isfinite().all()
    assert prior.components().scale.min() >= 0.0099
    if isinstance(prior, FullConditional):
        assert not prior.lower.any()


@pytest.mark.parametrize(("beyond", "leads_back"), [(9.0, 1.0), (-12.0, -1.0)])
def test_a_scale_beyond_its_bounds_is_led_back(model, batch, beyond, leads_back):
    """A row whose scale overshot once would stay there for good, with a bound of thousands of nats."""
    of_scale = model.posterior.head.linear.bias.data[2:]
    of_scale.fill_(beyond)
    q = model.encode(batch.y).given(torch.zeros(5, 1, dtype=torch.int64)).top
    assert q.scale.log().unique().tolist() == pytest.approx([min(max(beyond, MIN_LOG_SCALE), MAX_LOG_SCALE)])
    loss, _ = Bound(Exact(), constant(1.0))(model, batch, STEP)
    loss.mean().backward()
    assert (model.posterior.head.linear.bias.grad[2:] * leads_back > 0).all()
