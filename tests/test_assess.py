"""Synthetic rows beside real ones: copies are found, halves of a file are alike, noise is not."""

import json
import re
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cpvae import CPVAE, FitWarning, InputError, load
from cpvae.data.columns import Column
from cpvae.data.schema import Schema
from cpvae.study.assessing import assess, assessment, learners
from cpvae.study.assessing import closeness as nearby
from cpvae.study.assessing.assessment import Target
from cpvae.study.assessing.closeness import _share_to_training, closeness
from cpvae.study.assessing.learners import two_samples, usefulness
from cpvae.study.assessing.rows import assess_run, table_of
from cpvae.study.assessing.shapes import shapes, trends
from cpvae.study.assessing.tables import Table, with_gaps_of
from test_cli import SMALL, done, refused, tree

FAST = ("--init", "random", *SMALL)
ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _fast(monkeypatch):
    """Grow fewer trees, and resample less often."""
    monkeypatch.setattr(learners, "TREES", 10)
    monkeypatch.setattr(learners, "FOLDS", 3)
    monkeypatch.setattr(learners, "RESAMPLES", 40)


def people(n: int, seed: int = 0) -> pd.DataFrame:
    """Draw a table with numbers, amounts, counts, levels, dates and gaps, of which some depend on others."""
    random = np.random.default_rng(seed)
    age = random.normal(45, 12, n).round(1)
    north = random.random(n) < 1 / (1 + np.exp((45 - age) / 5))
    table = pd.DataFrame(
        {
            "age": age,
            "income": np.exp(7 + age / 30 + 0.5 * random.normal(size=n)).round(),
            "visits": random.poisson(1 + age / 10),
            "region": np.where(north, "north", random.choice(["south", "west"], n)),
            "since": pd.to_datetime("2020-01-01") + pd.to_timedelta(random.integers(0, 900, n), unit="D"),
        }
    )
    for j, name in enumerate(("age", "region")):
        table.loc[random.random(n) < 0.1 * (j + 1), name] = None
    return table


SCHEMA = Schema.infer(people(600))


def table(frame: pd.DataFrame) -> Table:
    return Table(SCHEMA.columns, SCHEMA.encode(frame))


def part(n: int, seed: int) -> Table:
    return table(people(n, seed))


def noise(n: int) -> Table:
    """Draw each column alone, so that no cell depends on another."""
    random, values = np.random.RandomState(0), part(n, 3).values.copy()
    for column in values.T:
        random.shuffle(column)
    return Table(SCHEMA.columns, values)


def test_halves_of_a_file_cannot_be_told_apart_and_noise_can():
    real = part(300, 1)
    same = two_samples(real, part(300, 2), 300)
    assert same.auc.low < 0.5 < same.auc.high
    assert same.accuracy.low < 0.5 < same.accuracy.high
    assert two_samples(real, noise(300), 300).auc.low > 0.6
    far = replace(real, values=real.values + np.array([100.0, 1e6, 0, 0, 0]))
    told = two_samples(real, far, 300)
    assert told.auc.value > 0.99
    assert told.accuracy.low > 0.95


def test_shapes_and_trends_of_halves_are_as_expected_and_those_of_noise_are_not():
    real = part(400, 1)
    for likeness in (shapes, trends):
        found = likeness(real, part(400, 2))
        assert abs(found.shortfall) < 0.03
    assert shapes(real, noise(400)).shortfall < 0.03  # each column alone is right
    assert trends(real, noise(400)).shortfall > 0.03
    worst = trends(real, noise(400)).worst(1)[0][0]
    assert set(worst) <= {"age", "income", "region", "visits"}
    assert shapes(real, real).mean == pytest.approx(1.0)


CLEAN = Table(
    (Column("x", "numeric"), Column("y", "numeric"), Column("c", "categorical", ("a", "b", "c"))), np.empty(0)
)
X = np.column_stack([np.arange(12.0) ** 1.5, (7 * np.arange(12)) % 12, np.arange(12) % 3])
Y = np.column_stack([np.arange(12.0) * 2, (5 * np.arange(12)) % 12, (np.arange(12) // 5) % 3])
OF_SDMETRICS = {  # by sdmetrics 0.32.0
    ("x",): 0.6666666666666667,
    ("y",): 1.0,
    ("c",): 0.8333333333333333,
    ("x", "y"): 0.9899256082869491,
    ("x", "c"): 0.33333333333333337,
    ("y", "c"): 0.5,
}


def test_shapes_and_trends_are_those_of_sdmetrics():
    real, synthetic = replace(CLEAN, values=X), replace(CLEAN, values=Y)
    found = {**shapes(real, synthetic).figures, **trends(real, synthetic).figures}
    assert found == pytest.approx(OF_SDMETRICS)


def test_shapes_and_trends_are_those_of_sdmetrics_where_it_is_installed():
    pytest.importorskip("sdmetrics")
    from sdmetrics.column_pairs import ContingencySimilarity, CorrelationSimilarity
    from sdmetrics.single_column import KSComplement, TVComplement

    real, synthetic = (pd.DataFrame(values, columns=["x", "y", "c"]) for values in (X, Y))
    for names, expected in OF_SDMETRICS.items():
        if len(names) == 1:
            metric = (TVComplement if names == ("c",) else KSComplement).compute(real[names[0]], synthetic[names[0]])
        elif "c" in names:
            pairs = (frame[list(names)].copy() for frame in (real, synthetic))
            metric = ContingencySimilarity.compute(*pairs, continuous_column_names=[names[0]])
        else:
            metric = CorrelationSimilarity.compute(real[list(names)], synthetic[list(names)])
        assert metric == pytest.approx(expected), names


def test_copies_are_found_and_named_and_rows_drawn_anew_are_none():
    training, held_out, new = part(300, 1), part(200, 2), part(200, 3)
    fair = closeness(training, held_out, new)
    assert fair.memorised == ()
    assert fair.nearer.low < 0.5 < fair.nearer.high
    assert fair.to_training == pytest.approx(fair.expected, abs=0.1)
    assert fair.p > 0.01
    copied = new.values.copy()
    copied[[5, 70]] = training.values[[11, 290]]
    found = closeness(training, held_out, replace(new, values=copied))
    exact = [(copy.row, copy.training_row) for copy in found.memorised if copy.exact]
    assert exact == [(5, 11), (70, 290)]
    jitter = training.values[:200] + np.array([0.1, 1, 0, 0, 0])
    near = closeness(training, held_out, replace(new, values=jitter))
    assert len(near.memorised) > 150
    assert near.to_training > 0.95
    assert near.p < 1e-6
    assert all(copy.row == copy.training_row for copy in near.memorised)


def test_a_row_that_several_rows_share_is_no_copy():
    random = np.random.RandomState(0)
    levels = Table((Column("c", "categorical", ("a", "b")), Column("d", "categorical", ("a", "b"))), np.empty(0))
    sides = [replace(levels, values=random.randint(2, size=(n, 2)).astype(float)) for n in (60, 40, 50)]
    assert closeness(*sides).copies == ()


def test_the_share_closest_to_training_rows_has_the_spread_of_random_splits():
    random = np.random.RandomState(0)
    n, m, k = 60, 20, 30
    closest = random.randint(n + m, size=k)  # to each synthetic row, of all real rows

    def of(held: np.ndarray) -> tuple[float, float, float]:
        place = np.cumsum(~held) - 1
        mine = ~held[closest]
        at, beside = np.where(mine, place[closest], 0), np.where(mine, 0, (np.cumsum(held) - 1)[closest])
        return _share_to_training(np.where(mine, 0.1, 0.2), at, np.where(mine, 0.2, 0.1), beside, n, m)

    drawn = []
    for _ in range(1000):
        held = np.zeros(n + m, bool)
        held[random.permutation(n + m)[:m]] = True
        drawn.append(of(held))
    shares, expected, p = np.array(drawn).T
    assert shares.mean() == pytest.approx(expected[0], abs=0.01)
    assert (p < 0.05).mean() == pytest.approx(0.05, abs=0.035)


def test_what_is_learned_from_noise_is_of_less_use():
    training, held_out, new = part(400, 1), part(300, 2), part(400, 3)
    place = [column.name for column in SCHEMA.columns].index
    for name in ("income", "region"):
        j = place(name)

        def sides(synthetic: Table, j: int = j) -> list[tuple[Table, np.ndarray]]:
            others = np.arange(len(training.columns)) != j
            return [(one.only(others), one.scaled()[:, j]) for one in (training, synthetic, held_out)]

        good = usefulness(sides(new), name, name == "region", 400)
        bad = usefulness(sides(noise(400)), name, name == "region", 400)
        assert good.real > good.base + 0.05
        assert abs(good.difference.value) < 0.12
        assert bad.difference.high < -0.05
        assert bad.synthetic < good.synthetic - 0.05
    one_class = replace(new, values=np.where(np.arange(5) == place("region"), 0.0, new.values))
    assert usefulness(sides(one_class), "region", True, 400).synthetic <= good.real


def test_gaps_are_given_to_rows_that_have_none():
    real, whole = part(300, 1), replace(part(300, 2), values=np.nan_to_num(part(300, 2).values))
    filled, names = with_gaps_of(real, whole, 0)
    assert names == ["age", "region"]
    assert np.isnan(filled.values).mean(0) == pytest.approx(np.isnan(real.values).mean(0), abs=0.08)
    assert with_gaps_of(real, real, 0)[1] == []


def test_the_words_say_what_the_numbers_say():
    training, held_out, new = part(120, 1), part(100, 2), part(100, 3)
    fair = assess(held_out, training, held_out, new, Target(column=3))
    assert fair.verdict.conclusion.startswith("These rows may be shown")
    copied = assess(held_out, training, held_out, training.at(np.arange(100)))
    assert copied.verdict.conclusion.startswith("These rows should not be shown")
    assert "0 (equal to training row 0)" in str(copied)
    twins = assess(training, training, held_out, training)  # a classifier puts a row where its copy was not
    assert twins.test.auc.high < 0.3
    assert "A classifier" not in str(twins)
    assert "A classifier hardly tells" in str(fair)
    unlike = assess(held_out, training, held_out, replace(new, values=new.values * [1.2, 3, 1, 1, 1]))
    assert "not quite like" in unlike.verdict.conclusion
    assert "A classifier" in " ".join(unlike.verdict.speaks_against)
    value = json.loads(json.dumps(copied.as_dict(), allow_nan=False))
    assert len(value["memorised"]) == 100
    assert value["figures"]["exact_copies"] == 100
    with pytest.raises(InputError, match=r"3 held-out rows: expected at least 5"):
        assess(held_out, training, held_out.at(np.arange(3)), new)


def test_copies_are_found_beside_a_column_without_a_value():
    training, held_out = part(300, 1), part(200, 2)
    copied = training.values[:100].copy()
    copied[:, [0, 2]] = np.nan  # such as of levels that the fit did not have
    found = assess(held_out, training, held_out, replace(training, values=copied))
    assert found.verdict.conclusion.startswith("These rows should not be shown")
    assert len(found.closeness.memorised) > 50
    names = " and ".join(repr(SCHEMA.columns[j].name) for j in (0, 2))
    assert any(f"no value in {names}, where real rows have some" in note for note in found.verdict.notes)
    with pytest.raises(InputError, match="the synthetic rows have no value in any column"):
        assess(held_out, training, held_out, replace(training, values=np.full_like(copied, np.nan)))


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """Fit the people quickly, and lay their files beside the run."""
    folder = tmp_path_factory.mktemp("assess")
    frame = people(200, 1)
    frame.insert(0, "id", [f"N{i}" for i in range(200)])
    frame.to_csv(folder / "people.csv", index=False)
    people(120, 2).to_csv(folder / "others.csv", index=False)
    options = {"latent_dim": 2, "hidden": (8,), "max_epochs": 2, "init": "random", "random_state": 0}
    model = CPVAE(2, validation_fraction=0.3, **options)
    where = {"source": str(folder / "people.csv"), "found_at": str(folder / "people.csv")}
    with pytest.warns(FitWarning, match="'id'"):
        model.fit(pd.read_csv(folder / "people.csv"), out=folder / "run", about=where)
    rows, categories = model.sample(100)
    rows.insert(0, "component", categories)
    rows.to_csv(folder / "new.csv", index=False)
    return folder


def test_a_run_tells_training_rows_from_held_out_ones(world):
    names = [world / name for name in ("run", "people.csv", "new.csv")]
    own = assess_run(names[0], *map(str, names[1:]))
    assert (own.closeness.training, own.closeness.held_out) == (140, 60)
    other = assess_run(names[0], str(world / "others.csv"), str(names[2]), "income")
    assert (other.closeness.training, other.closeness.held_out) == (140, 120)
    assert other.useful.target == "income"
    both = pd.concat([people(120, 2), pd.read_csv(names[1])])
    both.to_csv(world / "both.csv", index=False)
    more = assess_run(names[0], str(world / "both.csv"), str(names[2]))
    assert more.closeness.held_out == 120
    assert any("200 rows of the fit and 120 others" in note for note in more.verdict.notes)


@pytest.mark.usefixtures("undrawn")
def test_the_command_says_words_and_numbers_and_names_copies_by_the_rows_of_the_file(world):
    frame, new = pd.read_csv(world / "people.csv"), pd.read_csv(world / "new.csv")
    held = assess_run(world / "run", str(world / "people.csv"), str(world / "people.csv"))
    trained = [copy.training_row for copy in held.closeness.memorised if copy.exact]
    assert all(copy.row == copy.training_row for copy in held.closeness.memorised if copy.exact)
    assert 100 < len(trained) <= 140
    assert any("people.csv holds the rows of the fit: were the files given the wrong" in n for n in held.verdict.notes)
    other_way = assess_run(world / "run", str(world / "new.csv"), str(world / "people.csv"))
    assert any("the wrong way round?" in note for note in other_way.verdict.notes)
    copied = new.drop(columns="component")
    copied = pd.concat([copied, frame.loc[trained[:2], copied.columns]])
    copied.to_csv(world / "copied.csv", index=False)
    answer = done("assess", world / "run", world / "people.csv", world / "copied.csv", "--target", "region")
    assert answer.out.startswith("These rows should not be shown")
    assert f"100 (equal to training row {trained[0]})" in answer.out
    assert re.search(r"^c2st_auc +0\.", answer.out, re.MULTILINE)
    told = done("assess", world / "run", world / "people.csv", world / "copied.csv", "--json")
    named = [(one["row"], one["training_row"]) for one in json.loads(told.out)["memorised"]]
    assert named == [(100, trained[0]), (101, trained[1])]
    done("report", world / "run", "--data", world / "people.csv")
    assert "should not be shown" in (world / "run" / "report.html").read_text()


def test_the_labels_of_the_fit_may_stay_and_columns_may_be_empty(world):
    model, new = load(world / "run"), pd.read_csv(world / "new.csv")
    labelled = new.assign(kind="x")
    assert len(table_of(model, labelled, "new.csv", others={"kind"})) == 100
    with pytest.raises(InputError, match="columns that the fit did not have: 'kind'"):
        table_of(model, labelled, "new.csv")
    empty = table_of(model, new.assign(income=np.nan, region=None), "new.csv")
    half = np.arange(50)
    found = two_samples(empty.at(half), empty.at(half + 50), 50)  # two columns without a value
    assert 0.2 < found.auc.value < 0.8


def test_files_with_other_columns_are_refused_and_nothing_is_written(world):
    new = pd.read_csv(world / "new.csv")
    new.drop(columns=["age", "since"]).assign(town="x").to_csv(world / "bad.csv", index=False)
    before = tree(world)
    line = refused("assess", world / "run", world / "people.csv", world / "bad.csv")
    assert (
        "no column 'age', 'since'; columns that the fit did not have: 'town'; expected the columns of the fit" in line
    )
    assert "no column" in refused("assess", world / "run", world / "bad.csv", world / "new.csv")
    assert "did you mean 'income'" in refused(
        "assess", world / "run", world / "people.csv", world / "new.csv", "--target", "incom"
    )
    assert "folder of a run" in refused(
        "assess", world / "run" / "model.safetensors", world / "people.csv", world / "new.csv"
    )
    assert tree(world) == before


def test_rows_of_the_fit_that_are_gone_are_asked_for(world, tmp_path):
    place = world / "people.csv"
    kept = place.read_bytes()
    try:
        place.write_text("\n".join(kept.decode().splitlines()[:-3]) + "\n")
        line = refused("assess", world / "run", world / "others.csv", world / "new.csv")
        assert "no longer holds the rows of the fit" in line
        place.unlink()
        assert "cannot be read" in refused("assess", world / "run", world / "others.csv", world / "new.csv")
    finally:
        place.write_bytes(kept)


@pytest.mark.usefixtures("few_rows")
def test_the_page(tmp_path, monkeypatch):
    page = (ROOT / "docs" / "assess.md").read_text()
    monkeypatch.chdir(tmp_path)
    for place, name in ((assessment, "MOST"), (assessment, "MOST_TRAINING"), (nearby, "MOST_AGAIN")):
        monkeypatch.setattr(place, name, 200)
    (lines,) = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    for line in lines.splitlines():
        words = shlex.split(line, comments=True)[1:]
        if words[0] in ("fit", "sample", "assess"):  # a report is written elsewhere in this file
            done(*words, *(FAST if words[0] == "fit" else ()))
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names: dict = {}
    exec(code, names)
    assert set(re.findall(r"`(\w+_\w+)`", page)) <= {*names["found"].figures(), "assess_run"}


def test_a_matrix_of_numbers_is_assessed_too():
    values = np.random.RandomState(0).normal(size=(60, 3)).astype(np.float32)
    options = {"latent_dim": 2, "hidden": (8,), "max_epochs": 1, "init": "random", "random_state": 0}
    model = CPVAE(2, **options).fit(values)
    assert table_of(model, values, "rows").values.shape == (60, 3)
    with pytest.raises(InputError, match=r"new: no column 'x2'"):
        table_of(model, pd.DataFrame(values[:, :2], columns=["x0", "x1"]), "new")
