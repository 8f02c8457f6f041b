"""The work of `cpvae reproduce` once its options are read: plan, fit, measure again, write pages."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from cpvae.errors import InputError
from paper import planning, running, verification
from paper.page import render
from paper.rows import Row, named, read_rows
from paper.targets import cells_for, rows_for

Say = Callable[[str], None]


@dataclass(frozen=True)
class Asked:
    """The options of the command.

    Attributes:
        target: a name in `paper.targets.TARGETS`.
        rows: names of rows; empty for all that the target needs.
        render: write tables and figures, and nothing else.
        plan: say what is missing, and nothing else.
        verify: measure so many results again, and nothing else.
        seed: chooses the results to measure again.
        budget: minutes that the fits may take; None is no limit.
        experiments, results, folder: of the experiments, the result files, the fits.
        jobs: fits side by side; None is one for each core.
    """

    target: str
    rows: Sequence[str] = ()
    render: bool = False
    plan: bool = False
    verify: int | None = None
    seed: int = 0
    budget: float | None = None
    experiments: Path = Path("experiments")
    results: Path = Path("results")
    folder: Path = Path("runs", "reproduce")
    jobs: int | None = None

    def check(self) -> None:
        """Refuse options that exclude each other.

        Raises:
            InputError: two of --render, --plan, --verify, or --budget with one that plans nothing.
        """
        given = (("--render", self.render), ("--plan", self.plan), ("--verify", self.verify))
        only = [name for name, value in given if value]
        if len(only) > 1:
            raise InputError(f"{' and '.join(only)}: expected one of them; leave the others out")
        if self.budget and (self.render or self.verify):
            raise InputError(f"--budget and {only[0]}: nothing is planned with {only[0]}; leave --budget out")


class Answer(NamedTuple):
    """Make the JSON that the command prints, and tell whether all that was measured again is as it was."""

    json: Any
    same: bool = True


def reproduce(asked: Asked, say: Say) -> Answer:
    """Do what was asked.

    Args:
        asked: the options.
        say: takes lines for the user.

    Raises:
        InputError: an unknown target or row, options that exclude each other, damaged files; as `cpvae fit`.
    """
    asked.check()
    rows = read_rows(asked.experiments)
    needed = rows_for(asked.target, rows)
    if asked.rows:
        needed = named(needed, asked.rows)
    if asked.plan:
        plan = _plan(asked, rows, needed)
        for line in [*plan.lines(), *plan.each()]:
            say(line)
        return Answer(plan.as_dict())
    compared = _verify(asked, needed, say) if asked.verify else None
    if not asked.render and compared is None:
        _fit(asked, rows, needed, say)
    _write(asked, rows, say)
    if compared is not None:
        return Answer([one.as_dict() for one in compared], all(one.same for one in compared))
    return Answer(cells_for(needed, asked.results, asked.experiments))


def _plan(asked: Asked, rows: Sequence[Row], needed: Sequence[Row]) -> planning.Plan:
    """Plan the fits that have no result yet."""
    seconds = asked.budget and 60 * asked.budget
    return planning.Plan(running.missing(needed, asked.results), rows, asked.results, asked.jobs, seconds)


def _fit(asked: Asked, rows: Sequence[Row], needed: Sequence[Row], say: Say) -> None:
    """Fit what has no result yet, as far as the budget goes."""
    plan = _plan(asked, rows, needed)
    for line in plan.lines():
        say(line)
    if plan.jobs:
        say(f"each fit has a folder in {asked.folder}, a result in {asked.results}")
    running.reproduce(plan.jobs, asked.folder, asked.results, n_jobs=asked.jobs, progress=say)
    for row in needed:
        running.agreement(row, asked.folder, asked.results)


def _verify(asked: Asked, needed: Sequence[Row], say: Say) -> list[verification.Comparison]:
    """Measure some results again."""
    words = ["cpvae", "reproduce", asked.target, *(word for name in asked.rows for word in ("--row", name))]
    command = shlex.join([*words, "--verify", str(asked.verify), "--seed", str(asked.seed)])
    chosen = verification.choose(needed, asked.results, asked.verify or 0, asked.seed)
    return verification.verify(chosen, asked.folder, asked.results, command, n_jobs=asked.jobs, progress=say)


def _write(asked: Asked, rows: Sequence[Row], say: Say) -> None:
    """Write pages and figures, if results and experiments are of one checkout."""
    root = asked.experiments.parent
    if asked.results.resolve().parent != asked.experiments.resolve().parent:
        say(f"{asked.results} and {asked.experiments} are not of one checkout: no pages are written")
        return
    for path in render(rows, asked.results, asked.experiments, root):
        say(f"wrote {path}")
