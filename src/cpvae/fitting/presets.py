"""Lengths and speeds of training, by name; a number that an estimator is given replaces that of its preset.

- `fast`, the default: fewer and larger steps, a learning rate that rises shortly and falls along a cosine, the average
  of the weights, KL terms that grow while the start holds, and a prior of the decoder's weights, which few rows do not
  outweigh. `benchmarks/time_to_quality.py` measures it beside the other.
- `paper`: Adam at a constant 5e-4, batches of 100, both KL terms growing over 100 epochs, early stopping with a
  look-ahead of 50 epochs (section 5 of the paper, and the code of its authors).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from cpvae.fitting.settings import Settings

STEPS, ROWS = 30_000, 50_000  # the steps of the fast preset for so many rows or more
GROWTH = 0.75  # exponent of rows in the number of steps for fewer: the rate of learning has to fall before they overfit
AVERAGED = 30  # the average of the weights reaches back over this part of the steps: a thousand of 30,000
PATIENCE, PATIENT_STEPS = 15, 60  # epochs and steps: the average of the weights has a smooth validation bound
SPREAD = 6.0  # of the decoder's weights: of 209 rows with 19 columns, held-out ones gain a nat; half of it costs digits
GAIN = 0.01  # nats: what is less is not worth waiting for
MANY = 20_000  # rows from which on its batches are larger, covariances can be full, and no start keeps a weight


def fast_epochs(n_rows: int, batch_size: int) -> int:
    """Count the epochs that make about 30,000 steps, fewer for fewer rows than 50,000; at least 10 and at most 200.

    >>> fast_epochs(50_000, 200), fast_epochs(4_500, 100), fast_epochs(300, 100), fast_epochs(10**6, 200)
    (120, 109, 200, 10)
    """
    steps = STEPS * min(1.0, n_rows / ROWS) ** GROWTH
    return int(np.clip(steps * batch_size // max(1, n_rows), 10, 200))


def fast_batch(n_rows: int) -> int:
    """Say how many rows a step of the fast preset has.

    >>> fast_batch(1_000), fast_batch(50_000)
    (100, 200)
    """
    return 200 if n_rows >= MANY else 100


def default_epochs(n_rows: int) -> int:
    """Count the epochs of a fit with default settings.

    >>> default_epochs(50_000)
    120
    """
    return fast_epochs(n_rows, fast_batch(n_rows))


def start_epochs(epochs: int, steps_in_epoch: int) -> int:
    """Count the epochs for which the start holds and the KL terms grow.

    They are a sixth up to 10, but 500 steps where half of the epochs allow for them.

    >>> start_epochs(30, 500), start_epochs(120, 250), start_epochs(200, 13), start_epochs(10, 13)
    (5, 10, 39, 5)
    """
    return max(1, min(10, epochs // 6), min(epochs // 2, math.ceil(500 / steps_in_epoch)))


def fast(n_rows: int, max_epochs: int | None, batch_size: int | None) -> Settings:
    """Train for about 30,000 steps."""
    batch = batch_size or fast_batch(n_rows)
    epochs = max_epochs or fast_epochs(n_rows, batch)
    steps = math.ceil(n_rows / batch)
    first = start_epochs(epochs, steps)
    return Settings(
        max_epochs=epochs,
        batch_size=batch,
        learning_rate=2e-3,
        schedule="one-cycle",
        spread=SPREAD,
        average=1.0 - 1.0 / max(10.0, epochs * steps / AVERAGED),
        warmup_epochs=first,
        start_epochs=first,
        patience=max(PATIENCE, math.ceil(PATIENT_STEPS / steps)),
        gain=GAIN,
    )


def paper(n_rows: int, max_epochs: int | None, batch_size: int | None) -> Settings:
    """Train until the validation bound stops improving."""
    batch, epochs = batch_size or 100, max_epochs or 2000
    return Settings(
        max_epochs=epochs,
        batch_size=batch,
        learning_rate=5e-4,
        schedule="constant",
        warmup_epochs=100,
        start_epochs=start_epochs(epochs, math.ceil(n_rows / batch)),
    )


PRESETS: dict[str, Callable[[int, int | None, int | None], Settings]] = {"fast": fast, "paper": paper}


def settings(preset: str, n_rows: int, seed: int, **given: Any) -> Settings:
    """Make the settings of a preset for so many training rows; what is given and not None replaces its own.

    >>> settings("paper", 50_000, seed=0, max_epochs=30, learning_rate=None).learning_rate
    0.0005
    """
    chosen = PRESETS[preset](n_rows, given.get("max_epochs"), given.get("batch_size"))
    return Settings(**{**vars(chosen), "seed": seed, **{k: v for k, v in given.items() if v is not None}})
