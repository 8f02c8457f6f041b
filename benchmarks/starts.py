"""The start of CP-VAE: its accuracy alone, before the model is trained.

    python benchmarks/starts.py --data mnist --out results/clusters/starts/mnist.json

The start has its defaults and sees all rows of the fit. Its one-to-one accuracy is measured on the same rows. Labels
serve nothing else. `--data` takes `mnist` (all 50,000 training rows) or a set of `benchmarks/clusters.py`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from clusters import ROWS, Task, task

from cpvae import CPVAE
from cpvae.files import write_json
from cpvae.fitting.starts.task import Start
from cpvae.fitting.starts.task import Task as Asked
from cpvae.fitting.starts.ways import Way
from cpvae.study import metrics
from cpvae.study.evidence import evidence


class Found(Exception):
    """The end of a fit that has found its start, with the rows and their categories: a fit that fails keeps nothing."""


@dataclass(frozen=True)
class Told:
    """A start that tells its categories, and the rows ``(n,)`` that have them, before they are used."""

    start: Start
    told: Callable[[np.ndarray, np.ndarray], None]

    @property
    def way(self) -> Way:
        return self.start.way

    def epochs(self, task: Asked) -> int:
        return self.start.epochs(task)

    def __call__(self, task: Asked) -> torch.Tensor | None:
        categories = self.start(task)
        if categories is not None:
            index = task.rows.index
            rows = np.arange(len(task.rows)) if index is None else index.numpy(force=True)
            self.told(rows, categories.numpy(force=True).astype(np.int64))
        return categories


class WithStart(CPVAE):
    """CP-VAE that keeps the categories of its start, and the training rows ``(n,)`` that have them."""

    start_rows_: np.ndarray | None = None
    start_categories_: np.ndarray | None = None

    def _start(self) -> Start:
        return Told(super()._start(), self._keep_start)

    def _keep_start(self, rows: np.ndarray, categories: np.ndarray) -> None:
        self.start_rows_, self.start_categories_ = rows, categories


class StartAlone(WithStart):
    """CP-VAE whose fit ends with its start."""

    def _keep_start(self, rows: np.ndarray, categories: np.ndarray) -> None:
        raise Found(rows, categories)


def categories(given: Task, k: int, seed: int) -> np.ndarray:
    """Find the start's category of each row of the fit."""
    model = StartAlone(k, likelihood=given.likelihood, random_state=seed)
    try:
        model.fit(given.train, X_valid=given.train)  # no row is spared for validation
    except Found as found:
        return np.asarray(found.args[1])
    raise AssertionError("the start was not asked for")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    given, runs = task(args.data, None if args.data == "mnist" else ROWS), []
    k = len(np.unique(given.train_labels))
    for seed in range(args.seeds):
        began = time.perf_counter()
        found = categories(given, k, seed)
        accuracy = metrics.accuracy_hungarian(given.train_labels, found)
        seconds = round(time.perf_counter() - began, 1)
        runs.append({"seed": seed, "accuracy": accuracy, "seconds": seconds})
        print(f"{args.data} seed {seed}  {accuracy:.4f}  {seconds:.1f} s", flush=True)
    write_json(
        args.out, {**evidence(), "dataset": args.data, "n_components": k, "train": len(given.train), "runs": runs}
    )


if __name__ == "__main__":
    main()
