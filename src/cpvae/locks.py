"""Files and folders that one process of this machine has at a time.

The kernel keeps the locks and takes them back when a process ends, however that comes. Where it has none, on Windows
and on some network file systems, nobody is kept out.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def alone(path: Path, wait: bool = True) -> Iterator[None]:
    """A block in which this process has a file or folder, which must exist; nothing is written into it.

    Raises:
        BlockingIOError: another process has it, and this one is not to wait.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder, alone(Path(folder)), alone(Path(folder), wait=False):  # doctest: +ELLIPSIS
    ...     pass
    Traceback (most recent call last):
    BlockingIOError: ...
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    number = os.open(path, os.O_RDONLY)
    try:
        try:
            fcntl.flock(number, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise
        except OSError:  # a file system without locks
            pass
        yield
    finally:
        os.close(number)
