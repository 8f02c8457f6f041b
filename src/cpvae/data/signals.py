"""Properties of signals, found without labels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from cpvae.data.rows import Rows

STATIONARY = 0.2  # of the variance at most, that time tells


def share_of_time(rows: Rows, shape: tuple[int, ...]) -> float:
    """Measure which share of the variance of signals the time of a value tells, the mean of the channels.

    It is the share between times of an analysis of variance: of the values, or of how far they are from their mean,
    whichever is larger. Signals that all begin at the same event have a large one: a day at midnight, a word at its
    first sound, or lines that drift away from a level, up or down. Cuttings of something that goes on have a small
    one, steps or a heartbeat: a row could have begun anywhere (the process is stationary).

    Args:
        rows: ``(n, channels * time)``; missing values are left out; read in chunks.
        shape: of a signal, ``(channels, time)``.

    >>> time = torch.linspace(0, 6.28, 50)
    >>> together = torch.sin(time + 0.1 * torch.randn(300, 1))
    >>> anywhere = torch.sin(time + 6.28 * torch.rand(300, 1))
    >>> drifting = time * torch.randn(300, 1)
    >>> [share_of_time(Rows(x.numpy()), (1, 50)) > STATIONARY for x in (together, anywhere, drifting)]
    [True, False, True]
    """

    def signals() -> Iterator[Tensor]:
        return (x.cpu().double().view(-1, *shape) for x in rows.chunks())

    of_values, mean = _share(signals(), shape)
    of_distances, _ = _share(((x - mean).abs() for x in signals()), shape)
    return float(torch.maximum(of_values, of_distances).mean())


def _share(signals: Iterable[Tensor], shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Compute the share of the variance between times, ``(channels,)``, and the mean of all, ``(channels, 1)``."""
    n, total, squares = (torch.zeros(shape, dtype=torch.float64) for _ in range(3))
    for values in signals:
        n += (~values.isnan()).sum(0)
        total += values.nansum(0)
        squares += values.square().nansum(0)
    mean = total.sum(1, keepdim=True) / n.sum(1, keepdim=True)
    between = (n * (total / n.clamp_min(1) - mean).square()).sum(1)
    around = squares.sum(1) - n.sum(1) * mean.squeeze(1).square()
    return (between / around.clamp_min(1e-300)).clamp(0, 1), mean
