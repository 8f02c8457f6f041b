"""Tests of two samples, old rows and new ones: functions of arrays, each with a p that holds for few rows too.

- Shares of categories: chi-square, its distribution found by drawing which rows are the new ones (Fisher, 1935).
- Shares of single levels and of missing cells: Fisher's exact test, all columns at once.
- Numbers: the rank test and Cliff's delta of `cpvae.words.contrasts`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import hypergeom, rankdata

from cpvae.words.contrasts import AT_ONCE, CONFIDENCE, RESAMPLES, Feature
from cpvae.words.contrasts import tests as rank_tests

PERMUTATIONS = 9999
TAILS = (50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE))  # percentiles at which an interval ends


def shares_p(old: np.ndarray, new: np.ndarray) -> float:
    """Test whether the shares of categories are the same, given counts ``(K,)`` of old and new rows.

    >>> shares_p(np.array([50, 50]), np.array([51, 49])) > 0.5, shares_p(np.array([50, 50]), np.array([90, 10])) < 0.001
    (True, True)
    """
    total = old + new
    used = total > 0
    if used.sum() < 2:
        return 1.0
    expected = total[used] * (new.sum() / total.sum())
    draws = np.random.default_rng(0).multivariate_hypergeometric(
        total[used], int(new.sum()), PERMUTATIONS, method="marginals"
    )
    apart = (np.square(draws - expected) / expected).sum(1)
    own = float((np.square(new[used] - expected) / expected).sum())
    return float((1 + (apart >= own - 1e-9).sum()) / (1 + PERMUTATIONS))


def shares_interval(old: np.ndarray, new: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bootstrap the change of the shares of categories: limits of an interval of 95 %, each ``(K,)``."""
    random = np.random.default_rng(0)
    drawn = [random.multinomial(n.sum(), n / n.sum(), RESAMPLES) / n.sum() for n in (new, old)]
    low, high = np.percentile(drawn[0] - drawn[1], TAILS, axis=0)
    return low, high


def frequency_p(old: np.ndarray, n_old: np.ndarray, new: np.ndarray, n_new: np.ndarray) -> np.ndarray:
    """Test whether something is as frequent in new rows as in old ones: counts and numbers of rows, all ``(F,)``.

    >>> frequency_p(np.array([1, 0]), np.array([100, 100]), np.array([1, 30]), np.array([100, 100])) < 0.05
    array([False,  True])
    """
    both = (n_old + n_new, old + new, n_new)
    return np.minimum(1.0, 2 * np.minimum(hypergeom.cdf(new, *both), hypergeom.sf(new - 1, *both)))


@dataclass(frozen=True)
class Middle:
    """The middle of numbers in old and new rows.

    Attributes:
        old, new: medians; low, high: of their difference, a bootstrap interval of 95 %.
        effect: Cliff's delta, positive where new numbers are larger; p: of the rank test; both NaN for too few rows.
    """

    old: float
    new: float
    low: float
    high: float
    effect: float
    p: float


def middles(old: np.ndarray, new: np.ndarray) -> Middle:
    """Compare the numbers ``(m,)`` of old rows with those ``(n,)`` of new ones."""
    ranks = rankdata(np.concatenate([old, new]))[:, None]
    effect, p = rank_tests(ranks, np.repeat([0, 1], [len(old), len(new)]), 2)
    random, apart = np.random.default_rng(0), []
    for _ in range(0, RESAMPLES, AT_ONCE):
        sides = [np.median(random.choice(side, (AT_ONCE, len(side))), axis=1) for side in (new, old)]
        apart.append(sides[0] - sides[1])
    low, high = np.percentile(np.concatenate(apart), TAILS)
    return Middle(
        float(np.median(old)), float(np.median(new)), float(low), float(high), float(effect[1, 0]), float(p[1, 0])
    )


def columns_p(values: np.ndarray, ranks: np.ndarray, features: list[Feature], is_new: np.ndarray) -> np.ndarray:
    """Compare each column of new rows with that of old ones.

    Args:
        values: ``(n, F)``, NaN where missing, levels as 0 and 1; ranks: of the values in each column.
        features: what the columns are.
        is_new: of each row, ``(n,)``.

    Returns:
        Effects (Cliff's delta, positive where new values are larger) and p, ``(2, F)``; NaN for too few rows.
    """
    found, p = (both[1] for both in rank_tests(ranks, is_new.astype(int), 2))
    levels = [j for j, feature in enumerate(features) if feature.level is not None]
    if levels:
        own = values[:, levels]
        known = ~np.isnan(own)
        there = [((own == 1) & side[:, None]).sum(0) for side in (~is_new, is_new)]
        n = [(known & side[:, None]).sum(0) for side in (~is_new, is_new)]
        exact = frequency_p(there[0], n[0], there[1], n[1])
        p[levels] = np.where(np.isnan(p[levels]), np.nan, exact)
    return np.stack([found, p])
