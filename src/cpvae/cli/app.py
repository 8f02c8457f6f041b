"""The two groups of commands."""

from __future__ import annotations

import typer

app = typer.Typer(
    help="Fit deep mixture models to unlabelled rows, find the source of each row, and draw new rows from a source.",
    add_completion=False,
    pretty_exceptions_enable=False,
    epilog="Begin with: cpvae fit digits --out runs/digits",
)
data_app = typer.Typer(help="List, fetch and verify the named data sets.")
app.add_typer(data_app, name="data")
