"""Seconds of the processor that commands use."""

from __future__ import annotations

import resource


def of_children() -> float:
    """Count the seconds that all processes used which were started from here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
