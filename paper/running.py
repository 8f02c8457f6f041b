"""Fits of rows, side by side. Each has a run folder, so that a stopped fit can go on, and a result file.

A fit with a result file is not made again.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from cpvae.errors import InputError
from cpvae.estimators.zoo import load
from cpvae.files import write_json
from cpvae.fitting import jobs, runs
from cpvae.study import metrics
from cpvae.study.evidence import commit, evidence
from cpvae.study.fits import fit_run
from cpvae.study.inputs import load_data, make_estimator
from paper.measures import CATEGORIES, MEASURES, Fitted
from paper.released import estimator_name, known
from paper.results import AGREEMENT
from paper.rows import Row

PRODUCTS, BURSTS = 40, 5  # in a measurement of speed
KEPT = ("train_negative_elbo", "valid_negative_elbo", "kl_c", "kl_z", "components_used", "seconds")  # of a history


class RowSeed(NamedTuple):
    """A fit to make: one seed of a row."""

    row: Row
    seed: int

    @property
    def name(self) -> str:
        """Name its run folder and its result file."""
        return self.row.run(self.seed)


def missing(rows: Sequence[Row], results: Path) -> list[RowSeed]:
    """List the fits without a result file: the first seeds of all rows, then the second ones, and so on."""
    return [
        RowSeed(row, seed)
        for seed in range(max((row.seeds for row in rows), default=0))
        for row in rows
        if seed < row.seeds and not row.result(results, seed).exists()
    ]


def reproduce(
    fits: Sequence[RowSeed],
    folder: Path,
    results: Path,
    *,
    n_jobs: int | None = None,
    progress: Callable[[str], None] = lambda text: None,
) -> None:
    """Fit, measure, and write the result files. A fit that is refused does not hold up the others.

    Args:
        fits: the fits to make.
        folder: holds the run folders; stopped runs go on.
        results: holds the result files.
        n_jobs: fits side by side, one thread each; None is one for each core, and one where there is a GPU.
        progress: takes a line for each fit.

    Raises:
        InputError: a data set cannot be had, before any fit; a fit was refused, after all others.
    """
    for dataset in dict.fromkeys(one.row.dataset for one in fits):
        load_data(dataset, None, progress)  # fetched once, and refused before any work
    count = itertools.count(1)

    def tell(done: jobs.Done[str]) -> None:
        progress(f"{next(count)}/{len(fits)} {done.name}: {done.refused or done.value}")

    work = [jobs.Job(one.name, partial(run, one, folder, results)) for one in fits]
    advice = "finished fits have their results; run the same command with fewer --jobs to go on"
    done = jobs.run(work, n_jobs, told=tell, advice=advice, refuse=False) if work else []
    refused = [f"{one.name}: {one.refused}" for one in done if one.refused]
    if refused:
        raise InputError(
            f"{len(refused)} of {len(fits)} fits were refused, the others are done; the first: {refused[0]}"
        )


def run(fit: RowSeed, folder: Path, results: Path) -> str:
    """Make one fit and its result file; return a line that says how it went."""
    with known():
        return _run(fit, folder, results)


def _run(fit: RowSeed, folder: Path, results: Path) -> str:
    row, seed = fit
    place = folder / row.group / fit.name
    began, rate = time.perf_counter(), speed()
    data, name = load_data(row.dataset, None, None), estimator_name(row.model, row.params)
    # Arguments that the row does not give are at their defaults, also in a run that is resumed.
    asked = {**make_estimator(name, {}).get_params(), **row.params, "random_state": seed}
    resume = runs.begun(place)
    about = {"commit": commit()}
    fitted = fit_run(data, row.dataset, None, name, asked, place, resume, quiet=True, about=about).figures
    picture = row.result(results, seed).with_suffix(".npz") if seed == 0 else None
    done = Fitted(load(place), data, place, row.serves, picture)
    measured: dict[str, Any] = {}
    for measure in MEASURES[row.group]:
        measured |= measure(done)
    seconds = {"start": fitted["start_seconds"], "training": fitted["training_seconds"]}
    if not resume:
        seconds["all"] = round(time.perf_counter() - began, 1)
    how = {"epochs": fitted["epochs"], "stopped": fitted["stopped"], "history": curves(done.model.history_)}
    result = _described(fit, done) | how | {"seconds": seconds, "gigaflops": round(rate, 1)} | measured
    result["warnings"] = runs.read_config(place).get("warnings", [])
    # JSON has no infinity: a fit that diverged has its result too, and says so in its warnings
    write_json(row.result(results, seed), json.loads(json.dumps(result), parse_constant=lambda name: None))
    test = result["test"]
    accuracy = f", accuracy {test['accuracy']:.4f}" if "accuracy" in test else ""
    return f"-L {test['negative_elbo']:.2f}{accuracy}"


def _described(fit: RowSeed, done: Fitted) -> dict[str, Any]:
    """Say where a result comes from: the evidence, the commit of the fit's first session, the row and its arguments."""
    row, seed = fit
    config = runs.read_config(done.place)
    return {
        **evidence(f"cpvae reproduce {row.serves[0]} --row {row.name}", config["device"]),
        "fit_commit": config["about"].get("commit") or config.get("commit"),
        "row": row.name,
        "dataset": done.data.name,
        "model": row.model,
        "seed": seed,
        "params": {**row.params, "random_state": seed},
    }


def curves(history: Sequence[Mapping[str, Any]]) -> dict[str, list[float | None]]:
    """Keep some values of a history: by name, epoch by epoch, to three decimals; None where there is no value.

    >>> curves([{"epoch": 1, "kl_c": 2.30259, "seconds": 4.1}, {"epoch": 2, "kl_c": 2.2, "seconds": 4.0}])
    {'kl_c': [2.303, 2.2], 'seconds': [4.1, 4.0]}
    >>> curves([{"train_negative_elbo": None}])  # of a fit whose c is relaxed
    {'train_negative_elbo': [None]}
    """

    def rounded(value: float | None) -> float | None:
        return None if value is None else round(value, 3)

    return {name: [rounded(one[name]) for one in history] for name in KEPT if history and name in history[0]}


def speed() -> float:
    """Time matrix products of a step on this thread: 10^9 operations a second.

    The best of a few bursts counts, in seconds of the processor, so that other work on the machine does not matter.
    """
    x, w = torch.rand(200, 784), torch.rand(784, 600)

    def burst() -> float:
        began = time.thread_time()
        for _ in range(PRODUCTS):
            x @ w
        return time.thread_time() - began

    return PRODUCTS * 2 * 200 * 784 * 600 / min(burst() for _ in range(BURSTS)) / 1e9


def agreement(row: Row, folder: Path, results: Path) -> None:
    """Write the adjusted Rand index of every two seeds' categories of the test rows.

    It says without labels how stable categories are. Nothing is written unless the runs of all seeds with results are
    at hand.
    """
    seeds = [seed for seed in range(row.seeds) if row.result(results, seed).exists()]
    paths = [folder / row.group / row.run(seed) / CATEGORIES for seed in seeds]
    if len(seeds) < 2 or not all(path.exists() for path in paths):
        return  # seeds fitted elsewhere have result files, but no categories here
    known = {seed: np.load(path) for seed, path in zip(seeds, paths, strict=True)}
    pairs = [metrics.ari(a, b) for a, b in itertools.combinations(known.values(), 2)]
    write_json(
        results / row.group / f"{row.name}-{AGREEMENT}.json",
        {
            **evidence(f"cpvae reproduce {row.serves[0]} --row {row.name}"),
            "row": row.name,
            "seeds": list(known),
            "ari": [round(pair, 5) for pair in pairs],
        },
    )
