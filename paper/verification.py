"""Results measured again and compared: from the weights in their run folders, or from new fits of the same arguments.

Every figure in a result file is compared. Arguments, machine and time are not.
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
from paper.running import RowSeed, reproduce

FILE = "verification.json"
NO_FIGURES = {"command", "commit", "fit_commit", "versions", "device", "seconds", "gigaflops", "warnings"}
NO_FIGURES |= {"row", "recipe", "dataset", "model", "seed", "params", "stopped", "picture", "history"}
NO_FIGURES |= {
    "frechet_distance_se",
    "purity_se",
}  # found by resampling: another order of the draws gives another figure
SAME = 1e-4  # relative to a figure, or to 1 for those below it; counts have to be equal


class Comparison(NamedTuple):
    """A result beside the same result measured again.

    Attributes:
        name: group, row and seed.
        figures: how many figures were compared.
        difference: the largest one, relative to the figure, or to 1 for figures below 1; infinite for text and counts.
        where: the figure that differs most; empty if none does.
        fitted_again: whether the weights are of a new fit, because there was no run folder.
    """

    name: str
    figures: int
    difference: float
    where: str
    fitted_again: bool

    @property
    def same(self) -> bool:
        """Say whether all figures agree."""
        return self.difference <= SAME

    def as_dict(self) -> dict[str, Any]:
        """Return the same for JSON, which has no infinity."""
        difference = self.difference if math.isfinite(self.difference) else None
        return {**self._asdict(), "difference": difference, "same": self.same}

    def line(self) -> str:
        """Print it in a line."""
        how = "fitted and measured again" if self.fitted_again else "measured again"
        text = f"{self.name}, {how}: {self.figures} figures"
        return f"{text} the same" if self.same else f"{text}, {self.where} differs by {self.difference:.2g}"


def verified(results: Path) -> dict[str, Any] | None:
    """Read what the last verification found; None where its file is missing or damaged.

    The keys are ``compared``, a list of `Comparison.as_dict`, and those of `cpvae.study.evidence.evidence`.
    """
    with suppress(OSError, ValueError, KeyError, TypeError):
        found = dict(json.loads((results / FILE).read_text()))
        _ = found["command"], [(one["name"], one["same"], int(one["figures"])) for one in found["compared"]]
        return found
    return None


def choose(rows: Sequence[Row], results: Path, n: int, seed: int) -> list[RowSeed]:
    """Choose `n` results at random, or all if there are fewer; another seed chooses others.

    Raises:
        InputError: there is no result.
    """
    found = [RowSeed(row, seed) for row in rows for seed in range(row.seeds) if row.result(results, seed).exists()]
    if not found:
        raise InputError(f"no result in {results} to verify; fit something first, by the same command without --verify")
    chosen = np.random.default_rng(seed).choice(len(found), min(n, len(found)), replace=False)
    return [found[i] for i in sorted(chosen)]


def verify(
    jobs: Sequence[RowSeed],
    folder: Path,
    results: Path,
    command: str,
    *,
    n_jobs: int | None = None,
    progress: Callable[[str], None] = lambda text: None,
) -> list[Comparison]:
    """Measure results again, compare them with their files, and keep what was found in ``verification.json``.

    Args:
        jobs: the results.
        folder: holds the run folders. A job without a finished run there is fitted again.
        results: holds the result files, which stay as they are.
        command: the command that asked for it, for the record.
        n_jobs: as for `paper.running.reproduce`.
        progress: takes a line for each comparison.

    Raises:
        InputError: a result is damaged, or a fit was refused; the other results are compared before that.
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
    """Say whether a run folder holds the weights of a finished fit."""
    with suppress(InputError):
        return bool(runs.read_config(place)["status"] == runs.FINISHED)
    return False


def compare(name: str, before: dict[str, Any], after: dict[str, Any], fitted_again: bool = False) -> Comparison:
    """Compare two results of the same row and seed, figure by figure; figures of the later one alone are left out.

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
    """Yield the figures of a result, by the keys that lead to them."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if items is None:
        if not isinstance(value, str):
            yield path, value
        return
    for key, part in items:
        if key not in NO_FIGURES:
            yield from _figures(part, f"{path} {key}".strip())


def _difference(a: Any, b: Any) -> float:
    """Measure a difference relative to the first figure, at least 1; infinite for counts or text that are not equal."""
    if a == b:
        return 0.0
    if not (isinstance(a, float) and isinstance(b, int | float)):  # counts, words, missing figures
        return math.inf
    return abs(a - b) / max(1.0, abs(a))
