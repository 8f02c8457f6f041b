"""Moments of the posterior of rows, and the Gaussians that fit them best: the M-step of a prior."""

from __future__ import annotations

import torch
from torch import Tensor

LEAST_VARIANCE = 1e-4  # of a Gaussian in any direction: rows that agree to this say no more about how they spread


class Moments:
    """Sums over rows of the moments of z under q(z | x, c), for each component c apart.

    Of all Gaussians p(z | c), those with these moments have the least KL(q(z | x, c) || p(z | c)), added up over the
    rows of c.

    Args:
        like: a tensor ``(K, D)`` on the device of the rows.
        full: whether the moments of pairs of dimensions are summed as well.

    Attributes:
        count: rows, ``(K, 1)``; first: sums of z, ``(K, D)``; second: of its squares, ``(K, D)``, or of the products of
            its dimensions, ``(K, D, D)``. All float64.

    >>> moments = Moments(torch.zeros(1, 2), full=False)
    >>> moments.add(torch.tensor([[0.0, 1.0], [2.0, 1.0]]), torch.ones(2, 2), torch.zeros(2).long())
    >>> moments.mean.tolist(), moments.variance.tolist()
    ([[1.0, 1.0]], [[2.0, 1.0]])
    """

    def __init__(self, like: Tensor, full: bool):
        k, dim = like.shape
        self.count, self.first = like.new_zeros(k, 1).double(), torch.zeros_like(like).double()
        self.second = self.first.new_zeros(k, dim, dim) if full else torch.zeros_like(self.first)

    @property
    def sums(self) -> tuple[Tensor, ...]:
        """All sums, to be added up over processes in place."""
        return self.count, self.first, self.second

    def add(self, loc: Tensor, scale: Tensor, c: Tensor) -> None:
        """Add rows: means and standard deviations of their posteriors, ``(B, D)``, and their components, ``(B,)``."""
        loc, variance = loc.double(), scale.double().square()
        self.count.index_add_(0, c, torch.ones_like(loc[:, :1]))
        self.first.index_add_(0, c, loc)
        if self.second.dim() == 2:
            self.second.index_add_(0, c, loc.square() + variance)
            return
        for k in c.unique():
            mine = c == k
            self.second[k] += loc[mine].T @ loc[mine] + variance[mine].sum(0).diag()

    @property
    def filled(self) -> Tensor:
        """Find the components that have enough rows to have moments, ``(K,)``."""
        return self.count[:, 0] > 1

    @property
    def mean(self) -> Tensor:
        """Means of z, ``(K, D)``."""
        return self.first / self.count.clamp_min(1)

    @property
    def variance(self) -> Tensor:
        """Variances of the dimensions of z, ``(K, D)``, for sums of squares."""
        return (self.second / self.count.clamp_min(1) - self.mean.square()).clamp_min(LEAST_VARIANCE)

    @property
    def covariance(self) -> Tensor:
        """Covariances of z, ``(K, D, D)``, for sums of products.

        What the dimensions of no more rows than dimensions have in common is chance, and left out.
        """
        mean = self.mean.unsqueeze(-1)
        found = self.second / self.count.clamp_min(1).unsqueeze(-1) - mean @ mean.mT
        few = (self.count <= self.first.shape[-1]).unsqueeze(-1)
        found = torch.where(few, torch.diag_embed(found.diagonal(dim1=-2, dim2=-1)), found)
        values, vectors = torch.linalg.eigh(found)
        return (vectors * values.clamp_min(LEAST_VARIANCE).unsqueeze(-2)) @ vectors.mT
