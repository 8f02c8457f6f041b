"""Columns of a table and their kinds: the public door to `cpvae.data.schema`."""

from cpvae.data.schema import Column, Schema

__all__ = ["Column", "Schema"]
