"""The command line, one module for each command, which parses, calls one function and prints."""

import sys
from typing import NoReturn

from cpvae.errors import InputError
from cpvae.extras import needed

__all__ = ["main"]


def main() -> NoReturn:
    """Run a command and exit (`cpvae.cli.program.main`); without the packages that it needs, say what to install."""
    try:
        with needed("the command cpvae"):
            from cpvae.cli import program
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    program.main()
