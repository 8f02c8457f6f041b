"""Run folders, which fits leave on the disk.

``config.json`` says what was asked, of which data, and how far it came; ``history.jsonl`` grows by a line an epoch;
``model.safetensors`` is the fitted model; ``metrics.json``, ``samples.png`` and ``report.html`` are made from it.
"""

from __future__ import annotations

import os
import platform
import shlex
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from cpvae import __version__
from cpvae.arguments import LARGEST_SEED
from cpvae.data.faults import enumerated
from cpvae.errors import FitWarning, InputError, counted
from cpvae.files import FORMAT_VERSION, check_exists, check_version, check_writable, make_folders, read_json, write_json
from cpvae.fitting.devices.rank import n_processes

CONFIG, MODEL, METRICS = "config.json", "model.safetensors", "metrics.json"
CARD = f"{MODEL}.md"  # `cpvae.estimators.cards`
SAMPLES, REPORT, ASSESSMENT = "samples.png", "report.html", "assessment.json"
CHECKPOINT, HISTORY = "checkpoint.safetensors", "history.jsonl"
LOCK = ".lock"  # there while a process fits into the folder
RUNNING, FINISHED = "running", "finished"  # status of a run
UNFINISHED = "unfinished"  # the same of one that was stopped, with a model that holds the best weights until then
OTHERS = {  # parts of a configuration that stay the same when a run goes on, and what it has where they do not
    "estimator": "of another model",
    "continued": "that is continued otherwise",
    "params": "with other arguments",
    "data": "of other rows",
    "schema": "with another schema",
    "known": "with other known labels",
}
RESTARTS = "restart-*"  # folders of a run with several restarts: `restart`
DIGESTS = ("digest", "sha256")  # keys whose values say nothing to a person
GONE: dict[str, Any] = {"released": []}  # arguments of earlier versions, and their values when nobody gave them
NEEDED = {"estimator": str, "params": dict, "data": dict, "seeds": list, "status": str, "about": dict, "versions": dict}
OPTIONAL = {"warnings": list, "fitted": dict, "continued": dict}
READING = {"kind", "size", "layer"}  # what may be said about data before they are read


def restart(folder: Path, i: int) -> Path:
    """Name the folder of one of several restarts of a run, with a history and a checkpoint."""
    return folder / RESTARTS.replace("*", str(i))


def versions() -> dict[str, str]:
    """Name the software behind a number."""
    import numpy as np  # here, since a folder can be refused without them
    import sklearn
    import torch

    return {
        "cpvae": __version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "scikit-learn": sklearn.__version__,
        "python": platform.python_version(),
    }


def read_config(folder: Path) -> dict[str, Any]:
    """Read the configuration of a run.

    Raises:
        InputError: the folder is missing, is not a run, or belongs to a newer version.
    """
    _check_is_run(folder)
    config = read_json(folder / CONFIG, "the configuration of a run", "give the folder that `cpvae fit` wrote")
    check_version(config, folder / CONFIG)
    bad = _unusable(config)
    if bad:
        raise InputError(
            f"{folder / CONFIG} is damaged or was changed: it has no {' and no '.join(bad)} that can be used; "
            "restore a copy, or fit again into another folder"
        )
    config["params"] = still_there(config["params"])
    return config


def _unusable(config: dict[str, Any]) -> list[str]:
    """Name the parts of a configuration that are absent or of another kind than what a fit writes."""
    bad = [key for key, kind in NEEDED.items() if not isinstance(config.get(key), kind)]
    bad += [key for key, kind in OPTIONAL.items() if not isinstance(config.get(key, kind()), kind)]
    if bad:
        return bad
    about, seeds = config["about"], config["seeds"]
    texts = ("source", "labels", "known", "model")
    bad += [f"about.{key}" for key in texts if not isinstance(about.get(key), (str, type(None)))]
    reading = about.get("reading", {})
    bad += [] if isinstance(reading, dict) and reading.keys() <= READING else ["about.reading"]
    bad += [] if isinstance(config["data"].get("rows"), int) else ["data.rows"]
    right = len(seeds) == config["params"].get("n_init", 1) and all(map(_is_seed, seeds))
    return bad if right else [*bad, "seeds"]


def still_there(params: dict[str, Any]) -> dict[str, Any]:
    """Leave out the arguments that earlier versions had, where nobody had given them a value.

    >>> still_there({"latent_dim": 3, "released": []}), still_there({"released": ["fixed-prior"]})
    ({'latent_dim': 3}, {'released': ['fixed-prior']})
    """
    return {name: value for name, value in params.items() if name not in GONE or value != GONE[name]}


def begun(folder: Path | None) -> bool:
    """Tell whether a folder holds a run, finished or not."""
    return folder is not None and (folder / CONFIG).exists()


def model_of(path: Path) -> Path:
    """Find the model in the folder of a run, or a checkpoint that stands in; any other path is that of a saved model.

    Raises:
        InputError: not a run, not a file, or stopped before there was a model.
    """
    if not os.path.isdir(path):  # unlike Path.is_dir, also answers for a name that is too long
        check_exists(path)
        return path
    places = [path / MODEL, *checkpoints(path)]
    if not any(place.exists() for place in places[:2]):
        raise no_model(path)
    return places[0] if places[0].exists() else places[1]


def checkpoints(folder: Path) -> list[Path]:
    """Find the checkpoints of a run, one for each of its restarts that has any."""
    places = (folder, *sorted(folder.glob(RESTARTS)))
    return [place / CHECKPOINT for place in places if (place / CHECKPOINT).exists()]


def no_model(folder: Path) -> InputError:
    """Say that a run was cut off before it had learned anything that can be used."""
    return InputError(f"{folder} holds a fit that has not finished, and no model yet; {unfinished(folder)}")


def _is_seed(value: object) -> bool:
    return type(value) is int and 0 <= value <= LARGEST_SEED


def _check_is_run(folder: Path) -> None:
    try:
        found = (folder.is_dir(), (folder / CONFIG).is_file())
    except (OSError, ValueError):  # a name that is too long, a null byte
        found = (False, False)
    if not found[0]:
        raise InputError(
            f"{str(folder)[:200]} does not exist or is not a folder; give the folder that `cpvae fit` wrote"
        )
    if not found[1]:
        raise InputError(f"{folder} is not a run: it has no {CONFIG}; give the folder that `cpvae fit` wrote")


def check_folder(folder: Path, resume: bool) -> None:
    """Refuse a folder in which a run could not begin, or go on, before any work is done for it.

    Raises:
        InputError: it cannot be written; it holds a run and `resume` is false, or none and it is true; it holds files
            of others that a run would overwrite.
    """
    _refuse_restarts_elsewhere(folder)
    if resume:
        read_config(folder)
        check_writable(folder / CONFIG)
        return
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; give a folder for the run")
    if (folder / CONFIG).exists():
        raise InputError(f"{folder} already holds a run; add --resume to go on with it, or choose another folder")
    ours = [folder / name for name in (MODEL, CARD, METRICS, HISTORY, CHECKPOINT, SAMPLES, REPORT, ASSESSMENT)]
    ours += [place / name for place in sorted(folder.glob(RESTARTS)) for name in (HISTORY, CHECKPOINT)]
    for path in ours:
        if path.exists():
            raise InputError(
                f"{folder} is no run but holds {path.relative_to(folder)}, which would be overwritten; choose another "
                "folder"
            )
    check_writable(folder / CONFIG)


def _refuse_restarts_elsewhere(folder: Path) -> None:
    """Refuse restarts whose folders are links or files: a run writes into its own folder and nowhere else."""
    odd = [place.name for place in sorted(folder.glob(RESTARTS)) if place.is_symlink() or not place.is_dir()]
    if odd:
        raise InputError(
            f"{folder} holds {enumerated(odd)}, which should be a folder and is a link or a file; expected folders for "
            "restarts, or none; remove it, or choose another folder"
        )


def check_results(folder: Path, names: Sequence[str], keys: set[str]) -> None:
    """Refuse a folder that holds files of others by the names of results.

    Args:
        folder: where the results go.
        names: the files of the results; the first of them is a JSON object.
        keys: what that object holds.

    Raises:
        InputError: a file by one of the names is there, and the first is no such object; none can be written.
    """
    check_writable(folder / names[0])
    there = [name for name in names if os.path.lexists(folder / name)]
    with suppress(InputError):
        if not there or keys <= read_json(folder / names[0], "a result", "").keys():
            return
    raise InputError(f"{folder} holds a {there[0]} that is no result of cpvae and would be overwritten; choose another")


def command(source: str, labels: str | None, folder: Path, model: str | None = None) -> str:
    """Write the command that goes on with a run; its other options are in the folder.

    Args:
        model: that the run continues, or None of one that continues none.
    """
    alone = n_processes() == 1
    program = ["cpvae"] if alone else ["torchrun", f"--nproc-per-node={n_processes()}", "-m", "cpvae"]
    given = [source, *([] if labels is None else ["--labels", labels]), "--out", str(folder)]
    return shlex.join([*program, *(["fit"] if model is None else ["continue", model]), *given, "--resume"])


def unfinished(folder: Path) -> str:
    """Say how to go on with a run that is not finished; empty of one that is, or of what is no run."""
    if not os.path.isdir(folder):
        return ""
    config = read_config(folder)
    about = config["about"]
    if config["status"] == FINISHED:
        return ""
    if about.get("source") is None:
        does = "continue the model that it began with" if "continued" in config else "fit"
        return f"{does} into this folder with resume=True to go on"
    return f"go on with: {command(about['source'], about.get('labels'), folder, about.get('model'))}"


def starts_anew(folder: Path) -> bool:
    """Tell whether a run that was stopped has no state to go on from: it was stopped in its start."""
    return read_config(folder)["status"] != FINISHED and not checkpoints(folder)


@contextmanager
def held(folder: Path) -> Iterator[Callable[[], bool]]:
    """Hold a folder for this process alone while the block lasts; make it if need be, and do not leave it behind empty.

    The block is given a function that tells whether the folder is still its own: it may be removed meanwhile, and made
    anew by another process. On a file system without locks nobody is kept out.

    Raises:
        InputError: another process has it.
    """
    made: list[Path] = []
    lock = FileLock(folder / LOCK)
    taken: list[os.stat_result] = []

    def ours() -> bool:
        try:
            return not taken or os.path.samestat(taken[0], os.stat(folder / LOCK))
        except OSError:
            return False

    try:
        made = make_folders(folder)
        lock.acquire(blocking=False)
        taken.append(os.stat(folder / LOCK))
    except Timeout as error:
        raise InputError(
            f"another process is fitting into {folder}; wait until it ends, or choose another folder"
        ) from error
    except (OSError, ValueError):
        pass  # what cannot be used is refused by `begin`, in words
    try:
        yield ours
    finally:
        if lock.is_locked:
            with suppress(OSError):  # Windows removes it when it is released
                if ours():
                    (folder / LOCK).unlink()
            lock.release()
        for place in made:
            with suppress(OSError):  # not empty: something was left there
                place.rmdir()


def begin(folder: Path, config: dict[str, Any], resume: bool, defaults: dict[str, Any]) -> dict[str, Any]:
    """Claim a folder for a run, or find the run that is to go on there.

    Args:
        config: must have ``"estimator"``, ``"params"`` and ``"data"``, by which a resumed run is recognised.
        defaults: as for `check_same`.

    Returns:
        The configuration on the disk: `config`, or when resumed the one of the first session.

    Raises:
        InputError: the folder holds a run and `resume` is false, or holds another run.
    """
    if not (resume and (folder / CONFIG).exists()):
        check_folder(folder, resume=False)
        config = {"format_version": FORMAT_VERSION, "status": RUNNING, **config, "versions": versions()}
        try:
            write_json(folder / CONFIG, config)
        except InputError:
            release(folder)
            raise
        return config
    _refuse_restarts_elsewhere(folder)
    found = read_config(folder)
    check_same(folder, found, config, defaults)
    return found


def check_same(folder: Path, found: dict[str, Any], asked: dict[str, Any], defaults: dict[str, Any]) -> None:
    """Refuse to go on with a run as if it were another.

    Args:
        found, asked: configurations; of the rows, what both of them tell is compared.
        defaults: of the arguments; one that came after the run began has its default there.

    Raises:
        InputError: another estimator, other rows, another schema or other arguments, except for another number of
            epochs of a run that is not finished.
    """
    params, data = found.get("params"), found["data"]
    told = [key for key in asked["data"] if key in data or "digest" in data]  # runs begun earlier tell less
    began = {
        **found,
        "params": {**defaults, **params} if isinstance(params, dict) else params,
        "data": {key: data.get(key) for key in told},
    }
    asked = {**asked, "data": {key: asked["data"][key] for key in told}}
    if found["status"] != FINISHED and isinstance(params, dict):  # the rest can be planned anew
        began["params"]["max_epochs"] = asked["params"].get("max_epochs")
    if ("continued" in began) != ("continued" in asked):
        there, here = ("continues a model", "fit") if "continued" in began else ("continues no model", "continue_fit")
        other = "continue_fit" if here == "fit" else "fit"
        raise InputError(
            f"{folder} holds a run that {there}, and is resumed by {here}; resume it by {other} (cpvae "
            f"{other.removesuffix('_fit')}), or choose another folder"
        )
    if ("known" in began) != ("known" in asked):
        there, here = ("with", "without") if "known" in began else ("without", "with")
        raise InputError(
            f"{folder} holds a run {there} known categories of rows, and is resumed {here} any; resume with the labels "
            "it began with (known, --known), or choose another folder"
        )
    for key in OTHERS:
        if key in asked and began.get(key) != asked[key]:
            if key == "params" and began[key] == {**asked[key], "max_epochs": began[key].get("max_epochs")}:
                raise InputError(
                    f"{folder} holds a run that has finished, of {epochs(began[key])}, not {epochs(asked[key])}; for "
                    "another number of epochs choose another folder"
                )
            source = found["about"].get("source") if key == "data" else None
            rows = "" if source is None else f", {source}"
            raise InputError(
                f"{folder} holds a run {OTHERS[key]} ({_difference(began.get(key), asked[key])}); resume with what it "
                f"began with{rows}, or choose another folder"
            )


def note(folder: Path, **facts: Any) -> None:
    """Add facts to the configuration of a run that became known while it ran."""
    write_json(folder / CONFIG, {**read_config(folder), **facts})


@contextmanager
def warnings_noted(folder: Path) -> Iterator[None]:
    """Keep the `FitWarning`s of the block with the run, for those who look at it later, and show them as ever."""
    said: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("always", FitWarning)
        show = warnings.showwarning

        def show_and_keep(message: Warning | str, category: type[Warning], *rest: Any) -> None:
            if issubclass(category, FitWarning):
                said.append(str(message))
            show(message, category, *rest)

        warnings.showwarning = show_and_keep  # type: ignore[assignment]
        try:
            yield
        finally:
            if said and (folder / CONFIG).exists():
                known = read_config(folder).get("warnings", [])  # of earlier sessions
                note(folder, warnings=list(dict.fromkeys([*known, *said])))


def release(folder: Path) -> None:
    """Give up the claim on a folder after a failure, so that a next try may begin. Only who made the claim may do so.

    A run with something to go on with keeps its claim.
    """
    if saved(folder):
        return
    for place in reversed([folder, *folder.glob(RESTARTS)]):
        for name in (HISTORY, CONFIG):
            (place / name).unlink(missing_ok=True)
        with suppress(OSError):  # not empty: what is there is not ours
            place.rmdir()


def saved(folder: Path) -> bool:
    """Tell whether a run has a state to go on from, or is at its end."""
    return (folder / MODEL).exists() or bool(checkpoints(folder))


def epochs(params: dict[str, Any]) -> str:
    """Say how many epochs a run was asked for."""
    return counted(params["max_epochs"], "epoch") if params["max_epochs"] else "the default number of epochs"


def _difference(found: Any, asked: Any) -> str:
    """Name the first thing that differs, in a few words."""
    if isinstance(found, dict) and isinstance(asked, dict):
        for key in (*asked, *found):
            if found.get(key) != asked.get(key):
                return "other values" if key in DIGESTS else f"{key}: {_difference(found.get(key), asked.get(key))}"
    if isinstance(found, list) and isinstance(asked, list):
        for i, (one, other) in enumerate(zip(found, asked, strict=False)):
            if one != other:
                return f"number {i}: {_difference(one, other)}"
    return f"{_short(found)} there, {_short(asked)} asked"


def _short(value: Any) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."
