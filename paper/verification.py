"""Results measured again and compared: from the weights in their run folders, or from new fits of the same arguments.

Every figure in a result file is compared; what it tells of arguments, machine and time is not.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

from cpvae.errors import InputError
from cpvae.files import write_json
from cpvae.fitting import runs
from cpvae.study.evidence import evidence
from paper.results import result_in
from paper.rows import Row
from paper.running import Job, reproduce

FILE = "verification.json"
NO_FIGURES = {"command", "commit", "fit_commit", "versions", "device", "seconds", "gigaflops", "warnings"}
NO_FIGURES |= {"row", "recipe", "dataset", "model", "seed", "params", "stopped", "picture", "history"}
NO_FIGURES |= {"frechet_distance_se", "purity_se"}  # by resampling: another order of the draws, another figure
SAME = 1e-4  # relative to a figure, or to 1 for those below it; counts have to be equal


class Comparison(NamedTuple):
    """A result beside the same measured again.

    Attributes:
        figures: how many were compared.
        difference: the largest, relative to the figure, or to 1 for those below it; infinite for what is no number.
        where: the figure that differs most; empty if none does.
        fitted_again: whether there was no run folder, so that the weights are new as well.
    """

    name: str
    figures: int
    difference: float
    where: str
    fitted_again: bool

    @property
    def same(self) -> bool:
        """Whether all figures agree."""
        return self.difference <= SAME

    def as_dict(self) -> dict[str, Any]:
        """The same for JSON, which has no infinity."""
        difference = self.difference if math.isfinite(self.difference) else None
        return {**self._asdict(), "difference": difference, "same": self.same}

    def line(self) -> str:
        """In print."""
        how = "fitted and measured again" if self.fitted_again else "measured again"
        text = f"{self.name}, {how}: {self.figures} figures"
        return f"{text} the same" if self.same else f"{text}, {self.where} differs by {self.difference:.2g}"


def verified(results: Path) -> dict[str, Any] | None:
    """What the last verification found, or None; a file that is damaged is none.

    Keys ``compared``, a list of `Comparison.as_dict`, and those of `cpvae.study.evidence.evidence`.
    """
    with suppress(OSError, ValueError, KeyError, TypeError):
        found = dict(json.loads((results / FILE).read_text()))
        _ = found["command"], [(one["name"], one["same"], int(one["figures"])) for one in found["compared"]]
        return found
    return None


def choose(rows: Sequence[Row], results: Path, n: int, seed: int) -> list[Job]:
    """Results that are there, `n` of them at random, or all; another seed chooses others.

    Raises:
        InputError: there is none.
    """
    found = [Job(row, seed) for row in rows for seed in range(row.seeds) if row.result(results, seed).exists()]
    if not found:
        raise InputError(f"no result in {results} to verify; fit something first, by the same command without --verify")
    chosen = np.random.default_rng(seed).choice(len(found), min(n, len(found)), replace=False)
    return [found[i] for i in sorted(chosen)]


def verify(
    jobs: Sequence[Job],
    folder: Path,
    results: Path,
    command: str,
    *,
    n_jobs: int | None = None,
    progress: Callable[[str], None] = lambda text: None,
) -> list[Comparison]:
    """Measure these results again, compare them with their files, and keep what was found in ``verification.json``.

    Args:
        folder: of the run folders. What has no finished run there is fitted again.
        results: of the result files, which stay as they are.
        command: that asked for it, for the record.
        n_jobs: as `paper.running.reproduce`.

    Raises:
        InputError: a damaged result; as `cpvae fit`, after what could be compared is.
    """
    before = [result_in(job.row.result(results, job.seed)) for job in jobs]
    again = [not _finished(folder / job.row.group / job.name) for job in jobs]
    found, refused = [], None
    with TemporaryDirectory() as place:
        try:
            reproduce(jobs, folder, Path(place), n_jobs=n_jobs, progress=progress)
        except InputError as error:
            refused = error
        for job, first, fitted_again in zip(jobs, before, again, strict=True):
            path = job.row.result(Path(place), job.seed)
            if path.exists():
                found.append(compare(f"{job.row.group}/{job.name}", first, result_in(path), fitted_again))
                progress(found[-1].line())
    if found:
        write_json(results / FILE, {**evidence(command), "compared": [one.as_dict() for one in found]})
    if refused is not None:
        raise refused
    return found


def _finished(place: Path) -> bool:
    """Whether a run folder holds the weights of a finished fit."""
    with suppress(InputError):
        return bool(runs.read_config(place)["status"] == runs.FINISHED)
    return False


def compare(name: str, before: dict[str, Any], after: dict[str, Any], fitted_again: bool = False) -> Comparison:
    """Two results of the same row and seed, figure by figure; figures that only the later one has are left out.

    >>> compare("a", {"test": {"elbo": 1.0}, "seconds": 5}, {"test": {"elbo": 1.5}, "seconds": 9})
    Comparison(name='a', figures=1, difference=0.5, where='test elbo', fitted_again=False)
    """
    a, b = (dict(_figures(one)) for one in (before, after))
    largest, where = 0.0, ""
    for key in a:
        difference = _difference(a[key], b[key]) if key in b else math.inf
        if difference > largest:
            largest, where = difference, key
    return Comparison(name, len(a), largest, where, fitted_again)


def _figures(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The figures of a result, by the keys that lead to them."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if items is None:
        if not isinstance(value, str):
            yield path, value
        return
    for key, part in items:
        if key not in NO_FIGURES:
            yield from _figures(part, f"{path} {key}".strip())


def _difference(a: Any, b: Any) -> float:
    """0 for what is equal; of numbers relative to the first one, or to 1 for one below that."""
    if a == b:
        return 0.0
    if not (isinstance(a, float) and isinstance(b, int | float)):  # counts, words, what was not to be had
        return math.inf
    return abs(a - b) / max(1.0, abs(a))
