"""Ctrl-C and SIGTERM as a question that a fit asks when it is ready to stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from cpvae.fitting.devices.world import world


class Stop:
    """The question whether a stop was asked. It has one answer in all processes that train together.

    >>> stop = Stop()
    >>> stop()
    False
    >>> stop.ask()
    >>> stop()
    True
    """

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._ends = False  # whether to ask ends a block

    def __call__(self) -> bool:
        """Tell whether a stop was asked in any process; none goes on before all have asked."""
        return world().any(self._asked.is_set())

    def ask(self) -> None:
        """Ask for a stop.

        Raises:
            KeyboardInterrupt: it was asked before, or work runs that it ends (`ends`).
        """
        again = self._asked.is_set()
        self._asked.set()
        if again or self._ends:
            raise KeyboardInterrupt

    @contextmanager
    def ends(self) -> Iterator[None]:
        """End the block as soon as a stop is asked, without an error: for work that cannot ask by itself."""
        self._ends = True
        try:
            yield
        except KeyboardInterrupt:
            if not self._asked.is_set():
                raise
        finally:
            self._ends = False


@contextmanager
def stop_requests() -> Iterator[Stop]:
    """Give the question whether Ctrl-C or SIGTERM asked for a stop, for the block; a second one stops at once.

    Only the main thread may set handlers of signals: in others nothing asks to stop.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def handle(number: int, frame: FrameType | None) -> None:
        stop.ask()

    previous = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
