"""Maps of the latent space."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cpvae.study.figures.style import FAINT, PAPER, WIDTH, blank, look, styled

MANY_POINTS = 300  # beyond which curves are drawn as pixels inside an SVG, to keep it small


@styled
def latent_map(
    points: np.ndarray,
    categories: np.ndarray | None = None,
    labels: tuple[str, str] = ("first axis", "second axis"),
    numbered: int = 30,
) -> Figure:
    """Draw points ``(n, 2)`` coloured by category ``(n,)``; of up to `numbered` each median has its number."""
    figure = blank(WIDTH, 4.6, layout="constrained")
    axes = figure.add_subplot()
    categories = np.zeros(len(points), np.int64) if categories is None else categories
    colours = np.array([look(int(c))[0] for c in categories])
    shapes = np.array([look(int(c))[1] for c in categories])
    for shape in dict.fromkeys(shapes.tolist()):
        chosen = shapes == shape
        axes.scatter(
            points[chosen, 0],
            points[chosen, 1],
            s=11,
            c=colours[chosen].tolist(),
            marker=shape,
            alpha=0.75,
            linewidths=0,
            rasterized=True,  # as pixels inside an SVG, or thousands of points make a large page
        )
    present = np.unique(categories)
    if 1 < len(present) <= numbered:
        box = {"boxstyle": "circle,pad=0.25", "facecolor": PAPER, "edgecolor": FAINT, "linewidth": 0.8}
        for c in present:
            x, y = np.median(points[categories == c], axis=0)
            axes.text(x, y, str(c), ha="center", va="center", fontsize=9, fontweight="bold", bbox=box)
    axes.set_xlabel(labels[0])
    axes.set_ylabel(labels[1])
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    return figure
