"""The stretch of filled numbers: how far draws are moved from their median, so that intervals hold what they say.

Some cells of rows are hidden and drawn. By some factor an interval of the draws must grow about their median, to hold
as many of the hidden numbers as it should. That is split conformal prediction with a scale (Lei, G'Sell, Rinaldo,
Tibshirani and Wasserman, "Distribution-Free Predictive Inference for Regression", 2018). The stretch is the geometric
mean of the factors of five intervals, which varies less than any of them, and at least 1.

Rows held out for validation are like rows to come. But where they are few, 30 say, their factor f_v varies by a tenth
from split to split, which moves the share in an interval of 90 % by four hundredths. Training rows are many, and their
factor f_t varies less. A network knows them better than others, so that f_t is too small if anything. So the log of the
stretch is that of f_t, and what the validation rows ask for beyond it is added as far as it is more than chance:

    log f = log f_t + max(0, 1 - s^2 / d^2) max(0, d),    d = log f_v - log f_t,

s the standard error of d, by a bootstrap of whole rows, for cells of one row have their errors in common (the
positive-part estimator of James and Stein, for one number). With many validation rows it is their factor.

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
ROWS = 150  # at most, of each kind
COPIES = 4  # of a row at most, with other cells hidden in each
BOOTSTRAPS = 100
HIDDEN = 0.3  # share of the cells
CANDIDATES = 256  # of each row
AT_ONCE = 16  # rows; bounds memory


def measure(estimator: DeepMixture, train: Rows, valid: Rows) -> float:
    """Measure the stretch of a fitted model.

    Args:
        train: rows that it has learned from, in the units of the data.
        valid: rows that it has not learned from.

    Returns:
        At least 1, and exactly that where rows are no table, have no numbers, or are too few to tell.
    """
    likelihood = estimator.model_.likelihood
    if not isinstance(likelihood, Columns) or not len(likelihood.numeric) or len(valid) < LEAST_ROWS:
        return 1.0
    random = np.random.RandomState(estimator.seed_)
    with seeded(estimator.seed_):
        learned, others = (_factors(estimator, likelihood, rows, random) for rows in (train, valid))
    if not len(learned[1]) or not len(others[1]):
        return 1.0
    known = _log_factor(learned[0])
    more = _log_factor(others[0]) - known
    error = math.hypot(_standard_error(*learned, random), _standard_error(*others, random))
    own = known + (max(0.0, 1 - (error / more) ** 2) * more if more > 0 else 0.0)
    return math.exp(own) if 0 < own < math.inf else 1.0


def _factors(
    estimator: DeepMixture, likelihood: Columns, rows: Rows, random: np.random.RandomState
) -> tuple[np.ndarray, np.ndarray]:
    """Hide numbers of some rows, and say what factors they need.

    Returns:
        ``(len(TAILS), n)``, and the row of each number, ``(n,)``.
    """
    model = estimator.model_
    some = random.permutation(len(rows))[:ROWS]
    some = np.tile(some, min(COPIES, -(-ROWS // len(some))))
    y = likelihood.to_model(rows.take(torch.from_numpy(some).to(rows.device)))
    hidden = torch.from_numpy(_hidden(~y.isnan().numpy(force=True), random)).to(y.device)
    numbers = torch.zeros_like(hidden[0])
    numbers[likelihood.numeric] = True
    known, prior = Known(y.masked_fill(hidden, torch.nan)), Prior(model.latent(), estimator._component_weights())
    asked, found, at = hidden & numbers, [], 0
    for part in known.split(AT_ONCE):
        for one in candidates(model, part, prior, CANDIDATES):
            here = slice(at, at := at + len(one.c))
            drawn = complete(model, Known(known.y[here]), *one.take(DRAWS)).transpose(0, 1)
            found.append(needed(drawn[:, asked[here]], y[here][asked[here]]))
    return torch.cat(found, 1).numpy(force=True), np.repeat(some, asked.sum(1).numpy(force=True))


def _log_factor(factors: np.ndarray) -> float:
    """Compute the mean log of the factors ``(len(TAILS), n)`` at which intervals hold what they should."""
    grown = [np.quantile(own, 1 - 2 * tail / (DRAWS + 1)) for own, tail in zip(factors, TAILS, strict=True)]
    return statistics.fmean(map(math.log, grown)) if min(grown) > 0 and max(grown) < math.inf else 0.0


def _standard_error(factors: np.ndarray, rows: np.ndarray, random: np.random.RandomState) -> float:
    """Estimate the standard error of `_log_factor` by drawing whole rows anew, with replacement."""
    cells = [np.flatnonzero(rows == row) for row in np.unique(rows)]
    drawn = (random.randint(len(cells), size=len(cells)) for _ in range(BOOTSTRAPS))
    return statistics.pstdev(_log_factor(factors[:, np.concatenate([cells[i] for i in own])]) for own in drawn)


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
