"""Hooks that MkDocs calls by their names while it builds the site (mkdocs.yml).

The pages are also read beside the code, where links lead to files outside `docs/`. The site gets a copy of such a file
in its folder `files/`, and the link follows it. A folder becomes a page that lists its files.
"""

from __future__ import annotations

import html
import os
import re
from pathlib import Path
from typing import Any

import typer
from latex2mathml.converter import convert
from mkdocs.structure.files import File, Files
from typer.cli import get_docs_for_click

from cpvae.cli.program import app

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
OUTSIDE = {"changelog.md": "CHANGELOG.md", "contributing.md": "CONTRIBUTING.md"}  # pages that lie beside docs/
PLACES = {outside: page for page, outside in OUTSIDE.items()} | {"README.md": "index.md"}
LINK = re.compile(r"(?<=\]\()(?!\w+:)([^)#\s]+)")
UNSEARCHED = "---\nsearch: {exclude: true}\n---\n"
COMMAND_LINE = "<!-- command line -->"
EQUATION = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)


def on_files(files: Files, config: Any) -> Files:
    """Add the pages beside `docs/`, and the files that pages link to."""
    for page, outside in OUTSIDE.items():
        files.append(File.generated(config, page, content=(ROOT / outside).read_text()))
    for file in list(files.documentation_pages()):
        for link in LINK.findall(file.content_string):
            _add(_target(file.src_uri, link), files, config)
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Let links lead to places of the site, and write down the command line."""
    own = page.file.src_uri
    if own.startswith("files/"):
        return markdown
    linked = LINK.sub(lambda link: _in_site(own, link[0]), markdown)
    return linked.replace(COMMAND_LINE, _command_line()) if COMMAND_LINE in linked else linked


def on_page_content(content: str, **_: Any) -> str:
    """Turn equations into MathML, which browsers draw without a script."""
    return EQUATION.sub(lambda one: f"<{one[1]} class=equation>{_mathml(one[2], one[1])}</{one[1]}>", content)


def _mathml(equation: str, element: str) -> str:
    """Convert TeX; names of functions stand apart from what follows."""
    made = convert(html.unescape(equation), display="block" if element == "div" else "inline")
    return re.sub(r"<mi>(log|exp)</mi>", r'<mi>\1</mi><mspace width="0.17em" />', made)


def _target(own: str, link: str) -> Path:
    """Find the file or folder that a link leads to, on the page as it lies beside the code."""
    page = ROOT / OUTSIDE[own] if own in OUTSIDE else DOCS / own
    return Path(os.path.normpath(page.parent / link))


def _is_known(target: Path) -> bool:
    return target.exists() and target.is_relative_to(ROOT)


def _place(target: Path) -> str:
    """Find the place of a file or folder in the site."""
    if target.is_relative_to(DOCS):
        return target.relative_to(DOCS).as_posix()
    name = target.relative_to(ROOT).as_posix()
    return PLACES.get(name, f"files/{name}" + "/index.md" * target.is_dir())


def _in_site(own: str, link: str) -> str:
    """Change a link so that it leads to its target in the site; MkDocs warns of one that leads nowhere."""
    target = _target(own, link)
    return os.path.relpath(_place(target), os.path.dirname(own)) if _is_known(target) else link


def _add(target: Path, files: Files, config: Any) -> None:
    """Add a file, or a folder with a page that lists its files, unless it is a part of the site."""
    if not _is_known(target) or files.get_file_from_path(_place(target)) is not None or target.is_relative_to(DOCS):
        return
    if target.is_file():
        files.append(File.generated(config, _place(target), abs_src_path=str(target)))
        return
    inside = [path for path in sorted(target.rglob("*")) if path.is_file() and "__pycache__" not in path.parts]
    names = [path.relative_to(target).as_posix() for path in inside]
    listed = "\n".join(f"- [{name}]({name})" for name in names)
    files.append(
        File.generated(config, _place(target), content=f"{UNSEARCHED}# {target.relative_to(ROOT)}\n\n{listed}\n")
    )
    for path in inside:
        _add(path, files, config)


def _command_line() -> str:
    """List all commands, then write down each with its options, as typer knows them."""
    group: Any = typer.main.get_command(app)
    listed, parts = [], []
    for name, command in group.commands.items():
        listed.append(f"- [`cpvae {name}`](#cpvae-{name}): {command.help.splitlines()[0]}")
        parts.append(get_docs_for_click(obj=command, ctx=typer.Context(command), name=name, call_prefix="cpvae"))
    text = re.sub(r"^#+ `(.+)`$", r"## \1", "\n".join(parts), flags=re.MULTILINE)
    return "\n".join(listed) + "\n\n" + re.sub(r"(?<![*\n])\*(?!\*)", r"\*", text)
