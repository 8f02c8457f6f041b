"""scikit-learn's own checks, and the estimators inside its tools."""

from __future__ import annotations

from sklearn.utils.estimator_checks import parametrize_with_checks

from cpvae import CPVAE, VAE

SMALL = {"latent_dim": 2, "hidden": (8,), "max_epochs": 2, "random_state": 0}

# A named deviation: the check, and why it does not apply.
DEVIATIONS: dict[str, str] = {}


@parametrize_with_checks([CPVAE(2, **SMALL), VAE(**SMALL)], expected_failed_checks=lambda estimator: DEVIATIONS)
def test_scikit_learn_checks(estimator, check):
    check(estimator)
