"""Measurements: Gaussians with one standard deviation for all columns (section 3.1 of the paper), or by channel."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Normal

from cpvae.data.rows import Rows
from cpvae.errors import InputError
from cpvae.probability.bounded import held
from cpvae.probability.likelihoods.likelihood import Form, column_named, log_noise
from cpvae.probability.likelihoods.pointwise import Pointwise
from cpvae.probability.likelihoods.units import Units, constants, filled, units_of, varying

SIGNAL = 2  # dimensions of a row: channels and time
WIDEST = 1.0  # a row's sigma is at most e times that of its category, and at least as far below it


class Gaussian(Pointwise):
    """N(x; d(z, c), sigma^2), columns standardised one by one for the network; densities in the units of the data.

    - columns: one sigma for all, section 3.1 of the paper, in standard deviations of each;
    - pictures: the values of a channel share a scale and a sigma;
    - signals: the same, but a learned sigma is that of the signal, sigma(z, c), so that quiet signals and lively ones
      stand side by side (Kingma and Welling, 2014, appendix C.2). Each category has a multiple of its own.

    A column that is constant in all rows of the fit is no part of the model: it is left out of the density, neither
    network sees it, and new rows have its value.

    Missing values, NaN, such as those after the end of a signal, are left out of the density, which marginalises them.
    The encoder sees the mean of the row's other values of that channel in their place.

    Args:
        loc, scale: mean and standard deviation of the columns that vary, ``(F,)``.
        noise: sigma, in units of `scale`; None learns it.
        n_noises: how many sigmas there are, each of as many neighbouring columns.
        kept: the places of the columns that vary, ``(F,)``; None for all.
        rest: a row of the values of the columns that do not, ``(features,)``.
        gaps: whether values may be missing.
        own: whether sigma depends on z and c. Of the decoder's second half the mean over a channel counts.
    """

    name = "gaussian"
    description = "Gaussian: columns standardised inside, densities in the units of the data"
    far = 1e12  # standard deviations; squares of anything beyond leave float32
    min_noise = 1e-3  # a thousandth of a column's spread: below it a few rows could make the density unbounded

    def __init__(
        self,
        loc: Tensor,
        scale: Tensor,
        noise: float | None = None,
        n_noises: int = 1,
        kept: Tensor | None = None,
        rest: Tensor | None = None,
        gaps: bool = False,
        own: bool = False,
    ):
        super().__init__()
        self.n_inputs, self.n_outputs = len(loc), len(loc) * (2 if own else 1)
        self.register_buffer("loc", loc)
        self.register_buffer("scale", scale)
        self.register_buffer("kept", kept)
        self.register_buffer("rest", rest)
        self.register_buffer("gaps", torch.tensor(True) if gaps else None)
        self.register_buffer("own", torch.tensor(True) if own else None)
        self.loc: Tensor
        self.scale: Tensor
        self.kept: Tensor | None
        self.rest: Tensor | None
        self.gaps: Tensor | None
        self.own: Tensor | None
        self.learned = noise is None
        shape = () if n_noises == 1 else (n_noises,)
        self.log_noise = nn.Parameter(log_noise(noise, shape), requires_grad=noise is None)

    @classmethod
    def of(cls, rows: Rows, form: Form, valid: Rows | None = None) -> Self:
        """Make one with the mean and spread of each column, or of each channel.

        Warns of columns that are constant in all rows.

        Raises:
            InputError: no column varies.
        """
        units, n = cls._units(rows, form, valid), len(rows) + (0 if valid is None else len(valid))
        gaps = any(bool(x.isnan().any()) for part in (rows, valid) if part is not None for x in part.chunks())
        if form.channels is None:
            places = varying(units, form, n)
            loc, scale = (torch.from_numpy(value[places]) for value in units)
            if len(places) == form.features:
                return cls(loc, scale, form.noise, gaps=gaps).to(rows.device)
            kept, rest = torch.from_numpy(places), torch.from_numpy(units.loc)
            return cls(loc, scale, form.noise, kept=kept, rest=rest, gaps=gaps).to(rows.device)
        if not units.scale.any():
            raise InputError(f"all values of all {n} rows are constant; expected values that vary; give other rows")
        # A channel that does not vary is held by a network of channels; it has the spread of the others.
        spread = np.where(units.scale > 0, units.scale, units.scale.max())
        size = form.features // form.channels
        loc, scale = (torch.from_numpy(value.repeat(size)) for value in (units.loc, spread))
        own = form.noise is None and len(form.shape) == SIGNAL
        return cls(loc, scale, form.noise, form.channels, gaps=gaps, own=own).to(rows.device)

    @classmethod
    def _units(cls, rows: Rows, form: Form, valid: Rows | None) -> Units:
        return units_of(rows, form, valid)

    @classmethod
    def like(cls, state: Mapping[str, Tensor], form: Form) -> Self:
        n, n_noises = state["loc"].numel(), state["log_noise"].numel()
        if not n_noises or n % n_noises or n > form.features:
            raise InputError(f"a Gaussian of {n} columns and {n_noises} noises for rows of {form.features}; fit again")
        double = torch.float64
        return cls(
            torch.zeros(n, dtype=double),
            torch.ones(n, dtype=double),
            form.noise,
            n_noises,
            kept=torch.zeros(n, dtype=torch.int64) if "kept" in state else None,
            rest=torch.zeros(form.features, dtype=double) if "rest" in state else None,
            gaps="gaps" in state,
            own="own" in state,
        )

    @property
    def noise(self) -> Tensor:
        """sigma, in units of `scale`, ``()`` or ``(n_noises,)``; where it is a row's, what it is a multiple of."""
        return self._noise(self.log_noise)

    def _noise(self, log_noise: Tensor) -> Tensor:
        return (held(log_noise, math.log(self.min_noise)) if self.learned else log_noise).exp()

    def for_code(self) -> Self:
        """Give a copy with one sigma for all rows: what a sigma of its own explains of a row, its code need not."""
        found = super().for_code()
        found.own, found.n_outputs = None, found.n_inputs
        return found

    @property
    def n_of_category(self) -> int:
        return 0 if self.own is None else self.n_groups

    def spread(self, y: Tensor) -> tuple[Tensor, Tensor]:
        groups = y.unflatten(-1, (self.n_groups, -1))
        loc = groups.nanmean(-1)
        scale = (groups - loc.unsqueeze(-1)).square().nanmean(-1).sqrt()
        return loc.nan_to_num(0.0), scale.nan_to_num(1.0)  # a channel without a value: those of the whole channel

    def of_spread(self, spread: Tensor) -> Tensor:
        return spread.log() - self.log_noise

    def to_model(self, x: Tensor) -> Tensor:
        # Differences first, in the precision of the data: float32 cannot hold 1e9 and its neighbours apart.
        x = x if self.kept is None else x[..., self.kept]
        wide = x if x.dtype == torch.float64 else x.to(self.loc.dtype)
        y = ((wide - self.loc) / self.scale).to(self.log_noise.dtype)
        return self.marked(y)

    @property
    def n_groups(self) -> int:
        return self.log_noise.numel()

    def inputs(self, y: Tensor) -> Tensor:
        return self.completed(y)

    def to_data(self, y: Tensor) -> Tensor:
        return filled(self.loc + y * self.scale, self.kept, self.rest)

    def check(self, rows: Rows, names: Sequence[str] | None = None) -> None:
        position = 0
        for x in rows.chunks():
            distance = self.to_model(x).abs()
            missing = distance.isnan()
            bad = missing.all(1) if self.gaps is not None else missing.any(1)
            if bool(bad.any()):
                row = rows.numbers([position + int(bad.int().argmax())])[0]
                said = "a missing value, and the rows of the fit had none" if self.gaps is None else "no value at all"
                raise InputError(f"row {row} (counted from 0) has {said}; expected values; drop the row")
            distance = distance.masked_fill(missing, 0.0)
            if not float(distance.max()) < self.far:
                at, column = divmod(int(distance.argmax()), distance.shape[1])
                row = rows.numbers([position + at])[0]
                column = column if self.kept is None else int(self.kept[column])
                raise InputError(
                    f"value {float(x[at, column]):g} in column {column_named(column, names)}, row {row} (counted "
                    f"from 0): more than {self.far:g} standard deviations from the rows of the fit; expected values "
                    "like those; rescale it or drop the row"
                )
            position += len(x)

    def constants(self) -> dict[int, float]:
        return constants(self.kept, self.rest)

    def each(self, params: Tensor) -> Normal:
        n = self.n_inputs
        log_noise: Tensor = self.log_noise
        mean, of_row, of_category = params[..., :n], params[..., n : 2 * n], params[..., 2 * n :]
        if of_row.shape[-1]:  # beside the means there are sigmas of rows
            of_row = of_row.unflatten(-1, (self.n_groups, -1)).mean(-1)
            log_noise = log_noise + WIDEST * (of_row / WIDEST).tanh()
        if of_category.shape[-1]:  # of a model with categories
            log_noise = log_noise + of_category
        noise = self._noise(log_noise)
        if noise.ndim:
            noise = noise.repeat_interleave(n // self.n_groups, -1)
        return Normal(mean, noise.expand_as(mean), validate_args=False)

    def log_slopes(self) -> Tensor:
        return -self.scale.log()

    def log_abs_det(self) -> Tensor:
        """Compute the log-determinant of the change of units, of a row without missing values."""
        return self.log_slopes().sum().to(self.log_noise.dtype)
