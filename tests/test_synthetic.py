"""The benchmark of synthetic tables: a set is read, fitted, judged and rendered; a job with a line is not run again."""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import synthetic
import synthetic_page
import synthetic_systems
from synthetic_systems import Wanted

from cpvae import CPVAE
from cpvae.study.assessing import learners


@pytest.fixture
def penguins(tmp_path, monkeypatch):
    """Write a field folder with invented birds, and make fits and trees small."""
    random = np.random.default_rng(0)
    species = np.repeat(["a", "b", "c"], 40)
    frame = pd.DataFrame({"rownames": np.arange(1, 121), "species": species, "bill": random.normal(size=120).round(1)})
    frame["bill"] += 6 * (frame["species"] == "b")
    frame.loc[[3, 30], "bill"] = np.nan
    folder = tmp_path / "field" / "tables"
    folder.mkdir(parents=True)
    frame.to_csv(folder / "penguins.csv", index=False)
    monkeypatch.setenv("CPVAE_DATA", str(tmp_path))
    small = {"hidden": (8,), "latent_dim": 2, "max_epochs": 2}
    monkeypatch.setattr(synthetic_systems, "CPVAE", lambda k, **options: CPVAE(k, **{**options, **small}))
    monkeypatch.setattr(learners, "TREES", 5)
    monkeypatch.setattr(learners, "RESAMPLES", 10)
    monkeypatch.setattr(synthetic, "code_of", lambda *paths: "c0de")
    return tmp_path


def test_a_set_is_judged_and_rendered_and_not_run_again(penguins, capsys):
    out, page = penguins / "synthetic.jsonl", penguins / "synthetic.md"
    words = ["--set", "penguins", "--seed", "0", "--out", str(out), "--system", "cpvae", "--system", "training rows"]
    synthetic.main(words)
    lines = {line["system"]: line for line in map(json.loads, out.read_text().splitlines())}
    assert set(lines) == {"cpvae", "training rows"}, capsys.readouterr().out
    own, copied = lines["cpvae"], lines["training rows"]
    assert (own["n_rows"], own["n_columns"], own["target"]) == (60, 2, "species")
    assert {"commit", "versions", "command", "code", "seconds", "mebibytes", "c2st_auc", "closest_is_training"} <= set(
        own
    )
    assert copied["closest_is_training"] > 0.7  # held-out birds share values with them
    capsys.readouterr()
    synthetic.main(words)
    assert "0 to run" in capsys.readouterr().out
    synthetic.main(["--out", str(out), "--render", str(page)])
    assert "## penguins" in page.read_text()


def test_losses_stand_first_and_a_peer_nearer_to_the_best_value_is_one():
    shared = {"set": "pbc", "seed": 0, "n_rows": 9, "n_columns": 2, "missing": 0.0, "target": "c", "commit": "a"}
    figures = {"shapes": 0.9, "trends": 0.9, "c2st_auc": 0.6, "train_on_synthetic": 0.8, "seconds": 5.0, "mebibytes": 3}
    own = {**shared, "system": "cpvae", "versions": {}, **figures, "closest_is_training": 0.5}
    peer = {**own, "system": "TVAE", "shapes": 0.95, "c2st_auc": 0.45, "seconds": 9.0}
    page = synthetic_page.page([own, peer], "../results/synthetic.jsonl")
    behind, rest = page.split("## Where CP-VAE is behind")[1].split("## Beside TVAE")
    assert "| shapes | pbc | 0.900 | 0.950 | TVAE |" in behind
    assert "| C2ST | pbc | 0.600 | 0.450 | TVAE |" in behind
    assert "seconds" not in behind
    assert "| pbc | 2 | 3 | 0 | 5 : 9 |" in rest


def test_peers_get_whole_rows_and_their_draws_the_form_of_the_column(penguins):
    schema, training, held_out, target = synthetic.split_of("penguins", 0)
    assert (len(training), len(held_out), schema.names[target]) == (60, 60, "species")
    wanted = Wanted(schema, training.values, 3, 0)
    assert not wanted.filled().isna().any(axis=None)
    drawn = wanted.numbers(pd.DataFrame({"species": [0.0, 2.0], "bill": [1.234, 2.0]}))
    assert drawn.tolist() == [[0.0, 1.2], [2.0, 2.0]]
