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
        parameters: all of one dtype and device; they stay usable as before.

    Attributes:
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
        self.parameters = list(parameters)
        first = self.parameters[0]
        sizes = [ALIGN * math.ceil(p.numel() / ALIGN) for p in self.parameters]
        self.values = torch.zeros(sum(sizes), dtype=first.dtype, device=first.device)
        self.gradient = torch.zeros_like(self.values)
        self._gradients: list[Tensor] = []
        for p, value, gradient in zip(
            self.parameters, self.values.split(sizes), self.gradient.split(sizes), strict=True
        ):
            value = value[: p.numel()].view(p.shape)
            value.copy_(p.detach())
            p.data = value
            self._gradients.append(gradient[: p.numel()].view(p.shape))

    @torch.no_grad()
    def collect(self) -> None:
        """Move the gradients that `backward` left with the parameters into `gradient`; of those without, zero."""
        found = [(mine, p.grad) for mine, p in zip(self._gradients, self.parameters, strict=True) if p.grad is not None]
        if len(found) < len(self.parameters):
            self.gradient.zero_()
        torch._foreach_copy_([mine for mine, _ in found], [gradient for _, gradient in found])
        for p in self.parameters:
            p.grad = None

    def release(self) -> None:
        """Give every parameter memory of its own again."""
        for p in self.parameters:
            p.data = p.data.clone()
