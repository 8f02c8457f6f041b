"""Kinds of rows: five (`KINDS`), said by the user or read off the shape.

- "table": a data frame, each column after its kind (`cpvae.data.schema`).
- "matrix": numbers in columns without names.
- "counts": how often each of many things happened; only where it is said, by `kind` or by a file.
- "images": ``(channels, height, width)``; where it is said, rows of ``height * width`` columns that are squares.
- "signals": ``(channels, time)``.

Rows of two dimensions, ``(n, a, b)``, are ambiguous. They are images where a equals b. They are images too where they
hold levels (bytes, other unsigned integers, or numbers from 0 to 255), both sides have 8 or more, neither is more than
three times the other, and a is above 12 or b below twice a. All others are signals of a channels and b times. This errs
on the safe side: of a picture taken for a signal no copies are made, but copies of a signal taken for a picture would
turn one sensor into another.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cpvae.errors import InputError, counted

KINDS = ("table", "matrix", "counts", "images", "signals")
LEAST_SIDE, MOST_UNEQUAL = 8, 3.0  # of a picture
MOST_SENSORS = 12  # with so few and a long second axis, the first is of channels
CHANNELS_LAST = (1, 3, 4)  # sizes of a last axis that is of colours


@dataclass(frozen=True)
class Given:
    """Rows as they were given, and what they were taken for.

    Attributes:
        kind: one of `KINDS`.
        values: a data frame for a table; else an array ``(n, *shape)`` in its own dtype, or a sparse matrix
            (`cpvae.data.sparse.SparseRows`). What has another number of dimensions or holds objects is left for the
            caller to refuse.
        names: of the columns, where they have names.
        row_names: one for each row, where they have names.
        notes: what was guessed, a line each, and how to say otherwise.
    """

    kind: str
    values: Any
    names: tuple[str, ...] | None = None
    row_names: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: np.ndarray | slice) -> Given:
        """Take some rows of an array or a sparse matrix."""
        names = None if self.row_names is None else tuple(np.array(self.row_names, dtype=object)[rows])
        return replace(self, values=self.values[rows], row_names=names)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one row: ``(features,)``, ``(channels, time)`` or ``(channels, height, width)``."""
        return tuple(self.values.shape[1:])

    @property
    def flat(self) -> Any:
        """The rows in two dimensions, ``(n, features)``; a table or a sparse matrix as it is."""
        if not isinstance(self.values, np.ndarray) or self.values.ndim < 3:
            return self.values
        return self.values.reshape(len(self.values), math.prod(self.shape))


def of_kind(given: Given, kind: str, shape: tuple[int, ...] | None) -> Given:
    """Give rows the shape of the kind they are said to be, or look like."""
    values = given.values
    if given.kind == "table" and kind in ("images", "signals"):
        values = _numbers(values, kind)
    if not isinstance(values, np.ndarray):
        if kind in ("images", "signals"):
            raise InputError(f"kind={kind!r} for a sparse matrix: expected an array")
        return replace(given, kind=given.kind if kind == "auto" else kind)
    if values.ndim > 4:
        raise InputError(
            f"rows of shape {values.shape[1:]}: expected (features,), (channels, time) or (channels, height, width)"
        )
    if shape is not None and values.ndim == 2:
        if values.shape[1] == math.prod(shape):
            return replace(given, kind=kind, values=values.reshape(-1, *shape), names=None)
        if kind != "signals" or shape[0] != 1 or given.names is not None:
            return given
    if shape is not None and values.shape[1:] == shape:
        return replace(given, kind=kind)
    if kind == "auto":
        return _guessed(given)
    if kind == "images":
        return replace(given, kind=kind, values=_as_images(values))
    if kind == "signals":
        signals = replace(given, kind=kind, values=_as_signals(values))
        return signals if shape is None else _as_long(signals, shape)
    flat = values.reshape(len(values), -1) if values.ndim > 2 else values
    return replace(given, kind=kind, values=flat)


def _numbers(frame: Any, kind: str) -> np.ndarray:
    """Take the cells of a data frame whose columns are the numbers of images or signals."""
    text = [str(name) for name, cells in frame.items() if cells.dtype.kind not in "biuf"]
    if text:
        raise InputError(
            f"kind={kind!r} for a table whose column {text[0]!r} holds no numbers; expected numbers; drop it"
        )
    numbers: np.ndarray = frame.to_numpy(dtype=np.float64, na_value=np.nan)
    return numbers


def _guessed(given: Given) -> Given:
    values = given.values
    if values.ndim == 4:
        side, _, channels = values.shape[1:]
        told = f"rows of {side} x {side} x {channels} taken for images of {side} by {side} pixels, the channels last"
        odd = _channels_last(values.shape[1:]) and channels not in CHANNELS_LAST
        return replace(given, kind="images", values=_as_images(values), notes=(*given.notes, *[told] * odd))
    if values.ndim != 3 or given.kind in ("images", "signals"):
        return given
    a, b = values.shape[1:]
    if look_like_images(values):
        note = (
            f"rows of {a} x {b} taken for images of {a} by {b} pixels; for signals of {a} channels say kind='signals'"
        )
        return replace(given, kind="images", values=values[:, None], notes=(*given.notes, note))
    channels = f"{a} channel{'s' * (a != 1)}"
    note = f"rows of {a} x {b} taken for signals of {channels} and {b} times; for pictures say kind='images'"
    if a > b:
        note += ", and where time comes first give x.transpose(0, 2, 1)"
    return replace(given, kind="signals", notes=(*given.notes, note))


def look_like_images(x: np.ndarray) -> bool:
    """Tell whether ``(n, a, b)`` are images rather than signals: the rule of this module's docstring."""
    a, b = x.shape[1:]
    if a == b:
        return True
    if min(a, b) < LEAST_SIDE or max(a, b) > MOST_UNEQUAL * min(a, b) or (a <= MOST_SENSORS and b >= 2 * a):
        return False
    if x.dtype.kind in "bu":
        return True
    if x.dtype.kind not in "if" or not len(x):
        return False
    some = x[:: max(1, len(x) // 1000)]
    return bool(np.min(some) >= 0 and np.max(some) <= 255)


def _as_images(x: np.ndarray) -> np.ndarray:
    """Turn ``(n, h, w)`` and ``(n, h, w, c)`` into ``(n, c, h, w)``, and ``(n, features)`` into squares."""
    if x.ndim == 2:
        side = math.isqrt(x.shape[1])
        if side**2 != x.shape[1]:
            raise InputError(
                f"kind='images' for rows of {x.shape[1]:,} columns, which are no square; expected (n, height, width); "
                "reshape them"
            )
        return x.reshape(len(x), 1, side, side)
    if x.ndim == 3:
        return x[:, None]
    if x.ndim != 4:
        raise InputError(f"kind='images' for an array of shape {x.shape}: expected (n, height, width) or with channels")
    return x.transpose(0, 3, 1, 2) if _channels_last(x.shape[1:]) else x


def _channels_last(shape: tuple[int, ...]) -> bool:
    """Say whether the channels of a picture come last: one, three or four of them, or any number of square layers.

    >>> [_channels_last(shape) for shape in ((28, 20, 3), (64, 64, 13), (13, 64, 64), (3, 3, 4))]
    [True, True, False, False]
    """
    first, middle, last = shape
    return first not in CHANNELS_LAST and (last in CHANNELS_LAST or first == middle != last)


def _as_long(signals: Given, shape: tuple[int, ...]) -> Given:
    """Give signals the length of those of a fit, if they end sooner: what lies after the end of one is missing.

    Longer ones are cut where no value is lost. All others are left for the caller to refuse.
    """
    values, (channels, times), (expected, length) = signals.values, signals.shape, shape
    if channels != expected or times == length or values.dtype.kind not in "biuf":
        return signals
    if times > length:
        ended = values.dtype.kind == "f" and bool(np.isnan(values[..., length:]).all())
        return replace(signals, values=values[..., :length]) if ended else signals
    wide = values if values.dtype.kind == "f" else values.astype(np.float64)
    after = [(0, 0), (0, 0), (0, length - times)]
    note = f"signals of {counted(times, 'time')}, where the fit had {length}; what lies after the end is missing"
    return replace(signals, values=np.pad(wide, after, constant_values=np.nan), notes=(*signals.notes, note))


def _as_signals(x: np.ndarray) -> np.ndarray:
    """Turn ``(n, time)`` into ``(n, 1, time)``."""
    if x.ndim == 2:
        return x[:, None]
    if x.ndim != 3:
        raise InputError(f"kind='signals' for an array of shape {x.shape}: expected (n, channels, time)")
    return x
