"""Whole fits, as a newcomer waits for them: `cpvae fit` and `cpvae report`, each a command of its own.

    python benchmarks/whole.py --out results/whole.json
    python benchmarks/whole.py --before OTHER/src --out results/whole.json

Beside them stands a script that does the same with scikit-learn: it reads the file and fits k-means and a mixture of
Gaussians, each the best of 10. `--before` names the sources of another version, whose fits are made in turn with those
of this one. Seconds are of the processor, all that a process used, on one thread: Python's start is in them. The
categories are as many as the labels have, or sources were drawn; nothing else is said.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd
from processor import of_children
from sklearn.datasets import make_blobs

from cpvae.data.loaders import data_root
from cpvae.files import read_json, write_json
from cpvae.study.evidence import evidence

SKLEARN = """
import sys
import pandas as pd
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits
from sklearn.mixture import GaussianMixture
from sklearn.preprocessing import StandardScaler
source, k, label = sys.argv[1], int(sys.argv[2]), sys.argv[3]
if source == "digits":
    x = load_digits().data
else:
    table = pd.get_dummies(pd.read_csv(source).drop(columns=[label] if label else []), dtype=float)
    x = StandardScaler().fit_transform(table.fillna(table.mean()))
for model in (KMeans(k, n_init=10, random_state=0), GaussianMixture(k, n_init=10, reg_covar=1e-3, random_state=0)):
    model.fit(x).predict(x)
"""


@dataclass(frozen=True)
class Job:
    """A file, its column of labels, and the number of categories."""

    source: str
    k: int
    label: str = ""


def drawn(folder: Path, n_rows: int, n_columns: int, k: int) -> str:
    """Draw rows around k centres, and leave them as a CSV file."""
    x, _ = make_blobs(n_rows, n_columns, centers=k, cluster_std=2.0, random_state=0)
    path = folder / f"{n_rows}x{n_columns}.csv"
    pd.DataFrame(x, columns=[f"x{i}" for i in range(n_columns)]).to_csv(path, index=False)
    return str(path)


def jobs(folder: Path) -> dict[str, Job]:
    """Name the files by what they hold."""
    tables = data_root() / "field" / "tables"
    return {
        "300 rows, 3 numbers, drawn": Job(drawn(folder, 300, 3, 3), 3),
        "penguins, 344 rows, 8 columns of two kinds": Job(str(tables / "penguins.csv"), 3, "species"),
        "pbc, 418 rows, 18 columns, many cells missing": Job(str(tables / "pbc.csv"), 3, "status"),
        "5,000 rows, 20 numbers, drawn": Job(drawn(folder, 5_000, 20, 5), 5),
        "digits, 1,257 pictures of 8 x 8 pixels": Job("digits", 10),
    }


def seconds_of(command: list[str], source: str | None = None) -> float:
    """Run a command to its end on one thread, with the package in some folder, and count its seconds."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | ({"PYTHONPATH": source} if source else {})
    before = of_children()
    subprocess.run(command, check=True, capture_output=True, env=environment)
    return of_children() - before


def contestants(job: Job, run: Path, before: str | None) -> dict[str, Callable[[], float]]:
    """Name what is timed, in the order of a turn."""
    labels = ["--labels", job.label] if job.label else []
    given = [job.source, "--components", str(job.k), "--seed", "0", *labels, "--out", str(run)]
    cpvae = [sys.executable, "-m", "cpvae"]

    def fit(source: str | None = None) -> float:
        shutil.rmtree(run, ignore_errors=True)
        return seconds_of([*cpvae, "fit", *given], source)

    others = {} if before is None else {"before": partial(fit, before)}
    return {
        "scikit-learn": lambda: seconds_of([sys.executable, "-c", SKLEARN, job.source, str(job.k), job.label]),
        **others,
        "fit": fit,
        "report": lambda: seconds_of([*cpvae, "report", str(run)]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--before", help="sources of another version")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    found = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for name, job in jobs(folder).items():
            timed = contestants(job, folder / "run", args.before)
            turns = [{what: work() for what, work in timed.items()} for _ in range(args.rounds)]
            metrics = read_json(folder / "run" / "metrics.json", "metrics", "fit again")
            found[name] = {
                "n_components": job.k,
                "seconds": {what: round(statistics.median(turn[what] for turn in turns), 2) for what in timed},
                "start_seconds": metrics["start_seconds"],
                "training_seconds": metrics["training_seconds"],
                "epochs": metrics["epochs"],
            }
            print(name, found[name], flush=True)
    write_json(args.out, {**evidence(), "rounds": args.rounds, "fits": found})


if __name__ == "__main__":
    main()
