"""The state of a run, as a checkpoint holds it: all that it needs to go on to the same bits."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cpvae.arguments import between, one_of, whole
from cpvae.checkpoints import load_tensors, part, save_tensors
from cpvae.errors import InputError
from cpvae.files import write_atomic
from cpvae.fitting.descent import Descent
from cpvae.fitting.records import REASONS, EpochRecord
from cpvae.fitting.settings import Settings
from cpvae.nn import draws
from cpvae.probability.models import VAE

BOUNDS = ("best_bound", "gained_bound")  # text in a checkpoint: JSON has no infinity


@dataclass
class Progress:
    """The place where a run stands, besides weights and optimiser.

    Attributes:
        best_knows: whether the best weights are of an encoder that knows the categories of the start.
        gained_bound: the last validation bound that was clearly better than those before it.
        gained_epoch: its epoch, from which patience is counted.
    """

    epoch: int = 0
    step: int = 0
    best_bound: float = -math.inf
    best_epoch: int = 0
    best_knows: bool = False
    gained_bound: float = -math.inf
    gained_epoch: int = 0
    seconds: float = 0.0
    start_seconds: float = 0.0
    stopped: str = ""


@dataclass
class State:
    """A run at some step of it, in a block of `cpvae.nn.draws.seeded`, whose generators belong to it.

    Attributes:
        n_rows: training rows.
        start: a category for each of them, integers ``(n_rows,)``, or None.
        sums: of log_px, kl_c, kl_z over the rows of the epoch so far, and their number; float64 ``(4,)``.
        best: the weights of the best epoch.
        counts: validation rows of each component under them, float64 ``(K,)``.
    """

    model: VAE
    descent: Descent
    settings: Settings
    n_rows: int
    start: Tensor | None
    progress: Progress = field(default_factory=Progress)
    history: list[EpochRecord] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sums = torch.zeros(4, dtype=torch.float64, device=self.descent.device)
        self.keep(torch.ones(self.model.n_components))

    def keep(self, counts: Tensor) -> None:
        """Keep the weights of the model, as they are, for the best, and the rows of each component, ``(K,)``."""
        self.counts = counts.double()
        self.best = {name: value.detach().clone() for name, value in self.model.state_dict().items()}

    def save(self, path: Path) -> None:
        """Write a checkpoint."""
        descent = self.descent
        states = draws.state()
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        tensors |= {f"best.{name}": value for name, value in self.best.items()}
        tensors |= {f"adam.{name}": value for name, value in descent.optimizer.state().items()}
        tensors |= {f"average.{i}": average for i, average in enumerate(descent.averages)}
        tensors |= {
            "counts": self.counts,
            "sums": self.sums,
            "usual_norm": descent.usual_norm,
            "random": states.pop("cpu"),
        }
        tensors |= {f"random.{kind}": state for kind, state in states.items()}
        if self.start is not None:
            tensors["start"] = self.start
        meta: dict[str, Any] = {"progress": asdict(self.progress), "settings": asdict(self.settings)}
        meta["progress"] |= {name: str(getattr(self.progress, name)) for name in BOUNDS}
        meta["history"] = [record.as_dict() for record in self.history]
        save_tensors(path, tensors, meta)

    def restore(self, path: Path) -> None:
        """Become the state of a checkpoint.

        Raises:
            InputError: it was written with other settings.
        """
        tensors, meta = load_tensors(path)
        asked = asdict(self.settings)
        if any(asked[name] != value for name, value in meta["settings"].items() if name in asked):
            raise InputError(f"{path} was written with other settings; resume with the same ones, or start a new run")

        descent, device = self.descent, self.descent.device
        self.model.load_state_dict(part(tensors, "model."))
        self.best = part(tensors, "best.")
        self.counts = tensors.get("counts", self.counts)
        descent.optimizer.restore(part(tensors, "adam."))
        for name, value in part(tensors, "average.").items():
            descent.averages[int(name)] = value.to(device)
        self.progress = self._checked(meta["progress"])
        self.history = [EpochRecord(**record) for record in meta["history"]]
        self.sums.copy_(tensors["sums"])
        descent.usual_norm.copy_(tensors["usual_norm"])
        self.start = self._checked_start(tensors["start"]).to(device) if "start" in tensors else None
        draws.set_state({"cpu": tensors["random"], **part(tensors, "random.")}, device)

    def _checked(self, progress: dict[str, Any]) -> Progress:
        """Read where a run stood, and refuse what no run of these settings writes: a header may say anything."""
        found = Progress(**progress)
        for name in BOUNDS:
            setattr(found, name, float(getattr(found, name)))
        whole("epoch", found.epoch, 0, self.settings.max_epochs)
        whole("step", found.step, 0, self.settings.steps(self.n_rows))
        whole("best_epoch", found.best_epoch, 0, found.epoch)
        whole("gained_epoch", found.gained_epoch, 0, found.epoch)
        for name in ("seconds", "start_seconds"):
            between(name, getattr(found, name), 0.0, math.inf, lowest=True)
        if found.stopped:
            one_of("stopped", found.stopped, REASONS)
        return found

    def _checked_start(self, start: Tensor) -> Tensor:
        """Refuse categories that this model or these rows do not have."""
        n, k = self.n_rows, self.model.n_categories
        if start.is_floating_point() or start.shape != (n,) or not bool(((start >= 0) & (start < k)).all()):
            raise InputError(f"its start is not one of {k} categories for each of {n} rows")
        return start

    def rewrite_history(self, path: Path) -> None:
        """Write the history of the run as it is here, which may be shorter than the file."""
        write_atomic(path, "".join(json.dumps(record.as_dict()) + "\n" for record in self.history))
