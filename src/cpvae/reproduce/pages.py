"""Pages of which a part is made from results."""

from __future__ import annotations

from typing import Any

from cpvae.errors import InputError

MARKS = "<!-- results -->\n", "<!-- /results -->"
ROOT_OF_PAGES = ".."  # from a page in docs/


def links(cell: dict[str, Any]) -> str:
    """The result files of a cell, by seed, from a page in docs/."""
    return " ".join(
        f"[{seed}]({ROOT_OF_PAGES}/results/{file})" for seed, file in zip(cell["seeds"], cell["files"], strict=True)
    )


def rendered(page: str, body: str) -> str:
    """A page with what is between its marks replaced.

    >>> rendered("a <!-- results -->\\nold <!-- /results --> z", "new ")
    'a <!-- results -->\\nnew <!-- /results --> z'
    """
    before, begin, rest = page.partition(MARKS[0])
    _, end, after = rest.partition(MARKS[1])
    if not begin or not end:
        raise InputError(
            f"the page has no part between {MARKS[0].strip()!r} and {MARKS[1]!r}; restore it from the checkout"
        )
    return before + begin + body + end + after
