"""Places of the data of a run: kept in its folder, and found again."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from cpvae.data import loaders
from cpvae.data.loaders import Dataset
from cpvae.data.loaders.checks import expanded
from cpvae.fitting import runs


def where(data: Dataset, source: str, labels: str | None, split: str) -> dict[str, Any]:
    """Tell what a run keeps about its data.

    Args:
        source, labels: the data, as on the command line.
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
    }


def found_at(source: str) -> str | None:
    """Say where data lie, as an absolute path; None for a data set by name."""
    return None if source in loaders.NAMES else str(expanded(Path(source)).absolute())


def data_of(about: dict[str, Any]) -> tuple[str | None, str | None]:
    """Say where the data of a fit are, and their labels: where they lay then, else by the words of the fit.

    Args:
        about: of the configuration of the run.
    """
    places = []
    for name, place in (("source", "found_at"), ("labels", "labels_found_at")):
        there = about.get(place)
        places.append(there if isinstance(there, str) and os.path.exists(there) else about.get(name))
    return places[0], places[1]


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
    same = source == about.get("source") if source in loaders.NAMES else found_at(source) == about.get("found_at")
    return same and split == about.get("split")
