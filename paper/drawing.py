"""Figures 3 to 9 of the paper from result files, each panel with the number that the paper leaves to the eye.

A figure without results is not drawn. A figure with some of its results shows these. Images are means, without drawn
pixels, and so are those behind purity, coverage and Fréchet distance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cpvae.errors import InputError
from cpvae.study import figures
from cpvae.study.figures.images import mosaic
from cpvae.study.figures.style import FAINT, INK, NEW, ROWS, blank, styled
from paper.measures import BINS
from paper.results import results_of
from paper.rows import METHODS, Row
from paper.table import mean_and_sd, values, with_spread

FOLDER = Path("docs", "figures")
PURE = 0.8  # purity from which a caption of Figure 7 is not marked


class Drawn(NamedTuple):
    """A row with the images beside the result of its first seed, and the results of all its seeds."""

    row: Row
    images: dict[str, np.ndarray]
    seeds: list[dict[str, Any]]

    @property
    def result(self) -> dict[str, Any]:
        """Return the result of the first seed, whose images are drawn."""
        return self.seeds[0]

    @property
    def method(self) -> str:
        """Name the model as the paper does."""
        return METHODS[self.row.model]

    def told(self, form: str, *path: str) -> str:
        """Print the figure to which the keys lead in a result: mean and spread over the seeds."""
        return with_spread(*mean_and_sd(values(self.seeds, *path)), form)


def drawn(rows: Sequence[Row], results: Path) -> list[Drawn]:
    """Gather the rows whose first seed has a result."""
    found = []
    for row in rows:
        path = row.result(results, 0)
        if path.exists():
            images: dict[str, np.ndarray] = {}
            if path.with_suffix(".npz").exists():
                images = _images(path.with_suffix(".npz"))
            found.append(Drawn(row, images, results_of(row, results)))
    return found


def _images(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise InputError(f"{path}: {error}; restore it from the checkout") from error


@styled
def fig3(found: Sequence[Drawn]) -> Figure | None:
    """Draw histograms of what each method generates beside the true density, for 2 and 150 components."""
    if not found:
        return None
    sizes = sorted({one.row.components for one in found if one.row.components}) or [1]
    methods = [m for m in METHODS.values() if any(one.method == m for one in found)]
    figure = blank(9.0, 1.0 + 1.7 * len(sizes), layout="constrained")
    panels = figure.subplots(len(sizes), len(methods), sharex=True, sharey=True, squeeze=False)
    for i, k in enumerate(sizes):
        for j, method in enumerate(methods):
            own = [one for one in found if one.method == method and one.row.components in (k, None)]
            axes = panels[i, j]
            if not own:
                axes.set_axis_off()
                continue
            density = own[0].result["density"]
            generated = density.get("aggregated", density["prior"])
            text = f"{method}, K = {k}" if own[0].row.components else method
            _density(axes, own[0].result["exact"], generated, text)
    figure.supxlabel("x", fontsize=8.5)
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside upper left", ncols=2)
    return figure


def _density(axes: Axes, exact: Sequence[float], generated: dict[str, Any], title: str) -> None:
    width = BINS[1] - BINS[0]
    axes.stairs(np.array(exact) / width, BINS, fill=True, color=ROWS, alpha=0.55, label="true density")
    axes.stairs(np.array(generated["histogram"]) / width, BINS, color=NEW, linewidth=1.4, label="generated rows")
    axes.set_title(f"{title}\ntotal variation {generated['total_variation']:.3f}", fontsize=8.5)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)


@styled
def fig4(found: Sequence[Drawn]) -> Figure | None:
    """Draw CP-VAE with more categories than sources: their weights, and what it generates with and without them."""
    most = [one for one in found if (one.row.components or 0) > 2]
    if not most:
        return None
    figure = blank(9.0, 0.3 + 2.4 * len(most), layout="constrained")
    panels = figure.subplots(len(most), 3, gridspec_kw={"width_ratios": [1.1, 1, 1]}, squeeze=False)
    for one, (left, middle, right) in zip(most, panels, strict=True):
        result, k = one.result, len(one.result["weights"])
        left.stairs(np.array(result["weights"]), np.arange(k + 1), fill=True, color=NEW, alpha=0.8)
        left.axhline(1 / k, color=FAINT, linewidth=0.8)
        behind = {"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 1}
        left.text(k - 1, 0.9 / k, "even share", ha="right", va="top", fontsize=8, color=INK, bbox=behind)
        left.set_ylabel("q(c)")
        share = result["dead"] / k
        left.set_title(f"{one.row.about}\n{result['dead']} of {k} categories dead ({share:.0%})", fontsize=8.5)
        _density(middle, result["exact"], result["density"]["aggregated"], "c from q(c)")
        _density(right, result["exact"], result["density"]["prior"], "c uniform, 1/K")
        middle.sharey(right)
    for axes, name in zip(panels[-1], ("categories, by weight", "x", "x"), strict=True):
        axes.set_xlabel(name)
    figure.legend(*panels[0, 1].get_legend_handles_labels(), loc="outside upper right", ncols=2)
    return figure


@styled
def fig5(found: Sequence[Drawn]) -> Figure | None:
    """Draw test images, and what VAEs with a learned prior and with a fixed one make of them."""
    shown = [one for one in found if "reconstructions" in one.images]
    if not shown:
        return None
    lines = [("test rows", shown[0].images["rows"])]
    for one in shown:
        text = f"{_learned(one)}\nerror {one.told('.4f', 'reconstruction_mse')}"
        lines.append((text, one.images["reconstructions"]))
    figure = blank(7.6, 0.55 * len(lines) + 0.3)
    _lines(figure, [images for _, images in lines], [text for text, _ in lines], margin=0.24)
    return figure


def _learned(one: Drawn) -> str:
    """Name a model without or with one component by its prior."""
    return "VAE, fixed prior" if one.row.model == "vae" else f"{one.method}1, learned prior"


def _lines(figure: Figure, images: Sequence[np.ndarray], titles: Sequence[str], margin: float) -> None:
    """Draw images ``(m, h, w)`` in lines, a title before each."""
    n = len(images[0])
    sheet = mosaic(np.concatenate(images), n, 2)
    axes = figure.add_axes((margin, 0.02, 0.99 - margin, 0.96))
    axes.imshow(sheet, interpolation="nearest")
    axes.set_axis_off()
    step = images[0].shape[1] + 2
    for i, title in enumerate(titles):
        axes.text(-4, i * step + images[0].shape[1] / 2, title, ha="right", va="center", fontsize=8.5)


@styled
def fig6(found: Sequence[Drawn]) -> Figure | None:
    """Draw new rows of VAEs with a learned prior beside those of one with a fixed prior."""
    return _grids([[one for one in found if "samples" in one.images]], _learned)


@styled
def fig7(found: Sequence[Drawn]) -> Figure | None:
    """Draw new rows of each category of CP-VAE and of each pseudo-input of the VampPrior, with their purity."""
    shown = [one for one in found if "components" in one.images and "purity_by_component" in one.result["judged"]]
    if not shown:
        return None
    figure = blank(4.9 * len(shown), 4.4, layout="constrained")
    for axes, one in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
        groups, shares = one.images["components"], one.result["judged"]["purity_by_component"]
        height = groups.shape[2]
        axes.imshow(mosaic(groups.reshape(-1, *groups.shape[2:]), groups.shape[1], 2), interpolation="nearest")
        axes.set_axis_off()
        for k, share in enumerate(shares[j] for j in one.images["largest"]):
            text = axes.text(-2, (height + 2) * k + height / 2, f"{share:.0%}", ha="right", va="center", fontsize=8.5)
            text.set_color(INK if share >= PURE else figures.style.COLOURS[2])
        mean = f"purity of mean images {one.result['judged']['purity']:.1%}"
        if len(one.seeds) > 1:
            mean += f"; {len(one.seeds)} seeds {one.told('.1%', 'judged', 'purity')}"
        part = "category" if one.row.model == "cpvae" else "pseudo-input"
        axes.set_title(f"{one.method}: a line for each {part}, with its purity\n{mean}")
    return figure


@styled
def fig8(found: Sequence[Drawn]) -> Figure | None:
    """Draw new rows of every method: a line for each, a column for each number of components; first those without."""
    shown = [one for one in found if "samples" in one.images]
    lines = [[one for one in shown if one.row.components is None]]
    lines += [[one for one in shown if one.method == method and one.row.components] for method in METHODS.values()]
    sizes = sorted({one.row.components for one in shown if one.row.components})
    return _grids([line for line in lines if line], _with_components, sizes)


fig9 = fig8  # of the other data set


def _with_components(one: Drawn) -> str:
    return one.method if one.row.components is None else f"{one.method}, K = {one.row.components}"


def _grids(lines: Sequence[Sequence[Drawn]], name: Callable[[Drawn], str], sizes: Sequence[int] = ()) -> Figure | None:
    """Draw a panel of new rows for each result, its distances above it."""
    if not any(lines):
        return None
    columns = len(sizes) or max(map(len, lines))
    figure = blank(2.3 * columns + 0.2, 2.9 * len(lines), layout="constrained")
    panels = figure.subplots(len(lines), columns, squeeze=False)
    for axes in panels.ravel():
        axes.set_axis_off()
    for i, line in enumerate(lines):
        for j, one in enumerate(line):
            place = sizes.index(one.row.components) if sizes and one.row.components else j
            distance, coverage = one.told(".1f", "judged", "frechet_distance"), one.told(".2f", "judged", "coverage")
            text = f"{name(one)}\nFréchet {distance}\ncoverage {coverage}"
            panels[i, place].imshow(mosaic(one.images["samples"], 6, 2), interpolation="nearest")
            panels[i, place].set_title(text, fontsize=8.5)
    return figure


FIGURES: dict[str, Callable[[Sequence[Drawn]], Figure | None]] = {
    "fig3": fig3,
    "fig4": fig4,
    "fig5": fig5,
    "fig6": fig6,
    "fig7": fig7,
    "fig8": fig8,
    "fig9": fig9,
}


def draw(name: str, rows: Sequence[Row], results: Path, root: Path) -> list[Path]:
    """Write one figure as PNG and PDF; return the files."""
    figure = FIGURES[name](drawn(rows, results))
    if figure is None:
        return []
    paths = [root / FOLDER / f"{name}{suffix}" for suffix in (".png", ".pdf")]
    for path in paths:
        figures.save(figure, path)
    return paths
