"""Edges of pictures: in which directions brightness changes, in each part of a picture."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

DIRECTIONS = 9  # of edges, over half a turn
PARTS = 8  # of a picture, along its shorter side
LEAST_PART = 2  # pixels of a part along a side
FAINT = 0.01  # of the mean edge of a picture: around fainter ones there is nothing to compare them with


def part_side(shape: tuple[int, ...]) -> int:
    """Choose the side of the parts of pictures ``(channels, height, width)``, in pixels.

    >>> part_side((1, 28, 28)), part_side((1, 8, 8)), part_side((3, 64, 48)), part_side((1, 1, 30))
    (4, 2, 6, 1)
    """
    return min(max(LEAST_PART, round(min(shape[1:]) / PARTS)), *shape[1:])


def histograms(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Compute the histograms of oriented gradients of pictures (Dalal and Triggs, 2005).

    A histogram says how strong the edges of each direction are in a part of a picture, beside those of the parts
    around it. So it does not depend on how bright a part is, nor on which of two sides of an edge is the dark one.

    Args:
        x: pictures as rows, ``(m, channels * height * width)``, in any unit.
        shape: ``(channels, height, width)``. Of several channels, the one with the strongest edge counts for a pixel.

    Returns:
        One row for each picture, ``(m, 9 * parts)``.

    >>> stripes = torch.tensor([0.0, 0.0, 1.0, 1.0]).repeat(8, 2)  # of an upright grating
    >>> found = histograms(torch.stack([stripes, stripes.T]).view(2, 64), (1, 8, 8)).view(2, 9, 16).sum(-1)
    >>> found.argmax(1).tolist()  # 0 for edges that stand; 4 and 5, around half of a half turn, for edges that lie
    [0, 4]
    """
    pictures = x.reshape(-1, *shape).float()
    across, down = torch.zeros_like(pictures), torch.zeros_like(pictures)
    across[..., 1:-1] = pictures[..., 2:] - pictures[..., :-2]
    down[..., 1:-1, :] = pictures[..., 2:, :] - pictures[..., :-2, :]
    strength = torch.hypot(across, down)
    strongest = strength.argmax(1, keepdim=True)
    across, down, strength = (one.gather(1, strongest) for one in (across, down, strength))
    direction = (torch.atan2(down, across) % math.pi) * (DIRECTIONS / math.pi)
    below = direction.floor()
    share = direction - below
    below = below.long() % DIRECTIONS
    votes = strength.new_zeros(len(pictures), DIRECTIONS, *shape[1:])
    votes.scatter_add_(1, below, strength * (1.0 - share))
    votes.scatter_add_(1, (below + 1) % DIRECTIONS, strength * share)
    parts = avg_pool2d(votes, part_side(shape))
    power = parts.square().sum(1, keepdim=True)
    around = avg_pool2d(pad(power, (1, 1, 1, 1), mode="replicate"), 3, stride=1).sqrt()
    faint = FAINT * strength.mean((1, 2, 3), keepdim=True)
    return (parts / (around + faint).clamp(min=torch.finfo(parts.dtype).tiny)).flatten(1)
