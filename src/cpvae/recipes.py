"""The paper's models by name, a few lines each (section 5: layers of 300 units, 40 latent dimensions)."""

from __future__ import annotations

from collections.abc import Sequence

from cpvae.likelihoods import Likelihood
from cpvae.models import VAE
from cpvae.nn import Decoder, GatedMLP
from cpvae.posteriors import ConditionalPosterior, NormalPosterior
from cpvae.priors import Conditional, StandardNormal, Weights


def vae(likelihood: Likelihood, features: int, latent_dim: int = 40, hidden: Sequence[int] = (300, 300)) -> VAE:
    """A plain VAE, eq. (2): standard normal prior."""
    posterior = NormalPosterior(GatedMLP(features, hidden), latent_dim)
    decoder = Decoder(latent_dim, hidden[::-1], likelihood.n_outputs)
    return VAE(posterior, StandardNormal(latent_dim), decoder, likelihood, latent_dim)


def cpvae(
    likelihood: Likelihood,
    features: int,
    n_components: int = 10,
    latent_dim: int = 40,
    hidden: Sequence[int] = (300, 300),
    weights: Weights = "uniform",
) -> VAE:
    """CP-VAE, eqs. (3)-(8); with one component the learnable-prior VAE of eq. (15)."""
    posterior = ConditionalPosterior(GatedMLP(features, hidden), latent_dim, n_components)
    decoder = Decoder(latent_dim, hidden[::-1], likelihood.n_outputs, n_components)
    prior = Conditional(n_components, latent_dim, weights)
    return VAE(posterior, prior, decoder, likelihood, latent_dim)
