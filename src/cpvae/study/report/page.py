"""The page put together from its parts, and written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from cpvae.arguments import as_path
from cpvae.estimators.contract import DeepMixture
from cpvae.files import write_atomic
from cpvae.fitting import runs
from cpvae.study import figures
from cpvae.study.findings import findings
from cpvae.study.report.assessed import assessed
from cpvae.study.report.categories import categories_line, category, labels_table, overview
from cpvae.study.report.numbers import key_numbers
from cpvae.study.report.overall import (
    diagnosis,
    kl_figure,
    latent_space,
    new_rows,
    reconstructions,
    tree_of_categories,
)
from cpvae.study.report.parts import Fact
from cpvae.study.report.pictures import inline
from cpvae.study.report.shown import MAX_ROWS, categories_to_draw, look_at
from cpvae.study.report.words import bounds_text, commands, facts, headline, reliance, rows_line, summary
from cpvae.study.templates import template
from cpvae.words.phrases import percent


def write_report(
    model: DeepMixture,
    X: ArrayLike,
    *,
    path: str | Path,
    data_name: str,
    labels: ArrayLike | None = None,
    rows_name: str = "",
    config: Mapping[str, Any] | None = None,
    feature_names: Sequence[str] | None = None,
    run: str | Path | None = None,
    max_rows: int = MAX_ROWS,
    layout: str = "pca",
    say: Callable[[str], None] = lambda text: None,
) -> Path:
    """Write the page of a fitted model.

    Args:
        model: fitted.
        X: rows to show and to measure on, as the model takes them; only `max_rows` of them, drawn with a fixed seed.
        path: where the page goes.
        data_name: what the data are called.
        labels: of the rows, ``(n,)``, any type; used to judge, never to fit.
        rows_name: which rows these are, such as "test".
        config: of the run (``config.json``).
        feature_names: of the columns, by default those the model or the rows bring.
        layout: of the map (`cpvae.study.layout.lay_out`).
        run: the run folder, for the commands at the end; by default the folder of `path` if it is one.
        say: is told the sentences on the categories that the page begins with, once it is written.

    Returns:
        `path`.

    Raises:
        InputError: rows the model cannot take, labels of another length, a path that cannot be written.
    """
    path = as_path("path", path)
    if run is None and (path.parent / runs.CONFIG).is_file():
        run = path.parent
    told: list[str] = []
    page = render(
        model,
        X,
        data_name=data_name,
        labels=labels,
        rows_name=rows_name,
        config=config,
        feature_names=feature_names,
        run=run,
        max_rows=max_rows,
        layout=layout,
        say=told.append,
    )
    write_atomic(path, page)
    for sentence in told:
        say(sentence)
    return path


def render(
    model: DeepMixture,
    X: ArrayLike,
    *,
    data_name: str,
    labels: ArrayLike | None = None,
    rows_name: str = "",
    config: Mapping[str, Any] | None = None,
    feature_names: Sequence[str] | None = None,
    run: str | Path | None = None,
    max_rows: int = MAX_ROWS,
    layout: str = "pca",
    say: Callable[[str], None] = lambda text: None,
) -> str:
    """Make the page as text; arguments are those of `write_report`."""
    check_is_fitted(model)
    config = config or {}
    shown = look_at(model, X, labels, feature_names, max_rows)
    drawn = np.array([], np.int64)
    if shown.categories is not None:
        drawn = categories_to_draw(model.weights_, np.bincount(shown.categories, minlength=model.n_components_))
    sentences = [] if shown.description is None else [shown.description[int(k)].in_words for k in drawn]
    for sentence in sentences:
        say(sentence)
    found = findings(model, shown.evaluation, shown.values)
    context = {
        "data_name": data_name,
        "headline": headline(model, config),
        "summary": summary(model, shown),
        "rows_line": rows_line(shown, rows_name),
        "sentences": sentences,
        **tree_of_categories(shown),
        "numbers": list(key_numbers(model, shown)),
        "facts": list(facts(model, shown, config)),
        "settings": [Fact(name, str(value)) for name, value in sorted(model.get_params().items())],
        "findings": found,
        "reliance": list(reliance(model, len(found))),
        "bounds": inline(figures.bound_curves(model.history_, model.best_epoch_)) if model.history_ else None,
        "kl": inline(kl_figure(model)) if model.history_ else None,
        "diagnosis": diagnosis(model),
        "bounds_text": bounds_text(model),
        "is_image": model.image_shape_ is not None,
        "has_categories": shown.categories is not None,
        "categories": [category(model, shown, int(k)) for k in drawn],
        "categories_line": categories_line(model, shown, drawn) if shown.categories is not None else "",
        "odd_line": "" if shown.description is None else shown.description.odd_ones,
        "overview": overview(model, shown, drawn),
        "labels_table": labels_table(model, shown, drawn),
        **new_rows(model, shown),
        "assessed": None if run is None else assessed(Path(run)),
        **reconstructions(model, shown),
        **latent_space(shown, layout),
        "commands": commands(model, run, config),
    }
    return template("cpvae.study.report", "page.html.j2", percent=percent).render(context)
