"""Kinds of columns: one rule for all inputs, and cells as people write them."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from datetime import date, time
from decimal import Decimal
from uuid import UUID

import numpy as np
import pandas as pd
import pyarrow
import pytest
from pyarrow.parquet import read_table, write_table

from cpvae.data.cells import read_frame
from cpvae.data.conditions import read_given
from cpvae.data.dates import as_zone, find_format, from_days, to_days
from cpvae.data.kinds import LeftOut, column_of
from cpvae.data.loaders.shards import as_pandas
from cpvae.data.loaders.text import read_text
from cpvae.data.schema import Column, Schema
from cpvae.data.stored import stored_column
from cpvae.errors import InputError

R = np.random.default_rng(0)
N = 500


def kind_of(cells: object, name: str = "a") -> str:
    """Return the kind of a column, or why it is left out."""
    frame, _ = read_frame(pd.DataFrame({name: cells}))
    found = column_of(frame[name], name)
    return found.kind if isinstance(found, Column) else found.why


NUMBERS = {
    "purchases": (R.poisson(4, N), "count"),
    "many zeros": (R.negative_binomial(1, 0.2, N), "count"),
    "narrower than a Poisson": (R.poisson(4, N) + 2000, "numeric"),
    "halves": (R.poisson(4, N) + 0.5, "numeric"),
    "negative": (R.poisson(4, N) - 1, "numeric"),
    "normal": (R.normal(size=N), "numeric"),
    "two values": (R.integers(0, 2, N) * 7.5, "categorical"),
    "age": (R.normal(45, 15, N).round().clip(18), "numeric"),
    "age of children too": (R.integers(0, 90, N), "numeric"),
    "year": (R.integers(1950, 2024, N), "numeric"),
    "month": (R.integers(1, 13, N), "numeric"),
    "weekday": (R.integers(0, 7, N), "numeric"),
    "hour": (R.integers(0, 24, N), "numeric"),
    "rating": (R.integers(1, 6, N), "numeric"),
    "rating from zero": (R.integers(0, 11, N), "numeric"),
    "severity": (R.choice([0, 1, 2, 3], N, p=[0.7, 0.1, 0.1, 0.1]), "numeric"),
    "post code": (R.choice(R.integers(1000, 99999, 80), N), "numeric"),
    "small code": (R.choice([0, 1, 2, 5, 7, 9], N), "numeric"),
    "income": (R.normal(50_000, 9_000, N).round(-2), "numeric"),
    "percent": (R.integers(0, 101, N), "numeric"),
    "numbering": (np.arange(N), "identifier"),
    "numbering, shuffled": (R.permutation(N) + 1000, "identifier"),
    "drawn without repetition": (R.permutation(11_000)[:N], "identifier"),
    "customer id": (R.permutation(10**6)[:N], "identifier"),
    "patient_id": (R.integers(1, 200, N), "identifier"),
    "CustomerID": (R.integers(10_000, 10_400, N), "identifier"),
    "order number": (np.repeat(np.arange(N // 4), 4), "identifier"),
    "store id": (R.integers(1, 9, N), "categorical"),
    "paid": (R.permutation(10**7)[:N], "numeric"),
    "covid": (R.integers(0, 50, N), "numeric"),
    "amount in cents": (R.permutation(10**7)[:N], "numeric"),
    "Unnamed: 0": (R.permutation(10**6)[:N], "identifier"),
    "days as numbers": ([20240101 + day for day in R.integers(0, 28, N)], "date"),
    "single": (np.full(N, 3), "single value"),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers(name):
    values, kind = NUMBERS[name]
    assert kind_of(values, name) == kind
    assert kind_of(np.asarray(values, float), name) == kind


def test_a_column_without_a_name_that_numbers_the_rows():
    several = np.concatenate([np.arange(40), np.arange(20), np.arange(30)])
    for values in (np.arange(5), 1 + np.arange(8), several):
        assert kind_of(values, "Unnamed: 0") == kind_of(values, "") == "identifier"
    assert kind_of(several, "stars") == kind_of(several[::-1], "Unnamed: 0") == "count"


@pytest.mark.parametrize("name", NUMBERS)
def test_a_missing_cell_changes_no_kind(name):
    values, kind = NUMBERS[name]
    cells = pd.Series(values, dtype=float)
    cells[7] = None
    for column in (
        cells,
        cells.astype("Float64"),
        cells.astype(object).where(cells.notna(), None),
        cells.astype("double[pyarrow]"),
        cells.astype(str).where(cells.notna(), "NA"),
    ):
        assert kind_of(column, name) == kind


CELLS = {
    "text": (R.choice(list("abc"), N), "categorical"),
    "streets": ([f"{name} street" for name in R.integers(0, 90, N)], "categorical"),
    "names": ([f"customer {i}" for i in range(N)], "identifier"),
    "codes": ([f"C{i:04}" for i in range(40)], "identifier"),
    "orders": ([f"O-{7 * i}" for i in range(60)], "identifier"),
    "words": ([f"very much to say {i // 2}" for i in range(N)], "free text"),
    "few rows": (["u", "v", "w"], "categorical"),
    "booleans": (R.random(N) < 0.5, "categorical"),
    "nullable booleans": (pd.array([True, False, None] * 20, "boolean"), "categorical"),
    "booleans as text": (["true", "FALSE"] * 20, "categorical"),
    "nullable integers": (pd.array([1, 2, 9, None] * 20, "Int64"), "numeric"),
    "text of arrow": (pd.Series(["a", "b", None] * 20, dtype="string[pyarrow]"), "categorical"),
    "categories": (pd.Categorical(["a", "b"] * 20), "categorical"),
    "categories of numbers": (pd.Categorical([1, 2, 3] * 20), "categorical"),
    "decimals": ([Decimal(i) / 7 for i in range(30)], "numeric"),
    "bytes": ([b"\xff\x00", b"x"] * 10, "categorical"),
    "day first": (["31-12-2020", "01-02-2021", "05-03-2021"], "date"),
    "month first": (["12/31/2020", "02/01/2021"], "date"),
    "points": (["31.12.20", "1.2.21"], "date"),
    "with times": (["2020-12-31 23:59", "2021-01-01 00:00"], "date"),
    "iso": (["2020-12-31T23:59:59Z", "2021-01-01T00:00:00Z"], "date"),
    "in words": (["31 Dec 2020", "1 Jan 2021"], "date"),
    "months": (["2020-12", "2021-01"], "date"),
    "type of dates": (pd.to_datetime(["2020-12-31", "2021-01-01"]), "date"),
    "type of dates with a zone": (pd.to_datetime(["2020-12-31", "2021-01-01"]).tz_localize("Asia/Tokyo"), "date"),
    "dates of Python": ([date(2020, 12, 31), date(2021, 1, 1), None], "date"),
    "dates of arrow": (pd.array(["2020-12-31", "2021-01-01"], "timestamp[ns][pyarrow]"), "date"),
    "periods": (pd.period_range("2020-01", periods=5, freq="M"), "date"),
    "versions": (["1.2.3", "1.2.4"] * 9, "categorical"),
    "ranges": (["18-25", "26-35", "36-99"] * 9, "categorical"),
    "clock": (["10:30", "11:45"] * 9, "categorical"),
    "many times of a day": ([f"{i % 24}:{i % 60:02}" for i in range(120)], "date"),
    "times of Python": ([time(i % 24, i % 60) for i in range(120)], "date"),
    "Greenwich": (["2020-12-31 23:59:59 UTC", "2021-01-01 00:00:00 UTC"], "date"),
    "with a comma": (["31/12/2020, 23:59:59", "01/01/2021, 00:00:00"], "date"),
    "nanoseconds": (["2020-12-31T23:59:59.123456789Z", "2021-01-01T00:00:00.000000001Z"], "date"),
    "weekdays": (["Thursday, 31 December 2020", "Friday, 01 January 2021"], "date"),
    "log": (["31/Dec/2020:23:59:59 +0000", "01/Jan/2021:00:00:00 +0000"], "date"),
    "dates of MySQL": (["2020-12-31", "0000-00-00", "2021-01-01"], "date"),
    "intervals": (pd.cut(R.random(N), 3), "categorical"),
    "identifiers of Python": ([UUID(int=i) for i in range(N)], "identifier"),
    "nothing": ([None] * 5, "no value"),
    "marks alone": (["NA", "?"] * 5, "no value"),
    "one level": (["u", None, "u"], "single value"),
    "one level and a mark": (["u", "?", "u"], "single value"),
    "decimal commas": (["1,5", "2,25", "3,125"], "numeric"),
    "percent": (["45%", "7 %", "12.5%"], "numeric"),
    "money": (["$1,200", "$800", "$3"], "numeric"),
    "thousands": (["1,200", "800", "3,400,000"], "numeric"),
    "blanks between thousands": (["1 200", "800", "3 400"], "numeric"),
    "units": (["70.5 kg", "9 kg", "100 kg"], "numeric"),
    "units and their plural": (["1 year", "12 years", "30 years"], "numeric"),
    "degrees": (["20.5°C", "-3°C", "7°C"], "numeric"),
    "code of a currency": (["USD 1,200.50", "USD 3", "USD 17"], "numeric"),
    "brackets for minus": (["(12.50)", "3.00", "7.25"], "numeric"),
    "sign of minus": (["\N{MINUS SIGN}1.5", "2.5", "3.5"], "numeric"),
    "lakhs": (["1,23,456", "12,34,567", "7,654"], "numeric"),
    "ordinals": (["1st", "2nd", "3rd"] * 9, "categorical"),
    "codes with a letter": (["1A", "2A", "3A"] * 9, "categorical"),
    "units of two kinds": (["5 kg", "9 lb", "7 kg"] * 9, "categorical"),
    "points in a plane": (["(1,2)", "(3,4)", "(5,6)"] * 9, "categorical"),
    "strands": (["+", "-"] * 9, "categorical"),
    "marks among numbers": (["1.5", "unknown", "2.5", "n/a", "-", "4.0"], "numeric"),
}


@pytest.mark.parametrize("name", CELLS)
def test_other_cells(name):
    cells, kind = CELLS[name]
    assert kind_of(cells, name) == kind


def test_dates_written_in_several_ways_are_refused():
    cells = pd.Series(["2020-12-31", "01.02.2021"] * 10)
    with pytest.raises(InputError, match="dates written in several ways in one column: column 'd'"):
        Schema.infer(pd.DataFrame({"d": cells, "x": range(20)}))


@pytest.mark.parametrize("last", ["Z", "+00:00", " UTC"])
def test_new_dates_have_the_zone_of_the_given_ones(last):
    texts = [f"2020-12-31T23:59:59{last}", f"2021-01-01T00:00:00{last}"]
    if last == " UTC":
        texts = [text.replace("T2", " 2").replace("T0", " 0") for text in texts]
    frame = pd.DataFrame({"d": texts})
    schema = Schema.infer(frame)
    pd.testing.assert_frame_equal(schema.decode(schema.encode(frame)), frame, check_dtype=False)


# ---------------------------------------------------------------- numbers and marks in text


def read(**columns: list[object]) -> tuple[pd.DataFrame, list[str]]:
    return read_frame(pd.DataFrame(columns))


def test_text_that_both_ways_can_read_follows_its_table():
    frame, notes = read(a=["1,200", "3,400"], b=["0,5", "12,75"])
    assert frame["a"].tolist() == [1.2, 3.4]
    assert notes == ["numbers with decimal commas in 2 columns ('a', 'b')"]
    frame, notes = read(a=["1,200", "3,400"], b=["0.5", "12.75"])
    assert frame["a"].tolist() == [1200, 3400]
    assert notes == ["numbers with signs, units or separators between thousands in 1 column ('a')"]
    frame, _ = read(a=["1,200", "3,400"])
    assert frame["a"].tolist() == [1200, 3400]
    frame, _ = read_frame(pd.DataFrame({"a": ["1,200", "3,400"]}), commas=True)
    assert frame["a"].tolist() == [1.2, 3.4]
    frame, _ = read(a=["1.200,5", "7"], b=["2.000", "3.500"])
    assert frame.to_numpy().tolist() == [[1200.5, 2000], [7, 3500]]


def test_signs_and_marks_are_told():
    frame, notes = read(
        a=["45%", "?", "7%"], b=["x", "NA", "y"], c=["1", "2", "unknown"], d=["", None, "z"], e=["u", "unknown", "v"]
    )
    assert frame["a"].tolist()[::2] == [45, 7]
    assert frame.isna().sum().tolist() == [1, 1, 1, 2, 0]
    assert notes == [
        "numbers with signs, units or separators between thousands in 1 column ('a')",
        "signs and units beside numbers are left out: % in 'a'",
        "marks taken for missing cells: '?' (1 cell, in 'a'), 'NA' (1 cell, in 'b'), 'unknown' (1 cell, in 'c')",
    ]


def test_the_table_given_is_not_changed():
    frame = pd.DataFrame({"a": ["1,5", "2,5"], "b": [1, 2]})
    before = frame.copy(deep=True)
    read_frame(frame)
    Schema.infer(frame)
    pd.testing.assert_frame_equal(frame, before)


def test_what_a_table_says_is_read_once():
    """A loader and an estimator both read cells: the second time nothing changes."""
    frame, _ = read(a=["1,5", "?", "2,5"], b=["true", "false", None], c=[" u", "v ", "-"], d=["01-02-2020"] * 3)
    again, notes = read_frame(frame)
    pd.testing.assert_frame_equal(again, frame)
    assert notes == []


# ---------------------------------------------------------------- dates


MOMENTS = pd.Series(pd.date_range("2024-03-28 08:00", periods=40, freq="7h", tz="Europe/Berlin"))
ZONED = {
    "name": (MOMENTS, "Europe/Berlin", "2024-03-31 03:00:00+02:00"),
    "offset": (MOMENTS.dt.tz_convert("UTC+05:30"), "UTC+05:30", "2024-03-31 06:30:00+05:30"),
    "of Python": (pd.Series(MOMENTS.dt.tz_convert("UTC-03:00").dt.to_pydatetime(), dtype=object), "-03:00", None),
    "text": (MOMENTS.astype(str), "+02:00", "2024-03-31 03:00:00+02:00"),  # most are of summer
    "text without a colon": (MOMENTS.dt.strftime("%Y-%m-%dT%H:%M:%S%z"), "+0200", "2024-03-31T03:00:00+0200"),
    "Greenwich": (MOMENTS.dt.tz_convert("UTC"), "UTC", "2024-03-31 01:00:00+00:00"),
    "none": (MOMENTS.dt.tz_localize(None), "", "2024-03-31 01:00:00"),
}


@pytest.mark.parametrize("case", ZONED)
def test_dates_are_written_in_their_time_zone(case):
    cells, zone, written = ZONED[case]
    column = column_of(cells, "when")
    assert column.zone == zone
    assert stored_column(asdict(column)) == column
    days = column.encode(cells)
    np.testing.assert_allclose(column.encode(column.decode(days)), days, atol=1e-9)
    assert written in (None, str(column.decode(np.array([19813 + 1 / 24])).iloc[0]))


def test_dates_that_say_no_zone_are_of_that_of_the_fit():
    for cells, _, _ in ZONED.values():
        column = column_of(cells, "when")
        if column.zone:
            own = pd.Series(MOMENTS.dt.tz_convert(as_zone(column.zone)))
            bare = own.dt.tz_localize(None)
            for given in (own, bare, bare.astype(str), own.astype(str)):
                np.testing.assert_allclose(column.encode(given), column.encode(cells), atol=1e-9)


def test_a_time_zone_that_a_file_makes_up_is_refused():
    column = asdict(column_of(MOMENTS, "when"))
    with pytest.raises(InputError, match="column 'when' has the time zone 'Europe/Atlantis'; fit again"):
        stored_column({**column, "zone": "Europe/Atlantis"})
    assert stored_column({name: value for name, value in column.items() if name != "zone"}).zone == ""


@pytest.mark.parametrize(
    ("texts", "form"),
    [
        (["01-02-2020", "13-02-2020"], "%d-%m-%Y"),
        (["01-02-2020", "02-13-2020"], "%m-%d-%Y"),
        (["01/02/2020", "02/03/2020"], "%d/%m/%Y"),  # either: day first, and told
        (["01/01/2020", "02/01/2020", "03/01/2020"], "%m/%d/%Y"),  # the first of each month
        (["01/01/2020", "01/02/2020", "01/03/2020"], "%d/%m/%Y"),
        (["2020/1/2", "2020/12/31"], "%Y/%m/%d"),
        (["3-Jan-20", "14-Feb-21"], "%d-%b-%y"),
        (["January 3, 2020", "May 14, 2021"], "%B %d, %Y"),
        (["2020-01-02T03:04:05.678+02:00"], "%Y-%m-%dT%H:%M:%S.%f%z"),
        (["1/2/2020 3:04 PM"], "%d/%m/%Y %I:%M %p"),
        (["31-12-2020", "12-31-2020"], None),
        (["2020-02-30"], None),
        (["1.5", "2.5"], None),
        ([], None),
    ],
)
def test_formats(texts, form):
    assert find_format(texts) == form


def test_dates_there_and_back():
    for form in ("%d-%m-%Y", "%Y-%m-%d", "%b %d, %Y", "%Y%m%d"):
        texts = pd.Series(["1969-12-30", None, "2024-02-29"])
        written = pd.Series(pd.to_datetime(texts).dt.strftime(form))
        days, wrong = to_days(written, form)
        assert days[[0, 2]].tolist() == [-2, 19782]
        assert np.isnan(days[1])
        assert not wrong.any()
        assert from_days(days, form).astype(object).where(written.notna(), None).astype(str).str.rstrip(
            ".0"
        ).tolist() == (written.where(written.notna(), None).astype(object).astype(str).str.rstrip(".0").tolist())


@pytest.mark.parametrize(
    "texts",
    [
        ["1/13/2022", "10/9/2021", "7/3/2022"],
        ["13.1.2022 9:05", "9.10.2021 17:30", "3.7.2022 0:01"],
        ["1/13/2022 1:05:00 am", "2/1/2021 12:05:00 pm"],
        ["05JAN2022", "31DEC2021"],
        ["2022年1月13日", "2022年10月9日"],
        ["January 13, 2022", "October 9, 2021"],
        ["01.02.2022", "13.12.2021"],
        ["9999-12-30", "2021-01-02"],
    ],
)
def test_dates_are_written_as_they_were(texts):
    column = column_of(pd.Series(texts), "since", "date")
    assert column.decode(column.encode(pd.Series(texts))).tolist() == texts
    assert "%" not in column.describe()
    assert stored_column(asdict(column)) == column


@pytest.mark.parametrize(
    "cells",
    [
        pd.Categorical(["lo", "hi", "mid", "lo"] * 3, ["lo", "mid", "hi"], ordered=True),
        pd.Categorical(["lo", "hi", None, "lo"] * 3, ["lo", "hi"]),
        pd.Categorical([3, 1, 2, 1] * 3, [3, 1, 2], ordered=True),
        pd.PeriodIndex(["2024-01", "2023-05", None, "2024-03"] * 3, freq="M"),
        pd.PeriodIndex(["2024Q1", "2023Q4", "2024Q3"] * 4, freq="Q-DEC"),
    ],
)
def test_types_of_pandas_come_back(cells):
    frame = pd.DataFrame({"v": cells, "a": np.arange(12) / 7})
    schema = Schema.from_dict(json.loads(json.dumps(Schema.infer(frame).as_dict())))
    pd.testing.assert_frame_equal(schema.decode(schema.encode(frame)), frame)
    as_text = frame.assign(v=frame["v"].astype(object).map(str, na_action="ignore").astype(object))
    if "Q" not in str(frame["v"].dtype):
        np.testing.assert_array_equal(schema.encode(as_text), schema.encode(frame))  # of a later file
    part = Schema.infer(frame[:9], schema.as_given())
    assert part.decode(part.encode(frame)).dtypes.equals(frame.dtypes)


@pytest.mark.parametrize(
    ("cells", "levels"),
    [
        (["01067", "10115", "80331", "01067"] * 5, ("01067", "10115", "80331")),
        (["00", "01", "02"] * 5, ("00", "01", "02")),
        (["007", "8", "12"] * 5, None),  # a slip among numbers
        (["00.5", "01.5", "2"] * 5, None),
    ],
)
def test_codes_keep_their_zeros(cells, levels):
    frame = pd.DataFrame({"code": cells, "a": np.arange(len(cells)) / 7})
    column = Schema.infer(frame).columns[0]
    assert (column.levels or None) == levels
    if levels:
        schema = Schema.infer(frame)
        assert schema.decode(schema.encode(frame))["code"].tolist() == cells
        later = frame.assign(code=pd.to_numeric(frame["code"]))  # a file that lost them
        np.testing.assert_array_equal(schema.read(later)[1], schema.encode(frame))


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (
            ["none"] * 30 + [f"{i / 7:.2f}" for i in range(20)],
            "numbers and text in one column: column 'v' (first 'none'",
        ),
        (
            ["<0.1"] * 30 + [f"{i / 7:.2f}" for i in range(20)],
            "numbers and text in one column: column 'v' (first '<0.1'",
        ),
        ([f"{30 + i}:{i:02}:00" for i in range(20)], "durations: column 'v' (first '30:00:00'"),
        ([f"PT{i}H{i + 1}M" for i in range(20)], "durations: column 'v' (first 'PT0H1M'"),
        (
            [f"{i} kg" if i % 2 else f"{i} g" for i in range(20)],
            "numbers with several units (g, kg) in one column: column",
        ),
        ([f"{i}h {i + 1}m" for i in range(20)], "durations: column 'v' (first '0h 1m'"),
        (
            ["50 kg", "51", "52 kg", "48"] * 5,
            "numbers written in several ways in one column: column 'v' (first '50 kg'",
        ),
        ([f"{i} kg" if i % 2 else f"{i}" for i in range(20)], "numbers written in several ways in one column: column"),
        (
            [f"~{i / 2}" if i % 3 else f"{i / 2}" for i in range(20)] * 2,
            "numbers written in several ways in one column",
        ),
        (["1.5K", "2M", "300", "4k"] * 5, "numbers written in several ways in one column: column 'v' (first '1.5K'"),
        (["50 kg", "51", "52 kg", "heavy"] * 5, "numbers and text in one column: column 'v' (first 'heavy' in row 3"),
    ],
)
def test_text_that_is_no_level_is_refused(cells, message):
    with pytest.raises(InputError, match=re.escape(message)):
        Schema.infer(pd.DataFrame({"v": cells, "a": np.arange(len(cells)) / 7}))


@pytest.mark.parametrize("cells", [["250 ml", "1 l", "500 ml"], ["7c", "8", "9c"], ["S", "M", "10"], ["1a", "2b", "3"]])
def test_few_texts_with_units_or_letters_are_levels(cells):
    assert kind_of(cells * 9) == "categorical"


def test_all_faults_are_told_at_once():
    frame = pd.DataFrame({"l": [[1], [2]], "s": [{1}, {2}], "t": pd.to_timedelta([1, 2], "h"), "a": [1.5, 2.5]})
    with pytest.raises(InputError, match=r"list cells: column 'l'.*; also set cells: column 's'"):
        Schema.infer(frame)
    with pytest.raises(InputError, match=r"timedelta.*'t'.*; also infinity: column 'a'"):
        Schema.infer(frame.assign(a=[np.inf, 1.5])[["t", "a"]])


@pytest.mark.parametrize(
    ("numbers", "told"),
    [
        ([-999, *range(20), -999], "-999 in 'v' (2 cells)"),
        ([99, 88] * 2 + [1, 2, 3, 4, 5] * 4, "99 in 'v' (2 cells), 88 in 'v' (2 cells)"),
        ([*np.arange(20) / 7, 1e30], "1e+30 in 'v' (1 cell)"),
        (pd.to_datetime(["9999-12-31", *pd.date_range("2024-01-01", periods=20, freq="9D").astype(str)]), "9999-12-31"),
        (
            [-999, -999, -999, *R.lognormal(10, 1, 60)],
            "the only negative numbers of their column: -999 in 'v'",
        ),
        ([-1] * 30 + [*range(18, 88)] * 3, "the only negative numbers of their column: -1 in 'v' (30 cells)"),
        ([-1] * 3 + [*np.repeat(np.arange(34), 5)], ""),  # degrees of a mild winter
        ([-1] * 30 + [-2] + [*R.lognormal(10, 1, 60)], ""),
        ([-1, *R.lognormal(10, 1, 60)], ""),
        (R.choice([-1, 0, 1], 200), ""),
        (R.lognormal(0, 1.5, 200), ""),
        (R.poisson(0.1, 200), ""),
        (R.integers(18, 100, 200), ""),
    ],
)
def test_numbers_that_may_stand_for_missing_cells_are_told(numbers, told):
    doubt = Schema.infer(pd.DataFrame({"v": numbers, "a": np.arange(len(numbers)) / 7})).doubt
    assert told in doubt
    assert bool(doubt) == bool(told)


def test_columns_that_have_the_type_of_dates_read_text_later():
    """A fit to Parquet, and next month's rows as text."""
    typed = Schema.infer(pd.DataFrame({"a": pd.date_range("2024-01-01", periods=9, freq="7h")}))
    later = pd.DataFrame({"a": ["2024-02-29 06:00:00", "2024-03-01T00:00:00Z"]})
    np.testing.assert_array_equal(typed.encode(later)[:, 0], [19782.25, 19783.0])
    with pytest.raises(InputError, match=r"dates that cannot be read: column 'a' \(first 'soon' in row 0"):
        typed.encode(pd.DataFrame({"a": ["soon"]}))


def test_whole_numbers_that_differ_by_less_than_floating_point_numbers():
    frame = pd.DataFrame({"a": 2**62 + np.arange(9) % 5, "b": np.arange(9) / 7})
    schema = Schema.infer(frame, {"a": "numeric"})
    assert schema.without().startswith("1 of 2 columns is left out: 'a' (it varies by less than floating-point numbers")


LONG = {
    "all different": (10**17 + np.arange(200), "identifier"),
    "of many bits": (2**60 + np.arange(200), "identifier"),
    "repeated": (2**60 + np.arange(200) % 80, "identifier"),
    "levels": (2**60 + np.arange(200) % 9, "categorical"),
    "one value": (np.full(200, 2**60 + 1), "single value"),
    "beyond int64": (np.uint64(2**63) + np.arange(200, dtype=np.uint64), "identifier"),
}


@pytest.mark.parametrize("name", LONG)
def test_long_whole_numbers_keep_their_digits(name, tmp_path):
    """Ids in data frames, as text, beside missing cells, and from files."""
    values, kind = LONG[name]
    frame = pd.DataFrame({"number": values, "b": np.arange(200) / 7})
    gaps = frame.astype({"number": "UInt64" if values.dtype.kind == "u" else "Int64"})
    gaps.loc[[3, 199], "number"] = pd.NA
    objects = gaps["number"].astype(object).where(gaps["number"].notna(), None)
    tables = [frame, gaps, frame.astype({"number": str}), gaps.assign(number=objects)]
    for i, table in enumerate((frame, gaps)):
        table.to_csv(tmp_path / f"{i}.csv", index=False)
        tables.append(read_text(tmp_path / f"{i}.csv")[0])
        cells = [None if value is pd.NA else int(value) for value in table["number"]]
        numbers = pyarrow.array(cells, pyarrow.uint64() if values.dtype.kind == "u" else pyarrow.int64())
        write_table(pyarrow.table([numbers, pyarrow.array(table["b"])], ["number", "b"]), tmp_path / f"{i}.parquet")
        tables.append(as_pandas(read_table(tmp_path / f"{i}.parquet")))
    schemas = [Schema.infer(table) for table in tables]
    for schema in schemas:
        (left,) = schema.left_out or (None,)
        assert (left.why if left else schema.columns[0].kind) == kind
        assert name != "one value" or left.value == str(2**60 + 1)
        if kind == "categorical":  # next month's file, and one with other numbers close by
            for table in tables:
                codes = schema.encode(table)[:, 0]
                assert np.isnan(codes).sum() == pd.isna(table["number"]).sum()
                assert (np.isnan(codes) | (codes == np.arange(200) % 9)).all()
            later = table.assign(number=2**60 + 9 + np.arange(200))
            assert sum(one.cells for one in schema.read(later)[2].unknown) == 200
            for table in (frame, gaps):
                drawn = schema.decode(schema.encode(table))["number"].dropna()
                assert set(map(int, drawn)) == set(values.tolist())


def test_few_long_numbers_among_others_are_numbers():
    slip = [*range(100, 200), 2**63 - 1]
    assert kind_of(slip) == kind_of([*map(str, slip)]) == "numeric"
    assert kind_of(np.arange(200) * 2.0**60) == "numeric"
    assert kind_of(10**9 * (1_700_000_000 + 61 * np.arange(200) ** 2)) == "numeric"  # nanoseconds


def test_dates_of_either_order_are_told():
    frame = pd.DataFrame({"a": ["01/02/2020", "02/03/2020"], "b": ["13/02/2020", "02/03/2020"], "c": [1.5, 2.5]})
    schema = Schema.infer(frame)
    assert schema.notes == ("dates that can be read day first or month first: 'a' as '%d/%m/%Y'",)
    other = Schema.infer(frame, {"a": "date %m/%d/%Y"})
    assert other.columns[0].decode(other.encode(frame)[:, 0]).tolist() == frame["a"].tolist()
    assert (other.encode(frame)[:, 0] != schema.encode(frame)[:, 0]).all()


def test_moments_keep_their_time():
    frame = pd.DataFrame({"a": ["2020-12-31 23:59:30", "2021-01-01 00:00:00", "2021-05-01 12:00:00"]})
    schema = Schema.infer(frame)
    assert schema.decode(schema.encode(frame))["a"].tolist() == frame["a"].tolist()
    whole = Schema.infer(pd.DataFrame({"a": [20201231, 20210101, 20210501]}))
    assert whole.decode(np.array([[18_627.4]]))["a"].tolist() == [20201231]
    with pytest.raises(InputError, match="dates that cannot be read: column 'a'"):
        whole.encode(pd.DataFrame({"a": [202012, 20210101]}))


def test_left_out_columns_say_why():
    assert LeftOut("a", "single value", "3").describe() == "a: left out, its only value is 3"
    found = column_of(pd.Series(np.full(5, 3)), "a")
    assert found == LeftOut("a", "single value", "3")
    assert column_of(pd.Series(np.full(5, 2.5)), "a") == LeftOut("a", "single value", "2.5")
    assert column_of(pd.Series([True] * 4), "a") == LeftOut("a", "single value", "True")


def test_new_dates_are_not_finer_than_those_of_the_fit():
    random, n = np.random.default_rng(0), 200
    days = pd.Series(pd.Timestamp("2024-01-01") + pd.to_timedelta(random.integers(0, 700, n), "D"))
    minutes = pd.Series(pd.to_timedelta(random.integers(0, 1440, n), "min"))
    hours, berlin = minutes.dt.floor("h"), days.dt.tz_localize("Europe/Berlin")
    frame = pd.DataFrame(
        {
            "clock": [time(*divmod(int(minute.total_seconds()) // 60, 60)) for minute in minutes],
            "minute": days + minutes,
            "hour": (days + hours).dt.tz_localize("Asia/Kolkata"),
            "noon": days + pd.Timedelta(12, "h"),
            "day": berlin,  # an hour less in summer, by Greenwich
            "text": (days + hours).dt.strftime("%Y-%m-%d %H:%M:%S"),
            "second": days + minutes + pd.to_timedelta(random.integers(0, 60, n), "s"),
        }
    )
    schema = Schema.infer(frame)
    pd.testing.assert_frame_equal(schema.decode(schema.encode(frame)).astype(str), frame.astype(str), check_dtype=False)
    low, high = np.nanmin(schema.encode(frame), 0), np.nanmax(schema.encode(frame), 0)
    new = schema.decode(random.uniform(low, high, (n, len(low))))
    assert new["clock"].str.endswith(":00").all()
    assert not (new["clock"].str.endswith(":00:00")).all()
    assert (new["minute"] == new["minute"].dt.floor("min")).all()
    assert (new["hour"] == new["hour"].dt.floor("h")).all()
    assert (new["noon"].dt.strftime("%H:%M:%S") == "12:00:00").all()
    assert (new["day"].dt.strftime("%H:%M:%S") == "00:00:00").all()
    assert new["text"].str.endswith(":00:00").all()
    assert (new["second"].dt.second != 0).any()
    assert Schema.from_dict(json.loads(json.dumps(schema.as_dict()))) == schema


def test_hours_that_a_clock_shows_twice_are_two():
    at = pd.Series(pd.date_range("2024-10-26", periods=72, freq="h", tz="Europe/Berlin"))
    frame = pd.DataFrame({"at": at, "x": np.arange(72) / 4})
    schema = Schema.infer(frame)
    pd.testing.assert_series_equal(schema.decode(schema.encode(frame))["at"], frame["at"], check_dtype=False)
    assert read_given({"at": at[27]}, schema.columns, {}).values[0] == schema.encode(frame)[27, 0]


def test_ends_of_a_range_of_moments_are_those_that_rows_can_have():
    hours = pd.Series(pd.date_range("2024-03-30", periods=72, freq="h", tz="Europe/Berlin"))
    for cells, low, high in (
        (hours, "2024-03-31 00:00:00+01:00", "2024-04-01 00:00:00+02:00"),
        (hours[hours.dt.hour == 0], "2024-03-31 00:00:00+01:00", "2024-04-01 00:00:00+02:00"),
    ):
        schema = Schema.infer(
            pd.DataFrame({"at": cells.reset_index(drop=True), "x": range(len(cells))}), {"x": "numeric"}
        )
        asked = ("2024-03-30 23:30:00+01:00", "2024-04-01 00:10:00+02:00")
        found = read_given({"at": asked}, schema.columns, {})
        ends = [schema.columns[0].decode(np.array([end[0]])).iloc[0] for end in (found.low, found.high)]
        assert [str(end) for end in ends] == [low, high]
