"""Refinement of each row's posterior: against exact answers, by rows alone, and as users ask for it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from cpvae import CPVAE, VAE
from cpvae.data.noise import row_normal
from cpvae.datasets import load as load_data
from cpvae.errors import InputError
from cpvae.probability import estimates, refinement
from cpvae.probability.estimates import Evaluation, evaluate
from cpvae.probability.expectations import Joint
from cpvae.probability.refinement import Refinement
from cpvae.study.evaluation import measure
from cpvae.study.found import what_was_found
from test_contracts import MODELS, every_row, exact_log_p, fresh, tiny

SMALL = {"hidden": (8,), "latent_dim": 2, "max_epochs": 1, "random_state": 0}


class Astray(nn.Module):
    """The posterior of another module with means, scales and categories that are wrong in every row."""

    def __init__(self, right: nn.Module, shift: float, stretch: float):
        super().__init__()
        self.right, self.shift, self.stretch = right, shift, stretch
        self.n_categories = right.n_categories

    def forward(self, y: Tensor) -> Joint:
        q = self.right(y)

        def given(c: Tensor):
            right = q.given(c)
            return right.moved(torch.full_like(right.loc, self.shift), torch.full_like(right.loc, self.stretch))

        return Joint((0.2 * q.logits).log_softmax(-1), given)


@pytest.mark.parametrize(("shift", "stretch"), [(-1.0, 1.0), (1.5, -1.0)])
def test_the_bound_climbs_to_the_exact_likelihood(solve: Callable, shift: float, stretch: float) -> None:
    """On a mixture of factor analysers, whose log p(x) scipy knows and whose best posterior L reaches."""
    solved = solve(n=12)
    model, exact = solved.model, solved.log_p(solved.x)
    model.posterior = Astray(model.posterior, shift, stretch)
    losses = []
    for steps in (0, 10, 200):
        found = evaluate(model, solved.y, 50, improve=Refinement(steps) if steps else None)
        losses.append(exact - found.elbo)
    before, some, many = losses
    assert before.mean() > 3
    assert some.mean() < 0.6 * before.mean()
    np.testing.assert_allclose(many, 0, atol=0.1)  # of 50 draws, with hardly any spread at the best posterior
    assert -0.01 < many.mean() < 0.02


@pytest.mark.parametrize("name", MODELS)
def test_refined_bounds_stay_below_the_exact_likelihood(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare means over draws, for every model: encoder's <= refined <= refined L* <= log p(x)."""
    model, n = tiny(name), 60
    y = every_row().repeat(n, 1)
    for module in (estimates, refinement):
        monkeypatch.setattr(module, "row_normal", fresh)
    before, after = evaluate(model, y, 2), evaluate(model, y, 2, improve=Refinement(5))
    exact = exact_log_p(model, every_row())
    for values in (after.elbo, after.elbo_tight):
        table = values.reshape(n, 16)
        assert (table.mean(0) <= exact + 5 * table.std(0) / np.sqrt(n)).all()
    gap = (after.elbo - before.elbo).reshape(n, 16).mean(1)
    assert (gap > 0).mean() > 0.8  # means are those of a few rows, where two levels are as far off as here
    assert (after.elbo <= after.elbo_tight + 1e-9).all()
    assert all(parameter.grad is None for parameter in model.parameters())


def same(found: Evaluation, expected: Evaluation, rows: object) -> None:
    """Check that rows have the figures that they have among others."""
    for name in ("elbo", "elbo_tight", "log_px", "kl_z", "q_c", "proba"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name)[rows], atol=1e-9, err_msg=name)


@pytest.mark.parametrize("name", ["cpvae", "vamp", "hvae"])
def test_rows_are_refined_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask for rows in any order, by themselves and in other batches: a row gets the same answer."""
    model, y, improve = tiny(name), torch.rand(16, 4).double(), Refinement(4)
    expected = evaluate(model, y, 2, improve=improve)
    order = torch.randperm(16)
    same(evaluate(model, y[order], 2, improve=improve), expected, order)
    same(evaluate(model, y[5:6], 2, improve=improve), expected, slice(5, 6))
    monkeypatch.setattr(estimates, "DECODED_AT_ONCE", 3 * 7)
    monkeypatch.setattr(refinement, "DECODED_AT_ONCE", 3 * 2)
    same(evaluate(model, y, 2, improve=improve), expected, slice(None))


def test_the_draws_that_are_reported_choose_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps, choice and bound have streams of their own; with another one for the bound, the posterior is the same."""
    streams: dict[str, list[int]] = {}
    for module in (estimates, refinement):

        def noise(keys: Tensor, shape: tuple, stream: int = 0, module: str = module.__name__) -> Tensor:
            streams.setdefault(module, []).append(stream)
            return row_normal(keys, shape, stream)

        monkeypatch.setattr(module, "row_normal", noise)
    model, y, improve = tiny("cpvae"), every_row(), Refinement(3)
    one, other = (evaluate(model, y, 2, stream, improve) for stream in (0, 1000))
    np.testing.assert_array_equal(one.q_c, other.q_c)
    assert (one.elbo != other.elbo).all()
    assert (one.q_c != evaluate(model, y, 2).q_c).any()
    chosen = streams[refinement.__name__]
    assert len(set(chosen)) == 4  # three steps and the choice
    assert max(chosen) < 0 <= min(streams[estimates.__name__])


def test_a_row_keeps_the_answer_that_steps_make_worse(monkeypatch: pytest.MonkeyPatch) -> None:
    """A first step of 2,000 times the gradient, as long as it likes to be."""
    monkeypatch.setattr(refinement, "DELAY", 1e-3)
    monkeypatch.setattr(refinement, "LONGEST", 5.0)
    model, y = tiny("cpvae"), every_row()
    before, after = evaluate(model, y, 50), evaluate(model, y, 50, improve=Refinement(1))
    assert (after.elbo > before.elbo - 0.5).all()


def test_of_many_categories_the_likeliest_are_refined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimates, "EVALUATED", 2)
    monkeypatch.setattr(estimates, "LEFT_OUT", 1.0)
    model, y = tiny("cpvae"), every_row()
    before, after = (evaluate(model, y, 50, improve=improve) for improve in (None, Refinement(20)))
    assert (after.proba > 0).sum(1).max() == 2
    assert after.elbo.mean() > before.elbo.mean()
    assert (after.elbo <= after.elbo_tight + 1e-9).all()
    assert after.elbo_tight.mean() < exact_log_p(model, y).mean()


# -- as users ask for it ----------------------------------------------------------------------------------------------


def gaps(random: np.random.RandomState) -> pd.DataFrame:
    table = pd.DataFrame({"a": random.normal(size=60), "b": random.choice(["x", "y", "z"], 60)})
    table["c"] = random.poisson(3, 60).astype(float)
    return table.mask(random.rand(60, 3) < 0.2)


ROWS = {
    "ink": (lambda random: random.rand(60, 1, 4, 4), {"kind": "images", "likelihood": "bernoulli"}),
    "levels": (lambda random: random.randint(0, 256, (60, 1, 4, 4)).astype(np.uint8), {"kind": "images"}),
    "a table with gaps": (gaps, {}),
    "counts": (lambda random: random.poisson(2, (60, 5)), {"likelihood": "counts"}),
    "signals": (lambda random: random.normal(size=(60, 1, 12)), {}),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("rows", ROWS)
def test_bounds_of_every_likelihood_are_refined(rows: str) -> None:
    make, more = ROWS[rows]
    X = make(np.random.RandomState(0))
    model = CPVAE(2, init="random", **SMALL, **more).fit(X)
    before = model.score_samples(X)
    np.testing.assert_array_equal(model.score_samples(X, refine=0), before)
    after = model.score_samples(X, refine=10)
    assert np.isfinite(after).all()
    assert after.mean() > before.mean()
    with torch.inference_mode():
        few = X.iloc[3:5] if isinstance(X, pd.DataFrame) else X[3:5]
        np.testing.assert_allclose(model.score_samples(few, refine=10), after[3:5], rtol=1e-3, atol=1e-3)
    np.testing.assert_array_equal(model.score_samples(X), before)


@pytest.fixture(scope="module")
def vae() -> VAE:
    return VAE(**SMALL).fit(load_data("digits").splits["train"].x[:60])


def test_a_number_of_steps_that_is_none_is_one_line(vae: VAE) -> None:
    for wrong in (-1, 1.5, "ten"):
        with pytest.raises(InputError, match=r"^refine") as fault:
            vae.score_samples(load_data("digits").splits["valid"].x, refine=wrong)
        assert "\n" not in str(fault.value)


def test_the_refined_bound_is_measured_beside_the_other(vae: VAE) -> None:
    """Of the same rows, in keys of its own: nothing that was there changes."""
    plain, refined = (measure(vae, load_data("digits"), n_rows=30, refine=steps) for steps in (0, 5))
    figures = dict(refined.figures)
    new = {name: figures.pop(name) for name in set(figures) - set(plain.figures)}
    assert figures == plain.figures
    assert new["refine"] == 5
    gap = plain.figures["negative_elbo"] - new["refined_negative_elbo"]
    assert new["amortisation_gap"] == pytest.approx(gap, abs=1e-4)
    assert gap > 0
    *same, line = what_was_found(vae, refined)
    assert same == what_was_found(vae, plain)
    assert "refined by 5 gradient steps: negative bound" in line
