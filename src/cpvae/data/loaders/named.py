"""The named sets: from checked files to splits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from cpvae.data.loaders.checks import reading
from cpvae.data.loaders.idx import read_idx
from cpvae.data.loaders.records import Array, Dataset, Split
from cpvae.data.loaders.registry import REGISTRY
from cpvae.data.loaders.store import obtain, read_amat
from cpvae.data.loaders.synthetic import make_synthetic, make_table

Splits = dict[str, Split]

OMNIGLOT_VALID = 1_345
OMNIGLOT_TEST = 8_070
OMNIGLOT_TRAIN = 23_000
REBUILT = (
    "Omniglot resized anew from the original drawings, not the published chardata.mat: likelihoods are NOT "
    "comparable with published ones; random split into train 23,000, valid 1,345, test 8,070 (45 of the "
    "32,460 left out, to have the published sizes); labels are the 50 alphabets"
)


def load_named(name: str, root: Path | None = None) -> Dataset:
    """Load a named set, from `root` or from the network; see `cpvae.datasets.load`."""
    description = REGISTRY[name].description
    if name == "digits":
        return Dataset(name, digits(), None, None, description, kind="images")
    if name == "synthetic":
        return Dataset(name, synthetic(), "gaussian", ("x",), description)
    if name == "table":
        return Dataset(name, *table(), description, kind="table")
    variant, paths = obtain(name, root)
    splits = BUILDERS[variant.name](paths)
    if variant.name == "omniglot-rebuilt":
        return Dataset(variant.name, splits, "bernoulli", None, REBUILT, kind="images")
    return Dataset(name, splits, "bernoulli", None, description, kind="images")


def digits() -> Splits:
    """Load ``(n, 1, 8, 8)`` float32, the share of ink from 0 to 1 in steps of 1/16."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    x = (bunch.images[:, None] / 16).astype(np.float32)
    return permuted(x, bunch.target, {"train": 1257, "valid": 180, "test": 360})


def synthetic() -> Splits:
    """Draw ``(n, 1)`` float64; each split is a draw of its own."""
    sizes = {"train": 50_000, "valid": 10_000, "test": 10_000}
    return {name: Split(*make_synthetic(n, random_state=seed)) for seed, (name, n) in enumerate(sizes.items())}


def table() -> tuple[Splits, str, tuple[str, ...]]:
    """Draw data frames ``(n, 10)``, parts of one draw; give them, their likelihood and their columns."""
    frame, y = make_table(5_000)
    ends = {"train": (0, 3_000), "valid": (3_000, 3_500), "test": (3_500, 5_000)}
    splits = {name: Split(frame.iloc[a:b].reset_index(drop=True), y[a:b]) for name, (a, b) in ends.items()}
    return splits, "columns", tuple(frame.columns)


def mnist(paths: list[Path]) -> Splits:
    """Read ``(n, 1, 28, 28)`` uint8, 0 to 255."""
    x, y, x_test, y_test = (read_idx(path) for path in paths)
    x, x_test = x[:, None], x_test[:, None]
    n = len(x) - 10_000
    return {"train": Split(x[:n], y[:n]), "valid": Split(x[n:], y[n:]), "test": Split(x_test, y_test)}


def mnist_static_npz(paths: list[Path]) -> Splits:
    """Read ``(n, 1, 28, 28)`` bool, True is ink; labels recovered from MNIST, the published files have none."""
    with reading(paths[0], "a .npz file"), np.load(paths[0], allow_pickle=False) as arrays:
        return {
            split: Split(
                np.unpackbits(arrays[f"{split}_packed"], axis=1).astype(bool).reshape(-1, 1, 28, 28),
                arrays[f"{split}_labels"],
            )
            for split in ("train", "valid", "test")
        }


def mnist_static_amat(paths: list[Path]) -> Splits:
    """Read ``(n, 1, 28, 28)`` bool, True is ink; without labels."""
    return {
        split: Split(read_amat(path).astype(bool).reshape(-1, 1, 28, 28), None)
        for split, path in zip(("train", "valid", "test"), paths, strict=True)
    }


def omniglot(paths: list[Path], valid: int = OMNIGLOT_VALID) -> Splits:
    """Read ``(n, 1, 28, 28)`` float32 in [0, 1]; the validation rows are the last of a fixed permutation."""
    from scipy.io import loadmat

    with reading(paths[0], "a MATLAB file"):
        mat = loadmat(paths[0], variable_names=["data", "target", "testdata", "testtarget"])
        x, y = _upright(mat["data"]), mat["target"].argmax(axis=0)
        test = Split(_upright(mat["testdata"]), mat["testtarget"].argmax(axis=0))
        return {**permuted(x, y, {"train": len(x) - valid, "valid": valid}), "test": test}


def _upright(columns: Array) -> Array:
    """Turn images ``(784, n)``, column by column, into ``(n, 1, 28, 28)``, row by row."""
    return np.ascontiguousarray(columns.T.reshape(-1, 1, 28, 28).transpose(0, 1, 3, 2), dtype=np.float32)


def omniglot_rebuilt(paths: list[Path]) -> Splits:
    """Read ``(n, 1, 28, 28)`` uint8, 0 to 255."""
    with reading(paths[0], "a .npz file"), np.load(paths[0], allow_pickle=False) as arrays:
        sizes = {"test": OMNIGLOT_TEST, "valid": OMNIGLOT_VALID, "train": OMNIGLOT_TRAIN}
        splits = permuted(arrays["images"][:, None], arrays["alphabet"], sizes)
        return {split: splits[split] for split in ("train", "valid", "test")}


def permuted(x: Array, y: Array, sizes: dict[str, int]) -> Splits:
    """Cut a permutation with seed 0 into consecutive parts. Labels play no role in it."""
    order = np.random.default_rng(0).permutation(len(x))
    parts = np.split(order, np.cumsum(list(sizes.values())))
    return {name: Split(x[rows], y[rows]) for name, rows in zip(sizes, parts[: len(sizes)], strict=True)}


BUILDERS: dict[str, Callable[[list[Path]], Splits]] = {
    "mnist": mnist,
    "mnist-static-npz": mnist_static_npz,
    "mnist-static-amat": mnist_static_amat,
    "omniglot": omniglot,
    "omniglot-rebuilt": omniglot_rebuilt,
}
