"""Rules on the bounds of Table 1: nats a test row, lower is better."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from paper.claims.claim import Verdict
from paper.claims.known import BOUND, SAME, SIZES, Known, names
from paper.rows import LONG, METHODS

PAPERS = "mnist-cpvae-k10-paper"  # the row that is fitted by the paper's text, without a start
UNSTARTED = "mnist-no-start"  # the row of Table 1 without a start


def tell(known: Known, name: str, value: float | None = None, digits: int = 2, key: str = BOUND) -> str:
    """Print a figure of a row; a star marks a figure from one seed."""
    value = known.figure(name, key) if value is None else value
    return f"{value:.{digits}f}{'*' if known.n_seeds(name) == 1 else ''}"


def beside(
    known: Known,
    cp: str,
    others: Mapping[str, str],
    values: Mapping[str, float] | None = None,
    more: Mapping[str, str] | None = None,
    own: str = "CP",
) -> tuple[bool, str]:
    """Say whether a row of CP is ahead of all others by more than chance, and print the bounds.

    Args:
        cp: the row of CP.
        others: a row for each method, by its name in print.
        values: bounds by row, where they are not the means over all seeds.
        more: words after the bound of a method.
        own: what the row is called in print, where it is of another method.
    """
    values = values or {row: known.figure(row) for row in (cp, *others.values())}
    told, ahead = [], []
    for method, row in others.items():
        lead, margin = values[row] - values[cp], known.margin(cp, row)
        ahead.append(lead > margin)
        word = "" if ahead[-1] else f" (level: the margin is {margin:.2f})" if lead > -margin else f" (ahead of {own})"
        told.append(f"{method} {tell(known, row, values[row])}{(more or {}).get(method, '')}{word}")
    return all(ahead), f"{own} {tell(known, cp, values[cp])}, {', '.join(told)}"


def below_vae_and_mg(known: Known) -> Verdict:
    """Check that CP has a lower -L than VAE and MG in each of the five columns, and at K = 10 without its start too."""
    rows = {f"{data} K={k}": (f"{data}-cpvae-k{k}", data, k) for data, sizes in SIZES.items() for k in sizes}
    held, told = [], []
    for where, (name, data, k) in (rows | {"mnist K=10 without the start": (UNSTARTED, "mnist", 10)}).items():
        ahead, text = beside(known, name, {"VAE": f"{data}-vae", "MG": f"{data}-mog-k{k}"})
        held.append(ahead)
        told.append(f"{where}: {text}")
    return Verdict(held, f"{'; '.join(told)}; CP by the paper's text, with its preset: {tell(known, PAPERS)}")


def best_at_ten(known: Known) -> Verdict:
    """Check that CP has the lowest -L of all methods at K = 10 on MNIST."""
    rows = ("mnist-vae", "mnist-mog-k10", "mnist-vamp-k10", "mnist-hvae", "mnist-hvae-vamp-k10")
    others = {
        METHODS[name.removeprefix("mnist-").removesuffix("-k10")]: known.better_start(name, BOUND) for name in rows
    }
    held, told = beside(known, "mnist-cpvae-k10", others)
    return Verdict([held], f"{told}; CP by the paper's text: {tell(known, PAPERS)}")


def vamp_otherwise(known: Known) -> Verdict:
    """Check that in all other columns HVP has the lowest -L, and VP a lower one than CP, by more than chance."""
    held, told = [], []
    for data, k in (("mnist", 150), ("mnist", 500), ("omniglot", 50), ("omniglot", 500)):
        rows = {
            model: known.better_start(f"{data}-{model}-k{k}", BOUND) for model in ("cpvae", "mog", "vamp", "hvae-vamp")
        }
        rows |= {model: f"{data}-{model}" for model in ("vae", "hvae")}

        def below(one: str, other: str, rows: Mapping[str, str] = rows) -> bool:
            lead = known.figure(rows[other]) - known.figure(rows[one])
            return lead > known.margin(rows[one], rows[other])

        held += [all(below("hvae-vamp", other) for other in rows if other != "hvae-vamp"), below("vamp", "cpvae")]
        shown = (f"{METHODS[model]} {tell(known, rows[model])}" for model in ("hvae-vamp", "hvae", "vamp", "cpvae"))
        told.append(f"{data} K={k}: {', '.join(shown)}")
    return Verdict(held, "; ".join(told))


def _as_published(rows: Sequence[str], known: Known) -> Verdict:
    """Compare the valid -L of each row with the published figure: within half a nat they count as the same."""
    held, told = [], []
    for name in rows:
        value, published = known.figure(name), float(known.published["table1"][name])
        held.append(abs(value - published) <= SAME)
        how = "the same" if held[-1] else "better" if value < published else "worse"
        told.append(f"{name.removeprefix('mnist-')}: {tell(known, name)}, published {published:.2f}: {how}")
    return Verdict(held, "; ".join(told))


def published_bounds(known: Known) -> Verdict:
    """Check that the valid -L of CP on MNIST is the published one, within half a nat."""
    return _as_published(names("cpvae", "mnist"), known)


def published_bounds_of_others(known: Known) -> Verdict:
    """Check that the valid -L of each other method on MNIST is the published one, within half a nat."""
    of_sizes = (name for model in ("mog", "vamp", "hvae-vamp") for name in names(model, "mnist"))
    return _as_published(["mnist-vae", *of_sizes, "mnist-hvae"], known)


def no_worse_with_size(known: Known) -> Verdict:
    """Check that -L of CP on MNIST is not higher with 150 and 500 categories than with 10."""
    rows = names("cpvae", "mnist")
    values = [known.figure(name) for name in rows]
    published = ", ".join(f"{known.published['table1'][name]:.2f}" for name in rows)
    told = ", ".join(tell(known, name) for name in rows)
    return Verdict([value <= values[0] for value in values[1:]], f"{told}; published {published}")


def stronger_decoder(known: Known) -> Verdict:
    """Check that CP with convolutions has a lower -L than VAE with them, and than CP without them, trained longer."""
    cp, plain, vae = "mnist-cpvae-k10-conv", f"mnist-cpvae-k10{LONG}", "mnist-vae-conv"
    held = [known.figure(other) - known.figure(cp) > known.margin(cp, other) for other in (plain, vae)]
    minutes = known.figure(cp, "seconds") / 60
    text = (
        f"CP at K=10 with convolutions {tell(known, cp)} (NLL {known.figure(cp, 'negative_log_likelihood'):.2f}, "
        f"{minutes:.0f} minutes of a thread); CP with the paper's network, trained longer, {tell(known, plain)}; VAE "
        f"with convolutions {tell(known, vae)}"
    )
    return Verdict(held, text)
