"""How the C library keeps the memory of freed tensors."""

from __future__ import annotations

import ctypes
from functools import cache

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # mallopt(3)
KEPT = 256 * 2**20  # bytes of freed memory that stay with the process
LARGEST = 32 * 2**20  # bytes of one block up to which they do; the most glibc allows


@cache
def keep_freed() -> None:
    """Have glibc keep freed memory for the next tensor; where another library allocates, nothing changes.

    As it comes, glibc returns every large block to the system when it is freed, and the next step of training has each
    page of it cleared anew, which takes a good part of the step's time.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # no glibc
        return
    mallopt(_MMAP_THRESHOLD, LARGEST)
    mallopt(_TRIM_THRESHOLD, KEPT)
