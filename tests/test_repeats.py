"""Values that repeat in a column, such as zeros and round sums: how often new rows have them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cpvae import CPVAE, InputError, load
from cpvae.data.columns import Column
from cpvae.data.conditions import read_given
from cpvae.data.rows import Rows
from cpvae.data.stored import stored_column
from cpvae.estimators import repeats
from cpvae.estimators.repeats import find

TINY: dict[str, Any] = {"latent_dim": 2, "hidden": (8,), "max_epochs": 8, "learning_rate": 0.02, "batch_size": 50}


def customers(n: int = 400) -> pd.DataFrame:
    """Draw customers: those with a house have a debt, most of it a multiple of 1,000; the others have none."""
    random = np.random.default_rng(0)
    house = random.random(n) < 0.4
    debt = np.exp(random.normal(8.5, 0.6, n)).round()
    debt = np.where(random.random(n) < 0.7, 1000 * np.maximum(1, (debt / 1000).round()), debt)
    age = (random.normal(35, 8, n) + 15 * house).round(1)
    return pd.DataFrame({"debt": np.where(house, debt, 0).astype(int), "age": age, "house": np.where(house, "y", "n")})


@pytest.fixture(scope="module")
def fitted() -> CPVAE:
    return CPVAE(2, init="random", random_state=0, schema={"debt": "amount", "age": "numeric"}, **TINY).fit(customers())


def test_new_rows_have_zeros_and_round_sums_as_often_as_the_table(fitted):
    table, (rows, _) = customers(), fitted.sample(4_000)
    debt = next(column for column in fitted.schema_.columns if column.name == "debt")
    assert {0.0, 4000.0, 5000.0} <= {value for value, _, _ in debt.repeats}
    assert debt.repeats[0][2] > 0  # drawn numbers above zero are written as zero
    assert not next(column for column in fitted.schema_.columns if column.name == "age").repeats
    for value, _, _ in debt.repeats:
        assert (rows["debt"] == value).mean() == pytest.approx((table["debt"] == value).mean(), abs=0.03)
    assert rows["debt"].nunique() > 50  # other numbers are still drawn
    zeros = rows["debt"] == 0
    assert (rows["house"] == "n")[zeros].mean() > (rows["house"] == "n")[~zeros].mean() + 0.4


@pytest.mark.parametrize("given", [{"debt": 0}, {"debt": 5000}, {"debt": (3500, 5000)}, {"debt": (None, 2000)}])
def test_rows_given_a_value_that_repeats_are_those_of_sample_that_have_it(fitted, given):
    low, high = given["debt"] if isinstance(given["debt"], tuple) else (given["debt"], given["debt"])
    rows, _ = fitted.sample(2_000, given=given)
    plain, _ = fitted.sample(30_000)
    plain = plain[plain["debt"].between(-1 if low is None else low, high)]
    assert rows["debt"].between(-1 if low is None else low, high).all()
    for values, others in (
        (rows["age"], plain["age"]),
        (rows["house"] == "y", plain["house"] == "y"),
        (rows["debt"] == high, plain["debt"] == high),
        (rows["debt"] == 4000, plain["debt"] == 4000),
    ):
        error = np.std(others) * np.sqrt(1 / len(plain) + 1 / rows.attrs["effective"] + 1 / len(rows))
        assert abs(np.mean(values) - np.mean(others)) < 4.5 * error + 1e-9


def test_a_range_of_numbers_that_are_all_written_as_another_value_can_still_be_given(fitted):
    rows, _ = fitted.sample(50, given={"debt": (1, 3)})
    assert rows["debt"].between(1, 3).all()


def test_drawn_cells_repeat_and_means_do_not(fitted, tmp_path: Path):
    table = customers(80).astype({"debt": float})
    table.loc[:39, "debt"] = None
    drawn = np.concatenate([one["debt"][:40] for one in fitted.impute(table, 5)])
    assert 0.3 < (drawn == 0).mean() < 0.9
    mean = fitted.impute(table, mean=True)["debt"][:40]
    assert (mean == 0).mean() < (drawn == 0).mean()
    fitted.save(tmp_path / "model.safetensors")
    again = load(tmp_path / "model.safetensors")
    assert again.schema_ == fitted.schema_
    pd.testing.assert_frame_equal(again.sample(100)[0], fitted.sample(100)[0])


def test_some_rows_are_enough_where_a_table_is_large(fitted, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(repeats, "MOST_NUMBERS", 3 * 250)
    rows = Rows(fitted.schema_.encode(customers()))
    found = {column.name: column.repeats for column in repeats.with_repeats(fitted, rows, None).columns}
    assert found["debt"][0][0] == 0
    assert not found["age"]


def test_only_values_beyond_chance_repeat():
    random = np.random.default_rng(0)
    drawn, column = random.normal(size=10_000), Column("a", "numeric", decimals=1)
    assert find(column, random.normal(size=500).round(1), drawn) == []
    heaped = np.where(random.random(500) < 0.2, 0.5, random.normal(size=500).round(1))
    ((value, low, high),) = find(column, heaped, drawn)
    assert value == 0.5
    assert np.mean((drawn >= low) & (drawn <= high)) == pytest.approx((heaped == 0.5).mean(), abs=0.001)
    weights = np.where(heaped == 0.5, 0.05, 1.0)  # so many as chance has
    assert find(column, heaped, drawn, weights) == []


def test_neighbours_share_the_numbers_between_them():
    column = Column("a", "numeric", decimals=0, least=0.0)
    values = np.repeat([1.0, 2.0, 3.0], [10, 80, 10])
    found = find(column, values, np.linspace(0, 4, 2001))
    assert [value for value, _, _ in found] == [2.0]
    found = find(column, np.repeat([0.0, 1.0, 3.0, 9.0], [50, 30, 15, 5]), np.linspace(0, 10, 2001))
    assert [round(end, 1) for one in found for end in one] == [0, 0, 5, 1, 5, 8]
    found = find(column, np.repeat([2.0, 6.0], [20, 80]), np.linspace(0, 10, 2001) ** 2)
    assert [round(end) for one in found for end in one] == [2, 0, 4, 6, 4, 100]


@pytest.mark.parametrize("kept", [3, [[1, 2]], [[1, 3, 2]], [[0, 0, 5], [3, 3, 4]], [["a", 0, 1]], [[0, 0, None]]])
def test_files_with_repeats_that_no_fit_has_kept_are_refused(kept):
    item = {"name": "a", "kind": "numeric", "levels": [], "missing": 0}
    assert stored_column({**item, "repeats": [[0, 0, 5]]}).repeats == ((0.0, 0.0, 5.0),)
    with pytest.raises(InputError, match=re.escape("column 'a' has the repeats")):
        stored_column({**item, "repeats": kept})


def test_events_hold_all_numbers_that_are_written_as_a_value():
    column = Column("a", "numeric", decimals=0, least=0.0, repeats=((0.0, 0.0, 30.0), (100.0, 80.0, 110.0)))
    ends = {
        (0, 50): (-np.inf, 50.5),
        (1, 50): (30.0, 50.5),
        (50, 100): (49.5, 110.0),
        (50, 99): (49.5, 80.0),
        (101, 105): (100.5, 105.5),
    }
    for asked, event in ends.items():
        low, high = read_given({"a": asked}, [column, Column("b", "numeric")], {}).event()
        assert (low[0], high[0]) == event
    condition = read_given({"a": 100, "b": 2}, [column, Column("b", "numeric"), Column("c", "numeric")], {})
    assert (condition.event()[0][0], condition.event()[1][0]) == (80.0, 110.0)
    np.testing.assert_array_equal(condition.single, [np.nan, 2, np.nan])
