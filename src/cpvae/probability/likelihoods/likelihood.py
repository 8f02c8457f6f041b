"""p(x | z, c): from the output of the decoder to a distribution of x, in the units of the data.

A likelihood also owns the units. It is made from the training rows once, keeps what it learned of their scale in its
state (so that it travels with the weights), and applies it to every row it ever sees:

- `Bernoulli`: values are grey levels between 0 and `full`, read as the probability of ink. Each time a training row is
  seen its pixels are drawn anew (Salakhutdinov and Murray, 2008); for everything else they are drawn once, as a
  function of the row (`cpvae.data.noise`), so that a bound is a bound for one fixed binary row.
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

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from cpvae.data.rows import Rows


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
