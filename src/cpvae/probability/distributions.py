"""Distributions of a code: one Gaussian, a category with a Gaussian for each, a mixture over z alone.

`CategoricalNormal` is the paper's prior, eqs. (4)-(5): ``p(c) p(z | c)`` with ``p(z | c)`` a diagonal Gaussian.
Summing c out gives a mixture of Gaussians, a `Marginal`: the prior of MG, and of VP whose Gaussians come from the
encoder. A code of two levels has distributions of its own: `cpvae.probability.two_level`.

Shapes: B rows, M categories evaluated for each row, K categories or components, D latent dimensions. Units: nats.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.distributions import (
    Categorical,
    Distribution,
    Independent,
    LowRankMultivariateNormal,
    MultivariateNormal,
    Normal,
    kl_divergence,
)
from torch.nn import functional as F

from cpvae.nn.draws import draw_rows, normal_, sample
from cpvae.nn.layers import select

OUTER_PRODUCTS = 2**23  # numbers held at a time in outer products of z with themselves, where no gradient is kept


class DiagonalNormal(Independent):
    """N(loc, diag(scale^2)) over the last dimension; `scale` is a standard deviation.

    Args:
        loc, scale: ``(*batch, D)``.
    """

    def __init__(self, loc: Tensor, scale: Tensor):
        super().__init__(Normal(loc, scale, validate_args=False), 1, validate_args=False)
        self.loc, self.scale = loc, scale

    def at(self, noise: Tensor | None = None) -> Tensor:
        """Draw with the gradient of loc and scale: at standard normal `noise` that broadcasts, or at fresh noise."""
        if noise is None:
            noise = draw_rows(self.loc.shape, lambda shape: normal_(self.loc.new_empty(shape)))
        return self.loc + noise * self.scale

    def log_prob_among(self, k: Tensor, z: Tensor) -> Tensor:
        """Compute the log-density of many draws, each under one of M Gaussians.

        The logarithms of scales are taken once for each Gaussian, not for each draw.

        Args:
            k: which of them, ``(B, S)``; the batch shape is ``(B, M)``.
            z: draws, ``(B, S, D)``.

        Returns:
            ``(B, S)``.

        >>> among = DiagonalNormal(torch.tensor([[[0.0], [1.0]]]), torch.ones(1, 2, 1))
        >>> among.log_prob_among(torch.tensor([[1, 0]]), torch.tensor([[[1.0], [1.0]]])).exp()
        tensor([[0.3989, 0.2420]])
        """
        at = k.unsqueeze(-1).expand_as(z)
        standard = (z - self.loc.gather(1, at)) / self.scale.gather(1, at)
        log_volume = self.scale.log().sum(-1) + z.shape[-1] / 2 * math.log(2 * math.pi)
        return -standard.square().sum(-1) / 2 - log_volume.gather(1, k)

    def moved(self, shift: Tensor, stretch: Tensor) -> DiagonalNormal:
        """Move the mean by `shift` standard deviations and the logarithm of the scale by `stretch`, ``(*batch, D)``."""
        return DiagonalNormal(self.loc + shift * self.scale, self.scale * stretch.exp())

    @property
    def top(self) -> DiagonalNormal:
        """The distribution of the top level: itself, the only one."""
        return self


class Latent(Protocol):
    """The distribution that a prior network returns, with all that the bounds ask of it.

    A component is one of the Gaussians that a prior is made of. A category is a value of c that encoder and decoder
    know. In CP-VAE the components are the categories; a mixture over z alone has K components and a single category.

    Attributes:
        logits: log p(c) of the categories, ``(K,)``, or ``(1,)`` of zero for a prior over z alone.
        mixture: the components, K Gaussians and their weights; None for a prior without.
        is_marginal: whether the components are summed out, so that they are no categories.
        top: the prior of the top level, to which the components belong; the prior itself where there is one level.
    """

    logits: Tensor

    @property
    def mixture(self) -> CategoricalNormal | None: ...

    @property
    def is_marginal(self) -> bool: ...

    @property
    def top(self) -> Latent: ...

    def kl_given(self, q: Any, z: Tensor, c: Tensor) -> Tensor:
        """Compute KL(q(z | x, c) || p(z | c)), ``(B, M)``; z is a draw of q for where no closed form is known."""

    def log_prob_given(self, z: Tensor, c: Tensor) -> Tensor:
        """Compute log p(z | c), ``(B, M)``."""

    def responsibilities(self, z: Tensor, c: Tensor) -> Tensor:
        """Compute the probability of each component given z and the category index, ``(B or 1, M, K)``."""

    def sample(self, k: Tensor) -> Tensor:
        """Draw one z for each component index in k: ``(n,)`` -> ``(n, D)``."""


class CategoricalNormal(Distribution):
    """The joint p(c) N(z; loc_c, diag(scale_c^2)), eqs. (4)-(5) of the paper.

    Args:
        logits: unnormalised log p(c), ``(*batch, K)``.
        loc, scale: means and standard deviations of z for each category, ``(*batch, K, D)``.

    >>> p = CategoricalNormal(torch.zeros(2), torch.tensor([[0.0], [3.0]]), torch.ones(2, 1))
    >>> p.log_prob_given(torch.tensor([[[1.5]]]), torch.tensor([[0, 1]])).exp()
    tensor([[0.1295, 0.1295]])
    """

    has_rsample = False
    is_marginal = False

    def __init__(self, logits: Tensor, loc: Tensor, scale: Tensor):
        self._begin(logits, loc)
        self.scale = scale

    def _begin(self, logits: Tensor, loc: Tensor) -> None:
        self.categorical = Categorical(logits=logits, validate_args=False)
        self.logits: Tensor = self.categorical.logits
        self.loc = loc
        super().__init__(logits.shape[:-1], loc.shape[-1:], validate_args=False)

    def given(self, c: Tensor) -> Any:
        """Give p(z | c) for categories as indices ``(..., M)`` or points of the simplex ``(..., M, K)``.

        For a distribution without batch dimensions, as a prior is.
        """
        return DiagonalNormal(select(self.loc, c), select(self.scale, c))

    def kl_given(self, q: Independent, z: Tensor, c: Tensor) -> Tensor:
        """Compute KL(q(z | x, c) || p(z | c)) in closed form, ``(B, M)``; term B2 of eq. (8) before the sum over c.

        At a point of the simplex the prior's parameters are mixed as the posterior's are, so that the gradient along an
        edge moves both. (A mixture of the K divergences would compare the posterior for the drawn category with the
        priors of all others: a gradient that only ever confirms the draw, and soon leaves one category.)
        """
        return kl_divergence(q, self.given(c))

    def log_prob_given(self, z: Tensor, c: Tensor) -> Tensor:
        """Compute log p(z | c), ``(B, M)``."""
        log_prob: Tensor = self.given(c).log_prob(z)
        return log_prob

    @property
    def mixture(self) -> CategoricalNormal:
        """Itself: categories are its components."""
        return self

    @property
    def top(self) -> CategoricalNormal:
        """Itself."""
        return self

    def log_prob_pairs(self, z: Tensor) -> Tensor:
        """Compute log p(z_i | k) for all pairs, ``(n, D)`` -> float64 ``(n, K)``."""
        return log_normal_pairs(z, self.loc, self.scale)

    def responsibilities(self, z: Tensor, c: Tensor) -> Tensor:
        """Give one-hot rows, since the category is the component: ``(B or 1, M, K)``."""
        return F.one_hot(c, self.logits.shape[-1]).to(self.logits.dtype)

    def sample(self, k: Tensor) -> Tensor:  # type: ignore[override]  # a draw of z needs its category
        """Draw one z for each category index in k: ``(n,)`` -> ``(n, D)``."""
        return sample(self.given(k), k.device)


class CategoricalFullNormal(CategoricalNormal):
    """The joint p(c) N(z; loc_c, (A_c A_c')^-1), with full covariances (footnote 3 of the paper).

    Parametrised by the Cholesky factor of the precision, so that density and divergence take no solve.

    Args:
        logits: unnormalised log p(c), ``(K,)``.
        loc: means, ``(K, D)``.
        factor: A, lower triangular with a positive diagonal, ``(K, D, D)``.

    >>> p = CategoricalFullNormal(torch.zeros(1), torch.zeros(1, 2), torch.tensor([[[2.0, 0.0], [0.0, 1.0]]]))
    >>> p.scale.tolist()
    [[0.5, 1.0]]
    """

    def __init__(self, logits: Tensor, loc: Tensor, factor: Tensor):
        self._begin(logits, loc)
        self.factor = factor
        self.precisions = factor.square().sum(-1)  # of the coordinates given all others, (K, D)
        self.log_root = factor.diagonal(dim1=-2, dim2=-1).log().sum(-1, keepdim=True)  # of the determinants, (K, 1)

    @cached_property
    @torch.no_grad()
    def scale(self) -> Tensor:  # type: ignore[override]  # to be looked at; no bound is made of it
        """Standard deviations of the coordinates, ``(K, D)``; without a gradient."""
        eye = torch.eye(self.loc.shape[-1], dtype=self.factor.dtype, device=self.factor.device)
        return torch.linalg.solve_triangular(self.factor, eye, upper=False).square().sum(-2).sqrt()

    def _at(self, c: Tensor) -> tuple[Tensor, Tensor]:
        """Select means ``(..., M, D)`` and factors ``(..., M, D, D)`` of categories."""
        dim = self.loc.shape[-1]
        return select(self.loc, c), select(self.factor.flatten(1), c).unflatten(-1, (dim, dim))

    def _of(self, c: Tensor, factor: Tensor) -> tuple[Tensor, Tensor]:
        """Give the precisions ``(..., M, D)`` and log-roots of the determinants ``(..., M)`` that factors have.

        Categories have them in tables; a point of the simplex has a factor of its own.
        """
        if c.is_floating_point():
            return factor.square().sum(-1), factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        return select(self.precisions, c), select(self.log_root, c).squeeze(-1)

    def given(self, c: Tensor) -> Any:
        """Give p(z | c) for categories as indices or points of the simplex."""
        loc, factor = self._at(c)
        return MultivariateNormal(loc, precision_matrix=factor @ factor.mT, validate_args=False)

    def kl_given(self, q: Independent, z: Tensor, c: Tensor) -> Tensor:
        """Compute KL(q(z | x, c) || p(z | c)) in closed form for a diagonal q, ``(B, M)``."""
        loc, factor = self._at(c)
        own = q.base_dist
        precisions, log_root = self._of(c, factor)
        trace = (own.scale.square() * precisions).sum(-1)
        whitened = _times(own.loc - loc, factor).square().sum(-1)
        spread = log_root + own.scale.log().sum(-1)
        return 0.5 * (trace + whitened - loc.shape[-1]) - spread

    def log_prob_given(self, z: Tensor, c: Tensor) -> Tensor:
        """Compute log p(z | c), ``(B, M)``."""
        loc, factor = self._at(c)
        whitened = _times(z - loc, factor).square().sum(-1)
        constant = 0.5 * z.shape[-1] * math.log(2 * math.pi)
        return self._of(c, factor)[1] - 0.5 * whitened - constant

    def log_prob_pairs(self, z: Tensor) -> Tensor:
        """Compute log p(z_i | k) for all pairs, ``(n, D)`` -> float64 ``(n, K)``.

        As in `log_normal_pairs` the square is expanded, in double precision: a product of the outer products z z' with
        the precisions, for some of the z at a time. Of many components that takes less time than differences.
        """
        z, loc, factor = z.double(), self.loc.double(), self.factor.double()
        precision = factor @ factor.mT
        along = (precision @ loc.unsqueeze(-1)).squeeze(-1)
        half = (0.5 * precision).flatten(1).T
        parts = z.split(max(1, OUTER_PRODUCTS // len(half)))
        quadratic = [(part.unsqueeze(-1) * part.unsqueeze(-2)).flatten(1) @ half for part in parts]
        half_determinant = factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        constant = 0.5 * (along * loc).sum(-1) - half_determinant + 0.5 * z.shape[-1] * math.log(2 * math.pi)
        return z @ along.T - torch.cat(quadratic) - constant

    def sample(self, k: Tensor) -> Tensor:  # type: ignore[override]
        """Draw one z for each category index in k: ``(n,)`` -> ``(n, D)``."""
        loc, factor = self._at(k)
        noise = normal_(torch.empty_like(loc)).unsqueeze(-1)
        return loc + torch.linalg.solve_triangular(factor.mT, noise, upper=True).squeeze(-1)


class LowRank(NamedTuple):
    """Covariances ``diag(own^2) + shared shared'`` with all that densities ask of them; any batch shape.

    The identity of Woodbury, in a form without differences of large numbers: a squared distance is the least
    ``|w - S t|^2 + |t|^2``, where ``w = z / own``, ``S = shared / own`` and t are the factors of z, at ``t = gain w``.

    Attributes:
        own: ``(..., D)``.
        ratio: S, ``(..., D, R)``.
        gain: ``(1 + S' S)^-1 S'``, transposed, ``(..., D, R)``.
        precisions: the diagonal of the inverse, ``(..., D)``.
        log_root: half the logarithm of the determinant, ``(..., 1)``.
    """

    own: Tensor
    ratio: Tensor
    gain: Tensor
    precisions: Tensor
    log_root: Tensor

    @classmethod
    def of(cls, own: Tensor, shared: Tensor) -> LowRank:
        """Compute all parts from the two of which covariances are made, ``(..., D)`` and ``(..., D, R)``."""
        ratio = shared / own.unsqueeze(-1)
        eye = torch.eye(shared.shape[-1], dtype=own.dtype, device=own.device)
        root = torch.linalg.cholesky_ex(eye + ratio.mT @ ratio)[0]  # what is not finite shows in the loss
        whitened = torch.linalg.solve_triangular(root, ratio.mT, upper=False)
        gain = torch.linalg.solve_triangular(root.mT, whitened, upper=True).mT
        precisions = (1.0 - whitened.square().sum(-2)) / own.square()
        log_root = own.log().sum(-1, keepdim=True) + root.diagonal(dim1=-2, dim2=-1).log().sum(-1, keepdim=True)
        return cls(own, ratio, gain, precisions, log_root)

    def at(self, c: Tensor) -> LowRank:
        """Select those of categories, indices ``(..., M)``, from those of all K."""
        return LowRank(*(select(part.flatten(1), c).unflatten(-1, part.shape[1:]) for part in self))

    def distance(self, difference: Tensor) -> Tensor:
        """Compute the squared distance of Mahalanobis ``(B, M)`` of differences from the mean ``(B, M, D)``."""
        w = difference / self.own
        t = _times(w, self.gain)
        return (w - _times(t, self.ratio.mT)).square().sum(-1) + t.square().sum(-1)


class CategoricalLowRankNormal(CategoricalNormal):
    """The joint p(c) N(z; loc_c, diag(own_c^2) + shared_c shared_c'), with covariances of low rank plus a diagonal.

    They are those of a factor analysis of each category (Ghahramani and Hinton, 1996).

    Args:
        logits: unnormalised log p(c), ``(K,)``.
        loc: means, ``(K, D)``.
        own: standard deviations of what each coordinate has for itself, ``(K, D)``.
        shared: what coordinates have in common, ``(K, D, R)``.

    >>> shared = torch.tensor([[[3.0], [0.0]]])
    >>> p = CategoricalLowRankNormal(torch.zeros(1), torch.zeros(1, 2), torch.tensor([[4.0, 1.0]]), shared)
    >>> p.scale.tolist()
    [[5.0, 1.0]]
    """

    def __init__(self, logits: Tensor, loc: Tensor, own: Tensor, shared: Tensor):
        self._begin(logits, loc)
        self.own, self.shared = own, shared
        self.low_rank = LowRank.of(own, shared)

    @property
    def scale(self) -> Tensor:  # type: ignore[override]
        """Standard deviations of the coordinates, ``(K, D)``."""
        return (self.own.square() + self.shared.square().sum(-1)).sqrt()

    def _at(self, c: Tensor) -> tuple[Tensor, Tensor]:
        """Select what categories have for themselves and in common, or mix it for points of the simplex."""
        return select(self.own, c), select(self.shared.flatten(1), c).unflatten(-1, self.shared.shape[1:])

    def _of(self, c: Tensor) -> LowRank:
        """Give the covariances of categories as indices, or those that a point of the simplex mixes."""
        return LowRank.of(*self._at(c)) if c.is_floating_point() else self.low_rank.at(c)

    def given(self, c: Tensor) -> Any:
        """Give p(z | c) for categories as indices or points of the simplex."""
        own, shared = self._at(c)
        return LowRankMultivariateNormal(select(self.loc, c), shared, own.square(), validate_args=False)

    def kl_given(self, q: Independent, z: Tensor, c: Tensor) -> Tensor:
        """Compute KL(q(z | x, c) || p(z | c)) in closed form for a diagonal q, ``(B, M)``."""
        loc, covariance, own = select(self.loc, c), self._of(c), q.base_dist
        trace = (own.scale.square() * covariance.precisions).sum(-1)
        spread = covariance.log_root.squeeze(-1) - own.scale.log().sum(-1)
        return 0.5 * (trace + covariance.distance(own.loc - loc) - loc.shape[-1]) + spread

    def log_prob_given(self, z: Tensor, c: Tensor) -> Tensor:
        """Compute log p(z | c), ``(B, M)``."""
        covariance = self._of(c)
        constant = 0.5 * z.shape[-1] * math.log(2 * math.pi)
        return -0.5 * covariance.distance(z - select(self.loc, c)) - covariance.log_root.squeeze(-1) - constant

    def log_prob_pairs(self, z: Tensor) -> Tensor:
        """Compute log p(z_i | k) for all pairs, ``(n, D)`` -> float64 ``(n, K)``, for some of the z at a time."""
        wide = LowRank.of(self.own.double(), self.shared.double())
        constant = wide.log_root.squeeze(-1) + 0.5 * z.shape[-1] * math.log(2 * math.pi)
        parts = z.double().unsqueeze(1).split(max(1, OUTER_PRODUCTS // self.loc.numel()))
        return torch.cat([-0.5 * wide.distance(part - self.loc.double()) for part in parts]) - constant

    def sample(self, k: Tensor) -> Tensor:  # type: ignore[override]
        """Draw one z for each category index in k: ``(n,)`` -> ``(n, D)``."""
        return sample(self.given(k), k.device)


def _times(difference: Tensor, factor: Tensor) -> Tensor:
    """Multiply A' x: ``(B, M, D)`` and ``(B or 1, M, D, R)`` or without B -> ``(B, M, R)``."""
    if factor.dim() == 4 and len(factor) == 1:  # the same categories for all rows: one product for each
        return torch.einsum("bmi,mij->bmj", difference, factor[0])
    return torch.einsum("...i,...ij->...j", difference, factor)


class Continuous:
    """A prior over z alone, as a `Latent` with a single category.

    The divergence is exact where torch has a closed form registered, otherwise the Monte Carlo estimate
    ``log q(z | x) - log p(z)`` at the draw itself.
    """

    mixture: CategoricalNormal | None = None
    is_marginal = False

    def __init__(self, distribution: Distribution):
        self.distribution = distribution
        self.logits = distribution.mean.new_zeros(1)

    @property
    def top(self) -> Continuous:
        """Itself."""
        return self

    def kl_given(self, q: Independent, z: Tensor, c: Tensor) -> Tensor:
        """Compute KL(q(z | x) || p(z)), ``(B, 1)``."""
        try:
            return kl_divergence(q, self.distribution)
        except NotImplementedError:
            return self._estimate(q, z, c)

    def _estimate(self, q: Independent, z: Tensor, c: Tensor) -> Tensor:
        difference: Tensor = q.log_prob(z) - self.log_prob_given(z, c)
        return difference

    def log_prob_given(self, z: Tensor, c: Tensor) -> Tensor:
        """Compute log p(z), ``(B, 1)``."""
        log_prob: Tensor = self.distribution.log_prob(z)
        return log_prob

    def responsibilities(self, z: Tensor, c: Tensor) -> Tensor:
        """Give ones, for the only component: ``(B, 1, 1)``."""
        return torch.ones_like(z[..., :1])

    def sample(self, k: Tensor) -> Tensor:
        """Draw one z for each entry of k, which has a single value: ``(n,)`` -> ``(n, D)``."""
        return sample(self.distribution, k.device, k.shape)


class Marginal(Continuous):
    """A mixture of Gaussians over z alone: `mixture` with its category summed out.

    Its divergence has no closed form, so it is estimated at the draw. The log-sum-exp comes after the sum over
    dimensions: a mixture of vectors, not of coordinates.

    >>> p = Marginal(CategoricalNormal(torch.zeros(2), torch.tensor([[0.0], [3.0]]), torch.ones(2, 1)))
    >>> z = torch.tensor([[[1.5]]])
    >>> p.responsibilities(z, torch.zeros(1, 1).long()).tolist()
    [[[0.5, 0.5]]]
    """

    mixture: CategoricalNormal
    is_marginal = True

    def __init__(self, mixture: CategoricalNormal):
        self.mixture = mixture
        self.logits = mixture.loc.new_zeros(1)

    def kl_given(self, q: Independent, z: Tensor, c: Tensor) -> Tensor:
        """Estimate KL(q(z | x) || p(z)) at the draw z, ``(B, 1)``."""
        return self._estimate(q, z, c)

    def log_joint(self, z: Tensor) -> Tensor:
        """Compute log p(k, z) for all components: ``(..., D)`` -> float64 ``(..., K)``."""
        mixture = self.mixture
        return mixture.log_prob_pairs(z.flatten(0, -2)).view(*z.shape[:-1], -1) + mixture.logits

    def log_prob_given(self, z: Tensor, c: Tensor) -> Tensor:
        """Compute log p(z), ``(B, 1)``."""
        return self.log_joint(z).logsumexp(-1).to(z.dtype)

    def responsibilities(self, z: Tensor, c: Tensor) -> Tensor:
        """Compute p(k | z), ``(B, 1, K)``."""
        return self.log_joint(z).softmax(-1).to(z.dtype)

    def sample(self, k: Tensor) -> Tensor:
        """Draw one z for each component index in k: ``(n,)`` -> ``(n, D)``."""
        return self.mixture.sample(k)


def log_normal_pairs(z: Tensor, loc: Tensor, scale: Tensor) -> Tensor:
    """Compute log N(z_i; loc_j, diag(scale_j^2)) for all pairs, ``(..., n, D)``, ``(..., K, D)`` -> ``(..., n, K)``.

    As matrix products, in double precision: the square is expanded, and in single precision a small scale would leave
    no digit of the difference.
    """
    z, loc, scale = z.double(), loc.double(), scale.double()
    precision = scale.reciprocal().square()
    quadratic = z.square() @ (0.5 * precision).mT - z @ (precision * loc).mT
    constant = (0.5 * precision * loc.square() + scale.log()).sum(-1) + 0.5 * z.shape[-1] * math.log(2 * math.pi)
    return -(quadratic + constant.unsqueeze(-2))
