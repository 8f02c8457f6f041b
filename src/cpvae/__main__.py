"""`python -m cpvae`, and what `torchrun -m cpvae` starts."""

from cpvae.cli import main

if __name__ == "__main__":
    main()
