"""`cpvae impute`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cpvae.cli.options import Data, Labels, Layer, Run, SplitName, Strict, expand
from cpvae.cli.output import say


def impute(
    run: Run,
    data: Data,
    out: Annotated[Path, typer.Option(help="A .csv file to write: the rows, filled.", callback=expand)],
    draws: Annotated[
        int, typer.Option(help="Number of filled tables; several are written one after another, with a column draw.")
    ] = 1,
    mean: Annotated[
        bool, typer.Option("--mean", help="Fill in means and likeliest levels instead of draws, in one table.")
    ] = False,
    split: SplitName = None,
    labels: Labels = None,
    layer: Layer = None,
    strict: Strict = False,
    seed: Annotated[int | None, typer.Option(help="Seed of the draws.", show_default="the fit's")] = None,
) -> None:
    """Fill missing cells by draws given the cells that are there."""
    from cpvae.cli.checks import check_inputs, check_out_file

    check_inputs(run, data)
    file = check_out_file(out, (".csv",), run, data, labels)

    from cpvae.study.answers import fill_rows
    from cpvae.study.evaluation import choose_split
    from cpvae.study.inputs import open_run, tell_notes

    fitted, rows, read = open_run(run, data, labels, layer, strict, say)
    filled = fill_rows(fitted, read, split, draws, mean, seed, file)
    tell_notes(rows, say, choose_split(rows, split))
    say(filled)
    say(f"wrote {out}")
