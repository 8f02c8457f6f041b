"""Places of the data of a run: kept in its folder, and found again."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cpvae.data import loaders
from cpvae.data.loaders import Dataset
from cpvae.data.loaders.checks import expanded
from cpvae.errors import InputError
from cpvae.fitting import runs


def where(data: Dataset, source: str, labels: str | None, split: str, known: str | None = None) -> dict[str, Any]:
    """Tell what a run keeps about its data.

    Args:
        source, labels, known: the data, as on the command line.
        split: the rows of the fit.
    """
    return {
        "source": source,
        "labels": labels,
        "dataset": data.name,
        "split": split,
        **({"reading": data.reading} if data.reading else {}),
        "found_at": found_at(source),
        "labels_found_at": found_at(labels) if labels is not None and Path(labels).is_file() else None,
        **({} if known is None else {"known": known}),
        **({"known_found_at": found_at(known)} if known is not None and Path(known).is_file() else {}),
    }


def found_at(source: str) -> str | None:
    """Say where data lie, as an absolute path; None for a data set by name."""
    return None if source in loaders.NAMES else str(expanded(Path(source)).absolute())


def data_of(about: dict[str, Any]) -> tuple[str | None, str | None]:
    """Say where the data of a fit are, and their labels: where they lay then, else by the words of the fit.

    Args:
        about: of the configuration of the run.
    """
    return _there(about, "source", "found_at"), _there(about, "labels", "labels_found_at")


def _there(about: Mapping[str, Any], name: str, place: str) -> Any:
    """Say where something lay at the time of the fit, if it still does, else by which word it was given."""
    there = about.get(place)
    return there if isinstance(there, str) and os.path.exists(there) else about.get(name)


def data_there(run: Path, about: dict[str, Any], remedy: str) -> tuple[str, str | None]:
    """Say where the data of a fit are, and their labels.

    Args:
        run: its folder.
        about: of its configuration.
        remedy: how other rows are given, or where these are now.

    Raises:
        InputError: the run does not say, or they are no longer there.
    """
    source, labels = data_of(about)
    if source is None:
        raise InputError(f"{run} does not say what it was fitted on; {remedy}")
    try:
        loaders.check(source)
    except InputError as error:
        raise InputError(f"the rows of the fit cannot be read: {error}; or {remedy}") from error
    return source, labels


def known_of(about: Mapping[str, Any]) -> str | None:
    """Say where the labels are that a fit knew: a column, or where their file lay then; None of a fit without.

    Args:
        about: of the configuration of the run.
    """
    place = _there(about, "known", "known_found_at")
    return place if isinstance(place, str) else None


def apart_of(about: Mapping[str, Any]) -> frozenset[str]:
    """Name the columns of labels in the table of a fit, which are no part of its rows.

    Args:
        about: of the configuration of the run; may be empty.

    >>> sorted(apart_of({"labels": "species", "known": None}))
    ['species']
    """
    return frozenset(str(about[name]) for name in ("labels", "known") if about.get(name))


def is_of_fit(about: Mapping[str, Any], source: str) -> bool:
    """Say whether data are those of a fit.

    Args:
        about: of the configuration of the run; may be empty.
        source: the data, as on the command line.
    """
    return source == about.get("source") if source in loaders.NAMES else found_at(source) == about.get("found_at")


def about_of(run: Path) -> dict[str, Any]:
    """Say what a run keeps about its data; nothing of a saved model alone."""
    return dict(runs.read_config(run)["about"]) if (run / runs.CONFIG).is_file() else {}


def learned_from(run: Path, source: str, split: str) -> bool:
    """Say whether the fit of a run learned from the rows of a split, as its folder tells.

    Args:
        run: a folder of a run, or a saved model, which does not tell.
        source: the data, as on the command line.
    """
    if not (run / runs.CONFIG).is_file():
        return False
    about = runs.read_config(run)["about"]
    return is_of_fit(about, source) and split == about.get("split")
