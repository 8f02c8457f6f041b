"""Answers of a fitted model about many rows: bounds, posteriors, the decomposition of eq. (13).

Everything here is a function of the row alone (`cpvae.data.noise`): the same row gets the same answer in any batch and
any order. Rows are in the model's units, with their fixed observation
(`cpvae.probability.likelihoods.likelihood.Likelihood.fixed`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from scipy.stats import entropy as shannon
from torch import Tensor

from cpvae.data.noise import row_keys, row_normal, row_uniform
from cpvae.probability.bounds import (
    TermsGivenC,
    average,
    category_posterior,
    draw_given,
    elbo_tight,
    importance_weighted,
)
from cpvae.probability.distributions import Latent, log_normal_pairs
from cpvae.probability.expectations import NEVER, Categories, Exact, Joint, entropy
from cpvae.probability.models import VAE

CATEGORY_STREAM, IMPORTANCE_STREAM = 2, 3  # streams of a row's noise; 1000 i is its i-th code, 1 its pixels
LEAST_SHARE = 0.1  # of an even share of the rows: a component with less is not in use
COMPONENT_DRAWS = 64  # of z behind q(c | x) where c is the component of a mixture over z
FEW_COMPONENT_DRAWS = 16  # the same after every epoch, where only the likeliest counts
EVALUATED = 64  # categories of a row, of more than that, where q(c | x) leaves no more than this to the others:
LEFT_OUT = 1e-3
DECODED_AT_ONCE = 8192  # rows times categories; bounds memory, not the result
PAIRS_AT_ONCE = 2**21  # of rows, times categories; the same


def batches(y: Tensor, n_categories: int) -> Iterator[Tensor]:
    """Cut `y` into slices so small that all categories of a slice fit in memory at once."""
    yield from y.split(max(1, DECODED_AT_ONCE // n_categories))


def likeliest(q: Joint, n: int) -> tuple[Joint, Categories]:
    """Find the n likeliest categories of each row under q(c | x), and the posterior over them; all if there are only n.

    The posterior cut to them and normalised is a posterior too, so what is computed with it is a bound.
    """
    if q.logits.shape[-1] <= n:
        return q, Exact()(q.logits)
    values, c = q.logits.topk(n, dim=-1)
    values = values.log_softmax(-1)
    cut = torch.full_like(q.logits, NEVER).scatter_(-1, c, values.clamp_min(NEVER))
    return Joint(cut, q.given), Categories(c, values.exp())


def alike(model: VAE, y: Tensor) -> Iterator[tuple[Tensor, int]]:
    """Cut rows ``(n, F)`` into parts that fit in memory: their indices, and how many categories to evaluate for each.

    Up to 64 categories, all are evaluated. With more, the 64 likeliest are enough for rows where they have nearly all
    of q(c | x), as they do where categories are found; the cost of such a row does not grow with K. Other rows are
    evaluated at all categories.
    """
    k, index = model.n_categories, torch.arange(len(y), device=y.device)
    groups = [(index, k)]
    if k > EVALUATED:
        held = [model.encode(part).logits.exp().topk(EVALUATED).values.sum(-1) for part in y.split(DECODED_AT_ONCE)]
        sure = torch.cat(held) > 1 - LEFT_OUT
        groups = [(index[sure], EVALUATED), (index[~sure], k)]
    for rows, n in groups:
        if len(rows):
            yield from ((part, n) for part in rows.split(max(1, DECODED_AT_ONCE // n)))


@dataclass(frozen=True)
class Evaluation:
    """Bounds and posteriors of n rows, NumPy arrays, nats.

    Attributes:
        log_px, kl_c, kl_z: the parts of L, ``(n,)``.
        elbo: L, ``(n,)``; elbo_tight: L*, ``(n,)``. Of more than 64 categories see `alike`.
        proba: ``softmax_c [log p(c) + ELBO_c(x)]``, ``(n, K)``.
        q_c: q(c | x), ``(n, K)``.

    For a mixture over z alone, both are the responsibilities of its components, ``E_{q(z | x)} p(k | z)``.
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
        """Join evaluations, one after another."""
        return cls(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)))

    @property
    def rows_of_categories(self) -> np.ndarray:
        """Count the rows of each category that `predict` gives, ``(K,)``."""
        return np.bincount(self.proba.argmax(1), minlength=self.proba.shape[1])


# A model, rows (B, F), their posterior, the prior and the categories at hand -> a better posterior, and its weights.
Improvement = Callable[[VAE, Tensor, Joint, Latent, Categories], tuple[Joint, Categories]]


def row_noise(model: VAE, y: Tensor, n_samples: int, stream: int = 0) -> Tensor:
    """Make the standard normal numbers of each row's draws of z, shared by its categories: ``(B, S, 1, D)``."""
    return row_normal(row_keys(y), (n_samples, 1, model.latent_dim), stream).to(y.dtype)


def mean_terms(model: VAE, y: Tensor, q: Joint, p: Latent, c: Tensor, n_samples: int, stream: int = 0) -> TermsGivenC:
    """Compute the parts of ELBO_c, averaged over S draws of z that belong to the rows; categories share a row's draws.

    KL(q(z | x, c) || p(z | c)) is estimated at the same draws. Then ``log p(x | z, c) - KL`` is the logarithm of an
    importance weight. It is exact where the posterior is, and keeps L* below log p(x) in expectation.
    """
    noise = row_noise(model, y, n_samples, stream)
    draws = [draw_given(model, y, q, p, c, noise[:, s]) for s in range(n_samples)]
    log_px, log_ratio = (torch.stack([draw[i] for draw in draws]).mean(0) for i in (0, 1))
    return TermsGivenC(log_px, -log_ratio)


@torch.no_grad()
def component_probabilities(model: VAE, y: Tensor, n_samples: int = COMPONENT_DRAWS, stream: int = 0) -> Tensor:
    """Compute the probability of each component of the prior for rows ``(n, F)`` under q(c, z | x): ``(n, K)``.

    With categories that is q(c | x), without any draw. For a mixture over z alone it is ``E_{q(z|x)} p(k | z)``, the
    mean over S draws of z. There are many draws, since with few of them the likeliest component and the entropy would
    be those of the draws; they cost no decoder.
    """
    p = model.latent()
    if not p.is_marginal:
        return torch.cat([model.encode(batch).logits.exp() for batch in batches(y, model.n_categories)])
    c = torch.zeros(1, 1, dtype=torch.int64, device=y.device)
    parts = []
    for batch in batches(y, n_samples):
        q = model.encode(batch).given(c).top
        noise = row_normal(row_keys(batch), (n_samples, q.loc.shape[-1]), stream).to(batch.dtype)
        parts.append(p.top.responsibilities(q.loc + q.scale * noise, c).mean(1))
    return torch.cat(parts)


@torch.no_grad()
def evaluate(
    model: VAE, y: Tensor, n_samples: int = 1, stream: int = 0, improve: Improvement | None = None
) -> Evaluation:
    """Compute L, L* and the category posteriors of rows ``(n, F)``, categories summed exactly (for many see `alike`).

    Args:
        n_samples: draws of z behind each ELBO_c. L is unbiased for any number; L* is from above less biased with
            more, and in expectation below log p(x) with any.
        stream: another one gives other draws.
        improve: a function that gives a better posterior of the rows; None takes the encoder's.
    """
    parts, places = [], []
    for rows, n in alike(model, y):
        batch = y[rows]
        q, p = model.encode(batch), model.latent()
        q_c = q.logits.exp()
        q, categories = likeliest(q, n)
        if improve is not None:
            q, categories = improve(model, batch, q, p, categories)
            q_c = q.logits.exp()
        given = mean_terms(model, batch, q, p, categories.c, n_samples, stream)
        terms = average(given, categories, q, p)
        tight = elbo_tight(given, p, categories.c)
        proba = torch.zeros_like(q_c).scatter_(
            -1, categories.c.expand_as(given.elbo), category_posterior(given, p, categories.c)
        )
        if p.is_marginal:
            proba = q_c = component_probabilities(model, batch, stream=stream)
        parts.append((*terms, terms.elbo, tight, proba, q_c))
        places.append(rows)
    order = torch.cat(places).argsort()
    return Evaluation(*(torch.cat(column)[order].numpy(force=True) for column in zip(*parts, strict=True)))


def draw_categories(y: Tensor, q: Joint) -> Categories:
    """Draw c from q(c | x) for each row, as a function of the row: an unbiased estimate of the sum at large K."""
    edges = q.logits.double().exp().cumsum(-1)
    u = row_uniform(row_keys(y), (1,), CATEGORY_STREAM) * edges[:, -1:]
    c = torch.searchsorted(edges, u).clamp_max(q.logits.shape[-1] - 1)
    return Categories(c, torch.ones_like(u).to(q.logits.dtype))


@torch.no_grad()
def latent_means(model: VAE, y: Tensor) -> np.ndarray:
    """Compute the posterior mean of z, ``sum_c q(c|x) E_{q(z|x,c)} z``: ``(n, D)``."""
    means, places = [], []
    for rows, n in alike(model, y):
        q, categories = likeliest(model.encode(y[rows]), n)
        means.append((categories.weights.unsqueeze(-1) * q.given(categories.c).mean).sum(1))
        places.append(rows)
    return torch.cat(means)[torch.cat(places).argsort()].numpy(force=True)


@torch.no_grad()
def log_likelihood(model: VAE, y: Tensor, n_samples: int, seed: int = 0) -> np.ndarray:
    """Estimate log p(x) of each row by importance weighting, ``(n,)``, float64, nats (`importance_weighted`)."""
    chunk = min(500, n_samples)

    def one(batch: Tensor) -> Tensor:
        keys = row_keys(batch) ^ seed

        def noise(start: int, stop: int) -> Tensor:
            return row_normal(keys, (stop - start, model.latent_dim), IMPORTANCE_STREAM + start).to(batch.dtype)

        return importance_weighted(model, batch, n_samples, noise, chunk)

    return torch.cat([one(batch) for batch in y.split(max(1, DECODED_AT_ONCE // chunk))]).numpy(force=True)


def row_counts(q_c: Tensor) -> Tensor:
    """Count the rows whose likeliest category each one is: q(c | x) or its logits ``(n, K)`` -> int64 ``(K,)``."""
    return torch.bincount(q_c.argmax(-1), minlength=q_c.shape[-1])


def components_used(counts: Sequence[int] | np.ndarray) -> int:
    """Count the components that are the likeliest one of at least a tenth of an even share of the rows.

    Rows are counted, not probabilities averaged: where q(c | x) says nothing it is the same for all rows, and its mean
    looks as if every component were in use.

    Args:
        counts: rows whose likeliest component each one is, ``(K,)``.

    >>> components_used([500, 490, 10, 0])
    2
    """
    total = sum(counts)
    return int(in_use(np.asarray(counts) / total).sum()) if total else 0


@dataclass(frozen=True)
class Decomposition:
    """The parts of eq. (13) for n rows taken as the data distribution; nats, arrays ``(n,)`` but for single numbers.

    The mean of ``mutual_information + marginal_kl_z`` less ``marginal_entropy_c`` plus ``cross_entropy_c`` is the mean
    of ``kl``. For a uniform p(c) the cross-entropy is log K, and this is eq. (13) to the letter.

    For a mixture over z alone c is the component: its posterior is ``E_{q(z|x)} p(c | z)``, and the identity holds as
    well, for (z, c) tells of x what z does. For a code of two levels z is the top one, where the components are.

    Attributes:
        kl: KL(q(z, c | x) || p(z, c)), at the same draws.
        mutual_information: of (z, c) and x. It cannot exceed log n, which is where it ends for a sharp posterior.
        mutual_information_c: of c alone and x, one number; at most log K.
        marginal_kl_z: its mean is E_{q(c)} KL(q(z | c) || p(z | c)).
        marginal_entropy_c: H(q(c)), one number.
        cross_entropy_c: - sum_c q(c) log p(c), one number.
    """

    kl: np.ndarray
    mutual_information: np.ndarray
    mutual_information_c: float
    marginal_kl_z: np.ndarray
    marginal_entropy_c: float
    cross_entropy_c: float


@torch.no_grad()
def decompose(model: VAE, y: Tensor) -> Decomposition:
    """Take eq. (13) apart on n rows, with an exact sum over c and one draw of z for each row and category.

    It costs n^2 K D.

    The aggregated posteriors are those of these rows: q(z | c) = sum_i q(c | x_i) q(z | x_i, c) / sum_i q(c | x_i).
    """
    q, p = model.encode(y), model.latent().top
    n = len(q.logits)
    log_q_c_x = q.logits.double()
    log_q_c = log_q_c_x.logsumexp(0) - np.log(n)
    kl, information, marginal = (torch.zeros_like(log_q_c_x[:, 0]) for _ in range(3))
    noise = row_noise(model, y, 1)[:, 0, 0]
    for c in torch.arange(model.n_categories, device=y.device).split(max(1, PAIRS_AT_ONCE // n**2)):
        given = q.given(c.unsqueeze(0)).top
        loc, scale = given.loc.double(), given.scale.double()
        z = loc + scale * noise[:, None, : loc.shape[-1]]
        log_pairs = log_normal_pairs(*(part.transpose(0, 1) for part in (z, loc, scale)))  # log q(z_i | x_j, c)
        own = log_q_c_x[:, c]
        log_q_z_c = (log_pairs + own.T.unsqueeze(1)).logsumexp(-1).T - log_q_c[c] - np.log(n)
        log_q_z_xc = log_pairs.diagonal(dim1=1, dim2=2).T
        log_p_z_c = p.log_prob_given(z.to(y.dtype), c.unsqueeze(0)).double()
        weight = own.exp()
        kl += (weight * (own - p.logits[c].double() + log_q_z_xc - log_p_z_c)).sum(1)
        information += (weight * (own - log_q_c[c] + log_q_z_xc - log_q_z_c)).sum(1)
        marginal += (weight * (log_q_z_c - log_p_z_c)).sum(1)
    log_p_c = p.logits.double()
    if p.is_marginal and p.mixture is not None:
        # What was summed so far is KL(q(z) || p(z)): the share of the components is taken out of it.
        log_p_c = p.mixture.logits.double()
        log_q_c_x = component_probabilities(model, y).double().clamp_min(1e-300).log()
        log_q_c = log_q_c_x.logsumexp(0) - np.log(n)
        marginal -= (log_q_c.exp() * (log_q_c - log_p_c)).sum()
    entropy_c = max(0.0, float(entropy(log_q_c)))
    return Decomposition(
        kl.numpy(force=True),
        information.numpy(force=True),
        max(0.0, entropy_c - float(entropy(log_q_c_x).mean())),
        marginal.numpy(force=True),
        entropy_c,
        -float((log_q_c.exp() * log_p_c).sum()),
    )


def information_c(q_c: np.ndarray) -> float:
    """Compute the mutual information of category and row, nats: q(c | x) ``(n, K)`` -> ``H(q(c)) - mean H(q(c | x))``.

    >>> round(float(np.exp(information_c(np.eye(2)))), 6)
    2.0
    """
    return max(0.0, float(shannon(q_c.mean(0, dtype=np.float64)) - shannon(q_c, axis=1).mean(dtype=np.float64)))


def standard_error(values: np.ndarray) -> float | None:
    """Compute the standard error of the mean of independent values ``(n,)``; None for a single value, which has none.

    >>> standard_error(np.array([1.0, 3.0])), standard_error(np.array([1.0]))
    (1.0, None)
    """
    return float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None


def in_use(shares: np.ndarray) -> np.ndarray:
    """Say which components have a tenth of an even share of the rows or more: ``(K,)`` shares that add up to one.

    >>> in_use(np.array([0.5, 0.48, 0.02, 0.0])).tolist()
    [True, True, False, False]
    """
    used: np.ndarray = shares >= LEAST_SHARE / len(shares)
    return used
