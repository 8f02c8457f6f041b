"""Synthetic rows assessed: each check of this package, in words and numbers."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from cpvae.errors import InputError, counted
from cpvae.study.assessing.closeness import Closeness, closeness
from cpvae.study.assessing.learners import TwoSamples, Usefulness, two_samples, usefulness
from cpvae.study.assessing.shapes import Likeness, missing, shapes, trends
from cpvae.study.assessing.tables import Table, names_at, with_gaps_of
from cpvae.study.assessing.verdict import Verdict, verdict
from cpvae.words.phrases import listed

MOST = 5_000  # rows of a side before a classifier, and before distances
MOST_TRAINING = 50_000  # training rows before distances
LEAST = 5  # rows on each side


@dataclass(frozen=True)
class Target:
    """A column to predict, or the categories of rows.

    Attributes:
        column: its position; None for categories.
        training, held_out, synthetic: categories of the rows, ``(n,)``; None for a column.
    """

    column: int | None = None
    training: np.ndarray | None = None
    held_out: np.ndarray | None = None
    synthetic: np.ndarray | None = None


@dataclass(frozen=True)
class Assessment:
    """Figures of synthetic rows beside real ones, and what they say.

    Attributes:
        verdict: in words.
        shapes, trends: likeness of columns, and of pairs; trends are None for a single column.
        missing: of each column with gaps the share of missing cells, real and synthetic.
        test: can a classifier tell them apart?
        useful: train on synthetic, test on real; None where there is nothing to predict.
        closeness: distances to training rows, and copies.
        seed: of rows drawn from large tables, and of folds.
    """

    verdict: Verdict
    shapes: Likeness
    trends: Likeness | None
    missing: dict[str, tuple[float, float]]
    test: TwoSamples
    useful: Usefulness | None
    closeness: Closeness
    seed: int

    def __str__(self) -> str:
        return str(self.verdict)

    def figures(self) -> dict[str, Any]:
        """Give the main numbers, by name."""
        near, test, useful = self.closeness, self.test, self.useful
        found: dict[str, Any] = {
            "shapes": self.shapes.mean,
            "shapes_of_real_rows": self.shapes.expected,
        }
        if self.trends is not None:
            found |= {"trends": self.trends.mean, "trends_of_real_rows": self.trends.expected}
        found |= {
            "c2st_auc": test.auc.value,
            "c2st_auc_low": test.auc.low,
            "c2st_auc_high": test.auc.high,
            "c2st_accuracy": test.accuracy.value,
            "c2st_accuracy_low": test.accuracy.low,
            "c2st_accuracy_high": test.accuracy.high,
            "c2st_rows": test.rows,
        }
        if useful is not None:
            found |= {
                "target": useful.target or "category",
                "measure": useful.measure,
                "train_on_synthetic": useful.synthetic,
                "train_on_real": useful.real,
                "difference": useful.difference.value,
                "difference_low": useful.difference.low,
                "difference_high": useful.difference.high,
                "guess": useful.base,
            }
        return found | {
            "distance": near.median,
            "distance_held_out": near.median_held_out,
            "nearer_than_held_out": near.nearer.value,
            "nearer_than_held_out_low": near.nearer.low,
            "nearer_than_held_out_high": near.nearer.high,
            "closest_is_training": near.to_training,
            "closest_is_training_expected": near.expected,
            "closest_is_training_p": near.p,
            "copies": len(near.copies),
            "exact_copies": near.exact,
            "copies_p": near.copies_p,
            "copies_among_real": near.real_copies,
            "exact_copies_among_real": near.real_exact,
            "real_rows": near.real,
            "rows": near.rows,
            "training_rows": near.training,
            "held_out_rows": near.held_out,
            "seed": self.seed,
        }

    def as_dict(self) -> dict[str, Any]:
        """Give all of it, as JSON holds it."""
        words = asdict(self.verdict)
        named = {"columns": self.shapes, "pairs": self.trends}
        return {
            "conclusion": words["conclusion"],
            "for": list(words["speaks_for"]),
            "against": list(words["speaks_against"]),
            "notes": list(words["notes"]),
            "figures": self.figures(),
            **{
                name: [
                    {"names": list(names), "figure": value} for names, value in likeness.worst(len(likeness.figures))
                ]
                for name, likeness in named.items()
                if likeness is not None
            },
            "missing": {name: {"real": a, "synthetic": b} for name, (a, b) in self.missing.items()},
            "memorised": [asdict(copy) for copy in self.closeness.memorised],
        }


def assess(
    real: Table,
    training: Table,
    held_out: Table,
    synthetic: Table,
    target: Target | None = None,
    *,
    seed: int = 0,
    numbers: np.ndarray | None = None,
    notes: list[str] | None = None,
) -> Assessment:
    """Assess synthetic rows: may they be shown?

    Args:
        real: rows to be like; those behind shapes, trends and the two-sample test.
        training: rows that the model learned from.
        held_out: real rows that it did not learn from.
        synthetic: the rows in question.
        target: what is predicted to see of what use they are.
        seed: of rows drawn from large tables, and of folds.
        numbers: of the training rows, by which copies name them; by default their positions.
        notes: what else was noticed about the rows.

    Raises:
        InputError: fewer than five rows on a side.

    Examples:
        >>> from cpvae.data.columns import Column
        >>> values = np.random.RandomState(0).normal(size=(300, 2))
        >>> real = Table((Column("a", "numeric"), Column("b", "numeric")), values)
        >>> train, rest, new = (real.at(np.arange(i, i + 100)) for i in (0, 100, 200))
        >>> found = assess(rest, train, rest, new)
        >>> len(found.closeness.memorised), found.shapes.mean > 0.8
        (0, True)
        >>> copied = assess(rest, train, rest, train)
        >>> len(copied.closeness.memorised), copied.verdict.conclusion[:31]
        (100, 'These rows should not be shown:')
    """
    sides = {"real": real, "training": training, "held-out": held_out, "synthetic": synthetic}
    small = [counted(len(table), f"{name} row") for name, table in sides.items() if len(table) < LEAST]
    if small:
        raise InputError(f"{' and '.join(small)}: expected at least {LEAST} of each; give more")
    there = ~np.isnan(synthetic.values).all(0)
    if not there.any():
        raise InputError("the synthetic rows have no value in any column: expected rows like the real ones; give such")
    bare = names_at(real.columns, ~there & ~np.isnan(real.values).all(0))
    notes = list(notes or [])
    filled, given_gaps = with_gaps_of(real, synthetic, seed)
    if given_gaps:
        notes.append(
            f"The rows have no missing cell in {_named(given_gaps)}, where real rows have some. Cells were taken out "
            "as in real rows before shapes, trends and classifiers, which would otherwise see nothing else."
        )
    if bare:
        notes.append(
            f"The rows have no value in {_named(bare)}, where real rows have some. Distances were measured without, "
            "since copies would be hidden otherwise."
        )
    learned, _ = training.some(MOST_TRAINING, seed)
    found = _closeness(
        np.arange(len(training)) if numbers is None else numbers,
        training.only(there),
        held_out.only(there),
        synthetic.only(there),
        filled.only(there) if given_gaps else None,
        seed,
    )
    if max(map(len, (real, synthetic, held_out))) > MOST or len(learned) < len(training):
        notes.append(
            f"Of large tables {MOST:,} rows were looked at, of the training rows {MOST_TRAINING:,}; seed {seed}."
        )
    shape = shapes(real, filled, seed)
    trend = trends(real, filled, seed) if len(real.columns) > 1 else None
    test = two_samples(real, filled, MOST, seed)
    useful = None if target is None else _useful(target, training, held_out, filled, seed)
    words = verdict(found, shape, trend, test, useful, notes)
    return Assessment(words, shape, trend, missing(real, synthetic), test, useful, found, seed)


def _named(names: list[str]) -> str:
    return listed([repr(name) for name in names[:5]] + (["others"] if len(names) > 5 else []))


def _closeness(
    numbers: np.ndarray, training: Table, held_out: Table, synthetic: Table, filled: Table | None, seed: int
) -> Closeness:
    """Measure distances on some rows, and number rows as they are in the whole tables."""
    learned, learned_at = training.some(MOST_TRAINING, seed)
    new, new_at = synthetic.some(MOST, seed)
    found = closeness(learned, held_out.some(MOST, seed)[0], new, None if filled is None else filled.at(new_at), seed)
    copies = tuple(
        replace(copy, row=int(new_at[copy.row]), training_row=int(numbers[learned_at[copy.training_row]]))
        for copy in found.copies
    )
    return replace(found, copies=copies)


def _useful(target: Target, training: Table, held_out: Table, synthetic: Table, seed: int) -> Usefulness | None:
    tables = (training, synthetic, held_out)
    if target.column is None:
        categories = (target.training, target.synthetic, target.held_out)
        sides = [(table, np.asarray(own, np.float64)) for table, own in zip(tables, categories, strict=True)]
        return usefulness(sides, "", True, MOST, seed)
    j = target.column
    column = training.columns[j]
    others = np.arange(len(training.columns)) != j
    sides = [(table.only(others), table.scaled()[:, j]) for table in tables]
    return usefulness(sides, column.name, column.kind == "categorical", MOST, seed)
