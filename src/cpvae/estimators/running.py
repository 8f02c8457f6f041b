"""Fits into run folders: what an estimator learns, kept so that it can be found, traced and gone on with."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

from cpvae.errors import InputError, warn
from cpvae.estimators import files, learning, preparing
from cpvae.estimators.preparing import Prepared
from cpvae.files import write_atomic
from cpvae.fitting import runs
from cpvae.fitting.devices.world import world
from cpvae.fitting.progress import Reporter
from cpvae.fitting.records import INTERRUPTED
from cpvae.fitting.runs import CHECKPOINT, HISTORY

if TYPE_CHECKING:
    from cpvae.estimators.contract import DeepMixture


def fit(
    estimator: DeepMixture,
    X: ArrayLike,
    folder: Path,
    *,
    X_valid: ArrayLike | None = None,
    known: Any = None,
    resume: bool = False,
    reporter: Reporter | None = None,
    about: dict[str, Any] | None = None,
) -> None:
    """Fit an estimator, and leave history, checkpoints and the fitted model in a folder.

    Started by `torchrun`, every process calls it with the same rows and they train one model
    (`cpvae.fitting.devices.world`); `batch_size` is that of all of them together, and the first one writes the files.

    Args:
        X, X_valid, known: as for `DeepMixture.fit`.
        folder: of the run (`cpvae.fitting.runs`).
        resume: go on with the run in `folder`, with the rows and seeds it began with; on the CPU the result is the same
            to the bit. The number of epochs may be another one: then the rest is planned anew.
        about: kept in the folder's ``config.json``, for instance where the rows came from.

    Raises:
        InputError: arguments or rows that cannot be used; a folder with another run.
        KeyboardInterrupt: Ctrl-C or SIGTERM. The state was saved, and so was the model with the best weights so far,
            marked as unfinished. A fit that is stopped in its start saves a model of quick categories and no state: it
            finds its start anew. A second Ctrl-C ends at once.
    """
    estimator.check_params()

    def prepare(began: dict[str, Any] | None) -> tuple[DeepMixture, Prepared]:
        seeds, form = (None, None) if began is None else (began["seeds"], began.get("fitted", {}).get("covariance"))
        return estimator, preparing.prepare(estimator, X, X_valid, seeds, known, form)

    run(prepare, folder, resume=resume, reporter=reporter, about=about)


def run(
    prepare: Callable[[dict[str, Any] | None], tuple[DeepMixture, Prepared]],
    folder: Path,
    *,
    resume: bool = False,
    reporter: Reporter | None = None,
    about: dict[str, Any] | None = None,
) -> DeepMixture:
    """Make a fit in a folder, and give the estimator that it is of.

    Args:
        prepare: gives the estimator, and all that its fit begins with. It is called with the configuration of the run
            that goes on, or None of a new one, once the folder is held.
        folder, resume, reporter, about: as for `fit`.

    Raises:
        InputError, KeyboardInterrupt: as for `fit`.
    """
    with ExitStack() as lock:
        hold: list[Callable[[], bool]] = []  # of the first process, whether the folder is still its own
        world().first(lambda: hold.append(lock.enter_context(runs.held(folder))))
        new = not (resume and runs.begun(folder))
        estimator, prepared = prepare(world().first(lambda: None if new else runs.read_config(folder)))
        asked = _config(estimator, prepared, about)
        defaults = files.config(type(estimator)())["params"]
        found = world().first(lambda: runs.begin(folder, asked, resume, defaults))
        if found["status"] == runs.FINISHED:
            files.reopen(estimator, folder / runs.MODEL)
            return estimator
        other = found["params"] != asked["params"]
        if other:
            world().first(lambda: _plan_anew(folder, found["params"], asked["params"]))
        before = vars(estimator).get("model_")
        try:
            learning.train(estimator, prepared, reporter, folder, resume, other)
        except KeyboardInterrupt:
            if world().is_main and hold[0]():
                if vars(estimator).get("model_") is not before and estimator.stopped_ == INTERRUPTED:
                    _leave_unfinished(estimator, folder)
                elif new:
                    runs.release(folder)
            raise
        except Exception:
            if world().is_main and hold[0]() and new:
                runs.release(folder)
            raise
        world().first(lambda: _leave(estimator, prepared, folder, hold[0]))
        return estimator


def _plan_anew(folder: Path, began: dict[str, Any], asked: dict[str, Any]) -> None:
    """Keep another number of epochs with a run, and say what that means, unless the run has trained nothing yet."""
    runs.note(folder, params=asked)
    if runs.starts_anew(folder):
        return
    old, new = (runs.epochs(params) for params in (began, asked))
    warn(
        f"the run began with {old} and now has {new}: its learning rate is planned anew from here on, and it ends with "
        "other weights than a fit that had this number from the start; if it has made more epochs, they stay made"
    )


def _leave_unfinished(estimator: DeepMixture, folder: Path) -> None:
    """Write what a fit that was stopped has learned, marked as unfinished."""
    files.save(estimator, folder / runs.MODEL)
    runs.note(folder, status=runs.UNFINISHED, seed=estimator.seed_, best_epoch=estimator.best_epoch_)


def _config(estimator: DeepMixture, prepared: Prepared, about: dict[str, Any] | None) -> dict[str, Any]:
    """Say what is asked, of which rows, as JSON holds it."""
    config = {
        **files.config(estimator),
        "data": prepared.data() if world().is_main else {},
        "seeds": prepared.seeds,
        "about": about or {},
        "fitted": {  # by which a checkpoint stands in for the model (`cpvae.estimators.unfinished`)
            **files.rows_as_kept(estimator),
            "likelihood": prepared.likelihood.name,
            "consistent": estimator._consistent(),
            **({} if prepared.known is None else {"names": prepared.known.names}),
            **({} if prepared.labelled is None else {"known": list(prepared.labelled)}),
        },
        **prepared.config(),
    }
    if estimator.schema_ is not None:
        config["schema"] = estimator.schema_.as_dict()
    kept: dict[str, Any] = json.loads(json.dumps(config))  # as it will be read
    return kept


def _leave(estimator: DeepMixture, prepared: Prepared, folder: Path, ours: Callable[[], bool]) -> None:
    """Write the finished run: model first, status last, so that a run cut off here is only resumed.

    Raises:
        InputError: the folder is no longer `ours`.
    """
    if not ours():
        raise InputError(
            f"{folder} was removed while the fit ran, or another process fits into it now; expected a folder that "
            "stays; nothing was written there; fit again"
        )
    files.save(estimator, folder / runs.MODEL)
    if len(prepared.seeds) > 1:
        best = prepared.seeds.index(estimator.seed_)
        write_atomic(folder / HISTORY, (runs.restart(folder, best) / HISTORY).read_bytes())
    runs.note(
        folder,
        status=runs.FINISHED,
        device=str(prepared.rows.device),
        seed=estimator.seed_,
        stopped=estimator.stopped_,
        best_epoch=estimator.best_epoch_,
    )
    for path in (folder / CHECKPOINT, *folder.glob(f"{runs.RESTARTS}/{CHECKPOINT}")):
        path.unlink(missing_ok=True)
