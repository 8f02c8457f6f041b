"""Pictures of grey levels: a density of the levels themselves (Salimans, Karpathy, Chen and Kingma, 2017).

A level is a value of a grid, as a byte is one of 0 to 255. It is taken for a logistic variable with the mean d(z, c),
rounded: the probability of level t is the mass of the logistic between t - 1/2 and t + 1/2. The lowest and the highest
level have all that lies beyond them, which is what black and white stand for. Probabilities of all levels sum to one.

The paper mixes several logistics for each pixel and its network sees the neighbours. Here the latent variables say
what pixels have in common; one logistic is enough, and its width is learned for each position.

The encoder sees the levels themselves. A draw of ink from them says less.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn import functional as F

from cpvae.data.rows import Rows
from cpvae.errors import InputError, warn
from cpvae.probability.bounded import held
from cpvae.probability.likelihoods.likelihood import Form, log_noise
from cpvae.probability.likelihoods.pointwise import Pointwise, there
from cpvae.probability.likelihoods.units import units_of

SEEN = 2**20  # values among which the grid is looked for; all values are then compared with it
MOST_LEVELS = 2**16  # of a grid
FEW = 64  # levels up to which the highest one there is is the end of the grid, as 16 is of a picture of counted dots
OFF = 0.02  # steps that a value may lie beside a level: float32 holds thousandths of 65,535 no better


class Grid(NamedTuple):
    """The levels ``low + step * t`` for t from 0 to `top`."""

    low: float
    step: float
    top: int

    @property
    def high(self) -> float:
        """The highest level.

        >>> Grid(0.0, 0.5, 2).high
        1.0
        """
        return self.low + self.step * self.top

    def off(self, x: Tensor) -> Tensor:
        """Find the values that are none of the levels, as `x`."""
        t = (x.double() - self.low) / self.step
        return ((t - t.round()).abs() > OFF) | (t < -OFF) | (t > self.top + OFF) | t.isnan()


def grid_of(parts: Sequence[Rows]) -> Grid | None:
    """Find the grid that all values lie on; None where they lie on none.

    Whole numbers have the step 1 and, if there are many, end at the next 2^b - 1: of a camera with 12 bits, 4,095.
    Numbers from 0 to 1 end there.

    >>> grid_of([Rows(np.array([[0.0, 0.25], [0.75, 0.5]]))])
    Grid(low=0.0, step=0.25, top=4)
    >>> grid_of([Rows(np.array([[0, 200], [17, 5]], np.uint8))])
    Grid(low=0.0, step=1.0, top=255)
    >>> grid_of([Rows(np.random.default_rng(0).random((100, 4)))]) is None
    True
    """
    lows, highs, some = [], [], []
    taken = sum(len(part) * part.x.shape[1] for part in parts)
    for part in parts:
        for x in part.chunks():
            lows.append(float(x.min()))
            highs.append(float(x.max()))
            some.append(x.flatten()[:: max(1, taken // SEEN)].double().unique())
    low, high = min(lows), max(highs)
    if not math.isfinite(high - low) or high == low:
        return None
    distinct = torch.cat(some).unique()
    for grid in _candidates(distinct, low, high):
        if grid.top < MOST_LEVELS and not any(bool(grid.off(x).any()) for part in parts for x in part.chunks()):
            return grid
    return None


def _candidates(distinct: Tensor, low: float, high: float) -> list[Grid]:
    """Find grids that values may lie on, ``(d,)`` in order."""
    if bool((distinct == distinct.round()).all()):
        low = min(low, 0.0)
        span = round(high - low)
        top = span if span < FEW else 2 ** math.ceil(math.log2(span + 1)) - 1
        return [Grid(low, 1.0, top)]
    steps = distinct.diff()
    if not len(steps):
        return []
    if low >= 0 and high <= 1:
        counts = dict.fromkeys([round(1 / float(steps.min())), 255, MOST_LEVELS - 1])
        return [Grid(0.0, 1 / n, n) for n in counts if n]
    step = (high - low) / max(1, round((high - low) / float(steps.min())))
    return [Grid(low, step, round((high - low) / step))]


class DiscretisedLogistic(Distribution):
    """Levels 0 to `top`, each position a rounded logistic by itself.

    Args:
        loc: mean of the logistic, ``(..., F)``, in levels.
        scale: its standard deviation, ``(F,)``.
        top: the highest level.

    >>> levels = torch.arange(5.0)
    >>> probs = DiscretisedLogistic(torch.tensor([1.7]), torch.tensor([2.0]), 4).log_prob(levels).exp()
    >>> round(float(probs.sum()), 6)
    1.0
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}

    def __init__(self, loc: Tensor, scale: Tensor, top: Tensor | int):
        self.loc, self.top = loc, torch.as_tensor(top, dtype=loc.dtype, device=loc.device)
        self.width = scale * (math.sqrt(3) / math.pi)  # of a logistic with that standard deviation
        super().__init__(loc.shape, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """Compute log-probabilities of levels ``(..., F)``, in the same shape.

        With s the logistic function, a and b where a level ends and begins:
        ``log(s(a) - s(b)) = log s(a) + log s(-b) + log(1 - exp(b - a))``, in which nothing cancels.
        """
        centre, half = (value - self.loc) / self.width, 0.5 / self.width
        least, most = value <= 0, value >= self.top
        below_end = F.logsigmoid(centre + half).masked_fill(most, 0.0)
        above_begin = F.logsigmoid(half - centre).masked_fill(least, 0.0)
        between = torch.log(-torch.expm1(-2 * half)).expand_as(centre).masked_fill(least | most, 0.0)
        return below_end + above_begin + between

    @property
    def mean(self) -> Tensor:
        """The mean of the logistic held between the lowest and the highest level, before it is rounded."""
        at_low, at_high = self.loc / self.width, (self.loc - self.top) / self.width
        return self.width * (F.softplus(at_low) - F.softplus(at_high))

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Draw levels, ``(*sample_shape, ..., F)``."""
        shape = self._extended_shape(torch.Size(sample_shape))
        u = torch.rand(shape, dtype=self.loc.dtype, device=self.loc.device).clamp(1e-6, 1 - 1e-6)
        return torch.minimum((self.loc + self.width * u.logit()).round().clamp_min(0), self.top)


class Levels(Pointwise):
    """Independent levels given z and c, one learned width for each position.

    In the model's units a row holds the numbers of its levels, 0 to `top`. The decoder gives the mean of each, and the
    encoder sees each, in standard deviations of the levels of its channel from their mean.

    Args:
        grid: the levels.
        loc, scale: mean and standard deviation of the level at each position, ``(features,)``, in levels.
        noise: standard deviation of the logistics, in units of `scale`; None learns one for each position.

    Attributes:
        least: of their standard deviations, in levels: so narrow a logistic is sure of one level, so that a narrower
            one gains nothing.
    """

    name = "levels"
    description = "levels: a discretised logistic for each position, probabilities of the levels themselves"
    discrete = True
    ranged = False
    least = 0.25

    def __init__(self, grid: Grid, loc: Tensor, scale: Tensor, noise: float | None = None):
        super().__init__()
        self.n_inputs = self.n_outputs = len(loc)
        double = torch.float64
        self.register_buffer("grid", torch.tensor(tuple(grid), dtype=double))
        self.register_buffer("loc", loc)
        self.register_buffer("scale", scale)
        self.register_buffer("gaps", None)
        self.grid: Tensor
        self.loc: Tensor
        self.scale: Tensor
        self.learned = noise is None
        self.log_noise = nn.Parameter(log_noise(noise, (len(loc),)), requires_grad=noise is None)

    @classmethod
    def of(cls, rows: Rows, form: Form, valid: Rows | None = None) -> Self:
        """Make one for the grid of all values, and the mean and spread of each channel.

        Raises:
            InputError: values that lie on no grid.
        """
        grid = grid_of([part for part in (rows, valid) if part is not None])
        if grid is None:
            raise InputError(
                "the values are no levels: they do not lie on a grid, such as whole numbers or multiples of 1/255; "
                "expected levels; round the values, or use likelihood 'gaussian'"
            )
        channels = form.channels or 1
        units = units_of(rows, Form((channels, form.features // channels)), valid)
        spread = np.where(units.scale > 0, units.scale, units.scale.max())
        each = form.features // channels
        loc, scale = (torch.from_numpy(v.repeat(each) / grid.step) for v in (units.loc - grid.low, spread))
        return cls(grid, loc, scale, form.noise).to(rows.device)

    @classmethod
    def like(cls, state: Mapping[str, Tensor], form: Form) -> Self:
        zeros = torch.zeros(form.features, dtype=torch.float64)
        return cls(Grid(0.0, 1.0, 1), zeros, zeros + 1, form.noise)

    @property
    def noise(self) -> Tensor:
        """Standard deviation of the logistic at each position, in units of `scale`."""
        least = (self.least / self.scale).log().to(self.log_noise.dtype)
        return (held(self.log_noise, least) if self.learned else self.log_noise).exp()

    def _grid(self) -> Grid:
        low, step, top = self.grid.tolist()
        return Grid(low, step, int(top))

    def to_model(self, x: Tensor) -> Tensor:
        # What interpolation made, as of a copy that is turned a little, is read as the nearest level.
        return self.marked(((x.to(self.grid.dtype) - self.grid[0]) / self.grid[1]).round().to(self.log_noise.dtype))

    def to_data(self, y: Tensor) -> Tensor:
        return self.grid[0] + self.grid[1] * y.to(self.grid.dtype)

    def inputs(self, y: Tensor) -> Tensor:
        return self.completed((y - self.loc.to(y.dtype)) / self.scale.to(y.dtype))

    def check(self, rows: Rows, names: Sequence[str] | None = None) -> None:
        """Refuse values beyond the levels; what lies between two of them is read as the nearer one, and said.

        Raises:
            InputError: values beyond the levels, or all between the lowest two, as of rows that are scaled otherwise.
        """
        grid, step = self._grid(), float(self.grid[1])
        low, high = math.inf, -math.inf
        between = False
        for x in map(there, rows.chunks()):
            if not x.numel():
                continue
            low, high = min(low, float(x.min())), max(high, float(x.max()))
            between = between or bool(grid.off(x).any())
        levels = f"the {grid.top + 1:,} levels from {grid.low:g} to {grid.high:g} of the rows of the fit"
        if low < grid.low - step / 2 or high > grid.high + step / 2 or (between and high <= grid.low + step):
            raise InputError(
                f"values from {low:g} to {high:g}; expected {levels}; scale the rows like those of the fit"
            )
        if between:
            warn(f"values between {levels}: each is read as the nearest level")

    @property
    def span(self) -> tuple[float, float]:
        grid = self._grid()
        return grid.low, grid.high

    @property
    def step(self) -> float:
        return self._grid().step

    def each(self, params: Tensor) -> DiscretisedLogistic:
        loc, scale, top = (value.to(params.dtype) for value in (self.loc, self.scale, self.grid[2]))
        return DiscretisedLogistic(loc + scale * params, scale * self.noise, top)
