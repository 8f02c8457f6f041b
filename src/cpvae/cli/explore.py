"""`cpvae explore`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cpvae.cli.options import DATA_HELP, Labels, Layer, Run, Strict, expand
from cpvae.cli.output import say

MOST_ROWS = 1_000_000


def explore(
    run: Run,
    data: Annotated[
        str | None,
        typer.Argument(metavar="[DATA]", help="The rows to show, by default those of the fit. " + DATA_HELP),
    ] = None,
    static: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.html",
            help="Write the page to one file instead, which needs no server and draws again from a stored sample.",
            callback=expand,
        ),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Split to show: train, valid or test.", show_default="the rows of the fit")
    ] = None,
    labels: Labels = None,
    layer: Layer = None,
    strict: Strict = False,
    rows: Annotated[
        int,
        typer.Option(
            help="Rows to show at most, drawn at random: fewer where rows times categories are above two million, or "
            "their values above twenty million.",
            min=3,
            max=MOST_ROWS,
        ),
    ] = 20_000,
    layout: Annotated[
        str,
        typer.Option(help="Map of the rows: pca, two axes of the code; umap, neighbours of the code; or auto."),
    ] = "auto",
    out: Annotated[
        Path | None,
        typer.Option(
            help="A .csv file for labels saved on the page.",
            show_default="explored.csv in RUN; MODEL.labels.csv beside a saved model",
            callback=expand,
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen at; beyond this machine the page needs the token that is printed.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen at.", show_default="any", min=0, max=65535)] = 0,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")] = True,
) -> None:
    """Explore a fitted model in the browser: a map of rows, categories in words, new rows, labels of your own.

    The page comes from this machine and loads nothing from elsewhere. Ctrl-C ends it. With --static it becomes a file.
    """
    from cpvae.cli.checks import check_inputs, check_out_file
    from cpvae.errors import InputError
    from cpvae.explore import check_library

    if static is not None and out is not None:
        raise InputError(
            f"--out {out} beside --static {static}: labels are saved by a page that a server gives, and a file has "
            "none; leave one of both out"
        )
    check_inputs(run, data)
    check_library()
    page = None if static is None else check_out_file(static, (".html",), run, data, labels, "--static")
    place = out or (run / "explored.csv" if run.is_dir() else run.with_name(f"{run.stem}.labels.csv"))
    file = None if page is not None else check_out_file(place, (".csv",), run, data, labels)

    from cpvae.arguments import one_of
    from cpvae.explore.opened import open_answers
    from cpvae.explore.page import document
    from cpvae.explore.server import serve
    from cpvae.files import write_atomic
    from cpvae.study.layout import LAYOUTS

    one_of("--layout", layout, LAYOUTS)
    answers = open_answers(
        run,
        data,
        labels=labels,
        layer=layer,
        split=split,
        strict=strict,
        max_rows=rows,
        layout=layout,
        out=file,
        say=say,
    )
    if page is not None:
        write_atomic(page, document(answers, live=False))
        say(f"wrote {static}")
        return

    def opened(address: str) -> None:
        if browser:
            import webbrowser

            webbrowser.open(address)

    serve(answers, host, port, say, opened)
