"""Pages of which a part is made from results."""

from __future__ import annotations

MARKS = "<!-- results -->\n", "<!-- /results -->"
ROOT_OF_PAGES = ".."  # from a page in docs/


def rendered(page: str, body: str) -> str:
    """A page with what is between its marks replaced.

    >>> rendered("a <!-- results -->\\nold <!-- /results --> z", "new ")
    'a <!-- results -->\\nnew <!-- /results --> z'
    """
    before, rest = page.split(MARKS[0])
    return before + MARKS[0] + body + MARKS[1] + rest.split(MARKS[1])[1]
