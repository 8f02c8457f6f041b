"""Clusters of data other than MNIST's digits: CP-VAE with its defaults beside scikit-learn's KMeans and mixture.

    python benchmarks/clusters.py --data iris --out results/clusters/other/iris.json

Peers get tables standardised. The mixture gets 40 principal components of images. Accuracy is one-to-one. It is
measured on test rows where there are some, with the mapping learned on the rows of the fit. Small sets and alphabets
have no test rows, so the rows of the fit are used. Labels serve nothing else.

`--data` takes `digits`, `digits-table` (the same pixels as columns), `mnist-static` (10,000 of its rows), `mnist-pca16`
(a table: 16 principal components of 10,000 images), `iris`, `wine`, `breast_cancer`, or the name of an alphabet of
Omniglot, whose characters are the classes.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from sklearn import datasets as embedded
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from cpvae import CPVAE
from cpvae.data.loaders import data_root, load
from cpvae.files import write_json
from cpvae.study import metrics
from cpvae.study.evidence import evidence

ROWS = 10_000
TABLES = {"iris": embedded.load_iris, "wine": embedded.load_wine, "breast_cancer": embedded.load_breast_cancer}


class Task(NamedTuple):
    """Rows and labels of the fit and of the test, which may be the same, and the likelihood that the set names."""

    train: np.ndarray
    train_labels: np.ndarray
    test: np.ndarray
    test_labels: np.ndarray
    likelihood: str = "auto"


def task(name: str, most: int | None = ROWS) -> Task:
    """Load a data set by its name; sets of many images are cut to their first `most` rows."""
    if name in TABLES:
        x, y = TABLES[name](return_X_y=True)
        return Task(x, y, x, y)
    if name == "digits-table":
        whole = task("digits")
        flat = [x.reshape(len(x), -1) for x in (whole.train, whole.test)]
        return Task(flat[0], whole.train_labels, flat[1], whole.test_labels)
    if name == "mnist-pca16":
        whole = task("mnist")
        flat = [x.reshape(len(x), -1) / 255.0 for x in (whole.train, whole.test)]
        pca = PCA(16, random_state=0).fit(flat[0])
        return Task(pca.transform(flat[0]), whole.train_labels, pca.transform(flat[1]), whole.test_labels)
    if name in ("digits", "mnist", "mnist-static"):
        found = load(name)
        rows = {name: (np.asarray(split.x), np.asarray(split.y)) for name, split in found.splits.items()}
        (x, y), given = rows["train"], found.likelihood or "auto"
        return Task(x[:most], y[:most], *rows["test"], likelihood=given)
    with np.load(data_root() / "omniglot" / "omniglot_28x28_gray.npz") as file:
        names = [str(one) for one in file["alphabet_names"]]
        if name not in names:
            raise SystemExit(f"--data {name!r} is unknown; alphabets are {', '.join(names)}")
        own = file["alphabet"] == names.index(name)
        x, y = file["images"][own][:, None], file["character_in_alphabet"][own]
    return Task(x, y, x, y)


def peer(method: str, is_image: bool, k: int, seed: int) -> Pipeline:
    """Make a pipeline of scikit-learn."""
    before = [] if is_image else [StandardScaler()]
    if method == "KMeans":
        return make_pipeline(*before, KMeans(k, n_init=10, random_state=seed))
    before += [PCA(40, random_state=seed)] if is_image else []
    return make_pipeline(*before, GaussianMixture(k, n_init=10, reg_covar=1e-3, random_state=seed))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    given, runs = task(args.data), []
    is_image = given.train.ndim > 2
    k = len(np.unique(given.train_labels))
    top = float(given.train.max()) if is_image else 1.0
    for seed in range(args.seeds):
        for method in ("CP-VAE", "KMeans", "GaussianMixture"):
            began, extra = time.perf_counter(), {}
            if method == "CP-VAE":
                model = CPVAE(k, likelihood=given.likelihood, random_state=seed).fit(given.train)
                categories = model.predict(given.train), model.predict(given.test)
                extra = {"epochs": model.n_iter_, "start_seconds": round(model.start_seconds_, 1)}
            else:
                pipeline = peer(method, is_image, k, seed)
                flat = [x.reshape(len(x), -1) / top for x in (given.train, given.test)]
                pipeline.fit(flat[0])
                categories = pipeline.predict(flat[0]), pipeline.predict(flat[1])
            mapping = metrics.hungarian_mapping(given.train_labels, categories[0])
            accuracy = metrics.accuracy(given.test_labels, categories[1], mapping)
            ari = metrics.ari(given.test_labels, categories[1])
            seconds = round(time.perf_counter() - began, 1)
            runs.append({"seed": seed, "method": method, "accuracy": accuracy, "ari": ari, "seconds": seconds, **extra})
            print(f"{args.data} seed {seed}  {method:16} {accuracy:.3f}  {seconds:.1f} s", flush=True)
    shape = {"train": len(given.train), "test": len(given.test), "same_rows": given.train is given.test}
    write_json(args.out, {**evidence(), "dataset": args.data, "n_components": k, **shape, "runs": runs})


if __name__ == "__main__":
    main()
