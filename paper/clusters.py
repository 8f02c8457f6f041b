"""The page of clusters: MNIST without labels, seed by seed, and other data beside scikit-learn's methods."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cpvae.files import read_json, write_atomic
from cpvae.study import figures, markdown
from paper.pages import ROOT_OF_PAGES, cell_of, links, rendered
from paper.results import AGREEMENT, results_of
from paper.rows import Row

PAGE = Path("docs", "clusters.md")
OTHERS = Path("clusters", "other")  # in the folder of results
STARTS = Path("clusters", "starts")
RESTORE = "restore it from the checkout"
# Data whose labels helped to make the rules of the start, or to choose its recipe.
CHOSEN_BY, MARK = ("iris", "wine", "digits", "digits-table", "mnist-pca16", "mnist-static"), " †"
NOTE = (
    "† Labels of this set helped to make the start, so its numbers are not those of an unseen set. Labels of iris, "
    "wine, digits and mnist-pca16 helped to make the rules for few rows and for tables. Labels of validation rows of "
    "MNIST helped to choose the recipe."
)


def cells(rows: Sequence[Row], results: Path) -> Iterator[dict[str, Any]]:
    """Make a cell for each row with results."""
    for row in rows:
        found = results_of(row, results)
        if not found:
            continue
        accuracy = np.array([one["test"]["accuracy"] for one in found])
        bound = np.array([one["test"]["negative_elbo"] for one in found])
        path = results / row.group / f"{row.name}-{AGREEMENT}.json"
        pairs = read_json(path, "a result", RESTORE)["ari"] if path.exists() else []
        yield {
            **cell_of(row, found, results, "accuracy"),
            "measured": float(np.median(accuracy)),
            "accuracy_median": float(np.median(accuracy)),
            "accuracy_worst": float(accuracy.min()),
            "accuracy_best": float(accuracy.max()),
            "negative_elbo_median": float(np.median(bound)),
            "negative_elbo_range": [float(bound.min()), float(bound.max())],
            "calibration_error_worst": max(one["test"]["calibration_error"] for one in found),
            "components_used": float(np.median([one["test"]["components_used"] for one in found])),
            "component_groups": [one["test"]["component_groups"] for one in found if "component_groups" in one["test"]],
            "accuracy_groups": [one["test"]["accuracy_groups"] for one in found if "accuracy_groups" in one["test"]],
            "accuracy_majority": [one["test"]["accuracy_majority"] for one in found],
            "ari_median": float(np.median(pairs)) if pairs else None,
            "ari_worst": min(pairs) if pairs else None,
            "seconds_median": float(np.median([one["seconds"]["start"] + one["seconds"]["training"] for one in found])),
        }


def table(rows: Sequence[Row], results: Path) -> str:
    """Write the cells as Markdown, each row with its result files."""
    head = ["recipe", "seeds", "accuracy: median", "worst", "best", "-L: median (range), nats"]
    head += ["calibration error, worst", "ARI of two seeds: median, worst", "in use, groups", "minutes of a thread", ""]
    labels = {row.name: row.label for row in rows}
    return markdown.table(head, (_line(labels[cell["row"]], cell) for cell in cells(rows, results)))


def _line(label: str, cell: dict[str, Any]) -> list[str]:
    """Print a cell."""
    low, high = cell["negative_elbo_range"]
    return [
        f"**{label}**: {cell['about']}",
        str(len(cell["seeds"])),
        *(f"{cell[f'accuracy_{name}']:.4f}" for name in ("median", "worst", "best")),
        f"{cell['negative_elbo_median']:.2f} ({low:.2f} to {high:.2f})",
        f"{cell['calibration_error_worst']:.4f}",
        "" if cell["ari_median"] is None else f"{cell['ari_median']:.3f}, {cell['ari_worst']:.3f}",
        _groups(cell),
        f"{cell['seconds_median'] / 60:.1f}",
        links(cell),
    ]


def _groups(cell: dict[str, Any]) -> str:
    """Print the numbers of categories in use and of groups, and accuracies where there are fewer groups."""
    text = f"{cell['components_used']:.0f}"
    found = cell["component_groups"]
    if not found:
        return text
    text += f", {'/'.join(str(n) for n in sorted(set(found)))}"
    if min(found) < cell["components_used"]:
        text += f" (accuracy: groups {np.median(cell['accuracy_groups']):.3f}, "
        text += f"majority {np.median(cell['accuracy_majority']):.3f})"
    return text


def others(results: Path) -> str:
    """Write other data as Markdown, beside scikit-learn's KMeans and mixture (`benchmarks/clusters.py`).

    The start of CP-VAE stands beside them where it was measured (`benchmarks/starts.py`). Without results the text is
    empty.
    """
    paths = sorted((results / OTHERS).glob("*.json"))
    found = [read_json(path, "a result", RESTORE) for path in paths]
    if not found:
        return ""
    methods = list(dict.fromkeys(one["method"] for one in found[0]["runs"]))
    begun = {path.stem: read_json(path, "a result", RESTORE) for path in sorted((results / STARTS).glob("*.json"))}
    head = ["data", "rows", "K", *methods, "seeds", "judged on", "CP-VAE's start alone, rows of the fit", "file"]
    lines = []
    for one, path in zip(found, paths, strict=True):
        accuracy = {m: [run["accuracy"] for run in one["runs"] if run["method"] == m] for m in methods}
        name = one["dataset"] + (MARK if one["dataset"] in CHOSEN_BY else "")
        line = [name, f"{one['train']:,}", str(one["n_components"]), *map(_mean_and_range, accuracy.values())]
        line += [str(len(accuracy[methods[0]])), _judged_on(one), _of_start(begun.get(one["dataset"]))]
        lines.append([*line, f"[file]({ROOT_OF_PAGES}/results/{OTHERS.as_posix()}/{path.name})"])
    text = f"{markdown.table(head, lines)}\n{NOTE}\n"
    if "mnist" in begun:
        rows, accuracy_of_start = begun["mnist"]["train"], _of_start(begun["mnist"])
        text += f"The start alone on all {rows:,} training rows of MNIST: {accuracy_of_start}.\n"
    return text


def _judged_on(one: dict[str, Any]) -> str:
    return "rows of the fit" if one["same_rows"] else f"{one['test']:,} test rows"


def _of_start(begun: dict[str, Any] | None) -> str:
    """Print the accuracy of a start alone, with its file."""
    if begun is None:
        return ""
    file = f"{ROOT_OF_PAGES}/results/{STARTS.as_posix()}/{begun['dataset']}.json"
    return f"[{_mean_and_range([run['accuracy'] for run in begun['runs']])}]({file})"


def _mean_and_range(values: Sequence[float]) -> str:
    """Print the mean of some values, and their range if there are several.

    >>> _mean_and_range([0.5, 0.7]), _mean_and_range([0.5])
    ('0.600 (0.500 to 0.700)', '0.500')
    """
    mean = f"{np.mean(values):.3f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.3f} to {max(values):.3f})"


def sources(rows: Sequence[Row], results: Path) -> str:
    """Write how many groups CP-VAE finds in the paper's mixture of two sources, as Markdown; empty without results."""
    lines = []
    for row in rows:
        for one in results_of(row, results) if row.model == "cpvae" else []:
            test, file = one["test"], row.result(results, one["seed"]).relative_to(results).as_posix()
            counts = (str(test[key]) for key in ("components_used", "component_groups"))
            lines.append([f"{row.about}, K = {row.components}", *counts, f"[file]({ROOT_OF_PAGES}/results/{file})"])
    head = (
        "The next table counts groups in the paper's synthetic data, which have two sources. A category is in use if "
        "it is the likeliest of enough rows: at least a tenth of an even share.\n\n"
    )
    return head + markdown.table(["", "in use", "groups", ""], lines) if lines else ""


def body(rows: Sequence[Row], synthetic: Sequence[Row], results: Path) -> str:
    """Write all tables of the page: clusters of MNIST, of other data, of the synthetic data."""
    note = (
        "The next table has other data, fitted with the defaults at the commit that each file names. Accuracy: mean "
        "(worst to best).\n\n"
    )
    other = others(results)
    parts = [table(rows, results), note + other if other else "", sources(synthetic, results)]
    return "\n".join(part for part in parts if part)


def render(rows: Sequence[Row], synthetic: Sequence[Row], results: Path, root: Path) -> list[Path]:
    """Write the tables into their page, and draw beside it how well the first row is calibrated."""
    page = root / PAGE
    if not page.exists():  # its text is written by hand
        return []
    write_atomic(page, rendered(page.read_text(), body(rows, synthetic, results)))
    found = results_of(rows[0], results)
    if not found:
        return [page]
    bins = [tuple(np.array(one["calibration"][name]) for name in ("rows", "confidence", "accuracy")) for one in found]
    title = f"{rows[0].dataset}, {rows[0].label}: {len(found)} seeds, test rows"
    picture = page.with_name(f"{page.stem}-calibration.png")
    figures.save(figures.reliability(bins, title), picture)  # type: ignore[arg-type]
    return [page, picture]
