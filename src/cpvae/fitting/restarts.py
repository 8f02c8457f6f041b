"""Fits of one model from several seeds, side by side in processes where there are cores for them.

On a CPU that beats one model with a dimension for restarts: `benchmarks/stacked.py` has both. Each of several restarts
has one thread, since sums in more round differently: it gives the same bits whatever runs beside it.
"""

from __future__ import annotations

import multiprocessing
import time
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from pathlib import Path

import numpy as np
from sklearn.metrics import adjusted_rand_score

from cpvae.data.augment import Augment
from cpvae.data.rows import Rows
from cpvae.errors import FitWarning
from cpvae.fitting.devices.world import world
from cpvae.fitting.jobs import Done, Job, at_a_time, one_thread, run
from cpvae.fitting.loop import train
from cpvae.fitting.progress import Reporter, Silent
from cpvae.fitting.records import Interrupted, Outcome
from cpvae.fitting.runs import held
from cpvae.fitting.settings import Settings
from cpvae.fitting.starts.task import Start, Task
from cpvae.fitting.state import CHECKPOINT, HISTORY
from cpvae.probability.models import VAE
from cpvae.probability.objectives import Bound

WORTH = 2000  # steps of a fit from which on the seconds that a process takes to begin do not matter


@dataclass(frozen=True)
class Restart:
    """All of a fit but its rows.

    Attributes:
        model: with its first weights; training changes them.
        maker: finds the start.
        folder: for history and checkpoints; None keeps nothing.
        label: told to the user.
        objective: what a step minimises.
        augment: makes copies of rows, for the start.
    """

    model: VAE
    n_components: int
    maker: Start
    objective: Bound
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
            self.objective,
            self.settings,
            start=start,
            start_seconds=seconds,
            folder=self.folder,
            resume=self.resume,
            on_epoch=reporter.epoch,
        )
        return self.model, outcome


def run_all(restarts: Sequence[Restart], rows: Rows, valid: Rows, reporter: Reporter) -> list[tuple[VAE, Outcome]]:
    """Train all restarts; give the model and the outcome of each, in order.

    A single one has all threads. Of several, as many run at a time as there are cores, if they are long enough; where
    processes train together (`cpvae.fitting.devices.world`), one after the other.

    Raises:
        Interrupted: Ctrl-C or SIGTERM; what has a folder can go on from there.
    """
    if len(restarts) == 1 or world().size > 1:
        return [restart.run(rows, valid, reporter) for restart in restarts]
    settings = restarts[0].settings
    steps = settings.max_epochs * -(-len(rows) // settings.batch_size)
    n_jobs = at_a_time(None, len(restarts), rows.device.type)
    in_worker = multiprocessing.parent_process() is not None
    if n_jobs == 1 or in_worker or steps < WORTH:
        with one_thread():
            return [restart.run(rows, valid, reporter) for restart in restarts]
    return _side_by_side(restarts, rows, valid, reporter, n_jobs)


def _side_by_side(
    restarts: Sequence[Restart], rows: Rows, valid: Rows, reporter: Reporter, n_jobs: int
) -> list[tuple[VAE, Outcome]]:
    """Train restarts in processes, and show what they warn of."""
    reporter.phase(f"{len(restarts)} restarts, {n_jobs} at a time", len(restarts))
    ended = 0

    def told(done: Done[tuple[VAE, Outcome]]) -> None:
        nonlocal ended
        ended += 1
        for message in done.warnings:
            warnings.warn(message, FitWarning, stacklevel=6)
        history = done.result()[1].history
        if history:
            reporter.epoch(replace(history[-1], epoch=ended))

    jobs = [Job(f"restart-{i}", partial(_run_apart, restart, rows, valid)) for i, restart in enumerate(restarts)]
    advice = "fit with n_init=1, and other values of random_state one after the other"
    try:
        done = run(jobs, n_jobs, told=told, what="a restart", advice=advice, backend="loky")
    except KeyboardInterrupt as error:
        raise Interrupted(restarts[0].folder and restarts[0].folder.parent) from error
    return [one.result() for one in done]


def _run_apart(restart: Restart, rows: Rows, valid: Rows) -> tuple[VAE, Outcome]:
    """Train one restart in a process of its own.

    It has its folder for itself: should the process that asked for it be killed, this one goes on for a while.
    """
    with nullcontext() if restart.folder is None else held(restart.folder):
        return restart.run(rows, valid, Silent())


def stability(fits: Sequence[np.ndarray]) -> float:
    """How far several fits agree on the categories of the same rows ``(n,)``: the mean ARI of every two.

    It needs no labels. 1 is the same groups every time; well below it, what a single fit finds is partly chance.

    >>> stability([np.array([0, 0, 1, 1]), np.array([1, 1, 0, 0]), np.array([2, 2, 3, 3])])
    1.0
    """
    return float(np.mean([adjusted_rand_score(a, b) for a, b in combinations(fits, 2)]))
