"""Signals in the text format of sktime and aeon, `.ts`.

Lines that begin with # or % are comments. Lines that begin with @ say what the set is; after @data each line is a row:
its channels separated by ":", the values of one by ",", "?" where one is missing, and last the label, or the number
that a regression looks for: it is no label, and left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from cpvae.data.containers import padded
from cpvae.data.loaders.checks import check_labels, check_x, input_error, reading
from cpvae.data.loaders.records import Asked, Opened, Split

COMMENTS = ("#", "%")


def read_ts(paths: list[Path], asked: Asked) -> Opened:
    """Read the signals of one file, or of several that are one set, as `name_TRAIN.ts` and `name_TEST.ts` are.

    Returns:
        x: (n, channels, longest) float64, NaN where a value is missing or a signal has ended; y: (n,) str, or None.

    Raises:
        InputError: a line with another number of channels, channels of one row that differ in length, times beside the
            values, cells that are no numbers.
    """
    signals: list[np.ndarray] = []
    labels: list[str] = []
    targets = False
    for path in paths:
        with reading(path, "a .ts file"), path.open(encoding="utf-8-sig") as file:
            targets |= _read(path, file, signals, labels)
    if not signals:
        raise input_error(f"{paths[0]}: no rows after @data; expected one in each line; write it again")
    channels = {len(signal) for signal in signals}
    if len(channels) > 1:
        raise input_error(
            f"{paths[0]}: signals of {min(channels)} and of {max(channels)} channels; expected as many in each"
        )
    x, note = padded(signals)
    uneven = len({signal.shape[1] for signal in signals}) > 1
    x = check_x(x, paths[0])
    y = check_labels(np.array(labels), len(x), paths[0]) if labels and not targets else None
    notes = (
        [f"signals of {x.shape[1]} channel{'s' * (x.shape[1] != 1)} and {x.shape[2]} times"] if not uneven else [note]
    )
    if targets:
        notes.append("the last number of each line, its @targetLabel, is left out: numbers are no labels")
    if len(paths) == 1:
        notes += _other_part(paths[0])
    return Opened({"all": Split(x, y)}, "signals", notes=tuple(notes))


def _other_part(path: Path) -> Iterable[str]:
    """Say that the other part of the set lies beside this one, where it does."""
    for mine, other in (("_TRAIN", "_TEST"), ("_TEST", "_TRAIN")):
        name = path.stem.removesuffix(mine)
        beside = path.with_stem(name + other)
        if name != path.stem and beside.is_file():
            yield f"{beside.name} lies beside this file; for both give {str(path.with_stem(name + '_*'))!r}"


def _read(path: Path, lines: Iterable[str], signals: list[np.ndarray], labels: list[str]) -> bool:
    """Add the rows of a file to those read so far, and say whether what stands last in a row is a number to find."""
    has_label, has_target, in_data = False, False, False
    for number, raw in enumerate(lines, 1):
        line = raw.strip()
        if not line or line.startswith(COMMENTS):
            continue
        if not in_data:
            words = line.lower().split()
            if not words[0].startswith("@"):
                raise input_error(f"{path}: line {number} begins with {line[:20]!r} before @data; expected a .ts file")
            if words[0] in ("@classlabel", "@targetlabel"):
                has_label = words[1:2] == ["true"]
                has_target = has_label and words[0] == "@targetlabel"
            if words[0] == "@timestamps" and words[1:2] == ["true"]:
                raise input_error(f"{path}: values with times beside them; expected values at equal steps; write it so")
            in_data = words[0] == "@data"
            continue
        *cells, last = line.split(":")
        if has_label:
            labels.append(last)
        signals.append(_signal(path, number, cells if has_label else [*cells, last]))
    return has_target


def _signal(path: Path, number: int, cells: list[str]) -> np.ndarray:
    """Make one row, ``(channels, time)``; channels that end earlier than others end with NaN."""
    try:
        channels = [
            np.array([np.nan if one.strip() == "?" else float(one) for one in cell.split(",")]) for cell in cells
        ]
    except ValueError as error:
        raise input_error(f"{path}: line {number}: {error}; expected numbers, or ? where one is missing") from error
    if not channels:
        raise input_error(f"{path}: line {number} has a label alone; expected the values of a signal before it")
    longest = max(map(len, channels))
    return np.stack([np.pad(one, (0, longest - len(one)), constant_values=np.nan) for one in channels])
