"""`cpvae reproduce`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import cpvae
from cpvae.cli.options import Backend, Jobs, Json, expand
from cpvae.cli.output import put_json, say
from cpvae.errors import InputError

if TYPE_CHECKING:
    from types import ModuleType

CHECKOUT = Path(cpvae.__file__).resolve().parents[2]  # where src/ and paper/ stand side by side, if it is one


def reproduce(
    target: Annotated[
        str,
        typer.Argument(metavar="TARGET", help="Part to reproduce: accuracy, table1, fig3 to fig9, ablation, or all."),
    ],
    row: Annotated[
        list[str] | None,
        typer.Option(
            "--row", "--recipe", help="Only this row; the option may be repeated.", show_default="all of the target"
        ),
    ] = None,
    render: Annotated[
        bool, typer.Option("--render", help="Only write tables and figures, from the results that exist.")
    ] = False,
    plan: Annotated[
        bool, typer.Option("--plan", help="Only list the missing results, and how long they take.")
    ] = False,
    verify: Annotated[
        int | None,
        typer.Option(
            help="Only measure this number of random results again, and compare; exit 1 if one differs.", min=1
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed by which --verify chooses results.", min=0)] = 0,
    budget: Annotated[
        float | None,
        typer.Option(help="Minutes to spend, on the most valuable fits.", show_default="no limit", min=0.1),
    ] = None,
    experiments: Annotated[Path, typer.Option(help="Folder of the experiments.", callback=expand)] = Path(
        "experiments"
    ),
    results: Annotated[Path, typer.Option(help="Folder of result files.", callback=expand)] = Path("results"),
    folder: Annotated[Path, typer.Option("--runs", help="Folder of the fits.", callback=expand)] = Path(
        "runs", "reproduce"
    ),
    jobs: Jobs = None,
    backend: Backend = None,
    as_json: Json = False,
) -> None:
    """Reproduce the paper, or a part of it, in a checkout: make missing results, write tables and figures.

    Run the command again to continue where it stopped.
    """
    command = _command()
    asked = command.Asked(target, row or (), render, plan, verify, seed, budget, experiments, results, folder, jobs)
    from cpvae.fitting.jobs import on_backend

    try:
        with on_backend(backend):
            answer = command.reproduce(asked, say)
    except KeyboardInterrupt as error:
        say("stopped; run the same command again to go on")
        raise typer.Exit(130) from error
    if as_json:
        put_json(answer.json)
    if not answer.same:
        raise typer.Exit(1)


def _command() -> ModuleType:
    """Import the package `paper/` beside `src/`, which is not installed.

    Raises:
        InputError: this cpvae does not run from a checkout.
    """
    if not (CHECKOUT / "paper" / "command.py").exists():
        raise InputError(
            "cpvae reproduce: this cpvae is installed without the paper's experiments; expected one that runs from a "
            "checkout; install it there with `pip install --editable .` and run the command in that folder"
        )
    if str(CHECKOUT) not in sys.path:
        sys.path.insert(0, str(CHECKOUT))  # workers of this process look there as well; those of a cluster look here:
        os.environ["PYTHONPATH"] = os.pathsep.join([str(CHECKOUT), *filter(None, [os.environ.get("PYTHONPATH")])])
    from paper import command

    return command
