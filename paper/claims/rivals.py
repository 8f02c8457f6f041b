"""Rules on CP beside VAE, MG and VP with as many parameters, as much time, or as many epochs."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from paper.claims.bounds import beside, tell
from paper.claims.claim import Verdict
from paper.claims.known import DISTANCE, SIZES, Known, Missing
from paper.rows import DEEP, FULL, LONG
from paper.table import of_same_seeds

ENOUGH = 0.95  # share of CP's time from which on a rival counts as having as much time
CP = "mnist-cpvae-k10"
AS_LARGE = {"VAE": f"mnist-vae{DEEP}", "MG": f"mnist-mog-k10{DEEP}", "VP": f"mnist-vamp-k10{DEEP}"}


def below_with_as_many_parameters(known: Known) -> Verdict:
    """Check that VAE, MG and VP with one more gated layer in the encoder have a higher -L than CP at K = 10."""
    found = [beside(known, CP, {method: row}) for method, row in AS_LARGE.items()]
    return Verdict([held for held, _ in found], beside(known, CP, AS_LARGE)[1])


def generates_better_with_as_many_parameters(known: Known) -> Verdict:
    """Check that VAE, MG and VP with one more gated layer in the encoder have a Fréchet a tenth above CP's."""
    return Verdict(*_further(known, CP, AS_LARGE))


def _further(known: Known, cp: str, others: Mapping[str, str]) -> tuple[list[bool], str]:
    """Say for each method whether its Fréchet distance is a tenth above CP's, and print all distances."""
    own = known.figure(cp, DISTANCE)
    told = ", ".join(f"{method} {tell(known, row, digits=1, key=DISTANCE)}" for method, row in others.items())
    held = [known.figure(row, DISTANCE) > 1.1 * own for row in others.values()]
    return held, f"Fréchet of CP {tell(known, cp, digits=1, key=DISTANCE)}, {told}"


def _sizes_with_runs(judged: Callable[[int], tuple[bool, str]]) -> Verdict:
    """Judge each number of categories on MNIST that has its runs, and name the runs that are missing."""
    held, told, left = [], [], []
    for k in SIZES["mnist"]:
        try:
            of_size, evidence = judged(k)
        except Missing as error:
            left.append(error)
            continue
        held.append(of_size)
        told.append(f"K={k}: {evidence}")
    if not held:
        raise left[0]
    return Verdict(held, "; ".join([*told, *(f"no result of {error.args[0]} yet" for error in left)]))


def two_levels_with_categories(known: Known) -> Verdict:
    """Check that HCP has a lower -L than HVP, HVAE and CP, for each number of categories on MNIST with runs."""

    def judged(k: int) -> tuple[bool, str]:
        others = {"HVP": f"mnist-hvae-vamp-k{k}", "HVAE": "mnist-hvae", "CP": f"mnist-cpvae-k{k}"}
        return beside(known, f"mnist-hvae-cp-k{k}", others, own="HCP")

    return _sizes_with_runs(judged)


def _longer(k: int) -> dict[str, str]:
    """List the rows of VAE, MG and VP trained longer, by method."""
    return {"VAE": f"mnist-vae{LONG}", "MG": f"mnist-mog-k{k}{LONG}", "VP": f"mnist-vamp-k{k}{LONG}"}


def _shares_of_time(known: Known, name: str, rows: Mapping[str, str], least: float) -> dict[str, float]:
    """Work out the time of each method as a share of the time of a row of CP.

    The time of a training is its epochs times the time of a step. The steps of all methods were timed in one run. The
    time of a start is added, as the share of the training time that it took in the fit.

    Raises:
        Missing: a share is below `least`, so a fit with enough time has to be run.
    """

    def time(row: str) -> float:
        return known.figure(row, "epochs") * known.figure(row, "step") * (1 + float(known.get(row, "start_share")))

    shares = {method: time(row) / time(name) for method, row in rows.items()}
    for method, share in shares.items():
        if share < least:
            raise Missing(f"{rows[method]} with at least {least:.0%} of the time of {name} (it had {share:.0%})")
    return shares


def _beside_longer(
    known: Known, name: str, k: int, least: float = 0.0, more: Mapping[str, str] | None = None
) -> tuple[bool, str]:
    """Compare a row of CP with VAE, MG and VP trained longer, and with `more`, over the seeds that all have."""
    others = _longer(k) | dict(more or {})
    shares = _shares_of_time(known, name, others, least)
    rows = [name, *others.values()]
    same = of_same_seeds([{"by_seed": known.get(row, "by_seed")} for row in rows])
    if same is None:
        raise Missing(f"{name} with the seeds of the others")
    bounds, seeds = same
    times = {method: f" with {share:.0%} of CP's time" for method, share in shares.items()}
    held, told = beside(known, name, others, dict(zip(rows, bounds, strict=True)), times)
    return held, f"{told} (seed {', '.join(map(str, seeds))})"


def below_with_the_same_time(known: Known) -> Verdict:
    """Check that VAE, MG and VP with as much time as CP in the table have a higher -L, for each K with such runs."""
    return _sizes_with_runs(lambda k: _beside_longer(known, f"mnist-cpvae-k{k}", k, ENOUGH))


def generates_better_with_the_same_time(known: Known) -> Verdict:
    """Check that VAE, MG and VP with as much time as CP in the table have a Fréchet a tenth above CP's, for each K."""

    def judged(k: int) -> tuple[bool, str]:
        name = f"mnist-cpvae-k{k}"
        _shares_of_time(known, name, _longer(k), ENOUGH)
        held, told = _further(known, name, _longer(k))
        return all(held), told

    return _sizes_with_runs(judged)


def full_below_with_the_same_time(known: Known) -> Verdict:
    """Check the bounds of rivals with as much time as CP with full covariances.

    MG with full covariances is a rival too, where it was fitted.
    """
    lacking = []

    def judged(k: int) -> tuple[bool, str]:
        name = (
            "mnist-full-covariance" if k == 10 else f"mnist-cpvae-k{k}-covariance"
        )  # the row of K = 10 belongs to the ablation
        found = _beside_longer(known, name, k, ENOUGH)
        more = {"MG with full covariances": f"mnist-mog-k{k}{FULL}"}
        try:
            return _beside_longer(known, name, k, ENOUGH, more)
        except Missing as error:
            lacking.append(str(error.args[0]))
            return found

    held, evidence = _sizes_with_runs(judged)
    return Verdict(held, "; ".join([evidence, *(f"no result of {one} yet" for one in lacking)]))


def below_trained_longer(known: Known) -> Verdict:
    """Check that CP has a lower -L on MNIST than VAE, MG and VP, all trained for about three times the epochs."""
    return _sizes_with_runs(lambda k: _beside_longer(known, f"mnist-cpvae-k{k}{LONG}", k))
