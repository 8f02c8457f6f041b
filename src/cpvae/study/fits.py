"""A fit with all that its run folder holds: model, metrics, picture."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cpvae.data import loaders
from cpvae.data.loaders import Dataset
from cpvae.data.loaders.checks import expanded
from cpvae.estimators.contract import DeepMixture, clusters
from cpvae.estimators.zoo import ESTIMATORS
from cpvae.files import write_json
from cpvae.fitting import runs
from cpvae.fitting.devices.rank import is_main
from cpvae.study import figures
from cpvae.study.evaluation import measure
from cpvae.study.found import what_was_found, what_was_read
from cpvae.study.inputs import choose_split_for_fit, estimator_for, rows_of, tell_notes

SAMPLES_A_CATEGORY = 12
MAX_CATEGORIES_DRAWN = 30
JUDGED_ROWS = 100_000  # at most, behind the metrics that a fit leaves


@dataclass(frozen=True)
class Run:
    """A finished fit in its folder.

    Attributes:
        model: fitted.
        figures: what ``metrics.json`` holds; empty in all processes but the first.
        words: what was found and what was read, a sentence each.
    """

    model: DeepMixture
    figures: dict[str, Any]
    words: tuple[str, ...]


def fit_run(
    data: Dataset,
    source: str,
    labels: str | None,
    model_name: str | None,
    params: dict[str, Any],
    out: Path,
    resume: bool,
    quiet: bool,
    say: Callable[[str], None] | None = None,
    about: dict[str, Any] | None = None,
) -> Run:
    """Fit, and leave in the run folder the model, its metrics and a picture of samples.

    Unless `quiet`, `say` is told what the columns of a table were taken for. `about` is kept with the run. A resumed
    run goes on with the options it began with; one that is given again must be the same. Of several processes the
    first returns figures and words, the others nothing.
    """
    defaults: dict[str, Any] = {"random_state": 0}
    if resume:
        began = runs.read_config(out)
        names = {cls.__name__: name for name, cls in ESTIMATORS.items()}
        model_name = model_name or names.get(began["estimator"])
        defaults = {k: tuple(v) if isinstance(v, list) else v for k, v in began["params"].items()}
    estimator = estimator_for(data, model_name or "cpvae", {**defaults, **params, "verbose": int(not quiet)})
    rows = rows_of(data, choose_split_for_fit(data))
    if say is not None and not quiet:
        tell_notes(data, say)
    judged = "valid" if "valid" in data.splits else choose_split_for_fit(data)
    with runs.warnings_noted(out) if is_main() else nullcontext():
        estimator.fit(
            rows,
            X_valid=rows_of(data, judged) if judged == "valid" else None,
            out=out,
            resume=resume,
            about={
                "source": source,
                "labels": labels,
                "dataset": data.name,
                "split": choose_split_for_fit(data),
                **({"reading": data.reading} if data.reading else {}),
                "found_at": found_at(source),
                "labels_found_at": found_at(labels) if labels is not None and Path(labels).is_file() else None,
                **(about or {}),
            },
        )
    if not is_main():
        return Run(estimator, {}, ())
    learned = judged == choose_split_for_fit(data)
    measured = measure(estimator, data, judged, n_rows=JUDGED_ROWS, learned=learned)
    seconds = sum(record["seconds"] for record in estimator.history_)
    summary = measured.figures | {
        "epochs": estimator.n_iter_,
        "stopped": estimator.stopped_,
        "training_seconds": round(seconds, 1),
        "start_seconds": round(estimator.start_seconds_, 1),
        "rows_of_the_fit": learned,
    }
    write_json(out / runs.METRICS, summary)
    if estimator.image_shape_ is not None:
        figures.save(picture(estimator), out / runs.SAMPLES)
    words = (*what_was_found(estimator, measured), what_was_read(data, len(rows), estimator))
    return Run(estimator, summary, words)


def found_at(source: str) -> str | None:
    """Say where data lie, as an absolute path; None for a data set by name."""
    return None if source in loaders.NAMES else str(expanded(Path(source)).absolute())


def data_of(about: dict[str, Any]) -> tuple[str | None, str | None]:
    """Say where the data of a fit are, and their labels: where they lay then, else by the words of the fit.

    Args:
        about: of the configuration of the run.
    """
    places = []
    for name, place in (("source", "found_at"), ("labels", "labels_found_at")):
        there = about.get(place)
        places.append(there if isinstance(there, str) and os.path.exists(there) else about.get(name))
    return places[0], places[1]


def about_of(run: Path) -> dict[str, Any]:
    """Say what a run keeps about its data; nothing of a saved model alone."""
    return dict(runs.read_config(run)["about"]) if (run / runs.CONFIG).is_file() else {}


def learned_from(run: Path, source: str, split: str) -> bool:
    """Say whether the fit of a run learned from the rows of a split, as its folder tells.

    Args:
        run: a folder of a run, or a saved model, which does not tell.
        source: the data, as on the command line.
    """
    if not (run / runs.CONFIG).is_file():
        return False
    about = runs.read_config(run)["about"]
    same = source == about.get("source") if source in loaders.NAMES else found_at(source) == about.get("found_at")
    return same and split == about.get("split")


def picture(model: DeepMixture) -> Any:
    """Draw new images: one line for each of the largest categories, or a grid where there are none."""
    if not clusters(model):
        return figures.image_grid(model.sample(64, mean=True)[0], 8)
    largest = np.argsort(-model.weights_, kind="stable")[:MAX_CATEGORIES_DRAWN]
    images = np.stack([model.sample(SAMPLES_A_CATEGORY, int(k), mean=True)[0] for k in sorted(largest)])
    return figures.samples_by_category(images, [f"{k}: {model.weights_[k]:.1%}" for k in sorted(largest)])
