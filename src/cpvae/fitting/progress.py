"""Progress of a fit for its user, on standard error: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Protocol, TextIO

from cpvae.errors import printable
from cpvae.fitting.records import EpochRecord

if TYPE_CHECKING:
    from rich.progress import Progress


class Reporter(Protocol):
    """A listener to a fit while it runs."""

    def say(self, text: str) -> None:
        """Hear what rows were taken for, a line at a time, before anything is trained."""

    def phase(self, title: str, n_epochs: int) -> None:
        """Hear that a phase begins.

        Args:
            title: what it does; after a semicolon, what comes after it.
            n_epochs: how many epochs it has; 0 where it has none.
        """

    def epoch(self, record: EpochRecord) -> None:
        """Hear that an epoch ended."""

    def close(self) -> None:
        """Hear that the fit ended, for whatever reason."""


class Silent:
    """A listener that says nothing."""

    def say(self, text: str) -> None:
        pass

    def phase(self, title: str, n_epochs: int) -> None:
        pass

    def epoch(self, record: EpochRecord) -> None:
        pass

    def close(self) -> None:
        pass


def duration(seconds: float) -> str:
    """Write seconds in words, as closely as an estimate deserves.

    >>> duration(8.21), duration(95), duration(610), duration(7300)
    ('8 s', '1 min 35 s', '10 min', '2 h 2 min')
    """
    seconds = max(1, round(seconds))
    minutes = round(seconds / 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    if seconds >= 600:
        return f"{minutes} min"
    return f"{seconds // 60} min {seconds % 60} s" if seconds >= 60 else f"{seconds} s"


def describe(record: EpochRecord) -> str:
    """Write an epoch in a line: bounds in nats, KL terms, categories in use."""
    train = "relaxed" if record.train_negative_elbo is None else f"{record.train_negative_elbo:.2f}"
    return (
        f"-bound {record.valid_negative_elbo:.2f} nats (train {train}), "
        f"KL(c) {record.kl_c:.2f}, KL(z) {record.kl_z:.2f}, in use {record.components_used}"
    )


class Terminal:
    """Progress on a terminal: a bar with the time left; elsewhere, and without rich, about ten lines for each phase."""

    def __init__(self, stream: TextIO | None = None):
        self.stream = stream or sys.stderr
        self.bar: Progress | None = None
        self.title, self.then, self.n_epochs = "", "", 0
        self.began, self.done = 0.0, 0

    def say(self, text: str) -> None:
        """Write a line, which cannot control the terminal whatever names it holds."""
        print(printable(text), file=self.stream, flush=True)

    def phase(self, title: str, n_epochs: int) -> None:
        """Announce a phase."""
        self.close()
        self.title, _, self.then = title.partition("; ")
        self.n_epochs = n_epochs
        self.began, self.done = time.perf_counter(), 0
        self.bar = _bar(self.stream) if n_epochs else None
        if self.bar is not None:
            self.task = self.bar.add_task(", ".join(filter(None, (self.title, self.then))), total=n_epochs, state="")
            self.bar.start()
        else:
            epochs = f"{n_epochs} epoch{'s' * (n_epochs > 1)}" if n_epochs else ""
            said = ", ".join(filter(None, (epochs, self.then)))
            self.say(f"{self.title}: {said}" if said else self.title)

    def epoch(self, record: EpochRecord) -> None:
        """Tell of an epoch, and of the time to come at the speed so far."""
        self.done += 1
        if self.bar is not None:
            self.bar.update(self.task, completed=record.epoch, state=describe(record))
        elif self.done == 1 or record.epoch == self.n_epochs or record.epoch % max(1, self.n_epochs // 10) == 0:
            self.say(f"{self.title} {record.epoch}/{self.n_epochs}: {describe(record)}; {self._times(record)}")

    def _times(self, record: EpochRecord) -> str:
        """Write what an epoch takes, and the epochs that are left."""
        each = (time.perf_counter() - self.began) / self.done
        left = each * (self.n_epochs - record.epoch)
        text = f"{each:.1f} s an epoch"
        return ", ".join(filter(None, (text, f"about {duration(left)} to go" if left > 0 else "", self.then)))

    def close(self) -> None:
        """End the bar."""
        if self.bar is not None:
            self.bar.stop()
            self.bar = None


def _bar(stream: TextIO) -> Progress | None:
    """Make a bar for a terminal; None where there is none, or no rich to draw it."""
    try:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
    except ImportError:
        return None
    console = Console(file=stream)
    if not console.is_terminal or console.is_dumb_terminal:
        return None
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[state]}"),
        console=console,
    )
