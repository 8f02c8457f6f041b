"""CP-VAE with its defaults fills missing cells, beside the imputers of scikit-learn.

    python benchmarks/imputation.py --set penguins --seed 0
    python benchmarks/imputation.py --render

Each table, mechanism, share of holes, seed and system leaves a line in a file of JSON lines. A job with a line from the
same code is not run again, so a stopped run continues where it was. The sets lie in the folder `field` below
`CPVAE_DATA`. `--render` writes the page (`imputation_page`), with the protocol.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import field_page
import imputation_page
import options
from field import OWN_CODE, ROOT, SEEDS, code_of
from field_page import Line
from field_sets import SETS
from imputation_lines import MECHANISMS, OWN, SHARES, SYSTEMS, lines_of

from cpvae.files import append_line, check_writable, make_folders, write_atomic
from cpvae.fitting.jobs import Done, Job, run

PAGE, RESULTS = ROOT / "docs" / "imputation.md", ROOT / "results" / "imputation.jsonl"
TABLES = ("penguins", "heart.h", "plantTraits", "pbc", "credit_data", "Chile")
OWN_LINES = (*OWN_CODE, "benchmarks/imputation_lines.py")
PEER_LINES = ("benchmarks/imputation_peers.py", "benchmarks/imputation_lines.py", "benchmarks/field_sets.py")
Asked = tuple[str, str, float, int]  # set, mechanism, share, seed


def code(system: str) -> str:
    """Name the code behind a line."""
    return code_of(*(OWN_LINES if system == OWN else PEER_LINES))


def to_run(
    asked: Sequence[Asked], systems: Sequence[str], lines: Sequence[Line], force: bool
) -> list[tuple[Asked, list[str]]]:
    """List the jobs without a line from the same code: a table with holes, and the systems of one job."""
    codes = {system: code(system) for system in systems}
    there = {imputation_page.key(line) for line in lines if line.get("code") == codes.get(line["system"], "")}
    found = []
    for one in asked:
        left = [name for name in systems if force or codes[name][-1:] in ("", "+") or (*one, name) not in there]
        found += [(one, left)] if left else []
    return found


def measure(args: argparse.Namespace) -> None:
    """Run the jobs that are asked for and have no line yet."""
    systems = list(args.system or SYSTEMS)
    asked: list[Asked] = []
    for name in args.set or TABLES:
        absent = SETS[name].missing()
        if absent:
            print(f"{name} left out: {absent}", flush=True)
        else:
            asked += itertools.product([name], args.mechanism or MECHANISMS, args.share or SHARES, args.seed or SEEDS)
    make_folders(args.out.parent)
    check_writable(args.out)
    left = to_run(asked, systems, field_page.read(args.out, imputation_page.key), args.force)
    codes = {system: code(system) for system in systems}
    print(f"{len(left)} to run, {args.jobs} at a time; lines go to {args.out}", flush=True)

    def told(done: Done[list[Line]]) -> None:
        for line in done.result():
            append_line(args.out, json.dumps({**line, "code": codes[line["system"]]}))
            print(said(line), flush=True)

    jobs = [Job("-".join(map(str, one)), partial(lines_of, *one, some)) for one, some in left]
    run(jobs, args.jobs, told=told, advice="run the same command with fewer --jobs to go on")


def said(line: Line) -> str:
    """Print a line in words, for the terminal."""
    head = f"{line['set']:12} {line['share']:.0%} {line['mechanism']:14} seed {line['seed']}  {line['system']:24}"
    if "refused" in line:
        return f"{head} refused: {line['refused']}"
    names = ("rmse", "accuracy", "coverage", "width")
    return f"{head} {'  '.join(f'{name} {line[name]:.3f}' for name in names if line[name] is not None)}"


def render(results: Path, page: Path) -> None:
    """Write the page from the lines."""
    lines = field_page.read(results, imputation_page.key)
    write_atomic(page, imputation_page.page(lines, f"../results/{results.name}"))


def main(words: Sequence[str] | None = None) -> None:
    parser = options.parser_of(__doc__, SYSTEMS, RESULTS, PAGE)
    parser.add_argument("--set", action="append", choices=TABLES, help="one of the sets; may be repeated")
    parser.add_argument("--mechanism", action="append", choices=MECHANISMS, help="may be repeated; by default both")
    parser.add_argument("--share", action="append", type=float, choices=SHARES, help="may be repeated; by default all")
    parser.add_argument("--force", action="store_true", help="run again what has a line")
    options.run_or_render(parser.parse_args(words), measure, render)


if __name__ == "__main__":
    main()
