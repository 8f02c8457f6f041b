"""Answers of a fitted model, written to files."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cpvae.arguments import whole
from cpvae.data.conditions import parse_given
from cpvae.data.loaders import Dataset
from cpvae.data.loaders.checks import expanded
from cpvae.data.reading import columns_named
from cpvae.data.schema import Schema
from cpvae.data.sparse import SparseRows
from cpvae.errors import InputError, already_said, counted, one_line
from cpvae.estimators.clusterer import Clusterer, clusters
from cpvae.estimators.contract import DeepMixture
from cpvae.estimators.files import rename_saved
from cpvae.estimators.given import columns_of
from cpvae.estimators.zoo import load
from cpvae.files import PICTURES, TABLES, write_atomic
from cpvae.fitting import runs
from cpvae.study import figures
from cpvae.study.choice import Choice, choose_components
from cpvae.study.evaluation import choose_split
from cpvae.study.inputs import (
    check_enough,
    check_labels,
    choose_split_for_fit,
    estimator_for,
    load_data,
    naming,
    reading_of,
    rows_of,
    suited,
    tell_notes,
)
from cpvae.study.places import apart_of, data_there
from cpvae.study.report.page import write_report
from cpvae.study.written import as_csv, as_whole, columns_written, free_name
from cpvae.words.description import Description
from cpvae.words.phrases import percent


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
    """Run `choose_components` on the training rows of a data set, judged by validation rows where there are any."""
    check_enough(data)
    estimator = estimator_for(data, model_name, {"random_state": 0, **params})
    if not clusters(estimator):
        raise InputError(f"a {model_name!r} model has no components to choose; use --model cpvae, mog or vamp")
    if out.exists() and not out.is_dir():
        raise InputError(f"--out {out} is a file; give a folder for the runs")
    tell_notes(data, say)
    return choose_components(
        estimator,
        rows_of(data, choose_split_for_fit(data)),
        components,
        X_held_out=rows_of(data, "valid") if "valid" in data.splits else None,
        n_seeds=seeds,
        out=out,
        n_jobs=n_jobs,
        about={"source": source, "labels": labels, "dataset": data.name, "reading": data.reading},
        progress=say,
    )


def sample_rows(
    model: DeepMixture,
    n: int,
    component: int | str | None,
    weights: str,
    mean: bool | None,
    seed: int | None,
    out: Path,
    given: Sequence[str] = (),
    missing: bool = False,
    numbered: bool = True,
) -> str:
    """Write new rows into a file; its suffix says how. In .npz a level is its code, its position in the schema.

    Args:
        given: what is known of the rows, in the words of `cpvae.data.conditions.parse_given`; for pictures and signals
            a file with an array of the shape of a row.
        missing: leave cells of a table missing as often as in the fit, and let signals end as there.
        numbered: begin a table with the component of each row, and its name.

    Returns:
        A line about what the rows rest on, and what is missing; or "".
    """
    whole("n_samples", n, 1)
    drawn_as_picture = out.suffix.lower() in PICTURES
    if drawn_as_picture and model.image_shape_ is None:
        raise InputError(f"--out {out}: rows of a table have no picture; use {' or '.join(TABLES)}")
    average = drawn_as_picture and not given if mean is None else mean
    known = _given(model, given) if given else None
    rows, categories = model.sample(
        n, component, weights=weights, mean=average, given=known, missing=missing, random_state=seed
    )
    if drawn_as_picture:
        figures.save(figures.image_grid(rows, max(1, round(n**0.5))), out)
    elif out.suffix.lower() == ".npz":
        buffer = io.BytesIO()
        values = rows if model.schema_ is None or isinstance(rows, np.ndarray) else model.schema_.encode(rows)
        np.savez_compressed(buffer, x=values, component=categories)
        write_atomic(out, buffer.getvalue())
    else:
        frame = rows
        if isinstance(rows, np.ndarray):
            frame = pd.DataFrame(as_whole(rows.reshape(n, -1)), columns=columns_written(model))
        if numbered:
            frame.insert(0, free_name("component", frame), categories)
        if numbered and model.names_:
            names_of = [model.names_.get(int(k), "") for k in categories]
            frame.insert(1, free_name("component_name", frame), names_of)
        write_atomic(out, as_csv(frame, model.schema_))
    said = []
    if out.suffix.lower() == ".npz" and coded(model.schema_):
        said.append(f"{' and '.join(coded(model.schema_))} in .npz; for rows that commands read back write a .csv file")
    if rests := getattr(rows, "attrs", {}):
        said.append(f"draws rest on {rests['effective']:,.0f} of {rests['candidates']:,} candidates")
    if missing:
        share, signals = percent(float(np.mean(pd.isna(rows)))), model.signal_shape_ is not None
        what, each = ("values", "each value") if signals else ("cells", "each column")
        said.append(f"{share} of the {what} are missing: {each} as often as in its category among the rows fitted")
    return "; ".join(said)


def _given(model: DeepMixture, words: Sequence[str]) -> Any:
    """Read what is known of rows, from words about columns, or from a file with a part of a picture or signal.

    Raises:
        InputError: what `parse_given` refuses; no such file, or one without an array of numbers.
    """
    shape = model.image_shape_ or model.signal_shape_
    if shape is None:
        return parse_given(words, columns_of(model)[0])
    expected = f"expected one .npy file with an array of shape {shape}, NaN where a value is not known"
    file = expanded(Path(words[0]))
    if len(words) > 1 or file.suffix.lower() != ".npy":
        raise InputError(f"--given {' --given '.join(words)} for {model.kind_}: {expected}")
    try:
        return np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"--given {words[0]}: {one_line(error)}; {expected}") from error


def coded(schema: Schema | None) -> list[str]:
    """Say which cells of a table are written as other numbers where a file has no text."""
    kinds = set() if schema is None else {column.kind for column in schema.columns}
    told = {"categorical": "levels are their positions in the schema", "date": "dates are numbers of days"}
    return [words for kind, words in told.items() if kind in kinds]


def fill_rows(
    model: DeepMixture, data: Dataset, split: str | None, n_draws: int, mean: bool, seed: int | None, out: Path
) -> str:
    """Write the rows of a split with their missing cells filled into a .csv file; of several draws one after another.

    Several draws have a first column "draw", which counts them from 0. Columns that the model does not have stay, and
    those of the fit that are not there are added.

    Args:
        data: as they were read, not those that `suited` gives.

    Returns:
        A line about how many cells were filled.
    """
    whole("draws", n_draws, 1)
    if mean and n_draws > 1:
        raise InputError(f"draws={n_draws} with mean: means make one table; expected one of the two; leave one out")
    rows = rows_of(data, choose_split(data, split))
    with already_said(), naming(data.name):
        filled = model.impute(rows, n_draws, mean=mean, random_state=seed)
    names = data.feature_names or (columns_written(model) if model.schema_ is None else model.schema_.given)
    tables = [_with_names(table, names) for table in ([filled] if mean else filled)]
    given = _with_names(rows, names)
    added = tables[0].columns[given.shape[1] :].astype(str).to_list()
    before = int(given.isna().sum().sum()) + len(added) * len(given)
    if len(tables) > 1:
        first = free_name("draw", tables[0])
        for i, table in enumerate(tables):
            table.insert(0, first, i)
    write_atomic(out, as_csv(pd.concat(tables), model.schema_))
    after = int(tables[0].isna().sum().sum())
    n = before - after
    told = f"{counted(n, 'cell')} filled in {counted(len(rows), 'row')}"
    if added:
        told += f", of these all of {columns_named(added)}, which {'was' if len(added) == 1 else 'were'} not there"
    if len(tables) > 1:
        told += f", {len(tables)} times"
    if not mean and model.stretch_ >= 1.005:
        told += (
            f"; draws of numbers are {model.stretch_:.2f} times as wide as the model's, as rows held out of the fit ask"
        )
    return told


def _with_names(rows: Any, names: Sequence[str]) -> pd.DataFrame:
    """Give rows as a table: a data frame as it is, an array or a sparse matrix with names of columns."""
    if isinstance(rows, pd.DataFrame):
        return rows
    dense = rows.toarray() if isinstance(rows, SparseRows) else rows.reshape(len(rows), -1)
    return pd.DataFrame(dense, columns=list(names))


def with_categories(model: DeepMixture) -> Clusterer:
    """Refuse a model without categories.

    Raises:
        InputError: it has none.
    """
    if not clusters(model):
        raise InputError(f"a {model.name!r} model has no categories; fit one with --model cpvae")
    return model


def names_of_rows(model: DeepMixture, data: Dataset, split: str) -> dict[str, Any]:
    """Give the columns by which a person knows the rows of a split: names of files, identifiers of a table."""
    rows = data.splits[split]
    found = {} if rows.row_names is None else {"name": rows.row_names}
    if model.schema_ is not None and data.feature_names is not None:
        table = rows_of(data, split)
        found |= {name: table[name].to_numpy() for name in model.schema_.identifiers if name in data.feature_names}
    return found


def describe_rows(model: DeepMixture, data: Dataset, split: str | None) -> Description:
    """Describe the categories of a model by the rows of a split, of data that `suited` gives."""
    with already_said(), naming(data.name):
        return with_categories(model).describe(rows_of(data, choose_split(data, split)))


def rename_in(path: Path, names: Mapping[int | str, str | None]) -> dict[int, str]:
    """Give names to the categories of a saved model, or of a run; nothing else in its file changes.

    Returns:
        All names that the model now has.

    Raises:
        InputError: names that `Clusterer.rename` refuses; a fit that has not finished, whose model is yet to change.
    """
    unfinished = runs.unfinished(path)
    if unfinished:
        raise InputError(
            f"{path} holds a fit that has not finished: expected one that has, since names are given to "
            f"what it ends with; {unfinished}"
        )
    model = with_categories(load(path)).rename(names)
    rename_saved(runs.model_of(path), model.names_)
    return model.names_


def report_run(
    run: Path,
    source: str | None = None,
    labels: str | None = None,
    progress: Callable[[str], None] | None = None,
    say: Callable[[str], None] = lambda text: None,
    strict: bool = False,
) -> Path:
    """Write the report of a run, on validation rows of what it was fitted on unless other data are named.

    Args:
        progress: is told what was fetched and read.
        say: is told a sentence on each category.
        strict: refuse a table that is unlike that of the fit.
    """
    config = runs.read_config(run)
    model = load(run)
    about = config["about"]
    if source is None:  # labels of the fit are those of its rows
        source, known = data_there(run, about, "give the rows with --data")
        labels = labels or known
    check_labels(model, labels)
    read = load_data(source, labels, progress, reading_of(model, about, source))
    data = suited(read, model, strict, apart_of(about))
    name = "valid" if "valid" in data.splits else choose_split_for_fit(data)
    with already_said(), naming(data.name):
        written = write_report(
            model,
            rows_of(data, name),
            labels=data.splits[name].y,
            config=config,
            data_name=data.name,
            rows_name="" if name == "all" else name,
            path=run / runs.REPORT,
            run=run,
            layout="auto",
            say=say,
        )
    if progress is not None:
        tell_notes(data, progress)
    return written
