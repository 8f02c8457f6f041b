"""p(x | z, c): from the output of the decoder to a distribution of x, in the units of the data. A file for each."""

from cpvae.probability.likelihoods.bernoulli import Bernoulli, draw_bits
from cpvae.probability.likelihoods.choice import LIKELIHOODS, NAMES, Choice, by_schema, choose, make, make_like
from cpvae.probability.likelihoods.columns import Columns
from cpvae.probability.likelihoods.counts import Counts
from cpvae.probability.likelihoods.gaussian import Gaussian
from cpvae.probability.likelihoods.isotropic import Isotropic
from cpvae.probability.likelihoods.levels import Levels
from cpvae.probability.likelihoods.likelihood import NOISE, Cells, Form, Likelihood
from cpvae.probability.likelihoods.mixed import MixedDistribution
from cpvae.probability.likelihoods.zero_inflated import ZeroInflatedCounts

__all__ = [
    "LIKELIHOODS",
    "NAMES",
    "NOISE",
    "Bernoulli",
    "Cells",
    "Choice",
    "Columns",
    "Counts",
    "Form",
    "Gaussian",
    "Isotropic",
    "Levels",
    "Likelihood",
    "MixedDistribution",
    "ZeroInflatedCounts",
    "by_schema",
    "choose",
    "draw_bits",
    "make",
    "make_like",
]
