"""The place of this process among those that `torchrun` started; asked before torch is loaded."""

from __future__ import annotations

import os


def n_processes() -> int:
    """Count the processes that this one was started with."""
    together = {"RANK", "WORLD_SIZE", "MASTER_ADDR"} <= os.environ.keys()
    return int(os.environ["WORLD_SIZE"]) if together else 1


def is_main() -> bool:
    """Say whether this process speaks and writes for all."""
    return n_processes() == 1 or os.environ["RANK"] == "0"
