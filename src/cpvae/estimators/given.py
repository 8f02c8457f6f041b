"""Rows of which something is known: `sample` with `given`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from cpvae.data.columns import Column
from cpvae.data.conditions import Condition, Part, read_given
from cpvae.data.rows import Rows
from cpvae.errors import InputError, nearest, one_line, warn
from cpvae.estimators.gaps import drawn
from cpvae.estimators.rows_in import RowsIn
from cpvae.probability.conditional import Candidates, Known, Prior, candidates, complete
from cpvae.probability.models import VAE as VAEModule

if TYPE_CHECKING:
    from cpvae.estimators.contract import DeepMixture

LEAST_CANDIDATES, MOST_CANDIDATES = 4000, 32_000
CANDIDATES_A_ROW = 4
FEW = 100  # candidates in effect, below which a warning says so


def with_gaps(estimator: RowsIn) -> VAEModule:
    """Give the model with a likelihood that marginalises missing cells."""
    model = estimator.model_
    return VAEModule(model.posterior, model.prior, model.decoder, model.likelihood.with_gaps(), model.latent_dim)


def columns_of(estimator: RowsIn) -> tuple[list[Column], dict[str, str]]:
    """Give the columns of which something may be known, and those that are left out of the model, with the reason.

    Raises:
        InputError: rows are pictures or signals.
    """
    shape = estimator.image_shape_ or estimator.signal_shape_
    if shape is not None:
        raise InputError(
            f"columns of {estimator.kind_} of shape {shape}, which have none; expected an array of that shape as "
            "given, NaN where a value is not known"
        )
    schema = estimator.schema_
    if schema is not None:
        return list(schema.columns), {one.name: one.reason for one in schema.left_out}
    names = getattr(estimator, "feature_names_in_", range(estimator.n_features_in_))
    likelihood = estimator.model_.likelihood
    (least, most), decimals = likelihood.span or (None, None), 0 if likelihood.step == 1 else None
    kind = likelihood.column_kind
    columns = [Column(str(name), kind, decimals=decimals, least=least, most=most) for name in names]
    for j, value in likelihood.constants().items():
        columns[j] = replace(columns[j], least=value, most=value)
    return columns, {}


def condition_of(estimator: RowsIn, given: Any) -> Condition | Part:
    """Read what is known of rows: columns of a table or matrix by name, or a part of a picture or signal.

    Raises:
        InputError: what `read_given` refuses; an array of another shape, or one that leaves nothing to draw; a range
            where the likelihood has none.
    """
    shape = estimator.image_shape_ or estimator.signal_shape_
    if shape is None:
        condition = read_given(given, *columns_of(estimator))
        if not (estimator.model_.likelihood.ranged or np.isnan(condition.low).all()):
            raise InputError(
                f"given has a range, for likelihood {estimator.likelihood_!r}; expected values; give single values"
            )
        return condition
    expected = f"expected an array of shape {shape} with numbers, NaN where a value is not known"
    if isinstance(given, (Mapping, str)):
        raise InputError(f"given for {estimator.kind_} of shape {shape}: {expected}")
    try:
        array = given if isinstance(given, np.ma.MaskedArray) else np.asarray(given, dtype=np.float64)
        if array.size != math.prod(shape):
            raise InputError(f"got one of shape {array.shape}")
        values = np.asarray(estimator._check_rows(array[None], reset=False, gaps=True), dtype=np.float64)[0]
    except (TypeError, ValueError, IndexError, InputError) as error:
        raise InputError(f"given for {estimator.kind_}: {expected}; {one_line(error)}") from error
    return Part.of(values)


def sample_given(
    estimator: DeepMixture, n: int, given: Any, weights: Tensor, missing: bool = False
) -> tuple[pd.DataFrame | np.ndarray, np.ndarray]:
    """Draw rows of which something is known, from p(other cells | given), by importance resampling.

    Numbers that are known are in the rows exactly, and those in a range lie in it as they are written: the rows are
    distributed like those of `sample` that happen to fulfil what is given. `cpvae.probability.conditional` has the
    method. A data frame says in ``attrs`` how many candidates it rests on: "effective" of "candidates".

    Args:
        estimator: fitted.
        n: number of rows.
        given: column -> value or range, as `cpvae.data.conditions.read_given` takes them; for pictures and signals an
            array of the shape of a row, NaN where a value is not known.
        weights: of the components, ``(K,)``.
        missing: leave cells missing as often as in the fit, but for those that are known.

    Returns:
        Rows in the form of `sample`, and the component of each, ``(n,)``.

    Raises:
        InputError: what `condition_of` refuses; probability zero.
    """
    model = with_gaps(estimator)
    condition = condition_of(estimator, given)
    device = model.device
    prior = Prior(model.latent(), weights)
    total = min(max(LEAST_CANDIDATES, CANDIDATES_A_ROW * n), MOST_CANDIDATES)
    known = known_of(model, condition, device)
    (found,) = candidates(model, known, prior, total)
    _check(found, total)
    matrix = np.empty((n, len(condition.values)))
    categories = np.empty(n, dtype=np.int64)
    c, z, depth = found.take(n)
    for part in torch.arange(n, device=device).split(8192):
        rows = complete(model, known, c[:, part], z[:, part], None if depth is None else depth[:, part])[0]
        at = part.numpy(force=True)
        matrix[at] = model.likelihood.to_data(rows).numpy(force=True)
        categories[at] = prior.components(c[:, part], z[:, part])[0].numpy(force=True)
    if isinstance(condition, Condition) and estimator.schema_ is not None:
        matrix = condition.inside(matrix, estimator.schema_.written(matrix))
    matrix = condition.hold(matrix)
    if missing:
        matrix[drawn(estimator, categories, condition.known)] = np.nan
    if estimator.schema_ is None:
        shape = estimator.image_shape_ or estimator.signal_shape_
        return matrix.reshape(-1, *shape) if shape else matrix, categories
    table = estimator.schema_.decode(matrix)
    table.attrs = {"effective": float(found.effective[0]), "candidates": total}
    return table, categories


def log_prob_given(
    estimator: RowsIn, X: Any, columns: Sequence[Any], given: Sequence[Any], n_samples: int
) -> np.ndarray:
    """Estimate log p(x of some columns | x of others) of each row, ``(n,)``, nats, in the units of the data.

    It is the difference of two estimates of `cpvae.probability.conditional.Candidates.log_known`.

    Raises:
        InputError: unknown columns, or one that is in both lists.
    """
    for what, names in (("columns", columns), ("given", given)):
        if isinstance(names, str) or not np.iterable(names):
            raise InputError(f"{what}={names!r}: expected a list of names; give [{names!r}]")
    known, left_out = columns_of(estimator)
    place = {column.name: j for j, column in enumerate(known)}
    asked, held = [str(name) for name in columns], [str(name) for name in given]
    faults = [
        f"{name!r}: "
        + (f"left out of the model ({left_out[name]})" if name in left_out else "no such column")
        + ("" if name in left_out else nearest(name, place))
        for name in dict.fromkeys([*asked, *held])
        if name not in place
    ]
    faults += [f"{name!r} is in columns and in given; leave one of the two out" for name in asked if name in held]
    if faults or not asked:
        raise InputError("; ".join(faults) or "columns is empty: expected one or more columns")
    model = with_gaps(estimator)
    device, prior = model.device, Prior(model.latent())
    total = []
    for x in Rows(estimator._check_rows(X, reset=False, gaps=True), device=device).chunks():
        parts: list[Tensor] = []
        for names in ([*asked, *held], held):
            if not names:
                parts.append(torch.zeros_like(parts[0]))
                continue
            seen = torch.full(x.shape, torch.nan, dtype=torch.float64, device=device)
            at = [place[name] for name in names]
            seen[:, at] = x[:, at].double()
            found = candidates(
                model, Known(model.likelihood.draw_fixed(model.likelihood.to_model(seen))), prior, n_samples
            )
            parts.append(torch.cat([one.log_known for one in found]))
        total.append((parts[0] - parts[1]).numpy(force=True))
    return np.concatenate(total)


def known_of(model: VAEModule, condition: Condition | Part, device: torch.device) -> Known:
    """Turn what is known into the units of the model.

    Raises:
        InputError: a value so far from the rows of the fit that the model cannot compute with it.
    """
    values = condition.values if isinstance(condition, Part) else condition.single
    if not np.isnan(values).all():
        model.likelihood.check(Rows(values[None]))

    def units(row: np.ndarray) -> Tensor:
        return model.likelihood.to_model(torch.from_numpy(row).to(device))

    y = model.likelihood.draw_fixed(units(values).unsqueeze(0))
    if isinstance(condition, Part):
        return Known(y)
    low, high = condition.event()
    return Known(y) if np.isnan(low).all() else Known(y, units(low), units(high))


def _check(found: Candidates, total: int) -> None:
    """Refuse what has probability zero, and warn if the rows rest on few candidates."""
    if bool(found.log_weights.isinf().all()):
        raise InputError(
            "what is given has probability zero under the model, for all candidates; expected values like those of the "
            "fit; give others, or wider ranges"
        )
    effective = float(found.effective[0])
    if effective < FEW:
        warn(
            f"draws rest on {effective:,.0f} of {total:,} candidates, which is few: what is given is rare under the "
            "model; they may miss a part of what is possible; give less, or wider ranges"
        )
