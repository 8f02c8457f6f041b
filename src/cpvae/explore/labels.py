"""Categories that the user renamed, merged or split: checked, proposed, and written down.

What the user made is a group for each row. A group begins as a category, with its number. Merging two categories puts
the rows of one to the other, and a split puts some rows to a group with a new number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.cluster import KMeans

from cpvae.errors import InputError, counted
from cpvae.explore.seen import Seen
from cpvae.files import write_atomic
from cpvae.study.answers import rename_in
from cpvae.study.written import distinct
from cpvae.words.names import changed, checked

MOST_GROUPS = 1_000
FEWEST_SPLIT = 4  # rows
DIGITS = 9  # of the number of a group, more than any has


@dataclass(frozen=True, eq=False)
class Groups:
    """Groups of the rows of a page, as a user made them.

    Attributes:
        of: the group of each row, ``(n,)``; names: group -> name, of those that have one.
    """

    of: np.ndarray
    names: Mapping[int, str]

    def label(self, group: int) -> str:
        """Write a group: its name, or its number."""
        return self.names.get(group, str(group))


def read_groups(seen: Seen, groups: Any, names: Any) -> Groups:
    """Check groups and names that a page sends.

    Args:
        seen: what the page shows.
        groups: a number for each row; names: number, as text -> name.

    Raises:
        InputError: not a whole number for each row; names that `cpvae.words.names.checked` refuses.
    """
    ok = isinstance(groups, list) and len(groups) == seen.n and all(type(one) is int for one in groups)
    if not ok or min(groups) < 0 or max(groups) >= seen.model.n_components_ + MOST_GROUPS:
        raise InputError(
            f"groups: expected a whole number for each of the {seen.n:,} rows, from 0 to "
            f"{seen.model.n_components_ + MOST_GROUPS - 1}; load the page again"
        )
    if not isinstance(names, Mapping) or not all(map(_is_number, names)):
        raise InputError("names: expected a name for each of some groups; load the page again")
    of = np.array(groups, dtype=np.int64)
    present = set(of.tolist())
    given = {int(k): name for k, name in names.items() if int(k) in present and name}
    return Groups(of, checked(given, max(int(of.max()) + 1, seen.model.n_components_)))


def split_in_two(seen: Seen, rows: np.ndarray) -> np.ndarray:
    """Propose a split of some rows into two by their codes, as k-means finds them.

    Args:
        seen: what the page shows.
        rows: positions, ``(m,)``.

    Returns:
        Whether each is in the smaller half, ``(m,)``.

    Raises:
        InputError: fewer than four rows, or rows that are all alike.
    """
    if len(rows) < FEWEST_SPLIT:
        raise InputError(f"{counted(len(rows), 'row')}: expected at least {FEWEST_SPLIT} to split; choose more")
    z = seen.shown.z[rows].astype(np.float64)
    if not z.std(0).any():
        raise InputError("these rows have the same code: nothing tells them apart; choose others")
    half = KMeans(2, n_init=4, random_state=0).fit_predict(z)
    return np.asarray(half == (half.mean() < 0.5))


def labels_table(seen: Seen, groups: Groups) -> pd.DataFrame:
    """Tabulate the group of each row, with its category and what the model says of it."""
    cells: list[Any] = [
        seen.shown.index,
        *seen.names.values(),
        [groups.label(int(group)) for group in groups.of],
        seen.categories,
        seen.probability.round(6),
    ]
    return pd.DataFrame(dict(zip(headings(seen), cells, strict=True)))


def headings(seen: Seen) -> list[str]:
    """Name the columns of `labels_table`; those of the user get an underscore where they are named alike."""
    first, last = "row", ["label", "category", "probability"]
    return [first, *distinct(seen.names, [first, *last]), *last]


def names_for_the_model(seen: Seen, groups: Groups) -> dict[int | str, str | None]:
    """Give what the model is told: for each category that has rows and is still whole its name, or None.

    Whole is a category whose rows, and no others, are the group of its number. A model has no place for other groups,
    and keeps the names of categories that are not whole.
    """
    return {
        group: groups.names.get(group)
        for group in np.unique(seen.categories).tolist()
        if np.array_equal(groups.of == group, seen.categories == group)
    }


def _is_number(key: Any) -> bool:
    """Say whether a key of JSON is the number of a group."""
    return isinstance(key, str) and key.isdecimal() and len(key) <= DIGITS


def save(seen: Seen, groups: Groups, out: Path, run: Path | None) -> str:
    """Write the group of each row into a .csv file, and keep names of whole categories with the model.

    Args:
        seen: what the page shows; groups: what the user made.
        out: the file; run: folder of the run or saved model, or None to leave it as it is.

    Returns:
        A sentence on what was written.

    Raises:
        InputError: the file or the model cannot be written; two names are alike.
    """
    told = names_for_the_model(seen, groups)
    if run is not None:
        changed(seen.model.names_, told, seen.model.n_components_)  # refused before anything is written
    write_atomic(out, labels_table(seen, groups).to_csv(index=False))
    text = f"{seen.n:,} rows with their labels are in {out.name}"
    if run is not None:
        if any(seen.model.names_.get(int(k)) != name for k, name in told.items()):
            seen.model.names_ = rename_in(run, told)
        kept = sum(name is not None for name in told.values())
        text += f"; the model keeps {kept} name{'s' * (kept != 1)}" * bool(kept)
    own = np.array_equal(groups.of, seen.categories)
    return text + "; merged and split categories are in the file only" * (not own) + "."
