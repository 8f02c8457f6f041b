"""Contents of a row on the page: a picture, curves, or cells."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time
from typing import Any

import numpy as np
import pandas as pd

from cpvae.data.cells import as_text
from cpvae.explore.seen import Seen
from cpvae.study.report.pictures import as_images, limits_of, pictures
from cpvae.words.phrases import short
from cpvae.words.units import written

ALL = 40  # columns of a table that are all shown; of more, those that tell most
TOLD = 24  # of more
POINTS, CURVES = 150, 8  # of a signal
DIGITS = 4  # of a value of a curve


@dataclass(frozen=True, eq=False)
class Contents:
    """Way of putting rows on the page.

    Attributes:
        seen: the rows of the page.
        kind: "picture", "curves" or "cells".
        columns: positions in the table of the columns that are shown, for cells.
        names: of these columns; those of an array are numbers, as `cpvae.data.conditions.parse_given` takes them.
    """

    seen: Seen
    kind: str
    columns: list[int]
    names: list[str]

    @classmethod
    def of(cls, seen: Seen) -> Contents:
        """Choose how rows are shown."""
        model, shown = seen.model, seen.shown
        if model.image_shape_ is not None:
            return cls(seen, "picture", [], [])
        if shown.curve is not None:
            return cls(seen, "curves", [], [])
        schema = model.schema_
        words = list(shown.names) if schema is None else [str(column.name) for column in schema.columns]
        unnamed = schema is None and not hasattr(model, "feature_names_in_")
        names = list(map(str, range(len(words)))) if unnamed else words
        if len(names) <= ALL:
            return cls(seen, "cells", list(range(len(names))), names)
        told: dict[int, None] = {}
        place = {name: j for j, name in enumerate(words)}
        most = [] if shown.description is None else [list(one.columns) for one in shown.description.largest_first]
        for rank in range(max(map(len, most), default=0)):  # the first of each category before any second
            told |= {place[own[rank].column]: None for own in most if rank < len(own) and own[rank].column in place}
        if not told:
            spread = np.nan_to_num(np.nanstd(shown.values, axis=0))
            sources = np.asarray(shown.sources)
            told = {int(sources[j]): None for j in np.argsort(-spread, kind="stable")[: 4 * TOLD]}
        columns = list(told)[:TOLD]
        return cls(seen, "cells", columns, [names[j] for j in columns])

    def own(self, rows: np.ndarray) -> list[Any]:
        """Give rows of the page, by their positions ``(m,)``, each as JSON holds it."""
        given = self.seen.shown.given
        return self.put(given.iloc[rows] if isinstance(given, pd.DataFrame) else given[rows])

    def put(self, rows: Any) -> list[Any]:
        """Give rows, in the form that the model takes and draws, each as JSON holds it.

        A picture is a data URI, curves are lists of numbers, one for each channel, and cells are texts.
        """
        if self.kind == "cells":
            return self._cells(rows)
        values = np.asarray(rows, dtype=np.float64).reshape(len(rows), -1)
        if self.kind == "picture":
            model = self.seen.model
            found = pictures(as_images(model, values), [""] * len(values), limits_of(model, self.seen.shown))
            return [one.source for one in found]
        assert self.seen.shown.curve is not None
        curves = values.reshape(-1, *self.seen.shown.curve)[:, :CURVES]
        step = -(-curves.shape[2] // POINTS)
        return [[_numbers(channel) for channel in one] for one in curves[:, :, ::step]]

    def _cells(self, rows: Any) -> list[list[str]]:
        units = dict(zip(self.seen.shown.sources, self.seen.shown.units, strict=True))
        if self.seen.model.schema_ is None:
            values = np.asarray(rows, dtype=np.float64)[:, self.columns]
            return [[written(value, units[j]) for j, value in zip(self.columns, row, strict=True)] for row in values]
        columns = [rows[self.seen.model.schema_.columns[j].name].tolist() for j in self.columns]
        texts = [[_text(cell, units[j]) for cell in cells] for j, cells in zip(self.columns, columns, strict=True)]
        return [list(row) for row in zip(*texts, strict=True)]


def _text(cell: Any, unit: str) -> str:
    """Write a cell of a table: numbers in their unit, levels as they are, nothing where it is missing.

    A date has a time only where it is not midnight.
    """
    if pd.isna(cell):
        return ""
    if isinstance(cell, datetime) and cell.time() == time():
        return cell.date().isoformat()
    if unit in ("number", "year"):
        try:
            return written(float(cell), unit)
        except (TypeError, ValueError):
            pass
    return short(as_text(cell))


def _numbers(values: np.ndarray) -> list[float | None]:
    """Round numbers for JSON, which has no NaN."""
    return [float(f"{value:.{DIGITS}g}") if np.isfinite(value) else None for value in values]
