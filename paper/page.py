"""The page of the reproduction, and all figures: written from results alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from cpvae.files import write_atomic
from cpvae.fitting.records import EARLY
from paper import clusters, open_points, sizes, table
from paper.claims import CHANCE, OWN_CLAIMS, PAPERS_CLAIMS, SAME, Judged, Known, judge
from paper.drawing import FIGURES, FOLDER, draw
from paper.results import result_in, results_of
from paper.rows import FULL, LONG, RANDOM, Row, published, serving
from paper.targets import BASELINE, TARGETS, rows_for
from paper.verification import verified

PAGE = Path("docs", "reproduction.md")
RELEASED = "mnist-released"  # the row of the ablation that is trained as the released code trains
Cell = dict[str, Any]


def render(rows: Sequence[Row], results: Path, experiments: Path, root: Path) -> list[Path]:
    """Write under `root` all that the results give, figures before the page that shows them; return the files."""
    written = clusters.render(serving(rows, "accuracy"), serving(rows, "fig4"), results, root)
    for name in FIGURES:
        written += draw(name, serving(rows, name), results, root)
    write_atomic(root / PAGE, page(rows, results, experiments, root))
    return [*written, root / PAGE]


def page(rows: Sequence[Row], results: Path, experiments: Path, root: Path) -> str:
    """Make the page of the reproduction from results alone."""
    paper = published(experiments)
    bounds = paper["table1"]
    in_table = list(table.cells(serving(rows, "table1"), results, bounds))
    changed = list(table.cells(serving(rows, "ablation"), results, bounds))
    known = _known(rows, results, paper, [*changed, *table.cells(rows_for("fig5", rows), results, bounds), *in_table])
    fits = [one for row in serving(rows, "table1") if row.name in bounds for one in results_of(row, results)]
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    template = environment.from_string(files("paper").joinpath("reproduction.md.j2").read_text("utf-8"))
    return template.render(
        **_of_claims(known),
        **_of_table(in_table, bounds),
        **_of_ablation(changed, known.cells, bounds),
        **open_points.found(known.cells, rows, bounds),
        networks=sizes.table(rows, known.cells),
        early=_ended_early(fits),
        judges=_judges(fits),
        same=SAME,
        random_starts=_random_starts(known.cells),
        figures=[(name, TARGETS[name]) for name in FIGURES if (root / FOLDER / f"{name}.png").exists()],
        verified=verified(results),
        devices=sorted({one["device"] for one in fits}),
    )


def _known(
    rows: Sequence[Row], results: Path, paper: Mapping[str, Mapping[str, float]], cells: Sequence[Cell]
) -> Known:
    """Gather what claims are judged by. Rows of several targets may share a name: the cell with the bound counts."""
    accuracies = list(clusters.cells(serving(rows, "accuracy"), results))
    found = {cell["row"]: cell for cell in [*accuracies, *cells] if cell["measured"] is not None}
    densities = {
        row.name: result_in(row.result(results, 0))
        for row in rows
        if row.group == "synthetic" and row.result(results, 0).exists()
    }
    return Known(found, densities, paper)


def _of_claims(known: Known) -> dict[str, Any]:
    """Judge all claims, and count how they stand."""
    claims = judge(PAPERS_CLAIMS, known)
    judged = [one for one in claims if one.held is not None]
    binary, shared = ([one for one in judged if one.binary is kind] for kind in (True, False))
    return {
        "claims": _in_print(claims, "reproduced", "not reproduced"),
        "own": _in_print(judge(OWN_CLAIMS, known), "holds", "does not hold"),
        "binary": (len(binary), sum(one.holds for one in binary)),
        "shared": (len(shared), sum(one.held or 0 for one in shared), sum(one.of for one in shared)),
        "unjudged": len(claims) - len(judged),
    }


def _in_print(found: Sequence[Judged], yes: str, no: str) -> list[tuple[str, str, str, str]]:
    """List the claim, where it is made, how it stands, and the evidence."""
    return [(one.claim.text, one.claim.where, one.status(yes, no), one.evidence) for one in found]


def _of_table(cells: Sequence[Cell], bounds: Mapping[str, float]) -> dict[str, Any]:
    """Make the parts of Table 1: the overview, fits trained longer, every figure."""
    overview = [cell for cell in cells if cell["row"] in bounds]
    beyond = [cell for cell in cells if cell["row"] not in bounds]
    longer = [cell for cell in beyond if cell["row"].endswith((LONG, FULL))]
    own = [cell for cell in beyond if cell["model"] not in {one["model"] for one in overview}]
    return {
        "overview": table.overview([*overview, *own]),
        "errors": table.errors(overview),
        "details": table.details(overview),
        "done": sum(cell["measured"] is not None for cell in overview),
        "cells": len(overview),
        "long": [cell for cell in longer if cell["measured"] is not None],
        "overview_long": table.overview(longer),
        "beyond": [cell for cell in beyond if cell["measured"] is not None],
        "details_beyond": table.details(beyond),
        "not_yet": [cell["row"] for cell in beyond if cell["measured"] is None],
    }


def _of_ablation(changed: Sequence[Cell], known: Mapping[str, Cell], bounds: Mapping[str, float]) -> dict[str, Any]:
    """Make the parts about single ingredients and the released code's choices."""
    return {
        "ablation": table.ablation(changed, known.get(BASELINE)) if any(c["measured"] for c in changed) else "",
        "chance": _chance(known.get(BASELINE)),
        "released": next((cell for cell in changed if cell["row"] == RELEASED and _told(cell)), None),
        "published": bounds.get(BASELINE),
    }


def _ended_early(fits: Sequence[dict[str, Any]]) -> list[tuple[str, int, int]]:
    """Count, for each data set with fits that ended early, how many did, and of how many."""
    early = Counter(one["dataset"] for one in fits if one["stopped"] == EARLY)
    of_set = Counter(one["dataset"] for one in fits)
    return [(data, n, of_set[data]) for data, n in sorted(early.items())]


def _judges(fits: Sequence[dict[str, Any]]) -> list[tuple[str, float]]:
    """List the share of real rows that the judge of each data set is right on."""
    return sorted({one["dataset"]: one["judged"]["judge_accuracy"] for one in fits if one.get("judged")}.items())


def _random_starts(known: Mapping[str, dict[str, Any]]) -> list[tuple[str, float, float]]:
    """List rows with another start: the name of the row beside them, and the bounds of both for the same seeds."""
    found = []
    for name in known:
        beside = name.removesuffix(RANDOM)
        if name != beside and beside in known and (same := table.of_same_seeds([known[name], known[beside]])):
            begun, other = same[0]
            found.append((beside, begun, other))
    return found


def _chance(cell: dict[str, Any] | None) -> tuple[float, float] | None:
    """Work out the spread of a row over its seeds, and up to what a difference of two single seeds may be chance."""
    sd = None if cell is None else cell["spread"].get("measured")
    return None if sd is None else (sd, CHANCE * sd)


def _told(cell: dict[str, Any]) -> bool:
    """Say whether a cell has all figures that the page gives of the released code."""
    names = ("measured", "relaxed_not_a_bound", "relaxed_colder_not_a_bound")
    return all(cell.get(name) is not None for name in names)
