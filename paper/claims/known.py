"""The results that rules read, and the margin within which two of them may differ by chance."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from paper.rows import RANDOM

BOUND, DISTANCE, COVERAGE, PURITY = "measured", "frechet_distance", "coverage", "purity"
SIZES = {"mnist": (10, 150, 500), "omniglot": (50, 500)}
SAME = 0.5  # nats within which ours and a published bound count as the same: two standard errors over test rows
CHANCE = 2 * math.sqrt(2)  # two standard deviations of the difference of two fits, in standard deviations over seeds


class Missing(KeyError):
    """A run that a rule needs is not there."""


@dataclass(frozen=True)
class Known:
    """All results.

    Attributes:
        cells: a cell of the table by the name of its row (`paper.table.cells`); only rows with results.
        densities: result files of the synthetic data by the name of the row.
        published: the paper's numbers, ``{"table1": {row: nats}, "text": {row: share}}``.
    """

    cells: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    densities: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    published: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def get(self, name: str, key: str) -> Any:
        """Look up the value that a cell has under a key.

        Raises:
            Missing: the row has no result, or its result does not have the figure.
        """
        if name not in self.cells:
            raise Missing(name)
        value = self.cells[name].get(key)
        if value is None:
            raise Missing(f"{name} {key}")
        return value

    def figure(self, name: str, key: str = BOUND) -> float:
        """Look up a figure of a row: its mean over seeds.

        Raises:
            Missing: as `get`.
        """
        return float(self.get(name, key))

    def density(self, name: str, *path: str) -> Any:
        """Look up the value that a result of the synthetic data has under these keys.

        Raises:
            Missing: there is no such result or figure.
        """
        if name not in self.densities:
            raise Missing(name)
        value: Any = self.densities[name]
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        if value is None:
            raise Missing(" ".join([name, *path]))
        return value

    def n_seeds(self, name: str) -> int:
        """Count the seeds behind a row's figures."""
        return len(self.get(name, "seeds"))

    def margin(self, one: str, other: str, key: str = BOUND) -> float:
        """Work out the margin within which the figures of two rows may differ by chance.

        The margin is twice the standard deviation of the difference of two single fits. It comes from the pooled spread
        of the two rows over their seeds. A row with one seed takes the spread of the same model on the same data. If
        that model has single seeds only, the row takes the spread of all models on these data.

        Raises:
            Missing: no row of these data has several seeds.
        """
        return CHANCE * _pooled([spread for name in (one, other) for spread in self._spreads(name, key)])

    def _spreads(self, name: str, key: str) -> list[tuple[float, int]]:
        """List the standard deviations that stand for a row, each with its degrees of freedom."""
        data, model = self.get(name, "dataset"), self.get(name, "model")
        own = _spread(self.cells[name], key)
        of_data = {other: cell for other, cell in self.cells.items() if cell.get("dataset") == data}
        alike = [_spread(cell, key) for cell in of_data.values() if cell.get("model") == model]
        for found in ([own], alike, [_spread(cell, key) for cell in of_data.values()]):
            told = [one for one in found if one is not None]
            if told:
                return told
        raise Missing(f"a second seed of {name}")

    def better_start(self, name: str, key: str) -> str:
        """Choose the row with the lower figure: the row itself, or its twin with the authors' start, if it has one."""
        begun = [name + RANDOM] if name + RANDOM in self.cells else []
        return min((name, *begun), key=lambda one: self.figure(one, key))


def _spread(cell: Mapping[str, Any], key: str) -> tuple[float, int] | None:
    """Look up the standard deviation over the seeds of a cell and its degrees of freedom; None for a single seed."""
    sd = cell.get("spread", {}).get(key)
    return None if sd is None else (float(sd), len(cell["seeds"]) - 1)


def _pooled(spreads: Sequence[tuple[float, int]]) -> float:
    """Pool standard deviations by their degrees of freedom.

    >>> _pooled([(3.0, 2), (1.0, 2)])
    2.23606797749979
    """
    return math.sqrt(sum(sd**2 * n for sd, n in spreads) / sum(n for _, n in spreads))


def names(model: str, data: str) -> list[str]:
    """List the rows of a model with components: one for each number of them in Table 1."""
    return [f"{data}-{model}-k{k}" for k in SIZES[data]]


def one_seed(known: Known, rows: Iterable[str]) -> str:
    """Say which of these rows have one seed; empty if none does.

    >>> one_seed(Known({"a": {"seeds": [0]}, "b": {"seeds": [0, 1]}}), ["a", "b"])
    'one seed: a'
    """
    single = [name for name in dict.fromkeys(rows) if known.n_seeds(name) == 1]
    return f"one seed: {', '.join(single)}" if single else ""
