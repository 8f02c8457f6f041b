"""Model cards, folders and hubs of models, and models that earlier versions saved."""

from __future__ import annotations

import inspect
import json
import re
import shutil
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import yaml
from sklearn.datasets import load_digits, load_wine

from cpvae import CPVAE, VAE, FitWarning, InputError, MoGVAE, load
from cpvae.estimators.cards import LearnedFrom, card_of
from cpvae.words.phrases import agreement

OLD = Path(__file__).parent / "saved_by_0.1.0"
SMALL = {"latent_dim": 2, "hidden": (4,), "max_epochs": 2, "random_state": 0}
ROWS = np.random.default_rng(0).normal(size=(200, 3))


@pytest.fixture(scope="module")
def model():
    return MoGVAE(2, n_init=2, **SMALL).fit(ROWS)


def facts(card: str) -> dict[str, str]:
    return dict(re.findall(r"^\| (.+?) \| (.+) \|$", card, re.MULTILINE))


def test_a_model_is_saved_with_a_card(model, tmp_path):
    model.save(tmp_path / "a.cpvae", license="CC-BY-4.0")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.cpvae", "a.cpvae.md"]
    card = card_of(tmp_path / "a.cpvae").read_text()
    header = yaml.safe_load(card.split("---")[1])
    assert header == {
        "library_name": "cpvae",
        "license": "cc-by-4.0",
        "tags": ["clustering", "mixture-model", "variational-autoencoder"],
    }
    said, learned = facts(card), model.learned_from_
    assert (learned.rows, learned.features, learned.valid_rows) == (200, 3, 20)
    assert said["digest of the rows"] == f"`{learned.digest}`"
    assert said["components, K"] == "2"
    bound = (
        f"-L = {learned.negative_elbo:.2f} ± {learned.negative_elbo_se:.2f} nats a row (mean and standard error over 20"
    )
    assert said["bound"].startswith(bound)
    assert said["stability"] == agreement(model.n_init, model.stability_, 200)
    assert said["licence"] == "cc-by-4.0"
    assert load(tmp_path / "a.cpvae").learned_from_ == learned


def test_the_bound_of_a_card_is_that_of_the_model(model):
    given = MoGVAE(2, **SMALL).fit(ROWS[:150], X_valid=ROWS[150:])
    elbo = given.evaluate(ROWS[150:], n_samples=1).elbo.astype(float)
    assert given.learned_from_.negative_elbo == pytest.approx(-elbo.mean())
    assert given.learned_from_.negative_elbo_se == pytest.approx(elbo.std(ddof=1) / 50**0.5)
    assert given.learned_from_.digest != model.learned_from_.digest


def test_a_run_has_a_card_and_its_digest(tmp_path):
    VAE(**SMALL).fit(ROWS, out=tmp_path)
    digest = json.loads((tmp_path / "config.json").read_text())["data"]["digest"]
    said = facts((tmp_path / "model.safetensors.md").read_text())
    assert said["digest of the rows"] == f"`{digest}`"
    assert said["licence"] == "not said: ask who made it"
    assert "components, K" not in said


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (3, "`random_state=3` (on the command line `--seed 3`), from which {} was drawn"),
        (None, "{}, drawn at random: no `random_state` was given that would draw it again"),
        (np.random.RandomState(1), "{}, drawn at random: no `random_state` was given that would draw it again"),
    ],
)
def test_a_card_says_what_draws_the_seed_again(given, said, tmp_path):
    model = VAE(**{**SMALL, "random_state": given, "max_epochs": 1}).fit(ROWS)
    model.save(tmp_path / "a.cpvae")
    assert facts(card_of(tmp_path / "a.cpvae").read_text())["seed"] == said.format(model.seed_)


def test_a_file_that_is_no_card_stays(model, tmp_path):
    (tmp_path / "a.cpvae.md").write_text("mine")
    with pytest.warns(FitWarning, match=r"saved without its card: .*a.cpvae.md is there and is no card of a model"):
        model.save(tmp_path / "a.cpvae")
    assert (tmp_path / "a.cpvae.md").read_text() == "mine"
    load(tmp_path / "a.cpvae")
    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(InputError, match="is no card of a model; move it, or choose another place"):
        model.save_pretrained(tmp_path)
    assert not (tmp_path / "model.safetensors").exists()


def test_a_licence_has_a_name(model, tmp_path):
    with pytest.raises(InputError, match=r"license='my own: terms': expected a name such as 'mit' or 'cc-by-4.0'"):
        model.save(tmp_path / "a.cpvae", license="my own: terms")
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    "value", ["x", {}, {"rows": 1, "features": 2, "digest": "xyz|"}, {"rows": -1, "features": 2, "digest": "a"}]
)
def test_a_header_with_nonsense_about_rows_is_refused(value):
    with pytest.raises(InputError, match=r"learned_from=.*: expected rows, features, a digest and a bound; fit again"):
        LearnedFrom.from_dict(value)


@pytest.mark.parametrize("name", ["table", "images", "matrix"])
def test_models_of_the_first_version_answer_as_they_did(name):
    wine = load_wine(as_frame=True).frame.drop(columns="target").iloc[:, :3].assign(maker=["a", "b"] * 89)
    wine.iloc[::7, 0] = np.nan
    rows = {"table": wine, "images": load_digits().images[:100] / 16, "matrix": wine.iloc[:, 1:3].to_numpy()}[name]
    old, expected = load(OLD / f"{name}.cpvae"), json.loads((OLD / "expected.json").read_text())[name]
    assert np.bincount(old.predict(rows), minlength=3).tolist() == expected["predict"]
    assert old.score(rows) == pytest.approx(expected["score"], rel=1e-5)
    assert old.learned_from_ is None


# -- folders and hubs --------------------------------------------------------------------------------------------------


def test_a_folder_holds_a_model_and_its_card(model, tmp_path):
    model.save_pretrained(tmp_path / "new", license="mit")
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["README.md", "model.safetensors"]
    again = MoGVAE.from_pretrained(tmp_path / "new")
    np.testing.assert_array_equal(again.predict(ROWS), model.predict(ROWS))
    again.save_pretrained(tmp_path / "new")  # over its own card
    with pytest.raises(InputError, match=r"holds a MoGVAE: expected a CPVAE; use MoGVAE.from_pretrained"):
        CPVAE.from_pretrained(tmp_path / "new")
    with pytest.raises(InputError, match=r"holds no model.safetensors; expected a model that save_pretrained wrote"):
        VAE.from_pretrained(tmp_path)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """Stand in for the hub by a folder on this machine."""
    place = tmp_path / "hub"

    class Api:
        def __init__(self, token=None):
            assert token == "secret"

        def create_repo(self, repo_id, *, private, exist_ok):
            (place / repo_id).mkdir(parents=True, exist_ok=exist_ok)

        def upload_folder(self, *, repo_id, folder_path, commit_message):
            shutil.copytree(folder_path, place / repo_id, dirs_exist_ok=True)
            return f"commit of {repo_id}"

    def snapshot_download(repo_id, *, revision, token, allow_patterns):
        if not (place / repo_id).is_dir():
            raise FileNotFoundError("404\nmore lines")
        return str(place / repo_id)

    module = ModuleType("huggingface_hub")
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)
    module.HfApi, module.snapshot_download = Api, snapshot_download
    return SimpleNamespace(place=place, api=Api, download=snapshot_download)


def test_a_model_is_pushed_and_opened_again(model, hub):
    assert model.push_to_hub("me/rows", license="mit", token="secret") == "commit of me/rows"
    assert sorted(path.name for path in (hub.place / "me/rows").iterdir()) == ["README.md", "model.safetensors"]
    again = MoGVAE.from_pretrained("me/rows", token="secret")
    np.testing.assert_array_equal(again.predict_proba(ROWS), model.predict_proba(ROWS))
    said = r"'me/none': no folder here, and no model on the hub \(404\); check the name, the token and the network$"
    with pytest.raises(InputError, match=said):
        MoGVAE.from_pretrained("me/none")


def test_the_hub_is_asked_in_its_own_words(hub, monkeypatch):
    monkeypatch.undo()
    real = pytest.importorskip("huggingface_hub")
    for ours, theirs in (
        (hub.api.create_repo, real.HfApi.create_repo),
        (hub.api.upload_folder, real.HfApi.upload_folder),
        (hub.download, real.snapshot_download),
    ):
        assert inspect.signature(ours).parameters.keys() <= inspect.signature(theirs).parameters.keys()


def test_without_its_package_the_hub_says_how_to_install_it(model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    install = r"needs huggingface_hub, which is not installed; pip install 'cpvae\[hub\]'"
    with pytest.raises(InputError, match=f"push_to_hub {install}"):
        model.push_to_hub("me/rows")
    with pytest.raises(InputError, match=f"'me/rows' is no folder here, and opening it from the hub {install}"):
        MoGVAE.from_pretrained("me/rows")
