"""Data sets and estimators from the words of a command."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cpvae.data import loaders
from cpvae.data.loaders import Dataset
from cpvae.data.schema import Schema, check_given
from cpvae.errors import InputError, nearest
from cpvae.estimators.contract import DeepMixture, as_table
from cpvae.estimators.zoo import ESTIMATORS
from cpvae.files import parse
from cpvae.probability.likelihoods.choice import choose
from cpvae.study.evaluation import choose_split


def load_data(source: str, labels: str | None = None, progress: Callable[[str], None] | None = None) -> Dataset:
    """Load a data set by name or path; a named one that is absent is fetched.

    `progress` is told of the fetching and of what the loader took for granted.
    """
    if source in loaders.NAMES and any(s.name == source and not s.present for s in loaders.status()):
        loaders.fetch(source, progress=progress)
    data = loaders.load(source, labels=labels)
    if progress is not None:
        for note in data.notes:
            progress(note)
    return data


def dataset_name(source: str) -> str:
    """A name for folders: of the data set, or of its file without suffix.

    >>> dataset_name("digits"), dataset_name("/some/where/cells.csv")
    ('digits', 'cells')
    """
    return source if source in loaders.NAMES else Path(source).stem


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


def schema_for(data: Dataset, rows: Any, estimator: DeepMixture) -> Schema | None:
    """The schema by which a table is to be fitted, or None where its columns are all alike.

    Alike are numbers without missing cells, and values in [0, 1] that are ink
    (`cpvae.probability.likelihoods.choice.choose`).
    """
    if data.feature_names is None or estimator.likelihood not in ("auto", "columns"):
        return None
    asked = estimator.likelihood == "columns" or estimator.schema is not None
    values = data.splits[choose_split_for_fit(data)].x
    if not asked and isinstance(values, np.ndarray) and choose(values, False) == "bernoulli":
        return None
    schema = Schema.infer(rows, estimator.schema)
    return schema if asked or not schema.all_numeric else None


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
