"""Uses of models, timed beside pythae and loops written by hand, all of the same network, in one run.

    python benchmarks/uses.py --out results/uses.json

- An epoch passes once over all training rows of MNIST, as `fit` does, with validation. The peers are a plain loop and
  pythae's trainer with its data loader; its pixels are drawn once, because it draws none.
- Sampling draws 10,000 new rows.
- An importance-weighted likelihood has 50 rows with S = 1,000 draws each.
- Categories are `predict_proba` of a CP-VAE with K = 10 for 2,000 grey rows, with four observations of each and four
  draws of z behind the first. The peer is a loop over categories that computes the K bounds at one draw of one
  observation.

All sides take turns in one process, so the setting of this library that keeps freed memory serves all of them. Times
are medians over rounds.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peers import Plain, pythae

from cpvae import CPVAE, VAE
from cpvae.data.loaders import load
from cpvae.data.rows import Rows
from cpvae.errors import FitWarning
from cpvae.files import write_json
from cpvae.fitting.loop import train
from cpvae.fitting.settings import Settings
from cpvae.probability import recipes
from cpvae.probability.bounds import terms_given
from cpvae.probability.likelihoods.bernoulli import Bernoulli
from cpvae.probability.objectives import Bound
from cpvae.study.evidence import evidence

Contest = dict[str, Callable[[], object]]


def epochs(x: np.ndarray) -> Contest:
    """Time one pass over the rows."""
    likelihood = Bernoulli(784, 255.0)
    model, plain = recipes.vae(likelihood), Plain()
    valid = likelihood.fixed(Rows(x[:1000]))
    optimizer = torch.optim.Adam(plain.parameters(), lr=1e-3, fused=True)
    tensor = torch.from_numpy(x)

    def by_hand() -> None:
        for index in torch.randperm(len(x)).split(100):
            loss = plain(torch.bernoulli(tensor[index].float() / 255))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()

    contest: Contest = {
        "plain loop": by_hand,
        "cpvae": lambda: train(model, Rows(x), valid, Bound(), Settings(max_epochs=1)),
    }
    peer = pythae()
    if peer is not None:
        from pythae.data.datasets import BaseDataset
        from pythae.trainers import BaseTrainer, BaseTrainerConfig

        bits = torch.bernoulli(tensor.float() / 255)

        def trainer() -> None:
            with tempfile.TemporaryDirectory() as folder:
                config = BaseTrainerConfig(
                    output_dir=folder, num_epochs=1, learning_rate=1e-3, per_device_train_batch_size=100, no_cuda=True
                )
                rows = BaseDataset(bits, torch.zeros(len(bits)))
                BaseTrainer(peer, rows, training_config=config).train()

        contest["pythae"] = trainer
    return contest


def sampling(model: VAE, mean: bool) -> Contest:
    """Time 10,000 new rows: their pixels drawn, or the means that pythae gives."""
    plain = Plain()

    @torch.no_grad()
    def by_hand() -> object:
        means = torch.sigmoid(plain.decoder(torch.randn(10_000, 40)))
        return means if mean else torch.bernoulli(means)

    contest: Contest = {"plain loop": by_hand, "cpvae": lambda: model.sample(10_000, mean=mean)}
    peer = pythae() if mean else None
    if peer is not None:
        from pythae.samplers import NormalSampler

        sampler = NormalSampler(peer)
        contest["pythae"] = lambda: sampler.sample(10_000, batch_size=500)
    return contest


def likelihoods(model: VAE, x: np.ndarray, n_samples: int) -> Contest:
    """Time importance-weighted likelihoods, row by row."""
    contest: Contest = {"cpvae": lambda: model.log_likelihood(x, n_samples).mean()}
    peer = pythae()
    if peer is not None:
        bits = torch.bernoulli(torch.from_numpy(x).flatten(1).float() / 255)
        contest["pythae"] = torch.no_grad()(lambda: peer.get_nll(bits, n_samples=n_samples, batch_size=n_samples))
    return contest


def categories(model: CPVAE, x: np.ndarray) -> Contest:
    """Time the category of each row."""
    module = model.model_

    @torch.no_grad()
    def by_hand() -> torch.Tensor:
        parts = []
        for some in torch.from_numpy(x).split(500):
            y = torch.bernoulli(some.flatten(1).float() / 255)
            q, p = module.encode(y), module.latent()
            bounds = [terms_given(module, y, q, p, torch.tensor([[k]])).elbo[:, 0] for k in range(model.n_components)]
            parts.append((torch.stack(bounds, -1) + p.logits).softmax(-1))
        return torch.cat(parts)

    return {"plain loop, one draw": by_hand, "cpvae": lambda: model.predict_proba(x)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    warnings.simplefilter("ignore", FitWarning)
    x = np.asarray(load("mnist").splits["train"].x).reshape(-1, 784)
    given: dict[str, Any] = {"likelihood": "bernoulli", "max_epochs": 1, "random_state": 0}
    images = x[:5000].reshape(-1, 1, 28, 28)
    vae, cp = VAE(**given).fit(images), CPVAE(10, init="random", **given).fit(images)
    contests = {
        f"an epoch of {len(x):,} rows": epochs(x),
        "10,000 new rows, pixels drawn": sampling(vae, mean=False),
        "10,000 new rows, means": sampling(vae, mean=True),
        "likelihood of 50 rows, S = 1,000": likelihoods(vae, images[:50], 1000),
        "categories of 2,000 rows, K = 10": categories(cp, images[:2000]),
    }
    seconds: dict[str, dict[str, list[float]]] = {what: {name: [] for name in one} for what, one in contests.items()}
    for _ in range(args.rounds):
        for what, contest in contests.items():
            for name, run in contest.items():
                began = time.perf_counter()
                run()
                seconds[what][name].append(time.perf_counter() - began)
    medians = {what: {name: float(np.median(values)) for name, values in one.items()} for what, one in seconds.items()}
    ratios = {what: {name: value / one["cpvae"] for name, value in one.items()} for what, one in medians.items()}
    write_json(
        args.out,
        {
            **evidence(),
            "rounds": args.rounds,
            "seconds": medians,
            "all_seconds": seconds,
            "ratio_to_cpvae": ratios,
        },
    )
    for what, one in medians.items():
        for name, value in one.items():
            print(f"{what:35} {name:22} {value:8.3f} s  {ratios[what][name]:6.2f}")


if __name__ == "__main__":
    main()
