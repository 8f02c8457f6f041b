"""Findings: what to watch out for in a fitted model, in plain words. Each function of numbers gives one or None."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import e, log, pi
from typing import Any

import numpy as np

from cpvae.estimators.clusterer import Clusterer, clusters
from cpvae.estimators.contract import DeepMixture
from cpvae.estimators.learning import COLLAPSED
from cpvae.fitting.records import ALL_EPOCHS, NOT_FINITE
from cpvae.probability.estimates import Evaluation, components_used, in_use, information_c, standard_error
from cpvae.words.names import numbered
from cpvae.words.phrases import agreement, percent

Names = Mapping[int, str]  # that the user gave to categories
NAMELESS: Names = {}
STABLE = 0.8  # mean adjusted Rand index of restarts below which a reader is warned
NATS_OF_NORMAL = 0.5 * log(2 * pi * e)  # what a plain Gaussian needs for one standardised column


@dataclass(frozen=True)
class Finding:
    """Something to look out for, and what to do about it."""

    title: str
    text: str
    action: str


def findings(model: DeepMixture, evaluation: Evaluation, values: np.ndarray) -> list[Finding]:
    """List all that a reader should be warned of, gravest first.

    Args:
        model: fitted.
        evaluation: of the rows looked at; values: these rows in the units of the data, ``(n, F)``.
    """
    history = model.history_
    relaxed = any(record["train_negative_elbo"] is None for record in history)
    scale = bound_scale(model.model_.likelihood.discrete, model.n_features_in_, history)
    found = [not_finite(model.stopped_, model.best_epoch_)]
    if clusters(model) and model.n_components_ > 1:
        kept = _record(history, model.best_epoch_)
        rows = np.bincount(evaluation.q_c.argmax(1), minlength=model.n_components_)
        used = max(components_used(rows), 0 if kept is None else int(kept["components_used"]))
        found += [
            collapse(used, model.n_components_, model.remedy)
            or vague(information_c(evaluation.q_c), model.n_components_, model.remedy)
            or small_categories(model.weights_, model.names_)
        ]
        found += [
            unstable(model),
            confused(evaluation.proba, evaluation.proba.argmax(1), names=model.names_),
        ]
    found += [
        in_warmup(history),
        still_falling(history, model.stopped_),
        overfits(history, model.best_epoch_, scale),
        other_rows(-evaluation.elbo, history, model.best_epoch_, scale),
        relaxed_objective() if relaxed else None,
        copies(values),
    ]
    return [finding for finding in found if finding is not None]


def bound_scale(discrete: bool, features: int, history: Sequence[Mapping[str, Any]]) -> float:
    """Choose the nats against which a difference of bounds is large or small.

    The bound of a probability is its own measure. A density moves with the units of the data, so that its bound may be
    near 0; there it is what a plain Gaussian needs for standardised columns.
    """
    if discrete and history:
        return abs(float(history[-1]["valid_negative_elbo"]))
    return NATS_OF_NORMAL * features


def not_finite(stopped: str, best_epoch: int) -> Finding | None:
    """Warn of a fit that ended at a value that is not finite."""
    if stopped != NOT_FINITE:
        return None
    kept = f"The weights of epoch {best_epoch} were kept." if best_epoch else "The weights are those of the start."
    return Finding(
        "Training stopped at a value that is not finite",
        f"A bound or a gradient became infinite or not a number. {kept}",
        "Use a lower learning_rate, and look for extreme values in the data.",
    )


def collapse(used: int, n_components: int, remedy: str = Clusterer.remedy) -> Finding | None:
    """Warn of a fit that uses less than half of its categories."""
    if used >= COLLAPSED * n_components:
        return None
    return Finding(
        f"Only {used} of {n_components} categories are in use",
        "The others hold next to no rows: the model does not tell so many sources apart.",
        f"{remedy[0].upper()}{remedy[1:]}.",
    )


def vague(information: float, n_components: int, remedy: str = Clusterer.remedy) -> Finding | None:
    """Warn of rows that say next to nothing about their category: less than a tenth of log K nats."""
    if information >= 0.1 * log(n_components):
        return None
    return Finding(
        "The categories hardly depend on the rows",
        f"A row tells {information:.2f} nats about its category, of at most {log(n_components):.2f}: all rows are "
        "spread over the categories in nearly the same way.",
        f"Train longer, or {remedy}.",
    )


def small_categories(weights: np.ndarray, names: Names = NAMELESS) -> Finding | None:
    """Warn of categories with less than a tenth of an even share."""
    small = np.flatnonzero(~in_use(weights))
    if not len(small):
        return None
    some = ", ".join(numbered(int(k), names) for k in small[:10]) + (", …" if len(small) > 10 else "")
    return Finding(
        f"{_categories(len(small))} hardly used: {some}",
        "Less than a tenth of an even share of the rows lies there, so what such a category generates is little "
        "constrained.",
        "Ignore such a category when clustering and sampling, or fit again with fewer components.",
    )


def unstable(model: DeepMixture) -> Finding | None:
    """Warn of restarts that put the same rows into different categories."""
    if model.stability_ is None or model.stability_ >= STABLE:
        return None
    return Finding(
        "The categories differ from restart to restart",
        f"{agreement(model.n_init, model.stability_, model.stability_rows_)}: part of what this fit found is luck.",
        "Believe what the restarts have in common; fit with fewer components, more rows, or another init.",
    )


def confused(proba: np.ndarray, categories: np.ndarray, much: float = 0.25, names: Names = NAMELESS) -> Finding | None:
    """Warn of categories between which the model wavers: rows of one have much probability in the other."""
    k = proba.shape[1]
    sums = np.zeros((k, k))
    np.add.at(sums, categories, proba)
    counts = np.bincount(categories, minlength=k)
    mean = sums / np.maximum(counts, 1)[:, None]
    np.fill_diagonal(mean, 0.0)
    mean[counts < 5] = 0.0
    both = np.triu(np.maximum(mean, mean.T))
    pairs = np.argwhere(both >= much)
    if not len(pairs):
        return None
    pairs = pairs[np.argsort(-both[tuple(pairs.T)], kind="stable")]
    some = ", ".join(f"{numbered(a, names)} and {numbered(b, names)}" for a, b in pairs[:5].tolist()) + (
        ", …" if len(pairs) > 5 else ""
    )
    return Finding(
        f"Hard to tell apart: categories {some}",
        f"Rows of one have on average more than {percent(much)} of their probability in the other.",
        "Treat them as one source, or fit again with fewer components.",
    )


def in_warmup(history: Sequence[Mapping[str, Any]]) -> Finding | None:
    """Warn of a fit that ended before the KL terms had their full weight."""
    if not history or history[-1]["beta"] >= 1:
        return None
    return Finding(
        "Training ended before its warm-up did",
        f"The KL terms had only {percent(float(history[-1]['beta']))} of their weight, so the bound was not yet what "
        "was optimised.",
        "Train for more epochs, or set a smaller warmup_epochs.",
    )


def still_falling(history: Sequence[Mapping[str, Any]], stopped: str) -> Finding | None:
    """Warn if the last fifth of the epochs still brought a half percent of all that training brought."""
    if stopped != ALL_EPOCHS or not history:
        return None
    if len(history) == 1:
        return Finding("Trained for a single epoch", "Whether more would help cannot be seen.", "Raise max_epochs.")
    valid = np.array([float(record["valid_negative_elbo"]) for record in history])
    last = max(1, len(valid) // 5)
    gain, total = valid[:-last].min() - valid[-last:].min(), valid.max() - valid.min()
    if total <= 0 or gain <= 0.005 * total or valid.argmin() < len(valid) - max(1, last // 2):
        return None
    return Finding(
        "The validation bound was still falling at the end",
        f"The last {last} of {len(valid)} epochs improved it by {gain:.2f} nats.",
        "Train longer: raise max_epochs.",
    )


def overfits(history: Sequence[Mapping[str, Any]], best_epoch: int, scale: float) -> Finding | None:
    """Warn if training rows are described better than validation rows by more than 3 % of `scale` nats."""
    record = _record(history, best_epoch)
    if record is None:
        return None
    if record["train_negative_elbo"] is None:
        return None
    gap = float(record["valid_negative_elbo"]) - float(record["train_negative_elbo"])
    if gap <= 0.03 * scale:
        return None
    return Finding(
        "The model overfits",
        f"In the epoch kept, training rows are described {gap:.2f} nats better than validation rows.",
        "Give more rows, or use smaller hidden layers or a smaller latent_dim.",
    )


def other_rows(
    negative: np.ndarray, history: Sequence[Mapping[str, Any]], best_epoch: int, scale: float
) -> Finding | None:
    """Warn if these rows are described far worse than the validation rows were: by a tenth of `scale`."""
    record = _record(history, best_epoch)
    if record is None or len(negative) < 2:
        return None
    gap = float(negative.mean(dtype=np.float64)) - float(record["valid_negative_elbo"])
    if gap <= max(0.1 * scale, 4 * (standard_error(negative) or 0.0)):
        return None
    return Finding(
        "These rows are unlike those the model was fitted on",
        f"They are described {gap:.2f} nats worse than the validation rows were.",
        "Check that they come from the same source, in the same units and order of columns; else fit again with them.",
    )


def relaxed_objective() -> Finding:
    """Warn of a training objective that is no bound."""
    return Finding(
        "What was optimised is not a bound",
        "With expectation='relaxed' the training objective may be better than any "
        "true bound, so its curve is left out below. The validation curve and the numbers on this page are bounds.",
        "Compare models by the validation rows only, or use expectation='auto'.",
    )


def copies(values: np.ndarray) -> Finding | None:
    """Warn if more than a twentieth of the rows repeat another; in few columns that is expected."""
    if values.shape[1] < 4:
        return None
    same = np.where(np.isnan(values), np.inf, values)  # two missing cells are alike
    repeated = 1.0 - len(np.unique(same, axis=0)) / len(values)
    if repeated <= 0.05:
        return None
    return Finding(
        f"{percent(repeated)} of the rows are copies of another row",
        "Copies on both sides of the validation split make the validation bound look better than it is.",
        "If they are there by mistake, drop them before fitting.",
    )


def _record(history: Sequence[Mapping[str, Any]], epoch: int) -> Mapping[str, Any] | None:
    return next((record for record in history if record["epoch"] == epoch), None)


def _categories(n: int) -> str:
    return f"{n} {'category is' if n == 1 else 'categories are'}"
