"""Values that are independent given z and c, some of which may be missing.

A missing value, NaN, is left out of the product over the values, which marginalises it: its integral is one. The
encoder sees the mean of the row's other values in its place, those of its channel where channels have noises of their
own.
"""

from __future__ import annotations

import copy
import math
from abc import abstractmethod
from typing import Self

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent

from cpvae.probability.likelihoods.likelihood import Likelihood, Parts


class Pointwise(Likelihood):
    """Likelihood of values that are independent given z and c.

    Attributes:
        gaps: whether values may be missing, as a buffer that travels with the weights; None where none may.
    """

    gaps: Tensor | None

    @abstractmethod
    def each(self, params: Tensor) -> Distribution:
        """Give the distribution of the values, each by itself: ``(..., F)`` -> batch shape ``(..., F)``."""

    @property
    def n_groups(self) -> int:
        """Count the groups of neighbouring values, in whose mean a missing value is read by the encoder."""
        return 1

    def log_slopes(self) -> Tensor | None:
        """Give log dy/dx of each value, ``(F,)``, float64, nats; None where the units of the model add nothing."""
        return None

    def marked(self, y: Tensor) -> Tensor:
        """Give all missing values the same NaN, for its bits are part of a row's key."""
        return y if self.gaps is None else y.masked_fill(y.isnan(), math.nan)

    def completed(self, values: Tensor) -> Tensor:
        """Put the mean of the other values of a row into the places of missing ones: ``(..., F)``."""
        if self.gaps is None:
            return values
        groups = values.unflatten(-1, (self.n_groups, -1))
        mean = groups.nanmean(-1, keepdim=True)
        mean = mean.masked_fill(mean.isnan(), 0.0)  # of a group without any value
        return torch.where(groups.isnan(), mean, groups).flatten(-2)

    def with_gaps(self) -> Self:
        if self.gaps is not None:
            return self
        found = copy.copy(self)
        some = next(self.buffers())
        found._buffers = {**self._buffers, "gaps": torch.ones((), dtype=torch.bool, device=some.device)}
        return found

    def parts(self, params: Tensor) -> Parts:
        return [(torch.arange(self.n_inputs, device=params.device), self.each(params))]

    def forward(self, params: Tensor) -> Independent:
        return Independent(self.each(params), 1, validate_args=False)

    def log_prob(self, params: Tensor, y: Tensor) -> Tensor:
        if self.gaps is None:
            return super().log_prob(params, y)
        missing, slopes = y.isnan(), self.log_slopes()
        each: Tensor = self.each(params).log_prob(y.masked_fill(missing, 0.0).unsqueeze(-2))
        if slopes is not None:
            each = each + slopes.to(each.dtype)
        return each.masked_fill(missing.unsqueeze(-2), 0.0).sum(-1)


def there(x: Tensor) -> Tensor:
    """Give the values of rows that are not missing, ``(m,)``; all of them, as they are, where none can be.

    >>> there(torch.tensor([[1.0, torch.nan]]))
    tensor([1.])
    """
    return x[~x.isnan()] if x.is_floating_point() else x
