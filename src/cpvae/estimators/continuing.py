"""Continual learning: a fitted model learns from new rows, and keeps its categories without the rows it learned from.

The fitted model is the teacher. A student with its categories and new ones begins with its weights, and learns from the
new rows and from rows that the teacher draws (generative replay: Shin et al., "Continual learning with deep generative
replay", 2017). The teacher draws as many rows from each of its categories: the paper gives this choice as the use of a
prior that knows them. A drawn row comes with its category, so it is a row whose category is known, and the student is
fitted as any model with known categories of some rows is (docs/known.md). Categories of which no row is known are new.

Rows are drawn once, before the fit, and no row that the teacher learned from is needed or kept.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.sparse import csr_array, vstack
from scipy.stats import binom
from sklearn.base import clone
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from cpvae.arguments import between, whole
from cpvae.checkpoints import _digest
from cpvae.data.rows import Rows
from cpvae.data.sparse import SparseRows
from cpvae.data.split import Split, fingerprint, split
from cpvae.errors import FitWarning, InputError, warn
from cpvae.estimators import learning, running
from cpvae.estimators.cards import LearnedFrom
from cpvae.estimators.known import UNKNOWN, Known
from cpvae.estimators.learning import Prepared
from cpvae.fitting import presets
from cpvae.fitting.devices import device
from cpvae.fitting.devices.world import world
from cpvae.fitting.progress import Reporter, Silent
from cpvae.fitting.records import INTERRUPTED
from cpvae.probability.estimates import evaluate, in_use
from cpvae.probability.models import VAE

if TYPE_CHECKING:
    from cpvae.estimators.contract import DeepMixture

AUTO = "auto"
MOST_REPLAY = 1000.0  # rows of a category for one new row of one: more is a slip of the finger
MOST_ROWS = 10  # replayed at most for each new row, so that a pass over them takes no longer than eleven over the new
# Share of the rows drawn from a category whose bound is below that of rows that it explains. Of drawn pictures, the
# lowest hundredth comes from codes between the categories, and hardly any row lies below it: of new digits 0 to 5 in a
# hundred. Below the lowest twentieth lie 24 to 43 in a hundred of new digits, and 1 of the old ones.
UNLIKELY = 0.05
DRAWN, MOST_DRAWN = 400, 20_000  # rows of a category, and of all together, that tell where that bound lies
CHANCE = 1e-3  # of so many unexplained rows among rows that the categories explain, from which on it is none
TRIED_ROWS, TRIED_STEPS, HELD_OUT = 2000, 2000, 0.3  # new rows, steps and held-out share of fits that are compared
MOST_TRIED = 200  # epochs of such a fit
MOST_FOUND = 20  # new categories that are looked for in one go
AHEAD = 3  # numbers of new categories in a row that are no better than the best one so far, after which it stands
SURE = 2.0  # standard errors by which the held-out bound is better with a category than without


@dataclass(frozen=True)
class Continued(Prepared):
    """All that the fit of a student begins with.

    `array` holds the new rows first and the replayed ones after them.

    Attributes:
        n_new_rows: how many of them are new.
        teacher: the model that is continued.
        replay: rows replayed of a category, for each new row of a category.
    """

    n_new_rows: int = field(kw_only=True)
    teacher: DeepMixture = field(kw_only=True)
    replay: float = field(kw_only=True)

    @property
    def judged(self) -> Rows:
        """The new validation rows."""
        assert self.parts is not None
        return self.rows.at(self.parts.valid[self.parts.valid < self.n_new_rows])

    @property
    def labelled(self) -> tuple[int, ...] | None:
        """The labels that the teacher's fit knew: nobody labels replayed rows."""
        known = self.teacher.known_
        return None if known is None else (*known, *[0] * self.n_added)

    @property
    def n_added(self) -> int:
        """How many categories are new."""
        assert self.known is not None
        return self.known.n_components - self.teacher.n_components_

    def told(self, estimator: DeepMixture) -> list[str]:
        """Say what is replayed, and how many categories are added."""
        assert self.known is not None
        n, used = len(self.array) - self.n_new_rows, sum(count > 0 for count in self.known.counts)
        added = (
            f"{self.n_added} new categor{'y' if self.n_added == 1 else 'ies'}" if self.n_added else "no new category"
        )
        return [
            f"continuing a model of {self.teacher.n_components_} categories: {added}; {self.n_new_rows:,} new rows, "
            f"and {n:,} rows drawn from {used} of its categories"
        ]

    @cached_property
    def fingerprint(self) -> dict[str, Any]:
        """Tell the new rows from others."""
        return fingerprint(self.array[: self.n_new_rows])

    def learned_from(self, model: VAE, valid: Rows | None) -> LearnedFrom:
        """Record the new rows, how many the teacher had learned from, and the bound of new validation rows."""
        return replace(super().learned_from(model, valid), before=seen(self.teacher))

    def config(self) -> dict[str, Any]:
        """Tell the teacher, and what is asked of it, as JSON holds it."""
        return {
            "continued": {
                "model": _digest(self.teacher.model_.state_dict(), {})[:16],
                "replay": self.replay,
                "n_new": self.n_added,
            }
        }


def fit(
    teacher: DeepMixture,
    X: ArrayLike,
    n_new: int | str,
    replay: float,
    folder: Path | None,
    *,
    resume: bool = False,
    reporter: Reporter | None = None,
    about: dict[str, Any] | None = None,
) -> DeepMixture:
    """Fit a student, as `DeepMixture.continue_fit` says, and give it; the teacher stays as it is.

    Raises:
        InputError: a model that cannot be continued, or rows or arguments that cannot be used.
        KeyboardInterrupt: as for `cpvae.estimators.running.fit`.
    """
    check(teacher, n_new, replay)
    reporter = reporter or learning.reporter_of(teacher)

    def make(began: Mapping[str, Any] | None) -> tuple[DeepMixture, Prepared]:
        return prepare(teacher, X, n_new, replay, began, reporter.say)

    if folder is not None:
        return running.run(make, folder, resume=resume, reporter=reporter, about=about)
    student, prepared = make(None)
    learning.train(student, prepared, reporter)
    return student


def check(teacher: DeepMixture, n_new: int | str, replay: float) -> None:
    """Refuse models that cannot be continued, and arguments that cannot be used, before rows are read.

    Raises:
        InputError: in a line.
        sklearn.exceptions.NotFittedError: the model is not fitted.
    """
    if not teacher.takes_known:
        raise InputError(
            f"a {teacher.name!r} model cannot be continued: expected CPVAE (--model cpvae), whose rows have categories "
            "that can be drawn from one by one; fit that, or fit this model anew on all rows"
        )
    check_is_fitted(teacher)
    if teacher.stopped_ == INTERRUPTED:
        raise InputError(
            "the model is of a fit that has not finished: expected a finished one, which knows its categories; go on "
            "with its fit first (resume=True, cpvae fit --resume)"
        )
    if n_new != AUTO:
        if isinstance(n_new, str):
            raise InputError(f"n_new={n_new!r}: expected 'auto' or a whole number of at least 0")
        whole("n_new", n_new, 0)
    between("replay", replay, 0.0, MOST_REPLAY, lowest=True, highest=True)


def prepare(
    teacher: DeepMixture,
    X: ArrayLike,
    n_new: int | str,
    replay: float,
    began: Mapping[str, Any] | None,
    say: Callable[[str], None],
) -> tuple[DeepMixture, Continued]:
    """Make a student, and all that its fit begins with.

    Args:
        began: the configuration of the run that goes on; it has the number of new categories and the seeds.
        say: told how new categories are looked for.

    Raises:
        InputError: rows that the model does not take, or fewer than new categories.
    """
    teacher.check_params()
    array = teacher._check_rows(X, reset=False)
    teacher.model_.likelihood.check(Rows(array))
    if n_new != AUTO and int(n_new) > len(array):
        raise InputError(
            f"n_new={n_new} for {len(array)} rows (n_samples={len(array)}): expected at least as many rows as new "
            "categories; give more rows or ask for fewer categories"
        )
    world().check_device(device.find(teacher.device))
    if began is not None:
        seeds, kept = began["seeds"], began.get("continued") or {}
    else:
        random, kept = check_random_state(teacher.random_state), {}
        seeds = world().first(lambda: [int(seed) for seed in random.randint(2**31 - 1, size=teacher.n_init)])
    if n_new != AUTO:
        added = int(n_new)
    else:
        added = kept["n_new"] if "n_new" in kept else how_many(teacher, array, replay, seeds[0], say)
    student = student_of(teacher, added)
    return student, together(teacher, student, array, replay, seeds)


def student_of(teacher: DeepMixture, n_new: int, **changes: Any) -> DeepMixture:
    """Make an estimator that is not fitted, of rows like the teacher's, and of so many more categories."""
    student: DeepMixture = clone(teacher).set_params(n_components=teacher.n_components_ + n_new, **changes)
    for name in ("n_features_in_", "image_shape_", "signal_shape_", "kind_", "schema_", "likelihood_"):
        setattr(student, name, getattr(teacher, name))
    if hasattr(teacher, "feature_names_in_"):
        student.feature_names_in_ = teacher.feature_names_in_
    student.notes_ = ()
    return student


def together(
    teacher: DeepMixture, student: DeepMixture, array: np.ndarray, replay: float, seeds: list[int]
) -> Continued:
    """Put new rows and rows drawn from the teacher together.

    Args:
        array: new rows, checked, ``(n, features)``.

    Raises:
        InputError: fewer rows than categories.
    """
    added, n = student.n_components - teacher.n_components_, len(array)
    counts = shares(teacher, n, replay, added)
    drawn, c = draw(teacher, counts, seeds[0])
    new = split(n, student.validation_fraction, min(1, n - 1), seeds[0])
    held_out = _first_of_each(c, counts, student.validation_fraction)
    parts = Split(
        np.concatenate([new.train, n + np.flatnonzero(~held_out)]),
        np.concatenate([new.valid, n + np.flatnonzero(held_out)]),
        new.overlap,
    )
    place = device.find(student.device)
    array = _joined(array, drawn)
    rows = Rows(array, parts.train, place)
    student._look_at(rows)
    likelihood = copy.deepcopy(teacher.model_.likelihood).to(place)
    learning.refuse_too_large(student, likelihood, place)
    if len(parts.train) < student.n_components:
        raise InputError(
            f"{n} new and {len(drawn)} drawn rows (n_samples={n}), of which {len(parts.train)} are learned from, for "
            f"{student.n_components} categories: expected at least as many; give more rows, or draw more (replay)"
        )
    if new.overlap:
        rows_are = "row is" if n == 1 else "rows are"
        warn(
            f"{n} new {rows_are} too few to hold any out: the bound that chooses among epochs is of rows that it learns"
        )
    if not seen(teacher):
        warn(
            "the model does not say how many rows it was fitted to: in weights_ they count as many as the new ones; "
            "fit it anew if that is wrong"
        )
    categories = np.concatenate([np.full(n, UNKNOWN), c])
    return Continued(
        array=array,
        valid_array=None,
        rows=rows,
        valid=rows.at(parts.valid),
        parts=parts,
        likelihood=likelihood,
        why="that of the model",
        seeds=seeds,
        known=Known(categories, dict(teacher.names_), student.n_components),
        begun=teacher.model_.state_dict(),
        weights=_stand_for(teacher, new, c[~held_out]),
        n_new_rows=n,
        teacher=teacher,
        replay=float(replay),
    )


def seen(model: DeepMixture) -> int:
    """Count the rows that a model and those before it learned from; 0 where its file does not tell."""
    learned = model.learned_from_
    return 0 if learned is None else learned.rows + learned.before


def shares(teacher: DeepMixture, n: int, replay: float, n_new: int) -> np.ndarray:
    """Say how many rows are replayed of each category, int64 ``(K,)``: the same number of each that has rows.

    That number is `replay` times the rows of a new category, if there are any, and else of a category.

    Args:
        n: new rows.
    """
    there = teacher.weights_ * seen(teacher) >= 1.0 if seen(teacher) else in_use(teacher.weights_)
    there[list(teacher.names_)] = True
    each = min(replay * n / (n_new or there.sum()), MOST_ROWS * n / there.sum())
    return np.where(there, max(2, round(each)) if each else 0, 0)


def draw(teacher: DeepMixture, counts: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw so many rows of each category: as an estimator keeps rows, ``(m, features)``, and their categories.

    Where rows hold the probabilities of ink, a drawn row holds those of its code: each step of the training draws from
    them, as from those of a given row.
    """
    parts, table, mean = [], teacher.schema_, teacher.model_.likelihood.varies
    for k in np.flatnonzero(counts):
        lacks = table is not None and teacher.missing_rates_ is not None
        own_seed = (seed + int(k)) % 2**31
        x, _ = teacher.sample(int(counts[k]), int(k), mean=mean, missing=lacks, random_state=own_seed)
        parts.append(np.asarray(x).reshape(len(x), -1) if table is None else table.encode(x))
    empty = np.empty((0, teacher.n_features_in_), dtype=np.float32)
    return np.concatenate([empty, *parts]) if parts else empty, np.repeat(np.arange(len(counts)), counts)


def _first_of_each(c: np.ndarray, counts: np.ndarray, fraction: float) -> np.ndarray:
    """Choose a share of the rows of each category, at least one: booleans ``(m,)`` for categories in order."""
    place = np.arange(len(c)) - np.repeat(np.cumsum(counts) - counts, counts)
    chosen: np.ndarray = place < np.maximum(1, np.round(fraction * counts))[c]
    return chosen


def _joined(array: Any, drawn: np.ndarray) -> Any:
    """Put rows under rows; sparse ones stay sparse."""
    if isinstance(array, SparseRows):
        return SparseRows(vstack([csr_array(array), csr_array(drawn)], format="csr"))
    return np.concatenate([array, drawn])


def _stand_for(teacher: DeepMixture, new: Split, c: np.ndarray) -> torch.Tensor:
    """Say how many rows each training row stands for, so that q(c) is that of all rows, old and new.

    Args:
        new: the split of the new rows; c: categories of the replayed training rows.
    """
    replayed = np.bincount(c, minlength=teacher.n_components_)
    n = len(new.train) if new.overlap else len(new.train) + len(new.valid)
    old = (seen(teacher) or n) * teacher.weights_ / np.maximum(1, replayed)
    return torch.from_numpy(np.concatenate([np.full(len(new.train), n / len(new.train)), old[c]]))


# -- how many categories are new ---------------------------------------------------------------------------------------


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
    rows = Rows(
        rows._given, None if rows.index is None else rows.index.numpy(force=True), next(model.parameters()).device
    )
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
    n = int(unexplained(teacher, some, seed).sum())
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
        if gain.mean() > SURE * gain.std() / math.sqrt(len(gain)):
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
