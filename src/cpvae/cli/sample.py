"""`cpvae sample`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cpvae.cli.options import Run, expand
from cpvae.cli.output import say
from cpvae.files import PICTURES, TABLES


def sample(
    run: Run,
    out: Annotated[
        Path, typer.Option(help="File to write: a picture (.png, .svg, .pdf) or rows (.npz, .csv).", callback=expand)
    ],
    n: Annotated[int, typer.Option("-n", "--number", help="Number of rows.")] = 64,
    component: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER|NAME",
            help="Draw all of them from this category, by its number or name.",
            show_default="any",
        ),
    ] = None,
    weights: Annotated[
        str,
        typer.Option(
            help="Weights of the categories: aggregated (shares of the training rows), prior (p(c)), or auto: "
            "aggregated for cpvae, prior for the others."
        ),
    ] = "auto",
    mean: Annotated[
        bool | None,
        typer.Option(
            "--mean/--draw", help="Write the mean of p(x|z,c), or a draw from it.", show_default="mean for pictures"
        ),
    ] = None,
    given: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN=VALUE|LOW:HIGH|FILE",
            help="What is known of the rows of a table, such as region=north or age=30:40; may be repeated. For "
            "pictures and signals: a .npy file of the shape of a row, NaN where a value is not known.",
            show_default=False,
        ),
    ] = None,
    missing: Annotated[
        bool,
        typer.Option(
            "--missing",
            help="Leave cells of a table missing, each column as often as in its category among the rows of the fit, "
            "and let signals end as there.",
        ),
    ] = False,
    component_column: Annotated[
        bool,
        typer.Option(
            "--component-column/--no-component-column",
            help="Begin a table with the category of each row, or write the columns of the table alone.",
        ),
    ] = True,
    seed: Annotated[int | None, typer.Option(help="Seed of the draws.", show_default="the fit's")] = None,
) -> None:
    """Draw new rows, from all categories or from one, and of a table such as have what is given."""
    from cpvae.cli.checks import check_inputs, check_out_file

    check_inputs(run)
    file = check_out_file(out, (*PICTURES, *TABLES), run)

    from cpvae.estimators.zoo import load
    from cpvae.study.answers import sample_rows

    rests = sample_rows(load(run), n, component, weights, mean, seed, file, given or (), missing, component_column)
    if rests:
        say(rests)
    say(f"wrote {out}")
