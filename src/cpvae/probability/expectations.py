"""Expectations over the category c, whose posterior q(c | x) q(z | x, c) is a `Joint`.

An expectation is one of four objects, each a function from the logits of q(c | x) to `Categories`:

- `Exact`: all K categories, weighted by their probability. No noise; costs K decoders.
- `SumAndSample`: the likeliest categories summed, one of the others drawn. Unbiased; one to three decoders.
- `StraightThrough`: one one-hot draw, with the gradient of the relaxed one (Jang, Gu and Poole, 2017).
- `Relaxed`: one Gumbel-softmax draw (same source). A relaxed c carries K - 1 real numbers to the decoder while it is
  charged for at most log K nats. So what is computed with it is *not* a bound on log p(x).

Shapes: B rows, M categories evaluated for each row, K categories. Units: nats.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.distributions import Categorical

from cpvae.nn.draws import draw_rows, exponential_, uniform_

NEVER = -100.0  # log-probability of a category that is left out; its exponential is 0 in float32


@dataclass(frozen=True)
class Joint:
    """The posterior q(c | x) q(z | x, c), eq. (6), for B rows.

    Attributes:
        logits: of q(c | x), normalised, ``(B, K)``.
        given: categories (indices or points of the simplex) -> q(z | x, c), batch shape ``(B, M)``.
    """

    logits: Tensor
    given: Callable[[Tensor], Any]  # a DiagonalNormal, or a Chain for a code of two levels


class Categories(NamedTuple):
    """The categories at which an expectation over q(c | x) is evaluated, and their weights.

    Attributes:
        c: indices ``(B or 1, M)`` or points of the simplex ``(B, M, K)``.
        weights: ``(B, M)``, which add up to one, of a row or in expectation.
        decoded: where the decoder is asked, ``(B, M)``; elsewhere the weight is 0. None asks it everywhere.
    """

    c: Tensor
    weights: Tensor
    decoded: Tensor | None = None


class Expectation(Protocol):
    """A function from the logits of q(c | x) ``(B, K)`` and the training step to `Categories`.

    Attributes:
        is_exact: whether all categories are summed, so that the same logits always give the same.
        is_bound: whether what is computed with it is, in expectation, a bound on log p(x).
    """

    @property
    def is_exact(self) -> bool: ...

    @property
    def is_bound(self) -> bool: ...

    def __call__(self, logits: Tensor, step: int | Tensor) -> Categories: ...


@dataclass(frozen=True)
class Exact:
    """The sum over all K categories: no noise, K decoders."""

    is_exact: ClassVar[bool] = True
    is_bound: ClassVar[bool] = True

    def __call__(self, logits: Tensor, step: int | Tensor = 0) -> Categories:
        return Categories(torch.arange(logits.shape[-1], device=logits.device).unsqueeze(0), logits.exp())


@dataclass(frozen=True)
class SumAndSample:
    """The likeliest categories summed and one of the others drawn (Liu et al., 2019), where they weigh something.

    ``sum_c q(c) f(c)`` is split: the `top` likeliest terms are kept, the rest is its mass times f at a draw from it.
    The likeliest category is always decoded. Any other term of weight w is decoded with probability
    ``min(1, often * w)``, and then has its weight divided by that: most rows are sure of their category, and cost one
    decoder. Both the value and its gradient are unbiased, and the noise vanishes as q(c | x) becomes sharp. The weight
    of the draw has the value of the mass and the gradient of the score function; what f has in common over categories
    cancels in `cpvae.probability.bounds.average`.

    Devices other than the CPU decode all terms: to learn which are left out, the host would have to wait for them.

    Args:
        top: how many categories are summed; with `top` + 1 >= K all of them are.
        often: the inverse of the weight from which on a term is always decoded.
    """

    top: int = 2
    often: float = 30.0
    is_exact: ClassVar[bool] = False
    is_bound: ClassVar[bool] = True

    def __call__(self, logits: Tensor, step: int | Tensor = 0) -> Categories:
        probs, k = logits.exp(), logits.shape[-1]
        summed = k if self.top + 1 >= k else self.top
        c = probs.detach().topk(summed, dim=-1).indices
        weights = probs.gather(-1, c)
        if summed < k:
            rest = probs.detach().scatter(-1, c, 0.0)
            mass = rest.sum(-1, keepdim=True)
            # a rest that is all rounding error still needs a category to draw; its weight is then as small
            race = draw_rows(rest.shape, lambda shape: exponential_(rest.new_empty(shape)))
            drawn = ((rest + torch.finfo(rest.dtype).tiny) / race).argmax(-1, keepdim=True)
            score = logits.gather(-1, drawn)
            c, weights = torch.cat([c, drawn], -1), torch.cat([weights, mass * (1.0 + score - score.detach())], -1)
        if logits.device.type != "cpu" or k == 1:
            return Categories(c, weights)
        chance = (self.often * weights.detach()).clamp(torch.finfo(weights.dtype).tiny, 1.0)
        chance[:, 0] = 1.0
        taken = draw_rows(chance.shape, lambda shape: uniform_(chance.new_empty(shape))) < chance
        taken &= weights > 0  # one that has vanished in rounding would divide nothing by nothing
        return Categories(c, torch.where(taken, weights / torch.where(taken, chance, 1.0), 0.0), taken)


@dataclass(frozen=True)
class StraightThrough:
    """One one-hot draw, with the gradient of the Gumbel-softmax draw (Jang, Gu and Poole, 2017).

    Args:
        temperature: a function of the training step (see `cpvae.fitting.schedules`).
    """

    temperature: Callable[[Any], Any]
    hard: bool = True
    is_exact: ClassVar[bool] = False

    @property
    def is_bound(self) -> bool:
        """True for one-hot draws."""
        return self.hard

    def __call__(self, logits: Tensor, step: int | Tensor = 0) -> Categories:
        # Gumbel noise from uniform numbers: those from exponential ones, as in F.gumbel_softmax, take longer
        uniform = draw_rows(logits.shape, lambda shape: uniform_(logits.new_empty(shape))).clamp_min(
            torch.finfo(logits.dtype).tiny
        )
        soft = ((logits - (-uniform.log()).log()) / self.temperature(step)).softmax(-1)
        c = soft
        if self.hard:
            hard = torch.zeros_like(soft).scatter_(-1, soft.argmax(-1, keepdim=True), 1.0)
            c = hard + (soft - soft.detach())
        return Categories(c.unsqueeze(-2), torch.ones_like(c[..., :1]))


@dataclass(frozen=True)
class Relaxed(StraightThrough):
    """One Gumbel-softmax draw; what is computed with it is not a bound on log p(x)."""

    hard: bool = False


def entropy(logits: Tensor) -> Tensor:
    """Compute the entropy of categorical distributions in nats: normalised logits ``(..., K)`` -> ``(...)``.

    >>> round(entropy(torch.zeros(4).log_softmax(-1)).exp().item(), 4)
    4.0
    """
    return Categorical(logits=logits, validate_args=False).entropy()
