"""Descriptions of the categories of a model, in words and numbers: the answer of `model.describe(X)`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from cpvae.words.contrasts import COLUMNS, FEWEST, Contrast
from cpvae.words.examples import Border
from cpvae.words.names import label, position
from cpvae.words.phrases import capital, odd_in_words, percent
from cpvae.words.tree import Tree

IN_A_SENTENCE = 3  # columns
IN_A_LINE = 5  # typical rows


@dataclass(frozen=True, eq=False)
class Category:
    """One category in words and numbers.

    Attributes:
        number: of the category; name: that the user gave it, or "".
        rows: how many of the rows described are in it; share: of them.
        columns: those that set it apart, the largest effect first; of images and signals `cpvae.words.measures`.
        typical: numbers of the rows nearest to its centre, nearest first.
        border: rows that may belong to another category, the least sure first.
        mean, spread: of images and signals, mean and standard deviation of its rows, in the shape of a row; else None.
        why: reason why no column is told, or "".
    """

    number: int
    name: str
    rows: int
    share: float
    columns: tuple[Contrast, ...]
    typical: tuple[int, ...]
    border: tuple[Border, ...]
    mean: np.ndarray | None = None
    spread: np.ndarray | None = None
    why: str = ""

    @property
    def heading(self) -> str:
        """The category with its size: `category 0 (Gentoo), 124 rows (36 %)`."""
        n = f"{self.rows:,} row{'s' * (self.rows != 1)} ({percent(self.share)})"
        return f"{label(self.number, {self.number: self.name} if self.name else {})}, {n}"

    @property
    def traits(self) -> str:
        """The strongest columns in the units of the data, or why there are none."""
        return "; ".join(map(str, self.columns[:IN_A_SENTENCE])) or self.why

    @property
    def on_the_border(self) -> str:
        """The rows on the border, each with the neighbour and its probability."""
        return ", ".join(map(str, self.border))

    @property
    def in_words(self) -> str:
        """One sentence on the category."""
        return capital(f"{self.heading}: {self.traits}." if self.traits else f"{self.heading}.")

    def __str__(self) -> str:
        typical = ", ".join(map(str, self.typical[:IN_A_LINE]))
        parts = [f"typical rows {typical}"] * bool(typical) + [f"on the border {self.on_the_border}"] * bool(
            self.border
        )
        return f"{self.in_words}\n  {capital('; '.join(parts))}." if parts else self.in_words


@dataclass(frozen=True, eq=False)
class Description:
    """All categories of a model, as some rows show them.

    Attributes:
        categories: one for each component of the model, in their order.
        rows: how many rows are described.
        compared: how many of them the columns were compared on, drawn with a fixed seed where there are many.
        tree: which categories join first, by these rows.
        known: sentence on the rows whose category was known in the fit; "" of a fit without labels.
        odd: numbers of the rows that are unlike anything the model was fitted on (`cpvae.estimators.novelty.lowest`),
            the least likely first.
    """

    categories: tuple[Category, ...]
    rows: int
    compared: int
    tree: Tree
    known: str = ""
    odd: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.categories)

    def __getitem__(self, k: int | str) -> Category:
        """Give a category, by its number or its name."""
        names = {one.number: one.name for one in self.categories if one.name}
        return self.categories[position("category", k, names, len(self))]

    def __iter__(self) -> Iterator[Category]:
        return iter(self.categories)

    @property
    def largest_first(self) -> list[Category]:
        """The categories that hold rows, the largest first."""
        return sorted((one for one in self.categories if one.rows), key=lambda one: (-one.rows, one.number))

    @property
    def odd_ones(self) -> str:
        """One sentence on the odd rows; "" where there are none."""
        if not self.odd:
            return ""
        some = ", ".join(map(str, self.odd[:IN_A_LINE])) + ", …" * (len(self.odd) > IN_A_LINE)
        return f"{odd_in_words(len(self.odd), self.rows)}: row{'s' * (len(self.odd) != 1)} {some}."

    def __str__(self) -> str:
        used = self.largest_first
        lines = [f"{self.rows:,} row{'s' * (self.rows != 1)} in {_categories(len(used))}, the largest first."]
        lines += [self.known] if self.known else []
        if self.compared < self.rows:
            lines.append(f"Columns are compared on {self.compared:,} of the rows, drawn at random.")
        lines += map(str, used)
        empty = [str(one.number) for one in self.categories if not one.rows]
        lines += [f"Without a row: {', '.join(empty)}."] * bool(empty)
        lines += [self.odd_ones] * bool(self.odd)
        return "\n".join([*lines, self.tree.in_words] if self.tree.in_words else lines)

    def to_frame(self) -> pd.DataFrame:
        """Give a table with a line for each column that sets a category apart, the largest effect first.

        A category without such a column has one line, in which the column is missing. `here` and `others` are in the
        units of the data (a date: the number of days since 1970), and `words` says them as a person would.
        """
        lines: list[dict[str, Any]] = []
        for one in self.categories:
            own = {"category": one.number, "name": one.name, "rows": one.rows, "share": one.share}
            lines += [own | column.as_dict() for column in one.columns] or [own]
        return pd.DataFrame(lines, columns=["category", "name", "rows", "share", *COLUMNS])

    def as_dict(self) -> dict[str, Any]:
        """Give plain values, as JSON can hold them; means and spreads of images and signals are left out."""
        found = [
            {
                "category": one.number,
                "name": one.name,
                "rows": one.rows,
                "share": one.share,
                "words": one.in_words,
                "columns": [column.as_dict() for column in one.columns],
                "typical": list(one.typical),
                "border": [asdict(row) for row in one.border],
            }
            for one in self.categories
        ]
        return {
            "rows": self.rows,
            "compared": self.compared,
            "categories": found,
            "odd": list(self.odd),
            "tree": self.tree.as_dict(),
        }


def _categories(n: int) -> str:
    return f"{n:,} {'category' if n == 1 else 'categories'}"


def reason(rows: int, others: int) -> str:
    """Say why no column of a category is told: too few rows in it or beside it, or none that differs clearly.

    >>> reason(3, 90), reason(40, 50), reason(40, 0)
    ('too few rows to say what sets them apart', 'nothing clearly sets it apart', '')
    """
    if not others:
        return ""
    return "too few rows to say what sets them apart" if min(rows, others) < FEWEST else "nothing clearly sets it apart"
