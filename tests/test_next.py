"""Next month's file: what is read when it is unlike the file of the fit."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cpvae.data.schema import Schema
from cpvae.errors import InputError, ReadWarning


def shop(n: int = 60, seed: int = 0) -> pd.DataFrame:
    """Draw customers of two kinds: the second are older, spend more, and are members."""
    random = np.random.default_rng(seed)
    old = random.random(n) < 0.4
    return pd.DataFrame(
        {
            "id": [f"C{i:04d}" for i in range(n)],
            "age": np.where(old, random.normal(60, 5, n), random.normal(30, 5, n)).round(),
            "spent": np.where(old, random.normal(90, 10, n), random.normal(40, 10, n)).round(2),
            "region": random.choice(["north", "south", "west"], n),
            "member": random.random(n) < np.where(old, 0.9, 0.1),
            "code": random.choice(["007", "A12", "012"], n),
            "since": pd.Timestamp("2020-01-01") + pd.to_timedelta(random.integers(0, 900, n), "D"),
        }
    ).assign(since=lambda frame: frame["since"].dt.strftime("%d.%m.%Y"))


SHOP = shop()
SCHEMA = Schema.infer(SHOP, {"code": "categorical"})


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"member": SHOP["member"].map({True: "yes", False: "no"})}, "'yes' for 'True'"),
        ({"member": SHOP["member"].map({True: "Y", False: "N"})}, "'Y' for 'True'"),
        ({"member": SHOP["member"].astype(int)}, ""),
        ({"member": SHOP["member"].map(str)}, ""),
        ({"region": SHOP["region"].str.upper()}, "'WEST' for 'west'"),
        ({"code": SHOP["code"].map(lambda code: code.lstrip("0"))}, "for '012', "),
        ({"age": SHOP["age"].map("{:.0f}".format), "spent": SHOP["spent"].map("{:,.2f} €".format)}, ""),
        ({"age": SHOP["age"].astype("Int64"), "region": SHOP["region"].astype("category")}, ""),
        ({"since": pd.to_datetime(SHOP["since"], format="%d.%m.%Y")}, ""),
        ({"since": pd.to_datetime(SHOP["since"], format="%d.%m.%Y").dt.strftime("%Y%m%d").astype(int)}, ""),
        (
            {"since": pd.to_datetime(SHOP["since"], format="%d.%m.%Y").dt.strftime("%m/%d/%Y")},
            "column 'since' has dates read as month/day/year, unlike those of the fit",
        ),
    ],
)
def test_cells_written_otherwise_mean_the_same(changes: dict[str, Any], told: str):
    frame = SHOP.assign(**changes)
    cells, matrix, reading = SCHEMA.read(frame)
    np.testing.assert_array_equal(matrix, SCHEMA.encode(SHOP))
    assert told in "; ".join(reading.guessed)
    assert bool(told) == bool(reading.differences())
    if told:
        with pytest.raises(InputError, match="leave out --strict"):
            SCHEMA.encode(frame, strict=True)
    with warnings.catch_warnings():  # what conforms is told of once
        warnings.simplefilter("error")
        np.testing.assert_array_equal(SCHEMA.encode(cells), matrix)


def test_whole_numbers_that_stand_for_text_keep_their_level():
    alone = SHOP[SHOP["code"] == "007"].assign(code=7.0)  # as a file with nothing else in the column is read
    assert (SCHEMA.read(alone)[1][:, SCHEMA.names.index("code")] == SCHEMA.columns[4].levels.index("007")).all()


def test_a_guess_is_made_only_where_one_level_can_be_meant():
    frame = pd.DataFrame({"a": ["x", "X", "y"] * 9, "b": ["yes", "no", "perhaps"] * 9})
    schema = Schema.infer(frame)
    new = pd.DataFrame({"a": ["x", "X", "Y", "z"], "b": ["Yes", "true", "no", 1]})
    _, matrix, reading = schema.read(new)
    np.testing.assert_array_equal(matrix[:, 0], [1, 0, 2, np.nan])
    np.testing.assert_array_equal(matrix[:, 1], [2, np.nan, 0, np.nan])
    assert [(one.column, one.levels, one.cells) for one in reading.unknown] == [
        ("a", ("z",), 1),
        ("b", ("true", "1"), 2),
    ]


def test_dates_that_no_single_way_reads_are_refused():
    with pytest.raises(InputError, match=r"dates that cannot be read: column 'since' \(first 'soon' in row 3"):
        SCHEMA.read(SHOP.assign(since=SHOP["since"].where(SHOP.index != 3, "soon")))
    known = SCHEMA.encode(SHOP)
    assert np.isnan(SCHEMA.encode(SHOP.assign(since=None))[:, -1]).all()
    assert not np.isnan(known[:, -1]).any()


def test_what_was_read_is_said_in_three_lines():
    new = SHOP[SHOP.columns[::-1]].drop(columns=["id", "age"]).assign(region="mars", shop=1, spent=None)
    assert SCHEMA.read(new)[2].lines("new.csv", "kind") == [
        "read new.csv: 60 rows, 5 of the 6 columns of the fit, in another order",
        "columns that the fit did not have: 'shop'; left out (say --labels shop if it holds labels)",
        "no column 'age', taken as missing; no value in column 'spent'; "
        "column 'region' has 'mars' in 60 cells: not there in the fit, taken as missing",
    ]
    assert SCHEMA.read(SHOP)[2].lines("new.csv") == ["read new.csv: 60 rows, all 6 columns of the fit"]
    kind = SCHEMA.read(SHOP.assign(a=1, kind=2))[2]
    assert "say --labels kind if" in kind.lines("new.csv", "kind")[1]
    with pytest.raises(InputError, match=r"columns 'a', 'kind' that the fit .* say --labels a if it holds labels, or"):
        kind.check()


def test_names_in_capital_letters_are_hinted_at():
    with pytest.raises(InputError, match=r"no column of the fit is there: .*; write the names as they were in the fit"):
        SCHEMA.read(SHOP.rename(columns=str.upper))


def test_warnings_of_reading_can_be_made_errors():
    with warnings.catch_warnings():
        warnings.simplefilter("error", ReadWarning)
        with pytest.raises(ReadWarning, match="column 'more' that the fit did not have"):
            SCHEMA.encode(SHOP.assign(more=1))
