"""Ctrl-C and SIGTERM as a question that a fit asks when it is ready to stop."""

from __future__ import annotations

import signal
import threading
import time
from _thread import interrupt_main
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from cpvae.fitting.devices.world import world

SAME = 0.5  # seconds within which stops count as one
AGAIN_AFTER = 1.0  # seconds after which a stop is repeated that its work did not end by


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
        self._since = 0.0  # when it was asked first
        self._ended = threading.Event()  # unset while work runs that a stop ends
        self._ended.set()

    def __call__(self) -> bool:
        """Tell whether a stop was asked in any process; none goes on before all have asked."""
        return world().any(self._asked.is_set())

    def ask(self) -> None:
        """Ask for a stop. Within half a second it is the same one: `timeout` tells a process and its whole group.

        Raises:
            KeyboardInterrupt: it was asked before, or work runs that it ends (`ends`).
        """
        now = time.monotonic()
        if not self._asked.is_set():
            self._since = now
            self._asked.set()
        if now - self._since > SAME or not self._ended.is_set():
            raise KeyboardInterrupt

    @contextmanager
    def ends(self) -> Iterator[None]:
        """End the block as soon as a stop is asked, without an error: for work that cannot ask by itself."""
        self._ended.clear()
        if threading.current_thread() is threading.main_thread():
            threading.Thread(target=self._insist, daemon=True).start()
        try:
            yield
        except KeyboardInterrupt:
            self._ended.set()
            if not self._asked.is_set():
                raise
        finally:
            self._ended.set()

    def _insist(self) -> None:
        """Repeat a stop while its block runs: one is lost where Python cannot raise it, as in a compiler's callback."""
        while not self._ended.wait(AGAIN_AFTER):
            if self._asked.is_set():
                interrupt_main()


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
