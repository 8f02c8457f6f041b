"""Measures of signals and pictures: each is what its name says, whatever is missing, and descriptions tell them."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from cpvae import CPVAE, FitWarning
from cpvae.study.drift import drift
from cpvae.words.measures import measures

TIMES = np.arange(60)


def named(rows: np.ndarray, ink: bool = False) -> dict[str, np.ndarray]:
    """Measure rows, by the name of the measure."""
    values, features = measures(rows, ink)
    assert values.shape == (len(rows), len(features))
    return {feature.column: values[:, i] for i, feature in enumerate(features)}


def test_signals_are_measured_channel_by_channel():
    wave = 2.0 + 3.0 * np.sin(2 * np.pi * 5 * TIMES / 60)
    line = 0.5 * TIMES - 4.0
    found = named(np.stack([wave, line])[None])
    assert len(found) == 10
    assert found["level of channel 0"] == pytest.approx(2.0)
    assert found["variation of channel 0"] == pytest.approx(3.0 / 2**0.5)
    assert found["cycles of channel 0"] == pytest.approx(5.0)
    assert found["rise of channel 1"] == pytest.approx(0.5 * 59)
    assert found["level of channel 1"] == pytest.approx(line.mean())
    assert found["time of the highest value in channel 1"] == 59
    assert found["time of the highest value in channel 0"] == 3
    mixed = named((wave + np.sin(2 * np.pi * 10 * TIMES / 60))[None, None])
    assert mixed["cycles"] == pytest.approx((9 * 5 + 1 * 10) / 10)  # by power, not by amplitude


def test_what_is_missing_of_a_signal_takes_no_part():
    whole = (0.5 * TIMES - 4.0)[None]
    padded = whole.copy()
    padded[:, 40:] = np.nan
    late, gone = whole.copy(), np.full_like(whole, np.nan)
    late[:, :10] = np.nan
    found = named(np.stack([whole, padded, late, gone]))
    np.testing.assert_allclose(found["length"], [60, 40, 50, 0])
    np.testing.assert_allclose(found["rise"], [0.5 * 59, 0.5 * 39, 0.5 * 49, np.nan])
    np.testing.assert_allclose(found["level"], [whole.mean(), whole[:, :40].mean(), whole[:, 10:].mean(), np.nan])
    np.testing.assert_allclose(found["time of the highest value"], [59, 39, 59, np.nan])


def test_cycles_of_a_short_signal_are_counted_in_the_signal():
    short = np.full(60, np.nan)
    short[10:40] = np.sin(2 * np.pi * 3 * np.arange(30) / 30)
    assert named(np.stack([short, TIMES / 1.0])[:, None])["cycles"][0] == pytest.approx(3.0, abs=0.3)


def test_pictures_with_missing_pixels_are_measured_by_the_others():
    rows = np.ones((1, 1, 9, 9))
    rows[0, 0, 4, 4] = np.nan
    rows[0, 0, :3] = 0.0
    found = named(rows)
    np.testing.assert_allclose(found["brightness"], 53 / 80)
    np.testing.assert_allclose([found[f"brightness {place}"][0] for place in ("in the middle", "at the top")], [1, 0])


def test_a_still_signal_has_no_cycles():
    assert np.isnan(named(np.full((2, 1, 8), 3.0))["cycles"]).all()
    assert named(np.full((2, 1, 1), 3.0))["level"].tolist() == [3.0, 3.0]


def test_pictures_are_measured_as_a_whole_in_parts_and_in_colours():
    rows = np.zeros((2, 3, 9, 6))
    rows[0, 0, 3:6, 2:4] = 1.0  # red in the middle
    rows[1, :, 0:3, 0:2] = 1.0  # white at the top left
    found = named(rows)
    np.testing.assert_allclose(found["brightness"], [1 / 27, 1 / 9])
    np.testing.assert_allclose(found["brightness in the middle"], [1 / 3, 0])
    np.testing.assert_allclose(found["brightness at the top left"], [0, 1])
    np.testing.assert_allclose(found["red beside the other colours"], [1 / 9 - 1 / 27, 0], atol=1e-12)
    np.testing.assert_allclose(found["contrast"], rows.mean(1).std((1, 2)))
    assert sum(name.startswith("brightness ") for name in found) == 9
    assert list(named(rows[:, :1, :2], ink=True)) == ["ink", "contrast"]


def fitted(x: np.ndarray, **changes: object) -> CPVAE:
    """Fit two categories for a moment, from k-means."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        return CPVAE(
            2, latent_dim=2, hidden=(16,), max_epochs=30, batch_size=20, init="kmeans", random_state=0, **changes
        ).fit(x)


def waves(n: int, seed: int = 0) -> np.ndarray:
    """Draw signals of one channel, flat or swinging, ``(n, 1, 60)``."""
    random = np.random.default_rng(seed)
    swing = np.where(np.arange(n) % 2, 5.0, 0.5)[:, None]
    return (swing * np.sin(2 * np.pi * 1.5 * TIMES / 60) + 0.2 * random.normal(size=(n, 60)))[:, None]


def test_signals_are_described_by_what_sets_them_apart():
    x = waves(80)
    texts = str(fitted(x).describe(x))
    assert "variation 3.38 (others 0.387)" in texts
    assert "variation 0.387 (others 3.38)" in texts
    curves = str(fitted(x[:, 0]).describe(x[:, 0]))  # a table of numbers whose columns have an order
    assert curves.count("variation") == 2


def pictures(n: int, light: float = 0.0, seed: int = 0) -> np.ndarray:
    """Draw grey pictures with a bright top or a bright bottom, ``(n, 1, 9, 9)``, in levels of bytes."""
    random = np.random.default_rng(seed)
    x = random.integers(20, 40, (n, 1, 9, 9)) + light
    x[::2, :, :3] += 150
    x[1::2, :, 6:] += 150
    return x.astype(np.uint8)


def test_pictures_are_described_by_where_they_are_bright():
    x = pictures(80)
    assert str(fitted(x).describe(x)).count("brightness at the") >= 2


def test_drift_of_pictures_names_what_has_changed():
    old, new = pictures(80), pictures(80, light=30, seed=1)
    model = fitted(old)
    assert drift(model, pictures(80, seed=2), old).answer.startswith("No change found")
    assert "brightness" in drift(model, new, old).answer
