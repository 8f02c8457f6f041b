"""The command line: parse, call one function, print.

Nothing heavy is imported until a command runs, so that `cpvae --help` answers at once.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
import time
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, NoReturn, TextIO

import typer

from cpvae.distributed import is_main, n_processes
from cpvae.errors import FitWarning, InputError, nearest

DATA_HELP = (
    "A data set by name (digits, synthetic, table, mnist, mnist-static, omniglot) or a path: "
    ".npz, .npy, .csv, .parquet, an IDX file, a folder of images or of Parquet files (or 'part-*.parquet')."
)
ALONE_AFTER = 10.0  # seconds after which an error of one process alone is told
LABELS_HELP = "Where labels are: a column of a table, or a file beside other data. Used to judge, never to fit."

app = typer.Typer(
    help="Deep mixture models: fit them to unlabelled rows, ask which source a row came from, draw new rows from one.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    epilog="Begin with: cpvae fit digits --out runs/digits",
)
data_app = typer.Typer(help="List, fetch and verify the named data sets.", no_args_is_help=True)
app.add_typer(data_app, name="data")


def expand(path: Path | None) -> Path | None:
    """`--out=~/x` in the user's home: not every shell sees to it."""
    from cpvae.datasets.checks import expanded

    return None if path is None else expanded(path)


Data = Annotated[str, typer.Argument(metavar="DATA", help=DATA_HELP)]
Run = Annotated[
    Path, typer.Argument(metavar="RUN", help="The folder that `cpvae fit` wrote, or a saved model.", callback=expand)
]
Labels = Annotated[str | None, typer.Option(metavar="COLUMN|FILE", help=LABELS_HELP)]
SplitName = Annotated[
    str | None, typer.Option("--split", help="train, valid or test; by default test where there is one.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output, nothing else.")]

# What several commands take of a fit; None leaves it to the estimator.
Epochs = Annotated[int | None, typer.Option(help="Passes over the rows at most.", show_default="the preset's")]
LatentDim = Annotated[int | None, typer.Option(help="Dimensions of z.", show_default="40")]
Hidden = Annotated[str | None, typer.Option(help="Widths of hidden layers.", show_default="300,300")]
NetworkName = Annotated[
    str | None, typer.Option("--network", help="dense, or conv (convolutions, for images).", show_default="dense")
]
Preset = Annotated[str | None, typer.Option(help="How to train: fast or paper.", show_default="fast")]
Precision = Annotated[
    str | None, typer.Option(help="Of products in training: float32 or bfloat16.", show_default="float32")
]
LikelihoodName = Annotated[
    str | None,
    typer.Option(
        "--likelihood",
        help="bernoulli (ink), gaussian (measurements), columns (of a table, each after its kind) or auto.",
        show_default="auto",
    ),
]
SchemaFile = Annotated[
    Path | None,
    typer.Option(
        "--schema",
        metavar="FILE.json",
        help='What columns of a table hold: {"age": "count", "city": "categorical", "size": "numeric", '
        '"id": "ignore"}.',
        show_default="inferred from their cells",
        callback=expand,
    ),
]
Jobs = Annotated[int | None, typer.Option(help="Fits side by side.", show_default="one for each core", min=1)]


def say(text: str) -> None:
    """A line for the user, on standard error; of several processes the first one speaks."""
    if is_main():
        print(text, file=sys.stderr)  # noqa: T201


def put(text: str) -> None:
    """A result, on standard output."""
    print(text)  # noqa: T201


def put_json(value: Any) -> None:
    """One JSON object on standard output; a number that JSON does not have is null."""
    finite = json.loads(json.dumps(value), parse_constant=lambda name: None)
    put(json.dumps(finite, indent=2, allow_nan=False))


# -- commands --------------------------------------------------------------------------------------------------------


@app.command()
def fit(
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder for the run: model, history, metrics, pictures.", callback=expand)],
    model: Annotated[
        str | None,
        typer.Option(help="cpvae, or one it is compared with: vae mog vamp hvae hvae-vamp.", show_default="cpvae"),
    ] = None,
    components: Annotated[
        int | None,
        typer.Option("--components", "-k", help="Categories, or components of the prior.", show_default="10"),
    ] = None,
    epochs: Epochs = None,
    seed: Annotated[int | None, typer.Option(help="Fixes everything.", show_default="0")] = None,
    restarts: Annotated[
        int | None, typer.Option(help="Fits; the best validation bound is kept.", show_default="1")
    ] = None,
    latent_dim: LatentDim = None,
    hidden: Hidden = None,
    likelihood: LikelihoodName = None,
    schema: SchemaFile = None,
    noise: Annotated[
        float | None,
        typer.Option(help="Gaussian noise, in standard deviations of the columns.", show_default="learned"),
    ] = None,
    weights: Annotated[
        str | None, typer.Option(help="p(c): uniform, empirical or learned.", show_default="uniform")
    ] = None,
    covariance: Annotated[
        str | None,
        typer.Option(
            help="Of p(z|c), also of mog: diag (the paper), or full, with better bounds.", show_default="diag"
        ),
    ] = None,
    expectation: Annotated[
        str | None,
        typer.Option(
            help="Over c: exact, sum-and-sample, straight-through, relaxed or auto.",
            show_default="auto: by the number of components",
        ),
    ] = None,
    init: Annotated[
        str | None,
        typer.Option(
            help="How categories begin: umap, autoencoder, rows, gmm, kmeans, random or auto.",
            show_default="auto: by the data",
        ),
    ] = None,
    augment: Annotated[
        str | None,
        typer.Option(
            help="Copies that have the category of their row: affine (of images), none or auto.",
            show_default="auto: affine for images from 16 pixels a side",
        ),
    ] = None,
    consistency: Annotated[
        float | None, typer.Option(help="Weight of the copies' agreement beside the bound.", show_default="20")
    ] = None,
    network: NetworkName = None,
    prior: Annotated[str | None, typer.Option(help="Of vae and hvae.", show_default="normal")] = None,
    pseudo_inputs: Annotated[
        str | None, typer.Option(help="Of vamp and hvae-vamp, how they begin: rows or random.", show_default="rows")
    ] = None,
    preset: Preset = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Rows in a step.", show_default="the preset's: 100, or 200 of 20,000 rows on")
    ] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Of Adam.", show_default="the preset's")] = None,
    warmup_epochs: Annotated[
        int | None,
        typer.Option(help="Epochs in which the KL terms grow to full weight.", show_default="the preset's"),
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(help="Stop after so many epochs without a better validation bound.", show_default="50"),
    ] = None,
    precision: Precision = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda or auto.", show_default="auto")] = None,
    labels: Labels = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the interrupted run in --out.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
    as_json: Json = False,
) -> None:
    """Fit a model to rows without labels, and leave it in a run folder."""
    from cpvae import runs
    from cpvae.commands import fit_run, load_data, make_estimator

    given = {
        "n_components": components,
        "max_epochs": epochs,
        "random_state": seed,
        "n_init": restarts,
        "latent_dim": latent_dim,
        "network": network,
        "hidden": hidden,
        "likelihood": likelihood,
        "schema": schema,
        "noise": noise,
        "weights": weights,
        "covariance_type": covariance,
        "expectation": expectation,
        "init": init,
        "augment": augment,
        "consistency": consistency,
        "prior": prior,
        "pseudo_inputs": pseudo_inputs,
        "preset": preset,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "warmup_epochs": warmup_epochs,
        "patience": patience,
        "precision": precision,
        "device": device,
    }
    params = estimator_arguments(given)
    runs.check_folder(out, resume)
    if not resume:
        make_estimator(model or "cpvae", params)._check_params()  # before data are fetched or read
    try:
        summary = fit_run(load_data(data, labels, say), data, labels, model, params, out, resume, quiet, say)
    except KeyboardInterrupt as error:
        if (out / runs.CONFIG).exists():
            kept = "the state is saved" if runs.saved(out) else "nothing was trained yet"
            say(f"stopped; {kept}. To go on: {resuming(data, labels, out)}")
        else:
            say("stopped before anything was trained; nothing was written")
        raise typer.Exit(130) from error
    if not is_main():
        return
    if as_json:
        put_json(summary)
        return
    put(table(summary))
    new = "new.png" if (out / "samples.png").exists() else "new.csv"
    say(f"the model is in {out}; next: cpvae report {out}   or: cpvae sample {out} -n 64 --out {new}")


@app.command()
def evaluate(
    run: Run,
    data: Data,
    split: SplitName = None,
    importance_samples: Annotated[
        int | None, typer.Option(help="Also estimate log p(x) with so many samples (papers: 5000).", min=1)
    ] = None,
    rows: Annotated[int | None, typer.Option(help="Look at so many rows only, drawn with a fixed seed.", min=2)] = None,
    labels: Labels = None,
    as_json: Json = False,
) -> None:
    """Bounds on the log-likelihood (nats a row), what the categories carry, and agreement with labels."""
    from cpvae.commands import load_data, suited
    from cpvae.estimators import load
    from cpvae.evaluation import evaluate as evaluate_model

    fitted = load(run)
    found = suited(load_data(data, labels, say), fitted)
    result = evaluate_model(fitted, found, split, importance_samples=importance_samples, n_rows=rows)
    put_json(result) if as_json else put(table(result))


@app.command()
def cluster(
    run: Run,
    data: Data,
    out: Annotated[Path, typer.Option(help="A .csv file: row, category, probability.", callback=expand)],
    split: SplitName = None,
    labels: Labels = None,
) -> None:
    """Say which category each row belongs to, and how sure that is."""
    from cpvae.commands import cluster_rows, load_data
    from cpvae.estimators import load

    check_out(out, (".csv",))
    shares = cluster_rows(load(run), load_data(data, labels, say), split, out)
    put(table(shares))
    say(f"wrote {out}")


@app.command()
def sample(
    run: Run,
    out: Annotated[Path, typer.Option(help="A picture (.png, .svg, .pdf) or rows (.npz, .csv).", callback=expand)],
    n: Annotated[int, typer.Option("-n", "--number", help="How many rows.")] = 64,
    component: Annotated[
        int | None, typer.Option(help="Draw all of them from this category.", show_default="any")
    ] = None,
    weights: Annotated[
        str,
        typer.Option(
            help="Categories by their share of the training rows (aggregated) or by p(c) (prior); auto: aggregated for "
            "cpvae, prior for the others."
        ),
    ] = "auto",
    mean: Annotated[
        bool | None,
        typer.Option(
            "--mean/--draw", help="The mean of p(x|z,c), or a draw from it.", show_default="mean for pictures"
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Other seeds draw other rows.", show_default="of the fit")] = None,
) -> None:
    """Draw new rows, from all categories or from one."""
    from cpvae.commands import PICTURES, TABLES, sample_rows
    from cpvae.estimators import load

    check_out(out, (*PICTURES, *TABLES))
    sample_rows(load(run), n, component, weights, mean, seed, out)
    say(f"wrote {out}")


@app.command()
def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder that `cpvae fit` wrote.", callback=expand)],
    data: Annotated[
        str | None, typer.Option(help="The rows to show, if not those it was fitted on. " + DATA_HELP)
    ] = None,
    labels: Labels = None,
) -> None:
    """Write RUN/report.html: one page on what was fitted, the categories, and what to watch out for."""
    from cpvae.commands import report_run

    say(f"wrote {report_run(run, data, labels, say)}")


@app.command()
def compare(
    data: Data,
    models: Annotated[
        str, typer.Option(help="Names with commas: cpvae vae mog vamp hvae hvae-vamp.")
    ] = "cpvae,vae,mog,vamp",
    components: Annotated[
        str, typer.Option("--components", "-k", help="Categories, or parts of the prior; several with commas.")
    ] = "10",
    seeds: Annotated[int, typer.Option(help="Fits of each, with seeds 0, 1, ...")] = 3,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for runs and tables.", callback=expand, show_default="runs/compare-DATA"),
    ] = None,
    epochs: Epochs = None,
    latent_dim: LatentDim = None,
    preset: Preset = None,
    precision: Precision = None,
    network: NetworkName = None,
    hidden: Hidden = None,
    likelihood: LikelihoodName = None,
    schema: SchemaFile = None,
    split: SplitName = None,
    importance_samples: Annotated[int, typer.Option(help="Behind each NLL.", min=1)] = 500,
    importance_rows: Annotated[int, typer.Option(help="Rows at most for the NLL.", min=2)] = 1000,
    jobs: Jobs = None,
    backend: Annotated[
        str | None, typer.Option(help="Of joblib: loky, dask, ray, ...", show_default="loky: processes here")
    ] = None,
    labels: Labels = None,
    as_json: Json = False,
) -> None:
    """Fit several models over components and seeds, judge them alike, and write one table.

    Run it again to go on where it stopped, or to add models, components and seeds.
    """
    from cpvae.commands import dataset_name
    from cpvae.compare import PAGE, Protocol, backend_of, markdown
    from cpvae.compare import compare as compare_models

    given = {
        "max_epochs": epochs,
        "preset": preset,
        "precision": precision,
        "latent_dim": latent_dim,
        "network": network,
        "hidden": hidden,
        "likelihood": likelihood,
        "schema": schema,
    }
    out = out or Path("runs") / f"compare-{dataset_name(data)}"
    protocol = Protocol(split, importance_samples, importance_rows)
    try:
        with backend_of(backend):
            result = compare_models(
                data,
                [name.strip() for name in models.split(",") if name.strip()],
                parse_numbers("--components", components),
                seeds,
                out,
                labels=labels,
                params=estimator_arguments(given),
                protocol=protocol,
                n_jobs=jobs,
                progress=say,
            )
    except KeyboardInterrupt as error:
        say(f"stopped; what is finished is in {out}. To go on, say the same command again")
        raise typer.Exit(130) from error
    if as_json:
        put_json(result)
        return
    put(markdown(result, link=lambda run: ""))
    say(f"the table with its runs and pictures is {out / PAGE}")


@app.command()
def choose(
    data: Data,
    components: Annotated[
        str, typer.Option("--components", "-k", help="Numbers of components to try, with commas.")
    ] = "1,2,5,10,20",
    seeds: Annotated[int, typer.Option(help="Fits of each, with seeds 0, 1, ...")] = 1,
    model: Annotated[str, typer.Option(help="cpvae, mog or vamp.")] = "cpvae",
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for runs and result.", callback=expand, show_default="runs/choose-DATA"),
    ] = None,
    epochs: Epochs = None,
    latent_dim: LatentDim = None,
    precision: Precision = None,
    likelihood: LikelihoodName = None,
    schema: SchemaFile = None,
    jobs: Jobs = None,
    labels: Labels = None,
    as_json: Json = False,
) -> None:
    """Choose a number of components by the bound of held-out rows, without labels.

    Test rows are left alone. Say it again to go on where it stopped.
    """
    from cpvae import choice
    from cpvae.commands import choose_number, dataset_name, load_data

    out = out or Path("runs") / f"choose-{dataset_name(data)}"
    given = {
        "max_epochs": epochs,
        "latent_dim": latent_dim,
        "precision": precision,
        "likelihood": likelihood,
        "schema": schema,
    }
    params = estimator_arguments(given)
    numbers = parse_numbers("--components", components)
    try:
        found = choose_number(load_data(data, labels, say), data, labels, model, params, numbers, seeds, out, jobs, say)
    except KeyboardInterrupt as error:
        say(f"stopped; what is finished is in {out}. To go on, say the same command again")
        raise typer.Exit(130) from error
    if as_json:
        put_json(found.as_dict())
        return
    put(choice.table(found))
    say(f"chosen: {found.n_components}; its fit is {out / found.run}, and {out / choice.PICTURE} shows all")


@app.command()
def reproduce(
    target: Annotated[
        str,
        typer.Argument(metavar="TARGET", help="accuracy, table1, fig3 to fig9, ablation, or all."),
    ],
    row: Annotated[
        list[str] | None,
        typer.Option("--row", "--recipe", help="Only this one; may be repeated.", show_default="all of the target"),
    ] = None,
    render: Annotated[
        bool, typer.Option("--render", help="Only write tables and figures, from the results there are.")
    ] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Only say what is missing and how long it takes.")] = False,
    verify: Annotated[
        int | None,
        typer.Option(
            help="Only measure so many results again, chosen at random, and compare; exit 1 if one differs.", min=1
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Other seeds choose other results for --verify.", min=0)] = 0,
    budget: Annotated[
        float | None,
        typer.Option(help="Minutes; the fits of most value that they hold.", show_default="no limit", min=0.1),
    ] = None,
    experiments: Annotated[Path, typer.Option(help="Folder of the experiments.", callback=expand)] = Path(
        "experiments"
    ),
    results: Annotated[Path, typer.Option(help="Folder of result files.", callback=expand)] = Path("results"),
    folder: Annotated[Path, typer.Option("--runs", help="Folder of the fits.", callback=expand)] = Path(
        "runs", "reproduce"
    ),
    jobs: Jobs = None,
    as_json: Json = False,
) -> None:
    """Reproduce the paper, or a part of it, from a checkout: fit what has no result yet, write tables and figures.

    Say it again to go on where it stopped.
    """
    from cpvae.reproduce import planning, running, targets, verification
    from cpvae.reproduce.rows import named, read_rows

    rows = read_rows(experiments)
    needed = targets.rows_for(target, rows)
    if row:
        needed = named(needed, row)
    only = [name for name, given in (("--render", render), ("--plan", plan), ("--verify", verify)) if given]
    if len(only) > 1:
        raise InputError(f"{' and '.join(only)}: expected one of them; leave the others out")
    if budget and (render or verify):
        raise InputError(f"--budget and {only[0]}: nothing is planned with {only[0]}; leave --budget out")
    compared: list[verification.Comparison] = []
    if verify:
        words = ["cpvae", "reproduce", target, *(word for name in row or [] for word in ("--row", name))]
        command = shlex.join([*words, "--verify", str(verify), "--seed", str(seed)])
        chosen = verification.choose(needed, results, verify, seed)
        try:
            compared = verification.verify(chosen, folder, results, command, n_jobs=jobs, progress=say)
        except KeyboardInterrupt as error:
            say("stopped; to go on, say the same command again")
            raise typer.Exit(130) from error
    elif not render:
        n_jobs = running.side_by_side(jobs)
        ahead = planning.Plan(running.missing(needed, results), rows, results, n_jobs, budget and 60 * budget)
        for line in [*ahead.lines(), *(ahead.each() if plan else [])]:
            say(line)
        if ahead.jobs and not plan:
            say(f"each fit has a folder in {folder}, a result in {results}")
        if plan:
            if as_json:
                put_json(ahead.as_dict())
            return
        try:
            running.reproduce(ahead.jobs, folder, results, n_jobs=n_jobs, progress=say)
        except KeyboardInterrupt as error:
            say("stopped; to go on, say the same command again")
            raise typer.Exit(130) from error
        for one in needed:
            running.agreement(one, folder, results)
    if as_json:
        put_json([one.as_dict() for one in compared] or targets.cells_for(needed, results, experiments))
    if results.resolve().parent == experiments.resolve().parent:
        for path in targets.render(rows, results, experiments, experiments.parent):
            say(f"wrote {path}")
    else:
        say(f"{results} and {experiments} are not of one checkout: no pages are written")
    if not all(one.same for one in compared):
        raise typer.Exit(1)


@data_app.command("list")
def data_list(as_json: Json = False) -> None:
    """The named data sets, and which are here."""
    from cpvae.datasets import data_root, status

    found = status()
    if as_json:
        put_json(
            {
                "root": str(data_root()),
                "datasets": [
                    {"name": s.name, "description": s.description, "present": s.present, "path": s.path and str(s.path)}
                    for s in found
                ],
            }
        )
        return
    for s in found:
        place = "built in" if s.path is None else str(s.path) if s.present else "absent: cpvae data fetch " + s.name
        put(f"{s.name:14} {s.description}\n{'':14} {place}")


@data_app.command("fetch")
def data_fetch(name: Annotated[str, typer.Argument(help="A name from `cpvae data list`.")]) -> None:
    """Download a data set into the folder CPVAE_DATA, or the cache, and check it."""
    from cpvae.datasets import fetch

    for path in fetch(name, progress=say):
        put(str(path))


@data_app.command("verify")
def data_verify(
    name: Annotated[str | None, typer.Argument(help="A name from `cpvae data list`.", show_default="all")] = None,
) -> None:
    """Check the files that are here against their checksums."""
    from cpvae.datasets import NAMES, verify

    bad = []
    for one in NAMES if name is None else (name,):
        for file in verify(one):
            state = "absent" if not file.present else "ok" if file.ok else "DAMAGED"
            put(f"{one:14} {state:8} {file.path}")
            if file.present and not file.ok:
                bad.append(str(file.path))
    if bad:
        raise InputError(f"{len(bad)} damaged: {', '.join(bad)}; delete and run `cpvae data fetch`")


# -- shared ----------------------------------------------------------------------------------------------------------


def resuming(data: str, labels: str | None, out: Path) -> str:
    """The command that goes on with a stopped fit; its other options are in the run folder."""
    alone = n_processes() == 1
    program = ["cpvae"] if alone else ["torchrun", f"--nproc-per-node={n_processes()}", "-m", "cpvae"]
    parts = [*program, "fit", data, *([] if labels is None else ["--labels", labels]), "--out", str(out), "--resume"]
    return shlex.join(parts)


def check_out(path: Path, known: tuple[str, ...]) -> None:
    """Refuse an output that could not be written before any work is done for it."""
    from cpvae.checkpoints import check_writable

    if path.suffix.lower() not in known:
        raise InputError(f"--out {path}: unknown kind {path.suffix!r}; use one of {', '.join(known)}")
    check_writable(path)


def estimator_arguments(given: dict[str, Any]) -> dict[str, Any]:
    """Of an estimator, from options: those that were given, widths and schema read."""
    from cpvae.commands import read_schema

    params = {name: value for name, value in given.items() if value is not None}
    if "hidden" in params:
        params["hidden"] = parse_numbers("--hidden", params["hidden"], "300,300")
    if "schema" in params:
        params["schema"] = read_schema(params["schema"])
    return params


def parse_numbers(option: str, text: str, such_as: str = "10,50") -> tuple[int, ...]:
    """ "10,50" to (10, 50)."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise InputError(f"{option} {text!r}: expected whole numbers with commas, such as {such_as}") from error


def table(values: dict[str, Any]) -> str:
    """Names and values in two columns."""
    width = max(map(len, values))
    return "\n".join(f"{name:{width}}  {show(value)}" for name, value in values.items())


def show(value: Any) -> str:
    """A number with four decimals, anything else as it is."""
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def main() -> NoReturn:
    """Entry point: exit 0; 1 if `--verify` finds a difference; 2 with a line for bad usage or input; 130 by Ctrl-C."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a polite stop is a stop, whoever asks
    warnings.showwarning = _show_warning
    # click's own base class, wherever this version of typer keeps it
    usage: type[Exception] = typer.BadParameter.__mro__[2]
    try:
        _refuse_empty(sys.argv[1:])
        _refuse_several(sys.argv[1:])
        result = typer.main.get_command(app).main(prog_name="cpvae", standalone_mode=False)
        sys.stdout.flush()
    except InputError as error:
        _fail(str(error))
    except usage as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # the help is on the screen
            sys.exit(0)
        _fail(_usage_message(error))
    except BrokenPipeError:  # `| head` has seen enough
        _silence(sys.stdout)
        sys.exit(1)  # as click does
    except OSError as error:
        _silence(sys.stdout)  # what cannot be written now cannot be written at exit either
        _fail(f"{error.filename or 'output'}: {error.strerror or error}; check the path and the room on the disk")
    except (MemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
        _fail("more memory needed than there is; use smaller layers, fewer components or fewer rows")
    except (KeyboardInterrupt, typer.Abort):
        say("stopped")
        sys.exit(130)
    sys.exit(result if isinstance(result, int) else 0)


def _refuse_empty(arguments: list[str]) -> None:
    """An empty argument is a shell variable that was not set; as a path it would mean this folder."""
    for before, argument in zip(["", *arguments], arguments, strict=False):
        if argument == "" or (argument.startswith("--") and argument.endswith("=")):
            after = f" after {before!r}" if before and not argument else f" in {argument!r}" if argument else ""
            raise InputError(f"an empty argument{after}; expected a value; leave it out or give one")


def _refuse_several(arguments: list[str]) -> None:
    """What is no fit would be done by every process."""
    if n_processes() > 1 and "fit" not in arguments[:1]:
        given = f"{n_processes()} processes for cpvae {' '.join(arguments[:1])}"
        raise InputError(f"{given}: expected cpvae fit, which shares its work among them; leave torchrun out")


def _silence(stream: TextIO) -> None:
    """Let what is still buffered go nowhere."""
    with suppress(OSError, ValueError):
        number = stream.fileno()
        os.dup2(os.open(os.devnull, os.O_WRONLY), number)


def _is_out_of_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or "allocate memory" in str(error) or "out of memory" in str(error)


def _usage_message(error: Any) -> str:
    message = " ".join(error.format_message().split()).rstrip(".")
    inputs = [one["input"] for one in getattr(error.__cause__, "errors", list)()]
    if inputs:  # newer versions of typer do not say what was given
        message += f", not {inputs[0]!r}"
    context = getattr(error, "ctx", None)
    if context is None:
        return f"{message}; see `cpvae --help`"
    name = getattr(error, "option_name", None)
    known = [option for parameter in context.command.params for option in parameter.opts if option.startswith("--")]
    if name and known and "--" not in message.replace(name, ""):
        message += nearest(name, known)
    return f"{message}; see `{context.command_path} --help`"


def _fail(message: str) -> NoReturn:
    if not is_main():  # the first says the same, after which torchrun ends all; if not, it is news
        with suppress(KeyboardInterrupt):
            time.sleep(ALONE_AFTER)
            print(f"error: process {os.environ['RANK']}: {' '.join(message.split())}", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    say("error: " + " ".join(message.split()))
    sys.exit(2)


def _show_warning(message: Any, category: type[Warning], *rest: Any, **named: Any) -> None:
    if issubclass(category, FitWarning):
        say(f"warning: {message}")


if __name__ == "__main__":
    main()
