"""q(c, z | x): encoders that return distributions.

Every posterior here maps rows in the model's units ``(B, features)`` to a `Joint`: the logits of q(c | x) and
q(z | x, c) for whichever categories are asked for. A posterior without categories has one, of probability 1.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributions import Independent

from cpvae.distributions import Joint, diagonal_normal
from cpvae.nn import GatedLinear, Linear

MIN_LOG_SCALE, MAX_LOG_SCALE = -7.0, 5.0  # scales from 1e-3 to 148: what float32 divides by without harm


class NormalHead(nn.Module):
    """Features ``(..., in_features)`` to a diagonal Gaussian with event shape ``(latent_dim,)``."""

    def __init__(self, in_features: int, latent_dim: int):
        super().__init__()
        self.linear = Linear(in_features, 2 * latent_dim)

    def forward(self, features: Tensor) -> Independent:
        loc, log_scale = self.linear(features).chunk(2, dim=-1)
        return diagonal_normal(loc, log_scale.clamp(MIN_LOG_SCALE, MAX_LOG_SCALE).exp())


class NormalPosterior(nn.Module):
    """q(z | x): one Gaussian a row, as in a plain VAE (eq. 2).

    Args:
        encoder: ``(B, features)`` -> ``(B, encoder.out_features)``.
        latent_dim: dimensions of z.
    """

    n_categories = 1

    def __init__(self, encoder: nn.Module, latent_dim: int):
        super().__init__()
        self.encoder = encoder
        self.head = NormalHead(encoder.out_features, latent_dim)  # type: ignore[arg-type]

    def forward(self, y: Tensor) -> Joint:
        q = self.head(self.encoder(y).unsqueeze(-2))
        return Joint(logits=torch.zeros_like(y[:, :1]), given=lambda c: q)


class ConditionalPosterior(nn.Module):
    """q(c | x) q(z | x, c), eq. (6) and Figure 2: a gated layer on the last hidden features joined with c.

    Args:
        encoder: ``(B, features)`` -> ``(B, encoder.out_features)``.
        latent_dim: dimensions of z.
        n_categories: K.
    """

    def __init__(self, encoder: nn.Module, latent_dim: int, n_categories: int):
        super().__init__()
        self.encoder = encoder
        self.n_categories = n_categories
        width: int = encoder.out_features  # type: ignore[assignment]
        self.logits = Linear(width, n_categories)
        self.join = GatedLinear(width, width, n_categories)
        self.head = NormalHead(width, latent_dim)

    def forward(self, y: Tensor) -> Joint:
        h = self.encoder(y)
        return Joint(
            logits=self.logits(h).log_softmax(-1),
            given=lambda c: self.head(self.join(h.unsqueeze(-2), c)),
        )
