"""Continual learning: a fitted model learns from new rows, and keeps its categories without the rows it learned from.

A student (`cpvae.estimators.replay`) learns from the new rows and from rows that the model draws (generative replay:
Shin et al., "Continual learning with deep generative replay", 2017). The model draws as many rows from each of its
categories: the paper gives this choice as the use of a prior that knows them. Where nobody says how many categories are
new, that is found (`cpvae.estimators.novelty`).

Rows are drawn anew every few epochs, and no row that the model learned from is needed or kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from cpvae.arguments import between, whole
from cpvae.data.rows import Rows
from cpvae.errors import InputError, counted
from cpvae.estimators import learning, running
from cpvae.estimators.novelty import how_many
from cpvae.estimators.preparing import Prepared
from cpvae.estimators.replay import Continued, student_of, together
from cpvae.fitting.devices import device
from cpvae.fitting.devices.world import world
from cpvae.fitting.progress import Reporter
from cpvae.fitting.records import INTERRUPTED

if TYPE_CHECKING:
    from cpvae.estimators.contract import DeepMixture

AUTO = "auto"
MOST_REPLAY = 1000.0  # rows of a category for one new row of one: more is a slip of the finger


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
            f"a {teacher.name!r} model cannot be continued: expected CPVAE or CPHVAE (--model cpvae or hvae-cp), whose "
            "rows have categories that can be drawn from one by one; fit one of them, or fit this one anew on all rows"
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
    teacher.model_.likelihood.check(Rows(array), teacher._form().names)
    if n_new != AUTO and int(n_new) > len(array):
        raise InputError(
            f"n_new={n_new} for {counted(len(array), 'row')} (n_samples={len(array)}): expected at least as many "
            "rows as new categories; give more rows or ask for fewer categories"
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
        added = kept["n_new"] if "n_new" in kept else how_many(teacher, array, seeds[0], say)
    student = student_of(teacher, added)
    return student, together(teacher, student, array, replay, seeds)
