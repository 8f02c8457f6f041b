"""The time of an epoch with one, two and four processes that train together, for small and large batches.

    python benchmarks/processes.py --out results/processes.json

torchrun starts the processes on this machine, each on one thread. They train the same model on the same rows, which are
noise, because cost does not depend on the bits. The numbers of processes take turns, and each time is the least of
several turns and epochs, for beside other work a single time says little. The turns of an earlier result count, too.
Seconds of the processor are those of the busiest process; they show what the processes cost each other where there are
fewer cores than processes. Only ratios to one process are meant to be told.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cpvae.data.rows import Rows
from cpvae.files import read_json, write_json
from cpvae.fitting.devices.memory import keep_freed
from cpvae.fitting.devices.waiting import wait_asleep
from cpvae.fitting.devices.world import world
from cpvae.fitting.loop import train
from cpvae.fitting.records import EpochRecord
from cpvae.fitting.settings import Settings
from cpvae.probability import recipes
from cpvae.probability.expectations import Exact
from cpvae.probability.likelihoods.bernoulli import Bernoulli
from cpvae.probability.objectives import Bound
from cpvae.study.evidence import evidence

FEATURES, K, LATENT, ROWS, EPOCHS = 200, 10, 10, 10_000, 2
BATCHES, PROCESSES = (200, 1000, 10_000), (1, 2, 4)


def epochs(batch: int) -> dict[str, float]:
    """Train for some epochs; give the least seconds of one: of the clock, and of the busiest processor."""
    torch.manual_seed(0)
    x = (np.random.RandomState(0).rand(ROWS, FEATURES) < 0.2).astype(np.uint8)
    model = recipes.cpvae(Bernoulli(FEATURES, drawn=False), K, LATENT)
    valid = model.likelihood.fixed(Rows(x[:2]))
    busy = [time.process_time()]

    def ended(record: EpochRecord) -> None:
        busy.append(time.process_time())

    settings = Settings(max_epochs=EPOCHS, batch_size=batch)
    outcome = train(model, Rows(x), valid, Bound(Exact()), settings, on_epoch=ended, stop=lambda: False)
    own = torch.zeros(world().size, dtype=torch.float64)
    own[world().rank] = np.diff(busy).min()
    world().sum(own)
    seconds = min(record.seconds for record in outcome.history)
    return {
        "seconds": seconds,
        "cpu_seconds": float(own.max()),
        "weights": sum(one.numel() for one in model.parameters()),
    }


def child(place: Path) -> None:
    """Be one of the processes, and write what the first of them finds."""
    keep_freed()
    wait_asleep()
    torch.set_num_threads(1)
    found = {str(batch): epochs(batch) for batch in BATCHES}
    if world().is_main:
        place.write_text(json.dumps(found))


def turn(n: int) -> dict[str, dict[str, float]]:
    """Have n processes train; give the times for each batch."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "found.json"
        words = [
            "-m",
            "torch.distributed.run",
            "--standalone",
            f"--nproc-per-node={n}",
            __file__,
            "--child",
            str(place),
        ]
        subprocess.run([sys.executable, *words], check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
        found: dict[str, dict[str, float]] = json.loads(place.read_text())
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--child", type=Path)
    args = parser.parse_args()
    if args.child is not None:
        child(args.child)
        return
    torch.set_num_threads(1)
    least: dict[int, dict[str, dict[str, float]]] = {}
    rounds = args.rounds
    if args.out.exists():
        before = read_json(args.out, "a result", "give another --out")
        rounds += before["rounds"]
        for one in before["lines"]:
            least.setdefault(one["processes"], {})[str(one["batch"])] = one["epoch"]
    for _ in range(args.rounds):
        for n in PROCESSES:
            found = turn(n)
            old = least.get(n, found)
            least[n] = {b: {k: min(v, old[b][k]) for k, v in one.items()} for b, one in found.items()}
            print(
                n, {b: f"{one['seconds']:.2f} s, {one['cpu_seconds']:.2f} cpu" for b, one in found.items()}, flush=True
            )
    lines: list[dict[str, Any]] = [
        {
            "batch": batch,
            "processes": n,
            "epoch": least[n][str(batch)],
            "times_as_fast": least[1][str(batch)]["seconds"] / least[n][str(batch)]["seconds"],
            "times_less_processor": least[1][str(batch)]["cpu_seconds"] / least[n][str(batch)]["cpu_seconds"],
        }
        for batch in BATCHES
        for n in PROCESSES
    ]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    settings = {"rows": ROWS, "features": FEATURES, "K": K, "latent_dim": LATENT, "seed": 0, "cores": cores}
    write_json(args.out, {**evidence(), "rounds": rounds, **settings, "lines": lines})


if __name__ == "__main__":
    main()
