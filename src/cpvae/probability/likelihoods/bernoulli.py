"""Ink: independent binary pixels, given as such or drawn from grey levels (Salakhutdinov and Murray, 2008).

Values are grey levels between 0 and `full`, read as the probability of ink. Each time a training row is seen its pixels
are drawn anew; for everything else they are drawn once, as a function of the row (`cpvae.data.noise`), so that a bound
is a bound for one fixed binary row.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Self

import torch
from torch import Tensor
from torch.distributions import Bernoulli as TorchBernoulli

from cpvae.data.noise import row_keys, row_uniform_at
from cpvae.data.rows import Rows
from cpvae.errors import InputError
from cpvae.nn.draws import bits_, draw_rows
from cpvae.probability.likelihoods.likelihood import Form, column_named
from cpvae.probability.likelihoods.pointwise import Pointwise, there

PIXEL_STREAM = 1


def draw_bits(probs: Tensor) -> Tensor:
    """Draw zeros and ones, one with probability `probs` to 16 binary digits, in the dtype and shape of `probs`.

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


def full_of(parts: Sequence[Rows], form: Form) -> float:
    """Find the value that means ink with certainty: 1; 255 for whole numbers of pictures that are not all 0 or 1."""
    if form.channels is None or not any(bool((x > 1).any()) for part in parts for x in part.chunks()):
        return 1.0
    whole = all(bool((x == x.round()).all()) for part in parts for x in part.chunks() if x.is_floating_point())
    return 255.0 if whole else 1.0


class Pixels(TorchBernoulli):
    """Independent pixels, drawn as `torch.bernoulli` draws them, to the same bits on a CPU, in a third of its time."""

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Draw zeros and ones, ``(*sample_shape, ..., F)``."""
        probs = self.probs.expand(self._extended_shape(torch.Size(sample_shape)))
        return (torch.rand(probs.shape, dtype=probs.dtype, device=probs.device) < probs).to(probs.dtype)


class Bernoulli(Pointwise):
    """Independent binary pixels.

    Args:
        features: values in a row.
        full: the value that means ink with certainty, 255 for bytes and 1 otherwise.
        drawn: whether pixels are drawn from grey levels; False for values that are all 0 or `full`.
    """

    name = "bernoulli"
    description = "Bernoulli: a value is the probability of ink; the bound is for one draw of the pixels"
    discrete = True
    has_noise = False
    least_side = 16
    ranged = False
    limits = (0.0, 1.0)

    def __init__(self, features: int, full: float = 1.0, drawn: bool = True):
        super().__init__()
        self.n_inputs = self.n_outputs = features
        self.register_buffer("full", torch.tensor(float(full), dtype=torch.float32))
        self.register_buffer("drawn", torch.tensor(drawn))
        self.register_buffer("gaps", None)
        self.full: Tensor
        self.drawn: Tensor

    @classmethod
    def of(cls, rows: Rows, form: Form, valid: Rows | None = None) -> Self:
        """Make one for the values there are: black and white, or grey levels.

        Raises:
            InputError: values outside of [0, 1], or of 0..255 for the bytes of pictures.
        """
        parts = [part for part in (rows, valid) if part is not None]
        full = full_of(parts, form)
        drawn = any(bool(((x != 0) & (x != full)).any()) for part in parts for x in part.chunks())
        found = cls(form.features, full, drawn).to(rows.device)
        for part in parts:
            found.check(part)
        return found

    @classmethod
    def like(cls, state: Mapping[str, Tensor], form: Form) -> Self:
        return cls(form.features)

    def to_model(self, x: Tensor) -> Tensor:
        return self.marked(x.to(self.full.dtype) / self.full)

    def inputs(self, y: Tensor) -> Tensor:
        return self.completed(y)

    def to_data(self, y: Tensor) -> Tensor:
        return y * self.full

    def check(self, rows: Rows, names: Sequence[str] | None = None) -> None:
        full, drawn = float(self.full), bool(self.drawn)
        for x in rows.chunks():
            known = there(x)
            if not known.numel():
                continue
            low, high = float(known.min()), float(known.max())
            if low < 0 or high > full:
                at = int(torch.maximum(-x.double(), x.double() - full).nan_to_num(0.0).amax(0).argmax())
                raise InputError(
                    f"values from {low:g} to {high:g} (column {column_named(at, names)}) cannot be Bernoulli, which "
                    f"needs [0, {full:g}]; scale them, or use likelihood 'gaussian'"
                )
            if drawn:
                continue
            grey = (x != 0) & (x != full) & (x == x)  # a missing value is not
            if bool(grey.any()):
                row, column = divmod(int(grey.flatten().int().argmax()), x.shape[1])
                raise InputError(
                    f"value {float(x[row, column]):g} in column {column_named(column, names)}: the rows of the fit "
                    f"were all black or white; expected 0 or {full:g}; round the values, or fit with rows that have "
                    "grey levels"
                )

    @property
    def span(self) -> tuple[float, float]:
        return 0.0, float(self.full)

    @property
    def step(self) -> float:
        return float(self.full)

    def draw(self, y: Tensor) -> Tensor:
        return draw_bits(y)

    @property
    def varies(self) -> bool:
        return bool(self.drawn)

    def observations(self, y: Tensor, which: Sequence[int]) -> Iterator[Tensor]:
        if not self.drawn:
            yield from (y for _ in which)
            return
        keys, certain = row_keys(y), (y >= 1).to(y.dtype)
        if self.gaps is not None:
            certain = certain.masked_fill(y.isnan(), math.nan)
        grey = (y > 0) & (y < 1)  # others are drawn as they are, whatever their number
        rows, places = grey.nonzero(as_tuple=True)
        probs = y[rows, places]
        for i in which:
            ink = row_uniform_at(keys, rows, places, PIXEL_STREAM + 1000 * i) < probs
            yield certain.index_put((rows, places), ink.to(y.dtype))

    def for_code(self) -> Self:
        """Give a copy that sees grey levels as they are: they carry more than any one draw of their pixels."""
        other = copy.deepcopy(self)
        other.drawn.fill_(False)
        return other

    def each(self, params: Tensor) -> TorchBernoulli:
        return Pixels(logits=params, validate_args=False)
