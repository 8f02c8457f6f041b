"""CP-VAE with its defaults on sets of the field, beside its own start and the tools that a person would use instead.

    python benchmarks/field.py --set penguins --seed 0 --out results/field.jsonl
    python benchmarks/field.py --render

Each set (`field_sets.SETS`), seed and system leaves a line in a file of JSON lines. A job with a line from the same
code is not run again, so a stopped run continues where it was. The sets lie in the folder `field` below `CPVAE_DATA`.
`--render` writes the page (`field_page`), with the protocol and the rule for a win. A system whose package is missing
is left out, and a line on the terminal says so. `--further` runs the further and the unseen tables, which
`field_sets` gets.
"""

from __future__ import annotations

import argparse
import functools
import json
import subprocess
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import field_page
import options
from field_lines import lines_of
from field_page import OWN, SYSTEMS, Line
from field_peers import PEERS
from field_sets import ALL, FURTHER, SETS, UNSEEN

from cpvae.files import append_line, check_writable, make_folders, write_atomic
from cpvae.fitting.jobs import Done, Job, run

ROOT = Path(__file__).parents[1]
PAGE, RESULTS = ROOT / "docs" / "field.md", ROOT / "results" / "field.jsonl"
SEEDS = (0, 1, 2)
OWN_CODE = ("src/cpvae", "benchmarks/field_sets.py")
PEER_CODE = ("benchmarks/field_peers.py", "benchmarks/field_sets.py")


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
    """List the jobs without a line from the same code: set, seed, and the systems of one job.

    Code with uncommitted changes has no name, so its jobs are run again.
    """
    there = {field_page.key(line) for line in lines if line.get("code") == code(line["system"])}
    found = []
    for seed in seeds:
        for name in sets:
            asked = [one for one in systems if one in OWN or PEERS[one].suits(ALL[name].field)]
            left = [one for one in asked if force or code(one)[-1:] in ("", "+") or (name, seed, one) not in there]
            both = tuple(one for one in left if one in OWN)
            found += [(name, seed, both)] if both else []
            found += [(name, seed, (one,)) for one in left if one not in OWN]
    return found


def measure(args: argparse.Namespace) -> None:
    """Run the jobs that are asked for and have no line yet."""
    systems, sets = list(args.system or SYSTEMS), list(args.set or (FURTHER | UNSEEN if args.further else SETS))
    absent = {one: PEERS[one].missing() for one in systems if one not in OWN} | {
        one: ALL[one].missing() for one in sets
    }
    for name, why in absent.items():
        if why:
            print(f"{name} left out: {why}", flush=True)
    systems, sets = ([one for one in names if not absent.get(one)] for names in (systems, sets))
    make_folders(args.out.parent)
    check_writable(args.out)
    asked = to_run(sets, args.seed or SEEDS, systems, field_page.read(args.out), args.force)
    codes = {system: code(system) for system in systems}
    print(f"{len(asked)} to run, {args.jobs} at a time; lines go to {args.out}", flush=True)

    def told(done: Done[list[Line]]) -> None:
        for line in done.result():
            append_line(args.out, json.dumps({**line, "code": codes[line["system"]], "warnings": done.warnings}))
            print(said(line), flush=True)

    jobs = [Job(f"{name}-{seed}-{'+'.join(some)}", partial(lines_of, name, seed, some)) for name, seed, some in asked]
    run(jobs, args.jobs, told=told, advice="run the same command with fewer --jobs to go on")


def said(line: Line) -> str:
    """Print a line in words, for the terminal."""
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
    parser = options.parser_of(__doc__, SYSTEMS, RESULTS, PAGE)
    parser.add_argument("--set", action="append", choices=list(ALL), help="one of the sets; may be repeated")
    parser.add_argument("--further", action="store_true", help="the further and the unseen tables in place of the sets")
    parser.add_argument("--force", action="store_true", help="run again what has a line")
    options.run_or_render(parser.parse_args(words), measure, render)


if __name__ == "__main__":
    main()
