"""The lines of the field benchmark: one system on one set with one seed, scored by labels that it never saw."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import shlex
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from field_page import OWN, Line
from field_peers import PEERS, Asked
from field_sets import ALL, FieldSet, labelled
from starts import Found, StartAlone, WithStart

from cpvae.data.loaders import Dataset, data_root
from cpvae.errors import InputError
from cpvae.fitting.devices import device
from cpvae.fitting.progress import Silent
from cpvae.study import metrics
from cpvae.study.evidence import evidence
from cpvae.study.inputs import estimator_for, rows_of

YARDSTICK = "k-means"
PACKAGES = ("umap-learn", "igraph", "scvi-tools", "stepmix", "tslearn")  # behind peers


class Heard(Silent):
    """A listener to a fit that keeps the sentences about its rows."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def why(self, likelihood: str) -> str:
        """Find the reason for the likelihood; of a table, whose columns are told one by one, no other is said."""
        start = f"likelihood {likelihood}: "
        told = (text.removeprefix(start) for text in self.said if text.startswith(start))
        return next(told, "a table: each column after its kind")


def portable(text: str) -> str:
    """Name the folder of the data by its variable."""
    own = os.environ.get("CPVAE_FURTHER")
    return (text.replace(own, "$CPVAE_FURTHER") if own else text).replace(str(data_root()), "$CPVAE_DATA")


def scores(y: np.ndarray | None, known: np.ndarray, groups: np.ndarray) -> Line:
    """Compare groups with labels, on the rows that have one."""
    found: Line = {"n_judged": int(known.sum()), "groups": len(np.unique(groups))}
    if y is None:
        return {**found, "accuracy": None, "ari": None, "nmi": None}
    labels, own = y[known].astype(str), groups[known]
    return {
        **found,
        "accuracy": metrics.accuracy_hungarian(labels, own),
        "ari": metrics.ari(labels, own),
        "nmi": metrics.nmi(labels, own),
    }


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """Do a piece of work, and time it."""
    began = time.process_time()
    value = work()
    return value, round(time.process_time() - began, 3)


@functools.cache
def warm() -> None:
    """Compile UMAP once in this process, before anything is timed."""
    peer = PEERS["UMAP+GMM"]
    if not peer.missing():
        peer(Asked(np.random.default_rng(0).random((60, 1, 8)), "signals", 2, 0))


def begin(given: FieldSet, seed: int) -> tuple[Dataset, Line]:
    """Read a set, and gather what all its lines share: the set, the machine, the code, and the seconds of k-means."""
    data = given.load()
    x = data.splits["all"].x
    asked = Asked(x, given.field, given.n_classes, seed)
    _, seconds = timed(lambda: PEERS[YARDSTICK](asked))
    place = str(device.find("auto"))
    about = evidence(None, place)
    shared = {
        "set": given.name,
        "seed": seed,
        "field": given.field,
        "half": given.half,
        "n_rows": len(x),
        "n_columns": int(np.prod(x.shape[1:])),
        "n_components": given.n_classes,
        "kmeans_seconds": seconds,
        **about,
        "versions": {**about["versions"], **_packages()},
    }
    return data, shared


def _packages() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def own(given: FieldSet, seed: int, systems: Sequence[str]) -> list[Line]:
    """Fit CP-VAE to all rows, otherwise as `cpvae fit FILE --components K --seed SEED`; or find its start alone.

    One fit gives both lines. The line of the start covers the rows that the fit learned from. It also has the scores of
    the fit on these rows.
    """
    if given.field != "table":
        warm()
    data, shared = begin(given, seed)
    whole, heard = data.splits["all"], Heard()
    rows, known = rows_of(data, "all"), labelled(whole.y, len(whole.x))
    asked = estimator_for(data, "cpvae", {"n_components": given.n_classes, "random_state": seed})
    model = (WithStart if "cpvae" in systems else StartAlone)(**asked.get_params())
    groups: np.ndarray | None = None
    began = time.process_time()
    try:
        model.fit(rows, reporter=heard)
        groups = model.predict(rows)
    except Found as found:
        model.start_rows_, model.start_categories_ = found.args
    seconds = round(time.process_time() - began, 3)
    lines = []
    if "start" in systems and model.start_rows_ is not None and model.start_categories_ is not None:
        lines.append({**shared, "system": "start", **_start(model, whole.y, known, groups, seconds)})
    if groups is not None:
        best = next(one for one in model.history_ if one["epoch"] == model.best_epoch_)
        fitted = {
            "held_out_bound": -best["valid_negative_elbo"],
            "likelihood": model.likelihood_,
            "why": heard.why(model.likelihood_),
            "taken_for": [portable(text) for text in (*data.notes, *heard.said)],
            "start_seconds": model.start_seconds_,
            "epochs": model.n_iter_,
            "stopped": model.stopped_,
        }
        lines.append({**shared, "system": "cpvae", **scores(whole.y, known, groups), "seconds": seconds, **fitted})
    return lines


def _start(
    model: WithStart, y: np.ndarray | None, known: np.ndarray, groups: np.ndarray | None, seconds: float
) -> Line:
    """Score the start of a fit, and the fit on the same rows."""
    rows, categories = model.start_rows_, model.start_categories_
    assert rows is not None
    assert categories is not None
    some = None if y is None else y[rows]
    line = {**scores(some, known[rows], categories), "seconds": model.start_seconds_ if groups is not None else seconds}
    if groups is not None:
        fit = scores(some, known[rows], groups[rows])
        line |= {f"fit_{name}": fit[name] for name in ("accuracy", "ari", "nmi")}
    return line


def peer(given: FieldSet, seed: int, system: str) -> list[Line]:
    """Run a peer."""
    if PEERS[system].modules:
        warm()
    data, shared = begin(given, seed)
    whole = data.splits["all"]
    asked = Asked(whole.x, given.field, given.n_classes, seed)
    groups, seconds = timed(lambda: PEERS[system](asked))
    known = labelled(whole.y, len(whole.x))
    return [{**shared, "system": system, **scores(whole.y, known, groups), "seconds": seconds}]


def lines_of(name: str, seed: int, systems: Sequence[str]) -> list[Line]:
    """Run systems on a set; a system that fails gets a line that says so."""
    given, words = ALL[name], "".join(f" --system {shlex.quote(system)}" for system in systems)
    command = {"command": f"python benchmarks/field.py --set {name} --seed {seed}{words}"}
    try:
        found = own(given, seed, systems) if systems[0] in OWN else peer(given, seed, systems[0])
    except InputError as error:
        why = portable(str(error))
    except Exception as error:  # one crash must not stop the other systems
        traceback.print_exc()
        why = portable(f"crashed: {type(error).__name__}: {error}")
    else:
        ratios = [{"ratio": line["seconds"] / max(line["kmeans_seconds"], 1e-3)} for line in found]
        return [{**line, **ratio, **command} for line, ratio in zip(found, ratios, strict=True)]
    shared = {"set": name, "seed": seed, "field": given.field, "half": given.half, "n_components": given.n_classes}
    return [{**shared, "system": system, "refused": why, **evidence(), **command} for system in systems]
