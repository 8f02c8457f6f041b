"""A fit with all that its run folder holds: model, metrics, picture."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from cpvae.data.loaders import Dataset
from cpvae.data.schema import Schema
from cpvae.estimators.contract import Clusterer, DeepMixture
from cpvae.estimators.zoo import ESTIMATORS
from cpvae.files import write_json
from cpvae.fitting import runs
from cpvae.fitting.devices.rank import is_main
from cpvae.study import figures
from cpvae.study.evaluation import evaluate
from cpvae.study.inputs import choose_split_for_fit, estimator_for, rows_of, schema_for

SAMPLES_A_CATEGORY = 12
MAX_CATEGORIES_DRAWN = 30
COLUMNS_TOLD = 20
JUDGED_ROWS = 100_000  # at most, behind the metrics that a fit leaves


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
) -> dict[str, Any]:
    """Fit, and leave in the run folder the model, its metrics and a picture of samples; returns the metrics.

    Unless `quiet`, `say` is told what the columns of a table were taken for. `about` is kept with the run. A resumed
    run goes on with the options it began with; one that is given again must be the same. Of several processes the
    first returns metrics, the others nothing.
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
        schema = schema_for(data, rows, estimator)
        if schema is not None:
            tell(schema, say)
    judged = "valid" if "valid" in data.splits else choose_split_for_fit(data)
    with runs.warnings_noted(out) if is_main() else nullcontext():
        estimator.fit(
            rows,
            X_valid=rows_of(data, judged) if judged == "valid" else None,
            out=out,
            resume=resume,
            about={"source": source, "labels": labels, "dataset": data.name, **(about or {})},
        )
    if not is_main():
        return {}
    summary = evaluate(estimator, data, judged, n_rows=JUDGED_ROWS)
    seconds = sum(record["seconds"] for record in estimator.history_)
    summary |= {
        "epochs": estimator.n_iter_,
        "stopped": estimator.stopped_,
        "training_seconds": round(seconds, 1),
        "start_seconds": round(estimator.start_seconds_, 1),
    }
    write_json(out / runs.METRICS, summary)
    if estimator.image_shape_ is not None:
        figures.save(picture(estimator), out / runs.SAMPLES)
    return summary


def tell(schema: Schema, say: Callable[[str], None]) -> None:
    """What the columns were taken for, a line each, and how to say otherwise."""
    lines = schema.describe()
    for line in lines[:COLUMNS_TOLD]:
        say(f"  {line}")
    if len(lines) > COLUMNS_TOLD:
        say(f"  and {len(lines) - COLUMNS_TOLD} more columns; all of them are in the run's {runs.CONFIG}")
    say("to say otherwise: --schema FILE.json; for a column that holds labels: --labels COLUMN")


def picture(model: DeepMixture) -> Any:
    """New images: one line for each of the largest categories, or a grid where there are none."""
    if not isinstance(model, Clusterer):
        return figures.image_grid(model.sample(64, mean=True)[0], 8)
    largest = np.argsort(-model.weights_, kind="stable")[:MAX_CATEGORIES_DRAWN]
    images = np.stack([model.sample(SAMPLES_A_CATEGORY, int(k), mean=True)[0] for k in sorted(largest)])
    return figures.samples_by_category(images, [f"{k}: {model.weights_[k]:.1%}" for k in sorted(largest)])
