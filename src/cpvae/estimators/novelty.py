"""Rows that a fitted model does not know: odd ones, and the number of categories that new rows need beside its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import binom

from cpvae.data.rows import Rows
from cpvae.estimators.replay import draw, joined, student_of
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
LOOKED_AT = 2000  # new rows, at most, among which groups are looked for


def lowest(model: DeepMixture) -> float:
    """Find the lowest bound, nats, of rows drawn from a model; a row below it is odd.

    It is unlike anything that the model was fitted on. Of rows of the model itself, one in a thousand lies below it.
    """
    shares = np.asarray(model.weights_, dtype=np.float64)
    counts = np.random.RandomState(0).multinomial(ODD, shares / shares.sum())
    return float(_bounds(model.model_, Rows(draw(model, counts, 0)[0]))[0].min())


def odd(model: DeepMixture, matrix: Any, elbo: np.ndarray, lowest: float) -> np.ndarray:
    """Say which rows are odd, booleans ``(n,)``: those whose bound lies below the `lowest` one.

    A signal or a picture with missing values has a bound of fewer values, and is not compared.

    Args:
        matrix: rows as `_check_rows` gives them, ``(n, F)``.
        elbo: their bounds, nats, ``(n,)``.
    """
    below: np.ndarray = elbo < lowest
    if model.schema_ is not None or getattr(model.model_.likelihood, "gaps", None) is None:
        return below
    return below & ~np.isnan(np.asarray(matrix, dtype=np.float64)).any(1)


def unexplained(teacher: DeepMixture, array: np.ndarray, seed: int) -> np.ndarray:
    """Say which rows the categories do not explain, booleans ``(n,)``.

    The bound of such a row is below the fifth percentile of the bounds of rows drawn from its category.

    Args:
        array: rows, checked, ``(n, features)``.
    """
    k = teacher.n_components_
    each = max(2, min(DRAWN, MOST_DRAWN // k))
    drawn = draw(teacher, np.full(k, each), seed)[0]
    own = _bounds(teacher.model_, Rows(drawn))[0].reshape(k, each)
    bound, category = _bounds(teacher.model_, Rows(array))
    below: np.ndarray = bound < np.quantile(own, UNLIKELY, axis=1)[category]
    return below


def _bounds(model: VAE, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Compute L, nats, and the likeliest category of each row, both ``(n,)``."""
    rows = Rows(rows._given, None if rows.index is None else rows.index.numpy(force=True), model.device)
    found = [evaluate(model, model.likelihood.draw_fixed(model.likelihood.to_model(x))) for x in rows.chunks()]
    return np.concatenate([one.elbo for one in found]), np.concatenate([one.proba.argmax(1) for one in found])


def how_many(teacher: DeepMixture, array: np.ndarray, seed: int, say: Callable[[str], None] = lambda text: None) -> int:
    """Find how many categories the new rows need that the teacher does not have.

    None, where no more rows are unexplained than chance makes. Otherwise the groups among the new rows are counted that
    stand apart from rows drawn from the categories (`cpvae.fitting.starts.newcomers`), and of which more rows are
    unexplained than chance makes.

    Args:
        array: new rows, checked, ``(n, features)``.
    """
    index = np.random.RandomState(seed).permutation(len(array))[:LOOKED_AT]
    some = array[np.sort(index)]
    return world().first(lambda: _count(teacher, some, seed, say))


def _count(teacher: DeepMixture, array: np.ndarray, seed: int, say: Callable[[str], None]) -> int:
    """Count the new groups among rows."""
    odd = unexplained(teacher, array, seed)
    told = f"the categories do not explain {odd.sum():,} of {len(array):,} new rows: "
    if binom.sf(odd.sum() - 1, len(array), UNLIKELY) > CHANCE:
        say(told + "no category is added")
        return 0
    n = newcomers.count(_groups(teacher, array, newcomers.fewest(odd), seed), odd, UNLIKELY, CHANCE)
    say(told + f"{n} group{'s' * (n != 1)} of them stand{'s' * (n == 1)} apart; say n_new (--new) if you know better")
    return n


def _groups(teacher: DeepMixture, array: np.ndarray, least: int, seed: int) -> np.ndarray:
    """Find groups of rows that stand apart from what the categories draw, integers ``(n,)``, negative for no group."""
    k, random = teacher.n_components_, np.random.RandomState(seed)
    drawn, c = draw(teacher, np.full(k, max(2, len(array) // k)), seed)
    new, known = Rows(array), Rows(drawn)
    task = Task(Rows(joined(array, drawn)), known, teacher.model_.likelihood, k, seed, shape=teacher._form().shape)
    student = student_of(teacher, 0)
    student._look_at(new)
    if task.likelihood.mixed:
        return newcomers.by_classes(table_of(new, task), replace(table_of(known, task), known=c), k, random)
    code = untrained(student._start().way, task)
    return newcomers.on_map(points_of(new, code), points_of(known, code), k, least, random)
