"""``python -m cpvae.cli``."""

from cpvae.cli import main

main()
