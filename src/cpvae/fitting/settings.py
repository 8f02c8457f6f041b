"""How to train: one record, and the schedules it names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cpvae.fitting.schedules import Schedule, constant, half_cosine, one_cycle

SCHEDULES: dict[str, Callable[[int], Schedule]] = {  # from the number of steps
    "constant": lambda total: constant(1.0),
    "half-cosine": lambda total: half_cosine(total // 2, total),
    "one-cycle": lambda total: one_cycle(total // 20, total),
}


@dataclass(frozen=True)
class Settings:
    """How to train.

    Attributes:
        max_epochs: passes over the training rows at most.
        batch_size: rows in a step.
        learning_rate: of Adam, at its highest.
        schedule: of the learning rate, a name in `SCHEDULES`.
        average: decay of the moving average of the weights that is validated and kept; 0 keeps the weights themselves.
        warmup_epochs: the weight of both KL terms goes from 0 to 1 over these.
        start_epochs: for these, each row's category is the one the start assigned.
        patience: stop after so many epochs without a better validation bound, counted after warm-up and start.
        checkpoint_every: epochs between checkpoints.
        seed: fixes order, noise and pixels.
        beta_max: weight of the KL terms after the warm-up; other than 1 the objective is not a bound.
        precision: of the matrix products of a step (`cpvae.nn.products.reduced`); bounds are evaluated in full.
        consistency: weight of KL(q(c | x) || q(c | copy)) for copies by `augment`, in the objective beside the bound;
            while the categories of the start hold, copies learn them as rows do.
        from_copies: the encoder sees copies by `augment` and the decoder rebuilds the rows: no bound, for codes that
            should not depend on how a row is deformed. The last weights are kept, and nothing stops early.
    """

    max_epochs: int = 100
    batch_size: int = 100
    learning_rate: float = 1e-3
    schedule: str = "half-cosine"
    average: float = 0.0
    warmup_epochs: int = 0
    start_epochs: int = 0
    patience: int = 50
    checkpoint_every: int = 5
    seed: int = 0
    beta_max: float = 1.0
    precision: str = "float32"
    consistency: float = 0.0
    from_copies: bool = False
