"""Measurements: a Gaussian with one standard deviation for all columns (section 3.1 of the paper)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.distributions import Independent

from cpvae.data.rows import Rows
from cpvae.errors import InputError
from cpvae.probability.distributions import diagonal_normal
from cpvae.probability.likelihoods.likelihood import Likelihood, held


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
        log_noise = torch.tensor(1.0 if noise is None else float(noise), dtype=torch.float32).log()
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
