"""Rules on the synthetic data, where the true density is known: total variation, lower is better, single seeds."""

from __future__ import annotations

from paper.claims.claim import Verdict
from paper.claims.known import Known
from paper.rows import METHODS, RANDOM

STARTS = {"": "", " without a start": RANDOM}  # words in print, and the ends of the names of such rows
CLOSE = 0.03  # total variation below which a density counts as recovered; a sample of true rows has about 0.012
DEAD = 15  # of 150 categories: a tenth


def _variation(known: Known, name: str, weights: str = "") -> float:
    """Look up the total variation with components drawn as the paper draws them, or by other weights."""
    weights = weights or ("aggregated" if "aggregated" in known.density(name, "density") else "prior")
    return float(known.density(name, "density", weights, "total_variation"))


def both_modes(known: Known) -> Verdict:
    """Check that CP's density is within 0.03 of the true one, with 2 and 150 categories, with and without a start."""
    rows = {f"K={k}{how}": f"synthetic-cpvae-k{k}{end}" for k in (2, 150) for how, end in STARTS.items()}
    values = {told: _variation(known, name) for told, name in rows.items()}
    told = ", ".join(f"{how} {value:.3f}" for how, value in values.items())
    chance = known.density("synthetic-cpvae-k2", "total_variation_of_true_rows")
    text = f"total variation: {told}; a sample of as many true rows has {chance:.3f}"
    return Verdict([value < CLOSE for value in values.values()], text)


def vae_too(known: Known) -> Verdict:
    """Check that VAE's density is within 0.03 of the true one."""
    value = _variation(known, "synthetic-vae")
    return Verdict([value < CLOSE], f"total variation {value:.3f}; a value below {CLOSE} counts as recovered")


def others_struggle(known: Known) -> Verdict:
    """Check that with 2 components MG and VP are further from the true density than CP is, and than with 150."""
    held, told = [], []
    cp = _variation(known, "synthetic-cpvae-k2")
    for model in ("mog", "vamp"):
        few, many = (_variation(known, f"synthetic-{model}-k{k}") for k in (2, 150))
        held += [few > cp and few > CLOSE, many < few]
        told.append(f"{METHODS[model]} {few:.3f} with 2, {many:.3f} with 150")
    return Verdict(held, f"total variation: CP {cp:.3f} with 2 components; {'; '.join(told)}")


def excess_ignored(known: Known) -> Verdict:
    """Check that excess categories die, and that they spoil the density only if c is uniform.

    Three conditions are judged. At least a tenth of 150 categories are dead. The density with c from q(c) is the true
    one. The density with uniform c is worse. The third counts only if categories are dead, because uneven shares make
    that density worse too. One fit has no start, like the paper's. The other has the clustering start, which gives rows
    to every category.
    """
    held, told = [], []
    for how, end in STARTS.items():
        name = f"synthetic-cpvae-k150{end}"
        weighed, uniform = (_variation(known, name, weights) for weights in ("aggregated", "prior"))
        dead = known.density(name, "dead")
        likeliest = known.density(name, "test", "components_used")
        held += [dead >= DEAD, weighed < CLOSE, dead > 0 and uniform > weighed + CLOSE / 2]
        told.append(
            f"150 categories{how}: {dead} dead, {likeliest} in use, total variation {weighed:.3f} with c from q(c), "
            f"{uniform:.3f} with uniform c"
        )
    return Verdict(held, "; ".join([*told, "a dead category has less than a tenth of an even share of q(c)"]))
