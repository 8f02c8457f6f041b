"""The only training loop: epochs and steps, for every model, every objective and every phase of a fit.

Data are tensors, a batch is an index. A run that is given a folder leaves `history.jsonl` there as it grows and a
checkpoint every few epochs; interrupted and resumed it ends, on the CPU, with the same bits as if it had not been.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from cpvae.checkpoints import described
from cpvae.data.rows import Rows
from cpvae.errors import warn
from cpvae.files import append_line
from cpvae.fitting.descent import Descent
from cpvae.fitting.devices.capture import Captured
from cpvae.fitting.devices.world import world
from cpvae.fitting.interrupts import stop_requests
from cpvae.fitting.records import ALL_EPOCHS, EARLY, INTERRUPTED, NOT_FINITE, EpochRecord, Interrupted, Outcome
from cpvae.fitting.runs import CHECKPOINT, HISTORY
from cpvae.fitting.settings import SCHEDULES, Settings
from cpvae.fitting.state import State
from cpvae.fitting.validation import diagnosed, few, validate
from cpvae.nn.draws import seeded
from cpvae.nn.layers import WithTable
from cpvae.nn.products import reduced
from cpvae.probability.bounds import Terms
from cpvae.probability.estimates import (
    FEW_COMPONENT_DRAWS,
    batches,
    component_probabilities,
    components_used,
    decompose,
)
from cpvae.probability.models import VAE
from cpvae.probability.moments import Moments
from cpvae.probability.objectives import Batch, Bound, Objective
from cpvae.probability.priors import component_prior

SAVE_EVERY = 60.0  # seconds between checkpoints at most, so that a long epoch is not lost either
SAVE_RARELY = 20.0  # times what a checkpoint took, that pass before the next one: short epochs do not wait for the disk
RENEWED = 3  # epochs after which rows that a model draws are drawn anew
KNOWN = 0.99  # share of rows, to whose category of the start the encoder gives the highest probability
LOOK_EVERY = 100  # steps after which a device is asked whether all numbers are still finite


def train(
    model: VAE,
    rows: Rows,
    valid: Tensor,
    objective: Bound,
    settings: Settings,
    *,
    start: Tensor | None = None,
    start_seconds: float = 0.0,
    known: Tensor | None = None,
    folder: Path | None = None,
    resume: bool = False,
    on_epoch: Callable[[EpochRecord], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Outcome:
    """Minimise an objective over the weights of `model`, which end as those of the best validation bound.

    Args:
        rows: training rows.
        valid: validation rows in the model's units, ``(n, F)``; never used for a gradient.
        objective: what a step minimises; while a start holds, what this objective says (`Bound.held`).
        start: a category for each training row, integers ``(n,)``, held for `settings.start_epochs`.
        start_seconds: what finding it took, kept with the run.
        known: the known category of each training row, int64 ``(n,)``, -1 where there is none; None knows none.
        folder: where history and checkpoints go; None keeps nothing.
        resume: go on from the folder's checkpoint, if it has one.
        on_epoch: called with each new record.
        stop: asked after each step whether to stop; it answers the same in all processes that train together. By
            default Ctrl-C and SIGTERM ask for it.

    Raises:
        InputError: a checkpoint that cannot be gone on from.
        Interrupted: a stop was asked; the state was saved to `folder`.
    """
    asking = stop_requests() if stop is None else nullcontext(stop)
    with torch.inference_mode(False), torch.enable_grad(), seeded(settings.seed), asking as asked_to_stop:
        run = _Run(model, rows, valid, objective, settings, start, known, folder, on_epoch)
        run.state.progress.start_seconds = start_seconds
        return run.go(resume, asked_to_stop)


class _Run:
    """One call of `train`."""

    def __init__(
        self,
        model: VAE,
        rows: Rows,
        valid: Tensor,
        objective: Bound,
        settings: Settings,
        start: Tensor | None,
        known: Tensor | None,
        folder: Path | None,
        on_epoch: Callable[[EpochRecord], None] | None,
    ):
        self.model, self.rows, self.valid, self.diagnosed = model, rows, valid, diagnosed(valid)
        self.learning = few(len(rows)).to(rows.device)
        self.objective, self.settings, self.folder, self.on_epoch = objective, settings, folder, on_epoch
        self.varies = model.likelihood.varies
        self.n_steps = settings.steps(len(rows))
        total = settings.max_epochs * self.n_steps
        self.descent = Descent(model, settings.average, total, settings.spread, len(rows))
        self.device = self.descent.device
        self.rate = SCHEDULES[settings.schedule](total)
        self.world = world()
        self.world.copy(*(flat.values for flat in self.descent.flats))
        start = None if start is None else start.to(self.device)
        self.known = None if known is None else known.to(self.device)
        self.state = State(model, self.descent, settings, len(rows), start)
        # What changes from step to step is in tensors, so that a step can be recorded.
        self.now = self.descent.number()
        self.index = torch.zeros(min(settings.batch_size, len(rows)), dtype=torch.int64, device=self.device)
        self.objectives: dict[bool, Objective] = {True: objective.held, False: objective}  # whether a start holds
        self.recorded = {
            holds: Captured(partial(self._update, self.index, one), self.device)
            for holds, one in self.objectives.items()
        }
        self.saved, self.save_took = time.perf_counter(), 0.0

    def go(self, resume: bool, asked_to_stop: Callable[[], bool]) -> Outcome:
        """Train until all epochs are over or the validation bound does not improve."""
        state, settings = self.state, self.settings
        if resume and self.folder is not None and (self.folder / CHECKPOINT).exists():
            with described(self.folder / CHECKPOINT):
                state.restore(self.folder / CHECKPOINT)
            if self.world.is_main:
                state.rewrite_history(self.folder / HISTORY)
        if not self.world.is_main:
            self.folder = None  # the first process writes for all
        progress = state.progress
        while progress.epoch < settings.max_epochs and not progress.stopped:
            self._epoch(asked_to_stop)
            last = progress.stopped or progress.epoch == settings.max_epochs
            soon = time.perf_counter() - self.saved < SAVE_RARELY * self.save_took
            if last or (progress.epoch % settings.checkpoint_every == 0 and not soon):
                self._save()
        return self._end(progress.stopped or ALL_EPOCHS)

    def _end(self, why: str) -> Outcome:
        """Give the model its best weights, and tell how training went."""
        state, progress = self.state, self.state.progress
        self.model.load_state_dict(state.best)
        self.descent.release()
        return Outcome(state.history, why, progress.best_epoch, -progress.best_bound, progress.start_seconds)

    def _save(self) -> None:
        if self.folder is not None and self.folder.is_dir():  # one that was removed is not made anew
            began = time.perf_counter()
            self.state.save(self.folder / CHECKPOINT)
            self.saved = time.perf_counter()
            self.save_took = self.saved - began

    def _holds(self) -> bool:
        """Return whether the categories of a start hold in this epoch."""
        progress = self.state.progress
        return self.state.start is not None and progress.epoch < self.settings.start_epochs

    def _epoch(self, asked_to_stop: Callable[[], bool]) -> None:
        """Take the steps of an epoch that are left, then judge it."""
        progress, settings = self.state.progress, self.settings
        began, before = time.perf_counter(), progress.seconds
        # The order of an epoch, and rows that a model draws for it, depend on seed and epoch alone, so that a run can
        # go on from its middle.
        own = settings.seed * 1_000_003
        self.rows.renew(own + progress.epoch // RENEWED)
        generator = torch.Generator().manual_seed(own + progress.epoch)
        kind = torch.int32 if len(self.rows) < 2**31 else torch.int64
        order = torch.randperm(len(self.rows), generator=generator, dtype=kind).to(self.rows.device)
        if progress.step == 0 and progress.epoch == 0:
            self._begin_start()
        if progress.step == 0 and progress.epoch == settings.start_epochs:
            self._end_start()
        while progress.step < self.n_steps:
            index = order[progress.step * settings.batch_size : (progress.step + 1) * settings.batch_size]
            with self.world.sharing(len(index)):
                cause = self._step(index)
            if cause:
                self._give_up(cause)
                return
            progress.step += 1
            progress.seconds = before + time.perf_counter() - began
            stop = asked_to_stop()
            if stop or time.perf_counter() - self.saved > SAVE_EVERY:
                self._save()
            if stop:
                raise Interrupted(self.folder, self._end(INTERRUPTED) if self.state.history else None)
        with self.descent.averaged():
            self._judge()

    def _step(self, index: Tensor) -> str:
        """Take one step; return what was not finite, if that was looked at, in which case the weights stay."""
        progress = self.state.progress
        now = progress.epoch * self.n_steps + progress.step
        self.now.fill_(now)
        self.descent.set_rate(self.settings.learning_rate * self.rate(now))
        holds = self._holds()
        if len(index) == len(self.index) and self.world.size == 1:  # what processes exchange is not recorded
            self.index.copy_(index)
            self.recorded[holds]()
        else:
            self._update(index.to(self.device), self.objectives[holds])
        self.descent.update_average(now)
        # To look makes the host wait for the device; on the CPU that costs nothing.
        looks = self.device.type == "cpu" or now % LOOK_EVERY == 0 or progress.step + 1 == self.n_steps
        return self._not_finite() if looks else ""

    def _update(self, index: Tensor, objective: Objective) -> None:
        """Take the step itself, its numbers in tensors: nothing here makes the host wait for a device."""
        likelihood, start = self.model.likelihood, self.state.start
        n, (part, counts) = len(index), self.world.batch(len(index))
        index = index[part]
        x = self.rows.take(index).to(self.device)
        y = likelihood.to_model(x)
        if self.varies:
            y = likelihood.draw(y)
        known = None if self.known is None else self.known[index]
        batch = Batch(x, y, None if start is None else start[index].long(), known)
        with reduced(self.settings.precision):
            losses, terms = objective(self.model, batch, self.now)
        loss = losses.sum() / n
        (loss if counts else 0 * loss).backward()
        with torch.no_grad():
            self.descent.collect()
            sums = torch.stack([term.sum() for term in terms]) * counts
            self.world.sum(*self.descent.gradients, sums)
            self.state.sums[:3] += sums
            self.state.sums[3] += n
            self.descent.step(sums.isfinite().all())

    def _not_finite(self) -> str:
        """Name what was not finite in a step of this epoch; nothing if all was."""
        if not self.descent.broken.item():
            return ""
        sums = self.state.sums.tolist()
        bad = [name for name, value in zip(Terms._fields, sums, strict=False) if not math.isfinite(value)]
        return " and ".join(bad) or "the gradient"

    def _judge(self) -> None:
        """Validate, record, keep the weights if they are the best so far, decide whether to go on.

        The validation bound has its full KL weight from the first epoch on, so that epochs can be compared across the
        warm-up: with few rows the best one may lie within it. But weights that know the categories of the start go
        before weights that do not know them yet.
        """
        state, progress, settings, objective = self.state, self.state.progress, self.settings, self.objective
        terms, counts = validate(self.model, self.valid, objective.expectation, self.world)
        bound = float(terms.elbo)
        record = self._record(bound, components_used(counts.tolist()))
        if not math.isfinite(bound):
            self._give_up("the validation bound")
            return
        progress.epoch, progress.step, progress.seconds = record.epoch, 0, 0.0
        state.sums.zero_()
        value = float(objective.value(terms))
        settled = max(settings.warmup_epochs, settings.start_epochs if state.start is not None else 0)
        knows = self._knows_start()
        if knows > progress.best_knows or value > progress.gained_bound + settings.gain or not objective.chosen:
            progress.gained_bound, progress.gained_epoch = value, record.epoch
        if (knows, value) > (progress.best_knows, progress.best_bound) or not objective.chosen:
            progress.best_bound, progress.best_epoch, progress.best_knows = value, record.epoch, knows
            state.keep(counts)
        if min(record.epoch - progress.gained_epoch, record.epoch - settled) >= settings.patience:
            progress.stopped = EARLY
        state.history.append(record)
        if self.folder is not None:
            append_line(self.folder / HISTORY, json.dumps(record.as_dict()))
        if self.on_epoch is not None:
            self.on_epoch(record)

    @torch.no_grad()
    def _knows_start(self) -> bool:
        """Tell whether the encoder has learned the categories of the start, of some training rows; or there is none."""
        start, likelihood = self.state.start, self.model.likelihood
        if start is None or not self._holds():
            return True
        y = likelihood.draw_fixed(likelihood.to_model(self.rows.take(self.learning).to(self.device)))
        found = component_probabilities(self.model, y, FEW_COMPONENT_DRAWS).argmax(-1)
        return bool((found == start[self.learning]).double().mean() >= KNOWN)

    def _record(self, bound: float, used: int) -> EpochRecord:
        """Make the record of the epoch that has ended, from its sums and a validation bound."""
        progress = self.state.progress
        parts = decompose(self.model, self.diagnosed)
        log_px, kl_c, kl_z, n = self.state.sums.tolist()
        negative = -(log_px - kl_c - kl_z) / n
        is_bound = self.objectives[self._holds()].is_bound
        return EpochRecord(
            epoch=progress.epoch + 1,
            train_negative_elbo=negative if is_bound else None,
            train_relaxed_not_a_bound=None if is_bound else negative,
            valid_negative_elbo=-bound,
            reconstruction=-log_px / n,
            kl_c=kl_c / n,
            kl_z=kl_z / n,
            beta=float(self.objective.beta((progress.epoch + 1) * self.n_steps)),
            components_used=used,
            seconds=round(progress.seconds, 3),
            mutual_information=float(parts.mutual_information.mean()),
            mutual_information_c=parts.mutual_information_c,
            marginal_kl_z=float(parts.marginal_kl_z.mean()),
            marginal_entropy_c=parts.marginal_entropy_c,
        )

    def _give_up(self, cause: str) -> None:
        """Stop at a value that is not finite; the weights of the best epoch so far stay."""
        progress = self.state.progress
        progress.stopped = NOT_FINITE
        kept = f"the weights of epoch {progress.best_epoch}" if progress.best_epoch else "the initial weights"
        warn(
            f"training stopped in epoch {progress.epoch + 1}: {cause} became infinite or NaN; kept {kept}; "
            "use a lower learning_rate, or look for extreme values in the data"
        )

    @torch.no_grad()
    def _begin_start(self) -> None:
        """Set the spread that each category has for itself to that of its rows in the start."""
        decoder, likelihood = self.model.decoder, self.model.likelihood
        if self.state.start is None or not isinstance(decoder, WithTable):
            return
        table, moments = decoder.table, Moments(decoder.table, full=False)
        for y, c in self._rows_of(self.state.start):
            moments.add(*likelihood.spread(y), c)
        self.world.sum(*moments.sums)
        new = moments.filled & (table == 0).all(1)  # a model that is continued knows its old categories
        table[new] = likelihood.of_spread(moments.variance.sqrt())[new].to(table)
        self.descent.restart_average()

    @torch.no_grad()
    def _end_start(self) -> None:
        """Set the prior to the moments of the posterior of each category's rows: the M-step of the start."""
        state, prior = self.state, component_prior(self.model.prior)
        if state.start is None:
            return
        moments = None if prior is None else prior.moments()
        if prior is not None and moments is not None:
            self._add_rows(moments, state.start)
            prior.match(moments)
        self.descent.restart_average()

    def _add_rows(self, moments: Moments, start: Tensor) -> None:
        """Add all training rows to moments, each in its category of a start."""
        for y, c in self._rows_of(start):
            q = self.model.encode(y).given(c.unsqueeze(1)).top
            moments.add(q.loc[:, 0], q.scale[:, 0], c)
        self.world.sum(*moments.sums)

    def _rows_of(self, start: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Give the training rows of this process in parts, in the model's units, and their categories of a start."""
        likelihood, part, position = self.model.likelihood, self.world.part(len(self.rows)), 0
        categories = start[part].long()
        for x in self.rows.part(part).chunks():
            for y in batches(likelihood.draw_fixed(likelihood.to_model(x.to(self.device))), 1):
                yield y, categories[position : position + len(y)]
                position += len(y)
