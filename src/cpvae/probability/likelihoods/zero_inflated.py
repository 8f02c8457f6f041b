"""Counts with a depth and more zeros than a negative binomial has.

A sort may be missing from a row for another reason than chance: with a probability ``pi_j``, which the decoder gives
for each row and sort, it was not looked at and counts 0 (Lambert, 1992; in scVI, Lopez et al., 2018):

    p(x | z, c, l) = prod_j [pi_j 1(x_j = 0) + (1 - pi_j) NB(x_j; mean l s_j, concentration r_j)]

All else is as in `cpvae.probability.likelihoods.counts`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from cpvae.probability.likelihoods.counts import Counts, CountsDistribution
from cpvae.probability.likelihoods.mixed import CountColumns

FIRST_LOGIT = -3.0  # of pi before anything is learned: one zero in twenty


class InflatedColumns(CountColumns):
    """Count columns, each 0 with a probability of its own.

    Args:
        r: concentrations; logits: of the counts otherwise; zeros: log-odds of the zeros, all ``(..., m)``.
    """

    def __init__(self, r: Tensor, logits: Tensor, zeros: Tensor):
        self.zeros = zeros
        super().__init__(r, logits=logits, validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The mean, less what was not looked at."""
        return super().mean * torch.sigmoid(-self.zeros)

    def some(self, at: Tensor) -> InflatedColumns:
        """Give some of the columns: ``(..., len(at))``."""
        counts = super().some(at)
        return InflatedColumns(counts.total_count, counts.logits, self.zeros[..., at])

    def tails(self) -> InflatedTails:
        """Give the distribution function and its inverse."""
        return InflatedTails(super().tails(), torch.sigmoid(self.zeros).numpy(force=True))


@dataclass(frozen=True)
class InflatedTails:
    """Distribution functions of counts with more zeros, and their inverses, as scipy names them.

    Attributes:
        counts: those of the counts otherwise, `scipy.stats.nbinom` of shape ``(..., m)``.
        zeros: the probabilities of the zeros that are more, ``(..., m)``.
    """

    counts: Any
    zeros: np.ndarray

    def cdf(self, x: np.ndarray) -> np.ndarray:
        """Compute P(count <= x)."""
        return np.where(x >= 0, self.zeros + (1 - self.zeros) * self.counts.cdf(x), 0.0)

    def sf(self, x: np.ndarray) -> np.ndarray:
        """Compute P(count > x)."""
        return np.where(x >= 0, (1 - self.zeros) * self.counts.sf(x), 1.0)

    def ppf(self, u: np.ndarray) -> np.ndarray:
        """Find the least count whose `cdf` is u or more."""
        return np.maximum(self.counts.ppf(np.clip((u - self.zeros) / (1 - self.zeros), 0.0, 1.0)), 0.0)

    def isf(self, u: np.ndarray) -> np.ndarray:
        """Find the least count whose `sf` is u or less."""
        return np.maximum(self.counts.isf(np.clip(u / (1 - self.zeros), 0.0, 1.0)), 0.0)


class ZeroInflatedDistribution(CountsDistribution):
    """Counts of many sorts, each 0 with a probability of its own, event shape ``(F,)``.

    Args:
        counts: what they are otherwise.
        logits: log-odds of pi, ``(..., F)``.
    """

    def __init__(self, counts: CountsDistribution, logits: Tensor):
        self.logits = logits
        super().__init__(counts.log_share, counts.r, counts.depth, counts.typical, counts.log_depth)

    def _each(self, value: Tensor) -> Tensor:
        counted = F.logsigmoid(-self.logits) + super()._each(value)
        return torch.where(value > 0, counted, torch.logaddexp(F.logsigmoid(self.logits), counted))

    def some(self, at: Tensor) -> ZeroInflatedDistribution:
        """Give some of the sorts of rows whose depth is known."""
        return ZeroInflatedDistribution(super().some(at), self.logits[..., at])

    def columns(self) -> InflatedColumns:
        """Give the counts of rows whose depth is known, each by itself: batch shape ``(..., F)``."""
        counts = super().columns()
        return InflatedColumns(counts.total_count, counts.logits, self.logits.double())

    @property
    def mean(self) -> Tensor:
        """Depth times shares, less what was not looked at."""
        return super().mean * torch.sigmoid(-self.logits)

    def rows(self, at: Tensor) -> ZeroInflatedDistribution:
        """Give some of the rows, ``(m, F)``: `at` are booleans ``(*sample_shape, ...)``."""
        return ZeroInflatedDistribution(super().rows(at), self.logits.expand(*at.shape, -1)[at])

    def _log_chance(self) -> Tensor:
        return super()._log_chance() + F.logsigmoid(-self.logits)

    def _draw(self, shape: torch.Size) -> Tensor:
        drawn = super()._draw(shape)
        return drawn * torch.bernoulli(torch.sigmoid(-self.logits).expand(drawn.shape))


class ZeroInflatedCounts(Counts):
    """Zero-inflated negative binomials; see this module's docstring. Arguments are those of `Counts`."""

    name = "zinb"
    description = (
        "zero-inflated counts: negative binomials with more zeros, each mean a share of the depth of the row, which "
        "the bound is conditional on"
    )

    def __init__(self, features: int, kept: Tensor | None = None):
        super().__init__(features, kept)
        self.n_outputs = 2 * self.n_inputs

    def _given(self, params: Tensor, depth: Tensor | None) -> ZeroInflatedDistribution:
        shares, logits = params.chunk(2, -1)
        return ZeroInflatedDistribution(super()._given(shares, depth), logits + FIRST_LOGIT)
