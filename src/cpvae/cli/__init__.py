"""The command line, a module for each command: parse, call one function, print. Imports all, when a command runs."""

from cpvae.cli.program import main

__all__ = ["main"]
