"""The numbers one looks at first, each with what it means."""

from __future__ import annotations

from collections.abc import Iterator
from math import log, sqrt

import numpy as np
from scipy.stats import entropy

from cpvae.estimators.contract import DeepMixture
from cpvae.estimators.groups import OVERLAP
from cpvae.estimators.rows_in import take
from cpvae.probability.estimates import information_c, standard_error
from cpvae.study import metrics
from cpvae.study.report.parts import Fact
from cpvae.study.report.shown import Shown, used_categories
from cpvae.words.phrases import percent

MAX_PAIRED = 2_000  # rows in the n-by-n sum of eq. (13)
MAX_PAIRS = 40_000_000  # n^2 K of that sum


def key_numbers(model: DeepMixture, shown: Shown) -> Iterator[Fact]:
    """List the numbers one looks at first, each with what it means."""
    found = shown.evaluation
    bound = f"{-found.elbo.mean(dtype=np.float64):,.2f}"
    if len(found.elbo) > 1:
        bound += f" ± {standard_error(found.elbo):.2f}"
    yield Fact(
        "negative bound, nats a row",
        bound,
        "An upper limit of -log p(x), averaged over the rows, with its standard error: lower is better. It compares "
        "models of the same data only.",
    )
    if model.model_.n_categories > 1:
        yield Fact(
            "tight bound, nats a row",
            f"{-found.elbo_tight.mean(dtype=np.float64):,.2f}",
            "The same limit with the best possible choice of categories; far below the first number it says that the "
            "network guesses categories badly.",
        )
    if shown.categories is not None:
        yield Fact(
            "information about c, nats a row",
            f"{information_c(found.q_c):.2f}",
            "What a row tells about its category: their mutual information. At most "
            f"log {model.n_components_} = {log(model.n_components_):.2f}, and 0 if categories are not used.",
        )
    yield Fact(
        "KL(z), nats a row",
        f"{found.kl_z.mean(dtype=np.float64):.2f}",
        "What a row tells about its continuous code"
        + (" beyond its category" if model.model_.n_categories > 1 else "")
        + "; near 0 the code is not used.",
    )
    yield _information(model, shown)
    if shown.categories is not None:
        q_c = found.q_c.mean(0, dtype=np.float64)
        spread, most = float(entropy(q_c)), log(model.n_components_)
        yield Fact(
            "entropy of q(c), nats",
            f"{spread:.2f} of {most:.2f}",
            f"How evenly the rows fill the categories: as much as {np.exp(spread):.1f} categories of equal size would.",
        )
        yield Fact(
            "categories in use",
            f"{used_categories(shown)} of {model.n_components_}",
            "Categories that are the likeliest one of at least a tenth of an even share of these rows.",
        )
        if model.n_components_ > 2:
            yield Fact(
                "groups of categories",
                str(int(model.groups().max() + 1)),
                f"Categories in use are one group where what they generate is mixed up in {OVERLAP / 2:.0%} of rows or "
                "more: with more categories than sources, several share one.",
            )
        if shown.labels is not None:
            yield from _agreement(shown.labels, shown.categories)


def _information(model: DeepMixture, shown: Shown) -> Fact:
    """Tell the mutual information of eq. (13), on so many rows as the sum over pairs allows."""
    n = min(len(shown.index), MAX_PAIRED, int(sqrt(MAX_PAIRS / model.n_components_)))
    parts = model.decompose(take(shown.given, np.arange(n)))
    value, most = float(parts.mutual_information.mean()), log(n)
    text = f"What the code of a row tells about which of {n:,} rows it is; it cannot exceed log {n:,} = {most:.2f}"
    full = value > most - 0.05
    return Fact(
        "mutual information, nats",
        f"{'≥ ' * full}{value:.2f}",
        f"{text}{', and is there: every row has a code of its own' * full}.",
    )


def _agreement(labels: np.ndarray, categories: np.ndarray) -> Iterator[Fact]:
    """Tell how far categories agree with labels."""
    yield Fact(
        "accuracy, one-to-one",
        percent(metrics.accuracy_hungarian(labels, categories)),
        "Rows whose label is that of their category, under the best pairing of categories with labels on these rows.",
    )
    yield Fact(
        "accuracy, majority",
        percent(metrics.accuracy_majority(labels, categories)),
        "The same where each category takes its most frequent label; it grows with the number of categories.",
    )
    yield Fact(
        "NMI",
        f"{metrics.nmi(labels, categories):.3f}",
        "Normalised mutual information of categories and labels: 0 unrelated, 1 the same.",
    )
    yield Fact(
        "ARI",
        f"{metrics.ari(labels, categories):.3f}",
        "Adjusted Rand index: 0 as by chance, 1 the same grouping.",
    )
