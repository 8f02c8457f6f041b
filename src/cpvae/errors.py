"""Errors that a user can mend, and warnings.

Every message is one line: what was given, what was expected, what to do. It can be printed as it is and has a bounded
length, whatever names of files, columns and keys it quotes.
"""

from __future__ import annotations

import re
import sys
import unicodedata
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from itertools import islice

LONGEST_WORD = 400  # characters of a name or path that are shown
LONGEST = 2000  # characters of a message
SEARCHED = 1000  # names among which the nearest is looked for, which is slow
LISTED = 20  # names that are listed
BETWEEN = ("cpvae", "contextlib", "joblib", "sklearn", "torch")  # packages whose lines no user of this library wrote
JOINERS = "\u200c\u200d"  # parts of words in Persian, and of emoji


class InputError(ValueError):
    """Data, an argument or a file that cannot be used. The command line prints it and exits with 2."""

    def __init__(self, message: str = ""):
        super().__init__(readable(message))


class FitWarning(UserWarning):
    """A fit that ended, but whose result needs a look: collapsed categories, a non-finite step."""

    def __init__(self, message: str = ""):
        super().__init__(readable(message))


class ReadWarning(FitWarning):
    """Rows whose columns, levels or length differ from those of the fit; what was made of them is said."""


def warn(message: str, category: type[FitWarning] = FitWarning) -> None:
    """Warn at the line of the user's code that led here.

    Python's own way, a number of calls to skip, is wrong as soon as a decorator lies between.
    """
    level, frame = 2, sys._getframe(1).f_back
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] in BETWEEN:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level + 1)


@contextmanager
def already_said() -> Iterator[None]:
    """Keep back what warns of the differences of a table, inside: they were said in another way."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ReadWarning)
        yield


def readable(message: str) -> str:
    """Make one printable line of a message; shorten long words, and the whole, in the middle.

    >>> readable("column 'a\\x1b[2J'\\nis refused")
    "column 'a\\\\x1b[2J' is refused"
    >>> len(readable("x" * 100_000)) < 500
    True
    """
    line = printable(" ".join(message.split()))
    line = re.sub(rf"\S{{{LONGEST_WORD + 1},}}", lambda word: _shortened(word[0], LONGEST_WORD), line)
    return _shortened(line, LONGEST)


def printable(text: str) -> str:
    """Show characters that would control a terminal, or that no encoding has, as escapes.

    >>> print(printable("\\x1b[2J\\n é 数"))
    \\x1b[2J\\n é 数
    """
    return text if text.isprintable() else "".join(map(_shown, text))


def _shown(letter: str) -> str:
    if letter.isprintable() or letter in JOINERS or unicodedata.category(letter) == "Zs":
        return letter
    return letter.encode("unicode_escape").decode()


def _shortened(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - length // 3 - 3]}...{text[-(length // 3) :]}"


def meant(given: str, known: Iterable[str]) -> str:
    """Hint `; did you mean 'digits'?` for a misspelt name, in capitals or not; nothing where none is close.

    >>> meant("Digit", ["digits", "mnist"]), meant("qqq", ["digits", "mnist"])
    ("; did you mean 'digits'?", '')
    """
    short = {name.casefold(): name for name in islice(known, SEARCHED) if len(name) <= LONGEST_WORD}
    close = get_close_matches(given[:LONGEST_WORD].casefold(), list(short), n=1)
    return f"; did you mean {short[close[0]]!r}?" if close else ""


def nearest(given: str, known: Iterable[str]) -> str:
    """Hint at what was meant (`meant`), or list what is known.

    >>> nearest("qqq", ["digits", "mnist"])
    '; known: digits, mnist'
    """
    names = list(known)
    more = f", ... ({len(names):,} in all)" if len(names) > LISTED else ""
    return meant(given, names) or f"; known: {', '.join(names[:LISTED])}{more}"


def counted(n: int, noun: str) -> str:
    """Write a number before a noun.

    >>> counted(1, "row"), counted(1234, "row"), counted(0, "category")
    ('1 row', '1,234 rows', '0 categories')
    """
    plural = f"{noun.removesuffix('y')}ies" if noun.endswith("y") else f"{noun}s"
    return f"{n:,} {noun if n == 1 else plural}"


def one_line(error: Exception) -> str:
    """Give the first line of what an error says, of readable length."""
    lines = str(error).splitlines()
    return lines[0][:200] if lines else type(error).__name__
