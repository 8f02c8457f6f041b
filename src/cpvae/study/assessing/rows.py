"""The rows of an assessment, from a run and two files: training rows, held-out rows, and synthetic rows.

A run keeps a fingerprint of the rows of its fit, and of their split. If the real file holds these rows, the validation
rows are the held-out ones. If it holds others, they are held out as they are, and the training rows are read from where
they lay in the fit. A file with the rows of the fit and more is parted: what is more is held out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cpvae.data.columns import Column
from cpvae.data.faults import enumerated
from cpvae.data.loaders import Dataset
from cpvae.data.schema import as_frame
from cpvae.data.split import fingerprint, split
from cpvae.errors import InputError, nearest
from cpvae.estimators.clusterer import clusters
from cpvae.estimators.contract import DeepMixture
from cpvae.estimators.zoo import load
from cpvae.fitting import runs
from cpvae.study.assessing.assessment import Assessment, Target, assess
from cpvae.study.assessing.tables import Table
from cpvae.study.inputs import choose_split_for_fit, load_data, reading_of, rows_of
from cpvae.study.places import about_of, apart_of, data_of
from cpvae.study.written import columns_written

WRITTEN = re.compile(r"component_*|component_name_*|draw_*")  # columns that cpvae writes beside those of the table
CATEGORY = "category"  # in place of a column to predict


@dataclass(frozen=True)
class Sides:
    """The rows of an assessment, as tables.

    Attributes:
        real: all rows of the real file.
        training, held_out: parts of the rows that the fit knew of, or not.
        numbers: of the training rows in the rows of the fit, ``(n,)``.
        synthetic: rows to assess.
        notes: what was noticed, a sentence each.
    """

    real: Table
    training: Table
    held_out: Table
    numbers: np.ndarray
    synthetic: Table
    notes: tuple[str, ...] = ()


def assess_run(
    run: Path,
    real: str,
    synthetic: str,
    target: str | None = None,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> Assessment:
    """Assess a file of synthetic rows beside a file of real ones, for the run whose model made them.

    Args:
        run: a run folder.
        real, synthetic: the data, as on the command line.
        target: a column to predict; by default "category", that which the model finds, if it has some.
        seed: of rows drawn from large tables, and of folds.

    Raises:
        InputError: no run of a table; files with other columns; the rows of the fit are gone, or none is held out.
    """
    model, about, data = _opened(run)
    columns = columns_of(model)
    where = _target(target, columns, model)
    sides = _sides(run, model, columns, about, data, real, synthetic, progress)
    found: Target | None
    if where is None and clusters(model) and model.n_components_ > 1:
        found = Target(None, *(_categories(model, one) for one in (sides.training, sides.held_out, sides.synthetic)))
    else:
        found = None if where is None else Target(where)
    return assess(
        sides.real,
        sides.training,
        sides.held_out,
        sides.synthetic,
        found,
        seed=seed,
        numbers=sides.numbers,
        notes=list(sides.notes),
    )


def columns_of(model: DeepMixture) -> tuple[Column, ...]:
    """Give the columns of a model of a table.

    Raises:
        InputError: it models images or signals.
    """
    if model.image_shape_ or model.signal_shape_:
        raise InputError(f"a model of {model.kind_}: expected one of a table, whose columns can be compared")
    if model.schema_ is not None:
        return model.schema_.columns
    return tuple(Column(name, "numeric") for name in columns_written(model))


def table_of(model: DeepMixture, rows: Any, name: str, others: Collection[str] | None = ()) -> Table:
    """Turn rows into numbers by the columns of a model.

    Args:
        rows: a data frame, or an array with the columns of the fit.
        name: of the rows, for errors.
        others: columns that may be there although the fit did not have them, such as labels; None for any.

    Raises:
        InputError: columns that are absent, or columns that the fit did not have: all of them in one message.
    """
    columns = columns_of(model)
    names = [column.name for column in columns]
    known = names if model.schema_ is None else list(model.schema_.given)
    if not isinstance(rows, pd.DataFrame) and np.ndim(rows) == 2 and np.shape(rows)[1] == len(known):
        rows = as_frame(rows, known)
    if np.ndim(rows) != 2:
        raise InputError(f"{name}: rows of shape {np.shape(rows)[1:]}; expected a table with the columns of the fit")
    frame = as_frame(rows)
    given = [str(one) for one in frame.columns]
    absent = [one for one in names if one not in given]
    passed = given if others is None else others
    strange = [one for one in given if one not in known and one not in passed and not WRITTEN.fullmatch(one)]
    if absent or strange:
        faults = [f"no column {enumerated([repr(one) for one in absent])}"] if absent else []
        faults += (
            [f"columns that the fit did not have: {enumerated([repr(one) for one in strange])}"] if strange else []
        )
        raise InputError(
            f"{name}: {'; '.join(faults)}; expected the columns of the fit, in any order; give such a file"
        )
    frame = frame.iloc[:, [given.index(one) for one in names]]
    frame.columns = pd.Index(names)
    try:
        values = frame.to_numpy(np.float64) if model.schema_ is None else model.schema_.encode(frame)
    except InputError as error:
        raise InputError(f"{name}: {error}") from error
    except ValueError as error:
        raise InputError(f"{name}: text in a column of numbers; expected numbers; correct the cells") from error
    return Table(columns, np.asarray(values, np.float64))


def _opened(run: Path) -> tuple[DeepMixture, dict[str, Any], dict[str, Any]]:
    """Open a run: its model, and what it keeps about its data."""
    if not (run / runs.CONFIG).is_file():
        raise InputError(
            f"{run} is a saved model: it does not say which rows it learned from; give the folder of a run"
        )
    config = runs.read_config(run)
    data = dict(config["data"])
    if "digest" not in data:
        raise InputError(f"{run} comes from an earlier version, which kept no fingerprint of the rows; fit again")
    return load(run), about_of(run), {**data, "seed": config["seeds"][0]}


def _target(target: str | None, columns: Sequence[Column], model: DeepMixture) -> int | None:
    """Find the column to predict; None for the category."""
    names = [column.name for column in columns]
    if target is None or (target == CATEGORY and target not in names):
        return None
    if target not in names:
        raise InputError(f"--target {target!r}: no such column of the fit{nearest(target, names)}")
    return names.index(target)


def _categories(model: DeepMixture, table: Table) -> np.ndarray:
    """Find the category of each row."""
    rows: Any = table.values
    if model.schema_ is not None:
        rows = model.schema_.decode(rows)
    elif hasattr(model, "feature_names_in_"):
        rows = pd.DataFrame(rows, columns=list(model.feature_names_in_))
    assert clusters(model)
    return model.predict(rows)


def _sides(
    run: Path,
    model: DeepMixture,
    columns: Sequence[Column],
    about: dict[str, Any],
    data: dict[str, Any],
    real: str,
    synthetic: str,
    progress: Callable[[str], None] | None,
) -> Sides:
    """Read the files, and part the real rows into training and held-out ones."""

    def read(source: str) -> Dataset:
        return load_data(source, None, progress, reading_of(model, about, source))

    made = read(synthetic)
    new = table_of(model, rows_of(made, next(iter(made.splits))), synthetic, others=apart_of(about))
    swapped = (
        f"{synthetic} holds the rows of the fit: were the files given the wrong way round? REAL comes first, SYNTHETIC "
        "second.",
    ) * _is_same(new, data)
    given = read(real)
    parts = {name: table_of(model, rows_of(given, name), real, others=None) for name in given.splits}
    whole = _joined(list(parts.values()))
    fitted = choose_split_for_fit(given)
    if _is_same(parts[fitted], data):
        others = [table for name, table in parts.items() if name != fitted]
        learned, rest = _parted(parts[fitted], model, data, others, run)
        return Sides(whole, parts[fitted].at(learned), rest, learned, new, swapped)
    rows = _rows_of_fit(run, model, about, data, read)
    learned, _ = _parted(rows, model, data, [whole], run)
    extra, notes = _not_in(whole, rows, real)
    return Sides(whole, rows.at(learned), whole.at(extra), learned, new, (*swapped, *notes))


def _joined(tables: Sequence[Table]) -> Table:
    return Table(tables[0].columns, np.concatenate([table.values for table in tables]))


def _is_same(table: Table, data: dict[str, Any]) -> bool:
    """Tell whether rows are those of the fit, by their fingerprint."""
    if len(table) != data["rows"]:
        return False
    found = fingerprint(np.ascontiguousarray(table.values.astype(data["dtype"])))
    return found["digest"] == data["digest"]


def _parted(
    table: Table, model: DeepMixture, data: dict[str, Any], others: Sequence[Table], run: Path
) -> tuple[np.ndarray, Table]:
    """Part the rows of the fit: positions of the training rows, and the rows that are held out.

    Args:
        others: rows beside those of the fit, which it did not see.
    """
    told = data.get("split")
    if told is None:  # validation rows were given
        learned, held = np.arange(len(table)), np.empty(0, np.int64)
    else:
        parts = split(len(table), model.validation_fraction, model.n_components, data["seed"])
        if parts.as_dict() != told:
            raise InputError(f"{run}: the split of its rows cannot be made again; fit again")
        learned, held = parts.train, parts.valid[: 0 if parts.overlap else None]
    rest = _joined([table.at(held), *others])
    if not len(rest):
        raise InputError(f"the fit of {run} held out no rows; expected some that it did not see; give them as REAL")
    return learned, rest


def _rows_of_fit(
    run: Path, model: DeepMixture, about: dict[str, Any], data: dict[str, Any], read: Callable[[str], Dataset]
) -> Table:
    """Read the rows of the fit from where they lay."""
    source, _ = data_of(about)
    advice = "distances to them cannot be measured; put them back, or give them as REAL"
    if source is None:
        raise InputError(f"{run} does not say where the rows of its fit lie; {advice}")
    try:
        found = read(source)
    except InputError as error:
        raise InputError(f"the rows of the fit cannot be read ({error}); {advice}") from error
    rows = table_of(model, rows_of(found, choose_split_for_fit(found)), source, others=None)
    if not _is_same(rows, data):
        raise InputError(f"{source} no longer holds the rows of the fit of {run}; {advice}")
    return rows


def _not_in(whole: Table, rows: Table, name: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Find the real rows that are not among the rows of the fit, where these are all there."""
    keys, own = (Counter(row.tobytes() for row in table.values) for table in (rows, whole))
    shared = sum((keys & own).values())
    if shared < len(rows):
        text = f"{shared:,} of the rows of {name} are also rows of the fit. They count as held-out rows."
        return np.arange(len(whole)), (text,) * (shared > len(whole) // 10)
    extra = []
    for i, row in enumerate(whole.values):
        key = row.tobytes()
        if keys[key]:
            keys[key] -= 1
        else:
            extra.append(i)
    text = (
        f"{name} holds the {len(rows):,} rows of the fit and {len(extra):,} others; the others are the held-out rows."
    )
    return np.array(extra, np.int64), (text,)
