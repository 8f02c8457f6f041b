"""Records of each epoch and of the end of a fit."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

REASONS = ALL_EPOCHS, EARLY, NOT_FINITE = "max_epochs", "early_stopping", "not_finite"  # why training stopped
INTERRUPTED = "interrupted"  # the same of a run that is not finished


class Interrupted(KeyboardInterrupt):
    """A stop of a fit, or of any training, that was asked for.

    Attributes:
        folder: where the state was saved, or None.
        outcome: how training went until then, the model having its best weights; None if no epoch had ended.
    """

    def __init__(self, folder: Path | None = None, outcome: Outcome | None = None):
        super().__init__(folder)
        self.folder, self.outcome = folder, outcome


@dataclass(frozen=True)
class EpochRecord:
    """One line of `history.jsonl`: nats per row; bounds have their full KL weight whatever `beta` is.

    With a relaxed c the training rows have no bound: `train_negative_elbo` is None, and what would stand there is
    `train_relaxed_not_a_bound`. What a step sees are some copies of images, too (`copy_share`), and
    `train_negative_elbo` is of what it sees. The last four are the parts of eq. (13) on some validation rows
    (`cpvae.probability.estimates.Decomposition`).
    """

    epoch: int
    train_negative_elbo: float | None
    valid_negative_elbo: float
    reconstruction: float
    kl_c: float
    kl_z: float
    beta: float
    components_used: int
    seconds: float
    train_relaxed_not_a_bound: float | None = None
    mutual_information: float | None = None
    mutual_information_c: float | None = None
    marginal_kl_z: float | None = None
    marginal_entropy_c: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Give the record as JSON holds it; the relaxed value only where there is one."""
        values = asdict(self)
        if self.train_relaxed_not_a_bound is None:
            del values["train_relaxed_not_a_bound"]
        return values


@dataclass(frozen=True)
class Outcome:
    """The end of a run: its history, why it stopped, and the seconds that finding its start took.

    A fit that was stopped before an epoch of it had ended has no history, and best epoch 0: its weights are those of a
    short training, which is no part of the fit.
    """

    history: list[EpochRecord]
    stopped: str
    best_epoch: int
    best_negative_elbo: float
    start_seconds: float
