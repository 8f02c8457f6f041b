"""Counts with a depth: cells x genes, documents x words (scVI: Lopez, Regier, Cole, Jordan and Yosef, 2018).

A row is a sample of things, each of one of many sorts; how large the sample is, its depth, says nothing of what the row
is. So x is modelled given its depth l, the sum of the row:

    p(x | z, c, l) = prod_j NB(x_j; mean l s_j, concentration r_j),    s = softmax(a + d(z, c))

with a the log-shares of the sorts in the training rows, and ``NB(x; m, r)`` the negative binomial with variance
``m + m^2 / r``; r of each sort is learned. A bound is one of log p(x | l). New rows take their depth from a log-normal
with the moments of the training rows. As each count may be 0, a row may get none; such a row is no sample of anything,
and is drawn again. So new rows have the distribution given at least one count.

Where only some counts of a row are known (`with_gaps`), its depth is not. It is drawn beside the code, as that of a new
row given what is known (`cpvae.probability.likelihoods.depth`). Given z, c and the depth, the counts are independent. A
row that is filled and has none is filled again.

The encoder sees ``log(1 + x m / l)``, m the median depth, centred and in units of one scale for all columns: what is
rare in all rows stays small. In the place of a missing count it sees the mean of all rows. The depth follows from the
counts that are there.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Distribution, NegativeBinomial
from torch.nn import functional as F

from cpvae.data.faults import enumerated
from cpvae.data.rows import Rows
from cpvae.errors import InputError
from cpvae.nn.draws import multinomial
from cpvae.probability.bounded import held
from cpvae.probability.likelihoods.depth import propose
from cpvae.probability.likelihoods.likelihood import TRIES, Form, Likelihood, Parts
from cpvae.probability.likelihoods.mixed import CountColumns
from cpvae.probability.likelihoods.units import constants, filled, units_of, varying

MOST_LOG_DEPTH = 30.0  # of a new row: counts beyond it would leave the whole numbers that float64 holds


class CountsDistribution(Distribution):
    """Counts of many sorts in rows of a given or of a random depth, event shape ``(F,)``.

    Args:
        log_share: log of the shares of the sorts, ``(..., F)``.
        r: concentrations ``(F,)``.
        depth: of the rows, ``(...)``; None draws one for each row.
        typical: the depth that the mean is of where none is given.
        log_depth: mean and standard deviation of the log-depth, ``(2,)``.
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}

    def __init__(self, log_share: Tensor, r: Tensor, depth: Tensor | None, typical: Tensor, log_depth: Tensor):
        self.log_share, self.r, self.depth, self.typical, self.log_depth = log_share, r, depth, typical, log_depth
        super().__init__(log_share.shape[:-1], log_share.shape[-1:], validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """Compute the log-probability of counts ``(..., F)`` given their sum, or the depth of the distribution."""
        return self._each(value).sum(-1) + combinations(value, self.r)

    def log_prob_of_known(self, value: Tensor) -> Tensor:
        """Compute the log-probability of counts ``(..., F)``, but for those that are NaN, given the depth."""
        missing = value.isnan()
        value = value.masked_fill(missing, 0.0)  # a count of 0 adds no combinations
        return self._each(value).masked_fill(missing, 0.0).sum(-1) + combinations(value, self.r)

    def some(self, at: Tensor) -> CountsDistribution:
        """Give some of the sorts of rows whose depth is known."""
        return CountsDistribution(self.log_share[..., at], self.r[at], self.depth, self.typical, self.log_depth)

    def columns(self) -> CountColumns:
        """Give the counts of rows whose depth is known, each by itself: batch shape ``(..., F)``."""
        assert self.depth is not None, "counts are independent only given their depth"
        r = self.r.double()
        return CountColumns(r, logits=self._log_mean() - r.log(), validate_args=False)

    def _log_mean(self) -> Tensor:
        """Compute the log of the mean of counts that are looked at, float64 ``(..., F)``."""
        assert self.depth is not None
        return self.log_share.double() + self.depth.double().log().unsqueeze(-1)

    def _each(self, value: Tensor) -> Tensor:
        """Compute the log-probability of each count ``(..., F)``, but for what `combinations` adds.

        With ``u = log(m / r)`` the negative binomial is ``x log s(u) + r log s(-u)`` and a term without u, s the
        logistic function: no difference of large numbers.
        """
        depth = value.sum(-1) if self.depth is None else self.depth
        u = self.log_share + (depth.log().unsqueeze(-1) - self.r.log())
        return value * F.logsigmoid(u) + self.r * F.logsigmoid(-u)

    @property
    def mean(self) -> Tensor:
        """Depth times shares."""
        depth = self.typical if self.depth is None else self.depth.unsqueeze(-1)
        return depth * self.log_share.exp()

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Draw counts, ``(*sample_shape, ..., F)``.

        Without a depth, rows are those of the distribution given at least one count: one without is drawn again, with
        another depth, up to `TRIES` times, and then gets the one count of `least`. Counts of a given depth are
        independent, and may all be 0.
        """
        shape = torch.Size([*sample_shape, *self.batch_shape])
        drawn = self._draw(shape)
        if self.depth is not None:
            return drawn
        for _ in range(TRIES):
            empty = drawn.sum(-1) <= 0
            if not bool(empty.any()):
                return drawn
            others = self.rows(empty)
            drawn[empty] = others._draw(others.batch_shape)
        empty = drawn.sum(-1) <= 0
        drawn[empty] = self.rows(empty).least()
        return drawn

    def rows(self, at: Tensor) -> CountsDistribution:
        """Give some of the rows, ``(m, F)``: `at` are booleans ``(*sample_shape, ...)``."""
        depth = None if self.depth is None else self.depth.expand(at.shape)[at]
        log_share = self.log_share.expand(*at.shape, -1)[at]
        return CountsDistribution(log_share, self.r, depth, self.typical, self.log_depth)

    def least(self, free: Tensor | None = None) -> Tensor:
        """Draw rows ``(..., F)`` of one count, of a sort by its share: the limit for small depths.

        Args:
            free: the sorts that it may be of, booleans ``(..., F)``, one or more in each row; None for all.
        """
        logits = self._log_chance() if free is None else self._log_chance().masked_fill(~free, -torch.inf)
        at = multinomial(logits.softmax(-1).flatten(0, -2), 1).view(logits.shape[:-1])
        return F.one_hot(at, logits.shape[-1]).to(logits.dtype)

    def _log_chance(self) -> Tensor:
        """Compute the log of the chance that the only count is of each sort, up to a term for all: ``(..., F)``."""
        return self.log_share

    def _draw(self, shape: torch.Size) -> Tensor:
        """Draw counts that may all be 0, ``(*shape, F)``."""
        log_depth = self.log_depth[0] + self.log_depth[1] * torch.randn(shape, dtype=self.r.dtype, device=self.r.device)
        log_depth = log_depth.clamp_max(MOST_LOG_DEPTH) if self.depth is None else self.depth.log().expand(shape)
        u = self.log_share.double() + log_depth.double().unsqueeze(-1) - self.r.double().log()
        drawn: Tensor = NegativeBinomial(self.r.double(), logits=u, validate_args=False).sample()
        return drawn.to(self.log_share.dtype)


def combinations(x: Tensor, r: Tensor) -> Tensor:
    """Compute ``sum_j log (Gamma(x_j + r_j) / (Gamma(r_j) x_j!))``: counts ``(..., F)``, r ``(F,)`` -> ``(...)``.

    In double precision, for its terms are as large as the count where their sum is a few nats; a count of 0 adds
    nothing, so that on a CPU only the others are looked at.

    >>> combinations(torch.tensor([[0.0, 3.0]]), torch.tensor([2.0, 2.0])).exp()  # 4 over 3
    tensor([4.])
    """
    if x.device.type == "cpu":
        rows, place = x.flatten(0, -2).nonzero(as_tuple=True)
        count, wide = x.flatten(0, -2)[rows, place].double(), r.double()[place]
        terms = torch.lgamma(count + wide) - torch.lgamma(wide) - torch.lgamma(count + 1)
        total = terms.new_zeros(x.shape[:-1].numel()).index_add(0, rows, terms)
        return total.view(x.shape[:-1]).to(r.dtype)
    count, wide = x.double(), r.double()
    return (torch.lgamma(count + wide) - torch.lgamma(wide) - torch.lgamma(count + 1)).sum(-1).to(r.dtype)


class Counts(Likelihood):
    """Negative binomials whose means are the row's depth times shares that sum to one; see this module's docstring.

    A sort that no row has is no part of the model, nor is any other constant column.

    Args:
        features: columns of the rows.
        kept: the places of the columns that vary, ``(F,)``; None for all.

    `of` sets the units; until then they are 0 and 1.
    """

    name = "counts"
    description = (
        "counts: negative binomials, each mean a share of the depth of the row, which the bound is conditional on"
    )
    discrete = True
    has_noise = False
    by_neighbours = True
    column_kind = "count"
    in_part = False  # whether counts may be missing
    own_depth: Tensor | None = None  # of the rows; None for the sum of their counts
    log_concentration_range = (-7.0, 14.0)  # from nearly all zeros to a Poisson

    def __init__(self, features: int, kept: Tensor | None = None):
        super().__init__()
        n = features if kept is None else len(kept)
        self.n_inputs = self.n_outputs = n
        single = torch.float32
        self.register_buffer("kept", kept)
        self.register_buffer("rest", None if kept is None else torch.zeros(features, dtype=torch.float64))
        self.register_buffer("log_share", torch.zeros(n, dtype=single))
        self.register_buffer("loc", torch.zeros(n, dtype=single))
        self.register_buffer("scale", torch.ones((), dtype=single))
        self.register_buffer("depth", torch.ones((), dtype=single))
        self.register_buffer("log_depth", torch.zeros(2, dtype=single))
        self.log_concentration = nn.Parameter(torch.zeros(n, dtype=single))

    kept: Tensor | None
    rest: Tensor | None
    log_share: Tensor
    loc: Tensor
    scale: Tensor
    depth: Tensor
    log_depth: Tensor

    @classmethod
    def of(cls, rows: Rows, form: Form, valid: Rows | None = None) -> Self:
        """Make one with the shares, depths and spreads of the training rows.

        Warns of columns that are constant in all rows.

        Raises:
            InputError: values that are no counts; a row without any.
        """
        form = replace(form, shape=(form.features,))  # each value is a sort of its own, also of a picture
        parts = [part for part in (rows, valid) if part is not None]
        for part in parts:
            refuse_no_counts(part, form)
        units, n = units_of(rows, form, valid), len(rows) + (0 if valid is None else len(valid))
        kept = np.flatnonzero(units.scale > 0)
        refuse_no_depth(parts, kept)
        places = varying(units, form, n)
        found = cls(form.features, None if len(places) == form.features else torch.from_numpy(places))
        if found.rest is not None:
            found.rest.copy_(torch.from_numpy(units.loc))
        found.to(rows.device)
        share = units.loc[places] + 0.5 / len(rows)  # a sort that only a validation row has is rare, not impossible
        found.log_share.copy_(torch.from_numpy(np.log(share / share.sum())))
        depths = torch.cat([found.to_model(x).sum(-1) for x in rows.chunks()]).double()
        found.depth.copy_(depths.median())
        found.log_depth.copy_(torch.stack([depths.log().mean(), depths.log().std(correction=0)]))
        found._set_spread(rows)
        return found

    def _set_spread(self, rows: Rows) -> None:
        """Set the units of the inputs, and first concentrations by moments: ``E (x - m)^2 = m + m^2 / r``."""
        n = self.n_inputs
        first, second, excess, squares = (torch.zeros(n, dtype=torch.float64, device=rows.device) for _ in range(4))
        for x in rows.chunks():
            y = self.to_model(x)
            seen = self.inputs(y).double()
            first += seen.sum(0)
            second += seen.square().sum(0)
            mean = (y.sum(-1, keepdim=True) * self.log_share.exp()).double()
            excess += ((y - mean).square() - mean).sum(0)
            squares += mean.square().sum(0)
        loc = first / len(rows)
        self.loc.copy_(loc)
        self.scale.copy_((second / len(rows) - loc.square()).clamp_min(0).mean().sqrt())
        low, high = self.log_concentration_range
        ratio = squares / excess.clamp_min(1e-12)
        self.log_concentration.data.copy_(ratio.log().clamp(low, high))

    @classmethod
    def like(cls, state: Mapping[str, Tensor], form: Form) -> Self:
        n = state["log_share"].numel()
        if ("kept" not in state and n != form.features) or n > form.features:
            raise InputError(f"counts of {n} columns for rows of {form.features}; fit again")
        return cls(form.features, torch.zeros(n, dtype=torch.int64) if "kept" in state else None)

    @property
    def concentration(self) -> Tensor:
        """r of each sort."""
        return held(self.log_concentration, *self.log_concentration_range).exp()

    def to_model(self, x: Tensor) -> Tensor:
        return (x if self.kept is None else x[..., self.kept]).to(self.log_share.dtype)

    def to_data(self, y: Tensor) -> Tensor:
        return filled(y, self.kept, self.rest)

    def inputs(self, y: Tensor) -> Tensor:
        depth = (self._depth_of(y) if self.in_part else y.sum(-1, keepdim=True)).clamp_min(1)
        seen = ((y * (self.depth / depth)).log1p() - self.loc) / self.scale
        return seen.nan_to_num(0.0) if self.in_part else seen

    def _depth_of(self, y: Tensor) -> Tensor:
        """Guess the depth of rows from the counts that are there, ``(..., 1)``; that of whole rows is their sum.

        It is the mean given these counts, if the rows have the shares of all rows and the depths a gamma distribution
        with the spread of those of the fit.
        """
        missing = y.isnan()
        total = y.nansum(-1, keepdim=True)
        share = self.log_share.exp().expand_as(y).masked_fill(missing, 0.0).sum(-1, keepdim=True)
        shape = self.log_depth[1].clamp_min(0.01) ** -2
        guess = self.depth * (total + shape) / (self.depth * share + shape)
        return torch.where(missing.any(-1, keepdim=True), guess, total)

    def check(self, rows: Rows, names: Sequence[str] | None = None) -> None:
        refuse_no_counts(rows, Form((rows.x.shape[1],), names), self.in_part)
        if not self.in_part:
            refuse_no_depth([rows], slice(None) if self.kept is None else self.kept.numpy(force=True))

    def constants(self) -> dict[int, float]:
        return constants(self.kept, self.rest)

    def with_gaps(self) -> Self:
        found = copy.copy(self)
        found.in_part = True
        return found

    def draw_depth(self, params: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        at = (~y.isnan()).any(0).nonzero().flatten()
        one = self._given(params, torch.ones_like(params[..., 0])).some(at)
        t, log_weight = propose(one._log_mean(), one.r, y[:, at], *self.log_depth)
        return t.clamp_max(MOST_LOG_DEPTH).exp(), log_weight

    def of_depth(self, depth: Tensor | None) -> Self:
        found = copy.copy(self)
        found.own_depth = depth
        return found

    def parts(self, params: Tensor) -> Parts:
        return [(torch.arange(self.n_inputs, device=params.device), self(params).columns())]

    def impossible(self, y: Tensor) -> Tensor:
        return y.sum(-1) <= 0

    def nearest(self, params: Tensor, y: Tensor, free: Tensor) -> Tensor:
        return y + self(params).least(free)

    def log_prob(self, params: Tensor, y: Tensor) -> Tensor:
        if self.own_depth is None:
            return super().log_prob(params, y)
        at = (~y.isnan()).flatten(0, -2).any(0).nonzero().flatten()
        return self(params).some(at).log_prob_of_known(y[..., at].unsqueeze(-2))

    def forward(self, params: Tensor) -> CountsDistribution:
        return self._given(params, self.own_depth)

    def _given(self, params: Tensor, depth: Tensor | None) -> CountsDistribution:
        log_share = (self.log_share + params).log_softmax(-1)
        return CountsDistribution(log_share, self.concentration, depth, self.depth, self.log_depth)

    def expected(self, params: Tensor, y: Tensor) -> Tensor:
        return self._given(params, y.sum(-1)).mean


def refuse_no_counts(rows: Rows, form: Form, gaps: bool = False) -> None:
    """Refuse values that are negative or fractional, and those that are missing unless there may be `gaps`.

    Raises:
        InputError: naming the first.
    """
    position = 0
    for x in rows.chunks():
        wrong = ~(x >= 0)
        if x.is_floating_point():
            wrong |= x != x.round()
            wrong &= ~(x.isnan() & gaps)
        if bool(wrong.any()):
            place, column = divmod(int(wrong.flatten().int().argmax()), x.shape[1])
            (row,) = rows.numbers([position + place])
            raise InputError(
                f"{float(x[place, column]):g} in column {form.column(column)}, row {row} (counted from 0), is no "
                "count; expected whole numbers of at least 0; give raw counts, or use likelihood 'gaussian'"
            )
        position += len(x)


def refuse_no_depth(parts: Sequence[Rows], kept: np.ndarray | slice) -> None:
    """Refuse rows that have no count in the columns that are kept.

    Raises:
        InputError: naming them, of all parts.
    """
    empty: list[int] = []
    for rows in parts:
        places = torch.cat([x[:, kept].sum(-1) <= 0 for x in rows.chunks()]).nonzero().flatten().tolist()
        empty += rows.numbers(places)
    if empty:
        raise InputError(
            f"no counts in the columns of the model, a depth of zero, in row{'s' * (len(empty) > 1)} "
            f"{enumerated(list(map(str, sorted(empty))))} (counted from 0); expected one or more; drop such rows"
        )
