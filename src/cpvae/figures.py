"""Pictures of a fitted model: arrays in, a `matplotlib.figure.Figure` out; never a model, no window, no global state.

Grey images are drawn as MNIST is: 0 is black, the largest value is white. Colours are Petroff's ten (2021), chosen to
stay apart under the common forms of colour blindness; beyond ten categories colours repeat with another marker.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cpvae.checkpoints import write_atomic
from cpvae.errors import InputError

INK, FAINT, PAPER = "#1f2328", "#7d8590", "#fffffe"  # unlike any other colour in use, so that `svg` can replace them
COLOURS = ("#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6", "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
TRAIN, VALID = "#94a4a2", "#3f90da"
ROWS, NEW = "#94a4a2", "#e76300"  # what was given, what the model made
SUFFIXES = (".png", ".svg", ".pdf")
FEW = 20  # rows below which a share says nothing
NAMED = 30  # columns beyond which profiles are curves without names
MANY_POINTS = 300  # beyond which curves are drawn as pixels inside an SVG, to keep it small
SMALL = 8.0  # points
DPI = 100
WIDTH = 5.6  # inches; wide enough for a page, and its text can still be read on a phone

_STYLE: Any = {
    "font.family": "sans-serif",
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
def _style() -> Iterator[None]:
    """Our settings for a while; the caller's own come back. Letters the fonts lack are no reason to warn."""
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        yield


P = ParamSpec("P")
Drawn = TypeVar("Drawn", Figure, "Figure | None")


def styled(draw: Callable[P, Drawn]) -> Callable[P, Drawn]:
    """A function that draws, in this module's style."""

    @wraps(draw)
    def in_style(*args: P.args, **kwargs: P.kwargs) -> Drawn:
        with _style():
            return draw(*args, **kwargs)

    return in_style


def blank(width: float, height: float, **options: Any) -> Figure:
    """A figure in inches with a canvas of its own."""
    figure = Figure(figsize=(width, height), **options)
    FigureCanvasAgg(figure)
    return figure


# -- images ----------------------------------------------------------------------------------------------------------


def value_limits(images: np.ndarray) -> tuple[float, float]:
    """The values drawn black and white: [0, 1] and [0, 255] where they fit, else the extremes.

    >>> value_limits(np.array([0.2, 0.7])), value_limits(np.array([0, 200])), value_limits(np.array([-2.0, 3.0]))
    ((0.0, 1.0), (0.0, 255.0), (-2.0, 3.0))
    """
    low, high = float(np.min(images)), float(np.max(images))
    if low >= 0 and high <= 1 and images.dtype != np.uint8:
        return 0.0, 1.0
    if low >= 0 and high <= 255:
        return 0.0, 255.0
    return low, high


def pixels(images: np.ndarray, limits: tuple[float, float] | None = None) -> np.ndarray:
    """Images as bytes ready to draw.

    Args:
        images: ``(n, h, w)`` or ``(n, c, h, w)``; three channels are red, green, blue, another number is averaged.
        limits: the values drawn black and white, by default `value_limits`.

    Returns:
        uint8 ``(n, h, w)`` or ``(n, h, w, 3)``.
    """
    if images.ndim not in (3, 4):
        raise InputError(f"images of shape {images.shape}: expected (n, height, width) or (n, channels, height, width)")
    low, high = value_limits(images) if limits is None else limits
    scaled = np.clip((images.astype(np.float64) - low) / (high - low or 1.0), 0, 1)
    if scaled.ndim == 4:
        scaled = np.moveaxis(scaled, 1, -1) if scaled.shape[1] == 3 else scaled.mean(1)
    array: np.ndarray = (scaled * 255).round().astype(np.uint8)
    return array


def mosaic(tiles: np.ndarray, columns: int, gap: int = 1) -> np.ndarray:
    """Tiles ``(n, h, w[, 3])`` side by side, row by row, white between them: uint8 ``(H, W, 3)``.

    >>> mosaic(np.zeros((3, 2, 2), np.uint8), columns=2).shape
    (5, 5, 3)
    """
    if tiles.ndim == 3:
        tiles = np.repeat(tiles[..., None], 3, -1)
    n, h, w, _ = tiles.shape
    lines = -(-n // columns)
    sheet = np.full((lines * (h + gap) - gap, columns * (w + gap) - gap, 3), 255, np.uint8)
    for i, tile in enumerate(tiles):
        top, left = (i // columns) * (h + gap), (i % columns) * (w + gap)
        sheet[top : top + h, left : left + w] = tile
    return sheet


def _zoom(side: int) -> int:
    """Dots for each pixel, so that a small image can be seen."""
    return int(np.clip(round(64 / side), 1, 8))


def _gap(side: int) -> int:
    return max(1, side // 14)


@styled
def image_grid(images: np.ndarray, columns: int) -> Figure:
    """Images ``(n, [c,] h, w)`` in a grid; each pixel is a whole number of dots, so nothing is blurred."""
    if len(images) == 0 or columns < 1:
        raise InputError(f"{len(images)} images in {columns} columns: expected at least one of each")
    tiles = pixels(images)
    zoom, gap = _zoom(min(tiles.shape[1:3])), _gap(min(tiles.shape[1:3]))
    sheet = mosaic(tiles, min(columns, len(tiles)), gap)
    sheet = np.pad(sheet, ((gap, gap), (gap, gap), (0, 0)), constant_values=255)
    figure = blank(sheet.shape[1] * zoom / DPI, sheet.shape[0] * zoom / DPI)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(sheet, interpolation="nearest", aspect="auto")
    axes.set_axis_off()
    return figure


@styled
def samples_by_category(images: np.ndarray, titles: Sequence[str]) -> Figure:
    """One line of images for each category, its title before it.

    Args:
        images: ``(K, m, c, h, w)`` or ``(K, m, h, w)``.
        titles: K of them.
    """
    if images.ndim not in (4, 5) or len(images) != len(titles) or images.size == 0:
        raise InputError(f"images of shape {images.shape} with {len(titles)} titles: expected (K, m, [c,] h, w) and K")
    tiles = pixels(images.reshape(-1, *images.shape[2:]))
    side = min(tiles.shape[1:3])
    zoom, gap = _zoom(side), _gap(side)
    sheet = mosaic(tiles, images.shape[1], gap)
    margin = max((len(title) for title in titles), default=0) * 7 + 14  # dots, for letters of at most 7
    height, width = sheet.shape[0] * zoom, sheet.shape[1] * zoom
    pad = gap * zoom
    full_width, full_height = width + margin + pad, height + 2 * pad
    figure = blank(full_width / DPI, full_height / DPI)
    axes = figure.add_axes((margin / full_width, pad / full_height, width / full_width, height / full_height))
    axes.imshow(sheet, interpolation="nearest", aspect="auto")
    axes.set_axis_off()
    step = tiles.shape[1] + gap
    for k, title in enumerate(titles):
        axes.text(-8 / zoom, k * step + (tiles.shape[1] - 1) / 2, title, ha="right", va="center")
    return figure


# -- tables ----------------------------------------------------------------------------------------------------------


def band(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, 10 % and 90 % quantile of each column of ``(m, F)``, of the cells that are not missing."""
    if not np.isnan(rows).any():
        low, high = np.quantile(rows, (0.1, 0.9), axis=0)
        return rows.mean(0), low, high
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a column without any: NaN, which is not drawn
        low, high = np.nanquantile(rows, (0.1, 0.9), axis=0)
        return np.nanmean(rows, 0), low, high


@styled
def profiles(groups: Mapping[str, np.ndarray], names: Sequence[str]) -> Figure:
    """Mean and 10-90 % range of each column, for up to three groups of rows.

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
    """Rows as curves, each with what the model makes of it: ``(m, F)`` twice, one small panel for each row."""
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
    """Densities of one-dimensional data and of what models generate, one panel for each (figures 3-4 of the paper).

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


# -- the latent space -------------------------------------------------------------------------------------------------


def look(category: int) -> tuple[str, str]:
    """Colour and marker of a category.

    >>> look(0), look(10)
    (('#3f90da', 'o'), ('#3f90da', 's'))
    """
    return COLOURS[category % len(COLOURS)], MARKERS[category // len(COLOURS) % len(MARKERS)]


@styled
def latent_map(
    points: np.ndarray,
    categories: np.ndarray | None = None,
    labels: tuple[str, str] = ("first axis", "second axis"),
    numbered: int = 30,
) -> Figure:
    """Points ``(n, 2)`` coloured by category ``(n,)``; with up to `numbered` categories each median has its number."""
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


# -- training ---------------------------------------------------------------------------------------------------------


def _column(history: Sequence[Mapping[str, Any]], name: str) -> np.ndarray:
    return np.array([np.nan if record[name] is None else float(record[name]) for record in history])


def _settled_limits(values: np.ndarray, warmup: int = 0) -> tuple[float, float]:
    """Limits that show all values but the first: those of the warm-up, or of a tenth of the epochs.

    Args:
        values: ``(lines, n)``.
        warmup: epochs of it.
    """
    n = values.shape[1]
    shown = values[:, min(max(1, n // 10, warmup), n // 2) :] if n >= 5 else values
    low, high = float(values.min()), float(shown.max())
    pad = 0.06 * (high - low or abs(high) or 1.0)
    return low - pad, high + pad


def _epochs_axis(axes: Axes, history: Sequence[Mapping[str, Any]]) -> None:
    """Epochs along x, those of the warm-up shaded."""
    epoch, beta = _column(history, "epoch"), _column(history, "beta")
    axes.set_xlim(epoch[0] - 0.5, epoch[-1] + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    axes.set_xlabel("epoch")
    if (beta < 1).any():
        end = float(epoch[beta < 1].max()) + 0.5
        axes.axvspan(epoch[0] - 0.5, end, color=FAINT, alpha=0.14, linewidth=0, zorder=0, label="warm-up of the KL")


@styled
def bound_curves(history: Sequence[Mapping[str, Any]], best_epoch: int | None = None) -> Figure:
    """Negative bound of training and validation rows against the epoch, nats a row.

    Args:
        history: records with ``epoch, train_negative_elbo, valid_negative_elbo, beta``; at least one.
        best_epoch: the one whose weights were kept, marked by a ring.
    """
    epoch, values = (
        _column(history, "epoch"),
        np.stack([_column(history, f"{s}_negative_elbo") for s in ("train", "valid")]),
    )
    figure = blank(WIDTH, 3.0, layout="constrained")
    axes = figure.add_subplot()
    dot = "o" if len(history) == 1 else ""
    if np.isfinite(values[0]).any():  # with a relaxed c they have no bound
        axes.plot(epoch, values[0], color=TRAIN, marker=dot, label="training rows")
    axes.plot(epoch, values[1], color=VALID, marker=dot, label="validation rows")
    kept = np.flatnonzero(epoch == best_epoch)
    if len(kept):
        point = (epoch[kept[0]], values[1, kept[0]])
        axes.plot(*point, "o", markerfacecolor=PAPER, color=VALID, markersize=7, label="kept", clip_on=False, zorder=5)
    _epochs_axis(axes, history)
    low, high = _settled_limits(values[np.isfinite(values).all(1)], int((_column(history, "beta") < 1).sum()))
    axes.set_ylim(low, high)
    axes.set_ylabel("negative bound, nats a row\n(lower is better)")
    hidden = int((values > high).any(0).sum())
    if hidden:
        note = f"{hidden} early epoch{'s' * (hidden > 1)} above"
        axes.text(epoch[0], high, f" ↑ {note}", ha="left", va="bottom", fontsize=SMALL, color=FAINT)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=4)
    return figure


@styled
def kl_curves(history: Sequence[Mapping[str, Any]], n_components: int = 1, n_categories: int | None = None) -> Figure:
    """KL(z), and with categories KL(c) and the categories in use, against the epoch.

    Args:
        history: records with ``epoch, kl_z, kl_c, components_used, beta``; at least one.
        n_components: K; KL(c) cannot exceed log K for a uniform p(c).
        n_categories: 1 for a mixture over z alone, whose components are no categories; K if None.
    """
    series: dict[str, tuple[str, tuple[float, str] | None]] = {"KL(z), nats a row": ("kl_z", None)}
    if n_components > 1 and n_categories != 1:
        series["KL(c), nats a row"] = ("kl_c", (float(np.log(n_components)), f"log {n_components}"))
    if n_components > 1:
        series["categories in use"] = ("components_used", (float(n_components), f"all {n_components}"))
    return _panels(history, series)


@styled
def diagnosis_curves(history: Sequence[Mapping[str, Any]], n_components: int) -> Figure:
    """The parts of eq. (13) on some validation rows, against the epoch.

    Args:
        history: records with ``epoch, beta, mutual_information, mutual_information_c, marginal_kl_z,
            marginal_entropy_c``; at least one.
        n_components: K; the information about c and the entropy of q(c) cannot exceed log K.
    """
    most = (float(np.log(n_components)), f"log {n_components}")
    series: dict[str, tuple[str, tuple[float, str] | None]] = {
        "information\nabout c": ("mutual_information_c", most),
        "entropy\nof q(c)": ("marginal_entropy_c", most),
        "KL(q(z|c)\n|| p(z|c))": ("marginal_kl_z", None),
        "information\nabout z and c": ("mutual_information", None),
    }
    return _panels(history, series)


def _panels(history: Sequence[Mapping[str, Any]], series: Mapping[str, tuple[str, tuple[float, str] | None]]) -> Figure:
    """Small panels side by side: by title a column of the history, and a ceiling with its name if there is one."""
    figure = blank(WIDTH, 2.2, layout="constrained")
    panels = figure.subplots(1, len(series), squeeze=False).ravel()
    epoch = _column(history, "epoch")
    for axes, (title, (name, ceiling)) in zip(panels, series.items(), strict=True):
        values = _column(history, name)
        axes.plot(epoch, values, color=VALID, marker="o" if len(history) == 1 else "")
        axes.set_title(title, fontsize=SMALL if len(series) > 3 else None)
        _epochs_axis(axes, history)
        axes.xaxis.set_major_locator(MaxNLocator(3, integer=True, min_n_ticks=1))
        top = _settled_limits(values[None], int((_column(history, "beta") < 1).sum()))[1]
        if ceiling is not None:
            axes.axhline(ceiling[0], color=FAINT, linewidth=0.8, linestyle=(0, (4, 3)))
            axes.text(epoch[-1], ceiling[0], ceiling[1], ha="right", va="bottom", fontsize=SMALL, color=FAINT)
            top = max(top, ceiling[0])
        axes.set_ylim(min(0.0, float(values.min())), 1.1 * top or 1.0)
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=name == "components_used"))
    return figure


# -- files ------------------------------------------------------------------------------------------------------------


@styled
def reliability(fits: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]], title: str) -> Figure:
    """Share of rows that are right against their probability, a line for each fit (`cpvae.metrics.Calibration`).

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
    """Held-out bounds over numbers of components, and how many are in use (`cpvae.choice`).

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


def save(figure: Figure, path: str | Path) -> None:
    """Write a figure, all or nothing, as its suffix says: .png, .svg or .pdf.

    Raises:
        InputError: another suffix, or a path that cannot be written.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"{path}: suffix {suffix!r} is no kind of picture; use {', '.join(SUFFIXES)}")
    write_atomic(path, _render(figure, suffix[1:]))


def _render(figure: Figure, kind: str, **options: Any) -> bytes:
    """The figure as a file, the same bytes each time."""
    dates: dict[str, Any] = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[kind]
    buffer = io.BytesIO()
    with _style():
        figure.savefig(buffer, format=kind, metadata=dates, **options)
    return buffer.getvalue()


def svg(figure: Figure) -> str:
    """A figure to stand inside an HTML page: it takes colours from the page and refers to nothing outside.

    The page must define ``--ink``, ``--faint`` and ``--paper``. Text stays text, so that it can be searched.
    """
    text = _render(figure, "svg", transparent=True).decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<style type=\"text/css\">.*?</style>|<!--.*?-->", "", text, flags=re.S)
    text = re.sub(r' xmlns(:xlink)?="[^"]*"| version="1.1"', "", text).replace("xlink:href", "href")
    text = re.sub(r"font-family: [^;]*, sans-serif; ", "", text)  # the page says which
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    text = re.sub(r'^<svg width="[\d.]+pt" height="[\d.]+pt"', '<svg aria-hidden="true"', text)
    for colour, variable in ((INK, "--ink"), (FAINT, "--faint"), (PAPER, "--paper")):
        text = text.replace(colour, f"var({variable})")
    return re.sub(r"\s*\n\s*", "\n", text).strip()
