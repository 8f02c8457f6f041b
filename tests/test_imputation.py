"""The imputation benchmark: holes as its page says, intervals that count right, losses first."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import imputation
import imputation_lines
import imputation_peers
from imputation_lines import MECHANISMS, OWN, holes, intervals
from imputation_page import RIVAL, page
from imputation_peers import DRAWS


def test_holes_of_both_kinds():
    random = np.random.default_rng(0)
    truth = np.column_stack([random.normal(size=4000), random.choice([0.0, 1.0], 4000, p=[0.8, 0.2])])
    truth[::10, 0] = np.nan
    for mechanism in MECHANISMS:
        for share in (0.1, 0.5):
            hidden = holes(truth, np.array([False, True]), mechanism, share, random)
            assert not hidden[::10, 0].any()
            both = hidden[1::10]  # rows of which no cell was missing; one cell of each is kept
            assert both.mean() == pytest.approx(share, abs=0.14 if share == 0.5 else 0.03)
            assert (~hidden & ~np.isnan(truth)).any(1).all()
            high, rare = hidden[truth[:, 0] > 1, 0].mean(), hidden[truth[:, 1] == 1, 1].mean()
            low, frequent = hidden[truth[:, 0] < -1, 0].mean(), hidden[truth[:, 1] == 0, 1].mean()
            assert (high > 2 * low and rare > 1.3 * frequent) == (mechanism == MECHANISMS[1])


def test_intervals_of_right_draws_hold_nine_tenths():
    random = np.random.default_rng(0)
    drawn = random.normal(size=(DRAWS + 1, 20_000))
    inside, ranked, width = intervals(drawn[1:], drawn[0], random)
    assert inside.mean() == pytest.approx(0.9, abs=0.01)
    np.testing.assert_array_equal(inside, ranked)
    assert width.mean() == pytest.approx(2 * 1.735, abs=0.05)  # of order statistics
    whole = random.integers(0, 3, size=(DRAWS + 1, 20_000)).astype(float)
    inside, ranked, _ = intervals(whole[1:], whole[0], random)
    assert inside.mean() > 0.99
    assert ranked.mean() == pytest.approx(0.9, abs=0.01)


def test_a_table_is_filled_and_the_page_puts_losses_first(tmp_path, monkeypatch):
    random = np.random.default_rng(0)
    bill = random.normal(size=60)
    frame = pd.DataFrame({"species": ["a", "b"] * 30, "bill": bill, "mass": bill + 0.1 * random.normal(size=60)})
    frame["island"] = np.where(bill > 0, "east", "west")
    folder = tmp_path / "field" / "tables"
    folder.mkdir(parents=True)
    frame.to_csv(folder / "penguins.csv", index=False)
    monkeypatch.setenv("CPVAE_DATA", str(tmp_path))
    monkeypatch.setattr(imputation, "code_of", lambda *paths: "c0de")
    tiny = {"hidden": (8,), "latent_dim": 2, "max_epochs": 1}
    whole = imputation_lines.estimator_for
    monkeypatch.setattr(imputation_lines, "estimator_for", lambda data, name, asked: whole(data, name, asked | tiny))
    systems = [OWN, "mean and mode", "KNNImputer"]
    lines = imputation_lines.lines_of("penguins", MECHANISMS[0], 0.3, 0, systems)
    found = {line["system"]: line for line in lines}
    assert set(found) == set(systems)
    assert not any("refused" in line for line in lines)
    assert found["KNNImputer"]["rmse"] < found["mean and mode"]["rmse"]
    monkeypatch.setattr(imputation_peers, "DRAWS", 2)
    task = imputation_lines.task_of(imputation_lines.SETS["penguins"], MECHANISMS[0], 0.3, 0)
    chained = imputation_peers.PEERS[RIVAL](task)
    assert chained.draws.shape == (2, *task.truth.shape)
    rival = {**found["KNNImputer"], **imputation_lines.scores(task, imputation_peers.Filled(chained.mean))}
    assert rival["rmse"] < found["mean and mode"]["rmse"]
    assert found["mean and mode"]["coverage"] is None
    assert 0 <= found[OWN]["coverage"] <= 1
    assert {"commit", "versions", "device", "command", "seconds"} <= set(found[OWN])
    asked = [("penguins", MECHANISMS[0], 0.3, 0)]
    there = [{**line, "code": "c0de"} for line in lines]
    assert imputation.to_run(asked, systems, there, False) == []
    assert imputation.to_run(asked, systems, there[1:], False) == [(asked[0], [OWN])]
    text = page([*lines, {**rival, "system": RIVAL}], "../results/imputation.jsonl")
    assert text.index("## Losses") < text.index(f"| penguins | 30% {MECHANISMS[0]} |")
