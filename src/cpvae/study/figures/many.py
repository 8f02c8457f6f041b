"""Figures of several fits: calibration, and the choice of a number of components."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from cpvae.study.figures.style import COLOURS, FAINT, NEW, TRAIN, VALID, WIDTH, blank, styled
from cpvae.study.figures.tables import FEW


@styled
def reliability(fits: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]], title: str) -> Figure:
    """Draw the share of rows that are right against their probability, a line for each fit.

    Args:
        fits: rows in each bin, their mean probability and the share that is right, each ``(bins,)``.
        title: says of what.

    Shares of fewer than `FEW` rows are noise, and left out.
    """
    figure = blank(WIDTH, WIDTH * 0.8, layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    above.plot([0, 1], [0, 1], color=FAINT, linewidth=0.8, linestyle="--", label="as often right as said")
    for i, (rows, confidence, right) in enumerate(fits):
        some = rows >= FEW
        above.plot(confidence[some], right[some], "o-", color=VALID, linewidth=1.0, markersize=3, alpha=0.7)
        above.lines[-1].set_label("one fit each" if not i else "_")
    above.set(ylabel="share that is right", xlim=(0, 1.02), ylim=(0, 1.02), title=title)
    above.legend(loc="upper left")
    for rows, confidence, _ in fits:
        below.plot(confidence, rows, "o", color=VALID, markersize=3, alpha=0.7)
    below.set(yscale="log", xlabel="probability of the likeliest category", ylabel="rows")
    below.yaxis.set_major_formatter("{x:,.0f}")
    return figure


@styled
def component_choice(
    numbers: Sequence[int],
    bounds: np.ndarray,
    errors: np.ndarray,
    counts: Mapping[str, np.ndarray],
    chosen: int,
) -> Figure:
    """Draw held-out bounds over numbers of components, and how many are in use (`cpvae.study.choice`).

    Args:
        numbers: of components, K of them; chosen: one of these.
        bounds: -L of each fit, nats, ``(K, seeds)``; errors: of the distance of its mean from the best, ``(K,)``.
        counts: what to draw below, a line each, ``(K,)``.
    """
    figure = blank(WIDTH, WIDTH * 0.8, layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    mean = bounds.mean(1)
    above.axhline(mean.min(), color=FAINT, linewidth=0.8, linestyle="--")
    above.axvline(chosen, color=NEW, linewidth=0.8, label=f"chosen: {chosen}")
    above.errorbar(numbers, mean, errors, color=VALID, marker="o", markersize=3, capsize=3, linewidth=1.0)
    above.lines[2].set_label("mean, and the standard error of its distance from the best")
    if bounds.shape[1] > 1:
        above.plot(numbers, bounds, "x", color=TRAIN, markersize=4)
        above.lines[-1].set_label("one seed each")
    above.set(ylabel="-L of held-out rows, nats")
    above.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0))
    for (name, values), colour in zip(counts.items(), COLOURS, strict=False):
        below.plot(numbers, values, "o-", color=colour, linewidth=1.0, markersize=3, label=name)
    below.set(xscale="log", xlabel="components", ylabel="number", ylim=(0, None))
    below.set_xticks(numbers, [str(number) for number in numbers])
    below.minorticks_off()
    below.legend()
    return figure
