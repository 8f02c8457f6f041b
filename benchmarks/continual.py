"""Class-incremental learning of digits and alphabets without labels, by replay from CP-VAE and by other means.

    python benchmarks/continual.py --set digits --seed 0
    python benchmarks/continual.py --set mnist --rows 5000 --epochs 20 --seed 0
    python benchmarks/continual.py --render

Ten digits come in five tasks of two, or fifty alphabets of Omniglot in five of ten. A system sees the rows of a task
once, and no row of an earlier one unless its name says so. After the last task, categories of test rows are scored by
the mapping to digits that training rows of all tasks give. A classifier, which gets the labels of each task, learns
from its rows and from what the system replays. Each set, seed and system leaves a line in a file of JSON lines. A job
with a line from the same code is not run again. `--render` writes the results into docs/continual.md.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import options
import torch
from field import ROOT, code_of
from field_lines import warm
from field_page import Line, read
from sklearn.cluster import KMeans
from sklearn.neural_network import MLPClassifier

from cpvae import CPVAE, VAE, VampVAE
from cpvae.data.loaders import load
from cpvae.estimators.contract import DeepMixture
from cpvae.estimators.replay import seen
from cpvae.files import append_line, check_writable, make_folders
from cpvae.fitting.jobs import Done, Job, run
from cpvae.nn.draws import uniform_
from cpvae.study import markdown, metrics
from cpvae.study.evidence import evidence

PAGE, RESULTS = ROOT / "docs" / "continual.md", ROOT / "results" / "continual.jsonl"
CODE = ("src/cpvae", "benchmarks/continual.py")
BEGIN, END = "<!-- results -->\n", "<!-- /results -->"
SETS = ("digits", "mnist", "omniglot")
SEEDS = (0,)
TASKS = 5
STORED = 100  # rows of a category
TEST = 2000  # rows, drawn where there are more


@dataclass(frozen=True)
class Parts:
    """The rows of a set: training rows ``(n, 1, height, width)`` and digits ``(n,)``, and the same to test by.

    Attributes:
        likelihood: that the set names for its rows.
    """

    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    likelihood: str = "auto"

    @property
    def each(self) -> int:
        """Count the digits, or alphabets, of a task."""
        return int(self.y_test.max() + 1) // TASKS

    def of_task(self, task: int) -> np.ndarray:
        """Find the training rows of a task."""
        return np.flatnonzero(self.y // self.each == task)

    def until(self, task: int) -> np.ndarray:
        """Find the training rows of a task and those before it."""
        return np.flatnonzero(self.y // self.each <= task)


def parts_of(name: str, rows: int | None, seed: int) -> Parts:
    """Read some training rows of a set, and rows to test by."""
    data = load(name)
    splits = data.splits
    x, y, x_test, y_test = (getattr(splits[one], part) for one in ("train", "test") for part in ("x", "y"))
    random = np.random.RandomState(seed)
    some, few = random.permutation(len(x))[:rows], random.permutation(len(x_test))[:TEST]
    return Parts(
        x[some],
        np.asarray(y)[some].astype(int),
        x_test[few],
        np.asarray(y_test)[few].astype(int),
        data.likelihood or "auto",
    )


# -- systems -----------------------------------------------------------------------------------------------------------


@dataclass
class System(ABC):
    """A way to learn task after task.

    Attributes:
        asked: arguments of its models.
        each: digits, or alphabets, of a task.
        model: as it is after the tasks so far.
        classes: what a row that it replays is taken for, until now; digits ``(K,)``.
    """

    asked: dict[str, Any]
    each: int
    model: DeepMixture | None = None
    classes: np.ndarray = field(default_factory=lambda: np.empty(0, int))

    @abstractmethod
    def learn(self, x: np.ndarray) -> None:
        """Learn the rows of the next task."""

    def categories(self, x: np.ndarray) -> np.ndarray:
        """Give the category of each row."""
        assert self.model is not None
        found: np.ndarray = self.model.predict(x)
        return found

    def replayed(self, n: int) -> tuple[np.ndarray, np.ndarray | None] | None:
        """Draw n rows of the tasks so far, and their categories if they come with any; None of a system without."""
        return None


def inked(model: DeepMixture) -> bool:
    """Say whether rows hold probabilities of ink; a replayed row then does, too, whatever model it comes from."""
    return model.model_.likelihood.varies


class Continued(System):
    """CP-VAE that continues with replay from its categories."""

    replay = 1.0
    finds = False
    kind: type[CPVAE] = CPVAE

    def learn(self, x: np.ndarray) -> None:
        if self.model is None:
            self.model = self.kind(self.each, **self.asked).fit(x)
        else:
            self.model.continue_fit(x, n_new="auto" if self.finds else self.each, replay=self.replay)

    def replayed(self, n: int) -> tuple[np.ndarray, np.ndarray | None] | None:
        assert self.model is not None
        if not self.replay:
            return None
        k = self.model.n_components_
        drawn = [self.model.sample(max(1, n // k), c, mean=inked(self.model)) for c in range(k)]
        return np.concatenate([x for x, _ in drawn]), np.concatenate([c for _, c in drawn])


class Auto(Continued):
    """The same, which finds the number of new categories."""

    finds = True


class NoReplay(Continued):
    """CP-VAE that learns the new rows alone."""

    replay = 0.0


class StoredRows(CPVAE):
    """CP-VAE that replays rows that were stored in place of rows that it draws."""

    name = "cpvae"

    def _draw_rows(self, c: np.ndarray, mean: bool, missing: bool) -> Any:
        places = uniform_(torch.empty(len(c))).tolist()
        return np.stack([self.stored_[k][int(u * len(self.stored_[k]))] for k, u in zip(c, places, strict=True)])


class Stored(Continued):
    """CP-VAE that continues with 100 stored rows of each category, chosen at random by its own categories."""

    kind = StoredRows

    def learn(self, x: np.ndarray) -> None:
        stored = [] if self.model is None else list(self.model.stored_)
        before = len(stored)
        super().learn(x)
        assert self.model is not None
        found = self.categories(x)
        for k in range(before, self.model.n_components_):
            own = x[found == k] if (found == k).any() else x[:1]
            stored.append(own[np.random.RandomState(k).permutation(len(own))[:STORED]])
        self.model.stored_ = stored

    def replayed(self, n: int) -> tuple[np.ndarray, np.ndarray | None] | None:
        assert self.model is not None
        stored = self.model.stored_
        return np.concatenate(stored), np.repeat(np.arange(len(stored)), [len(own) for own in stored])


class FromVAE(System):
    """Generative replay from a VAE, without a choice of categories (Shin et al., 2017); k-means finds categories."""

    def make(self) -> DeepMixture:
        """Make the model of a task."""
        return VAE(**self.asked)

    def learn(self, x: np.ndarray) -> None:
        rows, old = x, self.model
        if old is not None:
            self.tasks += 1
            drawn = old.sample(len(x) * self.tasks, mean=inked(old))[0]
            rows = np.concatenate([x, drawn.astype(x.dtype)])  # bytes stay bytes, whose scale a fit knows
        self.model = self.make().fit(rows)
        code = self.model.transform(rows)
        self.clusters = KMeans(self.each * (self.tasks + 1), n_init=10, random_state=0).fit(code)

    tasks = 0

    def categories(self, x: np.ndarray) -> np.ndarray:
        assert self.model is not None
        found: np.ndarray = self.clusters.predict(self.model.transform(x))
        return found

    def replayed(self, n: int) -> tuple[np.ndarray, np.ndarray | None] | None:
        assert self.model is not None
        return self.model.sample(n, mean=inked(self.model))[0], None


class FromVamp(FromVAE):
    """The same from a VAE with a VampPrior of as many pseudo-inputs as categories."""

    def make(self) -> DeepMixture:
        return VampVAE(self.each * (self.tasks + 1), **self.asked)


SYSTEMS: dict[str, type[System]] = {
    "cpvae": Continued,
    "cpvae, number found": Auto,
    "no replay": NoReplay,
    "VAE": FromVAE,
    "VampPrior": FromVamp,
    "stored rows": Stored,
}
ALL = "all at once"
NAMES = (ALL, *SYSTEMS)


# -- lines -------------------------------------------------------------------------------------------------------------


def line_of(name: str, system: str, seed: int, rows: int | None, epochs: int | None) -> Line:
    """Run a system through the tasks; give its line."""
    warnings.simplefilter("ignore")
    parts = parts_of(name, rows, seed)
    asked: dict[str, Any] = {"random_state": seed, "max_epochs": epochs, "likelihood": parts.likelihood}
    warm()
    began = time.process_time()
    found = (
        all_at_once(parts, asked) if system == ALL else through_tasks(parts, SYSTEMS[system](asked, parts.each), seed)
    )
    words = f"python benchmarks/continual.py --set {name} --system {system!r} --seed {seed}"
    words += "".join(f" --{option} {value}" for option, value in (("rows", rows), ("epochs", epochs)) if value)
    return {
        "set": name,
        "system": system,
        "seed": seed,
        "rows": rows,
        "epochs": epochs,
        "n_train": len(parts.y),
        "n_test": len(parts.y_test),
        **found,
        "seconds": round(time.process_time() - began, 1),
        **evidence(words),
    }


def through_tasks(parts: Parts, system: System, seed: int) -> Line:
    """Let a system learn task after task, and measure it after each."""
    accuracies: list[list[float]] = []
    classifier: Any = None
    for task in range(TASKS):
        own, until = parts.of_task(task), parts.until(task)
        replay = None if task == 0 else system.replayed(len(own) * task)
        x, y = parts.x[own], parts.y[own]
        if replay is not None:
            old, c = replay
            labels = classifier.predict(flat(old)) if c is None else system.classes[c]
            x, y = np.concatenate([x, old]), np.concatenate([y, labels])
        classifier = classifier_of(x, y, seed)
        system.learn(parts.x[own])
        mapping = metrics.hungarian_mapping(parts.y[until], system.categories(parts.x[until]))
        accuracies.append(by_task(parts, system.categories(parts.x_test), mapping)[: task + 1])
        if replay is not None or task == 0:  # by the labels of this task alone, old categories keep their digit
            new = metrics.majority_mapping(parts.y[own], system.categories(parts.x[own]))
            there = len(system.classes)
            n = system.model.n_components_ if system.model is not None else 0
            fresh = [int(new.get(k, parts.y[own][0])) for k in range(there, n)]  # type: ignore[call-overload]
            system.classes = np.append(system.classes, fresh).astype(int)
    last, model = accuracies[-1], system.model
    assert model is not None
    return {
        "accuracy": mean_by_rows(parts, last),
        "by_task": last,
        "forgetting": [accuracies[i][i] - last[i] for i in range(TASKS - 1)],
        "bound": float(model.score(parts.x_test)),
        "classifier": float((classifier.predict(flat(parts.x_test)) == parts.y_test).mean()),
        "components": int(model.n_components_),
        "rows_seen": seen(model),
    }


def all_at_once(parts: Parts, asked: dict[str, Any]) -> Line:
    """Fit CP-VAE to the rows of all tasks, which no continual learner can do."""
    model = CPVAE(TASKS * parts.each, covariance_type="diag", **asked).fit(parts.x)  # as those of fewer rows
    mapping = metrics.hungarian_mapping(parts.y, model.predict(parts.x))
    own = by_task(parts, model.predict(parts.x_test), mapping)
    classifier = classifier_of(parts.x, parts.y, asked["random_state"])
    return {
        "accuracy": mean_by_rows(parts, own),
        "by_task": own,
        "bound": float(model.score(parts.x_test)),
        "classifier": float((classifier.predict(flat(parts.x_test)) == parts.y_test).mean()),
        "components": int(model.n_components_),
    }


def by_task(parts: Parts, categories: np.ndarray, mapping: metrics.Mapping) -> list[float]:
    """Compute the accuracy on the test rows of each task."""
    return [
        metrics.accuracy(parts.y_test[own], categories[own], mapping)
        for own in (parts.y_test // parts.each == task for task in range(TASKS))
    ]


def mean_by_rows(parts: Parts, accuracies: Sequence[float]) -> float:
    """Compute the accuracy on all test rows from that on each task's."""
    return float(np.average(accuracies, weights=np.bincount(parts.y_test // parts.each, minlength=TASKS)))


def flat(x: np.ndarray) -> np.ndarray:
    """Give rows as a classifier takes them, between 0 and 1."""
    rows: np.ndarray = x.reshape(len(x), -1).astype(np.float32)
    return rows / max(1.0, float(rows.max()))


def classifier_of(x: np.ndarray, y: np.ndarray, seed: int) -> MLPClassifier:
    """Train a classifier of one hidden layer on rows and labels."""
    return MLPClassifier((300,), early_stopping=True, max_iter=60, random_state=seed).fit(flat(x), y)


# -- the file and the page ---------------------------------------------------------------------------------------------


def key(line: Line) -> tuple[Any, ...]:
    """Name what a line is about."""
    return line["set"], line["system"], line["seed"], line["rows"], line["epochs"]


def measure(args: argparse.Namespace) -> None:
    """Run the jobs that are asked for and have no line from the same code."""
    make_folders(args.out.parent)
    check_writable(args.out)
    code = code_of(*CODE)
    there = {key(line) for line in read(args.out, key) if line.get("code") == code}
    jobs = [
        Job(f"{name}-{system}-{seed}", partial(line_of, name, system, seed, args.rows, args.epochs))
        for seed in args.seed or SEEDS
        for name in args.set or SETS
        for system in args.system or NAMES
        if (name, system, seed, args.rows, args.epochs) not in there
    ]
    print(f"{len(jobs)} to run; lines go to {args.out}", flush=True)

    def told(done: Done[Any]) -> None:
        line = done.result()
        append_line(args.out, json.dumps({**line, "code": code}))
        print(
            f"{line['set']:8} seed {line['seed']}  {line['system']:20} accuracy {line['accuracy']:.3f}  bound "
            f"{line['bound']:.1f}  classifier {line['classifier']:.3f}  {line['seconds']:.0f} s",
            flush=True,
        )

    run(jobs, args.jobs, told=told, advice="run the same command with fewer --jobs to go on")


FIGURES: dict[str, Callable[[Line], float | None]] = {
    "accuracy": lambda line: line["accuracy"],
    "forgotten": lambda line: statistics.fmean(line["forgetting"]) if "forgetting" in line else None,
    "bound": lambda line: line["bound"],
    "classifier": lambda line: line["classifier"],
    "categories": lambda line: line["components"],
    "seconds": lambda line: line["seconds"],
}
DIGITS_SHOWN = {"bound": 1, "categories": 0, "seconds": 0}


def results(lines: Sequence[Line], source: str) -> str:
    """Write the part of the page that is made from lines."""
    parts = []
    for name, rows, epochs in dict.fromkeys((line["set"], line["rows"], line["epochs"]) for line in lines):
        mine = [line for line in lines if (line["set"], line["rows"], line["epochs"]) == (name, rows, epochs)]
        one, counts = mine[0], {sum(line["system"] == system for line in mine) for system in NAMES} - {0}
        length = "the default number of epochs" if epochs is None else f"at most {epochs} epochs for a task"
        title = (
            f"**{name}**: {one['n_train']:,} training rows, {one['n_test']:,} test rows, {length}, "
            f"{max(counts)} seed{'s' * (max(counts) > 1)}{' where there is a range, else 1' * (len(counts) > 1)}."
        )
        table = [
            [system, *(_cell([line for line in mine if line["system"] == system], figure) for figure in FIGURES)]
            for system in NAMES
            if any(line["system"] == system for line in mine)
        ]
        parts.append(f"{title}\n\n{markdown.table(('learns by', *FIGURES), table)}")
    commits = ", ".join(sorted({line["commit"] for line in lines}))
    return "\n".join([*parts, f"From [{Path(source).stem}]({source}); cpvae at {commits or '(none)'}.\n"])


def _cell(lines: Sequence[Line], figure: str) -> str:
    """Print the mean of a figure over seeds, and its range."""
    values = [value for value in map(FIGURES[figure], lines) if value is not None]
    if not values:
        return "-"
    digits = DIGITS_SHOWN.get(figure, 3)
    shown = f"{statistics.fmean(values):.{digits}f}"
    return shown + (f" ({min(values):.{digits}f} to {max(values):.{digits}f})" if len(values) > 1 else "")


def render(out: Path, page: Path) -> None:
    """Write the results into the page, between its marks."""
    options.write_between(page, BEGIN, END, results(read(out, key), f"../results/{out.name}"))


def main(words: Sequence[str] | None = None) -> None:
    parser = options.parser_of(__doc__, NAMES, RESULTS, PAGE)
    parser.add_argument("--set", action="append", choices=list(SETS), help="one of the sets; may be repeated")
    parser.add_argument("--rows", type=int, help="use so many training rows, drawn by the seed")
    parser.add_argument("--epochs", type=int, help="largest number of epochs for a task")
    options.run_or_render(parser.parse_args(words), measure, render)


if __name__ == "__main__":
    main()
