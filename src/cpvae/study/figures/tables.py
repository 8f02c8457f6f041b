"""Pictures of table rows: profiles and histograms."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cpvae.study.figures.style import COLOURS, FAINT, NEW, ROWS, WIDTH, blank, styled

FEW = 20  # rows below which a share says nothing


def band(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute mean, 10 % and 90 % quantile of each column of ``(m, F)``, over the cells that are not missing."""
    if not np.isnan(rows).any():
        low, high = np.quantile(rows, (0.1, 0.9), axis=0)
        return rows.mean(0), low, high
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a column without any: NaN, which is not drawn
        low, high = np.nanquantile(rows, (0.1, 0.9), axis=0)
        return np.nanmean(rows, 0), low, high


@styled
def profiles(groups: Mapping[str, np.ndarray], names: Sequence[str]) -> Figure:
    """Draw mean and 10-90 % range of each column, one below the other, for up to three groups of rows.

    Args:
        groups: rows ``(m, F)`` in standardised units, by the name of the group; groups without rows are left out.
        names: of the F columns.
    """
    filled = {title: rows for title, rows in groups.items() if len(rows)}
    colours = dict(zip(groups, (ROWS, NEW, COLOURS[0]), strict=False))
    figure = blank(WIDTH, 0.9 + 0.3 * len(names), layout="constrained")
    axes = figure.add_subplot()
    for i, (title, rows) in enumerate(filled.items()):
        _listed(axes, rows, title, colours[title], (i - (len(filled) - 1) / 2) * 0.26)
    axes.set_yticks(range(len(names)), [_shortened(name) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.axvline(0, color=FAINT, linewidth=0.8, zorder=0)
    axes.set_xlabel("standard deviations from the mean of all rows\n(point: mean, bar: 10-90 %)")
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    if filled:
        figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=3)
    return figure


def _listed(axes: Axes, rows: np.ndarray, title: str, colour: str, shift: float) -> None:
    mean, low, high = band(rows)
    at = np.arange(rows.shape[1]) + shift
    axes.hlines(at, low, high, color=colour, linewidth=2.4, alpha=0.55)
    axes.plot(mean, at, "o", color=colour, markersize=5, label=title)


def _shortened(name: str, longest: int = 28) -> str:
    return name if len(name) <= longest else name[: longest - 1] + "…"


@styled
def histograms(
    true: np.ndarray,
    generated: Mapping[str, np.ndarray],
    bins: int = 60,
    name: str = "x",
    limits: tuple[float, float] | None = None,
) -> Figure:
    """Draw densities of one-dimensional data and of what models generate, one panel for each.

    Args:
        true: the data, ``(n,)``.
        generated: samples ``(m,)``, by the name of the model.
        bins: on the range of data and samples together; the same in all panels, so that they can be compared.
        name: of the variable.
        limits: a range to show at least.
    """
    everything = np.concatenate([true, *generated.values(), limits or ()]).astype(np.float64)
    edges = np.histogram_bin_edges(everything, bins)
    figure = blank(WIDTH, 0.7 + 1.5 * len(generated), layout="constrained")
    panels = figure.subplots(len(generated), 1, sharex=True, sharey=True, squeeze=False).ravel()
    for axes, (title, values) in zip(panels, generated.items(), strict=True):
        if len(true):
            axes.stairs(_density(true, edges), edges, fill=True, color=ROWS, alpha=0.55, label="rows")
        if len(values):
            axes.stairs(_density(values, edges), edges, color=NEW, linewidth=1.6, label=title)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.legend(loc="upper right")
    panels[0].set_ylim(0, 1.35 * panels[0].get_ylim()[1])  # room for the legends; the panels share it
    panels[-1].set_xlabel(name)
    return figure


def _density(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    density, _ = np.histogram(values.astype(np.float64), edges, density=True)
    return density
