"""What a user sees while a fit runs. On standard error; a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
from typing import Protocol, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from cpvae.fitting.records import EpochRecord


class Reporter(Protocol):
    """What a fit tells while it runs."""

    def say(self, text: str) -> None:
        """Tell what rows were taken for, a line at a time, before anything is trained."""

    def phase(self, title: str, n_epochs: int) -> None:
        """A new phase of so many epochs begins."""

    def epoch(self, record: EpochRecord) -> None:
        """An epoch ended."""

    def close(self) -> None:
        """The fit ended, for whatever reason."""


class Silent:
    """Says nothing."""

    def say(self, text: str) -> None:
        pass

    def phase(self, title: str, n_epochs: int) -> None:
        pass

    def epoch(self, record: EpochRecord) -> None:
        pass

    def close(self) -> None:
        pass


def describe(record: EpochRecord) -> str:
    """One epoch in a line: bounds in nats, KL terms, categories in use."""
    train = "relaxed" if record.train_negative_elbo is None else f"{record.train_negative_elbo:.2f}"
    return (
        f"-bound {record.valid_negative_elbo:.2f} nats (train {train}), "
        f"KL(c) {record.kl_c:.2f}, KL(z) {record.kl_z:.2f}, in use {record.components_used}"
    )


class Terminal:
    """A progress bar with time left on a terminal; elsewhere about ten lines for each phase."""

    def __init__(self, stream: TextIO | None = None):
        self.console = Console(file=stream or sys.stderr)
        self.bar: Progress | None = None
        self.title, self.n_epochs = "", 0

    def say(self, text: str) -> None:
        self.console.print(text, highlight=False, soft_wrap=True, markup=False)

    def phase(self, title: str, n_epochs: int) -> None:
        self.close()
        self.title, self.n_epochs = title, n_epochs
        if self.console.is_terminal and not self.console.is_dumb_terminal:
            self.bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=20),
                TextColumn("{task.completed:.0f}/{task.total:.0f}"),
                TimeRemainingColumn(compact=True),
                TextColumn("{task.fields[state]}"),
                console=self.console,
            )
            self.task = self.bar.add_task(title, total=n_epochs, state="")
            self.bar.start()

    def epoch(self, record: EpochRecord) -> None:
        if self.bar is not None:
            self.bar.update(self.task, completed=record.epoch, state=describe(record))
        elif record.epoch in (1, self.n_epochs) or record.epoch % max(1, self.n_epochs // 10) == 0:
            line = f"{self.title} {record.epoch}/{self.n_epochs}: {describe(record)}, {record.seconds:.1f} s"
            self.console.print(line, highlight=False, soft_wrap=True)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None
