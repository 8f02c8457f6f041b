"""One training step of each model, beside pythae, a plain PyTorch loop, and the machine's own limit, in one run.

    python benchmarks/step.py --out results/step.json

All sides train the paper's network on rows of MNIST, in batches of 100, with pixels drawn anew each step and Adam at
the same learning rate. They take turns: in each round every contestant makes the same number of steps. Ratios are of
medians over rounds.

- The peers live in a process that has never seen this library. Its way with freed memory would make them faster.
- The plain loop is written by hand: gated layers from two linear ones, `torch.bernoulli`, the closed-form KL, fused
  Adam.
- pythae (an optional extra, `pip install 'cpvae[benchmarks]'`) has the same encoder, decoder and draw of the pixels.
  Its steps are those of its own trainer.
- The limit is the time of the matrix products of the VAE's step alone, by `torch.mm` and by this library's product.

Each side must end with a lower bound than it began with, or the benchmark stops.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peers import Loss, Plain, pythae
from torch.nn import functional as F

from cpvae.data.loaders import load
from cpvae.data.rows import Rows
from cpvae.files import write_json
from cpvae.fitting.devices.memory import keep_freed
from cpvae.fitting.loop import train
from cpvae.fitting.schedules import constant
from cpvae.fitting.settings import Settings
from cpvae.nn.products import prefers_onednn, product
from cpvae.probability import recipes
from cpvae.probability.expectations import Exact, Expectation, StraightThrough, SumAndSample
from cpvae.probability.likelihoods.bernoulli import Bernoulli
from cpvae.probability.objectives import Bound
from cpvae.study.evidence import evidence

BATCH, RATE = 100, 1e-3
NOTE = (
    "The plain loop and pythae run in a process without the allocator setting that cpvae makes on the command line; it "
    "would make them faster."
)
Round = Callable[[int], tuple[float, float]]  # steps -> seconds a step, negative bound at the end


def batch(x: torch.Tensor) -> torch.Tensor:
    return torch.bernoulli(x[torch.randint(len(x), (BATCH,))].float() / 255)


def by_hand(x: torch.Tensor, parameters: Any, loss_of: Loss) -> Round:
    """Make Adam steps on a loss, and time each."""
    optimizer = torch.optim.Adam(parameters, lr=RATE, fused=True)

    def steps(n: int) -> tuple[float, float]:
        seconds = []
        for _ in range(n):
            began = time.perf_counter()
            loss = loss_of(batch(x))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            seconds.append(time.perf_counter() - began)
        return float(np.median(seconds)), float(loss.detach())

    return steps


def plain(x: torch.Tensor) -> Round:
    model = Plain()
    return by_hand(x, model.parameters(), model)


def peer(x: torch.Tensor, components: int = 0) -> Round | None:
    """Make pythae's model with so many pseudo-inputs; None where pythae is not installed."""
    model = pythae(components)
    return None if model is None else by_hand(x, model.parameters(), lambda y: model({"data": y}).loss)


def ours(
    x: torch.Tensor,
    recipe: Callable[[Bernoulli], Any],
    expectation: Expectation | None = None,
    precision: str = "float32",
) -> Round:
    """Run the library's own loop, without counting its validation."""
    likelihood = Bernoulli(784, 255.0)
    model = recipe(likelihood)
    valid = likelihood.fixed(Rows(x[:2].numpy()))

    def steps(n: int) -> tuple[float, float]:
        settings = Settings(max_epochs=1, learning_rate=RATE, batch_size=BATCH, precision=precision)
        outcome = train(model, Rows(x[: BATCH * n].numpy()), valid, Bound(expectation or Exact()), settings)
        record = outcome.history[0]
        return record.seconds / n, float(record.train_negative_elbo or np.nan)

    return steps


def limit(by: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> Round:
    """Run the matrix products of a VAE's step, forward and backward, and nothing else."""
    shapes = [(784, 600), (300, 600), (300, 80), (40, 600), (300, 600), (300, 784)]
    layers = [(torch.randn(BATCH, a), torch.randn(b, a), torch.randn(BATCH, b)) for a, b in shapes]

    def steps(n: int) -> tuple[float, float]:
        seconds = []
        for _ in range(n):
            began = time.perf_counter()
            for i, (x, weight, gradient) in enumerate(layers):
                by(x, weight)
                if i:
                    by(gradient, weight.t())
                by(gradient.t(), x.t())
            seconds.append(time.perf_counter() - began)
        return float(np.median(seconds)), 0.0

    return steps


def contestants(x: torch.Tensor) -> dict[str, Round]:
    few = StraightThrough(constant(0.5))
    found: dict[str, Round | None] = {
        "matrix products alone, torch.mm": limit(lambda a, b: torch.mm(a, b.t())),
        "matrix products alone, as here": limit(product if prefers_onednn() else lambda a, b: F.linear(a, b)),
        "plain loop, VAE": plain(x),
        "pythae, VAE": peer(x),
        "cpvae, VAE": ours(x, recipes.vae),
        "cpvae, VAE, bfloat16 products": ours(x, recipes.vae, precision="bfloat16"),
        "cpvae, CP-VAE K=10, exact": ours(x, lambda one: recipes.cpvae(one, 10)),
        "cpvae, CP-VAE K=10, exact, bfloat16 products": ours(
            x, lambda one: recipes.cpvae(one, 10), precision="bfloat16"
        ),
        "cpvae, CP-VAE K=10, sum-and-sample": ours(x, lambda one: recipes.cpvae(one, 10), SumAndSample()),
        "cpvae, CP-VAE K=150, sum-and-sample": ours(x, lambda one: recipes.cpvae(one, 150), SumAndSample()),
        "cpvae, CP-VAE K=500, sum-and-sample": ours(x, lambda one: recipes.cpvae(one, 500), SumAndSample()),
        "cpvae, CP-VAE K=500, straight-through": ours(x, lambda one: recipes.cpvae(one, 500), few),
        "pythae, VAMP 500": peer(x, 500),
        "cpvae, VP 500": ours(x, lambda one: recipes.vamp(one, 500)),
        "cpvae, HVP 500": ours(x, lambda one: recipes.hvae_vamp(one, 500)),
    }
    return {name: one for name, one in found.items() if one is not None}


PREPARED: dict[str, Round] = {}


def prepare(mine: bool, threads: int) -> None:
    """Make the contestants of one side, in its process."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    x = torch.from_numpy(np.asarray(load("mnist").splits["train"].x).reshape(-1, 784))
    PREPARED.update({name: one for name, one in contestants(x).items() if name.startswith("cpvae") == mine})


def names() -> list[str]:
    return list(PREPARED)


def go(name: str, steps: int) -> tuple[float, float]:
    return PREPARED[name](steps)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    keep_freed()  # as the command line does
    torch.set_num_threads(args.threads)
    seconds: dict[str, list[float]] = {}
    bounds: dict[str, list[float]] = {}
    spawn = get_context("spawn")
    with ExitStack() as stack:
        sides: dict[str, ProcessPoolExecutor] = {}
        for mine in (False, True):
            pool = stack.enter_context(ProcessPoolExecutor(1, spawn, prepare, (mine, args.threads)))
            sides |= dict.fromkeys(pool.submit(names).result(), pool)
        for _ in range(args.rounds):
            for name, pool in sides.items():
                took, bound = pool.submit(go, name, args.steps).result()
                seconds.setdefault(name, []).append(took)
                bounds.setdefault(name, []).append(bound)
    for name, values in bounds.items():
        if any(values) and not values[-1] < values[0]:
            raise SystemExit(f"{name}: the bound did not fall, from {values[0]:.1f} to {values[-1]:.1f}")
    milliseconds = {name: 1000 * float(np.median(values)) for name, values in seconds.items()}
    base, least = milliseconds["plain loop, VAE"], milliseconds["matrix products alone, torch.mm"]
    result = {
        **evidence(),
        "note": NOTE,
        "steps": args.steps,
        "rounds": args.rounds,
        "milliseconds_a_step": milliseconds,
        "ratio_to_plain": {name: value / base for name, value in milliseconds.items()},
        "ratio_to_products": {name: value / least for name, value in milliseconds.items()},
        "negative_bound_first_and_last": {name: [v[0], v[-1]] for name, v in bounds.items() if any(v)},
    }
    write_json(args.out, result)
    for name, value in result["ratio_to_plain"].items():
        print(f"{name:40} {milliseconds[name]:7.2f} ms  {value:5.2f}")


if __name__ == "__main__":
    main()
