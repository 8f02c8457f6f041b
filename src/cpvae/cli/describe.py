"""`cpvae describe`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cpvae.cli.options import Data, Json, Labels, Layer, Run, SplitName, Strict, expand
from cpvae.cli.output import put, put_json, say
from cpvae.files import PICTURES


def describe(
    run: Run,
    data: Data,
    split: SplitName = None,
    labels: Labels = None,
    layer: Layer = None,
    strict: Strict = False,
    tree: Annotated[
        Path | None,
        typer.Option(help="Picture to write: which categories join first (.png, .svg, .pdf).", callback=expand),
    ] = None,
    as_json: Json = False,
) -> None:
    """Say what each category is: its size, the columns that set it apart, typical rows, and rows on its border.

    The last lines name rows that are unlike anything that the fit saw, and say which categories join first, by the rows
    that they share.
    """
    from cpvae.cli.checks import check_inputs, check_out_file

    check_inputs(run, data)
    picture = None if tree is None else check_out_file(tree, PICTURES, run, data, labels, "--tree")

    from cpvae.study.answers import describe_rows
    from cpvae.study.evaluation import choose_split
    from cpvae.study.inputs import open_run, tell_notes

    fitted, rows, _ = open_run(run, data, labels, layer, strict, say)
    found = describe_rows(fitted, rows, split)
    tell_notes(rows, say, choose_split(rows, split))
    if picture is not None:
        from cpvae.study import figures

        figures.save(figures.tree(found.tree), picture)
        say(f"wrote {tree}")
    if as_json:
        put_json(found.as_dict())
        return
    put(str(found))
