"""Random numbers for the rows of a batch, whoever holds the batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

SHARE: ContextVar[tuple[slice, int] | None] = ContextVar("share", default=None)


def draw_rows(shape: torch.Size, draw: Callable[[torch.Size], Tensor]) -> Tensor:
    """Random numbers for the rows of a batch: `draw` of the shape, of which the first dimension counts rows.

    In a block of `cpvae.fitting.devices.world.World.sharing` they are drawn for the rows of all processes, and those
    of this one are given.
    """
    share = SHARE.get()
    if share is None:
        return draw(shape)
    part, n = share
    return draw(torch.Size([n, *shape[1:]]))[part]


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """torch's random state set for the block, and the caller's own put back after it."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield
