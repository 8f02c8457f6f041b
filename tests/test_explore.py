"""The page on which a fitted model is explored: its answers, its document, and its server."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import importlib
import importlib.util
import io
import json
import re
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from cpvae.errors import FitWarning, InputError
from cpvae.estimators.contract import DeepMixture
from cpvae.estimators.zoo import CPVAE, VAE, load
from cpvae.explore import cards, check_library, contents, draws, labels
from cpvae.explore.answers import QUESTIONS, Answers
from cpvae.explore.opened import open_answers
from cpvae.explore.page import about, document, island
from cpvae.explore.seen import MAX_DECODED, Seen, see
from cpvae.explore.server import is_loopback, make_application
from cpvae.explore.stored import stored
from cpvae.study.layout import lay_out
from cpvae.study.places import data_there
from cpvae.study.report import overall
from cpvae.study.report.shown import rows_shown

EVIL = "</script><script>document.title='run'</script>"
LEVEL = "<img src=x onerror=\"document.title='run'\">"
SMALL: dict[str, Any] = {"latent_dim": 2, "hidden": (8,), "max_epochs": 2, "random_state": 0}
BOKEH = importlib.util.find_spec("bokeh") is not None
needs_bokeh = pytest.mark.skipif(not BOKEH, reason="bokeh is not installed: pip install 'cpvae[explore]'")


def fitted(model: DeepMixture, X: Any) -> DeepMixture:
    """Fit without warnings: tiny models may collapse, and these tests do not mind."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        return model.fit(X)


def rows_with_markup() -> pd.DataFrame:
    """Make two groups of rows in columns whose names and levels are markup."""
    random = np.random.RandomState(0)
    group = np.repeat([0, 1], 40)
    size = (10 + 30 * group + random.normal(size=80)).round(1)
    kind = np.where(group == random.binomial(1, 0.5, 80), "plain", LEVEL)
    return pd.DataFrame({EVIL: size, "kind": kind, "age": random.normal(40, 5, 80).round(1)})


def run_in(folder: Path, table: pd.DataFrame) -> Path:
    """Fit a table, and give the folder of the run."""
    table.assign(label=np.repeat(["a", "b"], 40)).to_csv(folder / "rows.csv", index=False)
    about = {
        "source": str(folder / "rows.csv"),
        "found_at": str(folder / "rows.csv"),
        "labels": "label",
        "split": "all",
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        CPVAE(3, **SMALL).fit(table, out=folder / "run", about=about)
    return folder / "run"


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return rows_with_markup()


@pytest.fixture(scope="module")
def of_table(table: pd.DataFrame) -> Seen:
    model = fitted(CPVAE(3, **SMALL), table)
    names = {"name": np.array([f"{EVIL}{i}" for i in range(80)])}
    labels_of = np.where(np.arange(80) < 40, EVIL, "b")
    return see(model, table, data_name=EVIL, labels=labels_of, names=names)


@pytest.fixture(scope="module")
def of_pictures() -> Seen:
    X = np.random.RandomState(0).rand(24, 1, 6, 4).astype(np.float32)
    return see(fitted(CPVAE(2, kind="images", **SMALL), X), X, data_name="noise")


@pytest.fixture(scope="module")
def of_signals() -> Seen:
    X = np.random.RandomState(0).normal(size=(20, 2, 10))
    return see(fitted(VAE(kind="signals", **SMALL), X), X, data_name="signals")


# ---------------------------------------------------------------- what is shown


def test_rows_have_the_places_of_their_codes_and_neighbours_are_the_nearest_others(of_table):
    z = of_table.shown.z.astype(np.float64)
    distance = np.linalg.norm(z[:, None] - z[None], axis=-1) + np.diag(np.full(80, np.inf))
    near = of_table.near(np.arange(80))
    assert near.shape == (80, 8)
    expected = np.sort(distance, 1)[:, :8]
    np.testing.assert_allclose(np.take_along_axis(distance, near, 1), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(of_table.layout.points, lay_out(of_table.shown.z).points)


def test_too_few_rows_and_unknown_layouts_are_refused(of_table, table):
    with pytest.raises(InputError, match="2 rows; expected at least 3, which a map needs"):
        see(of_table.model, table[:2], data_name="two")
    with pytest.raises(InputError, match="layout='pcb'"):
        lay_out(np.zeros((4, 2)), how="pcb")
    pytest.importorskip("umap")
    with pytest.raises(InputError, match="layout='umap' of 4 rows: expected 45 or more"):
        lay_out(np.zeros((4, 3)), how="umap")


def test_the_rows_that_are_asked_about_are_counted(of_table, table):
    said: list[str] = []
    many = pd.concat([table] * 70, ignore_index=True)
    seen = see(of_table.model, many, data_name="many", max_rows=60, layout="pca", say=said.append)
    assert (seen.n, said) == (60, ["asking the model about 60 of 5,600 rows"])
    assert rows_shown(of_table.model, (10**6, 3), 10**6, MAX_DECODED) == MAX_DECODED // 3
    assert rows_shown(of_table.model, (10**6, 200_000), 10**6, MAX_DECODED) == 100


def test_a_model_with_one_number_for_each_row_is_shown_on_a_line():
    X = np.random.RandomState(0).normal(size=(12, 3))
    seen = see(fitted(VAE(latent_dim=1, hidden=(4,), max_epochs=1, random_state=0), X), X, data_name="line")
    assert not seen.layout.points[:, 1].any()
    assert not seen.categories.any()


def test_rows_are_cells_pictures_or_curves(of_table, of_pictures, of_signals, table):
    cells = Answers(of_table).rows({"rows": [3, 0]})
    assert cells[0] == [f"{table.iloc[3, 0]:g}", table.iloc[3, 1], f"{table.iloc[3, 2]:g}"]
    (picture,) = Answers(of_pictures).rows({"rows": [1]})
    assert picture.startswith("data:image/png;base64,")
    (curves,) = Answers(of_signals).rows({"rows": [2]})
    np.testing.assert_allclose(curves, of_signals.shown.given[2], rtol=1e-3)


def test_levels_beside_missing_cells_have_no_point():
    random = np.random.RandomState(0)
    rows = pd.DataFrame({"arm": [1.0, 2.0, None] * 20, "size": random.normal(size=60)})
    model = fitted(CPVAE(2, **SMALL), rows)
    seen = see(model, rows, data_name="arms")
    assert [cells[0] for cells in Answers(seen).rows({"rows": [0, 1, 2]})] == ["1", "2", ""]
    told = overall.reconstructions(model, seen.shown)["pairs_table"]
    assert {cells[0] for _, cells in told.rows} <= {"1", "2", "·"}


def test_of_wide_tables_the_columns_that_tell_most_are_shown():
    X = np.random.RandomState(0).normal(size=(60, 90))
    X[:30, 71] += 40
    seen = see(fitted(CPVAE(2, kind="matrix", **SMALL), X), X, data_name="wide")
    contents = Answers(seen).contents
    assert len(contents.columns) <= 24
    assert "71" in contents.names
    assert len(contents.own(np.array([0, 1]))[0]) == len(contents.columns)


def test_a_column_comes_with_its_values_and_levels(of_table, table):
    def values(found: dict[str, Any]) -> np.ndarray:
        return np.frombuffer(base64.b64decode(found["values"]), "<f4")

    answers = Answers(of_table)
    np.testing.assert_allclose(values(answers.column({"column": 0})), table.iloc[:, 0], rtol=1e-6)
    kinds = answers.column({"column": 1})
    assert [kinds["levels"][int(code)] for code in values(kinds)] == table["kind"].tolist()


def test_cards_say_what_descriptions_say_and_name_rows_by_position(of_table):
    found = cards.cards(of_table)
    for card, described in zip(found, of_table.shown.description, strict=True):
        assert card["traits"] == described.traits
        assert [int(of_table.shown.index[i]) for i in card["typical"]] == list(described.typical)
    own = cards.traits_of_groups(of_table, of_table.categories)
    assert own == {one.number: one.traits for one in of_table.shown.description if one.rows}


# ---------------------------------------------------------------- new rows


def test_draws_come_from_the_category_and_are_new_with_each_seed(of_table, of_pictures):
    answers = Answers(of_table)
    asked = {"how": "category", "category": 1, "n": 5, "seed": 3}
    assert answers.draw(asked) == answers.draw(asked) != answers.draw(asked | {"seed": 4})
    expected, _ = of_table.model.sample(5, 1, random_state=3)
    assert answers.draw(asked) == answers.contents.put(expected)
    means = draws.from_category(of_pictures, None, 2, 0)
    np.testing.assert_array_equal(means, of_pictures.model.sample(2, mean=True, random_state=0)[0])


def test_drawn_rows_have_the_given_cells(of_table):
    rows = draws.with_given(of_table, ["kind=plain", "age=30:41", " "], None, 20, 0)
    assert set(rows["kind"]) == {"plain"}
    assert rows["age"].between(30, 41).all()
    with pytest.raises(InputError, match="nothing is given"):
        draws.with_given(of_table, ["", " "], None, 5, 0)
    with pytest.raises(InputError, match="no such column"):
        draws.with_given(of_table, ["agee=3"], None, 5, 0)


@pytest.mark.parametrize("part", draws.PARTS)
def test_completed_pictures_keep_their_half(of_pictures, part):
    rows = draws.with_part(of_pictures, 4, part, 3, 0)
    half = {
        "top": np.s_[..., :3, :],
        "bottom": np.s_[..., 3:, :],
        "left": np.s_[..., :, :2],
        "right": np.s_[..., :, 2:],
    }[part]
    np.testing.assert_allclose(
        rows[half], np.broadcast_to(of_pictures.shown.given[4][half], rows[half].shape), rtol=1e-6
    )
    assert rows.std(0).max() > 0


def test_signals_are_completed_in_time_and_tables_not_at_all(of_signals, of_table):
    rows = draws.with_part(of_signals, 0, "right", 2, 0)
    np.testing.assert_allclose(rows[:, :, 5:], np.repeat(of_signals.shown.given[:1, :, 5:], 2, 0), rtol=1e-5)
    with pytest.raises(InputError, match="signals: use left"):
        draws.with_part(of_signals, 0, "top", 2, 0)
    with pytest.raises(InputError, match="rows of a table, which have no halves"):
        draws.with_part(of_table, 0, "left", 2, 0)


def test_the_way_between_two_rows_begins_and_ends_with_their_reconstructions(of_table, of_pictures, table):
    first, last = int(np.argmax(of_table.categories == of_table.categories[0])), 79
    way = draws.between(of_table, first, last, 5)
    again = of_table.model.reconstruct(table.iloc[[first, last]])
    assert way.iloc[0].tolist() == again.iloc[0].tolist()
    assert way.iloc[4].tolist() == again.iloc[1].tolist()
    pictures = draws.between(of_pictures, 0, 1, 3)
    np.testing.assert_allclose(
        pictures[[0, 2]], of_pictures.model.reconstruct(of_pictures.shown.given[:2]), rtol=1e-4, atol=1e-5
    )
    with pytest.raises(InputError, match="row=99"):
        draws.between(of_table, 0, 99)


# ---------------------------------------------------------------- categories of the user


def test_groups_are_written_with_names_and_whole_categories_are_named_in_the_model(of_table, table, tmp_path):
    of_table.model.save(tmp_path / "model.safetensors")
    groups = np.where(of_table.categories == 2, 1, of_table.categories)
    groups[:3] = 3
    kept = next(k for k in range(3) if (groups == k).any())
    asked = {"groups": groups.tolist(), "names": {"1": "both", "3": "three, or more", "0": "Zero"}}
    said = Answers(of_table, tmp_path / "labels.csv", tmp_path / "model.safetensors").save(asked)
    written = pd.read_csv(tmp_path / "labels.csv")
    assert written["row"].tolist() == list(range(80))
    assert written["category"].tolist() == of_table.categories.tolist()
    assert written["label"].tolist()[:3] == ["three, or more"] * 3
    assert set(written["label"][3:]) <= {"both", "Zero", str(kept)}
    assert written["name"][0] == f"{EVIL}0"
    assert "labels.csv" in said
    told = labels.names_for_the_model(of_table, labels.read_groups(of_table, asked["groups"], asked["names"]))
    assert load(tmp_path / "model.safetensors").names_ == {k: name for k, name in told.items() if name}
    assert said.endswith("; merged and split categories are in the file only.")
    of_table.model.names_ = {}


def test_the_model_keeps_names_of_categories_that_are_no_longer_whole(of_table, tmp_path):
    path = tmp_path / "model.safetensors"
    of_table.model.rename({0: "Zero", 1: "One", 2: "Two"}).save(path)
    k = int(of_table.categories[0])
    groups = of_table.categories.copy()
    groups[0] = 3  # split off, so that k is not whole
    said = labels.save(of_table, labels.read_groups(of_table, groups.tolist(), {}), tmp_path / "l.csv", path)
    whole = set(of_table.categories.tolist()) - {k}
    assert load(path).names_ == {i: name for i, name in enumerate(("Zero", "One", "Two")) if i not in whole}
    assert "in the file only" in said
    of_table.model.names_ = {}


def test_a_file_that_cannot_be_written_leaves_the_names_of_the_model(of_table, tmp_path):
    path = tmp_path / "model.safetensors"
    of_table.model.save(path)
    k = int(of_table.categories[0])
    groups = labels.read_groups(of_table, of_table.categories.tolist(), {str(k): "first"})
    with pytest.raises(InputError):
        labels.save(of_table, groups, tmp_path, path)
    assert load(path).names_ == {} == of_table.model.names_


def test_the_model_keeps_names_of_groups_that_are_its_categories(of_table, tmp_path):
    path = tmp_path / "model.safetensors"
    of_table.model.save(path)
    used = sorted(set(of_table.categories.tolist()))
    groups = labels.read_groups(of_table, of_table.categories.tolist(), {str(used[0]): "first"})
    said = labels.save(of_table, groups, tmp_path / "l.csv", path)
    assert "the model keeps 1 name" in said
    assert load(path).names_ == {used[0]: "first"}
    labels.save(of_table, labels.read_groups(of_table, of_table.categories.tolist(), {}), tmp_path / "l.csv", path)
    assert load(path).names_ == {} == of_table.model.names_


def test_bad_groups_and_names_are_refused(of_table, tmp_path):
    own = of_table.categories.tolist()
    for groups in (own[:-1], [0.5] * 80, [-1] * 80, [10_000] * 80, None, [True] * 80):
        with pytest.raises(InputError, match="expected a whole number for each of the 80 rows"):
            labels.read_groups(of_table, groups, {})
    with pytest.raises(InputError, match="expected a name for each"):
        labels.read_groups(of_table, own, {"a": "b"})
    with pytest.raises(InputError, match="expected a name for each"):
        labels.read_groups(of_table, own, {"1" * 5_000: "b"})
    with pytest.raises(InputError, match="a name of its own for each"):
        labels.read_groups(of_table, [0, 1] * 40, {"0": "x", "1": "X"})
    with pytest.raises(InputError, match="cannot write files"):
        Answers(of_table).save({"groups": own, "names": {}})


def test_a_split_in_two_follows_the_code(of_table):
    z = of_table.shown.z
    half = labels.split_in_two(of_table, np.arange(80))
    assert 0 < half.sum() <= 40
    assert np.linalg.norm(z[half].mean(0) - z[~half].mean(0)) > z[half].std(0).mean()
    with pytest.raises(InputError, match="3 rows: expected at least 4 to split"):
        labels.split_in_two(of_table, np.arange(3))


def test_lines_of_a_file_have_cells_of_the_table(of_table, table):
    found = Answers(of_table).lines({"rows": [5, 2]})
    assert len(found["lines"]) == 2
    text = "\n".join([found["head"], *found["lines"]])
    read = pd.read_csv(io.StringIO(text))
    assert read["row"].tolist() == [5, 2]
    assert read[EVIL].tolist() == table[EVIL].iloc[[5, 2]].tolist()
    assert read["kind"].tolist() == table["kind"].iloc[[5, 2]].tolist()


def test_columns_of_the_user_that_are_named_like_those_of_a_file_get_an_underscore():
    random = np.random.RandomState(0)
    names = ("row", "category", "probability", "label", "known_label")
    table = pd.DataFrame({name: random.normal(size=30).round(2) for name in names})
    own = {"row": np.arange(100, 130), "label": np.array(["mine"] * 30)}
    model = fitted(CPVAE(2, **SMALL), table)
    seen = see(model, table, data_name="names", labels=np.arange(30) % 2, names=own)
    exported = Answers(seen).frame(np.arange(5))
    renamed = ["row__", "category_", "probability_", "label__", "known_label_"]
    said = ["category", "probability", "known_label"]
    assert exported.columns.tolist() == ["row", "row_", "label_", *said, *renamed]
    for name, column in zip(names, renamed, strict=True):
        assert exported[column].tolist() == table[name][:5].tolist()
    saved = labels.labels_table(seen, labels.Groups(seen.categories, {}))
    assert saved.columns.tolist() == ["row", "row_", "label_", "label", "category", "probability"]
    assert saved["row_"].tolist() == own["row"].tolist()


def test_columns_of_an_array_are_given_by_the_names_that_the_page_shows():
    X = np.random.RandomState(0).normal(size=(20, 3))
    answers = Answers(see(fitted(CPVAE(2, kind="matrix", **SMALL), X), X, data_name="array"))
    given = [f"{answers.contents.names[1]}={float(X[4, 1])!r}"]
    drawn = answers.draw({"how": "given", "given": given, "n": 2})
    assert [row[1] for row in drawn] == [answers.rows({"rows": [4]})[0][1]] * 2


@needs_bokeh
def test_given_cells_are_offered_for_tables_and_counts(of_table):
    X = np.random.RandomState(0).poisson(3, size=(20, 4))
    of_counts = see(fitted(CPVAE(2, kind="counts", **SMALL), X), X, data_name="counts")
    assert [about(Answers(seen), True)["takesGiven"] for seen in (of_table, of_counts)] == [True, True]


@pytest.mark.parametrize("question", [q for q in QUESTIONS if q != "save"])
def test_questions_that_cannot_be_answered_say_so(of_table, question):
    answers = Answers(of_table)
    bad: list[Any] = [{}, {"rows": []}, {"rows": [80]}, {"rows": ["0"]}, {"rows": [True]}, {"rows": "0"}, [], None]
    bad += [
        {"column": 9},
        {"how": "x"},
        {"groups": 1},
        {"how": "between", "first": None},
        {"how": "category", "n": 999},
    ]
    for asked in bad:
        with pytest.raises(InputError):
            answers.answer(question, asked)
    with pytest.raises(InputError, match="question='seen'"):
        answers.answer("seen", {})


# ---------------------------------------------------------------- the document


def test_text_in_an_island_cannot_leave_it():
    text = island({"a": EVIL, "b": "<!--", "c": "\u2028&"})
    assert not re.search("[<>&]", text)
    assert json.loads(text) == {"a": EVIL, "b": "<!--", "c": "\u2028&"}


def test_stored_answers_are_those_of_the_functions(of_table):
    answers = Answers(of_table)
    found = stored(answers)
    assert found["rows"]["7"] == answers.rows({"rows": [7]})[0]
    assert found["near"]["7"] == answers.near({"rows": [7]})[0]
    assert found["columns"][1] == answers.column({"column": 1})
    assert found["lines"] == answers.lines({"rows": list(range(80))})
    assert len(found["draws"]["all"]) == 1_000
    for walk in found["walks"].values():
        first, last = walk["ends"]
        assert walk["rows"] == answers.draw({"how": "between", "first": first, "last": last})


@needs_bokeh
@pytest.mark.parametrize("live", [False, True])
def test_user_text_is_data_in_the_page_and_only_named_scripts_run(of_table, live):
    of_table.model.rename({0: "<b>bold</b>"})
    page = document(Answers(of_table), live)
    of_table.model.rename({0: None})
    for text in (EVIL, LEVEL, "<b>bold</b>"):
        assert text not in page
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    assert "default-src &#39;none&#39;" in policy
    assert f"connect-src &#39;{'self' if live else 'none'}&#39;" in policy
    assert "unsafe-inline" not in policy.split("style-src")[0]
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert len(scripts) >= 3
    for script in scripts:
        assert base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() in policy
    data = json.loads(re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[0])
    assert data["title"] == EVIL == data["labels"]["levels"][0]
    assert (data["stored"] is None) == live
    assert not re.search(r'(src|href)="http', page.split("<script>")[0])


@needs_bokeh
def test_pages_of_pictures_and_of_models_without_categories_are_made(of_pictures, of_signals):
    assert '"kind":"picture"' in document(Answers(of_pictures), False)
    page = document(Answers(of_signals), False)
    assert '"hasCategories":false' in page
    assert 'id="groups"' not in page


def test_without_bokeh_a_line_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "bokeh", None)
    with pytest.raises(InputError, match=r"needs bokeh, which is not installed; pip install 'cpvae\[explore\]'"):
        check_library()


def test_the_core_works_without_bokeh():
    """Modules of the package do not import it."""
    before = {name for name in sys.modules if name.split(".")[0] in ("bokeh", "tornado")}
    for name in ("answers", "cards", "contents", "draws", "labels", "opened", "page", "seen", "server", "stored"):
        importlib.import_module(f"cpvae.explore.{name}")
    assert {name for name in sys.modules if name.split(".")[0] in ("bokeh", "tornado")} == before


# ---------------------------------------------------------------- the server


async def _ask(application: Any, requests: list[dict[str, Any]]) -> list[tuple[int, str, Any]]:
    from tornado.httpclient import AsyncHTTPClient
    from tornado.httpserver import HTTPServer
    from tornado.netutil import bind_sockets

    server = HTTPServer(application)
    (socket,) = bind_sockets(0, "127.0.0.1")
    server.add_sockets([socket])
    port = socket.getsockname()[1]
    found = []
    for request in requests:
        place = f"http://127.0.0.1:{port}{request.pop('path')}"
        reply = await AsyncHTTPClient().fetch(place, raise_error=False, **request)
        found.append((reply.code, reply.body.decode(), reply.headers))
    server.stop()
    await server.close_all_connections()
    return found


@pytest.fixture(scope="module")
def ask() -> Callable[[Any, list[dict[str, Any]]], list[tuple[int, str, Any]]]:
    return lambda application, requests: asyncio.run(_ask(application, requests))


JSON = {"Content-Type": "application/json"}


def question(name: str, asked: Any, token: str = "", headers: dict[str, str] = JSON) -> dict[str, Any]:
    query = f"?token={token}" if token else ""
    return {"path": f"/answer/{name}{query}", "method": "POST", "headers": headers, "body": json.dumps(asked)}


@needs_bokeh
def test_the_server_of_this_machine_answers_its_own_page_only(of_table, ask):
    application = make_application(Answers(of_table), "127.0.0.1", None)
    page, rows, wrong, form, foreign, none = ask(
        application,
        [
            {"path": "/"},
            question("rows", {"rows": [1]}),
            question("rows", {"rows": [800]}),
            question("rows", {"rows": [1]}, headers={"Content-Type": "text/plain"}),
            question("rows", {"rows": [1]}, headers=JSON | {"Host": "evil.example"}),
            {"path": "/other"},
        ],
    )
    assert page[0] == 200
    assert "<title>" in page[1]
    assert page[2]["Content-Security-Policy"] == "frame-ancestors 'none'"
    assert json.loads(rows[1])["answer"] == Answers(of_table).rows({"rows": [1]})
    assert wrong[0] == 400
    assert "expected 1 to 500 whole numbers" in json.loads(wrong[1])["error"]
    assert (form[0], foreign[0], none[0]) == (415, 403, 404)


@needs_bokeh
def test_nested_json_and_long_numbers_are_answered_in_a_line(of_table, ask):
    depths = [
        {"path": "/answer/rows", "method": "POST", "headers": JSON, "body": "[" * n + "]" * n} for n in (500, 10**5)
    ]
    long = question("save", {"groups": of_table.categories.tolist(), "names": {"1" * 5_000: "a"}})
    answers = Answers(of_table, Path("never.csv"))
    for code, text, _ in ask(make_application(answers, "127.0.0.1", None), [*depths, long]):
        assert code == 400
        assert "\n" not in json.loads(text)["error"]


@needs_bokeh
def test_a_page_that_is_loaded_again_has_the_names_that_were_saved(of_table, ask, tmp_path):
    of_table.model.save(tmp_path / "model.safetensors")
    k = int(of_table.categories[0])
    asked = {"groups": of_table.categories.tolist(), "names": {str(k): "saved just now"}}
    answers = Answers(of_table, tmp_path / "l.csv", tmp_path / "model.safetensors")
    before, saved, after = ask(
        make_application(answers, "127.0.0.1", None), [{"path": "/"}, question("save", asked), {"path": "/"}]
    )
    of_table.model.names_ = {}
    assert saved[0] == 200
    assert ("saved just now" in before[1], "saved just now" in after[1]) == (False, True)


@needs_bokeh
def test_elsewhere_nothing_is_answered_without_the_token(of_table, ask):
    application = make_application(Answers(of_table), "0.0.0.0", "secret")
    found = ask(
        application,
        [
            {"path": "/"},
            {"path": "/?token=wrong"},
            {"path": "/?token=secret"},
            question("rows", {"rows": [1]}),
            question("rows", {"rows": [1]}, token="secret"),
        ],
    )
    assert [code for code, *_ in found] == [403, 403, 200, 403, 200]
    assert not is_loopback("0.0.0.0")


# ---------------------------------------------------------------- the command


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, table: pd.DataFrame) -> Path:
    return run_in(tmp_path_factory.mktemp("explore"), table)


def test_a_run_is_opened_with_the_rows_of_its_fit(run, table, tmp_path):
    said: list[str] = []
    answers = open_answers(run, say=said.append)
    assert answers.seen.n == 80
    assert set(answers.seen.shown.labels) == {"a", "b"}
    assert answers.rows({"rows": [0]})[0][1] == table["kind"][0]
    load(run).save(tmp_path / "alone.safetensors")
    with pytest.raises(InputError, match="does not say what it was fitted on; give the rows after it"):
        open_answers(tmp_path / "alone.safetensors")
    about = {"source": "gone.csv", "labels": None}
    with pytest.raises(
        InputError, match=r"rows of the fit cannot be read: gone.csv: no such .*; or give the rows with"
    ):
        data_there(run, about, "give the rows with --data")


@needs_bokeh
def test_labels_have_a_file_of_their_own_which_a_page_without_a_server_does_not_need(run, tmp_path, monkeypatch):
    from cpvae.cli.program import app

    served: list[Answers] = []
    monkeypatch.setattr("cpvae.explore.server.serve", lambda answers, *_: served.append(answers))
    load(run).save(tmp_path / "alone.safetensors")
    rows = str(run.parent / "rows.csv")
    for words in ([str(run)], [str(tmp_path / "alone.safetensors"), rows]):
        assert CliRunner().invoke(app, ["explore", *words]).exit_code == 0
    assert [one.out for one in served] == [run / "explored.csv", tmp_path / "alone.labels.csv"]
    (tmp_path / "alone.labels.csv").mkdir()  # where nothing could be written
    words = ["explore", str(tmp_path / "alone.safetensors"), rows]
    assert "it is a folder" in str(CliRunner().invoke(app, words).exception)
    static = [*words, "--static", str(tmp_path / "page.html")]
    assert CliRunner().invoke(app, static).exit_code == 0
    assert "leave one of both out" in str(CliRunner().invoke(app, [*static, "--out", "labels.csv"]).exception)


def test_a_date_has_a_time_only_where_it_has_one():
    cells = pd.Series(pd.to_datetime(["2026-11-29", None, "2026-11-29 14:30"], format="ISO8601")).tolist()
    assert [contents._text(cell, "") for cell in cells] == ["2026-11-29", "", "2026-11-29 14:30:00"]
