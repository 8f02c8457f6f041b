"""The likelihood of MNIST by pythae's own VAE and VampPrior, trained and measured by pythae's own code.

    python benchmarks/peer_likelihoods.py --peer VAE --peer "VampPrior, 10" --out results/peer_likelihoods.jsonl
    python benchmarks/render.py    # docs/bound.md, from the file

pythae's trainer fits its models with the paper's network, on the rows of Table 1: batches of 200 for as many epochs,
pixels drawn anew whenever a row is read, Adam with a rate that falls along a cosine, and the weights of the best epoch
by the validation rows. Its `get_nll` then takes 5,000 importance-weighted draws for each of the 1,000 test rows that
Table 1 takes, with the same pixels. Our rows are those of Table 1.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from field import ROOT
from peers import pythae

from cpvae.data.loaders import load
from cpvae.files import append_line, read_json
from cpvae.probability.likelihoods.bernoulli import Bernoulli
from cpvae.study import markdown
from cpvae.study.evaluation import some_rows
from cpvae.study.evidence import evidence

RESULTS = ROOT / "results" / "peer_likelihoods.jsonl"
PEERS = {"VAE": 0, "VampPrior, 10": 10, "VampPrior, 500": 500}  # and how many pseudo-inputs they have
DRAWS, ROWS, TOGETHER = 5000, 1000, 500
BATCH, RATE = 200, 1e-3
OURS = {  # systems, and the rows of Table 1 that fit them here
    "VAE": ("mnist-vae", "mnist-vae-long"),
    "VampPrior, 10": ("mnist-vamp-k10", "mnist-vamp-k10-long"),
    "VampPrior, 500": ("mnist-vamp-k500", "mnist-vamp-k500-long"),
    "HVAE": ("mnist-hvae",),
    "HVAE with VampPrior, 500": ("mnist-hvae-vamp-k500",),
    "CP-VAE, 10": ("mnist-cpvae-k10", "mnist-cpvae-k10-long"),
    "CP-VAE, 10, full covariances": ("mnist-cpvae-k10-full",),
    "HVAE with CP-VAE's prior, 10": ("mnist-hvae-cp-k10",),
    "HVAE with CP-VAE's prior, 500": ("mnist-hvae-cp-k500",),
}


def fit(name: str, epochs: int, seed: int, folder: str) -> tuple[Any, float]:
    """Train a model of pythae by its trainer; give its best weights, and the seconds that it took."""
    from pythae.data.datasets import BaseDataset, DatasetOutput
    from pythae.models import AutoModel
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    class Drawn(BaseDataset):  # type: ignore[misc]
        """Rows whose pixels are drawn from their grey levels whenever they are read."""

        def __getitem__(self, index: int) -> Any:
            return DatasetOutput(data=torch.bernoulli(self.data[index]), labels=self.labels[index])

    data = load("mnist")
    x = np.asarray(data.splits["train"].x, np.float32)
    grey = torch.from_numpy(x.reshape(len(x), -1) / 255)
    config = BaseTrainerConfig(
        output_dir=folder,
        num_epochs=epochs,
        per_device_train_batch_size=BATCH,
        per_device_eval_batch_size=1000,
        learning_rate=RATE,
        scheduler_cls="CosineAnnealingLR",
        scheduler_params={"T_max": epochs},
        seed=seed,
        no_cuda=True,
    )
    valid = observed(data.splits["valid"].x)
    torch.manual_seed(seed)
    model = pythae(PEERS[name])
    trainer = BaseTrainer(
        model, Drawn(grey, torch.zeros(len(grey))), BaseDataset(valid, torch.zeros(len(valid))), training_config=config
    )
    began = time.perf_counter()
    trainer.train()
    best = AutoModel.load_from_folder(str(Path(trainer.training_dir) / "final_model"))
    return best.eval(), time.perf_counter() - began


def observed(grey: Any) -> torch.Tensor:
    """Give the pixels of rows for which bounds are computed here: drawn once, as a function of the row."""
    likelihood = Bernoulli(784, 255.0)
    return likelihood.draw_fixed(likelihood.to_model(torch.from_numpy(np.asarray(grey).reshape(len(grey), -1))))


@torch.no_grad()
def measure(name: str, epochs: int, seed: int) -> dict[str, Any]:
    """Fit one of pythae's models, and measure it by its own code: nats of the test rows."""
    with tempfile.TemporaryDirectory() as folder, torch.enable_grad():
        model, seconds = fit(name, epochs, seed, folder)
    test = load("mnist").splits["test"]
    torch.manual_seed(seed)
    began = time.perf_counter()
    bound = float(model({"data": observed(test.x)}, epoch=epochs).loss)
    few = observed(some_rows(test, ROWS).x)
    log_likelihood = float(model.get_nll(few, n_samples=DRAWS, batch_size=TOGETHER))
    return {
        "peer": name,
        "seed": seed,
        "epochs": epochs,
        "negative_elbo": round(bound, 3),
        "negative_log_likelihood": round(-log_likelihood, 3),
        "samples": DRAWS,
        "rows": ROWS,
        "fit_seconds": round(seconds, 1),
        "measure_seconds": round(time.perf_counter() - began, 1),
        **evidence(),
    }


def our_likelihood(row: str) -> tuple[float, int] | None:
    """Read what Table 1 has of a row: the mean of its seeds, and the epochs of a fit; None where there is no result."""
    found = [
        read_json(path, "a result", "fit again") for path in sorted((ROOT / "results").glob(f"table1/{row}-seed*.json"))
    ]
    if not found:
        return None
    return float(np.mean([one["importance_weighted"]["negative_log_likelihood"] for one in found])), found[0]["epochs"]


def table(lines: list[dict[str, Any]]) -> str:
    """Tabulate the likelihoods here, by pythae, and as published."""
    head = ("system", "cpvae, by epochs", "pythae's code, by epochs", "published")
    published = tomllib.loads((ROOT / "experiments" / "paper.toml").read_text())["likelihood"]
    cells = []
    for name, rows in OURS.items():
        ours = [one for one in map(our_likelihood, rows) if one is not None]
        theirs = [(line["negative_log_likelihood"], line["epochs"]) for line in lines if line["peer"] == name]
        shown = ["; ".join(f"{value:.2f} ({epochs})" for value, epochs in found) for found in (ours, theirs)]
        cells.append((name, *shown, f"{published[name]:.2f}" if name in published else ""))
    said = (
        "-log p(x) of MNIST in nats, importance-weighted with 5,000 draws for each of the same 1,000 test rows with "
        "the same pixels. Here rows have one to three seeds, pythae's one. The published numbers are of the same "
        "networks, and of all test rows (Norouzi, Fleet and Norouzi, 2020)"
    )
    return f"{markdown.table(head, cells)}\n{said}: [peer_likelihoods]({{}}/peer_likelihoods.jsonl)."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", action="append", choices=list(PEERS), help="may be repeated; by default all")
    parser.add_argument("--epochs", type=int, default=120)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    for name in args.peer or PEERS:
        append_line(args.out, json.dumps(measure(name, args.epochs, args.seed)))


if __name__ == "__main__":
    main()
