"""Parameters in one vector, which train like separate ones."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from cpvae.estimators.zoo import ESTIMATORS
from cpvae.fitting.devices.flat import ALIGN, Flat


def layers() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2))


def test_adam_on_the_vector_is_adam_on_each_parameter() -> None:
    apart, together = layers(), layers()
    flat = Flat(together.parameters())
    flat.values.grad = flat.gradient
    optimizers = torch.optim.Adam(apart.parameters(), lr=0.1), torch.optim.Adam([flat.values], lr=0.1)
    for step in range(5):
        x = torch.randn(7, 3)
        apart.zero_grad()
        for model in (apart, together):
            model(x).square().sum().backward()
        if step == 0:
            norm = torch.nn.utils.get_total_norm([p.grad for p in apart.parameters()])
        flat.collect()
        if step == 0:
            torch.testing.assert_close(flat.gradient.norm(), norm)
        for optimizer in optimizers:
            optimizer.step()
    for one, other in zip(apart.parameters(), together.parameters(), strict=True):
        torch.testing.assert_close(one, other)
    assert all(p.data_ptr() % (4 * ALIGN) == flat.values.data_ptr() % (4 * ALIGN) for p in together.parameters())


def test_a_parameter_without_gradient_counts_as_zero_even_after_one_with() -> None:
    model = layers()
    flat = Flat(model.parameters())
    model(torch.ones(1, 3)).sum().backward()
    flat.collect()
    model[2](torch.ones(1, 5)).sum().backward()
    flat.collect()
    assert flat.gradient[: 3 * 5].eq(0).all()
    assert flat.gradient[-ALIGN:].any()


def test_released_parameters_have_memory_of_their_own() -> None:
    model = layers()
    flat = Flat(model.parameters())
    before = [p.detach().clone() for p in model.parameters()]
    flat.release()
    flat.values.zero_()
    for p, value in zip(model.parameters(), before, strict=True):
        torch.testing.assert_close(p.detach(), value)


def test_only_what_holds_numbers_and_learns_is_moved() -> None:
    empty, fixed, learns = nn.Parameter(torch.zeros(0)), nn.Parameter(torch.ones(2), False), nn.Parameter(torch.ones(3))
    flat = Flat([empty, fixed, learns])
    assert flat.parameters == [learns]
    assert len(flat) == ALIGN
    (2 * learns).sum().backward()
    flat.collect()
    assert flat.gradient[:3].tolist() == [2.0, 2.0, 2.0]
    for none in (Flat([]), Flat([empty, fixed])):
        none.collect()
        none.release()
        assert len(none) == 0


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize(("columns", "noise"), [("c", None), ("cc", 1.0), ("cn", 1.0), ("ck", None)])
def test_a_table_without_numbers_to_learn_noise_of_can_be_fitted(name: str, columns: str, noise: float | None) -> None:
    """A likelihood may have nothing to learn: no numbers, no counts, or a given noise."""
    random, n = np.random.RandomState(0), 40
    makes = {
        "c": lambda: random.choice(["yes", "no"], n),
        "n": lambda: np.where(random.rand(n) < 0.1, np.nan, random.normal(size=n)),
        "k": lambda: random.poisson(2.0, n),
    }
    frame = pd.DataFrame({f"{kind}{i}": makes[kind]() for i, kind in enumerate(columns)})
    schema = {f"{kind}{i}": "count" for i, kind in enumerate(columns) if kind == "k"} or None
    model = ESTIMATORS[name](latent_dim=2, hidden=(8,), max_epochs=1, noise=noise, schema=schema, random_state=0)
    if "n_components" in model.get_params():
        model.set_params(n_components=2)
    assert np.isfinite(model.fit(frame).score(frame))
