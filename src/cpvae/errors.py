"""What can go wrong by the user's hand, and what is worth a warning.

Every message is one line: what was given, what was expected, what to do.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class InputError(ValueError):
    """Data, an argument or a file that cannot be used. The command line prints it and exits with 2."""


class FitWarning(UserWarning):
    """A fit that ended, but whose result needs a look: collapsed categories, a non-finite step."""


def nearest(given: str, known: Iterable[str]) -> str:
    """A hint `; did you mean 'digits'?` for a misspelt name, or the list of what is known.

    >>> nearest("digit", ["digits", "mnist"])
    "; did you mean 'digits'?"
    >>> nearest("qqq", ["digits", "mnist"])
    '; known: digits, mnist'
    """
    names = list(known)
    close = get_close_matches(given, names, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(names)}"


def one_line(error: Exception) -> str:
    """The first line of what an error says, of readable length."""
    lines = str(error).splitlines()
    return lines[0][:200] if lines else type(error).__name__
