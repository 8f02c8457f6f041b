"""`cpvae describe`."""

from __future__ import annotations

from cpvae.cli.options import Data, Json, Labels, Layer, Run, SplitName, Strict
from cpvae.cli.output import put, put_json, say


def describe(
    run: Run,
    data: Data,
    split: SplitName = None,
    labels: Labels = None,
    layer: Layer = None,
    strict: Strict = False,
    as_json: Json = False,
) -> None:
    """Say what each category is: its size, the columns that set it apart, typical rows, and rows on its border."""
    from cpvae.cli.checks import check_inputs

    check_inputs(run, data)

    from cpvae.study.answers import describe_rows
    from cpvae.study.inputs import open_run, tell_notes

    fitted, rows, _ = open_run(run, data, labels, layer, strict, say)
    found = describe_rows(fitted, rows, split)
    tell_notes(rows, say)
    if as_json:
        put_json(found.as_dict())
        return
    put(str(found))
