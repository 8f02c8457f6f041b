"""Students of a fitted model: models with its categories and new ones, which begin with its weights.

The fitted model is the teacher. A student learns from new rows and from rows that the teacher draws: as many from each
of its categories. A drawn row comes with its category, so it is a row whose category is known. The student is fitted as
any model with known categories of some rows is (docs/known.md). Categories of which no row is known are new.
"""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.sparse import csr_array, vstack
from sklearn.base import clone

from cpvae.checkpoints import _digest
from cpvae.data.rows import Rows
from cpvae.data.sparse import SparseRows
from cpvae.data.split import Split, fingerprint, split
from cpvae.errors import InputError, warn
from cpvae.estimators.cards import LearnedFrom
from cpvae.estimators.gaps import lacking
from cpvae.estimators.known import UNKNOWN, Known
from cpvae.estimators.preparing import Prepared, refuse_too_large
from cpvae.fitting.devices import device
from cpvae.nn.draws import seeded
from cpvae.probability.estimates import in_use
from cpvae.probability.models import VAE

if TYPE_CHECKING:
    from cpvae.estimators.contract import DeepMixture

MOST_ROWS = 10  # replayed at most for each new row, so that a pass over them takes no longer than eleven over the new


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
    def gaps_are_known(self) -> bool:
        """Say whether cells of replayed rows are missing as often as in the data: older files do not say how often."""
        return self.teacher.missing_rates_ is not None

    @property
    def labelled(self) -> tuple[int, ...] | None:
        """The labels that the teacher's fit knew: nobody labels replayed rows."""
        known = self.teacher.known_
        return None if known is None else (*known, *[0] * self.n_added)

    @property
    def n_added(self) -> int:
        """The number of categories that are new."""
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


def student_of(teacher: DeepMixture, n_new: int) -> DeepMixture:
    """Make an estimator that is not fitted, of rows like the teacher's, and of so many more categories."""
    student: DeepMixture = clone(teacher).set_params(n_components=teacher.n_components_ + n_new)
    for name in ("n_features_in_", "image_shape_", "signal_shape_", "kind_", "schema_", "likelihood_", "covariance_"):
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
    held_out = np.where(counts, np.maximum(1, np.round(student.validation_fraction * counts)), 0).astype(np.int64)
    new = split(n, student.validation_fraction, min(1, n - 1), seeds[0])
    began = time.perf_counter()
    drawn, c = draw(teacher, counts - held_out, seeds[0])
    seconds = time.perf_counter() - began
    judging, judged = draw(teacher, held_out, seeds[0] + 1)
    array, place = joined(array, drawn, judging), device.find(student.device)
    learned = np.concatenate([new.train, n + np.arange(len(c))])
    rows = Replayed(array, learned, place, teacher, counts - held_out, n, seconds, seeds[0])
    parts = Split(learned, np.concatenate([new.valid, n + len(c) + np.arange(len(judged))]), new.overlap)
    student._look_at(rows, known=True)
    likelihood = copy.deepcopy(teacher.model_.likelihood).to(place)
    refuse_too_large(student, likelihood, place)
    if len(parts.train) < student.n_components:
        raise InputError(
            f"{n} new and {len(array) - n} drawn rows (n_samples={n}), of which {len(parts.train)} are learned from, "
            f"for {student.n_components} categories: expected at least as many; give more rows, or draw more (replay)"
        )
    _warn_of(teacher, new, n)
    categories = np.concatenate([np.full(n, UNKNOWN), c, judged])
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
        weights=_stand_for(teacher, new, c),
        n_new_rows=n,
        teacher=teacher,
        replay=float(replay),
    )


def _warn_of(teacher: DeepMixture, new: Split, n: int) -> None:
    """Warn where none of n new rows is held out, and of what an older file does not say of the rows before."""
    if new.overlap:
        rows_are = "row is" if n == 1 else "rows are"
        warn(
            f"{n} new {rows_are} too few to hold any out: the bound that chooses among epochs is of rows that it learns"
        )
    if teacher.missing_rates_ is None and lacking(teacher, teacher.model_):
        warn(
            "the model was saved by a version that did not keep how often cells are missing, or where signals end: "
            "none is missing in replayed rows, and signals do not end; fit it anew if that is wrong"
        )
    if not seen(teacher):
        warn(
            "the model does not say how many rows it was fitted to: in weights_ they count as many as the new ones; "
            "fit it anew if that is wrong"
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
    drawn = there(teacher)
    each = min(replay * n / (n_new or drawn.sum()), MOST_ROWS * n / drawn.sum())
    return np.where(drawn, max(2, round(each)) if each else 0, 0)


def there(teacher: DeepMixture) -> np.ndarray:
    """Say which categories have rows or a name, booleans ``(K,)``."""
    found: np.ndarray = teacher.weights_ * seen(teacher) >= 1.0 if seen(teacher) else in_use(teacher.weights_)
    found[list(teacher.names_)] = True
    return found


def draw(teacher: DeepMixture, counts: np.ndarray, seed: int, whole: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Draw so many rows of each category: as an estimator keeps rows, ``(m, features)``, and their categories.

    Values are missing as often as among the rows of the fit, unless the rows are to be `whole`.

    Where rows hold the probabilities of ink, a drawn row holds those of its code: each step of the training draws from
    them, as from those of a given row.
    """
    c = np.repeat(np.arange(len(counts)), counts)
    if not len(c):
        return np.empty((0, teacher.n_features_in_), dtype=np.float32), c
    teacher._check_drawn(len(c), f"{len(c):,} replayed rows")
    table = teacher.schema_
    with torch.no_grad(), seeded(seed % 2**31):
        x = teacher._draw_rows(
            c, mean=teacher.model_.likelihood.varies, missing=not whole and teacher.missing_rates_ is not None
        )
    return np.asarray(x).reshape(len(x), -1) if table is None else table.encode(x), c


class Replayed(Rows):
    """New rows, and rows that a teacher draws anew during the fit of its student.

    Rows that are drawn once are learned by heart, as given ones are.

    Args:
        array: the new rows, then the drawn ones, then rows that stay.
        index: the rows that are learned from.
        counts: rows drawn of each category, ``(K,)``.
        first: place of the first of them.
        seconds: that drawing them took.
        seed: from which those in the array were drawn, if that is known.
    """

    def __init__(
        self,
        array: Any,
        index: np.ndarray | None,
        place: torch.device | str,
        teacher: DeepMixture,
        counts: np.ndarray,
        first: int,
        seconds: float,
        seed: int | None = None,
    ):
        super().__init__(array, index, place)
        self._teacher, self._counts, self._first, self._seconds, self._seed = teacher, counts, first, seconds, seed

    def __reduce__(self) -> tuple[object, ...]:
        index = None if self.index is None else self.index.numpy(force=True)
        return Replayed, (self._given, index, self.device, self._teacher, self._counts, self._first, self._seconds)

    def renew(self, seed: int) -> None:
        if self._counts.any() and seed != self._seed:
            self.replace(self._first, draw(self._teacher, self._counts, seed)[0])
            self._seed = seed

    def renewal_seconds(self) -> float:
        return self._seconds


def joined(array: Any, *drawn: np.ndarray) -> Any:
    """Put rows under rows; sparse ones stay sparse."""
    if isinstance(array, SparseRows):
        below: list[Any] = [csr_array(part) for part in drawn]
        return SparseRows(vstack([array, *below], format="csr"))
    return np.concatenate([array, *drawn])


def _stand_for(teacher: DeepMixture, new: Split, c: np.ndarray) -> torch.Tensor:
    """Say how many rows each training row stands for, so that q(c) is that of all rows, old and new.

    Args:
        new: the split of the new rows; c: categories of the replayed training rows.
    """
    replayed = np.bincount(c, minlength=teacher.n_components_)
    n = len(new.train) if new.overlap else len(new.train) + len(new.valid)
    old = (seen(teacher) or n) * teacher.weights_ / np.maximum(1, replayed)
    return torch.from_numpy(np.concatenate([np.full(len(new.train), n / len(new.train)), old[c]]))
