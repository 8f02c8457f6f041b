"""What each command does, apart from parsing and printing."""

from __future__ import annotations

import io
import math
import os
import shlex
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cpvae import datasets, figures, runs
from cpvae.arguments import whole
from cpvae.base import Clusterer, DeepMixture, as_table
from cpvae.checkpoints import parse, write_atomic, write_json
from cpvae.choice import Choice, choose_components
from cpvae.datasets import Dataset
from cpvae.distributed import is_main
from cpvae.errors import InputError, nearest
from cpvae.estimators import ESTIMATORS, load
from cpvae.evaluation import choose_split, evaluate
from cpvae.likelihoods import choose
from cpvae.report.page import write_report
from cpvae.schema import Schema, check_given

PICTURES, TABLES = (".png", ".svg", ".pdf"), (".npz", ".csv")
SAMPLES_A_CATEGORY = 12
MAX_CATEGORIES_DRAWN = 30
COLUMNS_TOLD = 20
JUDGED_ROWS = 100_000  # at most, behind the metrics that a fit leaves
BYTES_A_VALUE = 24  # of sampled rows: float32 or 64, and once more as text or pixels


def load_data(source: str, labels: str | None = None, progress: Callable[[str], None] | None = None) -> Dataset:
    """A data set by name or path; a named one that is absent is fetched, and `progress` told."""
    if source in datasets.NAMES and any(s.name == source and not s.present for s in datasets.status()):
        datasets.fetch(source, progress=progress)
    return datasets.load(source, labels=labels)


def dataset_name(source: str) -> str:
    """A name for folders: of the data set, or of its file without suffix.

    >>> dataset_name("digits"), dataset_name("/some/where/cells.csv")
    ('digits', 'cells')
    """
    return source if source in datasets.NAMES else Path(source).stem


def rows_of(data: Dataset, split: str) -> Any:
    """The rows of a split as an estimator takes them, columns named."""
    return as_table(data.splits[split].x, data.feature_names)


def suited(data: Dataset, model: DeepMixture) -> Dataset:
    """Data as the model was fitted on; columns without names take those of the fit.

    Raises:
        InputError: rows of another shape, or columns of other names.
    """
    shape = next(iter(data.splits.values())).x.shape[1:]
    if model.schema_ is not None:
        return _suited_to_schema(data, model.schema_, shape)
    names = getattr(model, "feature_names_in_", None)
    if data.feature_names is not None and names is not None:
        _check_columns(data, [str(name) for name in names])
        return data
    is_image, fitted_on = len(shape) > 1, model.image_shape_ or (model.n_features_in_,)
    if math.prod(shape) != model.n_features_in_ or (is_image and shape != fitted_on):
        raise InputError(
            f"{data.name}: rows of {_shape(shape)}; expected {_shape(fitted_on)}, as the model was fitted on; "
            "give such rows, or fit a model on these"
        )
    if model.image_shape_ is not None or names is None:
        return replace(data, feature_names=None)
    return replace(data, feature_names=tuple(map(str, names)))


def _suited_to_schema(data: Dataset, schema: Schema, shape: tuple[int, ...]) -> Dataset:
    if data.feature_names is not None:
        _check_columns(data, [*schema.names], schema.ignored)
        return data
    if shape != (len(schema.given),):
        raise InputError(
            f"{data.name}: rows of {_shape(shape)}; expected {len(schema.given)} columns, as the model was fitted on; "
            "give such rows, or fit a model on these"
        )
    return replace(data, feature_names=schema.given)


def _shape(shape: tuple[int, ...]) -> str:
    """`3 columns` or `images of 1 x 28 x 28`."""
    return f"{shape[0]} columns" if len(shape) == 1 else f"images of {' x '.join(map(str, shape))}"


def _check_columns(data: Dataset, expected: list[str], ignored: Sequence[str] = ()) -> None:
    """Refuse a table with other columns, or in another order; say what to do."""
    if data.feature_names is None or [name for name in data.feature_names if name not in ignored] == expected:
        return
    missing = [name for name in expected if name not in data.feature_names]
    others = [name for name in data.feature_names if name not in (*expected, *ignored)]
    advice = "give these, in this order"
    if missing:
        found = f"no column {missing[0]!r}{nearest(missing[0], data.feature_names[:10])}"
    elif others:
        found = f"a column {others[0]!r} that the fit did not have"
        advice = f"remove it, or say --labels {shlex.quote(others[0])} if it holds labels"
    else:
        found = f"columns in the order {_listed(data.feature_names)}"
    raise InputError(f"{data.name}: {found}; expected the columns of the fit, {_listed(expected)}; {advice}")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + ", ..." * (len(names) > 10)


def make_estimator(name: str, params: dict[str, Any]) -> DeepMixture:
    """An estimator by its name on the command line.

    Raises:
        InputError: an unknown model, or an option that it does not have.
    """
    if name not in ESTIMATORS:
        raise InputError(f"--model {name!r} is unknown{nearest(name, ESTIMATORS)}")
    estimator = ESTIMATORS[name]()
    for param in params:
        if param not in estimator.get_params():
            others = " or ".join(other for other, kind in ESTIMATORS.items() if param in kind().get_params())
            advice = f", or use --model {others}" if others else ""
            raise InputError(f"model {name!r} has no option for {param}; leave it out{advice}")
    return estimator.set_params(**params)


def estimator_for(data: Dataset, name: str, params: dict[str, Any]) -> DeepMixture:
    """The same, with the likelihood that the data set names, or that its columns ask for, unless another is given."""
    estimator = make_estimator(name, params)
    if params.get("likelihood", "auto") == "auto" and data.likelihood is not None and not params.get("schema"):
        estimator.set_params(likelihood=data.likelihood)
    if schema_for(data, rows_of(data, choose_split_for_fit(data)), estimator) is not None:
        estimator.set_params(likelihood="columns")
    return estimator


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


def choose_number(
    data: Dataset,
    source: str,
    labels: str | None,
    model_name: str,
    params: dict[str, Any],
    components: Sequence[int],
    seeds: int,
    out: Path,
    n_jobs: int | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Choice:
    """`choose_components` on the training rows of a data set, judged by validation rows where there are any."""
    estimator = estimator_for(data, model_name, {"random_state": 0, **params})
    if not isinstance(estimator, Clusterer):
        raise InputError(f"a {model_name!r} model has no components to choose; use --model cpvae, mog or vamp")
    if out.exists() and not out.is_dir():
        raise InputError(f"--out {out} is a file; give a folder for the runs")
    return choose_components(
        estimator,
        rows_of(data, choose_split_for_fit(data)),
        components,
        X_held_out=rows_of(data, "valid") if "valid" in data.splits else None,
        n_seeds=seeds,
        out=out,
        n_jobs=n_jobs,
        about={"source": source, "labels": labels, "dataset": data.name},
        progress=say,
    )


def schema_for(data: Dataset, rows: Any, estimator: DeepMixture) -> Schema | None:
    """The schema by which a table is to be fitted, or None where its columns are all alike.

    Alike are numbers without missing cells, and values in [0, 1] that are ink (`cpvae.likelihoods.choose`).
    """
    if data.feature_names is None or estimator.likelihood not in ("auto", "columns"):
        return None
    asked = estimator.likelihood == "columns" or estimator.schema is not None
    values = data.splits[choose_split_for_fit(data)].x
    if not asked and isinstance(values, np.ndarray) and choose(values, False) == "bernoulli":
        return None
    schema = Schema.infer(rows, estimator.schema)
    return schema if asked or not schema.all_numeric else None


def tell(schema: Schema, say: Callable[[str], None]) -> None:
    """What the columns were taken for, a line each, and how to say otherwise."""
    lines = schema.describe()
    for line in lines[:COLUMNS_TOLD]:
        say(f"  {line}")
    if len(lines) > COLUMNS_TOLD:
        say(f"  and {len(lines) - COLUMNS_TOLD} more columns; all of them are in the run's {runs.CONFIG}")
    say("to say otherwise: --schema FILE.json; for a column that holds labels: --labels COLUMN")


def read_schema(path: Path) -> dict[str, str]:
    """What `--schema` names: a JSON object of column names and kinds.

    Raises:
        InputError: no such file, no JSON, or something else in it.
    """
    expected = 'expected a JSON object of columns and kinds, such as {"age": "count", "id": "ignore"}'
    try:
        value = parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"--schema {path}: {getattr(error, 'strerror', None) or error}; {expected}") from error
    if not isinstance(value, dict):
        raise InputError(f"--schema {path}: holds a {type(value).__name__}; {expected}")
    check_given(value)
    return value


def choose_split_for_fit(data: Dataset) -> str:
    """ "train" where there is one; a file without splits is used whole."""
    return "train" if "train" in data.splits else choose_split(data, None)


def picture(model: DeepMixture) -> Any:
    """New images: one line for each of the largest categories, or a grid where there are none."""
    if not isinstance(model, Clusterer):
        return figures.image_grid(model.sample(64, mean=True)[0], 8)
    largest = np.argsort(-model.weights_, kind="stable")[:MAX_CATEGORIES_DRAWN]
    images = np.stack([model.sample(SAMPLES_A_CATEGORY, int(k), mean=True)[0] for k in sorted(largest)])
    return figures.samples_by_category(images, [f"{k}: {model.weights_[k]:.1%}" for k in sorted(largest)])


def sample_rows(
    model: DeepMixture,
    n: int,
    component: int | None,
    weights: str,
    mean: bool | None,
    seed: int | None,
    out: Path,
) -> None:
    """New rows into a file; its suffix says how. In .npz a level is its code, its position in the schema."""
    whole("n_samples", n, 1)
    check_memory(n * model.n_features_in_, f"n_samples={n}")
    drawn_as_picture = out.suffix.lower() in PICTURES
    if drawn_as_picture and model.image_shape_ is None:
        raise InputError(f"--out {out}: rows of a table have no picture; use {' or '.join(TABLES)}")
    average = drawn_as_picture if mean is None else mean
    rows, categories = model.sample(n, component, weights=weights, mean=average, random_state=seed)
    if drawn_as_picture:
        figures.save(figures.image_grid(rows, max(1, round(n**0.5))), out)
    elif out.suffix.lower() == ".npz":
        buffer = io.BytesIO()
        values = rows if model.schema_ is None else model.schema_.encode(rows)
        np.savez_compressed(buffer, x=values, component=categories)
        write_atomic(out, buffer.getvalue())
    else:
        names = getattr(model, "feature_names_in_", [f"x{i}" for i in range(model.n_features_in_)])
        frame = pd.DataFrame(rows.reshape(n, -1), columns=list(names)) if model.schema_ is None else rows
        first = "component"
        while first in frame.columns:  # of the table
            first += "_"
        frame.insert(0, first, categories)
        write_atomic(out, frame.to_csv(index=False))


def check_memory(n_values: int, given: str) -> None:
    """Refuse so many numbers that this machine could not hold them; Linux would end the process instead."""
    needed = n_values * BYTES_A_VALUE
    if hasattr(os, "sysconf") and needed > os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"):
        raise InputError(f"{given}: needs about {needed / 1e9:,.0f} GB, more memory than there is; ask for fewer")


def cluster_rows(model: DeepMixture, data: Dataset, split: str | None, out: Path) -> dict[str, Any]:
    """Row, category and its probability for each row, into a .csv file; returns the share of each category."""
    if not isinstance(model, Clusterer):
        raise InputError(f"a {model.name!r} model has no categories; fit one with --model cpvae")
    proba = model.predict_proba(rows_of(suited(data, model), choose_split(data, split)))
    categories = proba.argmax(1)
    frame = pd.DataFrame({"row": np.arange(len(proba)), "category": categories, "probability": proba.max(1).round(6)})
    write_atomic(out, frame.to_csv(index=False))
    counts = np.bincount(categories, minlength=model.n_components)
    return {f"category {k}": f"{counts[k]} rows ({counts[k] / len(proba):.1%})" for k in np.flatnonzero(counts)}


def report_run(
    run: Path, source: str | None = None, labels: str | None = None, progress: Callable[[str], None] | None = None
) -> Path:
    """Write the report of a run, on validation rows of what it was fitted on unless other data are named."""
    config = runs.read_config(run)
    model = load(run)
    about = config["about"]
    if source is None:  # labels of the fit are those of its rows
        source, labels = about.get("source"), labels or about.get("labels")
    if source is None:
        raise InputError(f"{run} does not say what it was fitted on; give the rows with --data")
    data = suited(load_data(source, labels, progress), model)
    name = "valid" if "valid" in data.splits else choose_split_for_fit(data)
    return write_report(
        model,
        rows_of(data, name),
        labels=data.splits[name].y,
        config=config,
        data_name=data.name,
        rows_name="" if name == "all" else name,
        path=run / runs.REPORT,
        run=run,
    )
