"""Convolutions against SciPy's, and the rules that every network has to follow."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import signal, stats
from scipy.special import expit

from cpvae.errors import InputError
from cpvae.nn import convolutions
from cpvae.nn.convolutions import Conv, GatedConv, TransposedConv
from cpvae.probability import recipes
from cpvae.probability.bounds import elbo
from cpvae.probability.expectations import Exact
from cpvae.probability.likelihoods.bernoulli import Bernoulli

SHAPES = [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 64, 64), (1, 28, 20), (1, 27, 27), (2, 9, 31), (1, 8, 100)]
IMAGE = (2, 9, 12)
SMALL = Conv(IMAGE, channels=(4, 6), width=5)
FEATURES = math.prod(IMAGE)


def gated(both: np.ndarray) -> np.ndarray:
    half = both.shape[1] // 2
    return both[:, :half] * expit(both[:, half:])


# ---------------------------------------------------------------- layers


def test_gated_convolution_by_hand():
    """The correlation at every second position, the image surrounded by zeros."""
    layer = GatedConv(2, 3).double()
    layer.bias.data.normal_()
    x = torch.randn(4, 2, 9, 12).double()
    weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()[:, None, None]
    same = [
        [sum(signal.correlate2d(image[i], w[i], mode="same") for i in range(2)) for w in weight] for image in x.numpy()
    ]
    both = np.array(same)[..., ::2, ::2] + bias
    np.testing.assert_allclose(layer(x).detach().numpy(), gated(both), rtol=0, atol=1e-12)


@pytest.mark.parametrize("is_gated", [True, False])
def test_transposed_convolution_by_hand(is_gated):
    """Zeros between the values, the full convolution, a margin of 1 cut off, then what exceeds the size."""
    layer = TransposedConv(2, 3, (9, 12), gated=is_gated).double()
    layer.bias.data.normal_()
    x = torch.randn(4, 2, 5, 6).double()
    apart = np.zeros((4, 2, 9, 11))
    apart[..., ::2, ::2] = x.numpy()
    weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()[:, None, None]
    full = [
        [sum(signal.convolve2d(image[i], weight[i, o]) for i in range(2)) for o in range(weight.shape[1])]
        for image in apart
    ]
    both = np.array(full)[..., 1:10, 1:13] + bias
    expected = gated(both) if is_gated else both
    np.testing.assert_allclose(layer(x).detach().numpy(), expected, rtol=0, atol=1e-12)


def test_shifting_an_image_shifts_the_features():
    """By 2 pixels before a convolution of stride 2, by 1 after it, away from the edge; and back."""
    image = torch.randn(1, 1, 16, 16).double()
    down, up = GatedConv(1, 3).double(), TransposedConv(3, 1, (16, 16)).double()
    features = down(image)
    shifted = down(image.roll((2, 2), (2, 3)))
    torch.testing.assert_close(shifted[..., 2:7, 2:7], features[..., 1:6, 1:6], rtol=0, atol=1e-14)
    moved = up(features.roll((1, 1), (2, 3)))
    torch.testing.assert_close(moved[..., 4:13, 4:13], up(features)[..., 2:11, 2:11], rtol=0, atol=1e-14)


def test_no_uneven_overlap():
    """With equal weights a constant image stays constant away from the edge: no checkerboard (Odena et al., 2016)."""
    layer = TransposedConv(1, 1, (16, 16), gated=False)
    layer.weight.data.fill_(0.25)
    assert torch.equal(layer(torch.ones(1, 1, 8, 8))[0, 0, 1:-1, 1:-1], torch.ones(14, 14))


GLOROT = {
    "convolution": (lambda: GatedConv(16, 32), 5 * 5 * 16, 5 * 5 * 32 / 4, 2.0),
    "transposed convolution": (lambda: TransposedConv(16, 32, (8, 8)), 4 * 4 * 16 / 4, 4 * 4 * 32, 2.0),
    "last transposed convolution": (lambda: TransposedConv(64, 8, (8, 8), False), 4 * 4 * 64 / 4, 4 * 4 * 8, 1.0),
}


@pytest.mark.parametrize("name", GLOROT)
def test_glorot(name):
    """Uniform with standard deviation sqrt(2 / (in + out)), doubled before a gate; biases are zero."""
    make, fan_in, fan_out, gain = GLOROT[name]
    layer = make()
    weight = layer.weight.detach().numpy().ravel()
    bound = gain * np.sqrt(6 / (fan_in + fan_out))
    assert np.abs(weight).max() <= bound
    assert stats.kstest(weight, stats.uniform(-bound, 2 * bound).cdf).pvalue > 1e-3
    np.testing.assert_allclose(weight.var(), gain**2 * 2 / (fan_in + fan_out), rtol=0.05)
    assert not layer.bias.any()


# ---------------------------------------------------------------- encoders and decoders


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_any_size_comes_back(shape):
    """Rows in, features out; codes in, rows out: exactly as many values as the image has."""
    network, features = Conv(shape), math.prod(shape)
    y, z, c = torch.rand(2, features), torch.randn(2, 3, 4), torch.tensor([[0, 1, 4]])
    for encoder in (network.encoder(features), network.branch(features)):
        assert encoder.out_features == 256
        assert encoder(y).shape == (2, 256)
    out = network.decoder(4, features, n_categories=5)(z, c)
    assert out.shape == (2, 3, features)
    images = out.unflatten(-1, shape)
    assert bool((images.flatten(0, 2).std(0) > 0).all()), "a value of the image does not depend on the code"


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_value_is_seen(shape):
    """The features depend on each value of the image, the last row and column of odd sizes too."""
    y = torch.rand(1, math.prod(shape), dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(Conv(shape).encoder(y.shape[1]).double()(y).sum(), y)
    assert bool((gradient != 0).all())


@pytest.mark.parametrize(
    ("shape", "layers"), [((1, 8, 8), 2), ((1, 28, 28), 2), ((3, 33, 32), 3), ((3, 64, 64), 3), ((1, 8, 200), 3)]
)
def test_large_images_get_more_layers(shape, layers):
    encoder = Conv(shape).encoder(math.prod(shape))
    assert sum(isinstance(layer, GatedConv) for layer in encoder.layers) == layers


def test_branch_is_lighter():
    sizes = [sum(p.numel() for p in part(FEATURES).parameters()) for part in (SMALL.encoder, SMALL.branch)]
    assert sizes[1] < 0.6 * sizes[0]


@pytest.mark.parametrize("lead", [(), (1,), (7,), (2, 3), (0,)], ids=str)
def test_leading_dimensions(lead):
    y = torch.rand(*lead, FEATURES).double()
    encoder = SMALL.encoder(FEATURES).double()
    assert encoder(y).shape == (*lead, 5)
    torch.testing.assert_close(encoder(y).flatten(), encoder(y.reshape(-1, FEATURES)).flatten(), rtol=0, atol=1e-14)


@pytest.mark.parametrize("n_of_each", [1, 2])
@pytest.mark.parametrize("shape", [(1, 8), (6, 100), (2, 427)], ids=str)
def test_signals_of_any_length_come_back(shape, n_of_each):
    """With as many numbers for each value as are asked for."""
    network, features = Conv(shape), math.prod(shape)
    assert network.encoder(features)(torch.zeros(5, features)).shape == (5, network.width)
    decoder = network.decoder(3, n_of_each * features, n_categories=2)
    assert decoder(torch.zeros(5, 2, 3), torch.arange(2).unsqueeze(0)).shape == (5, 2, n_of_each * features)
    assert all(weight.shape[2] == 1 for weight in network.encoder(features).parameters() if weight.dim() == 4)


def test_a_wide_picture_is_no_signal_at_its_coarsest():
    decoder = Conv((1, 8, 1024)).decoder(3, 8 * 1024)
    assert {tuple(weight.shape[2:]) for weight in decoder.parameters() if weight.dim() == 4} == {(4, 4)}


def test_a_convolution_of_a_signal_is_that_of_its_times():
    """As in one dimension, by 5 taps; and a transposed one, by 4."""
    signal = torch.randn(3, 2, 1, 21).double()
    down, up = GatedConv(2, 4, flat=True).double(), TransposedConv(4, 2, (1, 21), gated=False, flat=True).double()
    both = torch.nn.functional.conv1d(signal[:, :, 0], down.weight[:, :, 0], down.bias, 2, 2)
    features = torch.nn.functional.glu(both, 1)
    torch.testing.assert_close(down(signal)[:, :, 0], features)
    back = torch.nn.functional.conv_transpose1d(features, up.weight[:, :, 0], up.bias, 2, 1)[..., :21]
    torch.testing.assert_close(up(features.unsqueeze(2))[:, :, 0], back)


@pytest.fixture
def decoder() -> torch.nn.Module:
    return SMALL.decoder(3, FEATURES, n_categories=4).double()


def test_both_forms_of_a_category_agree(decoder):
    """Indices for all rows, indices for each row, and one-hot points give the same images; the category matters."""
    z, c = torch.randn(5, 4, 3).double(), torch.arange(4).unsqueeze(0)
    out = decoder(z, c)
    torch.testing.assert_close(decoder(z, c.expand(5, -1)), out, rtol=0, atol=1e-14)
    torch.testing.assert_close(decoder(z, torch.eye(4).double()[c.expand(5, -1)]), out, rtol=0, atol=1e-14)
    assert bool((decoder(z, c.flip(-1)) - out).abs().amax(-1).gt(1e-6).all())


def test_a_relaxed_category_lies_between(decoder):
    """It moves the hidden layer's sums in proportion, and its gradient reaches the point of the simplex."""
    z = torch.randn(5, 2, 3).double()
    c = torch.rand(5, 2, 4).double().softmax(-1).requires_grad_()
    (gradient,) = torch.autograd.grad(decoder(z, c).square().sum(), c)
    assert bool((gradient != 0).all())
    corners = [decoder.first.table[k].expand(5, 2, -1) for k in range(4)]
    mixed = sum(c[..., k, None] * corner for k, corner in enumerate(corners))
    both = z @ decoder.first.weight.T + decoder.first.bias + mixed
    expected = decoder.layers(torch.nn.functional.glu(both, -1).flatten(0, 1)).unflatten(0, (5, 2))
    torch.testing.assert_close(decoder(z, c), expected, rtol=0, atol=1e-14)


def test_without_categories_c_is_ignored():
    decoder = SMALL.decoder(3, FEATURES).double()
    z = torch.randn(5, 2, 3).double()
    assert torch.equal(decoder(z, torch.zeros(5, 2).long()), decoder(z, torch.full((5, 2), 9)))
    assert not any("table" in name for name in decoder.state_dict())


@pytest.mark.parametrize("at_once", [1, 3, 1000])
def test_how_many_at_once_changes_nothing(decoder, monkeypatch, at_once):
    encoder = SMALL.encoder(FEATURES).double()
    y, z, c = torch.rand(5, FEATURES).double(), torch.randn(5, 4, 3).double(), torch.arange(4).unsqueeze(0)
    expected = torch.cat([encoder(row[None]) for row in y]), torch.cat([decoder(row[None], c) for row in z])
    monkeypatch.setattr(convolutions, "AT_ONCE", at_once)
    torch.testing.assert_close((encoder(y), decoder(z, c)), expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("recipe", [recipes.vae, recipes.cpvae])
def test_a_step_reaches_every_weight(recipe):
    """Of a whole model, through the bound; no weight is without a gradient or has one of zeros only."""
    model = recipe(Bernoulli(FEATURES), latent_dim=3, network=SMALL).double()
    y = torch.rand(20, FEATURES).double().round()
    elbo(model, y, Exact()).elbo.mean().backward()
    without = [
        name for name, p in model.named_parameters() if p.requires_grad and (p.grad is None or not bool(p.grad.any()))
    ]
    assert not without


def test_shapes_before_weights():
    """Made without memory, as loading does, then given the weights of another."""
    one = recipes.cpvae(Bernoulli(FEATURES), 4, 3, SMALL)
    with torch.device("meta"):
        other = recipes.cpvae(Bernoulli(FEATURES), 4, 3, SMALL)
    assert all(value.is_meta for value in other.state_dict().values())
    other.load_state_dict(one.state_dict(), assign=True)
    z, c = torch.randn(2, 4, 3), torch.arange(4).unsqueeze(0)
    assert torch.equal(one.decoder(z, c), other.decoder(z, c))


# ---------------------------------------------------------------- mistakes

NO_IMAGES = "network 'conv' was given rows that are no images or signals: expected those; use network 'dense'"
SHAPE = (
    "network 'conv' was given rows of shape {}: expected images (channels, height, width) or signals (channels, time), "
    "height, width and time at least 8; use network 'dense'"
)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (None, NO_IMAGES),
        ((1, 7, 28), SHAPE.format("(1, 7, 28)")),
        ((32, 32, 3), SHAPE.format("(32, 32, 3)")),
        ((28, 7), SHAPE.format("(28, 7)")),
        ((28,), SHAPE.format("(28,)")),
        ((0, 28, 28), SHAPE.format("(0, 28, 28)")),
    ],
    ids=str,
)
def test_what_is_no_image(shape, message):
    with pytest.raises(InputError) as error:
        Conv(shape)
    assert str(error.value) == message


@pytest.mark.parametrize("part", ["encoder", "branch", "decoder"])
def test_rows_of_another_size(part):
    network = Conv((1, 28, 28))
    with pytest.raises(InputError) as error:
        getattr(network, part)(*([40] if part == "decoder" else []), 1569)
    assert str(error.value) == (
        "network 'conv' was given 1569 values a row: expected 784, those of shape (1, 28, 28); use network 'dense'"
    )
