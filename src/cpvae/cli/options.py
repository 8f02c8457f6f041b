"""Options that several commands share, and how their text is read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cpvae.errors import InputError

DATA_HELP = (
    "A data set by name (digits, synthetic, table, mnist, mnist-static, omniglot) or a path: "
    ".npz, .npy, .csv, .parquet, an IDX file, a folder of images or of Parquet files (or 'part-*.parquet')."
)
LABELS_HELP = "Where labels are: a column of a table, or a file beside other data. Used to judge, never to fit."


def expand(path: Path | None) -> Path | None:
    """`--out=~/x` in the user's home: not every shell sees to it."""
    from cpvae.data.loaders.checks import expanded

    return None if path is None else expanded(path)


Data = Annotated[str, typer.Argument(metavar="DATA", help=DATA_HELP)]
Run = Annotated[
    Path, typer.Argument(metavar="RUN", help="The folder that `cpvae fit` wrote, or a saved model.", callback=expand)
]
Labels = Annotated[str | None, typer.Option(metavar="COLUMN|FILE", help=LABELS_HELP)]
SplitName = Annotated[
    str | None, typer.Option("--split", help="train, valid or test; by default test where there is one.")
]
Strict = Annotated[
    bool,
    typer.Option("--strict", help="Refuse a table with other columns or levels than that of the fit, not only warn."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output, nothing else.")]

# What several commands take of a fit; None leaves it to the estimator.
Epochs = Annotated[int | None, typer.Option(help="Passes over the rows at most.", show_default="the preset's")]
LatentDim = Annotated[int | None, typer.Option(help="Dimensions of z.", show_default="40")]
Hidden = Annotated[str | None, typer.Option(help="Widths of hidden layers.", show_default="300,300")]
NetworkName = Annotated[
    str | None, typer.Option("--network", help="dense, or conv (convolutions, for images).", show_default="dense")
]
Preset = Annotated[str | None, typer.Option(help="How to train: fast or paper.", show_default="fast")]
Precision = Annotated[
    str | None, typer.Option(help="Of products in training: float32 or bfloat16.", show_default="float32")
]
LikelihoodName = Annotated[
    str | None,
    typer.Option(
        "--likelihood",
        help="bernoulli (ink), gaussian (measurements), columns (of a table, each after its kind) or auto.",
        show_default="auto",
    ),
]
SchemaFile = Annotated[
    Path | None,
    typer.Option(
        "--schema",
        metavar="FILE.json",
        help='What columns of a table hold: {"visits": "count", "city": "categorical", "size": "numeric", '
        '"since": "date", "id": "ignore"}; "*" is for all others.',
        show_default="inferred from their cells",
        callback=expand,
    ),
]
Jobs = Annotated[int | None, typer.Option(help="Fits side by side.", show_default="one for each core", min=1)]


def check_out(path: Path, known: tuple[str, ...]) -> None:
    """Refuse an output that could not be written before any work is done for it."""
    from cpvae.files import check_writable

    if path.suffix.lower() not in known:
        raise InputError(f"--out {path}: unknown kind {path.suffix!r}; use one of {', '.join(known)}")
    check_writable(path)


def estimator_arguments(given: dict[str, Any]) -> dict[str, Any]:
    """Of an estimator, from options: those that were given, widths and schema read."""
    from cpvae.study.inputs import read_schema

    params = {name: value for name, value in given.items() if value is not None}
    if "hidden" in params:
        params["hidden"] = parse_numbers("--hidden", params["hidden"], "300,300")
    if "schema" in params:
        params["schema"] = read_schema(params["schema"])
    return params


def parse_numbers(option: str, text: str, such_as: str = "10,50") -> tuple[int, ...]:
    """ "10,50" to (10, 50)."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise InputError(f"{option} {text!r}: expected whole numbers with commas, such as {such_as}") from error
