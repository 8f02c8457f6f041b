"""The estimators as a user meets them: files, frames, images, chosen components, memory."""

from __future__ import annotations

import copy
import inspect
import json
import os
import pickle
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import ks_2samp
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cpvae import CPHVAE, CPVAE, VAE, FitWarning, InputError, MoGVAE, load
from cpvae.checkpoints import load_tensors, save_tensors
from cpvae.cli.estimator_options import OPTIONS
from cpvae.estimators import zoo
from cpvae.estimators.contract import DeepMixture
from cpvae.estimators.zoo import MODELS
from cpvae.fitting.runs import note
from cpvae.probability.estimates import component_probabilities, evaluate
from cpvae.probability.priors import LowRankConditional

torch.set_num_threads(1)
QUICK = {"latent_dim": 3, "hidden": (32,), "max_epochs": 5, "batch_size": 25, "learning_rate": 5e-3, "random_state": 0}


def blobs(n: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """Draw three sources in four columns of very different units."""
    random = np.random.RandomState(0)
    labels = random.randint(3, size=n)
    centres = np.array([[0, 0, 0, 0], [4, 4, 0, -4], [-4, 4, 4, 0]])
    return (centres[labels] + random.normal(size=(n, 4))) * [1, 100, 1e-3, 1e6] + [0, 5, 1e3, -1e7], labels


@pytest.fixture(scope="module")
def table() -> CPVAE:
    return CPVAE(3, **{**QUICK, "max_epochs": 40}).fit(blobs()[0])


@pytest.fixture(scope="module")
def images() -> CPVAE:
    return CPVAE(4, init="kmeans", **{**QUICK, "max_epochs": 15}).fit(load_digits().images[:400] / 16)


def test_it_finds_well_separated_sources_without_labels(table):
    x, labels = blobs()
    groups = [np.bincount(table.predict(x)[labels == k], minlength=3) for k in range(3)]
    assert sum(max(group) for group in groups) > 0.95 * len(x)
    assert len({int(np.argmax(group)) for group in groups}) == 3


def test_samples_of_a_component_look_like_its_rows_in_the_units_of_the_data(table):
    x, _ = blobs()
    categories = table.predict(x)
    for k in range(3):
        rows, which = table.sample(2000, component=k)
        assert set(which) == {k}
        own = x[categories == k]
        spread = own.std(0)
        assert (np.abs(rows.mean(0) - own.mean(0)) < 0.5 * spread).all()
        assert (np.abs(np.log(rows.std(0) / spread)) < 0.5).all()


def test_all_samples_are_distributed_as_the_rows(table):
    x, _ = blobs()
    rows, which = table.sample(3000)
    shares = np.bincount(which, minlength=3) / 3000
    np.testing.assert_allclose(shares, table.weights_, atol=0.04)
    assert max(ks_2samp(rows[:, j], x[:, j]).statistic for j in range(4)) < 0.15


def test_weights_are_the_aggregated_posterior_and_prior_sampling_is_uniform(images):
    """Eq. (14) against uniform p(c); the two ways to draw c."""
    x = load_digits().images[:400] / 16
    np.testing.assert_allclose(images.weights_, images.evaluate(x).q_c.mean(0), atol=0.03)
    assert images.weights_.sum() == pytest.approx(1)
    _, uniform = images.sample(4000, weights="prior")
    np.testing.assert_allclose(np.bincount(uniform, minlength=4) / 4000, 0.25, atol=0.03)


@pytest.mark.parametrize(("kind", "covariance"), [(CPVAE, "full"), (MoGVAE, "full"), (CPVAE, "low-rank")])
def test_covariances_are_learned_kept_and_sampled(kind, covariance, tmp_path):
    """Off the diagonal too; the file gives the same model."""
    x, labels = blobs()
    model = kind(3, covariance_type=covariance, **{**QUICK, "max_epochs": 20}).fit(x)
    prior = model.model_.prior
    off = (
        prior.lower.tril(-1)
        if covariance == "full"
        else prior.shared @ prior.shared.mT - torch.diag_embed(prior.shared.square().sum(-1))
    )
    assert off.abs().max() > 1e-2
    if kind is CPVAE:
        groups = [np.bincount(model.predict(x)[labels == k], minlength=3) for k in range(3)]
        assert sum(max(group) for group in groups) > 0.95 * len(x)
    z = model.model_.latent().sample(torch.full((20_000,), 1)).detach()
    np.testing.assert_allclose(z.std(0), model.scales_[1], rtol=0.03)
    model.save(tmp_path / "model")
    same = load(tmp_path / "model")
    np.testing.assert_array_equal(same.score_samples(x), model.score_samples(x))
    assert same.covariance_type == covariance


def test_covariances_are_full_where_rows_are_many(tmp_path, monkeypatch, capsys):
    """The choice is made by the rows of the fit, said, kept in the file, and that of a model which learns more."""
    assert [CPVAE(10)._covariance(n) for n in (19_999, 20_000)] == ["diag", "full"]
    assert [CPVAE(k)._covariance(20_000) for k in (200, 201)] == ["full", "diag"]  # of 100 rows, and of fewer
    assert [CPVAE(2, latent_dim=d)._covariance(10**6) for d in (64, 65)] == ["full", "diag"]
    assert [kind(2)._covariance(10**6) for kind in (CPHVAE, MoGVAE)] == ["full", "diag"]
    assert CPVAE(10, covariance_type="diag")._covariance(10**6) == "diag"
    x, _ = blobs()
    monkeypatch.setattr(zoo, "MANY", 200)
    model = CPVAE(3, verbose=1, **QUICK).fit(x)
    assert "--covariance diag" in capsys.readouterr().err
    model.save(tmp_path / "model")
    monkeypatch.undo()
    same = load(tmp_path / "model")
    np.testing.assert_array_equal(same.score_samples(x), model.score_samples(x))
    more = same.continue_fit(x[:40], n_new=0)
    assert [one.covariance_ for one in (model, same, more)] == ["full"] * 3
    assert (more.covariance_type, more.model_.prior.lower.shape) == ("auto", model.model_.prior.lower.shape)
    assert same.continue_fit(x[:40], n_new=1).model_.prior.lower.shape == (4, 3, 3)
    assert "| covariances of the categories | full |" in (tmp_path / "model.md").read_text()
    assert CPVAE(3, **QUICK).fit(x).covariance_ == "diag"


def test_a_run_goes_on_with_the_covariances_it_began_with(tmp_path, monkeypatch):
    """Even where another version, or another number of training rows, would choose others."""
    x, _ = blobs()
    monkeypatch.setattr(zoo, "MANY", 200)
    whole = CPVAE(3, **QUICK).fit(x)
    CPVAE(3, **QUICK).set_params(max_epochs=2).fit(x, out=tmp_path / "run")
    note(tmp_path / "run", status="unfinished")
    monkeypatch.undo()
    with pytest.warns(FitWarning, match="has not finished"):
        assert load(tmp_path / "run").covariance_ == "full"
    again = CPVAE(3, **QUICK).fit(x, out=tmp_path / "run", resume=True)
    assert (again.covariance_, again.n_iter_, whole.covariance_) == ("full", 5, "full")


def test_a_low_rank_fit_that_diverges_keeps_its_weights(monkeypatch):
    """Factors that cannot be taken apart are no error of their own: the fit stops in a line."""
    x, _ = blobs()
    matched = LowRankConditional.match

    def match(prior, moments):
        matched(prior, moments)
        prior.shared.data.fill_(float("nan"))

    monkeypatch.setattr(LowRankConditional, "match", match)
    with pytest.warns(FitWarning, match="became infinite or NaN; kept the weights of epoch"):
        model = CPVAE(3, covariance_type="low-rank", **QUICK).fit(x)
    assert np.isfinite(model.score_samples(x)).all()


def test_a_file_from_before_covariances_were_chosen_has_what_was_asked_for(tmp_path):
    x, _ = blobs()
    CPVAE(3, covariance_type="full", **QUICK).fit(x).save(tmp_path / "full")
    CPVAE(3, covariance_type="diag", **QUICK).fit(x).save(tmp_path / "diag")
    for name in ("full", "diag"):
        tensors, meta = load_tensors(tmp_path / name)
        del meta["fitted"]["covariance"]
        if name == "diag":
            del meta["params"]["covariance_type"]
        save_tensors(tmp_path / name, tensors, meta)
        assert load(tmp_path / name).covariance_ == name
    meta["fitted"]["covariance"] = "round"
    save_tensors(tmp_path / "diag", tensors, meta)
    with pytest.raises(InputError, match="covariance='round'"):
        load(tmp_path / "diag")


@pytest.mark.parametrize("weights", ["uniform", "empirical", "learned"])
def test_weights_of_categories(weights):
    x, _ = blobs()
    model = CPVAE(3, weights=weights, **QUICK).fit(x[np.r_[0:300, 0:300][:350]])
    p_c = model.model_.prior.logits.softmax(-1).detach().numpy()
    if weights == "uniform":
        np.testing.assert_allclose(p_c, 1 / 3, atol=1e-6)
    elif weights == "empirical":
        np.testing.assert_allclose(p_c, model.weights_, atol=1e-5)
    else:
        assert np.abs(p_c - 1 / 3).max() > 1e-4


def test_score_is_the_mean_of_score_samples_and_below_the_likelihood(images):
    x = load_digits().images[:100] / 16
    bound, tight = images.evaluate(x).elbo, images.evaluate(x).elbo_tight
    weighted = images.log_likelihood(x, 200)
    assert images.score(x) == pytest.approx(images.score_samples(x).mean(), rel=1e-6)
    np.testing.assert_array_equal(images.score_samples(x), bound)
    error = 4 * (weighted - tight).std() / 10
    assert (bound <= tight + 1e-4).all()
    assert tight.mean() <= weighted.mean() + error


def test_density_is_in_the_units_of_the_data():
    """Ten times the column, a tenth of the density."""
    x = np.random.RandomState(0).normal(size=(300, 2))
    a, b = (VAE(**QUICK).fit(x * scale) for scale in (1.0, 10.0))
    np.testing.assert_allclose(a.score_samples(x) - b.score_samples(x * 10), 2 * np.log(10), atol=1e-3)


def test_images_keep_their_shape_and_any_form_of_them_is_one(images):
    x = load_digits().images[:20] / 16
    assert images.sample(3)[0].shape == (3, 1, 8, 8)
    assert images.reconstruct(x).shape == (20, 1, 8, 8)
    for form in (x, x[:, None], x.reshape(20, 64)):
        np.testing.assert_array_equal(images.predict_proba(form), images.predict_proba(x))
    with pytest.raises(InputError, match=r"images of shape \(1, 4, 16\): the model was fitted on \(1, 8, 8\)"):
        images.predict(x.reshape(20, 4, 16))
    grey, drawn = images.sample(50, mean=True)[0], images.sample(50)[0]
    assert set(np.unique(drawn)) <= set(np.arange(17) / 16)  # levels, as the data have
    assert len(np.unique(grey)) > 100


def test_bytes_and_grey_levels_are_the_same_images():
    x = np.round(load_digits().images[:200] / 16 * 255).astype(np.uint8)
    a = CPVAE(3, augment="none", init="kmeans", **QUICK).fit(x)  # to interpolate rounds
    b = CPVAE(3, augment="none", init="kmeans", **QUICK).fit((x / np.float32(255)).astype(np.float32))
    assert a.likelihood_ == b.likelihood_ == "levels"
    np.testing.assert_array_equal(a.predict(x), b.predict((x / np.float32(255)).astype(np.float32)))
    assert a.sample(2, mean=True)[0].max() > 100


def test_the_category_of_a_grey_row_read_as_ink_is_judged_by_several_draws_of_its_pixels():
    """The posterior of each draw by hand, then their mean; bounds are for the first draw alone."""
    images = CPVAE(4, likelihood="bernoulli", init="kmeans", **QUICK).fit(load_digits().images[:400] / 16)
    assert set(np.unique(images.sample(50)[0])) == {0.0, 1.0}
    x = (load_digits().images[:60] / 16).reshape(60, 64)
    likelihood, y = images.model_.likelihood, torch.tensor(x, dtype=torch.float32)
    draws = [likelihood.draw_fixed(y, i) for i in range(4)]
    assert all(not torch.equal(draws[0], other) for other in draws[1:])
    each = [evaluate(images.model_, draw, 1 if i else 4, stream=1000 * i).proba for i, draw in enumerate(draws)]
    np.testing.assert_allclose(images.predict_proba(x), np.mean(each, axis=0), atol=1e-5)
    copied = clone(images).set_params(augment="affine", max_epochs=2).fit(load_digits().images[:400] / 16)
    encoded = [component_probabilities(copied.model_, draw).numpy() for draw in draws]
    np.testing.assert_allclose(copied.predict_proba(x), np.mean(encoded, axis=0), atol=1e-5)
    np.testing.assert_array_equal(copied.evaluate(x).proba, copied.predict_proba(x))
    np.testing.assert_allclose(images.score_samples(x), evaluate(images.model_, draws[0], 4).elbo, atol=1e-3)
    binary = CPVAE(2, init="kmeans", **{**QUICK, "max_epochs": 2}).fit((x > 0.5).astype(np.float32))
    alone = evaluate(binary.model_, torch.tensor(x > 0.5).float(), 4).proba
    np.testing.assert_allclose(binary.predict_proba((x > 0.5).astype(np.float32)), alone, atol=1e-5)


def test_reconstructions_are_nearer_than_the_mean_image(images):
    x = load_digits().images[:400] / 16
    error = np.abs(images.reconstruct(x)[:, 0] - x).mean()
    assert error < 0.8 * np.abs(x.mean(0) - x).mean()


def test_answers_depend_on_the_row_alone(images):
    x = load_digits().images[:50] / 16
    order = np.random.RandomState(1).permutation(50)
    for answer in (
        images.predict_proba,
        images.score_samples,
        images.transform,
        lambda rows: images.log_likelihood(rows, 20),
    ):
        np.testing.assert_allclose(answer(x[order]), answer(x)[order], rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(answer(x[7:8]), answer(x)[7:8], rtol=1e-4, atol=1e-4)


def test_sampling_is_reproducible_and_a_seed_changes_it(images):
    a, b = images.sample(5), images.sample(5)
    np.testing.assert_array_equal(a[0], b[0])
    assert not np.array_equal(a[0], images.sample(5, random_state=1)[0])


def test_n_init_keeps_the_best_validation_bound():
    x, _ = blobs()
    longer = {**QUICK, "max_epochs": 10}
    several = CPVAE(3, n_init=3, **longer).fit(x)
    random = np.random.RandomState(0)
    seeds = random.randint(2**31 - 1, size=3)
    assert several.seed_ in seeds
    best = min(record["valid_negative_elbo"] for record in several.history_[7:])
    first = CPVAE(3, **longer).fit(x)
    assert best <= min(record["valid_negative_elbo"] for record in first.history_[7:]) + 1e-9


# -- inside scikit-learn's tools --------------------------------------------------------------------------------------


def test_pipeline_clone_set_params_and_grid_search():
    x, _ = blobs()
    pipeline = make_pipeline(StandardScaler(), CPVAE(3, **QUICK))
    assert pipeline.fit(x).predict(x).shape == (300,)
    twin = clone(pipeline).set_params(cpvae__n_components=2)
    assert twin.fit(x).predict_proba(x).shape == (300, 2)
    search = GridSearchCV(VAE(**{**QUICK, "max_epochs": 2}), {"latent_dim": [1, 2]}, cv=2).fit(x)
    assert search.best_params_["latent_dim"] in (1, 2)


@pytest.mark.parametrize("kind", [np.asarray, pd.DataFrame, torch.tensor, list])
def test_rows_for_validation_are_no_labels(kind):
    """The second argument is scikit-learn's y, which nothing reads: rows there would be lost without a word."""
    x, labels = blobs()
    with pytest.raises(InputError, match=r"y of length 40 for 300 rows: .* give rows for validation as X_valid="):
        CPVAE(3, **QUICK).fit(kind(x), kind(x[:40]))
    with pytest.raises(InputError, match="y of length 299"):
        CPVAE(3, **QUICK).fit_predict(kind(x), labels[1:])
    assert len(CPVAE(3, **QUICK).fit(kind(x), kind(labels)).history_) == 5


def test_pickle(table):
    x, _ = blobs()
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(table)).predict_proba(x), table.predict_proba(x))


@pytest.mark.parametrize("covariance", ["diag", "full"])
def test_an_older_pickle_that_does_not_tell_its_covariances_has_those_asked_for(tmp_path, covariance):
    x, _ = blobs()
    model = CPVAE(3, covariance_type=covariance, **QUICK).fit(x)
    older = pickle.loads(pickle.dumps(model))
    del older.covariance_
    older.save(tmp_path / "model")
    for one in (load(tmp_path / "model"), older.continue_fit(x[:40], n_new=0)):
        assert one._chosen_covariance() == covariance
        assert hasattr(one.model_.prior, "lower") == (covariance == "full")


def test_data_frames_bring_the_names_of_their_columns():
    frame = pd.DataFrame(blobs()[0], columns=["age", "income", "rate", "debt"])
    model = CPVAE(3, **QUICK).fit(frame)
    assert model.feature_names_in_.tolist() == list(frame.columns)
    np.testing.assert_array_equal(model.predict(frame[["debt", "age", "rate", "income"]]), model.predict(frame))
    with pytest.warns(FitWarning, match="no column 'age', taken as missing"):
        model.predict(frame.rename(columns={"age": "years"}))
    with pytest.warns(
        FitWarning, match=r"2 of 3 columns are left out: 'a' \(its only value is 1\), 'c' \(its only val"
    ):
        CPVAE(3, **QUICK).fit(frame.assign(a=1.0, c=2.5)[["age", "a", "c"]])


# -- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["table", "images"])
def test_save_and_load(kind, tmp_path, request):
    model = request.getfixturevalue(kind)
    x = blobs()[0] if kind == "table" else load_digits().images[:50] / 16
    path = tmp_path / "model.cpvae"
    model.save(path)
    same = load(path)
    assert type(same) is CPVAE
    assert same.get_params() == model.get_params()
    for name, value in model.model_.state_dict().items():
        assert torch.equal(same.model_.state_dict()[name], value), name
    np.testing.assert_array_equal(same.predict_proba(x), model.predict_proba(x))
    np.testing.assert_array_equal(same.sample(4, component=1)[0], model.sample(4, component=1)[0])
    np.testing.assert_array_equal(same.weights_, model.weights_)
    assert same.history_ == model.history_
    again = tmp_path / "again.cpvae"
    same.save(again)
    assert load_tensors(again)[0].keys() == load_tensors(path)[0].keys()


def test_a_vae_survives_a_round_trip_too(tmp_path):
    x, _ = blobs()
    model = VAE(**QUICK).fit(x)
    model.save(tmp_path / "vae.cpvae")
    np.testing.assert_array_equal(load(tmp_path / "vae.cpvae").score_samples(x), model.score_samples(x))


def test_the_run_folder_holds_what_the_design_names(tmp_path):
    x, _ = blobs()
    CPVAE(3, **QUICK).fit(x, out=tmp_path / "run")
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {"model.safetensors", "model.safetensors.md", "config.json", "history.jsonl"}
    keys = [
        "epoch",
        "train_negative_elbo",
        "valid_negative_elbo",
        "reconstruction",
        "kl_c",
        "kl_z",
        "beta",
        "components_used",
        "seconds",
        "mutual_information",
        "mutual_information_c",
        "marginal_kl_z",
        "marginal_entropy_c",
    ]
    for line in (tmp_path / "run" / "history.jsonl").read_text().splitlines():
        assert list(json.loads(line)) == keys
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["status"] == "finished"


# -- arguments --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"n_components": 0}, "n_components=0: expected a whole number of at least 1"),
        ({"n_components": 1.5}, "n_components=1.5: expected a whole number of at least 1"),
        ({"n_components": True}, "n_components=True: expected a whole number of at least 1"),
        ({"latent_dim": -1}, "latent_dim=-1: expected a whole number of at least 1"),
        ({"learning_rate": float("nan")}, "learning_rate=nan: expected a number between 0 and 1"),
        ({"likelihood": "gausian"}, "likelihood='gausian' is unknown; did you mean 'gaussian'?"),
        ({"init": "autoencodr"}, "init='autoencodr' is unknown; did you mean 'autoencoder'?"),
        ({"hidden": 300}, "hidden=300: expected the widths of the hidden layers, such as (300, 300)"),
        ({"temperature": 1.0}, "temperature=1.0: expected two numbers, first and last, as (1.0, 0.5)"),
        (
            {"temperature": (0.5, 1.0)},
            "temperature=(0.5, 1.0) rises: expected first and last of a falling one; swap them",
        ),
        ({"device": "gpu9"}, "device='gpu9' cannot be used on this machine; use 'cpu' or 'auto'"),
    ],
)
def test_arguments_are_stored_untouched_and_refused_in_fit(arguments, sentence):
    model = CPVAE(**arguments)
    for name, value in arguments.items():
        assert getattr(model, name) is value
    with pytest.raises(ValueError, match=r"expected|unknown|cannot") as caught:
        model.fit(blobs()[0])
    assert str(caught.value) == sentence


def test_values_outside_of_ink_are_refused_at_fit_and_later(images):
    x = load_digits().images[:100] / 16
    spoilt = x.copy()
    spoilt[5, 0, 3] = 1.5
    with pytest.raises(
        InputError, match=r"values from 0 to 1.5 \(column 3\) cannot be Bernoulli, which needs \[0, 1\]"
    ):
        CPVAE(2, likelihood="bernoulli", **QUICK).fit(spoilt)
    with pytest.raises(InputError, match="values from 0 to 16; expected the 17 levels from 0 to 1 of the rows of"):
        images.predict(x * 16)


def test_an_estimator_is_one_of_two(images):
    assert isinstance(images, DeepMixture)
    assert not hasattr(VAE(), "predict")


# -- memory -----------------------------------------------------------------------------------------------------------

MEMORY = """
import resource, sys
import numpy as np, torch
from cpvae import VAE
torch.set_num_threads(1)
x = np.load(sys.argv[1], mmap_mode="r")
small = {"latent_dim": 2, "hidden": (8,), "max_epochs": 1, "batch_size": 500, "random_state": 0}
VAE(likelihood="bernoulli", **small).fit(x[:1_000], X_valid=x[:500])  # what is imported then has no limit
used = int(open("/proc/self/status").read().split("VmData:")[1].split()[0]) * 1024
limit = used + 2 * x.nbytes // 3
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
model = VAE(likelihood="bernoulli", **small).fit(x, X_valid=x[:500])
assert model.transform(x[:2_000]).shape == (2_000, 2)
"""


def test_a_memory_mapped_file_larger_than_the_memory_allowed_trains(tmp_path):
    """The process may allocate two thirds of what the file holds: a copy of it anywhere would fail."""
    path = tmp_path / "large.npy"
    array = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(60_000, 1, 32, 32))
    array[::1000] = np.random.RandomState(0).randint(0, 256, (60, 1, 32, 32))
    array.flush()
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", MEMORY, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr


IMPORTS = """
import sys, cpvae
assert "torch" not in sys.modules
from cpvae import CPVAE
for kind, x in {"matrix": [[0.3 * i] for i in range(9)], "table": [[0.3 * i, i % 2] for i in range(9)]}.items():
    CPVAE(1, kind=kind, hidden=(4,), latent_dim=1, max_epochs=1, validation_fraction=0.2).fit(x).save("model")
    cpvae.load("model").sample(2)
    assert "torch._dynamo" not in sys.modules, "a compiler, which takes longer to import than this takes"
"""


def test_importing_is_quick_and_has_no_effects(tmp_path):
    subprocess.run([sys.executable, "-W", "error", "-c", IMPORTS], check=True, cwd=tmp_path)


@pytest.mark.filterwarnings("ignore::cpvae.FitWarning")
def test_seconds_of_a_start_are_the_same_when_read_again(tmp_path):
    model = CPVAE(3, init="kmeans", max_epochs=1, random_state=0).fit(load_digits().images[:200] / 16)
    model.save(tmp_path / "model")
    assert 0 < model.start_seconds_ == load(tmp_path / "model").start_seconds_


def test_a_model_fitted_on_a_device_that_is_not_here_can_be_opened(tmp_path, table):
    x, _ = blobs()
    elsewhere = copy.deepcopy(table).set_params(device="cuda:99")
    elsewhere.save(tmp_path / "model")
    with pytest.warns(
        FitWarning, match=r"saved with device='cuda:99', which cannot be used on this machine; device='a"
    ):
        found = load(tmp_path / "model")
    assert found.device == "auto"
    np.testing.assert_array_equal(found.predict(x), table.predict(x))


def test_a_device_of_torch_is_kept_by_its_name(tmp_path):
    x, _ = blobs()
    model = CPVAE(2, **QUICK, device=torch.device("cpu")).fit(x)
    model.save(tmp_path / "model")
    assert load(tmp_path / "model").device == "cpu"


def test_copies_are_not_asked_to_agree_on_a_single_category():
    for k, copies in ((1, False), (2, True)):
        model = CPVAE(k)
        model.image_shape_, model.kind_, model.likelihood_ = (1, 28, 28), "images", "bernoulli"
        assert model._consistent() is copies


def test_every_argument_is_written_once_documented_and_an_option_of_the_command_line():
    arguments = {name for cls in MODELS for name in cls().get_params()}
    left_out = {"decoder_hidden", "temperature", "validation_fraction", "verbose"}
    assert arguments - set(OPTIONS) == left_out | (arguments & {"released"})
    assert set(OPTIONS) <= arguments
    for name in CPVAE().get_params():
        assert re.search(rf"\b{name}\b", CPVAE.__doc__), name
    for cls in MODELS:
        assert list(cls().get_params()) == sorted(inspect.signature(cls).parameters)
        assert all(one.default is not inspect.Parameter.empty for one in inspect.signature(cls).parameters.values())


def test_a_fit_that_failed_leaves_the_model_that_was_there(table):
    X, _ = blobs(60)
    new = clone(table)
    with pytest.raises(InputError, match="infinity"):
        new.fit(X * np.inf)
    with pytest.raises(NotFittedError):
        new.predict(X)
    fitted, before = copy.deepcopy(table), table.score(X)
    with pytest.raises(InputError, match="list cells"):
        fitted.fit(pd.DataFrame({"a": [[1], [2]], "b": [1.5, 2.5]}))
    assert (fitted.score(X), fitted.schema_, fitted.kind_) == (before, None, table.kind_)


def test_whole_numbers_of_numpy_are_arguments_too():
    X, _ = blobs(60)
    two = np.arange(2, 3)[0]
    model = CPVAE(two, latent_dim=two, hidden=(two,), max_epochs=two, batch_size=np.int64(20), random_state=two).fit(X)
    assert len(model.sample(two)[0]) == 2


def test_all_arguments_that_make_no_sense_are_told_at_once():
    sentence = (
        "latent_dim=0: expected a whole number of at least 1; n_components=0: expected a whole number of at least 1"
    )
    with pytest.raises(InputError, match=f"^{sentence}$"):
        CPVAE(0, latent_dim=0).fit(blobs()[0])
    with pytest.raises(InputError, match=r"hidden has 100,000 widths: expected at most 100; give fewer layers"):
        CPVAE(2, hidden=(1,) * 100_000).fit(blobs()[0])
