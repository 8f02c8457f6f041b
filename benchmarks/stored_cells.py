"""Memory of fits and of `cpvae cluster` on cells of AnnData, read from the disk row by row, beside cells read whole.

    python benchmarks/stored_cells.py --out results/stored_cells.json

The counts are drawn: cells of five types with 2,000 genes, of which a cell has 5 in a hundred on average. They are
written as `.h5ad`, some cells at a time. Each fit, and each command, is a process of its own; memory is watched from
another process, as in `benchmarks/memory.py`, on Linux only. A fit takes one epoch without a start. It is made twice:
as it comes, with the counts mapped into memory from the cache, and with the counts read whole. An earlier process makes
the cache, and is told apart. Seconds are of the processor, on one
thread.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from memory import watched
from processor import of_children

from cpvae.files import write_json
from cpvae.study.evidence import evidence

GENES, FILLED, TYPES, PART = 2000, 0.05, 5, 10_000
FIT = {"n_components": TYPES, "latent_dim": 4, "hidden": (32,), "max_epochs": 1, "batch_size": 1000, "init": "random"}
OPEN = """
import json, sys
import torch
torch.set_num_threads(1)
from cpvae.data.loaders import load, mapped
from cpvae.study.inputs import rows_where_they_are
if sys.argv[2] == "whole":
    mapped.LARGE = float("inf")
rows = rows_where_they_are(load(sys.argv[1]), "all")
"""
LEARN = """
from cpvae import CPVAE
settings = json.loads(sys.argv[3])
settings["hidden"] = tuple(settings["hidden"])
model = CPVAE(kind="counts", random_state=0, **settings).fit(rows)
model.save(sys.argv[4])
print(json.dumps({"valid_negative_elbo": model.history_[-1]["valid_negative_elbo"]}))
"""


def write(path: Path, n: int) -> int:
    """Write counts as AnnData does, some cells at a time; return the bytes of the file."""
    import h5py
    import pandas as pd
    from anndata.io import sparse_dataset, write_elem
    from scipy.sparse import csr_matrix

    random = np.random.default_rng(0)
    share = np.exp(random.normal(size=(TYPES, GENES)))
    mean = -np.log1p(-FILLED) * GENES * share / share.sum(1, keepdims=True)
    with h5py.File(path, "w") as file, pd.option_context("future.infer_string", False):
        for start in range(0, n, PART):
            x = random.poisson(mean[random.integers(TYPES, size=min(PART, n - start))]).astype(np.float32)
            x[:, 0] += 1  # a cell without a count has no depth
            if start:
                sparse_dataset(file["X"]).append(csr_matrix(x))
            else:
                write_elem(file, "X", csr_matrix(x))
        write_elem(file, "obs", pd.DataFrame(index=[f"cell{i}" for i in range(n)]))
        write_elem(file, "var", pd.DataFrame(index=[f"gene{i}" for i in range(GENES)]))
        file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
    return path.stat().st_size


def timed(arguments: list[str], cache: Path) -> tuple[dict[str, Any], str]:
    """Run Python in a process of its own; give its memory and its seconds of the processor, and what it prints."""
    before = of_children()
    found, said = watched(arguments, cache)
    return {**found, "cpu_seconds": of_children() - before}, said


def measured(folder: Path, n: int) -> dict[str, Any]:
    """Fit to n cells from the disk and read whole, and answer for them."""
    cells, model, cache = folder / "cells.h5ad", folder / "model", folder / "cache"
    size = write(cells, n)
    child = ["-W", "ignore", "-c"]
    made, _ = timed([*child, OPEN, str(cells), "disk"], cache)
    fits = {}
    for way in ("disk", "whole"):
        found, said = timed([*child, OPEN + LEARN, str(cells), way, json.dumps(FIT), str(model)], cache)
        fits[way] = {**found, **json.loads(said)}
    return {"rows": n, "data_bytes": size, "into_the_cache": made, **fits}


def answered(folder: Path, n: int) -> dict[str, Any]:
    """Answer for n cells by the command, with the model of the last fit."""
    cells = folder / f"{n}.h5ad"
    size = write(cells, n)
    words = ["-m", "cpvae", "cluster", str(folder / "model"), str(cells), "--out", str(folder / f"{n}.parquet")]
    found, _ = timed(words, folder / "cache")
    return {"rows": n, "data_bytes": size, **found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="*", default=[50_000, 100_000, 200_000])
    parser.add_argument("--answered", type=int, nargs="*", default=[20_000, 40_000])
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    fits, commands = [], []
    folder = Path(tempfile.mkdtemp(prefix="cpvae-cells-"))
    try:
        for n in args.rows:
            fits.append(measured(folder, n))
            told = [
                f"{name} {fits[-1][name]['peak_anonymous_bytes'] / 1e6:.0f} MB, {fits[-1][name]['cpu_seconds']:.0f} s"
                for name in ("into_the_cache", "disk", "whole")
            ]
            print(f"{n:>9,} cells, {fits[-1]['data_bytes'] / 1e6:.0f} MB: {'; '.join(told)}", flush=True)
        for n in args.answered:
            commands.append(answered(folder, n))
            own, seconds = commands[-1]["peak_anonymous_bytes"] / 1e6, commands[-1]["cpu_seconds"]
            print(f"{n:>9,} cells, cluster {own:.0f} MB, {seconds:.0f} s", flush=True)
    finally:
        shutil.rmtree(folder)
    settings = {"fit": FIT, "genes": GENES, "filled": FILLED, "dtype": "float32"}
    write_json(args.out, {**evidence(), "seed": 0, **settings, "fits": fits, "commands": commands})


if __name__ == "__main__":
    main()
