"""Likelihoods: densities in the units of the data, pixels that are a function of the row, columns of any magnitude."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.preprocessing import StandardScaler

from cpvae.data.rows import Rows
from cpvae.errors import FitWarning, InputError
from cpvae.estimators.zoo import CPVAE, MoGVAE
from cpvae.probability.bounded import held
from cpvae.probability.likelihoods.bernoulli import Bernoulli, draw_bits
from cpvae.probability.likelihoods.choice import choose, make, make_like
from cpvae.probability.likelihoods.gaussian import Gaussian
from cpvae.probability.likelihoods.likelihood import Form

SPREAD = np.array([1e-3, 1.0, 40.0])
CENTRE = np.array([-5.0, 0.0, 1e4])


def measurements(n: int = 500) -> np.ndarray:
    return CENTRE + SPREAD * np.random.default_rng(0).normal(size=(n, 3))


def gaussian(noise: float | None = None) -> Gaussian:
    return make("gaussian", Rows(measurements()), Form((3,), noise=noise))


# ---------------------------------------------------------------- Bernoulli


def test_bernoulli_sums_to_one():
    """Over all rows of five pixels, whatever the decoder says."""
    likelihood = Bernoulli(5)
    rows = torch.cartesian_prod(*[torch.tensor([0.0, 1.0]).double()] * 5)
    params = 3 * torch.randn(1, 4, 5).double()
    total = likelihood.log_prob(params, rows).exp().sum(0)
    torch.testing.assert_close(total, torch.ones(4).double(), rtol=0, atol=1e-12)


def test_bernoulli_log_prob_by_scipy():
    params, y = 3 * torch.randn(6, 2, 5).double(), torch.bernoulli(torch.full((6, 5), 0.5)).double()
    p = 1 / (1 + np.exp(-params.numpy()))
    expected = stats.bernoulli(p).logpmf(y.numpy()[:, None].astype(int)).sum(-1)
    np.testing.assert_allclose(Bernoulli(5).log_prob(params, y).numpy(), expected, atol=1e-12)


def test_bernoulli_far_logits_stay_finite():
    params = torch.tensor([[[300.0, -300.0]]])
    assert float(Bernoulli(2).log_prob(params, torch.tensor([[0.0, 0.0]]))) == pytest.approx(-300)


def test_fixed_bits_are_a_function_of_the_row():
    likelihood, y = Bernoulli(30), torch.rand(200, 30)
    bits, order = likelihood.draw_fixed(y), torch.randperm(200)
    assert set(bits.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(likelihood.draw_fixed(y[order]), bits[order])
    assert torch.equal(torch.cat([likelihood.draw_fixed(part) for part in y.split(7)]), bits)


@pytest.mark.parametrize("how", ["draw", "draw_fixed"])
@pytest.mark.parametrize("grey", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_bits_have_the_grey_level_as_mean(how, grey, agree):
    """Column 0 holds one grey level in 20,000 rows that differ elsewhere."""
    y = torch.rand(20_000, 4)
    y[:, 0] = grey
    bits = getattr(Bernoulli(4), how)(y)
    agree(bits[:, 0], float(y[0, 0]))
    agree(bits[:, 1] - y[:, 1], 0.0)


def test_bits_are_independent_given_the_grey_level():
    y = torch.full((20_000, 3), 0.5)
    y[:, 2] = torch.rand(20_000)
    bits = (Bernoulli(3).draw_fixed(y) - y).numpy()
    correlation = np.corrcoef(bits.T)
    assert np.abs(correlation[np.triu_indices(3, 1)]).max() < 5 / np.sqrt(20_000)


def test_draw_draws_anew():
    likelihood, y = Bernoulli(50), torch.full((10, 50), 0.5)
    assert not torch.equal(likelihood.draw(y), likelihood.draw(y))
    assert torch.equal(likelihood.draw_fixed(y), likelihood.draw_fixed(y))


def test_bits_come_with_their_probabilities_and_never_where_there_is_no_doubt(agree):
    probs = torch.tensor([0.0, 1e-4, 0.2, 1 / 3, 0.5, 0.9, 1.0])
    bits = draw_bits(probs.expand(200_001, -1))  # a number of bits that four does not divide
    assert set(bits.unique().tolist()) == {0.0, 1.0}
    assert bits[:, 0].max() == 0
    assert bits[:, -1].min() == 1
    for column, p in zip(bits.T[1:-1], probs[1:-1].tolist(), strict=True):
        agree(column.double(), p)
    assert draw_bits(probs.double()).dtype == torch.float64


def test_binary_rows_are_themselves():
    x = np.random.default_rng(0).integers(0, 2, (50, 6))
    likelihood = make("bernoulli", Rows(x), Form(x.shape[1:]))
    y = likelihood.to_model(torch.from_numpy(x))
    for bits in (likelihood.draw(y), likelihood.draw_fixed(y), likelihood.fixed(Rows(x))):
        assert np.array_equal(bits.numpy(), x)


@pytest.mark.parametrize(
    ("dtype", "is_image", "full"), [("uint8", True, 255), ("uint8", False, 1), ("float64", True, 1)]
)
def test_bytes_of_images_are_scaled_by_255(dtype, is_image, full):
    x = (np.random.default_rng(0).integers(0, 2, (50, 6)) * full).astype(dtype)
    x[0, 0] = full // 2 if full > 1 else x[0, 0]
    likelihood = make("bernoulli", Rows(x), Form((1, 2, 3) if is_image else (6,)))
    y = likelihood.to_model(torch.from_numpy(x))
    np.testing.assert_allclose(y.numpy(), x / full, atol=1e-7)
    np.testing.assert_allclose(likelihood.to_data(y).numpy(), x, atol=1e-4)


def test_booleans_are_bernoulli():
    x = np.random.default_rng(0).random((50, 6)) < 0.5
    assert choose(x, Form((6,))).name == "bernoulli"
    likelihood = make("bernoulli", Rows(x), Form(x.shape[1:]))
    assert np.array_equal(likelihood.fixed(Rows(x)).numpy(), x)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (
            1.5,
            r"values from 0 to 1.5 (column 2) cannot be Bernoulli, which needs [0, 1]; scale them, or use likelihood",
        ),
        (
            -3.0,
            r"values from -3 to 1 (column 2) cannot be Bernoulli, which needs [0, 1]; scale them, or use likelihood",
        ),
    ],
)
def test_bernoulli_refuses_what_is_not_a_probability(value, sentence):
    x = np.random.default_rng(0).integers(0, 2, (50, 4)).astype(float)
    x[7, 2] = value
    with pytest.raises(InputError) as error:
        make("bernoulli", Rows(x), Form(x.shape[1:]))
    assert sentence in str(error.value)


# ---------------------------------------------------------------- Gaussian


def test_gaussian_is_a_density_in_the_units_of_the_data():
    """scipy's normal with mean loc + scale * output and standard deviation scale * noise, column by column."""
    likelihood = gaussian(noise=0.3).double()
    x, params = measurements(6), torch.randn(6, 2, 3).double()
    ours = likelihood.log_prob(params, likelihood.to_model(torch.from_numpy(x)))
    loc, scale = likelihood.loc.numpy(), likelihood.scale.numpy()
    each = stats.norm(loc + scale * params.numpy(), scale * float(likelihood.noise)).logpdf(x[:, None])
    np.testing.assert_allclose(ours.numpy(force=True), each.sum(-1), rtol=0, atol=1e-9)


def test_gaussian_integrates_to_one_in_the_units_of_the_data():
    likelihood = Gaussian(torch.tensor([100.0, -2.0]).double(), torch.tensor([7.0, 0.01]).double(), noise=0.4).double()
    params = torch.tensor([[[0.3, -1.0]]]).double()
    sides = [
        torch.linspace(-6, 6, 401, dtype=torch.float64) * s + m
        for m, s in zip(likelihood.loc, likelihood.scale, strict=True)
    ]
    area = float((sides[0][1] - sides[0][0]) * (sides[1][1] - sides[1][0]))
    density = likelihood.log_prob(params, likelihood.to_model(torch.cartesian_prod(*sides))).exp()
    assert float(density.sum()) * area == pytest.approx(1, abs=1e-10)


def test_gaussian_units_are_those_of_the_columns():
    likelihood, x = gaussian(), measurements()
    np.testing.assert_allclose(likelihood.loc, x.mean(0), rtol=1e-12)
    np.testing.assert_allclose(likelihood.scale, x.std(0), rtol=1e-9)
    y = likelihood.to_model(torch.from_numpy(x)).double()
    torch.testing.assert_close(y.mean(0), torch.zeros(3).double(), rtol=0, atol=1e-6)
    torch.testing.assert_close(y.square().mean(0), torch.ones(3).double(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_round_trip(dtype):
    x = (100 * measurements()).astype(dtype)
    likelihood = make("gaussian", Rows(x), Form(x.shape[1:]))
    back = likelihood.to_data(likelihood.to_model(torch.from_numpy(x))).numpy()
    assert np.abs((back - x) / x.std(0)).max() < 1e-5


def test_a_large_offset_costs_no_precision():
    """1e9 + N(0, 1): float32 steps there are 64 apart, so the subtraction must come before the rounding."""
    noise = np.random.default_rng(0).normal(size=(4000, 2))
    x = 1e9 + noise
    likelihood = make("gaussian", Rows(x), Form(x.shape[1:]))
    y = likelihood.to_model(torch.from_numpy(x)).numpy()
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, (noise - noise.mean(0)) / noise.std(0), atol=1e-5)
    np.testing.assert_allclose(likelihood.to_data(torch.from_numpy(y)), x, rtol=0, atol=1e-5)


def test_units_do_not_depend_on_chunks(monkeypatch):
    x = 1e6 + measurements(1000)
    whole = make("gaussian", Rows(x), Form(x.shape[1:]))
    monkeypatch.setattr(Rows.chunks, "__defaults__", (7,))
    parts = make("gaussian", Rows(x), Form(x.shape[1:]))
    torch.testing.assert_close(parts.loc, whole.loc, rtol=1e-12, atol=0)
    torch.testing.assert_close(parts.scale, whole.scale, rtol=1e-6, atol=0)


def test_log_abs_det_is_the_jacobian():
    likelihood = gaussian().double()
    jacobian = torch.autograd.functional.jacobian(lambda x: likelihood.to_model(x[None])[0], torch.zeros(3).double())
    assert float(likelihood.log_abs_det()) == pytest.approx(float(jacobian.slogdet().logabsdet), abs=1e-12)


def test_change_of_units_changes_the_density_by_the_jacobian():
    """Metres or millimetres: the same density, a thousand times thinner in each column."""
    x, params = measurements(), torch.randn(500, 1, 3).double()
    values = []
    for factor in (1.0, 1000.0):
        likelihood = make("gaussian", Rows(x * factor), Form((3,), noise=0.5)).double()
        values.append(likelihood.log_prob(params, likelihood.to_model(torch.from_numpy(x * factor))))
    torch.testing.assert_close(values[0] - values[1], torch.full((500, 1), 3 * np.log(1000.0)).double())


def test_noise_is_learned_and_has_a_floor():
    likelihood = gaussian().double()
    y = 0.1 * torch.randn(20_000, 3).double()
    optimiser = torch.optim.Adam([likelihood.log_noise], lr=0.05)
    for _ in range(200):
        optimiser.zero_grad()
        (-likelihood.log_prob(torch.zeros(1, 1, 3).double(), y).mean()).backward()
        optimiser.step()
    assert float(likelihood.noise.detach()) == pytest.approx(float(y.square().mean().sqrt()), rel=0.01)
    likelihood.log_noise.data.fill_(-50)
    assert float(likelihood.noise.detach()) == pytest.approx(likelihood.min_noise)


def test_noise_leaves_its_floor():
    """At the floor, with rows that are farther from their means than the floor, the noise must be able to grow."""
    likelihood = gaussian().double()
    likelihood.log_noise.data.fill_(np.log(likelihood.min_noise) - 1e-3)
    (-likelihood.log_prob(torch.zeros(1, 1, 3).double(), torch.ones(4, 3).double()).mean()).backward()
    assert float(likelihood.log_noise.grad) < 0


def test_noise_gradient_is_the_score():
    """d/d(log sigma) log N(y; 0, sigma^2) = y^2 / sigma^2 - 1, added over columns."""
    likelihood = gaussian().double()
    likelihood.log_noise.data.fill_(0.3)
    y = torch.randn(1, 3).double()
    likelihood.log_prob(torch.zeros(1, 1, 3).double(), y).sum().backward()
    expected = float((y**2 / np.exp(0.6) - 1).sum())
    assert float(likelihood.log_noise.grad) == pytest.approx(expected, abs=1e-12)


def test_fixed_noise_does_not_learn():
    likelihood = gaussian(noise=0.25)
    assert float(likelihood.noise) == pytest.approx(0.25)
    assert not likelihood.log_noise.requires_grad


def test_units_travel_with_the_weights():
    likelihood = gaussian(noise=0.25)
    other = make_like("gaussian", likelihood.state_dict(), Form((3,)))
    other.load_state_dict(likelihood.state_dict())
    y, params = torch.randn(5, 3), torch.randn(5, 2, 3)
    assert torch.equal(other.log_prob(params, y), likelihood.log_prob(params, y))
    bytes_ = make("bernoulli", Rows(np.array([[0, 255], [255, 9]], np.uint8)), Form((1, 1, 2)))
    other = make_like("bernoulli", bytes_.state_dict(), Form((1, 1, 2)))
    other.load_state_dict(bytes_.state_dict())
    assert other.to_model(torch.tensor([[255, 0]])).tolist() == [[1.0, 0.0]]


def test_a_model_of_black_and_white_rows_refuses_grey_ones():
    """A fractional Bernoulli is the probability of no row."""
    x = np.random.default_rng(0).integers(0, 2, (50, 4)).astype(float)
    likelihood = make("bernoulli", Rows(x), Form((4,)))
    x[7, 2] = 0.25
    with pytest.raises(InputError, match=r"^value 0.25 in column 2: the rows of the fit were all black or white; exp"):
        likelihood.check(Rows(x))
    assert bool(make("bernoulli", Rows(x[:5]), Form((4,)), Rows(x[5:])).drawn)  # grey in the validation rows alone


# ---------------------------------------------------------------- bounds of what is learned


@pytest.mark.parametrize("size", [1.0, 1e6, 1e8])
def test_held_is_exact_however_far_away(size):
    assert held(torch.tensor([-size, size, 0.5]), 0.001, 0.75).tolist() == torch.tensor([0.001, 0.75, 0.5]).tolist()


@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_a_thousand_steps_against_a_bound_cost_none_on_the_way_back(side):
    """Adam takes steps of one length, whatever the gradient: it would wind a value that it follows far away."""
    value = torch.zeros((), requires_grad=True)
    optimiser = torch.optim.Adam([value], lr=0.01)

    def step(slope: float) -> None:
        optimiser.zero_grad()
        (slope * held(value, -1.0, 1.0)).backward()
        optimiser.step()

    for _ in range(1000):
        step(-side)
    assert held(value, -1.0, 1.0).item() == side
    for _ in range(30):
        step(side)
    assert abs(value.item()) < 0.9


def test_held_tells_the_gradient_of_what_is_inside():
    value = torch.tensor([-2.0, 0.0, 2.0], requires_grad=True)
    held(value, -1.0, 1.0).backward(torch.tensor([-1.0, 5.0, 1.0]))  # descent leads all of them inward
    assert value.grad.tolist() == [-1.0, 5.0, 1.0]


# ---------------------------------------------------------------- columns and channels that do not vary


@pytest.mark.parametrize("value", [0.0, -3.0, 1e9, 0.1])
def test_constant_columns_are_left_out_and_named(value):
    x = measurements()
    x[:, [0, 2]] = value
    expected = rf"^2 constant columns: 'a' \({value:.6g}\), 'c' \({value:.6g}\), left out of the model$".replace(
        "+", r"\+"
    )
    with pytest.warns(FitWarning, match=expected):
        likelihood = make("gaussian", Rows(x), Form((3,), ["a", "b", "c"]))
    y = likelihood.to_model(torch.from_numpy(x))
    assert y.shape == (500, 1)
    assert (likelihood.n_inputs, likelihood.n_outputs) == (1, 1)
    torch.testing.assert_close(likelihood.to_data(y), torch.from_numpy(x), rtol=1e-5, atol=1e-5)
    alone = make("gaussian", Rows(x[:, [1]]), Form((1,)))
    params = torch.randn(500, 2, 1)
    torch.testing.assert_close(likelihood.log_prob(params, y), alone.log_prob(params, y))


def test_constant_columns_travel_with_the_weights():
    x = measurements()
    x[:, 1] = 7
    with pytest.warns(FitWarning, match="1 constant column: 1"):
        likelihood = make("gaussian", Rows(x), Form((3,)))
    with torch.device("meta"):
        other = make_like("gaussian", likelihood.state_dict(), Form((3,)))
    other.load_state_dict(likelihood.state_dict(), assign=True)
    y = torch.randn(4, 2)
    assert torch.equal(other.to_data(y), likelihood.to_data(y))
    assert other.to_data(y)[:, 1].tolist() == [7.0] * 4


def test_standardised_columns_are_not_constant():
    """A variance of 1 - 2e-16 has the root 1, which scikit-learn also gives for constant columns."""
    for seed in range(20):
        x = StandardScaler().fit_transform(np.random.default_rng(seed).normal(size=(150, 4)))
        assert make("gaussian", Rows(x), Form((4,))).n_outputs == 4
    pictures = (x - x.mean()) / x.std()
    assert make("gaussian", Rows(pictures), Form((1, 2, 2))).n_outputs == 4


def test_a_column_that_varies_in_the_validation_rows_alone_has_the_spread_of_all():
    x = measurements()
    x[:, 1] = 0
    x[7, 1] = 5
    train, valid = np.delete(x, 7, 0), x[7:9]
    likelihood = make("gaussian", Rows(train), Form((3,)), Rows(valid))
    assert float(likelihood.scale[1]) == pytest.approx(np.std([*train[:, 1], *valid[:, 1]]))
    assert likelihood.to_model(torch.from_numpy(valid)).isfinite().all()


def test_many_constant_columns_are_not_all_listed():
    x = np.ones((20, 9))
    x[3, 8] = 2
    with pytest.warns(FitWarning, match=r"^8 constant columns: 0 \(1\), 1 \(1\), .* 4 \(1\), \.\.\., left out"):
        make("gaussian", Rows(x), Form((9,)))


@pytest.mark.parametrize("name", ["gaussian", "levels"])
def test_rows_without_any_variation_are_refused(name):
    with pytest.raises(InputError, match=r"expected"):
        make(name, Rows(np.ones((15, 8))), Form((8,)), Rows(np.ones((5, 8))))


@pytest.mark.parametrize("centre", [1e15, 1e12, -1e9])
def test_small_spreads_at_large_values_are_no_constants(centre):
    x = centre + 5 * np.random.default_rng(0).normal(size=(200, 2))
    likelihood = make("gaussian", Rows(x), Form((2,)))
    np.testing.assert_allclose(likelihood.scale, (x - x[0]).std(0), rtol=1e-6)


def test_differences_that_floating_numbers_lose_are_named():
    x = np.array([[2**62, 0], [2**62 + 5, 1], [2**62 + 3, 2]])
    with pytest.raises(InputError, match=r"^column 0 varies from 4611686018427387904 to 4611686018427387909, by less"):
        make("gaussian", Rows(x), Form((2,)))


def test_the_smallest_spreads_are_no_constants():
    x = 1e-200 * np.random.default_rng(0).normal(size=(50, 2))
    y = make("gaussian", Rows(x), Form((2,))).to_model(torch.from_numpy(x))
    assert 0.1 < float(y.abs().max()) < 100


# ---------------------------------------------------------------- channels


@pytest.mark.parametrize("shape", [(2, 12), (2, 3, 4)])
def test_channels_have_a_scale_and_a_noise_each(shape):
    x = np.random.default_rng(0).normal(size=(300, 2, 12)) * [[3.0], [50.0]] + [[1.0], [-7.0]]
    likelihood = make("gaussian", Rows(x), Form(shape))
    for i, part in enumerate((slice(0, 12), slice(12, 24))):
        np.testing.assert_allclose(likelihood.loc[part], x[:, i].mean())
        np.testing.assert_allclose(likelihood.scale[part], x[:, i].std())
    likelihood.log_noise.data = torch.tensor([0.1, 0.7]).log()
    assert likelihood(torch.zeros(5, likelihood.n_outputs)).base_dist.scale[3].tolist() == pytest.approx(
        [0.1] * 12 + [0.7] * 12
    )


def test_a_channel_that_does_not_vary_stays_in_the_picture():
    x = np.random.default_rng(0).normal(size=(50, 2, 2, 2))
    x[:, 1] = 1
    likelihood = make("gaussian", Rows(x), Form((2, 2, 2)))
    assert likelihood.n_outputs == 8
    assert likelihood.to_model(torch.from_numpy(x.reshape(50, 8)))[:, 4:].abs().max() == 0


def test_models_with_one_noise_still_load():
    """A file from before channels had noises of their own has a number there."""
    state = {"loc": torch.zeros(6), "scale": torch.ones(6), "log_noise": torch.tensor(0.3)}
    old = make_like("gaussian", state, Form((3, 1, 2)))
    old.load_state_dict(state)
    assert old(torch.zeros(1, 6)).base_dist.scale[0].tolist() == pytest.approx([np.exp(0.3)] * 6)


@pytest.mark.parametrize(
    "state", [{"log_noise": torch.zeros(0)}, {"log_noise": torch.zeros(4)}, {"loc": torch.zeros(9)}]
)
def test_a_state_that_does_not_fit_is_refused(state):
    whole = {"loc": torch.zeros(6), "scale": torch.ones(6), "log_noise": torch.zeros(())} | state
    with pytest.raises(InputError, match="fit again"):
        make_like("gaussian", whole, Form((6,)))


# ---------------------------------------------------------------- names and choice


def test_unknown_likelihood():
    with pytest.raises(InputError, match=r"^likelihood 'gausian' is unknown; did you mean 'gaussian'\?$"):
        make_like("gausian", {}, Form((2,)))


GREY = np.random.default_rng(0).integers(0, 256, (20, 4)).astype(np.uint8)


@pytest.mark.parametrize(
    ("x", "shape", "name", "why"),
    [
        (np.eye(20), (20,), "bernoulli", "all values are 0 or 1: ink"),
        (np.eye(20)[:, :4] > 0, (1, 2, 2), "bernoulli", "all values are 0 or 1: ink"),
        (np.eye(20)[:, :4] * 255, (1, 2, 2), "bernoulli", "all values are 0 or 255: ink"),
        (GREY, (1, 2, 2), "levels", "256 values from 0 to 255 in pictures: grey levels"),
        (GREY.astype(float), (1, 2, 2), "levels", "256 values from 0 to 255 in pictures: grey levels"),
        (GREY[:, :3] / np.float32(255), (3, 1, 1), "levels", "256 values from 0 to 1 in pictures: levels of colour"),
        (GREY // 16 / 15, (1, 2, 2), "levels", "16 values from 0 to 1 in pictures: grey levels"),
        (GREY // 15, (1, 2, 2), "levels", "18 values from 0 to 17 in pictures: grey levels"),
        (GREY.astype(np.int32) * 14, (1, 2, 2), "levels", "4,096 values from 0 to 4095 in pictures: grey levels"),
        (GREY / 127.5 - 1, (1, 2, 2), "levels", "256 values from -1 to 1 in pictures: grey levels"),
        (np.random.default_rng(0).random((20, 4)), (1, 2, 2), "gaussian", "pictures whose values are no levels"),
        (np.random.default_rng(0).normal(size=(20, 4)), (2, 2), "gaussian", "signals"),
        (GREY, (4,), "gaussian", "numbers in columns"),
        (np.clip(np.linspace(-1, 1, 80), 0, 1).reshape(20, 4), (4,), "gaussian", "numbers in columns"),
    ],
)
def test_choice(x, shape, name, why):
    """The container does not matter, and a table scaled to [0, 1] is no ink."""
    found = choose(x, Form(shape))
    assert found.name == name
    assert found.why.startswith(why)


# ---------------------------------------------------------------- missing values of signals


def signals(n: int = 60) -> np.ndarray:
    """Make signals of two channels and six times, each padded after its own end."""
    random = np.random.default_rng(0)
    x = random.normal(size=(n, 2, 6)) * [[1.0], [9.0]]
    x[np.arange(6) >= random.integers(3, 7, n)[:, None, None].repeat(2, 1)] = np.nan
    return x.reshape(n, 12)


def test_missing_values_are_marginalised():
    x = signals()
    likelihood = make("gaussian", Rows(x), Form((2, 6))).double()
    np.testing.assert_allclose(likelihood.scale[[0, 6]], np.nanstd(x.reshape(-1, 2, 6), axis=(0, 2)))
    y, params = likelihood.to_model(torch.from_numpy(x)), torch.randn(60, 3, 12).double()
    loc, scale, noise = (
        v.numpy(force=True) for v in (likelihood.loc, likelihood.scale, likelihood(params[:, 0]).stddev)
    )
    each = stats.norm(loc + scale * params.numpy(), scale * noise[:, None]).logpdf(x[:, None])
    np.testing.assert_allclose(likelihood.log_prob(params, y).numpy(force=True), np.nansum(each, -1), atol=1e-9)
    seen, means = likelihood.inputs(y), y.view(60, 2, 6).nanmean(-1)
    assert torch.equal(seen.view(60, 2, 6)[:, 1, 5], torch.where(y[:, 11].isnan(), means[:, 1], y[:, 11]))
    assert torch.equal(seen[:, 0], y[:, 0])


def test_the_gradient_of_what_is_missing_is_zero():
    x = signals()
    likelihood = make("gaussian", Rows(x), Form((2, 6)))
    params = torch.zeros(60, 1, 12, requires_grad=True)
    likelihood.log_prob(params, likelihood.to_model(torch.from_numpy(x))).sum().backward()
    assert torch.equal(params.grad[:, 0].abs() > 0, ~torch.from_numpy(x).isnan())


def test_gaps_travel_with_the_weights_and_are_refused_where_there_were_none():
    x = signals()
    likelihood = make("gaussian", Rows(x), Form((2, 6)))
    with torch.device("meta"):
        other = make_like("gaussian", likelihood.state_dict(), Form((2, 6)))
    other.load_state_dict(likelihood.state_dict(), assign=True)
    y = likelihood.to_model(torch.from_numpy(x))
    assert torch.equal(other.log_prob(torch.zeros(60, 1, 12), y), likelihood.log_prob(torch.zeros(60, 1, 12), y))
    empty = x.copy()
    empty[7] = np.nan
    with pytest.raises(
        InputError, match=r"^row 7 \(counted from 0\) has no value at all; expected values; drop the row$"
    ):
        likelihood.check(Rows(empty))
    whole = make("gaussian", Rows(np.nan_to_num(x)), Form((2, 6)))
    with pytest.raises(InputError, match="has a missing value, and the rows of the fit had none; expected values"):
        whole.check(Rows(x))


@pytest.mark.parametrize(
    ("name", "rows"), [("bernoulli", [[0.0, 1.0], [1.0, 0.0]]), ("counts", [[3.0, 1.0], [2.0, 4.0]])]
)
def test_a_noise_is_refused_where_there_is_none(name, rows):
    with pytest.raises(InputError, match=f"noise=0.5 with likelihood '{name}', which has no noise;"):
        make(name, Rows(np.array(rows)), Form((2,), noise=0.5))


def test_a_schema_goes_with_columns_alone_and_all_that_is_wrong_is_named():
    with pytest.raises(InputError) as caught:
        CPVAE(kind="counts", likelihood="gaussian", schema={"*": "count"}).check_params()
    assert "likelihood='gaussian' with a schema" in str(caught.value)
    assert "kind='counts' with a schema: expected 'table' or 'auto'" in str(caught.value)


# -- signals ----------------------------------------------------------------------------------------------------------


def lively(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw signals of two channels, of which every second is ten times as lively: ``(n, 2, 30)``, and which are."""
    random = np.random.default_rng(0)
    kind = np.arange(n) % 2
    return np.where(kind, 10.0, 1.0)[:, None, None] * random.normal(size=(n, 2, 30)), kind


def test_the_noise_of_a_signal_depends_on_code_and_category():
    x, _ = lively(40)
    rows = Rows(x.reshape(40, -1))
    likelihood = Gaussian.of(rows, Form((2, 30)))
    assert likelihood.n_outputs == 120
    assert likelihood.n_of_category == 2
    y = likelihood.to_model(rows.x[:3]).float()
    of_row, of_category = torch.tensor([0.3, -5.0]), torch.tensor([0.5, 0.25])
    params = torch.cat(
        [torch.zeros(3, 1, 60), of_row.repeat_interleave(30).expand(3, 1, 60), of_category.expand(3, 1, 2)], -1
    )
    sigma = torch.exp(torch.tanh(of_row) + of_category).repeat_interleave(30)
    expected = torch.distributions.Normal(0.0, sigma).log_prob(y).sum(-1) - likelihood.scale.log().sum()
    torch.testing.assert_close(likelihood.log_prob(params, y)[:, 0], expected.float(), rtol=1e-4, atol=1e-3)
    places, each = likelihood.parts(params)[0]
    assert places.tolist() == list(range(60))
    torch.testing.assert_close(each.scale[0, 0], sigma)
    restored = Gaussian.like(likelihood.state_dict(), Form((2, 30)))
    assert (restored.n_outputs, restored.n_of_category) == (120, 2)


def test_a_signal_of_a_saved_model_without_such_noise_keeps_one_a_channel():
    x, _ = lively(40)
    likelihood = Gaussian.of(Rows(x.reshape(40, -1)), Form((2, 30)))
    older = {name: value for name, value in likelihood.state_dict().items() if name != "own"}
    restored = Gaussian.like(older, Form((2, 30)))
    assert (restored.n_outputs, restored.n_of_category) == (60, 0)
    assert Gaussian.of(Rows(x.reshape(40, -1)), Form((2, 30), noise=0.1)).n_outputs == 60  # a noise that is given


def test_new_signals_are_as_lively_as_the_rows_of_their_category():
    x, kind = lively(80)
    model = CPVAE(2, latent_dim=2, hidden=(16,), max_epochs=60, batch_size=20, init="kmeans", random_state=0)
    model.fit(x, known=kind)
    new = [model.sample(100, component=k)[0].std() for k in range(2)]
    np.testing.assert_allclose(new, [x[kind == k].std() for k in range(2)], rtol=0.4)


def test_the_noise_of_a_category_begins_as_the_spread_of_its_rows():
    x, kind = lively(40)
    model = CPVAE(2, latent_dim=2, hidden=(4,), max_epochs=1, learning_rate=1e-9, init="kmeans", random_state=0)
    model.fit(x, known=kind, X_valid=x)
    decoder, likelihood = model.model_.decoder, model.model_.likelihood
    begun = (likelihood.log_noise + decoder.table).exp().detach().numpy()
    scale = likelihood.scale.numpy()[[0, 30]]
    np.testing.assert_allclose(begun, [x[kind == k].std((0, 2)) / scale for k in range(2)], rtol=0.02)


def test_a_likelihood_without_numbers_of_categories_has_no_spreads_of_them():
    likelihood = make("gaussian", Rows(np.random.default_rng(0).normal(size=(40, 5))), Form((5,)))
    pictures = make("levels", Rows(np.random.default_rng(0).integers(0, 9, (40, 16))), Form((1, 4, 4)))
    assert likelihood.n_of_category == pictures.n_of_category == 0
    assert [part.shape for part in pictures.spread(torch.zeros(3, 16))] == [(3, 0), (3, 0)]
    assert pictures.of_spread(torch.zeros(2, 0)).shape == (2, 0)


def test_a_category_of_short_signals_begins_with_the_spread_of_their_values():
    x, _ = lively(40)
    x[:, :, 8:] = np.nan
    likelihood = Gaussian.of(Rows(x.reshape(40, -1)), Form((2, 30)))
    y = likelihood.to_model(torch.from_numpy(x.reshape(40, -1)))
    loc, scale = likelihood.spread(y)
    known = y.view(40, 2, 30)[..., :8]
    torch.testing.assert_close(loc, known.mean(-1))
    torch.testing.assert_close(scale, known.std(-1, correction=0))


def test_a_model_that_is_continued_keeps_the_noises_of_its_categories():
    x, kind = lively(80)
    model = CPVAE(2, latent_dim=2, hidden=(16,), max_epochs=40, batch_size=20, init="kmeans", random_state=0)
    model.fit(x, known=kind)
    before = [model.sample(100, component=k)[0].std() for k in range(2)]
    more = 100.0 + 3.0 * np.random.default_rng(1).normal(size=(40, 2, 30))
    model.continue_fit(more, n_new=1)
    assert model.n_components_ == 3
    np.testing.assert_allclose([model.sample(100, component=k)[0].std() for k in range(2)], before, rtol=0.3)


def test_signals_have_noises_of_their_own_without_categories_too():
    x, _ = lively(80)
    model = MoGVAE(2, latent_dim=2, hidden=(16,), max_epochs=30, batch_size=20, random_state=0).fit(x)
    assert 1.0 < np.asarray(model.sample(100)[0]).std() < 10.0
