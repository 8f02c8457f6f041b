"""The main job on the embedded digits: fit, cluster, compare, draw, report.

    python examples/demo.py --out demo

CP-VAE, k-means and a Gaussian mixture are fitted on the same training rows, without labels. Labels then judge them on
test rows; the one-to-one mapping from category to digit (Hungarian) is learned on the training rows.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from sklearn.cluster import KMeans
from sklearn.mixture import GaussianMixture

from cpvae import CPVAE
from cpvae.data.loaders import load
from cpvae.estimators.zoo import load as load_model
from cpvae.fitting.devices.memory import keep_freed
from cpvae.study import metrics
from cpvae.study.answers import report_run
from cpvae.study.fits import fit_run


def main() -> None:
    parser = argparse.ArgumentParser(description="Fit the embedded digits and compare with k-means and a mixture.")
    parser.add_argument("--out", type=Path, default=Path("demo"), help="folder for the run")
    parser.add_argument("--epochs", type=int, default=None, help="fewer are quicker and worse")
    args = parser.parse_args()
    keep_freed()  # as the command line does
    began = time.perf_counter()

    data = load("digits")
    train, test = data.splits["train"], data.splits["test"]
    flat, flat_test = (split.x.reshape(len(split.x), -1) for split in (train, test))

    params = {"random_state": 0} | ({"max_epochs": args.epochs} if args.epochs else {})
    resume = (args.out / "config.json").exists()
    fit_run(data, "digits", None, "cpvae", params, args.out, resume=resume, quiet=False)
    model = load_model(args.out)
    assert isinstance(model, CPVAE)
    contestants = {"CP-VAE": (model.predict(train.x), model.predict(test.x))}
    for name, peer in {
        "k-means": KMeans(10, n_init=10, random_state=0),
        "Gaussian mixture": GaussianMixture(10, n_init=10, reg_covar=1e-3, random_state=0),
    }.items():
        contestants[name] = (peer.fit(flat).predict(flat), peer.predict(flat_test))

    table = Table(title=f"{len(test.x)} test digits, 10 categories found without labels")
    for heading in ("", "accuracy", "NMI", "ARI"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, (on_train, on_test) in contestants.items():
        mapping = metrics.hungarian_mapping(train.y, on_train)
        scores = (
            metrics.accuracy(test.y, on_test, mapping),
            metrics.nmi(test.y, on_test),
            metrics.ari(test.y, on_test),
        )
        table.add_row(name, *(f"{score:.3f}" for score in scores))
    console = Console()
    console.print(table)
    used = np.bincount(model.predict(train.x), minlength=10)
    console.print(f"rows in each category: {used.tolist()}", highlight=False)
    page = report_run(args.out, None, None)
    console.print(f"samples of each category: {args.out / 'samples.png'}", highlight=False)
    console.print(f"report: {page}   ({time.perf_counter() - began:.0f} s in all)", highlight=False)


if __name__ == "__main__":
    main()
