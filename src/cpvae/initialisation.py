"""How a fit gets a start in which every category has rows of its own.

Trained from nothing with a warm-up, the model puts all rows into one category: while the KL terms weigh little the
continuous code carries everything, and when they count it is too late. So a start first assigns each row a category,
without labels; the training loop holds these for a few epochs and then lets the bound decide.

A start is an object called with the training rows; it returns one category for each, or None for no start.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from sklearn.cluster import KMeans
from sklearn.mixture import GaussianMixture
from torch import Tensor

from cpvae import latent_classes, recipes
from cpvae.distributions import Exact
from cpvae.inference import latent_means
from cpvae.likelihoods import Bernoulli, Columns, Likelihood
from cpvae.rows import Rows
from cpvae.training import EpochRecord, Settings, seeded, train

LEAST_EPOCHS = 5  # of the autoencoder; with more rows than its steps could see so often, it sees some of them
OnEpoch = Callable[[EpochRecord], None]


class Start(Protocol):
    """From training rows to a category for each, integers ``(n,)``; None leaves the categories to chance."""

    def epochs(self, rows: Rows) -> int:
        """How many epochs it trains, for the user's information."""

    def __call__(
        self,
        rows: Rows,
        valid: Rows,
        likelihood: Likelihood,
        n_components: int,
        seed: int,
        on_epoch: OnEpoch | None,
    ) -> Tensor | None: ...


@dataclass(frozen=True)
class RandomStart:
    """No start, as in the paper: Glorot weights and the warm-up alone."""

    def epochs(self, rows: Rows) -> int:
        """None."""
        return 0

    def __call__(
        self,
        rows: Rows,
        valid: Rows,
        likelihood: Likelihood,
        n_components: int,
        seed: int,
        on_epoch: OnEpoch | None,
    ) -> None:
        return None


@dataclass(frozen=True)
class AutoencoderStart:
    """A mixture of Gaussians on the code of a small autoencoder.

    The autoencoder is a VAE whose KL term has weight `beta` (Higgins et al., 2017): small enough that the code keeps
    what tells rows apart, large enough that similar rows stay close. It sees grey levels as they are. The mixture is
    scikit-learn's; the idea of clustering an autoencoder's code to start a deep mixture is that of Xie, Girshick and
    Farhadi (2016) and of VaDE (Jiang et al., 2017). Rows with no more columns than `latent_dim` are clustered as they
    are, standardised. Tables with columns of several kinds are clustered as they are by `cpvae.latent_classes`, which
    leaves missing cells out.

    Args:
        latent_dim: dimensions of the code.
        beta: weight of the KL term.
        n_steps: steps of training, shared among as many epochs as they make.
        max_rows: rows that the mixture is fitted on, drawn at random when there are more.
        n_init: restarts of the mixture on `max_rows` rows, the best by its likelihood; more of them on fewer rows.
    """

    latent_dim: int = 10
    beta: float = 0.2
    n_steps: int = 3000
    batch_size: int = 200
    max_rows: int = 50_000
    n_init: int = 2

    def epochs(self, rows: Rows) -> int:
        """Passes over the rows; none where the rows themselves are the code."""
        if rows.x.shape[1] <= self.latent_dim:
            return 0
        return int(np.clip(self.n_steps * self.batch_size // len(rows), LEAST_EPOCHS, 200))

    def __call__(
        self,
        rows: Rows,
        valid: Rows,
        likelihood: Likelihood,
        n_components: int,
        seed: int,
        on_epoch: OnEpoch | None,
    ) -> Tensor | None:
        if n_components == 1:
            return None
        if isinstance(likelihood, Columns):
            return torch.from_numpy(self.classes(rows, likelihood, n_components, seed))
        code = self.encoder(rows, valid, likelihood, seed, on_epoch)
        random = np.random.RandomState(seed)
        n = len(rows)
        some = rows if n <= self.max_rows else rows.some(random.choice(n, self.max_rows, replace=False))
        mixture = self.mixture(np.concatenate([code(x) for x in some.chunks()]), n_components, random)
        few = np.int16 if n_components < 2**15 else np.int64
        return torch.from_numpy(np.concatenate([mixture.predict(code(x)).astype(few) for x in rows.chunks()]))

    def encoder(
        self, rows: Rows, valid: Rows, likelihood: Likelihood, seed: int, on_epoch: OnEpoch | None
    ) -> Callable[[Tensor], np.ndarray]:
        """From rows to their code, ``(n, min(features, latent_dim))``."""
        likelihood = copy.deepcopy(likelihood)
        if isinstance(likelihood, Bernoulli):
            likelihood.drawn.fill_(False)  # grey levels carry more than any one draw of their pixels
        epochs = self.epochs(rows)
        if not epochs:
            return lambda x: likelihood.inputs(likelihood.to_model(x)).numpy(force=True)
        most = max(self.max_rows, self.n_steps * self.batch_size // LEAST_EPOCHS)
        if len(rows) > most:
            rows = rows.some(np.random.RandomState(seed).choice(len(rows), most, replace=False))
        with seeded(seed):
            model = recipes.vae(likelihood, self.latent_dim).to(rows.device)
        settings = Settings(max_epochs=epochs, batch_size=self.batch_size, beta_max=self.beta, seed=seed)
        train(model, rows, likelihood.fixed(valid), Exact(), settings, on_epoch=on_epoch)
        return lambda x: latent_means(model, likelihood.to_model(x))

    def classes(self, rows: Rows, likelihood: Columns, n_components: int, seed: int) -> np.ndarray:
        """A category for each row of a table with columns of several kinds."""
        table = latent_classes.table_of(likelihood, torch.cat([likelihood.to_model(x) for x in rows.chunks()]))
        if n_components > 20:
            return self.cluster(np.concatenate([table.numbers, table.levels], axis=1), n_components, seed)
        n, random = len(rows), np.random.RandomState(seed)
        some = np.arange(n) if n <= self.max_rows else random.choice(n, self.max_rows, replace=False)
        part = table._replace(**{name: getattr(table, name)[some] for name in ("numbers", "observed", "levels")})
        found = latent_classes.fit(part, n_components, random)
        return latent_classes.log_joint(table, found).argmax(1)

    def cluster(self, code: np.ndarray, n_components: int, seed: int) -> np.ndarray:
        """A category for each row of the code."""
        random = np.random.RandomState(seed)
        some = code if len(code) <= self.max_rows else code[random.choice(len(code), self.max_rows, replace=False)]
        return self.mixture(some, n_components, random).predict(code).astype(np.int64)

    def mixture(self, some: np.ndarray, n_components: int, random: np.random.RandomState) -> GaussianMixture | KMeans:
        """Fitted on rows of the code; with many categories k-means, which leaves none empty."""
        n_init = int(np.clip(self.n_init * self.max_rows // len(some), self.n_init, 20))
        mixture: GaussianMixture | KMeans
        if n_components <= 20 and len(some) >= 5 * n_components * some.shape[1]:
            spread = float(np.var(some, axis=0).mean())
            mixture = GaussianMixture(
                n_components, n_init=n_init, reg_covar=1e-3 * spread, max_iter=200, random_state=random
            )
        else:
            mixture = KMeans(n_components, n_init=n_init, random_state=random)
        return mixture.fit(some)


STARTS: dict[str, Start] = {"autoencoder": AutoencoderStart(), "random": RandomStart()}
