"""p(c, z): priors, each a module whose forward returns a distribution.

A prior is called with the posterior of its model (a VampPrior is made of it; the others ignore it) and returns a
`Latent`. What it learns are registered parameters.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from cpvae.distributions import CategoricalNormal, Continuous, Latent, diagonal_normal

Weights = Literal["uniform", "empirical", "learned"]


class StandardNormal(nn.Module):
    """p(z) = N(0, I), the prior of a plain VAE (Kingma and Welling, 2014)."""

    n_components = 1

    def __init__(self, latent_dim: int):
        super().__init__()
        self.register_buffer("loc", torch.zeros(latent_dim))
        self.register_buffer("scale", torch.ones(latent_dim))
        self.loc: Tensor
        self.scale: Tensor

    def forward(self, posterior: nn.Module) -> Latent:
        return Continuous(diagonal_normal(self.loc, self.scale))


class Conditional(nn.Module):
    """The paper's conditional prior, eqs. (4)-(5): p(c) and one learned diagonal Gaussian for each category.

    Args:
        n_components: K.
        latent_dim: D.
        weights: p(c). "uniform" is the paper's; "learned" trains it; "empirical" is uniform while the model trains and
            is set to the aggregated posterior (eq. 14) after it.

    Attributes:
        aggregated: q(c) of the training rows once they are known (eq. 14), ``(K,)``; what the paper samples c from.
    """

    def __init__(self, n_components: int, latent_dim: int, weights: Weights = "uniform"):
        super().__init__()
        self.n_components = n_components
        self.weights = weights
        # Means one scale apart, so that categories differ from the first step on.
        self.loc = nn.Parameter(
            torch.zeros(1, latent_dim) if n_components == 1 else torch.randn(n_components, latent_dim)
        )
        self.log_scale = nn.Parameter(torch.zeros(n_components, latent_dim))
        self.logits = nn.Parameter(torch.zeros(n_components), requires_grad=weights == "learned")
        self.register_buffer("aggregated", torch.full((n_components,), 1.0 / n_components, dtype=torch.float64))
        self.aggregated: Tensor

    @property
    def scale(self) -> Tensor:
        """Standard deviations, ``(K, D)``."""
        return self.log_scale.exp()

    def forward(self, posterior: nn.Module) -> CategoricalNormal:
        return CategoricalNormal(self.logits, self.loc, self.scale)

    @torch.no_grad()
    def set_aggregated(self, q_c: Tensor) -> None:
        """Keep q(c) ``(K,)``, and make it p(c) if the weights are empirical.

        A category without rows keeps a vanishing weight, so that bounds stay finite.
        """
        self.aggregated.copy_(q_c)
        if self.weights == "empirical":
            self.logits.copy_(q_c.clamp_min(1e-6).log())

    @torch.no_grad()
    def set_components(self, loc: Tensor, scale: Tensor) -> None:
        """Replace the Gaussians: `loc` and `scale` ``(K, D)``."""
        self.loc.copy_(loc)
        self.log_scale.copy_(scale.log())
