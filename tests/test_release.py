"""Tests of a release: the core alone is enough for an estimator, and versions, packages and pages agree."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from contextlib import suppress
from datetime import datetime
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest
import yaml

import cpvae
from cpvae.errors import InputError
from cpvae.extras import PACKAGES, needed

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
NOT_FOR_USERS = {"browser", "all", "benchmarks", "dev", "docs", "pages", "release"}
FOR_CLUSTERS = {"dask", "ray"}  # large, and of no use on one machine
ALONE = """
import sys

class Without:
    hidden = HIDDEN

    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] in self.hidden else self.finder.find_spec(name, path, target)

sys.meta_path[:] = map(Without, sys.meta_path)
"""
WORK = """
import warnings
import numpy as np, pandas as pd
from sklearn.datasets import load_digits, load_wine
import cpvae

assert all(getattr(cpvae, name) is not None for name in cpvae.__all__)
small = {"latent_dim": 2, "hidden": (4,), "max_epochs": 1, "random_state": 0}
pictures = load_digits().images[:100] / 16
wine = load_wine(as_frame=True).frame.drop(columns="target").assign(maker=["a", "b"] * 89)
wine.iloc[::7, 0] = np.nan
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    for rows in (pictures, wine):
        model = cpvae.MoGVAE(3, **small, verbose=1) if rows is wine else cpvae.CPVAE(3, **small, init="kmeans")
        model.fit(rows, out=f"run{rows.shape[-1]}")
        model.save("saved.cpvae")
        again = cpvae.load("saved.cpvae")
        assert (again.predict(rows) == model.predict(rows)).all()
        assert len(again.sample(5)[0]) == 5
        assert str(again.describe(rows)), str(again.tree(rows))
    assert not model.impute(wine, 1)[0].isna().any().any()
    assert str(cpvae.drift(model, wine, wine))
    assert cpvae.choose_components(model, wine, [1], n_jobs=1).n_components == 1
"""


def packages(names: list[str]) -> set[str]:
    """Name the packages that some need, themselves among them."""
    found: set[str] = set()
    while names:
        name = normal(names.pop())
        if name not in found:
            found.add(name)
            with suppress(PackageNotFoundError):  # of another platform
                names += [one for one in requires(name) or () if "extra ==" not in one]
    return found


def normal(requirement: str) -> str:
    """Give the name of a package as comparisons need it."""
    return re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", requirement)[0]).lower()


def alone(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run code where nothing can be imported but the core and what it needs itself."""
    core = packages([*PROJECT["dependencies"], "cpvae"])
    others = {module for module, brought in packages_distributions().items() if not core & {*map(normal, brought)}}
    hidden = sorted((others | {*PACKAGES}) - {"cpvae"})
    return subprocess.run(
        [sys.executable, "-c", ALONE.replace("HIDDEN", repr(hidden)) + code],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_without_its_packages_says_what_to_install(tmp_path):
    ended = alone("import runpy; runpy.run_module('cpvae', run_name='__main__')", tmp_path)
    said = "error: the command cpvae needs typer, which is not installed; pip install 'cpvae[cli]'\n"
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, "", said)


MISSING = {  # what is asked for: what is said
    "cpvae.choose_components(model, wine, [1], out='choice')": "drawing pictures needs matplotlib, {}[report]'",
    "import cpvae.study.report.page": "a report needs jinja2, {}[report]'",
    "import cpvae.study.comparison": "a page of a comparison needs jinja2, {}[report]'",
    "load('a.parquet')": "a.parquet: a parquet file needs pyarrow, {}[parquet]'",
    "load('*.parquet')": "*.parquet: a parquet file needs pyarrow, {}[parquet]'",
    "load('a.xlsx')": "a.xlsx: an Excel workbook needs openpyxl, {}[tables]'",
    "load('a.arff')": "a.arff: an ARFF file needs liac-arff, {}[tables]'",
    "load('a.h5ad')": "a.h5ad: reading it needs h5py, {}[cells]'",
    "load('pictures')": "pictures/a.png: reading it needs pillow, {}[images]'",
    "load('mnist')": "finding the cache without CPVAE_DATA needs pooch, {}[cli]'",
    "load('mnist', root=Path('here'))": "mnist: downloading it needs pooch, {}[cli]'",
}


def test_the_core_alone_is_enough_for_an_estimator_and_says_what_else_to_install(tmp_path):
    for name in ("a.parquet", "a.xlsx", "a.arff", "a.h5ad", "pictures/a.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x" * 100)
    asked = "".join(f"try:\n    {one}\nexcept cpvae.InputError as error:\n    print(error)\n" for one in MISSING)
    ended = alone(f"{WORK}\nfrom pathlib import Path\nfrom cpvae.datasets import load\n{asked}", tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert "fitting 1/1: -bound" in ended.stderr  # in lines, where there is nothing to draw a bar
    expected = [said.format("which is not installed; pip install 'cpvae") for said in MISSING.values()]
    assert ended.stdout.splitlines() == expected
    assert not (tmp_path / "choice").exists()


def test_the_packages_of_extras_are_those_of_the_project():
    for package, extra in PACKAGES.values():
        assert normal(package) in {normal(one) for one in EXTRAS[extra]}, (package, extra)


def test_all_has_every_extra_for_users():
    everything, names = set(), ["all"]
    while names:
        extra = names.pop()
        everything.add(extra)
        for one in EXTRAS[extra]:
            if one.startswith("cpvae["):
                names += re.search(r"\[(.*)\]", one)[1].split(",")
    assert everything == EXTRAS.keys() - NOT_FOR_USERS - FOR_CLUSTERS | {"all"}


def test_the_wheel_has_the_package_and_nothing_else(tmp_path):
    source, files = tmp_path / "source", [one for one in (ROOT / "src" / "cpvae").rglob("*") if one.is_file()]
    shutil.copytree(ROOT / "src", source / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = "from setuptools.build_meta import build_wheel as build; print(build('..'))"
    done = subprocess.run([sys.executable, "-c", build], cwd=source, capture_output=True, text=True, check=True)
    with zipfile.ZipFile(tmp_path / done.stdout.splitlines()[-1]) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
        wheel.extractall(tmp_path / "installed")
    expected = {one.relative_to(ROOT / "src").as_posix() for one in files if "__pycache__" not in one.parts}
    assert names == expected
    used = f"import sys; sys.path.insert(0, {str(tmp_path / 'installed')!r}); import cpvae; print(cpvae.__file__)"
    done = subprocess.run([sys.executable, "-I", "-c", used], capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()).is_relative_to(tmp_path / "installed")


def test_the_recipe_for_conda_asks_for_the_same():
    recipe = yaml.safe_load((ROOT / "recipe" / "recipe.yaml").read_text().replace("${{", "$").replace("}}", ""))
    there = {"torch": "pytorch", "matplotlib": "matplotlib-base", "ray": "ray-core"}

    def asked(requirements: list[str]) -> dict[str, set[str]]:
        parts = [re.fullmatch(r"([\w.-]+) ?(.*)", one).groups() for one in requirements if "cpvae[" not in one]
        return {normal(there.get(name, name)): set(versions.split(",")) for name, versions in parts}

    own = {**asked(PROJECT["dependencies"]), **asked(EXTRAS["cli"] + EXTRAS["report"] + EXTRAS["images"])}
    python = {"python": {PROJECT["requires-python"]}}
    assert asked(recipe["requirements"]["run"]) == own | python
    optional = {name: one for extra in EXTRAS.keys() - NOT_FOR_USERS for name, one in asked(EXTRAS[extra]).items()}
    assert asked(recipe["requirements"]["run_constraints"]) == {k: v for k, v in optional.items() if k not in own}
    assert recipe["context"]["version"] == cpvae.__version__
    assert recipe["about"] == {
        "license": PROJECT["license"],
        "license_file": PROJECT["license-files"][0],
        "summary": PROJECT["description"],
    }
    scripts = [f"{name} = {place}" for name, place in PROJECT["scripts"].items()]
    assert recipe["build"]["python"]["entry_points"] == scripts


def test_one_version():
    assert PROJECT["dynamic"] == ["version"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == cpvae.__version__
    newest = re.search(r"^## (\S+), (\d+ \w+ \d{4})$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest[1] == cpvae.__version__
    assert datetime.strptime(newest[2], "%d %B %Y").date() == citation["date-released"]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ModuleNotFoundError("No module named 'openpyxl'", name="openpyxl"), "this needs openpyxl, which is not inst"),
        (ImportError("Missing optional dependency 'pyarrow'. Use pip"), "this needs pyarrow, which is not installed"),
        (ImportError("cannot import name '_imaging' from 'PIL'", name="PIL"), "be imported (cannot import name '_imag"),
        (ImportError("libfoo.so: no file in /home/rich/lib"), "cannot be imported (libfoo.so: no file in /home/rich/l"),
        (ImportError("Numba needs NumPy 2.3 or less"), "cannot be imported (Numba needs NumPy 2.3 or less); install"),
    ],
)
def test_what_is_missing_is_named_and_what_is_broken_is_told(error, said):
    with pytest.raises(InputError, match=re.escape(said)), needed("this"):
        raise error
