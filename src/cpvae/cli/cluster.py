"""`cpvae cluster`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cpvae.cli.options import Data, Labels, Layer, Run, SplitName, Strict, expand
from cpvae.cli.output import put, say, two_columns
from cpvae.extras import require


def cluster(
    run: Run,
    data: Data,
    out: Annotated[
        Path, typer.Option(help="A .csv or .parquet file to write: row, category, probability, odd.", callback=expand)
    ],
    split: SplitName = None,
    labels: Labels = None,
    layer: Layer = None,
    strict: Strict = False,
) -> None:
    """Write the category of each row, its probability, and whether the row is unlike anything that the fit saw.

    Parquet files and cells of AnnData are read part by part. If the command is stopped, run it again to continue.
    """
    from cpvae.cli.checks import check_inputs, check_out_file

    check_inputs(run, data)
    file = check_out_file(out, (".csv", ".parquet"), run, data, labels)
    if file.suffix.lower() == ".parquet":
        require(f"--out {out}", "pyarrow")

    from cpvae.study.labelled import cluster_rows

    put(two_columns(cluster_rows(run, data, file, labels=labels, layer=layer, split=split, strict=strict, say=say)))
    say(f"wrote {out}")
