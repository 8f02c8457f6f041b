"""Rows that no fit sees: where they come from, for `cpvae compare` and `cpvae choose` alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from cpvae.data.containers import as_rows
from cpvae.data.limits import first_missing
from cpvae.data.loaders import Dataset
from cpvae.data.schema import Schema
from cpvae.errors import InputError, counted
from cpvae.estimators.contract import DeepMixture
from cpvae.estimators.rows_in import infer_schema, warn_of_columns
from cpvae.probability.likelihoods.choice import by_schema
from cpvae.study.evaluation import rows_at
from cpvae.study.inputs import choose_split_for_fit

SHARE = 0.2  # of the rows
LEAST = 2  # a standard error needs two rows


def hold_out(n: int, share: float = SHARE, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Part the numbers of `n` rows into those to fit and those to hold out, each in ascending order.

    Args:
        share: of the rows to hold out, between 0 and 1.
        seed: other seeds hold out other rows.

    Raises:
        InputError: too few rows to hold out two of them.

    >>> fitted, held = hold_out(10)
    >>> len(fitted), len(held), sorted([*fitted, *held]) == list(range(10))
    (8, 2, True)
    """
    size = round(share * n)
    if size < LEAST or n - size < LEAST:
        raise InputError(
            f"{counted(n, 'row')}, of which {share:.0%} are held out: expected at least {LEAST} rows to fit and "
            f"{LEAST} to hold out; give more rows"
        )
    held = np.zeros(n, bool)
    held[np.random.RandomState(seed).permutation(n)[:size]] = True
    return np.flatnonzero(~held), np.flatnonzero(held)


def with_held_out(data: Dataset, name: str = "test") -> Dataset:
    """Return a data set that has a split `name` of rows that no fit sees.

    A data set with such a split comes back as it is. Otherwise a fifth of the rows to fit, drawn with a fixed seed,
    become that split, and the others the split "train".

    Args:
        name: "test" for rows that judge a fit, "valid" for rows that choose one.

    Raises:
        InputError: too few rows.
    """
    if name in data.splits:
        return data
    source = choose_split_for_fit(data)
    rows = data.splits[source]
    fitted, held = (rows_at(rows, index) for index in hold_out(len(rows.x)))
    others = {split: part for split, part in data.splits.items() if split != source}
    return replace(data, splits={"train": fitted, **others, name: held})


def schema_of(estimator: DeepMixture, parts: Sequence[Any]) -> Schema | None:
    """Infer the schema of a table from all its parts, so that a fit to some of them knows the levels of all.

    Args:
        estimator: that is to be fitted to one of them.
        parts: rows, as the estimator takes them.

    Returns:
        None where the estimator would not fit the rows column by column.

    Raises:
        InputError: what `Schema.infer` refuses.
    """
    if all(isinstance(rows, pd.DataFrame) for rows in parts):
        whole: Any = pd.concat(parts, ignore_index=True)
    else:
        asked = by_schema(estimator.likelihood) or estimator.schema is not None
        flat = [as_rows(rows).flat for rows in parts]
        if not asked and not any(first_missing(rows) for rows in flat):  # plain numbers, which may be many
            return None
        whole = np.concatenate(flat)
    schema = infer_schema(as_rows(whole, estimator.kind), estimator.likelihood, estimator.schema)
    warn_of_columns(schema)
    return schema
