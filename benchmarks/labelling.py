"""Categories of many rows: rows a second beside scikit-learn's GaussianMixture, and the memory of `cpvae cluster`.

    python benchmarks/labelling.py --out results/labelling.json

The rows are those of `benchmarks/memory.py`: 20 float32 columns drawn from five Gaussians. Both models have the same K
and are fitted to the same rows, for a moment, because how good they are does not change the time of an answer. The two
answer in turns; times are of the processor, on one thread, the least of several turns.

Memory is that of the command, from Parquet files of 100,000 rows to one Parquet file. It is watched from another
process, as in `benchmarks/memory.py`, on Linux only.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from memory import CATEGORIES, FEATURES, watched, write
from processor import of_children
from sklearn.mixture import GaussianMixture

from cpvae import CPVAE
from cpvae.errors import FitWarning
from cpvae.files import write_json
from cpvae.study.evidence import evidence

FITTED = 20_000
SIZES: dict[str, dict[str, Any]] = {
    "the network as it comes": {"rows": 10_000},
    "a small network": {"rows": 100_000, "latent_dim": 4, "hidden": (32,)},
}


def fitted(x: np.ndarray, **size: Any) -> CPVAE:
    """Fit a model for a moment."""
    return CPVAE(CATEGORIES, init="random", max_epochs=1, batch_size=1000, random_state=0, **size).fit(x[:FITTED])


def contest(x: np.ndarray, rounds: int, rows: int, **size: Any) -> dict[str, Any]:
    """Let both models answer for the same rows, in turns; give rows a second of each."""
    models = {
        "cpvae": fitted(x, **size),
        "GaussianMixture": GaussianMixture(CATEGORIES, random_state=0).fit(x[:FITTED]),
    }
    least = dict.fromkeys(models, float("inf"))
    for _ in range(rounds):
        for name, model in models.items():
            began = time.process_time()
            model.predict_proba(x[:rows])
            least[name] = min(least[name], time.process_time() - began)
    return {"rows": rows, **size, "rows_a_second": {name: rows / seconds for name, seconds in least.items()}}


def command(folder: Path, n: int) -> dict[str, Any]:
    """Answer for n rows by the command; give its memory, and its seconds of the processor."""
    parts = write(folder, n)["parquet"]
    fitted(np.load(folder / "rows.npy", mmap_mode="r"), latent_dim=4, hidden=(32,)).save(folder / "model")
    before = of_children()
    words = ["-m", "cpvae", "cluster", str(folder / "model"), str(parts), "--out", str(folder / "labels.parquet")]
    found, _ = watched(words, folder / "cache")
    return {"rows": n, "data_bytes": 4 * n * FEATURES, **found, "cpu_seconds": of_children() - before}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000, 10_000_000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", FitWarning)
    commands, contests = [], {}
    for n in args.rows:
        folder = Path(tempfile.mkdtemp(prefix="cpvae-labelling-"))
        try:
            commands.append(command(folder, n))
            if n == args.rows[0]:
                x = np.load(folder / "rows.npy")
                contests = {name: contest(x, args.rounds, **size) for name, size in SIZES.items()}
        finally:
            shutil.rmtree(folder)
        own = commands[-1]["peak_anonymous_bytes"] / 1e6
        print(f"{n:>12,} rows, own {own:7.0f} MB, {commands[-1]['cpu_seconds']:.0f} s")
    for name, one in contests.items():
        print(name, {side: f"{rate:,.0f} rows a second" for side, rate in one["rows_a_second"].items()})
    settings = {"K": CATEGORIES, "features": FEATURES, "dtype": "float32"}
    write_json(args.out, {**evidence(), "rounds": args.rounds, **settings, "contests": contests, "commands": commands})


if __name__ == "__main__":
    main()
