"""Measures of signals and pictures that a person has words for: their single values mean little alone."""

from __future__ import annotations

import warnings

import numpy as np

from cpvae.words.contrasts import Feature

Measured = tuple[np.ndarray, list[str]]  # values of each row, (n, E), and what they measure
PARTS = 3  # of a picture, along each side
PLACES = (
    "at the top left",
    "at the top",
    "at the top right",
    "on the left",
    "in the middle",
    "on the right",
    "at the bottom left",
    "at the bottom",
    "at the bottom right",
)
COLOURS = ("red", "green", "blue")


def measures(rows: np.ndarray, ink: bool = False) -> tuple[np.ndarray, list[Feature]]:
    """Measure signals ``(n, channels, time)`` or pictures ``(n, channels, height, width)``.

    Args:
        rows: in the units of the data, NaN where missing.
        ink: whether a large value is ink, not light.

    Returns:
        Values ``(n, E)``, NaN where a row has no such value, and what they are.

    >>> rising = np.array([[[0.0, 1.0, 2.0, 3.0]], [[3.0, 2.0, 1.0, 0.0]]])
    >>> values, features = measures(rising)
    >>> [feature.column for feature in features]
    ['level', 'variation', 'rise', 'cycles', 'time of the highest value']
    >>> values[:, 2].tolist()
    [3.0, -3.0]
    """
    with np.errstate(invalid="ignore", divide="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of a part without any value
        values, names = of_signals(rows) if rows.ndim == 3 else of_pictures(rows, "ink" if ink else "brightness")
    values = np.where(np.isfinite(values), values, np.nan)
    return values, [Feature(name, i) for i, name in enumerate(names)]


def of_signals(rows: np.ndarray) -> Measured:
    """Measure each channel of signals.

    Level and variation are mean and standard deviation over time. The rise is that of a straight line from the first
    time to the last. Cycles are the mean frequency by power, in cycles per signal. Where signals differ in length, it
    is measured as well.
    """
    n_channels, n_times = rows.shape[1:]
    known = ~np.isnan(rows)
    count = known.sum(2)
    times = np.where(known, np.arange(n_times), 0.0)
    level = np.where(known, rows, 0.0).sum(2) / count
    above = np.where(known, rows - level[..., None], 0.0)
    since = np.where(known, times - (times.sum(2) / count)[..., None], 0.0)
    slope = (above * since).sum(2) / np.square(since).sum(2)
    last = np.where(known, np.arange(n_times), -1).max(2)
    first = np.where(known, np.arange(n_times), n_times).min(2)
    power = np.square(np.abs(np.fft.rfft(above, axis=2)[..., 1:]))
    cycles = (power * np.arange(1, power.shape[2] + 1)).sum(2) / power.sum(2) * (last - first + 1) / n_times
    highest = np.where(count > 0, np.where(known, rows, -np.inf).argmax(2), np.nan)
    found = {
        "level": level,
        "variation": np.sqrt(np.square(above).sum(2) / count),
        "rise": slope * (last - first),
        "cycles": cycles,
        "time of the highest value": highest,
    }
    names = [
        name if n_channels == 1 else f"{name} {'in' if 'time' in name else 'of'} channel {channel}"
        for name in found
        for channel in range(n_channels)
    ]
    lengths = known.any(1).sum(1)
    values = np.concatenate(list(found.values()), axis=1)
    if lengths.min() == lengths.max():
        return values, names
    return np.column_stack([values, lengths]), [*names, "length"]


def of_pictures(rows: np.ndarray, brightness: str) -> Measured:
    """Measure pictures: as a whole, in nine parts, and how much they vary from pixel to pixel; colours by themselves.

    Args:
        rows: ``(n, channels, height, width)``, the channels grey or red, green and blue, then others.
        brightness: word for a large value.
    """
    grey = rows[:, :3].mean(1)
    found = {brightness: np.nanmean(grey, (1, 2)), "contrast": np.nanstd(grey, (1, 2))}
    if min(grey.shape[1:]) >= PARTS:
        lines = [part for line in np.array_split(grey, PARTS, axis=1) for part in np.array_split(line, PARTS, axis=2)]
        found |= {f"{brightness} {place}": np.nanmean(part, (1, 2)) for place, part in zip(PLACES, lines, strict=True)}
    if rows.shape[1] >= len(COLOURS):
        found |= {
            f"{colour} beside the other colours": np.nanmean(rows[:, i], (1, 2)) - found[brightness]
            for i, colour in enumerate(COLOURS)
        }
    return np.column_stack(list(found.values())), list(found)
