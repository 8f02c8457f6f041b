"""Ways of seeing rows: codes, alone or side by side, and which way parts their groups best."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from torch import Tensor

from cpvae.fitting.starts.clusterings import n_neighbours
from cpvae.fitting.starts.codes import RowCode
from cpvae.fitting.starts.maps import modularity, neighbours
from cpvae.fitting.starts.task import Code, Points, Task, points_of

Way = tuple[Code, ...]  # a code, or several side by side
TINY = 1e-12  # in place of a spread of zero: rows may all have the same code


def codes_of(ways: Sequence[Way]) -> list[Code]:
    """List each code of some ways once."""
    return list(dict.fromkeys(code for way in ways for code in way))


def codings(ways: Sequence[Way], task: Task) -> list[Callable[[Tensor], Points]]:
    """Find the points of rows in each way; a code that several ways share is trained once."""
    codes = {code: code(task) for code in codes_of(ways)}
    return [side_by_side([codes[code] for code in way], task) for way in ways]


def side_by_side(parts: Sequence[Callable[[Tensor], Points]], task: Task) -> Callable[[Tensor], Points]:
    """Put several codes of the same rows side by side, each with the same variance in all."""
    if len(parts) == 1:
        return parts[0]
    some = task.some(task.max_rows)
    spreads = [points_of(some, part).var(0).sum() for part in parts]
    scales = [max(float(np.sqrt(spread)), TINY) for spread in spreads]
    return lambda x: np.concatenate([part(x) / scale for part, scale in zip(parts, scales, strict=True)], axis=1)


def most_apart(points: Sequence[Points], groups: Sequence[np.ndarray], n_components: int) -> int:
    """Tell in which way the groups of rows lie most apart.

    It is the way whose groups have the highest modularity on the graph of its own neighbours: groups that few
    neighbours cross are more than a cut through the midst of rows. No label is asked.

    Args:
        points: of the same rows in each way, ``(m, d)``.
        groups: found in each way, integers from 0 ``(m,)``.

    Returns:
        The position of the way.
    """
    return int(
        np.argmax(
            [
                modularity(neighbours(own, n_neighbours(len(own), n_components)), group)
                for own, group in zip(points, groups, strict=True)
            ]
        )
    )


def untrained(way: Way, task: Task) -> Callable[[Tensor], Points]:
    """Find the points of rows in a way, the rows themselves in place of each code that would have to be trained."""
    codes = dict.fromkeys(RowCode() if code.epochs(task) else code for code in way)
    return side_by_side([code(task) for code in codes], task)
