"""Checks of a command's arguments before heavy imports and reads, so that most mistakes are told within a second."""

from __future__ import annotations

import os
from pathlib import Path

from cpvae.data import loaders
from cpvae.data.loaders.checks import expanded
from cpvae.data.loaders.images import SUFFIXES as IMAGES
from cpvae.data.loaders.shards import SUFFIX, find
from cpvae.errors import InputError
from cpvae.files import behind, check_writable
from cpvae.fitting import runs


def check_inputs(run: Path | None = None, data: str | None = None) -> None:
    """Refuse a run without a model, and data that do not exist.

    Raises:
        InputError: the run has no model, or the data do not exist.
    """
    if run is not None:
        runs.model_of(run)
    if data is not None:
        loaders.check(data)


def check_out_file(
    out: Path,
    known: tuple[str, ...],
    run: Path,
    data: str | None = None,
    labels: str | None = None,
    option: str = "--out",
) -> Path:
    """Refuse an output file that could not be written, or that the command reads.

    Args:
        out: the file that the user named; a link is followed.
        known: suffixes that it may have.
        run, data, labels: inputs of the command.
        option: by which the user named it.

    Returns:
        The file to write.

    Raises:
        InputError: the suffix is unknown, the file cannot be written, or the command reads this file.
    """
    if out.suffix.lower() not in known:
        raise InputError(f"{option} {out}: unknown kind {out.suffix!r}; use one of {', '.join(known)}")
    target = behind(out)
    fitted_on, fitted_labels, fitted_known, picture = None, None, None, None
    if run.is_dir():
        about = runs.read_config(run)["about"]
        fitted_on, fitted_labels, picture = about.get("source"), about.get("labels"), run / runs.SAMPLES
        fitted_known = about.get("known")
    what = {
        "the data": data,
        "the file of labels": labels,
        "the model": run,
        "a part of the run": picture,
        "what the run was fitted on": fitted_on,
        "the labels of what the run was fitted on": fitted_labels,
        "the known labels of what the run was fitted on": fitted_known,
    }
    for name, given in what.items():
        if given is not None and _same(target, given):
            raise InputError(f"{option} {out} is {name}, {given}, which would be overwritten; give another file")
    if out.suffix.lower() in IMAGES:
        for source in (data, fitted_on):
            _refuse_among_images(out, source, option)
    if out.suffix.lower() == SUFFIX and data is not None and data not in loaders.NAMES:
        _refuse_among_parts(out, data, option)
    check_writable(target)
    return target


def check_out_folder(out: Path, data: str, called: str = "the data") -> None:
    """Refuse an output folder that would become a part of the data, or of what else it is called.

    Raises:
        InputError: the folder is the data, or lies in a folder of images.
    """
    if os.path.isdir(out) and _same(out, data):
        raise InputError(f"--out {out} is {called}, {data}; give another folder")
    _refuse_among_images(out, data, "--out")


def _same(out: Path, given: str | Path) -> bool:
    """Say whether two paths are one file; a name of a data set or column, or a path to nothing, is not a file."""
    try:
        return os.path.samefile(out, expanded(Path(given)))
    except (OSError, ValueError):
        return False


def _refuse_among_parts(out: Path, data: str, option: str) -> None:
    """Refuse to write a table among Parquet files that are data together."""
    place, source = Path(os.path.realpath(out)), Path(os.path.realpath(expanded(Path(data))))
    if place.parent == source or place.match(str(source)):
        raise InputError(f"{option} {out} lies among the files of {data}, of which it would become one; give another")


def _refuse_among_images(out: Path, data: str | None, option: str) -> None:
    """Refuse to write pictures into a folder of pictures that are data."""
    folder = None if data is None else expanded(Path(data))
    if folder is None or data in loaders.NAMES or not os.path.isdir(folder) or find(folder):
        return
    if Path(os.path.realpath(folder)) in Path(os.path.realpath(out)).parents:
        raise InputError(f"{option} {out} lies in {data}, the images of which it would become part; give another place")
