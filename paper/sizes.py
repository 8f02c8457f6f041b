"""Parameters of each network, beside the bound that its model reaches: MNIST, K = 10 and 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from torch import nn

from cpvae.probability.likelihoods.bernoulli import Bernoulli
from cpvae.study import markdown
from cpvae.study.inputs import make_estimator
from paper import table as tables
from paper.rows import DEEP, Row

PIXELS, SHAPE = 784, (1, 28, 28)
RIVALS = ("vae", "mog-k10", "vamp-k10")
SHOWN = ("cpvae-k10", *(name + end for name in RIVALS for end in ("", DEEP)), "cpvae-k1", "mog-k1")


class Parameters(NamedTuple):
    """Numbers of learned parameters."""

    encoder: int
    prior: int
    decoder: int

    @property
    def all(self) -> int:
        """Sum them up."""
        return self.encoder + self.prior + self.decoder


def parameters(row: Row) -> Parameters:
    """Count the parameters of a row's model for images of 28 x 28 binary pixels.

    >>> parameters(Row("table1", "mnist-vae", "", "mnist", "vae", 1, ()))
    Parameters(encoder=675680, prior=0, decoder=441184)
    """

    def count(module: nn.Module) -> int:
        return sum(one.numel() for one in module.parameters())

    estimator = make_estimator(row.model, row.params)
    estimator.image_shape_ = SHAPE
    model = estimator._module(Bernoulli(PIXELS))
    return Parameters(count(model.posterior), count(model.prior), count(model.decoder))


def table(rows: Sequence[Row], known: Mapping[str, dict[str, Any]]) -> str:
    """Print the models of one level as Markdown: parameters, bound, rows they generate; empty without the rows."""
    by_name = {row.name: row for row in rows}
    chosen = [by_name[f"mnist-{name}"] for name in SHOWN if f"mnist-{name}" in by_name]
    if not chosen:
        return ""
    head = ["row", "parameters", "of the encoder", "-L", "NLL", "coverage", "Fréchet", "the same two, drawn", "seeds"]
    lines = []
    for row in chosen:
        size = parameters(row)
        lines.append([row.name, f"{size.all:,}", f"{size.encoder:,}", *tables.reached(known.get(row.name))])
    return markdown.table(head, lines)
