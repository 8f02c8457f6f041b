"""A judge of generated rows: a small classifier trained on labelled rows.

Generative models here never see a label, and the judge never sees a generated row while it learns: it says which class
a generated row looks like (`Judge.predict`) and where it lies beside real rows (`Judge.features`). What is made of
that is in `cpvae.study.quality`.

Images, ``(n, channels, height, width)`` of any size from 8x8 up, go through a convolutional network that halves them
until a side is below 8 pixels; tables and vectors, ``(n, features)``, through two hidden layers after their columns
are standardised. Both end in `N_FEATURES` activations, the features.

Grey levels. Where values are probabilities of ink (`cpvae.probability.likelihoods.choice.choose`), generative models
are trained on pixels drawn from them, and what they generate is either a mean, which is grey, or a draw, which is
black and white. A judge that knew only one of the two would hold the other's texture against it. So each training row
is shown grey or as a fresh Bernoulli draw of its pixels, with equal chance.

Training is AdamW (Loshchilov and Hutter, 2019) with batch normalisation (Ioffe and Szegedy, 2015) on a one-cycle
schedule (Smith and Topin, 2019). The loop here is its own: that of `cpvae.fitting.loop` is for variational bounds.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torch.nn import functional as F

from cpvae import arguments
from cpvae.checkpoints import described, load_tensors, save_tensors
from cpvae.data.loaders import Dataset
from cpvae.data.rows import Rows
from cpvae.errors import InputError
from cpvae.nn.draws import seeded
from cpvae.probability import likelihoods

N_FEATURES = 64
WIDTHS = (16, 32)  # channels after the first halving and after the others
SIDE = 4  # of the map that reaches the features, whatever the size of the image
BATCH, RATE, DECAY = 128, 0.01, 0.01
EPOCHS = 4
STEPS = (300, 1500)  # least and most; 1,500 are four epochs of MNIST
RECIPE = 1  # part of the name of a cached judge: raise it when training or the network changes


class Judge:
    """A trained classifier that judges rows; made by `Judge.fit` or `Judge.load`.

    Attributes:
        classes_: the labels it knows, sorted, ``(n_classes,)``, in the dtype they were given.
        shape: of a row, ``(features,)`` or ``(channels, height, width)``.
        full: the value that means ink with certainty; None where values are no probabilities of ink.

    Examples:
        >>> random = np.random.RandomState(0)
        >>> x = np.concatenate([random.normal(-3, 1, (100, 2)), random.normal(3, 1, (100, 2))])
        >>> y = np.repeat(["low", "high"], 100)
        >>> judge = Judge.fit(x, y, seed=0)
        >>> judge.predict(np.array([[-3.0, -3.0], [3.0, 3.0]])).tolist()
        ['low', 'high']
        >>> judge.features(x).shape, judge.predict_proba(x).shape, judge.accuracy(x, y)
        ((200, 64), (200, 2), 1.0)
    """

    def __init__(self, network: _Network, classes: np.ndarray, full: float | None):
        self.network = network.eval()
        self.classes_ = classes
        self.shape = network.shape
        self.full = full

    @classmethod
    def fit(cls, x: np.ndarray, y: np.ndarray, seed: int = 0) -> Judge:
        """Learn to tell classes apart, from 300 to 1,500 steps of 128 rows; on the CPU.

        Args:
            x: ``(n, features)`` or ``(n, channels, height, width)``, numbers in the units of the data.
            y: ``(n,)``, integers, floats or strings.
            seed: fixes everything; the same bits on the same machine.

        Raises:
            InputError: rows that are no finite numbers or of another shape; labels that are missing, do not fit the
                rows, or name fewer than two classes.
        """
        arguments.seed("seed", seed)
        x, y = np.asanyarray(x), np.asarray(y)
        if x.ndim not in (2, 4) or not x.size:
            raise InputError(
                f"rows of shape {x.shape}: expected (n, features) or (n, channels, height, width), and at least one "
                "row; reshape them"
            )
        rows = _checked(x)
        classes, targets = _classes(y, len(x))
        is_image = x.ndim == 4
        ink = likelihoods.choose(x, is_image) == "bernoulli" and x.dtype != np.bool_
        full = (255.0 if is_image and x.dtype == np.uint8 else 1.0) if ink else None
        with seeded(seed):
            network = _Network(x.shape[1:], len(classes))
            network.set_units(rows)
            _train(network, rows, torch.from_numpy(targets), full)
        return cls(network, classes, full)

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """Probabilities of the classes, in the order of `classes_`: ``(n, n_classes)``, float64.

        Raises:
            InputError: rows of another shape than the judge's, or no finite numbers; so for all methods.
        """
        with torch.no_grad():
            parts = [self.network.head(self.network(part)).double().softmax(-1) for part in self._parts(x)]
        return torch.cat(parts).numpy()

    def predict(self, x: np.ndarray) -> np.ndarray:
        """The likeliest class of each row, ``(n,)``, in the dtype of the labels."""
        return self.classes_[self.predict_proba(x).argmax(1)]

    def features(self, x: np.ndarray) -> np.ndarray:
        """Activations before the last layer, ``(n, 64)``, float64, at least 0: where distances between rows are taken.

        As with the Inception network of Heusel et al. (2017), but learned on the data in question.
        """
        with torch.no_grad():
            return torch.cat([self.network(part).double() for part in self._parts(x)]).numpy()

    def accuracy(self, x: np.ndarray, y: np.ndarray) -> float:
        """Share of rows whose class is the judge's.

        Raises:
            InputError: not one label a row.
        """
        _check_length(np.asarray(y), len(x))
        return float(np.mean(self.predict(x) == np.asarray(y)))

    def draw(self, x: np.ndarray, seed: int = 0) -> np.ndarray:
        """Black-and-white rows: pixels drawn from grey levels, in the shape, dtype and units of `x`.

        Rows whose values are no probabilities of ink come back as they are.
        """
        if self.full is None:
            return x
        drawn = np.random.RandomState(seed).random_sample(x.shape) * self.full < x
        return (drawn * self.full).astype(x.dtype)

    def save(self, path: str | Path) -> None:
        """Write one safetensors file; no pickle, no rows.

        Raises:
            InputError: the path cannot be written.
        """
        kind = self.classes_.dtype.str
        about = {"shape": self.shape, "classes": self.classes_.tolist(), "dtype": kind, "full": self.full}
        save_tensors(path, self.network.state_dict(), {"judge": about})

    @classmethod
    def load(cls, path: str | Path) -> Judge:
        """Read what `save` wrote.

        Raises:
            InputError: missing, damaged, or no judge.
        """
        tensors, meta = load_tensors(path)
        if "judge" not in meta:
            raise InputError(f"{path} holds no judge; give a file that Judge.save wrote")
        with described(path):
            about = meta["judge"]
            classes = np.array(about["classes"], dtype=about["dtype"])
            with torch.device("meta"):  # shapes first: a header cannot make this machine run out of memory
                network = _Network(tuple(about["shape"]), len(classes))
            network.load_state_dict(tensors, assign=True)
            return cls(network, classes, about["full"])

    def _parts(self, x: np.ndarray) -> Iterator[Tensor]:
        if x.shape[1:] != self.shape:
            raise InputError(f"rows of shape {x.shape[1:]}: the judge was trained on {self.shape}; give such rows")
        return _checked(x).chunks()


def judge_for(data: Dataset, cache: Path | None = None, seed: int = 0) -> Judge:
    """The judge of a data set: trained on its training split, or on all rows where there are no splits.

    Args:
        cache: a folder; the judge is kept there under a digest of rows, labels and seed, and read where it lies
            already. A file there that cannot be read is made anew.

    Raises:
        InputError: data without labels; whatever `Judge.fit` refuses; a folder that cannot be written.
    """
    split = data.splits["train"] if "train" in data.splits else next(iter(data.splits.values()))
    if split.y is None:
        raise InputError(f"{data.name} has no labels: a judge learns from labelled rows; name the labels when loading")
    if not isinstance(split.x, np.ndarray):
        raise InputError(
            f"{data.name} has text or missing cells: a judge needs numbers in all of them; encode and fill"
        )
    if cache is None:
        return Judge.fit(split.x, split.y, seed)
    arguments.seed("seed", seed)
    digest = hashlib.sha256(json.dumps([RECIPE, int(seed)]).encode())
    for array in (split.x, split.y):
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        for start in range(0, len(array), 10_000):
            part = array[start : start + 10_000]
            digest.update(repr(part.tolist()).encode() if part.dtype.hasobject else part.tobytes())
    path = Path(cache) / f"judge-{digest.hexdigest()[:16]}.safetensors"
    if path.is_file():
        with suppress(InputError):
            return Judge.load(path)
    judge = Judge.fit(split.x, split.y, seed)
    judge.save(path)
    return judge


class _Network(nn.Module):
    """Rows in the units of the data, ``(B, F)``, to features ``(B, 64)``; `head` takes these to logits of the classes.

    Args:
        shape: of a row.
        n_classes: how many logits.
    """

    def __init__(self, shape: Sequence[int], n_classes: int):
        super().__init__()
        self.shape = tuple(int(size) for size in shape)
        self.is_image = len(self.shape) == 3
        n_units = 1 if self.is_image else self.shape[0]  # an image has one scale, a table one for each column
        self.register_buffer("loc", torch.zeros(n_units, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(n_units, dtype=torch.float64))
        self.loc: Tensor
        self.scale: Tensor
        self.body = nn.Sequential(*(self._image_layers() if self.is_image else self._table_layers()))
        self.head = nn.Linear(N_FEATURES, n_classes)

    def _image_layers(self) -> Iterator[nn.Module]:
        channels, height, width = self.shape
        yield nn.Unflatten(1, self.shape)
        side, out = min(height, width), WIDTHS[0]
        while side >= 2 * SIDE:
            yield from (nn.Conv2d(channels, out, 3, padding=1), nn.MaxPool2d(2), nn.BatchNorm2d(out), nn.ReLU())
            channels, out, side = out, WIDTHS[1], side // 2
        yield from (nn.Conv2d(channels, WIDTHS[1], 3, padding=1), nn.BatchNorm2d(WIDTHS[1]), nn.ReLU())
        yield from (nn.AdaptiveAvgPool2d(SIDE), nn.Flatten())
        yield from (nn.Linear(WIDTHS[1] * SIDE**2, N_FEATURES), nn.ReLU())

    def _table_layers(self) -> Iterator[nn.Module]:
        for a, b in ((self.shape[0], 2 * N_FEATURES), (2 * N_FEATURES, N_FEATURES)):
            yield from (nn.Linear(a, b), nn.BatchNorm1d(b), nn.ReLU())

    def set_units(self, rows: Rows) -> None:
        """Means and standard deviations of the training rows; those of a constant column are its value and 1."""
        scaler = StandardScaler()
        for x in rows.chunks():
            scaler.partial_fit(x.double().reshape(-1, len(self.loc)).numpy())
        self.loc.copy_(torch.from_numpy(scaler.mean_))
        self.scale.copy_(torch.from_numpy(scaler.scale_))

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.body(((x.double() - self.loc) / self.scale).float())
        return features


def _train(network: _Network, rows: Rows, targets: Tensor, full: float | None) -> None:
    """Cross-entropy, a fixed number of steps; rows in the order of one random permutation after another."""
    n = len(rows)
    steps = int(np.clip(EPOCHS * n // BATCH, *STEPS))
    order = torch.cat([torch.randperm(n) for _ in range(math.ceil(steps * BATCH / n))])[: steps * BATCH]
    optimiser = torch.optim.AdamW(network.parameters(), RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    network.train()
    for i in order.split(BATCH):
        x = rows.take(i)
        if full is not None:
            x = x.float()
            drawn = torch.bernoulli((x / full).clamp(0, 1)) * full
            x = torch.where(torch.rand(len(x), 1) < 0.5, drawn, x)
        loss = F.cross_entropy(network.head(network(x)), targets[i])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()


def _checked(x: np.ndarray) -> Rows:
    """Rows of finite numbers."""
    if x.dtype.kind not in "biuf":
        raise InputError(f"rows of dtype {x.dtype}: expected numbers; convert or drop the other columns")
    rows = Rows(x)
    if x.dtype.kind == "f" and not all(bool(part.isfinite().all()) for part in rows.chunks()):
        raise InputError("rows hold NaN or infinity: expected finite numbers; fill or drop such rows")
    return rows


def _check_length(y: np.ndarray, n: int) -> None:
    if y.shape != (n,):
        raise InputError(f"labels of shape {y.shape} for {n} rows: expected ({n},); give one label for each row")


def _classes(y: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The classes, sorted, and the index of each row's."""
    _check_length(y, n)
    missing = y.dtype.kind == "f" and bool(np.isnan(y).any())
    mixed = y.dtype.hasobject and not all(isinstance(value, str) for value in y)
    if missing or mixed or y.dtype.kind not in "biufUO":
        raise InputError(
            f"labels of dtype {y.dtype} with values missing or of several kinds: expected integers, floats or strings "
            "for all rows; drop the rows without a label"
        )
    classes, targets = np.unique(y, return_inverse=True)
    if len(classes) < 2:
        raise InputError(f"labels name one class, {classes[0]!r}: expected at least two; a judge needs some to compare")
    return classes, targets.reshape(-1).astype(np.int64)
