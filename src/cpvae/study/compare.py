"""Several models on one data set, over components and seeds, judged alike: `cpvae compare`.

Each fit is a run folder of its own (`cpvae.fitting.runs`), so a comparison that was stopped goes on where it stopped,
and every cell of its table can be traced. Fits run side by side in processes by joblib; inside
``joblib.parallel_config(backend=...)`` the same code runs on a Dask or Ray cluster that sees the same files. A fit
gives the same bits whatever runs beside it: it has one thread, since sums in more round differently, and a process to
itself while it lasts, since torch's random state is the process's. A backend of threads does one fit after the other.
"""

from __future__ import annotations

import base64
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import torch
from jinja2 import Environment, StrictUndefined

from cpvae.arguments import whole
from cpvae.data.loaders import Dataset
from cpvae.errors import InputError, nearest
from cpvae.estimators.contract import as_table, fingerprint
from cpvae.estimators.zoo import ESTIMATORS, load
from cpvae.files import read_json, write_atomic, write_json
from cpvae.fitting import runs
from cpvae.fitting.jobs import here, one_thread, unordered
from cpvae.probability.estimates import standard_error
from cpvae.study import markdown
from cpvae.study.evaluation import choose_split, evaluate, some_rows
from cpvae.study.fits import fit_run
from cpvae.study.inputs import choose_split_for_fit, estimator_for, load_data
from cpvae.study.judge import Judge, judge_for
from cpvae.study.quality import judge_model

RESULT, TABLE, PAGE = "comparison.json", "comparison.md", "comparison.html"
EVALUATION = "evaluation.json"  # in the folder of each run
JUDGED_AS = 2  # raised when what an evaluation holds changes, so that earlier ones are made again
PROTOCOL = (
    "Mean over seeds ± their standard deviation. -L is the negative bound of eq. (7), -L* the tight bound, NLL "
    "importance-weighted, all in nats a row. Accuracy is Hungarian, its mapping learned on the training rows. Purity,"
    " classes, coverage and Fréchet distance are what a classifier, trained on labels and never seen by the models, "
    "says of rows that they generate. Purity: of rows drawn from one component, the share of its most frequent class,"
    " mean over components; read it beside classes, the number of classes among rows drawn from the whole model "
    "(components by their share of the training rows for CP-VAE, by the prior for the others, as their papers do). "
    "Coverage: the share of real rows with a generated one nearby. Fréchet: the distance of their features from those"
    " of as many real rows. Seconds are of training and, for CP-VAE, of finding its start, one fit of several side by"
    " side, each on one thread."
)


@dataclass(frozen=True)
class Column:
    """A column of the table: the key of its values, its heading, digits after the point."""

    key: str
    title: str
    digits: int


COLUMNS = (
    Column("negative_elbo", "-L", 2),
    Column("negative_elbo_tight", "-L*", 2),
    Column("negative_elbo_same_rows", "-L, rows of NLL", 2),
    Column("negative_log_likelihood", "NLL", 2),
    Column("accuracy", "accuracy", 3),
    Column("purity", "purity", 3),
    Column("classes_covered", "classes", 1),
    Column("coverage", "coverage", 3),
    Column("frechet_distance", "Fréchet", 1),
    Column("components_used", "in use", 1),
    Column("seconds", "seconds", 0),
)


@dataclass(frozen=True)
class Job:
    """One fit: a model by name, its number of components or None, and a seed."""

    model: str
    components: int | None
    seed: int

    @property
    def name(self) -> str:
        """The name of its run folder.

        >>> Job("vae", None, 0).name, Job("mog", 10, 2).name
        ('vae-seed0', 'mog-k10-seed2')
        """
        middle = "" if self.components is None else f"-k{self.components}"
        return f"{self.model}{middle}-seed{self.seed}"

    def params(self, others: dict[str, Any]) -> dict[str, Any]:
        """Its arguments, with those all jobs share."""
        own = {} if self.components is None else {"n_components": self.components}
        return {**others, **own, "random_state": self.seed}


@dataclass(frozen=True)
class Protocol:
    """How every fit is judged.

    Attributes:
        split: the rows; None means test where there is one.
        importance_samples: S of the importance-weighted likelihood, on at most `importance_rows` rows.
        samples: generated rows for the judge, and `per_component` from each component.
    """

    split: str | None = None
    importance_samples: int = 500
    importance_rows: int = 1000
    samples: int = 2000
    per_component: int = 100


def jobs_of(models: Sequence[str], components: Sequence[int], seeds: int) -> list[Job]:
    """All fits, one seed after the other, so that a comparison stopped early compares like with like.

    >>> [job.name for job in jobs_of(["mog", "vae"], [5, 10], 1)]
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
    return [Job(name, k, seed) for seed in range(seeds) for name, k in pairs]


def compare(
    source: str,
    models: Sequence[str],
    components: Sequence[int],
    seeds: int,
    out: Path,
    *,
    labels: str | None = None,
    params: dict[str, Any] | None = None,
    protocol: Protocol | None = None,
    n_jobs: int | None = None,
    progress: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Fit, judge, and write the table as JSON, Markdown and HTML.

    Args:
        source, labels: the data, as on the command line.
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
    jobs = jobs_of(models, components, seeds)
    for job in jobs:
        unknown = [name for name in params if name not in ESTIMATORS[job.model]().get_params()]
        if unknown:
            raise InputError(
                f"model {job.model!r} has no option for {unknown[0]}; leave it out, or leave the model out"
            )
        ESTIMATORS[job.model](**job.params(params))._check_params()
    data = load_data(source, labels, progress)
    choose_split(data, protocol.split)
    check_rows(data, jobs)
    check_folders(out, source, data, jobs, params)
    judge = _judge(data, protocol.split, out, progress)
    on_cpu = params.get("device") == "cpu" or not torch.cuda.is_available()
    n_jobs = min(n_jobs or (joblib.effective_n_jobs(-1) if on_cpu else 1), len(jobs))
    progress(f"{len(jobs)} fits on {data.name}, {n_jobs} at a time; each has a folder in {out}")
    rows = digest(data)
    tasks = (here(run_job)(job, source, labels, params, protocol, judge, str(out), rows) for job in jobs)
    found: dict[str, dict[str, Any]] = {}
    advice = f"what is finished is in {out}; say the same again with fewer --jobs to go on"
    for result in unordered(tasks, n_jobs, "a fit", advice):
        found[result["run"]] = result
        progress(
            f"{len(found)}/{len(jobs)} {result['run']}: -L {result['negative_elbo']:.2f}, {result['seconds']:.0f} s"
        )
    ordered = [found[job.name] for job in jobs]
    comparison = {
        "dataset": data.name,
        "source": source,
        "split": ordered[0]["split"],
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


def backend_of(name: str | None) -> AbstractContextManager[Any]:
    """A block in which fits run on a backend of joblib by name; None is joblib's own, processes on this machine.

    Raises:
        InputError: joblib has no such backend, or the package or the cluster behind it is missing.
    """
    if name is None:
        return nullcontext()
    try:
        return joblib.parallel_config(backend=name)
    except (ValueError, ImportError, RuntimeError) as error:
        raise InputError(
            f"backend {name!r} cannot be used ({str(error).splitlines()[0]}); install and start what it needs, or "
            "leave --backend out"
        ) from error


def _judge(data: Dataset, split: str | None, out: Path, progress: Callable[[str], None]) -> Path | None:
    """The folder of the judge of this comparison, trained once; None where rows have no labels."""
    train = data.splits.get("train", next(iter(data.splits.values())))
    if train.y is None or data.splits[choose_split(data, split)].y is None:
        progress("no labels: accuracy, purity and what a judge says of generated rows are left out")
        return None
    if not isinstance(train.x, np.ndarray):
        progress("text or missing cells: purity and what else a judge says of generated rows are left out")
        return None
    path = out / "judge"
    progress("a judge of generated rows learns from the labelled training rows, once; the models never see it")
    with one_thread():
        judge_for(data, path)
    return path


def digest(data: Dataset) -> str:
    """Of all rows and labels, by which an evaluation is known to be of these."""
    parts = [(name, s.x, None if s.y is None else s.y.astype(str)) for name, s in data.splits.items()]
    return str(joblib.hash(parts, hash_name="sha1", coerce_mmap=True))


def check_rows(data: Dataset, jobs: Sequence[Job]) -> None:
    """Refuse more components than rows.

    Raises:
        InputError: before anything is fitted.
    """
    n, most = len(data.splits[choose_split_for_fit(data)].x), max(job.components or 1 for job in jobs)
    if most > n:
        raise InputError(
            f"{data.name}: {n} rows for {most} components; expected at least as many rows as components; give more "
            "rows or ask for fewer components"
        )


def check_folders(out: Path, source: str, data: Dataset, jobs: Sequence[Job], params: dict[str, Any]) -> None:
    """Refuse a folder with runs on other data, or whose run by the name of a job was given other arguments.

    Raises:
        InputError: naming one of them.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; give a folder for the comparison")
    for config in sorted(out.glob(f"*/{runs.CONFIG}")):
        about = runs.read_config(config.parent)["about"]
        if (about.get("source"), about.get("dataset")) != (source, data.name):
            raise InputError(
                f"{config.parent} belongs to a comparison on {about.get('source')!r}, not on {source!r}; give another "
                "--out, or the data it was made for"
            )
    x = data.splits[choose_split_for_fit(data)].x
    for job in jobs:
        folder = out / job.name
        if (folder / runs.CONFIG).exists():
            found, estimator = runs.read_config(folder), estimator_for(data, job.model, job.params(params))
            rows = found["data"]  # a table with a schema is compared as its fit begins
            if isinstance(x, np.ndarray) and estimator.likelihood != "columns":
                rows = fingerprint(x.reshape(len(x), -1))
            defaults = type(estimator)()._config()["params"]
            runs.check_same(folder, found, {**estimator._config(), "data": rows}, defaults)
        else:
            runs.check_folder(folder, resume=False)


def run_job(
    job: Job,
    source: str,
    labels: str | None,
    params: dict[str, Any],
    protocol: Protocol,
    judge: Path | None,
    out: str,
    rows: str,
) -> dict[str, Any]:
    """One fit and its evaluation; what is there already is not done again.

    Args:
        rows: the digest of the data.
    """
    folder = Path(out) / job.name
    asked = {**asdict(protocol), "judge": judge is not None, "data": rows, "judged_as": JUDGED_AS}
    kept = folder / EVALUATION
    resume = (folder / runs.CONFIG).exists()
    if kept.exists() and resume and runs.read_config(folder)["status"] == runs.FINISHED:
        with suppress(InputError):  # damaged: made again
            before = read_json(kept, "the evaluation of a run", "delete it")
            if before.get("protocol") == asked and isinstance(before.get("values"), dict):
                return dict(before["values"])
    with one_thread():
        data = load_data(source, labels, None)
        with warnings.catch_warnings(record=True):  # they are kept with the run
            fitted = fit_run(data, source, labels, job.model, job.params(params), folder, resume, quiet=True)
        values = {
            "run": job.name,
            **asdict(job),
            **judged(folder, data, protocol, None if judge is None else judge_for(data, judge)),
            "epochs": fitted["epochs"],
            "stopped": fitted["stopped"],
            "seconds": fitted["training_seconds"] + fitted["start_seconds"],
            "warnings": runs.read_config(folder).get("warnings", []),
        }
        write_json(kept, {"protocol": asked, "values": values})
    return values


def judged(folder: Path, data: Dataset, protocol: Protocol, judge: Judge | None) -> dict[str, Any]:
    """All figures of one fitted model."""
    model = load(folder)
    split = choose_split(data, protocol.split)
    values = evaluate(model, data, split)
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
        values |= {"judged_rows": found.pop("n"), "judged_means": found.pop("mean"), **found}
    return values


def table_rows(results: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """One row for each model and number of components: mean, spread and number of seeds of each column."""
    groups: dict[tuple[str, int | None], list[dict[str, Any]]] = {}
    for result in results:
        groups.setdefault((result["model"], result["components"]), []).append(result)
    for (model, components), group in groups.items():
        cells = {}
        for column in COLUMNS:
            if column.key == "components_used" and components is None:
                continue
            values = [float(result[column.key]) for result in group if result.get(column.key) is not None]
            if values:
                spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
                cells[column.key] = {"mean": float(np.mean(values)), "sd": spread, "n": len(values), "values": values}
        yield {
            "model": model,
            "components": components,
            "seeds": [result["seed"] for result in group],
            "runs": [result["run"] for result in group],
            "cells": cells,
        }


def cell(row: dict[str, Any], column: Column) -> str:
    """Mean and spread in print.

    >>> cell({"cells": {"x": {"mean": 1.234, "sd": 0.5}}}, Column("x", "x", 2))
    '1.23 ± 0.50'
    """
    found = row["cells"].get(column.key)
    if found is None:
        return "-"
    text = f"{found['mean']:.{column.digits}f}"
    return text if found["sd"] is None else f"{text} ± {found['sd']:.{column.digits}f}"


def shown_columns(comparison: dict[str, Any]) -> list[Column]:
    """Those for which some model has a value."""
    first = comparison["runs"][0]
    columns = [column for column in COLUMNS if any(column.key in row["cells"] for row in comparison["rows"])]
    return [c for c in columns if c.key != "negative_elbo_same_rows" or first["importance_rows"] < first["n"]]


def as_markdown(comparison: dict[str, Any], link: Callable[[str], str] | None = None) -> str:
    """The table as Markdown, the seeds linked to their folders.

    Args:
        link: from the name of a run to an address; by default the folder beside the table. An empty one is no link.
    """
    link = link or (lambda run: f"{run}/")
    columns = shown_columns(comparison)
    head = [markdown.plain(comparison["dataset"]), "K", *(column.title for column in columns), "seeds"]
    rows = []
    for row in comparison["rows"]:
        pairs = zip(row["seeds"], row["runs"], strict=True)
        seeds = " ".join(markdown.link(str(seed), link(run)) for seed, run in pairs)
        rows.append([row["model"], str(row["components"] or "-"), *(cell(row, column) for column in columns), seeds])
    return f"{markdown.table(head, rows)}\n{footnote(comparison)}\n"


def footnote(comparison: dict[str, Any]) -> str:
    """What the figures are, in a paragraph."""
    protocol, first = comparison["protocol"], comparison["runs"][0]
    text = f"{first['n']:,} rows of the split {comparison['split']!r}. {protocol['text']}"
    text += f" NLL with S={protocol['importance_samples']:,} on {first['importance_rows']:,} rows."
    accuracy = comparison["judge_accuracy"]
    if accuracy is not None:
        text += f" The judge is right on {accuracy:.1%} of the {first['judged_rows']:,} real rows it is shown."
    return text


def page(comparison: dict[str, Any], out: Path) -> str:
    """The table as a self-contained page, with the pictures of each model's first seed."""
    pictures = []
    for row in comparison["rows"]:
        path = out / row["runs"][0] / runs.SAMPLES
        if path.exists():
            pictures.append((row["runs"][0], base64.b64encode(path.read_bytes()).decode()))
    warned = [(result["run"], text) for result in comparison["runs"] for text in result["warnings"]]
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(files("cpvae.study").joinpath("compare.html.j2").read_text("utf-8"))
    return template.render(
        comparison=comparison,
        columns=shown_columns(comparison),
        cell=cell,
        footnote=footnote(comparison),
        pictures=pictures,
        warned=warned,
    )
