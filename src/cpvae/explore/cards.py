"""Categories in words: the card of each, and of groups that a user made of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from cpvae.estimators.describing import some_of, told
from cpvae.explore.seen import Seen
from cpvae.words.description import IN_A_SENTENCE, reason
from cpvae.words.phrases import capital, percent


def cards(seen: Seen) -> list[dict[str, Any]]:
    """Make the cards of all categories of a model, in their order; none for a model without categories.

    Rows are named by their positions on the page.
    """
    if seen.shown.description is None:
        return []
    place = {int(number): i for i, number in enumerate(seen.shown.index)}
    proba = seen.shown.evaluation.proba
    return [
        {
            "share": float(seen.model.weights_[one.number]),
            "traits": one.traits,
            "typical": [place[row] for row in one.typical],
            "border": [place[row.row] for row in one.border],
            "bordering": one.on_the_border,
            "sure": _sure(proba[seen.categories == one.number]),
            "judged": capital(seen.shown.main_label(seen.categories == one.number)),
        }
        for one in seen.shown.description
    ]


def _sure(proba: np.ndarray) -> str:
    """Say how many rows of a category the model is sure of."""
    if not len(proba):
        return ""
    return f"At least 90 % sure of {percent(float((proba.max(1) >= 0.9).mean()))} of its rows"


def traits_of_groups(seen: Seen, groups: np.ndarray) -> dict[int, str]:
    """Say what sets each group of rows apart, as descriptions say it of categories.

    Args:
        groups: of the rows, ``(n,)``, numbers from 0.

    Returns:
        group -> the strongest columns, or why there are none.
    """
    used, codes = np.unique(groups, return_inverse=True)
    if seen.shown.categories is None:
        return dict.fromkeys(map(int, used), "")
    some = some_of(seen.n)
    matrix = seen.model._check_rows(seen.shown.given, reset=False)[some]
    found = told(seen.model, np.asarray(matrix, dtype=np.float64), codes[some], len(used))
    counts = np.bincount(codes[some], minlength=len(used))
    return {
        int(group): "; ".join(map(str, found[i][:IN_A_SENTENCE])) or reason(int(counts[i]), int(len(some) - counts[i]))
        for i, group in enumerate(used)
    }
