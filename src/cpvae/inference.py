"""What a fitted model says of many rows: bounds, posteriors, the decomposition of eq. (13).

Everything here is a function of the row alone (`cpvae.rownoise`): the same row gets the same answer in any batch and
any order. Rows are in the model's units, with their fixed observation (`cpvae.rows.Rows.fixed`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from cpvae.bounds import (
    Terms,
    TermsGivenC,
    average,
    category_posterior,
    draw_given,
    elbo_tight,
    importance_weighted,
)
from cpvae.distributions import Categories, Exact, Expectation, Joint, entropy
from cpvae.models import VAE
from cpvae.rownoise import row_keys, row_normal, row_uniform

CATEGORY_STREAM, IMPORTANCE_STREAM = 2, 3  # streams of a row's noise; 0 is its code, 1 its pixels
DECODED_AT_ONCE = 8192  # rows times categories; bounds memory, not the result


def batches(y: Tensor, n_categories: int) -> Iterator[Tensor]:
    """Slices of `y` so small that all categories of a slice fit in memory at once."""
    yield from y.split(max(1, DECODED_AT_ONCE // n_categories))


@dataclass(frozen=True)
class Evaluation:
    """Bounds and posteriors of n rows, NumPy arrays, nats.

    Attributes:
        log_px, kl_c, kl_z: the parts of L, ``(n,)``.
        elbo: L, ``(n,)``; elbo_tight: L*, ``(n,)``.
        proba: ``softmax_c [log p(c) + ELBO_c(x)]``, ``(n, K)``.
        q_c: q(c | x), ``(n, K)``.
    """

    log_px: np.ndarray
    kl_c: np.ndarray
    kl_z: np.ndarray
    elbo: np.ndarray
    elbo_tight: np.ndarray
    proba: np.ndarray
    q_c: np.ndarray

    @classmethod
    def join(cls, parts: Sequence[Evaluation]) -> Evaluation:
        """One evaluation after another."""
        return cls(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)))


def mean_terms(model: VAE, y: Tensor, q: Joint, c: Tensor, n_samples: int) -> TermsGivenC:
    """The parts of ELBO_c, averaged over S draws of z that belong to the rows; categories share a row's draws.

    KL(q(z | x, c) || p(z | c)) is estimated at the same draws: then ``log p(x | z, c) - KL`` is the logarithm of an
    importance weight, which is exact where the posterior is, and keeps L* below log p(x) in expectation.
    """
    p = model.latent()
    noise = row_normal(row_keys(y), (n_samples, 1, model.latent_dim)).to(y.dtype)
    draws = [draw_given(model, y, q, p, c, noise[:, s]) for s in range(n_samples)]
    log_px, log_ratio = (torch.stack(parts).mean(0) for parts in zip(*draws, strict=True))
    return TermsGivenC(log_px, -log_ratio)


@torch.no_grad()
def evaluate(model: VAE, y: Tensor, n_samples: int = 1) -> Evaluation:
    """L, L* and the category posteriors of rows ``(n, F)``, all categories summed exactly.

    Args:
        n_samples: draws of z behind each ELBO_c. L is unbiased for any number; L* is from above less biased with
            more, and in expectation below log p(x) with any.
    """
    parts = []
    for batch in batches(y, model.n_categories):
        q, p = model.encode(batch), model.latent()
        categories = Exact()(q.logits)
        given = mean_terms(model, batch, q, categories.c, n_samples)
        terms = average(given, categories, q, p)
        parts.append(
            (
                *terms,
                terms.elbo,
                elbo_tight(given, p),
                category_posterior(given, p),
                q.logits.exp(),
            )
        )
    return Evaluation(*(torch.cat(column).numpy(force=True) for column in zip(*parts, strict=True)))


def draw_categories(y: Tensor, q: Joint) -> Categories:
    """One draw from q(c | x) for each row, a function of the row: an unbiased estimate of the sum at large K."""
    edges = q.logits.double().exp().cumsum(-1)
    u = row_uniform(row_keys(y), (1,), CATEGORY_STREAM) * edges[:, -1:]
    c = torch.searchsorted(edges, u).clamp_max(q.logits.shape[-1] - 1)
    return Categories(c, torch.ones_like(u).to(q.logits.dtype))


@torch.no_grad()
def validate(model: VAE, y: Tensor, expectation: Expectation) -> tuple[Terms, Tensor]:
    """Mean terms of L over the rows, and `row_counts` ``(K,)``: what is looked at after every epoch.

    A model trained on exact sums is validated with them, another with one draw of c for each row.
    """
    sums: list[Tensor] = []
    counts: list[Tensor] = []
    for batch in batches(y, model.n_categories):
        q, p = model.encode(batch), model.latent()
        categories = expectation(q.logits, 0) if isinstance(expectation, Exact) else draw_categories(batch, q)
        terms = average(mean_terms(model, batch, q, categories.c, 1), categories, q, p)
        sums.append(torch.stack(terms).double().sum(1))
        counts.append(row_counts(q.logits))
    return Terms(*torch.stack(sums).sum(0) / len(y)), torch.stack(counts).sum(0)


@torch.no_grad()
def latent_means(model: VAE, y: Tensor) -> np.ndarray:
    """Posterior mean of z, ``sum_c q(c|x) E_{q(z|x,c)} z``: ``(n, D)``."""
    means = []
    for batch in batches(y, model.n_categories):
        q = model.encode(batch)
        categories = Exact()(q.logits)
        means.append((categories.weights.unsqueeze(-1) * q.given(categories.c).mean).sum(1))
    return torch.cat(means).numpy(force=True)


@torch.no_grad()
def log_likelihood(model: VAE, y: Tensor, n_samples: int, seed: int = 0) -> np.ndarray:
    """Importance-weighted log p(x) of each row, ``(n,)``, float64, nats (`cpvae.bounds.importance_weighted`)."""
    chunk = min(500, n_samples)

    def one(batch: Tensor) -> Tensor:
        keys = row_keys(batch) ^ seed

        def noise(start: int, stop: int) -> Tensor:
            return row_normal(keys, (stop - start, model.latent_dim), IMPORTANCE_STREAM + start).to(batch.dtype)

        return importance_weighted(model, batch, n_samples, noise, chunk)

    return torch.cat([one(batch) for batch in y.split(max(1, DECODED_AT_ONCE // chunk))]).numpy(force=True)


def row_counts(q_c: Tensor) -> Tensor:
    """How many rows have each category as their likeliest: q(c | x) or its logits ``(n, K)`` -> int64 ``(K,)``."""
    return torch.bincount(q_c.argmax(-1), minlength=q_c.shape[-1])


def components_used(counts: Sequence[int] | np.ndarray) -> int:
    """How many categories are the likeliest one of at least a tenth of an even share of the rows.

    Rows are counted, not probabilities averaged: where q(c | x) says nothing it is the same for all rows, and its mean
    looks as if every category were in use.

    Args:
        counts: rows whose likeliest category it is, ``(K,)``.

    >>> components_used([500, 490, 10, 0])
    2
    """
    total, least = sum(counts), 0.1 / len(counts)
    return sum(bool(count and count >= least * total) for count in counts)


@dataclass(frozen=True)
class Decomposition:
    """The parts of eq. (13) for n rows taken as the data distribution; nats, arrays ``(n,)`` but for the entropy.

    The mean of ``mutual_information + marginal_kl_z`` less ``marginal_entropy_c`` plus ``cross_entropy_c`` is the mean
    of ``kl``. For a uniform p(c) the cross-entropy is log K, and this is eq. (13) to the letter.

    Attributes:
        kl: KL(q(z, c | x) || p(z, c)), at the same draws.
        mutual_information: of (z, c) and x. It cannot exceed log n, which is where it ends for a sharp posterior.
        marginal_kl_z: its mean is E_{q(c)} KL(q(z | c) || p(z | c)).
        marginal_entropy_c: H(q(c)), one number.
        cross_entropy_c: - sum_c q(c) log p(c), one number.
    """

    kl: np.ndarray
    mutual_information: np.ndarray
    marginal_kl_z: np.ndarray
    marginal_entropy_c: float
    cross_entropy_c: float


@torch.no_grad()
def decompose(model: VAE, y: Tensor) -> Decomposition:
    """Eq. (13) on n rows, the sum over c exact, one draw of z for each row and category; costs n^2 K D.

    The aggregated posteriors are those of these rows: q(z | c) = sum_i q(c | x_i) q(z | x_i, c) / sum_i q(c | x_i).
    """
    q, p = model.encode(y), model.latent()
    n, n_categories = q.logits.shape
    log_q_c_x = q.logits.double()
    log_q_c = log_q_c_x.logsumexp(0) - np.log(n)
    noise = row_normal(row_keys(y), (1, model.latent_dim))
    kl, information, marginal = (torch.zeros_like(log_q_c_x[:, 0]) for _ in range(3))
    for k in range(n_categories):
        c = torch.full((1, 1), k, device=y.device)
        given = q.given(c)
        loc, scale = given.base_dist.loc[:, 0].double(), given.base_dist.scale[:, 0].double()
        z = loc + scale * noise[:, 0]
        log_pairs = _log_normal_pairs(z, loc, scale)  # [i, j] = log q(z_i | x_j, c)
        log_q_z_c = (log_pairs + log_q_c_x[:, k]).logsumexp(1) - log_q_c[k] - np.log(n)
        log_q_z_xc = log_pairs.diagonal()
        log_p_z_c = p.log_prob_given(z.to(y.dtype).unsqueeze(1), c)[:, 0].double()
        weight = log_q_c_x[:, k].exp()
        log_p_c = p.logits[k].double()
        kl += weight * (log_q_c_x[:, k] - log_p_c + log_q_z_xc - log_p_z_c)
        information += weight * (log_q_c_x[:, k] - log_q_c[k] + log_q_z_xc - log_q_z_c)
        marginal += weight * (log_q_z_c - log_p_z_c)
    cross = -(log_q_c.exp() * p.logits.double()).sum()
    return Decomposition(kl.numpy(), information.numpy(), marginal.numpy(), float(entropy(log_q_c)), float(cross))


def _log_normal_pairs(z: Tensor, loc: Tensor, scale: Tensor) -> Tensor:
    """log N(z_i; loc_j, diag(scale_j^2)) for all pairs ``(n, n)``, as matrix products."""
    precision = scale.reciprocal().square()
    quadratic = z.square() @ (0.5 * precision).T - z @ (precision * loc).T
    constant = (0.5 * precision * loc.square() + scale.log()).sum(-1) + 0.5 * z.shape[-1] * np.log(2 * np.pi)
    return -(quadratic + constant)


def standard_error(values: np.ndarray) -> float:
    """Standard error of the mean of independent values ``(n,)``."""
    return float(np.std(values, ddof=1) / np.sqrt(len(values)))
