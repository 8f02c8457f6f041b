"""Scoring and sampling, as multiples of the least that they could cost: one pass of the encoder, one of the decoder.

    python benchmarks/scoring.py --out results/scoring.json

- Categories are `predict_proba` of 10,000 rows of 784 pixels at K = 10 where q(c | x) is the answer. Black and white
  pixels have one observation, grey ones four.
- New rows are 10,000, with pixels drawn or as means. pythae's sampler gives means, which are the decoder's pass.

The weights are those of a fit of one epoch, which costs as much as any. Times are of the processor, on one thread, the
least of several turns.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peers import Plain

from cpvae import CPVAE, VAE
from cpvae.data.loaders import load
from cpvae.errors import FitWarning
from cpvae.files import write_json
from cpvae.study.evidence import evidence

N, FITTED, BATCH = 10_000, 1000, 500


def contests() -> dict[str, Callable[[], object]]:
    """Name what is timed; the first and the fourth are what the others are compared with."""
    grey = np.asarray(load("mnist").splits["train"].x).reshape(-1, 1, 28, 28)[:N]
    bits = (grey > 127).astype(np.uint8)
    given: dict[str, Any] = {"likelihood": "bernoulli", "max_epochs": 1, "random_state": 0}
    of_grey, of_bits = (CPVAE(10, init="random", **given).fit(x[:FITTED]) for x in (grey, bits))
    of_grey.consistent_ = of_bits.consistent_ = True  # as after a fit with copies
    vae, plain = VAE(**given).fit(grey[:FITTED]), Plain()
    y = torch.from_numpy(bits.reshape(N, -1)).float()
    return {
        "encoder": torch.no_grad()(lambda: [of_bits.model_.encode(part) for part in y.split(BATCH)]),
        "categories, black and white": lambda: of_bits.predict_proba(bits),
        "categories, grey": lambda: of_grey.predict_proba(grey),
        "decoder": torch.no_grad()(
            lambda: torch.cat([torch.sigmoid(plain.decoder(torch.randn(BATCH, 40))) for _ in range(N // BATCH)])
        ),
        "new rows, means": lambda: vae.sample(N, mean=True),
        "new rows, drawn": lambda: vae.sample(N),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    warnings.simplefilter("ignore", FitWarning)
    timed = contests()
    least = dict.fromkeys(timed, float("inf"))
    for _ in range(args.rounds):
        for name, run in timed.items():
            began = time.process_time()
            run()
            least[name] = min(least[name], time.process_time() - began)
    passes = {name: "encoder" if name.startswith(("cat", "enc")) else "decoder" for name in timed}
    ratios = {name: least[name] / least[passes[name]] for name in timed}
    write_json(args.out, {**evidence(), "rounds": args.rounds, "cpu_seconds": least, "ratio": ratios})
    for name, seconds in least.items():
        print(f"{name:30} {seconds:7.3f} s  {ratios[name]:5.2f} of a pass of the {passes[name]}")


if __name__ == "__main__":
    main()
