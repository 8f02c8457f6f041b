"""Copies of a row: deformed images and signals, which show the same thing, and rows of tables with cells hidden.

A copy is made afresh at every step. Training (`cpvae.fitting.loop`) pulls the category of a copy to that of the row,
and has the code of a start's autoencoder rebuild the row from a copy. Slight copies of images also take the place of
rows. A copy that lacks cells may belong to several categories; q(c | copy) then learns how often each of them is that
of the row.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol, Self

import torch
from torch import Tensor
from torch.nn import functional as F

from cpvae.nn.draws import draw_rows, normal_, uniform_


class Augment(Protocol):
    """Maker of copies of rows as they are stored.

    Attributes:
        kind: of what rows, one of `cpvae.data.row_kinds.KINDS`.
        weight: what the agreement of its copies counts for, as a multiple of what is asked for.
        learned: whether a slight copy is a row as well, which may take the place of one in the bound.
    """

    kind: ClassVar[str]
    weight: ClassVar[float]
    learned: ClassVar[bool]

    def __call__(self, x: Tensor) -> Tensor:
        """Make as many copies, floating, of rows ``(B, features)`` of any numeric dtype."""

    def times(self, factor: float) -> Self:
        """Make deformations so many times as large."""


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

    kind: ClassVar[str] = "images"
    weight: ClassVar[float] = 1.0
    learned: ClassVar[bool] = True
    shape: tuple[int, ...]
    rotation: float = 15.0
    scale: float = 0.12
    shear: float = 0.2
    shift: float = 0.07

    def __call__(self, x: Tensor) -> Tensor:
        """Make copies, floating, of rows ``(B, channels * height * width)`` of any numeric dtype."""
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
        """Make all limits but the shape so many times as wide."""
        rotation, scale, shear, shift = (factor * x for x in (self.rotation, self.scale, self.shear, self.shift))
        return Affine(self.shape, rotation, scale, shear, shift)


@dataclass(frozen=True)
class Shift:
    """Signals moved in time, made larger or smaller about their mean, and blurred by noise, each by its own numbers.

    All channels of a row move together, and none is mixed with another. What comes from before the beginning or after
    the end repeats the value there; a missing value moves with the others.

    Args:
        shape: of a signal, ``(channels, time)``.
        shift: in time, to either side, as a share of the length.
        scale: of a row; 0.1 is from exp(-0.1) to exp(0.1).
        noise: standard deviation of what is added, as a share of that of the row's channel.

    >>> signals = torch.randn(3, 2 * 50)
    >>> Shift((2, 50))(signals).shape
    torch.Size([3, 100])
    >>> torch.allclose(Shift((2, 50), 0, 0, 0)(signals), signals, atol=1e-6)
    True
    """

    kind: ClassVar[str] = "signals"
    weight: ClassVar[float] = 1.0
    learned: ClassVar[bool] = False
    shape: tuple[int, ...]
    shift: float = 0.05
    scale: float = 0.1
    noise: float = 0.05

    def __call__(self, x: Tensor) -> Tensor:
        """Make copies of rows ``(B, channels * time)``, of any numeric dtype; they are floating."""
        x = x if x.is_floating_point() else x.float()
        signals = x.view(-1, *self.shape)
        u = draw_rows(torch.Size([len(x), 2]), lambda size: uniform_(x.new_empty(size), -1.0, 1.0))
        places = self.places(u[:, :1])
        mean = signals.nanmean(2, keepdim=True)
        centred = signals - mean
        spread = centred.square().nanmean(2, keepdim=True).sqrt()
        copies = centred.gather(2, places.unsqueeze(1).expand_as(signals)) * torch.exp(u[:, 1:, None] * self.scale)
        noise = draw_rows(signals.shape, lambda size: normal_(x.new_empty(size)))
        return (mean + copies + self.noise * spread * noise).flatten(1)

    def places(self, u: Tensor) -> Tensor:
        """Say which moment each of a copy is taken from, ``(B, time)``: numbers ``(B, 1)`` from -1 to 1 move it."""
        time = self.shape[1]
        return (torch.arange(time, device=u.device) + (u * self.shift * time).round().long()).clamp(0, time - 1)

    def times(self, factor: float) -> Self:
        """Make the same with all limits but the shape so many times as wide."""
        return replace(self, shift=factor * self.shift, scale=factor * self.scale, noise=factor * self.noise)


@dataclass(frozen=True)
class Roll(Shift):
    """Signals that may begin anywhere: as `Shift`, but what goes out at the end comes in at the beginning.

    >>> signals = torch.randn(3, 2 * 50)
    >>> copies = Roll((2, 50), scale=0, noise=0)(signals).view(3, 2, 50)
    >>> torch.allclose(copies.sort(2).values, signals.view(3, 2, 50).sort(2).values, atol=1e-6)
    True
    """

    shift: float = 0.5

    def places(self, u: Tensor) -> Tensor:
        """Say which moment each of a copy is taken from, ``(B, time)``: by half of the time to either side, around."""
        time = self.shape[1]
        return (torch.arange(time, device=u.device) + (u * self.shift * time).floor().long()) % time

    def times(self, factor: float) -> Self:
        """Make the same with scale and noise so many times as wide: any moment is as likely already."""
        return replace(self, scale=factor * self.scale, noise=factor * self.noise)


@dataclass(frozen=True)
class Hide:
    """Tables with some of their cells hidden, NaN.

    The share of the cells that a copy lacks is uniform from none to all, so that each number of them is as likely as
    any other.

    Args:
        shape: of a row, ``(columns,)``.

    >>> rows = torch.randn(3, 4)
    >>> copies = Hide((4,))(rows)
    >>> bool((copies.isnan() | (copies == rows)).all())
    True
    """

    kind: ClassVar[str] = "table"
    weight: ClassVar[float] = 0.05  # of the default of 20: as much as the bound, from which it takes nothing then
    learned: ClassVar[bool] = False
    shape: tuple[int, ...]

    def __call__(self, x: Tensor) -> Tensor:
        """Make copies of rows ``(B, columns)``, of any numeric dtype; they are floating."""
        x = x if x.is_floating_point() else x.float()
        u = draw_rows(torch.Size([len(x), 1 + x.shape[1]]), lambda size: uniform_(x.new_empty(size)))
        return x.masked_fill(u[:, 1:] < u[:, :1], math.nan)

    def times(self, factor: float) -> Self:
        """Make the same: any share of the cells is as likely already."""
        return self


AUGMENTS: dict[str, type[Affine] | type[Shift] | type[Roll] | type[Hide]] = {  # made from the shape of a row
    "affine": Affine,
    "shift": Shift,
    "roll": Roll,
    "hide": Hide,
}
