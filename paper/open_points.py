"""The figures of the part "What stays open": they describe, and test nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from paper.rows import FULL, LONG, Row
from paper.table import with_star
from paper.targets import BASELINE

LARGER = {"": "as in the table", LONG: "three times the steps", FULL: "full covariances too"}  # by ends of names
SIZES = (10, 150, 500)
Cells = Mapping[str, dict[str, Any]]


def found(known: Cells, rows: Sequence[Row], published: Mapping[str, float]) -> dict[str, Any]:
    """Gather all figures of this part of the page; None or empty where runs are missing."""
    cell = known.get(BASELINE)
    return {
        "reached": _reached(known, published),
        "lowest": _lowest(known, rows),
        "full": known.get(BASELINE + FULL),
        "relaxed_changes": cell and cell["relaxed_not_a_bound"] and cell["relaxed_not_a_bound"] - cell["measured"],
        "rises": _rises(known, published),
        "better_mog": _better_mog(known, published),
    }


def _reached(known: Cells, published: Mapping[str, float]) -> list[str]:
    """Print the bounds of CP on MNIST by every recipe that was fitted, beside the published ones."""
    told = []
    for k in SIZES:
        name = BASELINE.replace("k10", f"k{k}")
        values = {how: known[name + end] for end, how in LARGER.items() if name + end in known}
        if values and name in published:
            shown = ", ".join(f"{how} {with_star(cell)}" for how, cell in values.items())
            told.append(f"K = {k}: {shown} (published {published[name]:.2f})")
    return told


def _lowest(known: Cells, rows: Sequence[Row]) -> dict[str, Any] | None:
    """Find the row of CP at K = 10 on MNIST with diagonal covariances and the lowest bound."""
    diagonal = [
        row.name
        for row in rows
        if (row.dataset, row.model, row.components) == ("mnist", "cpvae", 10)
        and row.params.get("covariance_type") == "diag"
        and "network" not in row.params
        and row.name in known
        and row.group != "clusters"
    ]
    return min((known[name] for name in diagonal), key=lambda cell: cell["measured"], default=None)


def _rises(known: Cells, published: Mapping[str, float]) -> dict[str, Any] | None:
    """Compare the change of CP's bound from the fewest to the most categories with the published one."""
    few, many = BASELINE, BASELINE.replace("k10", f"k{SIZES[-1]}")
    if few not in known or many not in known:
        return None
    return {
        "k": SIZES[-1],
        "log": math.log(SIZES[-1] / SIZES[0]),
        "published": published[many] - published[few],
        "measured": known[many]["measured"] - known[few]["measured"],
        "used": known[many]["components_used"],
    }


def _better_mog(known: Cells, published: Mapping[str, float]) -> tuple[float, float] | None:
    """Work out by how much MG is better than published on MNIST, least and most; None where it is not."""
    rows = [name for name in published if name.startswith("mnist-mog-k") and name in known]
    gains = [published[name] - known[name]["measured"] for name in rows]
    return (min(gains), max(gains)) if gains and min(gains) > 0 else None
