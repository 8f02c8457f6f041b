"""Two processes with gloo on this machine against one: the same fit, written once, stopped and resumed together."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sklearn.datasets import load_digits
from torch import nn

from cpvae import CPVAE, InputError, VampVAE, load
from cpvae.cli import program
from cpvae.data.rows import Rows
from cpvae.fitting import runs
from cpvae.fitting.devices.rank import is_main
from cpvae.fitting.devices.world import World, world
from cpvae.fitting.loop import train
from cpvae.fitting.records import Interrupted
from cpvae.fitting.runs import CHECKPOINT, HISTORY
from cpvae.fitting.schedules import constant
from cpvae.fitting.settings import Settings
from cpvae.fitting.starts.clusterings import gaussian_mixture
from cpvae.fitting.starts.codes import AutoencoderCode
from cpvae.fitting.starts.start import STARTS, ClusteredStart
from cpvae.nn.draws import draw_rows
from cpvae.nn.layers import Dense
from cpvae.probability import recipes
from cpvae.probability.expectations import Exact, Expectation, Relaxed, StraightThrough, SumAndSample
from cpvae.probability.likelihoods.bernoulli import Bernoulli
from cpvae.probability.objectives import Bound
from test_cli import refused

pytestmark = pytest.mark.skipif(not torch.distributed.is_available(), reason="PyTorch without torch.distributed")
torch.set_num_threads(1)
X = (load_digits().data[:400] / 16).astype(np.float32)
ROUNDING = 2e-6  # relative: sums in another order, through a few dozen steps of training
FIT = {
    "latent_dim": 3,
    "hidden": (16,),
    "max_epochs": 6,
    "batch_size": 30,
    "random_state": 0,
    "likelihood": "bernoulli",
}

LONG = {**FIT, "max_epochs": 30, "init": "random"}


@pytest.fixture(autouse=True)
def _short_start(monkeypatch):
    monkeypatch.setitem(STARTS, "autoencoder", ClusteredStart(((AutoencoderCode(n_steps=60),),), gaussian_mixture))


@pytest.fixture
def start(tmp_path) -> Callable[..., list[int]]:
    """Fork processes that run a function together, and keep their results as JSON in `tmp_path`."""

    def make(function: Callable[[], Any], size: int = 2) -> list[int]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        children = []
        for rank in range(size):
            child = os.fork()
            if child:
                children.append(child)
                continue
            place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "MASTER_ADDR": "127.0.0.1"}
            os.environ.update({name: str(value) for name, value in place.items()}, MASTER_PORT=port)
            for number, name in ((1, "out"), (2, "err")):
                os.dup2(os.open(tmp_path / f"{name}-{rank}", os.O_CREAT | os.O_WRONLY | os.O_TRUNC), number)
            sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
            world.cache_clear()
            try:
                (tmp_path / f"{rank}.json").write_text(json.dumps(function()))
            except BaseException as error:  # a failure of a child is one of the test
                sys.stderr.write(f"{type(error).__name__} {error}\n")
            sys.stdout.flush(), sys.stderr.flush()
            os._exit(0)
        return children

    return make


@pytest.fixture
def together(start, tmp_path) -> Callable[..., list[Any]]:
    """Return the results of the processes of `start`."""

    def run(function: Callable[[], Any], size: int = 2) -> list[Any]:
        for child in start(function, size):
            os.waitpid(child, 0)
        files = [tmp_path / f"{rank}.json" for rank in range(size)]
        assert all(file.exists() for file in files), [(tmp_path / f"err-{rank}").read_text() for rank in range(size)]
        return [json.loads(file.read_text()) for file in files]

    return run


def trained(expectation: Expectation, settings: Settings) -> dict[str, Any]:
    """Train on 301 rows in batches of 50: the last batch has one row, so one of two processes has none."""
    torch.manual_seed(0)
    model = recipes.cpvae(Bernoulli(64), n_components=4, latent_dim=3, network=Dense((16,)))
    first = torch.from_numpy(np.arange(301) % 4)
    valid = model.likelihood.fixed(Rows(X[301:]))
    outcome = train(model, Rows(X[:301]), valid, Bound(expectation, settings.beta(301)), settings, start=first)
    weights = nn.utils.parameters_to_vector(model.parameters())
    return {
        "curve": [[r.valid_negative_elbo, r.reconstruction, r.kl_c, r.kl_z] for r in outcome.history],
        "used": [r.components_used for r in outcome.history],
        "weights": weights.tolist(),
        "random": torch.rand(3).tolist(),
    }


EXPECTATIONS = [Exact(), SumAndSample(), StraightThrough(constant(0.7)), Relaxed(constant(0.7))]


def test_two_processes_train_as_one_does(together):
    settings = Settings(max_epochs=4, batch_size=50, start_epochs=1, warmup_epochs=1)
    cases = [(one, settings) for one in EXPECTATIONS] + [
        (Exact(), replace(settings, average=0.9, schedule="one-cycle"))
    ]
    both = together(lambda: [trained(*case) for case in cases])
    for i, case in enumerate(cases):
        alone = trained(*case)
        for rank in range(2):
            found = both[rank][i]
            np.testing.assert_allclose(found["curve"], alone["curve"], rtol=ROUNDING, atol=1e-5)
            np.testing.assert_allclose(found["weights"], alone["weights"], rtol=1e-3, atol=1e-5)
            assert found["used"] == alone["used"]
        assert both[0][i] == both[1][i]  # to the bit


def test_an_estimator_fits_as_one_process_does_and_is_written_once(together, tmp_path):
    folder, few = tmp_path / "run", {**FIT, "init": "autoencoder", "max_epochs": 3}

    def fit() -> list[Any]:
        written = []
        for name in ("write_atomic", "append_line", "save_tensors"):
            for home in [module for key, module in sys.modules.items() if key.startswith("cpvae.")]:
                if hasattr(home, name):
                    original = getattr(home, name)

                    def spy(path, *rest, original=original, **named):
                        written.append(str(path))
                        return original(path, *rest, **named)

                    setattr(home, name, spy)
        model = CPVAE(4, verbose=1, **few).fit(X, out=folder)
        assert (folder / "model.safetensors").exists()  # when any of them goes on, the run is there
        return [model.predict(X).tolist(), [r["valid_negative_elbo"] for r in model.history_], len(written)]

    alone = CPVAE(4, **few).fit(X)
    (found, curve, writes), (_, _, others) = together(fit)
    np.testing.assert_allclose(curve, [r["valid_negative_elbo"] for r in alone.history_], rtol=1e-4)  # and the start's
    assert np.mean(alone.predict(X) == found) > 0.99
    assert writes > 5
    assert others == 0
    assert "fitting" in (tmp_path / "err-0").read_text()
    assert (tmp_path / "err-1").read_text() == ""
    # Finished, it is opened by all.
    opened = together(lambda: CPVAE(4, **few).fit(X, out=folder, resume=True).predict(X).tolist())
    assert opened == [found, found]


def test_without_a_seed_all_take_that_of_the_first(together):
    few = {**FIT, "max_epochs": 1, "random_state": None, "n_init": 2}
    fits = together(lambda: VampVAE(4, **few).fit(X).means_.tolist())
    assert fits[0] == fits[1]


@pytest.fixture(scope="module")
def long_curve() -> list[float]:
    """Fit as one process does, without a stop."""
    return [r["valid_negative_elbo"] for r in CPVAE(4, **LONG).fit(X).history_]


@pytest.mark.parametrize(("number", "sent"), [(1, signal.SIGTERM), (0, signal.SIGKILL)])
def test_one_process_that_is_stopped_or_killed_stops_all_and_one_process_resumes(
    start, tmp_path, long_curve, number, sent
):
    folder = tmp_path / "run"

    def fit() -> str:
        try:
            CPVAE(4, **LONG).fit(X, out=folder)
        except Interrupted as stop:
            return f"stopped {stop}"
        except InputError as error:
            return str(error)
        return "finished"

    children, until = start(fit), time.monotonic() + 60
    while not (folder / CHECKPOINT).exists():
        assert time.monotonic() < until
        time.sleep(0.002)
    os.kill(children[number], sent)
    for child in children:
        os.waitpid(child, 0)
    if sent == signal.SIGTERM:
        assert json.loads((tmp_path / "0.json").read_text()) == f"stopped {folder}"
        assert json.loads((tmp_path / "1.json").read_text()).startswith("stopped")
    else:
        assert not (tmp_path / f"{number}.json").exists()
        said = json.loads((tmp_path / f"{1 - number}.json").read_text())
        assert said.startswith("another of the 2 processes that train together has ended")
    trained_before = len((folder / HISTORY).read_text().splitlines())
    assert (folder / CHECKPOINT).exists()
    resumed = CPVAE(4, **LONG).fit(X, out=folder, resume=True)
    assert 2 <= trained_before < 30
    curve = [r["valid_negative_elbo"] for r in resumed.history_]
    np.testing.assert_allclose(curve, long_curve, rtol=1e-4)  # 360 steps of rounding


def test_two_processes_resume_what_one_began(together, tmp_path):
    folder = tmp_path / "run"

    class Stop:
        def say(self, text):
            pass

        def phase(self, title, n_epochs):
            pass

        def epoch(self, record):
            if record.epoch == 3 and record.beta > 0:
                signal.raise_signal(signal.SIGINT)

        def close(self):
            pass

    with pytest.raises(Interrupted):
        CPVAE(4, init="random", **FIT).fit(X, out=folder, reporter=Stop())
    curve, _ = together(
        lambda: [
            r["valid_negative_elbo"] for r in CPVAE(4, init="random", **FIT).fit(X, out=folder, resume=True).history_
        ]
    )
    alone = CPVAE(4, init="random", **FIT).fit(X)
    np.testing.assert_allclose(curve, [r["valid_negative_elbo"] for r in alone.history_], rtol=ROUNDING)
    assert load_file(folder / "model.safetensors").keys() == alone.model_.state_dict().keys()


@pytest.mark.parametrize("n_new", [1, "auto"])
def test_a_model_is_continued_as_one_process_does(together, tmp_path, n_new):
    few = {**FIT, "max_epochs": 2, "init": "random"}
    old, new = tmp_path / "old.cpvae", X[300:] if n_new == 1 else X[:40]
    CPVAE(3, **few).fit(X[:300]).save(old)

    def learned() -> list[Any]:
        model = load(old).set_params(**few).continue_fit(new, n_new=n_new)
        return [model.n_components_, [record["valid_negative_elbo"] for record in model.history_]]

    alone = learned()
    first, second = together(learned)
    assert first == second
    assert first[0] == alone[0]
    np.testing.assert_allclose(first[1], alone[1], rtol=1e-4)


def test_a_value_that_is_not_finite_stops_all(together):
    def fit() -> list[Any]:
        torch.manual_seed(0)
        model = recipes.cpvae(Bernoulli(64), n_components=4, latent_dim=3, network=Dense((16,)))
        original, seen = model.likelihood.log_prob, {"n": 0}

        def spoil(params, y):
            seen["n"] += torch.is_grad_enabled()
            bad = seen["n"] > 9 and torch.is_grad_enabled() and not is_main()
            return original(params, y) * (float("nan") if bad else 1.0)

        model.likelihood.log_prob = spoil
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            outcome = train(model, Rows(X), model.likelihood.fixed(Rows(X[:1])), Bound(), Settings(max_epochs=5))
        return [outcome.stopped, len(outcome.history)]

    assert together(fit) == [["not_finite", 2]] * 2


def test_what_the_first_finds_is_everybodys_and_so_are_its_errors(together, tmp_path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "config.json").write_text("{}")

    def ask() -> list[Any]:
        with pytest.raises(InputError, match="already holds a run; add --resume"):
            CPVAE(4, **FIT).fit(X, out=tmp_path / "taken")
        return [world().first(lambda: world().rank + 7), world().any(world().rank == 1), world().any(False)]

    assert together(ask) == [[7, True, False]] * 2


def test_the_parts_cover_all_rows_and_draws_are_those_of_the_whole():
    for n, size in ((10, 3), (2, 4), (0, 2), (7, 7)):
        rows = np.concatenate([np.arange(n)[World(rank, size).part(n)] for rank in range(size)])
        assert rows.tolist() == list(range(n))
    state = torch.get_rng_state()
    whole = [draw_rows(torch.Size([5, 3]), draw).clone() for draw in (torch.randn, torch.rand)]
    for rank in range(3):
        torch.set_rng_state(state)
        one = World(rank, 3)
        with one.sharing(5):
            for draw, expected in zip((torch.randn, torch.rand), whole, strict=True):
                mine = expected[one.part(5)]
                assert torch.equal(draw_rows(mine.shape, draw), mine)
    assert draw_rows(torch.Size([2]), torch.zeros).tolist() == [0, 0]


def test_two_processes_on_one_gpu_are_refused(monkeypatch):
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(InputError, match="2 processes for 1 GPU: expected one for each; start 1 with torchrun"):
        World(0, 2).check_device(torch.device("cuda"))
    World(0, 2).check_device(torch.device("cpu"))


def test_other_commands_are_refused_by_several_processes(monkeypatch):
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "here"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match="2 processes for cpvae compare: expected cpvae fit or continue, which share"):
        program._refuse_several(["compare", "digits"])
    program._refuse_several(["fit", "digits"])
    program._refuse_several(["continue", "old", "digits"])
    assert runs.command("digits", None, Path("r")) == "torchrun --nproc-per-node=2 -m cpvae fit digits --out r --resume"


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"WORLD_SIZE": "abc"}, "WORLD_SIZE='abc'"),
        ({"WORLD_SIZE": "0"}, "WORLD_SIZE='0'"),
        ({"WORLD_SIZE": "-1", "RANK": "x"}, "WORLD_SIZE='-1', RANK='x'"),
        ({"WORLD_SIZE": "2", "RANK": "2"}, "RANK='2'"),
        ({"WORLD_SIZE": "2", "MASTER_PORT": "none"}, "MASTER_PORT='none'"),
        ({"WORLD_SIZE": "2", "LOCAL_RANK": "x"}, "LOCAL_RANK='x'"),
    ],
)
def test_an_environment_that_names_no_processes_is_refused(told, said, monkeypatch, tmp_path):
    for name, value in {"RANK": "0", "MASTER_ADDR": "here", "MASTER_PORT": "29500", **told}.items():
        monkeypatch.setenv(name, value)
    message = refused("fit", "digits", "--out", tmp_path / "run")
    assert message.startswith(f"{said} in the environment: expected the whole numbers that torchrun sets")
    with pytest.raises(InputError, match="in the environment"):
        world.__wrapped__()  # anew: it is asked once in a process


def test_the_command_under_torchrun_prints_once_and_stops_with_its_state_saved(tmp_path):
    np.save(tmp_path / "x.npy", X)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "-m", "cpvae", "fit", "x.npy"]
    options = ["--components", "4", "--hidden", "16", "--latent-dim", "2", "--out", "run"]
    long = subprocess.Popen(
        [*command, *options, "--epochs", "2000", "--patience", "2000", "--init", "random"],
        cwd=tmp_path,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    history = tmp_path / "run" / HISTORY
    while long.poll() is None and not history.exists():
        time.sleep(0.01)
    long.send_signal(signal.SIGTERM)
    _, err = long.communicate(timeout=60)
    told = [line for line in err.splitlines() if line.startswith("stopped; the state is saved. To go on: ")]
    assert len(told) == 1, err
    assert told[0].endswith("torchrun --nproc-per-node=2 -m cpvae fit x.npy --out run --resume")
    assert (tmp_path / "run" / CHECKPOINT).exists()


def test_an_error_is_told_once_unless_it_is_of_one_process_alone(start, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(program, "ALONE_AFTER", 1.0)
    monkeypatch.setattr(sys, "argv", ["cpvae", "fit", "none.npy", "--out", "run"])
    for child in start(program.main):
        os.waitpid(child, 0)
    told = [(tmp_path / f"err-{rank}").read_text().splitlines() for rank in range(2)]
    assert [line[:37] for line in told[0]] == ["error: none.npy: no such file or fold", "SystemExit 2"]
    assert told[1][0].startswith("error: process 1: none.npy")  # torchrun would have ended it before
