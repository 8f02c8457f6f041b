"""Noise that belongs to a row: random in every way that counts, yet a function of the row."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from cpvae.data import noise
from cpvae.data.noise import row_keys, row_normal, row_uniform
from cpvae.probability.likelihoods.bernoulli import PIXEL_STREAM, Bernoulli, Pixels

ROWS = {
    "normal": lambda n: torch.randn(n, 7),
    "double": lambda n: torch.randn(n, 7).double(),
    "binary": lambda n: ((torch.arange(n)[:, None] >> torch.arange(16)) & 1).float(),
    "one column of counts": lambda n: torch.arange(float(n))[:, None],
    "far from zero": lambda n: 1e9 + torch.arange(float(n)).double()[:, None],
}


@pytest.fixture(params=ROWS, ids=str)
def keys(request) -> torch.Tensor:
    return row_keys(ROWS[request.param](20_000))


def test_keys_differ(keys):
    assert len(keys.unique()) == len(keys)


def test_uniform(keys):
    """The first number of each row and a later one, over rows; and all numbers of few rows."""
    u = row_uniform(keys, (5,)).numpy()
    assert stats.kstest(u[:, 0], "uniform").pvalue > 1e-3
    assert stats.kstest(u[:, 4], "uniform").pvalue > 1e-3
    assert stats.kstest(row_uniform(keys[:3], (9000,)).numpy().ravel(), "uniform").pvalue > 1e-3


def test_normal(keys):
    assert stats.kstest(row_normal(keys, (2, 3)).numpy()[:, 1, 2], "norm").pvalue > 1e-3


def test_independent(keys):
    """Between columns, between streams and between neighbouring rows: no correlation, also of squares."""
    z, other = row_normal(keys, (4,)).numpy(), row_normal(keys, (4,), stream=1).numpy()
    pairs = [*((z[:, i], z[:, j]) for i in range(4) for j in range(i)), *((z[:, i], other[:, i]) for i in range(4))]
    pairs += [(z[:-1, 0], z[1:, 0]), (z[:-1, 3], z[1:, 0]), (z[:-1, 0], other[1:, 0])]
    for a, b in pairs:
        for power in (1, 2):
            assert abs(np.corrcoef(a**power, b**power)[0, 1]) < 5 / np.sqrt(len(a))


def test_neighbours_in_a_grid_of_pairs():
    """A chi-squared test of consecutive uniform numbers on a grid."""
    u = row_uniform(row_keys(torch.randn(30_000, 3)), (2,)).numpy()
    counts = np.histogram2d(u[:, 0], u[:, 1], bins=20, range=[[0, 1], [0, 1]])[0]
    assert stats.chisquare(counts.ravel()).pvalue > 1e-3


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_function_of_the_row_alone(dtype):
    x = torch.randn(50, 6).to(dtype)
    order = torch.randperm(50)
    z = row_normal(row_keys(x), (2, 3))
    assert torch.equal(row_normal(row_keys(x[order]), (2, 3)), z[order])
    assert torch.equal(torch.cat([row_normal(row_keys(part), (2, 3)) for part in x.split(7)]), z)
    strided = torch.stack([x, -x], -1).reshape(50, -1)[:, ::2]
    assert not strided.is_contiguous()
    assert torch.equal(row_normal(row_keys(strided), (2, 3)), z)


def test_more_numbers_keep_the_first_ones():
    keys = row_keys(torch.randn(4, 3))
    assert torch.equal(row_uniform(keys, (10,))[:, :6], row_uniform(keys, (2, 3)).reshape(4, 6))


def test_negative_zero_is_zero():
    x = torch.tensor([[0.0, 1.0], [-0.0, 1.0]])
    assert row_keys(x)[0] == row_keys(x)[1]


def test_equal_values_in_other_places_are_another_row():
    x = torch.tensor([[0.0, 1.0, 2.0], [1.0, 0.0, 2.0], [2.0, 1.0, 0.0], [0.0, 0.0, 3.0]])
    assert len(row_keys(x).unique()) == 4


def test_one_bit_changes_everything():
    """Rows that differ in the lowest bit of one value: half of the key's bits flip, and the noise is unrelated."""
    x = torch.rand(5000, 4) + 1
    near = x.clone()
    near[:, 2] = torch.nextafter(near[:, 2], torch.tensor(9.0))
    flipped = (row_keys(x) ^ row_keys(near)).numpy().view(np.uint64)
    share = np.unpackbits(flipped.view(np.uint8)).mean()
    assert abs(share - 0.5) < 5 * 0.5 / np.sqrt(64 * 5000)
    a, b = row_normal(row_keys(x), (1,)).numpy(), row_normal(row_keys(near), (1,)).numpy()
    assert abs(np.corrcoef(a[:, 0], b[:, 0])[0, 1]) < 5 / np.sqrt(5000)


def unmix(x: int) -> int:
    """Invert SplitMix64's finaliser, on Python's integers."""
    full = 2**64 - 1
    for shift, factor in ((31, -7723592293110705685), (27, -4658895280553007687), (30, 1)):
        y = x
        for _ in range(64 // shift + 1):
            y = x ^ (y >> shift)
        x = y * pow(factor, -1, 2**64) & full
    return x


def signed(x: int) -> int:
    return (x & (2**64 - 1)) - (2**64 if x & 2**63 else 0)


@pytest.mark.parametrize("bits", [0, 2**64 - 1, 2**63], ids=["lowest", "highest", "middle"])
def test_strictly_inside(bits):
    """Keys made so that the generator's 64 bits are the extreme ones: still inside (0, 1), and a finite normal."""
    start = unmix(bits) - noise._INCREMENT
    stream = int(noise._mix(torch.tensor(1)))
    key = torch.tensor([signed(unmix(start & (2**64 - 1)) ^ (stream & (2**64 - 1)))])
    u = row_uniform(key, (1,))
    assert abs(float(u) - bits / 2**64) < 1e-12
    assert 0 < float(u) < 1
    assert row_normal(key, (1,)).isfinite()


def test_observations_are_those_of_all_pixels_drawn():
    """Only grey pixels are hashed; black, white and missing ones have one answer."""
    y = torch.rand(9, 30)
    y[:, :5], y[:, 5:9], y[2, 9] = 0.0, 1.0, torch.nan
    likelihood = Bernoulli(30)
    likelihood.gaps = torch.zeros(30)
    drawn = list(likelihood.observations(y, [0, 3]))
    for i, one in zip([0, 3], drawn, strict=True):
        expected = (
            (row_uniform(row_keys(y), (30,), PIXEL_STREAM + 1000 * i) < y).float().masked_fill(y.isnan(), torch.nan)
        )
        assert torch.equal(one.nan_to_num(7.0), expected.nan_to_num(7.0))
        assert torch.equal(likelihood.draw_fixed(y, i).nan_to_num(7.0), expected.nan_to_num(7.0))


def test_keys_do_not_depend_on_how_many_rows_are_hashed_at_once(monkeypatch):
    x = torch.randn(20, 6)
    keys = row_keys(x)
    monkeypatch.setattr(noise, "AT_ONCE", 14)
    assert torch.equal(row_keys(x), keys)


def test_pixels_are_drawn_as_torch_draws_them():
    logits = 3 * torch.randn(40, 9)
    drawn = [
        kind(logits=logits, validate_args=False).sample()
        for kind in (Pixels, torch.distributions.Bernoulli)
        if torch.manual_seed(5)
    ]
    assert torch.equal(*drawn)
