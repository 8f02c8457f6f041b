"""Learning from rows: rows and seeds prepared, restarts trained, the best one kept."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from cpvae.data.limits import check_memory
from cpvae.data.rows import Rows
from cpvae.data.split import Split, fingerprint, split
from cpvae.errors import InputError, warn
from cpvae.estimators import gaps, repeats, stretch
from cpvae.estimators.cards import LearnedFrom, learned_from
from cpvae.estimators.known import Known, tell
from cpvae.estimators.known import read as read_known
from cpvae.estimators.rows_in import warn_of_columns
from cpvae.fitting import jobs, presets, runs
from cpvae.fitting.devices import device
from cpvae.fitting.devices.world import world
from cpvae.fitting.progress import Reporter, Silent, Terminal
from cpvae.fitting.records import INTERRUPTED
from cpvae.fitting.restart import Fit, Restart
from cpvae.fitting.restarts import run_all
from cpvae.fitting.stability import stability
from cpvae.nn.draws import lent, seeded
from cpvae.probability import likelihoods
from cpvae.probability.estimates import component_probabilities, components_used, row_counts
from cpvae.probability.models import VAE
from cpvae.probability.priors import component_prior

if TYPE_CHECKING:
    from cpvae.estimators.contract import DeepMixture

FEW_ROWS = 10_000  # behind q(c) of a fit that was stopped
COLLAPSED = 0.5  # share of categories in use below which a fit warns
BYTES_A_WEIGHT = 28  # itself, its gradient, two of Adam, the average, the best so far, and what is being written


@dataclass(frozen=True)
class Prepared:
    """All that a fit begins with: schema, split and seeds are settled, in this order.

    Attributes:
        array: all rows given, checked, ``(n, features)``; valid_array: those given for validation, or None.
        rows, valid: what is trained on, and what the validation bound is of.
        parts: the split of `array`, or None where validation rows are given.
        likelihood: with the units of the training rows; why: it was chosen, in words.
        seeds: one for each restart.
        known: the known categories of some rows of `array`, or None.
        begun: weights that every restart begins with, by their names in the module; None begins with new ones.
        weights: how many rows each training row stands for in q(c) and in the rates of missing cells, float64 ``(m,)``;
            None counts each as one.
    """

    array: np.ndarray
    valid_array: np.ndarray | None
    rows: Rows
    valid: Rows
    parts: Split | None
    likelihood: likelihoods.Likelihood
    why: str
    seeds: list[int]
    known: Known | None = None
    begun: Mapping[str, torch.Tensor] | None = None
    weights: torch.Tensor | None = None

    @property
    def judged(self) -> Rows:
        """The validation rows that a card and a stretch are measured on."""
        return self.valid

    @property
    def labelled(self) -> tuple[int, ...] | None:
        """The number of rows that people have labelled, of each category ``(K,)``; None without labels."""
        return None if self.known is None else self.known.counts

    def told(self, estimator: DeepMixture) -> list[str]:
        """Say what rows are taken for, and what is known of them, a line each."""
        known = [] if self.known is None else [tell(self.known, len(self.array))]
        chosen = f"likelihood {self.likelihood.name}: {self.why}"
        if estimator.likelihood == "auto" and self.likelihood.name != "columns":  # that is said of by the schema
            chosen += f"; for another say likelihood={_other(self.likelihood.name)!r} (--likelihood)"
        return [*estimator._taken_for(), *known, *estimator._seen(), chosen]

    def learned_from(self, model: VAE, valid: Rows | None) -> LearnedFrom:
        """Record the rows of the fit, and measure the bound of its model on some validation rows."""
        return learned_from(self.fingerprint, model, valid)

    def config(self) -> dict[str, Any]:
        """Tell what the fit knows beside its rows from anything else, as JSON holds it."""
        return {} if self.known is None else {"known": self.known.as_dict()}

    def known_rows(self) -> torch.Tensor | None:
        """Give the known category of each row that is trained on, int64 ``(m,)``, -1 without one; None if none is."""
        if self.known is None or not any(self.known.counts):
            return None
        own = self.known.categories if self.parts is None else self.known.categories[self.parts.train]
        return torch.from_numpy(own)

    @cached_property
    def fingerprint(self) -> dict[str, Any]:
        """Tell these rows from others."""
        return fingerprint(self.array)

    def data(self) -> dict[str, Any]:
        """Tell these rows, and their split, from others, as JSON holds it."""
        found = dict(self.fingerprint)
        if self.parts is not None:
            found["split"] = self.parts.as_dict()
        if self.valid_array is not None:
            found["valid"] = fingerprint(self.valid_array)
        return found


def fit(
    estimator: DeepMixture, X: ArrayLike, X_valid: ArrayLike | None, reporter: Reporter | None, known: Any = None
) -> None:
    """Fit an estimator, and keep nothing on the disk.

    Raises:
        InputError: arguments or rows that cannot be used.
        KeyboardInterrupt: Ctrl-C or SIGTERM; the estimator has the best weights so far.
    """
    train(estimator, prepare(estimator, X, X_valid, known=known), reporter)


def prepare(
    estimator: DeepMixture,
    X: ArrayLike,
    X_valid: ArrayLike | None,
    seeds: list[int] | None = None,
    known: Any = None,
) -> Prepared:
    """Check arguments and rows, and settle the schema, then the split, then the seeds.

    Args:
        seeds: those a run began with; by default they are drawn with the estimator's `random_state`.
        known: labels of some rows, as `cpvae.estimators.known.read`.

    Raises:
        InputError: arguments or rows that cannot be used.
    """
    estimator.check_params()
    array = estimator._check_rows(X, reset=True)
    if len(array) < estimator.n_components:
        raise InputError(
            f"{len(array)} rows (n_samples={len(array)}) for n_components={estimator.n_components}: expected at least "
            "as many rows as components; give more rows or ask for fewer components"
        )
    labels = None if known is None else _known(estimator, known, X, len(array))
    estimator._network()  # a network that cannot take such rows is refused before any work
    place = device.find(estimator.device)
    world().check_device(place)
    if seeds is None:
        random = check_random_state(estimator.random_state)
        seeds = world().first(lambda: [int(seed) for seed in random.randint(2**31 - 1, size=estimator.n_init)])
    if X_valid is None:
        kept = None if labels is None else labels.categories >= 0
        parts = split(len(array), estimator.validation_fraction, estimator.n_components, seeds[0], kept)
        valid_array, rows = None, Rows(array, parts.train, place)
        valid = rows.at(parts.valid)
    else:
        parts, rows = None, Rows(array, device=place)
        valid_array = estimator._check_rows(X_valid, reset=False)
        valid = Rows(valid_array, device=place)
    refuse_one_row(rows)
    estimator._look_at(rows)
    choice = _choose(estimator, array)
    estimator.likelihood_ = choice.name
    augment = estimator._augment()
    form = replace(estimator._form(), hides=augment is not None and augment.kind == "table")
    likelihood = likelihoods.make(choice.name, rows, form, valid).to(place)
    refuse_too_large(estimator, likelihood, place)
    warn_of_columns(estimator.schema_)
    if parts is not None and parts.overlap:
        warn(
            f"{len(array)} rows are too few to hold any out: the bound that chooses among epochs and restarts is of "
            "the training rows and favours fits that know them by heart; give more rows, or X_valid"
        )
    return Prepared(array, valid_array, rows, valid, parts, likelihood, choice.why, seeds, labels)


def _known(estimator: DeepMixture, known: Any, X: ArrayLike, n: int) -> Known:
    """Read the labels of some rows.

    Raises:
        InputError: the model cannot be given categories, or `cpvae.estimators.known.read` refuses the labels.
    """
    if not estimator.takes_known:
        raise InputError(
            f"known for a {estimator.name!r} model, whose rows cannot be given categories: expected CPVAE "
            "(--model cpvae); fit that, or leave known out"
        )
    return read_known(known, X, n, estimator.n_components)


def refuse_one_row(rows: Rows) -> None:
    """Refuse rows of which every one is the same.

    Raises:
        InputError: saying how many there are.
    """
    first = None
    for x in rows.chunks():
        first = x[:1] if first is None else first
        if not bool(((x == first) | ((x != x) & (first != first))).all()):  # missing cells are NaN
            return
    if len(rows) == 1:
        raise InputError("a single row is left to train on: expected rows that differ; give more rows")
    raise InputError(
        f"every row is the same, all {len(rows)} training rows: expected rows that differ; give rows of several sources"
    )


def refuse_too_large(estimator: DeepMixture, likelihood: likelihoods.Likelihood, place: torch.device) -> None:
    """Refuse a model that the memory of this machine could not hold while it learns.

    Raises:
        InputError: saying how much that would be.
    """
    if place.type != "cpu":
        return
    likelihood = copy.deepcopy(likelihood)
    with torch.device("meta"):  # shapes without values
        n = sum(parameter.numel() for parameter in estimator._module(likelihood).parameters())
    given = f"a model with {n:,} weights, for rows of {estimator.n_features_in_:,} values"
    check_memory(
        n * BYTES_A_WEIGHT, given, "smaller rows (of pictures by size=64, --size 64), or smaller layers (hidden)"
    )


def _choose(estimator: DeepMixture, array: np.ndarray) -> likelihoods.Choice:
    """Choose the likelihood, if that is asked."""
    if estimator.likelihood != "auto":
        return likelihoods.Choice(estimator.likelihood, "asked for")
    return likelihoods.choose(array, estimator._form())


def _other(likelihood: str) -> str:
    """Name another likelihood for the same rows, as an example."""
    return "isotropic" if likelihood == "gaussian" else "gaussian"


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
        label="" if alone else f" (restart {i + 1}/{len(prepared.seeds)})",
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
    best = min(fits, key=lambda i: fits[i][1].best_negative_elbo)
    model, outcome = fits[best]
    estimator.start_seconds_ = round(sum(outcome.start_seconds for _, outcome in fits.values()), 3)  # as it is kept
    estimator.stability_ = _stability([model for model, _ in fits.values()], prepared.valid) if finished else None
    estimator.likelihood_ = model.likelihood.name
    estimator.consistent_ = estimator._consistent()
    estimator.names_ = {} if prepared.known is None else dict(prepared.known.names)
    estimator.known_ = prepared.labelled
    estimator.history_ = [record.as_dict() for record in outcome.history]
    estimator.n_iter_ = len(outcome.history)
    estimator.stopped_ = outcome.stopped if finished else INTERRUPTED
    estimator.best_epoch_ = outcome.best_epoch
    estimator.seed_ = prepared.seeds[best]
    schema = estimator.schema_
    lacking = schema is not None and any(column.missing for column in schema.columns)
    counts, missing = _aggregate(model, prepared, finished, lacking)
    if schema is not None and missing is None:
        missing = np.zeros((model.n_components, len(schema.columns)))
    estimator._set_model(model)
    estimator.missing_rates_ = missing
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


def _stability(models: Sequence[VAE], valid: Rows) -> float | None:
    """Measure how far restarts agree on the categories of validation rows; None for one, or without categories."""
    if len(models) < 2 or models[0].n_components < 2:
        return None
    found = []
    for model in models:
        y = model.likelihood.fixed(valid)
        found.append(component_probabilities(model, y).argmax(-1).numpy(force=True))
    return stability(found)
