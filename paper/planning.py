"""Plans: the time that fits will take on this machine, and the order in which to do them."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cpvae.errors import InputError
from cpvae.fitting.devices.threads import at_most
from cpvae.fitting.jobs import at_a_time
from paper.results import results_of
from paper.rows import Row
from paper.running import RowSeed, speed

UNLIKE = ("network", "preset", "max_epochs", "covariance_type")  # parameters by which fits take other times
SAME_SPEED = 1.0  # ratio for results that do not say how fast their machine was


class Costs:
    """The seconds that fits take on one thread, their measurements included, as far as results tell.

    Args:
        rows: rows whose results are looked at.
        results: the folder of the result files.
        rate: 10^9 operations a second of one thread of this machine (`paper.running.speed`).
    """

    def __init__(self, rows: Sequence[Row], results: Path, rate: float):
        self.rate = rate
        self.known: list[tuple[Row, float, float]] = []  # with the middle of its seconds and of its epochs
        for row in rows:
            found = [(self._seconds(result), result["epochs"]) for result in results_of(row, results)]
            told = [(seconds, epochs) for seconds, epochs in found if seconds]
            if told:
                seconds, epochs = np.median(told, axis=0)
                self.known.append((row, float(seconds), float(epochs)))

    def _seconds(self, result: dict[str, Any]) -> float:
        seconds = result["seconds"]
        whole = seconds.get("all", seconds.get("start", 0.0) + seconds.get("training", 0.0))
        on_cpu = result["device"].startswith("cpu")  # whose speed it is
        return float(whole * (result["gigaflops"] / self.rate if on_cpu and "gigaflops" in result else SAME_SPEED))

    def seconds(self, row: Row) -> float | None:
        """Estimate the seconds of one fit of a row; None where no result tells.

        They are taken from results of the row itself, or else of the row of the same model that is most alike in data,
        network, preset, epochs, covariances, folder and number of components. If the row says how many epochs it
        takes, the seconds are scaled to them.
        """

        def distance(of: tuple[Row, float, float]) -> tuple[bool, list[bool], bool, float]:
            other = of[0]
            unlike = [other.params.get(key) != row.params.get(key) for key in UNLIKE]
            sizes = [math.log(one.components or 1) for one in (row, other)]
            return other.dataset != row.dataset, unlike, other.group != row.group, abs(sizes[0] - sizes[1])

        for other, seconds, _ in self.known:
            if other == row:
                return seconds
        alike = [one for one in self.known if one[0].model == row.model]
        if not alike:
            return None
        _, seconds, epochs = min(alike, key=distance)
        return seconds * row.params.get("max_epochs", epochs) / max(1.0, epochs)


class Plan:
    """The jobs that a budget holds, in the order in which to do them, and their seconds.

    Attributes:
        jobs: the jobs to do.
        left: the jobs that the budget has no time for.
        costs: seconds of each job to do on one thread; None where no result tells.
        seconds: time until the last job is done, `n_jobs` side by side; jobs of unknown cost do not count.
    """

    def __init__(
        self, jobs: Sequence[RowSeed], rows: Sequence[Row], results: Path, n_jobs: int | None, budget: float | None
    ):
        with at_most(1):
            rate = speed()
        self.n_jobs = at_a_time(n_jobs, len(jobs))
        expected = Costs(rows, results, rate)
        costs = [expected.seconds(job.row) for job in jobs]
        chosen = list(range(len(jobs))) if budget is None else self._affordable(jobs, costs, budget)
        self.jobs = [jobs[i] for i in chosen]
        self.left = [job for i, job in enumerate(jobs) if i not in chosen]
        self.costs = [costs[i] for i in chosen]
        free = [0.0] * self.n_jobs
        for cost in self.costs:
            heapq.heappush(free, heapq.heappop(free) + (cost or 0.0))
        self.seconds = max(free)

    def _affordable(self, jobs: Sequence[RowSeed], costs: Sequence[float | None], budget: float) -> list[int]:
        """Choose the jobs that fit into the budget: first seeds before second ones, short fits before long ones.

        A fit of unknown cost counts with the median of the others. If no cost is known, each place gets one fit.

        Raises:
            InputError: the budget is too short for any fit.
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
        """Print what is ahead."""
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

    def each(self) -> list[str]:
        """Print a line for each job, in their order: how long it takes on one thread, and its name."""
        told = ["?" if cost is None else duration(cost) for cost in self.costs]
        return [f"{cost:>10}  {job.row.group}/{job.name}" for cost, job in zip(told, self.jobs, strict=True)]

    def as_dict(self) -> dict[str, Any]:
        """Return the plan for scripts: seconds of each job on one thread, None where no result tells."""
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
    """Print seconds as hours and minutes.

    >>> duration(50), duration(600), duration(9000)
    ('1 min', '10 min', '2 h 30 min')
    """
    minutes = max(1, round(seconds / 60))
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
