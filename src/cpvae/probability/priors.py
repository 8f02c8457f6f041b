"""p(c, z): priors, each a module whose forward returns a distribution.

A prior is called with the posterior of its model (a VampPrior is made of it; the others ignore it) and returns a
`Latent`. What it learns are registered parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from cpvae.nn.draws import normal_
from cpvae.nn.layers import zeros
from cpvae.probability.bounded import held
from cpvae.probability.distributions import (
    CategoricalFullNormal,
    CategoricalLowRankNormal,
    CategoricalNormal,
    Continuous,
    DiagonalNormal,
    Latent,
    Marginal,
)
from cpvae.probability.moments import LEAST_VARIANCE, Moments
from cpvae.probability.two_level import TwoLevel

Weights = Literal["uniform", "empirical", "learned"]


class StandardNormal(nn.Module):
    """The prior p(z) = N(0, I) of a plain VAE (Kingma and Welling, 2014)."""

    def __init__(self, latent_dim: int):
        super().__init__()
        self.register_buffer("loc", zeros(latent_dim))
        self.register_buffer("scale", zeros(latent_dim) + 1.0)
        self.loc: Tensor
        self.scale: Tensor

    def forward(self, posterior: nn.Module) -> Latent:
        return Continuous(DiagonalNormal(self.loc, self.scale))


class ComponentPrior(nn.Module):
    """A prior with components.

    Attributes:
        n_components: K.
        aggregated: q(c) of the training rows once they are known (eq. 14), ``(K,)``; what the paper samples c from.
    """

    has_components = True

    def __init__(self, n_components: int):
        super().__init__()
        self.n_components = n_components
        self.register_buffer("aggregated", torch.full((n_components,), 1.0 / n_components, dtype=torch.float64))
        self.aggregated: Tensor

    @torch.no_grad()
    def set_aggregated(self, q_c: Tensor) -> None:
        """Keep q(c) ``(K,)``."""
        self.aggregated.copy_(q_c)

    def set_pseudo_inputs(self, inputs: Tensor) -> None:
        """Begin with these rows as the encoder sees them, ``(K, n_inputs)``, if the prior has pseudo-inputs."""

    def moments(self) -> Moments | None:
        """Make room for the moments that `match` asks for; None where it asks for none."""
        return None

    def match(self, moments: Moments) -> None:
        """Become the prior that fits rows of given components best, from their moments: the M-step."""


class Conditional(ComponentPrior):
    """The paper's conditional prior, eqs. (4)-(5): p(c) and one learned diagonal Gaussian for each category.

    Args:
        n_components: K.
        latent_dim: D.
        weights: p(c). "uniform" is the paper's; "learned" trains it; "empirical" is uniform while the model trains and
            is set to the aggregated posterior (eq. 14) after it.
    """

    def __init__(self, n_components: int, latent_dim: int, weights: Weights = "uniform"):
        super().__init__(n_components)
        self.weights = weights
        # Means one scale apart, so that categories differ from the first step on.
        self.loc = nn.Parameter(zeros(1, latent_dim) if n_components == 1 else normal_(zeros(n_components, latent_dim)))
        self.log_scale = nn.Parameter(zeros(n_components, latent_dim))
        self.logits = nn.Parameter(zeros(n_components), requires_grad=weights == "learned")

    @property
    def scale(self) -> Tensor:
        """Standard deviations, ``(K, D)``."""
        return self.log_scale.exp()

    def components(self) -> CategoricalNormal:
        """Compute p(c) p(z | c)."""
        return CategoricalNormal(self.logits, self.loc, self.scale)

    def forward(self, posterior: nn.Module) -> Latent:
        return self.components()

    @torch.no_grad()
    def set_aggregated(self, q_c: Tensor) -> None:
        """Keep q(c) ``(K,)``, and make it p(c) if the weights are empirical.

        A category without rows keeps a vanishing weight, so that bounds stay finite.
        """
        super().set_aggregated(q_c)
        if self.weights == "empirical":
            self.logits.copy_(q_c.clamp_min(1e-6).log())

    def moments(self) -> Moments | None:
        """Make room for the means and variances of each component."""
        return Moments(self.loc, full=False)

    @torch.no_grad()
    def match(self, moments: Moments) -> None:
        """Take the means and variances of each component's rows; a component of one row or none stays as it is."""
        filled = moments.filled
        self.loc[filled] = moments.mean[filled].to(self.loc)
        self.log_scale[filled] = 0.5 * moments.variance[filled].log().to(self.loc)

    @torch.no_grad()
    def set_components(self, loc: Tensor, scale: Tensor) -> None:
        """Replace the Gaussians: `loc` and `scale` ``(K, D)``."""
        self.loc.copy_(loc)
        self.log_scale.copy_(scale.log())


class FullConditional(Conditional):
    """The conditional prior with full covariances, by the Cholesky factors of the precisions (footnote 3 of the paper).

    `log_scale` is minus the logarithm of a factor's diagonal: the standard deviation of each coordinate given those
    before it. Covariances begin diagonal.
    """

    def __init__(self, n_components: int, latent_dim: int, weights: Weights = "uniform"):
        super().__init__(n_components, latent_dim, weights)
        self.lower = nn.Parameter(zeros(n_components, latent_dim, latent_dim))

    def components(self) -> CategoricalFullNormal:
        """Compute p(c) p(z | c)."""
        factor = self.lower.tril(-1) + torch.diag_embed((-self.log_scale).exp())
        return CategoricalFullNormal(self.logits, self.loc, factor)

    def moments(self) -> Moments | None:
        """Make room for the means and covariances of each component."""
        return Moments(self.loc, full=True)

    @torch.no_grad()
    def match(self, moments: Moments) -> None:
        """Take the means and covariances of each component's rows; a component of one row or none stays as it is."""
        filled = moments.filled
        factor = torch.linalg.cholesky(torch.linalg.inv(moments.covariance[filled])).to(self.loc)
        self.loc[filled] = moments.mean[filled].to(self.loc)
        self.log_scale[filled] = -factor.diagonal(dim1=-2, dim2=-1).log()
        self.lower[filled] = factor.tril(-1)

    @torch.no_grad()
    def set_components(self, loc: Tensor, scale: Tensor) -> None:
        """Replace the Gaussians by diagonal ones: `loc` and `scale` ``(K, D)``."""
        super().set_components(loc, scale)
        self.lower.zero_()


class LowRankConditional(Conditional):
    """The conditional prior with covariances of low rank plus a diagonal: a factor analysis of each category.

    `log_scale` is the logarithm of what each coordinate has for itself. `shared` is what coordinates have in common, by
    as many factors as an eighth of the dimensions, at least one. It begins near 0.
    """

    def __init__(self, n_components: int, latent_dim: int, weights: Weights = "uniform"):
        super().__init__(n_components, latent_dim, weights)
        self.shared = nn.Parameter(0.01 * normal_(zeros(n_components, latent_dim, max(1, latent_dim // 8))))

    def components(self) -> CategoricalLowRankNormal:
        """Compute p(c) p(z | c)."""
        return CategoricalLowRankNormal(self.logits, self.loc, self.scale, self.shared)

    def moments(self) -> Moments | None:
        """Make room for the means and covariances of each component."""
        return Moments(self.loc, full=True)

    @torch.no_grad()
    def match(self, moments: Moments) -> None:
        """Take the means and covariances of each component's rows; a component of one row or none stays as it is.

        The factors are the principal components beyond the mean of the variances that are left (Tipping and Bishop,
        1999); what coordinates have for themselves is the rest.
        """
        filled, rank = moments.filled, self.shared.shape[-1]
        covariance = moments.covariance[filled]
        values, vectors = torch.linalg.eigh(covariance)  # ascending
        rest = values[:, :-rank].mean(-1, keepdim=True) if values.shape[-1] > rank else values[:, :1]
        shared = vectors[..., -rank:] * (values[:, -rank:] - rest).clamp_min(LEAST_VARIANCE).sqrt().unsqueeze(-2)
        own = covariance.diagonal(dim1=-2, dim2=-1) - shared.square().sum(-1)
        self.loc[filled] = moments.mean[filled].to(self.loc)
        self.shared[filled] = shared.to(self.loc)
        self.log_scale[filled] = 0.5 * own.clamp_min(LEAST_VARIANCE).log().to(self.loc)

    @torch.no_grad()
    def set_components(self, loc: Tensor, scale: Tensor) -> None:
        """Replace the Gaussians by diagonal ones: `loc` and `scale` ``(K, D)``."""
        super().set_components(loc, scale)
        self.shared.zero_()


class Mixture(Conditional):
    """The prior of MG: the Gaussians of `Conditional` with the category summed out, a mixture over z alone.

    Encoder and decoder do not depend on the component. (The released code of the paper averages the logarithms of the
    Gaussians instead, which is no density.)
    """

    # A code would never meet means that lie far apart, and no start puts rows into their components, as in CP-VAE.
    spread = 0.3

    def __init__(self, n_components: int, latent_dim: int, weights: Weights = "uniform"):
        super().__init__(n_components, latent_dim, weights)
        self.loc.data.mul_(self.spread)

    def forward(self, posterior: nn.Module) -> Latent:
        return Marginal(self.components())


class FullMixture(Mixture, FullConditional):
    """The prior of MG with full covariances: the Gaussians of `FullConditional` with the category summed out."""


class LowRankMixture(Mixture, LowRankConditional):
    """The prior of MG with covariances of low rank plus a diagonal: those of `LowRankConditional`."""


# Covariances of components, by name: the conditional prior that has them, and the mixture.
COVARIANCES: dict[str, tuple[type[Conditional], type[Mixture]]] = {
    "diag": (Conditional, Mixture),
    "low-rank": (LowRankConditional, LowRankMixture),
    "full": (FullConditional, FullMixture),
}


class Vamp(ComponentPrior):
    """The VampPrior (Tomczak and Welling, 2018): ``p(z) = 1/K sum_k q(z | u_k)`` with learned pseudo-inputs u_k.

    The Gaussians come from the model's own encoder, through which gradients flow.

    Args:
        n_components: K, the number of pseudo-inputs.
        n_inputs: numbers in what the encoder sees of a row.
        limits: the pseudo-inputs are held between these, if not None. Between 0 and 1 they begin as N(0.05, 0.01), the
            authors' choice for binary images; without limits as N(0, 1).
    """

    def __init__(self, n_components: int, n_inputs: int, limits: tuple[float, float] | None = None):
        super().__init__(n_components)
        self.limits = limits
        noise = normal_(zeros(n_components, n_inputs))
        self.pseudo_inputs = nn.Parameter(noise if limits is None else 0.05 + 0.01 * noise)
        self.register_buffer("logits", zeros(n_components))
        self.logits: Tensor

    @torch.no_grad()
    def set_pseudo_inputs(self, inputs: Tensor) -> None:
        """Begin with these rows, ``(K, n_inputs)``: training rows, as a rule."""
        self.pseudo_inputs.copy_(inputs)

    def forward(self, posterior: nn.Module) -> Latent:
        u = self.pseudo_inputs if self.limits is None else held(self.pseudo_inputs, *self.limits)
        q = posterior(u).given(torch.zeros(1, 1, dtype=torch.int64, device=u.device)).top
        return Marginal(CategoricalNormal(self.logits, q.loc.squeeze(1), q.scale.squeeze(1)))


class TwoLevelPrior(nn.Module):
    """The prior p(z2) p(z1 | z2): any prior on top, a network below it (HVAE of Tomczak and Welling, 2018).

    Args:
        top: the prior of z2.
        below: z2 ``(..., latent_dim)`` -> p(z1 | z2).
        latent_dim: of z2.
    """

    def __init__(self, top: nn.Module, below: nn.Module, latent_dim: int):
        super().__init__()
        self.top, self.below, self.latent_dim = top, below, latent_dim
        self.n_components: int = getattr(top, "n_components", 1)

    def forward(self, posterior: nn.Module) -> Latent:
        return TwoLevel(self.top(posterior), self.below, self.latent_dim)


def component_prior(prior: nn.Module) -> ComponentPrior | None:
    """Find the prior with components in a model's prior: itself, its top level, or None."""
    top: Any = getattr(prior, "top", prior)
    return top if getattr(top, "has_components", False) else None


# Priors over z alone without components, by name: what a VAE or an HVAE can be given. Each is called with latent_dim.
PRIORS: dict[str, Callable[[int], nn.Module]] = {"normal": StandardNormal}
