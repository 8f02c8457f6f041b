"""`cpvae drift`."""

from __future__ import annotations

from typing import Annotated

import typer

from cpvae.cli.options import DATA_HELP, Data, Json, Labels, Layer, Run, SplitName, Strict
from cpvae.cli.output import put, put_json, say


def drift(
    run: Run,
    data: Data,
    reference: Annotated[
        str | None,
        typer.Option(
            metavar="DATA",
            help="Rows before that the fit did not learn from, such as last month's. " + DATA_HELP,
            show_default="the rows of the fit",
        ),
    ] = None,
    split: SplitName = None,
    labels: Labels = None,
    layer: Layer = None,
    strict: Strict = False,
    as_json: Json = False,
) -> None:
    """Say whether new rows are unlike those before: the mix of categories, the rows within them, and which columns.

    If nothing has changed, it says otherwise in at most one case of twenty.
    """
    from cpvae.cli.checks import check_inputs

    check_inputs(run, data)
    if reference is not None:
        check_inputs(data=reference)

    from cpvae.study.before import drift_run
    from cpvae.study.evaluation import choose_split
    from cpvae.study.inputs import open_run, tell_notes

    new = open_run(run, data, labels, layer, strict, say)
    old = None if reference is None else open_run(run, reference, labels, layer, strict, say)
    found = drift_run(run, new, data, split, old, say)
    tell_notes(new.data, say, choose_split(new.data, split))
    if old is not None:
        tell_notes(old.data, say, choose_split(old.data, None))
    if as_json:
        put_json(found.as_dict())
        return
    put(str(found))
