"""Customers of twelve months whose sources change: how soon is a new source found, and what becomes of the old ones?

    python benchmarks/months.py --seed 0
    python benchmarks/months.py --render

Five sources of a drawn table send 400 customers a month. One grows, one vanishes by the ninth month, one appears in the
fifth. A model is fitted to the first month and continued in each later one, with the rows of that month alone and
without being told how many categories are new. Beside it stand a model that is continued without replay, and one that
is fitted to the rows of all months. Sources judge, and nothing else. Each seed leaves a line in a file of JSON lines,
and `--render` writes the table into docs/continual.md.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import options
import pandas as pd
from field import ROOT
from field_lines import warm
from field_page import Line, read

from cpvae import CPVAE
from cpvae.datasets import make_table
from cpvae.files import append_line
from cpvae.study import markdown, metrics
from cpvae.study.evidence import evidence

PAGE, RESULTS = ROOT / "docs" / "continual.md", ROOT / "results" / "months.jsonl"
BEGIN, END = "<!-- months -->\n", "<!-- /months -->"
MONTHS, ROWS, TEST = 12, 400, 300  # months, rows of a month, and rows of each source to test by
STEADY, GROWING, VANISHING, NEW, OTHER = range(5)
APPEARS, GONE = 4, 8  # months, counted from 0: of the new source, and from which on the vanishing one sends nobody
POOL = 60_000  # rows that those of all months are taken from


def shares_of(month: int) -> np.ndarray:
    """Give the share of each source among the customers of a month, ``(5,)``.

    >>> shares_of(0).round(2).tolist(), shares_of(11).round(2).tolist()
    ([0.3, 0.1, 0.35, 0.0, 0.25], [0.25, 0.37, 0.0, 0.17, 0.21])
    """
    there = np.array([0.3, 0.1 + 0.03 * month, 0.35 * max(0.0, 1 - month / GONE), 0.2 * (month >= APPEARS), 0.25])
    return there / there.sum()


def customers(seed: int) -> tuple[list[pd.DataFrame], list[np.ndarray], pd.DataFrame, np.ndarray]:
    """Draw the rows and sources of each month, and rows of all sources to test by."""
    table, source = make_table(POOL, n_clusters=5, seed=seed)
    random = np.random.default_rng(seed)
    left = [list(random.permutation(np.flatnonzero(source == k))) for k in range(5)]

    def take(counts: Sequence[int]) -> tuple[pd.DataFrame, np.ndarray]:
        rows = random.permutation([left[k].pop() for k, n in enumerate(counts) for _ in range(n)])
        return table.iloc[rows].reset_index(drop=True), source[rows]

    months = [take(random.multinomial(ROWS, shares_of(month)).tolist()) for month in range(MONTHS)]
    return [x for x, _ in months], [y for _, y in months], *take([TEST] * 5)


def line_of(seed: int, epochs: int | None) -> Line:
    """Let the models learn month after month; give the line of a seed."""
    warnings.simplefilter("ignore")
    months, sources, x_test, y_test = customers(seed)
    every, of_every = pd.concat(months, ignore_index=True), np.concatenate(sources)
    asked: dict[str, Any] = {"random_state": seed, "max_epochs": epochs}
    began = [len(np.unique(sources[0]))]
    warm()
    found: Line = {"seed": seed, "epochs": epochs}
    for name, replay in (("continued", 1.0), ("no replay", 0.0)):
        start, model, added = time.process_time(), CPVAE(began[0], **asked).fit(months[0]), []
        for month in range(1, MONTHS):
            before = model.n_components_
            model.continue_fit(months[month], n_new="auto", replay=replay)
            own = model.predict(months[month])
            of_new = [sources[month][own == k] for k in range(before, model.n_components_)]
            added.append([int(np.bincount(y).argmax()) if len(y) else None for y in of_new])
        mapping = metrics.majority_mapping(of_every, model.predict(every))
        found[name] = {
            "added": added,
            **_judged(model, mapping, months, sources, x_test, y_test),
            "seconds": round(time.process_time() - start, 1),
        }
    start = time.process_time()
    whole = CPVAE(5, **asked).fit(every)
    mapping = metrics.majority_mapping(of_every, whole.predict(every))
    found["all at once"] = {
        **_judged(whole, mapping, months, sources, x_test, y_test),
        "seconds": round(time.process_time() - start, 1),
    }
    words = f"python benchmarks/months.py --seed {seed}" + (f" --epochs {epochs}" if epochs else "")
    return found | evidence(words)


def _judged(
    model: CPVAE,
    mapping: metrics.Mapping,
    months: Sequence[pd.DataFrame],
    sources: Sequence[np.ndarray],
    x_test: pd.DataFrame,
    y_test: np.ndarray,
) -> Line:
    """Judge a model by rows of all sources, and by the shares of sources that it sees in each month."""
    told = [np.array([mapping.get(k, -1) for k in model.predict(x).tolist()]) for x in months]
    seen = np.array([[(one == k).mean() for k in range(5)] for one in told])
    true = np.array([[(y == k).mean() for k in range(5)] for y in sources])
    return {
        "accuracy": metrics.accuracy(y_test, model.predict(x_test), mapping),
        "bound": float(model.score(x_test)),
        "components": int(model.n_components_),
        "share_error": np.abs(seen - true).mean(0).tolist(),
        "share_of_gone": float(seen[GONE:, VANISHING].mean()),
    }


def found_after(one: Line) -> int | None:
    """Count the months from the first customers of the new source to the category that is added for them."""
    months = [i + 1 for i, added in enumerate(one["added"]) if NEW in added]
    return months[0] - APPEARS if months else None


def results(lines: Sequence[Line]) -> str:
    """Write the part of the page that is made from lines."""
    rows = []
    for name in ("all at once", "continued", "no replay"):
        mine = [line[name] for line in lines]
        after = [found_after(one) for one in mine] if name != "all at once" else []
        extra = [sum(map(len, one["added"])) - (found_after(one) is not None) for one in mine] if after else []
        rows.append(
            [
                name,
                ", ".join("never" if one is None else str(one) for one in after) or "-",
                ", ".join(map(str, extra)) or "-",
                _mean([one["accuracy"] for one in mine], 3),
                _mean([one["bound"] for one in mine], 2),
                _mean([one["share_error"][GROWING] for one in mine], 3),
                _mean([one["share_of_gone"] for one in mine], 3),
                _mean([one["seconds"] for one in mine], 0),
            ]
        )
    head = (
        "learns by",
        "found after",
        "other categories added",
        "accuracy",
        "bound",
        "error in the share",
        "share of the vanished",
        "seconds",
    )
    commits = ", ".join(sorted({line["commit"] for line in lines}))
    n = len(lines)
    seeds = f"{n} seed{'s' * (n != 1)}"
    return f"{markdown.table(head, rows)}\n{seeds}: [months](../results/months.jsonl); cpvae at {commits}.\n"


def _mean(values: Sequence[float], digits: int) -> str:
    """Print a mean, and the range of several."""
    shown = f"{statistics.fmean(values):.{digits}f}"
    return shown + (f" ({min(values):.{digits}f} to {max(values):.{digits}f})" if len(values) > 1 else "")


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", action="append", type=int, help="may be repeated; by default 0")
    parser.add_argument("--epochs", type=int, help="largest number of epochs of a fit")
    parser.add_argument("--out", type=Path, default=RESULTS, help="the file of lines")
    parser.add_argument("--render", action="store_true", help="write the page from the file, run nothing")
    args = parser.parse_args(words)
    if args.render:
        options.write_between(PAGE, BEGIN, END, results(read(args.out, lambda line: (line["seed"],))))
        return
    for seed in args.seed or [0]:
        line = line_of(seed, args.epochs)
        append_line(args.out, json.dumps(line))
        print(json.dumps({name: line[name] for name in ("all at once", "continued", "no replay")}), flush=True)


if __name__ == "__main__":
    main()
