"""`cpvae continue`."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated, Any

import typer

from cpvae.cli.estimator_options import takes
from cpvae.cli.fit import stopped, told
from cpvae.cli.options import Data, Json, Labels, Layer, MaxMinutes, Run, Strict, expand
from cpvae.cli.output import say
from cpvae.errors import FitWarning, InputError
from cpvae.fitting.devices.rank import is_main

TRAINING = (
    "max_epochs",
    "max_seconds",
    "random_state",
    "n_init",
    "batch_size",
    "learning_rate",
    "warmup_epochs",
    "patience",
    "precision",
    "device",
)


@takes(*TRAINING)
def continue_(
    run: Run,
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder for the new run; that of RUN stays.", callback=expand)],
    new: Annotated[
        str, typer.Option("--new", metavar="N|auto", help="Number of new categories; auto adds those that rows need.")
    ] = "auto",
    replay: Annotated[
        float | None,
        typer.Option(
            help="Rows drawn from each category of the model, for every row that a new category has on average.",
            show_default="1",
        ),
    ] = None,
    *,
    params: dict[str, Any],
    labels: Labels = None,
    layer: Layer = None,
    strict: Strict = False,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the interrupted run in --out.")] = False,
    max_minutes: MaxMinutes = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.")] = False,
    as_json: Json = False,
) -> None:
    """Learn new rows, and keep the categories of RUN without its rows: the model draws rows of each to learn from."""
    from cpvae.cli.checks import check_inputs, check_out_folder
    from cpvae.fitting import runs
    from cpvae.fitting.limits import OutOfTime

    n_new = _number(new)
    check_inputs(run, data)
    check_out_folder(out, data)
    check_out_folder(out, str(run), "the run to continue")
    runs.check_folder(out, resume)

    from cpvae.estimators.continuing import check
    from cpvae.estimators.zoo import load
    from cpvae.study.fits import continue_run
    from cpvae.study.inputs import open_run

    with warnings.catch_warnings():  # that it has not finished is an error here
        warnings.simplefilter("ignore", FitWarning)
        check(load(run), n_new, 1.0 if replay is None else replay)  # before data are fetched or read
    try:
        opened = open_run(run, data, labels, layer, strict, say)
        found = continue_run(
            opened, run, data, labels, n_new, replay, params, out, resume, quiet, say, max_minutes=max_minutes
        )
    except KeyboardInterrupt as error:
        raise stopped(out, runs.command(data, labels, out, str(run)), isinstance(error, OutOfTime)) from error
    if is_main():
        told(found, data, labels, out, as_json)


def _number(text: str) -> int | str:
    """Read a number of categories, or "auto".

    >>> _number("3"), _number("auto")
    (3, 'auto')

    Raises:
        InputError: neither of them.
    """
    if text == "auto":
        return text
    try:
        return int(text)
    except ValueError as error:
        raise InputError(f"--new {text!r}: expected a whole number of at least 0, or auto") from error
