"""`cpvae reproduce`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from cpvae.cli.options import Jobs, Json, expand
from cpvae.cli.output import put_json, say
from cpvae.errors import InputError


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

    Say it again to go on where it stopped.
    """
    from paper import planning, running, targets, verification
    from paper.rows import named, read_rows

    rows = read_rows(experiments)
    needed = targets.rows_for(target, rows)
    if row:
        needed = named(needed, row)
    only = [name for name, given in (("--render", render), ("--plan", plan), ("--verify", verify)) if given]
    if len(only) > 1:
        raise InputError(f"{' and '.join(only)}: expected one of them; leave the others out")
    if budget and (render or verify):
        raise InputError(f"--budget and {only[0]}: nothing is planned with {only[0]}; leave --budget out")
    compared: list[verification.Comparison] = []
    if verify:
        words = ["cpvae", "reproduce", target, *(word for name in row or [] for word in ("--row", name))]
        command = shlex.join([*words, "--verify", str(verify), "--seed", str(seed)])
        chosen = verification.choose(needed, results, verify, seed)
        try:
            compared = verification.verify(chosen, folder, results, command, n_jobs=jobs, progress=say)
        except KeyboardInterrupt as error:
            say("stopped; to go on, say the same command again")
            raise typer.Exit(130) from error
    elif not render:
        n_jobs = running.side_by_side(jobs)
        ahead = planning.Plan(running.missing(needed, results), rows, results, n_jobs, budget and 60 * budget)
        for line in [*ahead.lines(), *(ahead.each() if plan else [])]:
            say(line)
        if ahead.jobs and not plan:
            say(f"each fit has a folder in {folder}, a result in {results}")
        if plan:
            if as_json:
                put_json(ahead.as_dict())
            return
        try:
            running.reproduce(ahead.jobs, folder, results, n_jobs=n_jobs, progress=say)
        except KeyboardInterrupt as error:
            say("stopped; to go on, say the same command again")
            raise typer.Exit(130) from error
        for one in needed:
            running.agreement(one, folder, results)
    if as_json:
        put_json([one.as_dict() for one in compared] or targets.cells_for(needed, results, experiments))
    if results.resolve().parent == experiments.resolve().parent:
        for path in targets.render(rows, results, experiments, experiments.parent):
            say(f"wrote {path}")
    else:
        say(f"{results} and {experiments} are not of one checkout: no pages are written")
    if not all(one.same for one in compared):
        raise typer.Exit(1)
