"""`cpvae evaluate`."""

from __future__ import annotations

from typing import Annotated

import typer

from cpvae.cli.options import Data, Json, Labels, Layer, Run, SplitName, Strict
from cpvae.cli.output import put, put_json, say, two_columns


def evaluate(
    run: Run,
    data: Data,
    split: SplitName = None,
    importance_samples: Annotated[
        int | None, typer.Option(help="Also estimate log p(x) with this number of samples (papers: 5000).", min=1)
    ] = None,
    refine: Annotated[
        int | None,
        typer.Option(
            help="Also refine the posterior of each row by this number of gradient steps, such as 10, and print the "
            "bound after them. Published bounds are without.",
            min=1,
        ),
    ] = None,
    rows: Annotated[
        int | None, typer.Option(help="Use only this number of rows, drawn with a fixed seed.", min=1)
    ] = None,
    labels: Labels = None,
    layer: Layer = None,
    strict: Strict = False,
    as_json: Json = False,
) -> None:
    """Measure bounds on the log-likelihood (nats a row), the use of categories, and agreement with labels."""
    from cpvae.cli.checks import check_inputs

    check_inputs(run, data)

    from cpvae.errors import already_said
    from cpvae.study.evaluation import choose_split, measure
    from cpvae.study.found import what_was_found
    from cpvae.study.inputs import naming, open_run, tell_notes
    from cpvae.study.places import learned_from

    fitted, found, _ = open_run(run, data, labels, layer, strict, say)
    name = choose_split(found, split)
    learned = learned_from(run, data, name)
    with already_said(), naming(found.name):
        measured = measure(
            fitted,
            found,
            name,
            importance_samples=importance_samples,
            n_rows=rows,
            learned=learned,
            refine=refine or 0,
        )
    tell_notes(found, say)
    if as_json:
        put_json(measured.figures)
        return
    for line in what_was_found(fitted, measured):
        put(line)
    put(f"\n{two_columns(measured.figures)}")
