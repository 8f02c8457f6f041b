"""p(x | z, c): from the output of the decoder to a distribution of x, in the units of the data.

A likelihood also owns the units. It is made from the training rows once, keeps what it learned of their scale in its
state (so that it travels with the weights), and applies it to every row it ever sees:

- `Bernoulli`: values are grey levels between 0 and `full`, read as the probability of ink. Each time a training row is
  seen its pixels are drawn anew (Salakhutdinov and Murray, 2008); for everything else they are drawn once, as a
  function of the row (`cpvae.rownoise`), so that a bound is a bound for one fixed binary row.
- `Gaussian`: columns are standardised for the network; densities are those of the data as given, the Jacobian
  included.
- `Columns`: a density for each column of a table after its kind (`cpvae.schema`): normal, categorical or negative
  binomial. What is missing is left out of the product, which is to marginalise it out: columns are independent given z
  and c, so that the integral over a missing cell is one. Nothing is filled in (Nazabal, Olmos, Ghahramani and Valera,
  "Handling incomplete heterogeneous data using VAEs", 2020).

Shapes: rows as given ``(B, features)``; rows in the model's units ``(B, features)``; what the encoder sees of them
``(B, n_inputs)``; decoder output ``(B, M, n_outputs)``. Units of densities: nats.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torch.distributions import Bernoulli as TorchBernoulli
from torch.distributions import Categorical, Distribution, Independent, NegativeBinomial, Normal
from torch.types import _size

from cpvae.distributed import draw_rows
from cpvae.distributions import diagonal_normal
from cpvae.errors import InputError, nearest
from cpvae.rownoise import row_keys, row_uniform
from cpvae.rows import Rows
from cpvae.schema import Schema

PIXEL_STREAM = 1


class Likelihood(nn.Module, ABC):
    """What is known of x given the output of the decoder.

    Attributes:
        name: as on the command line.
        n_inputs: how many numbers the encoder gets for one row.
        n_outputs: how many numbers the decoder must give for one row.
        limits: between which the inputs of the encoder lie; None for any number.
    """

    name: str
    n_inputs: int
    n_outputs: int
    limits: tuple[float, float] | None = None

    @abstractmethod
    def to_model(self, x: Tensor) -> Tensor:
        """Rows as given, any numeric dtype, to the units of the model, in the dtype of its weights."""

    @abstractmethod
    def to_data(self, y: Tensor) -> Tensor:
        """Rows in the units of the model to those of the data."""

    def inputs(self, y: Tensor) -> Tensor:
        """What the encoder sees of rows in the units of the model: ``(..., features)`` -> ``(..., n_inputs)``."""
        return y

    def check(self, rows: Rows) -> None:
        """Refuse rows that the likelihood cannot have produced.

        Raises:
            InputError: naming the values and what is expected.
        """

    def draw(self, y: Tensor) -> Tensor:
        """A fresh observation of a training row; the row itself unless it holds probabilities."""
        return y

    @property
    def varies(self) -> bool:
        """Whether observations of a row differ from draw to draw."""
        return False

    def draw_fixed(self, y: Tensor, i: int = 0) -> Tensor:
        """The i-th observation of a row, a function of the row; the first is the one that bounds are for."""
        return y

    def fixed(self, rows: Rows) -> Tensor:
        """All rows in the model's units, each with its one observation: ``(n, features)``."""
        return torch.cat([self.draw_fixed(self.to_model(x)) for x in rows.chunks()])

    @abstractmethod
    def forward(self, params: Tensor) -> Distribution:
        """Decoder output ``(..., n_outputs)`` to p(x | z, c) in the model's units, event shape ``(features,)``."""

    def log_abs_det(self) -> Tensor | float:
        """Log-determinant of `to_model`, nats: what a density gains on the way back to the data's units."""
        return 0.0

    def log_prob(self, params: Tensor, y: Tensor) -> Tensor:
        """log p(x | z, c) for the density of x in the data's units: ``(B, M, n_outputs)``, ``(B, F)`` -> ``(B, M)``."""
        log_prob: Tensor = self(params).log_prob(y.unsqueeze(-2))
        return log_prob + self.log_abs_det()


def held(value: Tensor, low: float | Tensor, high: float) -> Tensor:
    """`value` between bounds. The gradient passes them, or a single overshoot would leave it there for good."""
    return value + (value.clamp_min(low).clamp_max(high) - value).detach()


def draw_bits(probs: Tensor) -> Tensor:
    """Zeros and ones, one with probability `probs` to 16 binary digits, in the dtype and shape of `probs`.

    Where `probs` is 0 or 1 so is the result. Four numbers come from one draw of 64 bits: on a CPU that is faster
    than `torch.bernoulli`.

    >>> draw_bits(torch.tensor([0.0, 1.0, 0.0]))
    tensor([0., 1., 0.])
    """

    def quarters(shape: torch.Size) -> Tensor:
        n = shape.numel()
        words = torch.empty((n + 3) // 4, dtype=torch.int64, device=probs.device).random_(-(2**63), None)
        return words.view(torch.int16)[:n].view(shape)

    uniform = draw_rows(probs.shape, quarters)  # -32768 to 32767
    return (uniform < (probs - 0.5) * 65536).to(probs.dtype)


class Bernoulli(Likelihood):
    """Independent binary pixels.

    Args:
        features: values in a row.
        full: the value that means ink with certainty, 255 for bytes and 1 otherwise.
        drawn: whether pixels are drawn from grey levels; False for values that are all 0 or `full`.
    """

    name = "bernoulli"
    limits = (0.0, 1.0)

    def __init__(self, features: int, full: float = 1.0, drawn: bool = True):
        super().__init__()
        self.n_inputs = self.n_outputs = features
        self.register_buffer("full", torch.tensor(float(full)))
        self.register_buffer("drawn", torch.tensor(drawn))
        self.full: Tensor
        self.drawn: Tensor

    def to_model(self, x: Tensor) -> Tensor:
        return x.to(self.full.dtype) / self.full

    def to_data(self, y: Tensor) -> Tensor:
        return y * self.full

    def check(self, rows: Rows) -> None:
        full = float(self.full)
        for x in rows.chunks():
            low, high = float(x.min()), float(x.max())
            if low < 0 or high > full:
                at = int(torch.maximum(-x.double(), x.double() - full).amax(0).argmax())
                raise InputError(
                    f"values from {low:g} to {high:g} (column {at}) cannot be Bernoulli, which needs [0, {full:g}]; "
                    "scale them, or use likelihood 'gaussian'"
                )

    def draw(self, y: Tensor) -> Tensor:
        return draw_bits(y)

    @property
    def varies(self) -> bool:
        return bool(self.drawn)

    def draw_fixed(self, y: Tensor, i: int = 0) -> Tensor:
        if not self.drawn:
            return y
        return (row_uniform(row_keys(y), y.shape[-1:], PIXEL_STREAM + 1000 * i) < y).to(y.dtype)

    def forward(self, params: Tensor) -> Independent:
        return Independent(TorchBernoulli(logits=params, validate_args=False), 1, validate_args=False)


class Gaussian(Likelihood):
    """N(x; d(z, c), sigma^2 I) with one sigma, section 3.1 of the paper.

    Args:
        loc, scale: mean and standard deviation of the columns of the training rows, ``(features,)``.
        noise: sigma, in units of `scale`; None learns it.
    """

    name = "gaussian"
    far = 1e12  # standard deviations; squares of anything beyond leave float32
    min_noise = 1e-3  # a thousandth of a column's spread: below it a few rows could make the density unbounded

    def __init__(self, loc: Tensor, scale: Tensor, noise: float | None = None):
        super().__init__()
        self.n_inputs = self.n_outputs = len(loc)
        self.register_buffer("loc", loc)
        self.register_buffer("scale", scale)
        self.loc: Tensor
        self.scale: Tensor
        log_noise = torch.zeros(()) if noise is None else torch.tensor(float(noise)).log()
        self.log_noise = nn.Parameter(log_noise, requires_grad=noise is None)

    @property
    def noise(self) -> Tensor:
        """sigma, in units of `scale`."""
        return held(self.log_noise, math.log(self.min_noise), math.inf).exp()

    def to_model(self, x: Tensor) -> Tensor:
        # Differences first, in the precision of the data: float32 cannot hold 1e9 and its neighbours apart.
        wide = x if x.dtype == torch.float64 else x.to(self.loc.dtype)
        return ((wide - self.loc) / self.scale).to(self.log_noise.dtype)

    def to_data(self, y: Tensor) -> Tensor:
        return self.loc + y * self.scale

    def check(self, rows: Rows) -> None:
        for x in rows.chunks():
            distance = self.to_model(x).abs()
            if not float(distance.max()) < self.far:
                row, column = divmod(int(distance.argmax()), distance.shape[1])
                raise InputError(
                    f"value {float(x[row, column]):g} in column {column}: more than {self.far:g} standard deviations "
                    "from the rows of the fit; expected values like those; rescale it or drop the row"
                )

    def forward(self, params: Tensor) -> Independent:
        return diagonal_normal(params, self.noise.expand_as(params))

    def log_abs_det(self) -> Tensor:
        return -self.scale.log().sum().to(self.log_noise.dtype)


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
        self._place("numeric", kinds == "numeric")
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
        start = torch.zeros(n) if noise is None else torch.full((n,), float(noise)).log()
        self.log_noise = nn.Parameter(start, requires_grad=noise is None)
        self.log_concentration = nn.Parameter(torch.zeros(m))
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


NAMES = ("bernoulli", "gaussian", "columns")


def choose(x: np.ndarray, is_image: bool) -> str:
    """The likelihood that suits training rows: "bernoulli" for ink, "gaussian" for measurements.

    Ink are booleans, bytes of images, and values in [0, 1] of images or of which at least a tenth are exactly 0 or 1.
    """
    if x.dtype == np.bool_ or (is_image and x.dtype == np.uint8):
        return "bernoulli"
    some = np.asarray(x[:: max(1, len(x) // 1000)])
    if some.min() < 0 or some.max() > 1:
        return "gaussian"
    extreme = float(np.mean((some == 0) | (some == 1)))
    return "bernoulli" if is_image or extreme >= 0.1 else "gaussian"


def build(
    name: str,
    rows: Rows,
    is_image: bool,
    noise: float | None = None,
    names: Sequence[str] | None = None,
    schema: Schema | None = None,
) -> Likelihood:
    """A likelihood with the units of the training rows.

    Args:
        name: one of `NAMES`.
        rows: training rows; read in chunks.
        is_image: whether all columns share one scale.
        noise: sigma of a Gaussian, in standard deviations of the columns; None learns it.
        names: of the columns, for messages.
        schema: of a table, for "columns".

    Raises:
        InputError: values the likelihood cannot have produced: outside [0, 1] (or of 0..255 bytes) for Bernoulli,
            constant columns for Gaussian and for numbers and counts of a table.
    """
    if name == "columns":
        assert schema is not None
        return _build_columns(rows, schema, noise)
    features = rows.x.shape[1]
    if name == "bernoulli":
        full = 255.0 if is_image and rows.x.dtype == torch.uint8 else 1.0
        grey = any(bool(((x != 0) & (x != full)).any()) for x in rows.chunks())
        bernoulli = Bernoulli(features, full, drawn=grey)
        bernoulli.check(rows)
        return bernoulli
    scaler = StandardScaler()
    for x in rows.chunks():
        scaler.partial_fit(x.cpu().double().reshape(-1, 1 if is_image else features).numpy())
    constant = np.flatnonzero((scaler.scale_ == 1.0) & (scaler.var_ != 1.0))  # as scikit-learn tells them
    if len(constant):
        listed = ", ".join(repr(str(names[i])) if names is not None else str(i) for i in constant[:5])
        raise InputError(
            f"{len(constant)} constant column{'s' * (len(constant) > 1)} ({listed}{', ...' * (len(constant) > 5)}): a "
            "Gaussian needs values that vary; drop them, or scale to [0, 1] and use likelihood 'bernoulli'"
        )
    loc, scale = (torch.from_numpy(np.resize(v, features)) for v in (scaler.mean_, scaler.scale_))
    return Gaussian(loc, scale, noise)


def _build_columns(rows: Rows, schema: Schema, noise: float | None) -> Columns:
    """The units of each column from the cells observed; a sigma cannot fall below what the column resolves.

    Rounded numbers repeat. A sigma far below the step between two of them would make the density as large as one likes
    without saying anything, so that it is held above the standard deviation of what rounding takes away, the step over
    the square root of 12 (Bennett, 1948), and above a thousandth of the column's spread.
    """
    likelihood = Columns(schema, noise)
    x = torch.cat([part.cpu().double() for part in rows.chunks()]).numpy()
    for kind in ("numeric", "count"):
        for i, place in enumerate(likelihood.get_buffer(kind).tolist()):
            values = x[:, place][~np.isnan(x[:, place])]
            distinct = np.unique(values)
            if len(distinct) < 2:
                raise InputError(
                    f"constant column {schema.names[place]!r}: {len(values)} of the {len(x)} training rows have a "
                    "value there, all the same; expected values that vary; drop it, or make it 'ignore' in the schema"
                )
            if kind == "numeric":
                likelihood.loc[i], likelihood.scale[i] = float(values.mean()), float(values.std())
                if noise is None:
                    step = float(np.diff(distinct).min() / values.std())
                    likelihood.floor[i] = max(likelihood.min_noise, step / math.sqrt(12))
                continue
            mean, variance = float(values.mean()), float(values.var())
            logs = np.log1p(values)
            likelihood.count_mean[i] = mean
            likelihood.log_count_loc[i], likelihood.log_count_scale[i] = float(logs.mean()), float(logs.std())
            low, high = likelihood.log_concentration_range
            apart = max(variance - mean, mean**2 / math.exp(high))  # by moments: variance = mean + mean^2 / r
            likelihood.log_concentration.data[i] = float(np.clip(math.log(mean**2 / apart), low, high))
    return likelihood.to(rows.device)


def empty(name: str, features: int, noise: float | None = None, schema: Schema | None = None) -> Likelihood:
    """A likelihood whose units are still to be loaded."""
    if name == "columns" and schema is not None:
        return Columns(schema, noise)
    if name == "bernoulli":
        return Bernoulli(features)
    if name == "gaussian":
        double = torch.float64
        return Gaussian(torch.zeros(features, dtype=double), torch.ones(features, dtype=double), noise)
    raise InputError(f"likelihood {name!r} is unknown{nearest(name, NAMES)}")
