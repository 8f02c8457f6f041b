"""Rows that a fitted model does not know: odd ones, and the number of categories that new rows need beside its own."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import binom

from cpvae.data.rows import Rows
from cpvae.estimators.gaps import lacking
from cpvae.estimators.replay import draw, joined, student_of, there
from cpvae.fitting.devices.world import world
from cpvae.fitting.starts import newcomers
from cpvae.fitting.starts.start import table_of
from cpvae.fitting.starts.task import Task, points_of
from cpvae.fitting.starts.ways import untrained
from cpvae.probability.estimates import evaluate
from cpvae.probability.models import VAE

if TYPE_CHECKING:
    from cpvae.estimators.contract import DeepMixture

# Share of the rows drawn from a category whose bound is below that of rows that it explains. Of drawn pictures, the
# lowest hundredth comes from codes between the categories, and hardly any row lies below it: of new digits 0 to 5 in a
# hundred. Below the lowest twentieth lie 24 to 43 in a hundred of new digits, and 1 of the old ones.
UNLIKELY = 0.05
ODD = 1000  # rows drawn from the model, each of which is likelier than a row that is called odd
DRAWN, MOST_DRAWN = 400, 20_000  # rows of a category, and of all together, that tell where that bound lies
CHANCE = 1e-3  # of so many unexplained rows among rows that the categories explain, from which on it is none
LOOKED_AT, MOST_SHOWN = 2000, 5000  # new rows, and drawn ones beside these, at most, among which groups are looked for
LIKELY = 0.55  # mean rank among drawn rows from which on a group is explained: 0.6 to 0.8 of old digits
SHARE, FEWEST = 0.1, 10  # of the rows that are not explained, that a new group has at least; and rows


def lowest(model: DeepMixture) -> float:
    """Find the lowest bound, nats, of rows drawn from a model; a row below it is odd.

    It is unlike anything that the model was fitted on. Of rows of the model itself, one in a thousand lies below it.
    Signals are drawn whole, because a bound of fewer values is not compared (`odd`).
    """
    shares = np.asarray(model.weights_, dtype=np.float64)
    counts = np.random.RandomState(0).multinomial(ODD, shares / shares.sum())
    drawn = draw(model, counts, 0, whole=model.schema_ is None)[0]
    return float(_bounds(model.model_, Rows(drawn))[0].min())


def odd(model: DeepMixture, matrix: Any, elbo: np.ndarray, lowest: float) -> np.ndarray:
    """Say which rows are odd, booleans ``(n,)``: those whose bound lies below the `lowest` one.

    A signal with missing values has a bound of fewer values, and is not compared.

    Args:
        matrix: rows as `_check_rows` gives them, ``(n, F)``.
        elbo: their bounds, nats, ``(n,)``.
    """
    below: np.ndarray = elbo < lowest
    if model.schema_ is not None or not lacking(model, model.model_):
        return below
    return below & ~np.isnan(np.asarray(matrix, dtype=np.float64)).any(1)


def ranks(teacher: DeepMixture, array: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Find the likeliest category of each row, and the share of rows drawn from it whose bound is below the row's.

    Both are ``(n,)``, the shares first.

    Args:
        array: rows, checked, ``(n, features)``.
    """
    k = teacher.n_components_
    each = max(2, min(DRAWN, MOST_DRAWN // k))
    drawn = draw(teacher, np.full(k, each), seed)[0]
    own = np.sort(_bounds(teacher.model_, Rows(drawn))[0].reshape(k, each), axis=1)
    bounds, categories = _bounds(teacher.model_, Rows(array))
    below = [np.searchsorted(own[c], bound) for c, bound in zip(categories.tolist(), bounds, strict=True)]
    return np.array(below) / each, categories


def _bounds(model: VAE, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Compute L, nats, and the likeliest category of each row, both ``(n,)``."""
    rows = Rows(rows._given, None if rows.index is None else rows.index.numpy(force=True), model.device)
    found = [evaluate(model, model.likelihood.draw_fixed(model.likelihood.to_model(x))) for x in rows.chunks()]
    return np.concatenate([one.elbo for one in found]), np.concatenate([one.proba.argmax(1) for one in found])


def how_many(teacher: DeepMixture, array: np.ndarray, seed: int, say: Callable[[str], None] = lambda text: None) -> int:
    """Find how many categories the new rows need that the teacher does not have.

    A row is not explained if its bound is below the fifth percentile of the bounds of what its category draws. None is
    needed where no more rows are so than chance makes. Otherwise the groups of new rows are counted that stand apart
    from rows drawn from the categories (`cpvae.fitting.starts.newcomers`), but for groups of rows that are likelier
    than what their categories draw.

    Args:
        array: new rows, checked, ``(n, features)``.
    """
    index = np.random.RandomState(seed).permutation(len(array))[:LOOKED_AT]
    some = array[np.sort(index)]
    return world().first(lambda: _count(teacher, some, seed, say))


def _count(teacher: DeepMixture, array: np.ndarray, seed: int, say: Callable[[str], None]) -> int:
    """Count the new groups among rows."""
    rank, category = ranks(teacher, array, seed)
    unexplained = int((rank < UNLIKELY).sum())
    told = f"the categories do not explain {unexplained:,} of {len(array):,} new rows: "
    if binom.sf(unexplained - 1, len(array), UNLIKELY) > CHANCE:
        say(told + "no more than chance makes, no category is added")
        return 0
    if unexplained < FEWEST:
        say(told + f"too few for a category, which has at least {FEWEST}; say n_new (--new) if you know better")
        return 0
    least = max(FEWEST, math.ceil(SHARE * unexplained))
    found = _groups(teacher, array, category, least, seed)
    groups = [rank[found == group] for group in range(found.max(initial=-1) + 1)]
    n = sum(len(own) >= least and bool(own.mean() < LIKELY) for own in groups)
    say(told + f"{n} group{'s' * (n != 1)} of them stand{'s' * (n == 1)} apart; say n_new (--new) if you know better")
    return n


def _groups(teacher: DeepMixture, array: np.ndarray, category: np.ndarray, least: int, seed: int) -> np.ndarray:
    """Find groups of rows that stand apart from what the categories draw, integers ``(n,)``, negative for no group.

    As many rows are drawn of a category as there are rows of which it is the likeliest, or `least` if these are fewer.
    """
    k, random, place = teacher.n_components_, np.random.RandomState(seed), teacher.model_.device
    floor = np.where(there(teacher), min(least, max(2, MOST_SHOWN // k)), 0)
    drawn, c = draw(teacher, np.maximum(floor, np.bincount(category, minlength=k)), seed)
    rows = Rows(joined(array, drawn), None, place)
    new, known = rows.part(slice(len(array))), rows.part(slice(len(array), len(rows)))
    task = Task(rows, known, teacher.model_.likelihood, k, seed, shape=teacher._form().shape)
    if task.likelihood.mixed:
        return newcomers.by_classes(table_of(new, task), replace(table_of(known, task), known=c), k, random)
    student = student_of(teacher, 0)
    student._look_at(new, known=True)
    code = untrained(student._start().way, task)
    return newcomers.on_map(points_of(new, code), points_of(known, code), k, least, random)
