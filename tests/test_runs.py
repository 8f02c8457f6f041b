"""Runs: what they keep, when they resume, and when they refuse to."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from conftest import MANY, effort
from cpvae import CPVAE, VAE, FitWarning, InputError, files, load
from cpvae.checkpoints import load_tensors, save_tensors
from cpvae.data.augment import Affine
from cpvae.data.rows import Rows
from cpvae.data.split import fingerprint, split
from cpvae.fitting import loop, restart, restarts
from cpvae.fitting.limits import OutOfTime, stop_after
from cpvae.fitting.presets import default_epochs
from cpvae.fitting.records import EpochRecord, Interrupted
from cpvae.fitting.restart import Restart
from cpvae.fitting.settings import Settings
from cpvae.fitting.starts import codes
from cpvae.fitting.starts.codes import AutoencoderCode
from cpvae.fitting.starts.start import RandomStart
from cpvae.fitting.starts.task import Task
from cpvae.probability.likelihoods import Bernoulli
from cpvae.probability.objectives import Bound

torch.set_num_threads(1)
SMALL = {"latent_dim": 2, "hidden": (8,), "init": "kmeans", "batch_size": 20}
X = np.concatenate([np.random.RandomState(i).normal(6 * i, 1, (60, 3)) for i in range(2)])


@pytest.fixture
def stopped(monkeypatch):
    """End a fit, as if killed, after its third epoch, with its checkpoint."""

    def stop(folder: Path, x=X, model=None, **arguments) -> None:
        model = model or CPVAE(2, max_epochs=6, **SMALL)
        epoch = loop._Run._epoch

        def killed(run, asked_to_stop) -> None:
            epoch(run, asked_to_stop)
            if run.state.progress.epoch == 3:
                run._save()
                raise MemoryError("killed")

        with monkeypatch.context() as patch:
            patch.setattr(loop._Run, "_epoch", killed)
            with pytest.raises(MemoryError):
                model.fit(x, out=folder, **arguments)

    return stop


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


# -- the same rows and bits --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [None, "instance"])
def test_without_a_seed_a_resumed_fit_goes_on_with_its_rows_and_bits(tmp_path, stopped, state):
    def model(seed: int) -> CPVAE:
        np.random.seed(seed)  # noqa: NPY002  # the state that None means
        return CPVAE(2, max_epochs=6, **SMALL, random_state=None if state is None else np.random.RandomState(seed))

    model(1).fit(X, out=tmp_path / "whole")
    np.random.seed(1)  # noqa: NPY002
    stopped(tmp_path / "run", model=model(1))
    model(2).fit(X, out=tmp_path / "run", resume=True)
    for name, value in weights(tmp_path / "whole").items():
        assert torch.equal(value, weights(tmp_path / "run")[name]), name


def test_the_seeds_of_restarts_are_kept_too(tmp_path):
    model = CPVAE(2, max_epochs=1, n_init=2, **SMALL).fit(X, out=tmp_path / "run")
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert model.seed_ in config["seeds"]
    assert config["data"]["split"]["train"] == 108


def test_a_split_is_of_all_rows_and_fixed_by_its_seed():
    first, again, other = split(100, 0.1, 2, 0), split(100, 0.1, 2, 0), split(100, 0.1, 2, 1)
    assert sorted([*first.train, *first.valid]) == list(range(100))
    assert len(first.valid) == 10
    assert first.as_dict() == again.as_dict() != other.as_dict()


# -- other rows --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "float32", "uint8", "bool", ">f8"])
def test_a_fingerprint_is_of_every_row_its_dtype_and_its_shape(dtype, tmp_path):
    x = np.random.RandomState(0).randint(0, 2, (5000, 3)).astype(dtype)
    whole = fingerprint(x)
    for i in (0, 1, 2, 3, 4999):
        changed = x.copy()
        changed[i, 2] = 1 - changed[i, 2].astype(int)
        assert fingerprint(changed) != whole
    np.save(tmp_path / "x.npy", x)
    assert fingerprint(np.load(tmp_path / "x.npy", mmap_mode="r")) == whole
    assert fingerprint(np.asfortranarray(x)) == whole
    assert fingerprint(x.reshape(3000, 5)) != whole


def refused(folder: Path, x=X, **arguments) -> str:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(InputError) as caught:
        CPVAE(2, max_epochs=6, **SMALL).fit(x, out=folder, resume=True, **arguments)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_one_changed_row_is_refused(tmp_path, stopped):
    stopped(tmp_path / "run")
    changed = X.copy()
    changed[77, 1] += 1e-9
    assert "holds a run of other rows (other values); resume with what it began with" in refused(
        tmp_path / "run", changed
    )
    assert "other rows (dtype: float64 there, float32 asked)" in refused(tmp_path / "run", X.astype("float32"))


def test_other_validation_rows_are_refused(tmp_path, stopped):
    stopped(tmp_path / "run", X_valid=X[:20] + 0.1)
    assert "other rows (valid: other values)" in refused(tmp_path / "run", X_valid=X[:20] + 0.2)
    assert "other rows (valid: rows: 20 there, 19 asked)" in refused(tmp_path / "run", X_valid=X[:19] + 0.1)
    assert "holds a run of other rows (split: None there" in refused(tmp_path / "run")
    stopped(tmp_path / "split")
    assert "holds a run of other rows (valid: None there" in refused(tmp_path / "split", X_valid=X[:20])


def test_another_schema_is_refused(tmp_path, stopped):
    table = pd.DataFrame({"a": X[:, 0], "b": np.where(X[:, 1] > 3, "yes", "no")})
    stopped(tmp_path / "run", table)
    other = table.assign(b=np.where(X[:, 1] > 3, "yes", "non"))
    said = refused(tmp_path / "run", other)
    assert "holds a run with another schema (columns: number 1: levels: number 0: no there, non asked)" in said


def test_a_run_from_before_every_row_was_looked_at_goes_on(tmp_path, stopped):
    stopped(tmp_path / "run", model=CPVAE(2, max_epochs=6, random_state=0, **SMALL))
    path = tmp_path / "run" / "config.json"
    config = json.loads(path.read_text())
    config["data"] = {"rows": 120, "features": 3, "dtype": "float64", "sha256": "of some rows"}
    path.write_text(json.dumps(config))
    model = CPVAE(2, max_epochs=6, random_state=0, **SMALL)
    with pytest.raises(InputError, match=r"other rows \(rows: 120 there, 119 asked\)"):
        model.fit(X[:119], out=tmp_path / "run", resume=True)
    assert model.fit(X, out=tmp_path / "run", resume=True).n_iter_ == 6


# -- rows that cannot be fitted, or hardly -----------------------------------------------------------------------------


def test_rows_that_are_validation_rows_as_well_are_told():
    with pytest.warns(FitWarning, match=r"5 rows are too few to hold any out: the bound that chooses .* X_valid"):
        CPVAE(5, max_epochs=1, **SMALL).fit(np.random.RandomState(0).normal(size=(5, 2)))


@pytest.mark.parametrize("value", [0.0, 1.0, 0.5, -3.0])
@pytest.mark.parametrize("shape", [(40, 4), (40, 1, 8, 8)])
def test_rows_that_are_all_the_same_are_refused(value, shape):
    x = np.full(shape, value)
    with pytest.raises(InputError, match=r"every row is the same, all 36 training rows: expected rows that differ"):
        CPVAE(3, max_epochs=1, **SMALL).fit(x)


# -- learned state -----------------------------------------------------------------------------------------------------


def test_a_single_row_to_train_on_is_refused():
    with pytest.raises(InputError, match="a single row is left to train on: expected rows that differ; give more rows"):
        VAE(latent_dim=2, max_epochs=1).fit([[1.0, 2.0], [3.0, 4.0]])


def test_answers_of_a_fitted_model_do_not_change_with_its_arguments(tmp_path):
    """Arguments say how the next fit goes; what this one found is in attributes."""
    images = np.random.RandomState(0).rand(60, 1, 16, 16)
    model = CPVAE(3, max_epochs=1, random_state=0, consistency=20.0, **SMALL).fit(images)
    few = images[:10]
    before = model.predict_proba(few), model.evaluate(few).elbo, model.sample(5, component=2)[0], model.overlaps(5)
    for path in ("as-fitted", "as-set"):
        model.save(tmp_path / path)
        model.set_params(
            consistency=0.0,
            augment="none",
            n_components=2,
            device="cuda:99",
            latent_dim=7,
            hidden=(3,),
            likelihood="gaussian",
            noise=0.5,
            network="conv",
        )
        after = model.predict_proba(few), model.evaluate(few).elbo, model.sample(5, component=2)[0], model.overlaps(5)
        for a, b in zip(before, after, strict=True):
            np.testing.assert_array_equal(a, b)
        assert model.reconstruct(few).shape == few.shape
        with pytest.raises(InputError, match="component=3: expected 0 to 2"):
            model.sample(component=3)
    same = load(tmp_path / "as-fitted")
    np.testing.assert_array_equal(same.predict_proba(few), before[0])


def test_a_file_from_before_consistency_was_kept_answers_as_it_did(tmp_path):
    images = np.random.RandomState(0).rand(60, 1, 16, 16)
    model = CPVAE(3, max_epochs=1, random_state=0, **SMALL).fit(images)
    model.save(tmp_path / "model")
    tensors, meta = load_tensors(tmp_path / "model")
    del meta["fitted"]["consistent"], meta["format_version"], meta["sha256"]
    save_tensors(tmp_path / "old", tensors, meta)
    np.testing.assert_array_equal(load(tmp_path / "old").predict_proba(images), model.predict_proba(images))


def test_rows_are_reconstructed_so_many_at_a_time(monkeypatch):
    x = np.random.RandomState(0).normal(size=(20_000, 2))
    model = VAE(latent_dim=2, hidden=(4,), max_epochs=1, random_state=0).fit(x[:200])
    sizes = []
    decoder = type(model.model_.decoder)
    forward = decoder.forward
    monkeypatch.setattr(decoder, "forward", lambda self, z, c: sizes.append(len(z)) or forward(self, z, c))
    assert model.reconstruct(x).shape == x.shape
    assert max(sizes) <= 8192
    assert sum(sizes) == len(x)


# -- fits that are stopped ---------------------------------------------------------------------------------------------


class StopAt:
    """A listener that stops a fit at an epoch, as Ctrl-C does."""

    def __init__(self, epoch: int, title: str = "fitting", number: int = signal.SIGINT):
        self.at, self.title, self.number, self.now = epoch, title, number, ""

    def say(self, line: str) -> None:
        pass

    def phase(self, title: str, n_epochs: int) -> None:
        self.now = title
        if not self.at and title.startswith(self.title):
            signal.raise_signal(self.number)

    def epoch(self, record: EpochRecord) -> None:
        if record.epoch == self.at and self.now.startswith(self.title):
            signal.raise_signal(self.number)

    def close(self) -> None:
        pass


@pytest.mark.parametrize("n_init", [1, 2])
def test_a_stopped_fit_leaves_its_best_weights_marked_as_unfinished(tmp_path, n_init):
    folder, model = tmp_path / "run", CPVAE(2, max_epochs=6, random_state=0, n_init=n_init, **SMALL)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, out=folder, reporter=StopAt(4), about={"source": "a file.npy", "labels": None})
    assert model.n_iter_ == 4
    assert json.loads((folder / "config.json").read_text())["status"] == "unfinished"
    with pytest.warns(FitWarning) as said:
        same = load(folder)
    assert str(said[0].message) == (
        f"{folder} holds a fit that has not finished: its weights so far, of epoch "
        f"{model.best_epoch_} of the 4 trained; go on with: cpvae fit 'a file.npy' --out {folder} --resume"
    )
    np.testing.assert_array_equal(same.predict(X), model.predict(X))
    assert same.sample(3)[0].shape == (3, 3)
    (tmp_path / "model").write_bytes((folder / "model.safetensors").read_bytes())
    with pytest.warns(FitWarning, match="model holds a fit that has not finished"):
        load(tmp_path / "model")

    whole = CPVAE(2, max_epochs=6, random_state=0, n_init=n_init, **SMALL).fit(X, out=tmp_path / "whole")
    again = CPVAE(2, max_epochs=6, random_state=0, n_init=n_init, **SMALL).fit(X, out=folder, resume=True)
    assert (again.stopped_, again.n_iter_) == ("max_epochs", 6)
    np.testing.assert_array_equal(load(folder).predict_proba(X), whole.predict_proba(X))
    assert not list(folder.rglob("checkpoint*"))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
@pytest.mark.parametrize("n_init", [1, 2])
def test_a_fit_that_a_full_disk_ends_leaves_its_best_weights(tmp_path, monkeypatch, n_init):
    """There is no room for a model then; the checkpoint stands in for it."""
    folder, sync, wrote = tmp_path / "run", os.fsync, []

    def full(file: int) -> None:
        if "checkpoint" in os.readlink(f"/proc/self/fd/{file}"):
            wrote.append(file)
        if len(wrote) > n_init:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(file)

    told = {"source": "a file.npy", "labels": None}
    arguments = {"max_epochs": 7, "random_state": 0, "n_init": n_init, **SMALL}
    with monkeypatch.context() as patch:
        patch.setattr(files.os, "fsync", full)
        with pytest.raises(InputError, match=r"checkpoint.*: No space left on device"):
            CPVAE(2, **arguments).fit(X, out=folder, about=told)
    assert not (folder / "model.safetensors").exists()
    with pytest.warns(
        FitWarning, match=r"not finished: its weights so far, of epoch \d of the [57] trained; go on with"
    ):
        same = load(folder)
    assert same.stopped_ == "interrupted"
    np.testing.assert_allclose(same.weights_, 0.5, atol=0.2)
    assert same.sample(3)[0].shape == (3, 3)
    state = same.model_.state_dict()
    places = [folder] if n_init == 1 else [folder / "restart-0", folder / "restart-1"]
    kept = [
        load_tensors(place / "checkpoint.safetensors")[0]
        for place in places
        if (place / "checkpoint.safetensors").exists()
    ]
    assert any(torch.equal(state["prior.loc"], one["best.prior.loc"]) for one in kept)
    again = CPVAE(2, **arguments).fit(X, out=folder, resume=True)
    whole = CPVAE(2, **arguments).fit(X)
    np.testing.assert_array_equal(again.predict_proba(X), whole.predict_proba(X))
    np.testing.assert_array_equal(load(folder).predict_proba(X), whole.predict_proba(X))


def test_a_stopped_fit_without_a_folder_leaves_its_best_weights_too(tmp_path):
    model = CPVAE(2, max_epochs=6, random_state=0, n_init=2, **SMALL)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, reporter=StopAt(4))
    assert (model.stopped_, model.n_iter_) == ("interrupted", 4)
    assert model.predict(X).shape == (120,)
    model.save(tmp_path / "model")
    with pytest.warns(
        FitWarning, match=r"model holds a fit that has not finished: its weights so far, of epoch \d of the 4"
    ):
        load(tmp_path / "model")
    with pytest.raises(KeyboardInterrupt):
        CPVAE(2, max_epochs=6, **SMALL).fit(X, reporter=StopAt(0))


def test_a_limit_of_time_holds_in_a_job_that_ignores_ctrl_c():
    """As a shell starts those in the background."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with pytest.raises(OutOfTime), stop_after(0.01):
            time.sleep(10)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_limit_of_time_may_be_longer_than_any_wait():
    with stop_after(float("inf")):
        pass


IMAGES = np.concatenate([np.random.RandomState(i).rand(60, 1, 8, 8) * np.eye(2)[i].repeat(4) for i in range(2)])
STARTED = {"latent_dim": 2, "hidden": (8,), "init": "autoencoder", "max_epochs": 2, "random_state": 0}


def shorten(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(codes, "LEAST_STEPS", 4)
    patch.setattr(restart, "BRIEF_STEPS", 60)


@pytest.fixture
def _short_start(monkeypatch):
    shorten(monkeypatch)


@pytest.fixture(scope="module")
def whole():
    """A model whose fit was not stopped."""
    with pytest.MonkeyPatch.context() as patch:
        shorten(patch)
        return CPVAE(2, **STARTED).fit(IMAGES)


@pytest.mark.usefixtures("_short_start")
@pytest.mark.parametrize(
    ("phase", "epoch"), [("finding a start", 0), ("finding a start", 2), ("clustering", 0), ("fitting", 0)]
)
def test_a_fit_stopped_in_its_start_leaves_a_model_and_goes_on_to_the_same_end(tmp_path, whole, phase, epoch):
    folder, model = tmp_path / "run", CPVAE(2, **STARTED)
    with pytest.raises(KeyboardInterrupt):
        model.fit(IMAGES, out=folder, reporter=StopAt(epoch, phase, signal.SIGTERM))
    assert (model.stopped_, model.n_iter_) == ("interrupted", 0)
    assert (folder / "checkpoint.safetensors").exists() == (phase == "fitting")
    assert json.loads((folder / "config.json").read_text())["status"] == "unfinished"
    with pytest.warns(
        FitWarning, match=r"not finished: it was stopped before its first epoch had ended, .*resume=True"
    ):
        same = load(folder)
    np.testing.assert_array_equal(same.predict(IMAGES), model.predict(IMAGES))
    assert np.bincount(model.predict(IMAGES), minlength=2).tolist() == [60, 60]
    assert same.sample(3)[0].shape == (3, 1, 8, 8)
    again = CPVAE(2, **STARTED).fit(IMAGES, out=folder, resume=True)
    assert (again.stopped_, again.n_iter_) == ("max_epochs", 2)
    np.testing.assert_array_equal(load(folder).predict_proba(IMAGES), whole.predict_proba(IMAGES))


@pytest.mark.usefixtures("_short_start")
def test_a_fit_stopped_in_its_start_may_go_on_with_another_number_of_epochs(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        CPVAE(2, **STARTED).fit(IMAGES, out=tmp_path, reporter=StopAt(0, "clustering"))
    more = CPVAE(2, **{**STARTED, "max_epochs": 3}).fit(IMAGES, out=tmp_path, resume=True)
    assert more.n_iter_ == 3
    np.testing.assert_array_equal(
        more.predict_proba(IMAGES), CPVAE(2, **{**STARTED, "max_epochs": 3}).fit(IMAGES).predict_proba(IMAGES)
    )


def test_what_a_model_learned_before_is_not_left_for_a_fit_that_has_nothing(tmp_path, monkeypatch):
    model = CPVAE(2, max_epochs=6, **SMALL)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, reporter=StopAt(4))
    monkeypatch.setattr(Restart, "run", lambda *arguments: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        model.fit(X + 1, out=tmp_path / "run")
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("_short_start")
def test_restarts_whose_processes_are_ended_in_their_starts_leave_a_model(monkeypatch):
    def ended(*arguments):
        raise Interrupted

    monkeypatch.setattr(restarts, "_side_by_side", ended)
    monkeypatch.setattr(restarts, "at_a_time", lambda *arguments: 2)
    monkeypatch.setattr(restarts, "WORTH", 0)
    model = CPVAE(2, n_init=2, **STARTED)
    with pytest.raises(KeyboardInterrupt):
        model.fit(IMAGES)
    assert (model.stopped_, model.n_iter_) == ("interrupted", 0)
    assert np.bincount(model.predict(IMAGES), minlength=2).tolist() == [60, 60]


class Killed(BaseException):
    """An end without a farewell, as of kill -9."""


@pytest.mark.usefixtures("_short_start")
def test_whenever_a_fit_or_its_stop_is_killed_the_same_command_goes_on(tmp_path, monkeypatch):
    """After each of the changes to files in turn: of a fit that is stopped in its start, and of one that goes on."""
    count, last = 0, 0

    def killing(change):
        def replacement(path, *arguments, **options):
            nonlocal count
            count += 1
            result = change(path, *arguments, **options)
            if count == last:
                raise Killed
            return result

        return replacement

    def go_on(folder: Path, **options) -> CPVAE:
        model = CPVAE(2, max_epochs=1, random_state=0, **SMALL)
        return model.fit(X, out=folder, resume=(folder / "config.json").exists(), **options)

    def killed_after(n: int, folder: Path) -> bool:
        nonlocal count, last
        count, last = 0, n
        with monkeypatch.context() as patch:
            for name in ("replace", "unlink"):
                patch.setattr(Path, name, killing(getattr(Path, name)))
            try:
                with pytest.raises(KeyboardInterrupt):
                    go_on(folder, reporter=StopAt(0, "clustering"))
                go_on(folder)
            except Killed:
                return True
        return False

    monkeypatch.setattr(restart, "BRIEF_STEPS", 1)
    n = 0
    while killed_after(n + 1, tmp_path / str(n)):
        assert go_on(tmp_path / str(n)).stopped_ == "max_epochs"
        assert json.loads((tmp_path / str(n) / "config.json").read_text())["status"] == "finished"
        n += 1
    assert n > 5


def test_a_folder_removed_while_a_fit_runs_is_not_made_anew_nor_is_that_of_another_touched(tmp_path):
    folder = tmp_path / "run"

    class Removing(StopAt):
        taken = False

        def phase(self, title, n_epochs):
            if title.startswith(self.title):
                shutil.rmtree(folder)
                if self.taken:
                    folder.mkdir()
                    (folder / ".lock").touch()
                    (folder / "config.json").touch()
            super().phase(title, n_epochs)

    for taken in (False, True):
        for title, epoch in (("clustering", 0), ("fitting", 0), ("fitting", 9)):
            remover = Removing(epoch, title)
            remover.taken = taken
            error = InputError if epoch else KeyboardInterrupt
            with pytest.raises(error, match="was removed while|cannot write" if epoch else None):
                CPVAE(2, max_epochs=1, **SMALL).fit(X, out=folder, reporter=remover)
            assert folder.exists() == (folder / ".lock").exists() == taken
            assert not taken or (folder / "config.json").read_text() == ""
            assert not (folder / "model.safetensors").exists()
            shutil.rmtree(folder, ignore_errors=True)


def test_a_failure_of_a_run_that_went_on_leaves_its_claim(tmp_path, stopped, monkeypatch):
    stopped(tmp_path)
    (tmp_path / "checkpoint.safetensors").unlink()

    def fail(*arguments):
        raise RuntimeError

    monkeypatch.setattr(Restart, "run", fail)
    with pytest.raises(RuntimeError):
        CPVAE(2, max_epochs=6, **SMALL).fit(X, out=tmp_path, resume=True)
    assert (tmp_path / "config.json").exists()


@pytest.mark.parametrize(("asked", "trained"), [(8, 8), (5, 5), (2, 4)])
def test_a_stopped_fit_goes_on_with_more_or_fewer_epochs(tmp_path, asked, trained):
    with pytest.raises(KeyboardInterrupt):
        CPVAE(2, max_epochs=6, random_state=0, **SMALL).fit(X, out=tmp_path, reporter=StopAt(4))
    with pytest.raises(InputError, match="other arguments"):
        CPVAE(2, max_epochs=asked, random_state=1, **SMALL).fit(X, out=tmp_path, resume=True)
    with pytest.warns(
        FitWarning, match=f"began with 6 epochs and now has {asked} epochs: its learning rate is planned"
    ):
        model = CPVAE(2, max_epochs=asked, random_state=0, **SMALL).fit(X, out=tmp_path, resume=True)
    assert (model.n_iter_, model.stopped_) == (trained, "max_epochs")
    assert json.loads((tmp_path / "config.json").read_text())["params"]["max_epochs"] == asked
    with pytest.raises(
        InputError, match=f"a run that has finished, of {asked} epochs, not 9 epochs; for another number"
    ):
        CPVAE(2, max_epochs=9, random_state=0, **SMALL).fit(X, out=tmp_path, resume=True)
    assert CPVAE(2, max_epochs=asked, random_state=0, **SMALL).fit(X, out=tmp_path, resume=True).n_iter_ == trained


def test_what_a_run_has_finished_stays_finished_when_it_is_planned_anew(tmp_path):
    """Start and warm-up of many epochs, which were over, do not come back; those of few end no sooner than now."""
    settings = Settings(max_epochs=12, warmup_epochs=2, start_epochs=2)
    for epoch, longer, shorter in ((1, (20, 10), (4, 2)), (3, (20, 2), (4, 2))):
        for asked, start in (longer, shorter):
            restart = Restart(
                model=None,  # type: ignore[arg-type]
                n_components=2,
                maker=RandomStart(),
                objective=Bound(),
                settings=replace(settings, max_epochs=asked, warmup_epochs=asked // 2, start_epochs=asked // 2),
                folder=tmp_path,
                resume=True,
            )
            meta = {"settings": asdict(settings), "progress": {"epoch": epoch, "step": 1}}
            save_tensors(tmp_path / loop.CHECKPOINT, {"a": torch.zeros(1)}, meta)
            new = restart._plan()
            assert (new["max_epochs"], new["start_epochs"], new["warmup_epochs"]) == (asked, start, start)
            assert load_tensors(tmp_path / loop.CHECKPOINT)[1]["settings"] == {**asdict(settings), **new}
            assert restart._plan() == {}


# -- how long a start may be -------------------------------------------------------------------------------------------


def start_epochs(n: int, max_epochs: int | None, side: int = 28, copies: bool = True) -> int:
    rows = Rows(np.zeros((n, side * side), np.uint8))
    augment = Affine((1, side, side)) if copies else None
    return AutoencoderCode().epochs(
        Task(rows, rows, Bernoulli(side * side), 10, 0, augment=augment, max_epochs=max_epochs)
    )


def test_the_start_of_a_fit_of_default_length_is_whole():
    for n in (200, 1437, 2000, 20_000, 50_000, 1_000_000):
        for copies in (True, False):
            default = default_epochs(n)
            for epochs in (default, 2 * default, 2000):
                assert start_epochs(n, epochs, copies=copies) == start_epochs(n, None, copies=copies)
    assert start_epochs(50_000, default_epochs(50_000)) == 40  # MNIST
    assert start_epochs(1257, default_epochs(1257), side=8, copies=False) == 200  # digits


def test_a_short_fit_has_a_short_start(monkeypatch):
    effort(monkeypatch, MANY)
    assert start_epochs(1800, 1) == 11
    assert start_epochs(1800, 1, copies=False) == 11
    assert start_epochs(50_000, 12) == 12
    assert start_epochs(1856, 12) == 17  # 200 where the fit has 136
    assert [start_epochs(1_000_000, epochs) for epochs in (1, 10)] == [5, 5]


# -- folders of others -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["history.jsonl", "restart-0/history.jsonl", "restart-7/checkpoint.safetensors"])
def test_files_of_others_are_not_overwritten(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    with pytest.raises(InputError, match=f"is no run but holds {name}, which would be overwritten"):
        CPVAE(2, max_epochs=1, n_init=2, **SMALL).fit(X, out=tmp_path)
    assert [path.read_text() for path in tmp_path.rglob("*") if path.is_file()] == ["mine"]


@pytest.mark.parametrize("block", [torch.no_grad, torch.inference_mode])
def test_a_fit_within_a_block_without_gradients_learns_all_the_same(block):
    outside = CPVAE(2, max_epochs=2, random_state=0, **SMALL).fit(X)
    with block():
        inside = CPVAE(2, max_epochs=2, random_state=0, **SMALL).fit(X)
    np.testing.assert_array_equal(inside.predict_proba(X), outside.predict_proba(X))


def test_few_different_rows_do_not_bring_warnings_of_scikit_learn():
    """Warnings are errors in tests: only the fit's own is let through."""
    x = np.repeat(np.random.RandomState(0).normal(size=(4, 3)), 20, axis=0)
    for init in ("kmeans", "gmm", "rows"):
        with pytest.warns(FitWarning, match=r"categories are in use|copies|same"):
            CPVAE(9, max_epochs=1, random_state=0, **{**SMALL, "init": init}).fit(x)
