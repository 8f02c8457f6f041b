"""Categories of rows, part by part: as of the whole, from and to Parquet, stopped and gone on with."""

from __future__ import annotations

import warnings
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cpvae import CPVAE, FitWarning, load
from cpvae.data.loaders import parts
from cpvae.estimators.clusterer import Clusterer
from cpvae.study.labelled import cluster_rows
from test_cli import call, done, refused, tree

pytest.importorskip("pyarrow")
N = 60
RNG = np.random.default_rng(0)
TABLE = pd.DataFrame(RNG.normal(size=(N, 3)), columns=list("abc"))
TABLE["city"] = RNG.choice(["u", "v"], N)
TABLE.loc[::7, "a"] = np.nan
TABLE.insert(0, "id", [f"C{i:04}" for i in range(N)])
WHOLE = Clusterer.predict_frame
SETTINGS = {"latent_dim": 1, "hidden": (8,), "max_epochs": 1, "init": "random", "random_state": 0}


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("model") / "model.safetensors"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)  # the names of rows are left out
        fitted = CPVAE(3, **SETTINGS).fit(TABLE)
    fitted.rename({1: "one"}).save(place)
    return place


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """Part the table into two files: of small row groups two make a part, and of large ones ten rows are a piece."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(parts, "CELLS", 10 * 5)
    (tmp_path / "rows").mkdir()
    for i in range(2):
        TABLE[30 * i : 30 * i + 30].to_parquet(f"rows/{i}.parquet", row_group_size=15 if i else 5, index=False)
    TABLE.to_csv("rows.csv", index=False)
    return tmp_path / "rows"


def test_parts_are_answered_as_the_whole(model, folder, monkeypatch):
    seen = after(1000, Killed(), monkeypatch)
    done("cluster", model, "rows.csv", "--out", "whole.csv")
    assert seen == [N]  # text is read as all of a column is
    expected = pd.read_csv("whole.csv", keep_default_na=False)
    for out, read in (("new.csv", partial(pd.read_csv, keep_default_na=False)), ("new.parquet", pd.read_parquet)):
        seen.clear()
        answer = done("cluster", model, "rows", "--out", out)
        assert seen == [10, 10, 10, 10, 5, 10, 5]
        pd.testing.assert_frame_equal(read(out), expected, rtol=1e-4)
        assert "read rows: 60 rows, all 4 columns of the fit" in answer.err
        assert "60 of 60 rows" in answer.err
    assert [*pd.read_parquet("new.parquet").columns] == ["row", "id", "category", "category_name", "probability", "odd"]
    assert sorted(one.name for one in Path().iterdir()) == ["new.csv", "new.parquet", "rows", "rows.csv", "whole.csv"]


class Killed(BaseException):
    """Ends the process as a signal that nothing catches does."""


def after(n: int, error: BaseException, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let the n-th answer from now on fail; give the list that numbers of answered rows are added to."""
    seen: list[int] = []

    def predict(self: Clusterer, X: Any, **given: Any) -> pd.DataFrame:
        if len(seen) == n:
            raise error
        seen.append(len(X))
        return WHOLE(self, X, **given)

    monkeypatch.setattr(Clusterer, "predict_frame", predict)
    return seen


@pytest.mark.parametrize(("out", "error"), [("new.csv", KeyboardInterrupt()), ("new.parquet", Killed())])
def test_what_was_stopped_goes_on(model, folder, monkeypatch, out, error):
    cluster_rows(model, "rows", Path("once" + Path(out).suffix))
    seen = after(4, error, monkeypatch)
    if isinstance(error, Killed):
        with pytest.raises(Killed):
            cluster_rows(model, "rows", Path(out))
    else:
        answer = call("cluster", model, "rows", "--out", out)
        assert answer.code == 130
        assert f"3 of 5 parts are in {out}.parts; to go on, run the same command again\nstopped" in answer.err
    assert not Path(out).exists()
    assert sum(seen) == 40  # the last piece is of a part that is not whole
    seen = after(100, error, monkeypatch)
    said: list[str] = []
    shares = cluster_rows(model, "rows", Path(out), say=said.append)
    assert 30 + sum(seen) == N
    assert Path(out).read_bytes() == Path("once" + Path(out).suffix).read_bytes()
    assert "read rows: 60 rows, all 4 columns of the fit" in said
    assert sum(int(words.split()[0]) for words in shares.values()) == N
    assert not Path(f"{out}.parts").exists()


def test_other_data_are_begun_anew(model, folder, monkeypatch):
    after(5, Killed(), monkeypatch)
    with pytest.raises(Killed):
        cluster_rows(model, "rows", Path("new.csv"))
    TABLE[:20].to_parquet("rows/0.parquet", index=False)
    seen = after(100, Killed(), monkeypatch)
    answer = done("cluster", model, "rows", "--out", "new.csv")
    assert "new.csv.parts answers for another model, other data or other options: begun anew" in answer.err
    assert sum(seen) == 50 == len(pd.read_csv("new.csv"))


def test_an_error_in_a_part_keeps_the_parts_before(model, folder):
    TABLE[30:].assign(b=np.inf).to_parquet("rows/1.parquet", index=False)
    answer = call("cluster", model, "rows", "--out", "new.csv")
    assert answer.code == 2
    assert "rows are counted from row 30 of the data on; 3 of 4 parts are in new.csv.parts; to go on, run" in answer.err
    before = tree(folder.parent)
    TABLE[:30].assign(b=np.inf).to_parquet("rows/0.parquet", index=False)
    assert "parts are in" not in refused("cluster", model, "rows", "--out", "other/new.csv")
    assert {*tree(folder.parent)} == {*before}


def test_what_differs_is_told_once_for_all_parts(model, folder):
    for i in range(2):
        part = pd.read_parquet(f"rows/{i}.parquet").assign(more=1.0)
        part.loc[part.index[-1:], ["a", "b", "c", "city"]] = [np.nan, np.nan, np.nan, f"town {i}"]
        part.to_parquet(f"rows/{i}.parquet", index=False)
    said = done("cluster", model, "rows", "--out", "new.csv").err
    assert "columns that the fit did not have: 'more'; left out" in said
    assert "column 'city' has 'town 0', 'town 1' in 2 cells: not there in the fit" in said
    assert "2 rows have no value in any column (first row 29, counted from 0)" in said
    assert "'more'" in refused("cluster", model, "rows", "--out", "strict.csv", "--strict")


def test_text_that_only_a_whole_column_explains_is_read_whole(model, folder, monkeypatch):
    for i in range(2):
        pd.read_parquet(f"rows/{i}.parquet").astype({"b": str}).to_parquet(f"rows/{i}.parquet", index=False)
    seen = after(100, Killed(), monkeypatch)
    done("cluster", model, "rows", "--out", "new.csv")
    assert seen == [N]


def test_an_array_on_the_disk_is_answered_some_rows_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "CELLS", 30)
    np.save(tmp_path / "x.npy", TABLE[["b", "c"]].to_numpy())
    fitted = CPVAE(2, **SETTINGS).fit(np.load(tmp_path / "x.npy"))
    fitted.save(tmp_path / "model")
    seen = after(100, Killed(), monkeypatch)
    cluster_rows(tmp_path / "model", str(tmp_path / "x.npy"), tmp_path / "new.csv")
    assert seen == [15] * 4
    found = pd.read_csv(tmp_path / "new.csv")
    assert found["row"].tolist() == [*range(N)]
    assert found["category"].tolist() == fitted.predict(np.load(tmp_path / "x.npy")).tolist()


def test_places_that_cannot_be_written(model, folder):
    for out in ("rows/new.parquet", "rows/../rows/new.parquet"):
        assert "lies among the files of rows, of which it would become one" in refused(
            "cluster", model, "rows", "--out", out
        )
    assert "lies among the files of" in refused("cluster", model, "rows/*.parquet", "--out", "rows/new.parquet")
    Path("new.csv.parts").mkdir()
    Path("new.csv.parts/mine").touch()
    assert "new.csv.parts is not of this command" in refused("cluster", model, "rows", "--out", "new.csv")
    assert [one.name for one in Path("new.csv.parts").iterdir()] == ["mine"]


def test_frames_answer_one_by_one(model):
    fitted = load(model)
    whole = fitted.predict_frame(TABLE)
    assert [*whole.columns] == ["category", "category_name", "probability"]
    found = pd.concat(map(fitted.predict_frame, [TABLE[:50], TABLE[50:50], TABLE[50:]]))
    pd.testing.assert_frame_equal(found, whole, rtol=1e-4)
