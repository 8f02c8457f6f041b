"""The paper's models by name, a few lines each (section 5: layers of 300 units, 40 latent dimensions)."""

from __future__ import annotations

from cpvae.likelihoods import Likelihood
from cpvae.models import VAE
from cpvae.nn import Dense, Network
from cpvae.posteriors import ConditionalPosterior, NormalPosterior
from cpvae.priors import Conditional, StandardNormal, Weights

PAPER = Dense((300, 300))


def vae(likelihood: Likelihood, latent_dim: int = 40, network: Network = PAPER) -> VAE:
    """A plain VAE, eq. (2): standard normal prior."""
    posterior = NormalPosterior(network.encoder(likelihood.n_inputs), latent_dim)
    decoder = network.decoder(latent_dim, likelihood.n_outputs)
    return VAE(posterior, StandardNormal(latent_dim), decoder, likelihood, latent_dim)


def cpvae(
    likelihood: Likelihood,
    n_components: int = 10,
    latent_dim: int = 40,
    network: Network = PAPER,
    weights: Weights = "uniform",
) -> VAE:
    """CP-VAE, eqs. (3)-(8); with one component the learnable-prior VAE of eq. (15)."""
    posterior = ConditionalPosterior(network.encoder(likelihood.n_inputs), latent_dim, n_components)
    decoder = network.decoder(latent_dim, likelihood.n_outputs, n_components)
    prior = Conditional(n_components, latent_dim, weights)
    return VAE(posterior, prior, decoder, likelihood, latent_dim)
