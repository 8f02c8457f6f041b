"""Continual learning: what a continued model keeps, what it adds, and what it never sees or writes again."""

from __future__ import annotations

import copy
import importlib
import json
import pickle
import re
import shlex
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.exceptions import NotFittedError

from cpvae import CPVAE, VAE, FitWarning, InputError, MoGVAE, load
from cpvae.checkpoints import load_tensors
from cpvae.data.rows import Rows
from cpvae.estimators import continuing, novelty, replay
from cpvae.fitting import loop
from test_cli import call, done, refused

SMALL: dict[str, Any] = {
    "latent_dim": 1,
    "hidden": (16,),
    "init": "kmeans",
    "augment": "none",
    "max_epochs": 15,
    "batch_size": 60,
    "learning_rate": 0.03,
    "random_state": 0,
}
RANDOM = np.random.RandomState(0)


def groups(n: int, *places: tuple[float, float]) -> np.ndarray:
    return np.concatenate([RANDOM.normal(place, 1, (n, 2)) for place in places])


OLD, NEW = groups(60, (-8, -8), (8, 8)), groups(60, (-8, 8))


@pytest.fixture(scope="module")
def teacher() -> CPVAE:
    return CPVAE(2, **SMALL).fit(OLD).rename({1: "far"})


@pytest.fixture(scope="module")
def student(teacher, tmp_path_factory) -> tuple[CPVAE, Path]:
    """Give a model continued with one new group, and its run folder."""
    folder = tmp_path_factory.mktemp("continued") / "run"
    return copy.deepcopy(teacher).continue_fit(NEW, n_new=1, out=folder), folder


def continued(model: CPVAE, rows: Any, **asked: Any) -> CPVAE:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        return copy.deepcopy(model).set_params(max_epochs=2).continue_fit(rows, **{"n_new": 0, **asked})


# -- categories --------------------------------------------------------------------------------------------------------


def test_old_categories_keep_number_and_name_and_the_new_one_comes_after_them(teacher, student):
    model, _ = student
    assert (model.n_components_, model.n_components, model.get_params()["n_components"]) == (3, 3, 3)
    assert (model.predict(OLD) == teacher.predict(OLD)).all()
    assert (model.predict(NEW) == 2).all()
    assert model.names_ == {1: "far"}
    np.testing.assert_allclose(model.weights_, 1 / 3, atol=0.05)  # of 120 rows before and 60 new ones
    for k, rows in enumerate((*(OLD[teacher.predict(OLD) == k] for k in range(2)), NEW)):
        assert np.abs(model.sample(100, k)[0].mean(0) - rows.mean(0)).max() < 3  # groups are 16 apart


def test_auto_adds_the_group_that_is_new(teacher):
    model = copy.deepcopy(teacher).continue_fit(np.concatenate([OLD[:60], NEW]))
    assert model.n_components_ == 3
    assert (model.predict(NEW) == 2).all()
    assert (model.predict(OLD) == teacher.predict(OLD)).all()


def test_auto_adds_none_where_new_rows_are_like_the_old_ones(teacher):
    rows = groups(60, (-8, -8), (8, 8))
    assert (novelty.ranks(teacher, rows, 0)[0] < novelty.UNLIKELY).mean() < 0.15
    assert (novelty.ranks(teacher, NEW, 0)[0] < novelty.UNLIKELY).mean() > 0.9
    assert continued(teacher, rows, n_new="auto").n_components_ == 2


@pytest.mark.parametrize("n", [12, 20, 60])
def test_auto_finds_a_group_of_few_rows(teacher, n):
    assert novelty.how_many(teacher, NEW[:n], 0) == 1


def test_as_many_rows_of_a_category_are_shown_as_new_rows_could_be_of_it(teacher, monkeypatch):
    asked: list[list[int]] = []

    def told(model: CPVAE, counts: np.ndarray, seed: int) -> Any:
        asked.append(counts.tolist())
        return replay.draw(model, counts, seed)

    monkeypatch.setattr(novelty, "draw", told)
    category = np.repeat([0, 1], [57, 3])
    novelty._groups(teacher, NEW, category, 10, 0)
    assert asked == [[57, 10]]


def test_rows_likelier_than_what_their_categories_draw_are_no_new_group(teacher, monkeypatch):
    array = np.concatenate([OLD[:60], NEW]).astype(np.float32)
    found, category = novelty.ranks(teacher, array, 0)
    monkeypatch.setattr(novelty, "_groups", lambda *asked: np.repeat([0, 1], 60))
    assert novelty.how_many(teacher, array, 0) == 1
    monkeypatch.setattr(novelty, "ranks", lambda *asked: (np.where(np.arange(120) < 60, 0.5, found), category))
    assert novelty.how_many(teacher, array, 0) == 2


def test_drawn_rows_are_others_after_a_renewal_and_those_that_judge_stay(teacher):
    counts = CPVAE(2, **{**SMALL, "max_epochs": 1}, likelihood="counts").fit(RANDOM.poisson(3, (40, 5)))
    more = RANDOM.poisson(3, (20, 5))
    for model, rows in ((teacher, NEW), (counts, more), (counts, sparse.csr_matrix(more))):
        _, prepared = continuing.prepare(copy.deepcopy(model), rows, 1, 1.0, None, lambda text: None)

        def drawn(seed: int, own: Any = prepared.rows) -> np.ndarray:
            own.renew(seed)
            return np.concatenate([x.numpy() for x in own.chunks()])

        new = (prepared.parts.train < prepared.n_new_rows).sum()
        judging = np.concatenate([x.numpy() for x in prepared.valid.chunks()])
        first, second, again = drawn(1), drawn(2), drawn(1)
        assert (first[:new] == second[:new]).all()
        assert (first[new:] != second[new:]).any(1).mean() > 0.5
        assert (first == again).all()
        assert (drawn(2, pickle.loads(pickle.dumps(prepared.rows))) == second).all()  # of a restart in another process
        assert (np.concatenate([x.numpy() for x in prepared.valid.chunks()]) == judging).all()
        # each is of the category that it is known to be of
        known = prepared.known_rows().numpy()
        assert model is counts or (model.predict(drawn(2)[new:]) == known[new:]).mean() > 0.95


def test_a_fit_draws_rows_anew_and_ends_with_the_same_ones_however_it_ran(teacher, monkeypatch, tmp_path):
    asked: list[int] = []
    renew = replay.Replayed.renew

    def told(rows: replay.Replayed, seed: int) -> None:
        asked.append(seed)
        renew(rows, seed)

    monkeypatch.setattr(replay.Replayed, "renew", told)
    epochs = 2 * loop.RENEWED
    model = copy.deepcopy(teacher).set_params(max_epochs=epochs, n_init=2)
    model.continue_fit(NEW, n_new=1, out=tmp_path / "run")
    assert len(asked) > 2 * epochs
    assert len(set(asked)) == 2 * 2 + 2  # of two restarts: two draws each for epochs and one for the start
    assert asked[-1] == asked[0]
    again = copy.deepcopy(teacher).set_params(max_epochs=epochs, n_init=2)
    again.continue_fit(NEW, n_new=1, out=tmp_path / "run", resume=True)  # nothing is left to do
    assert (again.weights_ == model.weights_).all()


def test_what_drawing_takes_is_what_it_took_first(teacher, monkeypatch):
    monkeypatch.setattr(replay, "time", SimpleNamespace(perf_counter=iter([5.0, 7.0]).__next__))
    _, prepared = continuing.prepare(copy.deepcopy(teacher), NEW, 1, 1.0, None, lambda text: None)
    assert prepared.rows.renewal_seconds() == 2.0
    assert pickle.loads(pickle.dumps(prepared.rows)).renewal_seconds() == 2.0
    assert Rows(NEW).renewal_seconds() == 0.0


def test_replay_is_balanced_over_categories_whatever_their_shares_are(teacher):
    skewed = copy.deepcopy(teacher)
    skewed.weights_ = np.array([0.95, 0.05])
    _, prepared = continuing.prepare(skewed, NEW, 1, 0.5, None, lambda text: None)
    every = np.concatenate([prepared.parts.train, prepared.parts.valid])
    assert sorted(every) == list(range(len(prepared.array)))  # no row is both learned and judged
    assert prepared.known is not None
    assert prepared.known.counts == (30, 30, 0)
    assert (prepared.known.categories[:60] == -1).all()
    rows = prepared.array[60:]
    assert (teacher.predict(rows) == prepared.known.categories[60:]).mean() > 0.95
    # and they stand for as many rows as the teacher had learned from
    stands = prepared.weights.numpy()[prepared.known_rows().numpy() == 0]
    assert stands.sum() == pytest.approx(0.95 * 120)


def test_a_category_without_rows_is_not_replayed_unless_it_has_a_name(teacher):
    one = copy.deepcopy(teacher)
    one.weights_, one.names_ = np.array([1.0, 0.0]), {}
    assert replay.shares(one, 60, 1.0, 1).tolist() == [60, 0]
    one.names_ = {1: "rare"}
    assert replay.shares(one, 60, 1.0, 1).tolist() == [60, 60]
    assert replay.shares(one, 60, 0.0, 1).tolist() == [0, 0]
    assert replay.shares(one, 60, 1000.0, 1).sum() == replay.MOST_ROWS * 60


def test_a_model_of_a_file_that_does_not_tell_its_rows_keeps_its_categories(teacher):
    old = copy.deepcopy(teacher)
    old.learned_from_ = None
    assert replay.shares(old, 60, 1.0, 1).tolist() == [60, 60]
    with pytest.warns(FitWarning, match="does not say how many rows it was fitted to"):
        old.set_params(max_epochs=2).continue_fit(NEW, n_new=0)
    assert (old.predict(OLD) == teacher.predict(OLD)).mean() > 0.95


def test_a_row_or_two_that_are_new_are_learned_from(teacher):
    assert continued(teacher, NEW[:2], n_new="auto").n_components_ == 2
    with pytest.warns(FitWarning, match="1 new row is too few"):
        copy.deepcopy(teacher).set_params(max_epochs=2).continue_fit(NEW[:1], n_new=0)


# -- files -------------------------------------------------------------------------------------------------------------


def test_a_saved_student_is_one_model_and_holds_no_row(student, tmp_path):
    model, folder = student
    model.save(tmp_path / "one.cpvae")
    again = load(tmp_path / "one.cpvae")
    assert (again.predict_proba(NEW) == model.predict_proba(NEW)).all()
    assert (again.names_, again.learned_from_) == (model.names_, model.learned_from_)
    assert (again.learned_from_.rows, again.learned_from_.before) == (60, 120)
    assert "after 120 of the models" in (tmp_path / "one.cpvae.md").read_text()
    # a model that is continued opens as fast as one of a first fit: neither teacher nor its history is kept
    tensors, meta = load_tensors(tmp_path / "one.cpvae")
    alone = replay.student_of(model, 0)._module(model.model_.likelihood)
    assert {name: t.shape for name, t in tensors.items()} == {name: t.shape for name, t in alone.state_dict().items()}
    assert len(meta["fitted"]["history"]) == model.n_iter_
    for path in [*folder.iterdir(), tmp_path / "one.cpvae"]:
        content = path.read_bytes()
        for row in np.concatenate([OLD, NEW]):
            assert row.tobytes() not in content
            assert row.astype(np.float32).tobytes() not in content


def test_interrupted_and_resumed_it_ends_with_the_same_bits(teacher, student, tmp_path, monkeypatch):
    whole, _ = student
    epoch = loop._Run._epoch

    def stop(run, asked_to_stop) -> None:
        epoch(run, (lambda: True) if run.state.progress.epoch == 7 else asked_to_stop)

    model = copy.deepcopy(teacher)
    with monkeypatch.context() as patch:
        patch.setattr(loop._Run, "_epoch", stop)
        with pytest.raises(KeyboardInterrupt):
            model.continue_fit(NEW, n_new=1, out=tmp_path / "run")
    assert model.n_components_ == 2  # as it was
    with pytest.warns(FitWarning, match="continue the model that it began with"):
        assert load(tmp_path / "run").names_ == {1: "far"}
    with pytest.raises(InputError, match="continues a model, and is resumed by fit"):
        CPVAE(3, **SMALL).fit(NEW, out=tmp_path / "run", resume=True)
    with pytest.raises(InputError, match=r"is continued otherwise .replay: 1\.0 there, 2\.0 asked"):
        model.continue_fit(NEW, replay=2.0, out=tmp_path / "run", resume=True)
    model.continue_fit(NEW, out=tmp_path / "run", resume=True)  # the number of new categories is that of the run
    assert all((a == b).all() for a, b in zip(*(m.model_.state_dict().values() for m in (whole, model)), strict=True))
    assert (load(tmp_path / "run").predict(OLD) == whole.predict(OLD)).all()


# -- rows of every kind ------------------------------------------------------------------------------------------------


def test_tables_keep_kinds_and_levels_and_what_is_unknown_is_said():
    random = np.random.RandomState(1)
    table = pd.DataFrame({"size": random.normal(size=40), "city": random.choice(["Bern", "Rom"], 40)})
    table.loc[3, "size"] = np.nan
    model = CPVAE(2, **{**SMALL, "max_epochs": 2, "init": "auto"}).fit(table)
    new = pd.DataFrame({"city": ["Bern", "Oslo"] * 10, "size": random.normal(size=20)})
    with pytest.warns(FitWarning, match="Oslo"):
        found = copy.deepcopy(model).continue_fit(new, n_new=1)
    assert found.schema_ == model.schema_
    assert set(found.sample(20)[0]["city"]) <= {"Bern", "Rom"}
    assert found.missing_rates_.shape == (3, 2)


def test_rows_of_other_kinds(teacher):
    counts = np.random.RandomState(2).poisson(2, (30, 12))
    model = CPVAE(2, **{**SMALL, "max_epochs": 1}, likelihood="counts").fit(sparse.csr_matrix(counts))
    assert continued(model, sparse.csr_matrix(counts)).n_components_ == 2
    few = np.random.RandomState(0).poisson(0.05, (100, 30))  # of so few counts that a row may be drawn without any
    model = CPVAE(2, **{**SMALL, "max_epochs": 1}, likelihood="counts").fit(few[few.sum(1) > 0])
    assert replay.draw(model, np.array([200, 200]), 0)[0].sum(1).min() > 0
    found = continued(model, few[few.sum(1) > 0])
    assert np.isfinite(found.score(few[few.sum(1) > 0]))
    pictures = np.random.RandomState(3).randint(0, 256, (30, 1, 4, 4)).astype(np.uint8)
    model = CPVAE(1, **{**SMALL, "max_epochs": 1}).fit(pictures)
    assert continued(model, pictures[:, 0], n_new=1).sample(2, 1)[0].shape == (2, 1, 4, 4)
    named = pd.DataFrame(OLD, columns=["a", "b"])
    model = CPVAE(2, **{**SMALL, "max_epochs": 1}).fit(named)
    assert list(continued(model, named[["b", "a"]]).feature_names_in_) == ["a", "b"]
    assert continued(teacher, NEW[:1]).n_components_ == 2  # a single row
    assert continued(teacher, NEW, n_new=1, replay=0).names_ == {1: "far"}  # nothing is replayed, so nothing known


# -- bad input ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "asked", "said"),
    [
        (NEW[:, :1], {}, "X has 1 features"),
        (NEW.reshape(-1, 1, 1, 2), {}, "2"),
        (NEW[:0], {}, "0 sample"),
        (NEW[:3], {"n_new": 4}, "n_new=4 for 3 rows"),
        (NEW[:2], {"n_new": 2}, "of which 3 are learned from, for 4 categories"),
        (NEW[:2], {"n_new": 0, "replay": 0}, "2 new and 0 drawn rows (n_samples=2), of which 1"),
        (NEW, {"n_new": -1}, "n_new=-1: expected a whole number of at least 0"),
        (NEW, {"n_new": 10**12}, "at most"),
        (NEW, {"n_new": 1.5}, "n_new=1.5"),
        (NEW, {"n_new": "many"}, "expected 'auto' or a whole number"),
        (NEW, {"replay": -1.0}, "replay=-1.0: expected a number from 0"),
        (NEW, {"replay": float("nan")}, "replay=nan"),
        (NEW, {"replay": 1e9}, "replay=1000000000.0"),
    ],
)
def test_bad_input_is_refused_in_a_line_and_nothing_is_written(teacher, tmp_path, rows, asked, said):
    before = vars(teacher).copy()
    with pytest.raises(InputError, match=re.escape(said)) as refusal:
        teacher.continue_fit(rows, **asked, out=tmp_path / "run")
    assert "\n" not in str(refusal.value)
    assert not list(tmp_path.iterdir())
    assert vars(teacher) == before


def test_models_that_cannot_be_continued_are_refused(teacher, student):
    with pytest.raises(NotFittedError):
        CPVAE(2).continue_fit(NEW)
    for model in (VAE(), MoGVAE(2)):
        with pytest.raises(InputError, match="cannot be continued: expected CPVAE"):
            continued(model.set_params(latent_dim=1, hidden=(4,), max_epochs=1).fit(OLD), NEW)
    unfinished = copy.deepcopy(teacher)
    unfinished.stopped_ = "interrupted"
    with pytest.raises(InputError, match="has not finished"):
        unfinished.continue_fit(NEW)
    with pytest.raises(InputError, match="already holds a run"):
        teacher.continue_fit(NEW, n_new=0, out=student[1])
    assert json.loads((student[1] / "config.json").read_text())["continued"]["n_new"] == 1


# -- the command line --------------------------------------------------------------------------------------------------

FAST = ("--quiet", "--epochs", "2")


@pytest.fixture(scope="module")
def places(teacher, tmp_path_factory) -> Path:
    """Make a folder with a saved model of two groups, its old rows and new ones."""
    folder = tmp_path_factory.mktemp("places")
    teacher.save(folder / "old.cpvae")
    np.save(folder / "new.npy", NEW)
    np.save(folder / "wide.npy", np.zeros((4, 3)))
    np.save(folder / "none.npy", NEW[:0])
    VAE(latent_dim=1, hidden=(4,), max_epochs=1).fit(OLD).save(folder / "vae.cpvae")
    unfinished = copy.deepcopy(teacher)
    unfinished.stopped_ = "interrupted"
    unfinished.save(folder / "unfinished.cpvae")
    return folder


def test_the_command_leaves_a_run_beside_the_old_one(places, monkeypatch):
    old, new, out = (places / name for name in ("old.cpvae", "new.npy", "run"))
    before = old.read_bytes()
    epoch = loop._Run._epoch

    def stop(run, asked_to_stop) -> None:
        epoch(run, (lambda: True) if run.state.progress.epoch == 1 else asked_to_stop)

    with monkeypatch.context() as patch:
        patch.setattr(loop._Run, "_epoch", stop)
        stopped = call("continue", old, new, "--out", out, "--new", "1", "--replay", "0.5", *FAST)
    assert stopped.code == 130
    again = re.search(r"To go on: cpvae (.*)", stopped.err)
    assert again is not None
    assert "continues a model, and is resumed by fit" in refused("fit", new, "--out", out, "--resume", "-k", "3")
    done(*shlex.split(again[1]), "--quiet")
    assert load(out).n_components_ == 3
    config = json.loads((out / "config.json").read_text())
    assert config["continued"]["replay"] == 0.5
    assert (config["about"]["model"], config["params"]["max_epochs"]) == (str(old), 2)
    assert old.read_bytes() == before
    assert "already holds a run" in refused("continue", old, new, "--out", out)
    # a run is continued as a saved model is, and again
    figures = json.loads(done("continue", out, new, "--out", places / "again", "--new", "0", "--json", *FAST).out)
    assert figures["epochs"] == 2
    assert load(places / "again").names_ == {1: "far"}


@pytest.mark.parametrize(
    ("model", "rows", "asked", "said"),
    [
        ("old", "wide", (), "wide.npy: rows of 3 columns; expected 2 columns"),
        ("old", "none", (), "none"),
        ("old", "new", ("--new", "61"), "n_new=61 for 60 rows"),
        ("old", "new", ("--new", "-1"), "n_new=-1"),
        ("old", "new", ("--new", "two"), "--new 'two': expected a whole number"),
        ("old", "new", ("--replay", "nan"), "replay=nan"),
        ("old", "new", ("--replay", "-2"), "replay=-2.0"),
        ("vae", "new", (), "a 'vae' model cannot be continued"),
        ("unfinished", "new", (), "has not finished"),
        ("old", "gone", (), "gone.npy: no such file or folder"),
        ("gone", "new", (), "gone.cpvae does not exist"),
    ],
)
def test_the_command_refuses_bad_input_in_a_line(places, tmp_path, model, rows, asked, said):
    line = refused("continue", places / f"{model}.cpvae", places / f"{rows}.npy", "--out", tmp_path / "run", *asked)
    assert said in line
    assert not list(tmp_path.iterdir())


# -- the page ----------------------------------------------------------------------------------------------------------


def test_the_examples_of_the_page_run(tmp_path, monkeypatch):
    page = (Path(__file__).parents[1] / "docs" / "continual.md").read_text("utf-8")
    (code,), (commands,) = (re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL) for language in ("python", "sh"))
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(code.replace("max_epochs=40", "max_epochs=1, init='kmeans'"), names)
    assert names["model"].learned_from_.before == 200
    table = pd.DataFrame(NEW, columns=["a", "b"])
    table.to_csv("may.csv", index=False)
    table.to_csv("june.csv", index=False)
    for line in commands.strip().splitlines():
        done(*shlex.split(line.replace("--epochs 5", "--epochs 1 --quiet"), comments=True)[1:])
    assert "category" in pd.read_csv("categories.csv")


def test_the_benchmark_writes_its_lines_into_the_page(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    bench = importlib.import_module("continual")
    shared = {"set": "digits", "seed": 0, "rows": None, "epochs": 3, "n_train": 1257, "n_test": 360, "commit": "abc"}
    scores = {"accuracy": 0.9, "bound": -90.04, "classifier": 0.95, "components": 10, "seconds": 9.6}
    lines = [{**shared, **scores, "system": bench.ALL}, {**shared, **scores, "system": "cpvae", "forgetting": [0.1, 0]}]
    out, page = tmp_path / "lines.jsonl", tmp_path / "page.md"
    out.write_text("".join(json.dumps(line) + "\n" for line in lines))
    page.write_text(f"a\n{bench.BEGIN}old\n{bench.END}\nz\n")
    bench.main(["--render", str(page), "--out", str(out)])
    assert "1,257 training rows, 360 test rows, at most 3 epochs for a task, 1 seed." in page.read_text()
    assert "| cpvae | 0.900 | 0.050 | -90.0 | 0.950 | 10 | 10 |" in page.read_text()
    rows = np.arange(10)
    parts = bench.Parts(rows, rows, rows, rows)
    assert [parts.of_task(4).tolist(), parts.until(1).tolist()] == [[8, 9], [0, 1, 2, 3]]
    assert bench.by_task(parts, rows, {k: k for k in range(8)}) == [1, 1, 1, 1, 0]
