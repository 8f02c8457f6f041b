"""`cpvae report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cpvae.cli.options import DATA_HELP, Labels, Strict, expand
from cpvae.cli.output import put, say


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder that `cpvae fit` wrote.", callback=expand)],
    data: Annotated[
        str | None, typer.Option(help="The rows to show, by default the rows of the fit. " + DATA_HELP)
    ] = None,
    labels: Labels = None,
    strict: Strict = False,
) -> None:
    """Write RUN/report.html: one page on the fit, its categories, and what to be careful about.

    Prints a sentence on each category.
    """
    from cpvae.cli.checks import check_inputs

    check_inputs(run, data)

    from cpvae.study.answers import report_run

    say(f"wrote {report_run(run, data, labels, say, put, strict)}")
