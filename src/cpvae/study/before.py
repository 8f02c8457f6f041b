"""The rows before: those of a fit read again, and those of them that it did not learn from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cpvae.data.split import fingerprint, split
from cpvae.errors import InputError, already_said
from cpvae.estimators.contract import DeepMixture
from cpvae.estimators.rows_in import take
from cpvae.fitting import runs
from cpvae.study.drift import drift
from cpvae.study.evaluation import choose_split
from cpvae.study.inputs import OpenedRun, choose_split_for_fit, load_data, naming, reading_of, rows_of, suited
from cpvae.study.places import data_there, learned_from
from cpvae.words.changes import Drift

REMEDY = "give the rows before with --reference"


@dataclass(frozen=True)
class Before:
    """Rows to compare new ones with.

    Attributes:
        rows: as the model takes them; held_out: those that the fit did not learn from, or None.
        learned: whether the fit learned from `rows`.
    """

    rows: Any
    held_out: Any = None
    learned: bool = True


def rows_of_fit(run: Path, model: DeepMixture, progress: Callable[[str], None] | None = None) -> Before:
    """Read the rows of a fit again.

    Raises:
        InputError: a saved model alone; rows that are no longer where they were, or have changed since.
    """
    if not (run / runs.CONFIG).is_file():
        raise InputError(f"{run} does not say what it was fitted on; expected the folder of a run; {REMEDY}")
    config = runs.read_config(run)
    about, there = config["about"], config["data"]
    source, labels = data_there(run, about, REMEDY)
    try:
        data = suited(load_data(source, labels, progress, reading_of(model, about, source)), model)
    except InputError as error:
        raise InputError(f"the rows of the fit cannot be read: {error}; or {REMEDY}") from error
    name = about.get("split") if about.get("split") in data.splits else choose_split_for_fit(data)
    rows = rows_of(data, name)
    with already_said():
        found = fingerprint(model._check_rows(rows, reset=False))
    if any(found[key] != there.get(key) for key in ("rows", "digest")):
        raise InputError(
            f"{source} has changed since the fit: {found['rows']:,} rows, expected the {there['rows']:,} of the fit as "
            f"they were; {REMEDY}"
        )
    if "valid" in there and "valid" in data.splits:
        return Before(rows, rows_of(data, "valid"))
    parts = split(len(rows), model.validation_fraction, model.n_components, config["seeds"][0])
    known = not parts.overlap and parts.as_dict() == there.get("split")
    return Before(rows, take(rows, parts.valid) if known else None)


def drift_run(
    run: Path,
    new: OpenedRun,
    source: str,
    split_name: str | None,
    reference: OpenedRun | None,
    progress: Callable[[str], None] | None = None,
) -> Drift:
    """Say what has changed in data since the fit of a run, or since a reference.

    Args:
        new: the model, and the new rows; source: where they are, as on the command line.
        reference: rows before that the fit did not learn from; None for those of the fit.

    Raises:
        InputError: as for `rows_of_fit` and `cpvae.study.drift.drift`.
    """
    name = choose_split(new.read, split_name)
    if reference is not None:
        before = Before(rows_of(reference.read, choose_split(reference.read, None)), learned=False)
    else:
        before = rows_of_fit(run, new.model, progress)
        if learned_from(run, source, name):  # the same rows on both sides
            before = Before(before.rows, learned=False)
    rows = rows_of(new.read, name)
    compared = new.read.name if reference is None else f"{new.read.name} beside {reference.read.name}"
    with naming(compared):
        return drift(new.model, rows, before.rows, X_held_out=before.held_out, learned=before.learned)
