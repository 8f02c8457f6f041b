"""Layers: shapes only, no probability.

The paper (section 5) uses feed-forward networks with two hidden layers of 300 units, Glorot initialisation (Glorot and
Bengio, 2010) and, as the element-wise non-linearity, the gate of Dauphin et al. (2017):
``(W x + b) * sigmoid(V x + d)``.

A category `c` reaches a layer in one of two forms, and every function here takes both:

- indices, an integer tensor ``(..., M)``: the categories themselves;
- points on the simplex, a floating tensor ``(..., M, K)``: one-hot rows that carry a gradient, or relaxed ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from cpvae.nn.draws import uniform_
from cpvae.nn.products import linear


def select(table: Tensor, c: Tensor) -> Tensor:
    """Select rows of `table`, for categories given as indices, or mix them, for points of the simplex.

    Args:
        table: one row a category, shape ``(K, F)``.
        c: indices ``(..., M)`` (integer) or points of the simplex ``(..., M, K)`` (floating).

    Returns:
        Shape ``(..., M, F)``.

    >>> table = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> select(table, torch.tensor([1])).tolist()
    [[3.0, 4.0]]
    >>> select(table, torch.tensor([[0.5, 0.5]])).tolist()
    [[2.0, 3.0]]
    """
    if not c.is_floating_point():
        return table[c]
    if c.device.type == "cpu" and bool((c.detach().amax(-1) == 1).all()):  # a device would have to be waited for
        chosen: Tensor = _OneHotRows.apply(c, table)
        return chosen
    return linear(c, table.t())


class _OneHotRows(torch.autograd.Function):
    """The product ``c @ table`` for one-hot points c: rows are looked up, gradients added to the rows."""

    @staticmethod
    def forward(ctx: Any, c: Tensor, table: Tensor) -> Tensor:
        index = c.argmax(-1)
        ctx.save_for_backward(index, table)
        return table[index]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        index, table = ctx.saved_tensors
        of_c = linear(gradient, table) if ctx.needs_input_grad[0] else None
        of_table = None
        if ctx.needs_input_grad[1]:
            of_table = torch.zeros_like(table).index_add_(0, index.flatten(), gradient.flatten(0, -2))
        return of_c, of_table


def zeros(*shape: int) -> Tensor:
    """Return zeros in single precision, as all weights are, whatever torch's default is."""
    return torch.zeros(shape, dtype=torch.float32)


def glorot_(weight: Tensor, fan_in: float, fan_out: float, gain: float = 1.0) -> Tensor:
    """Fill `weight` uniformly with variance ``2 gain^2 / (fan_in + fan_out)`` (Glorot and Bengio, 2010)."""
    bound = gain * (6.0 / (fan_in + fan_out)) ** 0.5
    with torch.no_grad():
        return uniform_(weight, -bound, bound)


def variance(weight: Tensor) -> float:
    """Give the variance of Glorot's rule for a weight of this shape, of a dense layer or a convolution.

    A gated layer begins with up to twice as much: its weight has two rows for each of its outputs.

    >>> variance(torch.zeros(30, 20))
    0.04
    """
    fans = sum(weight.shape[:2]) * math.prod(weight.shape[2:])
    return 2.0 / fans


class Linear(nn.Linear):
    """`torch.nn.Linear` with Glorot weights and zero bias."""

    def __init__(self, in_features: int, out_features: int):
        super().__init__(in_features, out_features, dtype=torch.float32)

    def reset_parameters(self) -> None:
        glorot_(self.weight, self.in_features, self.out_features)
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias)


class GatedLinear(nn.Module):
    """A gated layer, ``(W x + b) * sigmoid(V x + d)``; both halves come from one matrix product.

    With ``n_categories > 0`` the input is ``[x, c]``. The columns of W and V that meet the one-hot category are a
    table of biases, so that a category costs a look-up and not a K-wide concatenation.

    Shapes: x ``(..., in_features)``, c as in this module's docstring; result ``(..., out_features)``.

    >>> layer = GatedLinear(5, 3, n_categories=4)
    >>> layer(torch.zeros(7, 1, 5), torch.arange(4).unsqueeze(0)).shape
    torch.Size([7, 4, 3])
    """

    def __init__(self, in_features: int, out_features: int, n_categories: int = 0):
        super().__init__()
        fan_in = in_features + n_categories
        self.weight = nn.Parameter(glorot_(zeros(2 * out_features, in_features), fan_in, out_features))
        self.bias = nn.Parameter(zeros(2 * out_features))
        self.table: Tensor | None = None
        if n_categories:
            self.table = nn.Parameter(glorot_(zeros(n_categories, 2 * out_features), fan_in, out_features))

    def forward(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        both = linear(x, self.weight, self.bias)
        if self.table is not None and c is not None:
            both = both + select(self.table, c)
        return F.glu(both, dim=-1)


class GatedMLP(nn.Module):
    """Gated hidden layers; the first one sees the category when ``n_categories > 0``.

    Shapes: x ``(..., in_features)``; result ``(..., hidden[-1])``.
    """

    def __init__(self, in_features: int, hidden: Sequence[int], n_categories: int = 0):
        super().__init__()
        widths = [in_features, *hidden]
        self.first = GatedLinear(widths[0], widths[1], n_categories)
        self.rest = nn.Sequential(*(GatedLinear(a, b) for a, b in pairwise(widths[1:])))
        self.out_features = widths[-1]

    def forward(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        hidden: Tensor = self.rest(self.first(x, c))
        return hidden


class GatedJoin(nn.Module):
    """Two inputs, each through a gated layer of its own, joined by a third (Tomczak and Welling, 2018).

    The input is their concatenation ``(..., 2 * in_features)``; result ``(..., width)``.
    """

    def __init__(self, in_features: int, width: int):
        super().__init__()
        self.left, self.right = GatedLinear(in_features, width), GatedLinear(in_features, width)
        self.join = GatedLinear(2 * width, width)
        self.out_features = width

    def forward(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        left, right = x.chunk(2, -1)
        joined: Tensor = self.join(torch.cat([self.left(left), self.right(right)], -1))
        return joined


class Decoder(nn.Module):
    """Layers from latents to the parameters of the likelihood: z ``(..., latent_dim)``, c -> ``(..., n_outputs)``.

    With ``n_categories = 0`` the category is ignored: p(x | z).

    Args:
        hidden: from z and c to features; has `out_features`.
        n_outputs: parameters of the likelihood.
    """

    def __init__(self, hidden: nn.Module, n_outputs: int):
        super().__init__()
        self.hidden = hidden
        self.output = Linear(hidden.out_features, n_outputs)  # type: ignore[arg-type]

    def forward(self, z: Tensor, c: Tensor) -> Tensor:
        params: Tensor = self.output(self.hidden(z, c))
        return params


class WithTable(nn.Module):
    """A decoder, and beside its outputs numbers that depend on the category alone, at first 0.

    Shapes: those of the decoder; result ``(..., n_outputs + n_more)``.

    Attributes:
        table: the numbers, ``(K, n_more)``.
    """

    def __init__(self, decoder: nn.Module, n_categories: int, n_more: int):
        super().__init__()
        self.decoder = decoder
        self.table = nn.Parameter(zeros(n_categories, n_more))

    def forward(self, z: Tensor, c: Tensor) -> Tensor:
        params = self.decoder(z, c)
        return torch.cat([params, select(self.table, c).expand(*params.shape[:-1], -1)], -1)


class Network(Protocol):
    """A way to build encoders and decoders; recipes ask for the parts they need.

    Shapes: an encoder maps ``(..., n_inputs)`` to ``(..., encoder.out_features)``, a decoder z ``(..., latent_dim)``
    and c to ``(..., n_outputs)``.
    """

    def encoder(self, n_inputs: int) -> nn.Module:
        """Build all hidden layers of an encoder."""

    def branch(self, n_inputs: int) -> nn.Module:
        """Build a lighter encoder, for the second sight of x in q(z1 | x, z2)."""

    def between(self, n_inputs: int) -> nn.Module:
        """Build the hidden layers of p(z1 | z2)."""

    def decoder(self, latent_dim: int, n_outputs: int, n_categories: int = 0, levels: int = 1) -> nn.Module:
        """Build the decoder of z, which holds `levels` codes, and of c, where ``n_categories > 0``."""


@dataclass(frozen=True)
class Dense:
    """The paper's networks: gated hidden layers.

    Args:
        hidden: widths of the encoder's hidden layers.
        decoder_hidden: widths of the decoder's; None mirrors the encoder's.
    """

    hidden: Sequence[int] = (300, 300)
    decoder_hidden: Sequence[int] | None = None

    def encoder(self, n_inputs: int) -> GatedMLP:
        """Build all hidden layers."""
        return GatedMLP(n_inputs, self.hidden)

    def branch(self, n_inputs: int) -> GatedMLP:
        """Build the first hidden layer alone."""
        return GatedMLP(n_inputs, self.hidden[:1])

    def between(self, n_inputs: int) -> GatedMLP:
        """Build the same layers as in the encoder."""
        return GatedMLP(n_inputs, self.hidden)

    def decoder(self, latent_dim: int, n_outputs: int, n_categories: int = 0, levels: int = 1) -> Decoder:
        """Make the hidden layers; two levels meet in a `GatedJoin`."""
        widths = self.decoder_hidden or self.hidden[::-1]
        if levels == 2:
            return Decoder(GatedJoin(latent_dim, widths[0]), n_outputs)
        return Decoder(GatedMLP(latent_dim, widths, n_categories), n_outputs)
