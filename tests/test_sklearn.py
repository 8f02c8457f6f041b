"""scikit-learn's own checks, and the estimators inside its tools."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator, parametrize_with_checks

from cpvae.estimators.zoo import CPVAE, MODELS, VAE

SMALL = {"latent_dim": 2, "hidden": (8,), "max_epochs": 2, "random_state": 0}
ALL = [cls(**({"n_components": 2} if cls.has_components else {}), **SMALL) for cls in MODELS]

# Named deviations: the check, and why it does not apply.
A_CLASSIFIER = "takes every estimator with predict_proba for a classifier; tests/test_containers.py has sparse rows"
# Two epochs are too few to move the pseudo-inputs of a VampPrior away from the rows they begin as.
pytestmark = pytest.mark.filterwarnings("ignore:.* are still training rows:cpvae.FitWarning")
AN_ORDER = "repeats rows in another order, which holds out others; tests/test_containers.py has weights"
ORDERED = {f"check_sample_weight_equivalence_on_{kind}_data": AN_ORDER for kind in ("dense", "sparse")}
DEVIATIONS = {"check_estimator_sparse_array": A_CLASSIFIER, "check_estimator_sparse_matrix": A_CLASSIFIER}


@parametrize_with_checks(
    [model for model in ALL if type(model) in (CPVAE, VAE)],
    expected_failed_checks=lambda model: ORDERED | (DEVIATIONS if model.has_components else {}),
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


# How rows and their weights are read is the same for all models; the others are spared its checks.
READING = re.compile("sample_weight|sparse|memmap|not_an_array|dtype_object|contiguous")


@pytest.mark.parametrize(
    ("estimator", "check"),
    [
        pytest.param(model, check, id=f"{model.name}-{check.func.__name__}")
        for model in ALL
        if type(model) not in (CPVAE, VAE)
        for model, check in estimator_checks_generator(model)
        if not READING.search(check.func.__name__)
    ],
)
def test_scikit_learn_checks_of_what_models_differ_in(estimator, check):
    check(estimator)


@pytest.mark.parametrize("model", ALL, ids=lambda model: model.name)
def test_codes_have_names_and_become_data_frames(model):
    x = np.random.RandomState(0).normal(size=(60, 3))
    pipeline = make_pipeline(StandardScaler(), model).set_output(transform="pandas")
    codes = pipeline.fit_transform(x)
    assert isinstance(codes, pd.DataFrame)
    names = [f"{type(model).__name__.lower()}{i}" for i in range(4 if "hvae" in model.name else 2)]
    assert list(codes.columns) == list(pipeline.get_feature_names_out()) == names
