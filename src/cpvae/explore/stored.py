"""Answers made beforehand, for a page without a server."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from cpvae.errors import InputError
from cpvae.explore.answers import Answers
from cpvae.study.report.shown import categories_to_draw

ROWS = 5_000  # whose contents are kept at most
BYTES = 12_000_000  # of these contents
AT_ONCE = 250
DRAWN = 48  # new rows of each category; a table has more, to be chosen from by given cells
SAMPLE = 1_000  # new rows of a table, from the whole model
WALKED = 12  # categories between which there are ways


def stored(answers: Answers) -> dict[str, Any]:
    """Answer what a page may ask, so far as one file has room for it: the same functions, asked beforehand.

    Rows whose contents are kept are drawn with a fixed seed, but for those that cards name. New rows are a stored
    sample, and ways between two rows are those between the most typical rows of the largest categories.

    Returns:
        Contents and neighbours by position, columns, new rows by category ("all" for the whole model), ways by their
        ends, and lines for files, as JSON holds them.
    """
    seen = answers.seen
    kept = _rows_kept(answers)
    positions = np.array(sorted(kept))
    found: dict[str, Any] = {"rows": {str(i): kept[i] for i in positions.tolist()}}
    inside = set(kept)
    near = seen.near(positions)
    found["near"] = {str(i): [int(j) for j in own if int(j) in inside] for i, own in zip(positions, near, strict=True)}
    found["columns"] = [answers.column({"column": j}) for j in range(len(answers.contents.columns))]
    found["draws"] = _draws(answers)
    found["walks"] = _walks(answers)
    found["lines"] = answers.lines({"rows": list(range(seen.n))})
    return found


def _rows_kept(answers: Answers) -> dict[int, Any]:
    """Choose rows whose contents are kept, and give these: those that cards name first, then some at random."""
    seen = answers.seen
    named: list[int] = []
    if seen.shown.description is not None:
        place = {int(number): i for i, number in enumerate(seen.shown.index)}
        named = [place[row] for one in seen.shown.description for row in (*one.typical, *(b.row for b in one.border))]
    order = list(dict.fromkeys([*named, *np.random.RandomState(0).permutation(seen.n).tolist()]))[:ROWS]
    kept: dict[int, Any] = {}
    size = 0
    for begin in range(0, len(order), AT_ONCE):
        some = order[begin : begin + AT_ONCE]
        contents = answers.contents.own(np.array(some))
        size += len(json.dumps(contents))
        kept |= dict(zip(some, contents, strict=True))
        if size > BYTES:
            break
    return kept


def _largest(answers: Answers) -> list[int]:
    """Give the categories in use, largest first."""
    seen = answers.seen
    if seen.shown.categories is None:
        return []
    counts = np.bincount(seen.shown.categories, minlength=seen.model.n_components_)
    return [int(k) for k in categories_to_draw(seen.model.weights_, counts)]


def _draws(answers: Answers) -> dict[str, list[Any]]:
    """Draw from each category, and from the whole model."""
    seen, cells = answers.seen, answers.contents.kind == "cells"
    means = seen.model.image_shape_ is not None
    found = {}
    for category in [None, *_largest(answers)]:
        n = SAMPLE if cells and category is None else DRAWN
        rows, _ = seen.model.sample(n, category, mean=means, random_state=0 if category is None else category)
        found["all" if category is None else str(category)] = answers.contents.put(rows)
    return found


def _walks(answers: Answers) -> dict[str, Any]:
    """Decode ways between the most typical rows of the largest categories, each with its ends."""
    seen, found = answers.seen, {}
    if seen.shown.description is None:
        return {}
    place = {int(number): i for i, number in enumerate(seen.shown.index)}
    ends = {k: place[seen.shown.description[k].typical[0]] for k in _largest(answers)[:WALKED] if _typical(answers, k)}
    for a, first in ends.items():
        for b, last in ends.items():
            if a < b:
                try:
                    found[f"{a}-{b}"] = {
                        "ends": [first, last],
                        "rows": answers.draw({"how": "between", "first": first, "last": last}),
                    }
                except InputError:  # a model that cannot decode it goes without
                    continue
    return found


def _typical(answers: Answers, k: int) -> bool:
    description = answers.seen.shown.description
    return description is not None and bool(description[k].typical)
