"""``python -m cpvae.cli``."""

from cpvae.cli.program import main

main()
