"""Each category: its rows nearest to the centre, new rows from it, and categories side by side."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup

from cpvae.estimators.contract import DeepMixture
from cpvae.study import figures
from cpvae.study.report.parts import FEW_COLUMNS, FEW_LINES, MOST_TOLD, SHOWN, Category, Picture, Table
from cpvae.study.report.pictures import as_images, comparison, draw, drawn_columns, inline, limits_of, pictures
from cpvae.study.report.shown import Shown, categories_to_draw, means
from cpvae.words.description import Category as Described
from cpvae.words.names import label
from cpvae.words.phrases import capital, p_value, percent
from cpvae.words.units import written

NEW_ROWS = 300  # of a table, for a profile
FEW = 3  # curves of each kind


def category(model: DeepMixture, shown: Shown, k: int) -> Category:
    """Show rows nearest to the centre of category `k`, and new rows from it."""
    assert shown.categories is not None
    assert shown.description is not None
    own, words = shown.categories == k, shown.description[k]
    near = np.searchsorted(shown.index, np.array(words.typical, dtype=np.int64))
    old: list[Picture] = []
    new: list[Picture] = []
    border: list[Picture] = []
    summary: list[Picture] = []
    figure = table = examples = None
    if model.image_shape_ is not None:
        limits = limits_of(model, shown)
        old = _rows_as_pictures(model, shown, near, [f"row {shown.index[i]}" for i in near])
        at_border = np.searchsorted(shown.index, np.array([one.row for one in words.border], dtype=np.int64))
        border = _rows_as_pictures(model, shown, at_border, [f"row {one}" for one in words.border])
        drawn = as_images(model, draw(model, SHOWN, k, mean=True))
        new = pictures(drawn, [f"new image {i + 1} of category {k}" for i in range(SHOWN)], limits)
        if words.mean is not None and words.spread is not None and own.any():
            summary = pictures(words.mean[None], [f"mean of the rows in category {k}"], limits)
            widest = (limits[1] - limits[0]) / 2  # no values between two limits have a larger standard deviation
            summary += pictures(words.spread[None], [f"standard deviation of the rows in category {k}"], (0.0, widest))
    else:
        rows = draw(model, NEW_ROWS if len(shown.names) > 1 else 2_000, k, mean=False)
        told = shown.most_apart(shown.values[own], shown.values, MOST_TOLD)
        figure = inline(comparison(shown, shown.values[own], rows, told))
        if shown.curve is not None:
            examples = _examples(shown, words, near)
        elif len(shown.names) <= FEW_LINES:
            table = _columns_table(shown, own, rows, near, k)
    return Category(
        label=capital(label(k, model.names_)),
        share=float(model.weights_[k]),
        count=int(own.sum()),
        judged="; ".join(filter(None, [shown.main_label(own), _known(model, k)])),
        traits=words.traits,
        nearest=list(words.typical),
        border=words.on_the_border,
        nearest_pictures=old,
        new_pictures=new,
        border_pictures=border,
        summary_pictures=summary,
        figure=figure,
        examples=examples,
        told=_told_table(words),
        table=table,
        note="" if figure is None else drawn_columns(shown, MOST_TOLD),
    )


def _rows_as_pictures(model: DeepMixture, shown: Shown, rows: np.ndarray, alts: list[str]) -> list[Picture]:
    return pictures(as_images(model, shown.values[rows]), alts, limits_of(model, shown)) if len(rows) else []


def _examples(shown: Shown, words: Described, near: np.ndarray) -> Markup | None:
    """Draw typical rows and rows on the border as curves, over mean and spread of the category."""
    assert shown.curve is not None
    if words.mean is None or words.spread is None or not len(near):
        return None
    at_border = np.searchsorted(shown.index, np.array([one.row for one in words.border], dtype=np.int64))
    rows = shown.values.reshape(-1, *shown.curve)
    groups = {"typical rows": rows[near[:FEW]], "on the border": rows[at_border[:FEW]]}
    mean, spread = (values.reshape(shown.curve) for values in (words.mean, words.spread))
    return inline(figures.examples(groups, mean, spread))


def _told_table(words: Described) -> Table | None:
    """Tabulate the columns that set a category apart, with the test behind each."""
    if not words.columns:
        return None
    lines = []
    for one in words.columns[:MOST_TOLD]:
        ends = f"{one.effect:+.2f} ({one.low:+.2f} to {one.high:+.2f})"
        here, others = (written(value, one.unit) for value in (one.here, one.others))
        lines.append((one.name, [one.measure, here, others, ends, p_value(one.p)]))
    n = len(words.columns)
    more = f"The {MOST_TOLD} columns of {n} that set it apart most" if n > MOST_TOLD else "Columns that set it apart"
    return Table(more, ["told by", "here", "others", "effect (95 %)", "corrected p"], lines)


def _columns_table(shown: Shown, own: np.ndarray, new: np.ndarray, near: np.ndarray, k: int) -> Table:
    """Tabulate means of columns in the units of the data, one line for each column."""
    columns = ["all rows", "rows here", "new rows", *(f"row {shown.index[i]}" for i in near[:1])]
    lines = []
    of_all, of_these, of_new = means(shown.values), means(shown.values[own]), means(new)
    for j, name in enumerate(shown.names):
        cells = [of_all[j], of_these[j], of_new[j], *(shown.values[i, j] for i in near[:1])]
        lines.append((name, [shown.cell(j, cell) for cell in cells]))
    return Table(f"Means in category {k}" + ", and its nearest row" * bool(len(near)), columns, lines)


def _known(model: DeepMixture, k: int) -> str:
    """Say how many rows of the fit were known to be in a category; "" of a fit without labels."""
    return "" if model.known_ is None else f"{model.known_[k]:,} known in the fit"


def categories_line(model: DeepMixture, shown: Shown, drawn: np.ndarray) -> str:
    """Say what is not drawn."""
    assert shown.categories is not None
    counts = np.bincount(shown.categories, minlength=model.n_components_)
    worth = categories_to_draw(model.weights_, counts, model.n_components_)
    rest, text = worth[len(drawn) :], ""
    if len(rest):
        share = percent(float(model.weights_[rest].sum()))
        text = (
            f"The {len(drawn)} largest are shown; {len(rest)} more in use, {share} of the training rows, are left out. "
        )
    hardly = np.setdiff1d(np.arange(model.n_components_), worth)
    if len(hardly):
        numbers = ", ".join(str(k) for k in hardly[:40]) + (", …" if len(hardly) > 40 else "")
        text += f"Hardly used and not drawn, {len(hardly)} of {model.n_components_}: {numbers}."
    return text.strip()


def overview(model: DeepMixture, shown: Shown, drawn: np.ndarray) -> Table | None:
    """Tabulate the means of all columns in all categories, if either are few; categories side by side at best."""
    if shown.categories is None or model.image_shape_ is not None or shown.curve is not None or len(drawn) < 2:
        return None
    lines = [("all rows", [percent(1.0), *shown.cells(shown.means)])]
    for k in map(int, drawn):
        cells = shown.cells(means(shown.values[shown.categories == k]))
        lines.append((label(k, model.names_), [percent(float(model.weights_[k])), *cells]))
    caption = "Means of the columns, in the units of the data; shares are of the training rows"
    names = ["share", *shown.names]
    if len(shown.names) <= FEW_COLUMNS:
        return Table(caption, names, lines)
    if len(shown.names) > FEW_LINES or len(drawn) > FEW_COLUMNS:
        return None
    across = [(name, [cells[j] for _, cells in lines]) for j, name in enumerate(names)]
    return Table(caption, [heading for heading, _ in lines], across)


def labels_table(model: DeepMixture, shown: Shown, drawn: np.ndarray) -> Table | None:
    """Tabulate how many rows of each label each category holds, if both are few."""
    if shown.labels is None or shown.categories is None or len(drawn) < 2:
        return None
    names = np.unique(shown.labels)
    if len(names) > 20:
        return None
    lines = []
    for k in map(int, drawn):
        own = shown.labels[shown.categories == k]
        counts = [int((own == name).sum()) for name in names]
        lines.append((label(k, model.names_), [f"{count:,}" if count else "·" for count in counts]))
    return Table("Rows of each label in each category", [str(name) for name in names], lines)
