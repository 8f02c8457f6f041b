"""Execute the pages of `docs/` that show what commands and code print, and put what they print below them.

python benchmarks/tutorials.py docs/tutorials/customers.md

A page is Markdown, which jupytext reads as a notebook: blocks of ```python and ```sh are its cells. They run in the
order of the page, in one kernel, in a folder that begins with the data sets of the page alone. What a block prints
stands below it as a block of ```text, and pictures that the page shows are copied beside it. The last line says which
commit made all this.

Needs `pip install -e '.[pages]'`, and for most pages data sets in `CPVAE_DATA`. A page without its data stays as it is,
and a line says so.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
DATA = {  # what the page calls a file: where it is below `CPVAE_DATA`
    "credit_data.csv": "field/tables/credit_data.csv",
    "penguins.csv": "field/tables/penguins.csv",
    "pbmc.h5": "field/cells/10X_PBMC_top2000.h5",
    "BasicMotions_TRAIN.ts": "field/signals/BasicMotions_TRAIN.ts",
    "BasicMotions_TEST.ts": "field/signals/BasicMotions_TEST.ts",
    "COIL20.mat": "field/images/COIL20.mat",
    "BASEHOCK.mat": "field/text/BASEHOCK.mat",
}
KERNEL = "---\njupyter:\n  kernelspec:\n    display_name: Python 3\n    language: python\n    name: python3\n---\n\n"
CELL = re.compile(r"^```(?:python|sh)\n.*?^```\n", re.DOTALL | re.MULTILINE)
OUTPUT = re.compile(r"(?<=^```\n)\n(`{3,})text\n.*?^\1\n", re.DOTALL | re.MULTILINE)
PROGRESS = re.compile(  # lines that come as time goes by, which differ from run to run
    r"^(?:fitting|finding a start)[: ].*\n|^about .* for (?:a start|\d+ restarts).*\n|^.*then fitting for about.*\n"
    r"|^\d+ restarts took .*\n|^[\d,]+ of [\d,]+ rows\n",
    re.MULTILINE,
)
QUIET = """
import os, warnings
os.environ.pop("FORCE_COLOR", None)  # the kernel sets it, and a progress bar then takes a pipe for a terminal
warnings.formatwarning = lambda message, category, *rest: f"{category.__name__}: {message}\\n"
"""  # a cell before the first one, which the page does not show
MADE = re.compile(r"\n<!-- made -->\n.*?<!-- /made -->\n", re.DOTALL)


def without_outputs(page: str) -> str:
    """Take what was printed, and the last line, from a page.

    >>> without_outputs("```python\\nprint(1)\\n```\\n\\n```text\\n1\\n```\\n\\nWords.\\n")
    '```python\\nprint(1)\\n```\\n\\nWords.\\n'
    """
    return MADE.sub("", OUTPUT.sub("", page))


def with_outputs(page: str, outputs: Iterator[str]) -> str:
    """Put what each block printed below it, in a fence that is longer than those within.

    >>> with_outputs("```python\\nprint(1)\\n```\\n\\nWords.\\n", iter(["1"]))
    '```python\\nprint(1)\\n```\\n\\n```text\\n1\\n```\\n\\nWords.\\n'
    >>> page = with_outputs("```python\\nprint(1)\\n```\\n", iter(["```python\\n2\\n```"]))
    >>> without_outputs(page)
    '```python\\nprint(1)\\n```\\n'
    """

    def below(match: re.Match[str]) -> str:
        text = next(outputs)
        fence = "````" if "```" in text else "```"
        return match[0] + (f"\n{fence}text\n{text}\n{fence}\n" if text else "")

    return CELL.sub(below, page)


def executed(page: str, folder: Path) -> list[Any]:
    """Run the blocks of a page in a folder; give the cells with their outputs. A block that fails raises."""
    import jupytext
    import nbformat
    from nbclient import NotebookClient

    notebook = jupytext.reads(KERNEL + page, fmt="md")
    notebook.cells.insert(0, nbformat.v4.new_code_cell(QUIET))
    NotebookClient(
        notebook, timeout=3600, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    ).execute()
    return [cell for cell in notebook.cells[1:] if cell.cell_type == "code"]


def printed(cell: Any) -> str:
    """Give what a cell printed, and the value of its last line, as text; a figure is none."""
    parts = [
        output["text"] if output.output_type == "stream" else output["data"]["text/plain"]
        for output in cell.outputs
        if "image/png" not in output.get("data", {})
    ]
    return PROGRESS.sub("", "".join(parts)).strip("\n")


def made(seconds: float) -> str:
    """Say which commit made the outputs of a page, and how long it took.

    Raises:
        SystemExit: there are changes that no commit has.
    """
    changed = _git("status", "--porcelain", "src")
    if changed:
        raise SystemExit(f"changes that no commit has:\n{changed}commit them first: the page says which commit made it")
    commit = _git("rev-parse", "--short=10", "HEAD").strip()
    return (
        "\n<!-- made -->\nWhat the blocks print was printed by `python benchmarks/tutorials.py`, with the code of "
        f"commit {commit}, in {max(1, round(seconds / 60))} min.\n<!-- /made -->\n"
    )


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, check=True, text=True, capture_output=True).stdout


def main() -> None:
    """Execute the pages that are named."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("pages", nargs="+", type=Path)
    for path in parser.parse_args().pages:
        made(0.0)
        page = without_outputs(path.read_text())
        data = Path(os.environ.get("CPVAE_DATA", "."))
        needed = {name: data / place for name, place in DATA.items() if name in page}
        absent = [str(place) for place in needed.values() if not place.exists()]
        if absent:
            print(f"{path}: left out, as there is no {' and no '.join(absent)}; set CPVAE_DATA", file=sys.stderr)
            continue
        begin = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            for name, place in needed.items():
                (shutil.copytree if place.is_dir() else shutil.copy)(place, Path(folder, name))
            cells = executed(page, Path(folder))
            for picture in re.findall(r"!\[[^]]*\]\(([^/)]+\.png)\)", page):
                shutil.copy(Path(folder, picture), path.parent / picture)
        seconds = time.monotonic() - begin
        path.write_text(with_outputs(page, iter(map(printed, cells))) + made(seconds))
        print(f"{path}: {len(cells)} blocks in {seconds:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
