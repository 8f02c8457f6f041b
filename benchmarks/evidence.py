"""What a figure must carry with it: how, with what and where it was made."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from cpvae.runs import versions


def evidence() -> dict[str, Any]:
    """Command, commit, versions and device of this process; of an absolute path the last part."""
    here = Path(__file__).parent
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=here, capture_output=True, text=True, check=False
    )
    return {
        "command": " ".join(["python", *(Path(word).name if Path(word).is_absolute() else word for word in sys.argv)]),
        "commit": commit.stdout.strip(),
        "versions": versions(),
        "device": f"cpu, {torch.get_num_threads()} thread(s), {platform.machine()}",
    }
