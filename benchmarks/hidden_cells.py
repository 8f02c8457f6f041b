"""Log loss of q(c | x) for rows with cells hidden, in fits with and without copies that lack cells.

    python benchmarks/hidden_cells.py --out results/hidden_cells.json

Rows that the fit did not have are judged. Cells of them are hidden; the log loss of q(c | what is left) is against
q(c | whole row) of the same fit, in nats, and agreement is the share of rows whose likeliest category is the same. The
sets lie in the folder `field` below `CPVAE_DATA`; labels are not used.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from field_sets import SETS

from cpvae import CPVAE
from cpvae.files import write_json
from cpvae.study.evidence import evidence
from cpvae.study.inputs import rows_of

ASKED = {"credit_data": (5, "Debt"), "penguins": (3, "bill_length_mm")}  # set: categories, the column that is hidden
MOST_ROWS, JUDGED = 1000, 300


def hidden(table: pd.DataFrame, column: str, random: np.random.Generator) -> dict[str, np.ndarray]:
    """Choose the cells to hide in three ways, booleans ``(n, columns)`` each."""
    n, m = table.shape
    return {
        column: np.tile(table.columns == column, (n, 1)),
        "one column": np.arange(m) == random.integers(m, size=(n, 1)),
        "30 % of the cells": random.random((n, m)) < 0.3,
    }


def judged(name: str, augment: str, seed: int) -> dict[str, Any]:
    """Fit a set, and measure log loss and agreement for each way of hiding cells."""
    k, column = ASKED[name]
    frame = rows_of(SETS[name].load(), "all")
    order = np.random.default_rng(seed).permutation(len(frame))
    n = min(MOST_ROWS, len(frame) - min(JUDGED, len(frame) // 4))
    train, rest = frame.iloc[order[:n]], frame.iloc[order[n : n + JUDGED]]
    began = time.process_time()
    model = CPVAE(k, augment=augment, random_state=seed).fit(train)
    found: dict[str, Any] = {"seconds": round(time.process_time() - began, 2), "n_train": n, "n_judged": len(rest)}
    whole = model.evaluate(rest).q_c
    for way, gone in hidden(rest, column, np.random.default_rng(seed)).items():
        part = model.evaluate(rest.astype(object).mask(gone)).q_c
        loss = -(whole * np.log(np.maximum(part, 1e-9))).sum(1).mean()
        agreement = (part.argmax(1) == whole.argmax(1)).mean()
        found[way] = {"log_loss": round(float(loss), 3), "agreement": round(float(agreement), 3)}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    fits = {name: {augment: judged(name, augment, args.seed) for augment in ("none", "hide")} for name in ASKED}
    write_json(args.out, {**evidence(), "seed": args.seed, "fits": fits})
    for name, pair in fits.items():
        for augment, found in pair.items():
            print(name, augment, found)


if __name__ == "__main__":
    main()
