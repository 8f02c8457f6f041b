"""One fit of a model from a seed: its start, its training, how long both take, and how it goes on after a stop."""

from __future__ import annotations

import copy
import math
import time
import warnings
from bisect import bisect_right
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cpvae.checkpoints import described, load_tensors, part, save_tensors
from cpvae.data.augment import Augment
from cpvae.data.rows import Rows
from cpvae.errors import FitWarning
from cpvae.fitting.devices.world import world
from cpvae.fitting.interrupts import Stop, stop_requests
from cpvae.fitting.loop import RENEWED, train
from cpvae.fitting.progress import Reporter, Silent, duration
from cpvae.fitting.records import ALL_EPOCHS, INTERRUPTED, EpochRecord, Interrupted, Outcome
from cpvae.fitting.runs import CHECKPOINT, HISTORY
from cpvae.fitting.settings import Settings
from cpvae.fitting.starts.start import RandomStart
from cpvae.fitting.starts.task import CutShort, Start, Task
from cpvae.probability.models import VAE
from cpvae.probability.objectives import Bound

Fit = tuple[VAE, Outcome]  # a trained model, and how it went
TIMED = 3  # steps by which the time of a fit is estimated
BRIEF_ROWS, BRIEF_BATCH, BRIEF_STEPS = 2000, 100, 200  # of a training that leaves a model of a fit stopped early
BRIEF_SECONDS = 5.0  # after which it ends, once an epoch of it has ended
CLUSTERED_AN_EPOCH = 5000  # rows that a start is found on, for each epoch of the fit: a short one has a short start
CODED = 0.5  # seconds that a start takes for a row of an epoch of its own, in those of the fit (MNIST)
CLUSTERED = 1e-3, 3.0  # seconds for a row on which categories are found, and before the first (MNIST, digits)
LONG = 60.0  # seconds from which on a fit says how it would be shorter
PLANNED = 0.8  # part of a time that is planned: judging an epoch takes time as well


@dataclass(frozen=True)
class Restart:
    """All of a fit but its rows.

    Attributes:
        model: with its first weights; training changes them.
        maker: finds the start.
        folder: for history and checkpoints; None keeps nothing.
        number, of: which of how many fits it is, counted from 0.
        objective: what a step minimises.
        augment: makes copies of rows, for the start.
        shape: of a row, for the start.
        known: the known category of each training row, int64 ``(n,)``, -1 where there is none; None knows none.
    """

    model: VAE
    n_components: int
    maker: Start
    objective: Bound
    settings: Settings
    folder: Path | None
    resume: bool
    number: int = 0
    of: int = 1
    augment: Augment | None = None
    shape: tuple[int, ...] | None = None
    known: Tensor | None = None

    def run(self, rows: Rows, valid: Rows, reporter: Reporter, stop: Stop | None = None) -> Fit:
        """Find a start, then train; give the model, and how it went.

        Args:
            stop: whether to stop; by default Ctrl-C and SIGTERM ask for it.

        Raises:
            Interrupted: a stop was asked. The model has its best weights so far, or, if no epoch had ended, those of
                a short training from the categories of the start. A start that was cut short leaves no state: the run
                finds its start anew.
        """
        with stop_requests() if stop is None else nullcontext(stop) as asked:
            going_on = self.resume and self.checkpoint is not None and self.checkpoint.exists()
            if self.folder is not None and world().is_main:
                self.folder.mkdir(parents=True, exist_ok=True)
                if not going_on:
                    (self.folder / HISTORY).unlink(missing_ok=True)
            start, seconds = None, 0.0
            try:
                if not going_on:
                    start, seconds = self._find_start(rows, valid, reporter, asked)
                return self.model, self._train(rows, valid, reporter, start, seconds, going_on, asked)
            except CutShort as cut:
                known = None if self.known is None else self.known[torch.from_numpy(cut.index)]
                outcome = self._train_briefly(rows.some(cut.index), valid, reporter, cut.categories, known)
                raise Interrupted(self.folder, outcome) from cut
            except Interrupted as stopped:
                if stopped.outcome is None:
                    start = load_tensors(self.checkpoint)[0].get("start") if going_on and self.checkpoint else start
                    stopped.outcome = self._train_briefly(rows, valid, reporter, start, self.known)
                raise

    def _train(
        self,
        rows: Rows,
        valid: Rows,
        reporter: Reporter,
        start: Tensor | None,
        seconds: float,
        going_on: bool,
        stop: Stop,
    ) -> Outcome:
        """Train, from a start or from the checkpoint."""
        settings, objective = self.settings, self.objective
        if going_on:
            settings = replace(settings, **world().first(self._plan))
            objective = replace(objective, beta=settings.beta(len(rows)))  # a warm-up that is over stays over
        reporter.phase(f"fitting{self.label}", settings.max_epochs)
        return train(
            self.model,
            rows,
            self.model.likelihood.fixed(valid),
            objective,
            settings,
            start=start,
            start_seconds=seconds,
            known=self.known,
            folder=self.folder,
            resume=self.resume,
            on_epoch=reporter.epoch,
            stop=stop,
        )

    def _train_briefly(
        self, rows: Rows, valid: Rows, reporter: Reporter, start: Tensor | None, known: Tensor | None
    ) -> Outcome:
        """Train on some rows for a moment, so that a fit that is stopped early leaves a model that can be used.

        Args:
            rows: of which some are trained on.
            start: a category for each of them, ``(n,)``, or None.
            known: their known categories, as `Restart.known`.
        """
        reporter.phase(f"stopping, after a short training that leaves a model{self.label}", 0)
        index = np.random.RandomState(self.settings.seed).permutation(len(rows))[:BRIEF_ROWS]
        some, few = rows.some(index), valid.some(np.arange(min(len(valid), BRIEF_ROWS)))
        settings = replace(self.settings, batch_size=min(self.settings.batch_size, BRIEF_BATCH), schedule="constant")
        epochs = math.ceil(BRIEF_STEPS / settings.steps(len(some)))
        settings = replace(
            settings, max_epochs=epochs, patience=epochs, average=0.0, warmup_epochs=0, start_epochs=epochs - 1
        )
        began = time.perf_counter()
        ended: list[EpochRecord] = []
        bound = 0.0
        try:
            bound = train(
                self.model,
                some,
                self.model.likelihood.fixed(few),
                replace(self.objective, beta=settings.beta(len(some)), slight=None),
                settings,
                start=None if start is None else start[torch.from_numpy(index)],
                known=None if known is None else known[torch.from_numpy(index)],
                on_epoch=ended.append,
                stop=lambda: world().any(bool(ended) and time.perf_counter() - began > BRIEF_SECONDS),
            ).best_negative_elbo
        except Interrupted as over:
            bound = over.outcome.best_negative_elbo if over.outcome else math.inf
        return Outcome([], INTERRUPTED, 0, bound, 0.0)

    @property
    def label(self) -> str:
        """Say which of several restarts it is."""
        return "" if self.of == 1 else f" (restart {self.number + 1}/{self.of})"

    @property
    def checkpoint(self) -> Path | None:
        """The file of its state."""
        return None if self.folder is None else self.folder / CHECKPOINT

    def _task(self, rows: Rows, valid: Rows, max_epochs: int) -> Task:
        """Make the question for a start of a fit of so many epochs."""
        return Task(
            rows=rows,
            valid=valid,
            likelihood=self.model.likelihood,
            n_components=self.n_components,
            seed=self.settings.seed,
            shape=self.shape,
            augment=self.augment,
            precision=self.settings.precision,
            max_epochs=max_epochs,
            max_rows=min(Task.max_rows, CLUSTERED_AN_EPOCH * max_epochs),
            known=None if self.known is None else self.known.numpy(force=True),
        )

    def _find_start(self, rows: Rows, valid: Rows, reporter: Reporter, stop: Stop) -> tuple[Tensor | None, float]:
        """Find a start; give it, and the seconds that it took.

        Raises:
            CutShort: a stop was asked.
        """
        then, epochs = "", self.settings.max_epochs

        def on_phase(title: str, n_epochs: int) -> None:
            reporter.phase(f"{title}{self.label}{then}", n_epochs)

        task = replace(self._task(rows, valid, epochs), on_epoch=reporter.epoch, on_phase=on_phase, stop=stop)
        if not isinstance(reporter, Silent) and world().size == 1:
            fit = self.expected_seconds(rows, valid)
            first = self.expected_start(rows, valid, epochs, fit / epochs)
            then = f"; then fitting for about {duration(fit)}" if self.maker.epochs(task) else ""
            passes = f"at most {epochs} epoch{'s' * (epochs > 1)} in {duration(fit)}"
            parts = f"{duration(first)} for a start, then {passes}" if first else passes
            whole = self.of * (first + fit)
            less = "; for less say max_seconds=60 (--time 1m)" * (whole > LONG)
            if self.of > 1 and not self.number:
                reporter.say(f"about {duration(whole)} for {self.of} restarts, one after the other{less}")
            reporter.say(f"about {duration(first + fit)}{self.label}: {parts}{less * (self.of == 1)}")
        rows.renew(self.settings.seed)  # whatever a restart before this one left
        began = time.perf_counter()
        start = self.maker(task)
        seconds = time.perf_counter() - began
        if start is not None:
            world().copy(start)
        return start, seconds

    def expected_seconds(self, rows: Rows, valid: Rows) -> float:
        """Estimate what all epochs of the fit take, from a few of its steps, made by a copy of the model."""
        batch, n = self.settings.batch_size, len(rows)
        some = rows.some(np.arange(min(n, TIMED * batch)))
        once = replace(self.settings, max_epochs=1, warmup_epochs=0, start_epochs=0)
        model = copy.deepcopy(self.model)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FitWarning)  # the fit itself will say it
            few = model.likelihood.fixed(valid.some(np.arange(1)))
            outcomes = [train(model, some, few, self.objective, once, stop=Stop()) for _ in range(2)]  # one warms up
        seconds = min(outcome.history[0].seconds if outcome.history else 0.0 for outcome in outcomes)
        drawn = math.ceil(self.settings.max_epochs / RENEWED) + 1  # once more at the end
        return seconds / len(some) * n * self.settings.max_epochs + rows.renewal_seconds() * drawn

    def expected_start(self, rows: Rows, valid: Rows, max_epochs: int, epoch: float) -> float:
        """Estimate what the start of a fit of so many epochs takes, by a rule of thumb.

        Args:
            epoch: seconds of an epoch of the fit.
        """
        task = self._task(rows, valid, max_epochs)
        if isinstance(self.maker, RandomStart) or self.n_components == 1:
            return 0.0
        each, first = CLUSTERED
        share = min(1.0, task.max_rows / len(rows))
        return CODED * epoch * share * self.maker.epochs(task) + first + each * share * len(rows)

    def affordable(self, rows: Rows, valid: Rows, seconds: float) -> int:
        """Count the epochs that take so many seconds, together with the start of a fit of that length: at least one.

        There are no more than the fit has without a plan.
        """
        most = self.settings.max_epochs
        epoch = self.expected_seconds(rows, valid) / most
        lengths = range(1, most + 1)
        return max(
            1,
            bisect_right(
                lengths, PLANNED * seconds, key=lambda n: n * epoch + self.expected_start(rows, valid, n, epoch)
            ),
        )

    def _plan(self) -> dict[str, Any]:
        """Plan the rest of a run anew whose number of epochs was changed, in its checkpoint; give what is new.

        The schedules of a run depend on its number of epochs. What was finished stays finished: a run whose start and
        warm-up are over does not go back to them, and one that has made more epochs than it is now asked for ends.
        """
        assert self.checkpoint is not None
        tensors, meta = load_tensors(self.checkpoint)
        with described(self.checkpoint):
            began, epoch = meta["settings"], int(meta["progress"]["epoch"])
            if began["max_epochs"] == self.settings.max_epochs:
                return {}
            entered = epoch + (meta["progress"]["step"] > 0)
            new = {"max_epochs": max(self.settings.max_epochs, epoch), "average": self.settings.average}
            for name in ("warmup_epochs", "start_epochs"):
                over = epoch >= began[name]
                new[name] = began[name] if over else max(getattr(self.settings, name), entered)
            meta["settings"] = {**began, **new}
            save_tensors(
                self.checkpoint, tensors, {k: v for k, v in meta.items() if k not in ("format_version", "sha256")}
            )
        return new

    def began_with(self) -> int | None:
        """Read the number of epochs of a run that is gone on with from its checkpoint; None where there is none."""
        if self.checkpoint is None or not self.checkpoint.exists():
            return None
        with described(self.checkpoint):
            return int(load_tensors(self.checkpoint)[1]["settings"]["max_epochs"])

    def so_far(self) -> Fit | None:
        """Read the best weights of a run that was stopped from its checkpoint, and how it went until then.

        Returns:
            None where no epoch has ended.
        """
        if self.checkpoint is None or not self.checkpoint.exists():
            return None
        tensors, meta = load_tensors(self.checkpoint)
        with described(self.checkpoint):
            progress, history = meta["progress"], [EpochRecord(**record) for record in meta["history"]]
            if not history:
                return None
            self.model.load_state_dict(part(tensors, "best."))
            bound, seconds = float(progress["best_bound"]), float(progress["start_seconds"])
            stopped = progress["stopped"] or (
                ALL_EPOCHS if progress["epoch"] >= self.settings.max_epochs else INTERRUPTED
            )
            return self.model, Outcome(history, stopped, int(progress["best_epoch"]), -bound, seconds)
