"""Options that several commands share, and how their text is read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from cpvae.errors import InputError
from cpvae.files import read_any_json

DATA_HELP = (
    "A data set by name (digits, synthetic, table, mnist, mnist-static, omniglot) or a path: .csv, .parquet, .npz, "
    ".npy, .mat, .h5, .h5ad, .ts, .mtx, an IDX file, a folder of images, of Parquet files or with a matrix.mtx, or a "
    "pattern ('part-*.parquet', 'name_*.ts')."
)
LABELS_HELP = "Place of the labels: a column of a table, or a file. Labels judge a fit and never influence it."


def expand(path: Path | None) -> Path | None:
    """Replace ~ by the user's home, as in `--out=~/x`: some shells do not."""
    from cpvae.data.loaders.checks import expanded

    return None if path is None else expanded(path)


Data = Annotated[str, typer.Argument(metavar="DATA", help=DATA_HELP)]
Run = Annotated[
    Path, typer.Argument(metavar="RUN", help="The folder that `cpvae fit` wrote, or a saved model.", callback=expand)
]
Labels = Annotated[str | None, typer.Option(metavar="COLUMN|FILE", help=LABELS_HELP)]
Known = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMN|FILE",
        help="Place of known labels: a column of a table, or a file; an empty cell or -1 stands for a row without one. "
        "The fit learns from them. Their column is no part of the rows.",
    ),
]
SplitName = Annotated[
    str | None, typer.Option("--split", help="Split to use: train, valid or test.", show_default="test if there is one")
]
Strict = Annotated[
    bool,
    typer.Option("--strict", help="Refuse a table whose columns or levels differ from the fit's, instead of warning."),
]
MaxMinutes = Annotated[
    float | None,
    typer.Option(help="Stop after this number of minutes; the run can be used, and continued with --resume.", min=0.0),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output, and nothing else.")]

Size = Annotated[
    str | None,
    typer.Option(help="Size of pictures: pixels a side, or HEIGHTxWIDTH.", show_default="their most usual size"),
]
Layer = Annotated[str | None, typer.Option(help="Layer of an .h5ad to read instead of X.", show_default="X")]
Jobs = Annotated[
    int | None, typer.Option(help="Number of fits that run in parallel.", show_default="one for each core", min=1)
]

Backend = Annotated[
    str | None,
    typer.Option(
        help="Where fits run: dask, ray or another backend of joblib.", show_default="loky: processes of this machine"
    ),
]


def read_schema(path: Path) -> dict[str, Any]:
    """Read what `--schema` names: a JSON object of column names and kinds.

    Raises:
        InputError: the file does not exist, is not JSON, or does not hold such an object.
    """
    from cpvae.data.schema import check_given

    expected = 'expected a JSON object of columns and kinds, such as {"age": "count", "id": "ignore"}'
    try:
        value = read_any_json(path)
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"--schema {path}: {getattr(error, 'strerror', None) or error}; {expected}") from error
    if not isinstance(value, dict):
        raise InputError(f"--schema {path}: holds a {type(value).__name__}; {expected}")
    check_given(value)
    return value


def reading(kind: str | None, size: str | None, layer: str | None) -> dict[str, Any]:
    """Collect the options that say how to read data, without those that were not given."""
    given = {"kind": kind, "size": None if size is None else _size(size), "layer": layer}
    return {name: value for name, value in given.items() if value is not None}


def _size(text: str) -> int | tuple[int, int]:
    """Read "32" as 32, and "24x32" as (24, 32)."""
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.isdecimal() for part in parts):
        raise InputError(f"--size {text!r}: expected pixels a side, such as 32, or HEIGHTxWIDTH, such as 24x32")
    numbers = [int(part) for part in parts]
    return numbers[0] if len(numbers) == 1 else (numbers[0], numbers[1])


UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}  # of a time, in seconds


def parse_time(option: str, text: str) -> float:
    """Read "90s", "5m", "1.5h" or "90" as seconds.

    >>> parse_time("--time", "1.5h"), parse_time("--time", "90")
    (5400.0, 90.0)
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text.strip())
    if found is None or float(found[1]) == 0:
        raise InputError(f"{option} {text!r}: expected a time such as 90s, 5m or 2h")
    return float(found[1]) * UNITS[found[2] or "s"]


def parse_numbers(option: str, text: str, such_as: str = "10,50") -> tuple[int, ...]:
    """Read "10,50" as (10, 50)."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise InputError(f"{option} {text!r}: expected whole numbers with commas, such as {such_as}") from error
