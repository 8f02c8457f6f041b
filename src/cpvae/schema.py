"""What the columns of a table hold: the public door to `cpvae.data.schema`."""

from cpvae.data.schema import Column, Schema

__all__ = ["Column", "Schema"]
