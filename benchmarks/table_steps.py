"""One training step of each method of Table 1: MNIST, batches of 200, products in bfloat16, one thread.

    python benchmarks/table_steps.py --out results/table_steps.json

The methods take turns: in each round every method makes the same number of steps. The medians over rounds are kept,
without the first round. The fits of the table ran beside other work, so their own times cannot be compared. The page of
the reproduction takes the time of a fit from here: epochs times the time of a step.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from cpvae.data.loaders import load
from cpvae.data.rows import Rows
from cpvae.files import write_json
from cpvae.fitting.devices.memory import keep_freed
from cpvae.fitting.loop import train
from cpvae.fitting.settings import Settings
from cpvae.probability.likelihoods.bernoulli import Bernoulli
from cpvae.probability.objectives import Bound
from cpvae.study.evidence import evidence
from cpvae.study.inputs import make_estimator
from paper.rows import LONG, Row, read_rows

BATCH, PRECISION = 200, "bfloat16"
EXPERIMENTS = Path(__file__).parents[1] / "experiments"
# All that a row here may say:
PLAIN = {"n_components", "max_epochs", "precision", "expectation", "consistency", "covariance_type", "start_weight"}


def timed(row: Row) -> bool:
    """Tell whether a row has the recipe of the table, and is not one that was trained longer."""
    table = row.group == "table1" or row.params.get("covariance_type") == "full"
    return table and row.dataset == "mnist" and set(row.params) <= PLAIN and not row.name.endswith(LONG)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    keep_freed()  # as the command line does
    torch.set_num_threads(1)
    x = np.asarray(load("mnist").splits["train"].x).reshape(-1, 784)[: BATCH * args.steps]
    likelihood = Bernoulli(784, 255.0)
    rows, valid = Rows(x), likelihood.fixed(Rows(x[:2]))
    settings = Settings(max_epochs=1, batch_size=BATCH, precision=PRECISION)
    models = {}
    for row in filter(timed, read_rows(EXPERIMENTS)):
        estimator = make_estimator(row.model, dict(row.params))
        models[row.name] = (estimator._module(likelihood), estimator._expectation(1))
    seconds: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(args.rounds + 1):
        for name, (model, expectation) in models.items():
            record = train(model, rows, valid, Bound(expectation), settings).history[0]
            seconds[name].append(record.seconds / args.steps)
    milliseconds = {name: round(1000 * float(np.median(values[1:])), 3) for name, values in seconds.items()}
    measured = {"batch": BATCH, "precision": PRECISION, "steps": args.steps, "rounds": args.rounds}
    write_json(args.out, {**evidence(), **measured, "milliseconds_a_step": milliseconds})
    for name, value in milliseconds.items():
        print(f"{name:28} {value:7.2f} ms  {value / milliseconds['mnist-vae']:5.2f}")


if __name__ == "__main__":
    main()
