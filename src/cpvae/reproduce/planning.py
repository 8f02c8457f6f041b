"""How long fits will take on this machine, and which to do first if there is not the time for all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cpvae.checkpoints import read_json
from cpvae.errors import InputError
from cpvae.reproduce.rows import Row
from cpvae.reproduce.running import Job, speed

UNKNOWN_SPEED = 1.0  # ratio for results that do not say how fast their machine was


def seconds_of(row: Row, rows: Sequence[Row], results: Path, rate: float) -> float | None:
    """What a fit of a row will take on one thread, with its measurements; None where no result tells.

    From results of the row itself, else of the model on the same data with the nearest number of components, else of
    the same model on other data.

    Args:
        rate: 10^9 operations a second of this machine (`cpvae.reproduce.running.speed`).
    """

    def known(other: Row) -> list[float]:
        paths = [other.result(results, seed) for seed in range(other.seeds)]
        found = [_seconds(read_json(path, "a result"), rate) for path in paths if path.exists()]
        return [value for value in found if value is not None]

    def distance(other: Row) -> tuple[bool, bool, float]:
        sizes = [np.log(one.components or 1) for one in (row, other)]
        return other.dataset != row.dataset, other.group != row.group, abs(sizes[0] - sizes[1])

    alike = [other for other in rows if other.model == row.model and known(other)]
    if not alike:
        return None
    nearest = row if known(row) else min(alike, key=distance)
    return float(np.median(known(nearest)))


def _seconds(result: dict[str, Any], rate: float) -> float | None:
    seconds = result.get("seconds", {})
    whole = seconds.get("all", seconds.get("start", 0.0) + seconds.get("training", 0.0))
    return whole * (result["gigaflops"] / rate if "gigaflops" in result else UNKNOWN_SPEED) or None


class Plan:
    """Jobs in the order in which to do them, and what they take.

    Attributes:
        jobs: those to do.
        left: those there is no time for.
        seconds: of each job on one thread, by name; absent where nothing tells.
    """

    def __init__(self, jobs: Sequence[Job], rows: Sequence[Row], results: Path, n_jobs: int, budget: float | None):
        rate = speed()
        told = {job.name: seconds_of(job.row, rows, results, rate) for job in jobs}
        self.seconds = {name: value for name, value in told.items() if value is not None}
        self.n_jobs, self.left = n_jobs, list[Job]()
        self.jobs = list(jobs) if budget is None else self._affordable(jobs, budget)

    def _affordable(self, jobs: Sequence[Job], budget: float) -> list[Job]:
        """Those of most value to a second, as many as `budget` seconds hold: a row's first seed before its second."""
        usual = float(np.median([*self.seconds.values()])) if self.seconds else 0.0
        cost = {job.name: self.seconds.get(job.name, usual) for job in jobs}
        worth = sorted(jobs, key=lambda job: (job.seed, cost[job.name]))
        chosen, spent = [], 0.0
        for job in worth:
            if spent + cost[job.name] <= budget * self.n_jobs:
                chosen.append(job)
                spent += cost[job.name]
        self.left = [job for job in jobs if job not in chosen]
        if jobs and not chosen:
            least = min(cost.values()) / self.n_jobs
            raise InputError(f"--budget {budget / 60:g}: the shortest fit takes {least / 60:.0f} minutes; give more")
        return chosen

    def lines(self) -> list[str]:
        """What is ahead, in print."""
        if not self.jobs:
            return ["every fit has its result"]
        whole = sum(self.seconds.get(job.name, 0.0) for job in self.jobs) / self.n_jobs
        unknown = [job.name for job in self.jobs if job.name not in self.seconds]
        text = f"{len(self.jobs)} fits, {self.n_jobs} at a time"
        if whole:
            text += f": about {duration(whole)} on this machine"
        if whole and unknown:
            text += f" for {len(self.jobs) - len(unknown)} of them"
        if unknown:
            text += f"; no result tells how long {unknown[0]} takes"
            text += f", nor {len(unknown) - 1} more" if len(unknown) > 1 else ""
        lines = [text]
        if self.left:
            lines.append(f"left for later: {', '.join(job.name for job in self.left)}")
        return lines


def duration(seconds: float) -> str:
    """Hours and minutes.

    >>> duration(50), duration(600), duration(9000)
    ('1 min', '10 min', '2 h 30 min')
    """
    minutes = max(1, round(seconds / 60))
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
