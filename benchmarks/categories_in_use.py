"""How many categories the default start leaves in use, over seeds.

    python benchmarks/categories_in_use.py digits --seeds 10 --out results/categories_in_use/digits.json

One fit a seed with the defaults (but for the number of epochs, where given). A category is in use when it is the
likeliest of at least a tenth of an even share of the training rows (`cpvae.inference.components_used`). Labels are
looked at afterwards, on the validation rows, and choose nothing.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from cpvae import CPVAE
from cpvae.checkpoints import write_json
from cpvae.datasets import load
from cpvae.evaluation import evaluate
from cpvae.evidence import evidence
from cpvae.inference import components_used


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--components", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=None)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    data = load(args.dataset)
    runs = []
    for seed in range(args.seeds):
        began = time.perf_counter()
        model = CPVAE(args.components, likelihood=data.likelihood or "auto", max_epochs=args.epochs, random_state=seed)
        model.fit(data.splits["train"].x, X_valid=data.splits["valid"].x)
        seconds = round(time.perf_counter() - began, 1)
        result = evaluate(model, data, "valid")
        used = components_used(np.bincount(model.predict(data.splits["train"].x), minlength=args.components))
        kept = ("negative_elbo", "negative_elbo_se", "accuracy", "nmi", "ari")
        runs.append({"seed": seed, "components_used": used, "seconds": seconds, "epochs": model.n_iter_})
        runs[-1] |= {name: result[name] for name in kept if name in result}
        print(runs[-1], flush=True)
        write_json(
            args.out,
            {
                **evidence(),
                "dataset": data.name,
                "split": "valid",
                "n_components": args.components,
                "all_in_use": sum(run["components_used"] == args.components for run in runs),
                "runs": runs,
            },
        )


if __name__ == "__main__":
    main()
