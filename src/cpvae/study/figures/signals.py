"""Pictures of signals: channels over time, rows as curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cpvae.study.figures.latent import MANY_POINTS
from cpvae.study.figures.style import COLOURS, NEW, ROWS, SMALL, WIDTH, blank, styled
from cpvae.study.figures.tables import band

CHANNELS = 8  # drawn at most


@styled
def signals(groups: Mapping[str, np.ndarray], time: str = "time") -> Figure:
    """Draw mean and 10-90 % range over time, a panel for each channel, for up to three groups of rows.

    Args:
        groups: rows ``(m, channels, time)``, by the name of the group; groups without rows are left out.
        time: what runs along x.
    """
    filled = {title: rows for title, rows in groups.items() if len(rows)}
    colours = dict(zip(groups, (ROWS, NEW, COLOURS[0]), strict=False))
    channels = min(CHANNELS, *(rows.shape[1] for rows in groups.values()))
    figure = blank(WIDTH, 0.7 + (1.9 if channels == 1 else 1.1) * channels, layout="constrained")
    panels = figure.subplots(channels, 1, sharex=True, squeeze=False).ravel()
    for title, rows in filled.items():
        as_pixels = rows.shape[2] > MANY_POINTS
        for channel, axes in enumerate(panels):
            mean, low, high = band(rows[:, channel])
            at = np.arange(rows.shape[2])
            axes.fill_between(at, low, high, color=colours[title], alpha=0.3, linewidth=0, rasterized=as_pixels)
            axes.plot(at, mean, color=colours[title], label=f"{title}, mean and 10-90 %", rasterized=as_pixels)
    for channel, axes in enumerate(panels):
        axes.margins(x=0)
        axes.yaxis.set_major_locator(MaxNLocator(3))
        if channels > 1:
            axes.set_ylabel(f"channel {channel}", fontsize=SMALL)
    panels[-1].set_xlabel(time)
    panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    if filled:
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper left", ncols=2)
    return figure


@styled
def examples(groups: Mapping[str, np.ndarray], mean: np.ndarray, spread: np.ndarray, time: str = "time") -> Figure:
    """Draw single rows over mean and spread of a category, a panel for each channel.

    Args:
        groups: up to two groups of rows ``(m, channels, time)``, by the name of the group; m may be 0.
        mean, spread: mean and standard deviation of all rows of the category, ``(channels, time)``.
        time: what runs along x.
    """
    channels = min(CHANNELS, len(mean))
    figure = blank(WIDTH, 0.7 + (1.9 if channels == 1 else 1.1) * channels, layout="constrained")
    panels = figure.subplots(channels, 1, sharex=True, squeeze=False).ravel()
    at, as_pixels = np.arange(mean.shape[1]), mean.shape[1] > MANY_POINTS
    for channel, axes in enumerate(panels):
        low, high = mean[channel] - spread[channel], mean[channel] + spread[channel]
        axes.fill_between(
            at, low, high, color=ROWS, alpha=0.35, linewidth=0, label="mean ± spread", rasterized=as_pixels
        )
        for (title, rows), colour in zip(groups.items(), (COLOURS[0], COLOURS[2]), strict=False):
            for i, row in enumerate(rows):
                label = title if not i else "_"
                axes.plot(at, row[channel], color=colour, linewidth=0.9, alpha=0.8, label=label, rasterized=as_pixels)
        axes.margins(x=0)
        axes.yaxis.set_major_locator(MaxNLocator(3))
        if channels > 1:
            axes.set_ylabel(f"channel {channel}", fontsize=SMALL)
    panels[-1].set_xlabel(time)
    panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper left", ncols=3)
    return figure


@styled
def overlays(original: np.ndarray, other: np.ndarray, titles: Sequence[str], time: str = "column") -> Figure:
    """Draw rows as curves, each with what the model makes of it: ``(m, F)`` twice, a small panel for each row.

    Args:
        time: what runs along x.
    """
    m, columns = len(titles), min(4, len(titles))
    lines = -(-m // columns)
    figure = blank(WIDTH, 1.25 * lines + 0.5, layout="constrained")
    panels = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).ravel()
    as_pixels = original.shape[1] > MANY_POINTS
    for i, axes in enumerate(panels):
        if i >= m:
            axes.set_axis_off()
            continue
        axes.plot(original[i], color=ROWS, linewidth=2.2, label="row", rasterized=as_pixels)
        axes.plot(other[i], color=NEW, linewidth=1.1, label="reconstruction", rasterized=as_pixels)
        axes.set_title(titles[i], fontsize=SMALL, pad=2)
        axes.xaxis.set_major_locator(MaxNLocator(3, integer=True))
    figure.supxlabel(time, fontsize=SMALL)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper left", ncols=2)
    return figure
