"""The evidence that a published figure carries: how, with what and where it was made."""

from __future__ import annotations

import platform
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from cpvae.fitting.runs import versions


def commit() -> str:
    """Name the commit of the checkout of this package, with "+" if files differ from it; empty outside of one."""

    def git(*words: str) -> str:
        with suppress(OSError):  # no git
            here = Path(__file__).parent
            return subprocess.run(["git", *words], cwd=here, capture_output=True, text=True, check=False).stdout.strip()
        return ""

    name = git("rev-parse", "--short", "HEAD")
    return name + "+" * bool(name and git("status", "--porcelain", "--untracked-files=no", "--", "."))


def portable(word: str) -> str:
    """Give a word of a command, an absolute path by its last part.

    >>> portable("/home/me/runs/a"), portable("--seed")
    ('a', '--seed')
    """
    return Path(word).name if Path(word).is_absolute() else word


def evidence(command: str | None = None, device: str = "cpu") -> dict[str, Any]:
    """Tell command, commit, versions and device of this process; an absolute path is told by its last part.

    Args:
        device: by its torch name.
    """
    place = torch.device(device)
    if place.type == "cuda":
        told = f"{place.type}, {torch.cuda.get_device_name(place)}"
    else:
        told = f"{place.type}, {torch.get_num_threads()} thread(s), {platform.machine()}"
    return {
        "command": command or " ".join(["python", *map(portable, sys.argv)]),
        "commit": commit(),
        "versions": versions(),
        "device": told,
    }
