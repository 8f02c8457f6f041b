"""Five restarts on one CPU thread: one after the other, or as one model with a dimension for restarts?

    python benchmarks/stacked.py --out results/stacked.json

The stacked model is `torch.func.vmap` of the same bound over stacked weights, with batched products (`torch.bmm`). Both
sides compute five bounds of 100 rows and their gradients, in turns. Neither draws random numbers, because each restart
needs its own and a batch shares them. A ratio above 1 means that stacking wins.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from torch import nn
from torch.func import functional_call, stack_module_state, vmap

from cpvae.files import write_json
from cpvae.nn import products
from cpvae.nn.layers import Dense
from cpvae.probability import bounds, recipes
from cpvae.probability.expectations import Exact
from cpvae.probability.likelihoods.bernoulli import Bernoulli
from cpvae.probability.models import VAE
from cpvae.study.evidence import evidence

RESTARTS, BATCH = 5, 100
SIZES = {  # features, K (0: a VAE), width of hidden layers
    "MNIST, VAE": (784, 0, 300),
    "digits, VAE": (64, 0, 300),
    "digits, CP-VAE K=10": (64, 10, 300),
    "table of 20 columns, CP-VAE K=5": (20, 5, 300),
    "table of 20 columns, CP-VAE K=5, 32 units": (20, 5, 32),
    "table of 20 columns, VAE, 32 units": (20, 0, 32),
}


class Bound(nn.Module):
    """The mean bound of rows, at z = the posterior's mean."""

    def __init__(self, model: VAE):
        super().__init__()
        self.model = model

    def forward(self, y: torch.Tensor) -> torch.Tensor:
        q, p = self.model.encode(y), self.model.latent()
        categories = Exact()(q.logits)
        zero = torch.zeros(1, 1, self.model.latent_dim)
        given = bounds.terms_given(self.model, y, q, p, categories.c, zero)
        return bounds.average(given, categories, q, p).elbo.mean()


def sides(features: int, k: int, width: int) -> tuple[Callable[[], None], Callable[[], None]]:
    """Make both sides: the gradients of all restarts, in turn and stacked."""
    likelihood, network = Bernoulli(features, drawn=False), Dense((width, width))

    def make() -> Bound:
        if k:
            return Bound(recipes.cpvae(likelihood, k, network=network))
        return Bound(recipes.vae(likelihood, network=network))

    models = [make() for _ in range(RESTARTS)]
    y = torch.bernoulli(torch.full((BATCH, features), 0.2))
    parameters, buffers = stack_module_state(models)
    base = copy.deepcopy(models[0]).to("meta")
    ys = y.expand(RESTARTS, -1, -1).clone()

    def in_turn() -> None:
        for model in models:
            model(y).backward()
            model.zero_grad()

    def together() -> torch.Tensor:
        with mock.patch.object(products, "prefers_onednn", return_value=False):  # its products cannot be batched
            return vmap(lambda p, b, x: functional_call(base, (p, b), (x,)))(parameters, buffers, ys)

    def stacked() -> None:
        together().sum().backward()
        for value in parameters.values():
            value.grad = None

    for model, value in zip(
        models, (functional_call(m, dict(m.named_parameters()), (y,)) for m in models), strict=True
    ):
        torch.testing.assert_close(model(y), value)
    return in_turn, stacked


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    result = {}
    for name, size in SIZES.items():
        both = sides(*size)
        seconds: list[list[float]] = [[], []]
        for _ in range(args.rounds):
            for side, values in zip(both, seconds, strict=True):
                began = time.thread_time()
                side()
                values.append(time.thread_time() - began)
        in_turn, stacked = (1000 * float(np.median(values)) for values in seconds)
        result[name] = {"in_turn_ms": in_turn, "stacked_ms": stacked, "in_turn_to_stacked": in_turn / stacked}
        print(f"{name:45} in turn {in_turn:7.2f} ms, stacked {stacked:7.2f} ms, ratio {in_turn / stacked:.2f}")
    write_json(args.out, {**evidence(), "restarts": RESTARTS, "sizes": result})


if __name__ == "__main__":
    main()
