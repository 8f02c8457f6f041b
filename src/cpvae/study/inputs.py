"""Data sets and estimators from the words of a command."""

from __future__ import annotations

import math
import shlex
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from cpvae.data import loaders
from cpvae.data.faults import enumerated
from cpvae.data.loaders import Dataset
from cpvae.errors import FitWarning, InputError, nearest
from cpvae.estimators.contract import DeepMixture, as_table
from cpvae.estimators.zoo import ESTIMATORS, load
from cpvae.study.evaluation import choose_split
from cpvae.study.places import about_of


def load_data(
    source: str,
    labels: str | None = None,
    progress: Callable[[str], None] | None = None,
    reading: Mapping[str, Any] | None = None,
) -> Dataset:
    """Load a data set by name or path; a named one that is absent is fetched, and `progress` told.

    Args:
        reading: what is known about the data: kind, size, layer and shape of `cpvae.datasets.load`.
    """
    if source in loaders.NAMES and any(s.name == source and not s.present for s in loaders.status()):
        loaders.fetch(source, progress=progress)
    return loaders.load(source, labels=labels, **(reading or {}))


def tell_notes(data: Dataset, say: Callable[[str], None]) -> None:
    """Say what the loader took for granted, once it is clear that the data can be used."""
    for note in data.notes:
        say(note)


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
    if model.image_shape_:
        reading |= {"size": None, "shape": tuple(model.image_shape_)}
    return loaders.applicable(source, reading) | ({} if layer is None else {"layer": layer})


def open_run(
    run: Path, source: str, labels: str | None, layer: str | None, progress: Callable[[str], None] | None = None
) -> tuple[DeepMixture, Dataset]:
    """Open a fitted model, and read data as those of its fit were read."""
    model = load(run)
    return model, load_data(source, labels, progress, reading_of(model, about_of(run), source, layer))


def rows_of(data: Dataset, split: str) -> Any:
    """The rows of a split as an estimator takes them, columns named."""
    return as_table(data.splits[split].x, data.feature_names)


def suited(data: Dataset, model: DeepMixture, strict: bool = False) -> Dataset:
    """Give data the columns that the model was fitted on, by their names; those without names take those of the fit.

    A table may have its columns in any order. Others are left out, absent ones and levels that the fit did not have are
    taken as missing (`cpvae.data.schema.Schema.conform`); a warning says so.

    Args:
        strict: refuse what would be warned of.

    Raises:
        InputError: rows of another shape, or a table without the columns of the fit.
    """
    shape = next(iter(data.splits.values())).x.shape[1:]
    names = getattr(model, "feature_names_in_", None)
    form = model.image_shape_ or model.signal_shape_
    expected: tuple[int, ...] = form or (model.n_features_in_,)
    given = None if names is None or form is not None else tuple(map(str, names))
    if model.schema_ is not None and form is None:
        expected, given = (len(model.schema_.given),), model.schema_.given
    if data.feature_names is None or given is None:
        if math.prod(shape) != math.prod(expected) or (len(shape) > 1 and shape != expected):
            raise InputError(
                f"{data.name}: rows of {_shape(shape)}; expected {_shape(expected)}, as the model was fitted on; "
                "give such rows, or fit a model on these"
            )
        data = replace(data, feature_names=given)
    if given is None:
        return data
    with _about(data.name):
        own, others = _own_columns(data, given, strict)
        if model.schema_ is None:
            own = _in_order(data, given)
        else:
            frames = {name: model.schema_.conform(rows_of(own, name), strict=strict) for name in own.splits}
            splits = {name: replace(split, x=frames[name]) for name, split in own.splits.items()}
            own = replace(own, splits=splits, feature_names=model.schema_.names)
    if others:
        warnings.warn(f"{data.name}: {others}", FitWarning, stacklevel=2)
    return own


@contextmanager
def _about(name: str) -> Iterator[None]:
    """Begin errors from inside with the name of the data."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{name}: {error}") from error


def _own_columns(data: Dataset, known: Sequence[str], strict: bool) -> tuple[Dataset, str]:
    """Leave out the columns of a table that the fit did not have, and say so, or refuse them."""
    names = data.feature_names or ()
    others = [name for name in names if name not in set(known)]
    if not others or len(others) == len(names):  # a table of another kind, refused by those who look for its columns
        return data, ""
    said = f"columns that the fit did not have: {enumerated([repr(name) for name in others])}"
    labels = f"say --labels {shlex.quote(others[0])} if it holds labels"
    if strict:
        raise InputError(f"{said}; expected {enumerated(known)}; remove them, {labels}, or leave out --strict")
    return _in_order(data, [name for name in names if name in set(known)]), f"{said}; left out ({labels})"


def _in_order(data: Dataset, expected: Sequence[str]) -> Dataset:
    """Arrange the columns of a table, of which none may be absent."""
    given = data.feature_names or ()
    if given == tuple(expected):
        return data
    place = {name: i for i, name in enumerate(given)}
    absent = [name for name in expected if name not in place]
    if absent:
        raise InputError(
            f"no column {enumerated([repr(name) for name in absent])}{nearest(absent[0], given[:1000])}; expected the "
            "columns of the fit, in any order"
        )
    order = [place[name] for name in expected]
    splits = {}
    for name, split in data.splits.items():
        x = split.x.iloc[:, order] if hasattr(split.x, "iloc") else split.x[:, order]
        splits[name] = replace(split, x=x)
    return replace(data, splits=splits, feature_names=tuple(expected))


def _shape(shape: tuple[int, ...]) -> str:
    """`3 columns`, `signals of 6 x 100` or `images of 1 x 28 x 28`."""
    what = {2: "signals", 3: "images"}.get(len(shape), "")
    return f"{what} of {' x '.join(map(str, shape))}" if what else f"{shape[0]} columns"


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
    """Make an estimator with the likelihood that the data set names, unless another is given."""
    estimator = make_estimator(name, params)
    if params.get("likelihood", "auto") == "auto" and data.likelihood is not None and not params.get("schema"):
        estimator.set_params(likelihood=data.likelihood)
    if data.kind not in ("table", "images") and params.get("kind", "auto") == "auto":
        estimator.set_params(kind=data.kind)
    return estimator


def check_enough(data: Dataset) -> None:
    """Refuse data from which nothing can be learned.

    Raises:
        InputError: the rows to fit are fewer than two.
    """
    n = len(data.splits[choose_split_for_fit(data)].x)
    if n < 2:
        raise InputError(f"{data.name}: {n} row; at least 2 are needed for a fit; give more rows")


def choose_split_for_fit(data: Dataset) -> str:
    """ "train" where there is one; a file without splits is used whole."""
    return "train" if "train" in data.splits else choose_split(data, None)
