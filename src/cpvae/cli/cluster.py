"""`cpvae cluster`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cpvae.cli.options import Data, Labels, Run, SplitName, Strict, expand
from cpvae.cli.output import put, say, two_columns


def cluster(
    run: Run,
    data: Data,
    out: Annotated[Path, typer.Option(help="A .csv file: row, category, probability.", callback=expand)],
    split: SplitName = None,
    labels: Labels = None,
    strict: Strict = False,
) -> None:
    """Say which category each row belongs to, and how sure that is."""
    from cpvae.cli.checks import check_inputs, check_out_file

    check_inputs(run, data)
    file = check_out_file(out, (".csv",), run, data, labels)

    from cpvae.estimators.zoo import load
    from cpvae.study.answers import cluster_rows
    from cpvae.study.inputs import load_data, tell_notes

    rows = load_data(data, labels, say)
    shares = cluster_rows(load(run), rows, split, file, strict)
    tell_notes(rows, say)
    put(two_columns(shares))
    say(f"wrote {out}")
