"""Choices of the code that the paper's authors released, which the paper's text does not have: to see what they do.

- ``"fixed-prior"``: the Gaussians of p(z | c) stay where they begin, since no optimiser was given them.
- ``"elu-logits"``: the logits of q(c | x) are bent so that none is below -1.
- ``"two-draws"``: encoder and prior see one relaxed draw of c, the decoder another. It needs the expectation "relaxed",
  and what it maximises is no bound.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, ClassVar

from torch import Tensor
from torch.nn import functional as F

from cpvae.arguments import one_of
from cpvae.errors import InputError
from cpvae.estimators.params import among, anything, argument, takes_arguments
from cpvae.estimators.zoo import CPVAE, ESTIMATORS
from cpvae.probability import likelihoods
from cpvae.probability.bounds import Terms, TermsGivenC, average
from cpvae.probability.expectations import Expectation, Joint
from cpvae.probability.models import VAE
from cpvae.probability.moments import Moments
from cpvae.probability.objectives import Bound, Weight
from cpvae.probability.posteriors import ConditionalPosterior
from cpvae.probability.priors import COVARIANCES, Conditional, Weights


class FixedConditional(Conditional):
    """The conditional prior with Gaussians that stay where they begin."""

    def __init__(self, n_components: int, latent_dim: int, weights: Weights = "uniform"):
        super().__init__(n_components, latent_dim, weights)
        self.loc.requires_grad_(False)
        self.log_scale.requires_grad_(False)

    def moments(self) -> Moments | None:
        """Ask for none: no rows move it."""
        return None


class EluPosterior(ConditionalPosterior):
    """The posterior of CP-VAE with bent logits of q(c | x)."""

    def category_logits(self, h: Tensor) -> Tensor:
        """Compute the logits, none below -1, from the last hidden features."""
        return F.elu(super().category_logits(h))


def two_draws(model: VAE, y: Tensor, expectation: Expectation, step: int | Tensor = 0, q: Joint | None = None) -> Terms:
    """Compute what the released code has in place of the terms of L, at two draws of c.

    Called as `cpvae.probability.bounds.elbo`.
    """
    q, p = model.encode(y) if q is None else q, model.latent()
    seen, decoded = expectation(q.logits, step), expectation(q.logits, step)
    q_z = q.given(seen.c)
    z = q_z.at()
    log_px = model.likelihood.log_prob(model.decoder(z, decoded.c), y)
    return average(TermsGivenC(log_px, p.kl_given(q_z, z, seen.c)), seen, q, p)


@takes_arguments
class ReleasedCPVAE(CPVAE):
    """CP-VAE with choices of the released code.

    Args:
        released: some of "fixed-prior", "elu-logits" and "two-draws"; other arguments are those of `CPVAE`.

    Examples:
        >>> import numpy as np
        >>> X = np.random.RandomState(0).normal(size=(60, 3))
        >>> few = {"latent_dim": 2, "hidden": (8,), "max_epochs": 1, "random_state": 0}
        >>> ReleasedCPVAE(2, released=("elu-logits",), **few).fit(X).predict_proba(X).shape
        (60, 2)
    """

    name = "cpvae-released"
    RELEASED: ClassVar[tuple[str, ...]] = ("fixed-prior", "elu-logits", "two-draws")

    covariance_type: str = argument(among(COVARIANCES), default="diag")
    released: tuple[str, ...] = argument(anything, default=())

    def check_params(self) -> None:
        super().check_params()
        if not isinstance(self.released, (tuple, list)):
            raise InputError(f"released={self.released!r}: expected some of {', '.join(self.RELEASED)}, in a tuple")
        for choice in self.released:
            one_of("released", choice, self.RELEASED)
        if "two-draws" in self.released and self.expectation != "relaxed":
            raise InputError(
                f"released 'two-draws' with expectation={self.expectation!r}: expected 'relaxed', of which two draws "
                "are taken; give it, or leave 'two-draws' out"
            )
        if "fixed-prior" in self.released and self.covariance_type != "diag":
            raise InputError(
                f"released 'fixed-prior' with covariance_type={self.covariance_type!r}: expected 'diag'; give it"
            )

    def _module(self, likelihood: likelihoods.Likelihood, **parts: Any) -> VAE:
        if "elu-logits" in self.released:
            parts["posterior"] = EluPosterior
        if "fixed-prior" in self.released:
            parts["prior"] = FixedConditional
        return super()._module(likelihood, **parts)

    def _objective(self, beta: Weight, total_steps: int) -> Bound:
        found = super()._objective(beta, total_steps)
        return replace(found, estimate=two_draws) if "two-draws" in self.released else found


def estimator_name(model: str, params: Mapping[str, Any]) -> str:
    """Name the estimator of a row: of its model, or `ReleasedCPVAE` where it has choices of the released code.

    >>> estimator_name("cpvae", {"released": ("fixed-prior",)}), estimator_name("vae", {})
    ('cpvae-released', 'vae')
    """
    return ReleasedCPVAE.name if params.get("released") else model


@contextmanager
def known() -> Iterator[None]:
    """Have `ReleasedCPVAE` among the estimators that are made by name and opened from files, for the block."""
    ESTIMATORS[ReleasedCPVAE.name] = ReleasedCPVAE
    try:
        yield
    finally:
        del ESTIMATORS[ReleasedCPVAE.name]
