"""Codes of two levels, z1 below z2 (Tomczak and Welling, 2018)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import Independent, kl_divergence

from cpvae.nn.draws import draw_rows, normal_, sample
from cpvae.probability.distributions import Latent

Below = Callable[[Tensor], Independent]  # z2 (..., D2) to the distribution of z1 given it


class Chain:
    """q(z2) q(z1 | z2), the distribution of z = [z2, z1].

    Args:
        top: q(z2), batch shape ``(B, M)``, event shape ``(D2,)``.
        below: z2 -> q(z1 | z2).
    """

    def __init__(self, top: Independent, below: Below):
        self.top, self._below = top, below
        self._drawn: tuple[Tensor, Independent] | None = None

    def at(self, noise: Tensor | None = None) -> Tensor:
        """z at standard normal `noise`, broadcast against ``(B, M, D2 + D1)``; fresh noise if None."""
        dim = self.top.event_shape[0]
        top = reparametrise(self.top, None if noise is None else noise[..., :dim])
        below = self._below(top)
        z = torch.cat([top, reparametrise(below, None if noise is None else noise[..., dim:])], -1)
        self._drawn = (z, below)
        return z

    def below(self, z: Tensor) -> Independent:
        """q(z1 | z2) for the z2 in z; at the last draw the network does not run again."""
        if self._drawn is not None and z is self._drawn[0]:
            return self._drawn[1]
        return self._below(z[..., : self.top.event_shape[0]])

    def log_prob(self, z: Tensor) -> Tensor:
        """log q(z), ``(B, M)``."""
        dim = self.top.event_shape[0]
        log_prob: Tensor = self.top.log_prob(z[..., :dim]) + self.below(z).log_prob(z[..., dim:])
        return log_prob

    @property
    def mean(self) -> Tensor:
        """The mean of z2, and that of z1 there, ``(B, M, D2 + D1)``."""
        return torch.cat([self.top.mean, self._below(self.top.mean).mean], -1)


def reparametrise(q: Independent | Chain, noise: Tensor | None = None) -> Tensor:
    """A draw of z with the gradient of q's parameters; `noise` standard normal, broadcast over categories."""
    if isinstance(q, Chain):
        return q.at(noise)
    loc, scale = q.base_dist.loc, q.base_dist.scale
    if noise is None:
        noise = draw_rows(loc.shape, lambda shape: normal_(loc.new_empty(shape)))
    return loc + noise * scale


def top_level(q: Independent | Chain) -> Independent:
    """q(z2) of a code of two levels, q itself of one."""
    return q.top if isinstance(q, Chain) else q


class TwoLevel:
    """p(z2) p(z1 | z2), the prior of a code of two levels.

    Args:
        top: p(z2), the prior of a code of one level.
        below: z2 -> p(z1 | z2).
        dim: D2.
    """

    def __init__(self, top: Latent, below: Below, dim: int):
        self.top, self.below, self.dim = top, below, dim
        self.logits = top.logits
        self.mixture = top.mixture

    def kl_given(self, q: Chain, z: Tensor, c: Tensor) -> Tensor:
        """The divergence of both levels, ``(B, M)``: that of the lower one in closed form at the draw of z2."""
        z2 = z[..., : self.dim]
        return self.top.kl_given(q.top, z2, c) + kl_divergence(q.below(z), self.below(z2))

    def log_prob_given(self, z: Tensor, c: Tensor) -> Tensor:
        """log p(z | c), ``(B, M)``."""
        z2, z1 = z[..., : self.dim], z[..., self.dim :]
        log_prob: Tensor = self.below(z2).log_prob(z1)
        return self.top.log_prob_given(z2, c) + log_prob

    def responsibilities(self, z: Tensor, c: Tensor) -> Tensor:
        """p(k | z2), ``(B or 1, M, K)``."""
        return self.top.responsibilities(z[..., : self.dim], c)

    def sample(self, k: Tensor) -> Tensor:
        """One z for each component index in k: ``(n,)`` -> ``(n, D2 + D1)``."""
        z2 = self.top.sample(k)
        return torch.cat([z2, sample(self.below(z2), k.device)], -1)
