"""Classifiers and regressors of scikit-learn before synthetic rows: a two-sample test, and what can be learned.

`two_samples`: can a classifier tell synthetic rows from real ones (Lopez-Paz and Oquab, 2017)? An area under the curve
of 0.5 means that it cannot, 1 that it always can.

`usefulness`: is a column, or the category, of held-out rows predicted as well after learning from synthetic rows as
after learning from the training rows (train on synthetic, test on real; Esteban, Hyland and Rätsch, 2017)?

Trees by gradient boosting take numbers, levels and missing cells as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import binomtest, bootstrap, rankdata
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.model_selection import StratifiedKFold

from cpvae.study.assessing.tables import Table

FOLDS = 5
MOST_LEVELS = 255  # of a column that the trees take as levels; more are taken as numbers
RESAMPLES = 200
TREES = 60
Side = tuple[Table, np.ndarray]  # rows, and the target of each, (n,)


@dataclass(frozen=True)
class Estimate:
    """A figure with its interval of 95 %."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class TwoSamples:
    """A classifier's two-sample test.

    Attributes:
        auc, accuracy: over rows that the classifier did not learn from.
        rows: on each side.
    """

    auc: Estimate
    accuracy: Estimate
    rows: int


def two_samples(real: Table, synthetic: Table, most: int, seed: int = 0) -> TwoSamples:
    """Tell synthetic rows from as many real ones, by cross-validation.

    The intervals are of rows: that of the area is by the bootstrap, that of the accuracy Wilson's.

    Args:
        most: rows on each side.
        seed: of the rows drawn, and of the folds.
    """
    n = min(len(real), len(synthetic), most)
    rows = real.some(n, seed)[0].joined(synthetic.some(n, seed + 1)[0])
    y = np.repeat([0, 1], n)
    place, correct = np.empty(2 * n), np.empty(2 * n, bool)
    for learned, judged in StratifiedKFold(min(FOLDS, n), shuffle=True, random_state=seed).split(y, y):
        model = _trees(HistGradientBoostingClassifier, rows.at(learned), y[learned])
        chance = model.predict_proba(rows.values[judged])[:, 1]
        place[judged] = rankdata(chance) / len(judged)  # within a fold: models of two folds have not one scale
        correct[judged] = (chance > 0.5) == y[judged]
    found = binomtest(int(correct.sum()), 2 * n).proportion_ci(method="wilson")
    auc = interval(smaller, [place[:n], place[n:]], seed)
    return TwoSamples(auc, Estimate(float(correct.mean()), float(found.low), float(found.high)), n)


@dataclass(frozen=True)
class Usefulness:
    """A target predicted after learning from synthetic rows, and after learning from training rows.

    Attributes:
        target: what is predicted.
        measure: "accuracy" of levels, or "R2", the share of the variance that is explained, of numbers.
        synthetic, real: the figure after learning from either.
        difference: synthetic less real.
        base: the figure of a guess that looks at no column.
        learned, rows: how many rows were learned from, at most, and predicted.
    """

    target: str
    measure: str
    synthetic: float
    real: float
    difference: Estimate
    base: float
    learned: int
    rows: int


def usefulness(sides: Sequence[Side], target: str, is_level: bool, most: int, seed: int = 0) -> Usefulness | None:
    """Predict a target of held-out rows. None where a side has too few rows with the target.

    Args:
        sides: training rows, synthetic rows and held-out rows, with the target of each row, NaN where it is missing.
        target: its name.
        is_level: predict levels, given by their codes, or numbers.
        most: rows of each side.
    """
    learned, made, held_out = (_known(table, y) for table, y in sides)
    if min(len(y) for _, y in (learned, made, held_out)) < 2 or (not is_level and np.ptp(held_out[1]) == 0):
        return None
    n = min(len(learned[1]), len(made[1]), most)
    rows, y = _some(*held_out, most, seed)
    answers = [_learner(*_some(*side, n, seed), is_level).predict(rows.values) for side in (made, learned)]
    guess = _most_frequent(learned[1]) if is_level else float(learned[1].mean())
    answers.append(np.full(len(y), guess))
    if is_level:
        figures = [(answer == y).astype(np.float64) for answer in answers]
    else:
        figures = [1.0 - np.square(answer - y) / y.var() for answer in answers]
    synthetic, real, base = (float(figure.mean()) for figure in figures)
    difference = interval(lambda part: float(part.mean()), [figures[0] - figures[1]], seed)
    return Usefulness(target, "accuracy" if is_level else "R2", synthetic, real, difference, base, n, len(y))


def _known(table: Table, y: np.ndarray) -> Side:
    """Take the rows with a target."""
    known = np.flatnonzero(~np.isnan(y))
    return table.at(known), y[known]


def _some(table: Table, y: np.ndarray, most: int, seed: int) -> Side:
    rows, index = table.some(most, seed)
    return rows, y[index]


def _most_frequent(y: np.ndarray) -> float:
    values, counts = np.unique(y, return_counts=True)
    return float(values[counts.argmax()])


def _learner(table: Table, y: np.ndarray, is_level: bool) -> Any:
    if is_level and len(np.unique(y)) < 2:
        return DummyClassifier().fit(table.values, y)
    kind = HistGradientBoostingClassifier if is_level else HistGradientBoostingRegressor
    return _trees(kind, table, y)


def _trees(kind: type, table: Table, y: np.ndarray) -> Any:
    """Fit trees to a target of the rows of a table. A column without any value, which they do not take, holds zeros."""
    few = np.array([len(column.levels) <= MOST_LEVELS for column in table.columns])
    least = int(np.clip(len(y) // 20, 2, 20))  # rows in a leaf, so that few rows are told apart too
    trees = kind(max_iter=TREES, min_samples_leaf=least, categorical_features=table.is_level & few, random_state=0)
    return trees.fit(np.where(np.isnan(table.values).all(0), 0.0, table.values), y)


def smaller(a: np.ndarray, b: np.ndarray) -> float:
    """Compute how often a value of a sample is smaller than one of another, ties half: the area under the curve.

    >>> smaller(np.array([0.0, 2.0]), np.array([1.0, 2.0]))
    0.625
    """
    ordered = np.sort(b)
    below, up_to = (np.searchsorted(ordered, a, side) for side in ("left", "right"))
    return float(1.0 - (below + up_to).mean() / (2 * len(ordered)))


def interval(statistic: Callable[..., float], samples: list[np.ndarray], seed: int) -> Estimate:
    """Give a figure of independent samples with its bootstrap interval."""
    value = statistic(*samples)
    if all((sample == sample[0]).all() for sample in samples):
        return Estimate(value, value, value)
    found = bootstrap(
        samples,
        statistic,
        n_resamples=RESAMPLES,
        vectorized=False,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Estimate(value, float(found.low), float(found.high))
