"""The lines of the imputation benchmark: cells of a table are hidden, filled, and compared with the truth.

Holes are made in two ways. Both hide the same share of the cells that are there, on average, in every column.

- "at random": each cell is hidden with the same probability.
- "not at random": a cell is hidden with a probability that grows in proportion to its own rank in its column, from zero
  to twice the share. High numbers are hidden more often than low ones, and rare levels more often than frequent ones.

A row keeps at least one cell. A system is given the table with holes, and nothing else: it learns from that table, and
fills that table.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from field_lines import portable
from field_page import Line
from field_sets import SETS, FieldSet
from imputation_peers import DRAWS, PEERS, Filled
from scipy.stats import rankdata

from cpvae.data.schema import Schema
from cpvae.errors import InputError
from cpvae.study.evidence import evidence
from cpvae.study.inputs import estimator_for, rows_of

OWN = "cpvae"
SYSTEMS = (OWN, *PEERS)
MECHANISMS = ("at random", "not at random")
SHARES = (0.1, 0.3, 0.5)
MOST_ROWS = 1000  # of a set; of more, so many are drawn by the seed
TAIL = 2  # the interval of a cell leaves out so many minus one of its draws at each end: 36 of 40 ranks are 90 %


@dataclass(frozen=True)
class Task:
    """A table with holes.

    Attributes:
        given: the set.
        frame: the rows, without labels.
        schema: of the whole table; columns that are left out of it are not scored.
        truth: numbers of the cells, ``(n, F)``, NaN where the file has a gap; a level is its code.
        hidden: which cells are hidden, ``(n, F)``.
        seed: of the holes, and of the systems.
    """

    given: FieldSet
    frame: pd.DataFrame
    schema: Schema
    truth: np.ndarray
    hidden: np.ndarray
    seed: int

    @property
    def seen(self) -> np.ndarray:
        """The numbers of the cells that a system may see, NaN elsewhere."""
        return np.where(self.hidden, np.nan, self.truth)

    @property
    def sizes(self) -> list[int]:
        """The number of levels of each column; 0 for numbers."""
        return [len(column.levels) for column in self.schema.columns]

    def holed(self) -> pd.DataFrame:
        """The rows as a person has them, with the hidden cells empty."""
        table = self.frame.copy()
        for j, column in enumerate(self.schema.columns):
            table[column.name] = table[column.name].mask(self.hidden[:, j])
        return table


def task_of(given: FieldSet, mechanism: str, share: float, seed: int) -> Task:
    """Read a set, and hide cells."""
    frame = rows_of(given.load(), "all")
    random = np.random.default_rng(seed)
    if len(frame) > MOST_ROWS:
        frame = frame.iloc[np.sort(random.choice(len(frame), MOST_ROWS, replace=False))].reset_index(drop=True)
    schema = Schema.infer(frame)
    truth = schema.encode(frame)
    levels = np.array([column.kind == "categorical" for column in schema.columns])
    return Task(given, frame, schema, truth, holes(truth, levels, mechanism, share, random), seed)


def holes(
    truth: np.ndarray, levels: np.ndarray, mechanism: str, share: float, random: np.random.Generator
) -> np.ndarray:
    """Choose the cells to hide, ``(n, F)``: see this module's docstring.

    Args:
        truth: numbers, NaN where nothing is.
        levels: which columns are of levels, ``(F,)``.
        mechanism: one of `MECHANISMS`.
        share: of the cells, at most a half.
        random: a generator.
    """
    there = ~np.isnan(truth)
    probability = np.full(truth.shape, share)
    if mechanism != MECHANISMS[0]:
        for j in range(truth.shape[1]):
            values = truth[there[:, j], j]
            if levels[j]:
                _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
                values = -counts[place]
            probability[there[:, j], j] = 2 * share * (rankdata(values) - 0.5) / max(len(values), 1)
    hidden: np.ndarray = there & (random.random(truth.shape) < probability)
    for i in np.flatnonzero((hidden == there).all(1) & there.any(1)):
        hidden[i, random.choice(np.flatnonzero(there[i]))] = False
    return hidden


def own(task: Task) -> Filled:
    """Fit CP-VAE with its defaults to the table with holes, and fill it; K is the number of classes of the set."""
    model = estimator_for(task.given.load(), "cpvae", {"n_components": task.given.n_classes, "random_state": task.seed})
    table = task.holed()
    model.fit(table)
    tables = [model.impute(table, mean=True), *model.impute(table, DRAWS)]
    mean, *draws = (task.schema.encode(one) for one in tables)
    return Filled(mean, np.stack(draws))


def scores(task: Task, filled: Filled) -> Line:
    """Compare filled cells with the truth.

    A column that a system leaves empty counts as filled with its mean, or its most frequent level.
    """
    at_levels = np.array(task.sizes) > 0
    numbers, levels = (task.hidden & one for one in (~at_levels, at_levels))
    empty = np.isnan(filled.mean) & task.hidden
    mean = np.where(empty, PEERS["mean and mode"](task).mean, filled.mean)
    spread = np.nanstd(task.truth, 0)
    spread = np.where(spread > 0, spread, 1.0)
    error = (mean - task.truth) / spread
    found: Line = {
        "n_numbers": int(numbers.sum()),
        "n_levels": int(levels.sum()),
        "unfilled": int(empty.sum()),
        "rmse": float(np.sqrt(np.mean(error[numbers] ** 2))) if numbers.any() else None,
        "accuracy": float((mean == task.truth)[levels].mean()) if levels.any() else None,
        "coverage": None,
        "coverage_drawn": None,
        "width": None,
        "by_column": {
            column.name: float(np.sqrt(np.mean(error[numbers[:, j], j] ** 2)))
            if not at_levels[j]
            else float((mean == task.truth)[levels[:, j], j].mean())
            for j, column in enumerate(task.schema.columns)
            if task.hidden[:, j].any()
        },
    }
    if filled.draws is not None and numbers.any() and not empty.any():
        inside, drawn, width = intervals(
            filled.draws[:, numbers], task.truth[numbers], np.random.default_rng(task.seed)
        )
        found["coverage"], found["coverage_drawn"] = float(inside.mean()), float(drawn.mean())
        found["width"] = float(np.mean(width / np.broadcast_to(spread, numbers.shape)[numbers]))
        found["coverage_by_column"] = {
            task.schema.columns[j].name: float(inside[np.nonzero(numbers)[1] == j].mean())
            for j in np.flatnonzero(numbers.any(0))
        }
    return found


def intervals(
    draws: np.ndarray, truth: np.ndarray, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Say which cells lie in the 90 % intervals of their draws, which do by rank, and how wide the intervals are.

    The rank of a true value among its draws is uniform if the draws are right. Among equal values it is drawn, so that
    the second answer is right for whole numbers too. The first counts both ends of an interval as inside.

    Args:
        draws: ``(DRAWS, n)``.
        truth: ``(n,)``.
        random: for ranks among equal values.
    """
    equal = (draws == truth).sum(0)
    rank = (draws < truth).sum(0) + np.floor(random.random(len(truth)) * (equal + 1))  # 0 to DRAWS
    ordered = np.sort(draws, 0)
    low, high = ordered[TAIL - 1], ordered[-TAIL]
    return (truth >= low) & (truth <= high), (rank >= TAIL) & (rank <= DRAWS - TAIL), high - low


def lines_of(name: str, mechanism: str, share: float, seed: int, systems: Sequence[str]) -> list[Line]:
    """Run systems on a table with holes; a system that fails gets a line that says so."""
    task = task_of(SETS[name], mechanism, share, seed)
    lines = []
    for system in systems:
        words = f"--set {name} --mechanism '{mechanism}' --share {share} --seed {seed} --system '{system}'"
        line: Line = {
            "set": name,
            "mechanism": mechanism,
            "share": share,
            "seed": seed,
            "system": system,
            "n_rows": len(task.truth),
            "n_columns": task.truth.shape[1],
            "n_components": task.given.n_classes,
            **evidence(f"python benchmarks/imputation.py {words}"),
        }
        run: Callable[[Any], Filled] = own if system == OWN else PEERS[system]
        began = time.process_time()
        try:
            filled = run(task)
        except InputError as error:
            line["refused"] = portable(str(error))
        except Exception as error:  # one crash must not stop the other systems
            traceback.print_exc()
            line["refused"] = portable(f"crashed: {type(error).__name__}: {error}")
        else:
            line |= {"seconds": round(time.process_time() - began, 3), **scores(task, filled)}
        lines.append(line)
    return lines
