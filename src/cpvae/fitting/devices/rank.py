"""The place of this process among those that `torchrun` started; asked before torch is loaded."""

from __future__ import annotations

import os

from cpvae.errors import InputError

TOGETHER = {"RANK", "WORLD_SIZE", "MASTER_ADDR"}  # what is set wherever there are several processes


def n_processes() -> int:
    """Count the processes that this one was started with; one, where the environment names no usable number.

    `check_environment` refuses such an environment.
    """
    return max(1, _number("WORLD_SIZE")) if os.environ.keys() >= TOGETHER else 1


def is_main() -> bool:
    """Say whether this process speaks and writes for all."""
    return not 0 < _number("RANK") < n_processes()


def check_environment() -> None:
    """Refuse an environment that says that there are several processes, but not which of them this one is.

    Raises:
        InputError: naming all variables that cannot be used.
    """
    if not os.environ.keys() >= TOGETHER:
        return
    size, bad = _number("WORLD_SIZE"), []
    bad += ["WORLD_SIZE"] if size < 1 else []
    if size != 1:
        bad += [] if 0 <= _number("RANK") < max(size, 1) else ["RANK"]
        bad += [] if 0 < _number("MASTER_PORT") < 2**16 else ["MASTER_PORT"]
    bad += [name for name in ("LOCAL_RANK", "LOCAL_WORLD_SIZE") if name in os.environ and _number(name) < 0]
    if bad:
        given = ", ".join(f"{name}={os.environ.get(name, '')!r}" for name in bad)
        raise InputError(
            f"{given} in the environment: expected the whole numbers that torchrun sets for each process; start cpvae "
            f"with torchrun, or unset {', '.join(sorted(TOGETHER))}"
        )


def _number(name: str) -> int:
    """Read a whole number of the environment; -1 where there is none."""
    text = os.environ.get(name, "")
    return int(text) if text.isdecimal() else -1
