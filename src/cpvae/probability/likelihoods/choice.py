"""Likelihoods by name: chosen for rows, made from them, or made for a saved model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from cpvae.data.rows import Rows
from cpvae.errors import InputError, nearest
from cpvae.probability.likelihoods.bernoulli import Bernoulli
from cpvae.probability.likelihoods.columns import Columns
from cpvae.probability.likelihoods.counts import Counts
from cpvae.probability.likelihoods.gaussian import Gaussian
from cpvae.probability.likelihoods.isotropic import Isotropic, shared_scale
from cpvae.probability.likelihoods.levels import Levels, grid_of
from cpvae.probability.likelihoods.likelihood import Form, Likelihood
from cpvae.probability.likelihoods.zero_inflated import ZeroInflatedCounts

LIKELIHOODS: dict[str, type[Likelihood]] = {
    kind.name: kind for kind in (Bernoulli, Levels, Gaussian, Isotropic, Counts, ZeroInflatedCounts, Columns)
}
NAMES = tuple(LIKELIHOODS)
WIDE = 100  # columns from which on a matrix may be of counts that have a depth
MANY_ZEROS = 0.4  # of its values
MOST_COUNTED = 256  # counts told apart; those above are one


def by_schema(name: str) -> bool:
    """Say whether a likelihood is made from the schema of a table; "auto" is not, before it is chosen.

    >>> by_schema("columns"), by_schema("gaussian"), by_schema("auto")
    (True, False, False)
    """
    return name in LIKELIHOODS and LIKELIHOODS[name].by_schema


class Choice(NamedTuple):
    """A likelihood by its name, and why it was chosen, in words."""

    name: str
    why: str


def choose(x: np.ndarray, form: Form) -> Choice:
    """Choose the likelihood that suits rows, by a rule that is the same for all data sets.

    Args:
        x: rows of the fit, ``(n, ...)``; read in chunks.
        form: what is known of them.

    >>> choose(np.array([[0, 1], [1, 0]]), Form((2,)))
    Choice(name='bernoulli', why='all values are 0 or 1: ink')
    >>> choose(np.array([[0, 255], [90, 7]], np.uint8), Form((1, 1, 2)))
    Choice(name='levels', why='256 values from 0 to 255 in pictures: grey levels')
    >>> choose(np.array([[0.1, 0.9], [0.3, 0.2]]), Form((2,))).name
    'gaussian'
    """
    if form.schema is not None and not form.schema.is_matrix:
        return Choice(Columns.name, "a table: each column after its kind")
    if form.kind == "counts":
        return Choice(Counts.name, "counts, as was said")
    shape = form.shape
    rows = Rows(x)
    ends = _ends(rows, 255 if len(shape) == 3 else 1)
    if ends is not None:
        return Choice(Bernoulli.name, f"all values are 0 or {ends}: ink")
    if len(shape) == 3:
        grid = grid_of([rows])
        if grid is not None:
            levels = "grey levels" if shape[0] == 1 else "levels of colour"
            return Choice(
                Levels.name, f"{grid.top + 1:,} values from {grid.low:g} to {grid.high:g} in pictures: {levels}"
            )
        return Choice(Gaussian.name, "pictures whose values are no levels: measurements with a spread for each channel")
    if len(shape) == 2:
        return Choice(Gaussian.name, "signals: measurements with a spread for each channel")
    if form.schema is not None and all(column.kind == "count" for column in form.schema.columns):
        return Choice(Counts.name, f"counts in all {len(form.schema.columns):,} columns")
    if are_counts(rows):
        return Choice(Counts.name, f"whole numbers in {shape[0]:,} columns, mostly 0 and 1: counts that have a depth")
    shared = shared_scale(rows)
    name, why = (
        (Isotropic.name, shared)
        if shared
        else (Gaussian.name, "numbers in columns: measurements, each column by its own spread")
    )
    if shape[0] >= WIDE and are_whole(rows):
        say = "kind='counts' (--kind counts)" if form.schema is None else 'in the schema {"*": "count"}'
        why += f"; if the whole numbers count something, as reads of genes, say {say}"
    return Choice(name, why)


def are_counts(rows: Rows) -> bool:
    """Tell whether a matrix is of counts, as of genes in cells or of words in documents.

    It is wide, whole, of few values other than 0, and of these none is more frequent than 1. Pictures without a shape
    have the first three too, but their most frequent value other than 0 is near the top.
    """
    if rows.x.shape[1] < WIDE or not are_whole(rows):
        return False
    seen = np.zeros(MOST_COUNTED, dtype=np.int64)
    for x in rows.chunks():
        seen += torch.bincount(x.flatten().clamp_max(MOST_COUNTED - 1).long(), minlength=MOST_COUNTED).numpy(force=True)
    return bool(seen[0] >= MANY_ZEROS * seen.sum() and seen[1:].argmax() == 0 and seen[1:].any())


def are_whole(rows: Rows) -> bool:
    """Tell whether all values are whole numbers, none of them negative."""
    return all(bool(((x >= 0) & (x == x.round() if x.is_floating_point() else True)).all()) for x in rows.chunks())


def _ends(rows: Rows, most: int) -> int | None:
    """Find the value of ink where all values are 0 or that one: 1, or 255 if that is `most`."""
    for end in (1, 255)[: 1 + (most == 255)]:
        if all(bool(((x == 0) | (x == end)).all()) for x in rows.chunks()):
            return end
    return None


def make(name: str, rows: Rows, form: Form, valid: Rows | None = None) -> Likelihood:
    """Make a likelihood with the units of the training rows.

    Args:
        name: one of `NAMES`.
        rows: training rows; read in chunks.
        form: what is known of them.
        valid: validation rows, see `Likelihood.of`; they must be such that the likelihood can have produced them.

    Raises:
        InputError: an unknown name; values that the likelihood cannot have produced; a noise that it does not have.
    """
    found = _named(name).of(rows, form, valid)
    if form.noise is not None and not found.has_noise:
        raise InputError(
            f"noise={form.noise!r} with likelihood {name!r}, which has no noise; leave noise out, or "
            "use a likelihood of measurements, such as 'gaussian'"
        )
    for part in (rows, valid):
        if part is not None:
            found.check(part)
    return found


def make_like(name: str, state: Mapping[str, Tensor], form: Form) -> Likelihood:
    """Make a likelihood of the shapes of a saved state, whose values are still to be loaded.

    Raises:
        InputError: an unknown name; a state that does not fit the name or the form.
    """
    return _named(name).like(state, form)


def _named(name: str) -> type[Likelihood]:
    if name not in LIKELIHOODS:
        raise InputError(f"likelihood {name!r} is unknown{nearest(name, NAMES)}")
    return LIKELIHOODS[name]
