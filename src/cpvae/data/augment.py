"""Copies of an image that show the same thing: what its category should not depend on.

A copy is made afresh at every step. Training (`cpvae.fitting.loop`) pulls the category of a copy to that of the image,
and has the code of a start's autoencoder rebuild the image from a copy.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, Self

import torch
from torch import Tensor
from torch.nn import functional as F

from cpvae.nn.draws import draw_rows, uniform_


class Augment(Protocol):
    """Makes copies of rows as they are stored."""

    def __call__(self, x: Tensor) -> Tensor:
        """Rows ``(B, features)``, of any numeric dtype, to as many copies, floating."""

    def times(self, factor: float) -> Self:
        """The same with deformations so many times as large."""


@dataclass(frozen=True)
class Affine:
    """Images turned, scaled, sheared and shifted a little, each by numbers of its own, uniform within these limits.

    Between the pixels of the image values are interpolated; what comes from outside of it repeats its edge.

    Args:
        shape: of an image, ``(channels, height, width)``.
        rotation: degrees to either side.
        scale: of each axis; 0.2 is from exp(-0.2) to exp(0.2).
        shear: of the rows against each other, as a tangent.
        shift: of each axis, as a share of the image.

    >>> images = torch.rand(3, 28 * 28)
    >>> copies = Affine((1, 28, 28))(images)
    >>> copies.shape, bool(copies.min() >= 0 and copies.max() <= 1)
    (torch.Size([3, 784]), True)
    >>> torch.allclose(Affine((1, 28, 28), 0, 0, 0, 0)(images), images, atol=1e-5)
    True
    """

    shape: tuple[int, ...]
    rotation: float = 15.0
    scale: float = 0.12
    shear: float = 0.2
    shift: float = 0.07

    def __call__(self, x: Tensor) -> Tensor:
        """Rows ``(B, channels * height * width)``, of any numeric dtype, to copies of them, floating."""
        channels, height, width = self.shape
        x = x if x.is_floating_point() else x.float()
        u = draw_rows(torch.Size([len(x), 6]), lambda size: uniform_(x.new_empty(size), -1.0, 1.0))
        angle, shear = u[:, 0] * math.radians(self.rotation), u[:, 3] * self.shear
        along, across = torch.exp(u[:, 1] * self.scale), torch.exp(u[:, 2] * self.scale)
        cos, sin = angle.cos(), angle.sin()
        matrix = torch.stack(
            [cos * along, (shear * cos - sin) * across, sin * along, (shear * sin + cos) * across], 1
        ).view(-1, 2, 2)
        # Where each pixel of a copy comes from, in coordinates from -1 to 1.
        rows, columns = (1 - torch.arange(1, 2 * n, 2, device=x.device, dtype=x.dtype) / n for n in (height, width))
        places = -torch.stack([columns.expand(height, width), rows.unsqueeze(1).expand(height, width)]).flatten(1)
        grid = torch.baddbmm(2 * self.shift * u[:, 4:].unsqueeze(2), matrix, places.expand(len(x), -1, -1))
        grid = grid.transpose(1, 2).view(-1, height, width, 2)
        images = x.view(-1, channels, height, width)
        return F.grid_sample(images, grid, padding_mode="border", align_corners=False).flatten(1)

    def times(self, factor: float) -> Affine:
        """The same with all limits but the shape so many times as wide."""
        rotation, scale, shear, shift = (factor * x for x in (self.rotation, self.scale, self.shear, self.shift))
        return Affine(self.shape, rotation, scale, shear, shift)


# From the shape of images to what makes copies of them.
AUGMENTS: dict[str, Callable[[tuple[int, ...]], Augment]] = {"affine": Affine}
