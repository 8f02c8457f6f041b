"""The paper's Figures 3 and 4 for CP-VAE: generated against true density, q(c) against uniform sampling.

    python benchmarks/synthetic.py --components 150 --out results/synthetic/k150.json

Fits the two-Gaussian mixture with the defaults, draws as many rows as the training set has, and measures the two-sample
Kolmogorov-Smirnov distance to fresh draws of the truth. Writes the figure beside the result file.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from scipy.stats import ks_2samp

from cpvae import CPVAE, figures
from cpvae.checkpoints import write_json
from cpvae.datasets import load, make_synthetic
from cpvae.evidence import evidence
from cpvae.inference import components_used


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--components", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    data = load("synthetic")
    train = data.splits["train"].x
    began = time.perf_counter()
    model = CPVAE(args.components, random_state=args.seed, verbose=1).fit(train, X_valid=data.splits["valid"].x)
    seconds = time.perf_counter() - began
    truth, _ = make_synthetic(len(train), random_state=1234)
    drawn = {weights: model.sample(len(train), weights=weights)[0] for weights in ("aggregated", "prior")}
    write_json(
        args.out,
        {
            **evidence(),
            "seed": args.seed,
            "seconds": round(seconds, 1),
            "n_components": args.components,
            "rows": len(train),
            "ks": {name: float(ks_2samp(rows[:, 0], truth[:, 0]).statistic) for name, rows in drawn.items()},
            "ks_of_the_training_rows": float(ks_2samp(train[:, 0], truth[:, 0]).statistic),
            "test_elbo": model.score(data.splits["test"].x),
            "components_used": components_used(np.bincount(model.predict(train), minlength=args.components)),
            "component_groups": int(model.groups().max() + 1),
            "largest_weights": np.sort(model.weights_)[::-1][:10].round(4).tolist(),
        },
    )
    titles = {"aggregated": "c from q(c)", "prior": "c from uniform p(c)"}
    figure = figures.histograms(truth[:, 0], {titles[name]: rows[:, 0] for name, rows in drawn.items()})
    figures.save(figure, args.out.with_suffix(".png"))


if __name__ == "__main__":
    main()
