"""Pages of which a part is made from results."""

from __future__ import annotations

from cpvae.errors import InputError

MARKS = "<!-- results -->\n", "<!-- /results -->"
ROOT_OF_PAGES = ".."  # from a page in docs/


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
