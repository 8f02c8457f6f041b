"""Trees of categories: which join first, and how the categories of several fits follow from each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from scipy.cluster.hierarchy import dendrogram

from cpvae.study.figures.style import FAINT, INK, PAPER, SMALL, WIDTH, blank, look, styled
from cpvae.words.tree import Tree

LEAST = 1e-4  # shares of rows below it are drawn as if they were this
TICKS = ("100 %", "10 %", "1 %", "0.1 %", "0.01 %\nor less")
LONGEST_LABEL = 34  # characters
LEAST_DOT, DOT = 60.0, 700.0  # square points: of a category without rows, and what all rows add
THICKEST = 9.0  # points, of a line that all rows take


@styled
def tree(joined: Tree) -> Figure:
    """Draw which categories join first, leaves on the left with their names and shares.

    Lines of two branches meet at the share of rows that the two have in common, on a logarithmic scale.
    """
    leaves = list(joined.leaves)
    figure = blank(WIDTH, 0.8 + 0.27 * max(2, len(leaves)), layout="constrained")
    axes = figure.add_subplot()
    order, deepest = leaves[::-1], 1.0
    if joined.joins:
        lines = joined.linkage.copy()
        lines[:, 2] = -np.log10(np.clip(1.0 - lines[:, 2], LEAST, 1.0))
        drawn = dendrogram(lines, no_plot=True)
        deepest = np.ceil(lines[:, 2].max())
        order = [leaves[i] for i in drawn["leaves"] or ()]
        for places, depths in zip(drawn["icoord"], drawn["dcoord"], strict=True):
            axes.plot(depths, places, color=INK, linewidth=1.2, solid_capstyle="round")
    places_of_leaves = 5 + 10 * np.arange(len(order))  # where scipy puts them
    for k, place in zip(order, places_of_leaves, strict=True):
        colour, marker = look(k)
        axes.plot(0, place, marker, color=colour, markersize=6, clip_on=False, zorder=3)
    labels = [_cut(joined.label(k)) for k in order]
    axes.set_yticks(places_of_leaves, labels)
    axes.tick_params(axis="y", length=0, pad=8)
    axes.spines["left"].set_visible(False)
    axes.set_ylim(0, 10 * len(order))
    axes.set_xticks(range(len(TICKS)), TICKS)
    axes.set_xlim(0, 1.02 * max(1.0, deepest))
    axes.set_xlabel("share of rows that two branches have in common")
    return figure


@styled
def generations(layers: Sequence[np.ndarray], flows: Sequence[np.ndarray]) -> Figure:
    """Draw how categories of fits with more and more of them follow from each other (Zappia and Oshlack, 2018).

    A dot is a category, the larger the more rows it has. A line is the share of the rows in both categories, and dark
    where most rows of the lower category come from.

    Args:
        layers: share of the rows of each category of a fit, ``(K,)``, the fit with the fewest first.
        flows: for each two fits that follow, share of the rows in each two categories, ``(K, L)``.
    """
    places = [np.arange(len(layers[0]), dtype=np.float64)]
    for shares, flow in zip(layers[1:], flows, strict=True):
        above = (flow * places[-1][:, None]).sum(0) / np.where(shares > 0, shares, 1.0)
        main = places[-1][flow.argmax(0)]
        order = np.lexsort((above, main, shares <= 0))
        places.append(np.argsort(order).astype(np.float64))
    places = [(own + 0.5) / len(own) for own in places]
    widest = max(map(len, layers))
    figure = blank(max(WIDTH, 0.36 * widest + 0.9), 0.6 + 0.85 * len(layers), layout="constrained")
    axes = figure.add_subplot()
    for i, flow in enumerate(flows):
        for a, b in zip(*np.nonzero(flow > 0.02 * layers[i + 1]), strict=True):
            main = flow[:, b].argmax() == a
            axes.plot(
                [places[i][a], places[i + 1][b]],
                [i, i + 1],
                color=INK if main else FAINT,
                alpha=0.8 if main else 0.35,
                linewidth=max(0.6, THICKEST * float(flow[a, b]) ** 0.5) if main else 0.6 + 2 * float(flow[a, b]),
                zorder=2 if main else 1,
                solid_capstyle="butt",
            )
    for i, shares in enumerate(layers):
        for k in np.flatnonzero(shares > 0):
            area = LEAST_DOT + DOT * float(shares[k])
            axes.scatter(places[i][k], i, s=area, color=look(int(k))[0], edgecolors=PAPER, linewidths=0.8, zorder=3)
            axes.text(places[i][k], i, str(k), ha="center", va="center", fontsize=SMALL, zorder=4)
    axes.set_yticks(range(len(layers)), [f"{len(shares)}" for shares in layers])
    axes.set_ylabel("categories of the fit")
    axes.set_ylim(len(layers) - 0.5, -0.5)
    axes.set_xlim(0, 1)
    axes.set_xticks([])
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="y", length=0)
    return figure


def _cut(label: str) -> str:
    """Cut the name in the label of a leaf, and keep its share at the end."""
    name, _, share = label.rpartition(", ")
    most = LONGEST_LABEL - len(share) - 2
    return label if len(name) <= most else f"{name[: most - 1]}…, {share}"
