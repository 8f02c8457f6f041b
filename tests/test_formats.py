"""Files of the fields that people come from: MATLAB, HDF5, cells, signals, pictures of all kinds."""

from __future__ import annotations

import gzip
import os
import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import sparse
from scipy.io import mmwrite, savemat

from cpvae import tl
from cpvae.data.loaders import Dataset, Split, images, load
from cpvae.data.loaders.files import READERS
from cpvae.data.sparse import SparseRows
from cpvae.errors import InputError
from test_cli import call, done, refused

RNG = np.random.default_rng(0)
COUNTS = RNG.poisson(0.5, (6, 5)).astype(np.float32)
CELLS, GENES = [f"cell{i}" for i in range(6)], ["a", "b", "c", "b", "d"]
UNIQUE = ("a", "b", "c", "b-1", "d")
GREY = RNG.integers(0, 256, (4, 12, 10), np.uint8)


def whole(path: Path, **asked: Any) -> tuple[Split, Dataset]:
    data = load(path, **asked)
    return data.splits["all"], data


def refusal(path: Path, **asked: Any) -> str:
    with pytest.raises(InputError) as caught:
        load(path, **asked)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def picture(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(exist_ok=True, parents=True)
    Image.fromarray(array).save(path)


# -- MATLAB ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("names", [("X", "Y"), ("fea", "gnd"), ("data", "labels"), ("anything", "y")])
def test_mat(names, tmp_path):
    savemat(tmp_path / "a.mat", {names[0]: COUNTS, names[1]: np.arange(6)[:, None]})
    split, data = whole(tmp_path / "a.mat")
    np.testing.assert_array_equal(split.x, COUNTS)
    assert split.y.tolist() == [*range(6)]
    assert data.kind == "matrix"


def test_mat_rows_along_the_last_axis_are_turned(tmp_path):
    pictures = RNG.integers(0, 256, (8, 8, 3, 6), np.uint8)
    for labels in (np.arange(6)[:, None], np.arange(6)[None]):
        savemat(tmp_path / "a.mat", {"X": pictures, "y": labels})
        split, data = whole(tmp_path / "a.mat")
        np.testing.assert_array_equal(split.x, pictures.transpose(3, 2, 0, 1))
        assert split.y.tolist() == [*range(6)]
        assert data.notes[0] == "'X' has its 6 rows along the last axis; it was turned"


def test_mat_pictures_are_upright_where_they_are_asked_for(tmp_path):
    pictures = RNG.random((6, 8, 8))
    columns = pictures.transpose(0, 2, 1).reshape(6, 64)
    savemat(tmp_path / "a.mat", {"X": columns, "Y": np.arange(6)})
    split, data = whole(tmp_path / "a.mat")
    assert (data.kind, split.x.shape) == ("matrix", (6, 64))
    assert "for pictures of 8 x 8 in columns say kind='images' (--kind images)" in data.notes[0]
    np.testing.assert_array_equal(whole(tmp_path / "a.mat", kind="images")[0].x[:, 0], pictures)


def test_mat_sparse_and_text(tmp_path):
    savemat(tmp_path / "a.mat", {"X": sparse.csc_matrix(COUNTS), "Y": np.array(["u", "v"] * 3, object)})
    assert isinstance(whole(tmp_path / "a.mat")[0].x, SparseRows)
    assert whole(tmp_path / "a.mat", labels="Y")[0].y.tolist() == ["u", "v"] * 3


def test_mat_refused(tmp_path):
    savemat(tmp_path / "a.mat", {"A": np.eye(3), "B": np.eye(3)})
    assert "holds the arrays A, B; expected 'x'" in refusal(tmp_path / "a.mat")
    savemat(tmp_path / "a.mat", {"s": {"x": np.eye(3)}})
    assert "'s' is 1 x 1 of MATLAB's type struct; expected variables of numbers" in refusal(tmp_path / "a.mat")
    (tmp_path / "a.mat").write_bytes(b"MATLAB 5.0 MAT-file, but not really" * 9)
    assert "cannot be read as a MATLAB file" in refusal(tmp_path / "a.mat")


def test_mat_of_version_73(tmp_path):
    with h5py.File(tmp_path / "a.mat", "w", userblock_size=512) as file:
        file["X"], file["Y"] = COUNTS.T, np.arange(6.0)[None]
    with (tmp_path / "a.mat").open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file".ljust(116) + bytes(8) + b"\0\2IM")
    split, _ = whole(tmp_path / "a.mat")
    np.testing.assert_array_equal(split.x, COUNTS)
    assert split.y.tolist() == [*range(6)]


# -- HDF5 and cells ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["h5", "hdf5"])
def test_hdf5(suffix, tmp_path):
    with h5py.File(tmp_path / f"a.{suffix}", "w") as file:
        file["X"], file["Y"] = COUNTS, np.array(["u", "v"] * 3, object)
    split, _ = whole(tmp_path / f"a.{suffix}")
    np.testing.assert_array_equal(split.x, COUNTS)
    assert split.y.tolist() == ["u", "v"] * 3


def test_hdf5_of_one_data_set_and_of_several(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["deep/inside"] = RNG.random((5, 9, 8))
    assert whole(tmp_path / "a.h5")[1].kind == "images"
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file["other"] = np.eye(3)
    assert "holds the arrays inside, other; expected 'x'" in refusal(tmp_path / "a.h5")
    assert "not an HDF5 file; expected a whole one" in refusal(_written(tmp_path / "b.h5", b"hello" * 50))


def test_what_is_cut_short_is_said_in_words_of_ours(h5ad, tmp_path):
    begun = h5ad.read_bytes()
    for name in ("a.h5ad", "a.h5"):
        said = refusal(_written(tmp_path / name, begun[: len(begun) // 2]))
        whole = "cut short or damaged; expected a whole one; copy or download it again"
        assert said == f"{tmp_path / name}: an HDF5 file that is {whole}"
    assert "not an HDF5 file; expected a whole one" in refusal(_written(tmp_path / "b.h5ad", b"hello" * 50))


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.fixture(scope="module")
def h5ad(tmp_path_factory) -> Path:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from anndata import AnnData

        path = tmp_path_factory.mktemp("cells") / "a.h5ad"
        with pd.option_context("future.infer_string", False):  # what AnnData writes for every version of pandas
            obs = pd.DataFrame({"type": pd.Categorical(["u", "v"] * 3), "depth": COUNTS.sum(1)}, index=CELLS)
            adata = AnnData(np.log1p(COUNTS), obs, pd.DataFrame(index=["a", "b", "c", "d", "e"]))
            adata.layers["counts"] = sparse.csr_matrix(COUNTS)
            adata.raw = adata
            adata.write_h5ad(path)
    return path


def test_h5ad(h5ad):
    split, data = whole(h5ad, labels="type")
    np.testing.assert_allclose(split.x, np.log1p(COUNTS))
    assert split.y.tolist() == ["u", "v"] * 3
    assert split.row_names.tolist() == CELLS
    assert (data.kind, data.feature_names) == ("matrix", ("a", "b", "c", "d", "e"))
    assert "X was read; the file also has counts, raw: for one say layer='counts' (--layer)" in data.notes
    split, data = whole(h5ad, layer="counts")
    assert isinstance(split.x, SparseRows)
    np.testing.assert_array_equal(split.x.toarray(), COUNTS)
    assert (data.kind, split.y) == ("counts", None)
    assert "6 cells x 5 genes, taken for counts; to say otherwise: kind='matrix'" in data.notes[0]


def test_h5ad_from_before_anndata_0_7(tmp_path):
    h5py, path = pytest.importorskip("h5py"), tmp_path / "old.h5ad"
    obs = np.array([(cell.encode(), i % 2) for i, cell in enumerate(CELLS)], [("index", "S12"), ("type", "i1")])
    genes = np.array([(gene,) for gene in (b"a", b"b", b"c", b"d", b"e")], [("index", "S1")])
    with h5py.File(path, "w") as file:
        file.update({"X": np.log1p(COUNTS), "obs": obs, "var": genes, "raw.X": COUNTS, "raw.var": genes})
        file["uns/type_categories"] = np.array([b"u", b"v"])
    split, data = whole(path, labels="type")
    np.testing.assert_allclose(split.x, np.log1p(COUNTS))
    assert (split.y.tolist(), split.row_names.tolist()) == (["u", "v"] * 3, CELLS)
    assert (data.kind, data.feature_names) == ("matrix", ("a", "b", "c", "d", "e"))
    split, data = whole(path, layer="raw")
    np.testing.assert_array_equal(split.x, COUNTS)
    assert data.kind == "counts"


@pytest.mark.filterwarnings("ignore:The '.*' option is deprecated")  # of pandas, which AnnData sets
def test_what_is_found_in_cells_is_kept_with_them(h5ad, tmp_path):
    import anndata

    with pd.option_context("future.infer_string", False):  # what AnnData writes for every version of pandas
        cells = anndata.read_h5ad(h5ad)
    cells = cells[cells.layers["counts"].sum(1) > 0].copy()  # a depth of zero is refused
    before = cells.copy()
    with pytest.raises(InputError, match=r"^no layer 'count'; did you mean 'counts'\?"):
        tl.fit(cells, 2, layer="count")
    with pytest.raises(InputError, match="is no count; expected whole numbers"):
        tl.fit(cells, 2, kind="counts", random_state=0)
    with pytest.raises(InputError, match="cells of type ndarray: expected an AnnData object"):
        tl.fit(COUNTS, 2)
    assert (len(cells.uns), len(cells.obsm), [*cells.obs]) == (0, 0, [*before.obs])
    params = {"latent_dim": 1, "hidden": (4,), "max_epochs": 1, "random_state": 0}
    model = tl.fit(cells, 2, layer="counts", **params)
    assert model.likelihood_ == "counts"
    assert cells.obs["cpvae"].astype(int).tolist() == model.predict(cells.layers["counts"]).tolist()
    with pd.option_context("future.infer_string", False):
        cells.write_h5ad(tmp_path / "b.h5ad")
    again = anndata.read_h5ad(tmp_path / "b.h5ad")
    assert again.obs["cpvae"].tolist() == cells.obs["cpvae"].tolist()
    assert again.obsm["X_cpvae"].shape == (len(cells), 1)
    assert again.uns["cpvae"]["params"]["layer"] == "counts"
    model.rename({0: "T cells", 1: "B cells"})
    tl.annotate(before, model, layer="counts", key_added="named")
    assert {*before.obs["named"]} <= {"T cells", "B cells"}
    np.testing.assert_allclose(before.obsm["named_proba"].max(1), before.obs["named_probability"])


def test_h5ad_refused(h5ad):
    assert "no layer 'count'; did you mean 'counts'?" in refusal(h5ad, layer="count")
    assert "no column 'typ' in obs; did you mean 'type'?" in refusal(h5ad, labels="typ")


def test_10x_in_hdf5(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        turned = sparse.csc_matrix(COUNTS.T)
        for name in ("data", "indices", "indptr"):
            file[f"matrix/{name}"] = getattr(turned, name)
        file["matrix/shape"], file["matrix/barcodes"] = turned.shape, np.array(CELLS, "S")
        file["matrix/features/name"] = np.array(GENES, "S")
    split, data = whole(tmp_path / "a.h5")
    np.testing.assert_array_equal(split.x.toarray(), COUNTS)
    assert split.row_names.tolist() == CELLS
    assert (data.kind, data.feature_names) == ("counts", UNIQUE)


def test_genes_are_kept_and_antibodies_left_out(tmp_path):
    mmwrite(tmp_path / "matrix.mtx", sparse.coo_matrix(COUNTS.T))
    (tmp_path / "barcodes.tsv").write_text("\n".join(CELLS))
    kinds = ["Gene Expression"] * 4 + ["Antibody Capture"]
    (tmp_path / "features.tsv").write_text(
        "\n".join(f"E{k}\t{n}\t{kind}" for k, (n, kind) in enumerate(zip(GENES, kinds, strict=True)))
    )
    split, data = whole(tmp_path)
    np.testing.assert_array_equal(split.x.toarray(), COUNTS[:, :4])
    assert data.feature_names == UNIQUE[:4]
    assert data.notes[-1] == "left out what is no gene: 1 of 5 features (Antibody Capture)"


@pytest.mark.parametrize("suffix", ["mat", "h5"])
def test_a_sparse_matrix_in_parts_is_one(suffix, tmp_path):
    columns = sparse.csc_matrix(COUNTS)
    with h5py.File(tmp_path / f"a.{suffix}", "w", userblock_size=512) as file:
        group = file.create_group("X")
        names = ("data", "ir", "jc") if suffix == "mat" else ("data", "indices", "indptr")
        for name, part in zip(names, (columns.data, columns.indices, columns.indptr), strict=True):
            group[name] = part
        if suffix == "mat":
            group.attrs["MATLAB_sparse"] = 6
    if suffix == "h5":
        assert "'/X' holds a sparse matrix in parts; expected one as AnnData or" in refusal(tmp_path / "a.h5")
        with h5py.File(tmp_path / "a.h5", "a") as file:
            file["X"].attrs.update({"encoding-type": "csc_matrix", "shape": COUNTS.shape})
    else:
        with (tmp_path / "a.mat").open("r+b") as raw:
            raw.write(b"MATLAB 7.3 MAT-file".ljust(116) + bytes(8) + b"\0\2IM")
    np.testing.assert_array_equal(whole(tmp_path / f"a.{suffix}")[0].x.toarray(), COUNTS)


@pytest.mark.parametrize("start", ["", "GSM1_"])
def test_10x_folder(start, tmp_path):
    with gzip.open(tmp_path / f"{start}matrix.mtx.gz", "wb") as file:
        mmwrite(file, sparse.coo_matrix(COUNTS.T.astype(int)))
    with gzip.open(tmp_path / f"{start}features.tsv.gz", "wt") as file:
        file.write("".join(f"id{i}\t{name}\tGene Expression\n" for i, name in enumerate(GENES)))
    (tmp_path / f"{start}barcodes.tsv").write_text("\n".join(CELLS))
    for path in (tmp_path, tmp_path / f"{start}matrix.mtx.gz"):
        split, data = whole(path)
        np.testing.assert_array_equal(split.x.toarray(), COUNTS)
        assert split.row_names.tolist() == CELLS
        assert data.feature_names == UNIQUE
        assert data.notes[1] == "genes x cells were turned: rows are cells"
    (tmp_path / f"{start}barcodes.tsv").write_text("one\ntwo\n")
    assert "a matrix of 5 x 6 with 2 barcodes beside it" in refusal(tmp_path)


def test_sparse_npz(tmp_path):
    sparse.save_npz(tmp_path / "a.npz", sparse.csr_matrix(COUNTS))
    split, _ = whole(tmp_path / "a.npz")
    np.testing.assert_array_equal(split.x.toarray(), COUNTS)
    holed = sparse.csr_matrix(COUNTS)
    holed.data[-1] = np.nan
    sparse.save_npz(tmp_path / "a.npz", holed)  # a missing cell is one, whatever holds it
    assert np.isnan(whole(tmp_path / "a.npz")[0].x.toarray()).sum() == 1
    holed.data[-1] = np.inf
    sparse.save_npz(tmp_path / "a.npz", holed)
    assert "a sparse matrix, infinity at index [5, " in refusal(tmp_path / "a.npz")


def test_records_text_and_dates_in_arrays_make_tables(tmp_path):
    records = np.array([(k / 7, k % 3, "uv"[k % 2]) for k in range(9)], [("a", "f4"), ("b", "i4"), ("c", "U1")])
    np.save(tmp_path / "a.npy", records)
    split, data = whole(tmp_path / "a.npy")
    assert (data.kind, data.feature_names, len(split.x)) == ("table", ("a", "b", "c"), 9)
    text = np.array([["1.5", "u"], ["2.5", "v"], ["3.5", "u"]])
    np.savez(tmp_path / "a.npz", x_train=text, x_test=text[:2])
    data = load(tmp_path / "a.npz")
    assert [split.x["0"].tolist() for split in data.splits.values()] == [[1.5, 2.5, 3.5], [1.5, 2.5]]
    np.save(tmp_path / "b.npy", np.datetime64("2024-01-01") + np.arange(6).reshape(3, 2))
    assert whole(tmp_path / "b.npy")[1].kind == "table"
    said = call("fit", tmp_path / "a.npy", "--kind", "matrix", "--out", tmp_path / "run", *SMALL)
    assert said.code == 2
    assert said.err == (
        "error: column 'c' holds text; expected numbers in all cells of a matrix; drop it, or fit without kind and "
        "likelihood and with a schema, such as {'c': 'ignore'}\n"
    )


@pytest.mark.parametrize(("library", "name"), [("h5py", "a.h5"), ("anndata", "a.h5ad")])
def test_a_library_that_is_missing(library, name, tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.setitem(sys.modules, f"{library}.io", None)
    said = refusal(_written(tmp_path / name, b"x" * 100))
    assert said.endswith(f"reading it needs {library}, which is not installed; pip install 'cpvae[cells]'")


# -- signals -----------------------------------------------------------------------------------------------------------

TS = "#about\n% more\n@problemName x\n@timeStamps false\n@classLabel true u v\n@data\n1,2,?:4,5,6:u\n-1,-2:3,4:v\n"


def test_ts(tmp_path):
    (tmp_path / "a_TRAIN.ts").write_text(TS)
    split, data = whole(tmp_path / "a_TRAIN.ts")
    nan = np.nan
    np.testing.assert_array_equal(split.x, [[[1, 2, nan], [4, 5, 6]], [[-1, -2, nan], [3, 4, nan]]])
    assert split.y.tolist() == ["u", "v"]
    assert data.kind == "signals"
    assert data.notes == ("signals of 2 to 3 times; what lies after the end of one is missing",)
    (tmp_path / "a_TEST.ts").write_text(TS.replace("1,2,?:4,5,6", "9,9,9,9:8,8,8,8"))
    assert "a_TEST.ts lies beside this file; for both give" in load(tmp_path / "a_TRAIN.ts").notes[1]
    both, _ = whole(tmp_path / "a_*.ts")
    assert both.x.shape == (4, 2, 4)
    assert both.x[:, 0, 0].tolist() == [1, -1, 9, -1]


def test_ts_with_numbers_to_find(tmp_path):
    (tmp_path / "a.ts").write_text(TS.replace("classLabel true u v", "targetlabel true").replace(":u", ":0.25"))
    split, data = whole(tmp_path / "a.ts")
    assert (split.x.shape, split.y) == ((2, 2, 3), None)
    assert data.notes[1] == "the last number of each line, its @targetLabel, is left out: numbers are no labels"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("-1,-2:3,4:v", "-1,-2:v", "signals of 1 and of 2 channels; expected as many in each"),
        ("1,2,?", "1,2,x", "line 7: could not convert string to float: 'x'; expected numbers"),
        ("Stamps false", "Stamps true", "values with times beside them"),
        ("@data", "@date", "before @data; expected a .ts file"),
        ("1,2,?:4,5,6:u\n-1,-2:3,4:v\n", "", "no rows after @data"),
    ],
)
def test_ts_refused(old, new, said, tmp_path):
    (tmp_path / "a.ts").write_text(TS.replace(old, new))
    assert said in refusal(tmp_path / "a.ts")


def test_arrays_of_signals(tmp_path):
    np.save(tmp_path / "a.npy", RNG.normal(size=(5, 6, 30)))
    split, data = whole(tmp_path / "a.npy")
    assert (data.kind, split.x.shape) == ("signals", (5, 6, 30))
    assert "taken for signals of 6 channels and 30 times; for pictures say kind='images'" in data.notes[0]
    assert whole(tmp_path / "a.npy", kind="images")[0].x.shape == (5, 1, 6, 30)
    assert whole(tmp_path / "a.npy", kind="table")[0].x.shape == (5, 180)
    assert "kind='sound': expected 'auto' or one of" in refusal(tmp_path / "a.npy", kind="sound")


def test_missing_cells_in_an_array(tmp_path):
    x = RNG.normal(size=(5, 3))
    x[1, 2] = np.nan
    np.save(tmp_path / "a.npy", x)
    np.testing.assert_array_equal(whole(tmp_path / "a.npy")[0].x, x)


# -- pictures ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["pgm", "pnm"])
def test_portable_grey_maps(suffix, tmp_path):
    for k, levels in enumerate(GREY):
        picture(tmp_path / f"{k}.{suffix}", levels)
    split, _ = whole(tmp_path)
    np.testing.assert_array_equal(split.x[:, 0], GREY)
    assert split.row_names.tolist() == [f"{k}.{suffix}" for k in range(4)]


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_levels_of_16_bits_are_kept(suffix, tmp_path):
    for k, levels in enumerate(GREY):
        picture(tmp_path / "left" / f"{k}.{suffix}", levels.astype(np.uint16))
    split, data = whole(tmp_path)
    assert split.x.dtype == np.uint16
    np.testing.assert_array_equal(split.x[:, 0], GREY)
    assert "4 of 4 pictures have grey levels of 16 bits, which are kept" in data.notes
    picture(tmp_path / "left" / "9.png", np.zeros((12, 10, 3), np.uint8))
    assert "1 of 5 pictures have colours and 4 are grey (left/9.png); expected one kind" in refusal(tmp_path)


def test_floating_point_levels_are_kept(tmp_path):
    """Microscopes and satellites write such; a pixel that is no number is refused, and so are bytes beside them."""
    levels = [grey.astype(np.float32) / 7 - 3 for grey in GREY]
    for k, one in enumerate(levels):
        picture(tmp_path / f"{k}.tif", one)
    split, data = whole(tmp_path)
    assert split.x.dtype == np.float32
    np.testing.assert_array_equal(split.x[:, 0], levels)
    assert data.notes == ("4 of 4 pictures have grey levels in floating point, which are kept",)
    assert whole(tmp_path, size=6)[0].x.shape == (4, 1, 6, 6)
    for k in (1, 2):
        picture(tmp_path / f"{k}.tif", np.where(levels[k] == levels[k].max(), np.nan, levels[k]))
    assert "2 of 4 images cannot be used (1.tif, 2.tif); " in refusal(tmp_path)
    assert "pixels are infinite or no number; expected finite levels" in refusal(tmp_path)
    picture(tmp_path / "9.tif", GREY[0])
    assert (
        "4 of 5 pictures have floating-point levels and 1 have bytes or 16 bits (9.tif); expected one kind"
        in refusal(tmp_path)
    )


def test_sizes_that_differ(tmp_path):
    for k, levels in enumerate(GREY):
        picture(tmp_path / f"{k}.png", levels)
    picture(tmp_path / "z.png", np.full((60, 50), 7, np.uint8))
    split, data = whole(tmp_path)
    assert split.x.shape == (5, 1, 12, 10)
    np.testing.assert_array_equal(split.x[:4, 0], GREY)
    assert (split.x[4] == 7).all()
    assert data.notes == (
        "1 of 5 pictures had 50 x 60 pixels and were resized to 10 x 12; for another size say size=32 (--size 32)",
    )
    assert whole(tmp_path, size=6)[0].x.shape == (5, 1, 6, 6)
    assert whole(tmp_path, size=(3, 4))[0].x.shape == (5, 1, 3, 4)
    for wrong in (0, -1, (3,), 10**9, 2.5):
        assert "expected pixels a side" in refusal(tmp_path, size=wrong)


def test_sizes_without_a_usual_one():
    assert images.common_size([(10, 20), (30, 60), (50, 100)]) == (30, 60)
    assert images.common_size([(300, 200), (900, 600), (1200, 800)]) == (64, 43)


def test_large_pictures_are_made_smaller(tmp_path):
    picture(tmp_path / "a.png", np.full((80, 120, 3), 9, np.uint8))
    picture(tmp_path / "b.png", np.full((80, 120, 3), 200, np.uint8))
    split, data = whole(tmp_path)
    assert split.x.shape == (2, 3, 43, 64)
    assert data.notes == (
        "2 of 2 pictures had 120 x 80 pixels and were resized to 64 x 43; for another size say size=32 (--size 32)",
    )
    assert whole(tmp_path, size=(80, 120))[0].x.shape == (2, 3, 80, 120)


def test_what_becomes_of_colours_and_of_nothing(tmp_path):
    picture(tmp_path / "0.png", np.stack([GREY[0]] * 3, -1))
    clear = np.zeros((12, 10, 4), np.uint8)
    clear[:6, :, 3] = 255  # black above, nothing below
    picture(tmp_path / "1.png", clear)
    split, data = whole(tmp_path)
    assert split.x.shape == (2, 3, 12, 10)
    assert (split.x[1, :, :6].max(), split.x[1, :, 6:].min()) == (0, 255)
    assert data.notes == ("1 of 2 pictures may be transparent in parts, which are read as white",)
    for k in (2, 3, 4, 5):
        picture(tmp_path / f"{k}.png", GREY[k % 4])
    said = refusal(tmp_path)
    assert "2 of 6 pictures have colours and 4 are grey (0.png, 1.png); expected one kind; convert those, or" in said


def test_all_faults_at_once(tmp_path):
    for k, levels in enumerate(GREY):
        picture(tmp_path / f"{k}.png", levels)
    for name in "abcde":
        (tmp_path / f"{name}.png").write_text("text")
    said = refusal(tmp_path)
    assert said.startswith(
        f"{tmp_path}: 5 of 9 images cannot be used (a.png, b.png, c.png, ...); {tmp_path / 'a.png'}:"
    )
    for name in "abcde":
        (tmp_path / f"{name}.png").write_bytes((tmp_path / "0.png").read_bytes()[:-30])
    assert "5 of 9 images cannot be used (a.png, b.png, c.png, ...)" in refusal(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
@pytest.mark.parametrize("suffix", ["png", "parquet"])
def test_pipes_among_files(suffix, tmp_path):
    for k in range(2):
        pd.DataFrame({"a": [1.0, 2.0]}).to_parquet(tmp_path / "0.parquet")
        picture(tmp_path / "0.png", GREY[0])
        os.mkfifo(tmp_path / f"p{k}.{suffix}")
        if suffix == "parquet":
            (tmp_path / "0.png").unlink()
        said = refusal(tmp_path)
        assert said.startswith(f"{tmp_path / f'p0.{suffix}'}: not a file" if not k else f"2 of 3 in {tmp_path} (p0.")
    if suffix == "parquet":
        assert "2 of 3 in" in refusal(tmp_path / "*.parquet")


def test_big_pictures_are_refused_before_they_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "MOST_VALUES", 100)
    for k in range(2):
        picture(tmp_path / f"{k}.png", GREY[k])
    said = refusal(tmp_path)
    assert (
        "pictures of 10 x 12 pixels, 120 numbers each; expected at most 100; have them made smaller by size=64" in said
    )
    assert whole(tmp_path, size=8)[0].x.shape == (2, 1, 8, 8)


def test_a_list_of_pictures():
    from cpvae.data.containers import as_rows

    colour = Image.fromarray(np.stack([GREY[1]] * 3, -1))
    given = as_rows([colour, colour.resize((12, 10))])
    assert (given.kind, given.values.shape) == ("images", (2, 3, 12, 10))
    assert "1 of 2 pictures had 12 x 10 pixels" in given.notes[0]
    with pytest.raises(InputError, match=r"2 of 3 pictures have colours and 1 are grey \(picture 1\)"):
        as_rows([colour, Image.fromarray(GREY[0]), colour])


def test_the_page_of_formats_says_what_is_so(capsys):
    page = (Path(__file__).parents[1] / "docs" / "data.md").read_text()
    for code in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(code, {})
    assert "taken for signals of 6 channels" in capsys.readouterr().out
    for suffix in (*READERS, *images.SUFFIXES):
        assert suffix.removesuffix(".gz") in page or suffix in (".jpeg", ".tiff", ".pbm", ".pnm", ".hdf5")


# -- messages ----------------------------------------------------------------------------------------------------------


def test_messages_stay_short_and_our_own(tmp_path):
    np.savez(tmp_path / "a.npz", **{f"key{i}": np.eye(2) for i in range(200)})
    assert "... (200 in all)" in refusal(tmp_path / "a.npz")
    np.savez(tmp_path / "a.npz", **{"k" * 200: np.eye(2), "x" * 200: np.eye(2)})
    assert len(refusal(tmp_path / "a.npz")) < 500
    np.save(tmp_path / "b.npy", np.zeros(3, [(f"field{i}", "f8") for i in range(2000)]))
    said = refusal(tmp_path / "b.npy")
    assert "whose header is longer than 10,000 characters" in said
    assert "pickle" not in said


# -- real ones ---------------------------------------------------------------------------------------------------------

FIELD = Path(os.environ.get("CPVAE_DATA", "")) / "field"


@pytest.mark.data
@pytest.mark.parametrize(
    ("folders", "splits"),
    [
        (["Train/cat", "Train/dog", "test"], {"train": ["cat", "cat", "dog", "dog"], "test": None}),
        (["train", "val/pictures"], {"train": None, "valid": None}),
        (["pictures"], {"all": None}),
        (["data/train/cat", "data/train/dog"], {"all": ["cat", "cat", "dog", "dog"]}),
        (["car", "train"], {"all": ["car", "car", "train", "train"]}),
        (["val", "valid"], {"all": ["val", "val", "valid", "valid"]}),
    ],
)
def test_folders_of_pictures_are_splits_and_labels(folders, splits, tmp_path):
    for folder in folders:
        for k in (0, 1):
            picture(tmp_path / folder / f"{k}.png", GREY[k])
    data = load(tmp_path)
    assert {name: None if one.y is None else one.y.tolist() for name, one in data.splits.items()} == splits
    assert any("are splits" in note for note in data.notes) == (len(splits) > 1)
    for one in data.splits.values():
        np.testing.assert_array_equal(one.x[:, 0], GREY[[int(name[-5]) for name in one.row_names]])


@pytest.mark.skipif(not FIELD.is_dir(), reason="NOT TESTED: set CPVAE_DATA to a folder that holds field")
@pytest.mark.parametrize(
    ("name", "kind", "shape", "classes"),
    [
        ("cells/10X_PBMC_top2000.h5", "matrix", (4271, 2000), 8),
        ("images/COIL20.mat", "matrix", (1440, 1024), 20),
        ("images/ORL.mat", "matrix", (400, 1024), 40),
        ("images/signs", "images", (400, 3, 64, 64), 10),
        ("text/BASEHOCK.mat", "matrix", (1993, 4862), 2),
        ("signals/BasicMotions_TRAIN.ts", "signals", (40, 6, 100), 4),
        ("signals/ItalyPowerDemand_*.ts", "signals", (1096, 1, 24), 2),
        ("signals/JapaneseVowels_*.ts", "signals", (640, 12, 29), 9),
        ("signals/PickupGestureWiimoteZ_*.ts", "signals", (100, 1, 361), 10),
    ],
)
def test_field(name, kind, shape, classes):
    split, data = whole(FIELD / name)
    assert (data.kind, split.x.shape) == (kind, shape)
    assert len(set(split.y.tolist())) == classes


def test_flat_pictures_of_a_size(tmp_path):
    pictures = RNG.random((6, 2, 9, 10))
    np.save(tmp_path / "a.npy", pictures.reshape(6, -1))
    np.testing.assert_array_equal(whole(tmp_path / "a.npy", kind="images", size=(9, 10))[0].x, pictures)
    said = refusal(tmp_path / "a.npy", kind="images")
    assert "kind='images' for rows of 180 columns, which are no square" in said
    savemat(tmp_path / "a.mat", {"X": pictures[:, 0].transpose(0, 2, 1).reshape(6, 90)})
    np.testing.assert_array_equal(whole(tmp_path / "a.mat", kind="images", size=(9, 10))[0].x[:, 0], pictures[:, 0])


# -- commands ----------------------------------------------------------------------------------------------------------

SMALL = ["-k", "2", "--epochs", "1", "--hidden", "8", "--latent-dim", "2", "--init", "kmeans", "--quiet"]


def test_pictures_of_another_size_go_through_all_commands(tmp_path):
    for k, levels in enumerate([*GREY, *GREY, *GREY]):
        picture(tmp_path / "a" / f"{k}.png", levels)
    run, out = str(tmp_path / "run"), tmp_path / "out.csv"
    done("fit", tmp_path / "a", "--out", run, "--size", "9", *SMALL)
    done("cluster", run, str(tmp_path / "a"), "--out", str(out))
    assert pd.read_csv(out)["name"].tolist()[:2] == ["0.png", "1.png"]
    assert "resized to 9 x 9" in done("evaluate", run, tmp_path / "a", "--json").err
    done("report", run)
    done("fit", tmp_path / "a", "--out", tmp_path / "wide", "--size", "8x10", *SMALL)
    done("fit", tmp_path / "a", "--out", tmp_path / "wide", "--resume", "--quiet")
    said = call("fit", tmp_path / "a", "--out", tmp_path / "new", "--size", "big").err
    assert "--size 'big': expected pixels a side, such as 32" in said


def test_signals_go_through_all_commands(tmp_path):
    np.save(tmp_path / "a.npy", RNG.random((30, 9, 9)))
    run, new = str(tmp_path / "run"), tmp_path / "new.npz"
    done("fit", str(tmp_path / "a.npy"), "--out", run, "--kind", "signals", *SMALL)
    for words in (["evaluate", run, str(tmp_path / "a.npy"), "--json"], ["report", run]):
        done(*words)
    done("sample", run, "-n", "3", "--out", str(new))
    assert np.load(new)["x"].shape == (3, 9, 9)
    done("sample", run, "-n", "3", "--out", str(tmp_path / "new.csv"))


def test_a_layer_goes_through_all_commands(h5ad, tmp_path):
    run = str(tmp_path / "run")
    done("fit", str(h5ad), "--layer", "counts", "--labels", "type", "--out", run, *SMALL)
    done("cluster", run, str(h5ad), "--out", str(tmp_path / "out.csv"))
    assert pd.read_csv(tmp_path / "out.csv")["name"].tolist() == CELLS
    done("report", run)
    pd.DataFrame(COUNTS, columns=["a", "b", "c", "d", "e"]).to_csv(tmp_path / "a.csv", index=False)
    done("evaluate", run, tmp_path / "a.csv")  # the layer of the fit is no layer of a table
    done("sample", run, "-n", "3", "--out", str(tmp_path / "new.csv"))
    assert pd.read_csv(tmp_path / "new.csv").dtypes.eq("int64").all()  # counts are whole


def test_a_sparse_matrix_with_a_missing_cell_is_refused_and_nothing_is_written(tmp_path):
    holed = sparse.csr_matrix(COUNTS)
    holed.data[0] = np.nan
    sparse.save_npz(tmp_path / "a.npz", holed)
    assert "of a sparse matrix; expected a number" in refused(
        "fit", tmp_path / "a.npz", "--out", tmp_path / "run", *SMALL
    )
    assert not (tmp_path / "run").exists()


# -- options that do not apply -------------------------------------------------------------------------------------


LAYERS, SIZES = (
    "layer is for an .h5ad or .zarr, or for an .h5 that AnnData wrote",
    "size is for a folder of pictures, or for",
)


@pytest.fixture(scope="module")
def sources(tmp_path_factory, h5ad) -> dict[str, Any]:
    """Write a source of each format, by its suffix; "digits" is a named set."""
    folder = tmp_path_factory.mktemp("sources")
    pd.DataFrame(COUNTS, columns=list("abcde")).to_csv(folder / "a.csv", index=False)
    np.save(folder / "a.npy", RNG.random((6, 1, 8, 8)))
    savemat(folder / "a.mat", {"x": RNG.random((6, 64))})
    with h5py.File(folder / "a.h5", "w") as file:
        file["x"] = COUNTS
    for k, levels in enumerate(GREY):
        picture(folder / "pictures" / f"{k}.png", levels)
    found = {name: folder / f"a.{name}" for name in ("csv", "npy", "mat", "h5")}
    return {**found, "pictures": folder / "pictures", "h5ad": h5ad, "digits": "digits"}


@pytest.mark.parametrize("name", ["csv", "npy", "mat", "h5", "pictures", "h5ad", "digits"])
def test_an_option_that_does_not_apply_is_refused(name, sources):
    wrong = {"layer": "counts"} if name != "h5ad" else {}
    wrong |= {"size": 8} if name != "pictures" else {}
    said = refusal(sources[name], **wrong)
    assert f"{sources[name]}: " in said
    for option, where in (("layer", LAYERS), ("size", SIZES)):
        assert (f"{option}={wrong.get(option)!r} (--{option})" in said, where in said) == (option in wrong,) * 2


def test_options_are_taken_where_they_apply(sources, h5ad, tmp_path):
    (tmp_path / "a.h5").write_bytes(h5ad.read_bytes())
    assert whole(tmp_path / "a.h5", layer="counts")[1].kind == "counts"
    assert whole(sources["mat"], kind="images", size=8)[0].x.shape == (6, 1, 8, 8)
    assert whole(sources["npy"], kind="images", size=8)[0].x.shape == (6, 1, 8, 8)
    assert whole(sources["pictures"], kind="matrix", size=[4, 5])[0].x.shape == (4, 20)


def test_pictures_that_are_not_files_have_the_size_that_they_have(sources):
    assert "pictures of 8 x 8 pixels; expected 9 x 9" in refusal(sources["npy"], kind="images", size=9)
    said = refusal(sources["mat"], kind="images", size=9)
    assert "rows of 64 columns are no pictures of 9 x 9 pixels, the size asked for; expected a multiple of 81" in said


def test_a_layer_without_a_name_is_refused(h5ad):
    assert "no layer ''; known: X, counts" in refusal(h5ad, layer="")


def test_an_unknown_kind_and_an_odd_size_are_named_together():
    assert re.search(r"kind='boat': expected .*; size=0: expected pixels", refusal(Path("digits"), kind="boat", size=0))


def test_a_named_set_is_read_as_the_kind_that_is_asked_for():
    data = load("digits", kind="matrix")
    assert (data.kind, data.splits["test"].x.shape, data.reading) == ("matrix", (360, 64), {"kind": "matrix"})
    assert load("digits", kind="images").splits["test"].x.shape == (360, 1, 8, 8)
    with pytest.raises(InputError, match="kind='signals' for an array of shape"):
        load("digits", kind="signals")


@pytest.mark.parametrize("command", ["fit", "compare", "choose", "cluster", "evaluate"])
def test_commands_refuse_an_option_that_does_not_apply(command, sources, tmp_path):
    run = tmp_path / "run"
    if command in ("cluster", "evaluate"):
        done("fit", sources["csv"], "--out", run, *SMALL)
        words = [run, sources["csv"], "--layer", "counts"]
        words += ["--out", tmp_path / "new.csv"] if command == "cluster" else []
    else:
        words = [sources["csv"], "--layer", "counts", "--size", "8", "--out", tmp_path / "new"]
    assert "layer='counts' (--layer) would change nothing here" in refused(command, *words)
    assert not [*tmp_path.glob("new*")]
