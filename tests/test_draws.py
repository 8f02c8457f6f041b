"""Random numbers from own generators: threads do not share them, and torch's own state does not change."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch.distributions import NegativeBinomial, StudentT

from cpvae import CPVAE, HVAE, VAE
from cpvae.nn import draws
from cpvae.probability import priors
from cpvae.probability.distributions import Continuous
from cpvae.probability.priors import StandardNormal

CPU = torch.device("cpu")
SMALL: dict[str, Any] = {"latent_dim": 2, "hidden": (8,), "max_epochs": 2, "random_state": 0}


def table(n: int = 60) -> pd.DataFrame:
    random = np.random.RandomState(0)
    x = random.normal(size=n)
    return pd.DataFrame({"x": x, "n": random.poisson(2.0, n), "c": np.where(x > 0, "a", "b")})


def numbers() -> list[float]:
    """Draw once by each function."""
    drawn = [
        draws.normal_(torch.empty(1)),
        draws.uniform_(torch.empty(1)),
        draws.exponential_(torch.empty(1)),
        draws.bits_(torch.empty(1, dtype=torch.int64)),
        draws.multinomial(torch.ones(1000), 1),
        draws.sample(NegativeBinomial(torch.tensor([50.0]), torch.tensor([0.5])), CPU),
    ]
    return [float(x) for x in drawn]


def test_draws_depend_on_the_seed_alone_and_leave_torchs_state_alone() -> None:
    before = torch.get_rng_state()
    with draws.seeded(3):
        first = numbers()
        again = numbers()
    torch.rand(5)
    state = torch.get_rng_state()
    with draws.seeded(3):
        assert numbers() == first != again
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(before, state)
    with draws.seeded(4):
        assert numbers() != first


def test_outside_of_a_block_draws_are_torchs() -> None:
    torch.manual_seed(0)
    first = numbers()
    torch.manual_seed(0)
    assert numbers() == first


def test_lent_numbers_are_those_that_come_next() -> None:
    """Own functions, torch's functions in a lent block, and blocks within blocks are one stream of numbers."""
    with draws.seeded(0):
        expected = draws.normal_(torch.empty(3, 16))
    with draws.seeded(0):
        found = [draws.normal_(torch.empty(16))]
        with draws.lent():
            found.append(torch.randn(16))
            with draws.lent():
                found.append(draws.normal_(torch.empty(16)))
    assert torch.equal(torch.stack(found), expected)


def test_a_block_within_a_block_has_numbers_of_its_own() -> None:
    with draws.seeded(0):
        first = numbers()
    with draws.seeded(1), draws.seeded(0):
        assert numbers() == first


def test_states_go_on_where_they_were() -> None:
    with draws.seeded(0):
        draws.normal_(torch.empty(5))
        kept = draws.state()
        expected = numbers()
    with draws.seeded(7):
        draws.set_state(kept, CPU)
        assert numbers() == expected


class Wide(torch.nn.Module):
    """A prior of a user's: layers and draws by torch alone."""

    def __init__(self, latent_dim: int):
        super().__init__()
        self.loc = torch.nn.Linear(1, latent_dim)
        self.noise = torch.nn.Parameter(torch.randn(latent_dim))

    def forward(self, posterior: torch.nn.Module) -> Continuous:
        loc = self.loc.weight[:, 0] + self.noise
        return Continuous(torch.distributions.Independent(StudentT(4.0, loc, torch.ones_like(loc)), 1))


def fitted(which: str) -> tuple[float, np.ndarray]:
    """Fit a small model, and return its bound and some new rows: ink, counts, full covariances, a user's prior."""
    x = np.random.RandomState(0).normal(size=(60, 3))
    if which == "table":
        model, rows = CPVAE(2, **SMALL), table()
    elif which == "full":
        model, rows = CPVAE(2, covariance_type="full", expectation="straight-through", **SMALL), x
    elif which == "prior":
        model, rows = HVAE(prior="wide", **SMALL), x
    else:
        ink = np.random.RandomState(0).randint(2, size=(60, 12)).astype(np.uint8)
        model, rows = CPVAE(4, expectation="sum-and-sample", **SMALL), ink
    bound = model.fit(rows).score(rows)
    return bound, np.asarray(model.sample(20)[0], dtype=str)


KINDS = ["ink", "table", "full", "prior"]


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(priors.PRIORS, "wide", Wide)
    monkeypatch.setitem(priors.PRIORS, "normal", StandardNormal)


def test_fits_and_samples_in_threads_have_the_bits_of_their_seed() -> None:
    torch.manual_seed(1)
    alone = [fitted(kind) for kind in KINDS]
    torch.manual_seed(2)
    state = torch.get_rng_state()
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(fitted, KINDS * 2))
    assert torch.equal(torch.get_rng_state(), state)
    for (bound, rows), (other, others) in zip(alone * 2, together, strict=True):
        assert bound == other
        assert (rows == others).all()


def test_a_model_sampled_in_threads_gives_the_same_rows_in_each() -> None:
    model, n = CPVAE(2, **SMALL).fit(table()), 6
    expected, barrier = model.sample(50)[0], threading.Barrier(n)

    def drawn(_: int) -> pd.DataFrame:
        barrier.wait()
        return model.sample(50)[0]

    with ThreadPoolExecutor(n) as pool:
        for rows in pool.map(drawn, range(n)):
            pd.testing.assert_frame_equal(rows, expected)


@contextmanager
def doubles() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, doubles])
@pytest.mark.parametrize("kind", KINDS[:3])
def test_a_fit_does_not_depend_on_the_mode_torch_is_in(mode, kind: str) -> None:
    expected = fitted(kind)
    with mode():
        bound, rows = fitted(kind)
    assert bound == expected[0]
    assert (rows == expected[1]).all()


def test_a_gradient_can_be_taken_after_a_fit_without_them() -> None:
    x = np.random.RandomState(0).normal(size=(30, 2))
    with torch.inference_mode():
        model = VAE(**SMALL).fit(x)
    model.model_.encode(torch.zeros(1, 2)).given(torch.zeros(1, 1).long()).mean.sum().backward()
