"""Fits of one model from several seeds, side by side in processes where there are cores for them.

On a CPU that beats one model with a dimension for restarts: `benchmarks/stacked.py` has both. Each of several restarts
has one thread, since sums in more round differently: it gives the same bits whatever runs beside it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial

import torch

from cpvae.data.rows import Rows
from cpvae.errors import warn
from cpvae.fitting.devices.threads import at_most, useful
from cpvae.fitting.devices.world import world
from cpvae.fitting.interrupts import Stop
from cpvae.fitting.jobs import Done, Job, at_a_time, run
from cpvae.fitting.progress import Reporter, Silent, describe, duration
from cpvae.fitting.records import Interrupted
from cpvae.fitting.restart import Fit, Restart
from cpvae.fitting.runs import held

WORTH = 2000  # steps of a fit from which on the seconds that a process takes to begin do not matter


def run_all(restarts: Sequence[Restart], rows: Rows, valid: Rows, reporter: Reporter, found: dict[int, Fit]) -> None:
    """Train all restarts.

    A single one has as many threads as it can use (`cpvae.fitting.devices.threads`). Of several, as many run at a time
    as there are cores, if they are long enough; where processes train together (`cpvae.fitting.devices.world`), one
    after the other.

    Args:
        found: is given the fit of each restart, by its number, as it ends. After a stop it holds what there is so far:
            restarts that had ended, and the best weights of those that had not. If there are none yet, it holds a model
            of a moment's training.

    Raises:
        KeyboardInterrupt: Ctrl-C or SIGTERM; what has a folder can go on from there.
    """
    settings = restarts[0].settings
    steps = settings.max_epochs * settings.steps(len(rows))
    several = len(restarts) > 1 and world().size == 1
    n_jobs = at_a_time(None, len(restarts), rows.device.type) if several else 1
    try:
        if n_jobs > 1 and steps >= WORTH:
            _side_by_side(restarts, rows, valid, reporter, n_jobs, found)
        else:
            n = 1 if several else useful(restarts[0].model, settings.batch_size, rows.x.shape[1])
            with at_most(n) if n < torch.get_num_threads() or several else nullcontext():
                for i, restart in enumerate(restarts):
                    found[i] = restart.run(rows, valid, reporter)
    except KeyboardInterrupt as stop:
        outcome = stop.outcome if isinstance(stop, Interrupted) else None
        if outcome is not None and outcome.history and len(found) < len(restarts):
            found[len(found)] = restarts[len(found)].model, outcome
        for i, restart in enumerate(restarts):
            so_far = None if i in found else restart.so_far()
            if so_far is not None:
                found[i] = so_far
        if not found and outcome is not None:
            found[0] = restarts[0].model, outcome
        if not found and isinstance(stop, Interrupted):  # processes were ended in their starts
            found[0] = _at_once(restarts[0], rows, valid)
        raise


def _at_once(restart: Restart, rows: Rows, valid: Rows) -> Fit:
    """Make a fit as one that is asked to stop when it begins."""
    stop = Stop()
    stop.ask()
    try:
        return replace(restart, folder=None, resume=False).run(rows, valid, Silent(), stop)
    except Interrupted as stopped:
        if stopped.outcome is None:
            raise
        return restart.model, stopped.outcome


def _side_by_side(
    restarts: Sequence[Restart], rows: Rows, valid: Rows, reporter: Reporter, n_jobs: int, found: dict[int, Fit]
) -> None:
    """Train restarts in processes, and show what they warn of."""
    each = ""
    if not isinstance(reporter, Silent):
        one, epochs = restarts[0], restarts[0].settings.max_epochs
        fit = one.expected_seconds(rows, valid)
        turns = math.ceil(len(restarts) / n_jobs)
        whole = turns * (one.expected_start(rows, valid, epochs, fit / epochs) + fit)
        each = f"; about {duration(whole)} in all, each fits for about {duration(fit)}, after its start"
    reporter.phase(f"{len(restarts)} restarts, {n_jobs} at a time{each}", 0)
    began = time.perf_counter()
    jobs = [Job(f"restart-{i}", partial(_run_apart, restart, rows, valid)) for i, restart in enumerate(restarts)]
    numbers = {job.name: i for i, job in enumerate(jobs)}

    def told(done: Done[Fit]) -> None:
        for message in done.warnings:
            warn(message)
        found[numbers[done.name]] = done.result()
        history, left = done.result()[1].history, len(restarts) - len(found)
        words = [describe(history[-1])] if history else []
        words += [f"about {duration(left * (time.perf_counter() - began) / len(found))} to go"] if left else []
        reporter.phase(f"{len(found)} of {len(restarts)} restarts done; {', '.join(words)}", 0)

    advice = "fit with n_init=1, and other values of random_state one after the other"
    try:
        run(jobs, n_jobs, told=told, what="a restart", advice=advice)
    except KeyboardInterrupt as error:
        raise Interrupted(restarts[0].folder and restarts[0].folder.parent) from error


def _run_apart(restart: Restart, rows: Rows, valid: Rows) -> Fit:
    """Train one restart in a process of its own.

    It has its folder for itself: should the process that asked for it be killed, this one goes on for a moment.
    """
    with nullcontext() if restart.folder is None else held(restart.folder):
        return restart.run(rows, valid, Silent())
