"""`cpvae assess`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cpvae.cli.options import Json, expand
from cpvae.cli.output import put, put_json, say, two_columns


def assess(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder that `cpvae fit` wrote.", callback=expand)],
    real: Annotated[
        str,
        typer.Argument(metavar="REAL", help="Real rows: those of the fit, or better, others that it did not see."),
    ],
    synthetic: Annotated[str, typer.Argument(metavar="SYNTHETIC", help="The rows in question, with the same columns.")],
    target: Annotated[
        str | None,
        typer.Option(help="Column to predict after learning from synthetic rows.", show_default="the category"),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of rows drawn from large tables, and of folds.", min=0)] = 0,
    as_json: Json = False,
) -> None:
    """Say whether synthetic rows may be shown: are they like real rows, are they of use, are some of them copies?

    Keeps the answer in RUN/assessment.json, for the report.
    """
    from cpvae.cli.checks import check_inputs

    for data in (real, synthetic):
        check_inputs(run, data)

    from cpvae.files import write_json
    from cpvae.fitting import runs
    from cpvae.study.assessing.rows import assess_run

    found = assess_run(run, real, synthetic, target, seed, say)
    kept = run / runs.ASSESSMENT
    write_json(kept, {"real": real, "synthetic": synthetic, **found.as_dict()})
    if as_json:
        put_json(found.as_dict())
        return
    put(f"{found}\n\n{two_columns(found.figures())}")
    say(f"wrote {kept}; cpvae report shows it")
