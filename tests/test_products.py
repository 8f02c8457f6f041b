"""Matrix products in two ways, which agree in value and in gradient."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from cpvae import CPVAE
from cpvae.nn import products
from cpvae.probability import recipes
from cpvae.probability.bounds import elbo
from cpvae.probability.expectations import Exact
from cpvae.probability.likelihoods.bernoulli import Bernoulli

HAS_ONEDNN = products.has_onednn(torch.float32)
needs_onednn = pytest.mark.skipif(not HAS_ONEDNN, reason="oneDNN's product does not work here, or is switched off")


@pytest.fixture(params=[True, False], ids=["onednn", "torch"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    if request.param and not HAS_ONEDNN:
        pytest.skip("oneDNN's product does not work here, or is switched off")
    monkeypatch.setattr(products, "SMALL", 0)
    monkeypatch.setattr(products, "prefers_onednn", lambda: request.param)
    return bool(request.param)


@pytest.mark.parametrize("shape", [(7, 5), (1, 5), (4, 3, 5), (4, 1, 5), (2, 3, 4, 5), (5,)])
def test_values_and_gradients_are_those_of_torch(shape: tuple[int, ...], way: bool) -> None:
    torch.manual_seed(0)
    x, weight, bias = torch.randn(shape), torch.randn(6, 5), torch.randn(6)
    target = torch.randn(*shape[:-1], 6)
    found = []
    for function in (products.linear, F.linear):
        leaves = [t.clone().requires_grad_() for t in (x, weight, bias)]
        result = function(*leaves)
        assert result.shape == target.shape
        found.append([result.detach(), *torch.autograd.grad((result * target).sum(), leaves)])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_views_with_any_strides(way: bool) -> None:
    x, weight = torch.randn(9, 8)[:, ::2], torch.randn(4, 6).t()
    torch.testing.assert_close(products.linear(x, weight, torch.zeros(6)), x @ weight.t(), rtol=1e-5, atol=1e-5)


def test_only_what_needs_a_gradient_gets_one(way: bool) -> None:
    x, weight, bias = torch.randn(3, 5), torch.randn(6, 5, requires_grad=True), torch.randn(6)
    products.linear(x, weight, bias).sum().backward()
    assert x.grad is None
    assert bias.grad is None
    torch.testing.assert_close(weight.grad, x.sum(0).expand(6, -1))


def test_no_rows_and_double_precision_go_the_plain_way(way: bool) -> None:
    weight, bias = torch.randn(6, 5), torch.randn(6)
    assert products.linear(torch.zeros(0, 5), weight, bias).shape == (0, 6)
    double = products.linear(torch.ones(2, 5).double(), weight.double(), bias.double())
    assert double.dtype == torch.float64
    torch.testing.assert_close(double, F.linear(torch.ones(2, 5).double(), weight.double(), bias.double()))


@needs_onednn
def test_a_slice_of_columns_is_made_dense(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both levels of a code are slices of one vector; with their strides oneDNN is a thousand times slower."""
    given: list[torch.Tensor] = []
    plain = products.product

    def watched(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        given.extend((x, weight))
        return plain(x, weight, bias)

    monkeypatch.setattr(products, "SMALL", 0)
    monkeypatch.setattr(products, "prefers_onednn", lambda: True)
    monkeypatch.setattr(products, "product", watched)
    wide = torch.randn(7, 1, 10, requires_grad=True)
    weight, bias = torch.randn(6, 5, requires_grad=True), torch.randn(6, requires_grad=True)
    (products.linear(wide[..., 5:], weight, bias)[..., :3] * 2).sum().backward()
    assert len(given) == 6
    assert all(t.is_contiguous() or t.t().is_contiguous() for t in given)


def test_small_matrices_are_left_to_pytorch_whatever_the_number_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call to oneDNN takes longer than they do. Of one row and of many the same product is taken."""
    used: list[int] = []
    monkeypatch.setattr(products, "prefers_onednn", lambda: True)
    monkeypatch.setattr(products, "product", lambda x, weight, bias=None: used.append(len(x)) or F.linear(x, weight))
    for n in (1, 5000):
        products.linear(torch.randn(n, 64), torch.randn(127, 64))
        assert not used
        products.linear(torch.randn(n, 64), torch.randn(128, 64))
        assert used.pop() == n


@needs_onednn
def test_a_model_has_the_same_bound_and_gradient_either_way(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    model, y = recipes.cpvae(Bernoulli(64), 4), torch.bernoulli(torch.rand(50, 64))
    found = []
    for onednn in (True, False):
        monkeypatch.setattr(products, "prefers_onednn", lambda onednn=onednn: onednn)
        torch.manual_seed(1)
        bound = elbo(model, y, Exact()).elbo
        found.append(
            [bound.detach(), *torch.autograd.grad(bound.mean(), [p for p in model.parameters() if p.requires_grad])]
        )
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("width", "maker", "expected"),
    [
        ("AVX512", "vendor_id\t: AuthenticAMD\n", True),
        ("AVX512", "vendor_id\t: GenuineIntel\n", False),
        ("AVX512", "CPU implementer\t: 0x41\n", False),
        ("AVX2", "vendor_id\t: AuthenticAMD\n", False),
        ("DEFAULT", "CPU implementer\t: 0x41\n", False),
    ],
)
def test_the_choice_depends_on_maker_and_width_of_the_processor(
    monkeypatch: pytest.MonkeyPatch, width: str, maker: str, expected: bool
) -> None:
    monkeypatch.setattr(products, "has_onednn", lambda dtype: True)
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: width)
    monkeypatch.setattr(products.Path, "read_text", lambda self: maker)
    assert products.prefers_onednn.__wrapped__() is expected


def raises(error: Exception):
    def product(*arguments: object) -> torch.Tensor:
        raise error

    return product


@pytest.mark.parametrize(
    "answer",
    [
        raises(RuntimeError("could not create a primitive descriptor")),  # a processor without such products
        raises(AttributeError("'_OpNamespace' 'mkldnn' object has no attribute '_linear_pointwise'")),
        raises(TypeError("unexpected argument")),
        lambda x, weight, bias=None: torch.zeros(2, 3),
    ],
    ids=["cannot", "absent", "changed", "wrong"],
)
def test_a_product_that_does_not_work_here_is_not_used(monkeypatch: pytest.MonkeyPatch, answer) -> None:
    monkeypatch.setattr(products, "product", answer)
    for dtype in (torch.float32, torch.bfloat16):
        assert not products.has_onednn.__wrapped__(dtype)


def test_one_variable_switches_the_fast_products_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "product", lambda x, weight, bias=None: x)
    monkeypatch.delenv(products.FAST, raising=False)
    assert products.has_onednn.__wrapped__(torch.float32)
    monkeypatch.setenv(products.FAST, "0")
    assert not products.has_onednn.__wrapped__(torch.float32)


@pytest.mark.parametrize("native", [True, False], ids=["bfloat16", "rounded"])
def test_numbers_are_rounded_the_same_whatever_the_processor_can_do(
    monkeypatch: pytest.MonkeyPatch, way: bool, native: bool
) -> None:
    if native and not products.has_onednn(torch.bfloat16):
        pytest.skip("this processor has no products of bfloat16 numbers, or they are switched off")
    monkeypatch.setattr(products, "has_onednn", lambda dtype: native or dtype == torch.float32)
    torch.manual_seed(0)
    x, weight, bias = (t.requires_grad_() for t in (torch.randn(7, 1, 5), torch.randn(6, 5), torch.randn(6)))
    with products.reduced():
        found = products.linear(x, weight, bias)
    assert found.dtype == torch.float32
    low = (x.bfloat16().float() @ weight.bfloat16().float().t()).bfloat16().float() + bias
    torch.testing.assert_close(found, low, rtol=2**-7, atol=1e-6)  # a sum in another order may round to a neighbour
    full = torch.autograd.grad(F.linear(x, weight, bias).square().sum(), (x, weight, bias))
    ours = torch.autograd.grad(found.square().sum(), (x, weight, bias))
    for one, other in zip(ours, full, strict=True):
        torch.testing.assert_close(one, other, rtol=0.05, atol=0.15)


@pytest.mark.parametrize("maker", [True, False], ids=["onednn", "torch"])
def test_a_fit_in_bfloat16_needs_no_such_products(monkeypatch: pytest.MonkeyPatch, maker: bool) -> None:
    monkeypatch.setattr(products, "prefers_onednn", lambda: maker and HAS_ONEDNN)
    monkeypatch.setattr(products, "has_onednn", lambda dtype: dtype == torch.float32 and HAS_ONEDNN)
    x = np.random.RandomState(0).normal(size=(40, 3))
    model = CPVAE(2, latent_dim=2, hidden=(8,), max_epochs=1, precision="bfloat16", random_state=0).fit(x)
    assert np.isfinite(model.score(x))
