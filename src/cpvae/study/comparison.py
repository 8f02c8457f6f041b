"""The table of a comparison: its columns and rows, in Markdown and as a page."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cpvae.extras import needed
from cpvae.fitting import runs
from cpvae.study import markdown

with needed("a page of a comparison"):
    from cpvae.study.templates import template

PROTOCOL = (
    "Each number is the mean over seeds ± their standard deviation. -L is the negative bound of eq. (7), -L* is the "
    "tight bound, and NLL is importance-weighted. All three are in nats per row. Accuracy is Hungarian, with the "
    "mapping learned on the training rows. A classifier, the judge, looks at rows that the models generate. It was "
    "trained on labels, and the models never see it. Purity: the share of the most frequent class among rows of one "
    "component, averaged over components. Classes: the number of classes among rows of the whole model. For CP-VAE, "
    "components are drawn by their share of the training rows; for the others, by the prior, as in their papers. "
    "Purity means little where classes are few. Coverage: the share of real rows with a generated row nearby. Fréchet: "
    "the distance of the features of generated rows from those of as many real rows. Seconds include training and "
    "CP-VAE's start. Several fits ran side by side, each on one thread."
)
OF_MEANS = (
    " Columns with the word means are measured on mean images, E[x | z, c], without the noise of a draw from "
    "p(x | z, c). Columns with the word drawn are measured on such draws."
)


@dataclass(frozen=True)
class Criterion:
    """A column of the table: the key of its values, its heading, digits after the point."""

    key: str
    title: str
    digits: int


JUDGED = (
    Criterion("purity", "purity", 3),
    Criterion("classes_covered", "classes", 1),
    Criterion("coverage", "coverage", 3),
    Criterion("frechet_distance", "Fréchet", 1),
)
DRAWN = tuple(Criterion(f"{one.key}_drawn", f"{one.title}, drawn", one.digits) for one in JUDGED)
COLUMNS = (
    Criterion("negative_elbo", "-L", 2),
    Criterion("negative_elbo_tight", "-L*", 2),
    Criterion("negative_elbo_same_rows", "-L, rows of NLL", 2),
    Criterion("negative_log_likelihood", "NLL", 2),
    Criterion("accuracy", "accuracy", 3),
    *JUDGED,
    *DRAWN,
    Criterion("components_used", "in use", 1),
    Criterion("seconds", "seconds", 0),
)


def table_rows(results: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Give one row for each model and number of components: mean, spread and number of seeds of each column."""
    groups: dict[tuple[str, int | None], list[dict[str, Any]]] = {}
    for result in results:
        groups.setdefault((result["model"], result["components"]), []).append(result)
    for (model, components), group in groups.items():
        cells = {}
        for column in COLUMNS:
            if column.key == "components_used" and components is None:
                continue
            values = [float(result[column.key]) for result in group if result.get(column.key) is not None]
            if values:
                spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
                cells[column.key] = {"mean": float(np.mean(values)), "sd": spread, "n": len(values), "values": values}
        yield {
            "model": model,
            "components": components,
            "seeds": [result["seed"] for result in group],
            "runs": [result["run"] for result in group],
            "cells": cells,
        }


def cell(row: dict[str, Any], column: Criterion) -> str:
    """Print mean and spread.

    >>> cell({"cells": {"x": {"mean": 1.234, "sd": 0.5}}}, Criterion("x", "x", 2))
    '1.23 ± 0.50'
    """
    found = row["cells"].get(column.key)
    if found is None:
        return "-"
    text = f"{found['mean']:.{column.digits}f}"
    return text if found["sd"] is None else f"{text} ± {found['sd']:.{column.digits}f}"


def shown_columns(comparison: dict[str, Any]) -> list[Criterion]:
    """Choose the columns for which some model has a value; what is of mean images says so in its heading."""
    first = comparison["runs"][0]
    columns = [column for column in COLUMNS if any(column.key in row["cells"] for row in comparison["rows"])]
    if first["importance_rows"] >= first["n"]:  # the NLL is of all rows
        columns = [column for column in columns if column.key != "negative_elbo_same_rows"]
    if not first.get("judged_means"):
        return columns
    return [replace(one, title=f"{one.title}, means") if one in JUDGED else one for one in columns]


def as_markdown(comparison: dict[str, Any], link: Callable[[str], str] | None = None) -> str:
    """Write the table in Markdown, the seeds linked to their folders.

    Args:
        link: from the name of a run to an address; by default the folder beside the table. An empty one is no link.
    """
    link = link or (lambda run: f"{run}/")
    columns = shown_columns(comparison)
    head = [markdown.plain(comparison["dataset"]), "K", *(column.title for column in columns), "seeds"]
    rows = []
    for row in comparison["rows"]:
        pairs = zip(row["seeds"], row["runs"], strict=True)
        seeds = " ".join(markdown.link(str(seed), link(run)) for seed, run in pairs)
        rows.append([row["model"], str(row["components"] or "-"), *(cell(row, column) for column in columns), seeds])
    return f"{markdown.table(head, rows)}\n{footnote(comparison)}\n"


def footnote(comparison: dict[str, Any]) -> str:
    """Say in a paragraph which rows were measured, and what each column means."""
    first = comparison["runs"][0]
    text = f"{first['n']:,} rows of the split {comparison['split']!r}"
    held = comparison.get("held_out")
    if held is not None:
        text += f", drawn at random from the {held['of']:,} rows to fit and held out of all fits"
    elif comparison.get("fitted_on"):
        text += ", from which the models learned"
    text += f". {PROTOCOL}"
    if first.get("judged_means"):
        text += OF_MEANS
    text += f" NLL has S={comparison['protocol']['importance_samples']:,} samples on {first['importance_rows']:,} rows."
    accuracy = comparison["judge_accuracy"]
    if accuracy is not None:
        text += f" The judge is right on {accuracy:.1%} of the {first['judged_rows']:,} real rows that it sees."
    return text


def page(comparison: dict[str, Any], out: Path) -> str:
    """Write the table as a self-contained page, with the pictures of each model's first seed."""
    pictures = []
    for row in comparison["rows"]:
        path = out / row["runs"][0] / runs.SAMPLES
        if path.exists():
            pictures.append((row["runs"][0], base64.b64encode(path.read_bytes()).decode()))
    warned = [(result["run"], text) for result in comparison["runs"] for text in result["warnings"]]
    return template("cpvae.study", "compare.html.j2").render(
        comparison=comparison,
        columns=shown_columns(comparison),
        cell=cell,
        footnote=footnote(comparison),
        pictures=pictures,
        warned=warned,
    )
