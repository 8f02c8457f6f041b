"""Tables: a density for each column after its kind (Nazabal, Olmos, Ghahramani and Valera, 2020).

A missing cell is left out of the product, which marginalises it out: columns are independent given z and c, so that the
integral over a missing cell is one. Nothing is filled in.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Normal

from cpvae.data.columns import ON_A_LINE
from cpvae.data.rows import Rows
from cpvae.data.schema import Schema
from cpvae.errors import InputError
from cpvae.probability.bounded import held
from cpvae.probability.likelihoods import amounts
from cpvae.probability.likelihoods.gaussian import Gaussian
from cpvae.probability.likelihoods.likelihood import Cells, Form, Likelihood, Parts, log_noise
from cpvae.probability.likelihoods.mixed import CountColumns, LevelCodes, MixedDistribution

MANY_ROWS = 200_000  # of more, so many evenly spread ones give the units: they need not all be in memory


class Columns(Likelihood):
    """A density for each column of a table, independent given z and c; missing cells are marginalised out.

    - numeric and date: ``N(x; d(z, c), sigma_j^2)`` in standardised units, sigma of each column learned;
    - amount: the same on a scale that is logarithmic for large values (`cpvae.probability.likelihoods.amounts`); its
      mean is that of the scale, which is near the median of the amount;
    - categorical: ``softmax`` of one output for each level;
    - count: negative binomial with mean ``m_j exp(d(z, c))``, m_j the mean of the training rows, and variance
      ``mean + mean^2 / r_j``, the concentration r_j of each column learned. Its terms are as large as the count where
      their sum is a few nats, so they are computed in double precision.

    In the model's units a row is ``(F,)``: standardised numbers, codes of levels, counts; NaN where missing. The
    encoder sees standardised numbers and log(1 + count), 0 where missing; one-hot levels, all 0 where missing; and for
    each column with cells missing in the training rows, or hidden in training, a 1 where it is missing.

    Args:
        schema: of the table.
        noise: sigma of all numeric columns, in standard deviations; None learns one for each.
        hides: whether training hides cells of any column.

    `of` sets the units; until then they are 0 and 1.
    """

    name = "columns"
    description = (
        "each column after its kind (normal, categorical, negative binomial), missing cells marginalised out; "
        "densities in the units of the data"
    )
    by_schema = True
    far = Gaussian.far
    min_noise = Gaussian.min_noise
    most_log_mean = 30.0  # of a count, in units of m_j: beyond it sampling would leave the floating numbers
    log_concentration_range = (-7.0, 14.0)  # from nearly all zeros to a Poisson

    def __init__(self, schema: Schema, noise: float | None = None, hides: bool = False):
        super().__init__()
        kinds = np.array([column.kind for column in schema.columns])
        levels = np.array([len(column.levels) for column in schema.columns])
        self.column_names = schema.names
        self.sizes = [int(size) for size in np.unique(levels[levels > 0])]
        # Places of columns; they travel with the weights, for a module made on the meta device has no values.
        self._place("numeric", np.isin(kinds, ON_A_LINE))
        self._place("count", kinds == "count")
        missing = np.array([column.missing > 0 for column in schema.columns])
        self._place("gaps", missing | hides)
        for size in self.sizes:
            self._place(f"levels_{size}", levels == size)
        units = [column.unit for column in schema.columns if column.kind in ON_A_LINE]
        sizes = [unit for unit in units if unit is not None]
        self.register_buffer("unit", torch.tensor(sizes, dtype=torch.float64) if sizes else None)
        self.register_buffer("amount", None)
        if sizes:  # their places are among the numeric ones
            self._place("amount", np.array([unit is not None for unit in units]))
        n, m = len(self.numeric), len(self.count)
        self.mixed = n < len(kinds) or bool(missing.any())
        double = torch.float64
        self.register_buffer("loc", torch.zeros(n, dtype=double))
        self.register_buffer("scale", torch.ones(n, dtype=double))
        self.register_buffer("floor", torch.full((n,), self.min_noise, dtype=double))
        self.register_buffer("count_mean", torch.ones(m, dtype=double))
        self.register_buffer("log_count_loc", torch.zeros(m, dtype=double))
        self.register_buffer("log_count_scale", torch.ones(m, dtype=double))
        self.learned = noise is None
        # A parameter without elements gets no gradient, and so is none to be learned.
        self.log_noise = nn.Parameter(log_noise(noise, (n,)), requires_grad=noise is None and n > 0)
        self.log_concentration = nn.Parameter(torch.zeros(m, dtype=torch.float32), requires_grad=m > 0)
        self.n_outputs = n + m + int(levels.sum())
        self.n_values = self.n_outputs  # of the inputs; what follows says what is missing
        self.n_inputs = self.n_values + len(self.gaps)

    @classmethod
    def of(cls, rows: Rows, form: Form, valid: Rows | None = None) -> Self:
        """Make one with the units of each column from the cells observed; a sigma stays above what the column resolves.

        Rounded numbers repeat. A sigma far below the step between two of them would make the density as large as one
        likes, and say nothing. So it is held above the standard deviation of what rounding takes away, which is the
        step over the square root of 12 (Bennett, 1948). It is also held above a thousandth of the column's spread.

        A column that varies in the validation rows alone has the units of all rows.
        """
        assert form.schema is not None
        found = cls(form.schema, form.noise, form.hides)
        train = torch.cat([part.cpu().double() for part in rows.spread(MANY_ROWS).chunks()]).numpy()
        other = [part.cpu().double().numpy() for part in valid.chunks()] if valid is not None else []
        for kind, setter in (("numeric", found._set_number), ("count", found._set_count)):
            for i, place in enumerate(found.get_buffer(kind).tolist()):
                values = _observed(train[:, place])
                if len(np.unique(values)) < 2:
                    values = np.concatenate([values, *(_observed(part[:, place]) for part in other)])
                setter(i, values)
        return found.to(rows.device)

    def _set_number(self, i: int, values: np.ndarray) -> None:
        """Set the units of the i-th numeric column."""
        distinct = np.unique(values)
        if not len(distinct):
            return
        place = [] if self.amount is None else (self.amount == i).nonzero().flatten().tolist()
        slope = 1.0  # of the scale of an amount, at its median
        if place:
            unit = float(self.unit[place[0]])
            slope, values = 1 / math.hypot(unit, float(np.median(values))), np.arcsinh(values / unit)
        self.loc[i] = float(values.mean())
        if len(distinct) < 2:
            return
        scale = float(values.std()) or float(np.ptp(values))  # squares of the smallest numbers are zero
        self.scale[i] = scale
        if self.learned:
            step = float(np.diff(distinct).min() * slope / scale)
            self.floor[i] = max(self.min_noise, step / math.sqrt(12))

    def _set_count(self, i: int, values: np.ndarray) -> None:
        """Set the units of the i-th count, and a first concentration by moments: variance = mean + mean^2 / r."""
        if not len(values):
            return
        mean, variance, logs = float(values.mean()), float(values.var()), np.log1p(values)
        low, high = self.log_concentration_range
        self.log_count_loc[i] = float(logs.mean())
        if mean > 0:
            self.count_mean[i] = mean
            apart = max(variance - mean, mean**2 / math.exp(high))
            self.log_concentration.data[i] = float(np.clip(math.log(mean**2 / apart), low, high))
        if variance > 0:
            self.log_count_scale[i] = float(logs.std())

    @classmethod
    def like(cls, state: Mapping[str, Tensor], form: Form) -> Self:
        if form.schema is None:
            raise InputError("a model of columns of several kinds without their schema; fit again")
        return cls(form.schema, form.noise, hides=len(state["gaps"]) == len(form.schema.columns))

    amount: Tensor | None  # None without amounts
    unit: Tensor
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
        """Group the categorical columns by their number of levels: that number, and their places."""
        for size in self.sizes:
            yield size, self.get_buffer(f"levels_{size}")

    @property
    def noise(self) -> Tensor:
        """sigma of each numeric column, in units of `scale`."""
        least = self.floor.log().to(self.log_noise.dtype)
        return (held(self.log_noise, least) if self.learned else self.log_noise).exp()

    @property
    def concentration(self) -> Tensor:
        """r of each count: its variance is ``mean + mean^2 / r``."""
        return held(self.log_concentration, *self.log_concentration_range).exp()

    def to_model(self, x: Tensor) -> Tensor:
        wide = x.to(self.loc.dtype)
        numbers = wide[..., self.numeric]
        if self.amount is not None:
            numbers = numbers.index_copy(-1, self.amount, amounts.to_line(numbers[..., self.amount], self.unit))
        standard = (numbers - self.loc) / self.scale
        y = wide.index_copy(-1, self.numeric, standard).to(self.log_noise.dtype)
        return y.masked_fill(y.isnan(), math.nan)  # one NaN for all, for its bits are part of a row's key

    def to_data(self, y: Tensor) -> Tensor:
        wide = y.to(self.loc.dtype)
        numbers = self.loc + wide[..., self.numeric] * self.scale
        if self.amount is not None:
            numbers = numbers.index_copy(-1, self.amount, amounts.from_line(numbers[..., self.amount], self.unit))
        return wide.index_copy(-1, self.numeric, numbers)

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

    def cells(self, y: Tensor) -> Cells:
        n = len(self.numeric) + len(self.count)
        values = self.inputs(y)[:, : self.n_values]
        observed = ~y[:, torch.cat([self.numeric, self.count])].isnan()
        sizes = [size for size, place in self.levels() for _ in place]
        return Cells(values[:, :n], observed.to(values.dtype), values[:, n:], sizes)

    def check(self, rows: Rows, names: Sequence[str] | None = None) -> None:
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

    def with_gaps(self) -> Self:
        return self

    def parts(self, params: Tensor) -> Parts:
        return self(params).parts

    def forward(self, params: Tensor) -> MixedDistribution:
        n, m = len(self.numeric), len(self.count)
        loc, log_mean, *logits = params.split([n, m, *(size * len(place) for size, place in self.levels())], dim=-1)
        r = self.concentration.double()
        log_mean = self.count_mean.double().log() + held(log_mean.double(), -self.most_log_mean, self.most_log_mean)
        parts: list[tuple[Tensor, Distribution]] = [
            (self.numeric, Normal(loc, self.noise.expand_as(loc), validate_args=False)),
            (self.count, CountColumns(r, logits=log_mean - r.log(), validate_args=False)),
        ]
        for (size, place), part in zip(self.levels(), logits, strict=True):
            one_each = part.unflatten(-1, (len(place), size))
            parts.append((place, LevelCodes(logits=one_each, validate_args=False)))
        return MixedDistribution([part for part in parts if len(part[0])], params.shape[:-1], params)

    def log_prob(self, params: Tensor, y: Tensor) -> Tensor:
        log_prob: Tensor = self(params).log_prob(y.unsqueeze(-2))
        standard = y[..., self.numeric].to(self.loc.dtype)
        units = (~standard.isnan()).to(self.loc.dtype) @ -self.scale.log()
        if self.amount is not None:
            on_line = (self.loc + standard * self.scale)[..., self.amount]
            units = units + amounts.log_slope(on_line, self.unit).nan_to_num(0.0).sum(-1)
        return log_prob + units.unsqueeze(-1).to(log_prob.dtype)


def _observed(values: np.ndarray) -> np.ndarray:
    """Take the values that are not missing."""
    return values[~np.isnan(values)]
