"""Sentences in plain English: numbers and units, and what sets categories apart. Imports `cpvae.data` and below."""
