"""The time of a training step by kind of operation, with the rest for Python and autograd.

    python benchmarks/profile_step.py --out results/profile.json

The step is that of the paper's network on MNIST, with batches of 100 on one thread. PyTorch's profiler times the
operations. It slows the code between them, so the times are compared with the wall time of steps without the profiler.
The rest is Python's.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile

from cpvae.data.loaders import load
from cpvae.data.rows import Rows
from cpvae.files import write_json
from cpvae.fitting.devices.memory import keep_freed
from cpvae.fitting.loop import train
from cpvae.fitting.schedules import constant
from cpvae.fitting.settings import Settings
from cpvae.probability import recipes
from cpvae.probability.expectations import Exact, Expectation, StraightThrough
from cpvae.probability.likelihoods.bernoulli import Bernoulli
from cpvae.probability.models import VAE
from cpvae.probability.objectives import Bound
from cpvae.study.evidence import evidence

STEPS = 40
KINDS = {
    "log p(x | z, c)": ("log_sigmoid", "binary_cross"),
    "matrix products": ("linear_pointwise", "aten::mm", "aten::addmm", "aten::bmm"),
    "optimiser": ("fused_adam",),
    "random numbers": ("random_", "normal_", "uniform_", "bernoulli_", "exponential_"),
    "rows, copies and conversions": ("copy_", "index", "cat", "fill_", "zero_"),
    "gates": ("glu", "sigmoid"),
    "gradient norm": ("linalg_vector_norm",),
}


def kind_of(operation: str) -> str:
    """Find the kind of an operation by its name; `other operations` if none fits."""
    for kind, names in KINDS.items():
        if any(name in operation for name in names):
            return kind
    return "other operations"


def shares(model: VAE, x: np.ndarray, expectation: Expectation) -> dict[str, float]:
    """Measure the milliseconds of a step by kind."""
    rows, valid = Rows(x[: 100 * STEPS]), model.likelihood.fixed(Rows(x[:2]))

    def epoch() -> float:
        return train(model, rows, valid, Bound(expectation), Settings(max_epochs=1)).history[0].seconds / STEPS

    epoch()
    wall = float(np.median([epoch() for _ in range(5)]))
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        epoch()
    found = dict.fromkeys([*KINDS, "other operations"], 0.0)
    for event in seen.key_averages():
        if event.key.startswith(("aten::", "mkldnn::")):
            found[kind_of(event.key)] += event.self_cpu_time_total / 1e6 / STEPS
    found["Python and autograd"] = max(0.0, wall - sum(found.values()))
    return {kind: 1000 * value for kind, value in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    keep_freed()  # as the command line does
    torch.set_num_threads(1)
    torch.manual_seed(0)
    x = np.asarray(load("mnist").splits["train"].x).reshape(-1, 784)
    likelihood = Bernoulli(784, 255.0)
    sides: dict[str, Callable[[], dict[str, float]]] = {
        "VAE": lambda: shares(recipes.vae(likelihood), x, Exact()),
        "CP-VAE K=10, exact": lambda: shares(recipes.cpvae(likelihood, 10), x, Exact()),
        "CP-VAE K=500, straight-through": lambda: shares(
            recipes.cpvae(likelihood, 500), x, StraightThrough(constant(0.5))
        ),
        "VP 500": lambda: shares(recipes.vamp(likelihood, 500), x, Exact()),
    }
    began = time.perf_counter()
    result = {name: side() for name, side in sides.items()}
    write_json(args.out, {**evidence(), "milliseconds": result, "seconds": time.perf_counter() - began})
    for name, parts in result.items():
        total = sum(parts.values())
        print(f"{name}: {total:.2f} ms; " + ", ".join(f"{kind} {value / total:.0%}" for kind, value in parts.items()))


if __name__ == "__main__":
    main()
