"""Tables: a density for each column after its kind (Nazabal, Olmos, Ghahramani and Valera, 2020)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, NegativeBinomial, Normal
from torch.types import _size

from cpvae.data.columns import ON_A_LINE
from cpvae.data.rows import Rows
from cpvae.data.schema import Schema
from cpvae.errors import InputError
from cpvae.probability.likelihoods.gaussian import Gaussian
from cpvae.probability.likelihoods.likelihood import Likelihood, held


class ColumnsDistribution(Distribution):
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
        return self._join([part.mode if isinstance(part, Categorical) else part.mean for _, part in self.parts])

    def sample(self, sample_shape: _size = torch.Size()) -> Tensor:  # noqa: B008  # as torch has it
        """One draw, ``(..., F)``."""
        assert not len(sample_shape), "one draw at a time"
        return self._join([part.sample() for _, part in self.parts])

    def log_prob(self, value: Tensor) -> Tensor:
        """The sum over the columns that are observed."""
        total = self.like.new_zeros(())
        for place, part in self.parts:
            cells = value[..., place]
            missing = cells.isnan()
            if isinstance(part, NegativeBinomial):
                cells = cells.double()
            # 0 is legal in every column; a NaN would reach the gradient even where it is not chosen
            known: Tensor = part.log_prob(cells.masked_fill(missing, 0.0))
            total = total + known.masked_fill(missing, 0.0).sum(-1).to(self.like.dtype)
        return total


class Columns(Likelihood):
    """A density for each column of a table, independent given z and c; missing cells are marginalised out.

    - numeric: ``N(x; d(z, c), sigma_j^2)`` in standardised units, sigma of each column learned;
    - categorical: ``softmax`` of one output for each level;
    - count: negative binomial with mean ``m_j exp(d(z, c))``, m_j the mean of the training rows, and variance
      ``mean + mean^2 / r_j``, the concentration r_j of each column learned. Its terms are as large as the count where
      their sum is a few nats, so they are computed in double precision.

    In the model's units a row is ``(F,)``: standardised numbers, codes of levels, counts; NaN where missing. The
    encoder sees standardised numbers and log(1 + count), 0 where missing; one-hot levels, all 0 where missing; and for
    each column with cells missing in the training rows a 1 where it is missing.

    Args:
        schema: of the table.
        noise: sigma of all numeric columns, in standard deviations; None learns one for each.

    `build` sets the units; until then they are 0 and 1.
    """

    name = "columns"
    far = Gaussian.far
    min_noise = Gaussian.min_noise
    most_log_mean = 30.0  # of a count, in units of m_j: beyond it sampling would leave the floating numbers
    log_concentration_range = (-7.0, 14.0)  # from nearly all zeros to a Poisson

    def __init__(self, schema: Schema, noise: float | None = None):
        super().__init__()
        kinds = np.array([column.kind for column in schema.columns])
        levels = np.array([len(column.levels) for column in schema.columns])
        self.column_names = schema.names
        self.sizes = [int(size) for size in np.unique(levels[levels > 0])]
        # Places of columns; they travel with the weights, for a module made on the meta device has no values.
        self._place("numeric", np.isin(kinds, ON_A_LINE))
        self._place("count", kinds == "count")
        self._place("gaps", np.array([column.missing > 0 for column in schema.columns]))
        for size in self.sizes:
            self._place(f"levels_{size}", levels == size)
        n, m = len(self.numeric), len(self.count)
        double = torch.float64
        self.register_buffer("loc", torch.zeros(n, dtype=double))
        self.register_buffer("scale", torch.ones(n, dtype=double))
        self.register_buffer("floor", torch.full((n,), self.min_noise, dtype=double))
        self.register_buffer("count_mean", torch.ones(m, dtype=double))
        self.register_buffer("log_count_loc", torch.zeros(m, dtype=double))
        self.register_buffer("log_count_scale", torch.ones(m, dtype=double))
        start = torch.full((n,), 1.0 if noise is None else float(noise), dtype=torch.float32).log()
        self.log_noise = nn.Parameter(start, requires_grad=noise is None)
        self.log_concentration = nn.Parameter(torch.zeros(m, dtype=torch.float32))
        self.n_outputs = n + m + int(levels.sum())
        self.n_values = self.n_outputs  # of the inputs; what follows says what is missing
        self.n_inputs = self.n_values + len(self.gaps)

    numeric: Tensor
    count: Tensor
    gaps: Tensor
    loc: Tensor
    scale: Tensor
    floor: Tensor
    count_mean: Tensor
    log_count_loc: Tensor
    log_count_scale: Tensor

    def _place(self, name: str, chosen: np.ndarray) -> None:
        self.register_buffer(name, torch.tensor(np.flatnonzero(chosen).tolist(), dtype=torch.int64))

    def levels(self) -> Iterator[tuple[int, Tensor]]:
        """The categorical columns by their number of levels: that number, and their places."""
        for size in self.sizes:
            yield size, self.get_buffer(f"levels_{size}")

    @property
    def noise(self) -> Tensor:
        """sigma of each numeric column, in units of `scale`."""
        return held(self.log_noise, self.floor.log().to(self.log_noise.dtype), math.inf).exp()

    @property
    def concentration(self) -> Tensor:
        """r of each count: its variance is ``mean + mean^2 / r``."""
        return held(self.log_concentration, *self.log_concentration_range).exp()

    def to_model(self, x: Tensor) -> Tensor:
        wide = x.to(self.loc.dtype)
        standard = (wide[..., self.numeric] - self.loc) / self.scale
        y = wide.index_copy(-1, self.numeric, standard).to(self.log_noise.dtype)
        return y.masked_fill(y.isnan(), math.nan)  # one NaN for all, for its bits are part of a row's key

    def to_data(self, y: Tensor) -> Tensor:
        wide = y.to(self.loc.dtype)
        return wide.index_copy(-1, self.numeric, self.loc + wide[..., self.numeric] * self.scale)

    def inputs(self, y: Tensor) -> Tensor:
        missing = y.isnan()
        log_count = (y[..., self.count].log1p().to(self.loc.dtype) - self.log_count_loc) / self.log_count_scale
        parts = [y[..., self.numeric], log_count.to(y.dtype)]
        parts = [part.masked_fill(part.isnan(), 0.0) for part in parts]
        for size, place in self.levels():
            codes = y[..., place].masked_fill(missing[..., place], 0.0).long()
            one_hot = nn.functional.one_hot(codes, size).to(y.dtype)
            parts.append(one_hot.masked_fill(missing[..., place].unsqueeze(-1), 0.0).flatten(-2))
        return torch.cat([*parts, missing[..., self.gaps].to(y.dtype)], -1)

    def check(self, rows: Rows) -> None:
        for x in rows.chunks():
            distance = self.to_model(x)[:, self.numeric].nan_to_num(0.0).abs()
            if distance.numel() and not float(distance.max()) < self.far:
                row, column = divmod(int(distance.argmax()), distance.shape[1])
                place = int(self.numeric[column])
                raise InputError(
                    f"value {float(x[row, place]):g} in column {self.column_names[place]!r}: more than {self.far:g} "
                    "standard deviations from the rows of the fit; expected values like those; rescale it or drop the "
                    "row"
                )

    def forward(self, params: Tensor) -> ColumnsDistribution:
        n, m = len(self.numeric), len(self.count)
        loc, log_mean, *logits = params.split([n, m, *(size * len(place) for size, place in self.levels())], dim=-1)
        r = self.concentration.double()
        log_mean = self.count_mean.double().log() + log_mean.double().clamp(-self.most_log_mean, self.most_log_mean)
        parts: list[tuple[Tensor, Distribution]] = [
            (self.numeric, Normal(loc, self.noise.expand_as(loc), validate_args=False)),
            (self.count, NegativeBinomial(r, logits=log_mean - r.log(), validate_args=False)),
        ]
        for (size, place), part in zip(self.levels(), logits, strict=True):
            one_each = part.unflatten(-1, (len(place), size))
            parts.append((place, Categorical(logits=one_each, validate_args=False)))
        return ColumnsDistribution([part for part in parts if len(part[0])], params.shape[:-1], params)

    def log_abs_det(self) -> Tensor:
        """Of a row without missing cells."""
        return -self.scale.log().sum().to(self.log_noise.dtype)

    def log_prob(self, params: Tensor, y: Tensor) -> Tensor:
        log_prob: Tensor = self(params).log_prob(y.unsqueeze(-2))
        observed = (~y[..., self.numeric].isnan()).to(self.loc.dtype)
        return log_prob - (observed @ self.scale.log()).unsqueeze(-1).to(log_prob.dtype)
