"""How long fits will take on this machine, and which to do first if there is not the time for all."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cpvae.errors import InputError
from cpvae.reproduce.rows import Row
from cpvae.reproduce.running import Job, results_of, speed
from cpvae.restarts import one_thread

SAME_SPEED = 1.0  # ratio for results that do not say how fast their machine was


def seconds_of(row: Row, rows: Sequence[Row], results: Path, rate: float) -> float | None:
    """What a fit of a row will take on one thread, with its measurements; None where no result tells.

    From results of the row itself, else of the model on the same data with the nearest number of components, else of
    the same model on other data.

    Args:
        rate: 10^9 operations a second of one thread of this machine (`cpvae.reproduce.running.speed`).
    """

    def known(other: Row) -> list[float]:
        found = [_seconds(result, rate) for result in results_of(other, results)]
        return [value for value in found if value is not None]

    def distance(other: Row) -> tuple[bool, bool, float]:
        sizes = [math.log(one.components or 1) for one in (row, other)]
        return other.dataset != row.dataset, other.group != row.group, abs(sizes[0] - sizes[1])

    alike = [other for other in rows if other.model == row.model and known(other)]
    if not alike:
        return None
    nearest = row if known(row) else min(alike, key=distance)
    return float(np.median(known(nearest)))


def _seconds(result: dict[str, Any], rate: float) -> float | None:
    seconds = result["seconds"]
    whole = seconds.get("all", seconds.get("start", 0.0) + seconds.get("training", 0.0))
    return whole * (result["gigaflops"] / rate if "gigaflops" in result else SAME_SPEED) or None


class Plan:
    """Jobs in the order in which to do them, and what they take.

    Attributes:
        jobs: those to do.
        left: those there is no time for.
        costs: seconds of each job to do on one thread; None where nothing tells.
        seconds: until the last is done, so many side by side, of those whose cost is known.
    """

    def __init__(self, jobs: Sequence[Job], rows: Sequence[Row], results: Path, n_jobs: int, budget: float | None):
        with one_thread():
            rate = speed()
        self.n_jobs = max(1, min(n_jobs, len(jobs)))
        costs = [seconds_of(job.row, rows, results, rate) for job in jobs]
        chosen = list(range(len(jobs))) if budget is None else self._affordable(jobs, costs, budget)
        self.jobs = [jobs[i] for i in chosen]
        self.left = [job for i, job in enumerate(jobs) if i not in chosen]
        self.costs = [costs[i] for i in chosen]
        free = [0.0] * self.n_jobs
        for cost in self.costs:
            heapq.heappush(free, heapq.heappop(free) + (cost or 0.0))
        self.seconds = max(free)

    def _affordable(self, jobs: Sequence[Job], costs: Sequence[float | None], budget: float) -> list[int]:
        """Those of most value to a second that are done within the budget: a row's first seed before its second.

        What nothing tells the cost of is taken to cost what others do in the middle; without any, one at a time.
        """
        told = [cost for cost in costs if cost is not None]
        usual = float(np.median(told)) if told else budget
        full = [usual if cost is None else cost for cost in costs]
        free, chosen = [0.0] * self.n_jobs, []
        for i in sorted(range(len(jobs)), key=lambda i: (jobs[i].seed, full[i])):
            if free[0] + full[i] <= budget:
                heapq.heapreplace(free, free[0] + full[i])
                chosen.append(i)
        if jobs and not chosen:
            raise InputError(
                f"--budget {budget / 60:g}: the shortest fit takes about {duration(min(full))}; give more minutes"
            )
        return chosen

    def lines(self) -> list[str]:
        """What is ahead, in print."""
        if not self.jobs:
            return ["every fit has its result"]
        unknown = [job.name for job, cost in zip(self.jobs, self.costs, strict=True) if cost is None]
        text = f"{len(self.jobs)} fits, {self.n_jobs} at a time"
        if self.seconds:
            text += f": about {duration(self.seconds)} on this machine"
        if self.seconds and unknown:
            text += f" for {len(self.jobs) - len(unknown)} of them"
        if unknown:
            text += f"; no result tells how long {unknown[0]} takes"
            text += f", nor {len(unknown) - 1} more" if len(unknown) > 1 else ""
        lines = [text]
        if self.left:
            lines.append(f"left for later: {', '.join(f'{job.row.group}/{job.name}' for job in self.left)}")
        return lines

    def as_dict(self) -> dict[str, Any]:
        """The same for scripts: seconds on one thread of each job, None where nothing tells."""
        return {
            "seconds": self.seconds,
            "side_by_side": self.n_jobs,
            "jobs": [
                {"row": job.row.name, "group": job.row.group, "seed": job.seed, "seconds": cost}
                for job, cost in zip(self.jobs, self.costs, strict=True)
            ],
            "left": [{"row": job.row.name, "group": job.row.group, "seed": job.seed} for job in self.left],
        }


def duration(seconds: float) -> str:
    """Hours and minutes.

    >>> duration(50), duration(600), duration(9000)
    ('1 min', '10 min', '2 h 30 min')
    """
    minutes = max(1, round(seconds / 60))
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
