"""Fits of one model from several seeds, side by side in processes where there are cores for them.

On a CPU that beats one model with a dimension for restarts: `benchmarks/stacked.py` has both. Each of several restarts
has one thread, since sums in more round differently: it gives the same bits whatever runs beside it.
"""

from __future__ import annotations

import multiprocessing
import signal
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import joblib
import numpy as np
from sklearn.metrics import adjusted_rand_score

from cpvae.data.augment import Augment
from cpvae.data.rows import Rows
from cpvae.errors import FitWarning
from cpvae.fitting.devices.world import world
from cpvae.fitting.jobs import here, one_thread, unordered
from cpvae.fitting.loop import CHECKPOINT, HISTORY, train
from cpvae.fitting.progress import Reporter, Silent
from cpvae.fitting.records import Interrupted, Outcome
from cpvae.fitting.runs import held
from cpvae.fitting.settings import Settings
from cpvae.fitting.starts.task import Start, Task
from cpvae.probability.expectations import Expectation
from cpvae.probability.models import VAE

WORTH = 2000  # steps of a fit from which on the seconds that a process takes to begin do not matter


@dataclass(frozen=True)
class Restart:
    """All of a fit but its rows.

    Attributes:
        model: with its first weights; training changes them.
        maker: finds the start.
        folder: for history and checkpoints; None keeps nothing.
        label: told to the user.
        augment: makes copies of rows.
    """

    model: VAE
    n_components: int
    maker: Start
    expectation: Expectation
    settings: Settings
    folder: Path | None
    resume: bool
    label: str = ""
    augment: Augment | None = None

    def run(self, rows: Rows, valid: Rows, reporter: Reporter) -> tuple[VAE, Outcome]:
        """Find a start, then train; the model and how it went."""
        start, seconds = None, 0.0
        going_on = self.resume and self.folder is not None and (self.folder / CHECKPOINT).exists()
        if self.folder is not None and world().is_main:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not going_on:
                (self.folder / HISTORY).unlink(missing_ok=True)
        likelihood = self.model.likelihood
        if not going_on:
            settings = self.settings
            task = Task(
                rows=rows,
                valid=valid,
                likelihood=likelihood,
                n_components=self.n_components,
                seed=settings.seed,
                augment=self.augment,
                precision=settings.precision,
                on_epoch=reporter.epoch,
            )
            if self.maker.epochs(task):
                reporter.phase(f"finding a start{self.label}", self.maker.epochs(task))
            began = time.perf_counter()
            start = self.maker(task)
            seconds = time.perf_counter() - began
            if start is not None:
                world().copy(start)
        reporter.phase(f"fitting{self.label}", self.settings.max_epochs)
        outcome = train(
            self.model,
            rows,
            likelihood.fixed(valid),
            self.expectation,
            self.settings,
            start=start,
            start_seconds=seconds,
            augment=self.augment,
            folder=self.folder,
            resume=self.resume,
            on_epoch=reporter.epoch,
        )
        return self.model, outcome


def run_all(restarts: Sequence[Restart], rows: Rows, valid: Rows, reporter: Reporter) -> list[tuple[VAE, Outcome]]:
    """Each restart's model and outcome, in order.

    A single one has all threads. Of several, as many run at a time as there are cores, if they are long enough; where
    processes train together (`cpvae.fitting.devices.world`), one after the other.

    Raises:
        Interrupted: Ctrl-C or SIGTERM; what has a folder can go on from there.
    """
    if len(restarts) == 1 or world().size > 1:
        return [restart.run(rows, valid, reporter) for restart in restarts]
    settings = restarts[0].settings
    steps = settings.max_epochs * -(-len(rows) // settings.batch_size)
    n_jobs = min(joblib.effective_n_jobs(-1), len(restarts))
    in_worker = multiprocessing.parent_process() is not None
    if n_jobs == 1 or in_worker or steps < WORTH or rows.device.type != "cpu":
        with one_thread():
            return [restart.run(rows, valid, reporter) for restart in restarts]
    return _side_by_side(restarts, rows, valid, reporter, n_jobs)


def _side_by_side(
    restarts: Sequence[Restart], rows: Rows, valid: Rows, reporter: Reporter, n_jobs: int
) -> list[tuple[VAE, Outcome]]:
    """`run_all` in processes."""
    found: dict[int, tuple[VAE, Outcome]] = {}
    reporter.phase(f"{len(restarts)} restarts, {n_jobs} at a time", len(restarts))
    tasks = (here(_run_apart)(i, restart, rows, valid) for i, restart in enumerate(restarts))
    advice = "fit with n_init=1, and other values of random_state one after the other"
    try:
        with _stops():
            for i, fit, said in unordered(tasks, n_jobs, "a restart", advice, backend="loky"):
                found[i] = fit
                for message in said:
                    warnings.warn(message, FitWarning, stacklevel=4)
                if fit[1].history:
                    reporter.epoch(replace(fit[1].history[-1], epoch=len(found)))
    except KeyboardInterrupt as error:
        raise Interrupted(restarts[0].folder and restarts[0].folder.parent) from error
    return [found[i] for i in range(len(restarts))]


def _run_apart(i: int, restart: Restart, rows: Rows, valid: Rows) -> tuple[int, tuple[VAE, Outcome], list[str]]:
    """One restart in a process of its own, with what it warned of.

    It has its folder for itself: should the process that asked for it be killed, this one goes on for a while.
    """
    alone = nullcontext() if restart.folder is None else held(restart.folder)
    with alone, one_thread(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", FitWarning)
        fit = restart.run(rows, valid, Silent())
    return i, fit, [str(warning.message) for warning in caught if issubclass(warning.category, FitWarning)]


@contextmanager
def _stops() -> Iterator[None]:
    """A block in which SIGTERM stops as Ctrl-C does."""
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


def stability(fits: Sequence[np.ndarray]) -> float:
    """How far several fits agree on the categories of the same rows ``(n,)``: the mean ARI of every two.

    It needs no labels. 1 is the same groups every time; well below it, what a single fit finds is partly chance.

    >>> stability([np.array([0, 0, 1, 1]), np.array([1, 1, 0, 0]), np.array([2, 2, 3, 3])])
    1.0
    """
    return float(np.mean([adjusted_rand_score(a, b) for a, b in combinations(fits, 2)]))
