"""A judge of generated rows: a small classifier trained on labelled rows.

Generative models here never see a label, and the judge never sees a generated row while it learns: it says which class
a generated row looks like (`Judge.predict`) and where it lies beside real rows (`Judge.features`). What is made of
that is in `cpvae.study.quality`, the network in `cpvae.study.classifier`.

Tables. Rows of a table with text, counts or missing cells become numbers by their schema: levels as columns of 0 and
1, and for each column with missing cells one more column that says where they are. Generated rows, which come as data
frames of the same columns, are encoded in the same way.

Grey levels. The levels of images can often be read as probabilities of ink. Then some generative models are trained on
pixels drawn from them. What they generate is either a mean, which is grey, or a draw, which is black and white. A judge
that knew only one of the two would hold the other's texture against it. So each training row is shown grey or as a
fresh Bernoulli draw of its pixels, with equal chance.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import torch
from torch import Tensor

from cpvae import arguments
from cpvae.checkpoints import described, load_tensors, save_tensors
from cpvae.data.loaders import Dataset
from cpvae.data.rows import Rows
from cpvae.data.schema import Schema, as_frame
from cpvae.errors import InputError
from cpvae.estimators.rows_in import as_table
from cpvae.nn.draws import lent, seeded
from cpvae.study.classifier import Classifier, train

RECIPE = 1  # part of the name of a cached judge: raise it when training or the network changes


class Judge:
    """A trained classifier that judges rows; made by `Judge.fit` or `Judge.load`.

    Attributes:
        classes_: the labels it knows, sorted, ``(n_classes,)``, in the dtype they were given.
        shape: of a row as the network sees it, ``(features,)`` or ``(channels, height, width)``.
        full: the value that means ink with certainty; None where values are no probabilities of ink.
        schema: by which rows of a table become numbers; None where they are numbers.

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

    def __init__(
        self, network: Classifier, classes: np.ndarray, full: float | None = None, schema: Schema | None = None
    ):
        self.network = network.eval()
        self.classes_ = classes
        self.shape = network.shape
        self.full = full
        self.schema = schema

    @classmethod
    def fit(cls, x: Any, y: np.ndarray, seed: int = 0, schema: Schema | None = None) -> Judge:
        """Learn to tell classes apart, from 300 to 1,500 steps of 128 rows; on the CPU.

        Args:
            x: ``(n, features)``, signals ``(n, channels, time)`` or images ``(n, channels, height, width)``, numbers
                in the units of the data; with a schema a data frame of its columns.
            y: ``(n,)``, integers, floats or strings.
            seed: fixes everything; the same bits on the same machine.
            schema: kinds and levels of the columns of a table.

        Raises:
            InputError: rows that are no finite numbers or of another shape; labels that are missing, do not fit the
                rows, or name fewer than two classes.
        """
        arguments.seed("seed", seed)
        x, y = _numbers(x, schema), np.asarray(y)
        if x.ndim not in (2, 4) or not x.size:
            raise InputError(
                f"rows of shape {x.shape}: expected (n, features) or (n, channels, height, width), and at least one "
                "row; reshape them"
            )
        rows = _checked(x, schema)
        classes, targets = _classes(y, len(x))
        full = _ink(x) if x.ndim == 4 else None
        with seeded(seed), lent():
            network = Classifier(x.shape[1:], len(classes))
            network.set_units(rows)
            train(network, rows, torch.from_numpy(targets), full)
        return cls(network, classes, full, schema)

    def predict_proba(self, x: Any) -> np.ndarray:
        """Give the probabilities of the classes, in the order of `classes_`: ``(n, n_classes)``, float64.

        Raises:
            InputError: rows of another shape or other columns than the judge's, or no finite numbers; so for all
                methods.
        """
        with torch.no_grad():
            parts = [self.network.head(self.network(part)).double().softmax(-1) for part in self._parts(x)]
        return torch.cat(parts).numpy()

    def predict(self, x: Any) -> np.ndarray:
        """Name the likeliest class of each row, ``(n,)``, in the dtype of the labels."""
        return self.classes_[self.predict_proba(x).argmax(1)]

    def features(self, x: Any) -> np.ndarray:
        """Give the activations before the last layer, ``(n, 64)``, float64, at least 0: there distances are taken.

        As with the Inception network of Heusel et al. (2017), but learned on the data in question.
        """
        with torch.no_grad():
            return torch.cat([self.network(part).double() for part in self._parts(x)]).numpy()

    def accuracy(self, x: Any, y: np.ndarray) -> float:
        """Give the share of rows whose class is the judge's.

        Raises:
            InputError: not one label a row.
        """
        _check_length(np.asarray(y), len(x))
        return float(np.mean(self.predict(x) == np.asarray(y)))

    def draw(self, x: np.ndarray, seed: int = 0) -> np.ndarray:
        """Draw black-and-white rows from grey levels, in the shape, dtype and units of `x`.

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
        about = {
            "shape": self.shape,
            "classes": self.classes_.tolist(),
            "dtype": self.classes_.dtype.str,
            "full": self.full,
            "schema": None if self.schema is None else self.schema.as_dict(),
        }
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
            schema = about.get("schema")
            with torch.device("meta"):  # shapes first: a header cannot make this machine run out of memory
                network = Classifier(tuple(about["shape"]), len(classes))
            network.load_state_dict(tensors, assign=True)
            return cls(network, classes, about["full"], None if schema is None else Schema.from_dict(schema))

    def _parts(self, x: Any) -> Iterator[Tensor]:
        x = _numbers(x, self.schema)
        if x.shape[1:] != self.shape:
            raise InputError(f"rows of shape {x.shape[1:]}: the judge was trained on {self.shape}; give such rows")
        return _checked(x, self.schema).chunks()


def judge_for(data: Dataset, cache: Path | None = None, seed: int = 0, schema: Schema | None = None) -> Judge:
    """Train the judge of a data set on its training split, or on all rows where there are no splits.

    Args:
        cache: a folder; the judge is kept there under a digest of rows, labels, schema and seed, and read where it
            lies already. A file there that cannot be read is made anew.
        schema: as for `Judge.fit`; a table with text or missing cells needs one.

    Raises:
        InputError: data without labels; whatever `Judge.fit` refuses; a folder that cannot be written.
    """
    split = data.splits["train"] if "train" in data.splits else next(iter(data.splits.values()))
    if split.y is None:
        raise InputError(f"{data.name} has no labels: a judge learns from labelled rows; name the labels when loading")
    x = as_table(split.x, data.feature_names)
    if cache is None:
        return Judge.fit(x, split.y, seed, schema)
    arguments.seed("seed", seed)
    labels = split.y.tolist() if split.y.dtype.hasobject else split.y
    parts = [RECIPE, int(seed), schema and schema.as_dict(), _numbers(x, schema), labels]
    path = Path(cache) / f"judge-{joblib.hash(parts, hash_name='sha1', coerce_mmap=True)[:16]}.safetensors"
    if path.is_file():
        with suppress(InputError):
            return Judge.load(path)
    judge = Judge.fit(x, split.y, seed, schema)
    judge.save(path)
    return judge


def _numbers(x: Any, schema: Schema | None) -> np.ndarray:
    """Turn rows into what the network sees: arrays as they are, cells of a table by its schema, gaps marked.

    Signals ``(n, channels, time)`` are vectors to it.
    """
    if isinstance(x, np.ndarray) and x.ndim == 3:
        x = x.reshape(len(x), -1)
    if schema is None:
        return x.to_numpy() if isinstance(x, pd.DataFrame) else np.asanyarray(x)
    matrix = schema.encode(as_frame(x, None if isinstance(x, pd.DataFrame) else schema.given))
    gaps = np.array([column.missing > 0 for column in schema.columns])
    return np.column_stack([schema.expand(matrix)[0], np.isnan(matrix[:, gaps])])


def _checked(x: np.ndarray, schema: Schema | None) -> Rows:
    """Refuse rows that are no finite numbers; a missing cell is allowed where a schema knows of it."""
    if x.dtype.kind not in "biuf":
        raise InputError(f"rows of dtype {x.dtype}: expected numbers; convert or drop the other columns")
    rows = Rows(x)
    if schema is None and x.dtype.kind == "f" and not all(bool(part.isfinite().all()) for part in rows.chunks()):
        raise InputError("rows hold NaN or infinity: expected finite numbers; fill or drop such rows")
    return rows


def _ink(images: np.ndarray) -> float | None:
    """Find the value that means ink with certainty; None where values are no probabilities of it, or bits already."""
    if images.dtype == np.bool_:
        return None
    if images.dtype == np.uint8:
        return 255.0
    return 1.0 if images.min() >= 0 and images.max() <= 1 else None


def _check_length(y: np.ndarray, n: int) -> None:
    if y.shape != (n,):
        raise InputError(f"labels of shape {y.shape} for {n} rows: expected ({n},); give one label for each row")


def _classes(y: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """List the classes, sorted, and give the index of each row's."""
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
