"""Tables written as text files, in the form of the table of the fit."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from cpvae.data.schema import Schema
from cpvae.estimators.contract import DeepMixture


def as_csv(frame: pd.DataFrame, schema: Schema | None) -> str:
    """Write a table as comma-separated text; whole numbers stay whole where cells are missing.

    >>> schema = Schema.infer(pd.DataFrame({"year": [2007, 2008, 2009, 2011] * 5, "arm": [1, 2] * 10}))
    >>> print(as_csv(pd.DataFrame({"year": [2008.0, None], "arm": [2.0, None], "n": [1, 2]}), schema).rstrip())
    year,arm,n
    2008,2,1
    ,,2
    """
    frame = frame.copy(deep=False)
    for column in schema.columns if schema is not None else ():
        if column.name not in frame.columns or not column.is_whole:
            continue
        cells = frame[column.name]
        if cells.dtype.kind == "f" and bool((cells.dropna() == np.floor(cells.dropna())).all()):
            frame[column.name] = cells.astype("Int64")
    return frame.to_csv(index=False)


def as_whole(values: np.ndarray) -> np.ndarray:
    """Give numbers as integers if all of them are whole, as counts and levels are.

    >>> as_whole(np.array([1.0, 2.0])), as_whole(np.array([1.0, 2.5]))
    (array([1, 2]), array([1. , 2.5]))
    """
    whole = bool(np.isfinite(values).all() and (values == np.rint(values)).all() and (np.abs(values) < 2.0**53).all())
    return values.astype(np.int64) if whole else values


def columns_written(model: DeepMixture) -> list[str]:
    """Name the columns of a model's rows in a file: x0, x1 and so on where the fit had no names."""
    names = getattr(model, "feature_names_in_", [f"x{i}" for i in range(model.n_features_in_)])
    return [str(name) for name in names]


def free_name(name: str, frame: pd.DataFrame) -> str:
    """Give a name that no column has: the one asked for, with as many underscores as needed.

    >>> free_name("draw", pd.DataFrame({"draw": [1]}))
    'draw_'
    """
    return distinct([name], frame.columns)[0]


def distinct(names: Iterable[str], taken: Iterable[str]) -> list[str]:
    """Tell names apart from those that are taken, and from each other: each gets as many underscores as needed.

    >>> distinct(["row", "size", "row"], ["row"])
    ['row_', 'size', 'row__']
    """
    used, found = set(taken), []
    for name in names:
        while name in used:
            name += "_"
        used.add(name)
        found.append(name)
    return found
