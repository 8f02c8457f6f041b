"""Threads of a fit: no more than its steps can use, asleep while they wait on the command line."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch

from cpvae import VAE
from cpvae.fitting import loop
from cpvae.fitting.devices.threads import at_most, useful
from cpvae.fitting.devices.waiting import ASLEEP, wait_asleep
from cpvae.nn.layers import Dense
from cpvae.probability import recipes
from cpvae.probability.likelihoods.bernoulli import Bernoulli


def test_a_small_network_has_one_thread_and_a_large_one_more_with_its_batch() -> None:
    small = recipes.cpvae(Bernoulli(5), 10, 2, Dense((8,)))
    large = recipes.cpvae(Bernoulli(800), 10, 40, Dense((300, 300)))
    assert useful(small, 100, 5) == 1
    assert 1 < useful(large, 200, 800) < useful(large, 1000, 800)


@pytest.mark.filterwarnings("ignore::cpvae.FitWarning")
@pytest.mark.parametrize(("own", "found"), [(2, 1), (1, 1)])
def test_a_fit_leaves_the_threads_of_its_caller_as_they_were(own: int, found: int, monkeypatch) -> None:
    seen = []
    step = loop._Run._step
    monkeypatch.setattr(loop._Run, "_step", lambda run, index: seen.append(torch.get_num_threads()) or step(run, index))
    before = torch.get_num_threads()
    torch.set_num_threads(own)
    try:
        VAE(latent_dim=1, hidden=(4,), max_epochs=1, random_state=0).fit(np.random.RandomState(0).normal(size=(30, 2)))
        assert torch.get_num_threads() == own
        with at_most(8):
            assert torch.get_num_threads() == own
    finally:
        torch.set_num_threads(before)
    assert set(seen) == {found}


@pytest.mark.parametrize("own", [None, *ASLEEP])
def test_threads_wait_asleep_unless_the_user_says_how_they_wait(own: str | None, monkeypatch) -> None:
    for name in ASLEEP:
        monkeypatch.setenv(name, "")  # restored after the test
        monkeypatch.delenv(name)
    if own is not None:
        monkeypatch.setenv(own, "5")
    wait_asleep()
    assert {name: os.environ[name] for name in ASLEEP if name in os.environ} == (ASLEEP if own is None else {own: "5"})
