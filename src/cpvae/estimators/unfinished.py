"""Models of fits that were cut off: what a run folder holds of them, read as if it had been saved.

Ctrl-C leaves a model. A full disk, a killed process and a power cut leave a checkpoint, which has the best weights so
far, beside a configuration that says what they are the weights of.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from cpvae.checkpoints import described, load_tensors, part
from cpvae.fitting import runs
from cpvae.fitting.records import INTERRUPTED

Saved = tuple[Path, dict[str, Tensor], dict[str, Any]]  # a file, its weights, its header


def read(folder: Path) -> Saved:
    """Read the model of a run that has not finished: the one it left, or a checkpoint that has got further.

    Several restarts have a checkpoint each; the best validation bound chooses among them. The shares of components are
    those of the validation rows, since a checkpoint is written before all training rows have been looked at.

    Raises:
        InputError: no epoch had ended; a file that is damaged.
    """
    runs.model_of(folder)
    config = runs.read_config(folder)
    found: list[tuple[float, Saved]] = []
    for path in runs.checkpoints(folder) if "fitted" in config else ():  # runs begun earlier do not say what they are
        tensors, meta = load_tensors(path)
        with described(path):
            if meta["history"]:
                found.append((float(meta["progress"]["best_bound"]), (path, *_as_model(tensors, meta, config))))
    best = max(found, key=lambda one: one[0])[1] if found else None
    if (folder / runs.MODEL).exists():
        path = folder / runs.MODEL
        tensors, meta = load_tensors(path)
        with described(path):
            if best is None or len(meta["fitted"]["history"]) >= len(best[2]["fitted"]["history"]):
                return path, tensors, meta
    if best is None:
        raise runs.no_model(folder)
    return best


def _as_model(
    tensors: dict[str, Tensor], meta: dict[str, Any], config: dict[str, Any]
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Give the weights and the header that a saved model of a checkpoint would have."""
    progress = meta["progress"]
    weights = part(tensors, "best.")
    fitted = {
        **config["fitted"],
        "schema": config.get("schema"),
        "history": meta["history"],
        "stopped": INTERRUPTED,
        "best_epoch": progress["best_epoch"],
        "seed": meta["settings"]["seed"],
        "start_seconds": progress["start_seconds"],
        "shares": (tensors["counts"] / tensors["counts"].sum()).tolist(),
    }
    return weights, {"estimator": config["estimator"], "params": config["params"], "fitted": fitted}
