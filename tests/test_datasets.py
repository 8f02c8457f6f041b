"""Named sets: their rows, their sources, and the errors when they cannot be fetched."""

from __future__ import annotations

import gzip
import hashlib
import os
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from cpvae.data import loaders
from cpvae.data.loaders import named, store
from cpvae.data.loaders.registry import REGISTRY, File, Variant
from cpvae.errors import InputError


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


def digest(array: np.ndarray) -> str:
    return md5(np.ascontiguousarray(array).tobytes())


@pytest.fixture
def data() -> Path:
    """Find the folder with the real files."""
    folder = os.environ.get("CPVAE_DATA", "")
    if not folder or not Path(folder, "mnist").is_dir():
        pytest.skip("NOT TESTED: set CPVAE_DATA to a folder that holds mnist, mnist_static and omniglot")
    return Path(folder)


def test_import_is_light():
    code = (
        "import sys, cpvae; before = set(sys.modules); import cpvae.datasets; "
        "new = {name.split('.')[0] for name in set(sys.modules) - before}; "
        "print(sorted(new & {'torch', 'pandas', 'scipy', 'sklearn', 'pooch', 'PIL', 'pyarrow'}))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


# ---------------------------------------------------------------- synthetic


def test_synthetic_moments():
    x, y = loaders.make_synthetic(200_000)
    assert x.shape == (200_000, 1)
    assert x.dtype == np.float64
    assert y.mean() == pytest.approx(0.5, abs=4 * 0.5 / 200_000**0.5)
    for k, loc in enumerate((0.3, 0.7)):
        rows = x[y == k, 0]
        # four standard errors; 0.05 is a standard deviation, not a variance
        assert rows.mean() == pytest.approx(loc, abs=4 * 0.05 / len(rows) ** 0.5)
        assert rows.std() == pytest.approx(0.05, abs=4 * 0.05 / (2 * len(rows)) ** 0.5)


@pytest.mark.parametrize("scale", [0.1, [0.1, 0.2, 0.3], [[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]]])
def test_synthetic_scale_per_component_and_feature(scale):
    loc = np.array([[0.0, 10.0], [20.0, -5.0], [7.0, 7.0]])
    weights = [0.2, 0.3, 0.5]
    x, y = loaders.make_synthetic(60_000, loc, scale, weights, random_state=3)
    expected = np.asarray(scale, float)
    expected = np.broadcast_to(expected[:, None] if expected.ndim == 1 else expected, (3, 2))
    np.testing.assert_allclose(np.bincount(y) / len(y), weights, atol=0.01)
    for k in range(3):
        np.testing.assert_allclose(x[y == k].mean(axis=0), loc[k], atol=0.03)
        np.testing.assert_allclose(x[y == k].std(axis=0), expected[k], rtol=0.04)


def test_synthetic_seed():
    one, same, other = (loaders.make_synthetic(10, random_state=seed)[0] for seed in (1, 1, 2))
    assert (one == same).all()
    assert (one != other).all()
    drawn, _ = loaders.make_synthetic(10, random_state=np.random.default_rng(1))
    assert (drawn == one).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_samples": 0}, "n_samples=0; expected 1 or more"),
        ({"scale": -1}, "scale=-1; expected positive standard deviations"),
        ({"scale": [1, 2, 3]}, r"scale of shape \(3,\) with 2 components"),
        ({"weights": [0.5, 0.6]}, "expected 2 probabilities that sum to 1"),
        ({"weights": [1.0]}, "expected 2 probabilities that sum to 1"),
        ({"loc": np.zeros((2, 2, 2))}, r"loc of shape \(2, 2, 2\)"),
        ({"loc": ["a", "b"]}, "expected an array of numbers"),
        ({"loc": [0, np.nan]}, "expected finite numbers"),
    ],
)
def test_synthetic_refuses(arguments, message):
    with pytest.raises(InputError, match=message):
        loaders.make_synthetic(**arguments)


def test_synthetic_set():
    loaded = loaders.load("synthetic")
    assert loaded.likelihood == "gaussian"
    assert {name: split.x.shape for name, split in loaded.splits.items()} == {
        "train": (50_000, 1),
        "valid": (10_000, 1),
        "test": (10_000, 1),
    }
    valid, test = loaded.splits["valid"].x, loaded.splits["test"].x
    assert not np.isin(valid, test).any()
    assert not np.isin(valid, loaded.splits["train"].x).any()


# ------------------------------------------------------------------- digits


def test_digits():
    from sklearn.datasets import load_digits

    loaded = loaders.load("digits")
    assert (loaded.name, loaded.likelihood, loaded.feature_names) == ("digits", None, None)
    assert {name: len(split.x) for name, split in loaded.splits.items()} == {
        "train": 1257,
        "valid": 180,
        "test": 360,
    }
    x = np.concatenate([split.x for split in loaded.splits.values()])
    y = np.concatenate([split.y for split in loaded.splits.values()])
    assert x.shape == (1797, 1, 8, 8)
    assert x.dtype == np.float32
    assert x.min() == 0
    assert x.max() == 1
    # every row once, with its label
    found = sorted((row.tobytes(), int(label)) for row, label in zip(x, y, strict=True))
    images, target = load_digits(return_X_y=True)
    assert found == sorted(
        (row.tobytes(), int(label)) for row, label in zip((images / 16).astype(np.float32), target, strict=True)
    )


def test_fixed_permutation_is_pinned():
    """NumPy does not promise the stream of its Generator for ever; the splits must not move unnoticed."""
    rows = np.arange(1797)
    assert named.permuted(rows, rows, {"train": 5})["train"].x.tolist() == PERMUTATION


PERMUTATION = [360, 1773, 1482, 600, 850]


# --------------------------------------------------------- names and labels


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("minst", "minst: no such file or folder; did you mean 'mnist'?"),
        ("MNIST", "did you mean 'mnist'?"),
        ("", "an empty string as data; expected a path or one of digits, synthetic, table"),
    ],
)
def test_misspelt_name(source, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as caught:
        loaders.load(source)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_labels_of_a_named_set():
    with pytest.raises(InputError, match="brings its own labels; leave labels out"):
        loaders.load("digits", labels="y.npy")


@pytest.mark.parametrize("function", [loaders.fetch, loaders.verify])
def test_unknown_name(function, tmp_path):
    with pytest.raises(InputError, match="no data set called 'omniglott'; did you mean 'omniglot'"):
        function("omniglott", tmp_path)


def test_data_root(monkeypatch, tmp_path):
    import pooch

    monkeypatch.setenv("CPVAE_DATA", str(tmp_path))
    assert loaders.data_root() == tmp_path
    monkeypatch.setenv("CPVAE_DATA", "")
    assert loaders.data_root() == Path(pooch.os_cache("cpvae"))


# ------------------------------------------------- a small MNIST and its mirrors


def idx_bytes(array: np.ndarray) -> bytes:
    return struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


class Served:
    """A folder served on this machine; `requests` are the paths that were asked for."""

    def __init__(self, url: str, folder: Path, requests: list[str]) -> None:
        self.url, self.folder, self.requests = url, folder, requests


class Handler(SimpleHTTPRequestHandler):
    requests: list[str]

    def do_GET(self) -> None:
        self.requests.append(self.path)
        super().do_GET()

    def log_message(self, *arguments: object) -> None:
        pass


@contextmanager
def serve(folder: Path) -> Iterator[Served]:
    folder.mkdir(exist_ok=True)
    requests: list[str] = []
    handler = type("Recording", (Handler,), {"requests": requests})
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield Served(f"http://127.0.0.1:{server.server_port}", folder, requests)
        server.shutdown()
        thread.join()


@pytest.fixture
def served(tmp_path) -> Iterator[Served]:
    with serve(tmp_path / "served") as running:
        yield running


@pytest.fixture
def small_mnist(served, monkeypatch) -> dict[str, bytes]:
    """Replace REGISTRY["mnist"] by tiny files: first an empty mirror, then one that serves them."""
    rng = np.random.default_rng(0)
    arrays = {
        "train-images-idx3-ubyte.gz": rng.integers(0, 256, (10_003, 2, 2), np.uint8),
        "train-labels-idx1-ubyte.gz": np.arange(10_003).astype(np.uint8),
        "t10k-images-idx3-ubyte.gz": rng.integers(0, 256, (5, 2, 2), np.uint8),
        "t10k-labels-idx1-ubyte.gz": np.arange(5).astype(np.uint8),
    }
    files, contents = [], {}
    for name, array in arrays.items():
        raw = idx_bytes(array)
        contents[name] = gzip.compress(raw)
        (served.folder / name).write_bytes(contents[name])
        urls = (f"{served.url}/nothing/{name}", f"{served.url}/{name}")
        files.append(File(name, md5(contents[name]), md5(raw), urls=urls))
    monkeypatch.setitem(REGISTRY, "mnist", replace(REGISTRY["mnist"], variants=(Variant("mnist", tuple(files)),)))
    return contents


def test_second_mirror_is_used(small_mnist, served, tmp_path):
    lines: list[str] = []
    root = tmp_path / "root"
    paths = loaders.fetch("mnist", root, lines.append)
    assert [path.name for path in paths] == list(small_mnist)
    assert [path.read_bytes() for path in paths] == list(small_mnist.values())
    first, second = lines[:2]
    assert first == f"downloading {served.url}/nothing/train-images-idx3-ubyte.gz"
    assert second == f"downloading {served.url}/train-images-idx3-ubyte.gz"
    assert all(file.ok for file in loaders.verify("mnist", root))
    served.requests.clear()
    loaders.fetch("mnist", root)
    assert served.requests == []


def test_load_fetches_and_splits(small_mnist, tmp_path):
    loaded = loaders.load("mnist", root=tmp_path / "root")
    sizes = {name: split.x.shape for name, split in loaded.splits.items()}
    assert sizes == {"train": (3, 1, 2, 2), "valid": (10_000, 1, 2, 2), "test": (5, 1, 2, 2)}
    assert loaded.splits["train"].y.tolist() == [0, 1, 2]
    assert loaded.splits["valid"].y[0] == 3
    raw = gzip.decompress(small_mnist["train-images-idx3-ubyte.gz"])[16:]
    assert np.concatenate([loaded.splits["train"].x, loaded.splits["valid"].x]).tobytes() == raw


def test_wrong_download_leaves_nothing(small_mnist, served, tmp_path):
    (served.folder / "train-images-idx3-ubyte.gz").write_bytes(b"changed on the way")
    root = tmp_path / "root"
    with pytest.raises(InputError) as caught:
        loaders.load("mnist", root=root)
    message = str(caught.value)
    assert "train-images-idx3-ubyte.gz could not be downloaded from" in message
    assert f"{served.url}/nothing/" in message
    assert "set CPVAE_DATA to a folder that holds mnist/train-images-idx3-ubyte.gz" in message
    assert "\n" not in message
    assert [path for path in root.rglob("*") if path.is_file()] == []


def test_no_network(small_mnist, monkeypatch, tmp_path):
    entry = REGISTRY["mnist"]
    dead = tuple(replace(file, urls=("http://127.0.0.1:9/x",)) for file in entry.variants[0].files)
    monkeypatch.setitem(REGISTRY, "mnist", replace(entry, variants=(Variant("mnist", dead),)))
    with pytest.raises(InputError, match=r"could not be downloaded from http://127.0.0.1:9/x") as caught:
        loaders.load("mnist", root=tmp_path)
    assert "\n" not in str(caught.value)


def test_folder_that_cannot_be_written(small_mnist, tmp_path):
    (tmp_path / "root").write_text("a file where the folder should be")
    with pytest.raises(InputError, match="cannot be written, and files of mnist are absent there"):
        loaders.load("mnist", root=tmp_path / "root")


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {str(p): (p.stat().st_mtime_ns, p.read_bytes()) for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("unpacked", [False, True])
def test_ready_folder_is_used_and_not_written(unpacked, small_mnist, served, tmp_path):
    folder = tmp_path / "root" / "mnist"
    folder.mkdir(parents=True)
    for name, content in small_mnist.items():
        if unpacked:
            (folder / name.removesuffix(".gz")).write_bytes(gzip.decompress(content))
        else:
            (folder / name).write_bytes(content)
    before, folder_time = snapshot(folder), folder.stat().st_mtime_ns
    loaded = loaders.load("mnist", root=tmp_path / "root")
    loaders.fetch("mnist", tmp_path / "root")
    assert len(loaded.splits["test"].x) == 5
    assert all(file.ok for file in loaders.verify("mnist", tmp_path / "root"))
    assert served.requests == []
    assert snapshot(folder) == before
    assert folder.stat().st_mtime_ns == folder_time


def test_only_what_is_absent_is_fetched(small_mnist, served, tmp_path):
    loaders.fetch("mnist", tmp_path)
    (tmp_path / "mnist" / "t10k-labels-idx1-ubyte.gz").unlink()
    served.requests.clear()
    loaders.load("mnist", root=tmp_path)
    assert set(served.requests) == {"/nothing/t10k-labels-idx1-ubyte.gz", "/t10k-labels-idx1-ubyte.gz"}


def test_damaged_file(small_mnist, served, tmp_path):
    loaders.fetch("mnist", tmp_path)
    path = tmp_path / "mnist" / "t10k-labels-idx1-ubyte.gz"
    path.write_bytes(b"something else")
    served.requests.clear()
    expected = md5(small_mnist[path.name])
    for function in (loaders.fetch, lambda name, root: loaders.load(name, root=root)):
        with pytest.raises(InputError) as caught:
            function("mnist", tmp_path)
        assert str(caught.value) == (
            f"{path}: md5 {md5(b'something else')}, expected {expected}; delete the file and run cpvae data fetch mnist"
        )
    assert path.read_bytes() == b"something else"  # a user's file is never replaced
    assert served.requests == []
    assert [file.ok for file in loaders.verify("mnist", tmp_path)] == [True, True, True, False]


def test_status_and_verify_of_an_empty_folder(tmp_path):
    found = {entry.name: entry for entry in loaders.status(tmp_path)}
    assert tuple(found) == loaders.NAMES == ("digits", "synthetic", "table", "mnist", "mnist-static", "omniglot")
    assert [entry.present for entry in found.values()] == [True, True, True, False, False, False]
    assert found["digits"].path is None
    assert found["mnist"].path == tmp_path / "mnist"
    absent = loaders.verify("mnist", tmp_path)
    assert [(file.present, file.ok) for file in absent] == [(False, None)] * 4
    assert loaders.verify("digits") == loaders.fetch("digits") == []
    assert list(tmp_path.iterdir()) == []


# -------------------------------------------------- static MNIST and Omniglot


def amat(pixels: np.ndarray) -> bytes:
    return b"".join(b" ".join(b"%d" % value for value in row) + b"\n" for row in pixels)


def test_amat_is_parsed(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 2, (7, 784), np.uint8)
    path = tmp_path / "a.amat"
    path.write_bytes(amat(pixels).replace(b"\n", b"\r\n"))
    np.testing.assert_array_equal(store.read_amat(path), pixels)


def test_static_mnist_from_amat(served, tmp_path, monkeypatch):
    pixels = {s: np.random.default_rng(k).integers(0, 2, (4, 784), np.uint8) for k, s in enumerate("abc")}
    files = []
    for name, array in zip(("train", "valid", "test"), pixels.values(), strict=True):
        (served.folder / f"{name}.amat").write_bytes(amat(array))
        wrong = served.folder / "wrong" / f"{name}.amat"
        wrong.parent.mkdir(exist_ok=True)
        wrong.write_bytes(amat(1 - array))
        urls = (f"{served.url}/wrong/{name}.amat", f"{served.url}/{name}.amat")
        files.append(File(f"{name}.amat", array_md5=digest(array), urls=urls))
    entry = REGISTRY["mnist-static"]
    variants = (entry.variants[0], Variant("mnist-static-amat", tuple(files)))
    monkeypatch.setitem(REGISTRY, "mnist-static", replace(entry, variants=variants))

    loaded = loaders.load("mnist-static", root=tmp_path / "root")
    assert served.requests[:2] == ["/wrong/train.amat", "/train.amat"]
    train = loaded.splits["train"]
    assert train.x.dtype == bool
    assert train.y is None
    np.testing.assert_array_equal(train.x.reshape(4, 784), pixels["a"].astype(bool))
    (tmp_path / "root" / "mnist_static" / "test.amat").write_bytes(b"0 1 0")
    assert [file.ok for file in loaders.verify("mnist-static", tmp_path / "root")] == [True, True, False]

    for name in ("train", "valid", "test"):
        (served.folder / f"{name}.amat").write_bytes(b"<html>not found</html>")
    with pytest.raises(InputError, match=r"train\.amat could not be downloaded"):
        loaders.load("mnist-static", root=tmp_path / "other")
    assert [path for path in (tmp_path / "other").rglob("*") if path.is_file()] == []


def test_chardata_is_stored_by_columns(tmp_path):
    from scipy.io import savemat

    images = np.random.default_rng(0).random((6, 28, 28))
    alphabets = np.array([3, 0, 49, 3, 7, 1])
    columns = np.stack([image.flatten(order="F") for image in images], axis=1)
    one_hot = np.eye(50)[alphabets].T
    path = tmp_path / "chardata.mat"
    both = {"data": columns, "target": one_hot, "testdata": columns[:, :2], "testtarget": one_hot[:, :2]}
    savemat(path, both)
    splits = named.omniglot([path], valid=2)
    np.testing.assert_array_equal(splits["test"].x, images[:2, None].astype(np.float32))
    assert splits["test"].y.tolist() == [3, 0]
    assert {name: len(split.x) for name, split in splits.items()} == {"train": 4, "valid": 2, "test": 2}
    for split in splits.values():
        for image, label in zip(split.x, split.y, strict=True):
            (row,) = np.flatnonzero((images.astype(np.float32) == image).all(axis=(1, 2)))
            assert alphabets[row] == label


def test_published_omniglot_comes_before_the_rebuilt(tmp_path, monkeypatch):
    """The rebuilt file is used where there is nothing else; `fetch` asks for the published one."""
    from scipy.io import savemat

    folder = tmp_path / "omniglot"
    folder.mkdir()
    np.savez(
        folder / "omniglot_28x28_gray.npz",
        images=np.arange(32_460, dtype=np.uint16).view(np.uint8).reshape(-1, 2, 1)[:32_460],
        alphabet=np.zeros(32_460, np.uint8),
    )
    gray = File("omniglot_28x28_gray.npz", md5((folder / "omniglot_28x28_gray.npz").read_bytes()))
    entry = REGISTRY["omniglot"]
    original = File("chardata.mat", md5(b"x"), urls=("http://127.0.0.1:9/chardata.mat",))
    variants = (Variant("omniglot", (original,)), Variant("omniglot-rebuilt", (gray,)))
    monkeypatch.setitem(REGISTRY, "omniglot", replace(entry, variants=variants))

    loaded = loaders.load("omniglot", root=tmp_path)
    assert loaded.name == "omniglot-rebuilt"
    assert "NOT comparable" in loaded.description
    sizes = {name: len(split.x) for name, split in loaded.splits.items()}
    assert sizes == {"train": 23_000, "valid": 1_345, "test": 8_070}
    rows = np.concatenate([split.x.reshape(-1, 2) for split in loaded.splits.values()])
    assert len(np.unique(rows, axis=0)) == 32_415  # no row in two splits
    assert next(entry.present for entry in loaders.status(tmp_path) if entry.name == "omniglot")
    with pytest.raises(InputError, match=r"chardata\.mat could not be downloaded"):
        loaders.fetch("omniglot", tmp_path)

    columns, one_hot = np.zeros((784, 1_400)), np.eye(50)[np.zeros(1_400, int)].T
    path = folder / "chardata.mat"
    savemat(path, {"data": columns, "target": one_hot, "testdata": columns, "testtarget": one_hot})
    there = replace(original, md5=md5(path.read_bytes()))
    monkeypatch.setitem(REGISTRY, "omniglot", replace(entry, variants=(Variant("omniglot", (there,)), variants[1])))
    assert loaders.load("omniglot", root=tmp_path).name == "omniglot"


# ---------------------------------------------------------- the real files


@pytest.mark.data
def test_mnist(data):
    loaded = loaders.load("mnist", root=data)
    assert (loaded.name, loaded.likelihood) == ("mnist", "bernoulli")
    sizes = {name: split.x.shape for name, split in loaded.splits.items()}
    assert sizes == {"train": (50_000, 1, 28, 28), "valid": (10_000, 1, 28, 28), "test": (10_000, 1, 28, 28)}
    assert all(split.x.dtype == np.uint8 for split in loaded.splits.values())
    # the uncompressed files again, from the arrays: order and values of every byte
    x = np.concatenate([loaded.splits["train"].x, loaded.splits["valid"].x])[:, 0]
    y = np.concatenate([loaded.splits["train"].y, loaded.splits["valid"].y])
    found = [md5(idx_bytes(array)) for array in (x, y, loaded.splits["test"].x[:, 0], loaded.splits["test"].y)]
    assert found == [file.unpacked_md5 for file in REGISTRY["mnist"].variants[0].files]
    assert all(file.ok for file in loaders.verify("mnist", data))


@pytest.mark.data
def test_static_mnist(data):
    loaded = loaders.load("mnist-static", root=data)
    found = {name: digest(split.x.astype(np.uint8)) for name, split in loaded.splits.items()}
    assert found == {
        "train": "8d4f0427d6c2572b5e9994e08bad66de",
        "valid": "3e33becd40c694040e5e6c812e2f4b50",
        "test": "fc34623e13bd64fed2f8b61365198339",
    }
    assert loaded.splits["train"].x.shape == (50_000, 1, 28, 28)
    assert loaded.splits["train"].x.dtype == bool
    # sorted by class in the published order
    assert (np.diff(loaded.splits["test"].y.astype(int)) >= 0).all()


@pytest.mark.data
def test_omniglot(data):
    loaded = loaders.load("omniglot", root=data)
    sizes = {name: split.x.shape for name, split in loaded.splits.items()}
    assert sizes == {"train": (23_000, 1, 28, 28), "valid": (1_345, 1, 28, 28), "test": (8_070, 1, 28, 28)}
    assert all(set(np.unique(split.y)) == set(range(50)) for split in loaded.splits.values())
    if not (data / "omniglot" / "chardata.mat").exists():
        assert loaded.name == "omniglot-rebuilt"
