"""The figures of a fitted model on a data set: what `cpvae evaluate` prints."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.stats import entropy

from cpvae.data.loaders import Dataset, Split
from cpvae.data.loaders.records import NO_LABEL
from cpvae.errors import InputError, nearest
from cpvae.estimators.clusterer import Clusterer, clusters
from cpvae.estimators.contract import DeepMixture
from cpvae.estimators.rows_in import take, with_names
from cpvae.probability.estimates import EVALUATED, Evaluation, components_used, standard_error
from cpvae.study import metrics

MAPPED = 640_000  # categories of training rows behind a mapping to labels: 64,000 rows for ten, 10,000 for many
DECOMPOSED, PAIRS = 2_000, 400_000_000  # rows in the n-by-n sum of eq. (13), fewer where K n^2 would be more than that


def choose_split(data: Dataset, name: str | None) -> str:
    """Name the split asked for; by default "test" where there is one, else "valid", else all that there is.

    Raises:
        InputError: no such split.
    """
    if name is None:
        return next((one for one in ("test", "valid") if one in data.splits), next(iter(data.splits)))
    if name not in data.splits:
        raise InputError(f"{data.name} has no split {name!r}{nearest(name, data.splits)}")
    return name


def rows_at(split: Split, index: np.ndarray) -> Split:
    """Take the rows at the positions `index` ``(m,)``, with all that belongs to them."""
    others = {name: value[index] for name, value in vars(split).items() if name != "x" and value is not None}
    return replace(split, x=take(split.x, index), **others)


def some_rows(split: Split, n: int | None, seed: int = 0) -> Split:
    """Draw at most `n` rows of a split, with a fixed seed; their order is kept."""
    if n is None or n >= len(split.x):
        return split
    return rows_at(split, np.sort(np.random.RandomState(seed).choice(len(split.x), n, replace=False)))


@dataclass(frozen=True)
class Measured:
    """A fitted model measured on rows.

    Attributes:
        figures: what `cpvae evaluate --json` prints.
        evaluation: of each row.
        learned: whether the fit learned from these rows, so that the figures flatter it.
    """

    figures: dict[str, Any]
    evaluation: Evaluation
    learned: bool


def evaluate_model(
    model: DeepMixture,
    data: Dataset,
    split_name: str | None = None,
    *,
    importance_samples: int | None = None,
    n_rows: int | None = None,
    refine: int = 0,
) -> dict[str, Any]:
    """Give the figures of `measure`."""
    measured = measure(model, data, split_name, importance_samples=importance_samples, n_rows=n_rows, refine=refine)
    return measured.figures


def measure(
    model: DeepMixture,
    data: Dataset,
    split_name: str | None = None,
    *,
    importance_samples: int | None = None,
    n_rows: int | None = None,
    learned: bool = False,
    refine: int = 0,
) -> Measured:
    """Measure bounds in nats with standard errors, the parts of eq. (13), and agreement with labels.

    Args:
        split_name: as for `choose_split`.
        importance_samples: S of the importance-weighted likelihood; None leaves it out.
        n_rows: look at so many rows only, drawn with a fixed seed.
        learned: whether the fit learned from these rows, which is told with the figures.
        refine: gradient steps of the refined bound, which stands beside the encoder's; 0 leaves it out.
    """
    split_name = choose_split(data, split_name)
    split = some_rows(data.splits[split_name], n_rows)
    X = with_names(split.x, data.feature_names)
    values = model.evaluate(X)
    some = some_rows(split, min(DECOMPOSED, int((PAIRS / model.n_components_) ** 0.5)))
    few = with_names(some.x, data.feature_names)
    parts = model.decompose(few)
    result: dict[str, Any] = {
        "model": model.name,
        "dataset": data.name,
        "split": split_name,
        "n": len(split.x),
        **_with_error("negative_elbo", -values.elbo),
        **_with_error("negative_elbo_tight", -values.elbo_tight),
        "reconstruction": -_mean(values.log_px),
        "kl_c": _mean(values.kl_c),
        "kl_z": _mean(values.kl_z),
        **_with_error("mutual_information", parts.mutual_information),
        "mutual_information_c": parts.mutual_information_c,
        **_with_error("marginal_kl_z", parts.marginal_kl_z),
        "marginal_entropy_c": float(entropy(values.q_c.mean(0, dtype=np.float64))),
        "decomposition_rows": len(few),
        "components_used": components_used(values.rows_of_categories),
    }
    if model.known_ is not None:
        result["rows_known_in_the_fit"] = sum(model.known_)
    groups = model.groups() if clusters(model) else None
    if groups is not None:
        result["component_groups"] = int(groups.max() + 1)
    if importance_samples is not None:
        result |= _with_error("negative_log_likelihood", -model.log_likelihood(X, importance_samples))
        result["importance_samples"] = importance_samples
    if refine:
        result |= refined(model, X, values, refine)
    if split.y is not None and clusters(model) and groups is not None:
        result |= agreement(model, data, split_name, split.y, values.proba, groups)
    return Measured(result, values, learned)


def refined(model: DeepMixture, X: Any, values: Evaluation, steps: int) -> dict[str, Any]:
    """Measure the bounds of posteriors refined row by row, and the amortisation gap: what they gain.

    Both bounds of a row have the same noise, so the error of the gap is smaller than theirs.
    """
    after = model.evaluate(X, refine=steps)
    return {
        **_with_error("refined_negative_elbo", -after.elbo),
        **_with_error("refined_negative_elbo_tight", -after.elbo_tight),
        **_with_error("amortisation_gap", after.elbo - values.elbo),
        "refine": steps,
    }


def agreement(
    model: Clusterer, data: Dataset, split_name: str, labels: np.ndarray, proba: np.ndarray, groups: np.ndarray
) -> dict[str, Any]:
    """Measure agreement with labels; all mappings are learned on the training split where there is one.

    `accuracy_groups` is that of groups of overlapping categories, mapped one to one. A category that is not in use
    belongs to no group, and its rows count as wrong. Rows without a label are left out.
    """
    labelled = labels != NO_LABEL
    labels, proba = labels[labelled], proba[labelled]
    categories = proba.argmax(1)
    source = data.splits.get("train")
    if source is None or source.y is None or split_name == "train":
        learned_on, known, given = split_name, labels, categories
    else:
        some = some_rows(source, MAPPED // min(model.n_components_, EVALUATED))
        assert some.y is not None
        labelled = some.y != NO_LABEL
        learned_on, known = "train", some.y[labelled]
        given = model.predict(with_names(some.x, data.feature_names))[labelled]
    one_to_one = metrics.hungarian_mapping(known, given)
    grouped = groups[given] >= 0
    of_groups = metrics.hungarian_mapping(known[grouped], groups[given][grouped])
    return {
        "accuracy": metrics.accuracy(labels, categories, one_to_one),
        "accuracy_majority": metrics.accuracy(labels, categories, metrics.majority_mapping(known, given)),
        "accuracy_groups": metrics.accuracy(labels, groups[categories], of_groups),
        "nmi": metrics.nmi(labels, categories),
        "ari": metrics.ari(labels, categories),
        "calibration_error": metrics.calibration(labels, proba, one_to_one).error,
        "mapping_split": learned_on,
    }


def _with_error(name: str, values: np.ndarray) -> dict[str, float | None]:
    """Give the mean of the values of rows by a name, and its standard error."""
    return {name: _mean(values), f"{name}_se": standard_error(values)}


def _mean(values: np.ndarray) -> float:
    return float(values.mean(dtype=np.float64))
