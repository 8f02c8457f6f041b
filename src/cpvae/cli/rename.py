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
        typer.Argument(
            metavar="CATEGORY=NAME...",
            help="Names, such as 0=Gentoo '1=The others'; 0= takes one away. A category is its number, or its name.",
        ),
    ],
) -> None:
    """Give names to categories; they are kept with the model, and shown by every command."""
    given = read_names(names)
    from cpvae.cli.checks import check_inputs

    check_inputs(run)

    from cpvae.study.answers import rename_in

    kept = rename_in(run, given)
    put(two_columns({f"category {k}": name for k, name in kept.items()}) if kept else "no category has a name")


def read_names(given: list[str]) -> dict[int | str, str | None]:
    """Read "0=Gentoo" as {0: "Gentoo"}, and "Gentoo=" as {"Gentoo": None}.

    Raises:
        InputError: a word without a category before its =, a category twice. One line names all faults.

    >>> read_names(["0=Gentoo", "1=", "Adelie=The others"])
    {0: 'Gentoo', 1: None, 'Adelie': 'The others'}
    """
    found: dict[int | str, str | None] = {}
    faults = []
    for word in given:
        before, sign, name = word.partition("=")
        number = before.strip().isdecimal()
        category = int(before) if number and len(before) <= MOST_DIGITS else before.strip()
        if not sign or not before.strip() or (number and len(before) > MOST_DIGITS):
            faults.append(f"{word!r} is no CATEGORY=NAME")
        elif category in found:
            faults.append(f"category {category} is named twice")
        else:
            found[category] = name if name.strip() else None
    if faults:
        raise InputError(f"{'; '.join(faults)}: expected one name for each category, such as 0=Gentoo '1=Two words'")
    return found
