"""Schemas: what columns are taken for, cells to numbers and back, every refusal in one line."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from cpvae import InputError
from cpvae.data.loaders import make_table
from cpvae.data.schema import Column, Schema, as_frame, first_gap


def mixed() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "size": [1.5, 2.0, None, 4.0],
            "name": ["x", None, "y", "x"],
            "member": [True, None, False, True],
            "grade": pd.Categorical(["lo", "hi", "hi", None], categories=["lo", "mid", "hi"]),
            "visits": [0, 10, 3, 77],
            "sex": [0, 1, 0, 1],
            "opened": pd.array([1, None, 0, 0], "Int64"),
            "shelf": ["1", "x", "2", "y"],
            "year": [2001, 2003, 2002, 2000],
        }
    )


def refusal(frame: pd.DataFrame, given: dict[str, str] | None = None) -> str:
    with pytest.raises(InputError) as caught:
        Schema.infer(frame, given)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


# ---------------------------------------------------------------- what columns are taken for


def test_kinds_and_levels():
    schema = Schema.infer(mixed())
    assert {column.name: (column.kind, column.levels, column.missing) for column in schema.columns} == {
        "size": ("numeric", (), 1),
        "name": ("categorical", ("x", "y"), 1),
        "member": ("categorical", (False, True), 1),
        "grade": ("categorical", ("lo", "hi"), 1),  # in the order of the categories, of which one does not occur
        "visits": ("count", (), 0),
        "sex": ("categorical", (0, 1), 0),
        "opened": ("categorical", (0, 1), 1),
        "shelf": ("categorical", ("1", "2", "x", "y"), 0),
        "year": ("numeric", (), 0),
    }


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (np.random.default_rng(0).poisson(4, 500), "count"),
        (np.random.default_rng(0).poisson(4, 500) + 2000, "numeric"),  # narrower than a Poisson
        (np.random.default_rng(0).poisson(4, 500) + 0.5, "numeric"),
        (np.random.default_rng(0).poisson(4, 500) - 1, "numeric"),
        (np.random.default_rng(0).negative_binomial(1, 0.001, 500) + 20_000, "numeric"),  # beyond 10,000
        (np.random.default_rng(0).integers(1, 6, 500), "numeric"),  # ratings
        (np.random.default_rng(0).integers(0, 2, 500) * 7.5, "categorical"),
        (np.random.default_rng(0).normal(size=500), "numeric"),
    ],
)
def test_kinds_of_numbers(values, kind):
    for missing in (False, True):
        cells = pd.Series(values, dtype=float)
        if missing:
            cells.iloc[3] = None
        assert Schema.infer(pd.DataFrame({"a": cells})).columns[0].kind == kind


def test_numbers_as_python_objects_are_numbers():
    frame = pd.DataFrame({"a": pd.Series([1.5, 2.25, None, 7.0], dtype=object)})
    assert Schema.infer(frame).columns == (Column("a", "numeric", (), 1),)
    np.testing.assert_array_equal(Schema.infer(frame).encode(frame[:2]), [[1.5], [2.25]])


def test_kinds_that_are_given_come_first():
    given = {"visits": "numeric", "year": "categorical", "sex": "numeric", "name": "ignore"}
    schema = Schema.infer(mixed(), given)
    kinds = {column.name: column.kind for column in schema.columns}
    assert (kinds["visits"], kinds["year"], kinds["sex"]) == ("numeric", "categorical", "numeric")
    assert "name" not in kinds
    assert schema.ignored == ("name",)
    assert schema.columns[list(kinds).index("year")].levels == (2000, 2001, 2002, 2003)


def test_it_is_described_in_a_line_for_each_column():
    lines = Schema.infer(mixed(), {"year": "ignore"}).describe()
    assert lines[0] == "size: numeric; 1 cell missing"
    assert lines[1] == "name: categorical, 2 levels ('x', 'y'); 1 cell missing"
    assert lines[4] == "visits: count"
    assert lines[8] == "year: ignored"


# ---------------------------------------------------------------- there and back


def test_there_and_back():
    frame = mixed()
    schema = Schema.infer(frame)
    matrix = schema.encode(frame)
    assert matrix.dtype == np.float64
    np.testing.assert_array_equal(np.isnan(matrix), frame.isna())
    back = schema.decode(matrix)
    assert list(back.columns) == list(frame.columns)
    for name in frame.columns:
        known = frame[name].notna()
        assert back[name][known].tolist() == frame[name][known].tolist(), name
        assert back[name][~known].isna().all()
    np.testing.assert_array_equal(schema.encode(back), matrix)
    assert [back[name].dtype.kind for name in ("visits", "sex", "size")] == ["i", "i", "f"]


def test_through_a_file(tmp_path):
    """Missing cells make whole numbers fractional and booleans objects; text may come back as numbers."""
    frame = mixed()
    schema = Schema.infer(frame)
    frame.to_csv(tmp_path / "a.csv", index=False)
    np.testing.assert_array_equal(schema.encode(pd.read_csv(tmp_path / "a.csv")), schema.encode(frame))
    frame[frame["shelf"].isin(["1", "2"])].to_csv(tmp_path / "b.csv", index=False)
    some = pd.read_csv(tmp_path / "b.csv")
    assert some["shelf"].dtype.kind == "i"
    np.testing.assert_array_equal(schema.encode(some), schema.encode(frame)[[0, 2]])


def test_json():
    schema = Schema.infer(mixed(), {"year": "ignore"})
    assert Schema.from_dict(json.loads(json.dumps(schema.as_dict()))) == schema
    for change in ({"kind": "text"}, {"levels": []}, {"name": "other"}):
        damaged = schema.as_dict()
        damaged["columns"][1] |= change
        with pytest.raises(InputError):
            Schema.from_dict(damaged)


def test_expand():
    schema = Schema.infer(mixed()[["size", "name"]])
    matrix, names = schema.expand(schema.encode(mixed()[["size", "name"]][:3]))
    assert names == ["size", "name=x", "name=y"]
    np.testing.assert_array_equal(matrix, [[1.5, 1, 0], [2, np.nan, np.nan], [np.nan, 0, 1]])


def test_columns_are_found_by_name():
    frame = mixed()
    schema = Schema.infer(frame, {"year": "ignore"})
    matrix = schema.encode(frame)
    np.testing.assert_array_equal(schema.encode(frame[frame.columns[::-1]]), matrix)
    np.testing.assert_array_equal(schema.encode(frame.drop(columns="year")), matrix)


def test_arrays_have_columns_named_by_number():
    frame = as_frame([[1.0, np.nan], [2.0, 3.0], [5.5, 1.0], [0.5, 9.0]])
    assert list(frame.columns) == ["0", "1"]
    schema = Schema.infer(frame, {"0": "ignore"})
    assert schema.names == ("1",)
    np.testing.assert_array_equal(schema.encode(as_frame(np.ones((2, 2)), schema.given)), [[1.0], [1.0]])
    with pytest.raises(InputError, match=r"^rows of 3 columns; expected 2"):
        as_frame(np.ones((2, 3)), schema.given)
    with pytest.raises(InputError, match=r"^an array of shape \(2, 2, 2\)"):
        as_frame(np.ones((2, 2, 2)))


def test_where_the_first_gap_is():
    array = np.zeros((20_003, 2))
    assert first_gap(array) == ""
    array[20_001, 1] = np.nan
    assert first_gap(array) == "a missing cell in column 1, row 20001 (counted from 0)"
    assert first_gap(mixed()[["year", "name"]]) == "column 'name' holds text"
    assert first_gap(pd.DataFrame({"a": pd.array([1, None], "Int64")})).startswith(
        "a missing cell in column 'a', row 1"
    )
    for rows in (
        pd.DataFrame({"a": pd.Series([1, 2], dtype=object), "b": [True, False]}),
        [[1.0], [2.0]],
        [[1], [2, 3]],
    ):
        assert first_gap(rows) == ""


# ---------------------------------------------------------------- refusals

TEXT = pd.DataFrame({"a": [f"row {i}" for i in range(200)], "b": range(200)})


@pytest.mark.parametrize(
    ("frame", "given", "message"),
    [
        (pd.DataFrame({"a": [None, None], "b": [1, 2]}), {}, "column 'a' has no value in any of the 2 rows"),
        (pd.DataFrame({"a": [3.0, 3.0, None]}), {}, "constant column 'a' (its only value is "),
        (pd.DataFrame({"a": ["u", "u", None]}), {}, "constant column 'a' (its only value is 'u')"),
        (pd.DataFrame({"a": [4, 4]}), {"a": "count"}, "constant column 'a' (its only value is "),
        (
            TEXT,
            {},
            "column 'a' has 200 levels in 200 rows, as an identifier has; expected at most 100; make it 'ignore'",
        ),
        (mixed(), {"sizes": "numeric"}, "a column 'sizes' that is not there; did you mean 'size'?"),
        (mixed(), {"size": "number"}, "the schema says 'number' of column 'size'"),
        (mixed(), {"size": "numerc"}, "did you mean 'numeric'?"),
        (mixed(), {0: "count"}, "the schema names a column 0: expected text"),
        (mixed(), {"name": "numeric"}, "column 'name' is numeric but holds text, first 'x' in row 0 (counted from 0)"),
        (mixed(), {"size": "count"}, "column 'size': 1.5 in row 0 (counted from 0) is no count"),
        (pd.DataFrame({"a": [3, -2, 5]}), {"a": "count"}, "column 'a': -2 in row 1 (counted from 0) is no count"),
        (
            pd.DataFrame({"a": [3, 2**25, 5]}),
            {"a": "count"},
            "is no count; expected whole numbers from 0 to 16,777,216",
        ),
        (pd.DataFrame({"a": [3, np.inf, 5]}), {}, "infinity in column 'a', row 1"),
        (pd.DataFrame({"a": [3, np.inf, 5]}), {"a": "categorical"}, "infinity in column 'a', row 1"),
        (pd.DataFrame({"a": [3, 1e31, 5]}), {}, "1e+31 in column 'a', row 1"),
        (pd.DataFrame({"a": [1, 2.5, "?", 4]}), {}, "column 'a' holds numbers and text, first '?' in row 2"),
        (pd.DataFrame({"a": [[1], [2]]}), {}, "column 'a' holds list cells, such as '[1]'"),
        (pd.DataFrame({"a": [[1], [2]]}), {"a": "numeric"}, "column 'a' is numeric but holds text, first '[1]'"),
        (pd.DataFrame({"a": pd.to_datetime(["2020-01-01", "2021-01-01"])}), {}, "column 'a' has dtype datetime64"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), {}, "more than one column is called 'a'"),
        (pd.DataFrame({"a": [1, 2]}), {"a": "ignore"}, "no column is left to model"),
    ],
)
def test_refused_at_the_fit(frame, given, message):
    assert message in refusal(frame, given)


def test_text_with_many_levels_can_be_ignored():
    assert Schema.infer(TEXT, {"a": "ignore"}).names == ("b",)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"name": "z"},
            "column 'name': the value 'z' in row 2 (counted from 0) was not there in the fit; expected 'x',",
        ),
        ({"grade": "mid"}, "the value 'mid' in row 2 (counted from 0) was not there in the fit; expected 'lo', 'hi'"),
        ({"sex": 2}, "the value '2' in row 2 (counted from 0) was not there in the fit; expected 0, 1"),
        ({"visits": 2.5}, "column 'visits': 2.5 in row 2 (counted from 0) is no count"),
        ({"visits": -1}, "column 'visits': -1 in row 2 (counted from 0) is no count"),
        ({"size": "big"}, "column 'size' is numeric but holds text, first 'big' in row 2 (counted from 0)"),
        ({"size": np.inf}, "infinity in column 'size', row 2 (counted from 0)"),
        (
            dict.fromkeys(mixed().columns),
            "row 2 (counted from 0) has no value in any column (1 such row); expected one",
        ),
    ],
)
def test_refused_afterwards(change, message):
    schema = Schema.infer(mixed())
    frame = mixed().astype(object)
    for name, value in change.items():
        frame.loc[2, name] = value
    with pytest.raises(InputError) as caught:
        schema.encode(frame)
    assert message in str(caught.value)


def test_other_columns_are_refused():
    schema = Schema.infer(mixed())
    with pytest.raises(InputError, match=r"^no column 'size'; did you mean 'sise'\?; give the columns of the fit$"):
        schema.encode(mixed().rename(columns={"size": "sise"}))
    with pytest.raises(InputError, match=r"^a column 'more' that the fit did not have; expected 'size', 'name'"):
        schema.encode(mixed().assign(more=1))


# ---------------------------------------------------------------- the generator


def test_make_table():
    frame, y = make_table(4000, n_clusters=3, missing=0.2, seed=5)
    again, _ = make_table(4000, n_clusters=3, missing=0.2, seed=5)
    pd.testing.assert_frame_equal(frame, again)
    assert sorted(set(y.tolist())) == [0, 1, 2]
    kinds = [column.kind for column in Schema.infer(frame).columns]
    assert kinds == ["numeric"] * 4 + ["categorical"] * 3 + ["count"] * 3
    gone = frame.isna().to_numpy()
    assert abs(gone.mean() - 0.2) < 5 * np.sqrt(0.2 * 0.8 / gone.size)
    for k in range(3):  # completely at random: not more in one source than in another
        assert abs(gone[y == k].mean() - 0.2) < 5 * np.sqrt(0.2 * 0.8 / gone[y == k].size)
    assert not make_table(500, missing=0.0)[0].isna().to_numpy().any()
    assert not make_table(500, missing=0.95)[0].isna().all(axis=1).any()


@pytest.mark.parametrize("wrong", [{"n": 0}, {"n_clusters": 0}, {"missing": 1.0}, {"missing": -0.1}])
def test_make_table_refuses(wrong):
    with pytest.raises(InputError, match="expected at least one row and one source"):
        make_table(**wrong)


def test_levels_may_be_given_that_the_rows_do_not_have():
    """So that a fit to a part of the rows knows the levels of all of them."""
    whole = pd.DataFrame({"a": [1.5, 2.5, 3.5], "b": ["x", "y", "x"], "flag": [0, 0, 1]})
    schema = Schema.infer(whole)
    assert schema.as_given() == {"a": "numeric", "b": ["x", "y"], "flag": [0, 1]}
    part = Schema.infer(whole[::2].assign(flag=0), schema.as_given())
    assert part == schema
    assert part.encode(whole)[:, 1].tolist() == [0, 1, 0]
    with pytest.raises(InputError, match="column 'b': the value 'y' in row 1"):
        Schema.infer(whole, {"b": ["x", "z"]})
    for levels in (["x"], ["x", "x"], [1, "x"], [None, 1]):
        with pytest.raises(
            InputError, match=r"gives the column 'b' the levels .*: expected two or more, different, all"
        ):
            Schema.infer(whole, {"b": levels})
