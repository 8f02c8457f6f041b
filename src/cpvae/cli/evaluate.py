"""`cpvae evaluate`."""

from __future__ import annotations

from typing import Annotated

import typer

from cpvae.cli.options import Data, Json, Labels, Run, SplitName
from cpvae.cli.output import put, put_json, say, table


def evaluate(
    run: Run,
    data: Data,
    split: SplitName = None,
    importance_samples: Annotated[
        int | None, typer.Option(help="Also estimate log p(x) with so many samples (papers: 5000).", min=1)
    ] = None,
    rows: Annotated[int | None, typer.Option(help="Look at so many rows only, drawn with a fixed seed.", min=2)] = None,
    labels: Labels = None,
    as_json: Json = False,
) -> None:
    """Bounds on the log-likelihood (nats a row), what the categories carry, and agreement with labels."""
    from cpvae.estimators.zoo import load
    from cpvae.study.evaluation import evaluate as evaluate_model
    from cpvae.study.inputs import load_data, suited

    fitted = load(run)
    found = suited(load_data(data, labels, say), fitted)
    result = evaluate_model(fitted, found, split, importance_samples=importance_samples, n_rows=rows)
    put_json(result) if as_json else put(table(result))
