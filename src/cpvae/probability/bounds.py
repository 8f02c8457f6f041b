"""Lower bounds on log p(x), and the terms they are made of: all per row, in nats.

With a one-hot category c and ``ELBO_c(x) = E_{q(z|x,c)} log p(x|z,c) - KL(q(z|x,c) || p(z|c))``:

- ``L(x) = sum_c q(c|x) ELBO_c(x) - KL(q(c|x) || p(c))``: eqs. (7)-(8), function `elbo`.
- ``L*(x) = logsumexp_c [log p(c) + ELBO_c(x)]``: function `elbo_tight`. L* - L is the divergence of q(c|x) from
  ``softmax_c [log p(c) + ELBO_c(x)]``, hence never negative; that softmax is the best posterior over categories that
  the Gaussians allow, and what the estimators call `predict_proba`.
- ``log p(x) ~ log sum_c p(c) mean_s p(x|z,c) p(z|c) / q(z|x,c)``: function `importance_weighted` (Burda, Grosse and
  Salakhutdinov, 2016).

In expectation L <= L* <= importance-weighted <= log p(x), if each ELBO_c is estimated by logarithms of importance
weights (`draw_given`) and the importance-weighted estimate has enough draws for each category to get one (`allocate`).

Shapes: B rows, M categories evaluated for each, S draws of z.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from cpvae.nn.draws import normal_
from cpvae.probability.distributions import Latent
from cpvae.probability.expectations import NEVER, Categories, Expectation, Joint
from cpvae.probability.models import VAE


class Terms(NamedTuple):
    """The parts of L, each ``(B,)``, nats: L = log_px - kl_c - kl_z."""

    log_px: Tensor
    kl_c: Tensor
    kl_z: Tensor

    @property
    def elbo(self) -> Tensor:
        """L(x), eq. (7)."""
        return self.log_px - self.kl_c - self.kl_z


class TermsGivenC(NamedTuple):
    """The parts of ELBO_c for the M categories evaluated, each ``(B, M)``, nats."""

    log_px: Tensor
    kl_z: Tensor

    @property
    def elbo(self) -> Tensor:
        """ELBO_c(x)."""
        return self.log_px - self.kl_z


def terms_given(
    model: VAE,
    y: Tensor,
    q: Joint,
    p: Latent,
    c: Tensor,
    noise: Tensor | None = None,
    decoded: Tensor | None = None,
) -> TermsGivenC:
    """Compute log p(x | z, c) at one draw of z, and KL(q(z | x, c) || p(z | c)), for the categories `c`.

    Args:
        y: rows in the model's units, drawn to bits if the likelihood asks for it, ``(B, F)``.
        q, p: posterior and prior.
        c: indices ``(B or 1, M)`` or points of the simplex ``(B, M, K)``.
        noise: standard normal, ``(B, 1, D)`` or ``(B, M, D)``; None draws it.
        decoded: for which of the indices `c` log p(x | z, c) is computed, ``(B, M)``; it is 0 for the others. None
            computes all.
    """
    q_z = q.given(c)
    z = q_z.at(noise)
    kl_z = p.kl_given(q_z, z, c)
    if decoded is None:
        return TermsGivenC(model.likelihood.log_prob(model.decoder(z, c), y), kl_z)
    rows = decoded.nonzero()[:, 0]
    params = model.decoder(z[decoded].unsqueeze(1), c[decoded].unsqueeze(1))
    log_px = torch.zeros_like(kl_z)
    log_px[decoded] = model.likelihood.log_prob(params, y[rows])[:, 0]
    return TermsGivenC(log_px, kl_z)


class Draw(NamedTuple):
    """One draw of z from q(z | x, c), and the two parts of its log importance weight, each ``(B, M)``, nats."""

    log_px: Tensor  # log p(x | z, c)
    log_ratio: Tensor  # log p(z | c) - log q(z | x, c)
    z: Tensor  # (B, M, D)


def draw_given(model: VAE, y: Tensor, q: Joint, p: Latent, c: Tensor, noise: Tensor) -> Draw:
    """Compute log p(x | z, c) and log p(z | c) - log q(z | x, c) at one draw of z.

    Their sum is the logarithm of an importance weight: its mean is ELBO_c(x), the mean of its exponential p(x | c).
    Arguments as for `terms_given`.
    """
    q_z = q.given(c)
    z = q_z.at(noise)
    log_px = model.likelihood.log_prob(model.decoder(z, c), y)
    return Draw(log_px, p.log_prob_given(z, c) - q_z.log_prob(z), z)


def average(terms: TermsGivenC, categories: Categories, q: Joint, p: Latent) -> Terms:
    """Sum the categories out: `Terms` of L, eq. (8).

    The weights of a row add up to one, if only in expectation, so what its terms have in common can be left out of
    their product. With weights of `cpvae.probability.expectations.SumAndSample` this keeps the common part, nearly all
    of log p(x | z, c), out of the noise of value and gradient. It is taken at the first category, which is always
    decoded and never the drawn one: that would bias the gradient.
    """

    def mean(values: Tensor) -> Tensor:
        common = values.detach()[..., :1]
        return (categories.weights * (values - common)).sum(-1) + common[..., 0]

    return Terms(
        log_px=mean(terms.log_px),
        kl_c=(q.logits.exp() * (q.logits - p.logits)).sum(-1),
        kl_z=mean(terms.kl_z),
    )


def elbo(model: VAE, y: Tensor, expectation: Expectation, step: int | Tensor = 0, q: Joint | None = None) -> Terms:
    """Compute the terms of L for rows ``(B, F)``, with one fresh draw of z from their posterior.

    With `cpvae.probability.expectations.Relaxed` the result is not a bound. `q` is the posterior where it is at hand.
    """
    q, p = model.encode(y) if q is None else q, model.latent()
    categories = expectation(q.logits, step)
    given = terms_given(model, y, q, p, categories.c, decoded=categories.decoded)
    return average(given, categories, q, p)


def elbo_assigned(model: VAE, y: Tensor, c: Tensor, q: Joint | None = None) -> tuple[Terms, Tensor]:
    """Compute the terms of L for the posterior that puts each row into the category assigned to it, ``(B,)`` indices.

    Returns also the cross-entropy ``- log q(c|x)``, ``(B,)``, by which q(c|x) learns the assignment.
    """
    q, p = model.encode(y) if q is None else q, model.latent()
    c = c.unsqueeze(-1)
    given = terms_given(model, y, q, p, c)
    terms = Terms(given.log_px[:, 0], -p.logits[c[:, 0]], given.kl_z[:, 0])
    return terms, unlikeliness(q, c[:, 0])


def unlikeliness(q: Joint, c: Tensor) -> Tensor:
    """Compute - log q(c | x) ``(B,)`` of the categories ``(B,)``, nats: by its gradient q(c | x) learns them."""
    return -q.logits.gather(-1, c.unsqueeze(-1))[:, 0]


def knowing(q: Joint, known: Tensor) -> tuple[Joint, Tensor]:
    """Put rows of known categories there, and leave the posterior of all other rows as it is.

    With the posterior of the result, L(x) of such a row is a lower bound of log p(x, c = known), as for labelled rows
    in Kingma et al. (2014, M2); so it is one of log p(x) too. That posterior does not teach q(c | x) the category.
    The cross-entropy does.

    Args:
        q: posterior.
        known: categories ``(B,)``; -1 where a row has none.

    Returns:
        The posterior, and ``- log q(c = known | x)`` ``(B,)``, nats; 0 where a row has no known category.
    """
    has, c = known >= 0, known.clamp_min(0)
    certain = torch.full_like(q.logits, NEVER).scatter(-1, c.unsqueeze(-1), 0.0)
    logits = torch.where(has.unsqueeze(-1), certain, q.logits)
    return Joint(logits, q.given), torch.where(has, unlikeliness(q, c), 0.0)


def inconsistency(q: Joint, copies: Joint) -> Tensor:
    """Compute KL(q(c | x) || q(c | copy)) ``(B,)``, nats, with the gradient of the copy's alone.

    Invariance of categories under small deformations, as in Hu et al. (2017, IMSAT).
    """
    target = q.logits.detach()
    return (target.exp() * (target - copies.logits)).sum(-1)


def elbo_tight(terms: TermsGivenC, p: Latent, c: Tensor | None = None) -> Tensor:
    """Compute L*(x) ``(B,)`` from the terms of all K categories ``(B, K)``, or of the categories `c` ``(B, M)``.

    Over some of the categories the sum is smaller, hence still a lower bound.
    """
    return (_log_weights(p, c) + terms.elbo).logsumexp(-1)


def category_posterior(terms: TermsGivenC, p: Latent, c: Tensor | None = None) -> Tensor:
    """Compute ``softmax_c [log p(c) + ELBO_c(x)]`` over the categories that `terms` are of, as for `elbo_tight`."""
    return (_log_weights(p, c) + terms.elbo).softmax(-1)


def _log_weights(p: Latent, c: Tensor | None) -> Tensor:
    """Take log p(c) of all categories, or of some."""
    return p.logits if c is None else p.logits[c]


def allocate(weights: Tensor, n_samples: int) -> Tensor:
    """Share S draws among K categories in proportion to `weights` ``(B, K)``, with one at least for each.

    No more than half of the draws are given away as that one, so that the likely categories have draws to average. With
    S < 2 K the less likely ones may be left out, which keeps the estimate a lower bound.

    Returns:
        counts, int64 ``(B, K)``, each row adding up to `n_samples`.

    >>> allocate(torch.tensor([[0.7, 0.3, 0.0]]), 10).tolist()
    [[6, 3, 1]]
    """
    certain = min(weights.shape[-1], n_samples // 2)
    spare = n_samples - certain
    counts = (weights * spare).floor()
    left = spare - counts.sum(-1, keepdim=True)
    return ((_rank(weights) < certain) + counts + (_rank(weights * spare - counts) < left)).long()


def _rank(values: Tensor) -> Tensor:
    """Rank each value in its row, the largest first; ties in order."""
    return torch.argsort(values, dim=-1, descending=True, stable=True).argsort(dim=-1)


def importance_weighted(
    model: VAE,
    y: Tensor,
    n_samples: int,
    noise: Callable[[int, int], Tensor] | None = None,
    chunk: int = 500,
) -> Tensor:
    """Estimate log p(x) by importance weighting, a lower bound in expectation: ``(B,)``, float64, nats.

    The S draws are stratified over categories by ``0.9 q(c|x) + 0.1 / K`` (`allocate`), which is unbiased for p(x) from
    ``S = 2 K`` on and costs S decoders whatever K is. Weights are summed in float64, category by category, never
    averaged as logarithms.

    Args:
        y: rows ``(B, F)`` as for `terms_given`.
        n_samples: S, draws of (c, z) for each row.
        noise: gives the standard normal numbers of draws i to j, ``(B, j - i, D)``; None draws them.
        chunk: draws decoded at once; changes memory, not the result.
    """
    q, p = model.encode(y), model.latent()
    n_categories = q.logits.shape[-1]
    counts = allocate(0.9 * q.logits.exp() + 0.1 / n_categories, n_samples)
    edges = counts.cumsum(-1)
    total = torch.full((len(y),), -torch.inf, dtype=torch.float64, device=y.device)
    for start in range(0, n_samples, chunk):
        stop = min(start + chunk, n_samples)
        draws = torch.arange(start, stop, device=y.device)
        c = torch.searchsorted(edges, draws.expand(len(y), -1).contiguous(), right=True)
        numbers = normal_(y.new_empty(len(y), stop - start, model.latent_dim)) if noise is None else noise(start, stop)
        draw = draw_given(model, y, q, p, c, numbers)
        log_weights = draw.log_px.double() + draw.log_ratio.double()
        log_share = p.logits[c].double() - counts.gather(-1, c).double().log()
        total = torch.logaddexp(total, (log_weights + log_share).logsumexp(-1))
    return total
