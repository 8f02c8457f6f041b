"""Several processes that train one model, each on its share of every batch.

`torchrun` starts them and says so in the environment. What they have to agree on is added up over all of them
(`World.sum`, `World.any`) or is what the first of them found (`World.first`, `World.copy`); everything else each works
out for itself from the same numbers. The noise of a step is drawn for the whole batch, of which a process keeps that of
its rows (`draw_rows`). So a run is the same, up to rounding, with any number of processes, and can be resumed with
another number; of N processes each draws N times the noise it needs, which is cheap beside the networks.
"""

from __future__ import annotations

import atexit
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

import torch
from torch import Tensor, distributed

from cpvae.errors import InputError
from cpvae.fitting.devices.rank import check_environment, n_processes
from cpvae.nn.draws import SHARE

T = TypeVar("T")
_HELD: list[Tensor] = []  # the last tensor exchanged


@dataclass(frozen=True)
class World:
    """The processes that train together; a world of one does nothing.

    >>> World().part(7), [World(rank, 3).part(7) for rank in range(3)]
    (slice(0, 7, None), [slice(0, 2, None), slice(2, 4, None), slice(4, 7, None)])
    """

    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        """Tell whether this process writes files."""
        return self.rank == 0

    def part(self, n: int) -> slice:
        """Say which of n rows are for this process; none, where there are fewer rows than processes."""
        return slice(n * self.rank // self.size, n * (self.rank + 1) // self.size)

    def batch(self, n: int) -> tuple[slice, bool]:
        """Say which of n rows are for this process, and whether they count.

        A process without rows gets row 0 and a flag that leaves it out of every sum: an empty batch cannot be run.
        """
        part = self.part(n)
        return (part, True) if part.start < part.stop else (slice(0, 1), False)

    @contextmanager
    def sharing(self, n: int) -> Iterator[None]:
        """Have `draw_rows` draw for a batch of n rows and give those of this process, for the block."""
        token = SHARE.set(None if self.size == 1 else (self.batch(n)[0], n))
        try:
            yield
        finally:
            SHARE.reset(token)

    def sum(self, *tensors: Tensor) -> None:
        """Add up each tensor over the processes, in place, all of them in one exchange."""
        if self.size == 1:
            return
        joined = torch.cat([tensor.detach().reshape(-1) for tensor in tensors])
        _held(distributed.all_reduce, joined)
        for tensor, total in zip(tensors, joined.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.detach().copy_(total.view_as(tensor))

    def any(self, flag: bool) -> bool:
        """Say whether the flag of any process is set; none goes on before all have asked."""
        if self.size == 1:
            return flag
        raised = torch.tensor(float(flag))
        _held(distributed.all_reduce, raised)
        return bool(raised)

    def copy(self, *tensors: Tensor) -> None:
        """Make each tensor, in place, that of the first process."""
        if self.size == 1:
            return
        for tensor in tensors:
            # as bytes: gloo does not know every kind of number
            _held(distributed.broadcast, tensor.detach().view(-1).view(torch.uint8), 0)

    def first(self, function: Callable[[], T]) -> T:
        """Call a function in the first process and give its result to all, as JSON has it; its errors are everybody's.

        Raises:
            InputError: in the other processes whatever the first one raised.
        """
        if self.size == 1:
            return function()
        self.any(False)
        told, failure = b"", None
        if self.is_main:
            try:
                told = json.dumps([function(), None]).encode()
            except Exception as error:
                told, failure = json.dumps([None, str(error)]).encode(), error
        size = torch.tensor(len(told))
        self.copy(size)
        letters = torch.tensor(list(told), dtype=torch.uint8) if self.is_main else torch.empty(int(size)).byte()
        self.copy(letters)
        if failure is not None:
            raise failure
        value, refused = json.loads(bytes(letters.tolist()))
        if refused is not None:
            raise InputError(refused)
        return value

    def check_device(self, device: torch.device) -> None:
        """Refuse several processes on one GPU.

        Raises:
            InputError: naming both numbers.
        """
        if self.size == 1 or device.type != "cuda":
            return
        here, gpus = int(os.environ.get("LOCAL_WORLD_SIZE", self.size)), torch.cuda.device_count()
        if here > gpus:
            raise InputError(
                f"{here} processes for {gpus} GPU{'s' * (gpus != 1)}: expected one for each; start {gpus} with "
                "torchrun --nproc-per-node, or use device 'cpu'"
            )


def _held(exchange: Callable[..., object], tensor: Tensor, *arguments: int) -> None:
    """Exchange a tensor, and keep it until the next exchange.

    Otherwise gloo's thread may be the last to hold it, and freeing what Python knows needs Python's lock, which at the
    end of the interpreter is no longer given: the process would abort.

    Raises:
        InputError: another of the processes is no longer there.
    """
    try:
        exchange(tensor, *arguments)
    except RuntimeError as error:
        raise InputError(
            f"another of the {world().size} processes that train together has ended: expected all until the end of the "
            "fit; a run folder keeps what was saved last, at most a minute before: continue it with resume (--resume)"
        ) from error
    _HELD[:] = [tensor]


@cache
def world() -> World:
    """Connect the processes that `torchrun` started with this one, at the first call; without it, this one is alone.

    Raises:
        InputError: the environment does not say which of the processes this is.
    """
    check_environment()
    if n_processes() == 1:
        return World()
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    if not distributed.is_initialized():
        distributed.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo")
        atexit.register(distributed.destroy_process_group)
    return World(distributed.get_rank(), distributed.get_world_size())
