"""Matrix products on processors where PyTorch's own are slow.

PyTorch hands single-precision products on x86 to Intel's MKL, which on processors of other makers leaves half of their
width unused; oneDNN, which PyTorch carries as well, does not. `linear` takes the faster of the two by the maker of the
processor, not by a measurement: the same machine gives the same bits every time.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


@cache
def prefers_onednn() -> bool:
    """Whether this is an x86 processor that is not Intel's, and this PyTorch has the product we need from oneDNN."""
    try:
        maker = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("vendor_id"))
    except (OSError, StopIteration):  # no Linux, or no x86
        return False
    return "GenuineIntel" not in maker and torch.backends.mkl.is_available() and has_onednn()


def has_onednn() -> bool:
    """Whether PyTorch was built with oneDNN's linear product."""
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``x weight^T + bias`` by oneDNN: ``(n, in)``, ``(out, in)``, ``(out,)`` -> ``(n, out)``.

    Matrices must be dense or the transpose of a dense one: a slice of columns has oneDNN fall back to a reference
    implementation, a thousand times slower.
    """
    result: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return result


class _OneDNNLinear(torch.autograd.Function):
    """`torch.nn.functional.linear` with all three of its products by oneDNN."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return product(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        gradient = gradient.contiguous()
        needed = ctx.needs_input_grad
        of_weight = None
        if needed[1]:  # laid out as the weight is, or adding it up would cost more than the product
            dense = weight.is_contiguous()
            of_weight = product(gradient.t(), x.t()) if dense else product(x.t(), gradient.t()).t()
        return (
            product(gradient, weight.t()) if needed[0] else None,
            of_weight,
            gradient.sum(0) if needed[2] else None,
        )


def _dense(x: Tensor) -> Tensor:
    """A matrix, or a copy of it if neither it nor its transpose is dense."""
    return x if x.t().is_contiguous() else x.contiguous()


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`torch.nn.functional.linear`, ``(..., in)`` -> ``(..., out)``, up to rounding.

    >>> x, weight, bias = torch.randn(5, 1, 3), torch.randn(4, 3), torch.zeros(4)
    >>> torch.allclose(linear(x, weight, bias), F.linear(x, weight, bias), atol=1e-6)
    True
    """
    single = x.dtype == weight.dtype == torch.float32
    if not (single and x.device.type == "cpu" and x.numel() and prefers_onednn()):
        return F.linear(x, weight, bias)
    dense = x.reshape(-1, x.shape[-1]).contiguous()
    result: Tensor = _OneDNNLinear.apply(dense, _dense(weight), bias)
    return result.view(*x.shape[:-1], -1)
