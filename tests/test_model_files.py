"""Model files that somebody changed, with a checksum made anew: each is refused in one line, or used as it says.

The checksum is no signature: whoever sends a file can make it anew.
"""

from __future__ import annotations

import copy
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from cpvae import CPVAE, InputError, load
from cpvae.checkpoints import load_tensors, save_tensors
from cpvae.fitting import runs

torch.set_num_threads(1)
SMALL = {"latent_dim": 2, "hidden": (4,), "max_epochs": 1, "init": "kmeans", "random_state": 0}


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> dict[str, Path]:
    """Fit a small model of each kind of rows, each in a run folder."""
    random, folder = np.random.RandomState(0), tmp_path_factory.mktemp("models")
    rows: dict[str, Any] = {
        "numbers": random.normal(size=(40, 4)),
        "images": random.rand(40, 1, 4, 5),
        "table": pd.DataFrame({"a": random.normal(size=40), "b": random.choice(list("xyz"), 40)}),
    }
    for name, x in rows.items():
        CPVAE(2, **SMALL).fit(x, out=folder / name)
    return {name: folder / name / runs.MODEL for name in rows}


def changed(path: Path, place: Path, *, header=None, tensors=None) -> Path:
    """Copy a model with another header or other tensors, and a valid checksum."""
    values, meta = load_tensors(path)
    meta = {key: value for key, value in meta.items() if key not in ("format_version", "sha256")}
    if tensors is not None:
        tensors(values)
    if header is not None:
        *keys, last = header[0]
        there = meta
        for key in keys:
            there = there[key]
        there[last] = header[1]
    save_tensors(place, values, meta)
    return place


def refused(path: Path) -> str:
    began = time.process_time()
    with pytest.raises(InputError) as caught:
        load(path)
    assert time.process_time() - began < 5
    assert "\n" not in str(caught.value)
    return str(caught.value)


def double(tensors: dict[str, torch.Tensor]) -> None:
    name = next(key for key in tensors if key.startswith("decoder") and key.endswith("weight"))
    tensors[name] = tensors[name].double()


TENSORS = {
    "a double": (double, "is torch.float64: expected torch.float32"),
    "not finite": (lambda t: [v.fill_(float("nan")) for v in t.values() if v.is_floating_point()], "not finite"),
    "one infinity": (lambda t: t["prior.loc"].view(-1)[:1].fill_(float("inf")), r"not finite (prior.loc)"),
    "no shares": (lambda t: t["prior.aggregated"].fill_(0.0), "shares of its components are negative or all zero"),
    "negative shares": (lambda t: t["prior.aggregated"].fill_(-1.0), "shares of its components are negative"),
    "another shape": (lambda t: t.update({"prior.loc": torch.zeros(3, 2)}), "does not hold the model"),
    "one less": (lambda t: t.pop("prior.loc"), "does not hold the model"),
}


@pytest.mark.parametrize("case", TENSORS)
def test_tensors_that_the_model_does_not_have(models, tmp_path, case):
    change, sentence = TENSORS[case]
    assert sentence in refused(changed(models["numbers"], tmp_path / "model", tensors=change))


ODD: list[Any] = [None, -1, "x", [], {}, 1e300, True, [[]], [1] * 5, 10**12, 0.5, ["a"], [None], [{}], [{"epoch": 1}]]


def places(value: Any, place: tuple[Any, ...] = ()) -> dict[tuple[Any, ...], Any]:
    """Take all keys of a header, and the first item of each list, with what stands there."""
    inner = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    found = {(*place, key): one for key, one in inner}
    return found | {there: it for key, one in found.items() for there, it in places(one, key).items()}


@pytest.mark.parametrize("name", ["numbers", "images", "table"])
def test_weights_so_large_that_no_bound_is_finite(models, tmp_path, name):
    enlarge = lambda t: [v.mul_(1e30) for v in t.values() if v.is_floating_point()]  # noqa: E731
    model = load(changed(models[name], tmp_path / "model", tensors=enlarge))
    rows = {"numbers": np.ones((3, 4)), "images": np.ones((3, 1, 4, 5)), "table": {"a": [1.5], "b": ["x"]}}[name]
    with pytest.raises(InputError, match=r"^bounds of [13] of [13] rows are not finite"):
        model.evaluate(pd.DataFrame(rows) if name == "table" else rows)


@pytest.mark.parametrize("name", ["numbers", "images", "table"])
def test_whatever_a_header_says_there_is_one_line_or_a_model(models, tmp_path, name):
    """Every key in turn, with values of other types and sizes; of pictures and tables those that say something else."""

    def header_of(name: str) -> tuple[Any, dict[str, Any]]:
        values, meta = load_tensors(models[name])
        return values, {
            key: value for key, value in meta.items() if key not in ("format_version", "sha256", "versions")
        }

    values, meta = header_of(name)
    known = places(header_of("numbers")[1]) if name != "numbers" else {}
    answered, told = 0, set()
    for place in (place for place, value in places(meta).items() if place not in known or known[place] != value):
        for value in ODD:
            header = copy.deepcopy(meta)
            there = header
            for key in place[:-1]:
                there = there[key]
            there[place[-1]] = value
            save_tensors(tmp_path / "model", values, header)
            try:
                model = load(tmp_path / "model")
            except InputError as error:
                told.add(str(error))
            else:
                model.sample(2)
                model.save(tmp_path / "again")
                answered += 1
    assert answered > 20
    assert not any("\n" in sentence for sentence in told)


@pytest.mark.parametrize(
    ("place", "value", "sentence"),
    [
        (("fitted", "image_shape"), [-1, -1, 20], "image_shape=-1: expected a whole number of at least 1"),
        (("fitted", "image_shape"), [20], "image_shape=[20]: expected 3 sizes"),
        (("fitted", "image_shape"), [1, 1, 1, 4, 5], "expected 3 sizes"),
        (("fitted", "history"), "x", "the history is a str: expected a list of records"),
        (("fitted", "history"), [{"epoch": "x"}], "epoch 1 of the history has no"),
        (("fitted", "history", 0, "kl_c"), None, "epoch 1 of the history has no 'kl_c' that can be used"),
        (("fitted", "stopped"), 3, "stopped=3: expected text"),
        (("params", "hidden"), [1] * 100_000, "hidden has 100,000 widths: expected at most 100"),
    ],
)
def test_what_a_header_may_not_say(models, tmp_path, place, value, sentence):
    assert sentence in refused(changed(models["images"], tmp_path / "model", header=(place, value)))


@pytest.mark.parametrize("value", [["1"], "1", None])
def test_a_configuration_whose_versions_are_none(models, tmp_path, value):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / runs.MODEL).write_bytes(models["numbers"].read_bytes())
    config = json.loads((models["numbers"].parent / runs.CONFIG).read_text())
    (folder / runs.CONFIG).write_text(json.dumps({**config, "versions": value}))
    assert "config.json is damaged or was changed: it has no versions that can be used" in refused(folder)
