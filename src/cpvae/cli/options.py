"""Options that several commands share, and how their text is read."""

from __future__ import annotations

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

Size = Annotated[
    str | None,
    typer.Option(help="Pixels a side of pictures, or HEIGHTxWIDTH.", show_default="their own, or the usual one"),
]
Layer = Annotated[str | None, typer.Option(help="Of an .h5ad, in place of its X.", show_default="X")]
Jobs = Annotated[int | None, typer.Option(help="Fits side by side.", show_default="one for each core", min=1)]


def read_schema(path: Path) -> dict[str, Any]:
    """Read what `--schema` names: a JSON object of column names and kinds.

    Raises:
        InputError: no such file, no JSON, or something else in it.
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
    """How data are to be read, from options: those that were given."""
    given = {"kind": kind, "size": None if size is None else _size(size), "layer": layer}
    return {name: value for name, value in given.items() if value is not None}


def _size(text: str) -> int | tuple[int, int]:
    """ "32" to 32, "24x32" to (24, 32)."""
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.isdecimal() for part in parts):
        raise InputError(f"--size {text!r}: expected pixels a side, such as 32, or HEIGHTxWIDTH, such as 24x32")
    numbers = [int(part) for part in parts]
    return numbers[0] if len(numbers) == 1 else (numbers[0], numbers[1])


def parse_numbers(option: str, text: str, such_as: str = "10,50") -> tuple[int, ...]:
    """ "10,50" to (10, 50)."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise InputError(f"{option} {text!r}: expected whole numbers with commas, such as {such_as}") from error
