"""The number of components: fits with several of them, compared by the bound of rows that no fit saw."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import clone

from cpvae.arguments import as_path, between, whole
from cpvae.data.containers import as_rows
from cpvae.errors import InputError, counted
from cpvae.estimators.clusterer import Clusterer, clusters
from cpvae.estimators.rows_in import in_order, take
from cpvae.files import write_json
from cpvae.fitting import runs
from cpvae.fitting.jobs import Done, Job, at_a_time, check_number, run
from cpvae.probability.estimates import components_used
from cpvae.study.generations import layers, steps
from cpvae.study.held_out import hold_out, schema_of
from cpvae.words.phrases import listed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CANDIDATES = (1, 2, 5, 10, 20)
RESULT, PICTURE, TREE = "choice.json", "choice.png", "tree.png"  # in the folder of the runs
SURE = 2.0  # standard errors from which on a number is worse than the best one
RULE = (
    "Bounds are of rows that no fit saw. Chosen is the smallest number whose bound is worse than the best by no more "
    "than one standard error of their difference (Breiman et al., 1984), taken over rows and, with several seeds, over "
    "seeds."
)
GROUPS = "Categories that generate rows which are often mixed up form one group (`groups()` of an estimator)."


@dataclass(frozen=True)
class Candidate:
    """A number of components. Nats a row, on held-out rows.

    Attributes:
        negative_elbo: -L, mean over rows and seeds; by_seed: of each seed.
        worse_by: than the best candidate; worse_by_se: its standard error.
        components_used, groups: mean over seeds: how many components are in use, and how many groups their priors form
            (`cpvae.estimators.groups`).
    """

    n_components: int
    negative_elbo: float
    by_seed: tuple[float, ...]
    worse_by: float
    worse_by_se: float
    components_used: float
    groups: float

    def within(self, errors: float) -> bool:
        """Tell whether it is worse than the best by no more than so many standard errors."""
        return self.worse_by <= errors * self.worse_by_se


@dataclass(frozen=True)
class Choice:
    """The result of `choose_components`.

    Attributes:
        n_components: the number chosen; best: the one of the best bound.
        rows: how many were held out.
        candidates: all, in the order of their numbers.
        fits: number of components -> its fit of the seed with the best bound.
        categories: number of components -> category of each held-out row, ``(rows,)``, by the fit of the best seed.
    """

    n_components: int
    best: int
    rows: int
    candidates: tuple[Candidate, ...]
    fits: dict[int, Clusterer] = field(repr=False)
    categories: dict[int, np.ndarray] = field(repr=False)

    @property
    def estimator(self) -> Clusterer:
        """Give the fit with the number chosen."""
        return self.fits[self.n_components]

    @property
    def run(self) -> str:
        """Name the folder of that fit."""
        return self.run_of(self.n_components)

    def run_of(self, n_components: int) -> str:
        """Name the folder of the fit with a number of components."""
        return _name(self.fits[n_components])

    @property
    def undecided(self) -> tuple[int, ...]:
        """Give the numbers that the held-out rows cannot tell apart; none where they decide."""
        within = tuple(c.n_components for c in self.candidates if c.within(SURE))
        return within if len(within) > 1 else ()

    def as_dict(self) -> dict[str, Any]:
        """Give all but the fits, as JSON holds it."""
        return {
            "n_components": self.n_components,
            "run": self.run,
            "best": self.best,
            "undecided": list(self.undecided),
            "rows": self.rows,
            "rule": RULE,
            "candidates": [asdict(candidate) for candidate in self.candidates],
            "tree": [step.as_dict() for step in steps(self.categories)],
        }


# More than 60 lines: arguments and their docstring are more than half of it.
def choose_components(
    estimator: Clusterer,
    X: ArrayLike,
    components: Sequence[int] = CANDIDATES,
    *,
    X_held_out: ArrayLike | None = None,
    n_seeds: int = 1,
    held_out_fraction: float = 0.2,
    out: str | Path | None = None,
    n_jobs: int | None = None,
    about: dict[str, Any] | None = None,
    progress: Callable[[str], None] = lambda text: None,
) -> Choice:
    """Fit an estimator with several numbers of components and choose one, without labels.

    Args:
        estimator: unfitted, such as ``CPVAE(random_state=0)``; its own `n_components` does not matter. A fit keeps
            `validation_fraction` of its rows to stop by; what decides is other rows.
        X: rows to fit and, unless they are given, to hold out.
        components: the numbers to try.
        X_held_out: rows that decide; by default `held_out_fraction` of X, drawn with the estimator's `random_state`.
        n_seeds: fits of each number, with seeds from `random_state` (0 if it is None) on.
        out: a folder for the runs, which go on where they were stopped; None keeps nothing.
        n_jobs: fits side by side, one thread each; None is one for each core, and one where there is a GPU.
        about: kept with each run, for instance where the rows came from.
        progress: told a line for each fit.

    Raises:
        InputError: arguments or rows that cannot be used.

    Examples:
        >>> import numpy as np
        >>> from cpvae import CPVAE
        >>> random = np.random.RandomState(0)
        >>> X = np.concatenate([random.normal(-3, 1, (300, 2)), random.normal(3, 1, (300, 2))])
        >>> estimator = CPVAE(latent_dim=2, hidden=(16,), max_epochs=20, batch_size=20, random_state=0)
        >>> choice = choose_components(estimator, X, [1, 2], n_jobs=1)
        >>> choice.n_components, [candidate.n_components for candidate in choice.candidates]
        (2, [1, 2])
    """
    numbers = _numbers(estimator, components, n_seeds)
    between("held_out_fraction", held_out_fraction, 0.0, 1.0)
    seed = int(estimator.random_state) if isinstance(estimator.random_state, (int, np.integer)) else 0
    rows, names = _opened(X, estimator)
    if X_held_out is None:
        rows, held = (take(rows, index) for index in hold_out(len(rows), held_out_fraction, seed))
    else:
        held, _ = _opened(X_held_out, estimator, names)
    n_rows, n_held_out = len(rows), len(held)
    if numbers[-1] > n_rows:
        raise InputError(
            f"{counted(n_rows, 'row')} to fit for {numbers[-1]} components; give more rows, or try smaller numbers"
        )
    if n_held_out < 2:
        raise InputError(f"{n_held_out} held-out row{'s' * (n_held_out != 1)}: expected 2 or more; give more rows")
    schema = schema_of(estimator, [rows, held])
    if schema is not None:  # a part of the rows may lack levels, or missing cells, of the others
        estimator = clone(estimator).set_params(schema=schema.as_given())
    if getattr(estimator, "covariance_type", None) == "auto":  # the same for all candidates
        largest = clone(estimator).set_params(n_components=numbers[-1])
        form = largest._covariance(int((1 - estimator.validation_fraction) * n_rows))
        estimator = clone(estimator).set_params(covariance_type=form)
    place = None if out is None else as_path("out", out)
    if place is not None:
        from cpvae.study import figures  # refused before any fit where they cannot be drawn

        runs.check_results(place, (RESULT, PICTURE, TREE), {"candidates", "rule"})
    check_number(n_seeds * len(numbers))
    pairs = [(k, seed + i) for i in range(n_seeds) for k in numbers]
    asked = [clone(estimator).set_params(n_components=k, random_state=s) for k, s in pairs]
    at_once = at_a_time(n_jobs, len(asked), str(estimator.device))
    asked_for = f"{len(asked)} fit{'s' * (len(asked) > 1)} to {n_rows:,} rows"
    progress(f"{asked_for}, {at_once} at a time, judged by {n_held_out:,} others")
    fits = _run_all(asked, rows, held, place, about, at_once, progress)
    choice = _chosen(numbers, fits, n_held_out)
    if place is not None:
        write_json(place / RESULT, choice.as_dict())
        figures.save(_picture(choice), place / PICTURE)
        if len(numbers) > 1:
            figures.save(figures.generations(*layers(choice.categories)), place / TREE)
    return choice


def _opened(X: Any, estimator: Clusterer, wanted: Sequence[str] | None = None) -> tuple[Any, Sequence[str] | None]:
    """Take rows out of their container: a data frame, an array, or a sparse matrix with a length.

    Args:
        wanted: names of columns, in whose order those of an array or a sparse matrix are put if they have names, too.

    Returns:
        The rows, and the names of their columns, if they have any.
    """
    if isinstance(X, pd.DataFrame):  # a fit finds its columns by name
        return X, [str(name) for name in X.columns]
    given = as_rows(X, estimator.kind)
    if wanted is not None and given.names is not None:
        given, reading = in_order(given, wanted)
        reading.warn()
    return given.values, given.names


def _numbers(estimator: Clusterer, components: Sequence[int], n_seeds: int) -> list[int]:
    """Sort the numbers of components to try, and refuse what cannot be tried."""
    if not clusters(estimator):
        raise InputError(
            f"{type(estimator).__name__} has no components to choose; expected CPVAE, CPHVAE, MoGVAE, VampVAE or "
            "VampHVAE"
        )
    whole("n_seeds", n_seeds, 1)
    numbers = sorted({*components})
    if not numbers:
        raise InputError("components=[]: expected numbers of components to try, such as [2, 5, 10]")
    for number in numbers:
        whole("components", number, 1)
        clone(estimator).set_params(n_components=number).check_params()
    return numbers


Fitted = tuple[Clusterer, np.ndarray, np.ndarray]  # a fit; bound and category of each held-out row, (n,)


def _run_all(
    asked: Sequence[Clusterer],
    X: Any,
    X_held_out: Any,
    place: Path | None,
    about: dict[str, Any] | None,
    at_once: int,
    progress: Callable[[str], None],
) -> list[Fitted]:
    """Fit all estimators, and score the held-out rows; the fits come in the order of the estimators."""
    advice, ended = "repeat it with n_jobs=1 (--jobs 1)", []
    if place is not None:
        advice = f"what is finished is in {place}; {advice} to go on"

    def told(done: Done[Fitted]) -> None:
        ended.append(done.name)
        bound = -done.result()[1].mean(dtype=np.float64)
        progress(f"{len(ended)}/{len(asked)} {done.name}: -L {bound:.2f} on held-out rows")

    jobs = [Job(_name(one), partial(_fit, one, X, X_held_out, place, about)) for one in asked]
    return [done.result() for done in run(jobs, at_once, told=told, advice=advice)]


def _chosen(numbers: Sequence[int], fits: Sequence[Fitted], n_held_out: int) -> Choice:
    """Choose by the rule."""
    parted = {k: [fit for fit in fits if fit[0].n_components == k] for k in numbers}
    bounds = {k: np.stack([elbo for _, elbo, _ in some]).astype(np.float64) for k, some in parted.items()}
    best = max(numbers, key=lambda k: bounds[k].mean())
    candidates = tuple(_candidate(k, bounds[k], bounds[best], parted[k]) for k in numbers)
    chosen = next(c for c in candidates if c.within(1.0))
    kept = {c.n_components: parted[c.n_components][int(np.argmin(c.by_seed))] for c in candidates}
    fitted = {k: model for k, (model, _, _) in kept.items()}
    categories = {k: found for k, (_, _, found) in kept.items()}
    return Choice(chosen.n_components, best, n_held_out, candidates, fitted, categories)


def _picture(choice: Choice) -> Figure:
    from cpvae.study import figures

    lines = {
        "in use": np.array([c.components_used for c in choice.candidates]),
        "groups of overlapping priors": np.array([c.groups for c in choice.candidates]),
    }
    return figures.component_choice(
        [c.n_components for c in choice.candidates],
        np.array([c.by_seed for c in choice.candidates]),
        np.array([c.worse_by_se for c in choice.candidates]),
        lines,
        choice.n_components,
    )


def as_text(choice: Choice) -> str:
    """Write the candidates as text, the chosen one marked."""
    head = ("", "categories", "-L held out", "worse by", "s.e.", "in use", "groups")
    rows = [
        (
            "*" if c.n_components == choice.n_components else "",
            str(c.n_components),
            f"{c.negative_elbo:.3f}",
            f"{c.worse_by:.3f}",
            f"{c.worse_by_se:.3f}",
            f"{c.components_used:.3g}",
            f"{c.groups:.3g}",
        )
        for c in choice.candidates
    ]
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    lines = ["  ".join(text.rjust(width) for text, width in zip(row, widths, strict=True)) for row in (head, *rows)]
    grown = [str(step) for step in steps(choice.categories)]
    return "\n".join([*lines, "", *grown, *[""] * bool(grown), *textwrap.wrap(f"{RULE} {GROUPS}", 100)])


def conclusion(choice: Choice) -> str:
    """Say which number was chosen, or between which ones the held-out rows do not decide."""
    if not choice.undecided:
        return f"chosen: {choice.n_components}"
    rows = f"on {choice.rows:,} held-out rows they differ by no more than two standard errors"
    return f"undecided between {listed(list(map(str, choice.undecided)))}: {rows}; taken is {choice.n_components}"


def _name(estimator: Clusterer) -> str:
    """Name a fit, and its run folder."""
    return f"k{estimator.n_components}-seed{estimator.random_state}"


def _fit(estimator: Clusterer, X: Any, X_held_out: Any, place: Path | None, about: dict[str, Any] | None) -> Fitted:
    """Fit, or read what the folder holds of the fit; give it with bound and category of each held-out row."""
    folder = None if place is None else place / _name(estimator)
    resume = folder is not None and runs.begun(folder)
    estimator.fit(X, out=folder, resume=resume, about=about)
    return estimator, estimator.score_samples(X_held_out), estimator.predict(X_held_out)


def _candidate(n_components: int, elbo: np.ndarray, best: np.ndarray, fits: Sequence[Fitted]) -> Candidate:
    """Make a line of the table from the bounds of held-out rows, ``(seeds, n)``, beside those of the best."""
    difference = best.mean(0) - elbo.mean(0)
    variance = difference.var(ddof=1) / len(difference)
    if len(elbo) > 1 and best is not elbo:
        variance += (elbo.mean(1).var(ddof=1) + best.mean(1).var(ddof=1)) / len(elbo)
    used = [components_used(np.bincount(found, minlength=n_components)) for _, _, found in fits]
    return Candidate(
        n_components=n_components,
        negative_elbo=-float(elbo.mean()),
        by_seed=tuple((-elbo.mean(1)).tolist()),
        worse_by=float(difference.mean()),
        worse_by_se=math.sqrt(variance),
        components_used=float(np.mean(used)),
        groups=float(np.mean([model.groups().max() + 1 for model, _, _ in fits])),
    )
