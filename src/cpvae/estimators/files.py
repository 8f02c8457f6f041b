"""Fitted estimators as files: safetensors with a JSON header that says what was asked and what was found.

A header may say anything, since whoever sends a file writes it. So all that it holds is checked before it is used, and
shapes are made before values: a header cannot make a machine run out of memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from cpvae.arguments import LARGEST_SEED, as_path, between, one_of, whole
from cpvae.checkpoints import described, load_tensors, save_tensors
from cpvae.data.row_kinds import KINDS
from cpvae.data.schema import Schema
from cpvae.errors import InputError, warn
from cpvae.estimators import cards, gaps, unfinished
from cpvae.estimators.cards import LearnedFrom
from cpvae.estimators.params import from_json
from cpvae.fitting import runs
from cpvae.fitting.devices import device
from cpvae.fitting.records import INTERRUPTED, EpochRecord
from cpvae.probability import likelihoods
from cpvae.probability.priors import COVARIANCES, component_prior
from cpvae.words.names import stored

if TYPE_CHECKING:
    from cpvae.estimators.contract import DeepMixture

    E = TypeVar("E", bound=DeepMixture)

REQUIRED = tuple(one.name for one in fields(EpochRecord) if one.default is MISSING)
NULLABLE = ("train_negative_elbo", "train_relaxed_not_a_bound")  # of a relaxed fit, or of any other


def config(estimator: DeepMixture) -> dict[str, Any]:
    """Give the name of an estimator and its arguments, as JSON holds them."""
    params = {key: _plain(value) for key, value in estimator.get_params().items() if key != "verbose"}
    return {"estimator": type(estimator).__name__, "params": params}


def _plain(value: Any) -> Any:
    """Give an argument the form that JSON has for it; a RandomState has none."""
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, torch.device):
        return str(value)
    return value if isinstance(value, (int, float, str, type(None))) else None


def save(estimator: DeepMixture, path: str | Path, licence: str | None = None) -> None:
    """Write a fitted estimator to one file, and its card beside it.

    Raises:
        InputError: the path cannot be written; the licence has no name that hubs know.
    """
    path = as_path("path", path)
    text = cards.card(estimator, path.name, licence)
    write_model(estimator, path)
    cards.write(text, cards.card_of(path))


def write_model(estimator: DeepMixture, path: str | Path) -> None:
    """Write a fitted estimator to one file.

    Raises:
        InputError: the path cannot be written.
    """
    fitted = {
        **rows_as_kept(estimator),
        "schema": None if estimator.schema_ is None else estimator.schema_.as_dict(),
        "history": estimator.history_,
        "stopped": estimator.stopped_,
        "best_epoch": estimator.best_epoch_,
        "seed": estimator.seed_,
        "start_seconds": estimator.start_seconds_,
        "stability": estimator.stability_,
        "stability_rows": estimator.stability_rows_,
        "consistent": estimator.consistent_,
        "names": estimator.names_,
        "missing_rates": gaps.as_kept(estimator),
        "stretch": estimator.stretch_,
        **({} if estimator.known_ is None else {"known": list(estimator.known_)}),
        "learned_from": None if estimator.learned_from_ is None else estimator.learned_from_.as_dict(),
    }
    meta = {**config(estimator), "fitted": fitted, "versions": runs.versions()}
    save_tensors(path, estimator.model_.state_dict() | gaps.as_tensors(estimator), meta)


def rows_as_kept(estimator: DeepMixture) -> dict[str, Any]:
    """Give what an estimator knows of its rows before it has learned from them, but for their schema."""
    names = getattr(estimator, "feature_names_in_", None)
    return {
        "n_features_in": estimator.n_features_in_,
        "feature_names_in": None if names is None else [str(name) for name in names],
        "image_shape": estimator.image_shape_,
        "signal_shape": estimator.signal_shape_,
        "kind": estimator.kind_,
        "likelihood": estimator.likelihood_,
        "covariance": estimator.covariance_,
    }


def rename_saved(path: Path, names: Mapping[int, str]) -> None:
    """Keep names of categories in the file of a saved model, and change nothing else there.

    Raises:
        InputError: no saved model, or a file that cannot be written.
    """
    tensors, meta = load_tensors(path)
    meta["fitted"]["names"] = dict(names)
    save_tensors(path, tensors, meta)


def reopen(estimator: DeepMixture, path: Path) -> None:
    """Make an estimator the fitted one that was saved at `path`.

    Raises:
        InputError: as `load`.
    """
    tensors, meta = load_tensors(path)
    with described(path):
        _restore(estimator, tensors, meta["fitted"])


def load(path: str | Path, classes: Iterable[type[E]]) -> E:
    """Open a saved model, or the model of a run folder. One of a fit that has not finished comes with a warning.

    Args:
        path: of the file, or of the folder.
        classes: the estimators that there are.

    Raises:
        InputError: not a saved model or a run, without a model, of a newer version, damaged, or changed.
    """
    path = as_path("path", path)
    advice = runs.unfinished(path)
    file, tensors, meta = unfinished.read(path) if advice else (found := runs.model_of(path), *load_tensors(found))
    known = {cls.__name__: cls for cls in classes}
    if str(meta.get("estimator")) not in known:
        raise InputError(f"{file} holds a {meta.get('estimator')!r}, which this version does not know; upgrade cpvae")
    with described(file):
        asked = runs.still_there(meta["params"])
        unknown = sorted(asked.keys() - known[meta["estimator"]]._get_param_names())
        if unknown:
            raise InputError(f"it was fitted with {', '.join(unknown)}, which this version does not have; fit again")
        estimator = known[meta["estimator"]](**from_json(asked))
        estimator.check_params()
        _restore(estimator, tensors, meta["fitted"])
    if advice or estimator.stopped_ == INTERRUPTED:
        kept = f"its weights so far, of epoch {estimator.best_epoch_} of the {estimator.n_iter_} trained"
        if not estimator.n_iter_:
            kept = "it was stopped before its first epoch had ended, and has quick categories, trained for a moment"
        told = f"{path} holds a fit that has not finished: {kept}"
        warn(f"{told}; {advice}" if advice else told)
    return estimator


def _restore(estimator: DeepMixture, tensors: dict[str, Tensor], fitted: dict[str, Any]) -> None:
    """Give an estimator the learned state of a file, checked."""
    _restore_rows(estimator, fitted)
    estimator.history_ = _history(fitted["history"])
    estimator.n_iter_ = len(estimator.history_)
    estimator.stopped_ = _text("stopped", fitted["stopped"])
    whole("best_epoch", fitted["best_epoch"], 0)
    whole("seed", fitted["seed"], 0, LARGEST_SEED)
    estimator.best_epoch_, estimator.seed_ = fitted["best_epoch"], fitted["seed"]
    seconds, stability = fitted.get("start_seconds", 0.0), fitted.get("stability")
    between("start_seconds", seconds, 0.0, math.inf, lowest=True)
    if stability is not None:
        between("stability", stability, -1.0, 1.0 + 1e-9, lowest=True)
    whole("stability_rows", fitted.get("stability_rows", 0), 0)  # files from before it was kept: of validation rows
    estimator.start_seconds_, estimator.stability_ = float(seconds), stability
    estimator.stability_rows_ = fitted.get("stability_rows", 0)
    # Files from before it was kept have the arguments; tables had no copies then.
    consistent = fitted.get("consistent", estimator.schema_ is None and estimator._consistent())
    if not isinstance(consistent, bool):
        raise InputError(f"consistent={str(consistent)[:40]!r}: expected true or false")
    estimator.consistent_ = consistent
    tensors = dict(tensors)
    rates = tensors.pop(gaps.IN_FILE, None)
    with torch.device("meta"):  # shapes first
        state = {name.removeprefix("likelihood."): value for name, value in tensors.items()}
        likelihood = likelihoods.make_like(estimator.likelihood_, state, estimator._form())
        model = estimator._module(likelihood).eval()
    _check_weights(tensors, model.state_dict())
    model.load_state_dict(tensors, assign=True)
    prior = component_prior(model.prior)
    if prior is not None and "shares" in fitted:  # a checkpoint was written before q(c) was known
        prior.set_aggregated(torch.tensor(fitted["shares"], dtype=torch.float64))
    try:
        device.find(estimator.device)
    except InputError:  # fitted where there was such a device
        warn(
            f"saved with device={estimator.device!r}, which cannot be used on this machine; device='auto' from here on"
        )
        estimator.device = "auto"
    estimator._set_model(model.to(device.find(estimator.device)))
    _check_mixture(estimator)
    estimator.names_ = stored(fitted.get("names", {}), estimator.n_components_)
    estimator.missing_rates_ = gaps.restored(fitted.get("missing_rates"), rates, estimator)  # None in older files
    between("stretch", fitted.get("stretch", 1.0), 1.0, math.inf, lowest=True)  # files from before it was kept: 1
    estimator.stretch_ = float(fitted.get("stretch", 1.0))
    estimator.learned_from_ = LearnedFrom.from_dict(fitted.get("learned_from"))
    estimator.known_ = _known(fitted.get("known"), estimator.n_components_)


def _restore_rows(estimator: DeepMixture, fitted: dict[str, Any]) -> None:
    """Give an estimator what its rows are."""
    whole("n_features_in", fitted["n_features_in"], 1)
    estimator.n_features_in_ = fitted["n_features_in"]
    estimator.image_shape_ = _shape("image_shape", fitted["image_shape"], 3)
    estimator.signal_shape_ = _shape("signal_shape", fitted.get("signal_shape"), 2)
    known = "images" if estimator.image_shape_ else "signals" if estimator.signal_shape_ else "matrix"
    estimator.kind_ = fitted.get("kind", known)  # files from before it was kept
    one_of("kind", estimator.kind_, KINDS)
    estimator.notes_ = ()
    estimator.likelihood_ = _text("likelihood", fitted["likelihood"])
    asked = getattr(estimator, "covariance_type", None)
    # Files from before it was kept have what was asked for, or none of that either.
    estimator.covariance_ = fitted.get("covariance") or ("diag" if asked == "auto" else asked)
    if estimator.covariance_ is not None:
        one_of("covariance", estimator.covariance_, tuple(COVARIANCES))
    names = fitted["feature_names_in"]
    if names is not None:
        estimator.feature_names_in_ = np.array([str(name) for name in names], dtype=object)
    schema = fitted.get("schema")
    estimator.schema_ = None if schema is None else Schema.from_dict(schema)
    sizes = {
        "feature_names_in": names and len(names),
        "image_shape": estimator.image_shape_ and math.prod(estimator.image_shape_),
        "signal_shape": estimator.signal_shape_ and math.prod(estimator.signal_shape_),
        "schema": estimator.schema_ and len(estimator.schema_.columns),
    }
    for name, size in sizes.items():
        if size is not None and size != estimator.n_features_in_:
            raise InputError(f"{name} of {size} columns where n_features_in is {estimator.n_features_in_}; fit again")


def _shape(name: str, value: Any, n: int) -> tuple[int, ...] | None:
    """Read the shape of a row, `n` sizes."""
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != n:
        raise InputError(f"{name}={str(value)[:40]}: expected {n} sizes; fit again")
    for size in value:
        whole(name, size, 1)
    return tuple(value)


def _known(value: Any, n_components: int) -> tuple[int, ...] | None:
    """Read the number of rows whose category was known, of each category; None of a fit without labels."""
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != n_components:
        raise InputError(f"known={str(value)[:40]}: expected {n_components} numbers of rows; fit again")
    for count in value:
        whole("known", count, 0)
    return tuple(value)


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise InputError(f"{name}={str(value)[:40]}: expected text; fit again")
    return value


def _history(value: Any) -> list[dict[str, Any]]:
    """Read records of epochs, which reports draw."""
    if not isinstance(value, list):
        raise InputError(f"the history is a {type(value).__name__}: expected a list of records; fit again")
    for i, record in enumerate(value):
        bad = "no record"
        if isinstance(record, Mapping):
            missing = [name for name in REQUIRED if name not in record]
            wrong = [name for name, one in record.items() if not _is_number(one) and (one or name not in NULLABLE)]
            bad = (missing or wrong or [""])[0]
        if bad:
            raise InputError(f"epoch {i + 1} of the history has no {bad!r} that can be used; fit again")
    return list(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _check_weights(tensors: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """Refuse numbers that the model does not have, or that are none."""
    for name, tensor in tensors.items():
        if name in expected and tensor.dtype != expected[name].dtype:
            raise InputError(f"{name} is {tensor.dtype}: expected {expected[name].dtype}; fit again or restore a copy")
    broken = [name for name, t in tensors.items() if t.is_floating_point() and not bool(t.isfinite().all())]
    if broken:
        raise InputError(
            f"there are weights that are not finite ({', '.join(broken[:3])}{', ...' * (len(broken) > 3)}); "
            "fit again or restore a copy"
        )


def _check_mixture(estimator: DeepMixture) -> None:
    """Refuse shares of components that are none: rows are drawn by them."""
    prior = component_prior(estimator.model_.prior)
    if prior is not None and not (bool((prior.aggregated >= 0).all()) and float(prior.aggregated.sum()) > 0):
        raise InputError("the shares of its components are negative or all zero; fit again or restore a copy")
