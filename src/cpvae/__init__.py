"""Deep mixture models you can fit, cluster with and sample from."""

__version__ = "0.1.0"
