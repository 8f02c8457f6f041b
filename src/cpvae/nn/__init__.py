"""Layers, convolutions, matrix products and random draws: shapes only, no probability. Imports `cpvae.errors` alone."""
