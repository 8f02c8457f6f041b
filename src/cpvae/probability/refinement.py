"""Refinement of q(c, z | x) of each row by natural gradient steps, which begin at the encoder's answer.

An encoder answers for all rows with the same weights. The nats that its answer loses against the best Gaussians of the
row itself are the amortisation gap (Cremer, Li and Duvenaud, 2018). A few steps for each row win part of it back
(semi-amortised inference: Kim et al., 2018). No weight of the model changes, and no row depends on another one.

Given q(c | x), L is a weighted sum of the ELBO_c, and each has Gaussians of its own. So every ELBO_c climbs by itself,
and q(c | x) follows it. Steps are along the natural gradient (Hoffman et al., 2013; Khan and Rue, 2023): with loc and
scale of the current Gaussian and a rate r,

- ``loc += r scale^2 dELBO_c/dloc`` and ``log scale += r/2 dELBO_c/dlog scale``;
- ``log q(c | x) += r (log p(c) + ELBO_c - log q(c | x))``, normalised: with r = 1 that is the best q(c | x) at once.

Rates fall as 2 / (t + constant), which averages the noise of the steps out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cpvae.data.noise import row_keys, row_normal
from cpvae.probability.bounds import TermsGivenC, average, terms_given
from cpvae.probability.distributions import Latent
from cpvae.probability.expectations import NEVER, Categories, Joint
from cpvae.probability.models import VAE

DELAY, DELAY_OF_C = 20, 3  # the constants of the rates: of z, where a step of 1 would overshoot, and of c
LONGEST = 1.0  # standard deviations that a coordinate moves in one step at most
CHOICE_PAIRS = 4  # of draws, behind the choice between the posterior before the steps and after them
CHOICE_STREAM, STEP_STREAM = -1, -2  # of a row's noise; the step t has STEP_STREAM - t
DECODED_AT_ONCE = 1024  # rows times categories, with the memory of their gradients; does not change the result


@dataclass(frozen=True)
class Refinement:
    """A posterior that is refined row by row: what `cpvae.probability.estimates.evaluate` takes as `improve`.

    A row keeps the encoder's answer if its bound is no better after the steps. Steps, this choice and the evaluation
    after it have draws of their own. So what is evaluated is a bound of a posterior that its draws had no part in.

    Args:
        steps: gradient steps, each at two draws of z, a noise and its negative.
    """

    steps: int

    def __call__(self, model: VAE, y: Tensor, q: Joint, p: Latent, categories: Categories) -> tuple[Joint, Categories]:
        """Give the refined posterior over `categories`, whose `given` is for these alone, and their new weights."""
        c = categories.c.expand(len(y), -1)
        encoded, log_q = q.given(c), q.logits.gather(-1, c)
        noise = row_normal(row_keys(y), (CHOICE_PAIRS, 1, model.latent_dim), CHOICE_STREAM).to(y.dtype)

        def moved(log_q: Tensor, shift: Tensor, stretch: Tensor) -> tuple[Joint, Categories]:
            logits = torch.full_like(q.logits, NEVER).scatter(-1, c, log_q.clamp_min(NEVER))
            z = encoded.moved(shift, stretch)
            return Joint(logits, lambda _: z), Categories(c, log_q.exp())

        def bound(q: Joint, categories: Categories) -> Tensor:
            pairs = [_paired(model, y, q.given(c), p, c, noise[:, i]) for i in range(CHOICE_PAIRS)]
            return torch.stack([average(terms, categories, q, p).elbo for terms in pairs]).mean(0)

        parts = (t.split(max(1, DECODED_AT_ONCE // c.shape[-1])) for t in (y, c, log_q))
        climbed = [_climb(model, p, self.steps, *part) for part in zip(*parts, strict=True)]
        after = [torch.cat(column) for column in zip(*climbed, strict=True)]
        before = [log_q, *(torch.zeros_like(t) for t in after[1:])]
        better = bound(*moved(*after)) > bound(*moved(*before))
        kept = [torch.where(better.view(-1, *[1] * (a.dim() - 1)), a, b) for a, b in zip(after, before, strict=True)]
        return moved(*kept)


def _paired(model: VAE, y: Tensor, z: Any, p: Latent, c: Tensor, noise: Tensor) -> TermsGivenC:
    """Compute the parts of ELBO_c of q(z | x, c) at a noise and its negative, whose errors partly cancel."""
    q = Joint(c, lambda _: z)  # terms given c do not ask for q(c | x)
    one, other = (terms_given(model, y, q, p, c, sign * noise) for sign in (1, -1))
    return TermsGivenC((one.log_px + other.log_px) / 2, (one.kl_z + other.kl_z) / 2)


def _climb(model: VAE, p: Latent, steps: int, y: Tensor, c: Tensor, log_q: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Take the steps of rows ``(B, F)`` at their categories ``(B, M)``.

    Rows and categories have Gaussians of their own, so the gradient of the sum of all ELBO_c is that of each.

    Returns:
        log q(c | x) ``(B, M)``, and what moves the encoder's Gaussians ``(B, M, D)``: the shift of the mean in their
        standard deviations, and that of the log-scale.
    """
    keys, encoded, log_p = row_keys(y), model.encode(y).given(c), p.logits[c]
    shift, stretch = (y.new_zeros(*c.shape, model.latent_dim) for _ in range(2))
    for t in range(steps):
        noise = row_normal(keys, (1, model.latent_dim), STEP_STREAM - t).to(y.dtype)
        with torch.enable_grad():
            at = shift.requires_grad_(), stretch.requires_grad_()
            elbo = _paired(model, y, encoded.moved(*at), p, c, noise).elbo
            by_shift, by_stretch = torch.autograd.grad(elbo.sum(), at)
        rate, rate_of_c = 2 / (t + DELAY), 2 / (t + DELAY_OF_C)
        # in units of the encoder's scale, in which the current one is exp(stretch)
        shift = shift.detach() + (rate * (2 * stretch.detach()).exp() * by_shift).clamp(-LONGEST, LONGEST)
        stretch = stretch.detach() + (rate / 2 * by_stretch).clamp(-LONGEST, LONGEST)
        log_q = (log_q + rate_of_c * (log_p + elbo.detach() - log_q)).log_softmax(-1)
    return log_q, shift, stretch
