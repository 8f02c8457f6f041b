"""Categories in words: what sets them apart is told and noise is not, names are kept, and every command shows them."""

from __future__ import annotations

import json
import os
import re
import shlex
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import mannwhitneyu, norm, rankdata

from cpvae import CPVAE, VAE, FitWarning, InputError, load
from cpvae.checkpoints import load_tensors, save_tensors
from cpvae.data.schema import Schema
from cpvae.estimators.contract import DeepMixture
from cpvae.estimators.describing import described
from cpvae.estimators.novelty import lowest
from cpvae.fitting import runs
from cpvae.study.report.page import render
from cpvae.words import contrasts as apart
from cpvae.words.contrasts import Contrast, Feature, contrasts, features_of, with_distances
from cpvae.words.examples import UNSURE, border_rows
from cpvae.words.units import units_of, written
from test_cli import call, done, refused

PENGUINS = Path(os.environ.get("CPVAE_DATA", "none"), "field", "tables", "penguins.csv")
SMALL: dict[str, Any] = {"latent_dim": 2, "hidden": (8,), "max_epochs": 2, "init": "kmeans", "random_state": 0}
EVIL = "<script>alert('x')</script>\x1b[2J"


def fitted(model: DeepMixture, X: Any, **more: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        return model.fit(X, **more)


def told(frame: pd.DataFrame, categories: np.ndarray) -> list[list[Contrast]]:
    """Find what sets categories apart in a table."""
    schema = Schema.infer(frame)
    values, _ = schema.expand(schema.encode(frame))
    return contrasts(*with_distances(values, features_of(schema, values, [])), categories, int(categories.max()) + 1)


def groups(seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """Draw a table of three groups, with noise beside what they differ in."""
    random = np.random.RandomState(seed)
    labels = np.repeat([0, 1, 2], 50)
    frame = pd.DataFrame(
        {
            EVIL: (10 * labels + random.normal(size=150)).round(2),
            "visits": random.poisson(np.where(labels == 2, 9.0, 1.0)),
            "region": np.where(random.rand(150) < 0.9, np.array(["north", "south", "west"])[labels], "east"),
            "noise": random.normal(size=150).round(3),
            "weather": random.choice(["sun", "rain"], 150),
        }
    )
    frame.loc[::10, "visits"] = np.nan
    return frame, labels


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return groups()[0]


@pytest.fixture(scope="module")
def run(table: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fit a small model of a table into a run folder."""
    folder = tmp_path_factory.mktemp("described")
    table.to_csv(folder / "t.csv", index=False)
    fitted(CPVAE(3, **SMALL), table, out=folder / "run", about={"source": str(folder / "t.csv"), "labels": None})
    return folder / "run"


@pytest.fixture
def model(run: Path) -> CPVAE:
    return load(run)


# -- what sets categories apart ----------------------------------------------------------------------------------------


def test_effects_and_p_are_those_of_scipy():
    random = np.random.RandomState(0)
    values = np.column_stack([random.normal(size=90), random.poisson(1.0, 90), random.rand(90) < 0.3]).astype(float)
    values[random.rand(90, 3) < 0.1] = np.nan
    categories = random.choice(3, 90)
    effect, p = apart.tests(rankdata(values, axis=0, nan_policy="omit"), categories, 3)
    for k in range(3):
        for j, column in enumerate(values.T):
            here, others = (column[side & ~np.isnan(column)] for side in (categories == k, categories != k))
            expected = mannwhitneyu(here, others, method="asymptotic")
            assert p[k, j] == pytest.approx(expected.pvalue, rel=1e-9)
            difference = np.sign(here[:, None] - others).mean()
            assert effect[k, j] == pytest.approx(difference, abs=1e-12)


def test_the_effect_of_a_level_is_the_difference_of_its_shares():
    frame, labels = groups()
    (column,) = [one for one in told(frame, labels)[0] if one.column == "region"]
    north = frame["region"] == "north"
    assert (column.level, column.measure) == ("north", "share")
    assert column.here == north[labels == 0].mean()
    assert column.effect == pytest.approx(north[labels == 0].mean() - north[labels != 0].mean())


def test_what_sets_groups_apart_is_told_and_noise_is_not():
    frame, labels = groups()
    names = [{one.column for one in columns} for columns in told(frame, labels)]
    assert {EVIL, "region"} <= names[0] & names[1] & names[2]
    assert "visits" in names[2]
    (middle,) = [one for one in told(frame, labels)[1] if one.column == EVIL]
    ends = frame[EVIL].groupby(labels == 1).quantile([0.1, 0.9]).unstack()
    assert middle.ranges == pytest.approx((*ends.loc[True], *ends.loc[False]))
    assert middle.effect < -0.9
    assert not {"noise", "weather"} & set().union(*names)
    for one in (one for columns in told(frame, labels) for one in columns):
        assert min(abs(one.low), abs(one.high)) > apart.SMALL
        assert one.p <= apart.FALSE


@pytest.mark.parametrize("shares", [(0.4, 0.3, 0.3), (0.9, 0.07, 0.03)], ids=["even", "small"])
def test_shuffled_categories_are_not_described(shares):
    frame, _ = groups()
    schema = Schema.infer(frame)
    values, _ = schema.expand(schema.encode(frame))
    values, features = with_distances(values, features_of(schema, values, []))
    random = np.random.RandomState(0)
    found = [any(contrasts(values, features, random.choice(3, 150, p=shares), 3)) for _ in range(60)]
    assert np.mean(found) <= 0.1  # the share of false discoveries is held at 5 %


def test_pure_noise_beside_real_groups_is_hardly_ever_described():
    random = np.random.RandomState(0)
    labels = np.repeat([0, 1], 60)
    values = np.column_stack([labels + 0.1 * random.normal(size=120), random.normal(size=(120, 200))])
    features = [Feature(f"x{j}", j) for j in range(201)]
    found = contrasts(values, features, labels, 2)
    assert all(columns[0].column == "x0" for columns in found)
    assert sum(len(columns) - 1 for columns in found) <= 2


def test_intervals_hold_the_effect():
    random, held = np.random.RandomState(0), 0
    own, effect = np.arange(90) < 30, 2 * norm.cdf(0.5**0.5) - 1
    for _ in range(100):
        values = (random.normal(size=90) + own)[:, None]
        low, high = apart.intervals(values, rankdata(values, axis=0), own)
        held += int(low[0] <= effect <= high[0])
    assert 88 <= held <= 99


def test_a_few_huge_values_do_not_turn_the_words_around():
    values = np.concatenate([np.arange(20.0) + 100, np.arange(40.0), [1e6]])[:, None]
    ((column,), _) = contrasts(values, [Feature("spend", 0)], np.repeat([0, 1], [20, 41]), 2)
    assert str(column) == "median spend 110 (others 20)"


@pytest.mark.skipif(not PENGUINS.is_file(), reason="needs penguins.csv in CPVAE_DATA")
def test_penguins_are_described_as_a_biologist_would():
    frame = pd.read_csv(PENGUINS).drop(columns="rownames")
    species = frame.pop("species").to_numpy()
    (_, gentoo) = told(frame, (species == "Gentoo").astype(int))
    words = [str(one) for one in gentoo]
    assert words[0] == "flipper_length_mm 217 (others 192)"
    assert "island Biscoe 100 % (others 20 %)" in words
    assert not any("sex" in one or "year" in one for one in words)


# -- a model described -------------------------------------------------------------------------------------------------


def test_a_description_is_of_all_rows(model, table):
    found = model.describe(table)
    proba = model.predict_proba(table)
    categories = proba.argmax(1)
    assert [one.rows for one in found] == np.bincount(categories, minlength=3).tolist()
    assert sum(one.share for one in found) == pytest.approx(1.0)
    for one in found:
        assert all(categories[list(one.typical)] == one.number)
        sure = int((proba[categories == one.number].max(1) > 1 - UNSURE).sum())  # on no border
        assert len(set(one.typical)) == min(8, sure or one.rows)
        for row in one.border:
            assert np.argsort(proba[row.row])[-2:].tolist() == [row.neighbour, one.number]
            assert row.probability == proba[row.row, row.neighbour]
    assert str(found) == str(model.describe(table))
    assert found.as_dict() == json.loads(json.dumps(found.as_dict(), allow_nan=False))
    frame = found.to_frame()
    assert len(frame) == sum(max(1, len(one.columns)) for one in found)
    assert set(frame["category"]) == {0, 1, 2}


def test_a_description_is_printed_in_the_units_of_the_data(model, table):
    told_by_it = [(one, column) for one in model.describe(table) for column in one.columns if column.column == EVIL]
    category, strange = told_by_it[0]
    own = model.predict(table) == category.number
    middle = table[EVIL][own].median() if strange.ranges else table[EVIL][own].mean()
    assert strange.here == pytest.approx(middle)
    text = str(model.describe(table))
    assert text.startswith("150 rows in ")
    assert f"Category {category.number}, {own.sum()} rows (" in text
    assert "\x1b" not in text


def test_border_rows_are_the_least_sure():
    proba = np.array([[0.55, 0.45], [0.7, 0.3], [0.95, 0.05], [0.4, 0.6]])
    assert [one.row for one in border_rows(proba, 0, 5)] == [0, 1]
    assert [one.neighbour for one in border_rows(proba, 1, 5)] == [0]
    assert border_rows(np.ones((3, 1)), 0, 5) == []


def test_rows_too_few_and_a_single_category_are_said(model, table):
    few = model.describe(table.iloc[:3])
    assert few.largest_first[0].traits in ("", "too few rows to say what sets them apart")
    assert sum(one.rows for one in few) == 3
    z, matrix = model.transform(table), model._check_rows(table, reset=False)
    alone = described(model, matrix, np.eye(3)[np.zeros(150, int)], np.zeros(150), z, np.arange(150))
    assert str(alone).splitlines()[1] == "Category 0, 150 rows (100 %)."
    assert str(alone).endswith("Without a row: 1, 2.")


def test_images_have_means_and_examples_and_noise_is_not_described():
    x = np.random.RandomState(0).rand(40, 1, 4, 5)
    model = fitted(CPVAE(2, **SMALL), x)
    for one in model.describe(x):
        own = x[model.predict(x) == one.number]
        assert all(contrast.p <= apart.FALSE for contrast in one.columns)
        assert one.mean.shape == one.spread.shape == (1, 4, 5)
        if len(own):
            assert np.allclose(one.mean, own.mean(0))
            assert np.allclose(one.spread, own.std(0))


def test_large_rows_of_counts_do_not_have_more_of_everything():
    random = np.random.RandomState(0)
    depth = np.where(np.arange(80) % 2, 40.0, 4.0)
    rate = np.ones((80, 30))
    rate[:40, 0] = 8.0  # the only one that marks a group
    x = random.poisson(depth[:, None] * rate / rate.sum(1, keepdims=True) * 50)
    model = fitted(CPVAE(2, **SMALL | {"init": "random", "max_epochs": 1}, kind="counts"), x)
    proba, z = np.eye(2)[(np.arange(80) >= 40).astype(int)], np.zeros((80, 2))
    found = described(model, x, proba, np.zeros(80), z, np.arange(80))
    assert [one.column for one in found[0].columns] == ["column 0"]
    by_depth = described(model, x, np.eye(2)[np.arange(80) % 2], np.zeros(80), z, np.arange(80))
    assert all(one.columns == () for one in by_depth)


# -- names -------------------------------------------------------------------------------------------------------------


def test_names_are_kept_with_the_model(model, table, tmp_path):
    assert model.names_ == {}
    model.rename({2: " Gentoo ", 0: "Adelie"}).save(tmp_path / "m")
    again = load(tmp_path / "m")
    assert again.names_ == {0: "Adelie", 2: "Gentoo"}
    assert again.rename({0: None}).names_ == {2: "Gentoo"}
    assert again.describe(table)[2].name == "Gentoo"
    assert "ategory 2 (Gentoo)" in str(again.describe(table))
    assert fitted(again, table).names_ == {}  # other categories


def test_a_model_saved_before_there_were_names_loads(run, tmp_path):
    tensors, meta = load_tensors(run / runs.MODEL)
    del meta["fitted"]["names"]
    save_tensors(tmp_path / "m", tensors, meta)
    assert load(tmp_path / "m").names_ == {}


def test_names_are_refused_all_at_once(model):
    with pytest.raises(InputError) as caught:
        model.rename({0: "a", 1: "A", 2: "x" * 61, 7: "b", "1": "c", -1: ""})
    assert str(caught.value) == (
        "names of categories: no category 7: expected 0 to 2; no category '1': expected 0 to 2; no category -1: "
        "expected 0 to 2; 61 characters for category 2: expected at most 60; '' for category -1: expected text that is "
        "not empty; 'a' for categories 0, 1: expected a name of its own for each; correct them"
    )
    assert model.names_ == {}
    with pytest.raises(InputError, match="two lines"):
        model.rename({0: "two lines\n"[:-1] + "\nhere"})
    with pytest.raises(InputError, match=r"expected a dict, such as \{0: 'Gentoo'\}"):
        model.rename(["a"])
    with pytest.raises(InputError, match="'a' for categories 0, 1"):
        model.rename({0: "a"}).rename({1: "a"})
    with pytest.raises(InputError, match="'2' for category 0: expected a name, not the number of another category"):
        model.rename({0: "2"})
    with pytest.raises(InputError, match="category 0 is named twice, by its number and by its name"):
        model.rename({0: "a"}).rename({0: "b", "A": "c"})
    assert not hasattr(VAE(), "rename")


def test_a_name_stands_for_its_category(model, table):
    model.rename({2: "Regulars", 0: "Others"}).rename({"others": "Rest"})
    assert model.names_ == {0: "Rest", 2: "Regulars"}
    rows, categories = model.sample(5, component="regulars", given={"region": "north"})
    pd.testing.assert_frame_equal(rows, model.sample(5, component=2, given={"region": "north"})[0])
    assert set(categories) == {2}
    described = model.describe(table)
    assert described["Regulars"] is described[2]
    with pytest.raises(InputError, match=r"component='x': no category has this name; .*known: Rest, Regulars"):
        model.sample(component="x")
    with pytest.raises(InputError, match="weights='prior' with component=Rest"):
        model.sample(component="Rest", weights="prior")


@pytest.mark.parametrize("value", [None, [], "x", {"0": 1}, {"9": "a"}, {"x": "a"}, {"0": "a", "1": "a"}])
def test_odd_names_in_a_file_are_refused_in_one_line(run, tmp_path, value):
    tensors, meta = load_tensors(run / runs.MODEL)
    meta["fitted"]["names"] = value
    save_tensors(tmp_path / "m", tensors, meta)
    with pytest.raises(InputError, match="names of categories"):
        load(tmp_path / "m")


@pytest.mark.usefixtures("undrawn")
def test_a_name_cannot_run_in_the_report(model, table):
    page = render(model.rename({k: f"<b onclick=x>{k}" for k in range(3)}), table, data_name="t")
    assert "<b onclick" not in page
    assert "<script" not in page
    assert "(&lt;b onclick=x&gt;" in page
    assert page.index("Can I rely on it?") < page.index("The categories in words") < page.index("Key numbers")


# -- commands ----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("undrawn")
def test_names_go_through_all_commands(run, table, tmp_path, monkeypatch):
    monkeypatch.chdir(run.parent)
    before = load(run)
    largest = before.describe(table).largest_first[0].number
    assert list(pd.read_csv(clustered(run))) == ["row", "category", "probability", "odd"]
    renamed = done("rename", "run", f"{largest}=The north=ern <b>", f"{(largest + 1) % 3}=Others")
    assert f"category {largest}  The north=ern <b>" in renamed.out
    assert runs.read_config(run)["status"] == runs.FINISHED
    assert np.array_equal(before.predict(table), load(run).predict(table))
    found = pd.read_csv(clustered(run))
    assert list(found) == ["row", "category", "category_name", "probability", "odd"]
    assert set(found["category_name"][found["category"] == largest]) == {"The north=ern <b>"}
    for component in (largest, "the North=ern <b> "):
        done("sample", "run", "-n", 5, "--component", component, "--out", f"{component == largest}.csv")
    assert set(pd.read_csv("True.csv")["component_name"]) == {"The north=ern <b>"}
    assert Path("True.csv").read_bytes() == Path("False.csv").read_bytes()
    assert refused("sample", "run", "--component", "Othrs", "--out", "new.csv") == (
        "component='Othrs': no category has this name; expected 0 to 2, the categories of this model, or a name; did "
        "you mean 'Others'?"
    )
    told = done("describe", "run", "t.csv")
    assert f"ategory {largest} (The north=ern <b>), " in told.out
    assert "\x1b" not in told.out
    answer = json.loads(done("describe", "run", "t.csv", "--json").out)
    assert [one["category"] for one in answer["categories"]] == [0, 1, 2]
    words = done("report", "run").out
    assert f"ategory {largest} (The north=ern <b>), " in words
    page = (run / runs.REPORT).read_text()
    assert "(The north=ern &lt;b&gt;)" in page
    assert "<b>" not in page
    done("rename", "run", f"{largest}=", "others=")
    assert load(run).names_ == {}
    assert "or name categories by rename" in refused("sample", "run", "--component", "Others", "--out", "new.csv")


def clustered(run: Path) -> str:
    done("cluster", "run", "t.csv", "--out", "labels.csv")
    return "labels.csv"


@pytest.mark.usefixtures("few_rows")
def test_the_commands_of_the_page_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = (Path(__file__).parents[1] / "docs" / "describe.md").read_text()
    for block in re.findall(r"```sh\n(.*?)```", page, re.DOTALL):
        for line in block.strip().splitlines():
            done(*shlex.split(line)[1:])
    assert "category_name" in pd.read_csv("named.csv")


def test_the_tree_is_told_drawn_and_on_the_page(run, table, model, tmp_path, monkeypatch):
    monkeypatch.chdir(run.parent)
    words = str(model.tree(table))
    assert words == str(model.describe(table).tree)
    assert done("describe", "run", "t.csv", "--tree", tmp_path / "tree.svg").out.splitlines()[-1] == words
    assert "<svg" in (tmp_path / "tree.svg").read_text()
    assert json.loads(done("describe", "run", "t.csv", "--json").out)["tree"]["words"] == words
    assert refused("describe", "run", "t.csv", "--tree", "tree.gif").startswith("--tree tree.gif: unknown kind '.gif'")
    assert "--tree t.csv" in refused("describe", "run", "t.csv", "--tree", "t.csv")
    page = render(model.rename({0: "<b>x"}), table, data_name="t")
    assert words.replace("0", "0 (&lt;b&gt;x)", 1)[:12] in page or "(&lt;b&gt;x)" in page
    assert "<b>x" not in page
    column = next(one for one in model.describe(table) if one.columns).columns[0]
    assert f"<td>{column.effect:+.2f} ({column.low:+.2f} to {column.high:+.2f})</td>" in page


def test_what_rename_and_describe_refuse(run, tmp_path, monkeypatch):
    monkeypatch.chdir(run.parent)
    before = (run / runs.MODEL).read_bytes()
    line = refused("rename", "run", "x", "0=a", "0=b", "9" * 5000 + "=c")
    assert "'x' is no CATEGORY=NAME; category 0 is named twice; " in line
    assert "no category 3: expected 0 to 2" in refused("rename", "run", "3=a")
    assert "61 characters for category 0" in refused("rename", "run", "0=" + "x" * 61)
    assert "does not exist" in refused("rename", "none", "0=a")
    assert call("rename", "run").code == 2
    assert (run / runs.MODEL).read_bytes() == before
    fitted(VAE(latent_dim=2, hidden=(8,), max_epochs=1, random_state=0), np.eye(20, 3)).save("vae")
    assert "has no categories" in refused("rename", "vae", "0=a")
    np.save("eye.npy", np.eye(20, 3))
    assert "has no categories" in refused("describe", "vae", "eye.npy")


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        (["06:10", "06:20", "18:40", "18:50"], ["06:15", "18:45"]),
        (["6:10 AM", "6:20 AM", "6:40 PM", "6:50 PM"], ["6:15 AM", "6:45 PM"]),
        (["00:01:10", "00:01:20", "00:09:40", "00:09:50"], ["00:01:15", "00:09:45"]),
        (pd.to_datetime(["2024-03-01 06:10", "2024-03-01 06:20", "2024-03-01 18:40", "2024-03-01 18:50"]), None),
        (["2024-03-01", "2024-03-04", "2024-09-01", "2024-09-02"], ["2024-03-02", "2024-09-02"]),
    ],
)
def test_means_of_times_are_told_as_times(cells: Any, told: list[str] | None) -> None:
    frame = pd.DataFrame({"at": cells})
    schema = Schema.infer(frame, {"at": "date"})
    days = schema.encode(frame)
    (unit,) = units_of(schema, days)
    assert [written(days[part].mean(), unit) for part in (slice(2), slice(2, 4))] == (
        told or ["2024-03-01 06:15", "2024-03-01 18:45"]
    )
    assert unit == "date"  # what JSON says of the numbers beside it, which are days


def test_means_of_moments_are_told_in_the_zone_of_their_column() -> None:
    frame = pd.DataFrame(
        {"at": pd.to_datetime(["2024-07-01 06:10", "2024-07-01 06:20"]).tz_localize("America/New_York")}
    )
    schema = Schema.infer(frame)
    days = schema.encode(frame)
    assert written(days.mean(), units_of(schema, days)[0]) == "2024-07-01 06:15"


def test_a_signal_with_gaps_is_not_called_odd_for_having_fewer_values():
    x = 1e-3 * np.random.RandomState(0).normal(size=(60, 1, 20))
    x[::2, :, 5:] = np.nan
    x[1] = 5.0
    model = fitted(CPVAE(2, **SMALL), x)
    assert model.describe(x).odd == (1,)
    assert np.flatnonzero(model.predict_frame(x, lowest=lowest(model))["odd"]).tolist() == [1]


def test_the_mean_of_a_curve_has_the_shape_of_a_row():
    x = np.sin(np.linspace(0, 6, 40) + np.random.RandomState(0).rand(60, 1) * 6)
    model = fitted(CPVAE(2, **SMALL), x)
    assert {one.mean.shape for one in model.describe(x)} == {(40,)}
