"""Figures as files and as SVG."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from matplotlib.figure import Figure

from cpvae.errors import InputError, printable
from cpvae.files import PICTURES, write_atomic
from cpvae.study.figures.style import FAINT, INK, PAPER, style


def save(figure: Figure, path: str | Path) -> None:
    """Write a figure, all or nothing, as its suffix says: .png, .svg or .pdf.

    Raises:
        InputError: another suffix, or a path that cannot be written.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in PICTURES:
        raise InputError(f"{path}: suffix {suffix!r} is no kind of picture; use {', '.join(PICTURES)}")
    write_atomic(path, _render(figure, suffix[1:]))


def _render(figure: Figure, kind: str, **options: Any) -> bytes:
    """Draw the figure as a file, the same bytes each time: without a date, or the version that made it.

    Names of columns and levels are text in an SVG. Characters in them that XML does not have are shown as escapes.
    """
    unsaid = {"png": ("Software",), "svg": ("Date", "Creator", "Format", "Type"), "pdf": ("CreationDate",)}[kind]
    buffer = io.BytesIO()
    with style():
        figure.savefig(buffer, format=kind, metadata=dict.fromkeys(unsaid), **options)
    if kind != "svg":
        return buffer.getvalue()
    return "\n".join(map(printable, buffer.getvalue().decode().split("\n"))).encode()


def svg(figure: Figure) -> str:
    """Give a figure as SVG inside an HTML page: it takes colours from the page and refers to nothing outside.

    The page must define ``--ink``, ``--faint`` and ``--paper``, and say in which font the text is set. Text stays text,
    so that it can be searched.
    """
    root = ElementTree.fromstring(_render(figure, "svg", transparent=True))
    root.attrib = {"viewBox": root.attrib["viewBox"], "aria-hidden": "true"}
    for element in root.iter():
        element.tag = _local(element.tag)
        element.attrib = {_local(name): value for name, value in element.attrib.items()}
        if element.tag == "image":
            element.attrib["href"] = "".join(element.attrib["href"].split())  # base64 in lines
        if element.tag == "g":  # the same in every figure of a page
            element.attrib.pop("id", None)
    for part in [part for part in root if part.find("style") is not None]:
        root.remove(part)
    text = ElementTree.tostring(root, encoding="unicode")
    for colour, variable in ((INK, "--ink"), (FAINT, "--faint"), (PAPER, "--paper")):
        text = text.replace(colour, f"var({variable})")
    return text


def _local(name: str) -> str:
    """Take the namespace from a name, as HTML has it.

    >>> _local("{http://www.w3.org/2000/svg}path"), _local("style")
    ('path', 'style')
    """
    return name.rpartition("}")[2]
