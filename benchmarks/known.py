"""CP-VAE with known labels of a few rows, beside semi-supervised classifiers and classifiers of these rows alone.

    python benchmarks/known.py --set digits --labels 5 --seed 0
    python benchmarks/known.py --render

A set has training and test rows of its own, or a seed holds three rows in ten out for the test. A seed draws as many
labels of each class from the training rows, the same for all systems. The others are scored on the test rows, and on
the training rows without a label. Each set, number of labels, seed and system leaves a line in a file of JSON lines. A
job with a line from the same code is not run again. `--render` writes the results into docs/known.md.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import options
import pandas as pd
from field import ROOT, SEEDS, code_of
from field_lines import warm
from field_page import Line, read
from field_peers import encode
from field_sets import SETS, FieldSet, labelled
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier
from sklearn.svm import SVC
from starts import WithStart

from cpvae.data.loaders import Dataset, Split, load
from cpvae.estimators.rows_in import as_table, take
from cpvae.files import append_line, check_writable, make_folders
from cpvae.fitting.jobs import Done, Job, run
from cpvae.study import markdown
from cpvae.study.evidence import evidence
from cpvae.study.inputs import estimator_for

PAGE, RESULTS = ROOT / "docs" / "known.md", ROOT / "results" / "known.jsonl"
CODE = ("src/cpvae", "benchmarks/known.py", "benchmarks/field_sets.py")
BEGIN, END = "<!-- results -->\n", "<!-- /results -->"
CHOSEN = {name: SETS[name] for name in ("digits", "penguins", "JapaneseVowels", "dermatology")}
CHOSEN["mnist"] = FieldSet("mnist", "images", 10)
LABELS = dict.fromkeys(CHOSEN, (1, 5, 20)) | {"mnist": (1, 10, 100)}
TEST = 0.3  # share of the rows that are held out of a set without test rows
OWN = "cpvae"


def logistic() -> LogisticRegression:
    """Make the classifier that self-training trains, and that is trained on the known rows alone."""
    return LogisticRegression(max_iter=2000)


PEERS: dict[str, Callable[[], Any]] = {
    "LabelSpreading": lambda: LabelSpreading(kernel="knn", n_neighbors=7, max_iter=200),
    "SelfTraining": lambda: SelfTrainingClassifier(logistic()),
    "logistic": logistic,
    "SVM": SVC,
}
ALONE = ("logistic", "SVM")  # classifiers of the known rows alone
SYSTEMS = (OWN, *PEERS)


class Parts:
    """Rows of a set for a seed: training rows with few labels, and test rows.

    Attributes:
        train, test: rows as an estimator takes them; points: the same for the peers, one after the other.
        y, y_test: classes, integers from 0; known: those of the known rows, -1 elsewhere.
    """

    def __init__(self, given: FieldSet, n_labels: int, seed: int, rows: int | None):
        data, train, test, self.order = split_of(given, seed)
        if rows is not None and rows < len(train.x):
            some = np.sort(np.random.RandomState(seed).permutation(len(train.x))[:rows])
            train, self.order = at(train, some), np.append(self.order[some], self.order[len(train.x) :])
        assert train.y is not None
        assert test.y is not None
        _, y = np.unique(np.concatenate([train.y.astype(str), test.y.astype(str)]), return_inverse=True)
        self.data, self.y, self.y_test = data, y[: len(train.y)], y[len(train.y) :]
        self.train, self.test = (as_table(one.x, data.feature_names) for one in (train, test))
        random = np.random.RandomState(1000 + seed)
        self.known = np.full(len(self.y), -1)
        for c in range(given.n_classes):
            own = np.flatnonzero(self.y == c)
            self.known[random.permutation(own)[:n_labels]] = c

    def points(self, field: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Encode training and test rows for the peers, together, in their order in the set, and without labels."""
        tables = hasattr(self.train, "iloc")
        both = pd.concat([self.train, self.test]) if tables else np.concatenate([self.train, self.test])
        order = np.argsort(self.order, kind="stable")
        encoded = encode(field, take(both, order), seed)
        points = np.empty_like(encoded)
        points[order] = encoded
        return points[: len(self.y)], points[len(self.y) :]

    def scores(self, train: np.ndarray, test: np.ndarray) -> Line:
        """Score the categories of training rows without a label, and of test rows."""
        free = self.known < 0
        return {
            "transductive": float((train[free] == self.y[free]).mean()) if free.any() else None,
            "held_out": float((test == self.y_test).mean()),
        }


def at(split: Split, index: np.ndarray) -> Split:
    """Take some rows of a split."""
    return replace(split, x=take(split.x, index), y=None if split.y is None else split.y[index], row_names=None)


def split_of(given: FieldSet, seed: int) -> tuple[Dataset, Split, Split, np.ndarray]:
    """Read a set, its training rows and its test rows, all of them labelled, and their positions in the set."""
    data = load(given.source, labels=given.labels, **given.reading)
    if {"train", "test"} <= data.splits.keys():
        train, test = data.splits["train"], data.splits["test"]
        return data, train, test, np.arange(len(train.x) + len(test.x))
    whole = given.load().splits["all"]
    whole = at(whole, np.flatnonzero(labelled(whole.y, len(whole.x))))
    assert whole.y is not None
    index = np.arange(len(whole.x))
    first, rest = train_test_split(index, test_size=TEST, stratify=whole.y.astype(str), random_state=seed)
    first, rest = np.sort(first), np.sort(rest)
    return data, at(whole, first), at(whole, rest), np.append(first, rest)


def lines_of(name: str, n_labels: int, seed: int, systems: Sequence[str], rows: int | None, epochs: int | None) -> Any:
    """Run systems on the same rows with the same labels; give a line for each."""
    given = CHOSEN[name]
    parts = Parts(given, n_labels, seed, rows)
    words = f"--set {name} --labels {n_labels} --seed {seed}"
    for option, value in (("rows", rows), ("epochs", epochs)):
        words += "" if value is None else f" --{option} {value}"
    shared: Line = {
        "set": name,
        "labels": n_labels,
        "seed": seed,
        "rows": rows,
        "epochs": epochs,
        "n_train": len(parts.y),
        "n_test": len(parts.y_test),
        "n_known": int((parts.known >= 0).sum()),
    }
    found = []
    points = parts.points(given.field, seed) if set(systems) - {OWN} else None
    for system in systems:
        began = time.process_time()
        if system == OWN:
            line = own(parts, given, seed, epochs)
        else:
            assert points is not None
            model, there = PEERS[system](), parts.known >= 0
            if system in ALONE:
                model.fit(points[0][there], parts.known[there])
            else:
                model.fit(points[0], parts.known)
            line = parts.scores(model.predict(points[0]), model.predict(points[1]))
        about = evidence(f"python benchmarks/known.py {words} --system {system}")
        found.append({**shared, "system": system, **line, "seconds": round(time.process_time() - began, 1), **about})
    return found


def own(parts: Parts, given: FieldSet, seed: int, epochs: int | None) -> Line:
    """Fit CP-VAE with the known labels and otherwise its defaults; a category is the class of its known rows."""
    if given.field != "table":
        warm()
    asked = estimator_for(parts.data, "cpvae", {"n_components": given.n_classes, "random_state": seed})
    model = WithStart(**asked.get_params()).set_params(max_epochs=epochs)
    model.fit(parts.train, known=parts.known)
    line = parts.scores(model.predict(parts.train), model.predict(parts.test))
    if model.start_rows_ is not None and model.start_categories_ is not None:
        free = parts.known[model.start_rows_] < 0
        line["start"] = float((model.start_categories_ == parts.y[model.start_rows_])[free].mean())
    return {**line, "likelihood": model.likelihood_, "epochs_made": model.n_iter_}


def key(line: Line) -> tuple[Any, ...]:
    """Name what a line is about."""
    return line["set"], line["labels"], line["seed"], line["rows"], line["epochs"], line["system"]


def measure(args: argparse.Namespace) -> None:
    """Run the jobs that are asked for and have no line from the same code."""
    make_folders(args.out.parent)
    check_writable(args.out)
    code = code_of(*CODE)
    there = {key(line) for line in read(args.out, key) if line.get("code") == code}
    sets = [name for name in args.set or CHOSEN if not CHOSEN[name].missing()]
    jobs = []
    for seed in args.seed or SEEDS:
        for name in sets:
            for n in args.labels or LABELS[name]:
                wanted = list(args.system or SYSTEMS)
                left = tuple(one for one in wanted if (name, n, seed, args.rows, args.epochs, one) not in there)
                if left:
                    work = partial(lines_of, name, n, seed, left, args.rows, args.epochs)
                    jobs.append(Job(f"{name}-{n}-{seed}", work))
    print(f"{len(jobs)} to run; lines go to {args.out}", flush=True)

    def told(done: Done[Any]) -> None:
        for line in done.result():
            append_line(args.out, json.dumps({**line, "code": code}))
            scores = "  ".join(
                f"{one} {line[one]:.3f}" for one in ("held_out", "transductive", "start") if line.get(one)
            )
            print(
                f"{line['set']:15} {line['labels']:3} labels  seed {line['seed']}  {line['system']:15} {scores}",
                flush=True,
            )

    run(jobs, args.jobs, told=told, advice="run the same command with fewer --jobs to go on")


def results(lines: Sequence[Line], source: str) -> str:
    """Write the part of the page that is made from lines."""
    parts = []
    titles = {
        "held_out": "Accuracy on test rows: mean over seeds, and range.",
        "transductive": 'Accuracy on training rows without a label. "Start" is the start of CP-VAE alone.',
    }
    for figure, title in titles.items():
        shown = [OWN, *(["start"] if figure == "transductive" else []), *PEERS]
        rows = []
        for name in CHOSEN:
            for n in sorted({line["labels"] for line in lines if line["set"] == name}):
                mine = [line for line in lines if (line["set"], line["labels"]) == (name, n) and line["rows"] is None]
                if mine:
                    rows.append([name, f"{mine[0]['n_train']:,}", str(n), *(_cell(mine, one, figure) for one in shown)])
        head = ("set", "training rows", "labels a class", *("its start" if one == "start" else one for one in shown))
        parts.append(f"{title}\n\n{markdown.table(head, rows)}")
    mine = [line for line in lines if line["system"] == OWN]
    commits = ", ".join(sorted({line["commit"] for line in mine}))
    return "\n".join([*parts, f"From [{Path(source).stem}]({source}); cpvae at {commits or '(none)'}.\n"])


def _cell(lines: Sequence[Line], system: str, figure: str) -> str:
    """Print the mean of a figure over seeds, and its range."""
    name, what = (OWN, "start") if system == "start" else (system, figure)
    values = [line[what] for line in lines if line["system"] == name and line.get(what) is not None]
    if not values:
        return "-"
    mean = f"{statistics.fmean(values):.3f}"
    mean = f"**{mean}**" if system == OWN else mean
    return mean + (f" ({min(values):.3f} to {max(values):.3f})" if len(values) > 1 else "")


def render(out: Path, page: Path) -> None:
    """Write the results into the page, between its marks."""
    options.write_between(page, BEGIN, END, results(read(out, key), f"../results/{out.name}"))


def main(words: Sequence[str] | None = None) -> None:
    parser = options.parser_of(__doc__, SYSTEMS, RESULTS, PAGE)
    parser.add_argument("--set", action="append", choices=list(CHOSEN), help="one of the sets; may be repeated")
    parser.add_argument("--labels", action="append", type=int, help="known rows of each class; may be repeated")
    parser.add_argument("--rows", type=int, help="use so many training rows only; such lines are not on the page")
    parser.add_argument("--epochs", type=int, help="largest number of epochs of CP-VAE")
    options.run_or_render(parser.parse_args(words), measure, render)


if __name__ == "__main__":
    main()
