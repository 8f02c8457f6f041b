"""q(c, z | x): encoders that return distributions.

Every posterior here maps what the likelihood shows of rows ``(B, n_inputs)`` to a `Joint`: the logits of q(c | x) and
q(z | x, c) for whichever categories are asked for. A posterior without categories has one, of probability 1.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cpvae.nn.layers import GatedLinear, Linear
from cpvae.probability.bounded import held
from cpvae.probability.distributions import DiagonalNormal
from cpvae.probability.expectations import Joint
from cpvae.probability.two_level import Chain

MIN_LOG_SCALE, MAX_LOG_SCALE = -7.0, 5.0  # scales from 1e-3 to 148: what float32 divides by without harm


class NormalHead(nn.Module):
    """A layer from features ``(..., in_features)`` to a diagonal Gaussian with event shape ``(latent_dim,)``."""

    def __init__(self, in_features: int, latent_dim: int):
        super().__init__()
        self.linear = Linear(in_features, 2 * latent_dim)

    def forward(self, features: Tensor) -> DiagonalNormal:
        loc, log_scale = self.linear(features).chunk(2, dim=-1)
        return DiagonalNormal(loc, held(log_scale, MIN_LOG_SCALE, MAX_LOG_SCALE).exp())


class NormalPosterior(nn.Module):
    """The posterior q(z | x): one Gaussian a row, as in a plain VAE (eq. 2).

    Args:
        encoder: ``(B, n_inputs)`` -> ``(B, encoder.out_features)``.
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
    """The posterior q(c | x) q(z | x, c), eq. (6) and Figure 2: a gated layer on the last features joined with c.

    Args:
        encoder: ``(B, n_inputs)`` -> ``(B, encoder.out_features)``.
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

    def category_logits(self, h: Tensor) -> Tensor:
        """Compute the logits of q(c | x), not normalised, from the last hidden features: ``(B, K)``."""
        logits: Tensor = self.logits(h)
        return logits

    def forward(self, y: Tensor) -> Joint:
        return self.of(self.encoder(y))

    def of(self, h: Tensor) -> Joint:
        """Compute the posterior from the last hidden features, ``(B, width)``."""
        return Joint(
            logits=self.category_logits(h).log_softmax(-1),
            given=lambda c: self.head(self.join(h.unsqueeze(-2), c)),
        )

    def both(self, y: Tensor, n: int) -> tuple[Joint, Joint]:
        """Compute the posteriors of the first n rows and of the others, which go through the encoder as one batch."""
        h = self.encoder(y)
        return self.of(h[:n]), self.of(h[n:])


class NormalNetwork(nn.Module):
    """Hidden layers and a head: ``(..., features)`` to a diagonal Gaussian with event shape ``(latent_dim,)``."""

    def __init__(self, hidden: nn.Module, latent_dim: int):
        super().__init__()
        self.hidden = hidden
        self.head = NormalHead(hidden.out_features, latent_dim)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> DiagonalNormal:
        q: DiagonalNormal = self.head(self.hidden(x))
        return q


class TwoLevelPosterior(nn.Module):
    """The posterior q(z2 | x) q(z1 | x, z2), the encoder of the two-level model of Tomczak and Welling (2018).

    For z1 the row and z2 each go through a layer of their own, and the two are joined by a third.

    Args:
        top: q(z2 | x), ``(..., n_inputs)`` -> a Gaussian.
        branch: ``(B, n_inputs)`` -> ``(B, branch.out_features)`` for z1, as a rule with fewer layers than the top has.
        latent_dim: of each level.
    """

    n_categories = 1

    def __init__(self, top: nn.Module, branch: nn.Module, latent_dim: int):
        super().__init__()
        self.top = top
        self.branch = branch
        width: int = branch.out_features  # type: ignore[assignment]
        self.lift = GatedLinear(latent_dim, width)
        self.join = GatedLinear(2 * width, width)
        self.head = NormalHead(width, latent_dim)

    def forward(self, y: Tensor) -> Joint:
        top = Joint(logits=torch.zeros_like(y[:, :1]), given=lambda c: self.top(y.unsqueeze(-2)))
        return self.with_lower(top, y)

    def with_lower(self, top: Joint, y: Tensor) -> Joint:
        """Put q(z1 | x, z2) below the posterior of the top level of the rows ``(B, n_inputs)``."""

        def below(z2: Tensor) -> DiagonalNormal:
            h = self.branch(y).unsqueeze(-2)
            lifted = self.lift(z2)
            joined = torch.cat([h.expand_as(lifted), lifted], -1)
            q: DiagonalNormal = self.head(self.join(joined))
            return q

        return Joint(top.logits, given=lambda c: Chain(top.given(c), below))


class ConditionalTwoLevelPosterior(TwoLevelPosterior):
    """The posterior q(c | x) q(z2 | x, c) q(z1 | x, z2): that of the paper, eq. (6), on top of a lower level."""

    top: ConditionalPosterior

    def __init__(self, top: ConditionalPosterior, branch: nn.Module, latent_dim: int):
        super().__init__(top, branch, latent_dim)
        self.n_categories = top.n_categories

    def forward(self, y: Tensor) -> Joint:
        return self.with_lower(self.top(y), y)

    def both(self, y: Tensor, n: int) -> tuple[Joint, Joint]:
        """Compute the posteriors of the first n rows and of the others, as `ConditionalPosterior.both` does."""
        rows, others = self.top.both(y, n)
        return self.with_lower(rows, y[:n]), self.with_lower(others, y[n:])
