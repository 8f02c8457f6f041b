"""Experiments that anyone can repeat: fits from a file, a result file for each, and pages rendered from those alone.

An experiment is a TOML file: the data, arguments, and recipes with a number of seeds each. A fit has a run folder, so
that it goes on where it was stopped, and leaves one JSON with its evidence (`cpvae.evidence`). What has its result file
is not fitted again; `rendered` needs no fit and no data.
"""

from __future__ import annotations

import tomllib
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import joblib
import numpy as np

from cpvae import figures, metrics, runs
from cpvae.base import as_table
from cpvae.checkpoints import read_json, write_atomic, write_json
from cpvae.commands import fit_run, load_data
from cpvae.datasets import Dataset
from cpvae.errors import FitWarning, InputError, nearest
from cpvae.estimators import load
from cpvae.evaluation import evaluate
from cpvae.evidence import evidence
from cpvae.restarts import here, one_thread

CATEGORIES = "categories.npy"  # of the test rows, in a run folder
MARKS = "<!-- results -->\n", "<!-- /results -->"
OTHERS = "other"  # in the folder of results: data that no recipe was chosen on


@dataclass(frozen=True)
class Recipe:
    """One row of a table: arguments, the same for all of its seeds."""

    name: str
    about: str
    seeds: int
    params: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Experiment:
    """A file of `experiments/`."""

    name: str
    dataset: str
    model: str
    recipes: tuple[Recipe, ...]

    @classmethod
    def read(cls, path: Path) -> Experiment:
        """The experiment of a TOML file.

        Raises:
            InputError: no such file, or not what an experiment is made of.
        """
        try:
            text = tomllib.loads(path.read_text())
            recipes = tuple(
                Recipe(name, str(one["about"]), int(one["seeds"]), {**text.get("params", {}), **one.get("params", {})})
                for name, one in text["recipes"].items()
            )
            return cls(path.stem, str(text["dataset"]), str(text["model"]), recipes)
        except FileNotFoundError as error:
            raise InputError(
                f"{path} does not exist; run this in a checkout of cpvae, or say with --experiments where they are"
            ) from error
        except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"{path} is no experiment ({error}); restore it from the checkout") from error

    def recipe(self, name: str) -> Recipe:
        """By name.

        Raises:
            InputError: there is none.
        """
        names = [recipe.name for recipe in self.recipes]
        if name not in names:
            raise InputError(f"{self.name} has no recipe {name!r}{nearest(name, names)}")
        return self.recipes[names.index(name)]


def name_of(experiment: Experiment, recipe: Recipe, seed: int) -> str:
    """Of a run's folder and of its result file."""
    return f"{experiment.dataset}-{recipe.name}-seed{seed}"


def reproduce(
    experiment: Experiment,
    recipes: Sequence[Recipe],
    folder: Path,
    results: Path,
    *,
    n_jobs: int | None = None,
    progress: Callable[[str], None] = lambda text: None,
) -> None:
    """Fit what has no result yet, one seed of every recipe after the other, and write the results.

    Args:
        folder: of the run folders; interrupted ones are resumed.
        results: of the result files.
        n_jobs: fits side by side, one thread each; None is one for each core.

    Raises:
        InputError: as `cpvae fit`.
    """
    jobs = [
        (recipe, seed)
        for seed in range(max(recipe.seeds for recipe in recipes))
        for recipe in recipes
        if seed < recipe.seeds and not (results / f"{name_of(experiment, recipe, seed)}.json").exists()
    ]
    if jobs:
        load_data(experiment.dataset, None, progress)  # fetched once, and refused before any work
        progress(f"{len(jobs)} fits on {experiment.dataset}; each has a folder in {folder}, a result in {results}")
        tasks = (here(run)(experiment, recipe, seed, folder, results) for recipe, seed in jobs)
        n_jobs = min(n_jobs or joblib.effective_n_jobs(-1), len(jobs))
        for done, said in enumerate(joblib.Parallel(n_jobs, return_as="generator_unordered")(tasks), 1):
            progress(f"{done}/{len(jobs)} {said}")
    for recipe in recipes:
        agreement(experiment, recipe, folder, results)


def run(experiment: Experiment, recipe: Recipe, seed: int, folder: Path, results: Path) -> str:
    """One fit and its result file; returns a line that says how it went."""
    name = name_of(experiment, recipe, seed)
    place = folder / name
    with one_thread(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", FitWarning)
        data = load_data(experiment.dataset, None, None)
        params = {**recipe.params, "random_state": seed}
        resume = (place / runs.CONFIG).exists()
        fitted = fit_run(data, experiment.dataset, None, experiment.model, params, place, resume, quiet=True)
        result = {
            **evidence(f"cpvae reproduce {experiment.name} --recipe {recipe.name}"),
            "recipe": recipe.name,
            "seed": seed,
            "params": params,
            "epochs": fitted["epochs"],
            "seconds": {"start": fitted["start_seconds"], "training": fitted["training_seconds"]},
            **judged(place, data),
            "warnings": [str(one.message) for one in caught if issubclass(one.category, FitWarning)],
        }
    if seed == 0:
        write_atomic(results / f"{name}.png", (place / runs.SAMPLES).read_bytes())
    write_json(results / f"{name}.json", result)
    return f"{name}: accuracy {result['test']['accuracy']:.4f}, -L {result['test']['negative_elbo']:.2f}"


def judged(place: Path, data: Dataset) -> dict[str, Any]:
    """Figures of a fitted model on test rows, looked at once; their categories stay in the run folder."""
    model = load(place)
    train, test = data.splits["train"], data.splits["test"]
    proba = model.predict_proba(as_table(test.x, data.feature_names))
    np.save(place / CATEGORIES, proba.argmax(1).astype(np.int16))
    mapping = metrics.hungarian_mapping(train.y, model.predict(as_table(train.x, data.feature_names)))  # type: ignore[arg-type]
    bins = metrics.calibration(test.y, proba, mapping)  # type: ignore[arg-type]
    calibration = {name: np.round(values, 6).tolist() for name, values in bins._asdict().items()}
    return {"test": evaluate(model, data, "test"), "calibration": calibration}


def agreement(experiment: Experiment, recipe: Recipe, folder: Path, results: Path) -> None:
    """The adjusted Rand index of every two seeds' categories of the test rows: how stable they are, without labels."""
    found = {seed: folder / name_of(experiment, recipe, seed) / CATEGORIES for seed in range(recipe.seeds)}
    known = {seed: np.load(path) for seed, path in found.items() if path.exists()}
    if len(known) < 2:
        return
    pairs = [metrics.ari(a, b) for a, b in combinations(known.values(), 2)]
    write_json(
        results / f"{experiment.dataset}-{recipe.name}-agreement.json",
        {"recipe": recipe.name, "seeds": list(known), "ari": [round(pair, 5) for pair in pairs]},
    )


def results_of(experiment: Experiment, recipe: Recipe, results: Path) -> list[dict[str, Any]]:
    """The result files of a recipe that are there, by seed."""
    paths = [results / f"{name_of(experiment, recipe, seed)}.json" for seed in range(recipe.seeds)]
    return [read_json(path, "a result") for path in paths if path.exists()]


def cells(experiment: Experiment, results: Path) -> Iterator[dict[str, Any]]:
    """A row of the table for each recipe with results."""
    for recipe in experiment.recipes:
        found = results_of(experiment, recipe, results)
        if not found:
            continue
        accuracy = np.array([one["test"]["accuracy"] for one in found])
        bound = np.array([one["test"]["negative_elbo"] for one in found])
        path = results / f"{experiment.dataset}-{recipe.name}-agreement.json"
        pairs = read_json(path, "a result")["ari"] if path.exists() else []
        yield {
            "row": recipe.name,
            "about": recipe.about,
            "dataset": experiment.dataset,
            "components": recipe.params["n_components"],
            "seeds": [one["seed"] for one in found],
            "accuracy_median": float(np.median(accuracy)),
            "accuracy_worst": float(accuracy.min()),
            "accuracy_best": float(accuracy.max()),
            "negative_elbo_median": float(np.median(bound)),
            "negative_elbo_range": [float(bound.min()), float(bound.max())],
            "calibration_error_worst": max(one["test"]["calibration_error"] for one in found),
            "components_used": float(np.median([one["test"]["components_used"] for one in found])),
            "component_groups": [one["test"]["component_groups"] for one in found if "component_groups" in one["test"]],
            "ari_median": float(np.median(pairs)) if pairs else None,
            "ari_worst": min(pairs) if pairs else None,
            "seconds_median": float(np.median([sum(one["seconds"].values()) for one in found])),
            "files": [f"{name_of(experiment, recipe, one['seed'])}.json" for one in found],
        }


def table(experiment: Experiment, results: Path) -> str:
    """The cells as Markdown, each row with its result files."""
    lines = [
        "| recipe | seeds | accuracy: median | worst | best | -L: median (range), nats | calibration error, worst "
        "| ARI of two seeds: median, worst | minutes of a thread | |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for cell in cells(experiment, results):
        stable = "" if cell["ari_median"] is None else f"{cell['ari_median']:.3f}, {cell['ari_worst']:.3f}"
        low, high = cell["negative_elbo_range"]
        links = " ".join(
            f"[{seed}](../results/clusters/{file})" for seed, file in zip(cell["seeds"], cell["files"], strict=True)
        )
        lines.append(
            f"| **{cell['row']}**: {cell['about']} | {len(cell['seeds'])} | {cell['accuracy_median']:.4f} "
            f"| {cell['accuracy_worst']:.4f} | {cell['accuracy_best']:.4f} "
            f"| {cell['negative_elbo_median']:.2f} ({low:.2f} to {high:.2f}) | {cell['calibration_error_worst']:.4f} "
            f"| {stable} | {cell['seconds_median'] / 60:.1f} | {links} |"
        )
    return "\n".join(lines) + "\n"


def others(results: Path) -> str:
    """Other data beside scikit-learn's KMeans and mixture (`benchmarks/clusters.py`), as Markdown; empty if none."""
    paths = sorted((results / OTHERS).glob("*.json"))
    found = [read_json(path, "a result") for path in paths]
    if not found:
        return ""
    methods = list(dict.fromkeys(one["method"] for one in found[0]["runs"]))
    head = ["data", "rows", "K", *methods, "seeds", "judged on", ""]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for one, path in zip(found, paths, strict=True):
        accuracy = {m: [run["accuracy"] for run in one["runs"] if run["method"] == m] for m in methods}
        shown = [f"{np.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})" for values in accuracy.values()]
        judged_on = "rows of the fit" if one["same_rows"] else f"{one['test']:,} test rows"
        seeds = len(accuracy[methods[0]])
        row = [one["dataset"], f"{one['train']:,}", str(one["n_components"]), *shown, str(seeds), judged_on]
        lines.append(f"| {' | '.join(row)} | [file](../results/clusters/{OTHERS}/{path.name}) |")
    return "\n".join(lines) + "\n"


def body(experiment: Experiment, results: Path) -> str:
    """All tables of the page."""
    other = others(results)
    note = "Other data, with the defaults at the commit that each file names; accuracy: mean (worst to best).\n\n"
    return table(experiment, results) + (f"\n{note}{other}" if other else "")


def rendered(page: str, body: str) -> str:
    """A page with what is between its marks replaced.

    >>> rendered("a <!-- results -->\\nold <!-- /results --> z", "new ")
    'a <!-- results -->\\nnew <!-- /results --> z'
    """
    before, rest = page.split(MARKS[0])
    return before + MARKS[0] + body + MARKS[1] + rest.split(MARKS[1])[1]


def render(experiment: Experiment, results: Path, page: Path) -> None:
    """Write the table into its page, and beside it how far the probabilities of the first recipe can be believed."""
    write_atomic(page, rendered(page.read_text(), body(experiment, results)))
    recipe = experiment.recipes[0]
    found = [one["calibration"] for one in results_of(experiment, recipe, results)]
    if found:
        bins = [tuple(np.array(one[name]) for name in ("rows", "confidence", "accuracy")) for one in found]
        title = f"{experiment.dataset}, {recipe.name}: {len(found)} seeds, test rows"
        figures.save(figures.reliability(bins, title), page.with_name(f"{page.stem}-calibration.png"))  # type: ignore[arg-type]
