"""Levels of pictures: probabilities that sum to one, a grid that is found, samples that are levels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from cpvae.data.rows import Rows
from cpvae.errors import FitWarning, InputError
from cpvae.probability.likelihoods.choice import make, make_like
from cpvae.probability.likelihoods.levels import DiscretisedLogistic, Grid, Levels, grid_of
from cpvae.probability.likelihoods.likelihood import Form

PICTURE = Form((1, 2, 2))


def pictures(n: int = 60, top: int = 16) -> np.ndarray:
    return np.random.default_rng(0).integers(0, top + 1, (n, 4)).astype(float)


def levels(**changes) -> Levels:
    return make("levels", Rows(pictures()), Form((1, 2, 2), **changes))


@pytest.mark.parametrize("top", [1, 4, 255])
@pytest.mark.parametrize("scale", [0.25, 3.0, 1e4])
def test_probabilities_sum_to_one(top, scale):
    """Whatever the decoder says, also far outside of the levels."""
    loc = torch.tensor([-1e3, -0.7, 0.5 * top, top + 40.0]).double().unsqueeze(-1)
    every = torch.arange(top + 1).double().view(-1, 1, 1)
    total = DiscretisedLogistic(loc, torch.tensor([scale]).double(), top).log_prob(every).exp().sum(0).squeeze(-1)
    torch.testing.assert_close(total, torch.ones(4).double(), rtol=0, atol=1e-10)


def test_the_joint_probability_of_a_row_sums_to_one():
    likelihood = Levels(Grid(-1.0, 0.5, 2), torch.tensor([1.0, 1.2]).double(), torch.ones(2).double()).double()
    rows = torch.cartesian_prod(*[torch.tensor([-1.0, -0.5, 0.0]).double()] * 2)
    total = likelihood.log_prob(torch.randn(1, 5, 2).double(), likelihood.to_model(rows)).exp().sum(0)
    torch.testing.assert_close(total, torch.ones(5).double(), rtol=0, atol=1e-12)
    gapped = likelihood.with_gaps()
    params, first = torch.randn(1, 5, 2).double(), torch.tensor([[-0.5, torch.nan]]).double()
    whole = likelihood.log_prob(params, likelihood.to_model(rows[rows[:, 0] == -0.5])).exp().sum(0)
    torch.testing.assert_close(gapped.log_prob(params, gapped.to_model(first))[0].exp(), whole)


def test_probabilities_by_scipy():
    likelihood = levels().double()
    likelihood.log_noise.data = 0.3 * torch.randn(4).double()
    x, params = torch.from_numpy(pictures(7)), torch.randn(7, 3, 4).double()
    loc = (likelihood.loc + likelihood.scale * params).numpy()
    width = (likelihood.scale * likelihood.noise).numpy(force=True) * np.sqrt(3) / np.pi
    edges = [np.where(x == 0, -np.inf, x - 0.5)[:, None], np.where(x == 16, np.inf, x + 0.5)[:, None]]
    low, high = (stats.logistic(loc, width).cdf(edge) for edge in edges)
    ours = likelihood.log_prob(params, likelihood.to_model(x))
    np.testing.assert_allclose(ours.numpy(force=True), np.log(high - low).sum(-1), atol=1e-9)


def test_far_away_probabilities_stay_finite_and_have_a_gradient():
    loc = torch.tensor([[1e5], [-1e5]], requires_grad=True)
    log_prob = DiscretisedLogistic(loc, torch.tensor([0.25]), 255).log_prob(torch.tensor([[3.0], [200.0]]))
    log_prob.sum().backward()
    assert log_prob.isfinite().all()
    assert loc.grad[0] < 0 < loc.grad[1]


def test_mean_is_that_of_the_logistic_held_between_the_ends():
    loc, scale = 1.3, 2.0
    density = stats.logistic(loc, scale * np.sqrt(3) / np.pi).pdf
    expected, _ = integrate.quad(lambda t: np.clip(t, 0, 4) * density(t), -60, 60, points=[0, 4])
    found = DiscretisedLogistic(torch.tensor([loc]).double(), torch.tensor([scale]).double(), 4).mean
    assert float(found) == pytest.approx(expected, abs=1e-6)


def test_samples_have_the_frequencies_of_their_probabilities(agree):
    found = DiscretisedLogistic(torch.tensor([1.2]), torch.tensor([1.5]), 4)
    drawn = found.sample(torch.Size([20_000]))
    for t in range(5):
        agree((drawn == t).double()[:, 0], float(found.log_prob(torch.tensor([float(t)])).exp()))


@pytest.mark.parametrize(
    ("x", "grid"),
    [
        (np.arange(17).reshape(1, 17), Grid(0.0, 1.0, 16)),
        (np.arange(17).reshape(1, 17) / 16, Grid(0.0, 1 / 16, 16)),
        (np.array([[0, 60, 90]], np.uint8), Grid(0.0, 1.0, 127)),
        (np.array([[0, 1000, 40_000]], np.uint16), Grid(0.0, 1.0, 65_535)),
        (np.arange(256, dtype=np.float32).reshape(1, -1) / 255, Grid(0.0, 1 / 255, 255)),
        (np.arange(65_536, dtype=np.float32).reshape(1, -1) / 65_535, Grid(0.0, 1 / 65_535, 65_535)),
        (np.array([[10, 20, 31]]), Grid(0.0, 1.0, 31)),
        (np.array([[0.0, 1e6]]), None),
        (np.array([[0.0, np.pi, 5.0]]), None),
    ],
)
def test_the_grid_is_found(x, grid):
    found = grid_of([Rows(x)])
    assert found == grid if grid is None else found == pytest.approx(grid)


def test_units_go_there_and_back_to_the_bit():
    for x in (pictures(), pictures() / 16, (pictures() * 15).astype(np.uint8)):
        likelihood = make("levels", Rows(x), PICTURE)
        y = likelihood.to_model(torch.from_numpy(x))
        assert torch.equal(y, y.round())
        np.testing.assert_allclose(likelihood.to_data(y), x, atol=1e-12)


def test_the_encoder_sees_standardised_levels_and_no_draw_of_them():
    likelihood, x = levels(), torch.from_numpy(pictures())
    y = likelihood.to_model(x)
    seen = likelihood.inputs(y).double()
    assert float(seen.mean()) == pytest.approx(0, abs=1e-6)
    assert float(seen.square().mean()) == pytest.approx(1, abs=1e-5)
    assert not likelihood.varies
    assert torch.equal(likelihood.draw(y), y)


def test_new_rows_are_levels():
    likelihood = make("levels", Rows(pictures() / 16), PICTURE)
    drawn = likelihood.to_data(likelihood(torch.randn(50, 4)).sample())
    assert not Grid(0.0, 1 / 16, 16).off(drawn).any()
    assert likelihood.span == (0.0, 1.0)


def test_the_width_has_a_floor_and_leaves_it():
    likelihood = levels()
    likelihood.log_noise.data.fill_(-50)
    widths = (likelihood.noise * likelihood.scale).detach()
    torch.testing.assert_close(widths, torch.full((4,), Levels.least).double(), rtol=1e-5, atol=0)
    (-likelihood.log_prob(torch.zeros(1, 1, 4), torch.tensor([[0.0, 16, 0, 16]]))).sum().backward()
    assert (likelihood.log_noise.grad < 0).all()


def test_noise_can_be_said():
    likelihood = levels(noise=0.5)
    assert not likelihood.log_noise.requires_grad
    np.testing.assert_allclose(likelihood.noise, 0.5, rtol=1e-6)


def test_values_of_no_grid_are_refused():
    x = np.random.default_rng(0).normal(size=(20, 4))
    with pytest.raises(InputError, match=r"^the values are no levels: .* use likelihood 'gaussian'$"):
        make("levels", Rows(x), PICTURE)


@pytest.mark.parametrize("x", [np.full((2, 4), 17.0), np.full((2, 4), -1.0), np.random.default_rng(0).random((5, 4))])
def test_rows_scaled_otherwise_are_refused(x):
    with pytest.raises(
        InputError, match=r"; expected the 17 levels from 0 to 16 of the rows of the fit; scale the rows"
    ):
        levels().check(Rows(x))


def test_values_between_levels_are_read_as_the_nearest_and_said():
    likelihood, x = levels(), np.array([[0.3, 12.6, 5.0, 16.2]])
    with pytest.warns(
        FitWarning, match="values between the 17 levels from 0 to 16 of the rows of the fit: each is rea"
    ):
        likelihood.check(Rows(x))
    assert likelihood.to_model(torch.from_numpy(x)).tolist() == [[0, 13, 5, 16]]


def test_units_travel_with_the_weights():
    likelihood = make("levels", Rows(pictures() / 16), PICTURE)
    with torch.device("meta"):
        other = make_like("levels", likelihood.state_dict(), PICTURE)
    other.load_state_dict(likelihood.state_dict(), assign=True)
    y, params = torch.tensor([[0.0, 3, 16, 7]]), torch.randn(1, 2, 4)
    assert torch.equal(other.log_prob(params, y), likelihood.log_prob(params, y))
