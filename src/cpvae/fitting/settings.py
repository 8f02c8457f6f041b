"""Settings of training: one record, and the schedules it names."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from cpvae.fitting.schedules import Schedule, constant, half_cosine, linear_warmup, one_cycle

SCHEDULES: dict[str, Callable[[int], Schedule]] = {  # from the number of steps
    "constant": lambda total: constant(1.0),
    "half-cosine": lambda total: half_cosine(total // 2, total),
    "one-cycle": lambda total: one_cycle(total // 20, total),
}


@dataclass(frozen=True)
class Settings:
    """Settings of training. What is minimised is the objective's matter (`cpvae.probability.objectives`).

    Attributes:
        max_epochs: passes over the training rows at most.
        batch_size: rows in a step.
        learning_rate: of Adam, at its highest.
        schedule: of the learning rate, a name in `SCHEDULES`.
        spread: standard deviation of the Gaussian prior of each weight of the decoder, over that of Glorot's rule
            (`cpvae.nn.layers.variance`); None leaves the weights free.
        average: decay of the moving average of the weights that is validated and kept; 0 keeps the weights themselves.
        warmup_epochs: the weight of both KL terms goes from 0 to 1 over these (`beta`).
        start_epochs: for these, each row's category is the one the start assigned; fewer, where the validation bound
            does not get better any more.
        patience: stop after so many epochs without a clearly better validation bound, counted after warm-up and start.
        gain: nats by which a bound has to be better for that.
        checkpoint_every: epochs between checkpoints at least.
        seed: fixes order, noise and pixels.
        precision: of the matrix products of a step (`cpvae.nn.products.reduced`); bounds are evaluated in full.
    """

    max_epochs: int = 100
    batch_size: int = 100
    learning_rate: float = 1e-3
    schedule: str = "half-cosine"
    spread: float | None = None
    average: float = 0.0
    warmup_epochs: int = 0
    start_epochs: int = 0
    patience: int = 50
    gain: float = 0.0
    checkpoint_every: int = 5
    seed: int = 0
    precision: str = "float32"

    def steps(self, n_rows: int) -> int:
        """Count the steps of an epoch.

        >>> Settings(batch_size=100).steps(250)
        3
        """
        return math.ceil(n_rows / self.batch_size)

    def beta(self, n_rows: int) -> Schedule:
        """Make the weight of the KL terms, a function of the step."""
        return linear_warmup(self.warmup_epochs * self.steps(n_rows))
