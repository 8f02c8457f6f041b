"""Table 1 of the paper and the ablation: each cell from its result files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from cpvae.study import markdown
from paper.pages import cell_of, links
from paper.results import results_of
from paper.rows import FULL, LONG, METHODS, Row

COLUMNS = (("mnist", 10), ("mnist", 150), ("mnist", 500), ("omniglot", 50), ("omniglot", 500))
ONE_TO_ONE = 10  # components, as many as there are digits: only then is a mapping of one to one worth a look
SINGLE = ("vae", "hvae")  # models without components: one cell for each data set
BOUND = ("test", "negative_elbo")
SHOWN = {  # what a cell has of its results beside seconds, and the keys that lead to it
    "measured": BOUND,
    "negative_elbo_se": ("test", "negative_elbo_se"),
    "negative_elbo_tight": ("test", "negative_elbo_tight"),
    "negative_elbo_same_rows": ("importance_weighted", "negative_elbo"),
    "negative_log_likelihood": ("importance_weighted", "negative_log_likelihood"),
    "negative_log_likelihood_se": ("importance_weighted", "negative_log_likelihood_se"),
    "importance_samples": ("importance_weighted", "samples"),
    "importance_rows": ("importance_weighted", "rows"),
    "relaxed_not_a_bound": ("relaxed_not_a_bound", "1.0", "value"),
    "relaxed_colder_not_a_bound": ("relaxed_not_a_bound", "0.5", "value"),
    "accuracy": ("test", "accuracy"),
    "accuracy_majority": ("test", "accuracy_majority"),
    "components_used": ("test", "components_used"),
    "epochs": ("epochs",),
    "reconstruction_mse": ("reconstruction_mse",),
    "purity": ("judged", "purity"),
    "classes_covered": ("judged", "classes_covered"),
    "coverage": ("judged", "coverage"),
    "frechet_distance": ("judged", "frechet_distance"),
    "frechet_distance_se": ("judged", "frechet_distance_se"),
    "purity_drawn": ("judged", "drawn", "purity"),
    "coverage_drawn": ("judged", "drawn", "coverage"),
    "frechet_distance_drawn": ("judged", "drawn", "frechet_distance"),
}
STEPS, PLAIN = "table_steps.json", "mnist-vae"  # how long a step takes, and whose time counts as 1
WEIGHTS = ("uniform", "empirical")  # p(c) of which a result has the change of -L
LEAST_SECONDS = 0.05  # of training, which results have with one digit
Column = Callable[[dict[str, Any]], str]  # what a table shows of a cell


def cells(rows: Sequence[Row], results: Path, paper: dict[str, float]) -> Iterator[dict[str, Any]]:
    """Make a cell for each row, also for those without a result; nats a test row.

    `measured` is the mean over seeds of -L, eq. (7), with the p(c) of the fit.
    """
    steps = steps_of(results)
    for row in rows:
        found = results_of(row, results)
        cell = cell_of(row, found, results, "nats", paper.get(row.name))
        cell["step"] = steps.get(row.name.removesuffix(LONG))
        yield cell | (_details(found) if found else {})


def _details(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Average over seeds what a cell shows; `spread` holds the standard deviations, where there are several seeds.

    `by_seed` holds the bound of each seed, `start_share` the seconds of the start relative to those of training.
    """
    told = {name: values(found, *path) for name, path in SHOWN.items()}
    for name in WEIGHTS:
        weighed = [one for one in found if values([one], "change_by_weights", name) and values([one], *BOUND)]
        told[f"negative_elbo_{name}"] = [
            one["test"]["negative_elbo"] + one["change_by_weights"][name] for one in weighed
        ]
    over = {name: mean_and_sd(of_seeds) for name, of_seeds in told.items()}
    start, training = (np.array([one["seconds"][name] for one in found]) for name in ("start", "training"))
    return {
        **{name: mean for name, (mean, _) in over.items()},
        "spread": {name: sd for name, (_, sd) in over.items() if sd is not None},
        "by_seed": {one["seed"]: one["test"]["negative_elbo"] for one in found if values([one], *BOUND)},
        "seconds": float(np.median(start + training)),
        "start_share": float(np.mean(start / np.maximum(training, LEAST_SECONDS))),
        "device": found[0]["device"],
    }


def values(found: Sequence[dict[str, Any]], *path: str) -> list[float]:
    """List the figure to which the keys lead, for the results that have it."""
    told = []
    for one in found:
        value: Any = one
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        if value is not None:
            told.append(float(value))
    return told


def mean_and_sd(of_seeds: Sequence[float]) -> tuple[float | None, float | None]:
    """Work out mean and standard deviation; both None without figures, the second None for a single one.

    >>> mean_and_sd([1.0, 3.0]), mean_and_sd([2.0]), mean_and_sd([])
    ((2.0, 1.4142135623730951), (2.0, None), (None, None))
    """
    if not of_seeds:
        return None, None
    return float(np.mean(of_seeds)), float(np.std(of_seeds, ddof=1)) if len(of_seeds) > 1 else None


def with_spread(mean: float | None, sd: float | None, form: str) -> str:
    """Print a mean and its spread.

    >>> with_spread(87.318, 0.0512, ".2f"), with_spread(0.9, None, ".1%"), with_spread(None, None, ".2f")
    ('87.32 ± 0.05', '90.0%', '')
    """
    return "" if mean is None else f"{mean:{form}}" + ("" if sd is None else f" ± {sd:{form}}")


def overview(cells: Sequence[dict[str, Any]]) -> str:
    """Write the paper's table as Markdown: measured, and in brackets published, or epochs where the paper has none."""
    by_place = {(_data(cell), _line(cell), cell["components"]): cell for cell in cells}
    known = {data for data, _, _ in by_place}
    columns = [(data, k) for data, k in COLUMNS if data in known]
    named = [f"{'MNIST' if data == 'mnist' else 'Omniglot, rebuilt'} K={k}" for data, k in columns]
    lines = []
    for line in sorted({line for _, line, _ in by_place}, key=lambda line: (list(METHODS).index(line[0]), line[1])):
        method, single, shown = METHODS[line[0]] + line[1], line[0] in SINGLE, []
        for data, k in columns:
            cell = by_place.get((data, line, None if single else k))
            first = next(n for name, n in columns if name == data) == k
            shown.append("" if cell is None or (single and not first) else _shown(cell))
        if any(shown):
            lines.append([method, *shown])
    return markdown.table(["-L, nats", *named], lines)


def _line(cell: dict[str, Any]) -> tuple[str, str]:
    """Say in which line of the table a cell stands: the model, and words after its name."""
    return cell["model"], ", full covariances" if str(cell["row"]).endswith(FULL) else ""


def _data(cell: dict[str, Any]) -> str:
    return str(cell["row"]).split("-")[0]


def _shown(cell: dict[str, Any]) -> str:
    published = "" if cell["published"] is None else f" ({cell['published']:.2f})"
    if cell["measured"] is None:
        return f"…{published}"
    return with_spread(cell["measured"], cell["spread"].get("measured"), ".2f") + (
        published or f" ({cell['epochs']:.0f} epochs)"
    )


def errors(cells: Sequence[dict[str, Any]]) -> str:
    """Print the largest standard error of a figure over the test rows, for each data set with results."""
    known: dict[str, float] = {}
    for cell in cells:
        if cell["measured"] is not None and cell["negative_elbo_se"] is not None:
            known[cell["dataset"]] = max(known.get(cell["dataset"], 0.0), cell["negative_elbo_se"])
    return ", ".join(f"{data} {value:.2f}" for data, value in known.items()) or "none yet"


def details(cells: Sequence[dict[str, Any]]) -> str:
    """Write every cell with results as Markdown: all its figures and its files."""
    return _lines(
        cells,
        {
            "cell": lambda cell: cell["row"],
            "-L": _figure("measured"),
            "-L*": _figure("negative_elbo_tight"),
            "-L, rows of NLL": _figure("negative_elbo_same_rows"),
            "NLL": _figure("negative_log_likelihood"),
            "-L, empirical p(c)": _figure("negative_elbo_empirical"),
            "relaxed c: not a bound": _figure("relaxed_not_a_bound"),
            "accuracy": lambda cell: _figure("accuracy", 3)(cell) if cell["components"] == ONE_TO_ONE else "",
            "majority": _figure("accuracy_majority", 3),
            "purity of means": _figure("purity", 3),
            "coverage of means": _figure("coverage", 3),
            "Fréchet of means": _figure("frechet_distance", 1),
            "the same three, drawn": _drawn,
            "in use": _figure("components_used", 0),
            "epochs": _figure("epochs", 0),
            "a step": _figure("step"),
            "minutes of a thread": _minutes,
            "seeds": links,
        },
    )


def ablation(cells: Sequence[dict[str, Any]], baseline: dict[str, Any] | None) -> str:
    """Write as Markdown what each change does to the bound, beside the unchanged model with the same seeds."""

    def beside(cell: dict[str, Any]) -> str:
        if baseline is None or cell is baseline:
            return ""
        same = of_same_seeds([cell, baseline])
        return "" if same is None else f"{same[0][0] - same[0][1]:+.2f}"

    return _lines(
        ([baseline] if baseline else []) + list(cells),
        {
            "change": lambda cell: cell["about"],
            "-L": _figure("measured"),
            "nats beside the first, same seed": beside,
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


def of_same_seeds(cells: Sequence[dict[str, Any]]) -> tuple[list[float], list[int]] | None:
    """Average the bound of each cell over the seeds that all have; return these seeds too. None without any.

    >>> of_same_seeds([{"by_seed": {0: 87.0, 1: 89.0}}, {"by_seed": {0: 88.0}}])
    ([87.0, 88.0], [0])
    """
    seeds = sorted(set.intersection(*(set(cell["by_seed"]) for cell in cells)))
    return ([float(np.mean([cell["by_seed"][s] for s in seeds])) for cell in cells], seeds) if seeds else None


def steps_of(results: Path) -> dict[str, float]:
    """Read the time of a step of each method on MNIST beside that of VAE, timed in one run; empty without its file."""
    with suppress(OSError, ValueError, KeyError, AttributeError, TypeError, ZeroDivisionError):
        found = json.loads((results / STEPS).read_text())["milliseconds_a_step"]
        return {str(name): float(value) / float(found[PLAIN]) for name, value in found.items()}
    return {}


def _lines(cells: Sequence[dict[str, Any]], columns: dict[str, Column]) -> str:
    """Write a Markdown table: a line for each cell with results, columns by their headings."""
    lines = ([show(cell) for show in columns.values()] for cell in cells if cell["measured"] is not None)
    return markdown.table(list(columns), lines)


def _figure(key: str, digits: int = 2) -> Column:
    """Make a column that prints a mean, and its spread unless it counts things."""
    return lambda cell: with_spread(cell[key], cell["spread"].get(key) if digits else None, f".{digits}f")


def _drawn(cell: dict[str, Any]) -> str:
    """Print purity, coverage and Fréchet distance of rows whose pixels are drawn; empty where they were not judged."""
    told = (("purity_drawn", 3), ("coverage_drawn", 3), ("frechet_distance_drawn", 1))
    return ", ".join(_figure(key, digits)(cell) for key, digits in told if cell[key] is not None)


def reached(cell: dict[str, Any] | None) -> list[str]:
    """Print bound, NLL, coverage and Fréchet distance of means, the same two of drawn rows, and the files of a cell."""
    if cell is None:
        return ["…", "", "", "", "", ""]
    drawn = (_figure("coverage_drawn", 3)(cell), _figure("frechet_distance_drawn", 1)(cell))
    figures = (("measured", 2), ("negative_log_likelihood", 2), ("coverage", 3), ("frechet_distance", 1))
    return [*(_figure(key, digits)(cell) for key, digits in figures), ", ".join(filter(None, drawn)), links(cell)]


def with_star(cell: dict[str, Any]) -> str:
    """Print the bound of a cell, with a star where it is of one seed.

    >>> with_star({"measured": 87.318, "seeds": [0]})
    '87.32*'
    """
    return f"{cell['measured']:.2f}{'*' if len(cell['seeds']) == 1 else ''}"


def _minutes(cell: dict[str, Any]) -> str:
    return f"{cell['seconds'] / 60:.1f}"
