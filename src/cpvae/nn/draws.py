"""All random numbers of fits and samples, drawn from generators of their own.

Inside `seeded` every function here draws from generators that belong to the block, one for each device. So fits and
samples in several threads each have the numbers of their seed, and torch's own random state is left alone. Outside of
it they draw from torch's own generators, as torch's functions do.

Code that can only draw from torch's own state, such as the `sample` of a torch distribution or the constructor of a
layer, runs in `lent`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor
from torch.distributions import Distribution

SHARE: ContextVar[tuple[slice, int] | None] = ContextVar("share", default=None)
_CPU = torch.device("cpu")
_ONE_AT_A_TIME = threading.RLock()  # torch's own random state belongs to the process


class _Generators:
    """One generator for each device, made when it is first asked for."""

    def __init__(self, seed: int):
        self.seed = seed
        self.of: dict[torch.device, torch.Generator] = {}

    def on(self, device: torch.device) -> torch.Generator:
        found = self.of.get(device)
        if found is None:
            found = self.of[device] = torch.Generator(device).manual_seed(self.seed)
        return found


_OWN: ContextVar[_Generators | None] = ContextVar("own", default=None)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw what is drawn within the block from generators of its own, seeded with `seed`.

    >>> def number():
    ...     with seeded(1):
    ...         return normal_(torch.empty(())).item()
    >>> number() == number()
    True
    """
    token = _OWN.set(_Generators(seed))
    try:
        yield
    finally:
        _OWN.reset(token)


def generator(device: torch.device) -> torch.Generator | None:
    """Return the generator to draw from on a device; None, torch's own, outside of `seeded`."""
    own = _OWN.get()
    return None if own is None or device.type == "meta" else own.on(device)


@contextmanager
def lent(device: torch.device = _CPU) -> Iterator[None]:
    """Let torch's own generators, of the CPU and of `device`, go on where those of `seeded` stand, for the block.

    After it they have their former state again. One thread at a time is in such a block.
    """
    own = _OWN.get()
    if own is None:
        yield
        return
    cuda = device.type == "cuda"
    with _ONE_AT_A_TIME, torch.random.fork_rng([device] if cuda else []):
        torch.set_rng_state(own.on(_CPU).get_state())
        if cuda:
            torch.cuda.set_rng_state(own.on(device).get_state(), device)
        token = _OWN.set(None)
        try:
            yield
        finally:
            _OWN.reset(token)
            own.on(_CPU).set_state(torch.get_rng_state())
            if cuda:
                own.on(device).set_state(torch.cuda.get_rng_state(device))


def normal_(x: Tensor) -> Tensor:
    """Fill `x` with standard normal numbers.

    A tensor on the meta device has no numbers; PyTorch would import its compiler, for seconds, to find that out.
    """
    return x if x.is_meta else x.normal_(generator=generator(x.device))


def uniform_(x: Tensor, low: float = 0.0, high: float = 1.0) -> Tensor:
    """Fill `x` with numbers uniform on [low, high)."""
    return x.uniform_(low, high, generator=generator(x.device))


def exponential_(x: Tensor) -> Tensor:
    """Fill `x` with exponential numbers of mean 1."""
    return x.exponential_(generator=generator(x.device))


def bits_(x: Tensor) -> Tensor:
    """Fill `x`, int64, with random bits."""
    return x.random_(-(2**63), None, generator=generator(x.device))


def multinomial(weights: Tensor, n: int) -> Tensor:
    """Draw n indices with these probabilities up to a factor, with replacement: ``(..., K)`` -> int64 ``(..., n)``."""
    return torch.multinomial(weights, n, replacement=True, generator=generator(weights.device))


def sample(distribution: Distribution, device: torch.device, shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
    """Draw from any distribution of torch whose parameters are on `device`."""
    with lent(device):
        drawn: Tensor = distribution.sample(shape)
    return drawn


def draw_rows(shape: torch.Size, draw: Callable[[torch.Size], Tensor]) -> Tensor:
    """Draw random numbers for the rows of a batch: `draw` of the shape, whose first dimension counts rows.

    In a block of `cpvae.fitting.devices.world.World.sharing` they are drawn for the rows of all processes, and those of
    this process are returned.
    """
    share = SHARE.get()
    if share is None:
        return draw(shape)
    part, n = share
    return draw(torch.Size([n, *shape[1:]]))[part]


def state() -> dict[str, Tensor]:
    """Return the states of the generators of the block of `seeded`, by the type of their device: bytes."""
    own = _OWN.get()
    assert own is not None, "in a block of `seeded`"
    own.on(_CPU)
    return {device.type: one.get_state() for device, one in own.of.items()}


def set_state(states: Mapping[str, Tensor], device: torch.device) -> None:
    """Put the generators of the block of `seeded`, of the CPU and of `device`, into states that `state` returned."""
    own = _OWN.get()
    assert own is not None, "in a block of `seeded`"
    for place in {_CPU, device}:
        if place.type in states:
            own.on(place).set_state(states[place.type].cpu())
