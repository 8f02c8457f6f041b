"""Codes: rows as points that can be clustered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.preprocessing import normalize
from torch import Tensor

from cpvae.fitting.loop import train
from cpvae.fitting.presets import default_epochs
from cpvae.fitting.records import Interrupted
from cpvae.fitting.schedules import constant
from cpvae.fitting.settings import Settings
from cpvae.fitting.starts import edges
from cpvae.fitting.starts.task import Points, Task, points_of
from cpvae.nn.draws import seeded
from cpvae.nn.layers import Dense
from cpvae.probability import recipes
from cpvae.probability.estimates import latent_means
from cpvae.probability.objectives import Bound, Copies, FromCopies

LEAST_EPOCHS = 5  # of the autoencoder; with more rows than its steps could see so often, it sees some of them
LEAST_STEPS = 200  # of the autoencoder, however short the fit


def principal(points: Callable[[Tensor], Points], task: Task, latent_dim: int) -> Callable[[Tensor], Points]:
    """Follow a code by its first principal components on the task's rows, where it has more dimensions than that."""
    some = points_of(task.some(task.max_rows), points)
    if some.shape[1] <= latent_dim:
        return points
    pca = PCA(min(latent_dim, len(some)), random_state=task.seed).fit(some)
    return lambda x: pca.transform(points(x))


@dataclass(frozen=True)
class RowCode:
    """Rows as the encoder sees them, standardised; of many columns the first principal components.

    Args:
        latent_dim: components at most.
        direction: leave out how far a row is from the mean of all, as a distance by the cosine does. A cell or a
            document of few counts is near the mean whatever it is.
    """

    latent_dim: int = 40
    direction: bool = False

    def epochs(self, task: Task) -> int:
        """Train nothing."""
        return 0

    def __call__(self, task: Task) -> Callable[[Tensor], Points]:
        def inputs(x: Tensor) -> Points:
            points: Points = task.likelihood.inputs(task.likelihood.to_model(x)).numpy(force=True)
            return points

        code = principal(inputs, task, self.latent_dim)
        return (lambda x: normalize(code(x))) if self.direction else code


@dataclass(frozen=True)
class SpectrumCode:
    """Amplitudes of the frequencies of signals, as log(1 + amplitude), the first principal components.

    They do not say where a signal begins. Missing values have the mean of their channel.
    """

    latent_dim: int = 40

    def epochs(self, task: Task) -> int:
        """Train nothing."""
        return 0

    def __call__(self, task: Task) -> Callable[[Tensor], Points]:
        shape, likelihood = task.shape, task.likelihood
        assert shape is not None, "signals"

        def amplitudes(x: Tensor) -> Points:
            signals = likelihood.to_model(x).nan_to_num(0.0).view(-1, *shape)
            spectrum = torch.fft.rfft(signals, norm="ortho").abs()
            points: Points = spectrum.log1p().flatten(1).numpy(force=True)
            return points

        return principal(amplitudes, task, self.latent_dim)


@dataclass(frozen=True)
class EdgeCode:
    """Edges of pictures, in each part of them (`cpvae.fitting.starts.edges`), the first principal components."""

    latent_dim: int = 40

    def epochs(self, task: Task) -> int:
        """Train nothing."""
        return 0

    def __call__(self, task: Task) -> Callable[[Tensor], Points]:
        shape = task.shape
        assert shape is not None, "pictures"

        def histograms(x: Tensor) -> Points:
            points: Points = edges.histograms(x, shape).numpy(force=True)
            return points

        return principal(histograms, task, self.latent_dim)


@dataclass(frozen=True)
class AutoencoderCode:
    """The code of an autoencoder.

    It is a VAE whose KL term has weight `beta` (Higgins et al., 2017): small enough that the code keeps what tells rows
    apart, large enough that similar rows stay close. It sees grey levels as they are. Where copies can be made it
    rebuilds each row from a copy, so that the code says little of how a row is turned and shifted: a denoising
    autoencoder (Vincent et al., 2008) with deformations for noise. Rows with no more columns than `latent_dim` are
    their own code.

    Where the task is asked to stop, the code is that of the autoencoder as trained so far, or, before an epoch of it
    has ended, `RowCode`.

    Args:
        latent_dim: dimensions of the code.
        hidden: widths of the hidden layers.
        beta: weight of the KL term.
        n_steps: steps of training, shared among as many epochs as they make. A fit that is shorter than by default has
            fewer.
        most_epochs: however few the rows, which it would come to know by heart, or take minutes over their copies.
        batch_size: rows in a step, at most a fiftieth of all but no fewer than 100.
        strength: of the copies' deformations, as a multiple of those that training is consistent about. A code may
            forget more of how a row is turned than its category may.
    """

    latent_dim: int = 20
    hidden: tuple[int, ...] = (300, 300)
    beta: float = 0.05
    n_steps: int = 8000
    most_epochs: int = 200
    batch_size: int = 250
    strength: float = 1.6

    def epochs(self, task: Task) -> int:
        """Count the passes over the rows; none where the rows themselves are the code."""
        if task.rows.x.shape[1] <= self.latent_dim:
            return 0
        epochs = self._steps(task) * self._batch(task) // len(task.rows)
        return int(np.clip(epochs, LEAST_EPOCHS, self.most_epochs))

    def _steps(self, task: Task) -> int:
        """Count the steps to train: fewer where the fit is asked to make fewer passes than it makes by default.

        A fit of the default length has the whole start. A shorter one has a start that makes no more passes over the
        rows than the fit does. Where a whole start makes more passes than a fit of the default length, the start is cut
        to the same share as the fit.
        """
        n, batch = len(task.rows), self._batch(task)
        usual = min(self.n_steps * batch / n, self.most_epochs)
        if task.max_epochs is None:
            return self.n_steps
        allowed = task.max_epochs * max(1.0, usual / default_epochs(n))
        return self.n_steps if allowed >= usual else max(LEAST_STEPS, int(allowed * n / batch))

    def _batch(self, task: Task) -> int:
        return int(np.clip(len(task.rows) // 50, 100, self.batch_size))

    def __call__(self, task: Task) -> Callable[[Tensor], Points]:
        epochs = self.epochs(task)
        if not epochs:
            return RowCode(self.latent_dim)(task)
        task.on_phase("finding a start", epochs)
        likelihood = task.likelihood.for_code()
        rows = task.some(max(task.max_rows, self._steps(task) * self.batch_size // LEAST_EPOCHS))
        with seeded(task.seed):
            model = recipes.vae(likelihood, self.latent_dim, Dense(self.hidden)).to(rows.device)
        settings = Settings(
            max_epochs=epochs,
            batch_size=self._batch(task),
            learning_rate=2e-3,
            schedule="one-cycle",
            seed=task.seed,
            precision=task.precision,
        )
        objective = Bound(beta=constant(self.beta))
        if task.augment is not None:
            copies = Copies(task.augment.times(self.strength), drawn=likelihood.varies)
            objective = FromCopies(beta=constant(self.beta), copies=copies)
        try:
            train(
                model, rows, likelihood.fixed(task.valid), objective, settings, on_epoch=task.on_epoch, stop=task.stop
            )
        except Interrupted as stop:
            if stop.outcome is None:
                return RowCode(self.latent_dim)(task)
        return lambda x: latent_means(model, likelihood.to_model(x))
