"""The options that all benchmarks with a file of lines and a page share."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from cpvae.files import write_atomic


def parser_of(about: str, systems: Sequence[str], results: Path, page: Path) -> argparse.ArgumentParser:
    """Make a parser of the options that are shared; what a benchmark may be asked for beside them, it adds itself.

    Args:
        about: docstring of the benchmark, whose first line is the help.
        systems: names that `--system` takes.
        results: the file of lines where `--out` names no other.
        page: what `--render` writes where it names no other.
    """
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("--seed", action="append", type=int, help="may be repeated; by default 0, 1 and 2")
    parser.add_argument("--system", action="append", choices=list(systems), help="may be repeated; by default all")
    parser.add_argument("--jobs", type=int, default=1, help="processes side by side")
    parser.add_argument("--out", type=Path, default=results, help="the file of lines")
    parser.add_argument("--render", nargs="?", type=Path, const=page, help="write the page from the file, run nothing")
    return parser


def run_or_render(
    args: argparse.Namespace, measure: Callable[[argparse.Namespace], None], render: Callable[[Path, Path], None]
) -> None:
    """Write the page from the file of lines where `--render` is given; run the jobs otherwise."""
    if args.render:
        render(args.out, args.render)
    else:
        measure(args)


def write_between(page: Path, begin: str, end: str, text: str) -> None:
    """Write text into a page between two marks of it, in place of what is there."""
    before, _, rest = page.read_text("utf-8").partition(begin)
    write_atomic(page, before + begin + text + rest[rest.index(end) :])
