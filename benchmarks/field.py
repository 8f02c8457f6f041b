"""CP-VAE with its defaults on sets of the field, beside its own start and what a person would use in its place.

    python benchmarks/field.py --set penguins --seed 0 --out results/field.jsonl
    python benchmarks/field.py --render

Each set (`field_sets.SETS`), seed and system leaves a line in a file of lines of JSON. What has a line from the same
code is not run again, so a run that was stopped goes on where it was. The sets lie in the folder `field` below
`CPVAE_DATA`. The page that `--render` writes (`field_page`) has the protocol, and the rule of what is a win. A system
whose package is missing is left out, which is said.
"""

from __future__ import annotations

import argparse
import functools
import importlib.metadata
import json
import subprocess
import time
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import field_page
import numpy as np
from field_page import OWN, SYSTEMS, Line
from field_peers import PEERS, Asked
from field_sets import SETS, FieldSet, labelled
from starts import Found, StartAlone, WithStart

from cpvae.data.loaders import Dataset
from cpvae.errors import InputError
from cpvae.files import append_line, check_writable, make_folders, write_atomic
from cpvae.fitting.devices import device
from cpvae.fitting.jobs import Done, Job, run
from cpvae.fitting.progress import Silent
from cpvae.study import metrics
from cpvae.study.evidence import evidence
from cpvae.study.inputs import rows_of

ROOT = Path(__file__).parents[1]
PAGE, RESULTS = ROOT / "docs" / "field.md", ROOT / "results" / "field.jsonl"
YARDSTICK = "k-means"
SEEDS = (0, 1, 2)
PACKAGES = ("umap-learn", "igraph", "stepmix", "tslearn")  # behind peers
OWN_CODE = ("src/cpvae", "benchmarks/field_sets.py")
PEER_CODE = ("benchmarks/field_peers.py", "benchmarks/field_sets.py")

# -- one line ----------------------------------------------------------------------------------------------------------


class Heard(Silent):
    """A listener to a fit that keeps what rows were taken for."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def why(self, likelihood: str) -> str:
        """The reason for the likelihood."""
        start = f"likelihood {likelihood}: "
        return next((text.removeprefix(start) for text in self.said if text.startswith(start)), "")


def scores(y: np.ndarray | None, known: np.ndarray, groups: np.ndarray) -> Line:
    """Compare groups with labels, on the rows that have one."""
    found: Line = {"n_judged": int(known.sum()), "groups": len(np.unique(groups))}
    if y is None:
        return {**found, "accuracy": None, "ari": None, "nmi": None}
    labels, own = y[known].astype(str), groups[known]
    return {
        **found,
        "accuracy": metrics.accuracy_hungarian(labels, own),
        "ari": metrics.ari(labels, own),
        "nmi": metrics.nmi(labels, own),
    }


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """Do a piece of work, and time it."""
    began = time.perf_counter()
    value = work()
    return value, round(time.perf_counter() - began, 3)


@functools.cache
def warm() -> None:
    """Have UMAP compiled once in this process, before anything is timed."""
    peer = PEERS["UMAP+GMM"]
    if not peer.missing():
        peer(Asked(np.random.default_rng(0).random((60, 1, 8)), "signals", 2, 0))


def begin(given: FieldSet, seed: int, command: str) -> tuple[Dataset, Line]:
    """Read a set, and say what all its lines share: what was run, on what, and what k-means takes for it here."""
    data = given.load()
    x = data.splits["all"].x
    asked = Asked(x, given.field, given.n_classes, seed)
    _, seconds = timed(lambda: PEERS[YARDSTICK](asked))
    place = str(device.find("auto"))
    about = evidence(command, place)
    shared = {
        "set": given.name,
        "seed": seed,
        "field": given.field,
        "half": given.half,
        "n_rows": len(x),
        "n_columns": int(np.prod(x.shape[1:])),
        "n_components": given.n_classes,
        "kmeans_seconds": seconds,
        **about,
        "versions": {**about["versions"], **_packages()},
    }
    return data, shared


def _packages() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def own(given: FieldSet, seed: int, systems: Sequence[str], command: str) -> list[Line]:
    """Fit CP-VAE, as `cpvae fit FILE --components K --seed SEED` does but to all rows; or find its start alone.

    One fit gives both lines. That of the start is about the rows that the fit learned from, and says how the fit does
    on the same.
    """
    if given.field != "table":
        warm()
    data, shared = begin(given, seed, command)
    whole, heard = data.splits["all"], Heard()
    rows, known = rows_of(data, "all"), labelled(whole.y, len(whole.x))
    params: dict[str, Any] = {"n_components": given.n_classes, "random_state": seed}
    if data.likelihood is not None:
        params["likelihood"] = data.likelihood
    if data.kind not in ("table", "images"):
        params["kind"] = data.kind
    model = (WithStart if "cpvae" in systems else StartAlone)(**params)
    groups: np.ndarray | None = None
    began = time.perf_counter()
    try:
        model.fit(rows, reporter=heard)
        groups = model.predict(rows)
    except Found:
        pass
    seconds = round(time.perf_counter() - began, 3)
    lines = []
    if "start" in systems and model.start_rows_ is not None and model.start_categories_ is not None:
        lines.append({**shared, "system": "start", **_start(model, whole.y, known, groups, seconds)})
    if groups is not None:
        best = next(one for one in model.history_ if one["epoch"] == model.best_epoch_)
        fitted = {
            "held_out_bound": -best["valid_negative_elbo"],
            "likelihood": model.likelihood_,
            "why": heard.why(model.likelihood_),
            "taken_for": [*data.notes, *heard.said],
            "start_seconds": model.start_seconds_,
            "epochs": model.n_iter_,
            "stopped": model.stopped_,
        }
        lines.append({**shared, "system": "cpvae", **scores(whole.y, known, groups), "seconds": seconds, **fitted})
    return lines


def _start(
    model: WithStart, y: np.ndarray | None, known: np.ndarray, groups: np.ndarray | None, seconds: float
) -> Line:
    """Score the start of a fit, and the fit on the same rows."""
    rows, categories = model.start_rows_, model.start_categories_
    assert rows is not None
    assert categories is not None
    some = None if y is None else y[rows]
    line = {**scores(some, known[rows], categories), "seconds": model.start_seconds_ if groups is not None else seconds}
    if groups is not None:
        fit = scores(some, known[rows], groups[rows])
        line |= {f"fit_{name}": fit[name] for name in ("accuracy", "ari", "nmi")}
    return line


def peer(given: FieldSet, seed: int, system: str, command: str) -> list[Line]:
    """Run a peer."""
    if PEERS[system].modules:
        warm()
    data, shared = begin(given, seed, command)
    whole = data.splits["all"]
    asked = Asked(whole.x, given.field, given.n_classes, seed)
    groups, seconds = timed(lambda: PEERS[system](asked))
    known = labelled(whole.y, len(whole.x))
    return [{**shared, "system": system, **scores(whole.y, known, groups), "seconds": seconds}]


def lines_of(name: str, seed: int, systems: Sequence[str], command: str) -> list[Line]:
    """Run systems on a set; one that fails has a line that says so."""
    try:
        given = SETS[name]
        found = own(given, seed, systems, command) if systems[0] in OWN else peer(given, seed, systems[0], command)
    except InputError as error:
        why = str(error)
    except Exception as error:  # a crash of one is no reason to stop the others
        traceback.print_exc()
        why = f"crashed: {type(error).__name__}: {error}"
    else:
        return [{**line, "ratio": line["seconds"] / max(line["kmeans_seconds"], 1e-3)} for line in found]
    shared = {"set": name, "seed": seed, "field": given.field, "half": given.half, "n_components": given.n_classes}
    return [{**shared, "system": system, "refused": why, **evidence(command)} for system in systems]


# -- all of them -------------------------------------------------------------------------------------------------------


@functools.cache
def code_of(*paths: str) -> str:
    """Name the last commit that changed these files, with "+" where they differ from it; empty without a checkout."""

    def git(*words: str) -> str:
        try:
            done = subprocess.run(["git", *words, "--", *paths], cwd=ROOT, capture_output=True, text=True, check=False)
        except OSError:  # no git
            return ""
        return done.stdout.strip()

    name = git("log", "-1", "--format=%h")
    return name + "+" * bool(name and git("status", "--porcelain", "--untracked-files=no"))


def code(system: str) -> str:
    """Name the code behind a line."""
    return code_of(*(OWN_CODE if system in OWN else PEER_CODE))


def to_run(
    sets: Sequence[str], seeds: Sequence[int], systems: Sequence[str], lines: Sequence[Line], force: bool
) -> list[tuple[str, int, tuple[str, ...]]]:
    """List what has no line from the same code yet: set, seed, and the systems of one job.

    Code with changes that are not committed has no name, so what it gave is run again.
    """
    there = {field_page.key(line) for line in lines if line.get("code") == code(line["system"])}
    found = []
    for seed in seeds:
        for name in sets:
            asked = [one for one in systems if one in OWN or PEERS[one].suits(SETS[name].field)]
            left = [one for one in asked if force or code(one)[-1:] in ("", "+") or (name, seed, one) not in there]
            both = tuple(one for one in left if one in OWN)
            found += [(name, seed, both)] if both else []
            found += [(name, seed, (one,)) for one in left if one not in OWN]
    return found


def measure(args: argparse.Namespace) -> None:
    """Run what is asked and has no line yet."""
    systems = []
    for system in args.system or SYSTEMS:
        missing = "" if system in OWN else PEERS[system].missing()
        if missing:
            print(f"{system} left out: {missing}", flush=True)
        else:
            systems.append(system)
    make_folders(args.out.parent)
    check_writable(args.out)
    asked = to_run(args.set or list(SETS), args.seed or SEEDS, systems, field_page.read(args.out), args.force)
    words = [f"--set {name}" for name in args.set or ()] + [f"--seed {seed}" for seed in args.seed or ()]
    command = " ".join(["python benchmarks/field.py", *words])
    codes = {system: code(system) for system in systems}
    print(f"{len(asked)} to run, {args.jobs} at a time; lines go to {args.out}", flush=True)

    def told(done: Done[list[Line]]) -> None:
        for line in done.result():
            append_line(args.out, json.dumps({**line, "code": codes[line["system"]], "warnings": done.warnings}))
            print(said(line), flush=True)

    jobs = [
        Job(f"{name}-{seed}-{'+'.join(some)}", partial(lines_of, name, seed, some, command))
        for name, seed, some in asked
    ]
    run(jobs, args.jobs, told=told, advice="run the same command with fewer --jobs to go on")


def said(line: Line) -> str:
    """A line in words, for the terminal."""
    head = f"{line['set']:22} seed {line['seed']}  {line['system']:13}"
    if "refused" in line:
        return f"{head} refused: {line['refused']}"
    names = ("accuracy", "ari", "nmi")
    told = "  ".join(f"{name} {line[name]:.3f}" for name in names if line[name] is not None)
    bound = f"  bound {line['held_out_bound']:.2f}  {line['likelihood']}" if "held_out_bound" in line else ""
    fit = f"  fit on its rows {line['fit_accuracy']:.3f}" if line.get("fit_accuracy") is not None else ""
    return f"{head} {told}  {line['seconds']:.1f} s, {line['ratio']:.0f} x k-means{bound}{fit}"


def render(out: Path, page: Path) -> None:
    """Write the page from the file of lines."""
    write_atomic(page, field_page.page(field_page.read(out), f"../results/{out.name}"))


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--set", action="append", choices=list(SETS), help="one of the sets; may be repeated")
    parser.add_argument("--seed", action="append", type=int, help="may be repeated; by default 0, 1 and 2")
    parser.add_argument("--system", action="append", choices=SYSTEMS, help="may be repeated; by default all")
    parser.add_argument("--jobs", type=int, default=1, help="processes side by side")
    parser.add_argument("--force", action="store_true", help="run again what has a line")
    parser.add_argument("--out", type=Path, default=RESULTS, help="the file of lines")
    parser.add_argument("--render", nargs="?", type=Path, const=PAGE, help="write the page from the file, run nothing")
    args = parser.parse_args(words)
    if args.render:
        render(args.out, args.render)
    else:
        measure(args)


if __name__ == "__main__":
    main()
