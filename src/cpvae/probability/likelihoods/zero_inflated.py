"""Counts with a depth and more zeros than a negative binomial has.

A sort may be missing from a row for another reason than chance: with a probability ``pi_j``, which the decoder gives
for each row and sort, it was not looked at and counts 0 (Lambert, 1992; in scVI, Lopez et al., 2018):

    p(x | z, c, l) = prod_j [pi_j 1(x_j = 0) + (1 - pi_j) NB(x_j; mean l s_j, concentration r_j)]

All else is as in `cpvae.probability.likelihoods.counts`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from cpvae.probability.likelihoods.counts import Counts, CountsDistribution

FIRST_LOGIT = -3.0  # of pi before anything is learned: one zero in twenty


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

    @property
    def mean(self) -> Tensor:
        """Depth times shares, less what was not looked at."""
        return super().mean * torch.sigmoid(-self.logits)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Counts, ``(*sample_shape, ..., F)``."""
        drawn = super().sample(sample_shape)
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
