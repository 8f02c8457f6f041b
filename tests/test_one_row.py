"""One row: a fitted model answers for it as among others, from any source; a fit refuses it in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import sparse
from scipy.io import savemat

from cpvae.data.loaders import load as load_data
from cpvae.errors import InputError
from cpvae.estimators.zoo import CPVAE, load
from cpvae.study.inputs import rows_of
from test_cli import TINY, call, done, refused

RNG = np.random.default_rng(0)
N = 30
NUMBERS = pd.DataFrame(RNG.normal(size=(N, 3)), columns=list("abc"))
TABLE = NUMBERS.assign(city=RNG.choice(["u", "v"], N), visits=RNG.poisson(1.0, N), label=RNG.choice(["l", "m"], N))
COUNTS = RNG.poisson(0.5, (N, 120)).astype(np.float32) + np.eye(N, 120, dtype=np.float32)
PICTURES = RNG.integers(0, 256, (N, 8, 8), np.uint8)
SIGNALS = RNG.normal(size=(N, 2, 12))


def write_pictures(folder: Path, n: int) -> None:
    folder.mkdir()
    for k in range(n):
        Image.fromarray(PICTURES[k]).save(folder / f"{k:02}.png")


SOURCES: dict[str, Callable[[Path, int], Any]] = {
    "table.csv": lambda path, n: TABLE[:n].to_csv(path, index=False),
    "table.parquet": lambda path, n: TABLE[:n].to_parquet(path),
    "numbers.npy": lambda path, n: np.save(path, NUMBERS[:n]),
    "numbers.mat": lambda path, n: savemat(path, {"x": NUMBERS[:n].to_numpy()}),
    "counts.npz": lambda path, n: sparse.save_npz(path, sparse.csr_matrix(COUNTS[:n])),
    "signals.npy": lambda path, n: np.save(path, SIGNALS[:n]),
    "pictures": write_pictures,
}


@pytest.fixture(scope="module", params=SOURCES)
def fitted(request, tmp_path_factory) -> Path:
    """Fit a model in a folder that also holds its rows, and the first of them alone."""
    folder = tmp_path_factory.mktemp("one")
    (folder / "all").mkdir()
    (folder / "one").mkdir()
    SOURCES[request.param](folder / "all" / request.param, N)
    SOURCES[request.param](folder / "one" / request.param, 1)
    done("fit", folder / "all" / request.param, "--out", folder / "run", *TINY)
    return folder


def test_commands_answer_for_one_row_as_among_others(fitted):
    (every,), (one,) = (list((fitted / name).iterdir()) for name in ("all", "one"))
    found = []
    for source in (every, one):
        done("cluster", fitted / "run", source, "--out", fitted / "out.csv")
        found.append(pd.read_csv(fitted / "out.csv").iloc[:1])
    pd.testing.assert_frame_equal(*found, rtol=1e-4)
    figures = json.loads(done("evaluate", fitted / "run", one, "--json", "--importance-samples", "3").out)
    assert (figures["n"], figures["negative_elbo_se"]) == (1, None)
    assert np.isfinite(figures["negative_elbo"])
    said = done("evaluate", fitted / "run", one, "--rows", "1", "--refine", "1").out
    assert "refined by 1 gradient step: negative bound" in said
    assert "Measured on 1 row of the split 'all': negative bound" in said
    assert "nan" not in said
    done("report", fitted / "run", "--data", one)


def test_python_answers_for_one_row_as_among_others(fitted):
    (every,) = (fitted / "all").iterdir()
    model, X = load(fitted / "run"), rows_of(load_data(every), "all")
    one = X.iloc[:1] if isinstance(X, pd.DataFrame) else X[:1]
    assert model.predict(one).tolist() == model.predict(X)[:1].tolist()
    np.testing.assert_allclose(model.predict_proba(one), model.predict_proba(X)[:1], rtol=1e-4)
    np.testing.assert_allclose(model.score_samples(one), model.score_samples(X)[:1], rtol=1e-4)
    assert (len(model.transform(one)), len(model.reconstruct(one)), len(model.log_likelihood(one, 2))) == (1, 1, 1)


def test_a_fit_refuses_one_row_and_leaves_nothing(fitted):
    (one,) = (fitted / "one").iterdir()
    for command in ("fit", "compare", "choose"):
        said = refused(command, one, "--out", fitted / "new")
        assert said == f"{one.name}: 1 row; at least 2 are needed for a fit; give more rows"
    assert not (fitted / "new").exists()


def test_python_refuses_to_fit_one_row():
    for rows in (NUMBERS[:1], NUMBERS[:1].to_numpy(), TABLE[:1], sparse.csr_matrix(COUNTS[:1]), PICTURES[:1]):
        with pytest.raises(InputError, match=r"1 row|1 sample"):
            CPVAE(2).fit(rows)


def test_agreement_of_one_row_with_its_label(tmp_path):
    TABLE.to_csv(tmp_path / "all.csv", index=False)
    TABLE[:1].to_csv(tmp_path / "one.csv", index=False)
    done("fit", tmp_path / "all.csv", "--labels", "label", "--out", tmp_path / "run", *TINY)
    answer = call("evaluate", tmp_path / "run", tmp_path / "one.csv", "--labels", "label", "--json")
    assert json.loads(answer.out)["accuracy"] == 1.0


def test_splits_may_have_one_row(tmp_path):
    x = NUMBERS.to_numpy()
    np.savez(tmp_path / "a.npz", x_train=x[:20], x_valid=x[20:21], x_test=x[21:22])
    done("fit", tmp_path / "a.npz", "--out", tmp_path / "run", *TINY)
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["negative_elbo_se"] is None
    assert json.loads(done("evaluate", tmp_path / "run", tmp_path / "a.npz", "--json").out)["n"] == 1
