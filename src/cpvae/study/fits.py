"""A fit with all that its run folder holds: model, metrics, picture."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cpvae.data.loaders import Dataset
from cpvae.errors import InputError
from cpvae.estimators.clusterer import clusters
from cpvae.estimators.contract import DeepMixture
from cpvae.estimators.params import from_json
from cpvae.estimators.zoo import ESTIMATORS
from cpvae.files import write_json
from cpvae.fitting import runs
from cpvae.fitting.devices.rank import is_main
from cpvae.fitting.limits import stop_after
from cpvae.study.evaluation import measure
from cpvae.study.found import what_was_found, what_was_read
from cpvae.study.inputs import (
    OpenedRun,
    check_enough,
    choose_split_for_fit,
    estimator_for,
    known_labels,
    rows_where_they_are,
    tell_notes,
)
from cpvae.study.places import where
from cpvae.words.names import numbered

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
    max_minutes: float | None = None,
    known: str | None = None,
) -> Run:
    """Fit, and leave in the run folder the model, its metrics and a picture of samples.

    Labels that the fit is to know are those of the data (`cpvae.data.loaders.Split.known`), and `known` is their place.
    Unless `quiet`, `say` is told what the columns of a table were taken for. `about` is kept with the run. A resumed
    run goes on with the options it began with. One that is given again must be the same, but for the number of epochs.
    Of several processes the first returns figures and words, the others nothing.

    Raises:
        InputError: as `cpvae.estimators.running.fit`.
        cpvae.fitting.limits.OutOfTime: the fit took longer than `max_minutes`, and keeps what it has.
    """
    check_enough(data)
    defaults: dict[str, Any] = {"random_state": 0}
    if resume:
        began = runs.read_config(out)
        names = {cls.__name__: name for name, cls in ESTIMATORS.items()}
        there = names.get(began["estimator"])
        if model_name in ESTIMATORS and model_name != there:
            raise InputError(
                f"{out} holds a run of another model ({there} there, {model_name} asked); resume with what it "
                "began with, or choose another folder"
            )
        model_name = model_name or there
        defaults = from_json(began["params"])
    estimator = estimator_for(data, model_name or "cpvae", {**defaults, **params, "verbose": int(not quiet)})
    fitted = choose_split_for_fit(data)
    rows, own = rows_where_they_are(data, fitted), data.splits[fitted].known
    if say is not None and not quiet:
        tell_notes(data, say)
    judged = "valid" if "valid" in data.splits else fitted
    with runs.warnings_noted(out) if is_main() else nullcontext(), stop_after(max_minutes and 60 * max_minutes):
        estimator.fit(
            rows,
            known=None if own is None else known_labels(own),
            X_valid=rows_where_they_are(data, judged) if judged == "valid" else None,
            out=out,
            resume=resume,
            about={**where(data, source, labels, fitted, known), **(about or {})},
        )
    if not is_main():
        return Run(estimator, {}, ())
    return _leave(estimator, data, judged, out)


def continue_run(
    opened: OpenedRun,
    run: Path,
    source: str,
    labels: str | None,
    n_new: int | str,
    replay: float | None,
    params: dict[str, Any],
    out: Path,
    resume: bool,
    quiet: bool,
    say: Callable[[str], None],
    max_minutes: float | None = None,
) -> Run:
    """Continue the model of a run with new rows, and leave in another run folder what a fit leaves there.

    Args:
        opened: the model, and the new rows.
        run: where the model is.
        source, labels: the rows, as on the command line.
        n_new, replay: as for `DeepMixture.continue_fit`; None replays as many rows as is usual.
        params: arguments of the training.

    Raises:
        InputError, cpvae.fitting.limits.OutOfTime: as for `fit_run`.
    """
    model, data = opened.model, opened.data
    if resume:
        began = runs.read_config(out)
        kept = began.get("continued", {}).get("replay", replay)
        replay = kept if replay is None else replay
        own = {name: value for name, value in began["params"].items() if name in model.get_params()}
        params = from_json(own) | params
        del params["n_components"]
    if not quiet:
        tell_notes(data, say)
    model.set_params(**params, verbose=int(not quiet))
    fitted = choose_split_for_fit(data)
    with runs.warnings_noted(out) if is_main() else nullcontext(), stop_after(max_minutes and 60 * max_minutes):
        model.continue_fit(
            rows_where_they_are(data, fitted),
            n_new=n_new,
            replay=1.0 if replay is None else replay,
            out=out,
            resume=resume,
            about={**where(data, source, labels, fitted), "model": str(run)},
        )
    if not is_main():
        return Run(model, {}, ())
    return _leave(model, data, "valid" if "valid" in data.splits else fitted, out)


def _leave(estimator: DeepMixture, data: Dataset, judged: str, out: Path) -> Run:
    """Measure a fit by the rows of a split, and write what its folder holds beside the model."""
    fitted = choose_split_for_fit(data)
    learned = judged == fitted
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
        save_picture(estimator, out / runs.SAMPLES)
    words = (*what_was_found(estimator, measured), what_was_read(data, len(data.splits[fitted].x), estimator))
    return Run(estimator, summary, words)


def save_picture(model: DeepMixture, path: Path) -> None:
    """Draw new images: one line for each of the largest categories, or a grid where there are none."""
    from cpvae.study import figures  # takes a second, for which tables do not wait

    if not clusters(model):
        figures.save(figures.image_grid(model.sample(64, mean=True)[0], 8), path)
        return
    largest = np.argsort(-model.weights_, kind="stable")[:MAX_CATEGORIES_DRAWN]
    images = np.stack([model.sample(SAMPLES_A_CATEGORY, int(k), mean=True)[0] for k in sorted(largest)])
    known = model.known_
    told = {k: "" if known is None else f", {known[k]:,} known" for k in largest}
    titles = [f"{numbered(k, model.names_)}: {model.weights_[k]:.1%}{told[k]}" for k in sorted(largest)]
    figures.save(figures.samples_by_category(images, titles), path)
