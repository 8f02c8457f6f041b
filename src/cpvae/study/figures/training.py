"""Curves of a fit, epoch by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cpvae.study.figures.style import FAINT, PAPER, SMALL, TRAIN, VALID, WIDTH, blank, styled


def _column(history: Sequence[Mapping[str, Any]], name: str) -> np.ndarray:
    return np.array([np.nan if record[name] is None else float(record[name]) for record in history])


def _settled_limits(values: np.ndarray, warmup: int = 0) -> tuple[float, float]:
    """Choose limits that show all values but the first: those of the warm-up, or of a tenth of the epochs.

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
    """Put epochs along x, and shade those of the warm-up."""
    epoch, beta = _column(history, "epoch"), _column(history, "beta")
    axes.set_xlim(epoch[0] - 0.5, epoch[-1] + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    axes.set_xlabel("epoch")
    if (beta < 1).any():
        end = float(epoch[beta < 1].max()) + 0.5
        axes.axvspan(epoch[0] - 0.5, end, color=FAINT, alpha=0.14, linewidth=0, zorder=0, label="warm-up of the KL")


@styled
def bound_curves(history: Sequence[Mapping[str, Any]], best_epoch: int | None = None) -> Figure:
    """Draw the negative bound of training and validation rows against the epoch, nats a row.

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
    """Draw KL(z), and with categories KL(c) and the categories in use, against the epoch.

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
    """Draw the parts of eq. (13) on some validation rows, against the epoch.

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
    """Draw small panels side by side: by title a column of the history, and a ceiling with its name if any."""
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
