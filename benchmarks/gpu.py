"""Measure a GPU with this library: steps of every model, whole fits, and restarts, within minutes.

    python benchmarks/gpu.py --out results/gpu.jsonl                 # on the card, ten minutes at most
    python benchmarks/gpu.py --device cpu --small --out gpu.jsonl    # a rehearsal without one

The parts, each line of the file being one measurement with its evidence, written as soon as it is made:

- step: seconds a step of each model, in batches of 100, 1,000 and 10,000 rows of MNIST, with products in float32 and in
  bfloat16. Of several epochs the median counts without the first, in which a CUDA device records the step as a graph.
- fit: 100 epochs of MNIST, start and validation included, and the bound that they reach on the test rows.
- restarts: one fit, and ten of other seeds by ``n_init=10``.

A measurement that is in the file already is not made again. None begins after `--minutes`. A failure of one is told in
its line, and the others go on. Table 1 is made by ``cpvae reproduce table1 --budget MINUTES``, on the card, too.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cpvae import CPVAE, VAE
from cpvae.data.loaders import load
from cpvae.data.rows import Rows
from cpvae.fitting.devices.device import find
from cpvae.fitting.loop import train
from cpvae.fitting.settings import Settings
from cpvae.nn.products import PRECISIONS
from cpvae.probability import recipes
from cpvae.probability.expectations import Exact, Expectation, SumAndSample
from cpvae.probability.likelihoods.bernoulli import Bernoulli
from cpvae.probability.objectives import Bound
from cpvae.study.evidence import evidence

MODELS: dict[str, tuple[Callable[[Bernoulli], Any], Expectation]] = {
    "VAE": (recipes.vae, Exact()),
    "MG K=10": (lambda one: recipes.mog(one, 10), Exact()),
    "VP K=500": (lambda one: recipes.vamp(one, 500), Exact()),
    "CP-VAE K=10, exact": (lambda one: recipes.cpvae(one, 10), Exact()),
    "CP-VAE K=10": (lambda one: recipes.cpvae(one, 10), SumAndSample()),
    "CP-VAE K=500": (lambda one: recipes.cpvae(one, 500), SumAndSample()),
    "HVAE": (recipes.hvae, Exact()),
    "HVP K=500": (lambda one: recipes.hvae_vamp(one, 500), Exact()),
}
BATCHES: tuple[int, ...] = (100, 1000, 10_000)
MOST_STEPS = 200  # of an epoch that is timed
EPOCHS = 4  # of which the first is not counted
Measure = Callable[[], dict[str, Any]]


def step(x: np.ndarray, name: str, batch: int, precision: str, device: torch.device) -> dict[str, Any]:
    """Time the steps of a model in the library's own loop."""
    recipe, expectation = MODELS[name]
    x = x.reshape(len(x), -1)
    rows = Rows(x[: batch * min(MOST_STEPS, len(x) // batch)], device=device)
    torch.manual_seed(0)
    likelihood = Bernoulli(x.shape[1], 255.0)
    model = recipe(likelihood).to(device)
    settings = Settings(max_epochs=EPOCHS, batch_size=batch, precision=precision)
    history = train(model, rows, likelihood.fixed(rows.at(np.arange(2))), Bound(expectation), settings).history
    seconds = float(np.median([one.seconds for one in history[1:]])) / settings.steps(len(rows))
    bounds = [history[0].train_negative_elbo, history[-1].train_negative_elbo]
    return {"milliseconds_a_step": 1000.0 * seconds, "negative_bound_first_and_last": bounds}


def fit(x: np.ndarray, test: np.ndarray, model: VAE | CPVAE) -> dict[str, Any]:
    """Time a whole fit, and judge it on rows that it has not seen."""
    began = time.perf_counter()
    model.fit(x)
    seconds = time.perf_counter() - began
    return {
        "seconds": seconds,
        "start_seconds": model.start_seconds_,
        "epochs": model.n_iter_,
        "negative_bound": -float(model.score(test)),
    }


def measurements(device: torch.device, small: bool) -> Iterator[tuple[str, Measure]]:
    """List what is measured, the most telling first."""
    splits = load("mnist").splits
    x, test = np.asarray(splits["train"].x), np.asarray(splits["test"].x)
    batches, epochs = BATCHES, 100
    if small:
        x, test, batches, epochs = x[:400], test[:100], (100,), 2
    common: dict[str, Any] = {"likelihood": "bernoulli", "device": str(device), "random_state": 0}
    for precision in PRECISIONS:
        for batch in batches[:2]:
            settings = {**common, "max_epochs": epochs, "batch_size": batch, "precision": precision}
            yield (
                f"fit: VAE, {epochs} epochs, batch {batch}, {precision}",
                partial(fit, x, test, VAE(**settings)),
            )
    for precision in PRECISIONS:
        for name in MODELS:
            for batch in batches:
                yield (
                    f"step: {name}, batch {batch}, {precision}",
                    partial(step, x, name, batch, precision, device),
                )
    for n_init in (1, 10):
        settings = {**common, "max_epochs": epochs // 5 or 1, "batch_size": batches[-1] // 10, "init": "kmeans"}
        yield (
            f"restarts: CP-VAE K=10, n_init={n_init}",
            partial(fit, x, test, CPVAE(10, n_init=n_init, **settings)),
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--minutes", type=float, default=9.0, help="after which no measurement begins")
    parser.add_argument("--small", action="store_true", help="few rows and epochs: a rehearsal")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    device, began = find(args.device), time.monotonic()
    lines = args.out.read_text("utf-8").splitlines() if args.out.exists() else []
    known = {line["what"] for line in map(json.loads, lines) if "failed" not in line}
    args.out.parent.mkdir(parents=True, exist_ok=True)
    with args.out.open("a", encoding="utf-8") as file:
        for what, measure in measurements(device, args.small):
            if what in known:
                continue
            if time.monotonic() - began > 60.0 * args.minutes:
                print(f"{args.minutes:g} minutes are over; run again for what is left")
                break
            try:
                found = measure()
            except Exception as error:  # of the card or its libraries: the other measurements do not depend on it
                found = {"failed": f"{type(error).__name__}: {str(error).splitlines()[0]}"}
            line = {"what": what, **found, "seed": 0, "small": args.small, **evidence(device=str(device))}
            file.write(json.dumps(line) + "\n")
            file.flush()
            print(what, {name: value for name, value in found.items() if name != "start_seconds"}, flush=True)


if __name__ == "__main__":
    main()
