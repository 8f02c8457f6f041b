"""Matrix products: on processors where PyTorch's own are slow, and in fewer digits.

PyTorch hands single-precision products on x86 to Intel's MKL, which on processors of other makers leaves half of their
width unused; oneDNN, which PyTorch carries as well, does not. `linear` takes the faster of the two by the maker of the
processor, not by a measurement: the same machine gives the same bits every time.

Inside `reduced` the numbers that are multiplied are rounded to bfloat16, their sums and all else stay in single
precision: faster where the hardware has such products.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

PRECISIONS = ("float32", "bfloat16")
_reduced: ContextVar[bool] = ContextVar("reduced", default=False)


@contextmanager
def reduced(precision: str = "bfloat16") -> Iterator[None]:
    """Products by `linear` within the block in this precision, a name in `PRECISIONS`.

    >>> x, weight = torch.full((1, 3), 1.01), torch.ones(1, 3)
    >>> with reduced():
    ...     round(linear(x, weight).item(), 4)
    3.0312
    """
    token = _reduced.set(precision == "bfloat16")
    try:
        yield
    finally:
        _reduced.reset(token)


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
    implementation, which is far slower.
    """
    result: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return result


class _OneDNNLinear(torch.autograd.Function):
    """`torch.nn.functional.linear` with all three of its products by oneDNN."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.reduced = _reduced.get()
        if not ctx.reduced:
            ctx.save_for_backward(x, weight)
            return product(x, weight, bias)
        x, weight = x.bfloat16(), weight.bfloat16()
        ctx.save_for_backward(x, weight)
        result = product(x, weight).float()
        return result if bias is None else result.add_(bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        needed = ctx.needs_input_grad
        of_bias = gradient.sum(0) if needed[2] else None
        gradient = gradient.to(x.dtype).contiguous()
        of_x = product(gradient, weight.t()).float() if needed[0] else None
        of_weight = None
        if needed[1]:  # laid out as the weight is, or adding it up would cost more than the product
            dense = weight.is_contiguous()
            of_weight = product(gradient.t(), x.t()) if dense else product(x.t(), gradient.t()).t()
            of_weight = of_weight.float()
        return of_x, of_weight, of_bias


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
        if single and _reduced.get():
            result = F.linear(x.bfloat16(), weight.bfloat16()).float()
            return result if bias is None else result + bias
        return F.linear(x, weight, bias)
    dense = x.reshape(-1, x.shape[-1]).contiguous()
    result = _OneDNNLinear.apply(dense, _dense(weight), bias)
    return result.view(*x.shape[:-1], -1)
