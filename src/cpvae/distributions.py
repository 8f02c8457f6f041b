"""The joint distribution of a category and a vector, and how an expectation over the category is taken.

`CategoricalNormal` is the paper's prior, eqs. (4)-(5): ``p(c) p(z | c)`` with ``p(z | c)`` a diagonal Gaussian.
Summing c out gives a mixture of Gaussians. The posterior of eq. (6) has the same form, but its Gaussians come from a
network, so it is a `Joint`: the logits of q(c | x) and a function that gives q(z | x, c) for the categories asked for.

An expectation over q(c | x) is one of three objects, each a function from logits to `Categories`:

- `Exact`: all K categories, weighted by their probability. No noise; costs K decoders.
- `StraightThrough`: one one-hot draw, with the gradient of the relaxed one (Jang, Gu and Poole, 2017).
- `Relaxed`: one Gumbel-softmax draw (same source). A relaxed c carries K - 1 real numbers to the decoder while it is
  charged for at most log K nats, so what is computed with it is *not* a bound on log p(x).

Shapes: B rows, M categories evaluated for each row, K categories, D latent dimensions. Units: nats.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.distributions import (
    Categorical,
    Distribution,
    Independent,
    MixtureSameFamily,
    Normal,
    kl_divergence,
    register_kl,
)
from torch.nn import functional as F

from cpvae.nn import select


def diagonal_normal(loc: Tensor, scale: Tensor) -> Independent:
    """N(loc, diag(scale^2)) over the last dimension; `scale` is a standard deviation."""
    return Independent(Normal(loc, scale, validate_args=False), 1, validate_args=False)


class Latent(Protocol):
    """What a prior network returns, and all that the bounds ask of it.

    `logits` are the log p(c) of the categories that are latent variables of the model: ``(K,)``, or ``(1,)`` of zero
    for a prior over z alone.
    """

    logits: Tensor

    def kl_given(self, q: Independent, z: Tensor, c: Tensor) -> Tensor:
        """KL(q(z | x, c) || p(z | c)), ``(B, M)``; z is a draw of q for where no closed form is known."""

    def log_prob_given(self, z: Tensor, c: Tensor) -> Tensor:
        """log p(z | c), ``(B, M)``."""

    def sample(self, c: Tensor) -> Tensor:
        """One z for each category index in c: ``(n,)`` -> ``(n, D)``."""


class CategoricalNormal(Distribution):
    """p(c) N(z; loc_c, diag(scale_c^2)), eqs. (4)-(5) of the paper.

    Args:
        logits: unnormalised log p(c), ``(*batch, K)``.
        loc, scale: means and standard deviations of z for each category, ``(*batch, K, D)``.

    >>> p = CategoricalNormal(torch.zeros(2), torch.tensor([[0.0], [3.0]]), torch.ones(2, 1))
    >>> p.marginal().log_prob(torch.tensor([1.5])).exp().item()  # doctest: +ELLIPSIS
    0.1295...
    """

    has_rsample = False

    def __init__(self, logits: Tensor, loc: Tensor, scale: Tensor):
        self.categorical = Categorical(logits=logits, validate_args=False)
        self.logits: Tensor = self.categorical.logits
        self.loc, self.scale = loc, scale
        super().__init__(logits.shape[:-1], loc.shape[-1:], validate_args=False)

    def given(self, c: Tensor) -> Independent:
        """p(z | c) for categories given as indices ``(..., M)`` or points of the simplex ``(..., M, K)``.

        For a distribution without batch dimensions, as a prior is.
        """
        return diagonal_normal(select(self.loc, c), select(self.scale, c))

    def components(self) -> Independent:
        """All K Gaussians: batch shape ``(*batch, K)``, event shape ``(D,)``."""
        return diagonal_normal(self.loc, self.scale)

    def marginal(self) -> MixtureSameFamily:
        """The distribution of z alone: a mixture of Gaussians."""
        return MixtureSameFamily(self.categorical, self.components(), validate_args=False)

    def kl_given(self, q: Independent, z: Tensor, c: Tensor) -> Tensor:
        """KL(q(z | x, c) || p(z | c)) in closed form, ``(B, M)``; term B2 of eq. (8) before the sum over c.

        At a point of the simplex the prior's parameters are mixed as the posterior's are, so that the gradient along an
        edge moves both. (A mixture of the K divergences would compare the posterior for the drawn category with the
        priors of all others: a gradient that only ever confirms the draw, and soon leaves one category.)
        """
        return kl_divergence(q, self.given(c))

    def log_prob_given(self, z: Tensor, c: Tensor) -> Tensor:
        """log p(z | c), ``(B, M)``."""
        log_prob: Tensor = self.given(c).log_prob(z)
        return log_prob

    def sample(self, c: Tensor) -> Tensor:  # type: ignore[override]  # a draw of z needs its category
        """One z for each category index in c: ``(n,)`` -> ``(n, D)``."""
        return self.given(c).sample()


@register_kl(CategoricalNormal, CategoricalNormal)
def _kl_categorical_normal(q: CategoricalNormal, p: CategoricalNormal) -> Tensor:
    """Eq. (8): KL(q(c) || p(c)) + sum_c q(c) KL(q(z | c) || p(z | c)), one number a batch entry."""
    kl_c = kl_divergence(q.categorical, p.categorical)
    kl_z = kl_divergence(q.components(), p.components())
    return kl_c + (q.categorical.probs * kl_z).sum(-1)


class Continuous:
    """A prior over z alone, as a `Latent` with a single category.

    The divergence is exact where torch has a closed form registered, otherwise the Monte Carlo estimate
    ``log q(z | x) - log p(z)`` at the draw itself.
    """

    def __init__(self, distribution: Distribution):
        self.distribution = distribution
        self.logits = distribution.mean.new_zeros(1)

    def kl_given(self, q: Independent, z: Tensor, c: Tensor) -> Tensor:
        """KL(q(z | x) || p(z)), ``(B, 1)``."""
        try:
            return kl_divergence(q, self.distribution)
        except NotImplementedError:
            difference: Tensor = q.log_prob(z) - self.distribution.log_prob(z)
            return difference

    def log_prob_given(self, z: Tensor, c: Tensor) -> Tensor:
        """log p(z), ``(B, 1)``."""
        log_prob: Tensor = self.distribution.log_prob(z)
        return log_prob

    def sample(self, c: Tensor) -> Tensor:
        """One z for each entry of c, which has a single value: ``(n,)`` -> ``(n, D)``."""
        return self.distribution.sample(c.shape)


@dataclass(frozen=True)
class Joint:
    """q(c | x) q(z | x, c), eq. (6), for B rows.

    Attributes:
        logits: of q(c | x), normalised, ``(B, K)``.
        given: categories (indices or points of the simplex) -> q(z | x, c), batch shape ``(B, M)``.
    """

    logits: Tensor
    given: Callable[[Tensor], Independent]


class Categories(NamedTuple):
    """The categories at which an expectation over q(c | x) is evaluated, and their weights.

    `c` are indices ``(B or 1, M)`` or points of the simplex ``(B, M, K)``; `weights` ``(B, M)`` add up to one.
    """

    c: Tensor
    weights: Tensor


class Expectation(Protocol):
    """From the logits of q(c | x) ``(B, K)`` and the training step to `Categories`."""

    def __call__(self, logits: Tensor, step: int) -> Categories: ...


class Exact:
    """The sum over all K categories: no noise, K decoders."""

    def __call__(self, logits: Tensor, step: int = 0) -> Categories:
        return Categories(torch.arange(logits.shape[-1], device=logits.device).unsqueeze(0), logits.exp())


@dataclass(frozen=True)
class StraightThrough:
    """One one-hot draw, with the gradient of the Gumbel-softmax draw (Jang, Gu and Poole, 2017).

    Args:
        temperature: a function of the training step (see `cpvae.schedules`).
    """

    temperature: Callable[[int], float]
    hard: bool = True

    def __call__(self, logits: Tensor, step: int = 0) -> Categories:
        c = F.gumbel_softmax(logits, tau=self.temperature(step), hard=self.hard).unsqueeze(-2)
        return Categories(c, torch.ones_like(c[..., 0]))


@dataclass(frozen=True)
class Relaxed(StraightThrough):
    """One Gumbel-softmax draw. What is computed with it is not a bound on log p(x)."""

    hard: bool = False


def entropy(logits: Tensor) -> Tensor:
    """Entropy in nats of categorical distributions: normalised logits ``(..., K)`` -> ``(...)``.

    >>> round(entropy(torch.zeros(4).log_softmax(-1)).exp().item(), 4)
    4.0
    """
    return Categorical(logits=logits, validate_args=False).entropy()
