"""The only training loop: every model, every phase of a fit.

Data are tensors, a batch is an index. A run that is given a folder leaves `history.jsonl` there as it grows and a
checkpoint every few epochs; interrupted and resumed it ends, on the CPU, with the same bits as if it had not been.
"""

from __future__ import annotations

import json
import math
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor

from cpvae.checkpoints import described, load_tensors, save_tensors
from cpvae.data.augment import Augment
from cpvae.data.rows import Rows
from cpvae.errors import FitWarning, InputError
from cpvae.files import append_line, write_atomic
from cpvae.fitting.devices.capture import Captured
from cpvae.fitting.devices.flat import Flat
from cpvae.fitting.devices.world import world
from cpvae.fitting.records import ALL_EPOCHS, EARLY, NOT_FINITE, EpochRecord, Interrupted, Outcome
from cpvae.fitting.runs import CHECKPOINT, HISTORY
from cpvae.fitting.schedules import Schedule, linear_warmup
from cpvae.fitting.settings import SCHEDULES, Settings
from cpvae.fitting.validation import validate
from cpvae.nn import draws
from cpvae.nn.draws import seeded
from cpvae.nn.products import reduced
from cpvae.probability.bounds import Terms, elbo, elbo_assigned, inconsistency, unlikeliness
from cpvae.probability.estimates import components_used, decompose
from cpvae.probability.expectations import Expectation, Relaxed
from cpvae.probability.models import VAE
from cpvae.probability.priors import Conditional

SAVE_EVERY = 60.0  # seconds between checkpoints at most, so that a long epoch is not lost either
NOISE_AHEAD = 10.0  # times the learning rate, for the noise of a Gaussian likelihood
DIAGNOSED = 250  # validation rows in the parts of eq. (13) after every epoch; their pairs are summed for each category
LOOK_EVERY = 100  # steps after which a device is asked whether all numbers are still finite
GUARD = 10.0  # a gradient this many times the usual norm is scaled back to it
AVERAGE_EVERY = 10  # steps between updates of the moving average, in runs of a thousand steps or more


@dataclass
class _Progress:
    """Where a run stands, besides weights and optimiser: all that a checkpoint needs to go on to the same bits."""

    epoch: int = 0
    step: int = 0
    best_bound: float = -math.inf
    best_epoch: int = 0
    seconds: float = 0.0
    start_seconds: float = 0.0
    stopped: str = ""


@contextmanager
def stop_requests() -> Iterator[Callable[[], bool]]:
    """Turn Ctrl-C and SIGTERM into a question the loop asks after each step; a second Ctrl-C stops at once."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set  # only the main thread may set handlers
        return

    def handle(number: int, frame: FrameType | None) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    previous = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked.is_set
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def train(
    model: VAE,
    rows: Rows,
    valid: Tensor,
    expectation: Expectation,
    settings: Settings,
    *,
    start: Tensor | None = None,
    start_seconds: float = 0.0,
    augment: Augment | None = None,
    folder: Path | None = None,
    resume: bool = False,
    on_epoch: Callable[[EpochRecord], None] | None = None,
) -> Outcome:
    """Maximise L over the weights of `model`, which end as those of the best validation bound.

    Args:
        rows: training rows.
        valid: validation rows in the model's units, ``(n, F)``; never used for a gradient.
        expectation: how c is summed or drawn.
        start: a category for each training row, integers ``(n,)``, held for `settings.start_epochs`.
        start_seconds: what finding it took, kept with the run.
        augment: makes copies of rows as they are stored (`cpvae.data.augment`).
        folder: where history and checkpoints go; None keeps nothing.
        resume: go on from the folder's checkpoint, if it has one.
        on_epoch: called with each new record.

    Raises:
        Interrupted: on Ctrl-C or SIGTERM, the state saved to `folder`.
    """
    with torch.inference_mode(False), torch.enable_grad(), seeded(settings.seed), stop_requests() as asked_to_stop:
        run = _Run(model, rows, valid, expectation, settings, start, augment, folder, on_epoch)
        run.progress.start_seconds = start_seconds
        return run.go(resume, asked_to_stop)


class _Run:
    """The state of one call of `train`."""

    def __init__(
        self,
        model: VAE,
        rows: Rows,
        valid: Tensor,
        expectation: Expectation,
        settings: Settings,
        start: Tensor | None,
        augment: Augment | None,
        folder: Path | None,
        on_epoch: Callable[[EpochRecord], None] | None,
    ):
        self.model, self.rows, self.valid = model, rows, valid
        chosen = torch.randperm(len(valid), generator=torch.Generator().manual_seed(0))[:DIAGNOSED]
        self.diagnosed = valid[chosen.to(valid.device)]
        self.varies = model.likelihood.varies
        self.expectation, self.settings, self.augment = expectation, settings, augment
        self.folder, self.on_epoch = folder, on_epoch
        # A likelihood has at most a scalar to learn, its noise, on which everything else waits: it goes ahead.
        noise = {id(p) for p in model.likelihood.parameters()}
        parts = [
            (1.0, Flat(p for p in model.parameters() if id(p) not in noise)),
            (NOISE_AHEAD, Flat(model.likelihood.parameters())),
        ]
        self.flats = [(ahead, flat) for ahead, flat in parts if len(flat)]
        self.device = self.flats[0][1].values.device
        self.start = None if start is None else start.to(self.device)
        for _, flat in self.flats:
            flat.values.grad = flat.gradient
        self.world = world()
        self.world.copy(*(flat.values for _, flat in self.flats))
        groups = [{"params": [flat.values], "ahead": ahead, "lr": self._number()} for ahead, flat in self.flats]
        self.optimizer = torch.optim.Adam(groups, fused=True, capturable=self.device.type == "cuda")
        # What changes from step to step, in tensors, so that a step can be recorded (`cpvae.fitting.devices.capture`).
        self.now, self.beta_now, self.usual_norm = self._number(), self._number(), self._number()
        self.shrink, self.broken = self._number(), self._number()
        self.optimizer.grad_scale, self.optimizer.found_inf = self.shrink, self.broken  # type: ignore[attr-defined]
        self.sums = torch.zeros(4, dtype=torch.float64, device=self.device)  # log_px, kl_c, kl_z, rows of the epoch
        self.index = torch.zeros(min(settings.batch_size, len(rows)), dtype=torch.int64, device=self.device)
        self.recorded = {
            assigned: Captured(lambda assigned=assigned: self._update(self.index, assigned), self.device)  # type: ignore[misc]
            for assigned in (False, True)
        }
        self.n_steps = math.ceil(len(rows) / settings.batch_size)
        total = settings.max_epochs * self.n_steps
        self.learning_rate: Schedule = SCHEDULES[settings.schedule](total)
        self.beta: Schedule = linear_warmup(settings.warmup_epochs * self.n_steps)
        self.averages = [flat.values.detach().clone() for _, flat in self.flats] if settings.average else []
        self.average_every = min(AVERAGE_EVERY, max(1, total // 100))
        self.best = self._copy_weights()
        self.progress = _Progress()
        self.history: list[EpochRecord] = []
        self.saved = time.perf_counter()

    def _number(self) -> Tensor:
        return torch.zeros((), dtype=torch.float32, device=self.device)

    def _copy_weights(self) -> dict[str, Tensor]:
        return {name: value.detach().clone() for name, value in self.model.state_dict().items()}

    def go(self, resume: bool, asked_to_stop: Callable[[], bool]) -> Outcome:
        if resume and self.folder is not None and (self.folder / CHECKPOINT).exists():
            with described(self.folder / CHECKPOINT):
                self._restore(self.folder / CHECKPOINT)
        if not self.world.is_main:
            self.folder = None  # the first process writes for all
        progress = self.progress
        while progress.epoch < self.settings.max_epochs and not progress.stopped:
            self._epoch(asked_to_stop)
            if self.folder is not None and (
                progress.stopped
                or progress.epoch % self.settings.checkpoint_every == 0
                or progress.epoch == self.settings.max_epochs
            ):
                self._save(self.folder / CHECKPOINT)
        self.model.load_state_dict(self.best)
        for _, flat in self.flats:
            flat.release()
        return Outcome(
            self.history,
            progress.stopped or ALL_EPOCHS,
            progress.best_epoch,
            -progress.best_bound,
            progress.start_seconds,
        )

    def _epoch(self, asked_to_stop: Callable[[], bool]) -> None:
        progress, settings = self.progress, self.settings
        began, before = time.perf_counter(), progress.seconds
        # The order of an epoch depends on seed and epoch alone, so that a run can go on from its middle.
        generator = torch.Generator().manual_seed(settings.seed * 1_000_003 + progress.epoch)
        kind = torch.int32 if len(self.rows) < 2**31 else torch.int64
        order = torch.randperm(len(self.rows), generator=generator, dtype=kind).to(self.rows.device)
        if progress.epoch == settings.start_epochs and progress.step == 0 and self.start is not None:
            self._match_prior()
            self.averages = [flat.values.clone() for _, flat in self.flats] if self.averages else []
        while progress.step < self.n_steps:
            index = order[progress.step * settings.batch_size : (progress.step + 1) * settings.batch_size]
            with self.world.sharing(len(index)):
                cause = self._step(index)
            if cause:
                self._give_up(cause)
                return
            progress.step += 1
            progress.seconds = before + time.perf_counter() - began
            stop = self.world.any(asked_to_stop())
            if self.folder is not None and (stop or time.perf_counter() - self.saved > SAVE_EVERY):
                self._save(self.folder / CHECKPOINT)
            if stop:
                raise Interrupted(self.folder)
        self._finish_epoch()

    def _step(self, index: Tensor) -> str:
        """One step of Adam; returns what was not finite, if that was looked at, in which case the weights stay."""
        progress, settings = self.progress, self.settings
        now = progress.epoch * self.n_steps + progress.step
        self.now.fill_(now)
        self.beta_now.fill_(settings.beta_max * self.beta(now))
        for group in self.optimizer.param_groups:
            group["lr"].fill_(group["ahead"] * settings.learning_rate * self.learning_rate(now))
        assigned = self._assigned()
        if len(index) == len(self.index) and self.world.size == 1:  # what processes exchange is not recorded
            self.index.copy_(index)
            self.recorded[assigned]()
        else:
            self._update(index.to(self.device), assigned)
        if self.averages and (now + 1) % self.average_every == 0:
            self._update_average(now)
        # To look makes the host wait for the device; on the CPU that costs nothing.
        looks = self.device.type == "cpu" or now % LOOK_EVERY == 0 or progress.step + 1 == self.n_steps
        return self._not_finite() if looks else ""

    def _update(self, index: Tensor, assigned: bool) -> None:
        """The step itself, with its numbers in tensors: nothing here makes the host wait for the device."""
        model, settings = self.model, self.settings
        n, (part, counts) = len(index), self.world.batch(len(index))
        index = index[part]
        x = self.rows.take(index).to(self.device)
        y = model.likelihood.to_model(x)
        if self.varies:
            y = model.likelihood.draw(y)
        with reduced(settings.precision):
            copies = None
            if self.augment is not None and (settings.consistency or settings.from_copies):
                copies = model.encode(self._observed(self.augment(x)))
            q = copies if copies is not None and settings.from_copies else model.encode(y)
            if assigned:
                assert self.start is not None
                c = self.start[index].long()
                terms, cross_entropy = elbo_assigned(model, y, c, q)
                loss = -(terms.log_px - cross_entropy - self.beta_now * terms.kl_z).sum() / n
                if copies is not None:
                    loss = loss + unlikeliness(copies, c).sum() / n
            else:
                terms = elbo(model, y, self.expectation, self.now, q)
                loss = -(terms.log_px - self.beta_now * (terms.kl_c + terms.kl_z)).sum() / n
                if copies is not None and settings.consistency:
                    loss = loss + settings.consistency * inconsistency(q, copies).sum() / n
        (loss if counts else 0 * loss).backward()
        with torch.no_grad():
            for _, flat in self.flats:
                flat.collect()
            gradients = [flat.gradient for _, flat in self.flats]
            sums = torch.stack([term.sum() for term in terms]) * counts
            self.world.sum(*gradients, sums)
            size = torch.nn.utils.get_total_norm(gradients)
            self.sums[:3] += sums
            self.sums[3] += n
            # Adam leaves the weights alone from the first number on that is not finite.
            self.broken.clamp_min_((~(size.isfinite() & sums.isfinite().all())).float())
            huge = (self.usual_norm > 0) & (size > GUARD * self.usual_norm)
            self.shrink.copy_(torch.where(huge, size / self.usual_norm, 1.0))
            held = torch.where(huge, GUARD * self.usual_norm, size)
            held = torch.where(self.usual_norm > 0, 0.99 * self.usual_norm + 0.01 * held, held)
            self.usual_norm.copy_(held)
            self.optimizer.step()

    def _observed(self, x: Tensor) -> Tensor:
        """Copies in the model's units; where the model sees black and white, which interpolation made grey, a draw."""
        y = self.model.likelihood.to_model(x)
        return self.model.likelihood.draw(y) if self.varies or self.settings.consistency else y

    def _not_finite(self) -> str:
        """What was not finite in a step of this epoch; empty if all was."""
        if not self.broken.item():
            return ""
        bad = [name for name, value in zip(Terms._fields, self.sums.tolist(), strict=False) if not math.isfinite(value)]
        return " and ".join(bad) or "the gradient"

    @torch.no_grad()
    def _update_average(self, step: int) -> None:
        """Move the average towards the weights, faster in the first steps, which are soon forgotten."""
        decay = min(self.settings.average, (step + 1) / (step + 10))
        for average, (_, flat) in zip(self.averages, self.flats, strict=True):
            average.lerp_(flat.values, 1.0 - decay**self.average_every)

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """The model with the average of its weights, for the block."""
        if not self.averages:
            yield
            return
        kept = [flat.values.clone() for _, flat in self.flats]
        for average, (_, flat) in zip(self.averages, self.flats, strict=True):
            flat.values.copy_(average)
        try:
            yield
        finally:
            for mine, (_, flat) in zip(kept, self.flats, strict=True):
                flat.values.copy_(mine)

    def _assigned(self) -> bool:
        """Whether the categories of the start hold in this epoch."""
        return self.start is not None and self.progress.epoch < self.settings.start_epochs

    def _finish_epoch(self) -> None:
        """Validate, record, keep the best weights, decide whether to stop."""
        with self._averaged():
            self._judge_epoch()

    def _judge_epoch(self) -> None:
        progress, settings = self.progress, self.settings
        terms, counts = validate(self.model, self.valid, self.expectation, self.world)
        parts = decompose(self.model, self.diagnosed)
        bound = float(terms.elbo)
        log_px, kl_c, kl_z, n = self.sums.tolist()
        negative = -(log_px - kl_c - kl_z) / n
        relaxed = isinstance(self.expectation, Relaxed) and not self._assigned()
        record = EpochRecord(
            epoch=progress.epoch + 1,
            train_negative_elbo=None if relaxed else negative,
            train_relaxed_not_a_bound=negative if relaxed else None,
            valid_negative_elbo=-bound,
            reconstruction=-log_px / n,
            kl_c=kl_c / n,
            kl_z=kl_z / n,
            beta=settings.beta_max * self.beta((progress.epoch + 1) * self.n_steps),
            components_used=components_used(counts.tolist()),
            seconds=round(progress.seconds, 3),
            mutual_information=float(parts.mutual_information.mean()),
            mutual_information_c=parts.mutual_information_c,
            marginal_kl_z=float(parts.marginal_kl_z.mean()),
            marginal_entropy_c=parts.marginal_entropy_c,
        )
        if not math.isfinite(bound):
            self._give_up("the validation bound")
            return
        progress.epoch, progress.step, progress.seconds = record.epoch, 0, 0.0
        self.sums.zero_()
        settled = max(settings.warmup_epochs, settings.start_epochs if self.start is not None else 0)
        if settings.from_copies:  # the bound of rows as they are is not what is trained
            settled = settings.max_epochs
        quality = float(terms.log_px - settings.beta_max * (terms.kl_c + terms.kl_z))  # the bound, unless beta_max != 1
        if quality > progress.best_bound or record.epoch <= settled:
            # Until everything has its full weight a better bound means little: the latest weights count.
            progress.best_bound, progress.best_epoch, self.best = quality, record.epoch, self._copy_weights()
        elif record.epoch - max(progress.best_epoch, settled) >= settings.patience:
            progress.stopped = EARLY
        self.history.append(record)
        if self.folder is not None:
            append_line(self.folder / HISTORY, json.dumps(record.as_dict()))
        if self.on_epoch is not None:
            self.on_epoch(record)

    def _give_up(self, cause: str) -> None:
        """Stop at a value that is not finite; the weights of the best epoch so far stay."""
        progress = self.progress
        progress.stopped = NOT_FINITE
        kept = f"the weights of epoch {progress.best_epoch}" if progress.best_epoch else "the initial weights"
        warnings.warn(
            f"training stopped in epoch {progress.epoch + 1}: {cause} became infinite or NaN; kept {kept}; "
            "use a lower learning_rate, or look for extreme values in the data",
            FitWarning,
            stacklevel=2,
        )

    @torch.no_grad()
    def _match_prior(self) -> None:
        """Set the conditional prior to the moments of the posterior of each category's rows.

        For given assignments this is the exact maximiser of the bound over the prior (the M-step of the start).
        """
        prior = self.model.prior
        if not isinstance(prior, Conditional) or prior.fixed or self.start is None:
            return
        shape = prior.loc.shape
        count = torch.zeros(shape[0], 1, dtype=torch.float32, device=self.device)
        first, second = prior.loc.new_zeros(shape), prior.loc.new_zeros(shape)
        part, position = self.world.part(len(self.rows)), 0
        start = self.start[part]
        for x in self.rows.part(part).chunks():
            c = start[position : position + len(x)].long()
            position += len(x)
            y = self.model.likelihood.draw_fixed(self.model.likelihood.to_model(x.to(self.device)))
            q = self.model.encode(y).given(c.unsqueeze(1)).base_dist
            loc, scale = q.loc[:, 0], q.scale[:, 0]
            count.index_add_(0, c, torch.ones_like(count[:1]).expand(len(c), 1))
            first.index_add_(0, c, loc)
            second.index_add_(0, c, loc.square() + scale.square())
        self.world.sum(count, first, second)
        filled = count > 1
        loc = torch.where(filled, first / count.clamp_min(1), prior.loc)
        variance = second / count.clamp_min(1) - loc.square()
        scale = torch.where(filled, variance.clamp_min(1e-4).sqrt(), prior.scale)
        prior.set_components(loc, scale)

    def _save(self, path: Path) -> None:
        state = self.optimizer.state_dict()["state"]
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        tensors |= {f"best.{name}": value for name, value in self.best.items()}
        tensors |= {f"adam.{i}.{name}": value for i, parts in state.items() for name, value in parts.items()}
        tensors |= {f"average.{i}": average for i, average in enumerate(self.averages)}
        tensors |= {"sums": self.sums, "usual_norm": self.usual_norm}
        states = draws.state()
        tensors |= {"random": states.pop("cpu"), **{f"random.{kind}": state for kind, state in states.items()}}
        if self.start is not None:
            tensors["start"] = self.start
        meta: dict[str, Any] = {"progress": asdict(self.progress), "settings": asdict(self.settings)}
        meta["progress"]["best_bound"] = str(self.progress.best_bound)  # JSON has no infinity
        meta["history"] = [record.as_dict() for record in self.history]
        save_tensors(path, tensors, meta)
        self.saved = time.perf_counter()

    def _restore(self, path: Path) -> None:
        tensors, meta = load_tensors(path)
        if meta["settings"] != asdict(self.settings):
            raise InputError(f"{path} was written with other settings; resume with the same ones, or start a new run")

        def part(prefix: str) -> dict[str, Tensor]:
            return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}

        self.model.load_state_dict(part("model."))
        self.best = part("best.")
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in part("adam.").items():
            i, key = name.split(".")
            state.setdefault(int(i), {})[key] = value
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})
        for name, value in part("average.").items():
            self.averages[int(name)] = value.to(self.device)
        self.progress = _Progress(**meta["progress"])
        self.progress.best_bound = float(meta["progress"]["best_bound"])
        self.history = [EpochRecord(**record) for record in meta["history"]]
        self.sums.copy_(tensors["sums"])
        self.usual_norm.copy_(tensors["usual_norm"])
        self.start = tensors["start"].to(self.device) if "start" in tensors else None
        if self.world.is_main:
            lines = [json.dumps(record.as_dict()) + "\n" for record in self.history]
            write_atomic(path.parent / HISTORY, "".join(lines))
        draws.set_state({"cpu": tensors["random"], **part("random.")}, self.device)
