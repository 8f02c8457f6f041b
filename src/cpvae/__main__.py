"""`python -m cpvae`, and what `torchrun -m cpvae` starts."""

from cpvae.cli.program import main

if __name__ == "__main__":
    main()
