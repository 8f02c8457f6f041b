"""Codes of two levels, z1 below z2 (Tomczak and Welling, 2018).

A code is one vector z = [z2, z1], the top level first. `Chain` is its posterior q(z2) q(z1 | z2), `TwoLevel` its prior
p(z2) p(z1 | z2), whose p(z2) is any prior of a code of one level.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import kl_divergence

from cpvae.nn.draws import sample
from cpvae.probability.distributions import DiagonalNormal, Latent

Below = Callable[[Tensor], DiagonalNormal]  # z2 (..., D2) to the distribution of z1 given it


class Chain:
    """The posterior q(z2) q(z1 | z2) of z = [z2, z1].

    Args:
        top: q(z2), batch shape ``(B, M)``, event shape ``(D2,)``.
        below: z2 -> q(z1 | z2).
    """

    def __init__(self, top: DiagonalNormal, below: Below):
        self.top, self._below = top, below
        self._drawn: tuple[Tensor, DiagonalNormal] | None = None

    def at(self, noise: Tensor | None = None) -> Tensor:
        """Draw z with the gradient of both levels: at standard normal `noise` that broadcasts, or at fresh noise."""
        dim = self.top.event_shape[0]
        top = self.top.at(None if noise is None else noise[..., :dim])
        below = self._below(top)
        z = torch.cat([top, below.at(None if noise is None else noise[..., dim:])], -1)
        self._drawn = (z, below)
        return z

    def moved(self, shift: Tensor, stretch: Tensor) -> Chain:
        """Move the means of both levels by `shift` standard deviations and their log-scales by `stretch`.

        Both are ``(B, M, D2 + D1)``. The lower level moves by the same amounts whatever z2 is.
        """
        dim = self.top.event_shape[0]
        top = self.top.moved(shift[..., :dim], stretch[..., :dim])
        return Chain(top, lambda z2: self._below(z2).moved(shift[..., dim:], stretch[..., dim:]))

    def below(self, z: Tensor) -> DiagonalNormal:
        """Compute q(z1 | z2) for the z2 in z; at the last draw the network does not run again."""
        if self._drawn is not None and z is self._drawn[0]:
            return self._drawn[1]
        return self._below(z[..., : self.top.event_shape[0]])

    def log_prob(self, z: Tensor) -> Tensor:
        """Compute log q(z), ``(B, M)``."""
        dim = self.top.event_shape[0]
        log_prob: Tensor = self.top.log_prob(z[..., :dim]) + self.below(z).log_prob(z[..., dim:])
        return log_prob

    def log_prob_among(self, k: Tensor, z: Tensor) -> Tensor:
        """Compute log q(z) of draws, each with one of the M Gaussians of z2: see `DiagonalNormal.log_prob_among`."""
        dim = self.top.event_shape[0]
        log_prob: Tensor = self.top.log_prob_among(k, z[..., :dim]) + self.below(z).log_prob(z[..., dim:])
        return log_prob

    @property
    def mean(self) -> Tensor:
        """The mean of z2, and that of z1 there, ``(B, M, D2 + D1)``."""
        return torch.cat([self.top.mean, self._below(self.top.mean).mean], -1)


class TwoLevel:
    """The prior p(z2) p(z1 | z2) of a code of two levels.

    Args:
        top: p(z2), the prior of a code of one level.
        below: z2 -> p(z1 | z2).
        dim: D2.
    """

    def __init__(self, top: Latent, below: Below, dim: int):
        self.top, self.below, self.dim = top, below, dim
        self.logits = top.logits
        self.mixture, self.is_marginal = top.mixture, top.is_marginal

    def kl_given(self, q: Chain, z: Tensor, c: Tensor) -> Tensor:
        """Compute the divergence of both levels, ``(B, M)``: that of the lower one in closed form at the draw of z2."""
        z2 = z[..., : self.dim]
        return self.top.kl_given(q.top, z2, c) + kl_divergence(q.below(z), self.below(z2))

    def log_prob_given(self, z: Tensor, c: Tensor) -> Tensor:
        """Compute log p(z | c), ``(B, M)``."""
        z2, z1 = z[..., : self.dim], z[..., self.dim :]
        log_prob: Tensor = self.below(z2).log_prob(z1)
        return self.top.log_prob_given(z2, c) + log_prob

    def responsibilities(self, z: Tensor, c: Tensor) -> Tensor:
        """Compute p(k | z2), ``(B or 1, M, K)``."""
        return self.top.responsibilities(z[..., : self.dim], c)

    def sample(self, k: Tensor) -> Tensor:
        """Draw one z for each component index in k: ``(n,)`` -> ``(n, D2 + D1)``."""
        z2 = self.top.sample(k)
        return torch.cat([z2, sample(self.below(z2), k.device)], -1)
