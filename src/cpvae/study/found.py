"""The first words after `cpvae fit` and `cpvae evaluate`: what was read and what was found, in a few sentences."""

from __future__ import annotations

from collections import Counter
from typing import Any

from cpvae.data.loaders import Dataset
from cpvae.data.schema import KINDS
from cpvae.estimators.clusterer import clusters
from cpvae.estimators.contract import DeepMixture
from cpvae.probability.estimates import components_used
from cpvae.study.evaluation import Measured
from cpvae.words.phrases import agreement, in_use, known_in_words, listed, percent, shares, sureness


def rows_in_words(model: DeepMixture) -> str:
    """Say what a row is: columns, an image or a signal of some size."""
    if model.signal_shape_ is not None:
        channels, time = model.signal_shape_
        return f"signals of {channels} channel{'s' * (channels != 1)} and {time:,} time point{'s' * (time != 1)}"
    if model.image_shape_ is None:
        return f"{model.n_features_in_:,} column{'s' * (model.n_features_in_ != 1)}"
    channels, height, width = model.image_shape_
    return f"images of {height} by {width} pixels" + (f", {channels} channels" if channels > 1 else "")


def what_was_read(data: Dataset, n_rows: int, model: DeepMixture) -> str:
    """Say which rows a model was fitted to, and what they were taken for."""
    text = f"Read {data.name}: {n_rows:,} row{'s' * (n_rows != 1)} to fit, {rows_in_words(model)}"
    if model.schema_ is None:
        return f"{text}. Taken as {model.model_.likelihood.description}."
    counts = Counter(column.kind for column in model.schema_.columns)
    kinds = listed([f"{counts[kind]} {kind}" for kind in KINDS if kind in counts])
    ignored = f"; left out: {', '.join(model.schema_.ignored)}" if model.schema_.ignored else ""
    return f"{text}: {kinds}{ignored}."


def what_was_found(model: DeepMixture, measured: Measured) -> list[str]:
    """Say how many categories are in use, what they hold, how sure rows are, and of which rows the figures are."""
    figures = measured.figures
    refined = [_refined(figures)] if "refine" in figures else []
    return [*_categories(model, measured), _bound(figures, measured.learned), *refined]


def _categories(model: DeepMixture, measured: Measured) -> list[str]:
    """Say what the categories are like: how many, how large, how sure, how far they agree with labels."""
    figures, k = measured.figures, model.n_components_
    if not clusters(model):
        return ["The model has no categories: it describes all rows by one continuous code."]
    counts = measured.evaluation.rows_of_categories
    used = components_used(counts)
    text = in_use(used, k)
    if k > 1:
        held = counts / counts.sum()
        text += f"; {shares(held, used)}; {sureness(measured.evaluation.proba)}"
    lines = [f"{text}."]
    if model.known_ is not None:
        lines.append(f"In the fit the labels of {known_in_words(model.known_)}; all other rows learned from these.")
    groups = int(figures.get("component_groups", used))
    if 0 < groups < used:
        form = "a single group" if groups == 1 else f"{groups} groups"
        lines.append(
            f"They form {form}: what the categories of a group generate is mixed up so often that they may be one "
            "source."
        )
    if agree := agreement(model.n_init, model.stability_, model.stability_rows_):
        lines.append(f"{agree}.")
    if "accuracy" in figures and k > 1:
        right = percent(figures["accuracy"])
        judge = "; labels only judge" if model.known_ is None else ""
        lines.append(f"With one label for each category, {right} of the rows agree with theirs{judge}.")
    return lines


def _bound(figures: dict[str, Any], learned: bool) -> str:
    rows = f"{figures['n']:,} rows of the split {figures['split']!r}"
    if learned:
        rows = f"{figures['n']:,} rows that the fit learned from"
    if figures["n"] == 1:
        rows = rows.replace("rows", "row", 1)
    return f"Measured on {rows}: negative bound {_with_error(figures, 'negative_elbo')} nats a row."


def _refined(figures: dict[str, Any]) -> str:
    """Say what refinement of each row's posterior gains, apart from the bound that papers report."""
    steps = figures["refine"]
    return (
        f"With the posterior of each row refined by {steps:,} gradient step{'s' * (steps != 1)}: negative bound "
        f"{_with_error(figures, 'refined_negative_elbo')}; amortisation gap {_with_error(figures, 'amortisation_gap')} "
        "nats a row. Published bounds are without refinement."
    )


def _with_error(figures: dict[str, Any], name: str) -> str:
    """Write a figure with its standard error, if it has one."""
    error = figures[f"{name}_se"]
    return f"{figures[name]:.2f}" + ("" if error is None else f" ± {error:.2f}")
