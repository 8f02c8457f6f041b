"""Threads of a fit: no more than its work can use.

Threads that share a step wait for the slowest of them several times in it. Beside other busy processes that one is
waiting for a core, so that a small step is slower on two threads than on one.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from threadpoolctl import threadpool_limits

from cpvae.probability.models import VAE

WORK = 100e6  # weights times rows of a step that are worth a thread: ten milliseconds or more of a core
CATEGORIES = 4  # with which a step decodes each row, at most; of more it draws some
ALONE = threading.RLock()  # a comparison of models with restarts is in the block twice


def useful(model: VAE, batch_size: int, features: int) -> int:
    """Count the threads that a training step can use, at least one; the answer depends on the model's size alone.

    Each weight counts once for each row, those of the decoder for each category as well. A kernel of a convolution
    counts for each of the row's `features`, which is an upper bound.
    """

    def multiplications(module: torch.nn.Module) -> int:
        weights = [one for one in module.parameters() if one.dim() > 1]
        return sum(one.numel() * (features if one.dim() > 2 else 1) for one in weights)

    others = min(model.n_categories, CATEGORIES) - 1
    work = batch_size * (multiplications(model) + others * multiplications(model.decoder))
    return max(1, int(work / WORK))


@contextmanager
def at_most(n: int) -> Iterator[None]:
    """Have torch, NumPy and scikit-learn use at most `n` threads in the block, and what they used before after it.

    Where the user has set fewer, it stays so. Other such blocks wait until this one is left.

    >>> with at_most(1):
    ...     torch.get_num_threads()
    1
    """
    with ALONE:
        before = torch.get_num_threads()
        with threadpool_limits(min(n, before)):
            torch.set_num_threads(min(n, before))
            try:
                yield
            finally:
                torch.set_num_threads(before)
