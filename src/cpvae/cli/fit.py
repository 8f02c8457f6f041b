"""`cpvae fit`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cpvae.cli.estimator_options import OPTIONS, takes
from cpvae.cli.options import Data, Json, Known, Labels, Layer, MaxMinutes, Size, expand, reading
from cpvae.cli.output import put, put_json, say
from cpvae.fitting.devices.rank import is_main

if TYPE_CHECKING:
    from cpvae.study.fits import Run

# -- commands --------------------------------------------------------------------------------------------------------


@takes(*OPTIONS)
def fit(
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder for the run: model, history, metrics, pictures.", callback=expand)],
    model: Annotated[
        str | None,
        typer.Option(help="Model: cpvae, vae, mog, vamp, hvae, hvae-vamp or hvae-cp.", show_default="cpvae"),
    ] = None,
    *,
    params: dict[str, Any],
    labels: Labels = None,
    known: Known = None,
    size: Size = None,
    layer: Layer = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the interrupted run in --out.")] = False,
    max_minutes: MaxMinutes = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.")] = False,
    as_json: Json = False,
) -> None:
    """Fit a model to rows without labels, or with known labels of some rows, and write it to a run folder."""
    from cpvae.cli.checks import check_inputs, check_out_folder
    from cpvae.fitting import runs
    from cpvae.fitting.limits import OutOfTime

    read_as = reading(params.get("kind"), size, layer)
    check_inputs(data=data)
    check_out_folder(out, data)
    runs.check_folder(out, resume)

    from cpvae.study.fits import fit_run
    from cpvae.study.inputs import load_data, make_estimator
    from cpvae.study.places import known_of

    if not resume:
        make_estimator(model or "cpvae", params).check_params()  # before data are fetched or read
    try:
        if resume:
            began = runs.read_config(out)["about"]
            read_as = dict(began.get("reading") or {}) | read_as
            known = known or known_of(began)
        read_as |= {} if known is None else {"known": known}
        found = load_data(data, labels, say, read_as)
        run = fit_run(found, data, labels, model, params, out, resume, quiet, say, max_minutes=max_minutes, known=known)
    except KeyboardInterrupt as error:
        raise stopped(out, runs.command(data, labels, out), isinstance(error, OutOfTime)) from error
    if is_main():
        told(run, data, labels, out, as_json)


# -- shared ----------------------------------------------------------------------------------------------------------


def stopped(out: Path, command: str, out_of_time: bool) -> typer.Exit:
    """Say what a fit that was stopped has left, and how to go on with it; give the end of the command.

    Args:
        out: the folder of the run.
        command: goes on with it.
        out_of_time: whether it was stopped after the time that it was given.
    """
    from cpvae.fitting import runs

    usable = (out / runs.MODEL).exists()
    if runs.begun(out):
        why, kept = "stopped; the state is saved", "the weights so far can be used"
        if runs.starts_anew(out):
            why = "stopped in the start of the fit, which --resume begins anew"
            kept = "quick categories, trained for a moment, can be used"
        say(f"{why}. To go on: {command}")
        if usable:
            say(f"Until then {kept}: {shlex.join(['cpvae', 'report', str(out)])}")
    else:
        say("stopped before anything was trained; nothing was written")
    return typer.Exit(0 if out_of_time and usable else 130)


def told(run: Run, data: str, labels: str | None, out: Path, as_json: bool) -> None:
    """Print what a fit found, and say what comes next."""
    if as_json:
        put_json(run.figures)
        return
    put("\n".join(run.words))
    for line in next_steps(data, labels, out, run.model.has_components):
        say(line)


def next_steps(data: str, labels: str | None, out: Path, has_categories: bool) -> list[str]:
    """Say where the run is, and the commands that come next."""
    place, has_picture = shlex.quote(str(out)), (out / "samples.png").exists()
    source = shlex.join([data, *([] if labels is None else ["--labels", labels])])
    lines = [
        f"The run is in {out}: the model, all numbers in metrics.json" + ", new rows in samples.png" * has_picture,
        f"Next: cpvae report {place}",
        f"      cpvae explore {place}",
    ]
    if has_categories:
        lines.append(f"      cpvae describe {place} {source}")
        lines.append(f"      cpvae cluster {place} {source} --out labels.csv")
    return [*lines, f"      cpvae sample {place} -n 64 --out new.{'png' if has_picture else 'csv'}"]
