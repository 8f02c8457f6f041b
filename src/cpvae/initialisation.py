"""How a fit gets a start in which every category has rows of its own.

Trained from nothing with a warm-up, the model often puts all rows into one category: while the KL terms weigh little
the continuous code carries everything, and when they count it is too late. So a start first assigns each row a
category, without labels; the training loop holds these for a few epochs and then lets the bound decide.

A start is a small object called with a `Task`; it gives one category for each training row, or None for no start. By
name in `STARTS`. Those that cluster do it in two steps: rows become points (`Code`), points become categories.
"""

from __future__ import annotations

import copy
import importlib.util
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor

from cpvae import latent_classes, recipes
from cpvae.augment import Augment
from cpvae.distributions import Exact
from cpvae.errors import InputError
from cpvae.inference import latent_means
from cpvae.likelihoods import Bernoulli, Columns, Likelihood
from cpvae.nn import Dense
from cpvae.rows import Rows
from cpvae.training import EpochRecord, Settings, seeded, train

LEAST_EPOCHS = 5  # of the autoencoder; with more rows than its steps could see so often, it sees some of them
MOST_EPOCHS = 200  # of the autoencoder where it rebuilds rows from themselves, and would come to know few by heart
MANY = 20  # components beyond which a mixture would leave some empty, and k-means does not
MOST_MAPPED = 100  # components beyond which it is not tried whether sources are ellipses
TRIED = 10_000  # rows at most on which it is tried whether sources are ellipses
NEIGHBOURS = 20  # of a row at most, in the graph that UMAP lays out
Points = np.ndarray


@dataclass(frozen=True)
class Task:
    """What a start is asked.

    Attributes:
        rows, valid: of the fit.
        likelihood: of the model, for its units.
        augment: makes copies of rows that show the same thing, or None.
        precision: of the products of whatever is trained.
        on_epoch: told of each epoch of whatever is trained.
        max_rows: rows that a clustering is found on, drawn at random when there are more.
    """

    rows: Rows
    valid: Rows
    likelihood: Likelihood
    n_components: int
    seed: int
    augment: Augment | None = None
    precision: str = "float32"
    on_epoch: Callable[[EpochRecord], None] | None = None
    max_rows: int = 50_000

    def some(self, n: int) -> Rows:
        """At most n of the rows, drawn at random."""
        if len(self.rows) <= n:
            return self.rows
        return self.rows.some(np.random.RandomState(self.seed).choice(len(self.rows), n, replace=False))


class Start(Protocol):
    """From a task to a category for each training row, integers ``(n,)``; None leaves the categories to chance."""

    def epochs(self, task: Task) -> int:
        """How many epochs it trains, for the user's information."""

    def __call__(self, task: Task) -> Tensor | None: ...


class Code(Protocol):
    """From a task to a function from rows as stored, ``(m, features)``, to points ``(m, d)``."""

    def epochs(self, task: Task) -> int:
        """How many epochs it trains."""

    def __call__(self, task: Task) -> Callable[[Tensor], Points]: ...


@dataclass(frozen=True)
class RandomStart:
    """No start, as in the paper: Glorot weights and the warm-up alone."""

    def epochs(self, task: Task) -> int:
        """None."""
        return 0

    def __call__(self, task: Task) -> None:
        return None


@dataclass(frozen=True)
class RowCode:
    """Rows as the encoder sees them, standardised; of many columns the first principal components."""

    latent_dim: int = 40

    def epochs(self, task: Task) -> int:
        """None."""
        return 0

    def __call__(self, task: Task) -> Callable[[Tensor], Points]:
        def inputs(x: Tensor) -> Points:
            points: Points = task.likelihood.inputs(task.likelihood.to_model(x)).numpy(force=True)
            return points

        if task.rows.x.shape[1] <= self.latent_dim:
            return inputs
        some = np.concatenate([inputs(x) for x in task.some(task.max_rows).chunks()])
        pca = PCA(min(self.latent_dim, len(some)), random_state=task.seed).fit(some)
        return lambda x: pca.transform(inputs(x))


@dataclass(frozen=True)
class AutoencoderCode:
    """The code of an autoencoder.

    It is a VAE whose KL term has weight `beta` (Higgins et al., 2017): small enough that the code keeps what tells rows
    apart, large enough that similar rows stay close. It sees grey levels as they are. Where copies can be made it
    rebuilds each row from a copy, so that the code says little of how a row is turned and shifted: a denoising
    autoencoder (Vincent et al., 2008) with deformations for noise. Rows with no more columns than `latent_dim` are
    their own code.

    Args:
        latent_dim: dimensions of the code.
        hidden: widths of the hidden layers.
        beta: weight of the KL term.
        n_steps: steps of training, shared among as many epochs as they make; without copies at most 200 epochs.
        batch_size: rows in a step, at most a fiftieth of all but no fewer than 100.
        strength: of the copies' deformations, as a multiple of those that training is consistent about: a code may
            forget more of how a row is turned than should be said to have no influence at all on its category.
    """

    latent_dim: int = 20
    hidden: tuple[int, ...] = (300, 300)
    beta: float = 0.05
    n_steps: int = 8000
    batch_size: int = 250
    strength: float = 1.6

    def epochs(self, task: Task) -> int:
        """Passes over the rows; none where the rows themselves are the code."""
        if task.rows.x.shape[1] <= self.latent_dim:
            return 0
        epochs = max(LEAST_EPOCHS, self.n_steps * self._batch(task) // len(task.rows))
        return epochs if task.augment else min(epochs, MOST_EPOCHS)

    def _batch(self, task: Task) -> int:
        return int(np.clip(len(task.rows) // 50, 100, self.batch_size))

    def __call__(self, task: Task) -> Callable[[Tensor], Points]:
        epochs = self.epochs(task)
        if not epochs:
            return RowCode(self.latent_dim)(task)
        likelihood = copy.deepcopy(task.likelihood)
        if isinstance(likelihood, Bernoulli):
            likelihood.drawn.fill_(False)  # grey levels carry more than any one draw of their pixels
        rows = task.some(max(task.max_rows, self.n_steps * self.batch_size // LEAST_EPOCHS))
        with seeded(task.seed):
            model = recipes.vae(likelihood, self.latent_dim, Dense(self.hidden)).to(rows.device)
        settings = Settings(
            max_epochs=epochs,
            batch_size=self._batch(task),
            learning_rate=2e-3,
            schedule="one-cycle",
            beta_max=self.beta,
            seed=task.seed,
            from_copies=task.augment is not None,
            precision=task.precision,
        )
        augment = None if task.augment is None else task.augment.times(self.strength)
        valid = likelihood.fixed(task.valid)
        train(model, rows, valid, Exact(), settings, augment=augment, on_epoch=task.on_epoch)
        return lambda x: latent_means(model, likelihood.to_model(x))


Clustering = Callable[[Points, int, np.random.RandomState], Callable[[Points], np.ndarray]]
"""From points ``(m, d)``, a number of components and a random state to a function that gives points a category."""


def k_means(points: Points, n_components: int, random: np.random.RandomState) -> Callable[[Points], np.ndarray]:
    """scikit-learn's k-means, the best of some restarts by its inertia: more of them for fewer points."""
    n_init = int(np.clip(100_000 // len(points), 2, 20))
    found: Callable[[Points], np.ndarray] = KMeans(n_components, n_init=n_init, random_state=random).fit(points).predict
    return found


def gaussian_mixture(
    points: Points, n_components: int, random: np.random.RandomState
) -> Callable[[Points], np.ndarray]:
    """scikit-learn's mixture of Gaussians with full covariances, the best of some restarts by its likelihood.

    With few points for its parameters, or many components, k-means.
    """
    if n_components > MANY or len(points) < 5 * n_components * points.shape[1]:
        return k_means(points, n_components, random)
    spread = float(np.var(points, axis=0).mean())
    n_init = int(np.clip(100_000 // len(points), 2, 20))
    mixture = GaussianMixture(n_components, n_init=n_init, reg_covar=1e-3 * spread, max_iter=200, random_state=random)
    found: Callable[[Points], np.ndarray] = mixture.fit(points).predict
    return found


@contextmanager
def torch_threads_kept() -> Iterator[None]:
    """A block after which PyTorch has the threads it had: Numba, behind UMAP, sets those of OpenMP for both."""
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)


def umap_mixture(points: Points, n_components: int, random: np.random.RandomState) -> Callable[[Points], np.ndarray]:
    """A mixture of Gaussians on points laid out by UMAP (McInnes, Healy and Melville, 2018).

    UMAP draws rows together that a chain of neighbours joins, whatever shape they form; with the code of an autoencoder
    that is N2D (McConville et al., 2021). Other points get the category of most of their neighbours.

    Raises:
        InputError: umap-learn is not installed.
    """
    # More than half of the rows of a component would join it to others.
    neighbours = int(np.clip(len(points) // (2 * n_components), 5, NEIGHBOURS))
    if len(points) <= NEIGHBOURS:
        return gaussian_mixture(points, n_components, random)
    with warnings.catch_warnings(), torch_threads_kept():
        # That one of its kinds needs TensorFlow; that a given seed leaves it one thread; that a graph has parts.
        warnings.simplefilter("ignore")
        try:
            from umap import UMAP
        except ImportError as error:
            raise InputError(
                "init='umap' needs the package umap-learn: pip install 'cpvae[umap]', or init='autoencoder'"
            ) from error
        layout = UMAP(
            n_neighbors=neighbours,
            n_components=min(10, points.shape[1]),
            min_dist=0.0,
            random_state=random.randint(2**31 - 1),
            n_jobs=1,
        ).fit_transform(points)
    categories = gaussian_mixture(layout, n_components, random)(layout)
    nearest = KNeighborsClassifier(5).fit(points, categories)

    def predict(others: Points) -> np.ndarray:
        return categories if others is points else nearest.predict(others)

    return predict


def ellipses(points: Points, n_components: int, random: np.random.RandomState) -> bool:
    """Whether Gaussians, one for each source, describe points as well as more of them do.

    They do not where a mixture with three times as many components is the better one, in likelihood, for a clear
    majority of held-out points: 55 % and two standard errors more. A share, since a few points far out would decide a
    mean.
    """
    points = points[random.permutation(len(points))[:TRIED]]
    first, rest = np.split(points, [len(points) * 4 // 5])
    if len(first) < 3 * n_components:
        return True
    full = len(first) >= 5 * n_components * points.shape[1]
    spread = float(np.var(points, axis=0).mean())
    few, many = (
        GaussianMixture(
            k, n_init=2, covariance_type="full" if full else "diag", reg_covar=1e-3 * spread, random_state=random
        )
        .fit(first)
        .score_samples(rest)
        for k in (n_components, 3 * n_components)
    )
    return float(np.mean(many > few)) < 0.55 + 1.0 / np.sqrt(len(rest))


def mixture_or_map(points: Points, n_components: int, random: np.random.RandomState) -> Callable[[Points], np.ndarray]:
    """`gaussian_mixture` where sources are `ellipses`, else `umap_mixture`, if umap-learn is installed."""
    mapped = n_components <= MOST_MAPPED and importlib.util.find_spec("umap") is not None
    clustering = umap_mixture if mapped and not ellipses(points, n_components, random) else gaussian_mixture
    return clustering(points, n_components, random)


@dataclass(frozen=True)
class ClusteredStart:
    """Categories by clustering the rows' codes.

    Tables with columns of several kinds are clustered as they are by `cpvae.latent_classes`, which leaves missing cells
    out. The idea of clustering an autoencoder's code to start a deep mixture is that of Xie, Girshick and Farhadi
    (2016) and of VaDE (Jiang et al., 2017).
    """

    code: Code
    clustering: Clustering

    def epochs(self, task: Task) -> int:
        """Those of the code."""
        return 0 if isinstance(task.likelihood, Columns) or task.n_components == 1 else self.code.epochs(task)

    def __call__(self, task: Task) -> Tensor | None:
        if task.n_components == 1:
            return None
        if isinstance(task.likelihood, Columns):
            return torch.from_numpy(self.classes(task, task.likelihood))
        code = self.code(task)
        some = task.some(task.max_rows)
        points = np.concatenate([code(x) for x in some.chunks()])
        category = self.clustering(points, task.n_components, np.random.RandomState(task.seed))
        few = np.int16 if task.n_components < 2**15 else np.int64
        if some is task.rows:
            return torch.from_numpy(category(points).astype(few))
        return torch.from_numpy(np.concatenate([category(code(x)).astype(few) for x in task.rows.chunks()]))

    def classes(self, task: Task, likelihood: Columns) -> np.ndarray:
        """A category for each row of a table with columns of several kinds."""
        y = torch.cat([likelihood.to_model(x) for x in task.rows.chunks()])
        table, random = latent_classes.table_of(likelihood, y), np.random.RandomState(task.seed)
        n = len(task.rows)
        some = np.arange(n) if n <= task.max_rows else random.choice(n, task.max_rows, replace=False)
        if task.n_components > MANY:
            points = np.concatenate([table.numbers, table.levels], axis=1)
            return k_means(points[some], task.n_components, random)(points).astype(np.int64)
        part = table._replace(**{name: getattr(table, name)[some] for name in ("numbers", "observed", "levels")})
        found = latent_classes.fit(part, task.n_components, random)
        return latent_classes.log_joint(table, found).argmax(1)


STARTS: dict[str, Start] = {
    "umap": ClusteredStart(AutoencoderCode(), umap_mixture),
    "autoencoder": ClusteredStart(AutoencoderCode(), gaussian_mixture),
    "rows": ClusteredStart(RowCode(), mixture_or_map),
    "gmm": ClusteredStart(RowCode(), gaussian_mixture),
    "kmeans": ClusteredStart(RowCode(), k_means),
    "random": RandomStart(),
}


def choose(is_image: bool) -> Start:
    """The start for a kind of data: of images "umap", or "autoencoder" where umap-learn is missing; of tables "rows".

    A mixture of Gaussians makes use of the columns' units and of how they vary together, which a map of neighbours
    loses; but sources that are no ellipses are cut in pieces by it. `docs/clusters.md` has both on several data sets.
    """
    if not is_image:
        return STARTS["rows"]
    return STARTS["umap" if importlib.util.find_spec("umap") else "autoencoder"]
