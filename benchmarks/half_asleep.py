"""Reverse half-asleep: does an encoder gain by rows that its own model draws, at the end of a fit?

    python benchmarks/half_asleep.py runs/mnist-seed0 --out results/half_asleep.json
    python benchmarks/render.py    # docs/bound.md, from the file

An encoder that knows its training rows by heart gives worse posteriors for other rows. The model can draw as many rows
as one likes (Zhang, Hayes and Barber, 2022). The encoder of a finished fit of MNIST is trained on, while decoder and
prior stay: on training rows alone, or with drawn rows as half of a step. Validation rows judge. No test row is read.
"""

from __future__ import annotations

import argparse
import copy
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cpvae import load
from cpvae.data.loaders import load as load_data
from cpvae.data.rows import Rows
from cpvae.files import write_json
from cpvae.nn.draws import seeded
from cpvae.probability.expectations import SumAndSample
from cpvae.probability.objectives import Batch, Bound
from cpvae.study import markdown
from cpvae.study.evidence import evidence

BATCH, RATE = 200, 5e-4
DRAWN = {"training rows": 0, "training rows and drawn rows": BATCH // 2}  # of the rows in a step


def trained_on(estimator: Any, x: np.ndarray, n_steps: int, n_drawn: int, seed: int) -> Any:
    """Train the encoder of a copy of an estimator on rows ``(n, features)``; of each step it draws `n_drawn` itself."""
    same = copy.deepcopy(estimator)
    model, rows = same.model_, Rows(x)
    optimiser = torch.optim.Adam(model.posterior.parameters(), RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, n_steps)
    bound, likelihood = Bound(SumAndSample()), model.likelihood
    random = np.random.RandomState(seed)
    with torch.inference_mode(False), torch.enable_grad(), seeded(seed):
        for step in range(n_steps):
            y = likelihood.to_model(rows.take(torch.from_numpy(random.randint(len(x), size=BATCH - n_drawn))))
            if n_drawn:
                own, _ = same.sample(n_drawn, mean=True, random_state=random.randint(2**31 - 1))
                y = torch.cat([y, likelihood.to_model(torch.from_numpy(own.reshape(n_drawn, -1)))])
            y = likelihood.draw(y)
            losses, _ = bound(model, Batch(y, y), torch.tensor(float(step)))
            optimiser.zero_grad()
            losses.mean().backward()
            optimiser.step()
            schedule.step()
    return same


def table(result: dict[str, Any]) -> str:
    """Tabulate the bounds of a fit, and those after its encoder was trained on."""
    head = ("encoder", "validation rows", "training rows")
    rows = []
    for name, one in result["bounds"].items():
        bounds = [f"{one[f'{part}_negative_elbo']:.2f}" for part in ("valid", "train")]
        rows.append((name if name == "the fit" else f"trained on, {name}", *bounds))
    said = f"-L in nats, decoder and prior as in the fit, {result['steps']:,} steps"
    return f"{markdown.table(head, rows)}\n{said}: [half_asleep]({{}}/half_asleep.json)."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    splits = load_data("mnist").splits
    train, valid = np.asarray(splits["train"].x), np.asarray(splits["valid"].x)
    fit = load(args.run)

    def judged(estimator: Any) -> dict[str, float]:
        parts = {"train": train[: len(valid)], "valid": valid}
        return {f"{name}_negative_elbo": round(-float(estimator.score(x)), 3) for name, x in parts.items()}

    found: dict[str, Any] = {"the fit": judged(fit)}
    for name, n_drawn in DRAWN.items():
        began = time.perf_counter()
        same = trained_on(fit, train, args.steps, n_drawn, args.seed)
        found[name] = {**judged(same), "seconds": round(time.perf_counter() - began, 1)}
        print(name, found[name], flush=True)
    write_json(args.out, {**evidence(), "seed": args.seed, "steps": args.steps, "bounds": found})


if __name__ == "__main__":
    main()
