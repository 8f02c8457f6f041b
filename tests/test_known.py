"""Known categories of some rows: how they are read, what a fit does with them, and where they are told."""

from __future__ import annotations

import importlib
import json
import pickle
import re
import shlex
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from sklearn import config_context
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cpvae import CPVAE, FitWarning, InputError, MoGVAE, VampVAE, load
from cpvae.checkpoints import load_tensors, save_tensors
from cpvae.data.augment import AUGMENTS
from cpvae.data.loaders import load as load_data
from cpvae.data.rows import Rows
from cpvae.data.split import split
from cpvae.estimators.known import read
from cpvae.fitting import runs
from cpvae.fitting.starts import seeded
from cpvae.fitting.starts.clusterings import gaussian_mixture
from cpvae.fitting.starts.means import k_means
from cpvae.fitting.starts.start import STARTS
from cpvae.fitting.starts.task import CutShort, Task
from cpvae.probability import recipes
from cpvae.probability.bounds import elbo, elbo_assigned, knowing, unlikeliness
from cpvae.probability.likelihoods import make
from cpvae.probability.likelihoods.likelihood import Form
from cpvae.probability.objectives import KNOWN_WEIGHT, Batch, Bound, Consistent, Copies
from cpvae.study.report.page import render
from test_cli import done, refused
from test_runs import StopAt

SMALL: dict[str, Any] = {"latent_dim": 1, "hidden": (8,), "max_epochs": 2, "init": "kmeans", "random_state": 0}
PLACES = np.repeat([0, 1, 2], 30)
X = np.random.RandomState(0).normal(size=(90, 2)) + np.array([[-6, 0], [6, 0], [0, 9]])[PLACES]
KNOWN = np.full(90, -1)
KNOWN[[3, 40]] = [2, 0]  # the third place has no label, and category 1 is left for it
WHERE = np.array([2, 0, 1])[PLACES]  # the category of each row


def fitted(model: Any, rows: Any = X, **more: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        return model.fit(rows, **more)


def test_all_rows_learn_from_those_that_are_known_even_without_a_start():
    asked = {**SMALL, "max_epochs": 20, "batch_size": 30, "learning_rate": 0.03, "init": "random"}
    model = fitted(CPVAE(3, **asked), known=KNOWN)
    assert (model.predict(X) == WHERE).mean() > 0.95
    assert (model.known_, model.names_) == ((1, 0, 1), {})
    assert fitted(model.set_params(max_epochs=1)).known_ is None  # fitted again


@pytest.mark.parametrize(
    ("given", "categories", "names"),
    [
        ([2, -1, 0, -1], [2, -1, 0, -1], {}),
        ([2.0, np.nan, 0.0, np.nan], [2, -1, 0, -1], {}),
        (np.array([[1], [-1], [0], [-1]]), [1, -1, 0, -1], {}),
        (pd.Series([1, None, 2, pd.NA], dtype="Int64"), [1, -1, 2, -1], {}),
        (["owl", None, "cat ", ""], [1, -1, 0, -1], {0: "cat", 1: "owl"}),
        (np.array(["owl", np.nan, "cat", -1]), [1, -1, 0, -1], {0: "cat", 1: "owl"}),
        (pd.Series(["b", None, "a", None], dtype="category"), [1, -1, 0, -1], {0: "a", 1: "b"}),
        (
            [30, 10, 20, None],
            [2, 0, 1, -1],
            {0: "class 10", 1: "class 20", 2: "class 30"},
        ),  # as many classes as categories
        ([True, False, None, True], [1, 0, -1, 1], {0: "False", 1: "True"}),
        ([1, "x", None, None], [0, 1, -1, -1], {0: "class 1", 1: "x"}),
        (torch.tensor([0, -1, 1, 2]), [0, -1, 1, 2], {}),
        (np.ma.masked_array([0, 7, 1, 2], [False, True, False, False]), [0, -1, 1, 2], {}),
    ],
)
def test_labels_are_read_in_all_forms(given, categories, names):
    found = read(given, np.zeros((4, 1)), 4, 3)
    assert found.categories.tolist() == categories
    assert found.names == names


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([0, 1], "known has 2 labels: expected one label for each of the 4 rows, (4,)"),
        (np.zeros((4, 2)), "known has labels of shape (4, 2)"),
        (np.zeros((4, 2, 2)), "known has labels of shape"),
        ([[0], [1, 2], [3], [4]], "known=[0] in row 0 (counted from 0), and 3 more like it: expected whole numbers"),
        ("species", "known='species': expected one label for each of the 4 rows, (4,), as a list, an array or a"),
        (3, "known=3: expected one label for each"),
        ({0: 1}, "expected one label for each"),
        ([-1, None, np.nan, ""], "known has no label, all 4 rows are without one (-1, NaN, None or empty)"),
        (
            [3, -1, -1, -1],
            "known has labels 3 for n_components=3: whole numbers are the numbers of categories, expected 0",
        ),
        ([-2, 0, -1, -1], "known has labels -2 for n_components=3"),
        (list("abcd"), "known has 4 classes ('a', 'b', 'c', 'd') for n_components=3: expected at most as many"),
        (
            [0.5, 1, 2, np.inf],
            "known=0.5 in row 0 (counted from 0), and 1 more like it: expected whole numbers or text",
        ),
        ([pd.Timestamp(0), None, None, None], "in row 0 (counted from 0): expected whole numbers or text"),
        (["a" * 61, None, None, None], "known: classes become names of categories; names of categories: 61 characters"),
        (["a", "A", None, None], "known: classes become names"),
    ],
)
def test_bad_labels_are_refused_in_a_line(given, told):
    with pytest.raises(InputError) as error:
        read(given, None, 4, 3)
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_a_fit_refuses_bad_labels_and_leaves_nothing(tmp_path):
    for model in (CPVAE(3, **SMALL), MoGVAE(3, latent_dim=1), VampVAE(3, latent_dim=1)):
        with pytest.raises(InputError, match="known"):
            model.fit(X, known=KNOWN[1:] if isinstance(model, CPVAE) else KNOWN, out=tmp_path / "run")
        assert not hasattr(model, "model_")
    assert list(tmp_path.iterdir()) == []
    frame = pd.DataFrame(X, columns=["a", "b"], index=np.arange(90)[::-1])
    with pytest.raises(InputError, match=r"another index than X.*known.loc\[X.index\]"):
        CPVAE(3, **SMALL).fit(frame, known=pd.Series(KNOWN, index=np.roll(np.arange(90), 1)))
    for labels in (
        pd.Series(KNOWN),
        pd.Series(KNOWN, index=frame.index),
        pd.DataFrame({"k": KNOWN}, index=frame.index),
    ):
        assert read(labels, frame, 90, 3).counts == (1, 0, 1)


def test_known_rows_are_not_held_out_before_all_others_are():
    kept = np.arange(20) % 5 == 0
    found = split(20, 0.3, 2, seed=1, kept=kept)
    assert not kept[found.valid].any()
    assert np.array_equal(np.sort(np.append(found.train, found.valid)), np.arange(20))
    assert kept[split(20, 0.9, 1, seed=1, kept=kept).valid].sum() == 2  # there are too few others
    every = split(20, 0.3, 2, seed=1, kept=np.ones(20, dtype=bool))
    assert np.array_equal(every.valid, split(20, 0.3, 2, seed=1).valid)


def small_module() -> Any:
    torch.manual_seed(0)
    rows = Rows(X)
    return recipes.cpvae(make("gaussian", rows, Form((2,))), 3, 1, CPVAE(**SMALL)._network(), "uniform"), rows


def test_the_bound_of_a_known_row_is_that_of_its_category_and_others_keep_theirs():
    model, rows = small_module()
    y = model.likelihood.to_model(rows.x[:6].float())
    known = torch.tensor([2, -1, 0, -1, -1, 1])
    q = model.encode(y)
    own, lesson = knowing(q, known)
    there = known >= 0
    assert torch.equal(own.logits[~there], q.logits[~there])
    assert torch.equal(lesson, torch.where(there, unlikeliness(q, known.clamp_min(0)), 0.0))
    found = {}
    for name, terms in {
        "known": lambda: elbo(model, y, Bound().expectation, 0, own),
        "assigned": lambda: elbo_assigned(model, y, known.clamp_min(0), q)[0],
        "free": lambda: elbo(model, y, Bound().expectation, 0, q),
    }.items():
        torch.manual_seed(1)
        found[name] = terms()
    assert torch.allclose(found["known"].kl_c[there], found["assigned"].kl_c[there], atol=1e-5)
    assert torch.equal(found["known"].elbo[~there], found["free"].elbo[~there])
    loss, terms = Bound()(model, Batch(y, y, known=known), torch.tensor(0))
    assert torch.allclose(loss + terms.elbo, KNOWN_WEIGHT * lesson, atol=1e-4)


def test_the_bound_of_a_known_row_lies_below_the_bound_that_knows_the_best_posterior():
    model, rows = small_module()
    y = model.likelihood.to_model(rows.x.float())
    values = []
    for c in range(3):
        torch.manual_seed(0)
        own, _ = knowing(model.encode(y), torch.full((90,), c))
        values.append(elbo(model, y, Bound().expectation, 0, own).elbo)
    joint = torch.stack(values, -1)  # log p(x, c) from below
    torch.manual_seed(0)
    free = elbo(model, y, Bound().expectation).elbo
    assert bool((joint.amax(-1) <= joint.logsumexp(-1)).all())
    assert bool((free <= joint.logsumexp(-1) + 0.5).all())


def test_copies_of_a_known_row_learn_its_category():
    torch.manual_seed(0)
    pictures = np.random.RandomState(0).randint(0, 17, (12, 64)) / 16
    rows = Rows(pictures)
    model = recipes.cpvae(make("levels", rows, Form((1, 8, 8))), 3, 1, CPVAE(**SMALL)._network(), "uniform")
    x = next(rows.chunks())[:4]
    y = model.likelihood.to_model(x)
    objective = Consistent(copies=Copies(AUGMENTS["affine"]((1, 8, 8))), weight=20.0)
    losses = []
    for known in (torch.tensor([-1, -1, -1, -1]), torch.tensor([1, -1, -1, -1])):
        torch.manual_seed(1)
        losses.append(objective(model, Batch(x, y, known=known), torch.tensor(0))[0])
    assert torch.equal(losses[0][1:], losses[1][1:])
    assert losses[1][0] > losses[0][0] + 10  # the copy and the row do not know it yet
    torch.manual_seed(1)
    assert torch.equal(losses[0], objective(model, Batch(x, y), torch.tensor(0))[0])


@pytest.mark.parametrize("clustering", [k_means, gaussian_mixture])
@pytest.mark.parametrize("n_components", [3, 4])
def test_clusterings_put_known_points_to_their_categories_and_find_the_others(clustering, n_components):
    found = clustering(X, n_components, np.random.RandomState(0), known=KNOWN)(X)
    assert (found[PLACES == 0] == 2).mean() > 0.7
    assert (found[PLACES == 1] == 0).mean() > 0.7
    assert not np.isin(found[PLACES == 2], [0, 2]).any()


def test_categories_spread_over_a_graph_and_those_without_a_label_stay():
    groups = np.repeat([0, 1, 2], 20)  # of neighbours, the first two joined by a weak edge
    edges = (groups[:, None] == groups).astype(float) - np.eye(60)
    edges[19, 20] = edges[20, 19] = 0.1
    graph = sparse.csr_matrix(edges)
    layout = np.stack([np.arange(60.0), np.zeros(60)], 1)
    known = np.full(60, -1)
    known[[0, 59]] = [0, 2]
    guessed = np.where(np.arange(60) < 12, 0, np.where(np.arange(60) < 45, 1, 2))
    assert seeded.spread(graph, layout, guessed, 3, known).tolist() == groups.tolist()


def test_a_table_of_several_kinds_begins_with_known_classes():
    frame = pd.DataFrame(X, columns=["a", "b"]).assign(side=np.array(["l", "r", "m"])[PLACES])
    model = fitted(CPVAE(3, **{**SMALL, "init": "auto"}), frame, known=pd.Series(KNOWN))
    rows = Rows(model.schema_.encode(frame))
    asked = Task(rows, rows, model.model_.likelihood, 3, seed=0, known=KNOWN)
    found = STARTS["rows"](asked).numpy()
    assert (found == WHERE).mean() > 0.95
    assert np.array_equal(found[KNOWN >= 0], KNOWN[KNOWN >= 0])
    asked.stop.ask()
    with pytest.raises(CutShort) as cut:
        STARTS["rows"](asked)
    assert (cut.value.categories.numpy() == WHERE[cut.value.index]).mean() > 0.9


def test_where_not_all_rows_are_clustered_those_of_known_categories_are():
    asked = Task(Rows(X), Rows(X), None, 3, seed=0, known=KNOWN)  # type: ignore[arg-type]
    index = asked.index(10, np.random.RandomState(0))
    assert {3, 40} <= set(index.tolist())
    assert len(set(index.tolist())) == 10
    assert asked.known_of(index)[:2].tolist() == KNOWN[index[:2]].tolist()


@pytest.mark.parametrize("n_init", [1, 2])
def test_a_run_goes_on_with_the_labels_it_began_with(tmp_path, n_init):
    asked = {**SMALL, "max_epochs": 4, "n_init": n_init}
    whole = fitted(CPVAE(3, **asked), known=KNOWN)

    with pytest.raises(KeyboardInterrupt):
        fitted(CPVAE(3, **asked), known=KNOWN, out=tmp_path / "run", reporter=StopAt(3))
    for other in (None, np.where(KNOWN == 2, 1, KNOWN)):
        with pytest.raises(InputError, match="known"):
            CPVAE(3, **asked).fit(X, known=other, out=tmp_path / "run", resume=True)
    again = fitted(CPVAE(3, **asked), known=KNOWN, out=tmp_path / "run", resume=True)
    assert np.array_equal(again.predict_proba(X), whole.predict_proba(X))
    assert runs.read_config(tmp_path / "run")["known"]["rows"] == 2
    with pytest.raises(InputError, match="with known categories of rows, and is resumed without any"):
        CPVAE(3, **asked).fit(X, out=tmp_path / "run", resume=True)
    fitted(CPVAE(3, **asked), out=tmp_path / "other")
    with pytest.raises(InputError, match="without known categories of rows, and is resumed with any"):
        CPVAE(3, **asked).fit(X, known=KNOWN, out=tmp_path / "other", resume=True)


def test_saved_cloned_pickled_and_in_a_pipeline_it_is_the_same(tmp_path):
    names = np.where(KNOWN == 2, "left", np.where(KNOWN == 0, "right", ""))
    asked = CPVAE(3, **SMALL)
    model = fitted(asked, known=names)
    assert model.names_ == {0: "left", 1: "right"}
    model.save(tmp_path / "m")
    again = load(tmp_path / "m")
    assert (again.known_, again.names_) == (model.known_, model.names_)
    for other in (again, pickle.loads(pickle.dumps(model)), fitted(clone(asked), known=names)):
        assert np.array_equal(other.predict_proba(X), model.predict_proba(X))
    pipe = make_pipeline(StandardScaler(), clone(asked))
    assert np.array_equal(
        fitted(pipe, cpvae__known=names).predict(X),
        fitted(clone(asked), StandardScaler().fit_transform(X), known=names).predict(StandardScaler().fit_transform(X)),
    )
    with config_context(enable_metadata_routing=True):
        assert clone(asked).set_fit_request(known=True).get_metadata_routing().fit.requests["known"] is True
    assert len(clone(asked).fit_predict(X, known=names)) == 90
    tensors, meta = load_tensors(tmp_path / "m")
    meta["fitted"]["known"] = [1, -1, 0]
    save_tensors(tmp_path / "m", tensors, meta)
    with pytest.raises(InputError, match="known"):
        load(tmp_path / "m")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a table with its classes, and a column of those that are known."""
    folder = tmp_path_factory.mktemp("known")
    names = np.array(["cat", "dog", "owl"])[PLACES]
    frame = pd.DataFrame(X.round(3), columns=["a", "b"]).assign(
        kind=names, told=np.where(np.arange(90) % 9, None, names)
    )
    frame.to_csv(folder / "t.csv", index=False)
    return folder / "t.csv"


@pytest.fixture(scope="module")
def run(table: Path) -> Path:
    given = ["--known", "told", "--labels", "kind", "-k", "3", "--epochs", "2", "--init", "kmeans", "--hidden", "8"]
    out = done("fit", table, *given, "--out", table.parent / "run")
    assert "known: 10 of 90 rows have a label (cat 4, dog 3, owl 3)" in out.err
    assert "In the fit the labels of 10 rows of 3 categories were known; all other rows learned from these." in out.out
    return table.parent / "run"


@pytest.mark.usefixtures("undrawn")
def test_every_answer_of_a_run_says_how_many_rows_were_known(table, run, tmp_path):
    assert load(run).feature_names_in_.tolist() == ["a", "b"]  # neither labels nor known labels
    assert json.loads((run / "metrics.json").read_text())["rows_known_in_the_fit"] == 10
    config = runs.read_config(run)
    assert (config["known"]["rows"], config["about"]["known"]) == (10, "told")
    out = done("evaluate", run, table, "--labels", "kind")
    assert "10 rows of 3 categories were known" in out.out
    assert "warning" not in out.err
    done("cluster", run, table, "--labels", "kind", "--out", tmp_path / "l.csv")
    assert set(pd.read_csv(tmp_path / "l.csv")["category_name"]) <= {"cat", "dog", "owl"}
    assert "10 rows of 3 categories were known" in done("describe", run, table, "--labels", "kind").out
    done("report", run)
    page = (run / "report.html").read_text()
    assert page.count("10 rows of 3 categories were known") == 1
    assert "Rows of known category" in page
    assert "known in the fit" in page
    done("fit", table, "--labels", "kind", "--out", run, "--resume")  # the run knows the column
    assert "known" not in render(fitted(CPVAE(3, **SMALL)), X, data_name="rows")


def test_the_command_refuses_a_bad_column_and_writes_nothing(table, tmp_path):
    for given, told in (
        (("--known", "tld"), "no column of known labels 'tld'; did you mean 'told'?"),
        (("--known", "told", "-k", "2"), "known has 3 classes ('cat', 'dog', 'owl') for n_components=2"),
        (("--known", "told", "--model", "mog"), "known for a 'mog' model"),
        (("--known", "a"), "known="),
    ):
        assert told in refused("fit", table, *given, "--out", tmp_path / "run")
        assert list(tmp_path.iterdir()) == []
    assert "no column, array or file of known labels 'x'" in refused(
        "fit", "digits", "--known", "x", "--out", tmp_path / "r"
    )


def test_known_labels_come_from_columns_arrays_and_files(tmp_path):
    x = np.arange(8.0).reshape(4, 2)
    np.savez(tmp_path / "a.npz", x=x, known=np.array([np.nan, 1, 0, np.nan]), y=np.array([0, 1, 0, 1]))
    one = load_data(tmp_path / "a.npz", known="known").splits["all"]
    assert one.x.shape == (4, 2)
    assert one.known is not None
    assert one.known.tolist() == ["(none)", "1", "0", "(none)"]
    assert one.y is not None
    np.save(tmp_path / "x.npy", x)
    (tmp_path / "k.txt").write_text("\ncat\n\n\n")
    text = load_data(tmp_path / "x.npy", known=str(tmp_path / "k.txt")).splits["all"].known
    assert text is not None
    assert text.tolist() == ["(none)", "cat", "(none)", "(none)"]
    frame = pd.DataFrame(x, columns=["a", "b"]).assign(k=[1.0, None, 2.0, None], y=[0, 1, 0, 1])
    frame.to_parquet(tmp_path / "t.parquet")
    found = load_data(tmp_path / "t.parquet", labels="y", known="k")
    assert found.feature_names == ("a", "b")
    assert found.splits["all"].known.tolist() == ["1", "(none)", "2", "(none)"]  # type: ignore[union-attr]
    assert load_data(tmp_path / "t.parquet", labels="k", known="k").feature_names == ("a", "b", "y")
    np.savez(tmp_path / "s.npz", x_train=x, x_test=x, known=np.zeros(4))
    with pytest.raises(InputError, match="data that are split into train, test"):
        load_data(tmp_path / "s.npz", known="known")
    np.save(tmp_path / "k.npy", np.array([-1, 1, 0, 1]))
    both = load_data(tmp_path / "s.npz", known=str(tmp_path / "k.npy"))
    assert both.splits["train"].known is not None
    assert both.splits["test"].known is None


PAGE = (Path(__file__).parents[1] / "docs" / "known.md").read_text("utf-8")


def test_the_examples_of_the_page_run(tmp_path, monkeypatch):
    (code,), (commands,) = (re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL) for language in ("python", "sh"))
    names: dict[str, Any] = {}
    exec(code.replace("max_epochs=20", "max_epochs=1, init='kmeans'"), names)
    assert names["model"].names_ == {0: "cat", 1: "owl"}
    assert names["model"].known_ == (2, 2, 0)
    monkeypatch.chdir(tmp_path)
    table = pd.DataFrame(X, columns=["a", "b"]).assign(seen=np.where(np.arange(90) % 30, "", PLACES.astype(str)))
    table.to_csv("birds.csv", index=False)
    for line in commands.strip().splitlines():
        done(*shlex.split(line, comments=True)[1:], *(["--init", "kmeans"] if " fit " in line else []))
    assert len(pd.read_csv("categories.csv")) == 90


def test_the_benchmark_scores_all_systems_by_the_same_labels(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    known = importlib.import_module("known")
    frame = pd.DataFrame(X, columns=["a", "b"]).assign(n=np.arange(90), species=np.array(["x", "y", "z"])[PLACES])
    (tmp_path / "field" / "tables").mkdir(parents=True)
    frame.to_csv(tmp_path / "field" / "tables" / "penguins.csv", index=False)
    monkeypatch.setenv("CPVAE_DATA", str(tmp_path))
    out, page = tmp_path / "lines.jsonl", tmp_path / "page.md"
    asked = ["--set", "penguins", "--labels", "2", "--seed", "0", "--out", str(out)]
    known.main([*asked, "--epochs", "1"])
    lines = known.read(out)
    assert {line["system"] for line in lines} == set(known.SYSTEMS)
    assert {(line["n_known"], line["n_train"], line["n_test"]) for line in lines} == {(6, 63, 27)}
    assert all(line["held_out"] > 0.8 for line in lines if line["system"] in known.ALONE)
    assert next(line["start"] for line in lines if line["system"] == "cpvae") > 0.9
    page.write_text(f"a\n{known.BEGIN}old\n{known.END}\nz\n")
    known.main(["--render", str(page), "--out", str(out)])
    assert "| penguins | 63 | 2 | **" in page.read_text()
    assert page.read_text().endswith("<!-- /results -->\nz\n")
