"""Attributes that a fit leaves on an estimator."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from cpvae.estimators.cards import LearnedFrom
from cpvae.estimators.rows_in import RowsIn
from cpvae.probability.models import VAE as VAEModule
from cpvae.probability.priors import component_prior


class Learned(RowsIn):
    """The state that a fit leaves on an estimator, besides the description of its rows (`RowsIn`).

    Attributes:
        model_: the torch module.
        n_components_: number of categories, or of components of the prior.
        consistent_: whether training made q(c | x) agree between a row and its copies; q(c | x) then tells categories
            better than bounds do. In a table that holds of rows with missing cells, which its copies are like.
        covariance_: form of the covariances of p(z | c), a name in `cpvae.probability.priors.COVARIANCES`; None of a
            model without that choice.
        weights_: q(c) of the training rows, eq. (14), ``(K,)``.
        means_, scales_: mean and standard deviation of the Gaussians of the prior, ``(K, latent_dim)``.
        history_: one record an epoch (`cpvae.fitting.records.EpochRecord`).
        n_iter_, best_epoch_: epochs trained, and the one whose weights were kept.
        stopped_: why training ended.
        seed_: seed of the restart that was kept.
        start_seconds_: seconds that the start took.
        names_: names of categories, by their numbers. A fit begins without any, or with those of known classes. The
            user gives others (`Clusterer.rename`).
        missing_rates_: how often the cells of each column of a table, or values of a signal, are missing in each
            component, ``(K, F)``, or None where rows are neither.
        stretch_: how much wider `impute` draws the numbers of a table than the model has them, at least 1.
        known_: number of rows of the fit whose category was known, of each category ``(K,)``; None of a fit without
            labels.
        stability_: mean adjusted Rand index of the categories of rows, over all pairs of restarts, or None.
        stability_rows_: number of these rows, 0 where there is no such index.
        learned_from_: number and digest of the rows of the fit, and the bound on some of its validation rows; None of
            a model that was saved before version 0.2.
    """

    model_: VAEModule
    n_components_: int
    consistent_: bool
    covariance_: str | None = None
    weights_: np.ndarray
    means_: np.ndarray
    scales_: np.ndarray
    history_: list[dict[str, Any]]
    n_iter_: int
    best_epoch_: int
    stopped_: str
    seed_: int
    start_seconds_: float
    stability_: float | None
    stability_rows_: int
    names_: dict[int, str]
    missing_rates_: np.ndarray | None
    stretch_: float
    known_: tuple[int, ...] | None
    learned_from_: LearnedFrom | None

    @torch.no_grad()
    def _set_model(self, model: VAEModule) -> None:
        """Store a trained module, and the attributes that follow from it."""
        self.model_ = model.eval()
        self.n_components_ = model.n_components
        prior, mixture = component_prior(model.prior), model.latent().mixture
        if prior is not None and mixture is not None:
            self.weights_ = prior.aggregated.numpy(force=True)
            self.means_ = mixture.loc.numpy(force=True)
            self.scales_ = mixture.scale.numpy(force=True)
