"""What a run keeps, what it goes on with, and what it refuses to go on with."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from cpvae import CPVAE, VAE, FitWarning, InputError, load
from cpvae.data.split import fingerprint, split
from cpvae.fitting import loop

torch.set_num_threads(1)
SMALL = {"latent_dim": 2, "hidden": (8,), "init": "kmeans", "batch_size": 20}
X = np.concatenate([np.random.RandomState(i).normal(6 * i, 1, (60, 3)) for i in range(2)])


@pytest.fixture
def stopped(monkeypatch):
    """Makes a fit end, as if killed, after its third epoch; its checkpoint is of then."""

    def stop(folder: Path, x=X, model=None, **arguments) -> None:
        model = model or CPVAE(2, max_epochs=6, **SMALL)
        finish = loop._Run._finish_epoch

        def killed(run) -> None:
            finish(run)
            if run.progress.epoch == 3:
                run._save(run.folder / loop.CHECKPOINT)
                raise MemoryError("killed")

        with monkeypatch.context() as patch:
            patch.setattr(loop._Run, "_finish_epoch", killed)
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
    assert "holds a run with another data (other values); resume with what it began with" in refused(
        tmp_path / "run", changed
    )
    assert "another data (dtype: float64 there, float32 asked)" in refused(tmp_path / "run", X.astype("float32"))


def test_other_validation_rows_are_refused(tmp_path, stopped):
    stopped(tmp_path / "run", X_valid=X[:20] + 0.1)
    assert "another data (valid: other values)" in refused(tmp_path / "run", X_valid=X[:20] + 0.2)
    assert "another data (valid: rows: 20 there, 19 asked)" in refused(tmp_path / "run", X_valid=X[:19] + 0.1)
    assert "holds a run with another data (split: None there" in refused(tmp_path / "run")
    stopped(tmp_path / "split")
    assert "holds a run with another data (valid: None there" in refused(tmp_path / "split", X_valid=X[:20])


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
    with pytest.raises(InputError, match=r"another data \(rows: 120 there, 119 asked\)"):
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
    from cpvae.checkpoints import load_tensors, save_tensors

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
