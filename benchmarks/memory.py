"""Memory of a fit as its rows grow: the process's own, and pages of the file.

    python benchmarks/memory.py --out results/memory.json

Each fit is a process of its own. It calls `cpvae.datasets.load` and `CPVAE.fit` as the command line does, with K=5 and
one epoch after the start. The rows have 20 float32 columns drawn from five Gaussians. They lie in one `.npy` file or in
a folder of Parquet files, which are removed afterwards.

Another process reads `/proc/PID/status` every few milliseconds. The peak of RssAnon is memory that the process needs.
The peak of RssFile is pages of files, which Linux takes back when another process needs memory. This runs on Linux
only.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from cpvae.files import write_json
from cpvae.study.evidence import evidence

FEATURES, CATEGORIES, PART = 20, 5, 100_000
FIT = {"n_components": CATEGORIES, "latent_dim": 4, "hidden": (32,), "max_epochs": 1, "batch_size": 5000}
CHILD = """
import json, sys, time
import torch
torch.set_num_threads(1)
from cpvae import CPVAE
from cpvae.data.loaders import load
from cpvae.study.inputs import rows_of
source, settings = sys.argv[1], json.loads(sys.argv[2])
settings["hidden"] = tuple(settings["hidden"])
began = time.perf_counter()
rows = rows_of(load(source), "all")
loaded = time.perf_counter()
model = CPVAE(random_state=0, covariance_type="diag", **settings).fit(rows)
print(json.dumps({
    "seconds_to_load": loaded - began,
    "seconds_to_fit": time.perf_counter() - loaded,
    "valid_negative_elbo": model.history_[-1]["valid_negative_elbo"],
}))
"""


def write(folder: Path, n: int) -> dict[str, Path]:
    """Write the same rows as one array and as Parquet files of 100,000 rows each, a file at a time."""
    import pyarrow as pa
    from pyarrow import parquet

    array, parts = folder / "rows.npy", folder / "parts"
    parts.mkdir()
    x = np.lib.format.open_memmap(array, mode="w+", dtype=np.float32, shape=(n, FEATURES))
    random = np.random.default_rng(0)
    centres = 3 * random.normal(size=(CATEGORIES, FEATURES))
    for i, start in enumerate(range(0, n, PART)):
        c = random.integers(CATEGORIES, size=min(PART, n - start))
        block = (centres[c] + random.normal(size=(len(c), FEATURES))).astype(np.float32)
        x[start : start + len(c)] = block
        table = pa.table({f"x{j}": np.ascontiguousarray(block[:, j]) for j in range(FEATURES)})
        parquet.write_table(table, parts / f"part-{i:04}.parquet")
    x.flush()
    return {"npy": array, "parquet": parts}


def peaks(source: Path, cache: Path) -> dict[str, Any]:
    """Make one fit in a process of its own; return the peaks of its memory in bytes, and its own figures."""
    found, said = watched(["-W", "ignore", "-c", CHILD, str(source), json.dumps(FIT)], cache)
    return {**found, **json.loads(said)}


def watched(arguments: list[str], cache: Path) -> tuple[dict[str, int], str]:
    """Run Python in a process of its own; return the peaks of its memory in bytes, and what it prints."""
    child = subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.PIPE,
        env={**os.environ, "XDG_CACHE_HOME": str(cache), "OMP_NUM_THREADS": "1"},
    )
    found = {"RssAnon": 0, "RssFile": 0, "VmRSS": 0}
    while child.poll() is None:
        for line in Path(f"/proc/{child.pid}/status").read_text().splitlines():
            name, *value = line.split()
            if name[:-1] in found:
                found[name[:-1]] = max(found[name[:-1]], 1024 * int(value[0]))
        time.sleep(0.003)
    assert child.stdout is not None
    if child.returncode:
        raise SystemExit(f"{' '.join(arguments)} ended with {child.returncode}")
    names = {"RssAnon": "anonymous", "RssFile": "file_backed", "VmRSS": "resident"}
    return {f"peak_{names[name]}_bytes": value for name, value in found.items()}, child.stdout.read().decode()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000, 10_000_000])
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    fits = []
    for n in args.rows:
        folder = Path(tempfile.mkdtemp(prefix="cpvae-memory-"))
        try:
            for kind, source in write(folder, n).items():
                one = {"rows": n, "from": kind, "data_bytes": 4 * n * FEATURES, **peaks(source, folder / "cache")}
                fits.append(one)
                own, file = one["peak_anonymous_bytes"] / 1e6, one["peak_file_backed_bytes"] / 1e6
                print(
                    f"{n:>12,} rows, {kind:8} own {own:7.0f} MB, of files {file:7.0f} MB, {one['seconds_to_fit']:.0f} s"
                )
        finally:
            shutil.rmtree(folder)
    result = {
        **evidence(),
        "fit": {**FIT, "features": FEATURES, "dtype": "float32"},
        "fits": fits,
    }
    write_json(args.out, result)


if __name__ == "__main__":
    main()
