"""Distributions, likelihoods, posteriors, priors, and the bounds that join them. Imports `nn` and `data`."""
