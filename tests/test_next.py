"""Next month's file: what is read when it is unlike the file of the fit."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import warnings
from functools import partial
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cpvae import CPVAE, VAE, drift, load
from cpvae.checkpoints import load_tensors, save_tensors
from cpvae.data.columns import Column
from cpvae.data.dates import find_format
from cpvae.data.schema import Schema
from cpvae.errors import InputError, ReadWarning
from cpvae.study import two_samples
from test_cli import SMALL, TINY, done, refused


def shop(n: int = 60, seed: int = 0) -> pd.DataFrame:
    """Draw customers of two kinds: the second are older, spend more, and are members who may not tell their age."""
    random = np.random.default_rng(seed)
    old = random.random(n) < 0.4
    told = random.random(n) < np.where(old, 0.8, 1.0)
    return pd.DataFrame(
        {
            "id": [f"C{i:04d}" for i in range(n)],
            "age": np.where(told, np.where(old, random.normal(60, 5, n), random.normal(30, 5, n)).round(), np.nan),
            "spent": np.where(old, random.normal(90, 10, n), random.normal(40, 10, n)).round(2),
            "region": random.choice(["north", "south", "west"], n),
            "member": random.random(n) < np.where(old, 0.9, 0.1),
            "code": random.choice(["007", "A12", "012"], n),
            "since": pd.Timestamp("2020-01-01") + pd.to_timedelta(random.integers(0, 900, n), "D"),
        }
    ).assign(since=lambda frame: frame["since"].dt.strftime("%d.%m.%Y"))


SHOP = shop()
SCHEMA = Schema.infer(SHOP, {"code": "categorical"})


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"member": SHOP["member"].map({True: "yes", False: "no"})}, "'yes' for 'True'"),
        ({"member": SHOP["member"].map({True: "Y", False: "N"})}, "'Y' for 'True'"),
        ({"member": SHOP["member"].astype(int)}, ""),
        ({"member": SHOP["member"].map(str)}, ""),
        ({"region": SHOP["region"].str.upper()}, "'WEST' for 'west'"),
        ({"code": SHOP["code"].map(lambda code: code.lstrip("0"))}, "for '012', "),
        ({"age": SHOP["age"].map("{:.0f}".format), "spent": SHOP["spent"].map("{:,.2f} €".format)}, ""),
        ({"age": SHOP["age"].astype("Int64"), "region": SHOP["region"].astype("category")}, ""),
        ({"since": pd.to_datetime(SHOP["since"], format="%d.%m.%Y")}, ""),
        ({"since": pd.to_datetime(SHOP["since"], format="%d.%m.%Y").dt.strftime("%Y%m%d").astype(int)}, ""),
        (
            {"since": pd.to_datetime(SHOP["since"], format="%d.%m.%Y").dt.strftime("%m/%d/%Y")},
            "column 'since' has dates read as month/day/year, unlike those of the fit",
        ),
    ],
)
def test_cells_written_otherwise_mean_the_same(changes: dict[str, Any], told: str):
    frame = SHOP.assign(**changes)
    cells, matrix, reading = SCHEMA.read(frame)
    np.testing.assert_array_equal(matrix, SCHEMA.encode(SHOP))
    assert told in "; ".join(reading.guessed)
    assert bool(told) == bool(reading.differences())
    if told:
        with pytest.raises(InputError, match="leave out --strict"):
            SCHEMA.encode(frame, strict=True)
    with warnings.catch_warnings():  # what conforms is told of once
        warnings.simplefilter("error")
        np.testing.assert_array_equal(SCHEMA.encode(cells), matrix)


def test_whole_numbers_that_stand_for_text_keep_their_level():
    alone = SHOP[SHOP["code"] == "007"].assign(code=7.0)  # as a file with nothing else in the column is read
    assert (SCHEMA.read(alone)[1][:, SCHEMA.names.index("code")] == SCHEMA.columns[4].levels.index("007")).all()


def test_a_guess_is_made_only_where_one_level_can_be_meant():
    frame = pd.DataFrame({"a": ["x", "X", "y"] * 9, "b": ["yes", "no", "perhaps"] * 9})
    schema = Schema.infer(frame)
    new = pd.DataFrame({"a": ["x", "X", "Y", "z"], "b": ["Yes", "true", "no", 1]})
    _, matrix, reading = schema.read(new)
    np.testing.assert_array_equal(matrix[:, 0], [1, 0, 2, np.nan])
    np.testing.assert_array_equal(matrix[:, 1], [2, np.nan, 0, np.nan])
    assert [(one.column, one.levels, one.cells) for one in reading.unknown] == [
        ("a", ("z",), 1),
        ("b", ("true", "1"), 2),
    ]


def test_dates_that_no_single_way_reads_are_refused():
    with pytest.raises(InputError, match=r"dates that cannot be read: column 'since' \(first 'soon' in row 3"):
        SCHEMA.read(SHOP.assign(since=SHOP["since"].where(SHOP.index != 3, "soon")))
    for form, cell in (("%d.%m.%Y", "today"), ("", "now"), ("%H:%M", "2023-09-01"), ("%H:%M", "now")):
        with pytest.raises(InputError, match=f"dates that cannot be read: column 'at' .first '{cell}'"):
            Column("at", "date", format=form).encode(pd.Series([cell]))
    assert find_format(["2024-01-31", "today"]) is None
    known = SCHEMA.encode(SHOP)
    assert np.isnan(SCHEMA.encode(SHOP.assign(since=None))[:, -1]).all()
    assert not np.isnan(known[:, -1]).any()


def test_what_was_read_is_said_in_three_lines():
    new = SHOP[SHOP.columns[::-1]].drop(columns=["id", "age"]).assign(region="mars", shop=1, spent=None)
    assert SCHEMA.read(new)[2].lines("new.csv") == [
        "read new.csv: 60 rows, 5 of the 6 columns of the fit, in another order",
        "columns that the fit did not have: 'shop'; left out (say --labels shop if it holds labels)",
        "no column 'age', taken as missing; no value in column 'spent'; "
        "column 'region' has 'mars' in 60 cells: not there in the fit, taken as missing",
    ]
    assert SCHEMA.read(SHOP)[2].lines("new.csv") == ["read new.csv: 60 rows, all 6 columns of the fit"]
    others = SCHEMA.read(SHOP.assign(a=1, b=2))[2]
    with pytest.raises(InputError, match=r"columns 'a', 'b' that the fit .* say --labels a if it holds labels, or"):
        others.check()


def test_names_in_capital_letters_are_hinted_at():
    with pytest.raises(InputError, match=r"no column of the fit is there: .*; write the names as they were in the fit"):
        SCHEMA.read(SHOP.rename(columns=str.upper))


def test_warnings_of_reading_can_be_made_errors():
    with warnings.catch_warnings():
        warnings.simplefilter("error", ReadWarning)
        with pytest.raises(ReadWarning, match="column 'more' that the fit did not have"):
            SCHEMA.encode(SHOP.assign(more=1))


# ---------------------------------------------------------------- commands


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with a table of 300 rows, and a run fitted to it."""
    folder = tmp_path_factory.mktemp("next")
    shop(300).assign(kind="k").to_csv(folder / "may.csv", index=False)
    (folder / "kinds.json").write_text('{"code": "categorical"}')
    options = (
        "--components",
        "2",
        "--latent-dim",
        "1",
        "--hidden",
        "8",
        "--epochs",
        "12",
        "--batch-size",
        "20",
        "--quiet",
    )
    schema = ("--schema", folder / "kinds.json", "--labels", "kind")
    done("fit", folder / "may.csv", "--out", folder / "run", *schema, *options)
    return folder


@pytest.mark.parametrize("name", ["june.csv", "june.csv.gz", "june.parquet", "june.xlsx"])
def test_next_months_file_in_any_format(place: Path, name: str, tmp_path: Path):
    if name.endswith("xlsx"):
        pytest.importorskip("openpyxl")
    june = shop(40, seed=1)
    june.to_csv(tmp_path / "plain.csv", index=False)
    new = june[june.columns[::-1]].assign(more=1)
    kinds = {".gz": new.to_csv, ".csv": partial(new.to_csv, sep=";", decimal=","), ".xlsx": new.to_excel}
    file = tmp_path / name
    if file.suffix in kinds:
        kinds[file.suffix](file, index=False)
    else:
        getattr(new, f"to_{file.suffix[1:]}")(file)
    done("cluster", place / "run", tmp_path / "plain.csv", "--out", tmp_path / "plain.out.csv")
    answer = done("cluster", place / "run", file, "--out", tmp_path / "out.csv")
    expected, found = (pd.read_csv(tmp_path / one) for one in ("plain.out.csv", "out.csv"))
    pd.testing.assert_frame_equal(found, expected)
    assert f"read {name}: 40 rows, all 6 columns of the fit, in another order\n" in answer.err
    assert "columns that the fit did not have: 'more'; left out (say --labels more if it holds labels)\n" in answer.err


def test_every_command_says_what_it_read_and_strict_refuses_it(place: Path, tmp_path: Path):
    new = shop(40, seed=1).drop(columns=["id", "age"]).assign(kind="k", shop=1, region="mars")
    new.to_csv(tmp_path / "new.csv", index=False)
    told = [
        "read new.csv: 40 rows, 5 of the 6 columns of the fit",
        "columns that the fit did not have: 'shop'; left out (say --labels shop if it holds labels)",
        "no column 'age', taken as missing; column 'region' has 'mars' in 40 cells: not there in the fit, taken as "
        "missing",
    ]
    run, data, out = place / "run", tmp_path / "new.csv", ("--out", tmp_path / "out.csv")
    for words in (
        ("cluster", run, data, *out),
        ("describe", run, data, "--json"),
        ("evaluate", run, data, "--json"),
        ("impute", run, data, *out),
        ("drift", run, data, "--json"),
    ):
        answer = done(*words)
        assert [line for line in answer.err.splitlines() if not line.startswith("wrote ")][:3] == told, words
        assert "warning" not in answer.err
        if "--json" in words:
            json.loads(answer.out)
        message = refused(*words, "--strict")
        assert message.startswith("new.csv: no column 'age', taken as missing; ")
        assert "'mars' in 40 cells" in message
        assert "kind" not in message  # the labels of the fit
        assert "say --labels shop if it holds labels, or leave out --strict" in message


def test_labels_of_the_fit_may_be_there_or_not(place: Path, tmp_path: Path):
    new = shop(40, seed=1).drop(columns="code")
    new.loc[0, "age"] = np.nan
    options = ("--components", 2, "--latent-dim", 1, "--hidden", 8, "--epochs", 1, "--quiet")
    new.assign(kind="k", grade=[1, 2] * 20).to_csv(tmp_path / "new.csv", index=False)
    new.assign(kind="k", grade=[1, 2] * 20).to_parquet(tmp_path / "new.parquet", index=False)
    shutil.copy(tmp_path / "new.csv", tmp_path / "old.csv")
    run, out = tmp_path / "run", tmp_path / "out.csv"
    done("fit", tmp_path / "old.csv", "--labels", "kind", "--known", "grade", "--out", run, *options)
    for name in ("new.csv", "new.parquet"):
        for words in (("cluster", "--out", out), ("describe",), ("evaluate",), ("drift",), ("impute", "--out", out)):
            answer = done(words[0], run, tmp_path / name, *words[1:], "--strict")
            assert f"read {name}: 40 rows, all 5 columns of the fit" in answer.err, words
            assert not any(word in answer.err for word in ("did not have", "kind", "grade")), words
    assert pd.read_csv(out)["kind"].tolist() == ["k"] * 40


def test_no_column_in_common_and_no_row(place: Path, tmp_path: Path):
    shop(9).add_prefix("x").to_csv(tmp_path / "other.csv", index=False)
    shop(9)[:0].to_csv(tmp_path / "none.csv", index=False)
    for command in ("cluster", "evaluate", "describe", "impute", "drift"):
        out = ("--out", tmp_path / "o.csv") if command in ("cluster", "impute") else ()
        assert "no column of the fit is there" in refused(command, place / "run", tmp_path / "other.csv", *out)
        assert "0 rows; at least 1 is needed" in refused(command, place / "run", tmp_path / "none.csv", *out)
    assert not (tmp_path / "o.csv").exists()


def test_a_named_matrix_takes_its_columns_in_any_order():
    random = np.random.RandomState(0)
    X = pd.DataFrame(random.normal(size=(60, 3)), columns=list("abc"))
    model = CPVAE(2, likelihood="gaussian", latent_dim=1, hidden=(4,), max_epochs=1, random_state=0).fit(X)
    expected = model.predict_proba(X)
    np.testing.assert_array_equal(model.predict_proba(X[["c", "a", "b"]]), expected)
    with pytest.warns(ReadWarning, match="column 'd' that the fit did not have, left out"):
        np.testing.assert_array_equal(model.predict_proba(X.assign(d=1)), expected)
    with pytest.raises(InputError, match="no column 'b'; expected the columns of the fit"):
        model.predict(X[["a", "c"]])  # a similar name of another column of the fit was not meant
    with pytest.raises(InputError, match=r"no column 'b'; did you mean 'B'\?; expected the columns of the fit"):
        model.predict(X.rename(columns={"b": "B"}))
    with pytest.raises(InputError, match="missing=True: expected a model of a table"):
        model.sample(3, missing=True)


# ---------------------------------------------------------------- drift


def noted(place: Path, frame: pd.DataFrame, tmp_path: Path, *words: object) -> dict[str, Any]:
    frame.to_csv(tmp_path / "june.csv", index=False)
    answer: dict[str, Any] = json.loads(done("drift", place / "run", tmp_path / "june.csv", "--json", *words).out)
    return answer


def test_a_new_sample_of_the_same_source_has_not_changed(place: Path, tmp_path: Path):
    found = noted(place, shop(150, seed=5), tmp_path)
    assert not found["changed"]
    assert found["answer"] == "No change found: 150 new rows are like the 300 rows before."
    assert {one["category"] for one in found["mix"]["categories"]} == {0, 1}
    text = done("drift", place / "run", tmp_path / "june.csv").out
    assert text.startswith(found["answer"])
    assert "The mix of the categories has not changed (p " in text
    assert not noted(place, pd.read_csv(place / "may.csv"), tmp_path, "--labels", "kind")["mix"]["changed"]
    same = json.loads(done("drift", place / "run", place / "may.csv", "--json").out)
    assert same["changed"] is False


def planted(**changes: Any) -> pd.DataFrame:
    return shop(150, seed=5).assign(**changes)


def test_planted_changes_are_found_and_named(place: Path, tmp_path: Path):
    old, every = planted()["spent"] > 65, np.arange(150)
    found = noted(place, pd.concat([planted(), shop(300, seed=6)[lambda f: f["spent"] > 65]]), tmp_path)
    assert found["mix"]["changed"]
    assert {one["column"] for one in found["cells"]} <= {"age"}  # that the second kind tells less often
    assert found["answer"].startswith("Changed: the mix of the categories")
    found = noted(place, planted(spent=lambda f: f["spent"] + 15 * old), tmp_path)
    assert {one["column"] for one in found["columns"]} == {"spent"}
    (one,) = found["columns"]
    assert one["here"] > one["others"]
    assert 0 < one["low"] < one["effect"] < one["high"]
    assert "(before " in one["words"]
    found = noted(place, planted(region=lambda f: f["region"].where(every % 10 > 0, "mars")), tmp_path)
    assert [(one["column"], one["kind"], one["levels"]) for one in found["cells"]] == [("region", "level", ["mars"])]
    assert found["answer"] == "Changed: which cells are there ('region')."
    found = noted(place, planted(spent=lambda f: f["spent"].where(every % 4 > 0)).drop(columns="since"), tmp_path)
    assert [(one["column"], one["kind"]) for one in found["cells"]] == [("spent", "missing"), ("since", "absent")]
    assert found["notes"] == ["compared without 'spent', 'since', whose cells have changed"]
    assert found["columns"] == []


def test_rows_of_another_source_are_unusual(place: Path):
    model, may = load(place / "run"), pd.read_csv(place / "may.csv").drop(columns="kind")
    strange = shop(60, seed=5).assign(spent=lambda f: f["spent"] + 100)
    found = drift(model, strange, shop(200, seed=9), learned=False)
    assert found.bounds_changed
    assert all(one.effect < 0 and one.high < 0 for one in found.bounds_changed)
    assert "are less usual: median bound" in str(found)
    assert drift(model, strange, may).notes[-1].startswith("the fit learned from the rows before")
    assert list(found.to_frame().columns[:6]) == ["category", "name", "column", "level", "now", "before"]


def test_rows_that_are_no_table_and_models_without_categories():
    random = np.random.RandomState(0)
    X = random.normal(size=(80, 4))
    settings: dict[str, Any] = {"latent_dim": 1, "hidden": (4,), "max_epochs": 1, "random_state": 0}
    model = CPVAE(2, init="random", **settings).fit(X)
    assert drift(model, X[::2], X, learned=False).answer == "No change found: 40 new rows are like the 80 rows before."
    shifted = X[:40] + np.array([0, 0, 3, 0])
    found = drift(model, shifted, X, learned=False)
    assert {one.contrast.column for one in found.columns} == {"column 2"}
    assert len(found.mix) == 2
    found = drift(VAE(**settings).fit(X), shifted, X)
    assert found.answer == "Changed: the rows ('column 2')."
    assert found.mix == ()
    assert "\nColumns that have changed, the largest effect first:\n  column 2: " in str(found)


def test_rows_that_cannot_be_compared(place: Path, tmp_path: Path):
    run, june = place / "run", tmp_path / "june.csv"
    shop(4).to_csv(june, index=False)
    assert "4 new rows: expected at least 5 to compare" in refused("drift", run, june)
    shop(40, seed=1).to_csv(june, index=False)
    assert "give the rows before with --reference" in refused("drift", run / "model.safetensors", june)
    done("drift", run / "model.safetensors", june, "--reference", place / "may.csv")
    shutil.copytree(run, tmp_path / "run")
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    config["about"]["source"] = config["about"]["found_at"] = str(tmp_path / "may.csv")
    (tmp_path / "run" / "config.json").write_text(json.dumps(config))
    assert "the rows of the fit cannot be read: " in refused("drift", tmp_path / "run", june)
    shop(80).assign(kind="k").to_csv(tmp_path / "may.csv", index=False)
    message = refused("drift", tmp_path / "run", june)
    assert "has changed since the fit: 80 rows, expected the 300 of the fit as they were; give the rows" in message


def test_gaps_of_many_columns_do_not_change_by_chance():
    """Correction: three of 60 columns that lack as many cells as before are expected below 0.05 by their own p."""
    random, names = np.random.RandomState(1), [f"x{j}" for j in range(60)]

    def side(n: int, gaps: float) -> Any:
        matrix = np.where(random.rand(n, 60) < np.r_[gaps, np.full(59, 0.1)], np.nan, 0.0)
        reading = SimpleNamespace(unknown=(), absent=())
        return SimpleNamespace(matrix=matrix, names=names, unknown=np.zeros(60), reading=reading)

    old, same, worse = side(300, 0.1), side(150, 0.1), side(150, 0.5)
    (n_old, old_gaps), (n_same, same_gaps) = (
        (np.full(60, len(x.matrix)), np.isnan(x.matrix).sum(0)) for x in (old, same)
    )
    assert two_samples.frequency_p(old_gaps, n_old, same_gaps, n_same).min() < 0.05
    cells = import_module("cpvae.study.drift")._cells  # the function of the same name hides the module
    assert min(one.p for one in cells(old, same)) > 0.05
    assert [one.column for one in cells(old, worse) if one.p < 0.05] == ["x0"]


def test_a_false_alarm_is_rare_whatever_is_asked(monkeypatch: pytest.MonkeyPatch):
    """Draw both sides from one source many times: the tests that drift is made of keep their level."""
    monkeypatch.setattr(two_samples, "PERMUTATIONS", 199)
    random = np.random.default_rng(0)
    alarms = []
    for _ in range(200):
        old, new = random.multinomial(80, [0.5, 0.3, 0.2]), random.multinomial(40, [0.5, 0.3, 0.2])
        p = [two_samples.shares_p(old, new)]
        there = random.binomial([[80], [40]], [[0.02, 0.3, 0.9]] * 2)
        p += two_samples.frequency_p(there[0], np.full(3, 80), there[1], np.full(3, 40)).tolist()
        alarms.append(np.array(p) <= 0.05)
    assert np.mean(alarms, axis=0).max() < 0.1


# ---------------------------------------------------------------- rows drawn


def test_rows_drawn_are_read_like_the_table(place: Path, tmp_path: Path):
    run, new = place / "run", tmp_path / "new.csv"
    answer = done("sample", run, "-n", "400", "--missing", "--no-component-column", "--out", new)
    assert "of the cells are missing: each column as often as in its category among the rows fitted" in answer.err
    rows, may = pd.read_csv(new), pd.read_csv(place / "may.csv")
    assert list(rows.columns) == [name for name in may.columns if name not in ("id", "kind")]
    lines = new.read_text().splitlines()[1:]
    assert all(re.fullmatch(r"(\d+|),\d+\.\d{1,2},\w+,(True|False),\w+,\d\d\.\d\d\.\d{4}", line) for line in lines)
    assert set(rows["code"]) == {"007", "012", "A12"}
    assert abs(rows["age"].isna().mean() - may["age"].isna().mean()) < 0.05
    assert not rows.drop(columns="age").isna().any(axis=None)
    done("cluster", run, new, "--out", tmp_path / "out.csv")
    done("fit", new, "--schema", place / "kinds.json", "--out", tmp_path / "again", *TINY)
    kinds = [{column.name: column.kind for column in load(one).schema_.columns} for one in (run, tmp_path / "again")]
    assert kinds[0] == kinds[1]


def test_what_is_given_is_never_missing(place: Path):
    model = load(place / "run")
    rows, _ = model.sample(200, given={"age": (20, 80)}, missing=True)
    assert not rows["age"].isna().any()
    rows, _ = model.sample(200, missing=True)
    again, _ = model.sample(200, missing=True)
    pd.testing.assert_frame_equal(rows, again)
    whole, _ = model.sample(200)
    assert not whole.isna().any(axis=None)
    rows, c = model.sample(4000, missing=True, random_state=1)
    for k, rates in enumerate(model.missing_rates_):
        np.testing.assert_allclose(rows[c == k].isna().mean(), rates, atol=0.02)
    assert model.missing_rates_[:, 0].max() > 2 * model.missing_rates_[:, 0].min()


def test_models_that_do_not_know_what_is_missing(place: Path, tmp_path: Path):
    tensors, meta = load_tensors(place / "run" / "model.safetensors")
    kept = meta["fitted"].pop("missing_rates")
    assert list(kept) == ["age"]
    old = tmp_path / "old.safetensors"
    save_tensors(old, tensors, meta)
    model = load(old)
    assert len(model.sample(3)[0]) == 3
    with pytest.raises(InputError, match="saved by a version that did not keep how often cells are missing"):
        model.sample(3, missing=True)
    for bad in ([0.5], {"age": [0.1]}, {"age": [0.1, 2]}, {"aeg": [0.1, 0.2]}, {"age": [0.1, "x"]}):
        meta["fitted"]["missing_rates"] = bad
        save_tensors(old, tensors, meta)
        with pytest.raises(InputError, match=r"rates of missing cells .* cannot be used; fit again"):
            load(old)


@pytest.mark.usefixtures("few_rows")
def test_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    page = (Path(__file__).parents[1] / "docs" / "next.md").read_text()
    monkeypatch.chdir(tmp_path)
    (lines,) = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    for line in lines.splitlines():
        words = shlex.split(line, comments=True)[1:]
        done(*words, *(SMALL if words[0] == "fit" else ()))
    assert len(pd.read_csv("labels.csv")) == 300
    names: dict[str, Any] = {}
    for code in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(code, names)
    assert names["found"].rows == 100
    assert len(names["categories"]) == 300


def test_levels_that_are_whole_numbers_stay_whole_beside_missing_cells(tmp_path: Path):
    random = np.random.default_rng(0)
    table = pd.DataFrame({"arm": random.choice([1.0, 2.0, np.nan], 60), "size": random.normal(size=60).round(2)})
    (tmp_path / "birds.csv").write_text(table.assign(arm=table["arm"].astype("Int64")).to_csv(index=False))
    run, out = tmp_path / "run", tmp_path / "new.csv"
    done("fit", tmp_path / "birds.csv", "-k", "2", "--epochs", "1", "--hidden", "4", "--out", run)
    done("sample", run, "-n", "40", "--missing", "--no-component-column", "--out", out)
    assert set(pd.read_csv(out, dtype=str)["arm"].fillna("")) == {"1", "2", ""}
    done("impute", run, tmp_path / "birds.csv", "--out", out)
    assert set(pd.read_csv(out, dtype=str)["arm"]) == {"1", "2"}


@pytest.mark.parametrize("words", [False, True])
def test_another_unit_than_in_the_fit_is_told_and_refused_where_asked(tmp_path: Path, words: bool):
    random = np.random.default_rng(0)
    weights = random.lognormal(3, 1, 60).round(2)
    more = {"shop": random.choice(["u", "v"], 60)} if words else {"size": random.normal(size=60).round(3)}
    for unit, name in (("kg", "kg"), ("t", "t"), ("Kg", "other"), ("", "bare")):
        pd.DataFrame({"weight": [f"{w} {unit}".strip() for w in weights], **more}).to_csv(tmp_path / f"{name}.csv")
    run, out = tmp_path / "run", tmp_path / "labels.csv"
    done("fit", tmp_path / "kg.csv", "-k", "2", "--epochs", "1", "--hidden", "4", "--init", "random", "--out", run)
    said = "column 'weight' is in 't', and was in 'kg' in the fit; numbers stay as they are"
    assert said in done("cluster", run, tmp_path / "t.csv", "--out", out).err
    assert said in refused("cluster", run, tmp_path / "t.csv", "--out", out, "--strict")
    for name in ("kg", "other", "bare"):
        assert "numbers stay" not in done("cluster", run, tmp_path / f"{name}.csv", "--out", out, "--strict").err
    model = load(run)
    with pytest.warns(ReadWarning, match="is in 't', and was in 'kg'"):
        model.predict(pd.read_csv(tmp_path / "t.csv", index_col=0))


def test_a_column_of_the_fit_cannot_hold_labels(place: Path, tmp_path: Path):
    model = load(place / "run")
    own = model.schema_.names[-1]
    for words in (("cluster", "--out", tmp_path / "x.csv"), ("describe",), ("drift",), ("report",)):
        command, *more = words
        data = ("--data", place / "may.csv") if command == "report" else (place / "may.csv",)
        said = refused(command, place / "run", *data, "--labels", own, *more)
        assert f"labels={own!r} is a column that the model was fitted on" in said
