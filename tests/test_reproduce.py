"""Experiments from a file: fitted once, resumed, rendered from their results alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from cpvae import InputError, cli, reproduce
from cpvae.metrics import ari
from cpvae.reproduce import CATEGORIES, Experiment, cells, name_of, table

TEXT = """
dataset = "digits"
model = "cpvae"

[params]
n_components = 10
hidden = [16]
latent_dim = 3
max_epochs = 2

[recipes.kmeans]
about = "k-means on the rows"
seeds = 2
params = { init = "kmeans" }

[recipes.none]
about = "no start"
seeds = 1
params = { init = "random", augment = "none" }
"""
ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> Path:
    """A folder with an experiment that was run once, its fits one after the other."""
    folder = tmp_path_factory.mktemp("reproduce")
    (folder / "small.toml").write_text(TEXT)
    experiment = Experiment.read(folder / "small.toml")
    reproduce.reproduce(experiment, experiment.recipes, folder / "runs", folder / "results", n_jobs=1)
    return folder


def test_every_seed_leaves_a_result_with_its_evidence(done):
    experiment = Experiment.read(done / "small.toml")
    names = [name_of(experiment, recipe, seed) for recipe in experiment.recipes for seed in range(recipe.seeds)]
    assert sorted(path.stem for path in (done / "results").glob("*-seed*.json")) == sorted(names)
    result = json.loads((done / "results" / "digits-kmeans-seed1.json").read_text())
    assert (result["recipe"], result["seed"], result["epochs"]) == ("kmeans", 1, 2)
    assert {"command", "commit", "versions", "device", "seconds", "params"} <= set(result)
    assert result["test"]["split"] == "test"
    rows = result["calibration"]["rows"]
    gaps = np.abs(np.subtract(result["calibration"]["confidence"], result["calibration"]["accuracy"]))
    assert sum(rows) == result["test"]["n"]
    assert result["test"]["calibration_error"] == pytest.approx(np.average(gaps, weights=rows), abs=1e-5)


def test_agreement_of_seeds_is_that_of_their_categories(done):
    both = [np.load(done / "runs" / f"digits-kmeans-seed{seed}" / CATEGORIES) for seed in (0, 1)]
    kept = json.loads((done / "results" / "digits-kmeans-agreement.json").read_text())
    assert kept["ari"] == [pytest.approx(ari(*both), abs=1e-5)]
    assert not (done / "results" / "digits-none-agreement.json").exists()


def test_what_has_its_result_is_not_fitted_again(done, monkeypatch):
    experiment = Experiment.read(done / "small.toml")
    monkeypatch.setattr(reproduce, "run", lambda *given: pytest.fail("fitted again"))
    said: list[str] = []
    reproduce.reproduce(experiment, experiment.recipes, done / "runs", done / "results", progress=said.append)
    assert said == []


def test_a_lost_result_is_made_from_its_run_without_training(done):
    path = done / "results" / "digits-kmeans-seed0.json"
    before = json.loads(path.read_text())
    path.unlink()
    experiment = Experiment.read(done / "small.toml")
    history = done / "runs" / "digits-kmeans-seed0" / "history.jsonl"
    trained = history.stat().st_mtime_ns
    reproduce.reproduce(experiment, experiment.recipes, done / "runs", done / "results", n_jobs=1)
    assert json.loads(path.read_text())["test"] == before["test"]
    assert history.stat().st_mtime_ns == trained


def test_the_table_has_median_worst_and_best_of_the_files(done):
    experiment = Experiment.read(done / "small.toml")
    found = [json.loads((done / "results" / f"digits-kmeans-seed{seed}.json").read_text()) for seed in (0, 1)]
    accuracy = sorted(one["test"]["accuracy"] for one in found)
    cell = next(cells(experiment, done / "results"))
    assert (cell["accuracy_worst"], cell["accuracy_best"]) == tuple(accuracy)
    assert cell["accuracy_median"] == pytest.approx(sum(accuracy) / 2)
    text = table(experiment, done / "results")
    assert f"| {cell['accuracy_median']:.4f} | {accuracy[0]:.4f} | {accuracy[1]:.4f} |" in text
    assert text.count("digits-kmeans-seed") == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [("dataset = ", "is no experiment"), ("model = 'cpvae'\n[recipes.a]\nseeds = 2", "is no experiment")],
)
def test_a_damaged_experiment_is_refused_in_one_line(tmp_path, text, message):
    (tmp_path / "bad.toml").write_text(text)
    with pytest.raises(InputError, match=message):
        Experiment.read(tmp_path / "bad.toml")
    with pytest.raises(InputError, match="run this in a checkout"):
        Experiment.read(tmp_path / "none.toml")


def test_the_command_renders_the_committed_page(capsys, monkeypatch):
    """The page in docs is what its results give."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("sys.argv", ["cpvae", "reproduce", "accuracy", "--render", "--json"])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 0
    said = json.loads(capsys.readouterr().out)
    experiment = Experiment.read(ROOT / "experiments" / "accuracy.toml")
    assert said["cells"] == list(cells(experiment, ROOT / "results" / "clusters"))
    page = (ROOT / "docs" / "clusters.md").read_text()
    assert page == reproduce.rendered(page, reproduce.body(experiment, ROOT / "results" / "clusters"))


def test_other_data_stand_beside_their_peers(tmp_path):
    """Mean, worst and best of each method from its file, and which rows it was judged on."""
    assert reproduce.others(tmp_path) == ""
    (tmp_path / reproduce.OTHERS).mkdir()
    runs = [
        {"method": m, "accuracy": a} for m, a in (("CP-VAE", 0.9), ("KMeans", 0.5), ("CP-VAE", 0.8), ("KMeans", 0.6))
    ]
    result = {"dataset": "some", "train": 1200, "test": 300, "same_rows": False, "n_components": 3, "runs": runs}
    (tmp_path / reproduce.OTHERS / "some.json").write_text(json.dumps(result))
    line = reproduce.others(tmp_path).splitlines()[2]
    assert line.startswith("| some | 1,200 | 3 | 0.850 (0.800 to 0.900) | 0.550 (0.500 to 0.600) | 2 | 300 test rows |")


def test_unknown_names_are_refused_with_the_nearest(capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    for words, nearest in ((["acuracy"], "accuracy"), (["accuracy", "--recipe", "defalt", "--render"], "default")):
        monkeypatch.setattr("sys.argv", ["cpvae", "reproduce", *words])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        assert stopped.value.code == 2
        assert f"did you mean {nearest!r}?" in capsys.readouterr().err
