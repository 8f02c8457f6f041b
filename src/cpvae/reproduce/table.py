"""Table 1 of the paper, and the ablation: each cell from its result files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cpvae.reproduce.pages import cell_of, links
from cpvae.reproduce.rows import FULL, METHODS, Row
from cpvae.reproduce.running import results_of

COLUMNS = (("mnist", 10), ("mnist", 150), ("mnist", 500), ("omniglot", 50), ("omniglot", 500))
ONE_TO_ONE = 10  # components, as many as there are digits: only then is a mapping of one to one worth a look
SINGLE = ("vae", "hvae")  # models without components: one cell for each data set
BAR = r"\|"  # in Markdown, a bar that ends no cell
Column = Callable[[dict[str, Any]], str]  # what a table shows of a cell


def cells(rows: Sequence[Row], results: Path, paper: dict[str, float]) -> Iterator[dict[str, Any]]:
    """A cell for each row, also for those without a result; nats a test row.

    `measured` is the mean over seeds of -L, eq. (7), with the p(c) of the fit.
    """
    for row in rows:
        found = results_of(row, results)
        cell = cell_of(row, found, results, "nats", paper.get(row.name))
        if found:
            cell |= {"measured": _mean(found, "test", "negative_elbo"), **_details(found)}
        yield cell


def _details(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    seconds = [one["seconds"]["start"] + one["seconds"]["training"] for one in found]
    details = {
        "sd": _sd(found, "test", "negative_elbo"),
        "negative_elbo_se": _mean(found, "test", "negative_elbo_se"),
        "negative_elbo_tight": _mean(found, "test", "negative_elbo_tight"),
        "negative_elbo_same_rows": _mean(found, "importance_weighted", "negative_elbo"),
        "negative_log_likelihood": _mean(found, "importance_weighted", "negative_log_likelihood"),
        "negative_log_likelihood_se": _mean(found, "importance_weighted", "negative_log_likelihood_se"),
        "importance_samples": _mean(found, "importance_weighted", "samples"),
        "importance_rows": _mean(found, "importance_weighted", "rows"),
        "relaxed_not_a_bound": _mean(found, "relaxed_not_a_bound", "1.0", "value"),
        "relaxed_colder_not_a_bound": _mean(found, "relaxed_not_a_bound", "0.5", "value"),
        "accuracy": _mean(found, "test", "accuracy"),
        "accuracy_majority": _mean(found, "test", "accuracy_majority"),
        "components_used": _mean(found, "test", "components_used"),
        "epochs": float(np.mean([one["epochs"] for one in found])),
        "seconds": float(np.median(seconds)),
        "gigaflops": _mean(found, "gigaflops"),
        "device": found[0]["device"],
    }
    details["reconstruction_mse"] = _mean(found, "reconstruction_mse")
    for name in ("purity", "classes_covered", "coverage", "frechet_distance", "frechet_distance_se"):
        details[name] = _mean(found, "judged", name)
    for name in ("uniform", "empirical"):
        change = _mean(found, "change_by_weights", name)
        details[f"negative_elbo_{name}"] = None if change is None else _mean(found, "test", "negative_elbo") + change
    return details


def _values(found: Sequence[dict[str, Any]], *path: str) -> list[float]:
    values = []
    for one in found:
        value: Any = one
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        if value is not None:
            values.append(float(value))
    return values


def _mean(found: Sequence[dict[str, Any]], *path: str) -> Any:
    """Over seeds; None where no result has it."""
    values = _values(found, *path)
    return float(np.mean(values)) if values else None


def _sd(found: Sequence[dict[str, Any]], *path: str) -> float | None:
    values = _values(found, *path)
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def overview(cells: Sequence[dict[str, Any]]) -> str:
    """The paper's table as Markdown: measured, and in brackets published, or the epochs of what the paper lacks."""
    by_place = {(_data(cell), _line(cell), cell["components"]): cell for cell in cells}
    known = {data for data, _, _ in by_place}
    columns = [(data, k) for data, k in COLUMNS if data in known]
    named = " | ".join(f"{'MNIST' if data == 'mnist' else 'Omniglot, rebuilt'} K={k}" for data, k in columns)
    lines = [f"| -L, nats | {named} |", "|---" * (len(columns) + 1) + "|"]
    for line in sorted({line for _, line, _ in by_place}, key=lambda line: (list(METHODS).index(line[0]), line[1])):
        method, single, shown = METHODS[line[0]] + line[1], line[0] in SINGLE, []
        for data, k in columns:
            cell = by_place.get((data, line, None if single else k))
            first = next(n for name, n in columns if name == data) == k
            shown.append("" if cell is None or (single and not first) else _shown(cell))
        if any(shown):
            lines.append(f"| {method} | {' | '.join(shown)} |")
    return "\n".join(lines) + "\n"


def _line(cell: dict[str, Any]) -> tuple[str, str]:
    """The model, and what is added to its name in the line of the table that a cell is in."""
    return cell["model"], ", full covariances" if str(cell["row"]).endswith(FULL) else ""


def _data(cell: dict[str, Any]) -> str:
    return str(cell["row"]).split("-")[0]


def _shown(cell: dict[str, Any]) -> str:
    published = "" if cell["published"] is None else f" ({cell['published']:.2f})"
    if cell["measured"] is None:
        return f"…{published}"
    spread = "" if cell["sd"] is None else f" ± {cell['sd']:.2f}"
    return f"{cell['measured']:.2f}{spread}" + (published or f" ({cell['epochs']:.0f} epochs)")


def errors(cells: Sequence[dict[str, Any]]) -> str:
    """The largest standard error of a figure over the test rows, for each data set with results."""
    known: dict[str, float] = {}
    for cell in cells:
        if cell["measured"] is not None:
            known[cell["dataset"]] = max(known.get(cell["dataset"], 0.0), cell["negative_elbo_se"])
    return ", ".join(f"{data} {value:.2f}" for data, value in known.items()) or "none yet"


def details(cells: Sequence[dict[str, Any]]) -> str:
    """Every cell with results, all its figures and its files, as Markdown."""
    return _lines(
        cells,
        {
            "cell": lambda cell: cell["row"],
            "-L": lambda cell: _figure("measured")(cell) + ("" if cell["sd"] is None else f" ± {cell['sd']:.2f}"),
            "-L*": _figure("negative_elbo_tight"),
            "-L, rows of NLL": _figure("negative_elbo_same_rows"),
            "NLL": _figure("negative_log_likelihood"),
            "-L, empirical p(c)": _figure("negative_elbo_empirical"),
            "relaxed c: not a bound": _figure("relaxed_not_a_bound"),
            "accuracy": lambda cell: _figure("accuracy", 3)(cell) if cell["components"] == ONE_TO_ONE else "",
            "majority": _figure("accuracy_majority", 3),
            "purity": _figure("purity", 3),
            "coverage": _figure("coverage", 3),
            "Fréchet": _figure("frechet_distance", 1),
            "in use": _figure("components_used", 0),
            "epochs": _figure("epochs", 0),
            "minutes of a thread": _minutes,
            "seeds": links,
        },
    )


def ablation(cells: Sequence[dict[str, Any]], baseline: dict[str, Any] | None) -> str:
    """What each change does to the bound beside the unchanged model, as Markdown."""

    def beside(cell: dict[str, Any]) -> str:
        return "" if baseline is None or cell is baseline else f"{cell['measured'] - baseline['measured']:+.2f}"

    return _lines(
        ([baseline] if baseline else []) + list(cells),
        {
            "change": lambda cell: cell["about"],
            "-L": _figure("measured"),
            "nats beside the first": beside,
            "relaxed c: not a bound": _figure("relaxed_not_a_bound"),
            "at temperature 0.5": _figure("relaxed_colder_not_a_bound"),
            "-L, empirical p(c)": _figure("negative_elbo_empirical"),
            "accuracy": _figure("accuracy", 3),
            "in use": _figure("components_used", 0),
            "epochs": _figure("epochs", 0),
            "minutes of a thread": _minutes,
            "seeds": links,
        },
    )


def _lines(cells: Sequence[dict[str, Any]], columns: dict[str, Column]) -> str:
    """A Markdown table: a line for each cell with results, columns by their headings."""
    lines = [
        list(columns),
        *([show(cell) for show in columns.values()] for cell in cells if cell["measured"] is not None),
    ]
    text = [f"| {' | '.join(one.replace('|', BAR) for one in line)} |" for line in lines]
    return "\n".join([text[0], "|---" * len(columns) + "|", *text[1:]]) + "\n"


def _figure(key: str, digits: int = 2) -> Column:
    return lambda cell: "" if cell[key] is None else f"{cell[key]:.{digits}f}"


def _minutes(cell: dict[str, Any]) -> str:
    return f"{cell['seconds'] / 60:.1f}"
