"""Cells of AnnData on the disk: mapped into memory where large, read part by part for answers, as the whole file is."""

from __future__ import annotations

import itertools
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from cpvae import CPVAE, InputError, load
from cpvae.data import loaders
from cpvae.data.loaders import cells, mapped, parts
from cpvae.data.row_kinds import Given
from cpvae.data.rows import Rows
from cpvae.data.sparse import SparseRows
from cpvae.fitting.devices.world import World
from cpvae.study.inputs import rows_where_they_are, suited
from cpvae.study.labelled import cluster_rows
from test_cli import done, refused

h5py = pytest.importorskip("h5py")
N, GENES = 300, [f"g{i}" for i in range(12)]
SMALL = {"latent_dim": 2, "hidden": (8,), "max_epochs": 2, "batch_size": 50, "random_state": 0}
OPTIONS = ["--components", "3", "--latent-dim", "2", "--hidden", "8", "--epochs", "2", "--batch-size", "50", "--quiet"]


def counts() -> np.ndarray:
    random = np.random.default_rng(0)
    mean = np.exp(random.normal(size=(3, len(GENES))))[random.integers(3, size=N)]
    x = random.poisson(mean).astype(np.float32)
    x[:, 0] += 1
    return x


X = counts()


def write(path: Path, matrix, **layers) -> Path:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from anndata import AnnData

        with pd.option_context("future.infer_string", False):  # what AnnData writes for every version of pandas
            obs = pd.DataFrame({"type": pd.Categorical(["u", "v", "w"] * (N // 3))}, index=[f"c{i}" for i in range(N)])
            made = AnnData(matrix, obs, pd.DataFrame(index=GENES), layers=layers)
            (made.write_zarr if path.suffix == ".zarr" else made.write_h5ad)(path)
    return path


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """Treat every matrix as large, read few numbers at once, and keep the cache here."""
    monkeypatch.setattr(mapped, "LARGE", 0)
    monkeypatch.setattr(mapped, "cache", lambda: tmp_path / "cache")
    monkeypatch.setattr(cells, "AT_ONCE", 100)
    return tmp_path / "cache"


def on_disk(x) -> bool:
    """Tell whether the numbers of an array lie in a file."""
    while x is not None and not isinstance(x, np.memmap):
        x = x.base
    return x is not None


@pytest.mark.parametrize("suffix", [".h5ad", ".zarr"])
def test_a_large_sparse_matrix_stays_on_the_disk(tmp_path, cache, suffix):
    path = write(tmp_path / f"a{suffix}", sparse.csr_matrix(X))
    data = loaders.load(path, labels="type")
    split = data.splits["all"]
    assert isinstance(split.x, SparseRows)
    assert on_disk(split.x.data)
    assert on_disk(split.x.indices)
    assert np.array_equal(split.x.toarray(), X)
    assert (data.kind, data.feature_names) == ("counts", tuple(GENES))
    assert (split.y[:3].tolist(), split.row_names[:2].tolist()) == (["u", "v", "w"], ["c0", "c1"])
    assert len(list(cache.glob("*.npy"))) == 3
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    write(path, sparse.csr_matrix(X[::-1]))
    assert np.array_equal(loaders.load(path).splits["all"].x.toarray(), X[::-1])
    assert len(list(cache.glob("*.npy"))) == 3  # of the file as it was nothing is left
    assert not list(cache.glob(".*.part"))


def test_each_matrix_of_a_file_has_its_own_place(tmp_path, cache):
    path = write(tmp_path / "a.h5ad", np.log1p(X), counts=sparse.csr_matrix(X))
    for _ in range(2):
        x = loaders.load(path).splits["all"].x
        assert on_disk(x)
        np.testing.assert_array_equal(x, np.log1p(X))
        assert np.array_equal(loaders.load(path, layer="counts").splits["all"].x.toarray(), X)
    assert len(list(cache.glob("*.npy"))) == 4


def test_entries_in_any_order_and_more_than_one_in_a_place(tmp_path, cache):
    path = write(tmp_path / "a.h5ad", sparse.csr_matrix(X))
    with h5py.File(path, "r+") as file:
        starts, group = file["X/indptr"][:], file["X"]
        for name in ("data", "indices"):
            values = group[name][:]
            for a, b in itertools.pairwise(starts):
                values[a:b] = values[a:b][::-1]
            group[name][:] = values
    x = loaders.load(path).splits["all"].x
    assert x.has_canonical_format
    assert on_disk(x.data)
    assert np.array_equal(x.toarray(), X)
    with h5py.File(path, "r+") as file:
        a = int(np.flatnonzero(np.diff(starts) > 1)[0])
        file["X/indices"][starts[a] + 1] = file["X/indices"][starts[a]]
    os.utime(path, ns=(1, 1))
    x = loaders.load(path).splits["all"].x
    assert not on_disk(x.data)  # as they are added up, there are fewer
    assert x.sum() == X.sum()
    with h5py.File(path, "r+") as file:
        file["X/indices"][0] = len(GENES)
    os.utime(path, ns=(2, 2))
    with pytest.raises(InputError, match=r"a\.h5ad: cannot be read as an AnnData file \(ValueError"):
        loaders.load(path)


def test_genes_first_is_read_whole_and_said(tmp_path, cache):
    data = loaders.load(write(tmp_path / "a.h5ad", sparse.csc_matrix(X)))
    assert np.array_equal(data.splits["all"].x.toarray(), X)
    assert "X is kept gene by gene and was read whole; to read it by cells, save it as X.tocsr()" in data.notes
    assert parts.parted(str(tmp_path / "a.h5ad"), loaders.Asked()) is None


def test_a_fit_of_cells_on_the_disk_is_that_of_cells_in_memory(tmp_path, cache):
    path = write(tmp_path / "a.h5ad", sparse.csr_matrix(X))
    found = CPVAE(3, kind="counts", **SMALL).fit(rows_where_they_are(loaders.load(path), "all"))
    expected = CPVAE(3, kind="counts", **SMALL).fit(pd.DataFrame(X, columns=GENES))
    assert [r["valid_negative_elbo"] for r in found.history_] == [r["valid_negative_elbo"] for r in expected.history_]
    assert list(found.feature_names_in_) == GENES
    assert on_disk(suited(loaders.load(path), found).splits["all"].x.data)
    backwards = Given("matrix", SparseRows(X[:, ::-1]), tuple(GENES[::-1]))
    assert np.array_equal(found.predict(backwards), found.predict(pd.DataFrame(X, columns=GENES)))


def test_rows_of_a_process_are_not_copied():
    rows = Rows(SparseRows(X))
    for rank in range(2):
        part = rows.part(World(rank, 2).part(N))
        assert part.x is rows.x
        assert np.array_equal(np.concatenate([one.numpy() for one in part.chunks()]), X[150 * rank :][:150])
    few = Rows(SparseRows(X.astype(np.uint16)))
    assert few.take(few.at(np.arange(3)).index).tolist() == X[:3].tolist()


@pytest.mark.parametrize("suffix", [".h5ad", ".zarr"])
def test_answers_are_read_part_by_part(tmp_path, monkeypatch, suffix):
    path = write(tmp_path / f"a{suffix}", np.log1p(X), counts=sparse.csr_matrix(X))
    run = tmp_path / "run"
    done("fit", str(path), "--layer", "counts", "--labels", "type", "--out", str(run), *OPTIONS)
    monkeypatch.setattr(parts, "ROWS_IN_PART", 70)
    monkeypatch.setattr(parts, "CELLS", 400)
    monkeypatch.setattr(loaders, "load", None)  # nothing is read whole
    said: list[str] = []
    cluster_rows(run, str(path), tmp_path / "out.csv", labels="type", say=said.append)
    assert f"read a{suffix}: 300 rows, all 12 columns of the fit" in said
    found = pd.read_csv(tmp_path / "out.csv")
    assert found["name"].tolist() == [f"c{i}" for i in range(N)]
    assert found["row"].tolist() == list(range(N))
    expected = load(run).predict_frame(SparseRows(X))
    assert found["category"].tolist() == expected["category"].tolist()
    np.testing.assert_allclose(found["probability"], expected["probability"], atol=1e-5)
    assert "no column 'kind' in obs" in refused("cluster", run, path, "--labels", "kind", "--out", tmp_path / "b.csv")
    assert "no layer 'x'; did you mean 'X'?" in refused(
        "cluster", run, path, "--layer", "x", "--out", tmp_path / "b.csv"
    )
