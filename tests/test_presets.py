"""Presets, the precision of products, and a step that is recorded."""

from __future__ import annotations

import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from cpvae import CPVAE, VAE, FitWarning, InputError
from cpvae.cli.options import parse_time
from cpvae.estimators.zoo import MODELS
from cpvae.fitting import loop
from cpvae.fitting.devices import capture
from cpvae.fitting.devices.capture import EAGER, Captured
from cpvae.fitting.presets import PRESETS, settings, start_epochs
from cpvae.fitting.restart import Restart
from cpvae.fitting.settings import Settings
from cpvae.fitting.validation import validate
from cpvae.nn.layers import Dense
from cpvae.probability import recipes
from cpvae.probability.expectations import Exact, SumAndSample
from cpvae.probability.likelihoods.bernoulli import Bernoulli

X = (load_digits().data[:600] / 16).astype(np.float32)
X = X[:, X[:500].std(0) > 0]  # columns that vary


def test_what_is_given_goes_before_the_preset():
    paper = settings("paper", 50_000, seed=3)
    assert (paper.learning_rate, paper.batch_size, paper.warmup_epochs, paper.patience) == (5e-4, 100, 100, 50)
    assert (paper.schedule, paper.average, paper.seed) == ("constant", 0.0, 3)
    given = settings("paper", 50_000, seed=3, batch_size=50, warmup_epochs=0, learning_rate=None)
    assert (given.batch_size, given.warmup_epochs, given.learning_rate) == (50, 0, 5e-4)
    assert settings("fast", 50_000, seed=0, patience=7).patience == 7


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("n_rows", [2, 99, 1_500, 50_000, 10**7])
def test_presets_suit_any_number_of_rows(preset, n_rows):
    chosen = settings(preset, n_rows, seed=0)
    assert isinstance(chosen, Settings)
    assert 1 <= chosen.start_epochs <= max(1, chosen.max_epochs // 2)
    assert chosen.max_epochs >= 10


def test_the_start_takes_a_part_of_the_epochs_only():
    for epochs in (1, 2, 3, 10, 30, 200, 2000):
        for steps in (1, 13, 250, 50_000):
            assert 1 <= start_epochs(epochs, steps) <= max(1, epochs // 2, epochs // 6)


@pytest.mark.parametrize("model", MODELS)
def test_every_model_takes_them_and_refuses_others(model):
    for name, choices in (("preset", "fast, paper"), ("precision", "float32, bfloat16")):
        with pytest.raises(InputError, match=f"{name}='nonsense' is unknown; known: {choices}"):
            model(**{name: "nonsense"}).fit(X)


def test_the_paper_preset_trains_with_its_own_numbers(tmp_path):
    model = VAE(latent_dim=2, hidden=(8,), preset="paper", max_epochs=3, random_state=0).fit(X)
    assert [record["beta"] for record in model.history_] == pytest.approx([0.01, 0.02, 0.03])
    model.save(tmp_path / "model.safetensors")


def test_products_in_bfloat16_reach_the_same_bound_and_only_training_uses_them():
    """The difference of the two bounds, row by row, against its own standard error and a tenth of a nat."""
    quick = {"latent_dim": 8, "hidden": (64,), "max_epochs": 60, "likelihood": "bernoulli", "random_state": 0}
    full, half = (VAE(precision=precision, **quick).fit(X[:500]) for precision in ("float32", "bfloat16"))
    before = half.evaluate(X[500:]).elbo
    gap = full.evaluate(X[500:]).elbo - half.evaluate(X[500:]).elbo
    assert full.history_ != half.history_
    assert abs(gap.mean()) < 4 * gap.std() / len(gap) ** 0.5 + 0.1
    half.precision = "float32"  # of training alone
    np.testing.assert_array_equal(half.evaluate(X[500:]).elbo, before)


def test_without_a_device_to_record_on_a_step_is_called():
    calls = []
    step = Captured(lambda: calls.append(1), torch.device("cpu"))
    for _ in range(7):
        step()
    assert len(calls) == 7


class Recorder:
    """A stand-in for torch.cuda in `Captured`: calls inside `graph` are recorded, not run."""

    def __init__(self, fails: bool = False):
        self.fails, self.replays, self.recording = fails, 0, False

    def CUDAGraph(self):
        return SimpleNamespace(replay=self.replay)

    def replay(self) -> None:
        self.replays += 1

    def graph(self, graph):
        return self

    def __enter__(self):
        self.recording = True
        if self.fails:
            raise RuntimeError("operation not permitted when stream is capturing")

    def __exit__(self, *error):
        self.recording = False

    def Stream(self):
        return SimpleNamespace(wait_stream=lambda other: None)

    def current_stream(self):
        return self.Stream()

    def stream(self, stream):
        return warnings.catch_warnings()  # any context manager that does nothing here


@pytest.mark.parametrize("fails", [False, True])
def test_on_a_device_the_step_is_recorded_once_and_replayed(monkeypatch, fails):
    cuda = Recorder(fails)
    monkeypatch.setattr(capture.torch, "cuda", cuda)
    run, recorded = [], []
    step = Captured(lambda: (recorded if cuda.recording else run).append(1), torch.device("cuda"))
    for _ in range(EAGER):
        step()
    if not fails:
        for _ in range(5):
            step()
        assert (len(run), len(recorded), cuda.replays) == (EAGER, 1, 5)
        return
    cuda.__exit__()
    with pytest.warns(FitWarning, match="could not be recorded as a CUDA graph .operation not permitted"):
        step()
    cuda.recording = False
    step()
    assert len(run) + len(recorded) == EAGER + 2
    assert cuda.replays == 0


def test_the_temperature_of_a_recorded_step_comes_from_a_tensor():
    expectation = CPVAE(3, expectation="straight-through", temperature=(1.0, 0.5))._expectation(100)
    for step in (0, 20, 90):
        assert float(expectation.temperature(torch.tensor(float(step)))) == pytest.approx(expectation.temperature(step))


@pytest.mark.parametrize(("n_components", "summed"), [(2, True), (4, True), (5, False)])
def test_training_samples_categories_and_validation_sums_the_few(n_components, summed):
    torch.manual_seed(0)
    expectation = CPVAE(n_components)._expectation(100)
    assert type(expectation) is SumAndSample
    model = recipes.cpvae(Bernoulli(6), n_components, latent_dim=2, network=Dense((5,)))
    y = torch.rand(50, 6).round()
    found, exact = (float(validate(model, y, one)[0].elbo) for one in (expectation, Exact()))
    assert (found == exact) is summed


def test_a_time_plans_the_epochs_of_a_fit_with_its_start(monkeypatch):
    """Pretend that an epoch takes a second; the rule of thumb for the start is checked by hand."""
    monkeypatch.setattr(Restart, "expected_seconds", lambda self, rows, valid: float(self.settings.max_epochs))
    x = np.random.RandomState(0).normal(size=(60, 3))
    fixed = {"latent_dim": 1, "hidden": (4,), "random_state": 0}
    assert VAE(max_seconds=10, **fixed).fit(x).n_iter_ == 8
    assert VAE(max_seconds=10, max_epochs=3, **fixed).fit(x).n_iter_ == 3
    assert VAE(max_seconds=1e-3, **fixed).fit(x).n_iter_ == 1
    assert CPVAE(2, max_seconds=10, **fixed).fit(x).n_iter_ == 4  # the clustering takes 3 seconds and 0.05
    with pytest.raises(InputError, match=r"max_seconds=0: expected"):
        VAE(max_seconds=0).fit(x)


def test_a_planned_fit_goes_on_with_its_plan_unless_it_is_given_other_epochs(tmp_path, monkeypatch):
    monkeypatch.setattr(Restart, "expected_seconds", lambda self, rows, valid: float(self.settings.max_epochs))
    x, fixed = np.random.RandomState(0).normal(size=(60, 3)), {"latent_dim": 1, "hidden": (4,), "random_state": 0}
    step = loop._Run._step

    def stopping(run, index):
        if run.state.progress.epoch == 2:
            raise KeyboardInterrupt
        return step(run, index)

    for epochs, length in ((9, 8), (5, 5)):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):  # noqa: PT012
            patch.setattr(loop._Run, "_step", stopping)
            patch.setattr(loop, "SAVE_EVERY", 0.0)
            VAE(max_seconds=10, max_epochs=9, **fixed).fit(x, out=tmp_path / str(epochs))
        monkeypatch.setattr(Restart, "affordable", None)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FitWarning)
            again = VAE(max_seconds=10, max_epochs=epochs, **fixed).fit(x, out=tmp_path / str(epochs), resume=True)
        assert again.n_iter_ == length
        monkeypatch.undo()
        monkeypatch.setattr(Restart, "expected_seconds", lambda self, rows, valid: float(self.settings.max_epochs))


@pytest.mark.parametrize("text", ["", "5 days", "-1m", "0", "1e3"])
def test_a_time_that_is_none_is_refused(text):
    with pytest.raises(InputError, match=r"--time .*: expected a time such as 90s, 5m or 2h"):
        parse_time("--time", text)
