"""Clustering a table with numbers, categories, counts and missing cells: CP-VAE beside scikit-learn's mixtures.

    python benchmarks/tables.py --out results/tables/table.json

Each seed draws other sources (`cpvae.datasets.make_table`). Peers need complete numbers. So missing cells get the mean
or the most frequent level of the training rows, levels become columns, and everything is standardised. CP-VAE gets the
table as it is, with all defaults except the number of epochs. "latent classes" is CP-VAE's start alone. Accuracy is
one-to-one on 1,500 test rows, with the mapping learned on the 3,000 training rows. Labels serve nothing else.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.cluster import KMeans
from sklearn.mixture import GaussianMixture

from cpvae import CPVAE
from cpvae.data.loaders import make_table
from cpvae.data.rows import Rows
from cpvae.data.schema import Schema
from cpvae.files import write_json
from cpvae.fitting.starts import latent_classes
from cpvae.fitting.starts.tables import table_of
from cpvae.probability import likelihoods
from cpvae.study import metrics
from cpvae.study.evidence import evidence

TRAIN, TEST = 3_000, 1_500
Clusterer = Callable[[pd.DataFrame, pd.DataFrame], tuple[np.ndarray, np.ndarray]]


def dense(schema: Schema, train: pd.DataFrame, test: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Fill, one-hot encode and standardise, by the training rows."""
    matrices = schema.encode(train), schema.encode(test)
    for j, column in enumerate(schema.columns):
        known = matrices[0][:, j][~np.isnan(matrices[0][:, j])]
        fill = np.bincount(known.astype(int)).argmax() if column.kind == "categorical" else known.mean()
        for matrix in matrices:
            matrix[np.isnan(matrix[:, j]), j] = fill
    x_train, x_test = (schema.expand(matrix)[0] for matrix in matrices)
    loc, scale = x_train.mean(0), x_train.std(0)
    return (x_train - loc) / scale, (x_test - loc) / scale


def peer(model: KMeans | GaussianMixture) -> Clusterer:
    def run(train: pd.DataFrame, test: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        x_train, x_test = dense(Schema.infer(train), train, test)
        fitted = model.fit(x_train)
        return fitted.predict(x_train), fitted.predict(x_test)

    return run


def start_alone(k: int, seed: int) -> Clusterer:
    def run(train: pd.DataFrame, test: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        schema = Schema.infer(train)
        x = [schema.encode(rows) for rows in (train, test)]
        likelihood = likelihoods.make("columns", Rows(x[0]), likelihoods.Form((x[0].shape[1],), schema=schema))
        cells = [likelihood.cells(likelihood.to_model(torch.from_numpy(rows))) for rows in x]
        tables = [table_of([part]) for part in cells]
        classes = latent_classes.fit(tables[0], k, np.random.RandomState(seed))
        first, second = (classes.likeliest(table) for table in tables)
        return first, second

    return run


def cpvae(k: int, seed: int, epochs: int) -> Clusterer:
    def run(train: pd.DataFrame, test: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        model = CPVAE(k, max_epochs=epochs, random_state=seed, verbose=1).fit(train)
        return model.predict(train), model.predict(test)

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--components", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--missing", type=float, default=0.1)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    k, runs = args.components, []
    for seed in range(args.seeds):
        frame, y = make_table(TRAIN + TEST, k, args.missing, seed)
        contestants = {
            "CP-VAE": cpvae(k, seed, args.epochs),
            "latent classes": start_alone(k, seed),
            "KMeans": peer(KMeans(k, n_init=10, random_state=seed)),
            "GaussianMixture": peer(GaussianMixture(k, n_init=10, reg_covar=1e-3, random_state=seed)),
        }
        for name, run in contestants.items():
            began = time.perf_counter()
            on_train, on_test = run(frame[:TRAIN], frame[TRAIN:])
            mapping = metrics.hungarian_mapping(y[:TRAIN], on_train)
            accuracy = metrics.accuracy(y[TRAIN:], on_test, mapping)
            seconds = round(time.perf_counter() - began, 1)
            runs.append({"seed": seed, "method": name, "accuracy": accuracy, "seconds": seconds})
            print(f"seed {seed}  {name:16} {accuracy:.3f}  {seconds:.1f} s", flush=True)
    shape = {"train": TRAIN, "test": TEST, "n_components": k, "missing": args.missing, "epochs": args.epochs}
    write_json(args.out, {**evidence(), **shape, "runs": runs})


if __name__ == "__main__":
    main()
