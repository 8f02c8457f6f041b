"""Learning from rows that are prepared: restarts trained, the best one kept."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from cpvae.data.rows import Rows
from cpvae.errors import InputError, warn
from cpvae.estimators import gaps, repeats, stretch
from cpvae.estimators.preparing import Prepared, prepare
from cpvae.fitting import jobs, presets, runs
from cpvae.fitting.devices.world import world
from cpvae.fitting.progress import Reporter, Silent, Terminal, duration
from cpvae.fitting.records import INTERRUPTED
from cpvae.fitting.restart import Fit, Restart
from cpvae.fitting.restarts import run_all
from cpvae.fitting.stability import stability
from cpvae.nn.draws import lent, seeded
from cpvae.probability.estimates import component_probabilities, components_used, row_counts
from cpvae.probability.models import VAE
from cpvae.probability.priors import component_prior

if TYPE_CHECKING:
    from cpvae.estimators.contract import DeepMixture

FEW_ROWS = 10_000  # behind q(c) of a fit that was stopped, and, of either kind, behind the agreement of restarts
COLLAPSED = 0.5  # share of categories in use below which a fit warns


def fit(
    estimator: DeepMixture, X: ArrayLike, X_valid: ArrayLike | None, reporter: Reporter | None, known: Any = None
) -> None:
    """Fit an estimator, and keep nothing on the disk.

    Raises:
        InputError: arguments or rows that cannot be used.
        KeyboardInterrupt: Ctrl-C or SIGTERM; the estimator has the best weights so far.
    """
    train(estimator, prepare(estimator, X, X_valid, known=known), reporter)


def reporter_of(estimator: DeepMixture) -> Reporter:
    """Make the listener that an estimator asks for."""
    return Terminal() if estimator.verbose and world().is_main else Silent()


def train(
    estimator: DeepMixture,
    prepared: Prepared,
    reporter: Reporter | None = None,
    folder: Path | None = None,
    resume: bool = False,
    other_length: bool = False,
) -> None:
    """Train all restarts, and give the estimator the best of them.

    Args:
        folder: for histories and checkpoints; None keeps nothing.
        resume: go on from checkpoints that are there.
        other_length: they are given another number of epochs than they began with.

    Raises:
        KeyboardInterrupt: Ctrl-C or SIGTERM; the estimator has the best weights so far.
    """
    reporter = reporter or reporter_of(estimator)
    for line in prepared.told(estimator):
        reporter.say(line)
    found: dict[int, Fit] = {}
    began = time.perf_counter()
    try:
        with torch.inference_mode(False), torch.enable_grad():  # whatever the caller works in
            asked = _restarts(estimator, prepared, folder, resume, other_length)
            run_all(asked, prepared.rows, prepared.valid, reporter, found)
    except KeyboardInterrupt:
        if found and world().is_main:
            keep(estimator, prepared, found, finished=False)
        raise
    finally:
        reporter.close()
    if len(found) > 1:
        reporter.say(f"{len(found)} restarts took {duration(time.perf_counter() - began)} in all")
    keep(estimator, prepared, found)


def _restarts(
    estimator: DeepMixture, prepared: Prepared, folder: Path | None, resume: bool, other_length: bool
) -> list[Restart]:
    """Make all fits, ready to run, of as many epochs as the time of the estimator allows for.

    Raises:
        InputError: a time, where several processes train together, whose plans would differ.
    """

    def made(epochs: int | None) -> list[Restart]:
        return [_restart(estimator, prepared, i, folder, resume, epochs) for i in range(len(prepared.seeds))]

    asked, seconds = made(estimator.max_epochs), estimator.max_seconds
    began = asked[0].began_with() if resume else None
    if seconds is None or (began is not None and other_length):
        return asked
    if world().size > 1:
        raise InputError(
            f"max_seconds={seconds} for {world().size} processes that train together: expected one process, which can "
            "plan; say max_epochs (--epochs)"
        )
    if began is None:
        turns = math.ceil(len(asked) / jobs.at_a_time(None, len(asked), prepared.rows.device.type))
        began = asked[0].affordable(prepared.rows, prepared.valid, seconds / turns)
    return made(began)


def _restart(
    estimator: DeepMixture, prepared: Prepared, i: int, folder: Path | None, resume: bool, epochs: int | None
) -> Restart:
    """Make the i-th fit, ready to run; `epochs` in place of those of the preset, where it is not None."""
    rows, seed, alone = prepared.rows, prepared.seeds[i], len(prepared.seeds) == 1
    names = ("max_epochs", "batch_size", "learning_rate", "warmup_epochs", "patience", "precision")
    given = {name: getattr(estimator, name) for name in names} | {"max_epochs": epochs}
    settings = presets.settings(estimator.preset, len(rows), seed, **given)
    total = settings.max_epochs * settings.steps(len(rows))
    with seeded(seed), lent():
        model = estimator._module(copy.deepcopy(prepared.likelihood)).to(rows.device)
        estimator._prepare(model, rows, seed)
    if prepared.begun is not None:
        begin_with(model, prepared.begun)
    return Restart(
        model=model,
        n_components=estimator.n_components,
        maker=estimator._start(),
        augment=estimator._augment(),
        shape=estimator._form().shape,
        objective=estimator._objective(settings.beta(len(rows)), total),
        settings=settings,
        folder=folder if folder is None or alone else runs.restart(folder, i),
        resume=resume,
        known=prepared.known_rows(),
        number=i,
        of=len(prepared.seeds),
    )


@torch.no_grad()
def begin_with(model: VAE, weights: Mapping[str, torch.Tensor]) -> None:
    """Give a new module weights of one with as many categories or fewer, which keep their numbers.

    A weight with a row for each category has the rows of its own for the categories that are new.
    """
    for name, value in model.state_dict().items():  # shares its memory with the module
        old = weights[name]
        (value if value.shape == old.shape else value[: len(old)]).copy_(old)


def keep(estimator: DeepMixture, prepared: Prepared, fits: dict[int, Fit], finished: bool = True) -> None:
    """Give an estimator the best of its restarts, and say so if the categories collapsed.

    Args:
        fits: by their numbers.
        finished: whether they all ended. Those that did not are gone on with, and what is kept until then is marked.
    """
    if finished:
        prepared.rows.renew(prepared.seeds[0])  # whichever were drawn last: what is measured does not depend on it
    best = min(fits, key=lambda i: fits[i][1].best_negative_elbo)
    model, outcome = fits[best]
    estimator.start_seconds_ = round(sum(outcome.start_seconds for _, outcome in fits.values()), 3)  # as it is kept
    agreed = _agreement([model for model, _ in fits.values()], prepared) if finished else (None, 0)
    estimator.stability_, estimator.stability_rows_ = agreed
    estimator.likelihood_ = model.likelihood.name
    estimator.consistent_ = estimator._consistent()
    estimator.names_ = {} if prepared.known is None else dict(prepared.known.names)
    estimator.known_ = prepared.labelled
    estimator.history_ = [record.as_dict() for record in outcome.history]
    estimator.n_iter_ = len(outcome.history)
    estimator.stopped_ = outcome.stopped if finished else INTERRUPTED
    estimator.best_epoch_ = outcome.best_epoch
    estimator.seed_ = prepared.seeds[best]
    counts, missing = _aggregate(model, prepared, finished, gaps.lacking(estimator, model))
    estimator._set_model(model)
    estimator.missing_rates_ = gaps.to_keep(estimator, missing) if prepared.gaps_are_known else None
    if finished:
        estimator.schema_ = repeats.with_repeats(estimator, prepared.rows, _as_array(prepared.weights))
    held_out = finished and (prepared.parts is None or not prepared.parts.overlap)
    estimator.stretch_ = 1.0
    if held_out:
        estimator.stretch_ = world().first(lambda: stretch.measure(estimator, prepared.rows, prepared.judged))
    estimator.learned_from_ = prepared.learned_from(model, prepared.judged if held_out else None)
    used, asked = components_used(counts.tolist()), estimator.n_components_
    if finished and used < COLLAPSED * asked and component_prior(model.prior) is not None:
        warn(f"only {used} of {asked} {estimator.part_name} are in use; {estimator.remedy}")


def _as_array(weights: torch.Tensor | None) -> np.ndarray | None:
    return None if weights is None else weights.numpy(force=True)


@torch.no_grad()
def _aggregate(model: VAE, prepared: Prepared, finished: bool, lacking: bool) -> tuple[torch.Tensor, np.ndarray | None]:
    """Set q(c) of the training rows, eq. (14), and count the rows of each component, ``(K,)``.

    Where cells are `lacking`, also measure how often they are missing in each component (`cpvae.estimators.gaps`).

    Whoever stops a fit does not wait for all rows: then some of them must do, read by this process alone.
    """
    model.eval()
    rows, k = prepared.rows, model.n_components
    total = torch.zeros(k, dtype=torch.float64)
    counts = torch.zeros(k, dtype=torch.int64)
    prior = component_prior(model.prior)
    if prior is None and not lacking:
        return counts, None
    weights = torch.ones(len(rows), dtype=torch.float64) if prepared.weights is None else prepared.weights
    if finished:
        own = world().part(len(rows))
        part, weights = rows.part(own), weights[own]
    else:
        few = np.random.RandomState(0).permutation(len(rows))[:FEW_ROWS]
        part, weights = rows.some(few), weights[torch.from_numpy(few)]
    missing = torch.zeros(k, part.x.shape[1] if lacking else 0, dtype=torch.float64)
    position = 0
    for x in part.chunks():
        if prior is None:
            q_c = torch.ones(len(x), k) / k
        else:
            q_c = component_probabilities(model, model.likelihood.draw_fixed(model.likelihood.to_model(x))).cpu()
            counts += row_counts(q_c)
        q_c = q_c.double() * weights[position : position + len(x), None]
        position += len(x)
        total += q_c.sum(0)
        if lacking:
            missing += q_c.T @ x.isnan().double().cpu()
    whole = weights.sum(0, keepdim=True)
    if finished:
        world().sum(total, counts, missing, whole)
    if prior is not None:
        prior.set_aggregated(total / whole)
    return counts, gaps.rates(missing, total) if lacking else None


@torch.no_grad()
def _agreement(models: Sequence[VAE], prepared: Prepared) -> tuple[float | None, int]:
    """Measure how far restarts agree on the categories of rows, and count these; None for one, or without categories.

    They are rows of both kinds, trained on and held out: a share held out of few rows would be too few.
    """
    if len(models) < 2 or models[0].n_components < 2:
        return None, 0
    overlap = prepared.parts is not None and prepared.parts.overlap
    sides = [rows.spread(FEW_ROWS) for rows in (prepared.rows, *([] if overlap else [prepared.valid]))]
    found = [np.concatenate([_categories(model, rows) for rows in sides]) for model in models]
    return stability(found), sum(map(len, sides))


def _categories(model: VAE, rows: Rows) -> np.ndarray:
    """Find the likeliest component of each row, ``(n,)``."""
    likelihood = model.eval().likelihood
    parts = [component_probabilities(model, likelihood.draw_fixed(likelihood.to_model(x))) for x in rows.chunks()]
    return torch.cat(parts).argmax(-1).numpy(force=True)
