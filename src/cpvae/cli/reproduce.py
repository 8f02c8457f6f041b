"""`cpvae reproduce`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import cpvae
from cpvae.cli.options import Jobs, Json, expand
from cpvae.cli.output import put_json, say
from cpvae.errors import InputError

if TYPE_CHECKING:
    from types import ModuleType

CHECKOUT = Path(cpvae.__file__).resolve().parents[2]  # where src/ and paper/ stand side by side, if it is one


def reproduce(
    target: Annotated[
        str,
        typer.Argument(metavar="TARGET", help="accuracy, table1, fig3 to fig9, ablation, or all."),
    ],
    row: Annotated[
        list[str] | None,
        typer.Option("--row", "--recipe", help="Only this one; may be repeated.", show_default="all of the target"),
    ] = None,
    render: Annotated[
        bool, typer.Option("--render", help="Only write tables and figures, from the results there are.")
    ] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Only say what is missing and how long it takes.")] = False,
    verify: Annotated[
        int | None,
        typer.Option(
            help="Only measure so many results again, chosen at random, and compare; exit 1 if one differs.", min=1
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Other seeds choose other results for --verify.", min=0)] = 0,
    budget: Annotated[
        float | None,
        typer.Option(help="Minutes; the fits of most value that they hold.", show_default="no limit", min=0.1),
    ] = None,
    experiments: Annotated[Path, typer.Option(help="Folder of the experiments.", callback=expand)] = Path(
        "experiments"
    ),
    results: Annotated[Path, typer.Option(help="Folder of result files.", callback=expand)] = Path("results"),
    folder: Annotated[Path, typer.Option("--runs", help="Folder of the fits.", callback=expand)] = Path(
        "runs", "reproduce"
    ),
    jobs: Jobs = None,
    as_json: Json = False,
) -> None:
    """Reproduce the paper, or a part of it, from a checkout: fit what has no result yet, write tables and figures.

    The same command, run again, goes on where it was stopped.
    """
    command = _command()
    asked = command.Asked(target, row or (), render, plan, verify, seed, budget, experiments, results, folder, jobs)
    try:
        answer = command.reproduce(asked, say)
    except KeyboardInterrupt as error:
        say("stopped; run the same command again to go on")
        raise typer.Exit(130) from error
    if as_json:
        put_json(answer.json)
    if not answer.same:
        raise typer.Exit(1)


def _command() -> ModuleType:
    """Import what does the work: `paper/` beside `src/`, which is not installed.

    Raises:
        InputError: this cpvae does not run from a checkout.
    """
    if not (CHECKOUT / "paper" / "command.py").exists():
        raise InputError(
            "cpvae reproduce: this cpvae is installed without the paper's experiments; expected one that runs from a "
            "checkout; install it there with `pip install --editable .` and run the command in that folder"
        )
    if str(CHECKOUT) not in sys.path:
        sys.path.insert(0, str(CHECKOUT))  # workers of this process look there as well
    from paper import command

    return command
