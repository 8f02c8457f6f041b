"""Files by path: every format there and back, every bad input answered with one line."""

from __future__ import annotations

import gzip
import io
import struct
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.io import savemat

from cpvae.data import limits
from cpvae.data.loaders import Split, checks, load
from cpvae.data.schema import Schema
from cpvae.errors import InputError

RNG = np.random.default_rng(0)


def only(source: str | Path, **arguments: Any) -> Split:
    """Load a file that has one split."""
    loaded = load(source, **arguments)
    assert list(loaded.splits) == ["all"]
    assert loaded.likelihood is None
    assert str(source) in loaded.description
    return loaded.splits["all"]


def refusal(source: object, **arguments: Any) -> str:
    """Return the error about a source that cannot be used, and check that it is one line."""
    with pytest.raises(InputError) as caught:
        load(source, **arguments)  # type: ignore[arg-type]
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


def saved(path: Path, array: np.ndarray, **options: Any) -> Path:
    np.save(path, array, **options)
    return path


def written(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


# -------------------------------------------------------------------- .npy


@pytest.mark.parametrize("dtype", ["bool", "u1", "i2", "<i8", ">i4", "f2", "f4", "f8", ">f8", "longdouble"])
def test_npy(dtype, tmp_path):
    array = RNG.integers(0, 2, (5, 3)).astype(dtype)
    x = only(saved(tmp_path / "a.npy", array)).x
    np.testing.assert_array_equal(x, array)
    assert x.dtype.isnative
    assert x.dtype.kind == np.dtype(dtype).kind
    assert x.dtype.itemsize <= 8


def test_npy_is_mapped_and_the_file_never_changes(tmp_path):
    path = saved(tmp_path / "a.npy", np.arange(12.0).reshape(4, 3))
    before = path.read_bytes()
    x = only(path).x
    assert isinstance(x, np.memmap)
    x[0, 0] = 7
    x.flush()
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((4,), (4, 1)),
        ((4, 6), (4, 6)),
        ((4, 9, 8), (4, 1, 9, 8)),
        ((4, 6, 30), (4, 6, 30)),
        ((4, 1, 6, 5), (4, 1, 6, 5)),
        ((4, 3, 6, 5), (4, 3, 6, 5)),
        ((4, 6, 5, 3), (4, 3, 6, 5)),
        ((4, 6, 5, 1), (4, 1, 6, 5)),
        ((4, 3, 5, 3), (4, 3, 5, 3)),  # the second axis has it already
    ],
)
def test_shapes(shape, expected, tmp_path):
    array = RNG.random(shape)
    x = only(saved(tmp_path / "a.npy", array)).x
    assert x.shape == expected
    if len(shape) == 4 and expected != shape:
        np.testing.assert_array_equal(x[:, 2 % expected[1]], array[..., 2 % expected[1]])
    else:
        np.testing.assert_array_equal(x.ravel(), array.ravel())


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.float32(3), "an array of shape (); expected (n, features) or (n, channels, height, width)"),
        (np.zeros((3, 1, 2, 2, 2)), "an array of shape (3, 1, 2, 2, 2); expected"),
        (np.zeros((0, 3)), "0 rows; at least 1 is needed"),
        (np.zeros((5, 0)), "an array of shape (5, 0), without values"),
        (np.zeros((5, 2), complex), "dtype complex128; expected real numbers"),
        (np.array(["a", "b"]), "dtype <U1; expected real numbers"),
        (np.zeros((5, 2, 2), "M8[s]"), "dtype datetime64[s]; expected real numbers"),
        (np.zeros((5, 2), [("a", "f4")]), "expected real numbers"),
        (np.array([[1, 2], [3, None]]), "an array of Python objects, which would have to be unpickled"),
    ],
)
def test_npy_refused(array, message, tmp_path):
    path = saved(tmp_path / "a.npy", array)
    text = refusal(path)
    assert text.startswith(f"{path}: ")
    assert message in text


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
@pytest.mark.parametrize(("value", "word"), [(np.nan, "NaN"), (np.inf, "infinity"), (-np.inf, "infinity")])
def test_first_bad_value(dtype, value, word, tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "BLOCK_BYTES", 64)  # several blocks of rows
    array = np.zeros((50, 2, 2, 3), dtype)
    array[31, 1, 0, 2] = value
    array[40, 0, 0, 0] = value
    text = refusal(saved(tmp_path / "a.npy", array))
    assert word in text
    assert "at index [31, 1, 0, 2] (counted from 0)" in text


def test_huge_values(tmp_path):
    array = np.zeros((3, 2))
    array[1, 1] = -1e31
    assert "-1e+31 at index [1, 1] (counted from 0); expected absolute values up to 1e+30" in refusal(
        saved(tmp_path / "a.npy", array)
    )
    array[1, 1] = 1e30
    assert only(saved(tmp_path / "a.npy", array)).x[1, 1] == 1e30


def test_scan_reads_blocks(monkeypatch):
    """A memory-mapped file is never copied whole."""
    monkeypatch.setattr(limits, "BLOCK_BYTES", 1 << 10)
    sizes = []

    class Recording(np.ndarray):
        def __getitem__(self, key):
            block = super().__getitem__(key)
            sizes.append(np.asarray(block).nbytes)
            return block

    checks.check_values(np.zeros((1000, 16)).view(Recording), "x")
    assert max(sizes) <= 1 << 10
    assert len(sizes) > 100


@pytest.mark.parametrize(
    "y",
    [
        np.arange(4),
        np.array(["b", "a", "b", "c"]),
        np.array([[1], [2], [3], [4]]),
        np.array([True, False] * 2),
    ],
)
def test_label_file_npy(y, tmp_path):
    path = saved(tmp_path / "x.npy", RNG.random((4, 2)))
    found = only(path, labels=str(saved(tmp_path / "y.npy", y))).y
    assert found.tolist() == y.ravel().tolist()


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("y.txt", "3\n1\n2\n3\n", [3, 1, 2, 3]),
        ("y.csv", "label\n3\n1\n2\n3\n", [3, 1, 2, 3]),
        ("y.csv", '"a b"\nb\nc\nb', ["a b", "b", "c", "b"]),
        ("y.txt", "\ufeffspecies\r\na\r\nb\r\nc\r\nb\r\n", ["a", "b", "c", "b"]),
    ],
)
def test_label_file_text(name, text, expected, tmp_path):
    path = saved(tmp_path / "x.npy", RNG.random((4, 2)))
    assert only(path, labels=str(written(tmp_path / name, text))).y.tolist() == expected


def test_whole_float_labels_are_integers():
    y = checks.check_labels(np.array([0.0, 2.0]), 2, "y")
    assert y.dtype == np.int64
    assert y.tolist() == [0, 2]
    assert checks.check_labels(np.array([0.5, 2.0]), 2, "y").dtype == float
    assert checks.check_labels(np.array([b"a", b"b"]), 2, "y").tolist() == ["a", "b"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("y.npy", np.arange(5), "labels of shape (5,); expected one label for each of the 4 rows, (4,)"),
        ("y.npy", np.eye(4), "labels of shape (4, 4); expected one label for each of the 4 rows"),
        ("y.npy", np.array([1, "a", None, 2], object), "an array of Python objects"),
        ("y.npy", np.array([1, np.nan, 1, 1]), "label nan at row 1"),
        ("y.npy", np.zeros(4, complex), "labels are dtype complex128"),
        ("y.txt", "1\n2\n3\n", "labels of shape (3,)"),
        ("y.csv", "a,b\n1,2\n", "labels in several columns (a,b); expected one column"),
        ("y.txt", b"1\x00\xff\n", "it holds characters that no text has"),
        ("y.json", "[1]", "not a file of labels; expected .npy, IDX, or .csv / .txt with one column"),
        ("y.npy", b"", "an empty file (0 bytes)"),
        ("z.npy", None, "no such file of labels; did you mean 'x.npy'?"),
    ],
)
def test_label_file_refused(name, content, message, tmp_path):
    path = saved(tmp_path / "x.npy", RNG.random((4, 2)))
    if isinstance(content, np.ndarray):
        saved(tmp_path / name, content, allow_pickle=True)
    elif content is not None:
        written(tmp_path / name, content)
    text = refusal(path, labels=str(tmp_path / name))
    assert text.startswith(str(tmp_path / name))
    assert message in text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_a_label_file_in_any_encoding_that_a_table_may_have(encoding, tmp_path):
    path = saved(tmp_path / "x.npy", RNG.random((4, 2)))
    (tmp_path / "y.txt").write_text("grün\nrot\ngrün\nrot\n", encoding=encoding)
    assert load(path, labels=str(tmp_path / "y.txt")).splits["all"].y.tolist() == ["grün", "rot", "grün", "rot"]


# -------------------------------------------------------------------- .npz


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("names", [("x", "y"), ("X", "Y"), ("data", "target"), ("images", "labels"), ("other", "y")])
def test_npz(save, names, tmp_path):
    x, y = RNG.random((4, 3)), np.array(["a", "b", "a", "b"])
    save(tmp_path / "a.npz", **{names[0]: x, names[1]: y})
    split = only(tmp_path / "a.npz")
    np.testing.assert_array_equal(split.x, x)
    assert split.y.tolist() == y.tolist()


def test_npz_checksum(tmp_path):
    """One bit turned over in the values, which are read without complaint but for the archive's checksum."""
    np.savez(tmp_path / "a.npz", x=np.full((30, 4), 1.0))
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[content.rindex(b"\xf0\x3f")] ^= 1
    written(tmp_path / "a.npz", bytes(content))
    assert "cannot be read as a .npz file" in refusal(tmp_path / "a.npz")


def test_npz_single_array(tmp_path):
    np.savez(tmp_path / "a.npz", np.arange(6).reshape(3, 2))
    split = only(tmp_path / "a.npz")
    assert split.x.tolist() == [[0, 1], [2, 3], [4, 5]]
    assert split.y is None
    labelled = only(tmp_path / "a.npz", labels=str(saved(tmp_path / "y.npy", np.array([7, 8, 9]))))
    assert labelled.y.tolist() == [7, 8, 9]


@pytest.mark.parametrize("valid", ["x_valid", "x_val", "X_val"])
def test_npz_splits(valid, tmp_path):
    arrays = {"x_train": RNG.random((5, 2, 2)), "y_train": np.arange(5), valid: RNG.random((3, 2, 2))}
    np.savez(tmp_path / "a.npz", **arrays, x_test=RNG.random((2, 2, 2)), y_test=[4, 5], extra=np.zeros(1))
    loaded = load(tmp_path / "a.npz")
    assert {name: split.x.shape for name, split in loaded.splits.items()} == {
        "train": (5, 1, 2, 2),
        "valid": (3, 1, 2, 2),
        "test": (2, 1, 2, 2),
    }
    np.testing.assert_array_equal(loaded.splits["valid"].x[:, 0], arrays[valid])
    assert loaded.splits["valid"].y is None
    assert loaded.splits["test"].y.tolist() == [4, 5]


def test_npz_object_arrays_elsewhere_do_no_harm(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.eye(3), notes=np.array([{}, []], object))
    assert only(tmp_path / "a.npz").x.tolist() == np.eye(3).tolist()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": np.eye(3), "b": np.eye(3)}, "holds the arrays a, b; expected 'x', or 'x_train'"),
        ({}, "holds the arrays (none); expected 'x'"),
        ({"x": np.eye(3), "X": np.eye(3)}, "'x' and 'X' may both be meant; expected one"),
        ({"x": np.eye(3), "x_train": np.eye(3)}, "holds both 'x' and 'x_train'"),
        (
            {"x": np.eye(3), "y": np.arange(4)},
            "[y]: labels of shape (4,); expected one label for each of the 3 rows",
        ),
        (
            {"x_train": np.eye(3), "x_test": np.zeros((3, 2))},
            "rows of different shapes (train (3,), test (2,))",
        ),
        ({"x": np.array([[1, None]] * 2)}, "[x]: an array of Python objects"),
        ({"x": np.eye(3), "y": np.array([1, "a", None])}, "[y]: an array of Python objects"),
        ({"x": np.full((2, 3, 2, 2), np.nan)}, "[x]: missing value (NaN) at index [0, 0, 0, 0]"),
    ],
)
def test_npz_refused(arrays, message, tmp_path):
    np.savez(tmp_path / "a.npz", **arrays)
    assert message in refusal(tmp_path / "a.npz")


def test_labels_for_splits(tmp_path):
    np.savez(tmp_path / "a.npz", x_train=np.eye(3))
    y = saved(tmp_path / "y.npy", np.arange(3))
    assert "which is split into train; expected its labels inside" in refusal(tmp_path / "a.npz", labels=str(y))


# -------------------------------------------------------------------- .csv


def test_csv(tmp_path):
    path = written(tmp_path / "a.csv", "\ufeffa,b,species,c\n1,2.5,x,True\n\n-3,1e3,y,False\n")
    loaded = load(path, labels="species")
    assert loaded.name == "a.csv"
    assert loaded.feature_names == ("a", "b", "c")
    assert loaded.splits["all"].x.to_numpy().tolist() == [[1, 2.5, True], [-3, 1000, False]]
    assert loaded.splits["all"].y.tolist() == ["x", "y"]
    assert only(written(path, "a,b\n1,2\n3,4\n"), labels="b").y.tolist() == [2, 4]


@pytest.mark.parametrize("dtype", [np.float64, np.int64, np.bool_])
def test_csv_round_trip(dtype, tmp_path):
    table = pd.DataFrame((10 * RNG.standard_normal((20, 4))).astype(dtype), columns=list("abcd"))
    table.to_csv(tmp_path / "a.csv", index=False)
    x = only(tmp_path / "a.csv").x
    assert x.dtype == dtype
    np.testing.assert_array_equal(x, table.to_numpy())


def test_csv_without_header(tmp_path):
    """A first line of numbers is a row, unless it counts 0, 1, 2 as pandas does for columns without names."""
    array = RNG.standard_normal((5, 3))
    np.savetxt(tmp_path / "a.csv", array, delimiter=",", fmt="%.18e")
    loaded = load(tmp_path / "a.csv")
    np.testing.assert_array_equal(loaded.splits["all"].x, array)
    assert loaded.feature_names == ("0", "1", "2")
    pd.DataFrame(array).to_csv(tmp_path / "a.csv", index=False)
    assert len(only(tmp_path / "a.csv").x) == 5


@pytest.mark.parametrize(
    ("text", "cells"),
    [
        ("a,b\n1,x\n3,y y\n", ["x", "y y"]),
        ("a,b\n1,2\n3,\n", [2.0, None]),
        ("a,b\n1,NA\n3,2.5\n", [None, 2.5]),
        ("a,b\n1,True\n3,\n", [True, None]),
        ("a,b\n1,\n3,\n", [None, None]),
    ],
)
def test_csv_with_text_or_missing_cells_stays_a_table(text, cells, tmp_path):
    path = written(tmp_path / "a.csv", text)
    loaded = load(path, labels=None)
    x = loaded.splits["all"].x
    assert isinstance(x, pd.DataFrame)
    assert loaded.feature_names == ("a", "b") == tuple(x.columns)
    assert x["a"].tolist() == [1, 3]
    assert x["b"].astype(object).where(x["b"].notna(), None).tolist() == cells
    assert load(path, labels="a").splits["all"].y.tolist() == [1, 3]


def test_csv_integers_beyond_64_bits(tmp_path):
    path = written(tmp_path / "a.csv", "a\n1\n123456789012345678901234567890\n")
    assert only(path).x[1, 0] == pytest.approx(1.2345678901234568e29)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n,x\ninf,1\n", "infinity in column 'a', data row 3"),
        ("a,b\n1,2\n,3\n-1e31,1\n", "-1e+31 in column 'a', data row 3; expected absolute values up to 1e+30"),
        ("a,b\n1,2\ninf,1\n", "infinity in column 'a', data row 2"),
        ("a,b\n1,2\n1e31,1\n", "1e+31 in column 'a', data row 2; expected absolute values up to 1e+30"),
        ("a,b\n1,2\n3,4,5\n", "line 3 has 3 cells and the first line 2"),
        ("a,b\n1,2,3\n3,4,5\n", "line 2 has 3 cells and the first line 2"),
        ("a,b\n1,2\n3\n", "line 3 has 1 cell and the first line 2"),
        ("a,b,a\n1,2,3\n4,5,6\n", "2 columns are called 'a'; expected different names"),
        ("a,b\n", "0 rows; at least 1 is needed"),
        ("\n\n", "an empty file; expected a header"),
        (
            b"a,b\n\x00\x01,2\n1,2\n",
            "cannot be read as a table in a text file (ValueError: it holds characters that no",
        ),
        ('a,b\n1,"2\n3,4\n', "cannot be read as a table in a text file"),
    ],
)
def test_csv_refused(text, message, tmp_path):
    path = written(tmp_path / "a.csv", text)
    found = refusal(path)
    assert found.startswith(f"{path}: ")
    assert message in found


def test_csv_labels_refused(tmp_path):
    path = written(tmp_path / "a.csv", "width,species\n1,x\n2,\n")
    assert "no label column 'specie'; did you mean 'species'?" in refusal(path, labels="specie")
    assert "no label column 'q'; known: width, species" in refusal(path, labels="q")
    path = written(tmp_path / "b.csv", "species\nx\ny\n")
    assert "no columns besides the labels" in refusal(path, labels="species")


# ---------------------------------------------------------------- .parquet


def test_parquet(tmp_path):
    table = pd.DataFrame(
        {
            "a": RNG.standard_normal(5).astype("f4"),
            "b": np.arange(5),
            "c": pd.array([1, 2, 3, 4, 5], "Int64"),
            "kind": pd.Categorical(list("ababa")),
        },
        index=list("vwxyz"),
    )
    table.to_parquet(tmp_path / "a.parquet")
    loaded = load(tmp_path / "a.parquet", labels="kind")
    assert loaded.feature_names == ("a", "b", "c")
    np.testing.assert_array_equal(loaded.splits["all"].x, table[["a", "b", "c"]].to_numpy(dtype=float))
    assert loaded.splits["all"].y.tolist() == list("ababa")
    table[["a"]].to_parquet(tmp_path / "b.parquet")
    assert only(tmp_path / "b.parquet").x.dtype == np.float32


def test_an_infinity_in_parquet_is_refused(tmp_path):
    pd.DataFrame({"a": [1.0, 2.0], "c": pd.array([np.inf, None], "Float64")}).to_parquet(tmp_path / "a.parquet")
    assert "infinity in column 'c', data row 1" in refusal(tmp_path / "a.parquet")


def test_a_column_of_lists_can_be_ignored(tmp_path):
    frame = pd.DataFrame(
        {"a": np.arange(20) / 7, "c": [[i, 2] for i in range(20)], "t": pd.to_timedelta(range(20), "h")}
    )
    frame.to_parquet(tmp_path / "a.parquet")
    found = only(tmp_path / "a.parquet").x
    with pytest.raises(InputError) as caught:
        Schema.infer(found)
    assert str(caught.value).startswith(
        "ndarray cells: column 'c' (such as '[0 2]'); expected numbers, text, dates or booleans; fit vectors as an "
        "array of their own, numpy.stack(table[column]), saved as .npy for the command line, or make the columns"
    )
    assert Schema.infer(found, {"c": "ignore", "t": "ignore"}).names == ("a",)


@pytest.mark.parametrize(
    "column",
    [
        ["a", "b"],
        ["1.5", "b"],
        pd.array([1, None], "Int64"),
        pd.array([True, None], "boolean"),
        pd.Categorical(["a", None]),
        [None, None],
    ],
)
def test_parquet_with_text_or_missing_cells_stays_a_table(column, tmp_path):
    table = pd.DataFrame({"a": [1.0, 2.0], "c": column})
    table.to_parquet(tmp_path / "a.parquet")
    x = only(tmp_path / "a.parquet").x
    assert isinstance(x, pd.DataFrame)
    assert x["c"].isna().tolist() == table["c"].isna().tolist()
    assert x["c"].dropna().tolist() == table["c"].dropna().tolist()


def test_numbers_kept_as_text_are_numbers(tmp_path):
    pd.DataFrame({"a": [1.0, 2.0], "c": ["1.5", "2"]}).to_parquet(tmp_path / "a.parquet")
    assert only(tmp_path / "a.parquet").x.tolist() == [[1, 1.5], [2, 2]]


def test_parquet_without_pyarrow(tmp_path, monkeypatch):
    path = written(tmp_path / "a.parquet", "x")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert "needs pyarrow, which is not installed; pip install 'cpvae[parquet]'" in refusal(path)


# --------------------------------------------------------------------- IDX


def idx_bytes(array: np.ndarray, code: int = 8) -> bytes:
    return bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def test_idx_by_hand(tmp_path):
    content = bytes([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 3, 1, 2, 3, 4, 5, 255])
    for path in (
        written(tmp_path / "a.idx3", content),
        written(tmp_path / "b-idx3-ubyte.gz", gzip.compress(content)),
    ):
        x = only(path).x
        assert x.dtype == np.uint8
        assert x.tolist() == [[[[1, 2, 3]]], [[[4, 5, 255]]]]
    assert only(written(tmp_path / "noname", content)).x.shape == (2, 1, 1, 3)


@pytest.mark.parametrize(("code", "dtype"), [(8, "u1"), (9, "i1"), (11, ">i2"), (12, ">i4"), (13, ">f4"), (14, ">f8")])
def test_idx_dtypes(code, dtype, tmp_path):
    array = (100 * RNG.random((4, 5))).astype(dtype)
    x = only(written(tmp_path / "a.idx", idx_bytes(array, code))).x
    np.testing.assert_array_equal(x, array)
    assert x.dtype.isnative


@pytest.mark.parametrize("images", ["train-images-idx3-ubyte", "train-images.idx3-ubyte", "t10k-images-idx3-ubyte.gz"])
@pytest.mark.parametrize("packed", [False, True])
def test_idx_labels_beside(images, packed, tmp_path):
    content = idx_bytes(RNG.integers(0, 256, (3, 2, 2), np.uint8))
    path = written(tmp_path / images, gzip.compress(content) if images.endswith(".gz") else content)
    assert only(path).y is None
    labels = images.removesuffix(".gz").replace("images", "labels").replace("idx3", "idx1")
    content = idx_bytes(np.array([5, 0, 4], np.uint8))
    written(tmp_path / (labels + ".gz" * packed), gzip.compress(content) if packed else content)
    assert only(path).y.tolist() == [5, 0, 4]
    other = written(tmp_path / "other.idx", idx_bytes(np.array([1, 2, 3], np.uint8)))
    assert only(path, labels=str(other)).y.tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x01\x02\x03\x04", "starts with the bytes 01 02 03 04; expected an IDX file"),
        (bytes([0, 0, 8, 2, 0, 0]), "ends within the IDX header"),
        (
            idx_bytes(np.zeros((3, 2), np.uint8))[:-1],
            "header says (3, 2), that is 6 bytes of values, and 5 follow",
        ),
        (idx_bytes(np.zeros((3, 2), np.uint8)) + b"x", "that is 6 bytes of values, and more follow"),
        (gzip.compress(idx_bytes(np.zeros((300, 2), np.uint8)), mtime=0)[:-9], "cannot be read as an IDX file"),
        (bytes([0, 0, 8, 2]) + b"\xff" * 8, "a.idx: "),
    ],
)
def test_idx_refused(content, message, tmp_path):
    assert message in refusal(written(tmp_path / "a.idx", content))


# ------------------------------------------------------------------ images


def image(path: Path, array: np.ndarray, **options: Any) -> Path:
    path.parent.mkdir(exist_ok=True, parents=True)
    Image.fromarray(array).save(path, **options)
    return path


GREY = RNG.integers(0, 256, (4, 6, 5), np.uint8)
COLOUR = RNG.integers(0, 256, (4, 6, 5, 3), np.uint8)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".gif", ".tif", ".PNG"])
def test_grey_images(suffix, tmp_path):
    for k in (2, 0, 3, 1):
        image(tmp_path / f"{k}{suffix}", GREY[k])
    written(tmp_path / ".hidden.png", "not an image")
    written(tmp_path / "notes.txt", "not an image")
    split = only(tmp_path)
    assert split.x.dtype == np.uint8
    np.testing.assert_array_equal(split.x, GREY[:, None])
    assert split.y is None


@pytest.mark.parametrize(("suffix", "options"), [(".png", {}), (".bmp", {}), (".webp", {"lossless": True})])
def test_colour_images(suffix, options, tmp_path):
    for k in range(4):
        image(tmp_path / f"{k}{suffix}", COLOUR[k], **options)
    np.testing.assert_array_equal(only(tmp_path).x, COLOUR.transpose(0, 3, 1, 2))


def test_jpeg(tmp_path):
    smooth = np.broadcast_to(np.arange(0, 160, 10, dtype=np.uint8), (16, 16))
    for k, suffix in enumerate((".jpg", ".jpeg")):
        image(tmp_path / f"{k}{suffix}", smooth, quality=95)
    np.testing.assert_allclose(only(tmp_path).x.astype(int)[0, 0], smooth, atol=5)


def test_grey_pictures_beside_colours(tmp_path):
    for k in range(3):
        image(tmp_path / f"{k}.png", COLOUR[k])
    image(tmp_path / "grey.png", GREY[0])
    assert "3 of 4 pictures have colours and 1 are grey (grey.png); expected one kind" in refusal(tmp_path)


def test_modes(tmp_path):
    """1 bit, 16 bits, a grey palette, black ink on nothing."""
    ink = GREY[0] > 127
    Image.fromarray(ink).save(tmp_path / "0.png")
    image(tmp_path / "1.png", GREY[1].astype(np.uint16) * 256 + 7)
    Image.fromarray(GREY[2]).convert("P", palette=Image.Palette.ADAPTIVE).save(tmp_path / "2.png")
    Image.fromarray(np.stack([np.zeros_like(GREY[0]), GREY[3]], axis=-1)).save(tmp_path / "3.png")
    x = only(tmp_path).x
    assert (x.shape, x.dtype) == ((4, 1, 6, 5), np.uint16)
    np.testing.assert_array_equal(x[0, 0], 65535 * ink)
    np.testing.assert_array_equal(x[1, 0], GREY[1].astype(int) * 256 + 7)
    np.testing.assert_array_equal(x[2, 0], GREY[2].astype(int) * 257)
    np.testing.assert_allclose(x[3, 0] / 257, 255 - GREY[3].astype(int), atol=1)
    assert any("1 of 4 pictures have grey levels of 16 bits" in note for note in load(tmp_path).notes)


def test_subfolders_are_labels(tmp_path):
    image(tmp_path / "cat" / "1.png", GREY[1])
    image(tmp_path / "cat" / "0.png", GREY[0])
    image(tmp_path / "ape" / "9.png", GREY[2])
    image(tmp_path / ".cache" / "9.png", GREY[3])
    split = only(tmp_path)
    assert split.y.tolist() == ["ape", "cat", "cat"]
    np.testing.assert_array_equal(split.x[:, 0], GREY[[2, 0, 1]])
    relabelled = only(tmp_path, labels=str(saved(tmp_path / "y.npy", np.array([1, 2, 3]))))
    assert relabelled.y.tolist() == [1, 2, 3]


def test_other_files_beside_pictures_are_told(tmp_path):
    image(tmp_path / "a" / "1.png", GREY[0])
    image(tmp_path / "b" / "1.png", GREY[1])
    for name in ("Thumbs.db", "a/.DS_Store", "a/desktop.ini"):
        written(tmp_path / name, "x")
    assert load(tmp_path).notes == ()
    for name in ("a/2.HEIC", "a/3.heic", "list.csv"):
        written(tmp_path / name, "x")
    note = "3 other files are left out (.csv, .heic); save pictures among them as .jpg or .png"
    assert load(tmp_path).notes == (note,)


def test_pictures_that_are_cut_short_are_named_with_those_that_are_none(tmp_path):
    for i in range(4):
        content = image(tmp_path / f"{i}.png", RNG.integers(0, 256, (64, 64), np.uint8)).read_bytes()
    written(tmp_path / "1.png", content[: len(content) // 2])
    written(tmp_path / "3.png", "text")
    assert "2 of 4 images cannot be used (1.png, 3.png); " in refusal(tmp_path)


def test_images_refused(tmp_path):
    assert "a folder without images; expected .png" in refusal(tmp_path)
    saved(tmp_path / "a.npy", np.eye(3))
    assert refusal(tmp_path).endswith(f"for example {tmp_path / 'a.npy'}")
    saved(tmp_path / "b.npy", np.eye(3))
    assert refusal(tmp_path).endswith("to read several join them into one, recordings as an array (n, channels, time)")
    image(tmp_path / "a.png", GREY[0])
    assert only(tmp_path).x.shape == (1, 1, *GREY[0].shape)
    content = image(tmp_path / "b.png", GREY[0]).read_bytes()
    written(tmp_path / "b.png", content[:-30])
    assert f"{tmp_path / 'b.png'}: cannot be read as an image" in refusal(tmp_path)
    written(tmp_path / "b.png", "text")
    assert f"{tmp_path / 'b.png'}: cannot be read as an image" in refusal(tmp_path)
    (tmp_path / "b.png").unlink()
    image(tmp_path / "c" / "b.png", GREY[0])
    assert "a.png lies in the folder itself and c/b.png in a subfolder" in refusal(tmp_path)


def test_postscript_is_never_run(tmp_path):
    for k in range(2):
        written(tmp_path / f"{k}.png", "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 5 5\n%%EndComments\n")
    assert "cannot identify image file" in refusal(tmp_path)


# ------------------------------------------------------------------- paths


def test_missing(tmp_path, monkeypatch):
    saved(tmp_path / "flowers.npy", np.eye(3))
    assert f"{tmp_path / 'flower.npy'}: no such file or folder; did you mean 'flowers.npy'?" == refusal(
        tmp_path / "flower.npy"
    )
    assert "or one of the names digits, synthetic" in refusal(str(tmp_path / "zzz" / "qqq"))
    assert "no such file" in refusal(tmp_path / "flowers.npy" / "x")
    monkeypatch.chdir(tmp_path)
    assert len(only("flowers.npy").x) == 3


@pytest.mark.parametrize("suffix", ["npy", "npz", "csv", "parquet", "idx", "xyz"])
def test_empty_file(suffix, tmp_path):
    assert "an empty file (0 bytes)" in refusal(written(tmp_path / f"a.{suffix}", ""))


@pytest.mark.parametrize("suffix", ["npy", "npz", "parquet", "idx", "xlsx", "csv.gz"])
def test_not_the_claimed_format(suffix, tmp_path):
    for content in (
        b"hello, this is text\n" * 20,
        gzip.compress(b"hello", mtime=0),
        b"\x80\x04\x95pickle",
        b"PK\x03\x04zip",
    ):
        path = written(tmp_path / f"a.{suffix}", content)
        assert str(path) in refusal(path)


def test_unsupported_suffix(tmp_path):
    text = refusal(written(tmp_path / "a.sav", "PK"))
    assert "a file with the suffix '.sav'; expected a table (.csv .tsv .txt, also .gz; .parquet .feather .xlsx" in text


def test_odd_paths(tmp_path):
    assert "not a path" in refusal("a\0b")
    assert "File name too long" in refusal("x" * 5000)
    assert len(refusal("x" * 5000)) < 400
    assert "neither a file nor a folder" in refusal("/dev/null")
    assert "no such file" in refusal("line\nbreak.npy")
    assert "no such file" in refusal("\udcff.npy")


def test_unreadable(tmp_path, monkeypatch):
    path = saved(tmp_path / "a.npy", np.eye(3))

    def refuse(*arguments: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert refusal(path) == f"{path}: permission denied; expected a readable file; allow reading it"


# -------------------------------------------------------------------- fuzz


def _npz(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def _npy() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.arange(40.0).reshape(8, 5))
    return buffer.getvalue()


def _parquet() -> bytes:
    return pd.DataFrame({"a": np.arange(6.0), "b": list("xyzxyz")}).to_parquet()


def _picture(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(COLOUR[0] if kind != "gif" else GREY[0]).save(buffer, kind)
    return buffer.getvalue()


def _mat() -> bytes:
    buffer = io.BytesIO()
    savemat(buffer, {"X": np.arange(40.0).reshape(8, 5), "Y": np.arange(8)})
    return buffer.getvalue()


def _hdf5() -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file["X"], file["Y"] = np.arange(40.0).reshape(8, 5), np.arange(8)
    return buffer.getvalue()


FORMATS: dict[str, Callable[[], bytes]] = {
    "a.npy": _npy,
    "a.npz": lambda: _npz(x=np.arange(40.0).reshape(8, 5), y=np.arange(8)),
    "a.csv": lambda: b'a,b,"c"\n' + b"1,2.5,x\n-3,4,y\n" * 8,
    "a.parquet": _parquet,
    "a.idx.gz": lambda: gzip.compress(idx_bytes(GREY), mtime=0),
    "a.idx": lambda: idx_bytes(GREY),
    "a.mat": _mat,
    "a.h5": _hdf5,
    "a.ts": lambda: b"@problemName a\n@classLabel true u v\n@data\n" + b"1,2.5:3,4:u\n-3,?:1,7:v\n" * 8,
    "a.mtx": lambda: b"%%MatrixMarket matrix coordinate integer general\n9 9 20\n" + b"1 2 3\n4 5 6\n" * 10,
    "b.ppm": partial(_picture, "ppm"),
    **{f"b.{kind}": partial(_picture, kind) for kind in ("png", "jpeg", "bmp", "gif", "webp", "tiff")},
}


def damage(content: bytes, trial: int, rng: np.random.Generator) -> bytes:
    """Damage bytes: cut them off, or flip up to three bits."""
    if trial % 2:
        return content[: int(rng.integers(len(content)))]
    flipped = np.frombuffer(content, np.uint8).copy()
    at = rng.integers(len(flipped), size=int(rng.integers(1, 4)))
    flipped[at] ^= (1 << rng.integers(8, size=len(at))).astype(np.uint8)
    return flipped.tobytes()


def complaint(source: Path, labels: str | None) -> str | None:
    """Return the error of `load`. Any other exception fails the test, and so does a warning."""
    try:
        load(source, labels=labels)
    except InputError as error:
        return str(error)
    return None


@pytest.mark.parametrize("name", FORMATS)
def test_damaged_files_give_one_line(name, tmp_path):
    content = FORMATS[name]()
    path = written(tmp_path / name, content)
    source = path
    if name.startswith("b."):  # an image, beside one that is whole
        written(tmp_path / f"a{path.suffix}", content)
        source = tmp_path
    labels = {"a.csv": "c", "a.parquet": "b"}.get(name)
    assert complaint(source, labels) is None
    rng = np.random.default_rng(0)
    complaints = [complaint(source, labels) for k in range(120) if written(path, damage(content, k, rng))]
    refused = [text for text in complaints if text is not None]
    assert len(refused) > 20
    assert all(len(text.splitlines()) == 1 and str(tmp_path) in text for text in refused)
