"""`cpvae compare`: its table against its files, resuming, jobs that do not depend on each other, bad input."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import torch

import cpvae
from conftest import FEW, effort
from cpvae import InputError
from cpvae.estimators import learning
from cpvae.fitting import loop, runs
from cpvae.study.compare import (
    EVALUATION,
    PAGE,
    RESULT,
    TABLE,
    Common,
    Entry,
    Protocol,
    compare_models,
    entries_of,
    run_entry,
)
from cpvae.study.comparison import COLUMNS, cell, shown_columns
from cpvae.study.evaluation import evaluate_model
from cpvae.study.held_out import hold_out, with_held_out
from cpvae.study.inputs import load_data
from test_cli import call, done, refused, stopping, tree

OPTIONS = ("--epochs", "2", "--hidden", "8", "--latent-dim", "2", "--importance-samples", "5")
MODELS = ("--models", "vae,cpvae", "-k", "2,3")
JUDGED = {
    f"{key}{how}" for key in ("purity", "classes_covered", "coverage", "frechet_distance") for how in ("", "_drawn")
}
PARAMS = {"max_epochs": 2, "hidden": (8,), "latent_dim": 2}


def rows(n: int = 120) -> tuple[np.ndarray, np.ndarray]:
    """Draw three groups of rows in four columns, and the group of each row."""
    random = np.random.RandomState(0)
    labels = np.arange(n) % 3
    return (random.normal(size=(3, 4))[labels] * 4 + random.normal(size=(n, 4))).astype("f4"), labels


def write(path: Path, y: np.ndarray | None = None) -> None:
    x, labels = rows()
    np.savez(path, x=x, y=labels if y is None else y)


def weights(folder: Path) -> dict[str, bytes]:
    return {name: value.numpy().tobytes() for name, value in cpvae.load(folder).model_.state_dict().items()}


def models(out: Path) -> dict[str, tuple[int, bytes]]:
    """List the fitted models of a comparison: the time of writing and the bytes of each."""
    return {path.parent.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in out.glob(f"*/{runs.MODEL}")}


def with_little_effort(entry: Entry, common: Common) -> dict[str, Any]:
    """Do an entry in another process as this one does."""
    with pytest.MonkeyPatch.context() as patch:
        effort(patch, FEW)
        return run_entry(entry, common)


def figures(comparison: dict[str, Any]) -> list[Any]:
    """Take the figures that do not depend on the clock."""
    return [{key: value for key, value in run.items() if key != "seconds"} for run in comparison["runs"]]


@pytest.fixture(scope="module", autouse=True)
def _a_quick_judge() -> Iterator[None]:
    """Judge rows after few steps of training: what is compared is asked here, not how well it is judged."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cpvae.study.classifier.STEPS", (50, 50))
        yield


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder to work in, with labelled rows."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "t.npz")
    return tmp_path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compare VAE and CP-VAE with two seeds, and keep the output of `--json`."""
    folder = tmp_path_factory.mktemp("made")
    write(folder / "t.npz")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        answer = done("compare", "t.npz", *MODELS, *OPTIONS, "--seeds", 2, "--jobs", 1, "--out", "cmp", "--json")
    (folder / "printed").write_text(answer.out)
    return folder


@pytest.fixture
def shop(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copy the comparison with its times of writing."""
    subprocess.run(["cp", "-rp", str(made), str(tmp_path / "shop")], check=True)
    monkeypatch.chdir(tmp_path / "shop")
    return tmp_path / "shop"


AGAIN = ("compare", "t.npz", *MODELS, *OPTIONS, "--seeds", 2, "--jobs", 1, "--out", "cmp")


# -- the table -------------------------------------------------------------------------------------------------------


def test_every_cell_is_what_the_files_of_its_runs_say(made):
    comparison = json.loads((made / "printed").read_text())
    assert comparison == json.loads((made / "cmp" / RESULT).read_text())
    names = [f"{model}-seed{seed}" for seed in (0, 1) for model in ("vae", "cpvae-k2", "cpvae-k3")]
    assert [run["run"] for run in comparison["runs"]] == names
    assert sorted(path.parent.name for path in made.glob(f"cmp/*/{runs.CONFIG}")) == sorted(names)
    by_name = {run["run"]: run for run in comparison["runs"]}
    for row in comparison["rows"]:
        part = f"{row['model']}-k{row['components']}" if row["components"] else row["model"]
        assert row["runs"] == [f"{part}-seed{seed}" for seed in row["seeds"]] == [f"{part}-seed0", f"{part}-seed1"]
        for column in COLUMNS:
            kept = [json.loads((made / "cmp" / run / EVALUATION).read_text())["values"] for run in row["runs"]]
            assert kept == [by_name[run] for run in row["runs"]]
            values = [one[column.key] for one in kept if column.key in one]
            found = row["cells"].get(column.key)
            if not values:
                assert found is None
                continue
            if row["model"] == "vae" and column.key in ("accuracy", "purity", "components_used"):
                assert found is None
                continue
            assert found["values"] == values
            assert found["n"] == len(values) == 2
            mean = sum(values) / 2
            assert found["mean"] == pytest.approx(mean, abs=1e-12)
            assert found["sd"] == pytest.approx(abs(values[0] - values[1]) / 2**0.5, abs=1e-12)
            assert cell(row, column).startswith(f"{mean:.{column.digits}f} ± ")


def test_every_run_can_be_opened_and_says_the_same_again(made):
    data = with_held_out(load_data(str(made / "t.npz")))
    for run in json.loads((made / "printed").read_text())["runs"]:
        model = cpvae.load(made / "cmp" / run["run"])
        assert (model.name, model.random_state) == (run["model"], run["seed"])
        assert model.get_params().get("n_components") == run["components"]
        assert (model.max_epochs, tuple(model.hidden), model.latent_dim) == (2, (8,), 2)
        again = evaluate_model(model, data, "test", importance_samples=5)
        assert {key: run[key] for key in again if key != "dataset"} == {
            k: v for k, v in again.items() if k != "dataset"
        }


def test_the_table_in_markdown_and_on_standard_output(shop):
    comparison = json.loads((shop / "printed").read_text())
    text = (shop / "cmp" / TABLE).read_text()
    lines = [[part.strip() for part in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    columns = shown_columns(comparison)
    absent = [column.key for column in COLUMNS if column not in columns]
    assert absent[0] == "negative_elbo_same_rows"  # they are all
    assert all(key.endswith("_drawn") for key in absent[1:])  # vectors are drawn, so that nothing stands beside them
    assert lines[0] == ["t.npz", "K", *(column.title for column in columns), "seeds"]
    assert [line[:2] for line in lines[2:]] == [["vae", "-"], ["cpvae", "2"], ["cpvae", "3"]]
    for line, row in zip(lines[2:], comparison["rows"], strict=True):
        assert line[2:-1] == [cell(row, column) for column in columns]
        assert line[-1] == " ".join(f"[{s}]({run}/)" for s, run in zip(row["seeds"], row["runs"], strict=True))
    answer = done(*AGAIN)
    assert [line.split("|")[:-2] for line in answer.out.splitlines()[2:5]] == [
        line.split("|")[:-2] for line in text.splitlines()[2:5]
    ]
    assert "](" not in answer.out


class Cells(HTMLParser):
    """The text of each cell of a page; a tag that is not closed, or closed twice, fails."""

    def __init__(self) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.cells: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [str(value) for name, value in attrs if name in ("href", "src")]
        if tag not in ("meta", "img"):
            self.stack.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        if {"td", "th"} & set(self.stack):
            self.cells[-1] += data.strip()


def test_the_page_is_whole_by_itself(place):
    x = np.random.RandomState(0).rand(60, 8, 8).astype("f4")
    np.savez("<b>x.npz", x=x, y=np.arange(60) % 3)
    done("compare", "<b>x.npz", "--models", "vae,mog", "-k", 3, *OPTIONS, "--seeds", 1, "--jobs", 1, "--out", "c")
    text = Path("c", PAGE).read_text()
    comparison = json.loads(Path("c", RESULT).read_text())
    assert comparison["dataset"] == "<b>x.npz"
    assert "<b>" not in text
    assert "<h1>&lt;b&gt;x.npz</h1>" in text
    assert "http://" not in text
    assert "https://" not in text
    page = Cells()
    page.feed(text)
    assert page.stack == []
    assert [link for link in page.links if not link.startswith("data:image/png;base64,")] == [
        "vae-seed0/",
        "mog-k3-seed0/",
    ]
    assert len(page.links) == 4  # a picture for each model
    for row in comparison["rows"]:
        expected = [
            row["model"],
            str(row["components"] or "-"),
            *(cell(row, column) for column in shown_columns(comparison)),
            "0",
        ]
        assert any(page.cells[i : i + len(expected)] == expected for i in range(len(page.cells)))


def test_without_labels_nothing_is_judged(place):
    np.save("t.npy", rows()[0])
    answer = done("compare", "t.npy", "--models", "mog", "-k", 3, *OPTIONS, "--seeds", 1, "--jobs", 1, "--out", "c")
    assert "no labels: accuracy, purity" in answer.err
    assert not Path("c", "judge").exists()
    comparison = json.loads(Path("c", RESULT).read_text())
    assert comparison["judge_accuracy"] is None
    assert not (JUDGED | {"accuracy"}) & set(comparison["rows"][0]["cells"])
    for name in (TABLE, PAGE):
        table = Path("c", name).read_text().partition("Each number is the mean")[0]
        assert not [column.title for column in COLUMNS if column.key in JUDGED | {"accuracy"} and column.title in table]


def test_rows_to_judge_by_without_labels(place):
    x, y = rows()
    np.savez("half.npz", x_train=x[:80], y_train=y[:80], x_test=x[80:])
    answer = done("compare", "half.npz", "--models", "vae", *OPTIONS, "--seeds", 1, "--jobs", 1, "--out", "c")
    assert "no labels: accuracy, purity" in answer.err
    assert json.loads(Path("c", RESULT).read_text())["split"] == "test"


@pytest.mark.parametrize(
    ("n", "classes", "said"), [(20, 2, "4 rows to judge by, where more than 5"), (40, 1, "a single class")]
)
def test_labels_that_no_judge_can_use(n, classes, said, place):
    """The fits are compared all the same."""
    np.savez("few.npz", x=rows(n)[0], y=np.arange(n) % classes)
    answer = done("compare", "few.npz", "--models", "mog", "-k", 2, *OPTIONS, "--seeds", 1, "--jobs", 1, "--out", "c")
    assert f"{said}" in answer.err
    cells = json.loads(Path("c", RESULT).read_text())["rows"][0]["cells"]
    assert "accuracy" in cells
    assert not JUDGED & set(cells)


def test_a_name_does_not_break_the_table(place):
    Path("t.npz").rename("a|b.npz")
    done("compare", "a|b.npz", "--models", "vae", *OPTIONS, "--seeds", 1, "--jobs", 1, "--out", "c")
    lines = Path("c", TABLE).read_text().splitlines()
    assert lines[0].startswith("| a&#124;b.npz | K |")
    assert len({line.count("|") for line in lines[:3]}) == 1


def test_models_components_and_seeds_multiply():
    names = [job.name for job in entries_of(["vae", "mog", "hvae", "mog", "vamp"], [2, 5, 2], 2)]
    once = ["vae", "mog-k2", "mog-k5", "hvae", "vamp-k2", "vamp-k5"]
    assert names == [f"{name}-seed{seed}" for seed in (0, 1) for name in once]
    assert [job.name for job in entries_of(["vae"], [], 1)] == ["vae-seed0"]
    with pytest.raises(InputError, match="needs a number of components; say --components 10"):
        entries_of(["mog"], [], 1)


# -- which rows --------------------------------------------------------------------------------------------------------


def customers(n: int = 60) -> pd.DataFrame:
    """Make a labelled table as people have it: numbers, a count, a flag, text, a rare level, an empty cell."""
    random = np.random.RandomState(0)
    kind = np.arange(n) % 2
    city = np.array(["north", "south"], object)[kind]
    city[3], city[7] = "rare", "once"
    frame = pd.DataFrame(
        {
            "spend": random.gamma(2, 20 + 60 * kind).round(2),
            "age": random.randint(18, 90, n),
            "visits": random.poisson(1 + 5 * kind),
            "member": kind,
            "city": city,
            "kind": np.array(["a", "b"])[kind],
        }
    )
    frame.loc[5, "spend"] = None
    return frame


TINY = (*OPTIONS, "--seeds", 1, "--jobs", 1, "--out", "c")


@pytest.mark.parametrize("columns", [["spend"], ["age", "spend"], ["visits", "age"], ["member", "age"], None])
def test_a_labelled_table_with_counts_flags_text_and_gaps_is_compared_and_judged(columns, place):
    frame = customers()
    if columns is not None:
        frame = frame[[*columns, "kind"]].assign(other=np.random.RandomState(1).normal(size=60)).dropna()
    frame.to_csv("mine.csv", index=False)
    done("compare", "mine.csv", "--labels", "kind", "--models", "cpvae,vae", "-k", 2, *TINY)
    comparison = json.loads(Path("c", RESULT).read_text())
    assert {"purity", "classes_covered", "coverage", "frechet_distance"} <= set(comparison["rows"][0]["cells"])
    assert comparison["judge_accuracy"] > 0.3
    assert comparison["runs"][0]["classes_in_data"] == 2


def test_rows_are_held_out_of_a_file_without_splits(place):
    answer = done("compare", "t.npz", "--models", "mog", "-k", 2, *TINY)
    assert "no test rows: 24 of 120 rows, drawn at random, are held out of all fits" in answer.err
    comparison = json.loads(Path("c", RESULT).read_text())
    assert (comparison["split"], comparison["held_out"]) == ("test", {"rows": 24, "of": 120})
    assert comparison["runs"][0]["n"] == comparison["runs"][0]["judged_rows"] == 24
    assert comparison["runs"][0]["mapping_split"] == "train"
    assert runs.read_config(Path("c", "mog-k2-seed0"))["data"]["rows"] == 96
    said = "24 rows of the split 'test', drawn at random from the 120 rows to fit and held out of all fits"
    assert said in answer.out
    assert said in Path("c", PAGE).read_text().replace("&#39;", "'")
    x, y = rows()
    held = hold_out(120)[1]
    data = with_held_out(load_data("t.npz"))
    np.testing.assert_array_equal(data.splits["test"].x, x[held])
    np.testing.assert_array_equal(data.splits["test"].y, y[held])


@pytest.mark.parametrize("given", [("train", "valid"), ("train", "test"), ("train", "valid", "test")])
def test_rows_are_held_out_only_where_no_test_rows_are(given, place):
    """Validation rows choose the weights of a fit, so that they are not those it is judged by."""
    x, y = rows()
    parts = dict(zip(given, np.array_split(np.arange(120), len(given)), strict=True))
    np.savez("s.npz", **{f"x_{part}": x[i] for part, i in parts.items()}, **{f"y_{k}": y[i] for k, i in parts.items()})
    answer = done("compare", "s.npz", "--models", "vae", *TINY)
    comparison = json.loads(Path("c", RESULT).read_text())
    assert comparison["split"] == "test"
    assert ("held out" in answer.err) == ("test" not in given) == (comparison["held_out"] is not None)


def test_rows_that_the_models_learned_from_are_called_so(place):
    answer = done("compare", "t.npz", "--split", "all", "--models", "vae", *TINY)
    assert "120 rows of the split 'all', from which the models learned." in answer.out
    assert json.loads(Path("c", RESULT).read_text())["fitted_on"]


def test_too_few_rows_to_hold_any_out(place):
    np.savez("few.npz", x=rows()[0][:6])
    assert "6 rows, of which 20% are held out: expected at least 2 rows to fit and 2 to hold out" in refused(
        "compare", "few.npz", "--models", "vae", *TINY
    )


# -- going on --------------------------------------------------------------------------------------------------------


def test_a_second_call_fits_nothing_and_says_the_same(shop, monkeypatch):
    monkeypatch.setattr(loop._Run, "go", lambda *arguments: pytest.fail("a fit"))
    before, fitted = tree(shop), models(shop / "cmp")
    assert done(*AGAIN, "--json").out == (shop / "printed").read_text()
    assert tree(shop) == before
    assert models(shop / "cmp") == fitted


def test_only_what_is_missing_is_fitted(shop):
    fitted = models(shop / "cmp")
    before = {run["run"]: run for run in json.loads((shop / "printed").read_text())["runs"]}
    changed = ("--models", "vae,cpvae,hvae", "-k", "2,3,4", *OPTIONS, "--seeds", "3", "--jobs", "1")
    done("compare", "t.npz", *changed, "--out", "cmp")
    comparison = json.loads((shop / "cmp" / RESULT).read_text())
    assert len(comparison["runs"]) == 15
    after = models(shop / "cmp")
    assert len(after) == 15
    assert {name: after[name] for name in fitted} == fitted
    assert {run["run"]: run for run in comparison["runs"] if run["run"] in before} == before
    assert [row["seeds"] for row in comparison["rows"]] == [[0, 1, 2]] * 5
    done(*AGAIN)  # a part of it
    assert (shop / "cmp" / RESULT).read_text() == (shop / "printed").read_text()


def test_another_protocol_or_other_labels_only_evaluate_again(shop, monkeypatch):
    monkeypatch.setattr(loop._Run, "go", lambda *arguments: pytest.fail("a fit"))
    fitted = models(shop / "cmp")
    before = json.loads((shop / "printed").read_text())
    after = json.loads(done(*AGAIN, "--importance-samples", 50, "--json").out)
    assert models(shop / "cmp") == fitted
    for old, new in zip(before["runs"], after["runs"], strict=True):
        assert new["importance_samples"] == 50
        assert new["negative_log_likelihood"] != old["negative_log_likelihood"]
        changed = {key for key in old if old[key] != new[key]}
        assert changed == {"importance_samples", "negative_log_likelihood", "negative_log_likelihood_se"}
    write(shop / "t.npz", y=np.arange(120) % 2)  # other labels in the same file
    relabelled = json.loads(done(*AGAIN, "--importance-samples", 50, "--json").out)
    assert models(shop / "cmp") == fitted
    assert {run["classes_in_data"] for run in relabelled["runs"]} == {2}
    assert relabelled["rows"][1]["cells"]["accuracy"] != before["rows"][1]["cells"]["accuracy"]


def test_an_evaluation_left_by_another_fit_is_not_believed(shop):
    expected = json.loads((shop / "printed").read_text())
    kept = shop / "cmp" / "vae-seed0" / EVALUATION
    for name in (runs.MODEL, runs.CARD, runs.CONFIG, runs.METRICS, runs.HISTORY):
        (kept.parent / name).unlink()
    content = json.loads(kept.read_text())
    content["values"]["negative_elbo"] = 1.0
    kept.write_text(json.dumps(content))
    assert figures(json.loads(done(*AGAIN, "--json").out)) == figures(expected)


@pytest.mark.parametrize(
    "damage",
    [
        lambda kept: '{"protocol": {',
        lambda kept: "[1]",
        lambda kept: json.dumps({**kept, "values": [1]}),
        lambda kept: json.dumps({**kept, "values": {}}),
        lambda kept: json.dumps({**kept, "values": {**kept["values"], "negative_elbo": "x"}}),
        lambda kept: json.dumps({**kept, "values": {f"{key}_": value for key, value in kept["values"].items()}}),
    ],
)
def test_an_evaluation_that_is_damaged_is_made_again(damage, shop):
    expected = json.loads((shop / "printed").read_text())
    path = shop / "cmp" / "vae-seed0" / EVALUATION
    path.write_text(damage(json.loads(path.read_text())))
    assert figures(json.loads(done(*AGAIN, "--json").out)) == figures(expected)


def test_warnings_of_a_fit_stay_with_it(place, monkeypatch):
    monkeypatch.setattr(learning, "COLLAPSED", 2.0)  # every fit with components warns
    arguments = ("compare", "t.npz", "--models", "vae,mog", "-k", 3, *OPTIONS, "--seeds", 1, "--jobs", 1, "--out", "c")
    first = json.loads(done(*arguments, "--json").out)
    assert [len(run["warnings"]) for run in first["runs"]] == [0, 1]
    monkeypatch.undo()
    monkeypatch.chdir(place)
    again = json.loads(done(*arguments, "--importance-samples", 6, "--json").out)
    assert [run["warnings"] for run in again["runs"]] == [run["warnings"] for run in first["runs"]]
    assert "in use" in Path("c", PAGE).read_text().partition("<h2>Warnings</h2>")[2]


LONG = ("--models", "vae,mog", "-k", "2", "--epochs", "30", "--hidden", "8", "--latent-dim", "2")


def test_a_stopped_comparison_goes_on_and_ends_as_if_it_had_not(place, monkeypatch):
    arguments = ("compare", "t.npz", *LONG, "--importance-samples", 5, "--seeds", 1, "--jobs", 1)
    whole = json.loads(done(*arguments, "--out", "whole", "--json").out)
    with monkeypatch.context() as patch:
        patch.setattr(loop._Run, "_step", stopping(after=45))  # a step an epoch: in the second fit
        answer = call(*arguments, "--out", "my cmp", "--json")
    assert (answer.code, answer.out) == (130, "")
    assert answer.err.splitlines()[-1] == (
        "stopped; what is finished is in my cmp. To go on, run the same command again"
    )
    states = {path.parent.name: json.loads(path.read_text())["status"] for path in Path("my cmp").glob("*/config.json")}
    assert states == {"vae-seed0": "finished", "mog-k2-seed0": "unfinished"}
    assert runs.saved(Path("my cmp", "mog-k2-seed0"))
    assert not Path("my cmp", RESULT).exists()
    first = models(Path("my cmp"))
    resumed = json.loads(done(*arguments, "--out", "my cmp", "--json").out)
    assert models(Path("my cmp"))["vae-seed0"] == first["vae-seed0"]
    assert figures(resumed) == figures(whole)
    for run in whole["runs"]:
        assert weights(Path("whole", run["run"])) == weights(Path("my cmp", run["run"]))
    assert not Path("my cmp", "mog-k2-seed0", runs.CHECKPOINT).exists()


# -- what runs beside ------------------------------------------------------------------------------------------------


def test_a_fit_does_not_depend_on_what_runs_beside_it(made, shop, monkeypatch):
    """Two at a time in processes, in threads, and one by one: the same bits; torch's threads are left as they were."""
    expected = json.loads((made / "printed").read_text())
    monkeypatch.setattr("cpvae.study.compare.run_entry", with_little_effort)
    done(*AGAIN[:-2], "--jobs", 2, "--out", "two")
    go, under_way = loop._Run.go, set()

    def slowly(self, *arguments):
        assert not under_way, "two fits in one process"
        under_way.add(self)
        time.sleep(0.05)
        assert torch.get_num_threads() == 1
        try:
            return go(self, *arguments)
        finally:
            under_way.clear()

    monkeypatch.setattr(loop._Run, "go", slowly)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        shutil.copytree("two/judge", "threading/judge")  # only to save time
        for backend in ("threading", "sequential"):
            with joblib.parallel_config(backend=backend):
                protocol = Protocol(importance_samples=5)
                compare_models("t.npz", ["cpvae"], [2], 2, Path(backend), params=PARAMS, protocol=protocol, n_jobs=2)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    every = [run["run"] for run in expected["runs"]]
    few = [run for run in every if run.startswith("cpvae-k2")]
    assert len(few) == 2
    for out, some in (("two", every), ("threading", few), ("sequential", few)):
        for run in some:
            assert weights(Path(out, run)) == weights(Path("cmp", run)), (out, run)
        judged = [one for one in figures(expected) if one["run"] in some]
        assert figures(json.loads(Path(out, RESULT).read_text())) == judged, out


# -- bad input -------------------------------------------------------------------------------------------------------

BAD = {
    ("--models", "cpvea"): "model 'cpvea' is unknown; did you mean 'cpvae'?",
    ("--models", ""): "an empty argument after '--models'",
    ("--models", ","): "no models given: expected some of cpvae",
    ("--components", "ten"): "--components 'ten': expected whole numbers with commas, such as 10,50",
    ("--components", "0"): "components=0",
    ("--components", "97"): "t.npz: 96 rows to fit for 97 components; expected at least as many rows as components",
    ("--seeds", "0"): "seeds=0",
    ("--seeds", "1000000000"): "fits: expected at most 10,000; ask for fewer seeds",
    ("--epochs", "0"): "max_epochs=0",
    ("--jobs", "0"): "--jobs",
    ("--split", "tset"): "has no split 'tset'",
    ("--out", "t.npz"): "t.npz is a file; give a folder for the comparison",
    ("--backend", "locky"): "backend 'locky' cannot be used",
    ("--backend", "dask"): "backend 'dask' needs",
    ("--noise", "1"): "No such option: --noise",
}


@pytest.mark.parametrize("options", BAD, ids=" ".join)
def test_bad_input(options, place):
    before = tree(place)
    if options == ("--backend", "dask"):
        try:
            import distributed  # noqa: F401

            pytest.skip("dask is installed")
        except ImportError:
            pass
    rest = [] if "--out" in options else ["--out", "new"]
    assert BAD[options] in refused("compare", "t.npz", *OPTIONS, "--seeds", 1, "--jobs", 1, *rest, *options)
    assert tree(place) == before


def test_an_option_that_a_model_does_not_have(place):
    with pytest.raises(InputError, match="model 'vae' has no option for weights; leave it out, or leave the model out"):
        compare_models("t.npz", ["cpvae", "vae"], [3], 1, Path("new"), params={"weights": "learned"})
    assert not Path("new").exists()


def test_a_process_that_was_killed(place, monkeypatch):
    monkeypatch.setattr("cpvae.study.compare.run_entry", lambda *arguments: os.kill(os.getpid(), signal.SIGKILL))
    answer = call("compare", "t.npz", "--models", "vae", *OPTIONS, "--seeds", 2, "--jobs", 2, "--out", "c")
    assert answer.code == 2
    assert answer.err.splitlines()[-1] == (
        "error: the process of a fit was killed, most likely for want of memory; what is finished is in c; run the "
        "same command with fewer --jobs to go on"
    )


@pytest.mark.parametrize("seeds", [2, 3])
def test_a_folder_with_other_runs(shop, seeds):
    """Refused before anything is fitted, whether or not the call asks for more than is there."""
    np.savez("other.npz", x=rows()[0] + 1, y=rows()[1])
    before = tree(shop)
    rest = (*MODELS, "--seeds", seeds, "--jobs", 1, "--out", "cmp")
    told = refused("compare", "other.npz", *rest, *OPTIONS)
    assert "belongs to a comparison on 't.npz', not on 'other.npz'; give another --out" in told
    told = refused("compare", "t.npz", *rest, *OPTIONS, "--epochs", 3)
    assert "holds a run that has finished, of 2 epochs, not 3 epochs" in told
    told = refused("compare", "t.npz", *rest, *OPTIONS[2:])
    assert "holds a run that has finished, of 2 epochs, not" in told
    assert tree(shop) == before
    (shop / "other.npz").rename(shop / "t.npz")  # other rows in the same file
    before = tree(shop)
    assert "holds a run of other rows (other values)" in refused("compare", "t.npz", *rest, *OPTIONS)
    assert tree(shop) == before
