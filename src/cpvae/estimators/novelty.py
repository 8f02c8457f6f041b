"""Rows that a fitted model does not know: odd ones, and the number of categories that new rows need beside its own."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import binom

from cpvae.data.rows import Rows
from cpvae.errors import FitWarning
from cpvae.estimators import learning
from cpvae.estimators.replay import draw, student_of, together
from cpvae.fitting import presets
from cpvae.fitting.devices.world import world
from cpvae.fitting.progress import Silent
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
TRIED_ROWS, TRIED_STEPS, HELD_OUT = 2000, 2000, 0.3  # new rows, steps and held-out share of fits that are compared
MOST_TRIED = 200  # epochs of such a fit
MOST_FOUND = 20  # new categories that are looked for in one go
AHEAD = 3  # numbers of new categories in a row that are no better than the best one so far, after which it stands
SURE = 2.0  # standard errors by which the held-out bound is better with a category than without


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


def how_many(
    teacher: DeepMixture, array: np.ndarray, replay: float, seed: int, say: Callable[[str], None] = lambda text: None
) -> int:
    """Find how many categories the new rows need that the teacher does not have.

    None, where no more rows are unexplained than chance makes. Otherwise students with 0, 1, 2, ... new categories are
    fitted to some of the rows for a moment. A number is better than another if the bound of held-out new rows is, by
    two standard errors; the search ends after three numbers that are no better than the best one. (One category for two
    new groups may be worse than none.)

    Args:
        array: new rows, checked, ``(n, features)``.
    """
    index = np.random.RandomState(seed).permutation(len(array))[:TRIED_ROWS]
    some = array[np.sort(index)]
    n = world().first(lambda: int(unexplained(teacher, some, seed).sum()))
    chance = bool(binom.sf(n - 1, len(some), UNLIKELY) > CHANCE)
    told = "no category is added" if chance else "trying 0, 1, 2, ... new categories; n_new (--new) is faster"
    say(f"the categories do not explain {n:,} of {len(some):,} new rows: {told}")
    if chance:
        return 0
    best, bound, added = 0, _tried(teacher, some, 0, replay, seed), 0
    while added < min(best + AHEAD, MOST_FOUND, len(some) // 2):  # the held-out rows are others
        added += 1
        other = _tried(teacher, some, added, replay, seed)
        gain = other - bound
        if world().first(partial(bool, gain.mean() > SURE * gain.std() / math.sqrt(len(gain)))):
            best, bound = added, other
    return best


def _tried(teacher: DeepMixture, array: np.ndarray, n_new: int, replay: float, seed: int) -> np.ndarray:
    """Fit a student of so many new categories for a moment; give the bounds of new rows held out, ``(m,)``, nats."""
    student = student_of(teacher, n_new, n_init=1, max_seconds=None, validation_fraction=HELD_OUT, verbose=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        prepared = together(teacher, student, array, replay, [seed])
        asked = presets.settings(student.preset, len(prepared.rows), seed, batch_size=student.batch_size)
        epochs = min(MOST_TRIED, math.ceil(TRIED_STEPS / asked.steps(len(prepared.rows))))
        student.set_params(max_epochs=min(epochs, teacher.max_epochs or asked.max_epochs))
        learning.train(student, prepared, Silent())
    return _bounds(student.model_, prepared.judged)[0]
