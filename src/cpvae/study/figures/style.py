"""Colours, markers and sizes of all figures."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

INK, FAINT, PAPER = "#1f2328", "#7d8590", "#fffffe"  # unlike any other colour in use, so that `svg` can replace them
COLOURS = ("#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6", "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
TRAIN, VALID = "#94a4a2", "#3f90da"
ROWS, NEW = "#94a4a2", "#e76300"  # what was given, what the model made
NAMED = 30  # columns that are listed at most
SMALL = 8.0  # points
DPI = 100
WIDTH = 5.6  # inches; wide enough for a page, and its text can still be read on a phone

_STYLE: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # it comes with matplotlib
    "font.size": 9.5,
    "text.color": INK,
    "text.parse_math": False,  # a dollar sign in the name of a column is a dollar sign
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.facecolor": "none",
    "axes.formatter.useoffset": False,
    "axes.unicode_minus": True,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "lines.linewidth": 1.6,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "figure.dpi": DPI,
    "figure.facecolor": "white",
    "savefig.dpi": "figure",
    "svg.fonttype": "none",
    "svg.hashsalt": "cpvae",  # the same figure gives the same file
    "pdf.fonttype": 42,
}


@contextmanager
def style() -> Iterator[None]:
    """Apply the settings of this file for a while; letters that the fonts lack cause no warning."""
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        yield


P = ParamSpec("P")
Drawn = TypeVar("Drawn", Figure, "Figure | None")


def styled(draw: Callable[P, Drawn]) -> Callable[P, Drawn]:
    """Make a function draw in the style of this file."""

    @wraps(draw)
    def in_style(*args: P.args, **kwargs: P.kwargs) -> Drawn:
        with style():
            return draw(*args, **kwargs)

    return in_style


def blank(width: float, height: float, **options: Any) -> Figure:
    """Make a figure, in inches, with a canvas of its own."""
    figure = Figure(figsize=(width, height), **options)
    FigureCanvasAgg(figure)
    return figure


def look(category: int) -> tuple[str, str]:
    """Choose the colour and the marker of a category.

    >>> look(0), look(10)
    (('#3f90da', 'o'), ('#3f90da', 's'))
    """
    return COLOURS[category % len(COLOURS)], MARKERS[category // len(COLOURS) % len(MARKERS)]
