"""`cpvae cluster`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cpvae.cli.options import Data, Labels, Layer, Run, SplitName, Strict, expand
from cpvae.cli.output import put, say, two_columns


def cluster(
    run: Run,
    data: Data,
    out: Annotated[Path, typer.Option(help="A .csv file to write: row, category, probability.", callback=expand)],
    split: SplitName = None,
    labels: Labels = None,
    layer: Layer = None,
    strict: Strict = False,
) -> None:
    """Write the category of each row, and its probability."""
    from cpvae.cli.checks import check_inputs, check_out_file

    check_inputs(run, data)
    file = check_out_file(out, (".csv",), run, data, labels)

    from cpvae.study.answers import cluster_rows
    from cpvae.study.evaluation import choose_split
    from cpvae.study.inputs import open_run, tell_notes

    fitted, rows, read = open_run(run, data, labels, layer, strict, say)
    shares = cluster_rows(fitted, read, rows, split, file)
    tell_notes(rows, say, choose_split(rows, split))
    put(two_columns(shares))
    say(f"wrote {out}")
