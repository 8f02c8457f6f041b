"""All claims, in the order of the page."""

from __future__ import annotations

from paper.claims import bounds, densities, generations, rivals
from paper.claims.claim import Claim

PAPERS_CLAIMS = (
    Claim(
        "CP recovers both modes, whatever the number of categories", "Figure 3", densities.both_modes, universal=True
    ),
    Claim("VAE recovers both modes as well", "section 5.1", densities.vae_too),
    Claim("MG and VP have difficulties with few components, less with many", "Figure 3", densities.others_struggle),
    Claim("CP ignores excess categories; sampled by q(c) they do no harm", "Figure 4", densities.excess_ignored),
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
        "Otherwise the VampPrior, above all with two levels, is the best",
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
# What the paper does not claim, and this project does.
OWN_CLAIMS = (
    Claim(
        "VAE, MG and VP with as many parameters as CP have worse bounds at K = 10",
        "Table 1",
        rivals.below_with_as_many_parameters,
        universal=True,
    ),
    Claim(
        "With as many parameters they generate worse rows at K = 10",
        "Figure 8",
        rivals.generates_better_with_as_many_parameters,
        universal=True,
    ),
    Claim("The bound of CP gets no worse with more categories", "Table 1", bounds.no_worse_with_size, universal=True),
    Claim(
        "VAE, MG and VP (one level, as CP) given its time stay behind it", "Table 1", rivals.below_with_the_same_time
    ),
    Claim("The same, CP with full covariances", "footnote 3", rivals.full_below_with_the_same_time),
    Claim("Given its time they still generate worse rows", "Figure 8", rivals.generates_better_with_the_same_time),
    Claim(
        "With three times the epochs VAE, MG and VP stay behind CP with as many",
        "Table 1",
        rivals.below_trained_longer,
    ),
    Claim(
        "A stronger decoder has a better bound, and the learned prior still pays", "section 4", bounds.stronger_decoder
    ),
)
