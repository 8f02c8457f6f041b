"""p(x | z, c): from the output of the decoder to a distribution of x, in the units of the data. A file for each."""

from cpvae.probability.likelihoods.bernoulli import Bernoulli, draw_bits
from cpvae.probability.likelihoods.choice import NAMES, build, choose, empty
from cpvae.probability.likelihoods.columns import Columns, ColumnsDistribution
from cpvae.probability.likelihoods.gaussian import Gaussian
from cpvae.probability.likelihoods.likelihood import Likelihood, held

__all__ = [
    "NAMES",
    "Bernoulli",
    "Columns",
    "ColumnsDistribution",
    "Gaussian",
    "Likelihood",
    "build",
    "choose",
    "draw_bits",
    "empty",
    "held",
]
