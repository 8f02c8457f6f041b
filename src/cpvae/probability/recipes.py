"""The paper's models by name, a few lines each (section 5: layers of 300 units, 40 latent dimensions)."""

from __future__ import annotations

from torch import nn

from cpvae.nn.layers import Dense, Network, WithTable
from cpvae.probability.likelihoods.likelihood import Likelihood
from cpvae.probability.models import VAE
from cpvae.probability.posteriors import (
    ConditionalPosterior,
    ConditionalTwoLevelPosterior,
    NormalNetwork,
    NormalPosterior,
    TwoLevelPosterior,
)
from cpvae.probability.priors import (
    COVARIANCES,
    Conditional,
    StandardNormal,
    TwoLevelPrior,
    Vamp,
    Weights,
)

PAPER = Dense((300, 300))


def vae(likelihood: Likelihood, latent_dim: int = 40, network: Network = PAPER) -> VAE:
    """Make a plain VAE, eq. (2), with the standard normal prior."""
    return one_level(likelihood, StandardNormal(latent_dim), latent_dim, network)


def cpvae(
    likelihood: Likelihood,
    n_components: int = 10,
    latent_dim: int = 40,
    network: Network = PAPER,
    weights: Weights = "uniform",
    covariance: str = "diag",
    *,
    posterior: type[ConditionalPosterior] = ConditionalPosterior,
    prior: type[Conditional] | None = None,
) -> VAE:
    """Make CP-VAE, eqs. (3)-(8); with one component the learnable-prior VAE of eq. (15).

    Args:
        posterior, prior: other classes than the paper's; a prior goes before `covariance`, a name in `COVARIANCES`.
    """
    encoder = posterior(network.encoder(likelihood.n_inputs), latent_dim, n_components)
    decoder = network.decoder(latent_dim, likelihood.n_outputs, n_components)
    decoder = _with_table(decoder, likelihood, n_components)
    prior = prior or COVARIANCES[covariance][0]
    return VAE(encoder, prior(n_components, latent_dim, weights), decoder, likelihood, latent_dim)


def mog(
    likelihood: Likelihood,
    n_components: int = 10,
    latent_dim: int = 40,
    network: Network = PAPER,
    weights: Weights = "uniform",
    covariance: str = "diag",
) -> VAE:
    """Make MG, a VAE whose prior is a learned mixture of Gaussians."""
    prior = COVARIANCES[covariance][1](n_components, latent_dim, weights)
    return one_level(likelihood, prior, latent_dim, network)


def vamp(likelihood: Likelihood, n_components: int = 10, latent_dim: int = 40, network: Network = PAPER) -> VAE:
    """Make VP, a VAE with a VampPrior (Tomczak and Welling, 2018)."""
    prior = Vamp(n_components, likelihood.n_inputs, likelihood.limits)
    return one_level(likelihood, prior, latent_dim, network)


def hvae(likelihood: Likelihood, latent_dim: int = 40, network: Network = PAPER) -> VAE:
    """Make HVAE: two levels of `latent_dim` dimensions each, standard normal on top (Tomczak and Welling, 2018)."""
    return two_level(likelihood, StandardNormal(latent_dim), latent_dim, network)


def hvae_vamp(likelihood: Likelihood, n_components: int = 10, latent_dim: int = 40, network: Network = PAPER) -> VAE:
    """Make HVP: HVAE with a VampPrior on top."""
    prior = Vamp(n_components, likelihood.n_inputs, likelihood.limits)
    return two_level(likelihood, prior, latent_dim, network)


def hvae_cp(
    likelihood: Likelihood,
    n_components: int = 10,
    latent_dim: int = 40,
    network: Network = PAPER,
    weights: Weights = "uniform",
    covariance: str = "diag",
) -> VAE:
    """Make HCP: HVAE with the conditional prior of CP-VAE on top. The mean of a row depends on the codes alone."""
    encoder, branch = network.encoder(likelihood.n_inputs), network.branch(likelihood.n_inputs)
    top = ConditionalPosterior(encoder, latent_dim, n_components)
    posterior = ConditionalTwoLevelPosterior(top, branch, latent_dim)
    prior = COVARIANCES[covariance][0](n_components, latent_dim, weights)
    return _with_lower(posterior, prior, likelihood, latent_dim, network, n_components)


def one_level(likelihood: Likelihood, prior: nn.Module, latent_dim: int, network: Network) -> VAE:
    """Make a VAE with any prior over z alone."""
    posterior = NormalPosterior(network.encoder(likelihood.n_inputs), latent_dim)
    decoder = network.decoder(latent_dim, likelihood.n_outputs)
    return VAE(posterior, prior, decoder, likelihood, latent_dim)


def two_level(likelihood: Likelihood, top: nn.Module, latent_dim: int, network: Network) -> VAE:
    """Make a hierarchical VAE with any prior over z2 alone."""
    encoder, branch = network.encoder(likelihood.n_inputs), network.branch(likelihood.n_inputs)
    posterior = TwoLevelPosterior(NormalNetwork(encoder, latent_dim), branch, latent_dim)
    return _with_lower(posterior, top, likelihood, latent_dim, network)


def _with_lower(
    posterior: TwoLevelPosterior,
    top: nn.Module,
    likelihood: Likelihood,
    latent_dim: int,
    network: Network,
    n_categories: int = 0,
) -> VAE:
    """Make a hierarchical VAE of its posterior and the prior of z2: the same level of z1 and decoder for all."""
    below = NormalNetwork(network.between(latent_dim), latent_dim)
    decoder = _with_table(network.decoder(latent_dim, likelihood.n_outputs, levels=2), likelihood, n_categories)
    return VAE(posterior, TwoLevelPrior(top, below, latent_dim), decoder, likelihood, 2 * latent_dim)


def _with_table(decoder: nn.Module, likelihood: Likelihood, n_categories: int) -> nn.Module:
    """Put the numbers that a likelihood has for each category beside a decoder, if there are any."""
    n = likelihood.n_of_category
    return WithTable(decoder, n_categories, n) if n_categories and n else decoder
