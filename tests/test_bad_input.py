"""Mistakes of users: exit 2, one line, no traceback, nothing overwritten; from Python a ValueError."""

from __future__ import annotations

import errno
import gzip
import json
import os
import pickle
import re
import shutil
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from cpvae import CPVAE, VAE, InputError, checkpoints, files, load
from cpvae.data import loaders
from cpvae.fitting import runs
from cpvae.study.answers import report_run
from test_cli import SMALL, TINY, done, refused, table, tree

torch.set_num_threads(1)
PLAIN = {"latent_dim": 2, "hidden": (8,), "max_epochs": 1, "init": "random", "random_state": 0}
X = table().to_numpy()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make data and finished runs: `run` of a table, `images`, `vae` without categories, `labelled`."""
    folder = tmp_path_factory.mktemp("made")
    frame = table()
    frame.to_csv(folder / "t.csv", index=False)
    frame.assign(kind=["x", "y"] * 15).to_csv(folder / "labelled.csv", index=False)
    np.savez(folder / "im.npz", x=np.random.RandomState(0).rand(30, 1, 4, 4).astype("f4"))
    before = Path.cwd()
    os.chdir(folder)
    try:
        done("fit", "t.csv", "--out", "run", *TINY)
        done("fit", "im.npz", "--out", "images", *TINY)
        done("fit", "labelled.csv", "--labels", "kind", "--out", "labelled", *TINY)
        done("fit", "t.csv", "--model", "vae", "--out", "vae", *SMALL)
    finally:
        os.chdir(before)
    return folder


def test_new_rows_of_a_table_with_a_column_called_component(tmp_path, monkeypatch):
    """Such as one that `cpvae sample` wrote: the file has all columns, and can be read again."""
    monkeypatch.chdir(tmp_path)
    frame = table().rename(columns={"a": "component"})
    frame.to_csv("numbers.csv", index=False)
    frame.assign(region=["x", "y"] * 15).to_csv("mixed.csv", index=False)
    for name in ("numbers", "mixed"):
        done("fit", f"{name}.csv", "--out", name, *TINY)
        done("sample", name, "-n", 5, "--out", f"new-{name}.csv")
        new = pd.read_csv(f"new-{name}.csv")
        assert [*new.columns] == ["component_", *pd.read_csv(f"{name}.csv").columns]
        assert set(new["component_"]) <= {0, 1, 2}
        done("fit", f"new-{name}.csv", "--out", f"again-{name}", *TINY)


@pytest.mark.parametrize("shape", [(3,), (2, 5), (1, 4, 4)], ids=["matrix", "signals", "images"])
def test_new_rows_of_columns_without_names_can_be_read_again(shape, tmp_path, monkeypatch):
    """The file that `cpvae sample` wrote has a column "component", which is named and left out."""
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", np.random.RandomState(0).randn(30, *shape))
    kind = () if len(shape) == 1 else ("--kind", "signals" if len(shape) == 2 else "images")
    done("fit", "x.npy", "--out", "run", *kind, *TINY)
    done("sample", "run", "-n", 5, "--out", "new.csv")
    n = int(np.prod(shape))
    said = done("cluster", "run", "new.csv", "--out", "labels.csv").err
    assert f"read new.csv: 5 rows, all {n} columns of the fit\ncolumns that the fit did not have: 'component'" in said
    found = pd.read_csv("labels.csv")["category"].tolist()
    assert "'component'; left out" in done("drift", "run", "new.csv").err
    done("sample", "run", "-n", 5, "--no-component-column", "--out", "bare.csv")
    done("cluster", "run", "bare.csv", "--out", "again.csv")
    assert pd.read_csv("again.csv")["category"].tolist() == found
    pd.read_csv("new.csv").drop(columns="x1").to_csv("less.csv")
    assert f"; expected {'3 columns' if len(shape) == 1 else ''}" in refused(
        "cluster", "run", "less.csv", "--out", "c.csv"
    )


@pytest.mark.usefixtures("undrawn")
def test_a_report_on_other_rows_does_not_take_the_labels_of_the_fit(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("a.npy", table().to_numpy())
    np.save("b.npy", table().to_numpy() + 1)
    np.save("labels of a.npy", np.arange(30) % 2)
    done("fit", "a.npy", "--labels", "labels of a.npy", "--out", "run", *TINY)
    done("report", "run")
    page = Path("run/report.html").read_text()
    assert "accuracy, one-to-one" in page
    assert "cpvae cluster run a.npy --labels &#39;labels of a.npy&#39; --out labels.csv" in page
    done("report", "run", "--data", "b.npy")
    assert "accuracy, one-to-one" not in Path("run/report.html").read_text()


@pytest.fixture
def shop(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Copy `made` into a folder to work in; the test fails if any of its results changes."""
    folder = tmp_path / "shop"
    shutil.copytree(made, folder)
    for name in ("old.csv", "old.png", "old.npz"):
        (folder / name).write_text("results of last week")
    before = tree(folder)
    monkeypatch.chdir(folder)
    yield folder
    after = tree(folder)
    assert {name: after.get(name) for name in before} == before
    assert not [name for name in after if Path(name).name.startswith(".")], "a temporary file was left"


def same(message: str, action: Callable[[], object]) -> None:
    """Check that Python raises a ValueError with the same sentence."""
    with pytest.raises(ValueError, match=r"\S") as caught:
        action()
    assert isinstance(caught.value, InputError)
    assert " ".join(str(caught.value).split()) == message


def claims_nothing(shop: Path, name: str = "new") -> None:
    """Check that a failed fit leaves no folder that would stop the next one."""
    assert not (shop / name).exists()


# -- data ------------------------------------------------------------------------------------------------------------


def csv(path: Path, frame: pd.DataFrame) -> Path:
    frame.to_csv(path, index=False)
    return path


def with_value(value: Any) -> pd.DataFrame:
    frame = table().astype(object)
    frame.iloc[3, 1] = value
    return frame


def cut(path: Path, write: Callable[[Path], object]) -> Path:
    """Keep the first half of the file that `write` writes."""
    write(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def text(path: Path, content: str) -> Path:
    path.write_text(content)
    return path


def npz(path: Path, **arrays: np.ndarray) -> Path:
    np.savez(path, **arrays)
    return path


def idx(path: Path) -> None:
    path.write_bytes(gzip.compress(struct.pack(">BBBBIII", 0, 0, 8, 3, 20, 4, 4) + bytes(320)))


def pictures(folder: Path) -> Path:
    folder.mkdir()
    for name in "ab":
        Image.fromarray(np.random.RandomState(0).randint(0, 255, (16, 16), dtype=np.uint8)).save(folder / f"{name}.png")
    content = (folder / "b.png").read_bytes()
    (folder / "b.png").write_bytes(content[: len(content) // 2])
    return folder


def pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


def pipe_among_images(folder: Path) -> Path:
    folder.mkdir()
    os.mkfifo(folder / "a.png")
    return folder


BAD_DATA: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda d: d / "t.cvs", "did you mean 't.csv'?"),
    "unknown name": (lambda d: "digts", "did you mean 'digits'?"),
    "nothing like it": (lambda d: "https://example.org/x", "no such file or folder; expected a table"),
    "empty file": (lambda d: text(d / "e.csv", ""), "an empty file"),
    "header only": (lambda d: text(d / "e.csv", "a,b,c\n"), "0 rows; at least 1"),
    "zero rows": (lambda d: npz(d / "e.npz", x=np.zeros((0, 3))), "0 rows; at least 1"),
    "truncated npz": (lambda d: cut(d / "e.npz", lambda p: npz(p, x=X)), "cannot be read as a .npz file"),
    "truncated npy": (lambda d: cut(d / "e.npy", lambda p: np.save(p, X)), "cannot be read as a .npy file"),
    "truncated parquet": (lambda d: cut(d / "e.parquet", lambda p: table().to_parquet(p)), "as a parquet file"),
    "truncated idx": (lambda d: cut(d / "e-idx3-ubyte.gz", idx), "cannot be read as an IDX file"),
    "truncated image": (lambda d: pictures(d / "pictures"), "cannot be read as an image"),
    "infinity": (lambda d: csv(d / "e.csv", with_value("inf")), "infinity in column 'b', data row 4"),
    "huge": (lambda d: csv(d / "e.csv", with_value(1e35)), "1e+35 in column 'b', data row 4; expected"),
    "ragged": (lambda d: text(d / "e.csv", "a,b,c\n1,2,3\n1,2\n"), "line 3 has 2 cells and the first line 3"),
    "objects": (lambda d: npz(d / "e.npz", x=np.array([{}, []], object)), "have to be unpickled"),
    "device": (lambda d: "/dev/null", "neither a file nor a folder"),
    "pipe": (lambda d: pipe(d / "e.csv"), "neither a file nor a folder"),
    "pipe among images": (lambda d: pipe_among_images(d / "e"), "not a file; expected images"),
    "a run": (lambda d: "images", "images: a run that cpvae fit wrote, not data"),
    "a model": (lambda d: "run/model.safetensors", "a file with the suffix '.safetensors'"),
    "no home": (lambda d: "~nobody-of-that-name/x.csv", "no such file"),
}


@pytest.mark.parametrize("case", BAD_DATA)
def test_data_that_cannot_be_read(case, shop, tmp_path):
    make, expected = BAD_DATA[case]
    data = make(tmp_path if case != "missing" else shop)
    message = refused("fit", data, "--out", "new", *TINY)
    assert expected in message
    claims_nothing(shop)
    assert refused("evaluate", "run", data, "--json") == message
    assert refused("cluster", "run", data, "--out", "old.csv") == message
    assert refused("report", "run", "--data", data) == message
    same(message, lambda: loaders.load(str(data)))


def test_nothing_is_unpickled(shop, tmp_path):
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "exploded"),)

    np.save(tmp_path / "a.npy", np.array([Bomb()] * 3, object), allow_pickle=True)
    with zipfile.ZipFile(tmp_path / "b.npz", "w") as archive:
        archive.write(tmp_path / "a.npy", "x.npy")
    for name in ("a.npy", "b.npz"):
        assert "unpickled" in refused("fit", tmp_path / name, "--out", "new", *TINY)
    for name in ("c.npy", "c.npz", "model.safetensors"):
        (tmp_path / name).write_bytes(pickle.dumps(Bomb()))
        refused("fit", tmp_path / name, "--out", "new", *TINY)
        refused("sample", tmp_path / name, "--out", "old.csv")
    assert not (tmp_path / "exploded").exists()


def test_labels(shop, tmp_path):
    three = text(tmp_path / "l.csv", "1\n2\n3\n")
    for where, message in {
        ("im.npz", three): "labels of shape (3,); expected one label for each of the 30 rows",
        ("im.npz", "old.csw"): "no such file of labels; did you mean 'old.csv'?",
        ("im.npz", "t.csv"): "labels in several columns",
        ("im.npz", "/dev/null"): "neither a file nor a folder",
        ("labelled.csv", "kimd"): "no label column 'kimd'; did you mean 'kind'?",
        ("digits", "kind"): "which brings its own labels",
    }.items():
        data, labels = where
        assert message in refused("fit", data, "--labels", labels, "--out", "new", *TINY)
        assert message in refused("evaluate", "images", data, "--labels", labels, "--json")
        assert message in refused("cluster", "images", data, "--labels", labels, "--out", "old.csv")
        claims_nothing(shop)
    assert "no label column 'kimd'" in refused("report", "labelled", "--labels", "kimd")
    # given at the fit and not afterwards, or gone from the table
    assert "the fit did not have" not in done("evaluate", "labelled", "labelled.csv", "--strict").err
    assert "no label column 'kind'" in refused("evaluate", "labelled", "t.csv", "--labels", "kind")


def test_checksum(shop, tmp_path, monkeypatch):
    monkeypatch.setenv("CPVAE_DATA", str(tmp_path))
    (tmp_path / "omniglot").mkdir()
    (tmp_path / "omniglot" / "omniglot_28x28_gray.npz").write_bytes(b"not it")
    before = tree(tmp_path / "omniglot")
    message = refused("fit", "omniglot", "--out", "new", *TINY)
    assert "md5 " in message
    assert "expected a17be3acfd6c96f97240650281fa4e59; delete the file" in message
    assert refused("evaluate", "images", "omniglot") == message
    same(message, lambda: loaders.load("omniglot"))
    assert tree(tmp_path / "omniglot") == before
    claims_nothing(shop)


# -- data that can be read but not fitted ----------------------------------------------------------------------------

UNFIT: dict[str, tuple[dict[str, np.ndarray], tuple[str, ...], str]] = {
    "all constant": ({"x": np.ones((30, 3)) * 5}, (), "every row is the same"),
    "not Bernoulli": ({"x": X}, ("--likelihood", "bernoulli"), "which needs [0, 1]"),
    "not Bernoulli in validation": (
        {"x_train": np.eye(4)[[0, 1, 2, 3] * 8], "x_valid": np.full((4, 4), 2.0)},
        ("--likelihood", "bernoulli"),
        "which needs [0, 1]",
    ),
    "far away in validation": (
        {"x_train": X, "x_valid": X * 1e25},
        ("--likelihood", "gaussian"),
        "standard deviations",
    ),
    "fewer rows than components": ({"x": X[:2]}, (), "2 rows (n_samples=2) for n_components=3: expected at least"),
    "other columns in a split": ({"x_train": X, "x_valid": X[:, :2]}, (), "rows of different shapes"),
}


@pytest.mark.parametrize("case", UNFIT)
def test_data_that_cannot_be_fitted(case, shop, tmp_path):
    arrays, options, expected = UNFIT[case]
    data = npz(tmp_path / "e.npz", **arrays)
    message = refused("fit", data, "--out", "new", "-k", "3", "--init", "random", *SMALL, *options)
    assert expected in message
    claims_nothing(shop)
    if "x" not in arrays and "standard" not in expected and "needs" not in expected:
        return
    likelihood = options[1] if options else "auto"
    model = CPVAE(3, likelihood=likelihood, **PLAIN)
    x, valid = arrays.get("x", arrays.get("x_train")), arrays.get("x_valid")
    same(message, lambda: model.fit(x, X_valid=valid))
    same(message, lambda: model.fit(x, X_valid=valid, out=shop / "new"))
    claims_nothing(shop)


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
@pytest.mark.parametrize("estimator", [CPVAE(2, **PLAIN), VAE(latent_dim=2, hidden=(8,), max_epochs=1)])
@pytest.mark.parametrize(
    "rows",
    [
        [[1.0, 2.0], [3.0]],
        [[1.0, np.nan], [1.0, 1.0]],
        [[1.0, np.inf], [2.0, 1.0]],
        np.zeros((0, 3)),
        np.zeros((1, 3)),
        np.zeros((5, 0)),
        np.zeros(5),
        np.zeros((5, 2, 2, 2, 2)),
        np.full((5, 2), 1e35, np.float32),
        np.ones((5, 2), complex),
        3.0,
        None,
        "digits",
    ],
    ids=lambda rows: type(rows).__name__ + str(np.shape(rows) if isinstance(rows, np.ndarray) else "")[:20],
)
def test_rows_in_python(rows, estimator, shop):
    with pytest.raises(ValueError, match=r"\S"):
        estimator.fit(rows, out=shop / "new")
    claims_nothing(shop)
    if not (isinstance(rows, np.ndarray) and rows.shape == (1, 3)):  # one row can be asked about
        with pytest.raises(ValueError, match=r"\S"):
            load(shop / "run").predict(rows)


# -- options ---------------------------------------------------------------------------------------------------------

WHOLE = "expected a whole number of at least"
OPTIONS = [
    ("--components", 0, WHOLE),
    ("--components", -1, WHOLE),
    ("--components", 1.5, "valid integer"),
    ("--components", 31, "30 rows (n_samples=30) for n_components=31"),
    ("--components", 10**12, "expected a whole number of at most"),
    ("--latent-dim", 10**7, "latent_dim=10000000: expected a whole number of at most 100000"),
    ("--epochs", 0, WHOLE),
    ("--epochs", "many", "not 'many'"),
    ("--learning-rate", "nan", "expected a number between 0 and 1"),
    ("--learning-rate", 0, "expected a number between 0 and 1"),
    ("--learning-rate", -1, "expected a number between 0 and 1"),
    ("--learning-rate", "inf", "expected a number between 0 and 1"),
    ("--hidden", "abc", "expected whole numbers with commas"),
    ("--hidden", 0, WHOLE),
    ("--hidden", "8,,8", "expected whole numbers with commas"),
    ("--hidden", 10**30, "expected a whole number of at most"),
    ("--latent-dim", 0, WHOLE),
    ("--noise", -1, "expected a number from 0.001 to 1000"),
    ("--noise", "nan", "expected a number from 0.001 to 1000"),
    ("--noise", 1e-300, "expected a number from 0.001 to 1000"),
    ("--noise", 1e300, "expected a number from 0.001 to 1000"),
    ("--consistency", 1e300, "expected a number from 0 to 1e+06"),
    ("--seed", "abc", "not 'abc'"),
    ("--seed", -1, WHOLE),
    ("--seed", 2**32, "expected a whole number of at most 4294967295"),
    ("--restarts", 0, WHOLE),
    ("--restarts", 10**9, "expected a whole number of at most 10000"),
    ("--batch-size", 0, WHOLE),
    ("--patience", 0, WHOLE),
    ("--warmup-epochs", -1, WHOLE),
    ("--device", "cude", "cannot be used on this machine"),
    ("--device", "meta", "cannot be used on this machine"),
    ("--likelihood", "bernouli", "did you mean 'bernoulli'?"),
    ("--weights", "unifrm", "did you mean 'uniform'?"),
    ("--expectation", "exct", "did you mean 'exact'?"),
    ("--covariance", "ful", "did you mean 'full'?"),
    ("--init", "autoencodr", "did you mean 'autoencoder'?"),
    ("--model", "cpvea", "did you mean 'cpvae'?"),
    ("--compnents", 3, "--components"),
    ("--out", "", "an empty argument after '--out'"),
    ("--out", " ", "an empty argument after '--out'"),
]


@pytest.mark.parametrize(("option", "value", "expected"), OPTIONS)
def test_options_of_fit(option, value, expected, shop):
    small = ["--epochs", 1, "--latent-dim", 2, "--hidden", 8, "--init", "random", "--quiet"]
    message = refused("fit", "t.csv", "--out", "new", *small, option, value)
    assert expected in message
    assert str(value) in message or option in message
    claims_nothing(shop)
    names = {"--components": "n_components", "--epochs": "max_epochs", "--seed": "random_state", "--restarts": "n_init"}
    name = names.get(option, option.removeprefix("--").replace("-", "_"))
    if message.startswith(f"{name}=") or "n_samples" in message:
        number = float(value) if name in ("learning_rate", "noise", "consistency") else value
        params = {**PLAIN, "n_components": 3, name: (value,) if name == "hidden" else number}
        same(message, lambda: CPVAE(**params).fit(table(), out=shop / "new"))


@pytest.mark.parametrize("value", [1.5, "3", None, True, -1, 0, 2**40])
def test_components_in_python(value):
    with pytest.raises(InputError, match=r"n_components=.*: expected a whole number"):
        CPVAE(value, **PLAIN).fit(X)


def test_more_draws_than_memory_holds_are_refused(shop):
    model = load("run")
    for ask, number in (
        (lambda: model.sample(2 * 10**9), "n_samples=2000000000"),
        (lambda: model.sample(np.int32(2 * 10**9)), "n_samples=2000000000"),
        (lambda: model.impute(table(), n_draws=10**9), "n_draws=1000000000"),
        (lambda: model.impute(table()[:1], n_draws=2 * 10**9), "n_draws=2000000000"),
        (lambda: model.log_prob(table(), ["a"], n_samples=2 * 10**9), "n_samples=2000000000"),
    ):
        with pytest.raises(InputError, match=f"^{number}: needs about .* GB, more memory than"):
            ask()


def test_no_memory_is_one_line_and_leaves_nothing(shop, monkeypatch):
    def fail(*arguments: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 51539607528 bytes")

    with monkeypatch.context() as patch:
        patch.setattr(CPVAE, "_module", fail)
        assert "more memory needed than there is" in refused("fit", "t.csv", "--out", "new", *TINY)
        claims_nothing(shop)
    monkeypatch.setattr("cpvae.data.limits.memory", lambda: 1e6)  # a machine of a megabyte
    assert "more memory than there is; give a smaller" in refused("sample", "run", "-n", 100_000, "--out", "old.csv")
    assert "more memory than there is" in refused("impute", "run", "t.csv", "--draws", 10_000, "--out", "old.csv")
    message = refused("fit", "t.csv", "--out", "new", *TINY, "--hidden", 1000)
    assert re.match("a model with .* weights, for rows of 3 values: needs about 0 GB, more memory than there", message)
    claims_nothing(shop)
    same(message, lambda: CPVAE(3, **{**PLAIN, "hidden": (1000,)}).fit(table()))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["fitt"], "did you mean 'fit'?"),
        (["fit"], "Missing argument 'DATA'"),
        (["fit", "t.csv"], "Missing option '--out'"),
        (["fit", "t.csv", "--out"], "requires an argument"),
        (["fit", "t.csv", "more", "--out", "new"], "unexpected extra argument (more)"),
        (["fit", "t.csv", "--out="], "an empty argument in '--out='"),
        (["fit", "t.csv", "--out", "new", "--model", "vae", "-k", 3], "model 'vae' has no option for n_components"),
        (
            ["fit", "t.csv", "--out", "new", "--model", "vae", "-k", 3, "--init", "rows"],
            "model 'vae' has no option for n_components and init; leave them out, or use --model cpvae",
        ),
        (["evaluate", "run", "t.csv", "--split", "foo"], "has no split 'foo'; known: all"),
        (["evaluate", "images", "digits", "--split", "tset"], "images of 1 x 8 x 8"),
        (["evaluate", "run", "t.csv", "--importance-samples", 0], "not '0'"),
        (["evaluate", "run", "t.csv", "--rows", -1], "not '-1'"),
        (["evaluate", "run", "t.csv", "--refine", 0], "not '0'"),
        (["evaluate", "run"], "Missing argument 'DATA'"),
        (["cluster", "vae", "t.csv", "--out", "old.csv"], "has no categories"),
        (["cluster", "run", "t.csv", "--split", "test", "--out", "old.csv"], "has no split 'test'"),
        (["data", "fetch", "mnst"], "did you mean 'mnist'?"),
        (["data", "verify", "nosuch"], "known: digits"),
        (["data", "lst"], "did you mean 'list'?"),
        (["--verion"], "No such option"),
    ],
)
def test_usage(arguments, expected, shop):
    assert expected.lower() in refused(*arguments).lower().replace("argument(s)", "argument")
    claims_nothing(shop)


def test_options_of_sample(shop):
    for options, expected in {
        ("--component", 1.5): f"component=1.5: {WHOLE} 0",
        ("--component", -1): f"component=-1: {WHOLE} 0",
        ("--component", 3): "component=3: expected 0 to 2",
        ("--component", 10): "component=10: expected 0 to 2",
        ("-n", 0): f"n_samples=0: {WHOLE} 1",
        ("-n", -5): f"n_samples=-5: {WHOLE} 1",
        ("-n", "x"): "not 'x'",
        ("-n", 10**20): "n_samples=100000000000000000000: expected a whole number of at most",
        ("--weights", "agregated"): "did you mean 'aggregated'?",
        ("--seed", -1): f"random_state=-1: {WHOLE} 0",
        ("--seed", 2**40): "expected a whole number of at most",
    }.items():
        message = refused("sample", "run", "--out", "old.csv", *options)
        assert expected in message
        name = {"-n": "n_samples", "--seed": "random_state"}.get(options[0], options[0].removeprefix("--"))
        if "not '" not in message:
            arguments: dict[str, Any] = {name: options[1]}
            same(message, lambda arguments=arguments: load("run").sample(**arguments))
    same(
        "random_state is a numpy.random.Generator: expected a whole number, a numpy.random.RandomState or None; draw a "
        "number with it: int(rng.integers(2**31))",
        lambda: load("run").sample(random_state=np.random.default_rng(0)),
    )
    for component in (0, 1, "a"):
        message = refused("sample", "vae", "--component", component, "--out", "old.csv")
        assert message == "component for a 'vae' model, which has no categories; leave it out"
        same(message, lambda component=component: load("vae").sample(component=component))
    message = refused("sample", "vae", "--weights", "aggregated", "--out", "old.csv")
    assert message == "weights='aggregated' for a 'vae' model, which has no categories; leave it out"
    message = refused("sample", "run", "--weights", "prior", "--component", 1, "--out", "old.csv")
    assert "weights='prior' with component=1: all rows come from that component; leave one" in message


# -- other rows than those of the fit --------------------------------------------------------------------------------


def test_rows_of_another_kind(shop, tmp_path):
    frame = table()
    cases = {
        ("run", "im.npz"): "rows of images of 1 x 4 x 4; expected 3 columns",
        ("images", "t.csv"): "rows of 3 columns; expected images of 1 x 4 x 4",
        ("images", "digits"): "rows of images of 1 x 8 x 8; expected images of 1 x 4 x 4",
        ("run", npz(tmp_path / "two.npz", x=X[:, :2])): "rows of 2 columns; expected 3 columns",
        ("run", csv(tmp_path / "names.csv", frame.add_prefix("x"))): "no column of the fit is there",
        ("run", csv(tmp_path / "text.csv", with_value("oops"))): "column 'b' (first 'oops' in row 3, counted from 0)",
        (
            "images",
            npz(tmp_path / "over.npz", x=np.full((4, 1, 4, 4), 1e25)),
        ): "standard deviations from the rows of the fit",
        ("run", csv(tmp_path / "far.csv", frame * 1e25)): "more than 1e+12 standard deviations",
    }
    for (run, data), expected in cases.items():
        message = refused("evaluate", run, data, "--json")
        assert expected in message
        assert refused("cluster", run, data, "--out", "old.csv") == message
        assert refused("report", run, "--data", data)
    done("evaluate", "run", npz(tmp_path / "nameless.npz", x=X))


def test_rows_of_another_kind_in_python(shop):
    run, images = load("run"), load("images")
    for action in ("predict", "predict_proba", "transform", "score", "score_samples", "reconstruct", "log_likelihood"):
        for rows in (table().add_prefix("x"), np.zeros((5, 4, 4)), np.zeros((5, 2)), table() * 1e25):
            with pytest.raises(InputError):
                getattr(run, action)(rows)
        for rows in (np.zeros((5, 3)), np.zeros((5, 5, 5)), np.full((5, 4, 4), 1e25)):
            with pytest.raises(InputError):
                getattr(images, action)(rows)


# -- outputs ---------------------------------------------------------------------------------------------------------


def test_outputs_that_cannot_be_written(shop, monkeypatch):
    (shop / "folder.csv").mkdir()
    os.mkfifo(shop / "pipe.csv")
    os.symlink("loop.csv", shop / "loop.csv")

    def never(*arguments: object, **options: object) -> None:
        raise AssertionError("work was done before the output was checked")

    monkeypatch.setattr("cpvae.estimators.contract.DeepMixture.evaluate", never)
    monkeypatch.setattr("cpvae.estimators.contract.DeepMixture.sample", never)
    for out, expected in {
        "t.csv/x.csv": "Not a directory",
        "/proc/x.csv": "cannot write /proc/x.csv",
        "folder.csv": "it is a folder; give the name of a file",
        "pipe.csv": "neither a file nor a folder",
        "x" * 300 + ".csv": "File name too long",
        "x.jpg": "unknown kind '.jpg'",
        "run": "unknown kind ''",
        ".": "unknown kind ''",
        "": "an empty argument after '--out'",
    }.items():
        assert expected in refused("cluster", "run", "t.csv", "--out", out)
        assert expected in refused("sample", "run", "--out", out)
    assert "rows of a table have no picture" in refused("sample", "run", "--out", "old.png")
    for out, expected in {
        "t.csv": "t.csv is a file; give a folder",
        "t.csv/new": "cannot write",
        "/proc/new": "cannot write",
        "/dev/null": "is a file; give a folder",
        "x" * 300: "File name too long",
        "run": "already holds a run; add --resume",
    }.items():
        monkeypatch.setattr("cpvae.data.loaders.load", never)  # nothing is read for it
        assert expected in refused("fit", "t.csv", "--out", out, *TINY)
    for out in ("t.csv/m.cpvae", "/proc/m.cpvae", "folder.csv", "x" * 300, "pipe.csv"):
        with pytest.raises(InputError, match="cannot write"):
            load("run").save(out)


def test_fit_overwrites_nothing_of_others(shop):
    (shop / "mine").mkdir()
    (shop / "mine" / "history.jsonl").write_text("of another program")
    before = tree(shop / "mine")
    assert "history.jsonl, which would be overwritten" in refused("fit", "t.csv", "--out", "mine", *TINY)
    with pytest.raises(InputError, match="would be overwritten"):
        CPVAE(2, **PLAIN).fit(X, out="mine")
    assert tree(shop / "mine") == before
    message = refused("fit", "t.csv", "--out", "run", *TINY)
    same(message, lambda: CPVAE(3, **PLAIN).fit(table(), out="run"))


def test_outputs_onto_what_is_read(shop, monkeypatch):
    os.symlink("t.csv", "link.csv")
    os.symlink(shop, "again")
    shutil.copy("run/model.safetensors", "model.csv")
    Path("labels.csv").write_text("x\n" * 30)
    before = tree(shop)
    for arguments, expected in {
        ("cluster", "run", "t.csv", "--out", "t.csv"): "--out t.csv is the data, t.csv, which would be overwritten",
        ("cluster", "run", "t.csv", "--out", "again/t.csv"): "--out again/t.csv is the data",
        ("cluster", "run", "t.csv", "--out", "link.csv"): "--out link.csv is the data",
        ("cluster", "run", "im.npz", "--labels", "labels.csv", "--out", "labels.csv"): "is the file of labels",
        ("cluster", "model.csv", "t.csv", "--out", "model.csv"): "is the model",
        ("continue", "run", "t.csv", "--out", "run"): "--out run is the run to continue, run; give another folder",
        ("sample", "model.csv", "--out", "model.csv"): "is the model",
        ("sample", "run", "--out", "t.csv"): "is what the run was fitted on",
        ("sample", "images", "--out", "im.npz"): "is what the run was fitted on",
        ("sample", "images", "--out", "images/samples.png"): "is a part of the run",
    }.items():
        assert expected in refused(*arguments)
    assert tree(shop) == before


def test_outputs_among_pictures_that_are_data(shop):
    Path("pictures").mkdir()
    for i, grey in enumerate(np.random.RandomState(0).randint(0, 255, (6, 4, 4), dtype=np.uint8)):
        Image.fromarray(grey).save(f"pictures/{i}.png")
    before = tree(shop)
    for out in ("pictures", "pictures/run", "pictures/0/b"):
        for command in ("fit", "choose", "compare"):
            assert "give another" in refused(command, "pictures", "--out", out)
    assert tree(shop) == before
    done("fit", "pictures", "--out", "of pictures", "-k", 1, "--init", "random", *SMALL)
    assert "the images of which it would become part" in refused("sample", "of pictures", "--out", "pictures/d.png")


def test_choose_and_compare_overwrite_nothing_of_others(shop):
    for name, command in {
        "choice.json": "choose",
        "choice.png": "choose",
        "comparison.json": "compare",
        "comparison.md": "compare",
        "comparison.html": "compare",
    }.items():
        folder = shop / f"with {name}"
        folder.mkdir()
        (folder / name).write_text("{}")
        expected = f"holds a {name} that is no result of cpvae and would be overwritten"
        assert expected in refused(command, "t.csv", "--out", folder, "--epochs", 1)
        assert [*tree(folder)] == [name]


@pytest.mark.parametrize("command", ["choose", "compare"])
def test_more_fits_than_anybody_waits_for(command, shop):
    for seeds, numbers in ((10**9, "1,2"), (1000, ",".join(map(str, range(1, 21))))):
        assert "expected" in refused(command, "t.csv", "--out", "new", "--seeds", seeds, "-k", numbers)
    claims_nothing(shop)


def test_a_schema_that_is_no_file(shop):
    os.mkfifo("pipe.json")
    for name in ("pipe.json", "/dev/zero", "run", "none.json"):
        assert f"--schema {name}: " in refused("fit", "t.csv", "--out", "new", "--schema", name, *TINY)
    claims_nothing(shop)


@pytest.mark.usefixtures("undrawn")
def test_links_in_a_run_folder_lead_to_no_file_of_ours(shop):
    """The folder may come from somebody else."""
    (shop / "precious").write_text("mine")
    shutil.copytree("run", "theirs")
    os.symlink(shop / "precious", "theirs/report.html")
    done("report", "theirs")
    assert "<html" in (shop / "theirs" / "report.html").read_text()
    assert not (shop / "theirs" / "report.html").is_symlink()
    assert (shop / "precious").read_text() == "mine"


@pytest.mark.parametrize("elsewhere", ["empty", "nosuch", "t.csv"])
def test_restarts_are_written_into_the_folder_of_the_run_and_nowhere_else(elsewhere, shop):
    (shop / "empty").mkdir()
    shutil.copytree("run", "begun")
    for name in ("new", "begun"):
        (shop / name).mkdir(exist_ok=True)
        os.symlink(shop / elsewhere, shop / name / "restart-0")
    before = tree(shop)
    for name, *options in (("new", "--restarts", 2), ("begun", "--resume")):
        message = refused("fit", "t.csv", "--out", name, *SMALL, *options)
        assert f"{name} holds restart-0, which should be a folder and is a link or a file" in message
    with pytest.raises(InputError, match="holds restart-0"):
        CPVAE(3, **PLAIN).fit(table(), out="begun", resume=True)
    assert tree(shop) == before


def full_at(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Refuse from now on to write a file of that name, as a full disk does."""

    def fail_for(function: Callable[..., Any]) -> Callable[..., Any]:
        def replacement(file: int, *rest: object) -> Any:
            if name in os.path.basename(os.readlink(f"/proc/self/fd/{file}")):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return function(file, *rest)

        return replacement

    monkeypatch.setattr(files.os, "fsync", fail_for(os.fsync))
    monkeypatch.setattr(files.os, "write", fail_for(os.write))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
@pytest.mark.parametrize(
    "name",
    ["config.json", "history.jsonl", "checkpoint.safetensors", "model.safetensors", "metrics.json", "samples.png"],
)
def test_full_disk_during_a_fit(name, shop):
    with pytest.MonkeyPatch.context() as patch:
        full_at(patch, name)
        message = refused("fit", "im.npz", "--out", "new", *TINY)
    assert message.startswith(f"cannot write {Path('new') / name}: No space left on device; choose a path")
    if name in ("config.json", "history.jsonl", "checkpoint.safetensors"):
        claims_nothing(shop)
        done("fit", "im.npz", "--out", "new", *TINY)
    else:  # what was trained is not lost
        done("fit", "im.npz", "--out", "new", "--resume", "--quiet")
    assert tree(shop / "new").keys() == tree(shop / "images").keys()
    np.testing.assert_array_equal(load("new").means_, load("images").means_)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_full_disk_elsewhere(shop, monkeypatch):
    for name in ("old", "report.html", "m.cpvae", "some.txt"):
        full_at(monkeypatch, name)
    (shop / "some.txt").write_text("first\n")
    for message in (
        refused("cluster", "run", "t.csv", "--out", "old.csv"),
        refused("sample", "run", "--out", "old.csv"),
        refused("sample", "run", "--out", "old.npz"),
        refused("sample", "images", "--out", "old.png"),
        refused("report", "run"),
    ):
        assert "No space left on device; choose a path that can be written" in message
    with pytest.raises(InputError, match="No space left"):
        load("run").save("m.cpvae")
    with pytest.raises(InputError, match="No space left"):
        files.append_line("some.txt", "second")
    assert (shop / "some.txt").read_text() == "first\n"
    assert not (shop / "m.cpvae").exists()


# -- runs ------------------------------------------------------------------------------------------------------------


def test_folders_that_are_no_runs(shop):
    (shop / "empty").mkdir()
    for run, expected in {"nosuch": "does not exist", "empty": "is not a run: it has no config.json"}.items():
        message = refused("evaluate", run, "t.csv")
        assert expected in message
        assert refused("cluster", run, "t.csv", "--out", "old.csv") == message
        assert refused("sample", run, "--out", "old.csv") == message
        same(message, lambda run=run: load(run))
        assert expected in refused("report", run)
        assert expected in refused("fit", "t.csv", "--out", run, "--resume")
    for run in ("t.csv", "old.npz", "/dev/null", "x" * 300, "."):
        message = refused("sample", run, "--out", "old.csv")
        same(message, lambda run=run: load(run))
        refused("report", run)
        refused("fit", "t.csv", "--out", run, "--resume")


def test_resume_with_something_else(shop):
    for arguments, expected in {
        ("im.npz",): "holds a run of other rows (features: 3 there, 16 asked)",
        ("t.csv", "-k", 4): "n_components: 3 there, 4 asked",
        ("t.csv", "--epochs", 7): "holds a run that has finished, of 1 epoch, not 7 epochs",
        ("t.csv", "--model", "vae"): "holds a run of another model (cpvae there, vae asked)",
        ("t.csv", "--model", "vea"): "did you mean 'vae'?",
    }.items():
        assert expected in refused("fit", *arguments, "--out", "run", "--resume", "--quiet")


def config_with(**changes: Any) -> Callable[[dict[str, Any]], object]:
    return lambda config: {**config, **changes}


CONFIGS: dict[str, Callable[[dict[str, Any]], object]] = {
    "invalid": lambda config: "{",
    "empty": lambda config: "",
    "deep": lambda config: "[" * 100_000,
    "not text": lambda config: "\udcff",
    "list": lambda config: [config],
    "nothing": lambda config: {},
    "text as version": config_with(format_version="1"),
    "newer": config_with(format_version=999),
    "no version": config_with(format_version=None),
    "true as version": config_with(format_version=True),
    "zero as version": config_with(format_version=0),
    "about": config_with(about=5),
    "source": config_with(about={"source": 5}),
    "reading": config_with(about={"source": "t.csv", "reading": 5}),
    "reading of text": config_with(about={"source": "t.csv", "reading": "x"}),
    "unknown reading": config_with(about={"source": "t.csv", "reading": {"root": "/"}}),
    "warnings": config_with(warnings=5),
    "params": config_with(params=[1]),
    "estimator": config_with(estimator=["CPVAE"]),
    "data": config_with(data=5),
    "status": config_with(status=None),
    "seeds": config_with(seeds=["x"]),
    "no seeds": config_with(seeds=[]),
}


def rewrite(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    changed = change(json.loads(path.read_text()))
    content = changed if isinstance(changed, str) else json.dumps(changed)
    path.write_bytes(content.encode("utf-8", "surrogateescape"))


@pytest.mark.parametrize("case", CONFIGS)
def test_config_that_cannot_be_used(case, shop):
    shutil.copytree("run", "bad")
    rewrite(shop / "bad" / "config.json", CONFIGS[case])
    before = tree(shop / "bad")
    message = refused("evaluate", "bad", "t.csv", "--json")
    assert message.startswith("bad")
    assert ("newer than" in message) == (case == "newer")
    same(message, lambda: load("bad"))
    assert refused("cluster", "bad", "t.csv", "--out", "old.csv") == message
    assert refused("sample", "bad", "--out", "old.csv") == message
    assert refused("report", "bad") == message
    assert refused("fit", "t.csv", "--out", "bad", "--resume") == message
    refused("fit", "t.csv", "--out", "bad", *TINY)
    assert tree(shop / "bad") == before


# -- models ----------------------------------------------------------------------------------------------------------


def parts(content: bytes) -> tuple[dict[str, Any], dict[str, Any], bytes]:
    """Take a safetensors file apart: its header, our header inside it, and the tensors."""
    size = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + size])
    return header, json.loads(header["__metadata__"]["cpvae"]), content[8 + size :]


def joined(header: dict[str, Any], ours: object, tensors: bytes) -> bytes:
    text = ours if isinstance(ours, str) else json.dumps(ours)
    packed = json.dumps({**header, "__metadata__": {"cpvae": text}}).encode()
    return struct.pack("<Q", len(packed)) + packed + tensors


def with_header(change: Callable[[dict[str, Any]], object], signed: bool) -> Callable[[bytes], bytes]:
    """Write the file with another header; `signed` gives it a valid checksum."""

    def make(content: bytes) -> bytes:
        header, ours, tensors = parts(content)
        ours = change(ours) or ours
        if signed and isinstance(ours, dict):
            loaded = checkpoints.safetensors.torch.load(content)
            ours["sha256"] = checkpoints._digest(loaded, ours)
        return joined(header, ours, tensors)

    return make


def put(*keys: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(ours: dict[str, Any]) -> None:
        for key in keys[:-1]:
            ours = ours[key]
        ours[keys[-1]] = value

    return change


HEADERS: dict[str, Callable[[dict[str, Any]], object]] = {
    "newer": put("format_version", value=999),
    "text as version": put("format_version", value="1"),
    "infinite version": lambda ours: json.dumps({**ours, "format_version": float("inf")}),
    "true as version": put("format_version", value=True),
    "not JSON": lambda ours: "{",
    "list": lambda ours: [ours],
    "deep": lambda ours: "[" * 100_000,
    "unknown model": put("estimator", value="HVAE"),
    "another model": put("estimator", value="VAE"),
    "list as model": put("estimator", value=["CPVAE"]),
    "features": put("fitted", "n_features_in", value=5),
    "features as text": put("fitted", "n_features_in", value="q"),
    "gigabytes of features": put("fitted", "n_features_in", value=10**12),
    "infinite features": put("fitted", "n_features_in", value=float("inf")),
    "gigabytes of components": put("params", "n_components", value=10**9),
    "no components": put("params", "n_components", value=0),
    "hidden": put("params", "hidden", value="abc"),
    "gigabytes of hidden": put("params", "hidden", value=[10**9, 10**9]),
    "unknown option": put("params", "q", value=1),
    "options as list": put("params", value=[1]),
    "negative seed": put("params", "random_state", value=-5),
    "fitted as text": put("fitted", value="q"),
    "history": put("fitted", "history", value=5),
    "seed": put("fitted", "seed", value="x"),
    "epoch": put("fitted", "best_epoch", value=None),
    "likelihood": put("fitted", "likelihood", value="poisson"),
    "another likelihood": put("fitted", "likelihood", value="bernoulli"),
    "names": put("fitted", "feature_names_in", value=["a"]),
    "shape": put("fitted", "image_shape", value=[1, 5, 5]),
}
FILES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "cut": lambda content: content[: len(content) // 2],
    "cut in the header": lambda content: content[:20],
    "one bit": lambda content: content[:-5] + bytes([content[-5] ^ 1]) + content[-4:],
    "zip": lambda content: b"PK\x03\x04" + content,
    "pickle": lambda content: pickle.dumps({"state_dict": 1}),
    "huge header": lambda content: struct.pack("<Q", 2**62) + content,
    "no header of ours": lambda content: checkpoints.safetensors.torch.save({"a": torch.zeros(3)}),
    **{name: with_header(change, signed=False) for name, change in HEADERS.items()},
    **{f"{name}, signed": with_header(change, signed=True) for name, change in HEADERS.items()},
}


@pytest.mark.parametrize("case", FILES)
def test_model_that_cannot_be_used(case, shop):
    shutil.copytree("run", "bad")
    path = shop / "bad" / runs.MODEL
    path.write_bytes(FILES[case](path.read_bytes()))
    before = tree(shop / "bad")
    message = refused("evaluate", "bad", "t.csv", "--json")
    assert str(Path("bad") / runs.MODEL) in message
    assert ("newer than" in message) == case.startswith("newer")
    same(message, lambda: load("bad"))
    assert refused("cluster", "bad", "t.csv", "--out", "old.csv") == message
    assert refused("sample", "bad", "--out", "old.csv") == message
    assert refused("report", "bad") == message
    if "signed" not in case:  # a run goes on with the options in its config.json, whatever the model says
        assert refused("fit", "t.csv", "--out", "bad", "--resume", "--quiet") == message
    assert tree(shop / "bad") == before


def test_checkpoint_that_cannot_be_used(shop, monkeypatch):
    def fail(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("cpvae.estimators.learning.keep", fail)
        with pytest.raises(KeyboardInterrupt):
            CPVAE(3, **PLAIN).fit(X, out="stopped")
    path = shop / "stopped" / "checkpoint.safetensors"
    content = path.read_bytes()
    nonsense = with_header(put("progress", value={"epoch": "x"}), signed=True)(content)
    for damaged in (content[:-9], content[:-1] + bytes([content[-1] ^ 1]), nonsense):
        path.write_bytes(damaged)
        before = tree(shop / "stopped")
        with pytest.raises(InputError, match=r"stopped/checkpoint.safetensors"):
            CPVAE(3, **PLAIN).fit(X, out="stopped", resume=True)
        assert tree(shop / "stopped") == before


def mutated(content: bytes, random: np.random.Generator) -> bytes:
    """Copy bytes with a few of them changed, cut out, put in or written twice."""
    data = bytearray(content)
    for _ in range(int(random.integers(1, 4))):
        at, n = int(random.integers(len(data))), int(random.integers(1, 9))
        match int(random.integers(4)):
            case 0:
                data[at] ^= 1 << int(random.integers(8))
            case 1:
                del data[at : at + n]
            case 2:
                data[at:at] = random.bytes(n)
            case _:
                data[at : at + n] = data[at : at + n] * 2
    return bytes(data)


def test_mutated_models(shop):
    content = (shop / "run" / runs.MODEL).read_bytes()
    path = shop / "mutated.safetensors"
    random = np.random.default_rng(0)
    header = 8 + struct.unpack("<Q", content[:8])[0]
    for trial in range(200):
        # every other one with the damage in the header
        changed = mutated(content, random) if trial % 2 else mutated(content[:header], random) + content[header:]
        if changed == content:
            continue
        path.write_bytes(changed)
        with pytest.raises(InputError) as caught:
            load(path)
        assert len(str(caught.value).splitlines()) == 1
        if trial % 20 == 0:
            assert refused("evaluate", path, "t.csv") == " ".join(str(caught.value).split())


def complaint(action: Callable[[], object]) -> str:
    """Return the error's sentence, or an empty one; any other exception fails the test."""
    try:
        action()
    except InputError as error:
        return str(error)
    return ""


def test_mutated_configs(shop):
    shutil.copytree("run", "bad")
    path = shop / "bad" / "config.json"
    content, random = path.read_bytes(), np.random.default_rng(1)
    said = []
    for _ in range(200):
        path.write_bytes(mutated(content, random))
        said.append(complaint(lambda: load("bad").sample(2)))
        said.append(complaint(lambda: CPVAE(3, **PLAIN).fit(table(), out="bad", resume=True)))
        said.append(complaint(lambda: report_run(Path("bad"))) if len(said) % 20 == 0 else "")
    assert sum(map(bool, said)) > 200
    assert all(len(text.splitlines()) <= 1 for text in said)
