"""Test of criteria without labels: do they tell whether a fit or its start has the better categories?

    python benchmarks/start_or_fit.py --set heart.h --start-weight 0
    python benchmarks/start_or_fit.py --render

The criterion: categories that stand for something can be told from the neighbours of a row. The training rows are
halved at random, ten times, and one half gets its categories from the five nearest rows of the other. The adjusted
Rand index with its own ones is measured for the categories of the start and for those of the fit. Neighbours are looked
for in the code that the start clusters, among the rows as the encoder gets them, and among the codes of the fit. Labels
only say afterwards which of the two was better. `--set cloud` measures k-means on a cloud without groups.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from field import ROOT
from field_sets import SETS, labelled
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score
from sklearn.neighbors import KNeighborsClassifier
from starts import Told, WithStart

from cpvae.data.rows import Rows
from cpvae.estimators.rows_in import as_table
from cpvae.files import append_line, write_atomic
from cpvae.fitting.starts.clusterings import Clustering
from cpvae.fitting.starts.start import ClusteredStart
from cpvae.fitting.starts.task import Points, Start
from cpvae.study import markdown, metrics
from cpvae.study.evidence import evidence

PAGE, RESULTS = ROOT / "docs" / "clusters.md", ROOT / "results" / "start_or_fit.jsonl"
BEGIN, END = "<!-- start or fit -->\n", "<!-- /start or fit -->"
HALVINGS, NEIGHBOURS = 10, 5
CLOUD, CLOUD_ROWS, CLOUD_K = "cloud", 600, 5
SPACES = {"code": "the start's code", "rows": "the rows", "latent": "the fit's codes"}


@dataclass(frozen=True)
class Kept:
    """A clustering that tells its points, and their categories."""

    clustering: Clustering
    told: Callable[[Points, np.ndarray], None]

    def __call__(
        self, points: Points, n_components: int, random: np.random.RandomState, *, known: np.ndarray | None = None
    ) -> Callable[[Points], np.ndarray]:
        found = self.clustering(points, n_components, random, known=known)

        def categories(others: Points) -> np.ndarray:
            groups = found(others)
            self.told(others, groups)
            return groups

        return categories


class WithCode(WithStart):
    """CP-VAE that keeps the points ``(n, d)`` that its start clustered; None for a table, which has no code."""

    start_points_: Points | None = None

    def _start(self) -> Start:
        told = super()._start()
        assert isinstance(told, Told)
        self._clustered: list[tuple[Points, np.ndarray]] = []
        if isinstance(told.start, ClusteredStart):
            kept = Kept(told.start.clustering, lambda *one: self._clustered.append(one))
            return replace(told, start=replace(told.start, clustering=kept))
        return told

    def _keep_start(self, rows: np.ndarray, categories: np.ndarray) -> None:
        super()._keep_start(rows, categories)
        of_it = [points for points, groups in self._clustered if np.array_equal(groups, categories)]
        self.start_points_ = of_it[-1] if of_it else None


def agreement(categories: np.ndarray, points: Points) -> np.ndarray:
    """Measure how well categories ``(n,)`` are told from neighbours ``(n, d)``, in each halving of the rows."""
    random, found = np.random.RandomState(0), []
    for _ in range(HALVINGS):
        one, other = np.array_split(random.permutation(len(categories)), 2)
        nearest = KNeighborsClassifier(NEIGHBOURS).fit(points[one], categories[one])
        found.append(adjusted_rand_score(categories[other], nearest.predict(points[other])))
    return np.array(found)


def judged(start: np.ndarray, fit: np.ndarray, points: Points) -> dict[str, float]:
    """Compare two sets of categories ``(n,)``: means of the agreement, and an interval of nine tenths of its excess."""
    a, b = agreement(start, points), agreement(fit, points)
    low, high = np.quantile(a - b, [0.05, 0.95])
    values = {"start": a.mean(), "fit": b.mean(), "low": low, "high": high}
    return {name: round(float(value), 4) for name, value in values.items()}


def measure(name: str, start_weight: float, seed: int, likelihood: str) -> dict[str, Any]:
    """Fit a set, and judge its training rows."""
    given = SETS[name]
    data = given.load()
    part = data.splits["all"]
    X = as_table(part.x, data.feature_names)
    kind = data.kind if data.kind in ("images", "signals", "counts") else "auto"
    model = WithCode(
        given.n_classes, start_weight=start_weight, likelihood=likelihood, random_state=seed, kind=kind
    ).fit(X)
    rows, start = model.start_rows_, model.start_categories_
    assert rows is not None
    assert start is not None
    fit = model.predict(X)[rows]
    stored = model.model_.likelihood
    trained = Rows(model._check_rows(X, reset=False), rows)
    inputs = torch.cat([stored.inputs(stored.draw_fixed(stored.to_model(x))) for x in trained.chunks()])
    points = {"code": model.start_points_, "rows": inputs.numpy(force=True), "latent": model.transform(X)[rows]}
    known = labelled(part.y, len(part.x))[rows]
    assert part.y is not None
    classes = part.y[rows][known]
    return {
        "set": name,
        "start_weight": start_weight,
        "seed": seed,
        "likelihood": model.likelihood_,
        "rows": len(rows),
        "start_accuracy": round(metrics.accuracy_hungarian(classes, start[known]), 4),
        "fit_accuracy": round(metrics.accuracy_hungarian(classes, fit[known]), 4),
        "same": round(float(adjusted_rand_score(start, fit)), 4),
        "criteria": {key: judged(start, fit, one) for key, one in points.items() if one is not None},
        **evidence(),
    }


def cloud() -> dict[str, Any]:
    """Judge the cells into which k-means cuts a Gaussian in the plane, and how alike it cuts two halves of it."""
    random = np.random.RandomState(0)
    points, again = random.randn(CLOUD_ROWS, 2), []
    found = KMeans(CLOUD_K, n_init=5, random_state=0).fit_predict(points)
    for seed in range(HALVINGS):
        halves = np.array_split(random.permutation(CLOUD_ROWS), 2)
        cut = [KMeans(CLOUD_K, n_init=5, random_state=seed).fit(points[half]).predict(points) for half in halves]
        again.append(adjusted_rand_score(*cut))
    told = round(float(agreement(found, points).mean()), 4)
    return {"set": CLOUD, "rows": CLOUD_ROWS, "told": told, "cut_again": round(float(np.mean(again)), 4), **evidence()}


def table(lines: list[dict[str, Any]]) -> str:
    """Tabulate all sets, and count for each kind of neighbours how often its clear judgements were right."""
    head = ("set, likelihood, weight of the start", "start less fit, accuracy", "start and fit, ARI", *SPACES.values())
    rows, right, clear = [], dict.fromkeys(SPACES, 0), dict.fromkeys(SPACES, 0)
    for line in (one for one in lines if one["set"] != CLOUD):
        better = line["start_accuracy"] - line["fit_accuracy"]
        cells = []
        for key in SPACES:
            one = line["criteria"].get(key)
            if one is None:
                cells.append("-")
                continue
            cells.append(f"{one['start'] - one['fit']:+.3f} ({one['low']:+.3f} to {one['high']:+.3f})")
            if one["low"] > 0 or one["high"] < 0:
                clear[key] += 1
                right[key] += (one["low"] > 0) == (better > 0)
        name = f"{line['set']}, {line['likelihood']}, {line['start_weight']:g}"
        rows.append([name, f"{better:+.3f}", f"{line['same']:.3f}", *cells])
    counts = "; ".join(f"for neighbours in {SPACES[key]} {right[key]} of {clear[key]}" for key in SPACES)
    said = f"Clear judgements, whose interval leaves out 0, that agree with the labels: {counts}."
    for line in (one for one in lines if one["set"] == CLOUD):
        said += (
            f" The cells into which k-means cuts a round cloud of {line['rows']} points in the plane are told from "
            f"neighbours with {line['told']:.3f}, though it cuts two halves alike with {line['cut_again']:.3f} only."
        )
    return f"{markdown.table(head, rows)}\n{said} From [start_or_fit](../results/start_or_fit.jsonl)."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--set", action="append", choices=[*SETS, CLOUD], default=[], help="may be repeated")
    parser.add_argument("--start-weight", type=float, default=6.0)
    parser.add_argument("--likelihood", default="auto")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--render", action="store_true", help="write the table of the page, run nothing")
    args = parser.parse_args()
    if args.render:
        page = PAGE.read_text()
        before, rest = page.split(BEGIN)
        lines = [json.loads(line) for line in args.out.read_text().splitlines()]
        write_atomic(PAGE, f"{before}{BEGIN}{table(lines)}\n{END}{rest.split(END)[1]}")
        return
    for name in args.set:
        line = cloud() if name == CLOUD else measure(name, args.start_weight, args.seed, args.likelihood)
        append_line(args.out, json.dumps(line))


if __name__ == "__main__":
    main()
