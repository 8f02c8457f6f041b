"""Drift: what has changed in new rows, seen through a fitted model.

Four questions are asked, each with a p of its own (`cpvae.study.two_samples`):

1. Are cells missing more often, or less, or are there levels that the fit did not have? Such a column is left aside in
   the other questions, on both sides: bounds and categories of rows with other gaps cannot be compared.
2. Do the categories have other shares than before?
3. Are the rows of a category less likely than before? Bounds of rows that the fit learned from are too good, so new
   rows are compared with held-out ones.
4. In which columns do the rows of a category differ from those before?

The p of a question are corrected for all columns and categories (Benjamini and Hochberg, 1995), and multiplied by the
number of questions (Bonferroni). So a false alarm in any of them has a chance of at most 5 %.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata
from sklearn.utils.validation import check_is_fitted

from cpvae.data.containers import as_rows
from cpvae.data.reading import Reading
from cpvae.data.schema import as_frame
from cpvae.errors import InputError, already_said, counted
from cpvae.estimators.clusterer import clusters
from cpvae.estimators.contract import DeepMixture
from cpvae.estimators.describing import are_counts, compared, some_of
from cpvae.estimators.rows_in import framed
from cpvae.study.two_samples import columns_p, frequency_p, middles, shares_interval, shares_p
from cpvae.words.changes import ALPHA, NOWHERE, BoundChange, CellChange, ColumnChange, Drift, ShareChange
from cpvae.words.contrasts import FEWEST, Feature, contrast, corrected, intervals, with_distances


def drift(
    model: DeepMixture,
    X_new: ArrayLike,
    X_reference: ArrayLike,
    *,
    X_held_out: ArrayLike | None = None,
    learned: bool = True,
) -> Drift:
    """Say whether new rows are unlike the rows before: the mix of categories, the rows within them, which columns.

    Args:
        model: fitted.
        X_new: the new rows, ``(n, ...)``; at least five.
        X_reference: the rows before, ``(m, ...)``, such as those of the fit.
        X_held_out: those of the rows before that the fit did not learn from. Bounds are compared with them.
        learned: whether the fit learned from `X_reference`; if not, these are the held-out rows.

    Returns:
        The answer in words and numbers; print it to read it.

    Raises:
        InputError: rows that the model does not take, or too few of them.

    Examples:
        >>> import numpy as np
        >>> import pandas as pd
        >>> from cpvae import CPVAE
        >>> def month(n, old, seed):
        ...     random = np.random.RandomState(seed)
        ...     age = np.where(random.rand(n) < old, random.normal(60, 4, n), random.normal(30, 4, n))
        ...     return pd.DataFrame({"age": age.round(1), "visits": random.normal(5, 1, n).round(1)})
        >>> may = month(200, old=0.3, seed=0)
        >>> model = CPVAE(2, latent_dim=1, hidden=(8,), max_epochs=30, batch_size=20, random_state=0).fit(may)
        >>> drift(model, month(100, old=0.3, seed=1), may).answer
        'No change found: 100 new rows are like the 200 rows before.'
        >>> drift(model, month(100, old=0.7, seed=1), may).answer
        'Changed: the mix of the categories.'
    """
    check_is_fitted(model)
    with already_said():
        old, new = _read(model, X_reference), _read(model, X_new)
        held_out = None if X_held_out is None else _read(model, X_held_out)
        if held_out is None and not learned:
            held_out = old
        for rows, name in ((new, "new row"), (old, "earlier row")):
            if (n := len(rows.matrix)) < FEWEST:
                raise InputError(f"{counted(n, name)}: expected at least {FEWEST} to compare; give more rows")
        cells = _cells(old, new) if model.schema_ is not None else []
        # columns are looked at before the others are set aside, since only p that are corrected decide that
        questions = 1 + (model.schema_ is not None) + (model.n_components_ > 1) + (held_out is not None)
        told = [one for one in (replace(one, p=min(1.0, questions * one.p)) for one in cells) if one.p <= ALPHA]
        aside = list(dict.fromkeys(one.column for one in told))
        if aside and len(aside) == len(old.names):
            note = "no column is left to compare the rows by"
            return Drift(len(new.matrix), len(old.matrix), cells=tuple(told), notes=(note,))
        old, new = old.without(aside), new.without(aside)
        of_old, of_new = _Looked(model, old), _Looked(model, new)
        found = Drift(len(new.matrix), len(old.matrix), cells=tuple(told))
        if model.n_components_ > 1:
            mix_p = min(1.0, questions * shares_p(of_old.counts, of_new.counts))
            found = replace(found, mix=tuple(_shares(model, of_old.counts, of_new.counts)), mix_p=mix_p)
        notes = [f"compared without {', '.join(map(repr, aside))}, whose cells have changed"] if aside else []
        if held_out is None:
            notes.append("the fit learned from the rows before, so that bounds are not compared")
        else:
            of_held_out = of_old if held_out is old else _Looked(model, held_out.without(aside))
            bounds = _bounds(model, of_held_out, of_new, questions)
            found = replace(found, bounds=tuple(bounds))
            notes += ["too few held-out rows in each category to compare bounds"] * (not bounds)
        columns = _columns(model, old, new, of_old.categories, of_new.categories, questions)
        return replace(found, columns=tuple(columns), notes=tuple(notes))


# -- rows --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Rows:
    """Rows as a model takes them.

    Attributes:
        x: that the model is asked about; of a table its cells.
        matrix: their numbers, ``(n, F)``.
        reading: of a table, what was unlike the fit.
    """

    x: Any
    matrix: Any
    reading: Reading | None

    @property
    def names(self) -> tuple[str, ...]:
        return () if self.reading is None else self.reading.names

    @property
    def unknown(self) -> np.ndarray:
        """Count the cells of each column whose level was not there in the fit, ``(F,)``."""
        counts = {one.column: one.cells for one in (self.reading.unknown if self.reading else ())}
        return np.array([counts.get(name, 0) for name in self.names])

    def some(self) -> np.ndarray:
        """Take the rows at `places`, ``(m, F)``."""
        return np.asarray(self.matrix[self.places()], dtype=np.float64)

    def places(self) -> np.ndarray:
        """Draw the positions of the rows that are compared, ``(m,)``."""
        return some_of(len(self.matrix))

    def without(self, aside: list[str]) -> _Rows:
        """Give the rows as if all cells of some columns were missing."""
        if not aside:
            return self
        matrix = np.array(self.matrix, dtype=np.float64)
        matrix[:, [self.names.index(name) for name in aside]] = np.nan
        return _Rows(self.x.assign(**dict.fromkeys(aside)), matrix, self.reading)


def _read(model: DeepMixture, X: Any) -> _Rows:
    if model.schema_ is None:
        return _Rows(X, model._check_rows(X, reset=False), None)
    return _Rows(*model.schema_.read(as_frame(framed(as_rows(X)).flat, model.schema_.given)))


class _Looked:
    """Rows that the model was asked about.

    Attributes:
        elbo: bounds, nats, ``(n,)``; categories: the likeliest of each row, ``(n,)``; counts: rows of each, ``(K,)``.
    """

    def __init__(self, model: DeepMixture, rows: _Rows):
        found = model.evaluate(rows.x)
        self.elbo = found.elbo
        self.categories = found.proba.argmax(1)
        self.counts = np.bincount(self.categories, minlength=model.n_components_)


# -- questions ---------------------------------------------------------------------------------------------------------


def _cells(old: _Rows, new: _Rows) -> list[CellChange]:
    """Ask of each column whether it is missing as often as before, and whether it has new levels."""
    assert new.reading is not None
    n = [np.full(len(new.names), len(side.matrix)) for side in (old, new)]
    levels = [side.unknown for side in (old, new)]
    missing = [np.isnan(side.matrix).sum(0) - strange for side, strange in zip((old, new), levels, strict=True)]
    p = np.stack([frequency_p(counts[0], n[0], counts[1], n[1]) for counts in (missing, levels)])
    nothing = np.stack([counts[0] + counts[1] == 0 for counts in (missing, levels)])  # to ask about
    p = corrected(np.where(nothing, np.nan, p))
    named = {one.column: one.levels for one in new.reading.unknown}
    absent = set(new.reading.absent)
    found = []
    for j, name in enumerate(new.names):
        kind = "absent" if name in absent else "missing"
        for row, (counts, what) in enumerate(((missing, kind), (levels, "level"))):
            before, now = (float(counts[i][j] / n[i][j]) for i in (0, 1))
            found.append(CellChange(name, what, before, now, named.get(name, ()) * (what == "level"), float(p[row, j])))
    return found


def _shares(model: DeepMixture, old: np.ndarray, new: np.ndarray) -> Iterator[ShareChange]:
    """Give the shares of the categories that have rows, the largest change first."""
    low, high = shares_interval(old, new)
    before, now = old / old.sum(), new / new.sum()
    for k in np.argsort(-np.abs(now - before), kind="stable"):
        if old[k] or new[k]:
            numbers = (float(values[k]) for values in (before, now, low, high))
            yield ShareChange(int(k), model.names_.get(int(k), ""), *numbers)


def _bounds(model: DeepMixture, old: _Looked, new: _Looked, questions: int) -> list[BoundChange]:
    """Ask of each category whether its rows are as likely as before."""
    found = {}
    for k in range(model.n_components_):
        sides = [side.elbo[side.categories == k] for side in (old, new)]
        if min(map(len, sides)) >= FEWEST:
            found[k] = middles(*sides)
    p = np.minimum(1.0, questions * corrected(np.array([one.p for one in found.values()])))
    return [
        BoundChange(*_place(model, k), one.old, one.new, one.low, one.high, one.effect, float(own))
        for (k, one), own in zip(found.items(), p, strict=True)
    ]


def _columns(
    model: DeepMixture, old: _Rows, new: _Rows, c_old: np.ndarray, c_new: np.ndarray, questions: int
) -> list[ColumnChange]:
    """Ask of each column whether its values in a category are those of before; the largest effect first."""
    pooled = compared(model, np.concatenate([old.some(), new.some()]))
    categories = np.concatenate([c_old[old.places()], c_new[new.places()]])
    is_new = np.arange(len(categories)) >= len(old.places())
    groups = {}
    for k in range(model.n_components_):
        own = categories == k
        if min((own & side).sum() for side in (is_new, ~is_new)) < FEWEST:
            continue
        values, features = pooled[0][own], pooled[1]
        if not are_counts(model):
            values, features = with_distances(values, features)
        ranks = rankdata(values, axis=0, nan_policy="omit")
        groups[k] = (values, features, ranks, is_new[own], columns_p(values, ranks, features, is_new[own]))
    if not groups:
        return []
    p = np.minimum(1.0, questions * corrected(np.stack([group[-1][1] for group in groups.values()])))
    found = []
    for (k, (values, features, ranks, new_here, (effect, _))), own_p in zip(groups.items(), p, strict=True):
        told = _strongest(effect, own_p, features)
        if not told:
            continue
        for j, low, high in zip(told, *intervals(values[:, told], ranks[:, told], new_here), strict=True):
            numbers = float(effect[j]), float(low), float(high), float(own_p[j])
            at = features.index(replace(features[j], distance=False))  # distances tell of values
            one = contrast(values[:, at], new_here, features[j], *numbers)
            found.append(ColumnChange(*_place(model, k), one))
    return sorted(found, key=lambda one: -abs(one.contrast.effect))


def _place(model: DeepMixture, k: int) -> tuple[int, str]:
    """Give the number and the name of a category, `NOWHERE` for a model without categories."""
    return (k, model.names_.get(k, "")) if clusters(model) else (NOWHERE, "")


def _strongest(effect: np.ndarray, p: np.ndarray, features: list[Feature]) -> list[int]:
    """Choose the columns that a test finds, each source once: the value, or the level, that has changed most."""
    best: dict[int, int] = {}
    told = np.flatnonzero(p <= ALPHA)
    for j in sorted(told, key=lambda j: (features[j].distance, -abs(float(effect[j])))):
        best.setdefault(features[j].source, int(j))
    return list(best.values())
