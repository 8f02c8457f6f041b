"""Fixtures that tests share: small models in float64 whose answers are known by other means."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import log_expit, logsumexp
from scipy.stats import multivariate_normal, norm
from torch import Tensor, nn
from torch.distributions import MixtureSameFamily

from cpvae.data.loaders import Split, named
from cpvae.fitting import restart
from cpvae.fitting.starts import clusterings, codes, latent_classes
from cpvae.nn.layers import Dense
from cpvae.probability import recipes
from cpvae.probability.bounds import TermsGivenC, terms_given
from cpvae.probability.distributions import CategoricalNormal, DiagonalNormal
from cpvae.probability.expectations import Joint
from cpvae.probability.likelihoods.bernoulli import Bernoulli
from cpvae.probability.likelihoods.gaussian import Gaussian
from cpvae.probability.models import VAE
from cpvae.probability.priors import Conditional

torch.set_num_threads(1)

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in a job that a shell runs in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    """Start each test from the same random state, whatever ran before it."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


FEW: dict[tuple[ModuleType, str], object] = {
    (latent_classes, "TRIED"): (2, 2),
    (latent_classes, "SAMPLES"): (2, 2),
    (latent_classes, "AGAIN"): latent_classes.Effort(2, 20),
    (clusterings, "MOST_MAPS"): 1,
    (codes, "LEAST_STEPS"): 20,
    (restart, "BRIEF_STEPS"): 40,
}
MANY = {(module, name): getattr(module, name) for module, name in FEW}  # as in other processes


def effort(patch: pytest.MonkeyPatch, asked: dict[tuple[ModuleType, str], object]) -> None:
    """Set how hard starts are looked for in this process."""
    for (module, name), value in asked.items():
        patch.setattr(module, name, value)


@pytest.fixture(scope="session", autouse=True)
def _little_effort() -> Iterator[None]:
    """Look for starts with little effort: most tests ask how a start is used, and benchmarks how good it is."""
    with pytest.MonkeyPatch.context() as patch:
        effort(patch, FEW)
        yield


@pytest.fixture(scope="session", autouse=True)
def _no_waiting_for_the_disk() -> Iterator[None]:
    """Write files as ever, but do not wait until they are on the disk: no test cuts the power."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda file: None)
        yield


def shorten_sets(patch: pytest.MonkeyPatch, *names: str, most: int = 300) -> None:
    """Have at most so many rows in each split of data sets that come with the package, in this process."""

    def shorter(load: Callable[[], Any]) -> Any:
        loaded = load()
        splits, rest = (loaded, None) if isinstance(loaded, dict) else (loaded[0], loaded[1:])
        few = {name: Split(split.x[:most], split.y[:most]) for name, split in splits.items()}
        return few if rest is None else (few, *rest)

    for name in names:
        patch.setattr(named, name, partial(shorter, getattr(named, name)))


@pytest.fixture
def few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the data sets that come with the package: for tests of commands that a page names."""
    shorten_sets(monkeypatch, "digits", "table")


BLANK = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"></svg>'


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the figures of a report blank, which take most of its time: for tests of what it says."""
    monkeypatch.setattr("cpvae.study.figures.files._render", lambda figure, kind, **options: BLANK)


def marginal(p: CategoricalNormal) -> MixtureSameFamily:
    """Make the distribution of z alone, by torch."""
    components = p.given(torch.arange(p.logits.shape[-1]))
    return MixtureSameFamily(p.categorical, components, validate_args=False)


@pytest.fixture(scope="session")
def agree() -> Callable[..., None]:
    """Check that the mean of independent values along dimension 0 is as expected, within 5 standard errors."""

    def check(values: Tensor | np.ndarray, expected: Tensor | np.ndarray | float, sigmas: float = 5.0) -> None:
        values = np.asarray(values, dtype=np.float64)
        error = values.std(0, ddof=1) / len(values) ** 0.5
        off = np.abs(values.mean(0) - np.asarray(expected)) / np.maximum(error, 1e-12)
        assert off.max() < sigmas, f"{off.max():.1f} standard errors off"

    return check


# ---------------------------------------------------------------- a mixture of factor analysers, solved exactly


class LinearDecoder(nn.Module):
    """The map A_c z + b_c."""

    def __init__(self, a: Tensor, b: Tensor):
        super().__init__()
        self.a, self.b = nn.Parameter(a), nn.Parameter(b)

    def forward(self, z: Tensor, c: Tensor) -> Tensor:
        if not c.is_floating_point():
            c = nn.functional.one_hot(c, len(self.b)).to(z.dtype)
        a = torch.einsum("...k,kfd->...fd", c, self.a)
        return (a @ z.unsqueeze(-1)).squeeze(-1) + c @ self.b


class BayesPosterior(nn.Module):
    """The posterior q(c | x) q(z | x, c) by Bayes' rule, from textbook formulas, not from the package."""

    def __init__(self, prior: Conditional, decoder: LinearDecoder, likelihood: Gaussian):
        super().__init__()
        self.n_categories = prior.n_components
        self.parts = (prior, decoder, likelihood)  # a tuple: not registered twice

    def forward(self, y: Tensor) -> Joint:
        prior, decoder, likelihood = self.parts
        a, b, noise = decoder.a, decoder.b, likelihood.noise
        precision = prior.scale**-2 + (a**2).sum(1) / noise**2  # (K, D): columns of A_c are orthogonal
        pull = torch.einsum("kfd,bkf->bkd", a, y.unsqueeze(1) - b) / noise**2
        loc, scale = (prior.loc / prior.scale**2 + pull) / precision, precision**-0.5
        eye = torch.eye(y.shape[1], dtype=y.dtype)
        covariance = torch.einsum("kfd,kd,kgd->kfg", a, prior.scale**2, a) + noise**2 * eye
        centre = b + torch.einsum("kfd,kd->kf", a, prior.loc)
        evidence = torch.distributions.MultivariateNormal(centre, covariance).log_prob(y.unsqueeze(1))
        logits = (evidence + prior.logits.log_softmax(-1)).log_softmax(-1)

        def given(c: Tensor):
            weights = c if c.is_floating_point() else nn.functional.one_hot(c, self.n_categories).to(y.dtype)
            return DiagonalNormal(weights @ loc, weights @ scale.expand_as(loc))

        return Joint(logits, given)


@dataclass(frozen=True)
class Solved:
    """A model with the exact posterior, rows of data, and the truth about them by scipy."""

    model: VAE
    x: Tensor
    log_weights: np.ndarray
    loc: np.ndarray  # of p(x | c), in the units of the data
    covariance: np.ndarray

    @property
    def y(self) -> Tensor:
        return self.model.likelihood.to_model(self.x)

    def log_joint(self, x: Tensor) -> np.ndarray:
        """Compute log p(x, c), ``(n, K)``."""
        parts = []
        for loc, covariance in zip(self.loc, self.covariance, strict=True):
            spread = np.sqrt(np.diag(covariance))  # columns on one scale: the factorisation keeps its digits
            standard = multivariate_normal(cov=covariance / np.outer(spread, spread))
            parts.append(standard.logpdf((x.numpy() - loc) / spread) - np.log(spread).sum())
        return np.stack(parts, -1).reshape(len(x), -1) + self.log_weights

    def log_p(self, x: Tensor) -> np.ndarray:
        return logsumexp(self.log_joint(x), -1)


@pytest.fixture
def solve() -> Callable[..., Solved]:
    """Make a `Solved`: x = loc + scale * (A_c z + b_c + noise), z ~ N(mu_c, s_c^2)."""

    def make(
        n_components: int = 3,
        latent_dim: int = 2,
        features: int = 5,
        uniform: bool = False,
        units: bool = True,
        n: int = 40,
    ) -> Solved:
        k, d, f = n_components, latent_dim, features
        loc = 5 * torch.randn(f).double() if units else torch.zeros(f).double()
        scale = torch.randn(f).double().exp() if units else torch.ones(f).double()
        likelihood = Gaussian(loc, scale, noise=0.7).double()
        a = torch.linalg.qr(torch.randn(k, f, d).double()).Q * (0.3 + torch.rand(k, 1, d).double())
        decoder = LinearDecoder(a, torch.randn(k, f).double())
        prior = Conditional(k, d, "uniform" if uniform else "learned").double()
        prior.set_components(torch.randn(k, d).double(), (0.5 * torch.randn(k, d).double()).exp())
        if not uniform:
            prior.logits.data = torch.randn(k).double()
        model = VAE(BayesPosterior(prior, decoder, likelihood), prior, decoder, likelihood, d).requires_grad_(False)
        s, noise = prior.scale, likelihood.noise
        centre = loc + scale * (decoder.b + torch.einsum("kfd,kd->kf", a, prior.loc))
        covariance = torch.einsum("kfd,kd,kgd->kfg", a, s**2, a) + noise**2 * torch.eye(f).double()
        covariance = covariance * scale * scale[:, None]
        x = torch.distributions.MultivariateNormal(centre, covariance).sample((n,))
        x = x[torch.arange(n), torch.arange(n) % k]
        weights = prior.logits.log_softmax(-1).numpy()
        return Solved(model, x, weights, centre.numpy(), covariance.numpy())

    return make


# ---------------------------------------------------------------- a network of four binary pixels, by quadrature


@dataclass(frozen=True)
class Pixels:
    """A random network over all sixteen rows of four binary pixels; z is a number, so integrals are sums on a grid."""

    model: VAE
    y: Tensor

    def log_joint(self) -> np.ndarray:
        """Compute log p(x, c), ``(16, K)``, by quadrature and scipy's densities."""
        model, prior = self.model, self.model.prior
        steps = torch.linspace(-12, 12, 4001, dtype=torch.float64)
        columns = []
        with torch.no_grad():
            for k in range(model.n_components):
                loc, scale = (t.reshape(model.n_components, 1)[k] for t in (prior.loc, prior.scale))
                z = loc + scale * steps
                logits = model.decoder(z[None, :, None], torch.full((1, len(z)), k))[0].numpy()
                y = self.y.numpy()
                log_px = y @ log_expit(logits).T + (1 - y) @ log_expit(-logits).T
                log_pz = norm(float(loc), float(scale)).logpdf(z.numpy())
                columns.append(logsumexp(log_px + log_pz, -1) + np.log(float(z[1] - z[0])))
        logits = prior.logits.detach().numpy() if hasattr(prior, "logits") else np.zeros(1)
        return np.stack(columns, -1) + logits - logsumexp(logits)

    def log_p(self) -> np.ndarray:
        return logsumexp(self.log_joint(), -1)

    def noises(self) -> tuple[list[Tensor], np.ndarray]:
        """Make nodes and weights of Gauss-Hermite quadrature, which replace draws."""
        nodes, weights = np.polynomial.hermite_e.hermegauss(80)
        return [torch.tensor([[[node]]]).double() for node in nodes], weights / weights.sum()

    def terms(self, c: Tensor | None = None) -> TermsGivenC:
        """Compute the terms of ELBO_c with the exact expectation over z."""
        model = self.model
        nodes, weights = self.noises()
        with torch.no_grad():
            q, p = model.encode(self.y), model.latent()
            c = torch.arange(model.posterior.n_categories)[None] if c is None else c
            parts = [terms_given(model, self.y, q, p, c, node) for node in nodes]
            log_px = sum(w * part.log_px for w, part in zip(weights, parts, strict=True))
            kl_z = sum(w * part.kl_z for w, part in zip(weights, parts, strict=True))
        return TermsGivenC(log_px, kl_z)


def all_rows(features: int) -> Tensor:
    """List every row of binary pixels, ``(2^features, features)``."""
    return torch.cartesian_prod(*[torch.tensor([0.0, 1.0]).double()] * features)


@pytest.fixture
def pixels() -> Callable[..., Pixels]:
    """Make a `Pixels`; ``kind`` is "uniform" or "learned" for a CP-VAE with that p(c), or "vae".

    With ``wide`` q(z | x, c) is wider than p(z | c), so that importance weights have a small variance, which can be
    estimated from draws.
    """

    def make(kind: str = "uniform", wide: bool = False) -> Pixels:
        likelihood = Bernoulli(4, drawn=False)
        if kind == "vae":
            model = recipes.vae(likelihood, latent_dim=1, network=Dense((6,))).double()
        else:
            model = recipes.cpvae(likelihood, n_components=3, latent_dim=1, network=Dense((6,)), weights=kind).double()
        for name, parameter in model.named_parameters():
            if name != "prior.logits" or kind == "learned":
                parameter.data.add_(0.7 * torch.randn_like(parameter))
        if wide:
            head = model.posterior.head.linear
            head.weight.data.mul_(torch.tensor([[0.2], [0.0]]))
            head.bias.data = torch.stack([torch.zeros(()), 2 * model.prior.scale.detach().max()]).double().log1p()
        return Pixels(model, all_rows(4))

    return make
