"""The stretch of filled numbers: how far draws are moved from their median, so that intervals hold what they say.

A network knows its training rows better than others, and so does p(missing | observed): where rows are few, 90 % of the
draws of a cell hold less than 90 % of true values. Rows that were held out for validation show by how much. Some of
their cells are hidden and drawn. An interval of the draws must grow about their median by some factor to hold as many
of the hidden numbers as it should (split conformal prediction with a scale: Lei, G'Sell, Rinaldo, Tibshirani and
Wasserman, "Distribution-Free Predictive Inference for Regression", 2018). Cells of one row have their errors in common,
so that rows are counted, not cells: of n rows, an interval of 90 % is asked to hold a share of 0.9 (n + 1) / n. The
stretch is the geometric mean of the factors of five intervals, which varies less than any of them, and at least 1.

Numbers are moved on the line of their column, in units of the model. Levels and counts stay as they are drawn.
"""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from cpvae.data.rows import Rows
from cpvae.nn.draws import seeded
from cpvae.probability.conditional import Known, Prior, candidates, complete
from cpvae.probability.likelihoods.columns import Columns

if TYPE_CHECKING:
    from cpvae.estimators.contract import DeepMixture

DRAWS = 39
# Ranks from both ends at which intervals begin and end. Between the second smallest draw and the second largest lie 36
# of the 40 places that a true value can have: 90 %. The last interval has 65 %.
TAILS = (2, 3, 4, 5, 7)
LEAST_ROWS = 20  # for validation; fewer say nothing
ROWS = 200  # about so many are drawn, with other cells hidden in each copy of one
HIDDEN = 0.3  # share of the cells
CANDIDATES = 256  # of each row
AT_ONCE = 16  # rows; bounds memory


def measure(estimator: DeepMixture, valid: Rows) -> float:
    """Measure the stretch of a fitted model by rows that it has not learned from.

    Args:
        valid: rows, in the units of the data.

    Returns:
        At least 1, and exactly that where rows are no table, have no numbers, or are too few to tell.
    """
    model = estimator.model_
    if not isinstance(model.likelihood, Columns) or not len(model.likelihood.numeric) or len(valid) < LEAST_ROWS:
        return 1.0
    random = np.random.RandomState(estimator.seed_)
    some = torch.from_numpy(random.permutation(len(valid))[:ROWS]).to(valid.device)
    y = model.likelihood.to_model(valid.take(some))
    y = y.repeat(-(-ROWS // len(y)), 1)
    hidden = torch.from_numpy(_hidden(~y.isnan().numpy(force=True), random)).to(y.device)
    numbers = torch.zeros_like(hidden[0])
    numbers[model.likelihood.numeric] = True
    known, prior = Known(y.masked_fill(hidden, torch.nan)), Prior(model.latent(), estimator._component_weights())
    found, at = [], 0
    with seeded(estimator.seed_):
        for rows in known.split(AT_ONCE):
            for one in candidates(model, rows, prior, CANDIDATES):
                part = slice(at, at := at + len(one.c))
                drawn = complete(model, Known(known.y[part]), *one.take(DRAWS)).transpose(0, 1)
                asked = hidden[part] & numbers
                found.append(needed(drawn[:, asked], y[part][asked]))
    factors, n = torch.cat(found, 1), min(len(valid), ROWS)
    if not factors.shape[1]:
        return 1.0
    levels = [min(1.0, (1 - 2 * tail / (DRAWS + 1)) * (n + 1) / n) for tail in TAILS]
    grown = [float(own.quantile(level)) for own, level in zip(factors, levels, strict=True)]
    return max(1.0, math.exp(statistics.fmean(map(math.log, grown)))) if min(grown) > 0 else 1.0


def needed(drawn: Tensor, truth: Tensor) -> Tensor:
    """Compute the factor by which each interval of a cell must grow about its median to reach the true value.

    Args:
        drawn: ``(DRAWS, n)``; truth: ``(n,)``.

    Returns:
        The factor of each interval and cell, ``(len(TAILS), n)``.

    >>> needed(torch.arange(-19.0, 20).unsqueeze(1).expand(-1, 3), torch.tensor([9.0, -18, 36]))[0].tolist()
    [0.5, 1.0, 2.0]
    """
    ordered = drawn.double().sort(0).values
    middle = ordered[DRAWS // 2]
    away = truth.double() - middle
    rooms = [torch.where(away < 0, ordered[tail - 1], ordered[-tail]) - middle for tail in TAILS]
    return torch.stack([torch.where(away == 0, 0.0, away / room) for room in rooms])


def stretched(likelihood: Columns, drawn: Tensor, factor: float) -> Tensor:
    """Move the numbers of draws ``(n, B, F)``, in units of the model, away from their median over the draws."""
    numbers = drawn[..., likelihood.numeric]
    middle = numbers.median(0).values
    return drawn.index_copy(-1, likelihood.numeric, middle + factor * (numbers - middle))


def _hidden(there: np.ndarray, random: np.random.RandomState) -> np.ndarray:
    """Choose the cells ``(n, F)`` to hide among those that are there; one of each row stays."""
    hidden: np.ndarray = there & (random.random_sample(there.shape) < HIDDEN)
    hidden[(hidden == there).all(1)] = False
    return hidden
