"""Result files, one for each row and seed: what there is, read."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from cpvae.errors import InputError
from paper.rows import Row

AGREEMENT = "agreement"  # how names of files that compare the seeds of a row end


def results_of(row: Row, results: Path) -> list[dict[str, Any]]:
    """Read the result files of a row that are there, by seed."""
    paths = [row.result(results, seed) for seed in range(row.seeds)]
    return [result_in(path) for path in paths if path.exists()]


def result_in(path: Path) -> dict[str, Any]:
    """Read a result file.

    Raises:
        InputError: it is damaged.
    """
    result: Any = None
    with suppress(OSError, ValueError):
        result = json.loads(path.read_text())
    if not isinstance(result, dict) or not {"seed", "epochs", "seconds", "test", "device"} <= set(result):
        raise InputError(f"{path} is no result; restore it from the checkout, or delete it to have it fitted again")
    return result
