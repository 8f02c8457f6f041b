"""The questions of the page, each a function of what the page sends, as JSON holds it."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cpvae.arguments import LARGEST_SEED, one_of, whole
from cpvae.errors import InputError
from cpvae.estimators.clusterer import clusters
from cpvae.estimators.rows_in import take
from cpvae.explore import draws, labels
from cpvae.explore.cards import traits_of_groups
from cpvae.explore.contents import Contents
from cpvae.explore.seen import Seen
from cpvae.study.written import as_csv, distinct

MOST_ROWS = 500  # whose contents are asked for at once
QUESTIONS = ("rows", "near", "column", "draw", "split", "traits", "lines", "save")


class Answers:
    """Answers to the questions of a page.

    Args:
        seen: what the page shows.
        out: where labels are written; run: where names are kept. None of either: `save` is refused.
    """

    def __init__(self, seen: Seen, out: Path | None = None, run: Path | None = None):
        self.seen, self.out, self.run = seen, out, run
        self.contents = Contents.of(seen)

    def answer(self, question: str, asked: Any) -> Any:
        """Answer a question by its name.

        Raises:
            InputError: no such question, or what it refuses.
        """
        one_of("question", question, QUESTIONS)
        if not isinstance(asked, Mapping):
            raise InputError("expected a JSON object; load the page again")
        return getattr(self, question)(asked)

    def rows(self, asked: Mapping[str, Any]) -> list[Any]:
        """Give the contents of rows: ``{"rows": [positions]}``."""
        return self.contents.own(self._positions(asked, MOST_ROWS))

    def near(self, asked: Mapping[str, Any]) -> list[list[int]]:
        """Give the neighbours of rows: ``{"rows": [positions]}``."""
        return [list(map(int, one)) for one in self.seen.near(self._positions(asked, MOST_ROWS))]

    def column(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Give the values of a column that is shown: ``{"column": its place among them}``.

        Values are float32, little-endian, base64; levels are numbers, with a list of their names.
        """
        whole("column", asked.get("column"), 0, len(self.contents.columns) - 1)
        j, schema = self.contents.columns[asked["column"]], self.seen.model.schema_
        if schema is None:
            return {"values": packed(self.seen.shown.values[:, j]), "levels": None}
        codes = schema.encode(self.seen.shown.given)[:, j]
        column = schema.columns[j]
        levels = list(map(str, column.levels)) if column.kind == "categorical" else None
        return {"values": packed(codes), "levels": levels}

    def draw(self, asked: Mapping[str, Any]) -> list[Any]:
        """Draw rows: ``{"how": "category"}`` and what the function of `cpvae.explore.draws` takes."""
        one_of("how", asked.get("how"), ("category", "given", "part", "between"))
        seed, n = asked.get("seed", 0), asked.get("n", draws.STEPS)
        whole("seed", seed, 0, LARGEST_SEED)
        how, category = asked["how"], asked.get("category")
        if how == "between":
            rows = draws.between(self.seen, asked.get("first"), asked.get("last"), n)  # type: ignore[arg-type]
        elif how == "part":
            rows = draws.with_part(self.seen, asked.get("row"), asked.get("part"), n, seed)  # type: ignore[arg-type]
        elif how == "given":
            given = asked.get("given")
            if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
                raise InputError("given: expected a list of texts; load the page again")
            rows = draws.with_given(self.seen, given, category, n, seed)
        else:
            rows = draws.from_category(self.seen, category, n, seed)
        return self.contents.put(rows)

    def split(self, asked: Mapping[str, Any]) -> list[bool]:
        """Propose a split of rows into two: ``{"rows": [positions]}``."""
        found: list[bool] = labels.split_in_two(self.seen, self._positions(asked, self.seen.n)).tolist()
        return found

    def traits(self, asked: Mapping[str, Any]) -> dict[str, str]:
        """Say what sets groups apart: ``{"groups": [of each row]}``."""
        groups = labels.read_groups(self.seen, asked.get("groups"), {})
        return {str(group): words for group, words in traits_of_groups(self.seen, groups.of).items()}

    def lines(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Write rows as lines of a .csv file: ``{"rows": [positions]}``; with the cells that the page shows.

        The heading comes apart from the lines, so that the page can put its own labels before them.
        """
        found = self.frame(self._positions(asked, self.seen.n))
        schema = self.seen.model.schema_
        head, *lines = _lines(as_csv(found, schema))
        return {"head": head, "lines": lines}

    def frame(self, rows: np.ndarray) -> pd.DataFrame:
        """Tabulate rows for a file: number, names, category, probability, label, and the cells of a table.

        Columns of the user that are named like one of the others, or like the page's own "label", get an underscore.
        """
        seen = self.seen
        known = pd.DataFrame({name: cells[rows] for name, cells in seen.names.items()})
        said: dict[str, Any] = {}
        if clusters(seen.model):
            said |= {"category": seen.categories[rows], "probability": seen.probability[rows].round(6)}
        if seen.shown.labels is not None:
            said["known_label"] = seen.shown.labels[rows]
        cells = self._cells(rows)
        names = distinct([*known.columns, *cells.columns], ["row", "label", *said])
        known.columns, cells.columns = pd.Index(names[: known.shape[1]]), pd.Index(names[known.shape[1] :])
        return pd.concat([pd.DataFrame({"row": seen.shown.index[rows]}), known, pd.DataFrame(said), cells], axis=1)

    def _cells(self, rows: np.ndarray) -> pd.DataFrame:
        """Tabulate the cells of rows that the page shows; without columns for pictures and curves."""
        names = self.contents.names
        given = take(self.seen.shown.given, rows)
        if isinstance(given, pd.DataFrame):
            return given.set_axis(list(map(str, given.columns)), axis=1)[names].reset_index(drop=True)
        return pd.DataFrame(given.reshape(len(rows), -1)[:, self.contents.columns], columns=names)

    def save(self, asked: Mapping[str, Any]) -> str:
        """Keep labels and names: ``{"groups": [of each row], "names": {group: name}}``."""
        if self.out is None:
            raise InputError("this page cannot write files; use the file that it offers")
        groups = labels.read_groups(self.seen, asked.get("groups"), asked.get("names"))
        return labels.save(self.seen, groups, self.out, self.run)

    def _positions(self, asked: Mapping[str, Any], most: int) -> np.ndarray:
        """Read positions of rows.

        Raises:
            InputError: none, too many, or no such rows.
        """
        given = asked.get("rows")
        ok = isinstance(given, list) and 0 < len(given) <= most and all(type(one) is int for one in given)
        if not ok or min(given) < 0 or max(given) >= self.seen.n:  # type: ignore[arg-type]
            raise InputError(f"rows: expected 1 to {most:,} whole numbers from 0 to {self.seen.n - 1}")
        return np.array(given, dtype=np.int64)


def packed(values: np.ndarray) -> str:
    """Pack numbers as float32, little-endian, in base64.

    >>> packed(np.array([1.0]))
    'AACAPw=='
    """
    return base64.b64encode(np.asarray(values, dtype="<f4").tobytes()).decode()


def _lines(text: str) -> list[str]:
    """Cut a .csv text into its records; a quoted cell may hold the end of a line."""
    found, before = [], ""
    for line in text.replace("\r\n", "\n").split("\n"):
        before += line
        if before.count('"') % 2:
            before += "\n"
        else:
            found.append(before)
            before = ""
    return [line for line in found if line]
