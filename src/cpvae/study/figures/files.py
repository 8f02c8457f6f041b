"""Figures as files and as SVG."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from cpvae.errors import InputError
from cpvae.files import write_atomic
from cpvae.study.figures.style import FAINT, INK, PAPER, _style

SUFFIXES = (".png", ".svg", ".pdf")


def save(figure: Figure, path: str | Path) -> None:
    """Write a figure, all or nothing, as its suffix says: .png, .svg or .pdf.

    Raises:
        InputError: another suffix, or a path that cannot be written.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"{path}: suffix {suffix!r} is no kind of picture; use {', '.join(SUFFIXES)}")
    write_atomic(path, _render(figure, suffix[1:]))


def _render(figure: Figure, kind: str, **options: Any) -> bytes:
    """The figure as a file, the same bytes each time."""
    dates: dict[str, Any] = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[kind]
    buffer = io.BytesIO()
    with _style():
        figure.savefig(buffer, format=kind, metadata=dates, **options)
    return buffer.getvalue()


def svg(figure: Figure) -> str:
    """A figure to stand inside an HTML page: it takes colours from the page and refers to nothing outside.

    The page must define ``--ink``, ``--faint`` and ``--paper``. Text stays text, so that it can be searched.
    """
    text = _render(figure, "svg", transparent=True).decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<style type=\"text/css\">.*?</style>|<!--.*?-->", "", text, flags=re.S)
    text = re.sub(r' xmlns(:xlink)?="[^"]*"| version="1.1"', "", text).replace("xlink:href", "href")
    text = re.sub(r"font-family: [^;]*, sans-serif; ", "", text)  # the page says which
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    text = re.sub(r'^<svg width="[\d.]+pt" height="[\d.]+pt"', '<svg aria-hidden="true"', text)
    for colour, variable in ((INK, "--ink"), (FAINT, "--faint"), (PAPER, "--paper")):
        text = text.replace(colour, f"var({variable})")
    return re.sub(r"\s*\n\s*", "\n", text).strip()
