"""Data sets and estimators from the words of a command."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cpvae.data import loaders
from cpvae.data.columns import IGNORE
from cpvae.data.loaders import Dataset
from cpvae.data.loaders.records import NO_LABEL
from cpvae.data.reading import Reading
from cpvae.data.row_kinds import Given
from cpvae.errors import InputError, counted, nearest
from cpvae.estimators.contract import DeepMixture
from cpvae.estimators.rows_in import as_table, in_order, with_names
from cpvae.estimators.zoo import ESTIMATORS, load
from cpvae.study.evaluation import choose_split
from cpvae.study.places import about_of, apart_of, is_of_fit, known_of
from cpvae.study.written import columns_written


def load_data(
    source: str,
    labels: str | None = None,
    progress: Callable[[str], None] | None = None,
    reading: Mapping[str, Any] | None = None,
) -> Dataset:
    """Load a data set by name or path; a named one that is absent is fetched, and `progress` told.

    Args:
        reading: what is known about the data: kind, size, layer, shape and known of `cpvae.datasets.load`.
    """
    if source in loaders.NAMES and any(s.name == source and not s.present for s in loaders.status()):
        loaders.fetch(source, progress=progress)
    return loaders.load(source, labels=labels, **(reading or {}))


def tell_notes(data: Dataset, say: Callable[[str], None], split: str | None = None) -> None:
    """Say the lines of `notes_of`, once the data proved to be usable."""
    for note in notes_of(data, split):
        say(note)


def notes_of(data: Dataset, split: str | None = None) -> tuple[str, ...]:
    """List what the loader took for granted, and which of several splits is used."""
    others = [name for name in data.splits if name != split]
    if split is None or not others:
        return data.notes
    n = len(data.splits[split].x)
    return (*data.notes, f"{counted(n, 'row')} of the split {split!r}; for others say --split {' or '.join(others)}")


def reading_of(model: DeepMixture, about: Mapping[str, Any], source: str, layer: str | None = None) -> dict[str, Any]:
    """Say how to read data for a fitted model: as the data of its fit, as far as the source takes such options.

    Args:
        model: the fitted model.
        about: part `about` of the configuration of its run; may be empty.
        source: the data, as on the command line.
        layer: replaces the layer of the fit.
    """
    reading = dict(about.get("reading") or {})
    if model.image_shape_ or model.signal_shape_ or model.kind_ == "counts":
        reading["kind"] = model.kind_
    if shape := model.image_shape_ or model.signal_shape_:
        reading |= {"size": None, "shape": tuple(shape)}
    if about.get("known") and is_of_fit(about, source):  # a column of these labels is no part of the rows
        reading["known"] = known_of(about)
    return loaders.applicable(source, reading) | ({} if layer is None else {"layer": layer})


class OpenedRun(NamedTuple):
    """A fitted model, and data for it.

    Attributes:
        model: fitted.
        data: with the columns of the fit (`suited`).
        read: as they are, or, where the columns of the fit had no names, the same as `data`.
    """

    model: DeepMixture
    data: Dataset
    read: Dataset


def open_run(
    run: Path,
    source: str,
    labels: str | None = None,
    layer: str | None = None,
    strict: bool = False,
    progress: Callable[[str], None] | None = None,
) -> OpenedRun:
    """Open a fitted model, and read data as those of its fit were read.

    Args:
        strict: refuse a table that is unlike that of the fit.

    Raises:
        InputError: as for `cpvae.load`, `cpvae.datasets.load` and `suited`.
    """
    model, about = load(run), about_of(run)
    return OpenedRun(model, *data_for(model, about, source, labels, layer, strict, progress))


def data_for(
    model: DeepMixture,
    about: Mapping[str, Any],
    source: str,
    labels: str | None = None,
    layer: str | None = None,
    strict: bool = False,
    progress: Callable[[str], None] | None = None,
) -> tuple[Dataset, Dataset]:
    """Read data for a fitted model; give `data` and `read` of an `OpenedRun`.

    Args:
        about: part `about` of the configuration of the model's run; may be empty.
    """
    check_labels(model, labels)
    read = load_data(source, labels, progress, reading_of(model, about, source, layer))
    data = suited(read, model, strict, apart_of(about))
    return data, data if data.feature_names is None else read


def check_labels(model: DeepMixture, labels: str | None) -> None:
    """Refuse labels that are a column of the fit: the model would have to do without it.

    Raises:
        InputError: naming the column.
    """
    if labels is not None and model.schema_ is not None and labels in model.schema_.names:
        raise InputError(
            f"labels={labels!r} is a column that the model was fitted on: expected one that the fit did not have; "
            "leave --labels out, or fit with --labels, which keeps it out of the fit"
        )


def rows_of(data: Dataset, split: str) -> Any:
    """Give the rows of a split as an estimator takes them, columns named."""
    return as_table(data.splits[split].x, data.feature_names)


def rows_where_they_are(data: Dataset, split: str) -> Any:
    """Give what `rows_of` gives, but leave sparse rows as they are, wherever they lie."""
    return with_names(data.splits[split].x, data.feature_names)


def suited(data: Dataset, model: DeepMixture, strict: bool = False, apart: Collection[str] = ()) -> Dataset:
    """Give data the columns that the model was fitted on, by their names; those without names take those of the fit.

    A table may have its columns in any order. Others are left out, absent ones and levels that the fit did not have are
    taken as missing (`cpvae.data.schema.Schema.read`). The notes of the data say what was read. Where the fit had no
    names, its columns are found by the names that new rows are written with (`columns_written`).

    Args:
        strict: refuse a table that is unlike that of the fit.
        apart: columns of labels in the fit, which may be there or not (`apart_of`).

    Raises:
        InputError: rows of another shape, or a table without the columns of the fit.
    """
    found, readings = read_for(data, model, strict, apart)
    notes = list(found.notes)
    for name, reading in readings.items():
        if data.feature_names is not None or reading.differences():
            of = "" if len(data.splits) == 1 else f" ({name})"
            notes += reading.lines(f"{data.name}{of}")
    return replace(found, notes=tuple(notes))


def read_for(
    data: Dataset, model: DeepMixture, strict: bool = False, apart: Collection[str] = ()
) -> tuple[Dataset, dict[str, Reading]]:
    """Do what `suited` does, but leave what was read to be said: split -> its reading, none for rows without names."""
    shape = next(iter(data.splits.values())).x.shape[1:]
    names = getattr(model, "feature_names_in_", None)
    form = model.image_shape_ or model.signal_shape_
    expected: tuple[int, ...] = form or (model.n_features_in_,)
    given = None if names is None or form is not None else tuple(map(str, names))
    if model.schema_ is not None and form is None:
        expected, given = (len(model.schema_.given),), model.schema_.given
    unnamed, nameless = data.feature_names is None, given is None
    own = tuple(columns_written(model))
    if nameless and not unnamed and set(own) <= set(data.feature_names or ()):
        given = own
    if unnamed or given is None:
        if math.prod(shape) != math.prod(expected) or (len(shape) > 1 and shape != expected):
            raise InputError(
                f"{data.name}: rows of {_shape(shape)}; expected {_shape(expected)}, as the model was fitted on; "
                "give such rows, or fit a model on these"
            )
        data = replace(data, feature_names=given)
    if given is None:
        return data, {}
    splits, readings = {}, dict[str, Reading]()
    for name, split in data.splits.items():
        with naming(data.name):
            rows, reading = _read(model, data, name, given)
            reading = reading.without(apart)
            if strict:
                reading.check()
        x = rows.values if isinstance(rows, Given) else rows.to_numpy() if nameless else rows
        splits[name], readings[name] = replace(split, x=x), reading
    return replace(data, splits=splits, feature_names=None if nameless else reading.names), readings


def _read(model: DeepMixture, data: Dataset, split: str, given: Sequence[str]) -> tuple[Any, Reading]:
    """Find the columns of the fit in the rows of a split, which have names."""
    if model.schema_ is not None:
        cells, _, reading = model.schema_.read(rows_of(data, split))
        return cells, reading
    return in_order(rows_where_they_are(data, split), given)


@contextmanager
def naming(name: str) -> Iterator[None]:
    """Begin errors from inside with the name of the data, unless they do."""
    try:
        yield
    except InputError as error:
        if str(error).partition(": ")[0].endswith(name):
            raise
        raise InputError(f"{name}: {error}") from error


def _shape(shape: tuple[int, ...]) -> str:
    """Say what a row is: `3 columns`, `signals of 6 x 100` or `images of 1 x 28 x 28`."""
    what = {2: "signals", 3: "images"}.get(len(shape), "")
    return f"{what} of {' x '.join(map(str, shape))}" if what else counted(shape[0], "column")


def known_labels(labels: np.ndarray) -> list[Any]:
    """Give the labels that a fit is to know as `DeepMixture.fit` takes them: numbers if all are, else text.

    >>> known_labels(np.array(["3", "(none)", "1"])), known_labels(np.array(["3", "", "cat"]))
    ([3, None, 1], ['3', None, 'cat'])
    >>> known_labels(np.array(["0.5", "-1.0"]))
    [0.5, -1.0]
    """
    given = [None if str(label).strip() in ("", NO_LABEL) else label for label in labels.tolist()]
    for number in (int, float):
        with suppress(ValueError):
            return [number(label) if isinstance(label, str) else label for label in given]
    return given


def make_estimator(name: str, params: dict[str, Any]) -> DeepMixture:
    """Make an estimator by its name on the command line.

    Raises:
        InputError: an unknown model, or an option that it does not have.
    """
    if name not in ESTIMATORS:
        raise InputError(f"--model {name!r} is unknown{nearest(name, ESTIMATORS)}")
    estimator = ESTIMATORS[name]()
    foreign = [param for param in params if param not in estimator.get_params()]
    if foreign:
        others = [other for other, kind in ESTIMATORS.items() if set(params) <= set(kind().get_params())]
        advice = f", or use --model {' or '.join(others)}" if others else ""
        it = "it" if len(foreign) == 1 else "them"
        raise InputError(f"model {name!r} has no option for {' and '.join(foreign)}; leave {it} out{advice}")
    return estimator.set_params(**params)


def estimator_for(data: Dataset, name: str, params: dict[str, Any]) -> DeepMixture:
    """Make an estimator with the likelihood that the data set names, unless another is given.

    A schema may say that columns of labels are left out: they are, since they are no part of the rows.

    Raises:
        InputError: what `make_estimator` refuses; a schema that says what a column of labels is to be modelled as.
    """
    if params.get("schema"):
        params = params | {"schema": _without_labels(params["schema"], data.apart)}
    estimator = make_estimator(name, params)
    if params.get("likelihood", "auto") == "auto" and data.likelihood is not None and not params.get("schema"):
        estimator.set_params(likelihood=data.likelihood)
    if data.kind not in ("table", "images") and params.get("kind", "auto") == "auto":
        estimator.set_params(kind=data.kind)
    return estimator


def _without_labels(schema: Mapping[str, Any], apart: Sequence[str]) -> dict[str, Any]:
    """Leave the columns of labels out of a schema, which may say that they are ignored."""
    for name in apart:
        if schema.get(name, IGNORE) != IGNORE:
            raise InputError(
                f"the schema says {schema[name]!r} of {name!r}, which holds the labels and is no part of the rows: "
                "expected 'ignore', or nothing; take it out of the schema, or leave --labels (--known) out"
            )
    return {name: kind for name, kind in schema.items() if name not in apart}


def check_enough(data: Dataset) -> None:
    """Refuse data from which nothing can be learned.

    Raises:
        InputError: the rows to fit are fewer than two.
    """
    n = len(data.splits[choose_split_for_fit(data)].x)
    if n < 2:
        raise InputError(f"{data.name}: {n} row; at least 2 are needed for a fit; give more rows")


def choose_split_for_fit(data: Dataset) -> str:
    """Choose "train" where there is one; a file without splits is used whole."""
    return "train" if "train" in data.splits else choose_split(data, None)
