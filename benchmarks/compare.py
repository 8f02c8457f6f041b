"""Run `cpvae compare` and keep its table with its evidence, and a picture of what each model's components generate.

    python benchmarks/compare.py digits --models cpvae,vae,mog,vamp,hvae,hvae-vamp --seeds 3
    python benchmarks/compare.py mnist --models cpvae,vae,mog,vamp,hvae,hvae-vamp --seeds 1 --epochs 30

The arguments are those of `cpvae compare`. Runs stay in ``runs/compare-DATA``. The table goes to
``results/compare/DATA.json``. Each picture shows rows of the first seed, one line for each component, as in the paper's
Figure 7.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from cpvae.files import write_atomic, write_json
from cpvae.study.evidence import evidence

RESULTS = Path(__file__).parents[1] / "results" / "compare"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset")
    args, others = parser.parse_known_args()
    runs = Path("runs") / f"compare-{args.dataset}"
    command = ["compare", args.dataset, *others, "--out", str(runs)]
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "cpvae.cli", *command, "--json"], check=True, stdout=subprocess.PIPE, text=True
    )
    result = json.loads(done.stdout)
    kept = {
        "command": " ".join(["cpvae", *command]),
        "wall_seconds_of_last_call": round(time.perf_counter() - began, 1),
    }
    write_json(RESULTS / f"{args.dataset}.json", {**evidence(), **kept, **result})
    for row in result["rows"]:
        picture = runs / row["runs"][0] / "samples.png"
        if row["components"] and picture.exists():
            write_atomic(RESULTS / args.dataset / f"{row['runs'][0]}.png", picture.read_bytes())


if __name__ == "__main__":
    main()
