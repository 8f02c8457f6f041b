"""All claims, in the order of the page."""

from __future__ import annotations

from paper.claims import bounds, densities, generations, rivals
from paper.claims.claim import Claim

PAPERS_CLAIMS = (
    Claim(
        "CP recovers both modes, whatever the number of categories", "Figure 3", densities.both_modes, universal=True
    ),
    Claim("VAE recovers both modes as well", "section 5.1", densities.vae_too),
    Claim(
        "MG and VP have difficulties with few components, and fewer with many", "Figure 3", densities.others_struggle
    ),
    Claim(
        "CP ignores excess categories; they do no harm if c is drawn from q(c)", "Figure 4", densities.excess_ignored
    ),
    Claim(
        "Reconstructions are similarly good with and without a learned prior",
        "Figure 5",
        generations.reconstructions_alike,
    ),
    Claim("Generations are better with the learned prior", "Figure 6", generations.prior_helps),
    Claim(
        "A category of CP is a digit; a pseudo-input of VP is a mix of digits",
        "Figure 7",
        generations.categories_are_digits,
    ),
    Claim(
        "94.6 % of the images are in the category of their digit", "section 5.2", generations.accuracy, universal=True
    ),
    Claim("The bounds of CP on MNIST: 84.76, 86.84, 88.63", "Table 1", bounds.published_bounds),
    Claim("The bounds of the other methods on MNIST", "Table 1", bounds.published_bounds_of_others),
    Claim("CP has better bounds than VAE and MG in all cases", "Table 1", bounds.below_vae_and_mg, universal=True),
    Claim("CP is the best of all at MNIST, K = 10", "Table 1", bounds.best_at_ten, universal=True),
    Claim(
        "In all other columns the VampPrior is the best, above all with two levels",
        "Table 1",
        bounds.vamp_otherwise,
        universal=True,
    ),
    Claim(
        "CP generates well whatever the number of categories",
        "Figures 8, 9",
        generations.good_for_any_number,
        universal=True,
    ),
    Claim(
        "MG, VP and HVP fail with 10 components and collapse to a few digits",
        "Figure 8",
        generations.others_fail_at_ten,
        universal=True,
    ),
    Claim(
        "VP improves with the number of components; HVP is better than VP", "Figures 8, 9", generations.vamp_improves
    ),
)
# Claims of this project that the paper does not make.
OWN_CLAIMS = (
    Claim(
        "VAE, MG and VP with as many parameters as CP have worse bounds at K = 10",
        "Table 1",
        rivals.below_with_as_many_parameters,
        universal=True,
    ),
    Claim(
        "VAE, MG and VP with as many parameters as CP generate worse rows at K = 10",
        "Figure 8",
        rivals.generates_better_with_as_many_parameters,
        universal=True,
    ),
    Claim("The bound of CP gets no worse with more categories", "Table 1", bounds.no_worse_with_size, universal=True),
    Claim("VAE, MG and VP with as much time as CP have worse bounds", "Table 1", rivals.below_with_the_same_time),
    Claim(
        "With as much time as CP with full covariances they have worse bounds",
        "footnote 3",
        rivals.full_below_with_the_same_time,
    ),
    Claim(
        "VAE, MG and VP with as much time as CP generate worse rows",
        "Figure 8",
        rivals.generates_better_with_the_same_time,
    ),
    Claim(
        "VAE, MG and VP have worse bounds than CP when all are trained for three times the epochs",
        "Table 1",
        rivals.below_trained_longer,
    ),
    Claim("HCP has better bounds than HVP, HVAE and CP", "Table 1", rivals.two_levels_with_categories),
    Claim(
        "CP with a stronger decoder has a better bound, and is still ahead of VAE", "section 4", bounds.stronger_decoder
    ),
)
