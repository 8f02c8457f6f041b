"""Fit and evaluate through the command line, and keep the figures with their evidence.

    python benchmarks/record.py mnist --epochs 30 --run runs/mnist --out results/fits/mnist-cpvae-k10-seed0.json

It runs `cpvae fit`, which resumes an interrupted run, and then `cpvae evaluate` on the test split, once.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from cpvae.files import read_json, write_json
from cpvae.study.evidence import evidence, portable


def cpvae(*arguments: str) -> str:
    """Run the command line and show its progress; return standard output."""
    command = [sys.executable, "-m", "cpvae.cli", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset")
    parser.add_argument("--model", default="cpvae")
    parser.add_argument("--components", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=None)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--importance-samples", type=int, default=500)
    parser.add_argument("--importance-rows", type=int, default=1000)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()

    options = ["--model", args.model, "--seed", str(args.seed), "--out", str(args.run)]
    options += ["--components", str(args.components)] if args.model == "cpvae" else []
    options += ["--epochs", str(args.epochs)] if args.epochs else []
    options += ["--resume"] if (args.run / "config.json").exists() else []
    cpvae("fit", args.dataset, *options)
    test = json.loads(cpvae("evaluate", str(args.run), args.dataset, "--json"))
    rows, samples = str(args.importance_rows), str(args.importance_samples)
    few = ["--rows", rows, "--importance-samples", samples]
    weighted = json.loads(cpvae("evaluate", str(args.run), args.dataset, *few, "--json"))
    config = read_json(args.run / "config.json", "a run", "fit again")
    write_json(
        args.out,
        {
            **evidence(),
            "command": f"cpvae fit {args.dataset} " + " ".join(map(portable, filter("--resume".__ne__, options))),
            "seed": args.seed,
            "params": config["params"],
            "test": test,
            "importance_weighted": weighted,
            "fit": read_json(args.run / "metrics.json", "metrics", "fit again"),
        },
    )


if __name__ == "__main__":
    main()
