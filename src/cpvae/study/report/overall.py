"""The model as a whole: how it was trained, new rows, reconstructions, the map of its code."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.figure import Figure

from cpvae.data.cells import as_text
from cpvae.data.schema import Schema
from cpvae.estimators.clusterer import clusters
from cpvae.estimators.contract import DeepMixture
from cpvae.estimators.rows_in import take
from cpvae.study import figures
from cpvae.study.layout import lay_out
from cpvae.study.report.parts import FEW_COLUMNS, SHOWN, Table
from cpvae.study.report.pictures import as_images, comparison, draw, drawn_columns, inline, limits_of, pictures
from cpvae.study.report.shown import Shown, means
from cpvae.words.units import written

MAX_MAPPED = 2_000  # rows of the map


def kl_figure(model: DeepMixture) -> Figure:
    """Draw the divergences over training."""
    return figures.kl_curves(model.history_, model.n_components_, model.model_.n_categories)


def diagnosis(model: DeepMixture) -> Markup | None:
    """Draw the parts of eq. (13) over training, for a model with categories whose history has them."""
    if not clusters(model) or not model.history_ or "mutual_information_c" not in model.history_[0]:
        return None
    return inline(figures.diagnosis_curves(model.history_, model.n_components_))


def tree_of_categories(shown: Shown) -> dict[str, Any]:
    """Draw which categories join first, and say it; nothing where there are no two with rows."""
    if shown.description is None or not shown.description.tree.in_words:
        return {"tree": None, "tree_text": "", "tree_note": ""}
    joined = shown.description.tree
    note = f"{joined.left_out} smaller categories are left out." if joined.left_out else ""
    return {"tree": inline(figures.tree(joined)), "tree_text": joined.in_words, "tree_note": note}


def new_rows(model: DeepMixture, shown: Shown) -> dict[str, Any]:
    """Draw new rows, categories by their share; of images means of p(x | z, c), and draws beside them."""
    if model.image_shape_ is None:
        rows = draw(model, 2_000 if len(shown.names) == 1 else 500, None, mean=False)
        note = drawn_columns(shown, figures.NAMED)
        picture = inline(comparison(shown, shown.values, rows))
        return {"new_pictures": [], "drawn_pictures": [], "new_figure": picture, "new_note": note}
    found: dict[str, Any] = {"new_figure": None, "new_note": ""}
    for name, n, mean in (("new", 4 * SHOWN, True), ("drawn", 2 * SHOWN, False)):
        images = as_images(model, draw(model, n, None, mean=mean))
        found[f"{name}_pictures"] = pictures(
            images, [f"{name} image {i + 1}" for i in range(n)], limits_of(model, shown)
        )
    return found


def reconstructions(model: DeepMixture, shown: Shown) -> dict[str, Any]:
    """Show some rows beside what the model makes of them."""
    chosen = np.unique(np.linspace(0, len(shown.index) - 1, SHOWN).round().astype(np.int64))
    again = model.reconstruct(take(shown.given, chosen))
    rows, numbers = shown.values[chosen], shown.index[chosen]
    result: dict[str, Any] = {"pairs": [], "pairs_table": None, "pairs_figure": None}
    if model.schema_ is not None and model.signal_shape_ is None:
        made = model.schema_.expand(model.schema_.encode(again))[0]
        if len(model.schema_.columns) <= FEW_COLUMNS:
            result["pairs_table"] = _cells_table(model.schema_, shown, take(shown.given, chosen), again, numbers)
            return result
    else:
        made = np.asarray(again, np.float64).reshape(len(chosen), -1)
    if model.image_shape_ is not None:
        limits = limits_of(model, shown)
        old = pictures(as_images(model, rows), [f"row {i}" for i in numbers], limits)
        new = pictures(as_images(model, made), [f"reconstruction of row {i}" for i in numbers], limits)
        result["pairs"] = list(zip(old, new, strict=True))
    elif shown.curve is not None:
        titles = [f"row {i}" for i in numbers]
        time = "time" if shown.curve[0] == 1 else "time, one channel after the other"
        result["pairs_figure"] = inline(figures.overlays(rows, made, titles, time))
    elif len(shown.names) <= FEW_COLUMNS:
        lines = []
        for i, row, made_up in zip(numbers, rows, made, strict=True):
            lines.append((f"row {i}", shown.cells(row)))
            lines.append(("reconstruction", shown.cells(made_up)))
        result["pairs_table"] = Table("Rows and their reconstructions, in the units of the data", shown.names, lines)
    else:
        result["pairs_table"] = _widest_table(shown, rows, made, numbers)
    return result


def _widest_table(shown: Shown, rows: np.ndarray, made: np.ndarray, numbers: np.ndarray) -> Table:
    """Tabulate rows and their reconstructions in the columns that differ most, of too many to print."""
    apart = np.nan_to_num(means(np.square(shown.standardise(rows) - shown.standardise(made))))
    columns = np.sort(np.argsort(-apart, kind="stable")[:FEW_COLUMNS])
    lines = []
    for i, row, made_up in zip(numbers, rows, made, strict=True):
        lines.append((f"row {i}", [shown.cell(j, row[j]) for j in columns]))
        lines.append(("reconstruction", [shown.cell(j, made_up[j]) for j in columns]))
    caption = f"Rows and their reconstructions in the {len(columns)} of {len(shown.names):,} columns that differ most"
    return Table(caption, [shown.names[j] for j in columns], lines)


def _cells_table(schema: Schema, shown: Shown, rows: pd.DataFrame, again: pd.DataFrame, numbers: np.ndarray) -> Table:
    """Tabulate rows and their reconstructions, levels by name."""
    units = dict(zip(shown.sources, shown.units, strict=True))

    def words(frame: pd.DataFrame, i: int) -> list[str]:
        cells = [(frame[column.name].iloc[i], units[j]) for j, column in enumerate(schema.columns)]
        return ["·" if pd.isna(cell) else _cell(cell, unit) for cell, unit in cells]

    lines = []
    for i, number in enumerate(numbers):
        lines += [(f"row {number}", words(rows, i)), ("reconstruction", words(again, i))]
    return Table("Rows and their reconstructions; · is a missing cell, filled here only", list(schema.names), lines)


def _cell(cell: Any, unit: str) -> str:
    """Write a cell of a table: numbers in their unit, levels and dates as they are."""
    return written(float(cell), unit) if unit in ("number", "year") else as_text(cell)


def latent_space(shown: Shown, how: str) -> dict[str, Any]:
    """Map the codes of rows, coloured by category, as `how` says (`cpvae.study.layout.lay_out`)."""
    categories = None if shown.categories is None else shown.categories[:MAX_MAPPED]
    found = lay_out(shown.z[:MAX_MAPPED], categories, how)
    if found is None:
        return {"map": None, "map_text": ""}
    text = found.words
    if categories is not None:
        text += " Coloured by category" + (", its number at the middle." if len(np.unique(categories)) <= 30 else ".")
    return {"map": inline(figures.latent_map(found.points, categories, found.axes)), "map_text": text}
