"""What can be reproduced, by name: the rows a target needs, and what is written from their results."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from cpvae.errors import InputError, nearest
from cpvae.files import write_atomic
from cpvae.fitting.records import EARLY
from paper import clusters, table
from paper.claims import LEVEL, NOT, OWN, REPRODUCED, SAME, verdicts
from paper.drawing import FIGURES, FOLDER, draw
from paper.results import result_in, results_of
from paper.rows import FULL, LONG, RANDOM, Row, published, serving
from paper.verification import verified

TARGETS = {
    "accuracy": "clusters of MNIST without labels, seed by seed",
    "table1": "bounds and likelihoods of all methods",
    "fig3": "densities of the synthetic data",
    "fig4": "what becomes of categories there are too many of",
    "fig5": "reconstructions with and without a learned prior",
    "fig6": "new rows with and without a learned prior",
    "fig7": "new rows of each category",
    "fig8": "new digits of all methods",
    "fig9": "new characters of all methods",
    "ablation": "what each ingredient does to the bound",
    "all": "everything above, and the page of claims",
}
PAGE = Path("docs", "reproduction.md")
BASELINE = "mnist-cpvae-k10"  # which the rows of the ablation stand beside
RELEASED = "mnist-released"  # the row of the ablation that is trained as the released code trains


def rows_for(target: str, rows: Sequence[Row]) -> list[Row]:
    """Those a target needs.

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
    """A list of cells: row, dataset, components, published, measured, seeds, files, and what else there is of each.

    `measured` is an accuracy for the rows of clusters and -L in nats for all others, as `unit` says.
    """
    bounds = published(experiments)["table1"]
    found: list[dict[str, Any]] = []
    for group in dict.fromkeys(row.group for row in rows):
        own = [row for row in rows if row.group == group]
        found += clusters.cells(own, results) if group == "clusters" else table.cells(own, results, bounds)
    return found


def render(rows: Sequence[Row], results: Path, experiments: Path, root: Path) -> list[Path]:
    """Write all that the results give, figures before the page that shows them, under `root`; the files written."""
    written = clusters.render(serving(rows, "accuracy"), serving(rows, "fig4"), results, root)
    for name in FIGURES:
        written += draw(name, serving(rows, name), results, root)
    write_atomic(root / PAGE, page(rows, results, experiments, root))
    return [*written, root / PAGE]


def page(rows: Sequence[Row], results: Path, experiments: Path, root: Path) -> str:
    """The page of the reproduction, from results alone."""
    paper = published(experiments)
    in_table = serving(rows, "table1")
    cells = list(table.cells(in_table, results, paper["table1"]))
    others = list(table.cells(rows_for("fig5", rows), results, paper["table1"]))
    changed = list(table.cells(serving(rows, "ablation"), results, paper["table1"]))
    of_clusters = list(clusters.cells(serving(rows, "accuracy"), results))
    # rows of several targets may share a name; what the claims ask for is the bound
    known = {cell["row"]: cell for cell in [*of_clusters, *changed, *others, *cells] if cell["measured"] is not None}
    densities = {}
    for row in rows:
        if row.group == "synthetic" and row.result(results, 0).exists():
            densities[row.name] = result_in(row.result(results, 0))
    claims = verdicts(known, densities, paper)
    overview = [cell for cell in cells if cell["row"] in paper["table1"]]
    beyond = [cell for cell in cells if cell["row"] not in paper["table1"]]
    longer = [cell for cell in beyond if cell["row"].endswith((LONG, FULL))]
    found = {row.name: results_of(row, results) for row in in_table}
    fits = [one for name in found if name in paper["table1"] for one in found[name]]
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    template = environment.from_string(files("paper").joinpath("reproduction.md.j2").read_text("utf-8"))
    return template.render(
        claims=claims,
        own=verdicts(known, densities, paper, OWN),
        words={REPRODUCED: "holds", NOT: "does not hold"},  # of a claim that is not the paper's
        count={status: sum(v.status == status for _, v in claims) for status in {v.status for _, v in claims}},
        overview=table.overview(overview),
        errors=table.errors(overview),
        details=table.details(overview),
        early=_ended_early(fits),
        judges=_judges(fits),
        level=LEVEL,
        same=SAME,
        **_open(known, rows, paper["table1"]),
        chance=_chance(known.get(BASELINE)),
        random_starts=_random_starts(known),
        beyond=[cell for cell in beyond if cell["measured"] is not None],
        long=[cell for cell in longer if cell["measured"] is not None],
        overview_long=table.overview(longer),
        details_beyond=table.details(beyond),
        not_yet=[cell["row"] for cell in beyond if cell["measured"] is None],
        ablation=table.ablation(changed, known.get(BASELINE)) if any(c["measured"] for c in changed) else "",
        released=next((cell for cell in changed if cell["row"] == RELEASED and _told(cell)), None),
        published=paper["table1"].get(BASELINE),
        done=sum(cell["measured"] is not None for cell in overview),
        cells=len(overview),
        figures=[(name, TARGETS[name]) for name in FIGURES if (root / FOLDER / f"{name}.png").exists()],
        verified=verified(results),
        devices=sorted({one["device"] for of_row in found.values() for one in of_row}),
    )


def _ended_early(fits: Sequence[dict[str, Any]]) -> list[tuple[str, int, int]]:
    """Of each data set with fits that ended early: how many did, of how many."""
    early = Counter(one["dataset"] for one in fits if one["stopped"] == EARLY)
    of_set = Counter(one["dataset"] for one in fits)
    return [(data, n, of_set[data]) for data, n in sorted(early.items())]


def _judges(fits: Sequence[dict[str, Any]]) -> list[tuple[str, float]]:
    """Of each data set the share of real rows that its judge is right on."""
    return sorted({one["dataset"]: one["judged"]["judge_accuracy"] for one in fits if one.get("judged")}.items())


def _open(known: Mapping[str, dict[str, Any]], rows: Sequence[Row], published: Mapping[str, float]) -> dict[str, Any]:
    """The figures of what stays open: lowest bounds of CP at K = 10, their change with K, by how much MG is better."""
    few, many = BASELINE, BASELINE.replace("k10", "k500")
    diagonal = [
        row.name
        for row in rows
        if (row.dataset, row.model, row.components) == ("mnist", "cpvae", 10)
        and row.params.keys().isdisjoint({"covariance_type", "network"})
        and row.name in known
        and row.group != "clusters"
    ]
    cell = known.get(few)
    found: dict[str, Any] = {
        "lowest": min((known[name] for name in diagonal), key=lambda cell: cell["measured"], default=None),
        "full": known.get(few + FULL),
        "relaxed_changes": cell and cell["relaxed_not_a_bound"] and cell["relaxed_not_a_bound"] - cell["measured"],
        "rises": None,
        "better_mog": None,
    }
    of_mog = [name for name in published if name.startswith("mnist-mog-k") and name in known]
    gains = [published[name] - known[name]["measured"] for name in of_mog]
    if gains and min(gains) > 0:
        found["better_mog"] = min(gains), max(gains)
    if few in known and many in known:
        found["rises"] = {
            "k": 500,
            "log": math.log(50),
            "published": published[many] - published[few],
            "measured": known[many]["measured"] - known[few]["measured"],
            "used": known[many]["components_used"],
        }
    return found


def _random_starts(known: Mapping[str, dict[str, Any]]) -> list[tuple[str, float, float]]:
    """Rows with another start: the name of the row beside them, and the bounds of both for the same seeds."""
    found = []
    for name in known:
        beside = name.removesuffix(RANDOM)
        if name != beside and beside in known and (same := table.of_same_seeds([known[name], known[beside]])):
            begun, other = same[0]
            found.append((beside, begun, other))
    return found


def _chance(cell: dict[str, Any] | None) -> tuple[float, float] | None:
    """The spread of a row over its seeds, and up to what a difference of two single seeds may be chance.

    That is twice the standard deviation of such a difference.
    """
    sd = None if cell is None else cell["spread"].get("measured")
    return None if sd is None else (sd, 2 * math.sqrt(2) * sd)


def _told(cell: dict[str, Any]) -> bool:
    """Whether a cell has all that is said of the released code."""
    names = ("measured", "relaxed_not_a_bound", "relaxed_colder_not_a_bound")
    return all(cell.get(name) is not None for name in names)
