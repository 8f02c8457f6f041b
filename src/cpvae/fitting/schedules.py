"""Numbers that change while a model trains: functions of the step, a number or a tensor without dimensions.

A tensor gives a tensor: a recorded step of training (`cpvae.fitting.devices.capture`) needs it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from torch import Tensor

Schedule = Callable[[Any], Any]


def constant(value: float) -> Schedule:
    """Make a schedule of the same value at every step."""
    return lambda step: value


def linear_warmup(n_steps: int, top: float = 1.0) -> Schedule:
    """Make a schedule that goes from 0 to `top` in `n_steps` and stays there (Bowman et al., 2016).

    >>> [linear_warmup(4)(step) for step in (0, 1, 4, 9)]
    [0.0, 0.25, 1.0, 1.0]
    """
    if not n_steps:
        return constant(top)

    def value(step: Any) -> Any:
        share = step / n_steps
        return top * (share.clamp(max=1.0) if isinstance(share, Tensor) else min(1.0, share))

    return value


def linear_fall(top: float, n_steps: int) -> Schedule:
    """Make a schedule that goes from `top` to 0 in `n_steps` and stays there.

    >>> [linear_fall(0.5, 4)(step) for step in (0, 1, 4, 9)]
    [0.5, 0.375, 0.0, 0.0]
    """

    def value(step: Any) -> Any:
        left = 1.0 - step / max(1, n_steps)
        return top * (left.clamp(min=0.0) if isinstance(left, Tensor) else max(0.0, left))

    return value


def half_cosine(start: int, stop: int, floor: float = 0.01) -> Schedule:
    """Make a schedule of 1 until `start`, then along a cosine to `floor` at `stop` (Loshchilov and Hutter, 2017).

    >>> [round(half_cosine(10, 20, floor=0.0)(step), 2) for step in (0, 10, 15, 20, 30)]
    [1.0, 1.0, 0.5, 0.0, 0.0]
    """

    def value(step: float) -> float:
        done = min(1.0, max(0.0, (step - start) / max(1, stop - start)))
        return floor + (1.0 - floor) * 0.5 * (1.0 + math.cos(math.pi * done))

    return value


def one_cycle(warmup: int, stop: int, floor: float = 0.001) -> Schedule:
    """Make a schedule from 0 to 1 in `warmup` steps, then along a cosine to `floor` at `stop` (Smith and Topin, 2019).

    >>> [round(one_cycle(10, 20, floor=0.0)(step), 2) for step in (0, 5, 10, 15, 20)]
    [0.1, 0.6, 1.0, 0.5, 0.0]
    """
    down = half_cosine(warmup, stop, floor)
    return lambda step: min((step + 1) / max(1, warmup), 1.0) * down(step)


def exponential(start: float, rate: float, floor: float) -> Schedule:
    """Make the temperature schedule ``max(floor, start * exp(-rate * step))`` of Jang, Gu and Poole (2017).

    >>> exponential(1.0, 0.1, 0.5)(100)
    0.5
    """

    def value(step: Any) -> Any:
        if isinstance(step, Tensor):
            return (start * (-rate * step).exp()).clamp_min(floor)
        return max(floor, start * math.exp(-rate * step))

    return value
