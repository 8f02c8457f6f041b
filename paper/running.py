"""Fits of rows, side by side: each in a run folder, so that it goes on where it was stopped, each with a result file.

What has its result file is not fitted again.
"""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import joblib
import numpy as np
import torch

from cpvae.errors import InputError
from cpvae.estimators.zoo import load
from cpvae.files import write_json
from cpvae.fitting import runs
from cpvae.fitting.jobs import here, one_thread, unordered
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


class Job(NamedTuple):
    """One seed of a row."""

    row: Row
    seed: int

    @property
    def name(self) -> str:
        """Of its run folder and its result file."""
        return self.row.run(self.seed)


def missing(rows: Sequence[Row], results: Path) -> list[Job]:
    """What has no result file yet: one seed of all rows after the other."""
    return [
        Job(row, seed)
        for seed in range(max((row.seeds for row in rows), default=0))
        for row in rows
        if seed < row.seeds and not row.result(results, seed).exists()
    ]


def reproduce(
    jobs: Sequence[Job],
    folder: Path,
    results: Path,
    *,
    n_jobs: int | None = None,
    progress: Callable[[str], None] = lambda text: None,
) -> None:
    """Fit, measure, and write the result files.

    Args:
        folder: of the run folders; interrupted ones are resumed.
        results: of the result files.
        n_jobs: fits side by side, one thread each; None is one for each core, and one where there is a GPU.

    Raises:
        InputError: as `cpvae fit`.
    """
    if not jobs:
        return
    for dataset in dict.fromkeys(job.row.dataset for job in jobs):
        load_data(dataset, None, progress)  # fetched once, and refused before any work
    tasks = (here(attempt)(job, folder, results) for job in jobs)
    n_jobs = min(side_by_side(n_jobs), len(jobs))
    refused = []
    advice = "what is finished has its result; say the same again with fewer --jobs to go on"
    for done, (said, well) in enumerate(unordered(tasks, n_jobs, "a fit", advice), 1):
        progress(f"{done}/{len(jobs)} {said}")
        refused += [] if well else [said]
    if refused:
        raise InputError(
            f"{len(refused)} of {len(jobs)} fits were refused, the others are done; the first: {refused[0]}"
        )


def side_by_side(n_jobs: int | None) -> int:
    """How many fits at a time: as asked, else one for each core, and one where there is a GPU."""
    return n_jobs or (1 if torch.cuda.is_available() else joblib.effective_n_jobs(-1))


def attempt(job: Job, folder: Path, results: Path) -> tuple[str, bool]:
    """`run`, and whether it went well: one fit that is refused does not hold up the others."""
    try:
        return run(job, folder, results), True
    except InputError as error:
        return f"{job.name}: {error}", False


def run(job: Job, folder: Path, results: Path) -> str:
    """One fit and its result file; returns a line that says how it went."""
    row, seed = job
    place = folder / row.group / job.name
    began = time.perf_counter()
    with one_thread(), known(), warnings.catch_warnings(record=True):  # they are kept with the run
        rate = speed()
        data = load_data(row.dataset, None, None)
        params = {**row.params, "random_state": seed}
        name = estimator_name(row.model, row.params)
        asked = {
            **make_estimator(name, {}).get_params(),
            **params,
        }  # what is not said is as by default, resumed too
        resume = (place / runs.CONFIG).exists()
        about = {"commit": commit()}
        fitted = fit_run(data, row.dataset, None, name, asked, place, resume, quiet=True, about=about).figures
        picture = row.result(results, seed).with_suffix(".npz") if seed == 0 else None
        fit = Fitted(load(place), data, place, row.serves, picture)
        measured: dict[str, Any] = {}
        for measure in MEASURES[row.group]:
            measured |= measure(fit)
        config = runs.read_config(place)
        seconds = {"start": fitted["start_seconds"], "training": fitted["training_seconds"]}
        if not resume:
            seconds["all"] = round(time.perf_counter() - began, 1)
        result = {
            **evidence(f"cpvae reproduce {row.serves[0]} --row {row.name}", config["device"]),
            "fit_commit": config["about"].get("commit") or config.get("commit"),  # of its first session
            "row": row.name,
            "dataset": data.name,
            "model": row.model,
            "seed": seed,
            "params": params,
            "epochs": fitted["epochs"],
            "stopped": fitted["stopped"],
            "history": curves(fit.model.history_),
            "seconds": seconds,
            "gigaflops": round(rate, 1),
            **measured,
            "warnings": config.get("warnings", []),
        }
    # JSON has no infinity: a fit that diverged has its result too, and says so in its warnings
    write_json(row.result(results, seed), json.loads(json.dumps(result), parse_constant=lambda name: None))
    test = result["test"]
    accuracy = f", accuracy {test['accuracy']:.4f}" if "accuracy" in test else ""
    return f"{job.name}: -L {test['negative_elbo']:.2f}{accuracy}"


def curves(history: Sequence[Mapping[str, Any]]) -> dict[str, list[float | None]]:
    """What is kept of a history: by name, its values epoch by epoch, to three decimals; None where there were none.

    >>> curves([{"epoch": 1, "kl_c": 2.30259, "seconds": 4.1}, {"epoch": 2, "kl_c": 2.2, "seconds": 4.0}])
    {'kl_c': [2.303, 2.2], 'seconds': [4.1, 4.0]}
    >>> curves([{"train_negative_elbo": None}])  # of a fit whose c is relaxed
    {'train_negative_elbo': [None]}
    """

    def rounded(value: float | None) -> float | None:
        return None if value is None else round(value, 3)

    return {name: [rounded(one[name]) for one in history] for name in KEPT if history and name in history[0]}


def speed() -> float:
    """Matrix products of a step, done now on this thread: 10^9 operations a second.

    The best of a few bursts, in seconds of the processor: what else the machine does at this moment says nothing.
    """
    x, w = torch.rand(200, 784), torch.rand(784, 600)

    def burst() -> float:
        began = time.thread_time()
        for _ in range(PRODUCTS):
            x @ w
        return time.thread_time() - began

    return PRODUCTS * 2 * 200 * 784 * 600 / min(burst() for _ in range(BURSTS)) / 1e9


def agreement(row: Row, folder: Path, results: Path) -> None:
    """The adjusted Rand index of every two seeds' categories of the test rows: how stable they are, without labels.

    Written when the runs of all seeds with results are at hand.
    """
    seeds = [seed for seed in range(row.seeds) if row.result(results, seed).exists()]
    paths = [folder / row.group / row.run(seed) / CATEGORIES for seed in seeds]
    if len(seeds) < 2 or not all(path.exists() for path in paths):
        return  # of seeds fitted elsewhere the result file is known, their categories are not
    known = {seed: np.load(path) for seed, path in zip(seeds, paths, strict=True)}
    pairs = [metrics.ari(a, b) for a, b in combinations(known.values(), 2)]
    write_json(
        results / row.group / f"{row.name}-{AGREEMENT}.json",
        {
            **evidence(f"cpvae reproduce {row.serves[0]} --row {row.name}"),
            "row": row.name,
            "seeds": list(known),
            "ari": [round(pair, 5) for pair in pairs],
        },
    )
