"""Systems that draw synthetic tables: CP-VAE, and TVAE, CTGAN and a Gaussian copula beside it, with their defaults.

TVAE and CTGAN (Xu et al., 2019) are those of the package ctgan, the Gaussian copula (Patki et al., 2016) is that of the
package copulas. The licence of both, and of rdt behind them, is the Business Source License 1.1, which is no open one.
So no extra of cpvae asks for them. Install them beside an environment, for this comparison alone:

    pip install --target FOLDER --no-deps ctgan copulas rdt faker plotly pytz
    PYTHONPATH=FOLDER python benchmarks/synthetic.py

The peers need numbers in all cells. Missing cells are filled by draws from their column. Numbers that are drawn get the
decimals and the bounds of their column, as those of CP-VAE do.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from cpvae import CPVAE
from cpvae.data.schema import Schema


@dataclass(frozen=True)
class Wanted:
    """Rows to learn from, and what every system is told.

    Attributes:
        schema: of the columns; values: ``(n, F)`` numbers by it, NaN where a cell is missing.
        n_components: K of CP-VAE; the peers have none.
    """

    schema: Schema
    values: np.ndarray
    n_components: int
    seed: int

    @property
    def levels(self) -> list[str]:
        """The names of the columns that hold levels."""
        return [column.name for column in self.schema.columns if column.kind == "categorical"]

    def filled(self) -> pd.DataFrame:
        """Give a table in which missing cells are drawn from those of their column that are known."""
        random, parts = np.random.default_rng(self.seed), {}
        for column, values in zip(self.schema.columns, self.values.T, strict=True):
            known = values[~np.isnan(values)]
            parts[column.name] = np.where(np.isnan(values), random.choice(known, len(values)), values)
        return pd.DataFrame(parts)

    def numbers(self, drawn: pd.DataFrame) -> np.ndarray:
        """Turn drawn cells into numbers of the schema."""
        columns = [column.rounded(drawn[column.name].to_numpy(dtype=np.float64)) for column in self.schema.columns]
        return np.column_stack(columns)


Drawn = Callable[[int], np.ndarray]  # from a number of rows to rows, as numbers of the schema


def cpvae(wanted: Wanted) -> Drawn:
    """Fit CP-VAE with its defaults, missing cells as they are."""
    given: Any = {name: kind for name, kind in wanted.schema.as_given().items() if name in wanted.schema.names}
    model = CPVAE(wanted.n_components, schema=given, random_state=wanted.seed)
    model.fit(wanted.schema.decode(wanted.values))
    return lambda n: wanted.schema.encode(model.sample(n)[0])


def _networks(name: str, wanted: Wanted) -> Drawn:
    import ctgan

    torch.manual_seed(wanted.seed)
    np.random.seed(wanted.seed)  # noqa: NPY002  # which the package uses
    model = getattr(ctgan, name)(enable_gpu=False)
    model.set_random_state(wanted.seed)
    model.fit(wanted.filled(), wanted.levels)
    return lambda n: wanted.numbers(model.sample(n))


def tvae(wanted: Wanted) -> Drawn:
    """Fit TVAE."""
    return _networks("TVAE", wanted)


def ctgan(wanted: Wanted) -> Drawn:
    """Fit CTGAN."""
    return _networks("CTGAN", wanted)


def copula(wanted: Wanted) -> Drawn:
    """Fit a Gaussian copula; a level is a draw from an interval as long as its share, as in SDV."""
    from copulas.multivariate import GaussianMultivariate

    table, random = wanted.filled(), np.random.default_rng(wanted.seed)
    ends = {}
    for name in wanted.levels:
        codes = table[name].to_numpy(dtype=np.int64)
        ends[name] = np.cumsum(np.bincount(codes) / len(codes))
        low = np.where(codes > 0, ends[name][codes - 1], 0.0)
        table[name] = random.uniform(low, ends[name][codes])
    np.random.seed(wanted.seed)  # noqa: NPY002  # which the package uses
    model = GaussianMultivariate()
    model.fit(table)
    model.set_random_state(wanted.seed)

    def draw(n: int) -> np.ndarray:
        rows = model.sample(n)
        for name, end in ends.items():
            rows[name] = np.searchsorted(end[:-1], rows[name])
        return wanted.numbers(rows)

    return draw


def training_rows(wanted: Wanted) -> Drawn:
    """Give the training rows themselves: as like as rows can be, and all of them copies."""
    return lambda n: wanted.values[:n]


@dataclass(frozen=True)
class System:
    """A system: what it does, and the packages behind it."""

    fit: Callable[[Wanted], Drawn]
    packages: tuple[str, ...] = ()

    def missing(self) -> str:
        """Say in a line what would have to be installed; nothing where all is there."""
        absent = [name for name in self.packages if importlib.util.find_spec(name) is None]
        return f"needs {' and '.join(absent)}; see benchmarks/synthetic_systems.py" if absent else ""

    def versions(self) -> dict[str, str]:
        """Give the versions of its packages."""
        return {name: importlib.metadata.version(name) for name in self.packages}

    def __call__(self, wanted: Wanted) -> Drawn:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a fit, and of functions that will change
            return self.fit(wanted)


OWN = "cpvae"
REAL = "training rows"
SYSTEMS = {
    OWN: System(cpvae),
    "TVAE": System(tvae, ("ctgan", "rdt")),
    "CTGAN": System(ctgan, ("ctgan", "rdt")),
    "Gaussian copula": System(copula, ("copulas",)),
    REAL: System(training_rows),
}
