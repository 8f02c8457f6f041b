"""The documentation site, as far as it can be checked without building it (CI does so, by `make docs`)."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

import cpvae
from cpvae import datasets, tl
from cpvae.cli.program import app
from cpvae.data.row_kinds import KINDS
from cpvae.fitting.starts.start import STARTS
from cpvae.probability.likelihoods import NAMES

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
BESIDE = {"changelog.md": ROOT / "CHANGELOG.md", "contributing.md": ROOT / "CONTRIBUTING.md"}
PAGES = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))


def listed(navigation: Any) -> list[str]:
    """List the pages that a part of the navigation names."""
    if isinstance(navigation, str):
        return [navigation]
    parts = navigation.values() if isinstance(navigation, dict) else navigation
    return [page for part in parts for page in listed(part)]


def test_ci_builds_the_site_and_a_link_or_anchor_that_leads_nowhere_fails_the_build():
    recipe = re.search(r"^test: .*\n\t(.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert "docs" in recipe[1].split()
    assert "make test" in (ROOT / ".ci" / "run").read_text().splitlines()
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    assert settings["strict"]
    assert set(settings["validation"].values()) == {"warn"}


def test_a_search_works_from_a_disk_and_asks_for_nothing_from_elsewhere():
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    assert "offline" in settings["plugins"]
    (script,) = settings["extra"]["polyfills"]
    assert "iframe-worker" in script
    assert "Worker" in (DOCS / script).read_text()


def test_the_navigation_names_every_page_once_and_no_other():
    named = listed(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])
    assert sorted(named) == sorted([*PAGES, *BESIDE])
    assert all(path.exists() for path in BESIDE.values())


@pytest.mark.parametrize("module", [cpvae, datasets, tl], ids=lambda module: module.__name__)
def test_the_reference_has_every_public_name(module):
    text = "\n".join(path.read_text() for path in (DOCS / "api").glob("*.md"))
    shown = set(re.findall(rf"^::: {re.escape(module.__name__)}\.(\w+)$", text, re.MULTILINE))
    assert shown == set(module.__all__) - {"tl"}  # tl has a page of its own


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files(page):
    for target in re.findall(r"\]\(([^)#:]+)\)", (DOCS / page).read_text()):
        path = (DOCS / page).parent / target
        assert path.exists() or (path.parent == DOCS and path.name in BESIDE), target


def commands(page: str) -> list[list[str]]:
    """List the words of each command `cpvae` in the blocks of a page."""
    blocks = re.findall(r"```sh\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("cpvae ")]
    return [shlex.split(line, comments=True)[1:] for line in lines]


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)])
def test_commands_have_the_options_that_a_page_gives_them(page):
    command: Any = typer.main.get_command(app)
    for words in commands(page):
        one = command.commands[words[0]]
        if hasattr(one, "commands"):
            continue
        one.make_context(words[0], words[1:])  # raises for an option that is none


def test_the_example_of_the_questions_runs():
    (code,) = re.findall(r"```python\n(.*?)```", (DOCS / "faq.md").read_text(), re.DOTALL)
    exec(code, {})


@pytest.mark.parametrize(("what", "names"), [("kinds", KINDS), ("starts", STARTS), ("likelihoods", NAMES)])
def test_the_reference_names_every_choice(what, names):
    assert not {name for name in names if f'"{name}"' not in cpvae.CPVAE.__doc__}, what


def test_what_the_first_page_shows_is_what_a_run_printed():
    (shown,) = re.findall(r"```text\n(.*?)```", (DOCS / "index.md").read_text(), re.DOTALL)
    printed = (DOCS / "start.md").read_text().splitlines()
    assert all(line in printed for line in shown.splitlines())
