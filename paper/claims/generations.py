"""Rules on what models generate and rebuild. Coverage, purity and Fréchet distance are those of mean images."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

from paper.claims.bounds import PAPERS, tell
from paper.claims.claim import Verdict
from paper.claims.known import COVERAGE, DISTANCE, PURITY, SIZES, Known, Missing, names
from paper.rows import DEEP, METHODS, RANDOM

# A learned prior and a fixed one, once with VAE's network and once with CP's. In the second pair the numbers of
# parameters differ by 0.2 %.
PAIRS = {
    "VAE's network": ("mnist-mog-k1", "mnist-vae"),
    "CP's network": ("mnist-cpvae-k1", f"mnist-vae{DEEP}"),
}


def _by_network(judged: Callable[[str, str], tuple[list[bool], str]], start: str = "") -> Verdict:
    """Judge each pair of a learned and a fixed prior that has its runs, and name the runs that are missing."""
    held, told, left = [], [], []
    for network, (learned, fixed) in PAIRS.items():
        try:
            of_pair, evidence = judged(learned, fixed)
        except Missing as error:
            left.append(error)
            continue
        held += of_pair
        told.append(f"{network}: {evidence}")
    if not held:
        raise left[0]
    return Verdict(held, start + "; ".join([*told, *(f"no result of {error.args[0]} yet" for error in left)]))


def reconstructions_alike(known: Known) -> Verdict:
    """Check that the learned prior changes the reconstruction error by less than a tenth, for each network."""

    def judged(learned: str, fixed: str) -> tuple[list[bool], str]:
        errors = [known.figure(row, "reconstruction_mse") for row in (learned, fixed)]
        alike = abs(errors[0] - errors[1]) < 0.1 * max(errors)
        return [alike], f"learned prior {errors[0]:.4f}, fixed prior {errors[1]:.4f}"

    return _by_network(judged, "mean squared error per pixel; ")


def prior_helps(known: Known) -> Verdict:
    """Check that the learned prior lowers the Fréchet distance by a tenth and raises coverage, for each network.

    Coverage has to rise by more than chance.
    """

    def judged(learned: str, fixed: str) -> tuple[list[bool], str]:
        rows = (learned, fixed)
        distance, coverage = ([known.figure(row, key) for row in rows] for key in (DISTANCE, COVERAGE))
        wider = coverage[0] - coverage[1] > known.margin(learned, fixed, COVERAGE)
        shown = (
            f"{prior} prior has Fréchet {tell(known, row, digits=1, key=DISTANCE)}, coverage {value:.2f}"
            for prior, row, value in zip(("learned", "fixed"), rows, coverage, strict=True)
        )
        return [distance[0] < 0.9 * distance[1], wider], ", ".join(shown)

    return _by_network(judged)


def categories_are_digits(known: Known) -> Verdict:
    """Check that the categories of CP are pure, with a start and by the paper's text, and those of VP are not.

    Pure is a mean purity of at least 0.9. VP's is at least 0.1 below both of CP's.
    """
    cp, plain, vp = (known.figure(name, PURITY) for name in ("mnist-cpvae-k10", PAPERS, "mnist-vamp-k10"))
    text = (
        f"mean purity: CP with a clustering start {cp:.1%}; CP by the paper's text {plain:.1%} (one seed, "
        f"{known.figure(PAPERS, 'epochs'):.0f} epochs); VP with pseudo-inputs that start as training rows {vp:.1%}"
    )
    return Verdict([cp >= 0.9, plain >= 0.9, vp <= cp - 0.1, vp <= plain - 0.1], text)


def accuracy(known: Known) -> Verdict:
    """Check that CP at K = 10 has the published accuracy, with a start and by the paper's text.

    Training rows decide which digit each category stands for, one to one.
    """
    published = float(known.published["text"]["mnist-cpvae-k10"])
    rows = {"with a clustering start": "mnist-cpvae-k10", "by the paper's text": PAPERS}
    values = {how: known.figure(name, "accuracy") for how, name in rows.items()}
    told = [f"{how} {value:.1%}" for how, value in values.items()]
    if "mnist-default" in known.cells:
        found = known.cells["mnist-default"]
        told.append(
            f"with the library's default, median of {len(found['seeds'])} seeds, {found['accuracy_median']:.1%}"
        )
    return Verdict([value >= published for value in values.values()], f"published {published:.1%}; {'; '.join(told)}")


def good_for_any_number(known: Known) -> Verdict:
    """Check that CP's coverage differs by less than 0.1 over K, and that no other method is a tenth better.

    Better is a higher coverage or a lower Fréchet distance.
    """
    held, told = [], []
    for data, sizes in SIZES.items():
        coverage, distance = (
            {name: known.figure(name, key) for name in names("cpvae", data)} for key in (COVERAGE, DISTANCE)
        )
        held.append(max(coverage.values()) - min(coverage.values()) < 0.1)
        for name, k in zip(coverage, sizes, strict=True):
            others = [f"{data}-vae", f"{data}-hvae", *(f"{data}-{m}-k{k}" for m in ("mog", "vamp", "hvae-vamp"))]
            others += [name + RANDOM for name in others if name + RANDOM in known.cells]
            widest = max(known.figure(other, COVERAGE) for other in others)
            nearest = min(known.figure(other, DISTANCE) for other in others)
            held += [coverage[name] >= 0.9 * widest, distance[name] <= 1.1 * nearest]
            told.append(
                f"{data} K={k}: coverage {coverage[name]:.2f} (best of the others {widest:.2f}), Fréchet "
                f"{distance[name]:.1f} (best of the others {nearest:.1f})"
            )
    return Verdict(held, "; ".join(told))


def others_fail_at_ten(known: Known) -> Verdict:
    """Check that MG, VP and HVP fail at K = 10.

    To fail is three things: a coverage a tenth below CP's, a Fréchet distance a tenth above CP's, and missing digits.
    """
    rows = {METHODS[m]: f"mnist-{m}-k10" for m in ("cpvae", "mog", "vamp", "hvae-vamp")}
    distance, coverage, classes = (
        {method: known.figure(name, key) for method, name in rows.items()}
        for key in (DISTANCE, COVERAGE, "classes_covered")
    )
    others = list(rows)[1:]
    fewer = [coverage[method] < 0.9 * coverage["CP"] for method in others]
    further = [distance[method] > 1.1 * distance["CP"] for method in others]
    collapsed = [classes[method] < 10 for method in others]
    told = (f"{m}: Fréchet {distance[m]:.1f}, coverage {coverage[m]:.2f}, {classes[m]:.0f} of 10 digits" for m in rows)
    counts = (
        f"{sum(fewer)} of 3 are a tenth worse in coverage, {sum(further)} of 3 in Fréchet; {sum(collapsed)} of 3 miss "
        "a digit"
    )
    return Verdict([*fewer, *further, *collapsed], f"{'; '.join(told)}; {counts}")


def vamp_improves(known: Known) -> Verdict:
    """Check that VP's Fréchet distance falls with K, and that HVP's is lower at each K, on both data sets.

    A difference counts if it is larger than chance. Chance is the larger of the spread over seeds and one standard
    error of the difference over the rows drawn.
    """

    def falls(one: str, other: str) -> bool:
        values, errors = ([known.figure(name, key) for name in (one, other)] for key in (DISTANCE, f"{DISTANCE}_se"))
        return values[0] - values[1] > max(math.hypot(*errors), known.margin(one, other, DISTANCE))

    held, told = [], []
    for data, sizes in SIZES.items():
        vp, hvp = ([known.better_start(name, DISTANCE) for name in names(m, data)] for m in ("vamp", "hvae-vamp"))
        held += [falls(*pair) for pair in pairwise(vp)] + [falls(*pair) for pair in zip(vp, hvp, strict=True)]
        shown = (
            f"{method} {', '.join(tell(known, name, digits=1, key=DISTANCE) for name in rows)}"
            for method, rows in (("VP", vp), ("HVP", hvp))
        )
        told.append(f"{data}, K = {', '.join(map(str, sizes))}: {'; '.join(shown)}")
    return Verdict(held, f"Fréchet of the better start: {'. '.join(told)}. A fall counts if it is larger than chance")
