"""What a published figure must carry with it: how, with what and where it was made."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from cpvae.runs import versions


def commit() -> str:
    """The commit of the checkout this package is in, with "+" if files differ from it; empty outside of one."""

    def git(*words: str) -> str:
        asked = subprocess.run(["git", *words], cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
        return asked.stdout.strip()

    name = git("rev-parse", "--short", "HEAD")
    return name + "+" * bool(name and git("status", "--porcelain", "--untracked-files=no", "--", "."))


def evidence(command: str | None = None) -> dict[str, Any]:
    """Command, commit, versions and device of this process; of an absolute path the last part."""
    words = (Path(word).name if Path(word).is_absolute() else word for word in sys.argv)
    return {
        "command": command or " ".join(["python", *words]),
        "commit": commit(),
        "versions": versions(),
        "device": f"cpu, {torch.get_num_threads()} thread(s), {platform.machine()}",
    }
