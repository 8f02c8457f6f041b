"""Layers against the same sums written out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import expit

from cpvae.nn.layers import Dense, GatedLinear, GatedMLP, Linear, select


def gated_by_hand(layer: GatedLinear, x: np.ndarray, onehot: np.ndarray) -> np.ndarray:
    """Compute (W [x, c] + b) * sigmoid(V [x, c] + d), with the category as K more columns of the input."""
    joined = np.concatenate([x, onehot], -1)
    both = np.concatenate([layer.weight.detach().numpy(), layer.table.detach().numpy().T], 1)
    bias = layer.bias.detach().numpy()
    n = len(bias) // 2
    return (joined @ both[:n].T + bias[:n]) * expit(joined @ both[n:].T + bias[n:])


@pytest.fixture
def layer() -> GatedLinear:
    layer = GatedLinear(5, 3, n_categories=4).double()
    layer.bias.data.normal_()
    return layer


def test_gated_layer_is_the_concatenation_written_out(layer):
    x, c = torch.randn(7, 1, 5).double(), torch.randint(4, (7, 6))
    onehot = np.eye(4)[c.numpy()]
    expected = gated_by_hand(layer, np.broadcast_to(x.numpy(), (7, 6, 5)), onehot)
    np.testing.assert_allclose(layer(x, c).detach().numpy(), expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(layer(x, torch.tensor(onehot)).detach().numpy(), expected, rtol=0, atol=1e-12)


def test_gated_layer_takes_relaxed_categories(layer):
    """The concatenation is linear in c before the gate, so that a relaxed c needs no case of its own."""
    x, c = torch.randn(7, 1, 5).double(), torch.rand(7, 2, 4).double().softmax(-1)
    expected = gated_by_hand(layer, np.broadcast_to(x.numpy(), (7, 2, 5)), c.numpy())
    np.testing.assert_allclose(layer(x, c).detach().numpy(), expected, rtol=0, atol=1e-12)


def test_decoder_by_hand():
    """Two gated layers, of which the first alone sees the category, then a linear one."""
    decoder = Dense((3, 5)).decoder(2, 4, n_categories=3).double()
    first, second = decoder.hidden.first, decoder.hidden.rest[0]
    z, c = torch.randn(6, 2, 2).double(), torch.randint(3, (6, 2))
    h = gated_by_hand(first, z.numpy(), np.eye(3)[c.numpy()])
    w, b = second.weight.detach().numpy(), second.bias.detach().numpy()
    h = (h @ w[:3].T + b[:3]) * expit(h @ w[3:].T + b[3:])
    expected = h @ decoder.output.weight.detach().numpy().T + decoder.output.bias.detach().numpy()
    np.testing.assert_allclose(decoder(z, c).detach().numpy(), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("shape", [(4,), (4, 3), (4, 3, 2)])
def test_select_is_a_gradient_through_either_form(shape):
    """The table receives the same gradient from indices and from one-hot rows."""
    table, c = torch.randn(4, int(np.prod(shape[1:]))).double().requires_grad_(), torch.tensor([[0, 3], [3, 1]])
    gradients = []
    for form in (c, torch.eye(4).double()[c]):
        out = select(table, form)
        torch.testing.assert_close(out.detach(), table.detach()[c], rtol=0, atol=1e-15)
        gradients.append(torch.autograd.grad((out**2).sum(), table)[0])
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-14)


def test_without_categories_c_is_ignored():
    decoder = Dense((5,)).decoder(2, 4).double()
    z = torch.randn(6, 3, 2).double()
    assert torch.equal(decoder(z, torch.zeros(6, 3).long()), decoder(z, torch.full((6, 3), 2)))
    assert not any("table" in name for name in decoder.state_dict())


GLOROT = {
    "linear": (lambda: Linear(60, 40).weight, 60, 40),
    "gated": (lambda: GatedLinear(60, 40).weight, 60, 40),
    "gated with categories": (lambda: GatedLinear(60, 40, 50).weight, 110, 40),
    "table of categories": (lambda: GatedLinear(60, 40, 50).table, 110, 40),
}


@pytest.mark.parametrize("name", GLOROT)
def test_glorot(name):
    """Uniform within sqrt(6 / (in + out)); one-hot columns count as inputs, and each half of a gate is its own map."""
    make, fan_in, fan_out = GLOROT[name]
    weight = make().detach().numpy().ravel()
    bound = np.sqrt(6 / (fan_in + fan_out))
    assert np.abs(weight).max() <= bound
    assert stats.kstest(weight, stats.uniform(-bound, 2 * bound).cdf).pvalue > 1e-3


def test_biases_start_at_zero():
    mlp = GatedMLP(4, (6, 5), n_categories=3)
    assert not mlp.first.bias.any()
    assert not mlp.rest[0].bias.any()
    assert not Linear(3, 2).bias.any()


@pytest.mark.parametrize("hot", [True, False])
def test_points_give_the_product_with_the_table_in_value_and_gradient(hot: bool) -> None:
    """One-hot points are looked up; the gradient with respect to c is still that of the product with all rows."""
    target = torch.randn(6, 2, 5)
    c = torch.rand(6, 2, 4).softmax(-1)
    if hot:
        c = torch.nn.functional.one_hot(c.argmax(-1), 4).float()
    found = []
    for function in (select, torch.matmul):
        point, table = c.clone().requires_grad_(), torch.arange(20.0).view(4, 5).sin().requires_grad_()
        given = (table, point) if function is select else (point, table)
        result = function(*given)
        found.append([result.detach(), *torch.autograd.grad((result * target).sum(), [point, table])])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
