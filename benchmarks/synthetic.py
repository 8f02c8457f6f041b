"""Synthetic tables of CP-VAE, TVAE, CTGAN and a Gaussian copula before one judge, `cpvae.study.assessing.assess`.

    python benchmarks/synthetic.py --set penguins --seed 0
    python benchmarks/synthetic.py --render

Half of the rows of a set are fitted, by a seed. The other half are held out, and the judge compares with them. Each
set, seed and system leaves a line in a file of JSON lines. A job with a line is not run again. `--render` writes the
page (`synthetic_page`). A system whose packages are missing is left out, and a line on the terminal says so.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import options
import synthetic_page
from field import ROOT, code_of
from field_lines import portable
from field_page import Line, key, read
from field_sets import SETS
from synthetic_systems import OWN, REAL, SYSTEMS, Wanted

from cpvae.data.schema import Schema
from cpvae.files import append_line, check_writable, make_folders, write_atomic
from cpvae.fitting.jobs import Done, Job, run
from cpvae.study.assessing import assess
from cpvae.study.assessing.assessment import Target
from cpvae.study.assessing.tables import Table
from cpvae.study.evidence import evidence
from cpvae.study.held_out import hold_out
from cpvae.study.inputs import load_data, rows_of

PAGE, RESULTS = ROOT / "docs" / "synthetic.md", ROOT / "results" / "synthetic.jsonl"
SEEDS = (0, 1, 2)
JUDGED = ("penguins", "pbc", "Chile", "credit_data")
CODE = ("src/cpvae", "benchmarks/synthetic.py", "benchmarks/synthetic_systems.py", "benchmarks/field_sets.py")
STATUS = Path("/proc/self/status")


def split_of(name: str, seed: int) -> tuple[Schema, Table, Table, int]:
    """Read a set: its schema, the half to fit, the half that is held out, and the column to predict.

    The column of labels is a column like the others.
    """
    given = SETS[name]
    data = load_data(given.source, reading=given.reading)
    frame = rows_of(data, next(iter(data.splits)))
    frame = frame.rename(columns=str)
    assert given.labels is not None
    schema = Schema.infer(frame, {given.labels: "categorical"})
    whole = Table(schema.columns, schema.encode(frame))
    fitted, held = hold_out(len(whole), 0.5, seed)
    return schema, whole.at(fitted), whole.at(held), schema.names.index(given.labels)


def peak() -> float:
    """Give the peak memory of this process since the last call, in MiB; NaN beside Linux."""
    found = re.search(r"VmHWM:\s+(\d+)", STATUS.read_text()) if STATUS.exists() else None
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return float("nan") if found is None else int(found[1]) / 1024


def line_of(name: str, seed: int, system: str) -> Line:
    """Fit a system to half of a set, draw as many rows, and judge them; a system that fails gets a line saying so."""
    command = f"python benchmarks/synthetic.py --set {name} --seed {seed} --system {shlex.quote(system)}"
    shared: Line = {"set": name, "seed": seed, "system": system, **evidence(command)}
    shared["versions"] = {**shared["versions"], **SYSTEMS[system].versions()}
    schema, training, held_out, target = split_of(name, seed)
    n = len(training)
    wanted = Wanted(schema, training.values, SETS[name].n_classes, seed)
    peak()
    before, began = peak(), time.process_time()
    try:
        draw = SYSTEMS[system](wanted)
        fitted = time.process_time()
        values = draw(n)
    except Exception as error:  # one crash must not stop the other systems
        return {**shared, "refused": portable(f"{type(error).__name__}: {error}")}
    done, memory = time.process_time(), peak()
    found = assess(held_out, training, held_out, Table(schema.columns, values), Target(target), seed=seed)
    size: dict[str, Any] = {
        "n_rows": n,
        "n_columns": len(schema.columns),
        "missing": float((training.values != training.values).mean()),
    }
    times = {
        "seconds": round(done - began, 3),
        "seconds_to_draw": round(done - fitted, 3),
        "mebibytes": round(memory - before),
    }
    low = {"lowest_shapes": _named(found.shapes.worst(3))}
    low |= {} if found.trends is None else {"lowest_trends": _named(found.trends.worst(3))}
    return {**shared, **size, **times, **found.figures(), "memorised": len(found.closeness.memorised), **low}


def _named(worst: list[tuple[tuple[str, ...], float]]) -> dict[str, float]:
    return {" and ".join(names): round(value, 4) for names, value in worst}


def measure(args: argparse.Namespace) -> None:
    """Run the jobs that are asked for and have no line from the same code."""
    systems, sets = list(args.system or SYSTEMS), list(args.set or JUDGED)
    for name, why in [(one, SYSTEMS[one].missing()) for one in systems] + [(one, SETS[one].missing()) for one in sets]:
        if why:
            print(f"{name} left out: {why}", flush=True)
    systems = [one for one in systems if not SYSTEMS[one].missing()]
    sets = [one for one in sets if not SETS[one].missing()]
    make_folders(args.out.parent)
    check_writable(args.out)
    code = code_of(*CODE)
    there = {key(line) for line in read(args.out) if line["code"] == code or line["system"] not in (OWN, REAL)}
    asked = [(name, seed, one) for seed in args.seed or SEEDS for name in sets for one in systems]
    asked = [one for one in asked if args.force or one not in there]
    print(f"{len(asked)} to run, {args.jobs} at a time; lines go to {args.out}", flush=True)

    def told(done: Done[Line]) -> None:
        line = done.result()
        append_line(args.out, json.dumps({**line, "code": code}))
        print(synthetic_page.said(line), flush=True)

    run(
        [Job("-".join(map(str, one)), partial(line_of, *one)) for one in asked],
        args.jobs,
        told=told,
        advice="run again",
    )


def render(out: Path, page: Path) -> None:
    """Write the page from the file of lines."""
    write_atomic(page, synthetic_page.page(read(out), f"../results/{out.name}"))


def main(words: Sequence[str] | None = None) -> None:
    parser = options.parser_of(__doc__, list(SYSTEMS), RESULTS, PAGE)
    parser.add_argument(
        "--set",
        action="append",
        choices=[name for name, one in SETS.items() if one.labels],
        help="may be repeated; by default four",
    )
    parser.add_argument("--force", action="store_true", help="run again what has a line")
    options.run_or_render(parser.parse_args(words), measure, render)


if __name__ == "__main__":
    main()
