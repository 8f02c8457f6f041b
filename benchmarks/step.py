"""One training step beside a plain eager PyTorch loop of the same network, interleaved in one run.

    python benchmarks/step.py --out results/step.json

Both sides train a VAE with the paper's network on rows of MNIST, batch 100, pixels drawn anew each step, Adam. The
plain loop is what one would write by hand: gated layers from two linear ones, `torch.bernoulli`, the closed-form KL,
fused Adam. Ratios of medians are what counts; times depend on the machine.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from evidence import evidence
from torch import nn
from torch.nn import functional as F

from cpvae import recipes
from cpvae.checkpoints import write_json
from cpvae.datasets import load
from cpvae.distributions import Exact
from cpvae.likelihoods import Bernoulli
from cpvae.rows import Rows
from cpvae.training import Settings, train


class Gated(nn.Module):
    def __init__(self, a: int, b: int):
        super().__init__()
        self.value, self.gate = nn.Linear(a, b), nn.Linear(a, b)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.value(x) * torch.sigmoid(self.gate(x))


def plain(x: torch.Tensor, steps: int) -> tuple[list[float], float]:
    """Seconds a step, and the last negative bound, of a loop written by hand."""
    torch.manual_seed(0)
    encoder = nn.Sequential(Gated(784, 300), Gated(300, 300), nn.Linear(300, 80))
    decoder = nn.Sequential(Gated(40, 300), Gated(300, 300), nn.Linear(300, 784))
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-3, fused=True)
    seconds = []
    for _ in range(steps):
        began = time.perf_counter()
        y = torch.bernoulli(x[torch.randint(len(x), (100,))].float() / 255)
        loc, log_var = encoder(y).chunk(2, -1)
        z = loc + (0.5 * log_var).exp() * torch.randn_like(loc)
        reconstruction = F.binary_cross_entropy_with_logits(decoder(z), y, reduction="sum") / len(y)
        kl = 0.5 * (loc.square() + log_var.exp() - 1 - log_var).sum() / len(y)
        loss = reconstruction + kl
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        seconds.append(time.perf_counter() - began)
    return seconds, float(loss.detach())


def ours(x: torch.Tensor, steps: int, n_components: int = 0) -> tuple[list[float], float]:
    """Seconds a step, and the negative bound of the epoch, of the library's loop without its validation."""
    torch.manual_seed(0)
    likelihood = Bernoulli(784, 255.0)
    model: Any = recipes.cpvae(likelihood, n_components) if n_components else recipes.vae(likelihood)
    rows = Rows(x[: 100 * steps].numpy())
    valid = likelihood.fixed(Rows(x[:2].numpy()))
    outcome = train(model, rows, valid, Exact(), Settings(max_epochs=1))
    record = outcome.history[0]
    return [record.seconds / steps], record.train_negative_elbo


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    x = torch.from_numpy(load("mnist").splits["train"].x.reshape(-1, 784))
    contestants = {
        "plain loop, VAE": lambda: plain(x, args.steps),
        "cpvae, VAE": lambda: ours(x, args.steps),
        "cpvae, CP-VAE K=10 exact": lambda: ours(x, args.steps, 10),
    }
    medians: dict[str, list[float]] = {name: [] for name in contestants}
    losses: dict[str, float] = {}
    for _ in range(args.rounds):
        for name, run in contestants.items():
            seconds, losses[name] = run()
            medians[name].append(float(np.median(seconds)))
    milliseconds = {name: 1000 * float(np.median(values)) for name, values in medians.items()}
    base = milliseconds["plain loop, VAE"]
    result = {
        **evidence(),
        "milliseconds_a_step": milliseconds,
        "ratio_to_plain": {name: value / base for name, value in milliseconds.items()},
        "negative_bound_reached": losses,
    }
    write_json(args.out, result)
    for name, value in result["ratio_to_plain"].items():
        print(f"{name:28} {milliseconds[name]:7.2f} ms  {value:5.2f}")


if __name__ == "__main__":
    main()
