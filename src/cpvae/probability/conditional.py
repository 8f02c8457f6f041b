"""p(c, z | what is known of a row): draws by importance resampling, none of which is thrown away.

Candidates (c, z) come from a mixture of encodings of the row and the prior,

    r(c, z) = (1 - a) 1/M sum_m q(c, z | x_m) + a p(c, z),      a = 1/4,

with importance weights ``w = p(c, z) p(known | z, c) / r(c, z)``. The share a of the prior is a defence (Hesterberg,
"Weighted average importance sampling and defensive mixture distributions", 1995): where an encoder is too narrow,
weights stay below ``p(known | z, c) / a``. Draws from the candidates in proportion to their weights are draws from the
posterior as their number grows, and the mean weight is an unbiased estimate of p(known).

The first x_m is the row with its other cells missing. An encoder that saw few such rows knows little of them, so a few
candidates fill those cells in M - 1 ways, and the next candidates come from the encodings of the filled rows too. What
is known is a value, or a range (`cpvae.probability.likelihoods.ranges`) that the row may be in.

A row of counts has a depth beside its code, which is not known either. Each candidate gets one, drawn given what is
known and weighted in the same way (`cpvae.probability.likelihoods.depth`).

Shapes: B rows, M encodings, S candidates, D latent dimensions, F columns. Units: those of the model; nats.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution

from cpvae.nn.draws import multinomial, normal_, sample
from cpvae.probability.distributions import DiagonalNormal, Latent
from cpvae.probability.expectations import Joint
from cpvae.probability.likelihoods import ranges
from cpvae.probability.likelihoods.likelihood import TRIES, Likelihood
from cpvae.probability.models import VAE
from cpvae.probability.two_level import Chain

DEFENCE = 4  # one in so many candidates comes from the prior
PILOTS = 2  # rounds before the last one, each of a quarter of its candidates
LEAST_FILLED, MOST_FILLED, CANDIDATES_A_FILL = 7, 31, 128  # rows that they fill, by the number of candidates
CANDIDATES = 1024
AT_ONCE = 2**18  # rows times encodings times candidates; bounds memory, not the result
VALUES_AT_ONCE = 2**26  # rows times candidates times columns, for the same reason


@dataclass(frozen=True)
class Known:
    """Knowledge of B rows.

    Attributes:
        y: values ``(B, F)``, NaN where not known.
        low, high: the ends of ranges, the same for all rows, ``(F,)``; NaN for a column without a range.
    """

    y: Tensor
    low: Tensor | None = None
    high: Tensor | None = None

    def split(self, n: int) -> Iterator[Known]:
        """Cut the rows into parts of n."""
        yield from (Known(y, self.low, self.high) for y in self.y.split(n))

    def ranged(self, place: Tensor) -> tuple[Tensor, Tensor, Tensor] | None:
        """Find the ranges among some columns: where they are in `place`, and their ends; None where there are none."""
        if self.low is None or self.high is None:
            return None
        at = (~self.low[place].isnan()).nonzero().flatten()
        return (at, self.low[place][at], self.high[place][at]) if len(at) else None


class Prior:
    """p(c, z) with weights of its components that may be others than the model's.

    Args:
        latent: that of the model.
        weights: of the components, ``(K,)``, adding up to one; None for those of the model.
    """

    def __init__(self, latent: Latent, weights: Tensor | None = None):
        self.latent = latent
        own = latent.logits if latent.mixture is None else latent.mixture.logits
        self.own = own.double().log_softmax(-1)
        self.logits = self.own if weights is None else weights.double().to(own.device).log()

    def draw(self, n: int, m: int) -> tuple[Tensor, Tensor]:
        """Draw categories ``(n, m)`` and codes ``(n, m, D)``."""
        k = multinomial(self.logits.expand(n, -1).exp(), m)
        z = self.latent.sample(k.flatten()).unflatten(0, (n, m))
        return (torch.zeros_like(k) if self.latent.is_marginal else k), z

    def log_prob(self, c: Tensor, z: Tensor) -> Tensor:
        """Compute log p(c, z), float64 ``(B, S)``."""
        given = self.latent.log_prob_given(z, c).double()
        if not self.latent.is_marginal:
            return self.logits[c] + given
        return given + (self._log_responsibilities(c, z) + (self.logits - self.own)).logsumexp(-1)

    def components(self, c: Tensor, z: Tensor) -> Tensor:
        """Draw the component that each code came from, ``(B, S)``: its category where categories are components."""
        if not self.latent.is_marginal:
            return c
        logits = self._log_responsibilities(c, z) + (self.logits - self.own)
        return multinomial(logits.log_softmax(-1).flatten(0, 1).exp(), 1).view(c.shape)

    def only(self, q: Joint) -> Tensor:
        """Give the logits of q(c | x), without the categories that have no weight, float64 ``(B, K)``."""
        logits = q.logits.double()
        if self.latent.is_marginal:
            return logits
        return logits.masked_fill(self.logits.isinf(), -torch.inf).log_softmax(-1)

    def _log_responsibilities(self, c: Tensor, z: Tensor) -> Tensor:
        """Compute log p(k | z) under the model's own weights, float64 ``(B, S, K)``."""
        return self.latent.responsibilities(z, c).double().clamp_min(torch.finfo(torch.float64).tiny).log()


@dataclass(frozen=True)
class Candidates:
    """Weighted candidates of B rows.

    Attributes:
        c: categories, ``(B, S)``.
        z: codes, ``(B, S, D)``.
        log_weights: float64 ``(B, S)``, nats.
        depth: of rows of counts, ``(B, S)``; None for others.
    """

    c: Tensor
    z: Tensor
    log_weights: Tensor
    depth: Tensor | None = None

    @property
    def shares(self) -> Tensor:
        """The weights, adding up to one in each row, ``(B, S)``."""
        return self.log_weights.softmax(-1)

    @property
    def effective(self) -> Tensor:
        """The effective sample size of each row, ``(B,)``: ``1 / sum of squared shares`` (Kong, 1992), from 1 to S."""
        return self.shares.square().sum(-1).reciprocal()

    @property
    def log_known(self) -> Tensor:
        """The estimate of log p(known) of each row, ``(B,)``, nats: a lower bound in expectation."""
        return self.log_weights.logsumexp(-1) - math.log(self.log_weights.shape[-1])

    def take(self, n: int) -> tuple[Tensor, Tensor, Tensor | None]:
        """Draw n of the candidates of each row by their weights, with replacement.

        Returns:
            c ``(B, n)``, z ``(B, n, D)``, and the depth ``(B, n)`` of rows of counts.
        """
        impossible = self.log_weights.isinf().all(-1, keepdim=True)
        at = multinomial(self.log_weights.masked_fill(impossible, 0.0).log_softmax(-1).exp(), n)
        z = self.z.gather(1, at.unsqueeze(-1).expand(-1, -1, self.z.shape[-1]))
        return self.c.gather(1, at), z, None if self.depth is None else self.depth.gather(1, at)


@torch.no_grad()
def candidates(model: VAE, known: Known, prior: Prior, n: int = CANDIDATES) -> Iterator[Candidates]:
    """Find n weighted candidates for each row, in batches that fit in memory; see this module's docstring.

    Args:
        model: whose likelihood is one `with_gaps`.
        known: about B rows.
        prior: with the weights that the components have.
        n: S, from which effective sample sizes follow.
    """
    fills = min(MOST_FILLED, max(LEAST_FILLED, n // CANDIDATES_A_FILL))
    decoded = VALUES_AT_ONCE // (n * known.y.shape[-1])
    for part in known.split(max(1, min(AT_ONCE // (n * (1 + fills)), decoded))):
        seen = part.y.unsqueeze(1)
        for _ in range(PILOTS):
            pilot = _round(model, part, prior, seen, -(-n // 4))
            seen = torch.cat([part.y.unsqueeze(1), complete(model, part, *pilot.take(fills))], 1)
        yield _round(model, part, prior, seen, n)


@torch.no_grad()
def complete(model: VAE, known: Known, c: Tensor, z: Tensor, depth: Tensor | None = None) -> Tensor:
    """Draw the cells that are not known at codes of each row.

    A row that is impossible, as one of counts without any, is drawn again, up to `TRIES` times; then it becomes a near
    one that is possible (`Likelihood.nearest`).

    Args:
        model, known: as for `candidates`.
        c, z, depth: categories ``(B, n)``, codes ``(B, n, D)``, and depths ``(B, n)`` of rows of counts.

    Returns:
        Rows ``(B, n, F)``.
    """
    params, likelihood = model.decoder(z, c), model.likelihood
    x = _filled(likelihood.of_depth(depth), params, known)
    missing = known.y.isnan()
    free = missing if known.low is None else missing & known.low.isnan()
    for _ in range(TRIES):
        at = (likelihood.impossible(x) & missing.any(-1, keepdim=True)).nonzero(as_tuple=True)
        if not len(at[0]):
            return x
        own, part = _of_rows(likelihood, depth, at), Known(known.y[at[0]], known.low, known.high)
        x[at] = _filled(own, params[at].unsqueeze(1), part)[:, 0]
    at = (likelihood.impossible(x) & free.any(-1, keepdim=True)).nonzero(as_tuple=True)
    x[at] = _of_rows(likelihood, depth, at).nearest(
        params[at].unsqueeze(1), x[at].unsqueeze(1), free[at[0]].unsqueeze(1)
    )[:, 0]
    return x


def _of_rows(likelihood: Likelihood, depth: Tensor | None, at: tuple[Tensor, ...]) -> Likelihood:
    """Give the likelihood of m of the rows ``(B, n)``, as rows ``(m, 1)``."""
    return likelihood.of_depth(None if depth is None else depth[at].unsqueeze(1))


def _filled(likelihood: Likelihood, params: Tensor, known: Known) -> Tensor:
    """Draw the cells that are not known, each by itself."""
    x = sample(likelihood(params), params.device)
    for place, column, low, high in _ranged(likelihood, params, known):
        x[..., place] = ranges.draw_within(column, low, high).to(x.dtype)
    return torch.where(known.y.isnan().unsqueeze(1), x, known.y.unsqueeze(1))


@torch.no_grad()
def expected(model: VAE, known: Known, found: Candidates) -> Tensor:
    """Compute the means of the cells that are not known, each by itself, and the likeliest levels: ``(B, F)``."""
    params = model.decoder(found.z, found.c)
    shares, x = found.shares, torch.empty_like(known.y)
    for place, column in model.likelihood.of_depth(found.depth).parts(params):
        if isinstance(column, Categorical):
            x[:, place] = torch.einsum("bs,bsml->bml", shares, column.probs.double()).argmax(-1).to(x.dtype)
        else:
            x[:, place] = torch.einsum("bs,bsm->bm", shares, column.mean.double()).to(x.dtype)
    return torch.where(known.y.isnan(), x, known.y)


def _round(model: VAE, known: Known, prior: Prior, seen: Tensor, n: int) -> Candidates:
    """Draw n candidates from the encodings of rows ``(B, M, F)`` and the prior, and weigh them."""
    rows, fills, _ = seen.shape
    q = model.encode(seen.flatten(0, 1))
    logits = prior.only(q)
    each = max(1, n // DEFENCE)
    most = -(-(n - each) // fills)  # of each encoding
    c = multinomial(logits.exp(), most)
    z = q.given(c).at(normal_(seen.new_empty(rows * fills, most, model.latent_dim)))
    # candidate j of encoding m at j M + m, so that all encodings have the same number, up to one
    c = c.view(rows, fills, most).transpose(1, 2).flatten(1, 2)[:, : n - each]
    z = z.view(rows, fills, most, -1).transpose(1, 2).flatten(1, 2)[:, : n - each]
    others = prior.draw(rows, each)
    c, z = torch.cat([c, others[0]], 1), torch.cat([z, others[1]], 1)
    log_q = _log_prob(q, logits, *(x.repeat_interleave(fills, 0) for x in (c, z))).view(rows, fills, -1)
    log_p, share = prior.log_prob(c, z), each / n
    log_r = torch.logaddexp(log_q.logsumexp(1) - math.log(fills) + math.log1p(-share), log_p + math.log(share))
    params = model.decoder(z, c)
    drawn = model.likelihood.draw_depth(params, known.y)
    depth, log_depth = (None, 0.0) if drawn is None else drawn
    log_weights = log_p + log_depth + _log_known(model.likelihood.of_depth(depth), params, known) - log_r
    return Candidates(c, z, log_weights.nan_to_num(-torch.inf, neginf=-torch.inf), depth)


def _log_prob(q: Joint, logits: Tensor, c: Tensor, z: Tensor) -> Tensor:
    """Compute log q(c, z | x) of many draws, float64 ``(B, S)``: each category's Gaussian is made once a row."""
    if logits.shape[-1] == 1:
        return q.given(torch.zeros_like(c[:, :1])).log_prob(z).double()
    every: DiagonalNormal | Chain = q.given(torch.arange(logits.shape[-1], device=c.device).unsqueeze(0))
    return logits.gather(1, c) + every.log_prob_among(c, z).double()


def _log_known(likelihood: Likelihood, params: Tensor, known: Known) -> Tensor:
    """Compute log p(known | z, c), float64 ``(B, S)``."""
    total = likelihood.log_prob(params, known.y).double()
    for _, column, low, high in _ranged(likelihood, params, known):
        total = total + ranges.log_mass(column, low, high).sum(-1)
    return total


def _ranged(
    likelihood: Likelihood, params: Tensor, known: Known
) -> Iterator[tuple[Tensor, Distribution, Tensor, Tensor]]:
    """Give the columns that are in ranges: their places, distributions and ends."""
    if known.low is None:
        return
    for place, columns in likelihood.parts(params):
        found = known.ranged(place)
        if found is not None:
            at, low, high = found
            yield place[at], ranges.some(columns, at), low, high
