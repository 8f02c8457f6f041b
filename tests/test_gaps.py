"""Where new signals end, and what is missing inside of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from cpvae import CPVAE, FitWarning, InputError, load
from cpvae.checkpoints import load_tensors, save_tensors
from cpvae.estimators import gaps, novelty, replay
from cpvae.study.answers import sample_rows

SMALL = {"latent_dim": 2, "hidden": (8,), "max_epochs": 6, "batch_size": 20, "init": "kmeans", "random_state": 0}


@pytest.fixture(scope="module")
def model() -> CPVAE:
    """A model of short and of long signals of two channels; values of the second channel are missing now and then."""
    random = np.random.RandomState(0)
    lengths = np.r_[random.randint(5, 8, size=60), random.randint(10, 15, size=60)]
    x = np.full((120, 2, 14), np.nan)
    for row, n in zip(x, lengths, strict=True):
        row[:, :n] = random.normal(size=(2, n)) + 5 * (n < 9)
    x[:, 1][random.uniform(size=(120, 14)) < 0.1] = np.nan
    return CPVAE(2, **SMALL).fit(x)


def test_new_signals_end_once_and_as_those_of_their_category_do(model: CPVAE):
    x, c = model.sample(4000, missing=True)
    there = ~np.isnan(x)
    np.testing.assert_array_equal(there[:, 0], np.sort(there[:, 0])[:, ::-1])  # no hole in the first channel
    for k, rates in enumerate(model.missing_rates_.reshape(2, 2, 14)):
        np.testing.assert_allclose(1 - there[c == k].mean(0), rates, atol=0.05)
    lengths = there[:, 0].sum(1)
    assert sorted(float(np.median(lengths[c == k])) for k in range(2)) == [6.0, 12.0]
    assert (there[:, 1] & ~there[:, 0]).mean() < 0.005  # both channels end together
    inside = ~there[:, 1] & there[:, 0]
    assert 0.07 < inside.sum() / there[:, 0].sum() < 0.13
    assert 0.005 < (inside[:, 1:] & inside[:, :-1]).mean() / inside.mean() < 0.15  # and not one after the other
    assert not np.isnan(model.sample(50)[0]).any()


def test_what_is_given_of_a_signal_is_never_missing(model: CPVAE):
    given = np.full((2, 14), np.nan)
    given[0, 13] = 0.0
    x, _ = model.sample(50, given=given, missing=True)
    assert (x[:, 0, 13] == 0.0).all()
    assert not np.isnan(x[:, 0]).any()  # a signal does not end before what is known of it
    assert np.isnan(x[:, 1]).mean() < 0.2
    given[0, 13], given[:, 7] = np.nan, 0.0
    x, _ = model.sample(200, given=given, missing=True)
    assert (x[:, :, 7] == 0.0).all()
    assert not np.isnan(x[:, 0, :8]).any()
    assert 0.2 < np.isnan(x[:, 0, 13]).mean() < 1.0
    with pytest.raises(InputError, match=r"expected an array of shape \(2, 14\) .*; got one of shape \(2, 1\)"):
        model.sample(2, given=[[0.5], [0.5]])


def test_the_rates_of_signals_are_kept_in_a_file(model: CPVAE, tmp_path: Path):
    model.save(tmp_path / "model")
    again = load(tmp_path / "model")
    np.testing.assert_array_equal(again.missing_rates_, model.missing_rates_)
    np.testing.assert_array_equal(again.sample(9, missing=True)[0], model.sample(9, missing=True)[0])
    assert again.missing_rates_.dtype == np.float32
    tensors, meta = load_tensors(tmp_path / "model")
    assert meta["fitted"]["missing_rates"] == {}  # a header has no room for many
    for bad in (tensors["missing_rates"] + 1, tensors["missing_rates"][:1], tensors["missing_rates"].double()):
        save_tensors(tmp_path / "bad", {**tensors, "missing_rates": bad}, meta)
        with pytest.raises(InputError, match="the rates of missing values of signals cannot be used; fit again"):
            load(tmp_path / "bad")
    said = sample_rows(again, 9, None, "auto", None, None, tmp_path / "new.csv", missing=True)
    assert said.endswith("of the values are missing: each value as often as in its category among the rows fitted")


def test_signals_without_an_end_and_a_row_of_holes():
    random = np.random.RandomState(0)
    whole = CPVAE(2, **SMALL).fit(random.normal(size=(30, 2, 6)))
    assert not whole.missing_rates_.any()
    assert not np.isnan(whole.sample(9, missing=True)[0]).any()
    whole.missing_rates_ = np.full((2, 12), 0.9)
    assert (~np.isnan(whole.sample(500, missing=True)[0])).any((1, 2)).all()  # none without a value
    with pytest.raises(InputError, match="expected a model of a table or of signals"):
        CPVAE(2, **SMALL).fit(random.normal(size=(30, 3))).sample(2, missing=True)


def test_replayed_signals_end_and_those_that_odd_rows_are_compared_with_do_not(model: CPVAE, monkeypatch):
    drawn, _ = replay.draw(model, np.array([30, 30]), 0)
    assert np.isnan(drawn).mean() > 0.2
    seen = []
    monkeypatch.setattr(novelty, "_bounds", lambda model, rows: (seen.append(rows), (np.zeros(3), None))[1])
    novelty.lowest(model)
    assert not np.isnan(seen[0].x.numpy()).any()


def test_an_older_file_does_not_say_where_signals_end(model: CPVAE, tmp_path: Path):
    model.save(tmp_path / "model")
    tensors, meta = load_tensors(tmp_path / "model")
    del tensors["missing_rates"], meta["fitted"]["missing_rates"]
    save_tensors(tmp_path / "old", tensors, meta)
    old = load(tmp_path / "old")
    assert old.missing_rates_ is None
    old.set_params(max_epochs=1)
    with pytest.warns(FitWarning, match=r"did not keep how often cells are missing, or where signals end: none is"):
        old.continue_fit(np.random.RandomState(0).normal(size=(20, 2, 14)), n_new=1)
    assert old.missing_rates_ is None  # those of replayed rows are not those of the data


def test_rates_are_shares_whatever_is_rounded():
    random = np.random.RandomState(0)
    for _ in range(30):
        q = torch.from_numpy(random.dirichlet(np.ones(7), 60))
        found = gaps.rates(q.T @ torch.ones(60, 1, dtype=torch.float64), q.sum(0))
        assert found.max() <= 1.0


def test_what_has_ended_is_what_stays_missing():
    ended = gaps.after_the_end(np.array([[0.1, 0.1, 0.4, 0.3, 1.0], [0.0, 0.2, 0.0, 0.0, 0.0]]))
    np.testing.assert_allclose(ended, [[0.0, 0.0, 2 / 9, 2 / 9, 1.0], [0.0] * 5])
