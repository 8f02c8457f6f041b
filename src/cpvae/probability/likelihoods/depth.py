"""The depth of rows of counts of which only some are known.

The depth of a new row comes from a log-normal. What is known of a row says more of it: few counts in the sorts that are
known make a small depth likely. With t the log-depth, m_j the mean of a sort and r_j its concentration,

    d/dt log p(x_j | z, c, t) = r_j (x_j - m_j) / (r_j + m_j),

and the second derivative is negative. So p(t | known, z, c) has one mode, and a few steps of Newton's method find it.
Proposals for t come from a normal distribution there, as wide as the curvature says. A share of them comes from the
log-normal itself: a defence where more is known than values, as ranges or zeros of another kind.

Shapes: B rows, S codes, m columns of which something is known.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from cpvae.nn.draws import normal_, uniform_

STEPS = 8  # of Newton's method, each at most one unit of log-depth long
DEFENCE = 0.25  # share of the proposals that come from the log-normal
WIDER = 1.2  # than the curvature says
LEAST_SPREAD = 1e-3  # of log-depths, where those of the fit do not differ


def propose(log_mean: Tensor, r: Tensor, x: Tensor, loc: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """Draw the log-depth of rows at each of their codes.

    Args:
        log_mean: of the counts in a row of depth 1, float64 ``(B, S, m)``.
        r: concentrations ``(m,)``.
        x: counts ``(B, m)``, NaN where not known.
        loc, scale: of the log-depth of new rows.

    Returns:
        Log-depths, and the log of their density in new rows over that of the proposal, float64 ``(B, S)``.

    >>> nothing = torch.full((1, 2), torch.nan)
    >>> shares = torch.full((1, 5, 2), 0.5).double().log()
    >>> drawn, log_ratio = propose(shares, torch.ones(2), nothing, torch.tensor(3.0), torch.tensor(0.5))
    >>> drawn.shape, bool((log_ratio <= -math.log(DEFENCE)).all())
    (torch.Size([1, 5]), True)
    """
    loc, scale, r = loc.double(), scale.double().clamp_min(LEAST_SPREAD), r.double()
    there = (~x.isnan()).unsqueeze(1)
    x = x.double().nan_to_num(0.0).unsqueeze(1)
    t = loc.expand(log_mean.shape[:-1])
    for _ in range(STEPS):
        slope, curvature = _derivatives(log_mean + t.unsqueeze(-1), r, x, there)
        precision = curvature + scale**-2
        t = t + ((slope - (t - loc) * scale**-2) / precision).clamp(-1, 1)
    _, curvature = _derivatives(log_mean + t.unsqueeze(-1), r, x, there)
    width = WIDER * (curvature + scale**-2).rsqrt()
    prior = uniform_(torch.empty_like(t)) < DEFENCE
    noise = normal_(torch.empty_like(t))
    drawn = torch.where(prior, loc + scale * noise, t + width * noise)
    log_prior = _log_normal(drawn, loc, scale)
    log_own = _log_normal(drawn, t, width)
    log_q = torch.logaddexp(log_prior + math.log(DEFENCE), log_own + math.log1p(-DEFENCE))
    return drawn, log_prior - log_q


def _derivatives(log_mean: Tensor, r: Tensor, x: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the slope in t of the log-density of known counts, and the negative of its slope: ``(B, S)`` each."""
    share = torch.sigmoid(log_mean - r.log())  # m / (m + r)
    slope = (x * (1 - share) - r * share).masked_fill(~there, 0.0).sum(-1)
    return slope, ((x + r) * share * (1 - share)).masked_fill(~there, 0.0).sum(-1)


def _log_normal(t: Tensor, loc: Tensor, scale: Tensor) -> Tensor:
    """Compute the log-density of a normal distribution."""
    return -0.5 * ((t - loc) / scale).square() - scale.log() - 0.5 * math.log(2 * math.pi)
