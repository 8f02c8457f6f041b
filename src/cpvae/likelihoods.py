"""p(x | z, c): from the output of the decoder to a distribution of x, in the units of the data.

A likelihood also owns the units. It is made from the training rows once, keeps what it learned of their scale in its
state (so that it travels with the weights), and applies it to every row it ever sees:

- `Bernoulli`: values are grey levels between 0 and `full`, read as the probability of ink. Each time a training row is
  seen its pixels are drawn anew (Salakhutdinov and Murray, 2008); for everything else they are drawn once, as a
  function of the row (`cpvae.rownoise`), so that a bound is a bound for one fixed binary row.
- `Gaussian`: columns are standardised for the network; densities are those of the data as given, the Jacobian
  included.

Shapes: rows as given ``(B, features)``; rows in the model's units ``(B, features)``; what the encoder sees of them
``(B, n_inputs)``; decoder output ``(B, M, n_outputs)``. Units of densities: nats.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torch.distributions import Bernoulli as TorchBernoulli
from torch.distributions import Distribution, Independent

from cpvae.distributions import diagonal_normal
from cpvae.errors import InputError, nearest
from cpvae.rownoise import row_keys, row_uniform
from cpvae.rows import Rows

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
        return torch.bernoulli(y) if self.drawn else y

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
        # The gradient passes the floor, or a single overshoot would leave sigma there for good.
        below = (self.log_noise.clamp_min(math.log(self.min_noise)) - self.log_noise).detach()
        return (self.log_noise + below).exp()

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


NAMES = ("bernoulli", "gaussian")


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
    name: str, rows: Rows, is_image: bool, noise: float | None = None, names: Sequence[str] | None = None
) -> Likelihood:
    """A likelihood with the units of the training rows.

    Args:
        name: one of `NAMES`.
        rows: training rows; read in chunks.
        is_image: whether all columns share one scale.
        noise: sigma of a Gaussian, in standard deviations of the columns; None learns it.
        names: of the columns, for messages.

    Raises:
        InputError: values the likelihood cannot have produced: outside [0, 1] (or of 0..255 bytes) for Bernoulli,
            constant columns for Gaussian.
    """
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


def empty(name: str, features: int, noise: float | None = None) -> Likelihood:
    """A likelihood whose units are still to be loaded."""
    if name == "bernoulli":
        return Bernoulli(features)
    if name == "gaussian":
        double = torch.float64
        return Gaussian(torch.zeros(features, dtype=double), torch.ones(features, dtype=double), noise)
    raise InputError(f"likelihood {name!r} is unknown{nearest(name, NAMES)}")
