"""The C library, asked to keep the memory of freed tensors."""

from __future__ import annotations

import ctypes
import os
from functools import cache

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # mallopt(3)
KEPT = 256 * 2**20  # bytes of freed memory that stay with the process
LARGEST = 32 * 2**20  # bytes of one block up to which they do; the most glibc allows


@cache
def keep_freed() -> None:
    """Have glibc keep freed memory for the next tensor, here and in processes that are started from here.

    As it comes, glibc returns every large block to the system when it is freed. The next step of training then has each
    page of it cleared anew, which takes a good part of the step's time. This cannot be undone: the process keeps up to
    256 MB until it ends. So the command line does it, and the library never does it to a program that uses it. Where
    another library than glibc allocates, nothing changes.
    """
    os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", str(LARGEST))
    os.environ.setdefault("MALLOC_TRIM_THRESHOLD_", str(KEPT))
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # no glibc
        return
    mallopt(_MMAP_THRESHOLD, LARGEST)
    mallopt(_TRIM_THRESHOLD, KEPT)
