"""Bound against seconds for the two presets, over seeds: how soon does one reach the last bound of the other?

    python benchmarks/time_to_quality.py mnist --preset paper --seed 0 --run runs/curves --out results/time_to_quality

It fits on one thread with the options given, and keeps the curve: the validation bound after each epoch, and the
seconds of this thread's processor time, which other work on the machine does not change. With --test, the bound on test
rows is evaluated once, for the kept weights. A stopped run leaves its curve so far and says so. The same command
continues it.
"""

from __future__ import annotations

import argparse
import json
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from cpvae.data.loaders import load
from cpvae.estimators.zoo import ESTIMATORS
from cpvae.files import write_json
from cpvae.fitting.devices.memory import keep_freed
from cpvae.fitting.progress import Terminal
from cpvae.fitting.records import EpochRecord, Interrupted
from cpvae.study.evaluation import evaluate_model
from cpvae.study.evidence import evidence


class Clock(Terminal):
    """A file with the processor time at each epoch, so that a resumed run goes on counting."""

    def __init__(self, path: Path):
        super().__init__()
        self.path = path
        self.curve: list[list[float]] = json.loads(path.read_text()) if path.exists() else []
        self.fitting = False
        self.began = time.thread_time()

    def phase(self, title: str, n_epochs: int) -> None:
        super().phase(title, n_epochs)
        self.fitting = title.startswith("fitting")

    def epoch(self, record: EpochRecord) -> None:
        super().epoch(record)
        if not self.fitting:
            return
        kept = [point for point in self.curve if point[0] < record.epoch]
        before = kept[-1][1] if kept else 0.0
        self.curve = [*kept, [record.epoch, before + time.thread_time() - self.began, record.valid_negative_elbo]]
        self.began = time.thread_time()
        write_json(self.path, self.curve)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset")
    parser.add_argument("--model", default="vae")
    parser.add_argument("--preset", default="fast")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--epochs", type=int, default=None)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--test", action="store_true", help="evaluate the test rows at the end")
    parser.add_argument("--run", type=Path, required=True, help="folder of the runs; an interrupted one is resumed")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    args = parser.parse_args()
    keep_freed()  # as the command line does
    torch.set_num_threads(1)
    data = load(args.dataset)
    x, valid = data.splits["train"].x, data.splits["valid"].x
    name = f"{args.dataset}-{args.model}-{args.preset}-{args.precision}-seed{args.seed}"
    folder = args.run / name
    folder.mkdir(parents=True, exist_ok=True)
    clock = Clock(args.run / f"{name}.curve.json")
    params: dict[str, Any] = {"preset": args.preset, "precision": args.precision, "max_epochs": args.epochs}
    model = ESTIMATORS[args.model](random_state=args.seed, device="cpu", **params)
    stopped = "interrupted"
    with suppress(Interrupted):
        model.fit(x, X_valid=valid, out=folder, resume=True, reporter=clock)
        stopped = model.stopped_
    result = {
        **evidence(),
        "dataset": args.dataset,
        "model": args.model,
        "preset": args.preset,
        "precision": args.precision,
        "seed": args.seed,
        "stopped": stopped,
        "best_valid_negative_elbo": min(point[2] for point in clock.curve),
        "curve": {"epoch": [p[0] for p in clock.curve], "seconds": [p[1] for p in clock.curve]}
        | {"valid_negative_elbo": [p[2] for p in clock.curve]},
    }
    if args.test and stopped != "interrupted":
        bounds = evaluate_model(model, data, "test")
        result["test"] = {key: value for key, value in bounds.items() if isinstance(value, (int, float, str))}
    write_json(args.out / f"{name}.json", result)


if __name__ == "__main__":
    main()
