"""A limit on the time of a fit."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class OutOfTime(KeyboardInterrupt):
    """The end of a block whose time was over."""


@contextmanager
def stop_after(seconds: float | None) -> Iterator[None]:
    """Stop the block after so many seconds, as Ctrl-C stops it: a fit keeps its state and its best weights so far.

    Args:
        seconds: None sets no limit.

    Raises:
        OutOfTime: the limit was reached.

    Examples:
        >>> import time
        >>> try:
        ...     with stop_after(0.01):
        ...         time.sleep(10)
        ... except OutOfTime:
        ...     print("stopped")
        stopped
    """
    if seconds is None:
        yield
        return
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN  # as in a job that a shell runs in the background
    if ignored:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    over = threading.Event()

    def stop() -> None:
        over.set()
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)  # ends a sleep, too

    timer = threading.Timer(min(seconds, threading.TIMEOUT_MAX), stop)
    timer.daemon = True
    timer.start()
    try:
        yield
    except KeyboardInterrupt as error:
        if over.is_set():
            raise OutOfTime from error
        raise
    finally:
        timer.cancel()
        if ignored:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
