"""A run and its data, opened for the page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cpvae.errors import already_said
from cpvae.explore.answers import Answers
from cpvae.explore.seen import see
from cpvae.study.answers import names_of_rows
from cpvae.study.evaluation import choose_split
from cpvae.study.inputs import choose_split_for_fit, open_run, rows_of, tell_notes
from cpvae.study.places import about_of, data_there


def open_answers(
    run: Path,
    source: str | None = None,
    *,
    labels: str | None = None,
    layer: str | None = None,
    split: str | None = None,
    strict: bool = False,
    max_rows: int = 20_000,
    layout: str = "auto",
    out: Path | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Answers:
    """Open a fitted model with rows, by default those of its fit, for `cpvae.explore.page.document`.

    Args:
        run: folder of a run, or a saved model.
        source: the rows, as on the command line.
        labels: their place, by default that of the fit if the rows are those of the fit.
        split: by default that of the fit.
        max_rows, layout: as for `cpvae.explore.seen.see`.
        out: file for labels that are saved on the page.
        say: is told what was read, and what takes long.

    Raises:
        InputError: as for `cpvae.study.inputs.open_run`, `choose_split` and `see`; a model that does not say what it
            was fitted on, without a source.
    """
    if source is None:
        source, of_fit = data_there(run, about_of(run), "give the rows after it: cpvae explore RUN DATA")
        labels = labels or of_fit
    model, data, read = open_run(run, source, labels, layer, strict, say)
    name = choose_split_for_fit(data) if split is None else choose_split(data, split)
    tell_notes(data, say)
    with already_said():
        seen = see(
            model,
            rows_of(data, name),
            data_name=data.name,
            rows_name="" if name == "all" else name,
            labels=data.splits[name].y,
            names=names_of_rows(model, read, name),
            max_rows=max_rows,
            layout=layout,
            say=say,
        )
    return Answers(seen, out, run)
