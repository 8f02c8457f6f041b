"""`cpvae rename`."""

from __future__ import annotations

from typing import Annotated

import typer

from cpvae.cli.options import Run
from cpvae.cli.output import put, two_columns
from cpvae.errors import InputError

MOST_DIGITS = 9  # of a number of a category


def rename(
    run: Run,
    names: Annotated[
        list[str],
        typer.Argument(metavar="NUMBER=NAME...", help="Names, such as 0=Gentoo '1=The others'; 0= takes one away."),
    ],
) -> None:
    """Give names to categories; they are kept with the model, and shown by every command."""
    given = read_names(names)
    from cpvae.cli.checks import check_inputs

    check_inputs(run)

    from cpvae.study.answers import rename_in

    kept = rename_in(run, given)
    put(two_columns({f"category {k}": name for k, name in kept.items()}) if kept else "no category has a name")


def read_names(given: list[str]) -> dict[int, str | None]:
    """Read "0=Gentoo" as {0: "Gentoo"}, and "0=" as {0: None}.

    Raises:
        InputError: a word without a number before its =, a number twice. One line names all faults.

    >>> read_names(["0=Gentoo", "1="])
    {0: 'Gentoo', 1: None}
    """
    found: dict[int, str | None] = {}
    faults = []
    for word in given:
        number, sign, name = word.partition("=")
        if not sign or not number.strip().isdecimal() or len(number) > MOST_DIGITS:
            faults.append(f"{word!r} is no NUMBER=NAME")
        elif int(number) in found:
            faults.append(f"category {int(number)} is named twice")
        else:
            found[int(number)] = name if name.strip() else None
    if faults:
        raise InputError(f"{'; '.join(faults)}: expected one name for each category, such as 0=Gentoo '1=Two words'")
    return found
