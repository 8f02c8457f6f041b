"""Convolutional networks for images ``(channels, height, width)`` and signals ``(channels, time)``: shapes only.

Rows come flattened and leave flattened, as everywhere else. The non-linearity is the gate of `cpvae.nn.layers` with
convolutions for products, ``(W * x + b) sigmoid(V * x + d)`` (van den Oord et al., 2016; Dauphin et al., 2017).

The encoder halves height and width in each layer. The decoder doubles them with transposed convolutions whose kernel,
4, is a multiple of their stride, 2. So each value away from the edge is met by exactly 2 x 2 taps a channel, and no
uneven overlap draws checkerboards (Odena, Dumoulin and Olah, 2016). Their other remedy, to enlarge the picture before a
3 x 3 convolution, has more than twice the products: 9 a value instead of 4.

A signal is an image of height 1, whose kernels have height 1 as well and whose height is not halved.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cpvae.errors import InputError
from cpvae.nn.layers import GatedLinear, GatedMLP, glorot_, zeros

SMALLEST = 8  # height and width; two layers leave 2 x 2 of it
COARSEST = 8 * 8  # positions; with more, nearly all weights would lie in the linear layers that meet them
DOWN, UP, STRIDE = 5, 4, 2  # kernels of encoder and decoder
GATE = 2.0  # a gate starts at sigmoid(0) = 1/2, so that without this factor each layer would halve the signal
AT_ONCE = 256  # images; bounds memory and stays nearer to a processor's cache, does not change the result


def along(flat: bool, n: int, still: int = 1) -> tuple[int, int]:
    """Give a number for height and width of an image, and `still` in place of the first one for a flat one."""
    return (still if flat else n), n


class GatedConv(nn.Module):
    """Gated convolution that halves an image: ``(B, in_channels, H, W)`` -> ``(B, out_channels, H / 2, W / 2)``.

    Odd sizes are rounded up; a `flat` image keeps its height of 1. The weights are Glorot's: a value counts the inputs
    it is made of and the outputs that an input goes into.

    >>> GatedConv(3, 4)(torch.zeros(2, 3, 28, 27)).shape
    torch.Size([2, 4, 14, 14])
    """

    def __init__(self, in_channels: int, out_channels: int, flat: bool = False):
        super().__init__()
        kernel, self.stride, self.padding = along(flat, DOWN), along(flat, STRIDE), along(flat, DOWN // 2, 0)
        taps, strides = math.prod(kernel), math.prod(self.stride)
        fan_in, fan_out = taps * in_channels, taps * out_channels / strides
        weight = zeros(2 * out_channels, in_channels, *kernel)
        self.weight = nn.Parameter(glorot_(weight, fan_in, fan_out, GATE))
        self.bias = nn.Parameter(zeros(2 * out_channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.glu(F.conv2d(x, self.weight, self.bias, self.stride, padding=self.padding), dim=1)


class TransposedConv(nn.Module):
    """Transposed convolution that doubles an image and cuts off what exceeds `size`, gated or linear.

    Shapes: ``(B, in_channels, H / 2, W / 2)`` -> ``(B, out_channels, H, W)``.

    >>> TransposedConv(4, 3, (28, 27))(torch.zeros(2, 4, 14, 14)).shape
    torch.Size([2, 3, 28, 27])
    """

    def __init__(
        self, in_channels: int, out_channels: int, size: tuple[int, int], gated: bool = True, flat: bool = False
    ):
        super().__init__()
        self.size, self.gated = size, gated
        kernel, self.stride, self.padding = along(flat, UP), along(flat, STRIDE), along(flat, 1, 0)
        taps, strides = math.prod(kernel), math.prod(self.stride)
        fan_in, fan_out = taps * in_channels / strides, taps * out_channels
        halves = 2 if gated else 1
        weight = zeros(in_channels, halves * out_channels, *kernel)
        self.weight = nn.Parameter(glorot_(weight, fan_in, fan_out, GATE if gated else 1.0))
        self.bias = nn.Parameter(zeros(halves * out_channels))

    def forward(self, x: Tensor) -> Tensor:
        height, width = self.size
        x = F.conv_transpose2d(x, self.weight, self.bias, self.stride, self.padding)[..., :height, :width]
        return F.glu(x, dim=1) if self.gated else x


def halved(size: tuple[int, int], layers: int) -> list[tuple[int, int]]:
    """List height and width before and after each of so many layers.

    >>> halved((28, 27), 2)
    [(28, 27), (14, 14), (7, 7)]
    """
    sizes = [size]
    for _ in range(layers):
        height, width = sizes[-1]
        sizes.append((math.ceil(height / STRIDE), math.ceil(width / STRIDE)))
    return sizes


class ConvEncoder(nn.Module):
    """Gated convolutions, then one gated linear layer over all that is left.

    Shapes: rows ``(..., channels * height * width)``; result ``(..., out_features)``.

    Args:
        image_shape: channels, height, width.
        channels: of each convolution.
        out_features: of the linear layer.
    """

    def __init__(self, image_shape: tuple[int, int, int], channels: Sequence[int], out_features: int):
        super().__init__()
        self.image_shape = image_shape
        self.out_features = out_features
        coarsest = halved(image_shape[1:], len(channels))[-1]
        self.layers = nn.Sequential(
            *(GatedConv(a, b, flat=image_shape[1] == 1) for a, b in pairwise([image_shape[0], *channels])),
            nn.Flatten(),
            GatedLinear(channels[-1] * math.prod(coarsest), out_features),
        )

    def forward(self, y: Tensor) -> Tensor:
        images = y.reshape(-1, *self.image_shape)
        features = torch.cat([self.layers(part) for part in images.split(AT_ONCE)])
        return features.reshape(*y.shape[:-1], self.out_features)


class ConvDecoder(nn.Module):
    """A gated linear layer that sees the category, another that lays out a coarse image, then enlargements of it.

    Shapes: z ``(..., latent_dim)``, c as in `cpvae.nn.layers`; result ``(..., channels * height * width)``. With
    ``n_categories = 0`` the category is ignored.

    Args:
        latent_dim: dimensions of z.
        width: of the first linear layer.
        channels: of each image, from the coarsest on; the last enlargement gives the channels of `image_shape`.
        image_shape: channels, height, width.
    """

    def __init__(
        self,
        latent_dim: int,
        width: int,
        channels: Sequence[int],
        image_shape: tuple[int, int, int],
        n_categories: int = 0,
    ):
        super().__init__()
        full, *between, coarsest = halved(image_shape[1:], len(channels))
        flat = image_shape[1] == 1
        self.first = GatedLinear(latent_dim, width, n_categories)
        self.layers = nn.Sequential(
            GatedLinear(width, channels[0] * math.prod(coarsest)),
            nn.Unflatten(1, (channels[0], *coarsest)),
            *(
                TransposedConv(a, b, size, flat=flat)
                for (a, b), size in zip(pairwise(channels), reversed(between), strict=True)
            ),
            TransposedConv(channels[-1], image_shape[0], full, gated=False, flat=flat),
            nn.Flatten(),
        )

    def forward(self, z: Tensor, c: Tensor) -> Tensor:
        hidden = self.first(z, c)
        params = torch.cat([self.layers(part) for part in hidden.flatten(0, -2).split(AT_ONCE)])
        return params.reshape(*hidden.shape[:-1], params.shape[-1])


def as_image_shape(shape: Sequence[int] | None) -> tuple[int, int, int]:
    """Return the shape itself, if it is that of images large enough for `Conv`; that of signals with a height of 1.

    Raises:
        InputError: rows that are neither, images below 8 x 8, or signals of fewer than 8 times.
    """
    if shape is None:
        raise InputError(
            "network 'conv' was given rows that are no images or signals: expected those; use network 'dense'"
        )
    if len(shape) == 2 and shape[0] >= 1 and shape[1] >= SMALLEST:
        return shape[0], 1, shape[1]
    if len(shape) == 3 and shape[0] >= 1 and min(shape[1:]) >= SMALLEST:
        return shape[0], shape[1], shape[2]
    raise InputError(
        f"network 'conv' was given rows of shape {tuple(shape)}: expected images (channels, height, width) or signals "
        f"(channels, time), height, width and time at least {SMALLEST}; use network 'dense'"
    )


@dataclass(frozen=True)
class Conv:
    """A `cpvae.nn.layers.Network` of gated convolutions, the decoder a mirror of the encoder.

    Args:
        image_shape: channels, height, width; at least 8 x 8. Or, of signals, channels and time; at least 8.
        channels: of the convolutions. A large image gets more of them, each with the last number of channels, until
            no more than 8 x 8 positions are left.
        width: of the linear layers between image and code.

    Raises:
        InputError: an image shape that is None or too small; rows with another number of values than the image.

    >>> network = Conv((1, 28, 28))
    >>> network.encoder(784)(torch.zeros(5, 784)).shape
    torch.Size([5, 256])
    >>> network.decoder(40, 784, n_categories=10)(torch.zeros(5, 1, 40), torch.arange(10).expand(5, -1)).shape
    torch.Size([5, 10, 784])
    """

    image_shape: Sequence[int] | None
    channels: Sequence[int] = (16, 32)
    width: int = 256

    def __post_init__(self) -> None:
        as_image_shape(self.image_shape)

    def encoder(self, n_inputs: int) -> ConvEncoder:
        """Build all layers."""
        shape = self._shape(n_inputs)
        return ConvEncoder(shape, self._channels(shape), self.width)

    def branch(self, n_inputs: int) -> ConvEncoder:
        """Build the same layers with half the channels."""
        shape = self._shape(n_inputs)
        return ConvEncoder(shape, [max(1, n // 2) for n in self._channels(shape)], self.width)

    def between(self, n_inputs: int) -> GatedMLP:
        """Build one gated linear layer: codes are no images."""
        return GatedMLP(n_inputs, (self.width,))

    def decoder(self, latent_dim: int, n_outputs: int, n_categories: int = 0, levels: int = 1) -> ConvDecoder:
        """Build the layers in reverse; the codes of several levels enter the first one together."""
        shape = self._shape(n_outputs)
        return ConvDecoder(latent_dim * levels, self.width, self._channels(shape)[::-1], shape, n_categories)

    def _shape(self, n_values: int) -> tuple[int, int, int]:
        """Lay out so many numbers a row, one or several for each value, as channels, height and width."""
        channels, height, width = as_image_shape(self.image_shape)
        size = channels * height * width
        if not n_values or n_values % size:
            raise InputError(
                f"network 'conv' was given {n_values} values a row: expected {size}, those of shape "
                f"{tuple(self.image_shape or ())}; use network 'dense'"
            )
        return n_values // size * channels, height, width

    def _channels(self, shape: tuple[int, int, int]) -> list[int]:
        channels = list(self.channels)
        while math.prod(halved(shape[1:], len(channels))[-1]) > COARSEST:
            channels.append(channels[-1])
        return channels
