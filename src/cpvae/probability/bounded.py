"""Numbers kept between bounds while they are learned."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class _Held(torch.autograd.Function):
    """`clamp`, but with the part of the gradient that leads a value outside of the bounds back to them."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, low: Tensor | float, high: float) -> Tensor:
        result = value.clamp_min(low).clamp_max(high)
        ctx.save_for_backward(value < result, value > result)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        below, above = ctx.saved_tensors
        # Descent subtracts the gradient: below the bounds a positive one leads farther away.
        away = (below & (gradient > 0)) | (above & (gradient < 0))
        return gradient.masked_fill(away, 0.0), None, None


def held(value: Tensor, low: Tensor | float, high: float = math.inf) -> Tensor:
    """Hold a learned value between bounds, exactly.

    Outside of them a gradient that leads back passes, so that one overshoot does not leave the value there for good; a
    gradient that leads farther away does not, so that an optimiser which follows it for a thousand steps does not need
    a thousand to come back.

    >>> value = torch.tensor([-1.0, 0.5], requires_grad=True)
    >>> held(value, 0.0, 1.0).tolist()
    [0.0, 0.5]
    >>> held(value, 0.0, 1.0).sum().backward()  # descent on the sum would lead both farther down
    >>> value.grad.tolist()
    [0.0, 1.0]
    """
    result: Tensor = _Held.apply(value, low, high)
    return result
