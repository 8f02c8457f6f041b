"""Ink: independent binary pixels, drawn from grey levels (Salakhutdinov and Murray, 2008)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Bernoulli as TorchBernoulli
from torch.distributions import Independent

from cpvae.data.noise import row_keys, row_uniform
from cpvae.data.rows import Rows
from cpvae.errors import InputError
from cpvae.nn.draws import bits_, draw_rows
from cpvae.probability.likelihoods.likelihood import Likelihood

PIXEL_STREAM = 1


def draw_bits(probs: Tensor) -> Tensor:
    """Zeros and ones, one with probability `probs` to 16 binary digits, in the dtype and shape of `probs`.

    Where `probs` is 0 or 1 so is the result. Four numbers come from one draw of 64 bits: on a CPU that is faster
    than `torch.bernoulli`.

    >>> draw_bits(torch.tensor([0.0, 1.0, 0.0]))
    tensor([0., 1., 0.])
    """

    def quarters(shape: torch.Size) -> Tensor:
        n = shape.numel()
        words = bits_(torch.empty((n + 3) // 4, dtype=torch.int64, device=probs.device))
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
        self.register_buffer("full", torch.tensor(float(full), dtype=torch.float32))
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
