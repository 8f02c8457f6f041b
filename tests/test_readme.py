"""Everything that a reader of the README may copy, run."""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import sys
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest

from cpvae.fitting.starts.start import STARTS
from test_cli import done

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "cpvae"
README = (ROOT / "README.md").read_text()
USE = (ROOT / "docs" / "use.md").read_text()


def blocks(language: str, page: str = README) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600, check=False
    )


def shorter(text: str) -> str:
    """Have fits of an example train for one epoch, and jobs follow each other."""
    text = re.sub(r"(--epochs |max_epochs=)\d+", r"\g<1>1", text)
    return re.sub(r"^cpvae (choose|compare) ", r"\g<0>--jobs 1 ", text, flags=re.MULTILINE)


@pytest.fixture
def _quick_start(monkeypatch):
    """Start images by k-means, and judge them after few steps: the README's commands have the start of every user."""
    monkeypatch.setitem(STARTS, "edges", STARTS["kmeans"])
    monkeypatch.setattr("cpvae.study.classifier.STEPS", (40, 40))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("_quick_start")
def test_the_python_example_runs(tmp_path, monkeypatch):
    (code,) = blocks("python")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(shorter(code), names)
    assert names["new_rows"].shape == (64, 1, 8, 8)
    assert (names["same"] == names["categories"]).all()
    assert len(code.strip().splitlines()) <= 12


def all_run(lines: str, folder: Path, *left: str) -> None:
    """Run commands one after the other; see that they leave these files."""
    with chdir(folder):
        for line in shorter(lines).strip().splitlines():
            done(*shlex.split(line, comments=True)[1:])
    for name in left:
        assert (folder / name).stat().st_size > 100, name


@pytest.mark.usefixtures("few_rows")
def test_the_commands_of_the_readme_run(tmp_path):
    _, lines = blocks("sh")
    *first, sample, report = lines.strip().splitlines()
    run_folder = [f"runs/digits/{name}" for name in ("report.html", "samples.png", "metrics.json")]
    all_run("\n".join([*first, report]), tmp_path, "labels.csv", *run_folder)
    shown = run(["bash", "-c", sample], tmp_path)  # as a reader types it
    assert shown.returncode == 0, shown.stderr
    assert (tmp_path / "new.png").stat().st_size > 100


LEFT = (
    ("runs/choice/choice.png",),
    ("new.csv",),
    ("runs/compare/comparison.html",),
    ("runs/refined/metrics.json",),
    ("docs/reproduction.md",),
)


FEWER = ("cpvae,vamp,mog --components 10 --seeds 2", "cpvae,vamp --components 10 --seeds 1")  # two fits for six


@pytest.mark.usefixtures("_quick_start", "few_rows")
@pytest.mark.parametrize(
    ("lines", "left"),
    list(zip(blocks("sh", USE), LEFT, strict=True)),
    ids=["choose", "table", "compare", "refine", "paper"],
)
def test_the_commands_of_the_page_on_use_run(lines, left, tmp_path):
    (kinds,) = blocks("json", USE)
    (tmp_path / "kinds.json").write_text(kinds)
    for name in ("experiments", "results"):  # of a checkout
        (tmp_path / name).symlink_to(ROOT / name)
    all_run(lines.replace(*FEWER), tmp_path, *left)


def test_the_readme_is_short_and_has_one_picture():
    assert len(README.splitlines()) <= 120
    assert README.count("![") == 1
    assert len(blocks("sh")[1].strip().splitlines()) == 5


def test_make_commands_of_the_readme_exist():
    first = blocks("sh")[0]
    targets = re.findall(r"^make (\w+)", first, re.MULTILINE)
    assert targets == ["demo", "test"]
    makefile = (ROOT / "Makefile").read_text()
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)


def test_help_is_quick_and_does_not_import_torch(tmp_path):
    code = """
import sys
sys.argv = ["cpvae", "--help"]
from cpvae.cli import program
try:
    program.main()
except SystemExit:
    pass
assert not {"torch", "sklearn", "matplotlib", "pandas"} & set(sys.modules)
"""
    done = run([sys.executable, "-c", code], tmp_path)
    assert done.returncode == 0, done.stderr
    for command in ("fit", "evaluate", "cluster", "sample", "report", "data"):
        assert command in done.stdout


@pytest.mark.parametrize("path", ["CHANGELOG.md", "CONTRIBUTING.md", "README.md"])  # tests/test_site.py has docs/
def test_links_between_documents_lead_somewhere(path):
    text = (ROOT / path).read_text()
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (ROOT / path).parent.joinpath(target).exists(), target


@pytest.mark.parametrize(
    "path", sorted(str(path.relative_to(ROOT)) for path in [ROOT / "README.md", *ROOT.glob("docs/*.md")])
)
def test_lines_of_a_table_have_as_many_cells_as_its_heading(path):
    cells = None
    for line in (ROOT / path).read_text().splitlines():
        if not line.startswith("|"):
            cells = None
            continue
        found = len(re.findall(r"(?<!\\)\|", line))
        cells = cells or found
        assert found == cells, line


def test_the_results_in_the_readme_are_those_of_the_result_files():
    sys.path.insert(0, str(ROOT / "benchmarks"))
    import render

    for name, rendered in render.PAGES.items():
        page = (ROOT / name).read_text()
        assert rendered(page) == page, f"{name}: run python benchmarks/render.py"


def test_imports_point_from_the_bottom_of_the_list_of_rings_to_its_top():
    lines = (line for line in (ROOT / "CONTRIBUTING.md").read_text().splitlines() if line.startswith("| `"))
    listed = [re.findall(r"`([a-z_]+)(?:\.py|/)`", line.split("|")[1]) for line in lines]
    place = {name: i for i, names in enumerate(listed) for name in names}
    files = [path for path in SOURCE.rglob("*.py") if not path.name.startswith("__") or path.parent != SOURCE]
    assert {path.relative_to(SOURCE).parts[0].removesuffix(".py") for path in files} == set(place)
    for path in files:
        own = place[path.relative_to(SOURCE).parts[0].removesuffix(".py")]
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in ("cpvae", "paper"):
                parts = (node.module or "").split(".")[1:2] or [alias.name for alias in node.names]
                assert all(place.get(part, -1) <= own for part in parts), (path.name, parts)
