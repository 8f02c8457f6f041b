"""Contrasts between the rows of a category and all other rows, column by column: functions of arrays.

One effect size serves numbers, counts and levels: Cliff's delta, the probability that a row of the category has the
larger value, less the probability that a row of the others has. It runs from -1 to 1 and does not depend on units.
For a level, a column of 0 and 1, it is the difference of the two shares. A category in the middle is neither larger nor
smaller than the others: so the distance of each rank from the middle one is looked at too.

A column is told of a category only where three things hold. A two-sided rank test (Mann and Whitney, 1947) finds a
difference, after the correction of Benjamini and Hochberg (1995) for all columns and categories. A bootstrap interval
of the effect excludes every small effect. Both sides have a few rows. So noise is not told.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from scipy.stats import false_discovery_control, norm, rankdata

from cpvae.data.columns import Level
from cpvae.data.schema import Schema
from cpvae.words.phrases import short
from cpvae.words.units import sources_of, units_of, written

SMALL = 0.147  # largest Cliff's delta that is called negligible (Romano et al., 2006)
CONFIDENCE = 0.95  # of the intervals
FALSE = 0.05  # largest expected share of false discoveries among the columns told
FEWEST = 5  # rows with a value, in a category and beside it, that a column is told from
MOST = 50  # columns told of a category
RESAMPLES = 999  # of the bootstrap
AT_ONCE = 100  # of them
# of a table of contrasts
COLUMNS = ("column", "level", "here", "others", "measure", "ranges", "effect", "low", "high", "p", "words")


@dataclass(frozen=True)
class Feature:
    """Property of a row that a description can tell: the value of a column, or one level of a categorical column.

    Attributes:
        column: its name, as in the table; source: its position.
        level: the level, or None for numbers, counts and dates.
        unit: how values are written (`cpvae.words.units`).
        skewed: whether medians are told, not means, as of amounts on a logarithmic scale.
        distance: whether it is not the value but its distance from the middle, in ranks.
    """

    column: str
    source: int
    level: Level | None = None
    unit: str = "number"
    skewed: bool = False
    distance: bool = False


@dataclass(frozen=True)
class Contrast:
    """One column that sets a category apart.

    Attributes:
        column: its name; level: of a categorical column, the level, else None.
        here, others: mean, median or share in the category and among all other rows, in the units of the data.
        measure: which of the three, "mean", "median" or "share"; or "range", where a category differs by how near the
            middle its values lie: then `here` and `others` are medians.
        ranges: of a "range", where the middle 80 % of the values begin and end, here and among the others; else empty.
        unit: how values are written (`cpvae.words.units`).
        effect: Cliff's delta, from -1 to 1; positive where values are larger here, or farther from the middle.
        low, high: its bootstrap interval of 95 %.
        p: of a two-sided rank test, corrected for all columns and categories (Benjamini and Hochberg).

    Examples:
        >>> str(Contrast("length", None, 217.2, 191.9, "mean", "number", 0.98, 0.95, 1.0, 1e-30))
        'length 217 (others 192)'
        >>> str(Contrast("island", "Biscoe", 1.0, 0.2, "share", "share", 0.8, 0.7, 0.9, 1e-30))
        'island Biscoe 100 % (others 20 %)'
        >>> str(Contrast("age", None, 52.0, 43.0, "range", "number", -0.7, -0.8, -0.6, 1e-9, (45.0, 60.0, 19.0, 81.0)))
        'age 45 to 60 (others 19 to 81)'
        >>> str(Contrast("column 7", None, 34.3, 1.52, "mean", "", 0.9, 0.8, 1.0, 1e-9))
        'column 7: 34.3 (others 1.52)'
    """

    column: str
    level: Level | None
    here: float
    others: float
    measure: str
    unit: str
    effect: float
    low: float
    high: float
    p: float
    ranges: tuple[float, ...] = ()

    @property
    def name(self) -> str:
        """The column on one line, with its level if it has one."""
        return short(self.column) if self.level is None else f"{short(self.column)} {short(self.level)}"

    def __str__(self) -> str:
        return self.beside("others")

    def beside(self, what: str) -> str:
        """Say the contrast in words; `what` names those that the rows are beside."""
        name = f"{self.name}:" if self.name[-1:].isdecimal() else self.name  # two numbers in a row read as one
        if self.ranges:
            ends = [written(value, self.unit, 3) for value in self.ranges]
            return f"{name} {ends[0]} to {ends[1]} ({what} {ends[2]} to {ends[3]})"
        texts = [[written(value, self.unit, digits) for value in (self.here, self.others)] for digits in (3, 4)]
        here, others = texts[0] if texts[0][0] != texts[0][1] else texts[1]
        return f"{'median ' * (self.measure == 'median')}{name} {here} ({what} {others})"

    def as_dict(self) -> dict[str, Any]:
        """Give plain values, as JSON can hold them, and the words."""
        return {**asdict(self), "ranges": list(self.ranges), "words": str(self)}


def features_of(schema: Schema | None, values: np.ndarray, names: list[str]) -> list[Feature]:
    """Name what each column of `values` ``(n, F)`` tells, a column for each level as `Schema.expand` gives them."""
    units, sources = units_of(schema, values), sources_of(schema, values.shape[1])
    if schema is None:
        return [Feature(name, i, None, unit) for i, (name, unit) in enumerate(zip(names, units, strict=True))]
    levels = [level for column in schema.columns for level in (column.levels or (None,))]
    columns = [schema.columns[i] for i in sources]
    return [
        Feature(column.name, source, level, unit, column.kind == "amount")
        for column, source, level, unit in zip(columns, sources, levels, units, strict=True)
    ]


def tests(ranks: np.ndarray, categories: np.ndarray, n_components: int) -> tuple[np.ndarray, np.ndarray]:
    """Compare each category with all other rows in every column.

    The answers are those of `scipy.stats.mannwhitneyu` with its normal approximation. Ranks among all rows are the
    same whichever category is looked at, so that they are found once and not once for each category.

    Args:
        ranks: of the values in each column, ``(n, F)``, mean ranks where values are equal, NaN where missing.
        categories: of the rows, ``(n,)``.

    Returns:
        Effects (Cliff's delta) and p, each ``(K, F)``; NaN where either side has fewer than `FEWEST` values.
    """
    known = ~np.isnan(ranks)
    filled = np.where(known, ranks, 0.0)
    own = categories == np.arange(n_components)[:, None]
    here = own.astype(np.float64) @ known  # values in the category, (K, F)
    total = known.sum(0, dtype=np.float64)
    others = total - here
    middle = (total + 1) / 2
    spread = np.where(known, np.square(ranks - middle), 0.0).sum(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        above = own.astype(np.float64) @ filled - here * middle  # U less its expectation
        error = np.sqrt(here * others * spread / (total * (total - 1)))
        effect = 2 * above / (here * others)
        p = np.minimum(2 * norm.sf((np.abs(above) - 0.5) / error), 1.0)
    p = np.where(spread > 0, p, 1.0)
    few = (here < FEWEST) | (others < FEWEST)
    return np.where(few, np.nan, effect), np.where(few, np.nan, p)


def corrected(p: np.ndarray) -> np.ndarray:
    """Correct p-values of any shape for their number (Benjamini and Hochberg); NaN stays, and does not count."""
    result = p.copy()
    there = ~np.isnan(p)
    if there.any():
        result[there] = false_discovery_control(p[there])
    return result


def intervals(values: np.ndarray, ranks: np.ndarray, own: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bootstrap the effect of one category in some columns: percentiles of 2.5 and 97.5 %.

    The effect is a mean over the rows of the category and over the others: of how far each row lies above or below the
    other side, from -1 to 1. These places are found once (Hoeffding, 1948: what a resample changes beside them is of
    order 1/n). So a resample is a mean with weights, and a product of matrices makes it for all columns at once;
    `scipy.stats.bootstrap` would rank each resample anew. For shares nothing is approximated.

    Args:
        values: of the columns, ``(n, F)``, NaN where missing; ranks: as for `tests`.
        own: which rows are in the category, ``(n,)``.

    Returns:
        Lower and upper limits, ``(F,)``.
    """
    random = np.random.default_rng(0)
    means = []
    for side, sign in ((own, 1), (~own, -1)):
        n_others = (~np.isnan(ranks[~side])).sum(0)
        below = ranks[side] - rankdata(values[side], axis=0, nan_policy="omit")  # of the other side, ties half
        places = sign * (2 * below / n_others - 1)
        means.append((_resampled_means(places, random), np.nanmean(places, axis=0)))
    (here, effect), (others, _) = means
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.nanpercentile(np.clip(here + others - effect, -1, 1), [tail, 100 - tail], axis=0)
    return low, high


def _resampled_means(places: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Compute the means of the columns in rows drawn with replacement, ``(RESAMPLES, F)``."""
    known = ~np.isnan(places)
    filled, parts, n = np.where(known, places, 0.0), [], len(places)
    for start in range(0, RESAMPLES, AT_ONCE):
        times = random.multinomial(n, np.full(n, 1 / n), min(AT_ONCE, RESAMPLES - start)).astype(np.float64)
        with np.errstate(invalid="ignore"):  # a draw may have no value at all
            parts.append((times @ filled) / (times @ known))
    return np.concatenate(parts)


def with_distances(values: np.ndarray, features: list[Feature]) -> tuple[np.ndarray, list[Feature]]:
    """Add a column with the distance from the middle, in ranks, for each column of numbers.

    >>> with_distances(np.array([[5.0], [1.0], [9.0]]), [Feature("a", 0)])[0].tolist()
    [[5.0, 0.0], [1.0, 1.0], [9.0, 1.0]]
    """
    numbers = [j for j, feature in enumerate(features) if feature.level is None]
    ranks = rankdata(values[:, numbers], axis=0, nan_policy="omit")
    distances = np.abs(ranks - ((~np.isnan(ranks)).sum(0) + 1) / 2)
    return np.column_stack([values, distances]), features + [replace(features[j], distance=True) for j in numbers]


def contrasts(
    values: np.ndarray,
    features: list[Feature],
    categories: np.ndarray,
    n_components: int,
    more_only: bool = False,
) -> list[list[Contrast]]:
    """Find what sets each category apart from all other rows.

    Args:
        values: ``(n, F)`` in the units of the data, NaN where missing; levels as columns of 0 and 1.
        features: what the columns are.
        categories: of the rows, ``(n,)``.
        more_only: tell only columns with larger values here than elsewhere.

    Returns:
        A list for each category, the largest effect first, at most `MOST`, and of the levels of a column only the one
        that tells most.

    Examples:
        >>> height = np.array([1.0, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 16])[:, None]
        >>> categories = np.repeat([0, 1], 6)
        >>> print(*contrasts(height, [Feature("height", 0)], categories, 2)[1])
        height 13.5 (others 3.5)
    """
    ranks = rankdata(values, axis=0, nan_policy="omit")
    effect, p = tests(ranks, categories, n_components)
    p = corrected(p)
    found: list[list[Contrast]] = []
    for k in range(n_components):
        own, told = categories == k, _strongest(effect[k], p[k], features, more_only)
        found.append([])
        if not told:
            continue
        for j, low, high in zip(told, *intervals(values[:, told], ranks[:, told], own), strict=True):
            if low > SMALL or high < -SMALL:
                numbers = float(effect[k, j]), float(low), float(high), float(p[k, j])
                told_by = features.index(replace(features[j], distance=False))  # distances tell of values
                found[k].append(contrast(values[:, told_by], own, features[j], *numbers))
    return found


def _strongest(effect: np.ndarray, p: np.ndarray, features: list[Feature], more_only: bool) -> list[int]:
    """Choose the columns of one category that a test finds, largest effect first, each source once, at most `MOST`."""
    told = np.flatnonzero((p <= FALSE) & ((effect if more_only else np.abs(effect)) > SMALL))
    order = sorted(told, key=lambda j: (-round(abs(float(effect[j])), 9), features[j].distance, effect[j] < 0))
    best: dict[int, int] = {}
    for j in order:
        best.setdefault(features[j].source, int(j))
    return list(best.values())[:MOST]


def contrast(
    values: np.ndarray, own: np.ndarray, feature: Feature, effect: float, low: float, high: float, p: float
) -> Contrast:
    """Put a column that sets a category apart into the units of the data.

    Where the means say the opposite of the ranks, as a few very large values make them do, medians are told.
    """
    here, others, measure = np.nanmean(values[own]), np.nanmean(values[~own]), "mean"
    if feature.level is not None:
        measure = "share"
    elif feature.distance:
        ends = [float(end) for side in (own, ~own) for end in np.nanquantile(values[side], [0.1, 0.9])]
        middles = float(np.nanmedian(values[own])), float(np.nanmedian(values[~own]))
        return Contrast(feature.column, None, *middles, "range", feature.unit, effect, low, high, p, tuple(ends))
    elif feature.skewed or (here - others) * effect <= 0:
        here, others, measure = np.nanmedian(values[own]), np.nanmedian(values[~own]), "median"
    unit = feature.unit
    return Contrast(feature.column, feature.level, float(here), float(others), measure, unit, effect, low, high, p)
