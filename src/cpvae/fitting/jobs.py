"""Many fits side by side: named, each in a process of its own on one thread, told as they end.

Restarts, a comparison, a choice of the number of components and a reproduction all are lists of `Job`s for `run`. A
job's work finds out by itself whether its folder holds a run to go on with (`cpvae.fitting.runs.begun`), so that what
was stopped goes on where it stopped.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import chdir, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic, TypeVar

import joblib
import torch
from joblib.externals.loky import get_reusable_executor

from cpvae.errors import FitWarning, InputError
from cpvae.fitting.devices.threads import at_most

R = TypeVar("R")
LOOK_EVERY = 1.0  # seconds
MOST = 10_000  # fits in one call; more are a slip of the finger


@dataclass(frozen=True)
class Job(Generic[R]):
    """One piece of work of several.

    Attributes:
        name: tells it from the others; the name of its folder, where it has one.
        work: does it, and gives what is to be kept of it. It goes to another process, so it is a function of a module,
            with its arguments bound by `functools.partial`.
    """

    name: str
    work: Callable[[], R]


@dataclass(frozen=True)
class Done(Generic[R]):
    """A job that ended.

    Attributes:
        name: of the job.
        value: what its work gave; None where it was refused.
        refused: why, in one line; empty where it went well.
        warnings: the `FitWarning`s of its work, in order. They are not shown.
    """

    name: str
    value: R | None
    refused: str = ""
    warnings: tuple[str, ...] = ()

    def result(self) -> R:
        """Give what the work gave.

        Raises:
            InputError: it was refused.
        """
        if self.refused:
            raise InputError(self.refused)
        return self.value  # type: ignore[return-value]


def run(
    jobs: Sequence[Job[R]],
    n_jobs: int | None = None,
    *,
    told: Callable[[Done[R]], None] = lambda done: None,
    what: str = "a fit",
    advice: str = "ask for fewer at a time",
    refuse: bool = True,
    backend: str | None = None,
) -> list[Done[R]]:
    """Do all jobs, several at a time.

    Each job has one thread, since sums in more round differently: it gives the same bits whatever runs beside it. It
    works in the folder that the caller is in. Inside ``joblib.parallel_config(backend=...)`` jobs run where that
    backend says.

    Args:
        n_jobs: how many at a time; None is `at_a_time()`.
        told: called with each job as it ends, in the order of their ends.
        what: names one of the jobs, and advice: says what to do, should the system kill its process.
        refuse: stop at the first job that is refused. Otherwise all others are done first, and `Done.refused` says
            which were not.
        backend: of joblib.

    Returns:
        What they left, in the order of the jobs.

    Raises:
        InputError: a job was refused, or its process was killed.
        KeyboardInterrupt: Ctrl-C or SIGTERM; jobs that were running are stopped.

    Examples:
        >>> from functools import partial
        >>> jobs = [Job(f"power{i}", partial(pow, 2, i)) for i in range(3)]
        >>> [(done.name, done.result()) for done in run(jobs, n_jobs=1)]
        [('power0', 1), ('power1', 2), ('power2', 4)]
    """
    found: dict[int, Done[R]] = {}
    here = os.getcwd()  # workers live on between calls, in the folder that they were started in
    tasks = (joblib.delayed(_do)(i, job, here) for i, job in enumerate(jobs))
    n = at_a_time(n_jobs, len(jobs))
    try:
        with _stops(), _closed(joblib.Parallel(n, backend=backend, return_as="generator_unordered")(tasks)) as ended:
            for i, done in ended:
                found[i] = done
                if refuse:
                    done.result()
                told(done)
    except BrokenProcessPool as error:
        raise InputError(f"the process of {what} was killed, most likely for want of memory; {advice}") from error
    except BaseException:
        if n > 1:
            _end_workers()
        raise
    return [found[i] for i in range(len(jobs))]


def at_a_time(n_jobs: int | None, most: int, device: str = "auto") -> int:
    """Say how many jobs to do at a time: as asked, else one for each core, and one where they compute on a GPU.

    >>> at_a_time(4, most=3)
    3
    """
    on_gpu = device.startswith("cuda") or (device == "auto" and torch.cuda.is_available())
    return max(1, min(n_jobs or (1 if on_gpu else joblib.effective_n_jobs(-1)), most))


def check_number(n_fits: int) -> None:
    """Refuse more fits than anybody waits for.

    Raises:
        InputError: more than 10,000.
    """
    if n_fits > MOST:
        raise InputError(f"{n_fits:,} fits: expected at most {MOST:,}; ask for fewer seeds, components or models")


def _do(i: int, job: Job[R], folder: str) -> tuple[int, Done[R]]:
    """Do one job, in a folder, on one thread."""
    _end_with_parent()
    value, refused = None, ""
    with chdir(folder), at_most(1), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", FitWarning)
        try:
            value = job.work()
        except InputError as error:
            refused = str(error)
    said = tuple(str(one.message) for one in caught if issubclass(one.category, FitWarning))
    return i, Done(job.name, value, refused, said)


@cache
def _end_with_parent() -> None:
    """End this process soon after the one that started it, should that be killed: nobody waits for its jobs."""
    parent, number = multiprocessing.parent_process(), os.getppid()
    if parent is None or parent.pid != number:  # not a worker, or one of a backend that starts them in another way
        return

    def watch() -> None:
        while os.getppid() == number:
            time.sleep(LOOK_EVERY)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _stops() -> Iterator[None]:
    """Have SIGTERM stop the block as Ctrl-C does, where this thread may say so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


@contextmanager
def _closed(ended: Generator[Any, None, None]) -> Iterator[Generator[Any, None, None]]:
    """Begin no more jobs after the block; joblib would warn of those that are left, which are meant to be."""
    try:
        yield ended
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            ended.close()


def _end_workers() -> None:
    """End the processes of joblib, which would otherwise wait for more work and complain of what they hold."""
    with suppress(Exception):
        get_reusable_executor().shutdown(wait=True, kill_workers=True)
