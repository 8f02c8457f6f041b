"""Matrix products: on processors where PyTorch's own are slow, and in fewer digits.

PyTorch hands single-precision products on x86 to Intel's MKL, which on processors of other makers uses AVX2 and leaves
half of the width of AVX-512 unused. oneDNN, which PyTorch carries as well, does not. `linear` chooses between the two
by the maker and the width of the processor, not by a measurement: the same machine gives the same bits every time. It
asks oneDNN for one small product first, and stays with MKL where no right answer comes. Small matrices of weights are
left to PyTorch: a call to oneDNN takes some tens of microseconds, longer than their product.

Inside `reduced` the numbers that are multiplied, and their product, are rounded to bfloat16; sums are added up in
single precision. That is faster where the processor has such products. Where it has none the numbers are rounded all
the same and multiplied in single precision: the result is the same but for the order of the sums, and no time is saved.

``CPVAE_FAST_PRODUCTS=0`` in the environment leaves everything to PyTorch's single-precision products.
"""

from __future__ import annotations

import os
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
FAST = "CPVAE_FAST_PRODUCTS"  # a variable of the environment
SMALL = 2**13  # numbers in a matrix of weights; of fewer, with batches of up to 1,000 rows, MKL is the faster one
_reduced: ContextVar[bool] = ContextVar("reduced", default=False)


@contextmanager
def reduced(precision: str = "bfloat16") -> Iterator[None]:
    """Set the precision of `linear` within the block, by a name in `PRECISIONS`.

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
    """Return whether this is an x86 processor with AVX-512 not made by Intel, and oneDNN's product works on it."""
    if not torch.backends.cpu.get_cpu_capability().startswith("AVX512"):
        return False
    try:
        maker = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("vendor_id"))
    except (OSError, StopIteration):  # no Linux, or no x86
        return False
    return "GenuineIntel" not in maker and torch.backends.mkl.is_available() and has_onednn(torch.float32)


@cache
def has_onednn(dtype: torch.dtype) -> bool:
    """Return whether oneDNN multiplies numbers of this type here: ask it once.

    Builds of PyTorch differ in what they contain and processors in what they can do; oneDNN raises where it cannot.
    """
    if os.environ.get(FAST) == "0":
        return False
    x, weight = torch.tensor([[1.0, 2.0, 3.0]] * 2, dtype=dtype), torch.eye(3, dtype=dtype)
    try:
        return torch.equal(product(x, weight), x)
    except (AttributeError, TypeError, RuntimeError):  # no such operator; another signature; cannot be done here
        return False


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return ``x weight^T + bias`` by oneDNN: ``(n, in)``, ``(out, in)``, ``(out,)`` -> ``(n, out)``.

    Matrices must be dense or the transpose of a dense one: a slice of columns has oneDNN fall back to a reference
    implementation, which is far slower.

    The operator is a private one, hence `has_onednn`. PyTorch's public way to the same product, tensors in oneDNN's own
    layout, copies the operands and the result.
    """
    result: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return result


def _rounded(x: Tensor) -> Tensor:
    """Round to bfloat16, in the type that is then multiplied: bfloat16 itself where the hardware has such products."""
    low = x.bfloat16()
    return low if x.device.type != "cpu" or has_onednn(torch.bfloat16) else low.float()


class _OneDNNLinear(torch.autograd.Function):
    """`torch.nn.functional.linear` with all three of its products by oneDNN."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.reduced = _reduced.get()
        if not ctx.reduced:
            ctx.save_for_backward(x, weight)
            return product(x, weight, bias)
        x, weight = _rounded(x), _rounded(weight)
        ctx.save_for_backward(x, weight)
        result = product(x, weight).bfloat16().float()
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
    """Return the matrix, or a copy of it if neither it nor its transpose is dense."""
    return x if x.t().is_contiguous() else x.contiguous()


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Multiply as `torch.nn.functional.linear` does, up to rounding: ``(..., in)`` -> ``(..., out)``.

    >>> x, weight, bias = torch.randn(5, 1, 3), torch.randn(4, 3), torch.zeros(4)
    >>> torch.allclose(linear(x, weight, bias), F.linear(x, weight, bias), atol=1e-6)
    True
    """
    single = x.dtype == weight.dtype == torch.float32
    small = weight.numel() < SMALL and not _reduced.get()
    if small or not (single and x.device.type == "cpu" and x.numel() and prefers_onednn()):
        if single and _reduced.get():
            result = F.linear(_rounded(x), _rounded(weight)).bfloat16().float()
            return result if bias is None else result + bias
        return F.linear(x, weight, bias)
    dense = x.reshape(-1, x.shape[-1]).contiguous()
    result = _OneDNNLinear.apply(dense, _dense(weight), bias)
    return result.view(*x.shape[:-1], -1)
