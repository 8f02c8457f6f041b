"""The training loop: its objective, its end, and interrupted runs, which end like any other."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import threading
import time
import warnings
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sklearn.datasets import load_digits
from torch.distributions import Normal

from cpvae import CPVAE, FitWarning, InputError, load
from cpvae.checkpoints import load_tensors, save_tensors
from cpvae.data.rows import Rows
from cpvae.fitting import jobs, loop, restarts
from cpvae.fitting.descent import Descent
from cpvae.fitting.devices.threads import at_most
from cpvae.fitting.loop import train
from cpvae.fitting.records import EpochRecord, Interrupted
from cpvae.fitting.restart import Restart
from cpvae.fitting.runs import CHECKPOINT, HISTORY, held
from cpvae.fitting.schedules import constant
from cpvae.fitting.settings import Settings
from cpvae.fitting.starts.clusterings import gaussian_mixture
from cpvae.fitting.starts.codes import AutoencoderCode
from cpvae.fitting.starts.start import STARTS, ClusteredStart, RandomStart
from cpvae.fitting.state import State
from cpvae.fitting.validation import validate
from cpvae.nn.layers import Dense
from cpvae.probability import recipes
from cpvae.probability.expectations import Exact, Relaxed, StraightThrough
from cpvae.probability.likelihoods.bernoulli import Bernoulli
from cpvae.probability.objectives import Bound

torch.set_num_threads(1)
X = (load_digits().data[:400] / 16).astype(np.float32)


def small_model(seed: int = 0) -> tuple:
    torch.manual_seed(seed)
    model = recipes.cpvae(Bernoulli(64), n_components=4, latent_dim=3, network=Dense((16, 16)))
    return model, Rows(X[:300]), model.likelihood.fixed(Rows(X[300:]))


def run(settings: Settings, **arguments) -> tuple:
    model, rows, valid = small_model()
    bound = Bound(arguments.pop("expectation", Exact()), arguments.pop("beta", settings.beta(len(rows))))
    outcome = train(model, rows, valid, bound, settings, **arguments)
    return model, outcome


@pytest.mark.parametrize("expectation", [Exact(), StraightThrough(constant(0.7)), Relaxed(constant(0.7))])
def test_every_expectation_trains(expectation):
    _, outcome = run(Settings(max_epochs=15, batch_size=50, learning_rate=5e-3), expectation=expectation)
    first, last = outcome.history[0], outcome.history[-1]
    assert last.reconstruction < first.reconstruction - 5
    assert last.valid_negative_elbo < first.valid_negative_elbo - 5


def test_a_relaxed_value_never_goes_by_the_name_of_a_bound():
    start = torch.from_numpy(np.arange(300) % 4)
    settings = Settings(max_epochs=3, start_epochs=1)
    _, outcome = run(settings, expectation=Relaxed(constant(0.7)), start=start)
    values = [(record.train_negative_elbo, record.train_relaxed_not_a_bound) for record in outcome.history]
    assert values[0][0] is not None  # while c is given
    assert values[0][1] is None
    assert all(bound is None and relaxed is not None for bound, relaxed in values[1:])


def test_same_seed_same_bits_and_the_callers_random_state_is_left_alone():
    before = torch.get_rng_state()
    _, a = run(Settings(max_epochs=3, seed=5))
    torch.manual_seed(77)
    _, b = run(Settings(max_epochs=3, seed=5))
    _, c = run(Settings(max_epochs=3, seed=6))
    bounds = [[r.train_negative_elbo for r in outcome.history] for outcome in (a, b, c)]
    assert bounds[0] == bounds[1] != bounds[2]
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    model, rows, valid = small_model(3)
    torch.manual_seed(3)
    train(model, rows, valid, Bound(), Settings(max_epochs=1))
    assert torch.rand(1) == expected
    torch.set_rng_state(before)


def test_history_holds_means_over_rows_not_over_batches():
    """FACTS-like trap: with a short last batch the mean of batch means is another number."""
    seen = []
    model, rows, valid = small_model()
    draw = model.likelihood.log_prob

    def spy(params, y):
        value = draw(params, y)
        if torch.is_grad_enabled():
            seen.append(value.detach())
        return value

    model.likelihood.log_prob = spy
    # The assigned category is a single one, so that log p(x | z, c) is one number a row.
    start = torch.zeros(300, dtype=torch.int64)
    outcome = train(model, rows, valid, Bound(), Settings(max_epochs=1, batch_size=299, start_epochs=1), start=start)
    every = torch.cat([value.flatten() for value in seen])
    assert len(every) == 300
    assert outcome.history[0].reconstruction == pytest.approx(-float(every.mean()), rel=1e-6)


def test_a_batch_above_the_number_of_rows_still_trains():
    model, rows, valid = small_model()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    train(model, rows, valid, Bound(), Settings(max_epochs=1, batch_size=10_000))
    assert any(not torch.equal(before[k], v) for k, v in model.state_dict().items())


def test_warmup_weighs_the_kl_terms_and_early_stopping_waits_for_it():
    _, outcome = run(Settings(max_epochs=60, warmup_epochs=20, patience=3, learning_rate=0.05))
    betas = [record.beta for record in outcome.history]
    assert betas[:4] == pytest.approx([0.05, 0.1, 0.15, 0.2])
    assert max(betas) == 1.0
    assert outcome.stopped == "early_stopping"
    assert len(outcome.history) == max(outcome.best_epoch, 20) + 3


def test_a_gain_that_is_not_worth_waiting_for_ends_training_with_the_best_weights():
    settings = Settings(max_epochs=30, patience=3, learning_rate=0.01)
    patient, hasty = (run(replace(settings, gain=gain))[1] for gain in (0.0, 1e6))
    assert len(hasty.history) == 4 < len(patient.history)  # the first epoch is better than none
    bounds = [record.valid_negative_elbo for record in hasty.history]
    assert (hasty.stopped, hasty.best_epoch) == ("early_stopping", 1 + int(np.argmin(bounds)))
    assert hasty.best_epoch > 1


@pytest.mark.parametrize("phase", ["warm-up", "start"])
def test_the_best_weights_may_be_those_of_an_epoch_in_the_warmup_or_the_start(phase, monkeypatch):
    """Rows that say nothing of others; the validation bound has its full KL weight all the while."""
    monkeypatch.setattr(loop, "KNOWN", 0.0)  # whether categories are known is tested with the starts
    model, _, valid = small_model()
    settings = Settings(max_epochs=12, learning_rate=0.01, batch_size=10, warmup_epochs=12, start_epochs=12)
    few, start = Rows((np.random.RandomState(0).rand(60, 64) < 0.5).astype(np.float32)), torch.arange(60) % 4
    outcome = train(
        model, few, valid, Bound(beta=settings.beta(60)), settings, start=start if phase == "start" else None
    )
    bounds = [record.valid_negative_elbo for record in outcome.history]
    assert outcome.best_epoch == 1 + int(np.argmin(bounds)) < 12
    assert -float(validate(model, valid, Exact())[0].elbo) == pytest.approx(min(bounds), rel=1e-6)


def test_a_step_goes_down_the_density_of_the_decoders_weights_too():
    model, rows, _ = small_model()
    for p in model.parameters():
        p.data += 0.1  # biases begin at 0, where a prior would not be seen
    weights = [p for p in model.decoder.parameters() if p.dim() > 1]
    scales = [(2 / sum(p.shape)) ** 0.5 for p in weights]
    prior = sum(Normal(0.0, 2 * scale).log_prob(p).sum() for p, scale in zip(weights, scales, strict=True))
    (-prior / len(rows)).backward()
    expected = {id(p): p.grad.clone() for p in weights}
    model.zero_grad()
    descent = Descent(model, 0.0, 10, spread=2.0, n_rows=len(rows))
    descent.collect()
    descent.step(torch.tensor(True))
    descent.release()
    flat = descent.flats[0]
    for p, found in zip(flat.parameters, flat.views(flat.gradient), strict=True):
        torch.testing.assert_close(found, expected.get(id(p), torch.zeros_like(p)))


def test_a_decoder_of_few_rows_keeps_small_weights():
    free, held = (run(Settings(max_epochs=30, learning_rate=0.02, spread=spread))[0] for spread in (None, 0.5))
    sizes = [torch.cat([p.flatten() for p in m.decoder.parameters()]).norm().item() for m in (free, held)]
    assert sizes[1] < 0.8 * sizes[0]


def test_the_best_weights_are_kept():
    model, outcome = run(Settings(max_epochs=40, patience=40, learning_rate=0.03))
    _, _, valid = small_model()
    bound = -float(validate(model, valid, Exact())[0].elbo)
    assert bound == pytest.approx(min(record.valid_negative_elbo for record in outcome.history), rel=1e-6)
    assert bound == pytest.approx(outcome.best_negative_elbo, rel=1e-6)


def test_the_average_of_the_weights_is_what_is_validated_and_kept():
    settings = Settings(max_epochs=8, batch_size=20, learning_rate=0.03)
    raw, _ = run(settings)
    averaged, outcome = run(replace(settings, average=0.99))
    valid = small_model()[2]
    terms, _ = validate(averaged, valid, Exact())
    assert -float(terms.elbo) == pytest.approx(outcome.best_negative_elbo, abs=1e-4)
    # The same gradients: the average lies between where the weights began and where they ended.
    begun = small_model()[0].state_dict()
    ends, kept = raw.state_dict(), averaged.state_dict()
    names = [name for name, _ in raw.named_parameters()]
    gone = sum(float((ends[name] - begun[name]).square().sum()) for name in names)
    left = sum(float((ends[name] - kept[name]).square().sum()) for name in names)
    assert 0 < left < 0.5 * gone


def test_an_average_over_a_handful_of_steps_is_not_that_of_the_first_weights():
    settings = Settings(max_epochs=3, batch_size=300, average=0.9)
    raw, averaged = (run(replace(settings, average=average))[0].state_dict() for average in (0.0, 0.9))
    begun = small_model()[0].state_dict()
    for name in ("decoder.output.bias", "prior.loc"):
        moved = (raw[name] - begun[name]).norm()
        assert 0.3 * moved < (averaged[name] - begun[name]).norm() < moved


def test_with_another_weight_of_the_kl_the_best_weights_are_those_of_that_objective():
    """As in the start: by the full bound training would seem to get worse from the first epochs on."""
    settings = Settings(max_epochs=40, patience=40, learning_rate=0.01, batch_size=30)
    model, outcome = run(settings, beta=constant(0.1))
    bounds = [record.valid_negative_elbo for record in outcome.history]
    assert outcome.best_epoch > 1 + int(np.argmin(bounds))
    _, _, valid = small_model()
    terms, _ = validate(model, valid, Exact())
    objective = -float(terms.log_px - 0.1 * (terms.kl_c + terms.kl_z))
    assert objective == pytest.approx(outcome.best_negative_elbo, rel=1e-6)


def test_a_start_holds_the_categories_and_sets_the_prior_to_the_moments_of_its_rows():
    start = torch.from_numpy(np.arange(300) % 4)
    model, rows, valid = small_model()
    settings = Settings(max_epochs=2, start_epochs=1, learning_rate=1e-9, batch_size=50)
    train(model, rows, valid, Bound(), settings, start=start)
    y = model.likelihood.fixed(rows)
    for k in range(4):
        q = model.encode(y[start == k]).given(torch.full((75, 1), k)).base_dist
        loc, scale = q.loc[:, 0].double(), q.scale[:, 0].double()
        torch.testing.assert_close(model.prior.loc[k].double(), loc.mean(0), rtol=1e-4, atol=1e-4)
        variance = (scale.square() + (loc - loc.mean(0)).square()).mean(0)
        torch.testing.assert_close(model.prior.scale[k].double(), variance.sqrt(), rtol=1e-3, atol=1e-4)


def test_one_huge_gradient_does_not_move_the_weights_far():
    model, rows, valid = small_model()
    calls = {"n": 0}
    original = model.likelihood.log_prob

    def explode(params, y):
        calls["n"] += torch.is_grad_enabled()
        return original(params, y) * (1e8 if calls["n"] == 30 and torch.is_grad_enabled() else 1.0)

    model.likelihood.log_prob = explode
    outcome = train(model, rows, valid, Bound(), Settings(max_epochs=20, batch_size=50))
    assert outcome.stopped != "not_finite"
    assert outcome.history[-1].valid_negative_elbo < outcome.history[3].valid_negative_elbo


def test_nan_stops_with_the_cause_and_the_last_good_weights():
    model, rows, valid = small_model()
    original = model.likelihood.log_prob
    epochs: list[EpochRecord] = []

    def spoil(params, y):
        return original(params, y) * (float("nan") if len(epochs) >= 3 and torch.is_grad_enabled() else 1.0)

    model.likelihood.log_prob = spoil
    with pytest.warns(
        FitWarning, match=r"stopped in epoch 4: log_px became infinite or NaN; kept the weights of epoch 3"
    ):
        outcome = train(model, rows, valid, Bound(), Settings(max_epochs=9, batch_size=50), on_epoch=epochs.append)
    assert outcome.stopped == "not_finite"
    assert all(torch.isfinite(value).all() for value in model.state_dict().values())


# -- interruptions ----------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _short_start(monkeypatch):
    """Shorten the start to a few epochs, so that kills fall into training as well as into the start."""
    monkeypatch.setitem(STARTS, "autoencoder", ClusteredStart(((AutoencoderCode(n_steps=1),),), gaussian_mixture))


FIT = {
    "likelihood": "bernoulli",
    "latent_dim": 3,
    "hidden": (32, 32),
    "init": "autoencoder",
    "max_epochs": 23,
    "batch_size": 40,
    "random_state": 0,
}


def tensors_of(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def fit_in(folder: Path, resume: bool = False, **changes) -> CPVAE:
    return CPVAE(4, **{**FIT, **changes}).fit(X, out=folder, resume=resume)


def assert_same_run(a: Path, b: Path) -> None:
    left, right = tensors_of(a), tensors_of(b)
    assert left.keys() == right.keys()
    for name in left:
        assert torch.equal(left[name], right[name]), name
    lines = [(folder / HISTORY).read_text().splitlines() for folder in (a, b)]
    histories = [[{**json.loads(line), "seconds": 0} for line in text] for text in lines]
    assert histories[0] == histories[1]


def assert_nothing_half_written(folder: Path) -> None:
    """Check that every file under its final name can be read; temporary files begin with a dot."""
    for path in folder.glob("*.safetensors"):
        load_file(path)
    for path in folder.glob("*.json"):
        json.loads(path.read_text())


def test_killed_at_ten_random_moments_and_resumed_the_weights_are_the_same(tmp_path):
    fit_in(tmp_path / "whole")
    began = time.perf_counter()
    fit_in(tmp_path / "timed")
    usual = time.perf_counter() - began
    folder = tmp_path / "killed"
    moments = random.Random(0)
    kills = 0
    while kills < 10:
        child = os.fork()
        if child == 0:
            os.close(1), os.close(2)
            fit_in(folder, resume=True)
            os._exit(0)
        time.sleep(moments.uniform(0.05, 0.6) * usual)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        kills += 1
        if folder.exists():
            assert_nothing_half_written(folder)
    fit_in(folder, resume=True)
    assert_same_run(tmp_path / "whole", folder)


def test_a_folder_is_for_one_process_at_a_time_and_free_when_that_is_killed(tmp_path):
    folder = tmp_path / "run"
    child = os.fork()
    if child == 0:
        try:
            os.close(1), os.close(2)
            fit_in(folder, max_epochs=100_000)
        finally:
            os._exit(1)
    try:
        until = time.monotonic() + 60
        while not (folder / CHECKPOINT).exists():
            assert time.monotonic() < until
            assert os.waitpid(child, os.WNOHANG) == (0, 0)
            time.sleep(0.001)
        for resume in (False, True):
            with pytest.raises(InputError, match=r"another process is fitting into .*run; wait"):
                fit_in(folder, resume)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    with pytest.warns(FitWarning, match="the run began with 100,000 epochs"):  # now the run goes on
        fit_in(folder, resume=True)
    assert (folder / HISTORY).exists()


def test_a_folder_that_was_claimed_for_nothing_is_not_left_behind(tmp_path, monkeypatch):
    def refuse(*arguments: object) -> None:
        raise InputError("no")

    monkeypatch.setattr("cpvae.estimators.learning.run_all", refuse)
    with pytest.raises(InputError, match="no"):
        fit_in(tmp_path / "new" / "run")
    assert not (tmp_path / "new").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file"):
        fit_in(tmp_path / "file")
    with held(tmp_path / "kept" / "run"):
        (tmp_path / "kept" / "other").write_text("")
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["other"]


def test_a_restart_that_goes_on_without_its_parent_keeps_its_folder(tmp_path, monkeypatch):
    """Both restarts are run side by side; of one the folder is taken."""
    monkeypatch.setattr(restarts, "WORTH", 0)
    monkeypatch.setattr(jobs.joblib, "effective_n_jobs", lambda n: 2)
    with held(tmp_path / "run" / "restart-1"), pytest.raises(InputError, match=r"another process .*restart-1; wait"):
        CPVAE(4, n_init=2, **FIT).fit(X, out=tmp_path / "run")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_request_saves_and_the_run_goes_on_from_the_middle_of_an_epoch(tmp_path, number):
    fit_in(tmp_path / "whole")
    folder = tmp_path / "stopped"

    def stop_soon() -> None:
        while not (folder / HISTORY).exists() or len((folder / HISTORY).read_text().splitlines()) < 7:
            time.sleep(0.001)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=stop_soon)
    thread.start()
    with pytest.raises(Interrupted):
        fit_in(folder)
    thread.join()
    assert (folder / CHECKPOINT).exists()
    assert json.loads((folder / "config.json").read_text())["status"] == "unfinished"
    with pytest.warns(FitWarning, match=r"a fit that has not finished: its weights so far, of epoch \d+ of the \d+"):
        assert load(folder).n_iter_ >= 7
    fit_in(folder, resume=True)
    assert_same_run(tmp_path / "whole", folder)
    assert not (folder / CHECKPOINT).exists()


@contextmanager
def stopped_at(path: Path, number: int):
    """Send a signal to the block as soon as a file is there, and check that the block ends by it."""

    def stop() -> None:
        while not path.exists():
            time.sleep(0.001)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=stop)
    thread.start()
    with pytest.raises(Interrupted):
        yield
    thread.join()


def test_restarts_resume_too_and_the_best_is_kept(tmp_path):
    whole = CPVAE(4, n_init=2, **FIT).fit(X, out=tmp_path / "whole")
    folder = tmp_path / "stopped"

    with stopped_at(folder / "restart-1" / HISTORY, signal.SIGINT):
        CPVAE(4, n_init=2, **FIT).fit(X, out=folder)
    CPVAE(4, n_init=2, **FIT).fit(X, out=folder, resume=True)
    assert_same_run(tmp_path / "whole", folder)
    bounds = []
    for i in range(2):
        lines = (folder / f"restart-{i}" / HISTORY).read_text().splitlines()
        bounds.append(min(json.loads(line)["valid_negative_elbo"] for line in lines[3:]))
    kept = min(record["valid_negative_elbo"] for record in whole.history_[3:])
    assert kept == min(bounds)


@pytest.fixture
def _two_at_a_time(monkeypatch):
    monkeypatch.setattr(restarts, "WORTH", 0)
    monkeypatch.setattr(jobs.joblib, "effective_n_jobs", lambda n: 2)


def test_restarts_side_by_side_stop_and_go_on_as_those_in_turn_to_the_bit(tmp_path, request):
    np.save(tmp_path / "x.npy", X)
    rows = np.load(tmp_path / "x.npy", mmap_mode="r")
    folder, before = tmp_path / "stopped", signal.getsignal(signal.SIGTERM)
    settings = {**FIT, "max_epochs": 30}
    in_turn = CPVAE(4, n_init=2, **settings).fit(X, out=tmp_path / "in-turn")
    request.getfixturevalue("_two_at_a_time")
    with stopped_at(folder / "restart-1" / CHECKPOINT, signal.SIGTERM):
        CPVAE(4, n_init=2, **settings).fit(rows, out=folder)
    assert signal.getsignal(signal.SIGTERM) == before
    beside = CPVAE(4, n_init=2, **settings).fit(rows, out=folder, resume=True)
    assert_same_run(tmp_path / "in-turn", folder)
    assert beside.seed_ == in_turn.seed_
    for i in range(2):
        lines = [(place / f"restart-{i}" / HISTORY).read_text() for place in (tmp_path / "in-turn", folder)]
        bounds = [[json.loads(line)["valid_negative_elbo"] for line in text.splitlines()] for text in lines]
        assert bounds[0] == bounds[1]
    assert beside.start_seconds_ > 0


@pytest.mark.usefixtures("_two_at_a_time")
@pytest.mark.filterwarnings("default::cpvae.FitWarning")
def test_restarts_side_by_side_say_how_long_all_of_them_take(capsys):
    CPVAE(4, n_init=3, verbose=1, **{**FIT, "init": "random", "max_epochs": 2}).fit(X)
    said = capsys.readouterr().err
    assert re.search(r"3 restarts, 2 at a time: about .* in all, each fits for about .*, after its start", said)
    assert re.search(r"3 restarts took .* in all", said)


@pytest.mark.filterwarnings("default::cpvae.FitWarning")
def test_restarts_within_a_comparison_do_not_wait_for_themselves():
    with at_most(1):
        assert torch.get_num_threads() == 1
        model = CPVAE(4, n_init=2, **{**FIT, "init": "random", "max_epochs": 2}).fit(X)
    assert model.n_iter_ == 2


def test_what_a_restart_in_another_process_warns_of_comes_back_with_it():
    class Doubtful(RandomStart):
        def __call__(self, task):
            warnings.warn("a doubtful start", FitWarning, stacklevel=1)

    model, rows, valid = small_model()
    restart = Restart(model, 4, Doubtful(), Bound(), Settings(max_epochs=1), None, resume=False)
    work = partial(restarts._run_apart, restart, rows, Rows(X[300:]))
    (done,) = jobs.run([jobs.Job("one", work)], 1)
    fitted, outcome = done.result()
    assert (done.warnings, len(outcome.history)) == (("a doubtful start",), 1)
    assert fitted is model
    assert len(valid) == 100


def test_resuming_with_other_data_or_arguments_is_refused(tmp_path):
    fit_in(tmp_path / "run")
    with pytest.raises(InputError, match="already holds a run; add --resume"):
        fit_in(tmp_path / "run")
    with pytest.raises(InputError, match=r"other arguments \(latent_dim: 3 there, 2 asked\)"):
        fit_in(tmp_path / "run", resume=True, latent_dim=2)
    with pytest.raises(InputError, match=r"other rows \(rows: 400 there, 399 asked\)"):
        CPVAE(4, **FIT).fit(X[:399], out=tmp_path / "run", resume=True)


def test_a_run_from_before_an_option_was_there_goes_on_with_its_default(tmp_path):
    fit_in(tmp_path / "run")
    path = tmp_path / "run" / "config.json"
    config = json.loads(path.read_text())
    del config["params"]["covariance_type"]
    path.write_text(json.dumps(config))
    assert fit_in(tmp_path / "run", resume=True).n_iter_ > 0
    with pytest.raises(InputError, match=r"other arguments \(covariance_type: auto there, full asked\)"):
        fit_in(tmp_path / "run", resume=True, covariance_type="full")


def test_a_finished_run_is_opened_not_trained_again(tmp_path):
    fit_in(tmp_path / "run")
    before = (tmp_path / "run" / "model.safetensors").stat().st_mtime_ns
    model = fit_in(tmp_path / "run", resume=True)
    assert (tmp_path / "run" / "model.safetensors").stat().st_mtime_ns == before
    assert model.n_iter_ == FIT["max_epochs"]


def test_collapse_warns_and_names_the_remedy(monkeypatch):
    class AllInOne(RandomStart):
        def __call__(self, task):
            return torch.zeros(len(task.rows), dtype=torch.int64)

    with monkeypatch.context() as patch:
        patch.setattr(CPVAE, "_start", lambda self: AllInOne())
        with pytest.warns(
            FitWarning, match=r"only 1 of 8 categories are in use; refit with n_init=5 and without init='random'"
        ):
            CPVAE(8, **{**FIT, "max_epochs": 6}).fit(X)
    with warnings.catch_warnings():
        warnings.simplefilter("error", FitWarning)
        CPVAE(4, **FIT).fit(X)


TAMPERED = {
    "epoch": ("x", -1, 10**9),
    "step": (-3, 10**9, 0.5),
    "best_epoch": (10**9, None),
    "best_bound": ("high",),
    "seconds": (-1.0, "long"),
    "stopped": ("bored", 3),
}


def test_short_epochs_wait_for_few_checkpoints(tmp_path, monkeypatch):
    saved = []

    def slow(state, path):
        saved.append(state.progress.epoch)
        time.sleep(0.05)

    monkeypatch.setattr(State, "save", slow)
    model, rows, valid = small_model()
    settings = Settings(max_epochs=20, batch_size=150, checkpoint_every=1)
    train(model, rows, valid, Bound(), settings, folder=tmp_path)
    assert saved[0] == 1
    assert saved[-1] == 20
    assert len(saved) < 10


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """Stop a run after two epochs; return its checkpoint and a function that resumes it."""
    folder, (_, rows, valid) = tmp_path_factory.mktemp("stopped"), small_model()
    start, settings = torch.arange(300) % 4, Settings(max_epochs=3, batch_size=150, start_epochs=1, checkpoint_every=1)

    def stop(record):
        if record.epoch == 2:
            raise Interrupted(folder)

    def go(**arguments):
        return train(small_model()[0], rows, valid, Bound(), settings, folder=folder, **arguments)

    with pytest.raises(Interrupted):
        go(start=start, on_epoch=stop)
    return folder / CHECKPOINT, partial(go, resume=True)


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in TAMPERED.items() for value in values])
def test_a_checkpoint_that_says_what_no_run_writes_is_refused(stopped, name, value):
    path, go = stopped
    tensors, meta = load_tensors(path)
    save_tensors(path, tensors, {**meta, "progress": {**meta["progress"], name: value}})
    with pytest.raises(InputError, match="checkpoint"):
        go()
    save_tensors(path, tensors, meta)


@pytest.mark.parametrize("start", [torch.zeros(299).long(), *(torch.full((300,), c) for c in (4, -1, 0.5))])
def test_a_checkpoint_with_a_start_of_other_rows_or_categories_is_refused(stopped, start):
    path, go = stopped
    tensors, meta = load_tensors(path)
    save_tensors(path, {**tensors, "start": start}, meta)
    with pytest.raises(InputError, match="its start is not one of 4 categories for each of 300 rows"):
        go()
    save_tensors(path, tensors, meta)
