"""Many fits side by side: named, each in a process of its own on one thread, told as they end.

Restarts, a comparison, a choice of the number of components and a reproduction all are lists of `Job`s for `run`. A
job's work finds out by itself whether its folder holds a run to go on with (`cpvae.fitting.runs.begun`), so that what
was stopped goes on where it stopped.

joblib does the jobs: in processes of this machine, or where the block of a `joblib.parallel_config` says, such as on a
cluster of Dask or Ray. A cluster begins a job again whose worker was killed, and the job goes on where it stopped.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, chdir, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic, TypeVar

import joblib
import torch
from joblib.externals.loky import get_reusable_executor
from joblib.parallel import get_active_backend

from cpvae.errors import FitWarning, InputError, one_line
from cpvae.extras import needed
from cpvae.fitting.devices.threads import at_most

R = TypeVar("R")
LOOK_EVERY = 1.0  # seconds
MOST = 10_000  # fits in one call; more are a slip of the finger
WITHIN = ContextVar("WITHIN", default=False)  # whether a job is being done here
KILLED = {  # errors by which backends tell that a worker was killed: of loky, Dask and Ray
    *("BrokenProcessPool", "TerminatedWorkerError", "KilledWorker"),
    *("RayActorError", "WorkerCrashedError", "OutOfMemoryError"),
}


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
) -> list[Done[R]]:
    """Do all jobs, several at a time.

    Each job has one thread, since sums in more round differently: it gives the same bits whatever runs beside it. It
    works in the folder that the caller is in, which all workers need to have. Jobs run on the backend of joblib that is
    active (`on_backend`, ``joblib.parallel_config``).

    Args:
        n_jobs: how many at a time; None is `at_a_time()`.
        told: called with each job as it ends, in the order of their ends.
        what: names one of the jobs, and advice: says what to do, should the system kill its process.
        refuse: stop at the first job that is refused. Otherwise all others are done first, and `Done.refused` says
            which were not.

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
    one_by_one = get_active_backend()[0].supports_return_generator
    # a cluster has as many in hand as it has cores, unless it is given fewer
    parallel = joblib.Parallel(n, pre_dispatch=n, return_as="generator_unordered" if one_by_one else "list")
    try:
        with _stops(), _closed(parallel(tasks) if one_by_one else (one for one in parallel(tasks))) as ended:
            for i, done in ended:
                found[i] = done
                if refuse:
                    done.result()
                told(done)
    except BaseException as error:
        if n > 1:
            _end_workers()
        if KILLED & {cls.__name__ for cls in type(error).__mro__}:
            raise InputError(f"the process of {what} was killed, most likely for want of memory; {advice}") from error
        raise
    return [found[i] for i in range(len(jobs))]


@contextmanager
def on_backend(name: str | None) -> Iterator[None]:
    """Do jobs in a block on a backend of joblib by name.

    Args:
        name: "dask" is the cluster that `DASK_SCHEDULER_ADDRESS` names, "ray" the one that `RAY_ADDRESS` names. Without
            an address either is a cluster on this machine, which ends with the block. None is joblib's own backend,
            processes on this machine.

    Raises:
        InputError: joblib has no such backend, or the package or the cluster behind it is missing.
    """
    with ExitStack() as stack:
        if name == "dask":
            stack.enter_context(_dask())
        elif name == "ray":
            stack.enter_context(_ray())
        try:
            config = None if name is None else joblib.parallel_config(backend=name)
        except (ValueError, ImportError, RuntimeError) as error:
            raise InputError(
                f"backend {name!r} cannot be used ({one_line(error)}); install and start what it needs, or leave "
                "--backend out"
            ) from error
        if config is not None:
            stack.enter_context(config)
        yield


@contextmanager
def _dask() -> Iterator[None]:
    """Have a client of Dask: the one that there is, or a new one."""
    with needed("backend 'dask'"):
        import dask
        from distributed import Client, LocalCluster, get_client
    with suppress(ValueError):
        get_client()
        yield
        return
    address = dask.config.get("scheduler-address", None)
    try:
        cluster = address or LocalCluster(threads_per_worker=1, n_workers=joblib.cpu_count(), dashboard_address=None)
        client = Client(cluster)
    except OSError as error:
        raise InputError(
            f"DASK_SCHEDULER_ADDRESS={address!r}: {one_line(error)}; expected the address of a scheduler that runs, "
            "such as tcp://host:8786; start it, or unset the variable"
        ) from error
    with client:
        try:
            yield
        finally:
            if not isinstance(cluster, str):
                cluster.close()


@contextmanager
def _ray() -> Iterator[None]:
    """Have a cluster of Ray: the one that there is, or a new one."""
    with needed("backend 'ray'"):
        import ray
        from ray.util.joblib import register_ray
    register_ray()
    own = not ray.is_initialized()
    if own:
        try:
            ray.init(logging_level="error", log_to_driver=False, include_dashboard=False)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise InputError(
                f"RAY_ADDRESS={os.environ.get('RAY_ADDRESS')!r}: {one_line(error)}; expected the address of a cluster "
                "that runs; start it, or unset the variable"
            ) from error
    try:
        yield
    finally:
        if own:
            ray.shutdown()


def at_a_time(n_jobs: int | None, most: int, device: str = "auto") -> int:
    """Say how many jobs to do at a time: as asked, else one for each core of this machine, or of the cluster.

    One is done at a time where they compute on a GPU, and within a job: others run beside that already.

    >>> at_a_time(4, most=3)
    3
    """
    on_gpu = device.startswith("cuda") or (device == "auto" and torch.cuda.is_available())
    within = WITHIN.get() or multiprocessing.parent_process() is not None
    return max(1, min(n_jobs or (1 if on_gpu or within else joblib.effective_n_jobs(-1)), most))


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
    if not os.path.isdir(folder):
        refused = f"{folder} is not there on {socket.gethostname()}: expected a folder that all workers share; start "
        return i, Done(job.name, None, f"{refused}them where they have the same files, or work in another folder")
    with at_most(1), chdir(folder), _within(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", FitWarning)
        try:
            value = job.work()
        except InputError as error:
            refused = str(error)
    said = tuple(str(one.message) for one in caught if issubclass(one.category, FitWarning))
    return i, Done(job.name, value, refused, said)


@contextmanager
def _within() -> Iterator[None]:
    token = WITHIN.set(True)
    try:
        yield
    finally:
        WITHIN.reset(token)


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
