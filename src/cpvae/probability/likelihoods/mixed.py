"""Columns of several kinds as one distribution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from scipy import stats
from torch import Tensor
from torch.distributions import Categorical, Distribution, NegativeBinomial


class LevelCodes(Categorical):
    """Levels of categorical columns as codes; their mean is the code of the most likely level."""

    @property
    def mean(self) -> Tensor:
        """Give the most likely code: the average of codes means nothing."""
        mode: Tensor = self.mode
        return mode


class CountColumns(NegativeBinomial):
    """Count columns, whose log-density is computed in double precision: large counts need it."""

    def log_prob(self, value: Tensor) -> Tensor:
        """Compute the log-density of counts of any dtype."""
        log_prob: Tensor = super().log_prob(value.double())
        return log_prob

    def some(self, at: Tensor) -> CountColumns:
        """Give some of the columns: ``(..., len(at))``."""
        r = self.total_count.expand_as(self.logits)
        return CountColumns(r[..., at], logits=self.logits[..., at], validate_args=False)

    def tails(self) -> Any:
        """Give the distribution function and its inverse, `scipy.stats.nbinom`: torch lacks them."""
        failure = torch.sigmoid(-self.logits.double())
        return stats.nbinom(self.total_count.double().expand_as(failure).numpy(force=True), failure.numpy(force=True))


class MixedDistribution(Distribution):
    """Independent columns of several kinds, event shape ``(F,)``; a missing value, NaN, has log-density 0.

    Args:
        parts: for some of the columns each, their places ``(m,)`` among the F and a distribution of shape ``(..., m)``.
        batch_shape: that of the decoder's output.
        like: a tensor of the dtype that values and densities are to have.
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}

    def __init__(self, parts: Sequence[tuple[Tensor, Distribution]], batch_shape: torch.Size, like: Tensor):
        self.parts, self.like = parts, like
        n = sum(len(place) for place, _ in parts)
        super().__init__(batch_shape, torch.Size([n]), validate_args=False)

    def _join(self, values: Sequence[Tensor]) -> Tensor:
        joined = self.like.new_empty(*self.batch_shape, *self.event_shape)
        for (place, _), value in zip(self.parts, values, strict=True):
            joined[..., place] = value.to(joined.dtype)
        return joined

    @property
    def mean(self) -> Tensor:
        """The mean of numbers and counts; of a category the code of its most likely level."""
        return self._join([part.mean for _, part in self.parts])

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Draw a row, ``(..., F)``."""
        assert not len(sample_shape), "one draw at a time"
        return self._join([part.sample() for _, part in self.parts])

    def log_prob(self, value: Tensor) -> Tensor:
        """Compute the log-probability, a sum over the columns that are observed."""
        total = self.like.new_zeros(())
        for place, part in self.parts:
            cells = value[..., place]
            missing = cells.isnan()
            # 0 is legal in every column; a NaN would reach the gradient even where it is not chosen
            known: Tensor = part.log_prob(cells.masked_fill(missing, 0.0))
            total = total + known.masked_fill(missing, 0.0).sum(-1).to(self.like.dtype)
        return total
