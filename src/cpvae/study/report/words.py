"""Words about a fit: what was fitted, how and to what; and what to type next."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cpvae.data.schema import KINDS
from cpvae.estimators.clusterer import clusters
from cpvae.estimators.contract import DeepMixture
from cpvae.fitting import runs
from cpvae.fitting.records import ALL_EPOCHS, EARLY, INTERRUPTED, NOT_FINITE
from cpvae.study import metrics
from cpvae.study.found import rows_in_words
from cpvae.study.report.parts import Fact
from cpvae.study.report.shown import Shown, used_categories
from cpvae.words.names import label, numbered
from cpvae.words.phrases import agreement, duration, in_use, known_in_words, percent

MODELS = {
    "CPVAE": "CP-VAE, a deep mixture model",
    "VAE": "VAE, with a standard normal prior and no categories",
    "MoGVAE": "VAE with a mixture-of-Gaussians prior (MG); its categories are the components of the prior",
    "VampVAE": "VAE with a VampPrior (VP); its categories are the pseudo-inputs of the prior",
    "HVAE": "HVAE, a VAE with two levels of codes, a standard normal prior and no categories",
    "VampHVAE": "HVAE with a VampPrior (HVP), two levels of codes; its categories are the pseudo-inputs of the prior",
    "CPHVAE": "HVAE with the prior of CP-VAE (HCP), two levels of codes",
}


def _epochs(model: DeepMixture) -> str:
    return f"{model.n_iter_} epoch{'s' * (model.n_iter_ != 1)}"


def _seconds(model: DeepMixture) -> float:
    return float(sum(record["seconds"] for record in model.history_))


def stopped_words(model: DeepMixture) -> str:
    """Say why training stopped."""
    why = {
        ALL_EPOCHS: f"it had made the {_epochs(model)} asked for",
        EARLY: "the validation bound had stopped improving",
        NOT_FINITE: "a value became infinite or not a number",
        INTERRUPTED: f"it was stopped after {_epochs(model)}, before it had finished",
    }.get(model.stopped_, str(model.stopped_))
    if model.stopped_ == INTERRUPTED and not model.n_iter_:
        return "it was stopped before its first epoch had ended; quick categories were trained for a moment"
    return f"{why}; the weights of epoch {model.best_epoch_} were kept"


def headline(model: DeepMixture, config: Mapping[str, Any]) -> str:
    """Say in a line what was fitted."""
    words = [MODELS.get(type(model).__name__, type(model).__name__).split(",")[0].split(";")[0]]
    words += [f"{model.n_components_} categories"] if model.n_components_ > 1 else []
    words += [f"{model.likelihood_} likelihood", f"{rows_in_words(model)}"]
    fitted_on = config.get("data", {}).get("rows")
    words += [f"fitted on {fitted_on:,} rows"] if fitted_on is not None else []
    words += [f"{sum(model.known_):,} of known category"] if model.known_ is not None else []
    return " · ".join([*words, f"{_epochs(model)} in {duration(_seconds(model))}", f"seed {model.random_state}"])


def summary(model: DeepMixture, shown: Shown) -> str:
    """Say in a few sentences what was found."""
    if shown.categories is None:
        return (
            "The model has no categories: it describes all rows by one continuous code and can draw new rows like them."
        )
    k, used = model.n_components_, used_categories(shown)
    weights, text = model.weights_, in_use(used, k)
    if used > 1:
        text += f"; the largest holds {percent(weights.max())} of the training rows"
        sure = float((shown.evaluation.proba.max(1) >= 0.9).mean())
        text += f". For {percent(sure)} of the rows measured the model is at least 90 % sure of the category"
    if model.known_ is not None:
        text += f". In the fit the labels of {known_in_words(model.known_)}; all other rows learned from these"
    if shown.labels is not None and k > 1:
        same = metrics.accuracy_hungarian(shown.labels, shown.categories)
        text += f". With one label for each category, {percent(same)} of the rows agree with their label"
    return text + "."


def reliance(model: DeepMixture, warnings: int) -> Iterator[str]:
    """Say in a few sentences how far the fit can be relied on.

    Args:
        model: fitted.
        warnings: how many findings the page tells.
    """
    if clusters(model) and model.n_components_ > 1:
        yield _stability(model)
    if warnings:
        told = "is one thing" if warnings == 1 else f"are {warnings} things"
        yield f"There {told} to watch out for{', the gravest first' * (warnings > 1)}:"
    else:
        yield "The fit passed every check of this page."


def _stability(model: DeepMixture) -> str:
    """Say how far restarts agree, if there were any."""
    if model.stability_ is None:
        return (
            "This is one fit. Another seed may find other categories: --restarts 5 (n_init=5) makes five fits and says "
            "how far they agree."
        )
    return f"{agreement(model.n_init, model.stability_, model.stability_rows_)}."


def rows_line(shown: Shown, rows_name: str) -> str:
    """Say which rows the numbers are about."""
    n, name = len(shown.index), f"{rows_name} " if rows_name else ""
    text = f"Measured on {n:,} {name}rows"
    if n < shown.total:
        text = f"Measured on {n:,} of {shown.total:,} {name}rows, drawn at random"
    if shown.missing:
        text += f"; {percent(shown.missing)} of the cells are missing, and no number here fills them"
    return text + ". Rows are counted from 0."


def facts(model: DeepMixture, shown: Shown, config: Mapping[str, Any]) -> Iterator[Fact]:
    """List what was fitted, to what, how, and with which software."""
    yield Fact("Model", MODELS.get(type(model).__name__, type(model).__name__))
    fitted_on = config.get("data", {}).get("rows")
    if fitted_on is not None:
        yield Fact("Rows fitted on", f"{fitted_on:,}")
    yield Fact("A row", rows_in_words(model))
    yield Fact("Likelihood", model.model_.likelihood.description)
    if model.schema_ is not None:
        kinds = [column.kind for column in model.schema_.columns]
        counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in KINDS if kind in kinds)
        ignored = f"; left out: {', '.join(model.schema_.ignored)}" if model.schema_.ignored else ""
        yield Fact("Kinds of columns", counts + ignored)
    if shown.categories is not None:
        yield Fact("Categories (K)", str(model.n_components_))
    if model.known_ is not None:
        each = [f"{numbered(k, model.names_)}: {n:,}" for k, n in enumerate(model.known_) if n]
        yield Fact("Rows of known category", f"{sum(model.known_):,} ({', '.join(each)})")
    yield Fact("Dimensions of the code z", str(model.latent_dim))
    yield Fact("Weights in the networks", f"{sum(p.numel() for p in model.model_.parameters()):,}")
    kept = "" if model.n_init == 1 else f", of the restart kept, one of {model.n_init}"
    yield Fact("Training", f"{_epochs(model)} in {duration(_seconds(model))}, without the start{kept}")
    yield Fact("Stopped because", stopped_words(model))
    place = model.model_.device
    yield Fact("Device", str(config.get("device") or (model.device if model.device != "auto" else place)))
    yield Fact("Seed", f"{model.seed_} (random_state={model.random_state!r})")
    versions = config.get("versions") or runs.versions()
    yield Fact("Versions", ", ".join(f"{name} {version}" for name, version in versions.items()))


def bounds_text(model: DeepMixture) -> str:
    """Say the curves in a sentence, for those who cannot see them."""
    if not model.history_:
        return "No epoch was completed."
    first, last = model.history_[0], model.history_[-1]
    text = (
        f"From epoch {first['epoch']} to {last['epoch']} the negative bound of the validation rows went from "
        f"{first['valid_negative_elbo']:.2f} to {last['valid_negative_elbo']:.2f} nats a row"
    )
    begin, end = first["train_negative_elbo"], last["train_negative_elbo"]
    return text + (
        "." if begin is None or end is None else f", that of the training rows from {begin:.2f} to {end:.2f}."
    )


def commands(model: DeepMixture, run: str | Path | None, config: Mapping[str, Any]) -> list[Fact]:
    """List what to type next, if the folder of the run is known."""
    if run is None:
        return []
    place = shlex.quote(str(run))
    about = config.get("about", {})
    source, labels = about.get("source"), about.get("labels")
    data = "DATA" if source is None else shlex.quote(str(source))
    data += "" if source is None or labels is None else f" --labels {shlex.quote(str(labels))}"
    suffix = "csv" if model.image_shape_ is None else "png"
    found = [Fact("New rows", f"cpvae sample {place} -n 64 --out new.{suffix}")]
    if clusters(model):
        k = int(np.argmax(model.weights_))
        found = [
            Fact(
                f"New rows from {label(k, model.names_)}",
                f"cpvae sample {place} --component {shlex.quote(model.names_.get(k, str(k)))} -n 64 --out new.{suffix}",
            ),
            Fact("The category of each row", f"cpvae cluster {place} {data} --out labels.csv"),
        ]
    found.append(Fact("Bounds, and log p(x)", f"cpvae evaluate {place} {data} --importance-samples 5000"))
    return [*found, Fact("From Python", f"from cpvae import load; model = load({str(run)!r})")]
