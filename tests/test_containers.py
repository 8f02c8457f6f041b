"""Rows from containers of all kinds, and the meaning of a single row."""

from __future__ import annotations

import tracemalloc
import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from scipy import sparse

from cpvae import CPVAE, InputError, datasets, load
from cpvae.data.augment import Roll
from cpvae.data.containers import as_rows
from cpvae.data.schema import Schema
from cpvae.data.weights import repeats
from cpvae.errors import FitWarning, ReadWarning
from cpvae.estimators.rows_in import framed, infer_schema
from cpvae.study.inputs import open_run
from cpvae.study.report.shown import look_at

SMALL = {"latent_dim": 2, "hidden": (8,), "max_epochs": 1, "init": "kmeans", "random_state": 0}
IMAGES = np.random.default_rng(0).random((12, 8, 8))


def holes() -> np.ndarray:
    x = np.random.default_rng(0).normal(size=(20, 3))
    x[3, 1] = np.nan
    return x


CONTAINERS = {
    "array": lambda x: x,
    "float32": lambda x: x.astype(np.float32),
    "list": lambda x: x.tolist(),
    "list of arrays": list,
    "tuple": lambda x: tuple(map(tuple, x)),
    "None": lambda x: np.where(np.isnan(x), None, x).astype(object),
    "list with None": lambda x: np.where(np.isnan(x), None, x).tolist(),
    "NA": lambda x: np.where(np.isnan(x), pd.NA, x.astype(object)),
    "torch": torch.tensor,
    "torch with a gradient": lambda x: torch.tensor(x, requires_grad=True),
    "masked": np.ma.masked_invalid,
    "masked, numbers below": lambda x: np.ma.masked_equal(np.where(np.isnan(x), -9999.0, x), -9999.0),
    "text": lambda x: np.where(np.isnan(x), None, x.astype(str)).astype(object),
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_the_same_rows_in_any_container_are_the_same_rows(name):
    given = as_rows(CONTAINERS[name](holes()))
    assert given.kind == "matrix"
    assert given.values.dtype.kind == "f"
    np.testing.assert_allclose(given.values, holes(), rtol=1e-6)


@pytest.mark.parametrize("name", ["None", "torch", "masked, numbers below"])
def test_a_missing_cell_is_marginalised_whatever_holds_it(name):
    model = CPVAE(2, **SMALL).fit(CONTAINERS[name](holes()))
    assert model.likelihood_ == "columns"
    assert [column.missing for column in model.schema_.columns] == [0, 1, 0]


def array_of_arrays(x: np.ndarray) -> np.ndarray:
    cells = np.empty(len(x), dtype=object)
    cells[:] = list(x)
    return cells


@pytest.mark.parametrize(
    "form",
    [np.asarray, list, torch.tensor, array_of_arrays, lambda x: x[:, None], lambda x: list(x[:, None])],
)
def test_images_in_any_container(form):
    given = as_rows(form(IMAGES))
    assert (given.kind, given.shape) == ("images", (1, 8, 8))


def test_channels_last_are_put_first_in_python_too():
    x = np.random.default_rng(0).random((12, 20, 20, 3)).astype(np.float32)
    model = CPVAE(2, **SMALL).fit(x)
    assert model.image_shape_ == (3, 20, 20)
    np.testing.assert_array_equal(model.predict(x), model.predict(x.transpose(0, 3, 1, 2)))


@pytest.mark.parametrize(
    ("x", "kind"),
    [
        (np.random.default_rng(0).normal(size=(9, 32, 64)), "signals"),
        (np.random.default_rng(0).normal(size=(9, 6, 30)), "signals"),
        (np.random.default_rng(0).random((9, 6, 30)), "signals"),
        (np.random.default_rng(0).random((9, 12, 29)), "signals"),
        (np.random.default_rng(0).random((9, 32, 24)), "images"),
        (np.random.default_rng(0).normal(size=(9, 28, 28)), "images"),
        (np.zeros((9, 20, 16), np.uint8), "images"),
        (np.zeros((9, 20, 100), np.uint8), "signals"),
        (np.full((9, 20, 16), 300.0), "signals"),
    ],
)
def test_pictures_are_told_from_signals(x, kind):
    given = as_rows(x)
    assert given.kind == kind
    assert len(given.notes) == 1
    assert "say kind='" in given.notes[0]


def test_signals_are_not_turned_like_pictures():
    x = np.random.default_rng(0).normal(size=(20, 32, 64)).astype(np.float32)
    model = CPVAE(2, **SMALL).fit(x)
    assert model.image_shape_ is None
    assert model.signal_shape_ == (32, 64)
    assert model._augment() == Roll((32, 64))  # moved in time alone
    assert model.sample(3)[0].shape == (3, 32, 64)
    model.predict(np.abs(x[:1]).clip(0, 1))  # as signals, though these alone would pass for pictures


def test_signals_keep_their_shape_in_a_file(tmp_path):
    from cpvae import load

    model = CPVAE(2, **SMALL).fit(np.random.default_rng(0).normal(size=(20, 3, 10)))
    model.save(tmp_path / "m.cpvae")
    assert load(tmp_path / "m.cpvae").sample(2)[0].shape == (2, 3, 10)


def test_signals_of_several_lengths_are_padded_with_missing_values():
    given = as_rows([np.ones((2, 3)), np.ones((2, 5))])
    assert (given.kind, given.values.shape) == ("signals", (2, 2, 5))
    np.testing.assert_array_equal(np.isnan(given.values[:, 0]).sum(1), [2, 0])
    assert given.notes == ("signals of 3 to 5 times; what lies after the end of one is missing",)


def test_later_signals_may_end_sooner_than_those_of_the_fit(tmp_path):
    random = np.random.default_rng(0)
    model = CPVAE(2, **SMALL).fit([random.normal(size=(2, n)) for n in (9, 7, 8) * 10])
    long = random.normal(size=(4, 2, 9))
    long[..., 6:] = np.nan
    short, longer = long[..., :6], np.pad(long, [(0, 0), (0, 0), (0, 2)], constant_values=np.nan)
    with pytest.warns(ReadWarning, match=r"^signals of 6 times, where the fit had 9; what lies after the end is missi"):
        found = model.predict_proba(short)
    np.testing.assert_array_equal(found, model.predict_proba(long))
    np.testing.assert_array_equal(found, model.predict_proba(longer))
    for other, shape in ((np.zeros((3, 2, 10)), "2, 10"), (np.zeros((3, 1, 6)), "1, 6")):
        with pytest.raises(InputError, match=rf"^signals of shape \({shape}\): the model was fitted on \(2, 9\); give"):
            model.predict(other)
    model.save(tmp_path / "model")
    lines = [":".join(",".join(map(str, channel)) for channel in row.tolist()) for row in short]
    (tmp_path / "new.ts").write_text("\n".join(["@classLabel false", "@data", *lines]))
    np.save(tmp_path / "new.npy", short)
    for name in ("new.ts", "new.npy"):
        data = open_run(tmp_path / "model", str(tmp_path / name)).data
        np.testing.assert_array_equal(data.splits["all"].x, long)
        assert data.notes[-1] == "signals of 6 times, where the fit had 9; what lies after the end is missing"
    with pytest.warns(ReadWarning):
        assert look_at(model, short, None, None, max_rows=4).values.shape == (4, 18)  # of a report
    rows = CPVAE(2, **SMALL, kind="signals").fit([random.normal(size=(1, 7 + i % 3)) for i in range(20)])
    with pytest.warns(ReadWarning):
        found = rows.predict_proba(long[:, 0, :6])  # of one channel, a row each
    np.testing.assert_array_equal(found, rows.predict_proba(long[:, :1]))
    matrix = CPVAE(2, **SMALL, kind="table").fit(whole_rows := random.normal(size=(20, 2, 9)))
    assert matrix.predict(whole_rows).shape == (20,)  # no signals, whatever they look like
    whole = CPVAE(2, **SMALL).fit(random.normal(size=(20, 2, 9)))
    with (
        pytest.warns(ReadWarning),
        pytest.raises(InputError, match="a missing value, and the rows of the fit had"),
    ):
        whole.predict(short)


def test_a_kind_that_is_said_is_taken():
    assert as_rows(IMAGES, "signals").shape == (8, 8)
    assert as_rows(IMAGES, "table").shape == (64,)
    assert as_rows(IMAGES[:, 0], "signals").shape == (1, 8)
    assert as_rows(np.ones((3, 4), int), "counts").kind == "counts"
    with pytest.raises(InputError, match=r"expected 'auto' or one of table, matrix"):
        as_rows(IMAGES, "sound")
    with pytest.raises(InputError, match="kind='images' for rows of 8 columns, which are no square"):
        as_rows(IMAGES[:, 0], "images")


def test_columns_of_a_table_may_be_pixels():
    frame = pd.DataFrame(IMAGES.reshape(12, 64))
    assert as_rows(frame, "images").shape == (1, 8, 8)
    assert as_rows(frame, "signals").shape == (1, 64)
    assert as_rows(frame, "counts").kind == "counts"
    with pytest.raises(InputError, match="kind='images' for a table whose column 'a' holds no numbers"):
        as_rows(frame.assign(a="x"), "images")


@pytest.mark.filterwarnings("ignore:.*left out:cpvae.FitWarning")
def test_a_wide_table_of_counts_is_one_though_single_columns_look_like_levels():
    x = np.random.default_rng(0).poisson(0.5, (60, 120))
    x[:, 3] = 0
    frame = pd.DataFrame(x, columns=[f"gene{i}" for i in range(120)])
    for table in (frame, frame.astype(float), frame.assign(cell=[f"cell {i}" for i in range(60)])):
        model = CPVAE(2, **SMALL).fit(table)
        assert (model.kind_, model.likelihood_) == ("table", "counts")
        assert model.schema_.ignored == ("gene3", *table.columns[120:])
        assert list(model.sample(2)[0].columns) == list(model.schema_.names)


def test_masked_records_make_a_table_with_missing_cells():
    records = np.array([(1.5, "x"), (2.5, "y"), (3.5, "x")], dtype=[("a", "f4"), ("g", "U1")])
    frame = as_rows(np.ma.array(records, mask=[(True, False), (False, True), (False, False)])).values
    assert frame["a"].isna().tolist() == [True, False, False]
    assert frame["g"].isna().tolist() == [False, True, False]
    assert frame["a"].dtype == float


def test_codes_in_an_array_keep_their_zeros():
    assert as_rows(np.array([["01067", "1.5"], ["10115", "2.5"]])).values["0"].tolist() == ["01067", "10115"]


def test_records_and_dates_make_a_table():
    given = as_rows(np.array([(1.5, "x"), (2.5, "y")], [("a", "f4"), ("b", "U1")]))
    assert (given.kind, given.names) == ("table", ("a", "b"))
    days = np.datetime64("2024-01-01") + np.random.default_rng(0).integers(0, 500, (20, 2))
    assert [column.kind for column in CPVAE(2, **SMALL).fit(days).schema_.columns] == ["date", "date"]


@pytest.mark.parametrize("container", [np.asarray, pd.DataFrame])
@pytest.mark.parametrize("size", [1e-300, 1e-160, 1e29])
def test_numbers_of_any_size_can_be_fitted_and_scored(size, container):
    x = container(size * np.random.default_rng(0).random((20, 3)))
    assert np.isfinite(CPVAE(2, **SMALL).fit(x).score(x))


def test_columns_by_name_and_names_of_several_types():
    given = as_rows({"a": [1.5, 2.5], "b": ["x", "y"]})
    assert (given.kind, given.names) == ("table", ("a", "b"))
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(20, 3)), columns=[3, "a", None])
    assert [*CPVAE(2, **SMALL).fit(frame).sample(2)[0].columns] == ["3", "a", "None"]
    with pytest.raises(InputError, match=r"^a dict that is no table \(All arrays must be of the same length\)"):
        as_rows({"a": [1.5, 2.5], "b": [1]})


@pytest.mark.parametrize("rows", [None, "rows.csv", 3.0, {1, 2}, (row for row in IMAGES)], ids=type)
def test_what_is_no_container_is_refused_in_a_line(rows):
    with pytest.raises(InputError, match=r"^rows of type \w+: expected an array, a list of rows, a data frame"):
        CPVAE(2, **SMALL).fit(rows)


def test_rows_turned_around():
    x = np.random.default_rng(0).normal(size=(20, 3))
    turned = x[::-1, ::-1]
    model = CPVAE(2, **SMALL).fit(turned)
    np.testing.assert_array_equal(model.score_samples(turned), model.score_samples(turned.copy()))


@pytest.mark.parametrize("container", [np.asarray, list, torch.tensor, sparse.csr_matrix])
def test_what_is_no_number_is_named_with_its_place(container):
    x = np.random.default_rng(0).normal(size=(20, 3))
    model = CPVAE(2, **SMALL).fit(x)
    x[3, 1] = np.inf
    for refuse in (CPVAE(2, **SMALL).fit, model.predict):
        with pytest.raises(
            InputError, match=r"^infinity in column 1, row 3 \(counted from 0\): expected at most 1e\+30"
        ):
            refuse(container(x))
    x[3, 1] = np.nan
    with pytest.raises(InputError, match=r"^a missing cell in column 1, row 3 \(counted from 0\); expected numbers"):
        model.predict(container(x))


@pytest.mark.parametrize("container", [np.asarray, list, torch.tensor, sparse.csr_matrix, lambda x: x.astype(object)])
def test_complex_numbers_are_refused_in_a_line(container):
    x = 1j * np.random.default_rng(0).normal(size=(20, 3))
    with pytest.raises(InputError, match=r"^(Complex data not supported: |cells of dtype )complex128") as error:
        CPVAE(2, **SMALL).fit(container(x))
    assert len(str(error.value)) < 250


def test_text_makes_a_table():
    given = as_rows([[1.5, "red"], [None, "blue"]])
    assert given.kind == "table"
    assert given.values["0"].isna().tolist() == [False, True]
    assert as_rows(np.array([["1.5", "red"], ["2", "blue"]])).values.dtypes.iloc[0] == np.float64
    assert as_rows([{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]).names == ("a", "b")


def test_sparse_matrices_stay_sparse():
    dense = np.eye(4, 6)
    frame = pd.DataFrame.sparse.from_spmatrix(sparse.csr_matrix(dense), columns=list("abcdef"))
    for x in (sparse.coo_array(dense), sparse.csc_matrix(dense), torch.tensor(dense).to_sparse(), frame):
        given = as_rows(x)
        assert isinstance(given.values, sparse.csr_array)
        np.testing.assert_array_equal(given.values.toarray(), dense)


def test_rows_of_unequal_lengths_are_refused_in_a_line():
    for x in ([[1.0, 2.0], [3.0]], [np.ones(2), np.ones(3)], [np.ones((2, 2)), np.ones((3, 2))]):
        with pytest.raises(InputError, match=r"rows of unequal .* shape: row 0 has .* and row 1 has"):
            as_rows(x)


def test_a_signal_with_other_channels_is_named():
    """Not one whose length alone differs, which is allowed."""
    signals = [np.zeros((2, n)) for n in (9, 7, 8)]
    with pytest.raises(InputError, match="row 0 has 2 x 9 and row 3 has 3 x 9; expected one shape"):
        as_rows([*signals, np.zeros((3, 9))])


def test_a_fit_to_a_sparse_matrix_is_that_to_its_rows():
    dense = np.random.default_rng(0).poisson(0.7, (40, 6)).astype(float)
    frame = pd.DataFrame.sparse.from_spmatrix(sparse.csr_matrix(dense), columns=list("abcdef"))
    model = CPVAE(2, **SMALL).fit(dense)
    for x in (sparse.csr_array(dense), sparse.coo_matrix(dense), frame):
        other = CPVAE(2, **SMALL).fit(x)
        np.testing.assert_array_equal(other.score_samples(x), model.score_samples(dense))
        few = dense[:3] if x is not frame else frame[:3]
        np.testing.assert_allclose(other.score_samples(few), model.score_samples(dense)[:3], rtol=1e-5)
    assert other.feature_names_in_.tolist() == list("abcdef")
    np.testing.assert_array_equal(other.score_samples(frame[list("bacdef")]), other.score_samples(frame))
    with pytest.raises(InputError, match="X has 5 features, but CPVAE is expecting 6"):
        other.predict(sparse.csr_array(dense[:, 1:]))


def test_rows_of_a_sparse_matrix_are_made_dense_a_batch_at_a_time(monkeypatch):
    from cpvae.data import rows as module
    from cpvae.data.sparse import SparseRows

    monkeypatch.setattr(module, "CHUNK", 12)
    dense = np.arange(30, dtype=np.uint16).reshape(10, 3)
    whole = module.Rows(SparseRows(dense))
    assert whole.x.dtype == torch.int32
    assert [len(x) for x in whole.chunks()] == [4, 4, 2]
    for rows in (whole, whole.at(np.arange(10))):
        np.testing.assert_array_equal(torch.cat(list(rows.chunks())), dense)
        np.testing.assert_array_equal(rows.take(torch.tensor([7, 2])), dense[[7, 2]])
        np.testing.assert_array_equal(next(rows.part(slice(3, 5)).chunks()), dense[3:5])
        np.testing.assert_array_equal(rows.some(np.array([9, 0])).take(torch.tensor([1])), dense[:1])


def test_copies_of_signals_where_they_are_asked_for():
    x = np.random.default_rng(0).normal(size=(20, 2, 30))
    model = CPVAE(2, **SMALL, augment="shift").fit(x)
    assert model.consistent_
    with pytest.raises(InputError, match=r"for rows taken for images: expected signals \(n, channels, time\)"):
        CPVAE(2, **SMALL, augment="shift").fit(IMAGES)


def test_counts_are_taken_for_counts_where_it_is_said():
    x = np.random.default_rng(0).poisson(3.0, (40, 5))
    assert CPVAE(2, **SMALL).fit(x).likelihood_ == "gaussian"
    for rows in (x, sparse.csr_array(x), pd.DataFrame(x, columns=list("abcde"))):
        model = CPVAE(2, **SMALL, kind="counts").fit(rows)
        assert (model.kind_, model.likelihood_) == ("counts", "counts")
        model.predict(rows)


def test_a_kind_given_to_an_estimator():
    x = np.random.default_rng(0).normal(size=(20, 9, 9))
    assert CPVAE(2, **SMALL).fit(x).kind_ == "images"
    model = CPVAE(2, **SMALL, kind="signals").fit(x)
    assert (model.kind_, model.signal_shape_) == ("signals", (9, 9))
    assert model.predict(x).shape == (20,)
    assert CPVAE(2, **SMALL, kind="table").fit(x).sample(2)[0].shape == (2, 81)


# -- what else people bring ------------------------------------------------------------------------------------------


def test_bytes_of_several_sizes_are_pictures():
    x = np.random.default_rng(0).integers(0, 256, (4, 12, 10), np.uint8)
    given = as_rows([*x, x[0, :, :9]])
    assert (given.kind, given.shape) == ("images", (1, 12, 10))
    assert "1 of 5 pictures had 9 x 12 pixels" in given.notes[0]
    assert as_rows([np.stack([x[0]] * 3, -1), np.stack([x[1, :9]] * 3, -1)]).shape[0] == 3
    assert as_rows([np.zeros((2, 30)), np.zeros((2, 20))]).kind == "signals"


def test_frames_of_polars_may_be_lazy():
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame({"a": [1.5, 2.5], "b": ["x", "y"]})
    pd.testing.assert_frame_equal(as_rows(frame.lazy()).values, as_rows(frame).values)


def test_cells_in_memory_are_read_as_cells_of_a_file(tmp_path):
    anndata = pytest.importorskip("anndata")
    counts = np.random.default_rng(0).poisson(0.5, (6, 5)).astype(np.float32)
    cells = anndata.AnnData(sparse.csr_matrix(counts))
    given = as_rows(cells)
    assert (given.kind, given.notes) == (
        "counts",
        ("X: 6 cells x 5 genes, taken for counts; to say otherwise: kind='matrix' (--kind matrix)",),
    )
    assert as_rows(cells, "matrix").kind == as_rows(anndata.AnnData(counts - 0.5)).kind == "matrix"
    with pytest.raises(InputError, match="an AnnData object without X"):
        as_rows(anndata.AnnData(obs=pd.DataFrame(index=["a", "b"])))


def test_a_file_of_arrays_is_not_one_of_them(tmp_path):
    h5py = pytest.importorskip("h5py")
    rows = np.random.default_rng(0).normal(size=(20, 3))
    np.savez(tmp_path / "a.npz", x=rows, y=rows[:, 0])
    said = "^rows of type {}, which holds 'x', 'y'; expected the rows; give one data set, file\\[\"x\"\\]$"
    with h5py.File(tmp_path / "a.h5", "w") as file, np.load(tmp_path / "a.npz") as arrays:
        file["x"], file["y"] = rows, rows[:, 0]
        for given in (file, arrays):
            with pytest.raises(InputError, match=said.format(type(given).__name__)):
                CPVAE(2, **SMALL).fit(given)
            np.testing.assert_array_equal(as_rows(given["x"]).values, rows)


def test_a_sparse_matrix_with_a_missing_cell_is_refused_and_not_made_dense():
    x = sparse.csr_matrix(np.eye(20, 4) + 1)
    x.data[5] = np.nan
    with pytest.raises(
        InputError, match=r"a missing cell in column 1, row 1 .*, of a sparse matrix; expected a number"
    ):
        CPVAE(2, **SMALL).fit(x)


NOT_ROWS = {
    "no values": lambda: torch.empty(5, 2, device="meta"),
    "a data set": lambda: torch.utils.data.TensorDataset(torch.zeros(5, 2)),
    "arrays in fields": lambda: np.zeros(5, [("a", "f8", (2,))]),
    "lists in cells": lambda: pd.DataFrame({"a": pd.array([[1], [2, 3]], pd.ArrowDtype(pa.list_(pa.int64())))}),
    "durations": lambda: pd.DataFrame({"a": pd.to_timedelta([1, 2, 3], "h")}),
    "one dimension": lambda: np.arange(100.0),
}


@pytest.mark.parametrize("name", NOT_ROWS)
def test_what_holds_no_rows_is_refused_in_a_short_line(name):
    with pytest.raises(InputError) as caught:
        CPVAE(2, **SMALL).fit(NOT_ROWS[name]())
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 350


@pytest.mark.skipif(not hasattr(np.dtypes, "StringDType"), reason="this NumPy has no type of text")
def test_text_of_numpy_makes_a_table():
    assert as_rows(np.array([["a", "1.5"], ["b", "2"]], np.dtypes.StringDType())).kind == "table"


# -- weights of rows ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("container", [np.asarray, np.ndarray.tolist, torch.tensor, sparse.csr_matrix, pd.DataFrame])
def test_weights_are_numbers_of_rows(container):
    x = np.random.default_rng(0).normal(size=(30, 3))
    weights = np.arange(30) % 3
    model = CPVAE(2, **SMALL).fit(container(x), sample_weight=weights)
    same = CPVAE(2, **SMALL).fit(container(np.repeat(x, weights, axis=0)))
    np.testing.assert_array_equal(model.predict_proba(container(x)), same.predict_proba(container(x)))


def test_labels_that_are_known_have_the_weights_of_their_rows():
    x = np.random.default_rng(0).normal(size=(30, 3))
    weights, known = np.arange(30) % 3, np.where(np.arange(30) < 9, "u", None)
    model = CPVAE(2, **SMALL).fit(x, known=known, sample_weight=weights)
    same = CPVAE(2, **SMALL).fit(np.repeat(x, weights, axis=0), known=np.repeat(known, weights))
    np.testing.assert_array_equal(model.predict_proba(x), same.predict_proba(x))


def test_weights_that_are_not_whole_keep_their_sums():
    weights = np.random.default_rng(0).exponential(size=1000)
    weights[:100] = 0
    found = np.bincount(repeats(weights, 1000), minlength=1000)
    scaled = weights * (900 / weights.sum())
    assert (np.abs(found - scaled) < 1).all()
    assert (np.abs(np.cumsum(found - scaled)) <= 0.5 + 1e-9).all()
    np.testing.assert_array_equal(repeats(100.0 * (weights > 0), 1000), np.arange(100, 1000))


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        (np.ones(3), r"sample_weight of shape \(3,\): expected one weight for each row, \(20,\)"),
        ([1.0] * 19 + [np.nan], r"sample_weight\[19\]=nan: expected a number of at least 0"),
        ([-1.0] + [1.0] * 19, r"sample_weight\[0\]=-1: expected a number of at least 0; give 0 to leave a row out"),
        (np.zeros(20), "sample_weight is zero in every row"),
        (["a"] * 20, "sample_weight of type list: expected 20 numbers"),
    ],
)
def test_weights_that_cannot_be(weights, said):
    with pytest.raises(InputError, match=f"^{said}"):
        CPVAE(2, **SMALL).fit(holes()[:, [0, 2]], sample_weight=weights)


def test_rows_without_names_are_read_by_the_places_of_columns():
    days = pd.date_range("2021-01-01", periods=30, freq="9D")
    named = pd.DataFrame({"a": np.arange(30) % 7 / 4, "g": ["u", "v"] * 15, "since": days})
    cells = named.to_numpy(dtype=object)
    assert [column.kind for column in as_schema(cells)] == ["numeric", "categorical", "date"]
    for fitted in (cells, named):
        model = CPVAE(2, **SMALL).fit(fitted)
        expected = model.predict_proba(fitted)
        for rows in (named, cells, cells.tolist(), pd.DataFrame(cells)):
            np.testing.assert_array_equal(model.predict_proba(rows), expected)
    with pytest.raises(InputError, match=r"^rows of 2 columns; expected 3, as the model was fitted on"):
        model.predict(cells[:, :2])


@pytest.mark.parametrize(
    ("shape", "channels", "told"),
    [((12, 12, 5), 5, True), ((5, 12, 12), 5, False), ((12, 9, 3), 3, False), ((12, 12, 12), 12, False)],
)
def test_channels_of_square_pictures_may_come_last(shape, channels, told):
    x = np.random.default_rng(0).random((4, *shape))
    given = as_rows(x)
    assert (given.kind, given.shape[0]) == ("images", channels)
    assert any("the channels last" in note for note in given.notes) == told
    np.testing.assert_array_equal(given.values, x.transpose(0, 3, 1, 2) if shape[-1] == channels < 12 else x)


def test_nested_lists_of_signals_may_differ_in_length():
    given = as_rows([[[1.0, 2.0], [3.0, 4.0]], [[5.0], [6.0]]])
    assert given.kind == "signals"
    np.testing.assert_array_equal(given.values[1], [[5.0, np.nan], [6.0, np.nan]])
    with pytest.raises(InputError, match="a row whose parts have unequal"):
        as_rows([[[1.0, 2.0], [1.0]]] * 3)
    assert as_rows(np.zeros((4, 100, 3))).notes[0].endswith("where time comes first give x.transpose(0, 2, 1)")


def as_schema(rows):
    return Schema.infer(as_rows(rows).values).columns


@pytest.mark.parametrize("given", [3, None, b"m.cpvae", ["m.cpvae"], ""])
def test_what_is_no_path_is_refused_in_a_line(given, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    model = CPVAE(2, **SMALL)
    rows = holes()
    for use in (load, datasets.load, CPVAE.from_pretrained, lambda out: model.fit(rows, out=out)):
        if given is None and use not in (load, datasets.load):
            continue
        with pytest.raises(InputError, match="expected a path"):
            use(given)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("dense", [False, True])
def test_genes_are_found_by_their_names(dense):
    anndata = pytest.importorskip("anndata")
    random = np.random.default_rng(0)
    counts = random.poisson(random.gamma(3, 3, 40), (50, 40)) + np.eye(50, 40).astype(np.float32)
    genes = [f"g{i}" for i in range(40)]

    def cells(columns: list[int], more: int = 0) -> object:
        x = np.hstack([counts[:, columns], counts[:, :more]])
        var = pd.DataFrame(index=[*(genes[i] for i in columns), *(f"other{i}" for i in range(more))])
        return anndata.AnnData(x if dense else sparse.csr_matrix(x), var=var)

    every, other = list(range(40)), random.permutation(40).tolist()
    model = CPVAE(2, **SMALL).fit(cells(every))
    assert model.kind_ == "counts"
    expected = model.score_samples(cells(every))
    np.testing.assert_array_equal(model.score_samples(cells(other)), expected)
    np.testing.assert_array_equal(
        model.score_samples(pd.DataFrame(counts[:, other], columns=np.take(genes, other))), expected
    )
    with pytest.warns(ReadWarning, match="columns 'other0', 'other1' that the fit did not have, left out"):
        np.testing.assert_array_equal(model.score_samples(cells(other, more=2)), expected)
    with pytest.raises(
        InputError, match=r"no columns 'g0', 'g1', .*\.\.\. \(15 in all\); expected the columns of the fit"
    ):
        model.predict(cells(every[15:]))
    x = cells(other).X
    assert isinstance(model._check_rows(cells(other), reset=False), np.ndarray if dense else type(as_rows(x).values))


@pytest.mark.filterwarnings("ignore:Variable names are not unique")
def test_genes_that_share_a_name_stay_where_they_are():
    anndata = pytest.importorskip("anndata")
    counts = np.random.default_rng(0).poisson(3.0, (30, 5)).astype(np.float32)
    for x in (counts, sparse.csr_matrix(counts)):
        cells = anndata.AnnData(x, var=pd.DataFrame(index=list("aabcd")))
        assert len(CPVAE(2, **SMALL, kind="counts").fit(cells).predict(cells)) == 30


def test_a_matrix_in_another_order_is_filled_where_its_cells_are_missing():
    x = pd.DataFrame(np.random.default_rng(0).normal(size=(30, 3)), columns=list("abc"))
    model = CPVAE(2, **SMALL, likelihood="gaussian").fit(x)
    x.loc[2, "a"] = np.nan
    expected = model.impute(x, mean=True)
    with pytest.warns(ReadWarning, match="column 'more'"):
        found = model.impute(x[["c", "a", "b"]].assign(more="text"), mean=True)
    pd.testing.assert_frame_equal(found[["a", "b", "c"]], expected)
    assert list(found) == ["c", "a", "b", "more"]
    pd.testing.assert_frame_equal(found[["b", "c"]], x[["b", "c"]])


def test_cells_with_gaps_are_filled_at_their_genes():
    anndata = pytest.importorskip("anndata")
    x = np.random.default_rng(0).normal([0, 50, 100], size=(40, 3))
    x[0, 0] = np.nan
    model = CPVAE(2, **SMALL).fit(anndata.AnnData(x, var=pd.DataFrame(index=list("abc"))))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)  # so few rows
        filled = model.impute(anndata.AnnData(x[:, ::-1].copy(), var=pd.DataFrame(index=list("cba"))), mean=True)
    assert list(filled) == ["c", "b", "a"]
    np.testing.assert_array_equal(filled.to_numpy()[1:], x[1:, ::-1])
    assert abs(filled["a"][0]) < 10


def test_a_model_without_names_takes_genes_by_their_places():
    anndata = pytest.importorskip("anndata")
    counts = np.random.default_rng(0).poisson(3.0, (30, 5)).astype(np.float32)
    model = CPVAE(2, **SMALL, kind="counts").fit(counts)  # as earlier versions did of cells, too
    cells = anndata.AnnData(counts, var=pd.DataFrame(index=list("abcde")))
    np.testing.assert_array_equal(model.predict(cells), model.predict(counts))


def test_cells_are_not_copied_to_look_for_gaps():
    anndata = pytest.importorskip("anndata")
    x = np.random.default_rng(0).normal(size=(2000, 500)).astype(np.float32)
    given = framed(as_rows(anndata.AnnData(x, var=pd.DataFrame(index=[f"g{i}" for i in range(500)]))))
    tracemalloc.start()
    try:
        assert infer_schema(given, "auto", None) is None
        assert tracemalloc.get_traced_memory()[1] < x.nbytes
    finally:
        tracemalloc.stop()


def test_filled_columns_of_a_matrix_keep_their_type():
    x = pd.DataFrame(np.random.default_rng(0).normal(size=(30, 3)).astype(np.float32), columns=list("abc"))
    model = CPVAE(2, **SMALL, likelihood="gaussian").fit(x)
    x.loc[2, "a"] = np.nan
    for given in (x, x.astype("Float64")):
        pd.testing.assert_series_equal(model.impute(given, mean=True).dtypes, given.dtypes)
