"""Rows and what they hold: tables of numbers, images, schemas, loaders. Imports `nn` for random draws, no more."""
