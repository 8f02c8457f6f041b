"""Phrases: numbers as people write them, and parts of sentences made of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cpvae.errors import counted, printable

LONGEST_NAME = 60  # characters of the name of a column or level in a sentence
LISTED = 10  # shares in a sentence
SURE = 0.9  # median probability from which rows are called sure


def percent(share: float) -> str:
    """Write a share in percent, with a digit after the point where it matters.

    >>> percent(0.1234), percent(0.00321), percent(0.0001), percent(1.0), percent(0.0)
    ('12 %', '0.3 %', 'under 0.1 %', '100 %', '0 %')
    """
    points = 100 * share
    if 0 < points < 0.05:
        return "under 0.1 %"
    digits = 1 if 0 < points < 10 or 99 < points < 100 else 0
    return f"{points:.{digits}f} %"


def plain(value: float, digits: int = 4) -> str:
    """Write a number in four significant digits, or `digits`, without an exponent where it can be helped.

    >>> plain(1234567.0), plain(3.14159), plain(0.00001234), plain(-0.0)
    ('1,234,567', '3.142', '1.234e-05', '0')
    >>> plain(217.2, 3), plain(5076.0, 3)
    ('217', '5,076')
    """
    if value == 0 or not np.isfinite(value):
        return "0" if value == 0 else str(value)
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def p_value(p: float) -> str:
    """Write the p of a test; one too small for a number says so.

    >>> p_value(0.0213), p_value(1.2e-30), p_value(0.0)
    ('0.021', '1.2e-30', 'under 1e-300')
    """
    return "under 1e-300" if p < 1e-300 else f"{p:.1e}".replace(".0e", "e") if p < 1e-4 else f"{p:.2g}"


def short(name: object) -> str:
    """Write the name of a column or level on one line, without what would control a terminal; long names are cut.

    >>> short("a\\n b\\x1b"), short("x" * 100) == "x" * 59 + "…"
    ('a b\\\\x1b', True)
    """
    text = printable(" ".join(str(name).split()))
    return text if len(text) <= LONGEST_NAME else f"{text[: LONGEST_NAME - 1]}…"


def capital(text: str) -> str:
    """Begin a text with a capital letter, and leave the rest as it is.

    >>> capital("category 0 (Gentoo)")
    'Category 0 (Gentoo)'
    """
    return text[:1].upper() + text[1:]


def duration(seconds: float) -> str:
    """Write seconds in words.

    >>> duration(8.21), duration(75), duration(7300)
    ('8.2 s', '1 min 15 s', '2 h 1 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def listed(parts: Sequence[str]) -> str:
    """Join parts of a sentence.

    >>> listed(["a"]), listed(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def in_use(used: int, n_components: int) -> str:
    """Say how many categories are in use.

    >>> in_use(9, 10), in_use(10, 10)
    ('9 of 10 categories are in use', 'All 10 categories are in use')
    >>> in_use(2, 2), in_use(1, 1)
    ('Both categories are in use', 'There is a single category')
    """
    if used < n_components:
        return f"{used} of {n_components} categories {'is' if used == 1 else 'are'} in use"
    whole = {1: "There is a single category", 2: "Both categories are in use"}
    return whole.get(n_components, f"All {n_components} categories are in use")


def shares(weights: np.ndarray, used: int) -> str:
    """Say what share of the rows the categories in use hold, the largest first.

    Args:
        weights: the shares, ``(K,)``; used: how many of them are in use.

    >>> shares(np.array([0.2, 0.5, 0.001, 0.299]), 3)
    'they hold 50 %, 30 % and 20 % of the rows'
    """
    largest = [percent(share) for share in np.sort(weights)[::-1][:used]]
    if len(largest) == 1:
        return f"it holds {largest[0]} of the rows"
    if len(largest) <= LISTED:
        return f"they hold {listed(largest)} of the rows"
    return f"the largest hold {', '.join(largest[: LISTED - 2])}, … of the rows, the smallest {largest[-1]}"


def sureness(proba: np.ndarray) -> str:
    """Say how sure the model is of the category of a row.

    Args:
        proba: probabilities of the categories, ``(n, K)``.

    >>> sureness(np.array([[0.98, 0.02], [0.03, 0.97], [0.6, 0.4]]))
    'most rows are sure of theirs (median probability 0.97)'
    >>> sureness(np.array([[0.5, 0.5], [0.6, 0.4]]))
    'many rows lie between categories (median probability 0.55)'
    """
    median = float(np.median(proba.max(1)))
    text = "most rows are sure of theirs" if median >= SURE else "many rows lie between categories"
    return f"{text} (median probability {median:.2f})"


def agreement(restarts: int, index: float | None, rows: int) -> str:
    """Say how far restarts agree on categories; "" where it was not measured.

    Args:
        restarts: how many there are; index: the mean adjusted Rand index of every two; rows: that it is of, 0 for
            validation rows that nobody has counted.

    >>> agreement(5, 0.871, 1234)
    '5 restarts agree on the categories of 1,234 rows to an adjusted Rand index of 0.87 (1: the same groups; 0: chance)'
    """
    if index is None:
        return ""
    which = f"{rows:,} rows" if rows else "validation rows"
    scale = f"an adjusted Rand index of {index:.2f} (1: the same groups; 0: chance)"
    return f"{restarts} restarts agree on the categories of {which} to {scale}"


def odd_in_words(odd: int, rows: int) -> str:
    """Say how many rows are odd (`cpvae.estimators.novelty.lowest`).

    >>> odd_in_words(1, 1500)
    '1 of 1,500 rows is odd, less likely than each of 1,000 rows that the model draws'
    """
    are = "is" if odd == 1 else "are"
    return f"{odd:,} of {counted(rows, 'row')} {are} odd, less likely than each of 1,000 rows that the model draws"


def known_in_words(counts: Sequence[int] | None) -> str:
    """Say of how many rows the category was known in a fit; "" for a fit without labels.

    Args:
        counts: rows known of each category, ``(K,)``, or None.

    >>> known_in_words((2, 1, 0)), known_in_words((1, 0))
    ('3 rows of 2 categories were known', '1 row of 1 category was known')
    """
    if counts is None:
        return ""
    n, classes = sum(counts), sum(count > 0 for count in counts)
    rows = f"{n:,} row{'s' * (n != 1)} of {classes} categor{'ies' if classes != 1 else 'y'}"
    return f"{rows} {'were' if n != 1 else 'was'} known"
