"""The question that a start is asked, and the form of its answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from torch import Tensor

from cpvae.data.augment import Augment
from cpvae.data.rows import Rows
from cpvae.fitting.interrupts import Stop
from cpvae.fitting.records import EpochRecord
from cpvae.probability.likelihoods.likelihood import Likelihood

Points = np.ndarray


@dataclass(frozen=True)
class Task:
    """The question that a start is asked.

    Attributes:
        rows, valid: of the fit.
        likelihood: of the model, for its units.
        shape: of a row: ``(features,)``, ``(channels, time)`` or ``(channels, height, width)``; None is not known.
        augment: makes copies of rows that show the same thing, or None.
        precision: of the products of whatever is trained.
        on_epoch: told of each epoch of whatever is trained.
        on_phase: told of each part of the work before it begins, and of the epochs that it trains.
        max_epochs: passes over the rows that the fit may make, which bound the start as well; None does not.
        max_rows: rows that a clustering is found on, drawn at random when there are more.
        stop: asked after each step of whatever is trained, and between the stages.
        known: the known category of each row, int64 ``(n,)``, -1 where there is none; None knows none.
    """

    rows: Rows
    valid: Rows
    likelihood: Likelihood
    n_components: int
    seed: int
    shape: tuple[int, ...] | None = None
    augment: Augment | None = None
    precision: str = "float32"
    on_epoch: Callable[[EpochRecord], None] | None = None
    on_phase: Callable[[str, int], None] = lambda title, n_epochs: None
    max_epochs: int | None = None
    max_rows: int = 50_000
    stop: Stop = field(default_factory=Stop)
    known: np.ndarray | None = None

    def some(self, n: int) -> Rows:
        """Draw n of the rows at random, or take all if there are no more."""
        return self.rows if len(self.rows) <= n else self.rows.some(self.index(n, np.random.RandomState(self.seed)))

    def index(self, n: int, random: np.random.RandomState) -> np.ndarray:
        """Draw the positions of n rows at random, those of a known category first; of all rows if there are no more."""
        if len(self.rows) <= n:
            return np.arange(len(self.rows))
        if self.known is None:
            return random.choice(len(self.rows), n, replace=False)
        return np.argsort(random.permutation(len(self.rows)) + len(self.rows) * (self.known < 0))[:n]

    def known_of(self, index: np.ndarray) -> np.ndarray | None:
        """Take the known categories of the rows at some positions."""
        return None if self.known is None else self.known[index]


class CutShort(Exception):
    """The end of a start that a stop cut short, with what it found quickly.

    Attributes:
        index: positions of some rows among those of the task, ``(m,)``.
        categories: a category for each of them, integers ``(m,)``.
    """

    def __init__(self, index: np.ndarray, categories: Tensor):
        super().__init__()
        self.index, self.categories = index, categories


class Start(Protocol):
    """Function from a task to a category for each training row, integers ``(n,)``; None leaves them to chance.

    A start that takes long may raise `CutShort` where its task is asked to stop.
    """

    @property
    def way(self) -> tuple[Code, ...]:
        """Give the codes, side by side, in which it sees rows. Of several ways this is the last one."""

    def epochs(self, task: Task) -> int:
        """Say how many epochs it trains."""

    def __call__(self, task: Task) -> Tensor | None: ...


class Code(Protocol):
    """Function from a task to one that turns rows as stored, ``(m, features)``, into points ``(m, d)``."""

    def epochs(self, task: Task) -> int:
        """Say how many epochs it trains."""

    def __call__(self, task: Task) -> Callable[[Tensor], Points]: ...


def points_of(rows: Rows, code: Callable[[Tensor], Points]) -> Points:
    """Turn rows into points by a code, ``(n, d)``, a chunk at a time."""
    return np.concatenate([code(x) for x in rows.chunks()])
