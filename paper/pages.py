"""Pages that hold a part made from results, and what every cell of their tables has."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cpvae.errors import InputError
from paper.rows import Row

MARKS = "<!-- results -->\n", "<!-- /results -->"
ROOT_OF_PAGES = ".."  # from a page in docs/


def cell_of(
    row: Row, found: Sequence[dict[str, Any]], results: Path, unit: str, published: float | None = None
) -> dict[str, Any]:
    """Make a cell with what all cells have: its row, seeds and files; ``"measured"`` is still None.

    Args:
        row: the row of the cell.
        found: the results of the row; may be empty.
        results: the folder that the names of the files begin from.
        unit: the unit of ``"measured"``.
        published: the paper's figure.
    """
    return {
        "row": row.name,
        "about": row.about,
        "dataset": found[0].get("dataset", row.dataset) if found else row.dataset,
        "model": row.model,
        "components": row.components,
        "published": published,
        "measured": None,
        "unit": unit,
        "seeds": [one["seed"] for one in found],
        "files": [str(row.result(results, one["seed"]).relative_to(results)) for one in found],
    }


def links(cell: dict[str, Any]) -> str:
    """Link the result files of a cell, by seed, from a page in docs/."""
    return " ".join(
        f"[{seed}]({ROOT_OF_PAGES}/results/{file})" for seed, file in zip(cell["seeds"], cell["files"], strict=True)
    )


def rendered(page: str, body: str) -> str:
    """Replace what stands between the marks of a page.

    Raises:
        InputError: the page lacks a mark.

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
