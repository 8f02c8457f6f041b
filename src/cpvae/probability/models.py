"""Models: a posterior, a prior, a decoder and a likelihood joined together."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cpvae.nn.draws import sample
from cpvae.nn.layers import WithTable
from cpvae.probability.distributions import Latent
from cpvae.probability.expectations import Joint
from cpvae.probability.likelihoods.likelihood import Likelihood


class VAE(nn.Module):
    """A model of the paper: only its prior, and whether its posterior has categories, differ from model to model.

    Args:
        posterior: inputs ``(B, n_inputs)`` -> `cpvae.probability.expectations.Joint`.
        prior: posterior -> `cpvae.probability.distributions.Latent`.
        decoder: z ``(B, M, D)``, c -> ``(B, M, n_outputs)``.
        likelihood: decoder output -> distribution of x.
        latent_dim: D.
    """

    def __init__(
        self,
        posterior: nn.Module,
        prior: nn.Module,
        decoder: nn.Module,
        likelihood: Likelihood,
        latent_dim: int,
    ):
        super().__init__()
        self.posterior = posterior
        self.prior = prior
        self.decoder = decoder
        self.likelihood = likelihood
        self.latent_dim = latent_dim
        self.n_categories: int = posterior.n_categories  # type: ignore[assignment]
        self.n_components: int = getattr(prior, "n_components", 1)

    @property
    def noises(self) -> list[nn.Parameter]:
        """The numbers that the likelihood learns, those of each category among them."""
        tables = [self.decoder.table] if isinstance(self.decoder, WithTable) else []
        return [*self.likelihood.parameters(), *tables]

    @property
    def device(self) -> torch.device:
        """The device of its weights."""
        return next(self.parameters()).device

    def encode(self, y: Tensor) -> Joint:
        """Compute q(c, z | x) of rows in the model's units, ``(B, F)``."""
        q: Joint = self.posterior(self.likelihood.inputs(y))
        return q

    def encode_both(self, y: Tensor, other: Tensor) -> tuple[Joint, Joint]:
        """Compute q(c, z | x) of two batches of a model with categories, in less time than one after the other."""
        both: tuple[Joint, Joint] = self.posterior.both(  # type: ignore[operator]
            self.likelihood.inputs(torch.cat([y, other])), len(y)
        )
        return both

    def latent(self) -> Latent:
        """Compute p(c, z)."""
        p: Latent = self.prior(self.posterior)
        return p

    @torch.no_grad()
    def sample(self, c: Tensor, mean: bool = False) -> Tensor:
        """Draw one row for each component in `c`, indices ``(n,)``, by ancestral sampling.

        Args:
            c: the component to draw z from.
            mean: give the mean of p(x | z, c) instead of a draw from it.

        Returns:
            Rows in the data's units, ``(n, F)``.
        """
        z = self.latent().sample(c)
        x = self.likelihood(self.decoder(z.unsqueeze(1), c.unsqueeze(1)).squeeze(1))
        return self.likelihood.to_data(x.mean if mean else sample(x, c.device))

    @torch.no_grad()
    def reconstruct(self, y: Tensor) -> Tensor:
        """Compute the mean of p(x | z, c) at the likeliest c and the mean of q(z | x, c): ``(B, F)``, data's units."""
        q = self.encode(y)
        c = q.logits.argmax(-1, keepdim=True)
        params = self.decoder(q.given(c).mean, c)[:, 0]
        return self.likelihood.to_data(self.likelihood.expected(params, y))
