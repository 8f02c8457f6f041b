"""Objectives, which a step of training minimises: called with a model, a batch and the number of the step.

An objective returns a loss for each row, and the terms of the bound that it is made of. It owns the weights of its
parts: `beta` of the KL terms, and that of the consistency of copies. The training loop calls objectives and knows none.

- `Bound`: -L, eq. (7), of rows, or of slight copies in the place of some.
- `Consistent`: the same, and KL(q(c | x) || q(c | copy)) for copies of a row that show the same thing.
- `FromCopies`: the encoder sees copies and the decoder rebuilds the rows.
- `Assigned`: -L for categories that a start gave the rows, and that q(c | x) learns.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor

from cpvae.data.augment import Augment
from cpvae.nn.draws import draw_rows, uniform_
from cpvae.probability.bounds import Terms, elbo, elbo_assigned, inconsistency, knowing, unlikeliness
from cpvae.probability.expectations import Exact, Expectation, Joint
from cpvae.probability.likelihoods.likelihood import Likelihood
from cpvae.probability.models import VAE

KNOWN_WEIGHT = 20.0  # of -log q(c | x) where c is known: as much as copies that should agree have

Weight = Callable[[Any], Any]
"""A weight as a function of the step: a number or a tensor without dimensions gives the same."""


class Batch(NamedTuple):
    """Rows of a step.

    Attributes:
        x: as they are stored, ``(B, features)``.
        y: in the model's units, drawn to bits if the likelihood asks for it, ``(B, F)``.
        c: the categories that a start gave them, ``(B,)``; None without a start.
        known: their known categories, ``(B,)``, -1 for a row without one; None where no row has one.
    """

    x: Tensor
    y: Tensor
    c: Tensor | None = None
    known: Tensor | None = None


class Objective(Protocol):
    """A loss for each row ``(B,)`` and the `Terms` of a bound, nats.

    Attributes:
        is_bound: whether the terms add up to a lower bound of log p(x).
    """

    @property
    def is_bound(self) -> bool: ...

    def __call__(self, model: VAE, batch: Batch, step: Tensor) -> tuple[Tensor, Terms]: ...


@dataclass(frozen=True)
class Copies:
    """Maker of copies of rows that show the same thing, in the model's units.

    Attributes:
        augment: makes them of rows as they are stored.
        drawn: whether an observation of each is drawn, where the model sees black and white: between the pixels of a
            row a copy is grey.
    """

    augment: Augment
    drawn: bool = True

    def __call__(self, likelihood: Likelihood, x: Tensor) -> Tensor:
        y = likelihood.to_model(self.augment(x))
        return likelihood.draw(y) if self.drawn else y


def full(step: Any) -> float:
    """Return 1, the weight without a warm-up."""
    return 1.0


def none(step: Any) -> float:
    """Return 0, the share of rows that copies replace where there are none."""
    return 0.0


@dataclass(frozen=True)
class Bound:
    """-L, eq. (7), its KL terms weighted by `beta`; a bound where that is 1.

    Rows whose category is known have their bound given that category, and q(c | x) learns it with `KNOWN_WEIGHT`.

    Attributes:
        expectation: how c is summed or drawn.
        beta: the weight of both KL terms.
        estimate: gives the terms of L; called as `cpvae.probability.bounds.elbo`.
        start_weight: log-odds, nats, by which the category that a start gave a row goes before another one. The start
            is taken for an observer of categories who errs in some rows, and log p(start | c) joins the loss, in its
            expectation over q(c | x). Rows leave the start where they themselves say more than that. L stays as it is.
        overcount: how often the values of a row say the same (`cpvae.data.overcount`), by which the start counts more.
        slight: if not None, makes copies that take the place of rows, so that a decoder does not learn rows by heart.
        replaced: the share of rows that they replace.
        chosen: whether the weights kept are those of the best bound of the validation rows, or the last ones.
    """

    expectation: Expectation = field(default_factory=Exact)
    beta: Weight = full
    estimate: Callable[[VAE, Tensor, Expectation, Tensor, Joint], Terms] = elbo
    start_weight: float = 0.0
    overcount: float = 1.0
    slight: Copies | None = None
    replaced: Weight = none
    chosen: ClassVar[bool] = True

    def __call__(self, model: VAE, batch: Batch, step: Tensor) -> tuple[Tensor, Terms]:
        batch = self.mixed(model, batch, step)
        q, lesson = self.knowing(model.encode(batch.y), batch)
        loss, terms = self.loss(model, batch.y, step, q)
        return loss - self.observed(q, batch.c) + lesson, terms

    def mixed(self, model: VAE, batch: Batch, step: Tensor) -> Batch:
        """Put slight copies in the place of some rows, in the model's units."""
        if self.slight is None:
            return batch
        copied = draw_rows(batch.y[:, :1].shape, lambda size: uniform_(batch.y.new_empty(size)))
        slight = self.slight(model.likelihood, batch.x)
        return batch._replace(y=torch.where(copied < self.replaced(step), slight, batch.y))

    def knowing(self, q: Joint, batch: Batch) -> tuple[Joint, Tensor | float]:
        """Put rows where they are known to be, and give the loss ``(B,)`` by which q(c | x) learns that.

        Without known categories that loss is 0.
        """
        if batch.known is None:
            return q, 0.0
        q, unlikely = knowing(q, batch.known)
        return q, KNOWN_WEIGHT * unlikely

    def observed(self, q: Joint, c: Tensor | None) -> Tensor | float:
        """Compute E_q log p(start | c) of each row ``(B,)``, up to a constant; 0 without a start."""
        if c is None or not self.start_weight:
            return 0.0
        return self.start_weight * self.overcount * q.logits.exp().gather(-1, c.unsqueeze(-1))[:, 0]

    def loss(self, model: VAE, y: Tensor, step: Tensor, q: Joint) -> tuple[Tensor, Terms]:
        """Compute the loss of each row ``(B,)`` with the posterior `q`, and the terms of L."""
        terms = self.estimate(model, y, self.expectation, step, q)
        return -(terms.log_px - self.beta(step) * (terms.kl_c + terms.kl_z)), terms

    def value(self, terms: Terms) -> Tensor:
        """Compute what is maximised in the end, when beta has its last value: L where that is 1, ``(B,)`` or a mean."""
        return terms.log_px - self.beta(math.inf) * (terms.kl_c + terms.kl_z)

    @property
    def is_bound(self) -> bool:
        """Tell whether the terms are those of a bound; beta does not enter into them."""
        return self.expectation.is_bound

    @property
    def held(self) -> Assigned:
        """Give the objective that is minimised instead while the categories of a start hold."""
        return Assigned(self.beta, weight=self.overcount)


@dataclass(frozen=True)
class Consistent(Bound):
    """A bound, and `weight` times KL(q(c | x) || q(c | copy)); while a start holds, copies learn its categories too.

    Copies of a row whose category is known learn that category.

    Attributes:
        copies: makes the copies whose categories should be those of their rows.
        weight: of their agreement.
    """

    copies: Copies = field(kw_only=True)
    weight: float = field(kw_only=True)

    def __call__(self, model: VAE, batch: Batch, step: Tensor) -> tuple[Tensor, Terms]:
        batch = self.mixed(model, batch, step)
        q, copies = model.encode_both(batch.y, self.copies(model.likelihood, batch.x))
        q, lesson = self.knowing(q, batch)
        loss, terms = self.loss(model, batch.y, step, q)
        return loss - self.observed(q, batch.c) + self.weight * inconsistency(q, copies) + lesson, terms

    @property
    def held(self) -> Assigned:
        """Give the objective that is minimised instead while the categories of a start hold."""
        return Assigned(self.beta, self.copies, self.overcount)


@dataclass(frozen=True)
class FromCopies(Bound):
    """The bound of rows with the posterior of their copies, for codes that should not depend on how a row is deformed.

    The bound of rows with their own posterior is not what is trained, so it does not choose the weights.
    """

    copies: Copies = field(kw_only=True)
    chosen = False

    def __call__(self, model: VAE, batch: Batch, step: Tensor) -> tuple[Tensor, Terms]:
        return self.loss(model, batch.y, step, model.encode(self.copies(model.likelihood, batch.x)))


@dataclass(frozen=True)
class Assigned:
    """-L for the category that a start gave each row, and -log q(c | x), by which the encoder learns it.

    Attributes:
        beta: the weight of KL(q(z | x, c) || p(z | c)).
        copies: if not None, q(c | copy) learns the category as well.
        weight: of what the encoder learns beside -L, which may say the same of a row many times.
    """

    beta: Weight = full
    copies: Copies | None = None
    weight: float = 1.0
    is_bound: ClassVar[bool] = True

    def __call__(self, model: VAE, batch: Batch, step: Tensor) -> tuple[Tensor, Terms]:
        assert batch.c is not None, "categories of a start"
        if self.copies is None:
            q, copies = model.encode(batch.y), None
        else:
            q, copies = model.encode_both(batch.y, self.copies(model.likelihood, batch.x))
        terms, cross_entropy = elbo_assigned(model, batch.y, batch.c, q)
        lesson = cross_entropy if copies is None else cross_entropy + unlikeliness(copies, batch.c)
        return self.weight * lesson - (terms.log_px - self.beta(step) * terms.kl_z), terms
