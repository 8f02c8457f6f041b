"""The number of components: the rule on invented numbers, and fits that are chosen, kept and resumed."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_array, csr_matrix
from sklearn.datasets import make_blobs
from typer.testing import CliRunner

from cpvae import CPVAE, VAE, InputError, choose_components, load
from cpvae.cli.program import app
from cpvae.estimators import zoo
from cpvae.study import answers
from cpvae.study import choice as choosing
from cpvae.study.held_out import hold_out

SMALL = {"latent_dim": 2, "hidden": (16,), "max_epochs": 25, "batch_size": 20, "init": "gmm", "random_state": 0}
BLOBS, _ = make_blobs(250, 2, centers=[[-6, 0], [6, 0], [0, 8]], cluster_std=0.7, random_state=0)


class Told(CPVAE):
    """A model whose fit ends at once, with given values."""

    def fit(self, X, y=None, **others):
        return self

    def score_samples(self, X):
        noise = np.random.RandomState(0).normal(size=len(X))
        return {1: -9.0, 2: -5.02, 4: -5.0, 8: -5.5}[self.n_components] + {4: 0.0}.get(self.n_components, 1.0) * noise

    def predict(self, X):
        return np.arange(len(X)) % self.n_components

    def groups(self, least=0.1):
        return np.arange(self.n_components)


def test_the_smallest_number_within_one_standard_error_of_the_best_is_chosen():
    rows = np.zeros((400, 1))
    found = choose_components(Told(random_state=0), rows, [8, 1, 4, 2], X_held_out=rows, n_jobs=1)
    assert [c.n_components for c in found.candidates] == [1, 2, 4, 8]
    assert (found.best, found.n_components, found.rows) == (4, 2, 400)
    two = found.candidates[1]
    noise = np.random.RandomState(0).normal(size=400)
    assert two.worse_by == pytest.approx(0.02 - noise.mean())
    assert two.worse_by_se == pytest.approx(noise.std(ddof=1) / 20)
    assert found.candidates[2].worse_by == found.candidates[2].worse_by_se == 0
    assert found.estimator.n_components == 2
    few = choose_components(Told(random_state=0), rows, [1, 4], X_held_out=rows, n_jobs=1)
    assert few.n_components == 4


def test_numbers_that_the_held_out_rows_cannot_tell_apart_are_said_to_be_undecided():
    rows = np.zeros((400, 1))
    found = choose_components(Told(random_state=0), rows, [8, 1, 4, 2], X_held_out=rows, n_jobs=1)
    assert found.undecided == (2, 4)
    assert found.as_dict()["undecided"] == [2, 4]
    said = "undecided between 2 and 4: on 400 held-out rows they differ by no more than two standard errors; taken is 2"
    assert choosing.conclusion(found) == said
    decided = choose_components(Told(random_state=0), rows, [1, 4], X_held_out=rows, n_jobs=1)
    assert decided.undecided == ()
    assert choosing.conclusion(decided) == "chosen: 4"


def test_the_command_says_that_the_rows_do_not_decide_and_what_to_look_at_next(tmp_path, monkeypatch):
    table, rows = tmp_path / "rows.csv", np.zeros((400, 1))
    pd.DataFrame(BLOBS, columns=["a", "b"]).to_csv(table, index=False)
    found = choose_components(Told(random_state=0), rows, [1, 2, 4], X_held_out=rows, n_jobs=1)
    monkeypatch.setattr(answers, "choose_number", lambda *given: found)
    done = CliRunner().invoke(app, ["choose", str(table), "--labels", "b", "--out", str(tmp_path / "runs")])
    assert done.exit_code == 0, done.output
    assert "undecided between 2 and 4: on 400 held-out rows they differ by no more than two stand" in done.stderr
    assert f"cpvae describe {tmp_path / 'runs' / 'k4-seed0'} {table} --labels b" in done.stderr


def test_the_spread_of_seeds_counts():
    class Seeds(Told):
        def score_samples(self, X):
            return np.full(len(X), {1: -5.1, 2: -5.0}[self.n_components] + [0.3, -0.3][self.random_state])

    rows = np.zeros((50, 1))
    one = choose_components(Seeds(random_state=0), rows, [1, 2], X_held_out=rows, n_jobs=1)
    assert one.n_components == 2
    two = choose_components(Seeds(random_state=0), rows, [1, 2], X_held_out=rows, n_seeds=2, n_jobs=1)
    assert two.n_components == 1
    assert two.candidates[0].worse_by_se == pytest.approx(np.sqrt(2 * 0.18 / 2))
    assert two.candidates[0].by_seed == pytest.approx((4.8, 5.4))
    assert two.estimator.random_state == 0


def test_all_numbers_are_tried_with_the_same_covariances(monkeypatch):
    """A number of categories that alone has enough rows for full ones would be compared with another model."""
    monkeypatch.setattr(zoo, "MANY", 100)
    monkeypatch.setattr(zoo, "FULL_SHARE", 30.0)  # 60 rows for each category of two dimensions
    few = {**SMALL, "max_epochs": 1}
    for numbers, form in (([1, 3], "full"), ([1, 4], "diag")):  # 180 training rows
        fits = choose_components(CPVAE(**few), BLOBS, numbers, n_jobs=1).fits
        assert {fit.covariance_ for fit in fits.values()} == {form}


def test_three_sources_are_found_and_the_runs_are_kept(tmp_path):
    told: list[str] = []
    found = choose_components(CPVAE(**SMALL), BLOBS, [1, 3], out=tmp_path, n_jobs=1, progress=told.append)
    assert found.n_components == 3
    assert found.rows == 50
    assert found.candidates[0].worse_by > 2 * found.candidates[0].worse_by_se > 0
    assert told[0] == "2 fits to 200 rows, 1 at a time, judged by 50 others"
    written = json.loads((tmp_path / choosing.RESULT).read_text())
    assert written == found.as_dict() | {"candidates": written["candidates"]}
    assert written["run"] == "k3-seed0"
    assert load(tmp_path / "k3-seed0").n_components == 3
    for picture in (choosing.PICTURE, choosing.TREE):
        assert (tmp_path / picture).read_bytes().startswith(b"\x89PNG")
    before = (tmp_path / "k1-seed0" / "model.safetensors").stat().st_mtime_ns
    again = choose_components(CPVAE(**SMALL), BLOBS, [1, 3, 2], out=tmp_path, n_jobs=1)
    assert (tmp_path / "k1-seed0" / "model.safetensors").stat().st_mtime_ns == before
    assert again.candidates[0].by_seed == found.candidates[0].by_seed
    assert again.n_components == 3
    with pytest.raises(InputError, match="latent_dim"):
        choose_components(CPVAE(**{**SMALL, "latent_dim": 3}), BLOBS, [1, 3], out=tmp_path, n_jobs=1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"components": []}, r"components=\[\]: expected numbers of components to try"),
        ({"components": [0, 2]}, "components=0: expected a whole number of at least 1"),
        ({"components": [2, 999]}, "200 rows to fit for 999 components"),
        ({"n_seeds": 0}, "n_seeds=0"),
        ({"held_out_fraction": 1.5}, "held_out_fraction=1.5: expected a number between 0 and 1"),
        ({"X_held_out": BLOBS[:1]}, "1 held-out row: expected 2 or more"),
    ],
)
def test_nonsense_is_refused_before_anything_is_fitted(arguments, said, tmp_path):
    with pytest.raises(InputError, match=said):
        choose_components(CPVAE(**SMALL), BLOBS, **{"components": [2], "out": tmp_path / "runs", **arguments})
    assert not (tmp_path / "runs").exists()
    with pytest.raises(InputError, match="VAE has no components to choose"):
        choose_components(VAE(), BLOBS)


def test_the_command_says_what_it_chose_and_where_it_is(tmp_path):
    table = tmp_path / "rows.csv"
    pd.DataFrame(BLOBS, columns=["a", "b"]).to_csv(table, index=False)
    out = tmp_path / "runs"
    given = ["choose", str(table), "-k", "1,3", "--epochs", "25", "--latent-dim", "2", "--jobs", "1", "--out", str(out)]
    done = CliRunner().invoke(app, given)
    assert done.exit_code == 0, done.output
    assert "chosen: 3; its fit is" in done.stderr
    assert "From 1 to 3 categories: 0 is parted into 0, 1 and 2." in done.stdout
    lines = [line for line in done.stdout.splitlines() if line.startswith("*")]
    assert len(lines) == 1
    assert lines[0].split()[1] == "3"
    done = CliRunner().invoke(app, [*given, "--json"])
    assert json.loads(done.stdout)["n_components"] == 3
    for wrong in (["--model", "vae"], ["-k", "two"], ["-k", "1,9999"]):
        done = CliRunner().invoke(app, [*given, *wrong, "--out", str(tmp_path / "none")])
        assert isinstance(done.exception, InputError) or done.exit_code == 2, done.output
        assert not (tmp_path / "none").exists()


def test_levels_flags_and_gaps_that_only_some_rows_have(tmp_path):
    """Whether they fall to the rows of a fit or to those held out."""
    random = np.random.RandomState(0)
    n = 60
    frame = pd.DataFrame({"a": random.normal(size=n), "b": np.array(["x", "y"])[np.arange(n) % 2], "flag": 0})
    frame.loc[::7, "b"] = [f"once {i}" for i in range(9)]
    held = hold_out(n)[1]
    frame.loc[held[0], "flag"] = 1
    frame.loc[held[1], "a"] = None
    quick = {"latent_dim": 2, "hidden": (8,), "max_epochs": 1, "random_state": 0, "init": "random"}
    found = choose_components(CPVAE(**quick), frame, [1, 2], n_jobs=1)
    assert found.rows == 12
    assert np.isfinite([c.negative_elbo for c in found.candidates]).all()
    assert found.estimator.schema_.columns[2].levels == (0, 1)
    frame.to_csv(tmp_path / "t.csv", index=False)
    given = [
        "choose",
        str(tmp_path / "t.csv"),
        "-k",
        "1,2",
        "--epochs",
        "1",
        "--jobs",
        "1",
        "--out",
        str(tmp_path / "c"),
    ]
    done = CliRunner().invoke(app, given)
    assert done.exit_code == 0, done.output


def test_rows_of_any_container_are_parted():
    """Sparse rows stay sparse, and lists of rows with gaps are tables."""
    random = np.random.RandomState(0)
    quick = {"latent_dim": 2, "hidden": (8,), "max_epochs": 1, "random_state": 0, "init": "random"}
    counts = csr_array(random.poisson(0.3, (60, 30)))
    gaps = [[float(a), None if a > 2 else float(b)] for a, b in random.normal(size=(60, 2))]
    gaps[0][1] = None
    for rows in (counts, gaps, torch.from_numpy(random.normal(size=(60, 3)))):
        found = choose_components(CPVAE(**quick), rows, [1, 2], n_jobs=1)
        assert found.rows == 12
        assert np.isfinite([c.negative_elbo for c in found.candidates]).all()
    found = choose_components(CPVAE(**quick), counts[:40], [1], X_held_out=counts[40:], n_jobs=1)
    assert found.rows == 20


@pytest.mark.parametrize("form", [np.asarray, csr_matrix], ids=["dense", "sparse"])
def test_held_out_cells_are_read_by_the_names_of_their_genes(form):
    anndata = pytest.importorskip("anndata")
    genes = pd.DataFrame(index=["a", "b", "c", "d"])
    counts = np.random.default_rng(0).poisson([1.0, 5.0, 20.0, 60.0], (80, 4)).astype(np.float32)
    cells, others = (anndata.AnnData(form(part), var=genes) for part in (counts[:50], counts[50:]))
    asked = CPVAE(kind="counts", hidden=(4,), latent_dim=1, max_epochs=1, random_state=0)
    found = [choose_components(asked, cells, [1], X_held_out=one) for one in (others, others[:, ["d", "b", "a", "c"]])]
    assert found[0].as_dict()["candidates"] == found[1].as_dict()["candidates"]
