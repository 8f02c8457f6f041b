"""The category of each row, written part by part: in the same memory for any number of rows, and resumable.

Parquet files and cells are read some rows at a time (`cpvae.data.loaders.parts`). Other data are opened as they are and
answered for some rows at a time. The answer for each part is a file in a folder beside the output. When all are there
they become the output, and the folder goes. A command that was stopped or killed finds them, and goes on.
"""

from __future__ import annotations

import glob
import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cpvae import __version__
from cpvae.data import loaders
from cpvae.data.loaders import shards
from cpvae.data.loaders.checks import expanded
from cpvae.data.reading import Reading
from cpvae.errors import InputError, already_said
from cpvae.estimators.clusterer import Clusterer
from cpvae.estimators.novelty import lowest
from cpvae.estimators.zoo import load
from cpvae.files import read_json, replacing, write_atomic, write_json
from cpvae.fitting import runs
from cpvae.study.answers import with_categories
from cpvae.study.inputs import naming
from cpvae.study.places import about_of
from cpvae.study.steps import Step, stepped
from cpvae.words.names import label
from cpvae.words.phrases import odd_in_words

FOLDER = ".parts"  # after the name of the output
PLAN = "plan.json"


def cluster_rows(
    run: Path,
    source: str,
    out: Path,
    *,
    labels: str | None = None,
    layer: str | None = None,
    split: str | None = None,
    strict: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, str]:
    """Write row, category and its probability of each row into a .csv or .parquet file.

    The last column, odd, says which rows are unlike anything that the model was fitted on (`novelty.lowest`). Where the
    user gave names to categories, a column has them, beside the numbers. Rows that have names, such as the
    files of a folder of pictures, are written with them. So are the columns of a table that were left out of the fit
    because they only say which row is which.

    Args:
        run: a run folder, or a saved model.
        source, labels, layer: the data, as on the command line.
        split: of the data.
        strict: refuse a table that is unlike that of the fit.
        say: is told what was read, and of many rows how far it is.

    Returns:
        How many rows each category has, in words.

    Raises:
        InputError: a model without categories; data that cannot be read for it; a file that cannot be written.
        KeyboardInterrupt: stopped; the next call with the same arguments goes on.
    """
    model, asked = with_categories(load(run)), (labels, layer, split, strict)
    rows = stepped(model, about_of(run), source, *asked, say=say)
    plan = {
        "version": __version__,
        "model": hashlib.sha256(runs.model_of(run).read_bytes()).hexdigest(),
        "data": _state(source),
        "asked": [*asked],
        "steps": len(rows.steps),
    }
    least = lowest(model)
    kind, folder, records = out.suffix.lower(), out.with_name(out.name + FOLDER), list[dict[str, Any]]()
    with runs.held(folder):
        _begin(folder, plan, say)
        try:
            for i, step in enumerate(rows.steps):
                with naming(rows.name):
                    records.append(_answered(model, least, step, folder / f"{i:06}{kind}"))
                _tell_progress(rows.steps, i, say)
            _join(sorted(folder.glob(f"*{kind}")), out)
        except (InputError, KeyboardInterrupt) as stop:
            if not records:
                shutil.rmtree(folder, ignore_errors=True)
                raise
            kept = f"{len(records)} of {len(rows.steps)} parts are in {folder}; to go on, run the same command again"
            if isinstance(stop, InputError):
                raise InputError(f"{stop}; {kept}") from stop
            say(kept)
            raise
        shutil.rmtree(folder, ignore_errors=True)
    notes = dict.fromkeys([*rows.notes, *(note for record in records for note in record["notes"])])
    readings = [Reading.from_dict(record["reading"]) for record in records if record["reading"] is not None]
    for note in [*notes, *(Reading.join(readings).lines(rows.name) if readings else [])]:
        say(note)
    counts = np.sum([record["counts"] for record in records], axis=0).tolist()
    n = rows.steps[-1].first + rows.steps[-1].rows
    if odd := sum(record["odd"] for record in records):
        say(f"{odd_in_words(odd, n)}: those with True in the column odd")
    return {label(k, model.names_): f"{m:,} row{'s' * (m != 1)} ({m / n:.1%})" for k, m in enumerate(counts) if m}


def _answered(model: Clusterer, least: float, step: Step, place: Path) -> dict[str, Any]:
    """Give what is known of the answer for some rows; where there is none yet, write the answer and what is known."""
    record = place.with_suffix(".json")
    if record.exists() and place.exists():
        return read_json(record, "what is known of an answer", f"remove {place.parent}")
    frames, readings, notes = list[pd.DataFrame](), list[Reading](), dict[str, None]()
    counts, odd, first = np.zeros(model.n_components_, np.int64), 0, step.first
    try:
        for piece in step.pieces():
            with already_said():
                found = model.predict_frame(piece.rows, lowest=least)
            frames.append(_with_names(found, piece.names, first))
            first += len(found)
            odd += int(found["odd"].sum())
            counts += np.bincount(found["category"], minlength=len(counts))
            readings += [piece.reading] if piece.reading is not None else []
            notes.update(dict.fromkeys(piece.notes))
    except InputError as error:
        where = f"; rows are counted from row {first:,} of the data on" if first else ""
        raise InputError(f"{error}{where}") from error
    frame = pd.concat(frames, ignore_index=True)
    if place.suffix == ".csv":
        write_atomic(place, frame.to_csv(index=False, header=not step.first))
    else:
        write_atomic(place, frame.to_parquet(index=False))
    reading = asdict(Reading.join(readings)) if readings else None
    known = {"counts": counts.tolist(), "odd": odd, "reading": reading, "notes": [*notes]}
    write_json(record, known)
    return known


def _with_names(found: pd.DataFrame, names: Mapping[str, Any], first: int) -> pd.DataFrame:
    """Begin an answer with the numbers of its rows, from `first` on, and the columns by which a person knows them."""
    own: dict[str, Any] = {"row": np.arange(first, first + len(found))}
    own |= {str(name): cells.to_numpy() for name, cells in found.items()}
    named: dict[str, Any] = {}
    for name, cells in names.items():
        column = pd.Series(cells)
        if column.dtype.kind == "f" and bool((column.dropna() == np.floor(column.dropna())).all()):
            column = column.astype("Int64")  # where a part has no missing cell they are integers, too
        named[f"{name}_" * (name in own) or name] = column
    own["probability"] = own["probability"].round(6)
    return pd.DataFrame({"row": own.pop("row"), **named, **own})


def _join(places: list[Path], out: Path) -> None:
    """Join the answers for all parts."""
    with replacing(out) as file:
        if places[0].suffix == ".csv":
            for place in places:
                with place.open("rb") as part:
                    shutil.copyfileobj(part, file)
            return
        import pyarrow as pa
        from pyarrow import parquet

        schema = pa.unify_schemas([parquet.read_schema(place) for place in places], promote_options="permissive")
        with parquet.ParquetWriter(file, schema) as writer:
            for place in places:
                writer.write_table(parquet.read_table(place).cast(schema))


def _begin(folder: Path, plan: dict[str, Any], say: Callable[[str], None]) -> None:
    """Keep the answers that a folder holds if they are to the same question; else remove them.

    Raises:
        InputError: the folder holds something else.
    """
    there, others = folder / PLAN, [one for one in folder.iterdir() if one.name != runs.LOCK]
    if others and not there.exists():
        raise InputError(f"{folder} is not of this command: expected no such folder; move it, or give another --out")
    if others:
        with suppress(InputError):
            if read_json(there, "a plan", "remove it") == plan:
                return
        say(f"{folder} answers for another model, other data or other options: begun anew")
    for old in others:
        old.unlink()
    write_json(there, plan)


def _state(source: str) -> str:
    """Digest names, sizes and times of the files of the data; a data set by name stays as it is."""
    path = expanded(Path(source))
    files: list[Path] = []
    if source not in loaders.NAMES:
        inside = sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]
        files = shards.find(path) or (inside if path.exists() else sorted(map(Path, glob.glob(str(path)))))
    states = [(str(one.absolute()), one.stat().st_size, one.stat().st_mtime_ns) for one in files]
    return hashlib.sha256(json.dumps([source, states]).encode()).hexdigest()


def _tell_progress(steps: Sequence[Step], i: int, say: Callable[[str], None]) -> None:
    """Say how far an answer in several steps is, ten times in all."""
    n, rows = len(steps), steps[-1].first + steps[-1].rows
    if n > 1 and (10 * (i + 1)) // n > (10 * i) // n:
        say(f"{steps[i].first + steps[i].rows:,} of {rows:,} rows")
