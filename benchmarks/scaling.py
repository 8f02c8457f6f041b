"""The cost of a fit and of a question as one size grows: rows, features, K, latent dimension, draws S.

    python benchmarks/scaling.py --out results/scaling.json

Each line varies one size over powers of two. The rows are noise, because cost does not depend on the bits. Each time is
a median on one thread. The exponent is the slope of log seconds on log size over the upper half of the sizes, where
fixed costs matter little: 1 is proportional. `benchmarks/render.py` draws `docs/scaling.png` from the result.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from cpvae.data.rows import Rows
from cpvae.files import write_json
from cpvae.fitting.devices.memory import keep_freed
from cpvae.fitting.loop import train
from cpvae.fitting.schedules import constant
from cpvae.fitting.settings import Settings
from cpvae.probability import recipes
from cpvae.probability.bounds import importance_weighted
from cpvae.probability.estimates import evaluate
from cpvae.probability.expectations import Exact, Expectation, StraightThrough, SumAndSample
from cpvae.probability.likelihoods.bernoulli import Bernoulli
from cpvae.probability.models import VAE
from cpvae.probability.objectives import Bound
from cpvae.study.evidence import evidence

FEATURES, LATENT, BATCH = 784, 40, 100
Timed = Callable[[], float]  # seconds of one go


def doubling(low: int, high: int) -> list[int]:
    """List low, 2 low, ... up to high."""
    sizes = [low]
    while 2 * sizes[-1] <= high:
        sizes.append(2 * sizes[-1])
    return sizes


def timed(function: Callable[[], object]) -> float:
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def step(model: VAE, features: int, expectation: Expectation, rows: int = BATCH * 10) -> Timed:
    """Measure the seconds of an epoch without validation, divided by its steps."""
    x = (np.random.RandomState(0).rand(rows, features) < 0.2).astype(np.uint8)
    valid = model.likelihood.fixed(Rows(x[:2]))
    settings = Settings(max_epochs=1, batch_size=BATCH)
    return lambda: train(model, Rows(x), valid, Bound(expectation), settings).history[0].seconds / (rows / BATCH)


def of_steps(size: str, sizes: list[int], expectation: Expectation, few: int = 10) -> dict[int, Timed]:
    """Make a training step for each size of features, latent dimension or K."""
    found = {}
    for n in sizes:
        chosen = {"features": FEATURES, "latent": LATENT, "components": few} | {size: n}
        model = recipes.cpvae(Bernoulli(chosen["features"], drawn=False), chosen["components"], chosen["latent"])
        found[n] = step(model, chosen["features"], expectation)
    return found


def lines() -> Iterator[tuple[str, str, dict[int, Timed]]]:
    """List each line: its name, the unit of its size, and the function to time at each size."""
    yield "step, K with the exact sum", "K", of_steps("components", doubling(2, 128), Exact())
    yield "step, K with sum-and-sample", "K", of_steps("components", doubling(4, 1024), SumAndSample())
    few = StraightThrough(constant(0.5))
    yield "step, K with straight-through", "K", of_steps("components", doubling(4, 1024), few)
    yield "step, features", "features", of_steps("features", doubling(64, 8192), Exact())
    yield "step, latent dimension", "D", of_steps("latent", doubling(4, 512), Exact())
    model = recipes.cpvae(Bernoulli(FEATURES, drawn=False), 10)
    yield (
        "epoch, rows",
        "rows",
        {
            n: lambda n=n: step(model, FEATURES, Exact(), n)() * n / BATCH  # type: ignore[misc]
            for n in doubling(200, 12_800)
        },
    )
    y = torch.bernoulli(torch.full((8192, FEATURES), 0.2))
    yield (
        "predict_proba, rows",
        "rows",
        {
            n: lambda n=n: timed(lambda: evaluate(model, y[:n], 1))  # type: ignore[misc]
            for n in doubling(16, 4096)
        },
    )
    with_grad_off = torch.no_grad()
    yield (
        "importance-weighted likelihood of 10 rows, S",
        "S",
        {
            n: lambda n=n: timed(with_grad_off(lambda: importance_weighted(model, y[:10], n)))  # type: ignore[misc]
            for n in doubling(16, 4096)
        },
    )


def exponent(sizes: list[int], seconds: list[float]) -> float:
    """Fit the slope of log seconds on log size over the upper half of the sizes."""
    half = len(sizes) // 2
    return float(np.polyfit(np.log(sizes[half:]), np.log(seconds[half:]), 1)[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    keep_freed()  # as the command line does
    torch.set_num_threads(1)
    torch.manual_seed(0)
    result = {}
    for name, unit, contest in lines():
        seconds: dict[int, list[float]] = {n: [] for n in contest}
        for _ in range(args.rounds):
            for n, go in contest.items():
                seconds[n].append(go())
        sizes, medians = list(contest), [float(np.median(seconds[n])) for n in contest]
        result[name] = {
            "unit": unit,
            "sizes": sizes,
            "seconds": medians,
            "exponent": exponent(sizes, medians),
            "growth": medians[-1] / medians[0],
        }
        print(
            f"{name:45} exponent {exponent(sizes, medians):.2f}, "
            f"x{sizes[-1] // sizes[0]}: x{medians[-1] / medians[0]:.1f}",
            flush=True,
        )
    write_json(args.out, {**evidence(), "rounds": args.rounds, "lines": result})


if __name__ == "__main__":
    main()
