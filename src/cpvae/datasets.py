"""Data sets by name or path: the public door to `cpvae.data.loaders`."""

from cpvae.data.loaders import *  # noqa: F403
from cpvae.data.loaders import __all__ as __all__
