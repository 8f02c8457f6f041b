"""Pictures of table rows: profiles, overlays, histograms."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cpvae.study.figures.latent import MANY_POINTS
from cpvae.study.figures.style import COLOURS, FAINT, NAMED, NEW, ROWS, SMALL, WIDTH, blank, styled

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
    """Draw mean and 10-90 % range of each column, for up to three groups of rows.

    Up to 30 columns are listed by name, one below the other; more are drawn as curves.

    Args:
        groups: rows ``(m, F)`` in standardised units, by the name of the group; groups without rows are left out.
        names: of the F columns.
    """
    filled = {title: rows for title, rows in groups.items() if len(rows)}
    colours = dict(zip(groups, (ROWS, NEW, COLOURS[0]), strict=False))
    few = len(names) <= NAMED
    figure = blank(WIDTH, 0.9 + 0.3 * len(names) if few else 2.6, layout="constrained")
    axes = figure.add_subplot()
    draw = _listed if few else _curves
    for i, (title, rows) in enumerate(filled.items()):
        draw(axes, rows, title, colours[title], (i - (len(filled) - 1) / 2) * 0.26)
    if few:
        axes.set_yticks(range(len(names)), [_shortened(name) for name in names])
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.axvline(0, color=FAINT, linewidth=0.8, zorder=0)
        axes.set_xlabel("standard deviations from the mean of all rows\n(point: mean, bar: 10-90 %)")
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
    else:
        axes.axhline(0, color=FAINT, linewidth=0.8, zorder=0)
        axes.set_xlim(0, len(names) - 1)
        axes.set_xlabel("column")
        axes.set_ylabel("standard deviations\nfrom the mean of all rows")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if filled:
        figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=3)
    return figure


def _listed(axes: Axes, rows: np.ndarray, title: str, colour: str, shift: float) -> None:
    mean, low, high = band(rows)
    at = np.arange(rows.shape[1]) + shift
    axes.hlines(at, low, high, color=colour, linewidth=2.4, alpha=0.55)
    axes.plot(mean, at, "o", color=colour, markersize=5, label=title)


def _curves(axes: Axes, rows: np.ndarray, title: str, colour: str, shift: float) -> None:
    mean, low, high = band(rows)
    as_pixels = rows.shape[1] > MANY_POINTS
    at = np.arange(rows.shape[1])
    axes.fill_between(at, low, high, color=colour, alpha=0.3, linewidth=0, rasterized=as_pixels)
    axes.plot(at, mean, color=colour, label=f"{title}, mean and 10-90 %", rasterized=as_pixels)


def _shortened(name: str, longest: int = 28) -> str:
    return name if len(name) <= longest else name[: longest - 1] + "…"


@styled
def overlays(original: np.ndarray, other: np.ndarray, titles: Sequence[str]) -> Figure:
    """Draw rows as curves, each with what the model makes of it: ``(m, F)`` twice, a small panel for each row."""
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
    figure.supxlabel("column", fontsize=SMALL)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper left", ncols=2)
    return figure


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
