"""Rows, likelihood and seeds that a fit begins with."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from cpvae.data.limits import check_memory
from cpvae.data.rows import Rows
from cpvae.data.split import Split, fingerprint, split
from cpvae.errors import InputError, counted, warn
from cpvae.estimators.cards import LearnedFrom, learned_from
from cpvae.estimators.known import Known, tell
from cpvae.estimators.known import read as read_known
from cpvae.estimators.rows_in import warn_of_columns
from cpvae.fitting.devices import device
from cpvae.fitting.devices.world import world
from cpvae.probability import likelihoods
from cpvae.probability.models import VAE

if TYPE_CHECKING:
    from cpvae.estimators.contract import DeepMixture

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
    def gaps_are_known(self) -> bool:
        """Say whether cells of the rows are missing as often as in the data."""
        return True

    @property
    def labelled(self) -> tuple[int, ...] | None:
        """The number of rows that people have labelled, of each category ``(K,)``; None without labels."""
        return None if self.known is None else self.known.counts

    def told(self, estimator: DeepMixture) -> list[str]:
        """Say what rows are taken for, and what is known of them, a line each."""
        known = [] if self.known is None else [tell(self.known, len(self.array))]
        chosen, auto = f"likelihood {self.likelihood.name}: {self.why}", estimator.likelihood == "auto"
        if auto:
            chosen += f"; for another say likelihood={_other(self.likelihood.name)!r} (--likelihood)"
        said_by_columns = auto and self.likelihood.name == "columns"
        return [*estimator._taken_for(), *known, *estimator._seen(), *([] if said_by_columns else [chosen])]

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


def prepare(
    estimator: DeepMixture,
    X: ArrayLike,
    X_valid: ArrayLike | None,
    seeds: list[int] | None = None,
    known: Any = None,
    covariance: str | None = None,
) -> Prepared:
    """Check arguments and rows, and settle the schema, then the split, then the seeds.

    Args:
        seeds: those a run began with; by default they are drawn with the estimator's `random_state`.
        known: labels of some rows, as `cpvae.estimators.known.read`.
        covariance: form of the covariances that a run began with; by default it is chosen.

    Raises:
        InputError: arguments or rows that cannot be used.
    """
    estimator.check_params()
    array = estimator._check_rows(X, reset=True)
    if len(array) < estimator.n_components:
        raise InputError(
            f"{counted(len(array), 'row')} (n_samples={len(array)}) for n_components={estimator.n_components}: "
            "expected at least as many rows as components; give more rows or ask for fewer components"
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
    _refuse_one_row(rows)
    estimator._look_at(rows, labels is not None)
    estimator.covariance_ = covariance or estimator._covariance(len(rows))
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
            f"known for a {estimator.name!r} model, whose rows cannot be given categories: expected CPVAE or "
            "CPHVAE (--model cpvae or hvae-cp); fit one of them, or leave known out"
        )
    return read_known(known, X, n, estimator.n_components)


def _refuse_one_row(rows: Rows) -> None:
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
