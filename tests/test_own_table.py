"""A table of one's own: what commands say of it, where a reader would otherwise be left to guess."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cpvae import load
from cpvae.data.schema import Schema
from test_cli import done, refused

QUICK = ("--components", 2, "--latent-dim", 1, "--hidden", 8, "--epochs", 3, "--init", "gmm")


def animals(n: int = 60) -> pd.DataFrame:
    """Make animals of two kinds, from seven sites."""
    random = np.random.RandomState(0)
    kind = random.rand(n) < 0.5
    return pd.DataFrame(
        {
            "site": np.arange(n) % 7 + 1,
            "pop": np.where(kind, "Vic", "other"),
            "ear": random.normal(np.where(kind, 52, 45), 1).round(1),
            "tail": random.normal(37, 2, n).round(1),
            "sex": random.choice(["f", "m"], n),
        }
    )


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    place = tmp_path_factory.mktemp("own")
    animals().to_csv(place / "t.csv", index=False)
    (place / "kinds.json").write_text(json.dumps({"pop": "ignore"}))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        said = done("fit", "t.csv", "--schema", "kinds.json", "--labels", "pop", *QUICK, "--out", "run").err
    return place, said


@pytest.fixture(autouse=True)
def here(fitted, monkeypatch):
    monkeypatch.chdir(fitted[0])


def test_a_schema_may_say_that_the_labels_are_ignored(fitted):
    assert load("run").schema_.names == ("site", "ear", "tail", "sex")
    assert "accuracy" in json.loads(Path("run/metrics.json").read_text())
    Path("wrong.json").write_text(json.dumps({"pop": "categorical"}))
    said = refused("fit", "t.csv", "--schema", "wrong.json", "--labels", "pop", *QUICK, "--out", "new")
    assert said.startswith("the schema says 'categorical' of 'pop', which holds the labels and is no part of the rows")
    said = refused("fit", "t.csv", "--schema", "wrong.json", "--known", "pop", *QUICK, "--out", "new")
    assert "take it out of the schema, or leave --labels (--known) out" in said


def test_numbers_that_may_be_codes_are_said_to_be_sizes(fitted):
    told = "modelled as sizes, not as codes: 'site' (1 to 7); where one holds codes, say so in the schema, as "
    assert told + "{'site': 'categorical'}" in fitted[1].splitlines()
    wide = Schema.infer(pd.DataFrame({"age": np.arange(60), "half": np.arange(60) / 2, "size": np.arange(60) % 50}))
    assert not any(column.may_be_codes for column in wide.columns)


def test_columns_that_are_not_there_are_added_and_filled():
    animals().drop(columns=["ear", "sex"]).head(10).to_csv("narrow.csv", index=False)
    said = done("impute", "run", "narrow.csv", "--out", "filled.csv").err
    assert "20 cells filled in 10 rows, of these all of columns 'ear', 'sex', which were not there" in said
    filled = pd.read_csv("filled.csv")
    assert [*filled] == ["site", "pop", "tail", "ear", "sex"]
    assert not filled.isna().any(axis=None)
    assert set(filled["sex"]) <= {"f", "m"}


def test_rows_that_are_unlike_all_others_are_named():
    table = animals()
    table.loc[[7, 20], "ear"] = [80.0, 20.0]
    table.to_csv("odd.csv", index=False)
    said = done("cluster", "run", "odd.csv", "--out", "l.csv").err
    assert "2 of 60 rows are odd, less likely than each of 1,000 rows that the model draws: those with True" in said
    assert np.flatnonzero(pd.read_csv("l.csv")["odd"]).tolist() == [7, 20]
    assert "are odd" not in done("cluster", "run", "t.csv", "--out", "l.csv").err
    description = done("describe", "run", "odd.csv").out
    assert "2 of 60 rows are odd, less likely than each of 1,000 rows that the model draws: rows " in description
    assert set(json.loads(done("describe", "run", "odd.csv", "--json").out)["odd"]) == {7, 20}
    done("report", "run", "--data", "odd.csv")
    assert "2 of 60 rows are odd" in Path("run/report.html").read_text()


def test_one_row_is_not_called_rows():
    animals().head(1).to_csv("one.csv", index=False)
    assert "one.csv: 1 new row: expected at least 5 to compare" in refused("drift", "run", "one.csv")


def test_another_file_than_that_of_the_run_is_said_to_have_other_rows():
    animals(50).to_csv("less.csv", index=False)
    said = refused("fit", "less.csv", "--labels", "pop", *QUICK, "--out", "run", "--resume")
    expected = "run holds a run of other rows (rows: 60 there, 50 asked); resume with what it began with, t.csv, or"
    assert said == f"{expected} choose another folder"


def test_what_is_no_count_is_said_with_its_file_and_its_gene():
    counts = pd.DataFrame(np.random.RandomState(0).poisson(3, (40, 4)), columns=["a", "b", "c", "d"])
    counts.to_csv("counts.csv", index=False)
    done("fit", "counts.csv", "--kind", "counts", *QUICK, "--out", "genes")
    counts.astype(float).assign(c=0.5).to_csv("shares.csv", index=False)
    told = "shares.csv: 0.5 in column 'c', row 0 (counted from 0), is no count"
    for command in (["cluster", "--out", "l.csv"], ["evaluate"], ["describe"], ["drift"], ["impute", "--out", "i.csv"]):
        assert told in refused(command[0], "genes", "shares.csv", *command[1:])


def test_the_report_says_of_which_rows_its_shares_are():
    done("report", "run")
    page = Path("run/report.html").read_text()
    assert "% of the training rows</h3>" in page
    assert "of the rows measured the model is at least 90 % sure" in page
