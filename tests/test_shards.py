"""Parquet files as one table: equal to their rows together, mapped into memory where large; errors in one line."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cpvae import CPVAE, InputError
from cpvae.data import schema
from cpvae.data.loaders import load, mapped, shards
from cpvae.study.inputs import rows_of

pytest.importorskip("pyarrow")
NAMES = ["a", "b", "c", "d"]
X = np.random.default_rng(0).normal(size=(90, 4)).astype(np.float32)


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """Treat every table as large, and keep the cache here."""
    monkeypatch.setattr(mapped, "LARGE", 0)
    monkeypatch.setattr(shards, "ROWS_AT_ONCE", 7)
    monkeypatch.setattr(mapped, "cache", lambda: tmp_path / "cache")
    return tmp_path / "cache"


def frames() -> list[pd.DataFrame]:
    return [pd.DataFrame(part, columns=NAMES) for part in np.split(X, [20, 50])]


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "rows").mkdir()
    for i, frame in enumerate(frames()):
        frame.to_parquet(tmp_path / "rows" / f"part-{i}.parquet", row_group_size=9)
    (tmp_path / "rows" / "_SUCCESS").touch()
    return tmp_path / "rows"


@pytest.mark.parametrize("pattern", ["", "part-*.parquet", "part-[0-9].parquet"])
def test_files_are_one_table(folder, pattern):
    data = load(folder / pattern)
    assert np.array_equal(data.splits["all"].x, X)
    assert data.splits["all"].x.dtype == np.float32
    assert data.feature_names == tuple(NAMES)


def test_large_files_are_mapped_and_equal_their_rows(folder, cache):
    x = load(folder).splits["all"].x
    assert isinstance(x, np.memmap)
    assert np.array_equal(x, X)
    (made,) = cache.glob("*.npy")
    before = made.stat().st_mtime_ns
    assert np.array_equal(load(folder).splits["all"].x, X)  # found again
    assert made.stat().st_mtime_ns == before
    frames()[0].iloc[::-1].reset_index(drop=True).to_parquet(folder / "part-0.parquet")
    os.utime(folder / "part-0.parquet", ns=(1, 1))
    x = load(folder).splits["all"].x
    assert np.array_equal(x[:20], X[19::-1])
    assert np.array_equal(x[20:], X[20:])
    assert len(list(cache.glob("*.npy"))) == 1  # of the files as they were nothing is left
    assert not list(cache.glob("*.part"))


def test_a_fit_of_mapped_files_is_that_of_their_rows(folder, cache):
    settings = {"latent_dim": 2, "hidden": (8,), "max_epochs": 2, "random_state": 0}
    expected = CPVAE(3, **settings).fit(pd.DataFrame(X, columns=NAMES))
    found = CPVAE(3, **settings).fit(rows_of(load(folder), "all"))
    assert [r["valid_negative_elbo"] for r in found.history_] == [r["valid_negative_elbo"] for r in expected.history_]
    assert list(found.feature_names_in_) == NAMES


def test_labels_and_kinds_of_numbers(tmp_path, cache):
    for i in range(2):
        frame = pd.DataFrame({"n": [1, 2, 3], "x": [0.5, 1.5, 2.5], "on": [True, False, True], "kind": ["u", "v", "w"]})
        frame.index = [5, 6, 7]
        frame.to_parquet(tmp_path / f"{i}.parquet")
    data = load(tmp_path / "*.parquet", labels="kind")
    assert isinstance(data.splits["all"].x, np.memmap)
    assert data.splits["all"].x[3:].tolist() == [[1, 0.5, 1], [2, 1.5, 0], [3, 2.5, 1]]
    assert data.splits["all"].y.tolist() == ["u", "v", "w"] * 2
    assert data.feature_names == ("n", "x", "on")
    assert "kind" in load(tmp_path / "*.parquet").feature_names  # text: a table, in memory


@pytest.mark.parametrize("gap", [None, float("nan")])
def test_missing_cells_make_a_table_in_memory(folder, cache, gap):
    pd.DataFrame({name: pd.Series([1.0, gap]) for name in NAMES}).to_parquet(folder / "part-3.parquet")
    x = load(folder).splits["all"].x
    assert isinstance(x, pd.DataFrame)
    assert x.shape == (92, 4)
    assert not list(cache.glob("*.npy"))


WRONG = {
    "column": (
        lambda f: f.rename(columns={"b": "e"}),
        r"part-3.parquet: no column 'b'; expected the columns of part-0",
    ),
    "more": (lambda f: f.assign(e=1.0), r"part-3.parquet: a column 'e'; expected the columns of part-0.parquet, a, b"),
    "order": (lambda f: f[NAMES[::-1]], r"part-3.parquet: another order; expected the columns of part-0.parquet"),
    "empty": (lambda f: f.iloc[:0], r"part-3.parquet: 0 rows; expected rows in every file of a table; remove it"),
    "text": (lambda f: f.assign(a="x"), r"part-3.parquet: column 'a' holds (large_)?string; expected float"),
}


@pytest.mark.parametrize("name", WRONG)
def test_files_that_are_no_parts_of_one_table(folder, name):
    change, message = WRONG[name]
    change(frames()[0]).to_parquet(folder / "part-3.parquet")
    with pytest.raises(InputError, match=message):
        load(folder)


def test_files_that_cannot_be_used(folder, cache, monkeypatch):
    (folder / "part-3.parquet").write_bytes((folder / "part-0.parquet").read_bytes()[:300])
    with pytest.raises(InputError, match=r"part-3.parquet: cannot be read as a parquet file"):
        load(folder)
    (folder / "part-3.parquet").write_bytes(b"")
    with pytest.raises(InputError, match=r"part-3.parquet: cannot be read as a parquet file"):
        load(folder)
    (folder / "part-3.parquet").unlink()
    (folder / "part-3.csv").write_text("a")
    with pytest.raises(InputError, match=r"part-\*: matches part-3.csv; expected .parquet files only"):
        load(folder / "part-*")
    with pytest.raises(InputError, match=r"none-\*.parquet: no such file or folder"):
        load(folder / "none-*.parquet")
    with pytest.raises(InputError, match="no label column 'z'"):
        load(folder / "part-*.parquet", labels="z")
    monkeypatch.setattr(mapped, "cache", lambda: folder / "part-0.parquet" / "inside")
    with pytest.raises(InputError, match="expected room for 1,440 bytes"):
        load(folder)


def test_a_table_on_the_disk_stays_there(folder, cache, monkeypatch):
    """Its columns are told by some rows, and its numbers are read as they are."""
    monkeypatch.setattr(schema, "MANY_ROWS", 30)
    rows = rows_of(load(folder), "all")
    found = schema.Schema.infer(rows)
    assert [column.kind for column in found.columns] == ["numeric"] * 4
    assert np.shares_memory(found.encode(rows), rows.to_numpy())
    gap = rows.copy()
    gap.iloc[70, 2] = np.nan
    assert [column.missing for column in schema.Schema.infer(gap).columns] == [0, 0, 1, 0]
    whole = pd.DataFrame({"flag": np.r_[np.zeros(89), 1.0], "step": np.r_[np.arange(89) % 2, 5], "x": X[:, 0]})
    assert [column.kind for column in schema.Schema.infer(whole).columns] == ["categorical", "numeric", "numeric"]
