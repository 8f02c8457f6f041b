"""Options of `cpvae.datasets.load` that only some sources take."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cpvae.data.loaders import shards
from cpvae.data.loaders.cells import ZARR, find_mtx, has_layers
from cpvae.data.loaders.checks import expanded, input_error
from cpvae.data.loaders.records import Asked
from cpvae.data.loaders.registry import NAMES

TAKERS = {
    "size": "a folder of pictures, or for rows with kind='images' (--kind images)",
    "layer": "an .h5ad or .zarr, or for an .h5 that AnnData wrote",
}


def applicable(source: str | os.PathLike[str], options: Mapping[str, Any]) -> dict[str, Any]:
    """Keep the options of `cpvae.datasets.load` that a source takes.

    >>> applicable("digits", {"kind": "images", "size": 8, "layer": "counts"})
    {'kind': 'images'}
    """
    if isinstance(source, str) and source in NAMES:
        taken: set[str] = set()
    else:
        path = expanded(Path(source))
        taken = {"size"} if options.get("kind") == "images" or _holds_pictures(path) else set()
        taken |= {"layer"} if options.get("layer") is not None and has_layers(path) else set()
    return {name: value for name, value in options.items() if name not in TAKERS or name in taken}


def refuse_unused(source: str | os.PathLike[str], asked: Asked) -> None:
    """Refuse options that the source does not take, all in one line.

    Raises:
        InputError: size or layer is given for a source without pictures or layers.
    """
    given = asked.as_dict()
    taken = applicable(source, given)
    unused = [name for name in given if name not in taken]
    if unused:
        said = " and ".join(f"{name}={given[name]!r} (--{name})" for name in unused)
        where = "; ".join(f"{name} is for {TAKERS[name]}" for name in unused)
        them = "it" if len(unused) == 1 else "them"
        raise input_error(f"{source}: {said} would change nothing here: {where}; leave {them} out")


def _holds_pictures(path: Path) -> bool:
    """Tell whether a path is read as a folder of pictures."""
    return path.is_dir() and path.suffix.lower() != ZARR and not shards.find(path) and find_mtx(path) is None
