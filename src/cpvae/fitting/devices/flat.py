"""The trainable numbers of a model as one vector, of which its parameters are views.

Norm, optimiser step, average and exchange between processes are then one operation each, whatever the number of layers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

ALIGN = 16  # numbers: 64 bytes, so that every parameter begins where vector instructions like it


class Flat:
    """Parameters moved into one vector, and the vector of their gradients.

    Args:
        parameters: of one dtype and device. Those that hold numbers and learn are moved and stay usable as before;
            others are left alone, and there may be none that learn.

    Attributes:
        parameters: those that were moved.
        values: the vector; a parameter begins at a multiple of `ALIGN`, what lies between is zero and stays zero.
        gradient: as `values`, filled by `collect`.

    >>> layer = nn.Linear(2, 1)
    >>> flat = Flat(layer.parameters())
    >>> layer(torch.ones(1, 2)).sum().backward()
    >>> flat.collect()
    >>> flat.gradient.nonzero().flatten().tolist()
    [0, 1, 16]
    """

    def __init__(self, parameters: Iterable[nn.Parameter]):
        given = list(parameters)
        self.parameters = [p for p in given if p.requires_grad and p.numel()]
        self._sizes = [ALIGN * math.ceil(p.numel() / ALIGN) for p in self.parameters]
        like = given[0] if given else torch.empty(0, dtype=torch.float32)
        self.values = torch.zeros(sum(self._sizes), dtype=like.dtype, device=like.device)
        self.gradient = torch.zeros_like(self.values)
        self._gradients = self.views(self.gradient)
        for p, value in zip(self.parameters, self.views(self.values), strict=True):
            value.copy_(p.detach())
            p.data = value

    def __len__(self) -> int:
        return len(self.values)

    def views(self, vector: Tensor) -> list[Tensor]:
        """Give the part of a vector like `values` that each parameter has, in its shape."""
        parts = vector.split(self._sizes) if self._sizes else ()
        return [part[: p.numel()].view(p.shape) for p, part in zip(self.parameters, parts, strict=True)]

    @torch.no_grad()
    def collect(self) -> None:
        """Move the gradients that `backward` left with the parameters into `gradient`; zero where it left none."""
        for mine, p in zip(self._gradients, self.parameters, strict=True):
            if p.grad is None:
                mine.zero_()
            else:
                mine.copy_(p.grad)
                p.grad = None

    def release(self) -> None:
        """Give every parameter memory of its own again."""
        for p in self.parameters:
            p.data = p.data.clone()
