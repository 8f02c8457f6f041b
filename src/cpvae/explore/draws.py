"""New rows for the page: from a category, with given cells, with a part of a row, and between two rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.nn.functional import one_hot

from cpvae.arguments import one_of, whole
from cpvae.data.conditions import parse_given
from cpvae.errors import InputError
from cpvae.estimators.contract import DeepMixture
from cpvae.estimators.given import columns_of
from cpvae.estimators.rows_in import take
from cpvae.explore.seen import Seen

MOST = 64  # rows drawn at once
STEPS = 8  # from one row to another, both ends included
PARTS = ("top", "bottom", "left", "right")  # of a picture that are kept; of a signal, which has no top: left or right


def from_category(seen: Seen, category: int | None, n: int, seed: int) -> Any:
    """Draw rows from a category, or, without one, from the whole model; of pictures the means of p(x | z, c).

    Args:
        seen: what the page shows.
        category: its number; n: how many rows; seed: of the draws.

    Raises:
        InputError: no such category, or more than `MOST` rows.
    """
    whole("n", n, 1, MOST)
    return seen.model.sample(n, category, mean=seen.model.image_shape_ is not None, random_state=seed)[0]


def with_given(seen: Seen, given: Sequence[str], category: int | None, n: int, seed: int) -> Any:
    """Draw rows of a table with given cells.

    Args:
        seen: what the page shows.
        given: words such as "island=Biscoe" and "body_mass_g=3000:4000" (`cpvae.data.conditions.parse_given`).
        category, n, seed: as for `from_category`.

    Raises:
        InputError: nothing given; what `parse_given` or `DeepMixture.sample` refuses.
    """
    whole("n", n, 1, MOST)
    words = [one.strip() for one in given if one.strip()]
    if not words:
        raise InputError("nothing is given; expected COLUMN=VALUE or COLUMN=LOW:HIGH, such as age=30:40, one a line")
    known = parse_given(words, columns_of(seen.model)[0])
    return seen.model.sample(n, category, given=known, random_state=seed)[0]


def with_part(seen: Seen, row: int, part: str, n: int, seed: int) -> Any:
    """Draw pictures or signals that have a half of a row of the page, which the model completes.

    Args:
        seen: what the page shows.
        row: its position; part: the half that is kept, one of `PARTS`.
        n: how many rows; seed: of the draws.

    Raises:
        InputError: rows of a table; another part; no such row.
    """
    whole("n", n, 1, MOST)
    one_of("part", part, PARTS)
    whole("row", row, 0, seen.n - 1)
    shape = seen.model.image_shape_ or seen.model.signal_shape_
    if shape is None or (len(shape) == 2 and part in PARTS[:2]):
        what = "rows of a table, which have no halves; give cells instead" if shape is None else "signals: use left"
        raise InputError(f"part={part!r} of {what}")
    axis = -2 if part in ("top", "bottom") else -1
    half = shape[axis] // 2
    known = np.asarray(take(seen.shown.given, np.array([row])), dtype=np.float64).reshape(shape)
    left_out = slice(half, None) if part in ("top", "left") else slice(None, shape[axis] - half)
    known[(..., left_out, slice(None)) if axis == -2 else (..., left_out)] = np.nan
    return seen.model.sample(n, given=known, random_state=seed)[0]


def between(seen: Seen, first: int, last: int, n: int = STEPS) -> Any:
    """Decode points on the way from the code of one row to that of another.

    The ends are the reconstructions of the two rows. On the way the means of z are mixed, and so are the categories
    where they differ.

    Args:
        seen: what the page shows.
        first, last: positions of the rows; n: of points, both ends included.

    Returns:
        Means of p(x | z, c) in the form of the rows of the model, n of them.

    Raises:
        InputError: no such rows, or more than `MOST` points.
    """
    whole("n", n, 2, MOST)
    for row in (first, last):
        whole("row", row, 0, seen.n - 1)
    return decoded_between(seen.model, take(seen.shown.given, np.array([first, last])), n)


@torch.no_grad()
def decoded_between(model: DeepMixture, rows: Any, n: int) -> Any:
    """Decode n points between the codes of two rows; see `between`."""
    y = torch.cat(list(model._observed(rows)))
    module = model.model_
    q = module.encode(y)
    c = q.logits.argmax(-1, keepdim=True)
    z = q.given(c).mean[:, 0]
    t = torch.linspace(0, 1, n, device=z.device, dtype=z.dtype)[:, None]
    on_the_way = ((1 - t) * z[0] + t * z[1]).unsqueeze(1)
    mixed = c[:1].expand(n, 1)
    if bool(c[0] != c[1]):
        ends = one_hot(c[:, 0], module.n_categories).to(z.dtype)
        mixed = ((1 - t) * ends[0] + t * ends[1]).unsqueeze(1)
    params = module.decoder(on_the_way, mixed)[:, 0]
    expected = module.likelihood.expected(params, (1 - t) * y[0] + t * y[1])
    return model._to_shape(module.likelihood.to_data(expected))
