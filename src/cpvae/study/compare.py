"""Several models on one data set, over components and seeds, judged alike: `cpvae compare`.

Each fit is a run folder of its own (`cpvae.fitting.runs`), so a comparison that was stopped goes on where it stopped,
and every cell of its table can be traced. Fits run side by side in processes by joblib; inside
``joblib.parallel_config(backend=...)`` they run on that backend (`cpvae.fitting.jobs`). A fit gives the same bits
whatever runs beside it: it has one thread, since sums in more round differently, and a process to itself while it
lasts, since torch's random state is the process's. A backend of threads does one fit after the other.

Models are judged by rows that no fit saw: the test rows of the data set, or a fifth of the rows where it has none
(`cpvae.study.held_out`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import numpy as np

from cpvae.arguments import whole
from cpvae.data.loaders import Dataset
from cpvae.data.schema import Schema
from cpvae.data.split import fingerprint
from cpvae.errors import InputError, counted, nearest
from cpvae.estimators import files as model_files
from cpvae.estimators.rows_in import as_table
from cpvae.estimators.zoo import ESTIMATORS, load
from cpvae.files import read_json, write_atomic, write_json
from cpvae.fitting import runs
from cpvae.fitting.devices.threads import at_most
from cpvae.fitting.jobs import Done, Job, at_a_time, check_number, run
from cpvae.probability.estimates import standard_error
from cpvae.probability.likelihoods.choice import by_schema
from cpvae.study.comparison import DRAWN, PROTOCOL, as_markdown, page, table_rows
from cpvae.study.evaluation import choose_split, evaluate_model, some_rows
from cpvae.study.fits import fit_run
from cpvae.study.held_out import schema_of, with_held_out
from cpvae.study.inputs import check_enough, choose_split_for_fit, estimator_for, load_data, rows_of, tell_notes
from cpvae.study.judge import Judge, judge_for
from cpvae.study.judging import judge_model
from cpvae.study.quality import NEIGHBOURS

RESULT, TABLE, PAGE = "comparison.json", "comparison.md", "comparison.html"
EVALUATION = "evaluation.json"  # in the folder of each run
JUDGED_AS = 3  # raised when what an evaluation holds changes, so that earlier ones are made again


@dataclass(frozen=True)
class Entry:
    """One fit of a comparison: a model by name, its number of components or None, and a seed."""

    model: str
    components: int | None
    seed: int

    @property
    def name(self) -> str:
        """Name its run folder.

        >>> Entry("vae", None, 0).name, Entry("mog", 10, 2).name
        ('vae-seed0', 'mog-k10-seed2')
        """
        middle = "" if self.components is None else f"-k{self.components}"
        return f"{self.model}{middle}-seed{self.seed}"

    def params(self, others: dict[str, Any]) -> dict[str, Any]:
        """Give its arguments, with those that all jobs share."""
        own = {} if self.components is None else {"n_components": self.components}
        return {**others, **own, "random_state": self.seed}


@dataclass(frozen=True)
class Protocol:
    """The rows and numbers by which every fit is judged.

    Attributes:
        split: the rows; None means "test", held out of the rows to fit where the data set has none.
        importance_samples: S of the importance-weighted likelihood, on at most `importance_rows` rows.
        samples: generated rows for the judge, and `per_component` from each component.
    """

    split: str | None = None
    importance_samples: int = 500
    importance_rows: int = 1000
    samples: int = 2000
    per_component: int = 100


def entries_of(models: Sequence[str], components: Sequence[int], seeds: int) -> list[Entry]:
    """List all fits, one seed after the other, so that a comparison stopped early compares like with like.

    >>> [entry.name for entry in entries_of(["mog", "vae"], [5, 10], 1)]
    ['mog-k5-seed0', 'mog-k10-seed0', 'vae-seed0']
    """
    if not models:
        raise InputError(f"no models given: expected some of {', '.join(ESTIMATORS)}")
    for name in models:
        if name not in ESTIMATORS:
            raise InputError(f"model {name!r} is unknown{nearest(name, ESTIMATORS)}")
    for k in components:
        whole("components", k, 1)
    whole("seeds", seeds, 1)
    pairs: list[tuple[str, int | None]] = []
    for name in dict.fromkeys(models):
        mixed = "n_components" in ESTIMATORS[name]().get_params()
        if mixed and not components:
            raise InputError(f"model {name!r} needs a number of components; say --components 10")
        pairs += [(name, k) for k in dict.fromkeys(components)] if mixed else [(name, None)]
    check_number(seeds * len(pairs))
    return [Entry(name, k, seed) for seed in range(seeds) for name, k in pairs]


@dataclass(frozen=True)
class Common:
    """All that the fits of a comparison share, as each process needs it.

    Attributes:
        source, labels, reading: the data, as on the command line.
        params: arguments of all estimators.
        schema: kinds and levels of the columns of a table, over all its rows; None for rows of plain numbers.
        protocol: how fits are judged; judge: the folder of the judge, or None.
        out: the folder of the comparison.
        digest: of the data.
    """

    source: str
    labels: str | None
    reading: dict[str, Any]
    params: dict[str, Any]
    schema: Schema | None
    protocol: Protocol
    judge: Path | None
    out: Path
    digest: str

    def data(self) -> Dataset:
        """Read the data."""
        return _data_to_judge_by(load_data(self.source, self.labels, None, self.reading), self.protocol.split)

    @property
    def asked(self) -> dict[str, Any]:
        """Tell what an evaluation has to have been made with, to be believed."""
        asked = {**asdict(self.protocol), "judge": self.judge is not None}
        return {**asked, "data": self.digest, "judged_as": JUDGED_AS}


# More than 60 lines: arguments and their docstring are half of it; the rest is the order of the work.
def compare_models(
    source: str,
    models: Sequence[str],
    components: Sequence[int],
    seeds: int,
    out: Path,
    *,
    labels: str | None = None,
    reading: dict[str, Any] | None = None,
    params: dict[str, Any] | None = None,
    protocol: Protocol | None = None,
    n_jobs: int | None = None,
    progress: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Fit, judge, and write the table as JSON, Markdown and HTML.

    Args:
        source, labels, reading: the data, as on the command line; `reading` as `cpvae.study.inputs.load_data`.
        models: names of models; components: K of those that have components; seeds: how many, from 0.
        out: a folder; what it already holds of this comparison is not done again.
        params: arguments of all estimators, such as ``{"max_epochs": 30}``.
        n_jobs: fits side by side; None is one for each core or what the backend has, and one where there is a GPU.
        progress: told a line for each fit.

    Returns:
        What is written to ``comparison.json``: ``rows`` of the table, and ``runs`` behind it.

    Raises:
        InputError: as `cpvae fit`; or the folder holds runs on other data or with other arguments. Nothing is fitted
            then.
    """
    protocol, params = protocol or Protocol(), params or {}
    entries = entries_of(models, components, seeds)
    check_options(entries, params)
    given = load_data(source, labels, progress, reading)
    check_enough(given)
    tell_notes(given, progress)
    data = _data_to_judge_by(given, protocol.split)
    split, fitted = choose_split(data, protocol.split), choose_split_for_fit(data)
    check_rows(data, entries)
    estimator = estimator_for(given, entries[0].model, entries[0].params(params))
    schema = schema_of(estimator, [rows_of(data, name) for name in data.splits])
    asked = params if schema is None else {**params, "schema": schema.as_given()}
    check_folders(out, source, data, entries, asked)
    held_out = None
    if data is not given:
        held_out = {"rows": len(data.splits[split].x), "of": len(given.splits[choose_split_for_fit(given)].x)}
        progress(
            f"no test rows: {held_out['rows']:,} of {held_out['of']:,} rows, drawn at random, are held out of all fits"
        )
    judge = _judge(data, split, schema, out, progress)
    common = Common(source, labels, reading or {}, asked, schema, protocol, judge, out, digest(data))
    ordered = _run_all(entries, common, n_jobs, progress)
    comparison = {
        "dataset": data.name,
        "source": source,
        "split": split,
        "held_out": held_out,
        "fitted_on": split == fitted,
        "protocol": {**asdict(protocol), "text": PROTOCOL},
        "judge_accuracy": ordered[0].get("judge_accuracy"),
        "params": params,
        "versions": runs.versions(),
        "rows": list(table_rows(ordered)),
        "runs": ordered,
    }
    write_json(out / RESULT, comparison)
    write_atomic(out / TABLE, as_markdown(comparison))
    write_atomic(out / PAGE, page(comparison, out))
    return comparison


def _run_all(
    entries: Sequence[Entry], common: Common, n_jobs: int | None, progress: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Run all fits, and give their figures in order."""
    at_once = at_a_time(n_jobs, len(entries), str(common.params.get("device", "auto")))
    progress(f"{len(entries)} fit{'s' * (len(entries) != 1)}, {at_once} at a time; each has a folder in {common.out}")
    ended: list[str] = []

    def told(done: Done[dict[str, Any]]) -> None:
        ended.append(done.name)
        found = done.result()
        bound, seconds = found["negative_elbo"], found["seconds"]
        progress(f"{len(ended)}/{len(entries)} {done.name}: -L {bound:.2f}, {seconds:.0f} s")

    jobs = [Job(entry.name, partial(run_entry, entry, common)) for entry in entries]
    advice = f"what is finished is in {common.out}; run the same command with fewer --jobs to go on"
    return [done.result() for done in run(jobs, at_once, told=told, advice=advice)]


def _data_to_judge_by(data: Dataset, split: str | None) -> Dataset:
    """Give a data set rows to judge by: those asked for, else test rows that no fit sees."""
    return with_held_out(data) if split in (None, "test") else data


def _judge(data: Dataset, split: str, schema: Schema | None, out: Path, progress: Callable[[str], None]) -> Path | None:
    """Train the judge of this comparison, once, and give its folder; None where rows have no labels."""
    fitted, judged = data.splits[choose_split_for_fit(data)], data.splits[split]
    left_out = "accuracy, purity and what a judge says of generated rows are left out"
    if fitted.y is None or judged.y is None:
        progress(f"no labels: {left_out}")
        return None
    left_out = left_out.removeprefix("accuracy, ")
    if len(np.unique(fitted.y.astype(str))) < 2:
        progress(f"labels name a single class: {left_out}")
        return None
    if len(judged.x) <= NEIGHBOURS:
        progress(
            f"{len(judged.x)} row{'s' * (len(judged.x) != 1)} to judge by, where more than {NEIGHBOURS} are needed: "
            f"{left_out}"
        )
        return None
    path = out / "judge"
    progress("a judge of generated rows learns from the labelled training rows, once; the models never see it")
    with at_most(1):
        judge_for(data, path, schema=schema)
    return path


def digest(data: Dataset) -> str:
    """Digest all rows and labels, so that an evaluation is known to be of these."""
    parts = [(name, s.x, None if s.y is None else s.y.astype(str)) for name, s in data.splits.items()]
    return str(joblib.hash(parts, hash_name="sha1", coerce_mmap=True))


def check_options(entries: Sequence[Entry], params: dict[str, Any]) -> None:
    """Refuse arguments that a model does not have, or cannot use.

    Raises:
        InputError: naming the model.
    """
    for entry in entries:
        unknown = [name for name in params if name not in ESTIMATORS[entry.model]().get_params()]
        if unknown:
            raise InputError(
                f"model {entry.model!r} has no option for {' and '.join(unknown)}; leave "
                f"{'it' if len(unknown) == 1 else 'them'} out, or leave the model out"
            )
        ESTIMATORS[entry.model](**entry.params(params)).check_params()


def check_rows(data: Dataset, entries: Sequence[Entry]) -> None:
    """Refuse more components than rows.

    Raises:
        InputError: before anything is fitted.
    """
    n, most = len(data.splits[choose_split_for_fit(data)].x), max(entry.components or 1 for entry in entries)
    if most > n:
        raise InputError(
            f"{data.name}: {counted(n, 'row')} to fit for {most} components; expected at least as many rows as "
            "components; give more rows or ask for fewer components"
        )


def check_folders(out: Path, source: str, data: Dataset, entries: Sequence[Entry], params: dict[str, Any]) -> None:
    """Refuse a folder with runs on other data, or with other arguments under the name of an entry.

    Raises:
        InputError: naming one of them.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; give a folder for the comparison")
    runs.check_results(out, (RESULT, TABLE, PAGE), {"protocol", "rows", "runs"})
    for config in sorted(out.glob(f"*/{runs.CONFIG}")):
        about = runs.read_config(config.parent)["about"]
        if (about.get("source"), about.get("dataset")) != (source, data.name):
            raise InputError(
                f"{config.parent} belongs to a comparison on {about.get('source')!r}, not on {source!r}; give another "
                "--out, or the data it was made for"
            )
    x = data.splits[choose_split_for_fit(data)].x
    for entry in entries:
        folder = out / entry.name
        if (folder / runs.CONFIG).exists():
            found, estimator = runs.read_config(folder), estimator_for(data, entry.model, entry.params(params))
            rows = found["data"]  # a table with a schema is compared as its fit begins
            if isinstance(x, np.ndarray) and not by_schema(estimator.likelihood):
                rows = fingerprint(x.reshape(len(x), -1))
            defaults = model_files.config(type(estimator)())["params"]
            runs.check_same(folder, found, {**model_files.config(estimator), "data": rows}, defaults)
        else:
            runs.check_folder(folder, resume=False)


def run_entry(entry: Entry, common: Common) -> dict[str, Any]:
    """Fit and evaluate one model; what is there already is not done again."""
    folder = common.out / entry.name
    kept, resume = folder / EVALUATION, runs.begun(folder)
    if kept.exists() and resume and runs.read_config(folder)["status"] == runs.FINISHED:
        with suppress(InputError):  # damaged or changed: made again
            before = read_json(kept, "the evaluation of a run", "delete it")
            if before == signed(common.asked, before.get("values")):
                return dict(before["values"])
    data = common.data()
    params = entry.params(common.params)
    figures = fit_run(data, common.source, common.labels, entry.model, params, folder, resume, quiet=True).figures
    judge = None if common.judge is None else judge_for(data, common.judge, schema=common.schema)
    values = {
        "run": entry.name,
        **asdict(entry),
        **judged(folder, data, common.protocol, judge),
        "epochs": figures["epochs"],
        "stopped": figures["stopped"],
        "seconds": figures["training_seconds"] + figures["start_seconds"],
        "warnings": runs.read_config(folder).get("warnings", []),
    }
    write_json(kept, signed(common.asked, values))
    return values


def signed(asked: dict[str, Any], values: Any) -> dict[str, Any]:
    """Give what an evaluation holds: how it was made, the figures, and a checksum by which they are believed later."""
    content = json.dumps([asked, values], sort_keys=True)
    return {"protocol": asked, "values": values, "sha256": hashlib.sha256(content.encode()).hexdigest()}


def judged(folder: Path, data: Dataset, protocol: Protocol, judge: Judge | None) -> dict[str, Any]:
    """Give all figures of one fitted model."""
    model = load(folder)
    split = choose_split(data, protocol.split)
    values = evaluate_model(model, data, split)
    few = as_table(some_rows(data.splits[split], protocol.importance_rows).x, data.feature_names)
    log_px = model.log_likelihood(few, protocol.importance_samples)
    values |= {
        "negative_log_likelihood": -float(log_px.mean()),
        "negative_log_likelihood_se": standard_error(log_px),
        "negative_elbo_same_rows": -model.score(few),
        "importance_samples": protocol.importance_samples,
        "importance_rows": len(few),
    }
    if judge is not None:
        found = judge_model(model, data, judge, split, n_samples=protocol.samples, per_component=protocol.per_component)
        drawn = found.pop("drawn", {})
        values |= {"judged_rows": found.pop("n"), "judged_means": found.pop("mean"), **found}
        for key in [one.key.removesuffix("_drawn") for one in DRAWN]:
            values |= {f"{name}_drawn": drawn[name] for name in (key, f"{key}_se") if name in drawn}
    return values
