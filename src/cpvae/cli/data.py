"""`cpvae data list`, `fetch` and `verify`."""

from __future__ import annotations

from typing import Annotated

import typer

from cpvae.cli.options import Json
from cpvae.cli.output import put, put_json, say
from cpvae.errors import InputError


def data_list(as_json: Json = False) -> None:
    """List the named data sets, and say which are on this machine."""
    from cpvae.data.loaders import data_root, status

    found = status()
    if as_json:
        put_json(
            {
                "root": str(data_root()),
                "datasets": [
                    {"name": s.name, "description": s.description, "present": s.present, "path": s.path and str(s.path)}
                    for s in found
                ],
            }
        )
        return
    for s in found:
        place = "built in" if s.path is None else str(s.path) if s.present else "absent: cpvae data fetch " + s.name
        put(f"{s.name:14} {s.description}\n{'':14} {place}")


def data_fetch(name: Annotated[str, typer.Argument(help="A name from `cpvae data list`.")]) -> None:
    """Download a data set into the folder CPVAE_DATA, or else the cache, and check it."""
    from cpvae.data.loaders import fetch

    for path in fetch(name, progress=say):
        put(str(path))


def data_verify(
    name: Annotated[str | None, typer.Argument(help="A name from `cpvae data list`.", show_default="all")] = None,
) -> None:
    """Check downloaded files against their checksums."""
    from cpvae.data.loaders import NAMES, verify

    bad = []
    for one in NAMES if name is None else (name,):
        for file in verify(one):
            state = "absent" if not file.present else "ok" if file.ok else "DAMAGED"
            put(f"{one:14} {state:8} {file.path}")
            if file.present and not file.ok:
                bad.append(str(file.path))
    if bad:
        raise InputError(f"{len(bad)} damaged: {', '.join(bad)}; delete and run `cpvae data fetch`")
