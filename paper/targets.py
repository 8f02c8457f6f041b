"""Targets that can be reproduced, by name: the rows that a target needs, and their cells."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cpvae.errors import InputError, nearest
from paper import clusters, table
from paper.rows import Row, published, serving

TARGETS = {
    "accuracy": "clusters of MNIST without labels, seed by seed",
    "table1": "bounds and likelihoods of all methods",
    "fig3": "densities of the synthetic data",
    "fig4": "CP-VAE with more categories than sources",
    "fig5": "reconstructions with and without a learned prior",
    "fig6": "new rows with and without a learned prior",
    "fig7": "new rows of each category",
    "fig8": "new digits of all methods",
    "fig9": "new characters of all methods",
    "ablation": "what each ingredient does to the bound",
    "all": "everything above, and the page of claims",
}
BASELINE = "mnist-cpvae-k10"  # the row that those of the ablation stand beside


def rows_for(target: str, rows: Sequence[Row]) -> list[Row]:
    """List the rows that a target needs.

    Raises:
        InputError: an unknown target.
    """
    if target not in TARGETS:
        raise InputError(f"nothing by the name of {target!r} to reproduce{nearest(target, TARGETS)}")
    if target == "all":
        return list(rows)
    needed = serving(rows, target)
    if target == "ablation":
        needed += [row for row in rows if row.name == BASELINE]
    return needed


def cells_for(rows: Sequence[Row], results: Path, experiments: Path) -> list[dict[str, Any]]:
    """List cells: row, dataset, components, published, measured, seeds, files, and all other figures of each row.

    `measured` is an accuracy for the rows of clusters and -L in nats for all others, as `unit` says.
    """
    bounds = published(experiments)["table1"]
    found: list[dict[str, Any]] = []
    for group in dict.fromkeys(row.group for row in rows):
        own = [row for row in rows if row.group == group]
        found += clusters.cells(own, results) if group == "clusters" else table.cells(own, results, bounds)
    return found
