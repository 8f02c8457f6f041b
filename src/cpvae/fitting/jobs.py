"""Work in several processes on this machine, each on one thread."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import chdir, contextmanager
from functools import partial
from typing import Any, ParamSpec, TypeVar

import joblib
import torch
from joblib.externals.loky.process_executor import TerminatedWorkerError
from threadpoolctl import threadpool_limits

from cpvae.errors import InputError

P = ParamSpec("P")
R = TypeVar("R")
ALONE = threading.RLock()  # a comparison of models with restarts is in the block twice


@contextmanager
def one_thread() -> Iterator[None]:
    """A block in which torch, NumPy and scikit-learn use one thread; other blocks wait until it is left."""
    with ALONE, threadpool_limits(1):
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def here(function: Callable[P, R]) -> Callable[P, Any]:
    """`joblib.delayed` for a function that reads or writes files: in the folder that this process is in now.

    Workers live on between calls, in the folder that they were started in.
    """
    delayed: Callable[P, Any] = joblib.delayed(partial(_in_folder, os.getcwd(), function))
    return delayed


def _in_folder(folder: str, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    with chdir(folder):
        return function(*args, **kwargs)


def unordered(tasks: Iterable[Any], n_jobs: int, what: str, advice: str, backend: str | None = None) -> Iterator[Any]:
    """What tasks made by `here` return, `n_jobs` at a time, as they end.

    Args:
        what: one of them is called, and advice: what to do, should the system kill its process.

    Raises:
        InputError: it did.
    """
    try:
        yield from joblib.Parallel(n_jobs, backend=backend, return_as="generator_unordered")(tasks)
    except TerminatedWorkerError as error:
        raise InputError(f"the process of {what} was killed, most likely for want of memory; {advice}") from error
