"""The run folder: what a fit leaves on the disk.

``config.json`` says what was asked, of which data, and how far it came; ``history.jsonl`` grows by a line an epoch;
``model.safetensors`` is the fitted model; ``metrics.json``, ``samples.png`` and ``report.html`` are made from it.
"""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
import torch

from cpvae import __version__
from cpvae.checkpoints import FORMAT_VERSION, read_json, write_json
from cpvae.errors import InputError

CONFIG, MODEL, METRICS = "config.json", "model.safetensors", "metrics.json"


def versions() -> dict[str, str]:
    """The software behind a number."""
    return {
        "cpvae": __version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "scikit-learn": sklearn.__version__,
        "python": platform.python_version(),
    }


def read_config(folder: Path) -> dict[str, Any]:
    """The configuration of a run.

    Raises:
        InputError: the folder is missing, is not a run, or belongs to a newer version.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} does not exist or is not a folder; give the folder that `cpvae fit` wrote")
    if not (folder / CONFIG).is_file():
        raise InputError(f"{folder} is not a run: it has no {CONFIG}; give the folder that `cpvae fit` wrote")
    config = read_json(folder / CONFIG, "the configuration of a run")
    version = config.get("format_version")
    if not isinstance(version, int):
        raise InputError(f"{folder / CONFIG} is not the configuration of a run: it has no format_version; fit again")
    if version > FORMAT_VERSION:
        raise InputError(
            f"{folder} has format {version}, newer than {FORMAT_VERSION}, the newest this version reads; upgrade cpvae"
        )
    return config


def begin(folder: Path, config: dict[str, Any], resume: bool) -> dict[str, Any]:
    """Claim a folder for a run, or find the run that is to go on there.

    Args:
        config: must have ``"estimator"``, ``"params"`` and ``"data"``, by which a resumed run is recognised.

    Returns:
        The configuration on the disk: `config`, or when resumed the one of the first session.

    Raises:
        InputError: the folder holds a run and `resume` is false, or holds another run.
    """
    if not (folder / CONFIG).exists():
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{folder} is a file; give a folder for the run")
        config = {"format_version": FORMAT_VERSION, "status": "running", **config, "versions": versions()}
        write_json(folder / CONFIG, config)
        return config
    if not resume:
        raise InputError(f"{folder} already holds a run; add --resume to go on with it, or choose another folder")
    found = read_config(folder)
    for key in ("estimator", "params", "data"):
        if found.get(key) != config[key]:
            raise InputError(
                f"{folder} holds a run with another {key} ({_difference(found.get(key), config[key])}); "
                "resume with what it began with, or choose another folder"
            )
    return found


def _difference(found: Any, asked: Any) -> str:
    if isinstance(found, dict) and isinstance(asked, dict):
        for key in asked:
            if found.get(key) != asked[key]:
                return f"{key}: {found.get(key)} there, {asked[key]} asked"
    return f"{found} there, {asked} asked"
