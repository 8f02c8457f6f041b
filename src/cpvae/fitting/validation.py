"""The bound of the validation rows after an epoch."""

from __future__ import annotations

import torch
from torch import Tensor

from cpvae.fitting.devices.world import World
from cpvae.probability.bounds import Terms, average
from cpvae.probability.estimates import (
    FEW_COMPONENT_DRAWS,
    batches,
    component_probabilities,
    draw_categories,
    mean_terms,
    row_counts,
)
from cpvae.probability.expectations import Exact, Expectation
from cpvae.probability.models import VAE

SUMMED = 4  # categories, up to which the bound of the validation rows has all of them
DIAGNOSED = 250  # validation rows in the parts of eq. (13) after every epoch; their pairs are summed for each category


def few(n: int) -> Tensor:
    """Choose some of n rows to look at after every epoch, the same ones for the same number of rows."""
    return torch.randperm(n, generator=torch.Generator().manual_seed(0))[:DIAGNOSED]


def diagnosed(y: Tensor) -> Tensor:
    """Choose the rows that eq. (13) is taken apart on."""
    return y[few(len(y)).to(y.device)]


@torch.no_grad()
def validate(
    model: VAE,
    y: Tensor,
    expectation: Expectation,
    world: World = World(),  # noqa: B008  # frozen
) -> tuple[Terms, Tensor]:
    """Compute the mean terms of L over the rows, and `row_counts` ``(K,)``: what is looked at after every epoch.

    The categories are summed where they are few, or were in training; otherwise one of them is drawn for each row. The
    processes of `world` share the rows.
    """
    sums: list[Tensor] = []
    counts: list[Tensor] = []
    part, counted = world.batch(len(y))
    exact = expectation.is_exact or model.n_categories <= SUMMED
    for batch in batches(y[part], model.n_categories):
        q, p = model.encode(batch), model.latent()
        categories = Exact()(q.logits) if exact else draw_categories(batch, q)
        terms = average(mean_terms(model, batch, q, p, categories.c, 1), categories, q, p)
        sums.append(torch.stack(terms).double().sum(1))
        found = component_probabilities(model, batch, FEW_COMPONENT_DRAWS) if p.is_marginal else q.logits
        counts.append(row_counts(found))
    total, count = torch.stack(sums).sum(0) * counted, torch.stack(counts).sum(0) * counted
    world.sum(total, count)
    return Terms(*total / len(y)), count
