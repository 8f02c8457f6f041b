"""Rows of the experiments: one TOML file each, in a folder of `experiments/`, and the published numbers beside them.

    about = "what it is, in a line"
    dataset = "mnist"
    model = "cpvae"
    seeds = 3                      # fitted with 0, 1, 2
    serves = ["table1", "fig8"]    # targets of `cpvae reproduce` that need it
    [params]                       # of the estimator
    n_components = 10

`order`, a number, puts rows of a table into an order other than that of their names.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cpvae.errors import InputError, nearest

PAPER, TABLES = "paper.toml", ("table1", "text")
GROUPS = ("ablation", "clusters", "synthetic", "table1")  # folders of experiments and of results

# Ends of names: the row is the one named before the end, with one change.
LONG = "-long"  # more steps
FULL = "-full"  # more steps and full covariances
RANDOM = "-random"  # begun at random
DEEP = "-deep"  # one more gated layer in the encoder, as CP has
# What the paper calls the models.
METHODS = {"cpvae": "CP", "vae": "VAE", "mog": "MG", "vamp": "VP", "hvae": "HVAE", "hvae-vamp": "HVP", "hvae-cp": "HCP"}


@dataclass(frozen=True)
class Row:
    """A row of a table: arguments, the same for all of its seeds.

    Attributes:
        group: name of the folder that holds its file; its runs and results lie in folders of the same name.
        name: name of its file.
        about: the row in a line of text.
        dataset, model: names, as for `cpvae fit`.
        seeds: number of fits, with seeds 0, 1, ...
        serves: targets of `cpvae reproduce` that need it.
        order: sorts the rows of a group.
        params: arguments of the estimator.
    """

    group: str
    name: str
    about: str
    dataset: str
    model: str
    seeds: int
    serves: tuple[str, ...]
    order: float = 0.0
    params: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Row:
        """Read the row of a file.

        Raises:
            InputError: the file holds no row.
        """
        try:
            text = tomllib.loads(path.read_text())
            params = {name: tuple(v) if isinstance(v, list) else v for name, v in text.get("params", {}).items()}
            if not isinstance(text["serves"], list) or not text["serves"] or int(text["seeds"]) < 1:
                raise ValueError("serves must be a list of targets, seeds at least 1")
            if path.parent.name not in GROUPS:
                raise ValueError(f"its folder is none of {', '.join(GROUPS)}")
            return cls(
                path.parent.name,
                path.stem,
                str(text["about"]),
                str(text["dataset"]),
                str(text["model"]),
                int(text["seeds"]),
                tuple(map(str, text["serves"])),
                float(text.get("order", 0.0)),
                params,
            )
        except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"{path} is no row of an experiment ({error}); restore it from the checkout") from error

    @property
    def components(self) -> int | None:
        """Give K, or None where the model has no components."""
        return self.params.get("n_components")

    @property
    def label(self) -> str:
        """Give its name without that of the data.

        >>> Row("clusters", "mnist-default", "", "mnist", "cpvae", 1, ()).label
        'default'
        """
        return self.name.removeprefix(f"{self.dataset}-")

    def run(self, seed: int) -> str:
        """Name the folder of a run and its result file.

        >>> Row("table1", "mnist-vae", "", "mnist", "vae", 1, ()).run(2)
        'mnist-vae-seed2'
        """
        return f"{self.name}-seed{seed}"

    def result(self, results: Path, seed: int) -> Path:
        """Say where its result file is."""
        return results / self.group / f"{self.run(seed)}.json"


def read_rows(experiments: Path) -> list[Row]:
    """Read all rows, sorted by folder, order and name.

    Raises:
        InputError: there is no such folder, or a file in it is no row.
    """
    paths = sorted(experiments.glob("*/*.toml"))
    if not paths:
        raise InputError(
            f"{experiments} holds no experiments; run this in a checkout of cpvae, or say where they are with "
            "--experiments"
        )
    return sorted((Row.read(path) for path in paths), key=lambda row: (row.group, row.order, row.name))


def serving(rows: Iterable[Row], target: str) -> list[Row]:
    """Choose the rows that a target needs."""
    return [row for row in rows if target in row.serves]


def named(rows: Sequence[Row], names: Sequence[str]) -> list[Row]:
    """Choose rows by name, with or without the name of their data set.

    Raises:
        InputError: no row has such a name.
    """
    known = [name for row in rows for name in (row.name, row.label)]
    for name in names:
        if name not in known:
            raise InputError(f"no row {name!r}{nearest(name, known)}")
    return [row for row in rows if row.name in names or row.label in names]


def published(experiments: Path) -> dict[str, dict[str, float]]:
    """Read the paper's numbers: for each table a number by the name of the row.

    Raises:
        InputError: the file is missing or damaged.
    """
    path = experiments / PAPER
    try:
        found = tomllib.loads(path.read_text())
        return {table: {str(name): float(value) for name, value in found[table].items()} for table in TABLES}
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:  # TOML's own error is a ValueError
        raise InputError(
            f"{path} does not hold the published numbers ({error}); restore it from the checkout"
        ) from error
