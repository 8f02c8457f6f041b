"""Pages whose outputs were printed by a run: each is whole, and says which commit made it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

import tutorials  # noqa: E402

PAGES = [ROOT / "docs" / "describe.md", ROOT / "docs" / "start.md", *sorted((ROOT / "docs" / "tutorials").glob("*.md"))]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_page_has_what_its_blocks_printed_and_the_commit(path):
    page = path.read_text()
    assert len(tutorials.OUTPUT.findall(page)) >= 3
    assert re.search(r"with the code of commit [0-9a-f]{10}, in \d+ min", " ".join(page.split()))
    for picture in re.findall(r"!\[[^]]*\]\(([^)]+)\)", page):
        assert (path.parent / picture).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_page_is_run_again_from_what_it_is(path):
    page = path.read_text()
    outputs = [
        match[0].strip().removeprefix("```text\n").removesuffix("\n```") for match in tutorials.OUTPUT.finditer(page)
    ]
    bare = tutorials.without_outputs(page)
    assert "```text" not in bare
    blocks = len(tutorials.CELL.findall(bare))
    assert len(outputs) <= blocks
    numbered = tutorials.with_outputs(bare, iter(map(str, range(blocks))))
    assert tutorials.without_outputs(numbered) == bare


def test_lines_that_come_as_time_goes_by_are_left_out():
    text = "about 5 s for 2 restarts, one after the other\n2 restarts took 6.1 s in all\n"
    text += "1,048 of 4,271 rows\nfitting 1/1: -bound 3.2\nasking the model about 60 of 80 rows\nwrote kinds.csv\n"
    assert tutorials.PROGRESS.sub("", text) == "asking the model about 60 of 80 rows\nwrote kinds.csv\n"
