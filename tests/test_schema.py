"""Schemas: what is kept of a table, cells to numbers and back, next month's table, every refusal in one line."""

from __future__ import annotations

import ast
import json
import re
import time
import warnings

import numpy as np
import pandas as pd
import pytest

from cpvae import CPVAE, InputError
from cpvae.data.conditions import read_given
from cpvae.data.loaders import make_table
from cpvae.data.schema import Column, LeftOut, Schema, as_frame
from cpvae.errors import FitWarning


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
            "since": ["31-12-2020", None, "01-02-2021", "05-02-2021"],
        }
    )


def refusal(frame: pd.DataFrame, given: dict[str, str] | None = None) -> str:
    with pytest.raises(InputError) as caught:
        Schema.infer(frame, given)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


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
        "since": ("date", (), 1),
    }
    assert not schema.left_out


def test_kinds_that_are_given_come_first():
    given = {"visits": "numeric", "year": "categorical", "sex": "numeric", "name": "ignore"}
    schema = Schema.infer(mixed(), given)
    kinds = {column.name: column.kind for column in schema.columns}
    assert (kinds["visits"], kinds["year"], kinds["sex"]) == ("numeric", "categorical", "numeric")
    assert "name" not in kinds
    assert schema.ignored == ("name",)
    assert schema.columns[list(kinds).index("year")].levels == (2000, 2001, 2002, 2003)


def test_one_line_for_all_columns():
    """Also where most columns hold one cell that is not zero, as genes do."""
    frame = pd.DataFrame(np.random.default_rng(0).poisson(2, (200, 3)), columns=list("abc"))
    for i in range(40):
        frame[f"g{i}"] = np.eye(200, dtype=int)[i]
    frame["z"] = 0
    schema = Schema.infer(frame, {"*": "count", "a": "numeric"})
    assert [column.kind for column in schema.columns] == ["numeric"] + ["count"] * 42
    assert schema.left_out == (LeftOut("z", "single value", "0"),)
    assert Schema.infer(frame, {"*": "ignore", "a": "count"}).names == ("a",)


def test_levels_that_are_given_may_be_absent():
    schema = Schema.infer(mixed(), {"name": ["x", "y", "z"]})
    assert schema.columns[1].levels == ("x", "y", "z")
    assert np.isnan(schema.encode(mixed().assign(name="z"))[:, 1]).sum() == 0
    again = Schema.infer(mixed()[:2].assign(name="x"), Schema.infer(mixed()).as_given())
    assert again.columns[1].levels == ("x", "y")
    assert "'v' in row 0" in refusal(mixed().assign(name="v"), {"name": ["x", "y"]})


def test_it_is_described_in_a_line_for_each_column():
    lines = Schema.infer(mixed(), {"year": "ignore"}).describe()
    assert lines[0] == "size: numeric; 1 cell missing"
    assert lines[1] == "name: categorical, 2 levels ('x', 'y'); 1 cell missing"
    assert lines[4] == "visits: count"
    assert lines[8] == "year: left out, ignored"
    assert lines[9] == "since: date, day-month-year; 1 cell missing"


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
    assert [back[name].dtype.kind for name in ("visits", "sex", "size", "year")] == ["i", "i", "f", "i"]


def test_new_numbers_have_the_decimals_and_bounds_of_the_column():
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "year": random.integers(1995, 2015, 300),
            "price": random.lognormal(3, 1, 300).round(2),
            "stars": random.integers(1, 6, 300),
            "degrees": random.normal(0, 10, 300).round(1),
            "share": random.random(300),
            "day": pd.to_datetime("2024-01-01") + pd.to_timedelta(random.integers(0, 99, 300), "D"),
        }
    )
    schema = Schema.infer(frame, {"price": "numeric"})
    new = schema.decode(np.array([[1997.63, -3.0, 5.7, -12.345, -0.2, 19_800.4], [1890.0, 7.126, 0.2, 3.0, 0.3, 1.0]]))
    assert new["year"].tolist() == [1998, 1995]  # every year from 1995 to 2014 occurs: a scale
    assert new["price"].tolist() == [0.0, 7.13]
    assert new["stars"].tolist() == [5, 1]
    assert new["degrees"].tolist() == [-12.3, 3.0]
    assert new["share"].tolist() == [0.0, 0.3]
    assert new["day"].tolist() == [pd.Timestamp("2024-03-18"), pd.Timestamp("1970-01-02")]


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
    schema = Schema.infer(mixed().assign(one=1), {"year": "ignore"})
    again = Schema.from_dict(json.loads(json.dumps(schema.as_dict())))
    assert again == schema
    np.testing.assert_array_equal(again.encode(mixed()), schema.encode(mixed()))
    for change in ({"kind": "text"}, {"levels": []}, {"name": "other"}):
        damaged = schema.as_dict()
        damaged["columns"][1] |= change
        with pytest.raises(InputError):
            Schema.from_dict(damaged)


def test_schemas_of_earlier_versions_are_read():
    old = {
        "columns": [
            {"name": "a", "kind": "numeric", "levels": [], "missing": 0},
            {"name": "b", "kind": "categorical", "levels": ["u", "v"], "missing": 2},
        ],
        "given": ["a", "b", "c"],
    }
    schema = Schema.from_dict(old)
    assert schema.columns == (Column("a", "numeric"), Column("b", "categorical", ("u", "v"), 2))
    assert schema.ignored == ("c",)
    assert schema.decode(np.array([[-1.25, 1.0]])).to_numpy().tolist() == [[-1.25, "v"]]
    assert schema.describe()[2] == "c: left out"


def test_expand():
    schema = Schema.infer(mixed()[["size", "name"]])
    matrix, names = schema.expand(schema.encode(mixed()[["size", "name"]][:3]))
    assert names == ["size", "name=x", "name=y"]
    np.testing.assert_array_equal(matrix, [[1.5, 1, 0], [2, np.nan, np.nan], [np.nan, 0, 1]])


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


def test_time_grows_with_the_columns_not_with_their_square():
    seconds = []
    for n in (250, 1000):
        frame = pd.DataFrame(np.random.default_rng(0).normal(size=(20, n)), columns=[f"gene{i}" for i in range(n)])
        began = time.process_time()
        schema = Schema.infer(frame)
        assert {column.kind for column in schema.columns} == {"numeric"}
        schema.encode(frame)
        seconds.append(time.process_time() - began)
    assert seconds[1] < 10 * seconds[0]  # 16 by the square
    assert seconds[1] < 3


# ---------------------------------------------------------------- next month's table


def test_columns_are_found_by_name():
    frame = mixed()
    schema = Schema.infer(frame, {"year": "ignore"})
    matrix = schema.encode(frame)
    np.testing.assert_array_equal(schema.encode(frame[frame.columns[::-1]]), matrix)
    np.testing.assert_array_equal(schema.encode(frame.drop(columns="year")), matrix)


@pytest.mark.parametrize(
    ("change", "warning", "gone"),
    [
        ({"name": ["z", "x", "w", "z"]}, "column 'name' has 'z', 'w' in 3 cells: not there in the fit", [1, 0, 1, 1]),
        (
            {"grade": ["mid", "lo", "hi", "lo"]},
            "column 'grade' has 'mid' in 1 cell: not there in the fit",
            [1, 0, 0, 0],
        ),
        ({"sex": [0, 1, 2, 0]}, "column 'sex' has '2' in 1 cell: not there in the fit, taken as missing", [0, 0, 1, 0]),
    ],
)
def test_a_level_that_was_not_there_is_missing(change, warning, gone):
    schema, frame = Schema.infer(mixed()), mixed()
    name, cells = next(iter(change.items()))
    with pytest.warns(FitWarning) as caught:
        matrix = schema.encode(frame.assign(**{name: cells}))
    assert warning in str(caught[0].message)
    np.testing.assert_array_equal(np.isnan(matrix[:, schema.names.index(name)]), np.array(gone, bool))
    with pytest.raises(
        InputError, match="not there in the fit, taken as missing; expected a table like that of the fit"
    ):
        schema.encode(frame.assign(**{name: cells}), strict=True)


def test_columns_that_are_absent_or_new():
    schema, frame = Schema.infer(mixed()), mixed()
    with pytest.warns(FitWarning) as caught:
        matrix = schema.encode(frame.drop(columns=["size", "since"]).assign(more=1, other="x"))
    assert str(caught[0].message) == (
        "no columns 'size', 'since', taken as missing; columns 'more', 'other' that the fit did not have, left out"
    )
    expected = schema.encode(frame)
    expected[:, [0, 9]] = np.nan
    np.testing.assert_array_equal(matrix, expected)
    with pytest.warns(FitWarning, match=r"no column 'size', taken as missing; did you mean 'sise'\?; column 'sise'"):
        schema.encode(frame.rename(columns={"size": "sise"}))
    with pytest.warns(FitWarning, match=r"no column 'size', taken as missing; did you mean 'SIZE'\?; column 'SIZE'"):
        schema.encode(frame.rename(columns={"size": "SIZE"}))
    with pytest.raises(InputError, match=r"^no column of the fit is there: expected 'size', 'name', .* found 'a', 'b'"):
        schema.encode(pd.DataFrame({"a": [1], "b": [2]}))


def test_a_table_that_conforms_is_not_warned_of_again():
    schema = Schema.infer(mixed())
    with pytest.warns(FitWarning):
        frame = schema.conform(mixed().assign(name="z", more=1).drop(columns="year"))
    assert list(frame.columns) == list(schema.names)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        matrix = schema.encode(frame)
    assert np.isnan(matrix[:, [1, 8]]).all()


def test_a_row_without_any_value_is_told_of():
    schema, frame = Schema.infer(mixed()), mixed().astype(object)
    frame.loc[2] = None
    with pytest.warns(FitWarning, match=r"1 row has no value in any column \(first row 2, counted from 0\)"):
        assert np.isnan(schema.encode(frame)[2]).all()


def test_dates_that_are_new_are_dates():
    schema = Schema.infer(mixed())
    known, new = schema.encode(mixed()), schema.encode(mixed().assign(since="01-10-2027"))
    assert (new[:, 9] == (pd.Timestamp("2027-10-01") - pd.Timestamp("1970-01-01")).days).all()
    typed = mixed().assign(since=pd.to_datetime(mixed()["since"], format="%d-%m-%Y"))
    np.testing.assert_array_equal(schema.encode(typed), known)
    np.testing.assert_array_equal(schema.encode(typed.assign(since=typed["since"].astype(str))), known)  # ISO


# ---------------------------------------------------------------- refusals

TEXT = pd.DataFrame({"a": [f"row {i}" for i in range(200)], "b": np.arange(200) % 7})


@pytest.mark.parametrize(
    ("frame", "given", "message"),
    [
        (
            pd.DataFrame({"a": [None, None], "b": [1, 1]}),
            {},
            "no column is left to model: 'a' (no value), 'b' (its only",
        ),
        (mixed(), {"sizes": "numeric"}, "the schema names column 'sizes' that is not there; did you mean 'size'?"),
        (mixed(), {"size": "number"}, "the schema says 'number' of column 'size'"),
        (mixed(), {"size": "numerc"}, "did you mean 'numeric'?"),
        (mixed(), {"size": "count %d"}, "the schema says 'count %d' of column 'size'"),
        (mixed(), {0: "count"}, "the schema names a column 0: expected text"),
        (mixed(), {"name": ["x"]}, "the levels 'x': expected two or more"),
        (mixed(), {"name": "numeric"}, "text in a column that is numeric: column 'name' (first 'x' in row 0, counted"),
        (
            mixed(),
            {"name": "numeric", "shelf": "count", "grade": "numeric"},
            "text in a column that is numeric: column 'name' (first 'x' in row 0, counted from 0), column 'grade' "
            "(first 'lo' in row 0, counted from 0); expected numbers",
        ),
        (mixed(), {"size": "count"}, "no counts in a column of counts: column 'size' (first '1.5' in row 0, counted"),
        (pd.DataFrame({"a": [3, -2, 5]}), {"a": "count"}, "column 'a' (first '-2' in row 1, counted from 0)"),
        (
            pd.DataFrame({"a": [3, 2**25, 5]}),
            {"a": "count"},
            "expected whole numbers from 0 to 16,777,216",
        ),
        (pd.DataFrame({"a": [3, np.inf, 5]}), {}, "infinity: column 'a' (first 'inf' in row 1"),
        (pd.DataFrame({"a": [3, np.inf, 5]}), {"a": "categorical"}, "infinity: column 'a' (first 'inf' in row 1"),
        (pd.DataFrame({"a": [3, 1e31, 5]}), {}, "absolute values above 1e+30: column 'a' (first '1e+31' in row 1"),
        (
            pd.DataFrame({"a": [1, 2.5, "high", 4], "b": ["u", "2", "3", "5"]}),
            {},
            "numbers and text in one column: column 'a' (first 'high' in row 2, counted from 0), column 'b' (first 'u'",
        ),
        (pd.DataFrame({"a": ["1.5", "2,5", "3.25"]}), {}, "numbers written in several ways in one column: column 'a'"),
        (pd.DataFrame({"a": ["45%", "0.3", "2%"]}), {}, "numbers written in several ways in one column: column 'a'"),
        (
            pd.DataFrame({"a": ["2024-01-31", "2024-02-28", "soon"]}),
            {},
            "dates and other text in one column: column 'a' (first 'soon' in row 2",
        ),
        (
            pd.DataFrame({"a": ["u", "v"]}),
            {"a": "date"},
            "a column of dates that cannot be read: column 'a' (first 'u'",
        ),
        (
            pd.DataFrame({"a": ["2024-01-31", "v"]}),
            {"a": "date %d/%m/%Y"},
            "dates that cannot be read: column 'a' (first 'v' in row 1, counted from 0); expected dates such as 01/01",
        ),
        (
            pd.DataFrame({"a": [[1], [2]]}),
            {},
            "list cells: column 'a' (such as '[1]'); expected numbers, text, dates or",
        ),
        (pd.DataFrame({"a": [[1], [2]]}), {"a": "numeric"}, "list cells: column 'a' (such as '[1]')"),
        (pd.DataFrame({"a": pd.to_timedelta([1, 2], "D")}), {}, "cells of dtype timedelta64"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), {}, "more than one column is called 'a'"),
        (pd.DataFrame({"a": [1, 2]}), {"a": "ignore"}, "no column is left to model: 'a' (ignored)"),
    ],
)
def test_refused_at_the_fit(frame, given, message):
    assert message in refusal(frame, given)


def test_text_that_is_left_out_by_itself_can_be_asked_for():
    assert Schema.infer(TEXT).left_out == (LeftOut("a", "identifier"),)
    assert Schema.infer(TEXT).identifiers == ("a",)
    assert len(Schema.infer(TEXT, {"a": "categorical"}).columns[0].levels) == 200


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"visits": 2.5}, "no counts in a column of counts: column 'visits' (first '2.5' in row 2, counted from 0)"),
        ({"visits": -1}, "no counts in a column of counts: column 'visits' (first '-1' in row 2, counted from 0)"),
        ({"size": "big"}, "text in a column that is numeric: column 'size' (first 'big' in row 2, counted from 0)"),
        ({"size": np.inf}, "infinity: column 'size' (first 'inf' in row 2, counted from 0)"),
        ({"since": "soon"}, "dates that cannot be read: column 'since' (first 'soon' in row 2, counted from 0)"),
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
    with pytest.raises(InputError, match=r"not there in the fit: column 'b' \(first 'y' in row 1"):
        Schema.infer(whole, {"b": ["x", "z"]})
    for levels in (["x"], ["x", "x"], [1, "x"], [None, 1]):
        with pytest.raises(
            InputError, match=r"gives the column 'b' the levels .*: expected two or more, different, all"
        ):
            Schema.infer(whole, {"b": levels})


def test_new_rows_stay_on_a_scale_whose_values_are_further_apart_than_their_decimals():
    column = Schema.infer(pd.DataFrame({"edema": [0, 0.5, 1.0] * 20, "x": np.arange(60) / 7})).columns[0]
    assert (column.kind, column.step, column.least, column.most) == ("numeric", 0.5, 0.0, 1.0)
    assert column.rounded(np.array([-1.0, 0.2, 0.3, 0.74, 2.0])).tolist() == [0, 0, 0.5, 0.5, 1]
    others = [column, Column("size", "numeric")]
    assert read_given({"edema": (0.1, 0.6)}, others, {}).values[0] == 0.5
    condition = read_given({"edema": (0.1, 7)}, others, {})
    assert (condition.low[0], condition.high[0]) == (0.5, 1.0)
    assert [float(end[0]) for end in condition.event()] == [0.25, np.inf]
    assert Schema.infer(pd.DataFrame({"a": [1.0, 3.5, 6.0] * 2, "x": np.arange(6) / 7})).columns[0].step is None


def test_levels_that_may_be_one_are_told():
    given = {"sex": ["Male", "male ", "Female"] * 4, "city": ["Köln", "Ko\u0308ln"] * 6}
    (told,) = Schema.infer(pd.DataFrame(given)).notes
    assert told.startswith("levels that differ in case or blanks alone, kept apart: 'Male' and 'male' in 'sex', 'K")
    assert told.endswith("ln' and 'Köln' in 'city'; write them alike if they are one")


def test_a_schema_tells_whether_all_columns_are_numbers_without_gaps():
    frame = pd.DataFrame({"a": np.linspace(0, 1, 30), "b": np.linspace(2, 5, 30) ** 2})
    assert Schema.infer(frame).all_numeric
    assert not Schema.infer(frame.assign(c=["x", "y"] * 15)).all_numeric
    assert not Schema.infer(frame.mask(frame > 24)).all_numeric


@pytest.mark.parametrize(
    "table",
    [
        pd.DataFrame({"island": ["a", "b", "c"] * 20, "visits": [0, 3, 1, 7, 2, 12] * 10, "mass": np.arange(60) / 7}),
        pd.DataFrame({"mass": np.arange(60) / 7, "plan": ["a", "b"] * 30}),
        pd.DataFrame({"plan": ["a", "b", "b"] * 20}),
        pd.DataFrame({"mass": np.arange(60) / 7}),
    ],
)
def test_the_schema_that_a_fit_gives_as_an_example_can_be_given(table):
    asked = {"latent_dim": 2, "hidden": (4,), "max_epochs": 1, "init": "random", "likelihood": "columns"}
    model = CPVAE(1, **asked, random_state=0).fit(table)
    told = next(line for line in model._taken_for() if line.startswith("to say otherwise"))
    example = ast.literal_eval(re.search(r"schema=({.*?})", told)[1])
    assert example.keys() <= set(table.columns)
    CPVAE(1, **asked, random_state=0).set_params(schema=example).fit(table)
