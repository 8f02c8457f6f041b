"""Columns held in a range: the probability of the range given z and c, and draws from the column truncated to it.

A range is the event ``low <= x <= high`` in the model's units; an open end is an infinity. Draws invert the
distribution function, so that none is thrown away. Both tails keep their digits: what lies above the middle is computed
from above.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy import stats
from torch import Tensor
from torch.distributions import Distribution, Normal

from cpvae.nn.draws import uniform_
from cpvae.probability.likelihoods.mixed import CountColumns


def log_mass(column: Distribution, low: Tensor, high: Tensor) -> Tensor:
    """Compute log P(low <= x <= high) of columns ``(..., m)``, normal ones or counts, with ends ``(m,)``.

    Returns:
        float64 ``(..., m)``, nats.

    >>> column, end = Normal(torch.zeros(1), torch.ones(1)), torch.full((1,), 40.0)
    >>> log_mass(column, torch.zeros(1), end).exp(), log_mass(column, end, 2 * end)
    (tensor([0.5000], dtype=torch.float64), tensor([-804.6084], dtype=torch.float64))
    """
    if isinstance(column, CountColumns):
        counts, (first, last) = column.tails(), _ends(low, high)
        upper = counts.cdf(first - 1) > 0.5
        mass = np.where(upper, counts.sf(first - 1) - counts.sf(last), counts.cdf(last) - counts.cdf(first - 1))
        return torch.from_numpy(mass).to(low.device).log()
    loc, scale = column.mean.double(), column.stddev.double()
    a, b = (low.double() - loc) / scale, (high.double() - loc) / scale
    upper = a > 0  # of the same probability as its mirror image in the lower tail
    a, b = torch.where(upper, -b, a), torch.where(upper, -a, b)
    log_a, log_b = torch.special.log_ndtr(a), torch.special.log_ndtr(b)
    return log_b + torch.log(-torch.expm1(log_a - log_b))


def draw_within(column: Distribution, low: Tensor, high: Tensor) -> Tensor:
    """Draw columns ``(..., m)``, normal ones or counts, truncated to their ranges, ends ``(m,)``: float64 ``(..., m)``.

    >>> drawn = draw_within(Normal(torch.zeros(1000, 1), 1.0), torch.tensor([40.0]), torch.tensor([torch.inf]))
    >>> bool((drawn >= 40).all()), round(float(drawn.mean()), 1)
    (True, 40.0)
    """
    u = uniform_(torch.empty(column.batch_shape, dtype=torch.float64, device=low.device)).numpy(force=True)
    first, last = _ends(low, high)
    if isinstance(column, CountColumns):
        counts = column.tails()
        upper = counts.cdf(first - 1) > 0.5
        from_below = counts.ppf(counts.cdf(first - 1) + u * (counts.cdf(last) - counts.cdf(first - 1)))
        from_above = counts.isf(counts.sf(first - 1) - u * (counts.sf(first - 1) - counts.sf(last)))
        found = np.where(upper, from_above, from_below)
    else:
        loc, scale = column.mean.double().numpy(force=True), column.stddev.double().numpy(force=True)
        found = loc + scale * stats.truncnorm.ppf(u, (first - loc) / scale, (last - loc) / scale)
    end = np.where(np.isfinite(first), first, last)  # where the range has no probability that a double can hold
    return torch.from_numpy(np.clip(np.where(np.isfinite(found), found, end), first, last)).to(low.device)


def some(column: Distribution, at: Tensor) -> Distribution:
    """Give some of the columns of a distribution ``(..., m)``, normal ones or counts: ``(..., len(at))``."""
    if isinstance(column, CountColumns):
        return column.some(at)
    return Normal(column.mean[..., at], column.stddev[..., at], validate_args=False)


def _ends(low: Tensor, high: Tensor) -> tuple[np.ndarray, np.ndarray]:
    return low.double().numpy(force=True), high.double().numpy(force=True)
