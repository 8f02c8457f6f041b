"""What all estimators share: rows in, a trained model behind them, questions answered, files.

Arguments are stored untouched and checked in `fit`; what is learned ends in an underscore. Rows are ``(n, features)``
or ``(n, channels, height, width)``; densities are in nats and in the units of the rows given.
"""

from __future__ import annotations

import copy
import hashlib
import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, DensityMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from cpvae.arguments import between, one_of, seed, whole, widths
from cpvae.checkpoints import described, load_tensors, save_tensors, write_atomic, write_json
from cpvae.data.augment import Augment
from cpvae.data.rows import Rows
from cpvae.data.schema import Schema, as_frame, check_given, first_gap
from cpvae.errors import FitWarning, InputError
from cpvae.estimators.groups import OVERLAP, draws_each, join, overlaps
from cpvae.fitting import presets, restarts, runs
from cpvae.fitting.devices.world import world
from cpvae.fitting.loop import CHECKPOINT, HISTORY
from cpvae.fitting.presets import PRESETS
from cpvae.fitting.progress import Reporter, Silent, Terminal
from cpvae.fitting.records import Outcome
from cpvae.fitting.restarts import Restart, run_all
from cpvae.fitting.settings import Settings
from cpvae.fitting.starts.start import STARTS
from cpvae.fitting.starts.task import Start
from cpvae.nn.convolutions import Conv
from cpvae.nn.draws import seeded
from cpvae.nn.layers import Dense, Network
from cpvae.nn.products import PRECISIONS
from cpvae.probability import likelihoods
from cpvae.probability.estimates import (
    Decomposition,
    Evaluation,
    component_probabilities,
    components_used,
    decompose,
    evaluate,
    latent_means,
    log_likelihood,
    row_counts,
)
from cpvae.probability.expectations import Exact, Expectation
from cpvae.probability.models import VAE as VAEModule
from cpvae.probability.priors import component_prior

MAX_VALIDATION = 10_000  # rows; the standard error of their mean bound is then a few hundredths of a nat
NETWORKS = ("dense", "conv")
COLLAPSED = 0.5  # share of categories in use below which a fit warns
EVALUATION_DRAWS = 4  # of z behind each ELBO_c when rows are scored


class DeepMixture(TransformerMixin, DensityMixin, BaseEstimator, ABC):  # type: ignore[misc]
    """What all estimators share: data in, a trained `cpvae.probability.models.VAE` behind, questions answered.

    A subclass says which module it trains (`_module`) and lists its own arguments.
    """

    name: ClassVar[str]
    sampled_by: ClassVar[str] = "prior"
    part_name: ClassVar[str] = "components"
    remedy: ClassVar[str] = "refit with n_init=5, or with fewer components"
    n_components: int = 1
    latent_dim: int
    network: str
    hidden: tuple[int, ...]
    decoder_hidden: tuple[int, ...] | None
    likelihood: str
    noise: float | None
    schema: dict[str, str] | None
    max_epochs: int | None
    preset: str
    batch_size: int | None
    learning_rate: float | None
    warmup_epochs: int | None
    patience: int | None
    precision: str
    validation_fraction: float
    n_init: int
    device: str
    random_state: int | np.random.RandomState | None
    verbose: int

    model_: VAEModule
    n_features_in_: int
    image_shape_: tuple[int, ...] | None
    schema_: Schema | None
    stability_: float | None

    # -- to be said by each model ----------------------------------------------------------------------------------

    @abstractmethod
    def _module(self, likelihood: likelihoods.Likelihood) -> VAEModule:
        """The torch module to train."""

    def _network(self) -> Network:
        """How encoders and decoders are built."""
        if self.network == "conv":
            return Conv(self.image_shape_)
        return Dense(tuple(self.hidden), tuple(self.decoder_hidden or self.hidden[::-1]))

    def _expectation(self, total_steps: int) -> Expectation:
        return Exact()

    def _start(self) -> Start:
        return STARTS["random"]

    def _augment(self) -> Augment | None:
        """What makes copies of rows that show the same thing."""
        return None

    def _prepare(self, model: VAEModule, rows: Rows, seed: int) -> None:
        """Give the new module what it needs of the training rows."""

    def _check_params(self) -> None:
        """Refuse arguments that make no sense: one line each."""
        for name in ("n_components", "latent_dim", "n_init"):
            whole(name, getattr(self, name, 1), 1)
        for name, least in (("max_epochs", 1), ("batch_size", 1), ("warmup_epochs", 0), ("patience", 1)):
            if getattr(self, name) is not None:
                whole(name, getattr(self, name), least)
        one_of("preset", self.preset, tuple(PRESETS))
        one_of("precision", self.precision, PRECISIONS)
        widths("hidden", self.hidden)
        if self.decoder_hidden is not None:
            widths("decoder_hidden", self.decoder_hidden)
        one_of("network", self.network, NETWORKS)
        if self.learning_rate is not None:
            between("learning_rate", self.learning_rate, 0.0, 1.0)
        between("validation_fraction", self.validation_fraction, 0.0, 1.0)
        if self.noise is not None:
            between("noise", self.noise, 0.0, math.inf)
        one_of("likelihood", self.likelihood, ("auto", *likelihoods.NAMES))
        if self.schema is not None:
            check_given(self.schema)
            if self.likelihood not in ("auto", "columns"):
                raise InputError(
                    f"likelihood={self.likelihood!r} with a schema: expected 'columns' or 'auto', which take the kinds "
                    "of columns into account; leave one of the two out"
                )
        seed("random_state", self.random_state)
        if not isinstance(self.device, (str, torch.device)):
            raise InputError(f"device={self.device!r}: expected 'auto', 'cpu' or 'cuda'")

    # -- fitting ---------------------------------------------------------------------------------------------------

    def fit(
        self,
        X: ArrayLike,
        y: Any = None,
        *,
        X_valid: ArrayLike | None = None,
        out: str | Path | None = None,
        resume: bool = False,
        reporter: Reporter | None = None,
        about: dict[str, Any] | None = None,
    ) -> Self:
        """Learn the model from rows, without labels.

        Started by `torchrun`, every process calls it with the same rows and they train one model
        (`cpvae.fitting.devices.world`); `batch_size` is that of all of them together, and the first one writes the
        files.

        Args:
            X: rows, ``(n, features)`` or ``(n, channels, height, width)``; a memory-mapped array is not read whole.
                A data frame with text, or rows with missing cells (NaN, None), are modelled column by column
                (`cpvae.schema`); missing cells are marginalised out, never filled.
            y: ignored; here for scikit-learn's pipelines.
            X_valid: rows for the validation bound, by which weights and restarts are chosen; by default
                `validation_fraction` of X, at most 10,000 rows.
            out: a folder for history, checkpoints and the fitted model (see `cpvae.fitting.runs`).
            resume: go on with the run in `out`; on the CPU the result is the same to the bit.
            reporter: told of each epoch; by default a progress bar if `verbose`.
            about: kept in the folder's ``config.json``, for instance where the rows came from.

        Raises:
            InputError: arguments or rows that cannot be used (a ValueError).
            cpvae.training.Interrupted: Ctrl-C or SIGTERM; with `out`, the state was saved.
        """
        self._check_params()
        array = self._check_rows(X, reset=True)
        if len(array) < self.n_components:
            raise InputError(
                f"{len(array)} rows (n_samples={len(array)}) for n_components={self.n_components}: expected at least "
                "as many rows as components; give more rows or ask for fewer components"
            )
        self._network()  # a network that cannot take such rows is refused before any work
        random = check_random_state(self.random_state)
        seeds = world().first(lambda: [int(seed) for seed in random.randint(2**31 - 1, size=self.n_init)])
        device = self._device()
        rows, valid = self._split(array, X_valid, np.random.RandomState(seeds[0]), device)
        is_image = self.image_shape_ is not None
        name = self.likelihood
        if name == "auto":
            name = "columns" if self.schema_ is not None else likelihoods.choose(array, is_image)
        names = getattr(self, "feature_names_in_", None)
        likelihood = likelihoods.build(name, rows, is_image, self.noise, names, self.schema_).to(device)
        likelihood.check(valid)

        folder = None if out is None else Path(out)
        with ExitStack() as lock:
            if folder is not None:
                config = {**self._config(), "data": fingerprint(array), "seeds": seeds, "about": about or {}}
                if self.schema_ is not None:
                    config["schema"] = self.schema_.as_dict()
                world().first(lambda: lock.enter_context(runs.held(folder)))
                found = world().first(lambda: runs.begin(folder, config, resume, type(self)()._config()["params"]))
                if found["status"] == runs.FINISHED:
                    return self._open(folder / runs.MODEL)
                seeds = found["seeds"]
            reporter = reporter or (Terminal() if self.verbose and world().is_main else Silent())
            try:
                restarts = [self._restart(i, seed, rows, likelihood, folder, resume) for i, seed in enumerate(seeds)]
                fits = run_all(restarts, rows, valid, reporter)
            except Exception:
                if folder is not None and world().is_main:
                    runs.release(folder)
                raise
            finally:
                reporter.close()
            self.start_seconds_ = round(sum(outcome.start_seconds for _, outcome in fits), 3)  # as it is kept
            best = min(range(self.n_init), key=lambda i: fits[i][1].best_negative_elbo)
            self.stability_ = self._stability([model for model, _ in fits], valid)
            self._finish(rows, *fits[best], seeds[best])
            if folder is not None:
                world().first(lambda: self._leave(folder, seeds, best, device))
        return self

    def _stability(self, models: Sequence[VAEModule], valid: Rows) -> float | None:
        """How far restarts agree on the categories of validation rows; None for a single one, or without categories."""
        if len(models) < 2 or self.n_components < 2:
            return None
        found = []
        for model in models:
            y = model.likelihood.fixed(valid)
            found.append(component_probabilities(model, y).argmax(-1).numpy(force=True))
        return restarts.stability(found)

    def _restart(
        self, i: int, seed: int, rows: Rows, likelihood: likelihoods.Likelihood, folder: Path | None, resume: bool
    ) -> Restart:
        """The i-th fit, ready to run."""
        settings = self._settings(len(rows), seed)
        with seeded(seed):
            model = self._module(copy.deepcopy(likelihood)).to(rows.device)
            self._prepare(model, rows, seed)
        return Restart(
            model=model,
            n_components=self.n_components,
            maker=self._start(),
            augment=self._augment(),
            expectation=self._expectation(settings.max_epochs * math.ceil(len(rows) / settings.batch_size)),
            settings=settings,
            folder=folder if folder is None or self.n_init == 1 else runs.restart(folder, i),
            resume=resume,
            label="" if self.n_init == 1 else f" (restart {i + 1}/{self.n_init})",
        )

    def _settings(self, n_rows: int, seed: int) -> Settings:
        """How to train on so many rows: the preset, and what was said beside it."""
        names = ("max_epochs", "batch_size", "learning_rate", "warmup_epochs", "patience", "precision")
        return presets.settings(self.preset, n_rows, seed, **{name: getattr(self, name) for name in names})

    def _finish(self, rows: Rows, model: VAEModule, outcome: Outcome, seed: int) -> None:
        """Keep what was learned, and say so if the categories collapsed."""
        self.model_ = model.eval()
        self.likelihood_ = model.likelihood.name
        self.history_ = [record.as_dict() for record in outcome.history]
        self.n_iter_ = len(outcome.history)
        self.stopped_ = outcome.stopped
        self.best_epoch_ = outcome.best_epoch
        self.seed_ = seed
        prior = component_prior(model.prior)
        if prior is None:
            return
        total = torch.zeros(self.n_components, dtype=torch.float64)
        counts = torch.zeros(self.n_components, dtype=torch.int64)
        for x in rows.part(world().part(len(rows))).chunks():
            y = model.likelihood.draw_fixed(model.likelihood.to_model(x))
            q_c = component_probabilities(model, y).cpu()
            total += q_c.double().sum(0)
            counts += row_counts(q_c)
        world().sum(total, counts)
        prior.set_aggregated(total / len(rows))
        self._set_mixture()
        used = components_used(counts.tolist())
        if used < COLLAPSED * self.n_components:
            warnings.warn(
                f"only {used} of {self.n_components} {self.part_name} are in use; {self.remedy}",
                FitWarning,
                stacklevel=3,
            )

    @torch.no_grad()
    def _set_mixture(self) -> None:
        """weights_, means_, scales_ from the prior."""
        prior, mixture = component_prior(self.model_.prior), self.model_.latent().mixture
        if prior is not None and mixture is not None:
            self.weights_ = prior.aggregated.numpy(force=True)
            self.means_ = mixture.loc.numpy(force=True)
            self.scales_ = mixture.scale.numpy(force=True)

    def _leave(self, folder: Path, seeds: list[int], best: int, device: torch.device) -> None:
        """The finished run: model first, status last, so that a run cut off here is only resumed."""
        self.save(folder / runs.MODEL)
        if self.n_init > 1:
            write_atomic(folder / HISTORY, (runs.restart(folder, best) / HISTORY).read_bytes())
        config = runs.read_config(folder)
        write_json(
            folder / runs.CONFIG,
            {
                **config,
                "status": runs.FINISHED,
                "device": str(device),
                "seed": seeds[best],
                "stopped": self.stopped_,
                "best_epoch": self.best_epoch_,
            },
        )
        for path in (folder / CHECKPOINT, *folder.glob(f"{runs.RESTARTS}/{CHECKPOINT}")):
            path.unlink(missing_ok=True)

    # -- rows ------------------------------------------------------------------------------------------------------

    def _check_rows(self, X: ArrayLike, reset: bool) -> np.ndarray:
        """Rows as a matrix in their own dtype, checked by scikit-learn's own validation.

        Images ``(n, channels, height, width)`` or ``(n, height, width)`` are flattened; their shape is kept. A table
        with a schema becomes float64, NaN where a cell is missing.
        """
        if reset:
            self.schema_ = None
        asked = self.likelihood == "columns" or self.schema is not None
        by_column = asked if reset else self.schema_ is not None
        if not by_column:
            where = first_gap(X)
            if where and not (reset and self.likelihood == "auto"):
                raise InputError(
                    f"{where}; expected numbers in all cells, for likelihood "
                    f"{(self.likelihood if reset else self.likelihood_)!r}; drop it, or fit with likelihood 'columns'"
                )
            by_column = bool(where)
        if by_column:
            return self._encode(X, reset)
        shape = getattr(X, "shape", None)
        if shape is None or len(shape) < 3:
            image_shape = None
        else:
            X = np.asarray(X)
            image_shape = X.shape[1:] if X.ndim > 3 else (1, *X.shape[1:])
            if X.ndim > 4:
                raise InputError(f"rows of shape {X.shape[1:]}: expected (features,) or (channels, height, width)")
            if not reset and image_shape != self.image_shape_:
                expected = self.image_shape_ or f"{self.n_features_in_} columns"
                raise InputError(f"images of shape {image_shape}: the model was fitted on {expected}; give such rows")
            X = X.reshape(len(X), -1)
        try:
            array: np.ndarray = validate_data(
                self, X, reset=reset, dtype="numeric", ensure_min_samples=2 if reset else 1
            )
        except ValueError as error:
            raise InputError(" ".join(str(error).split())) from error
        if reset:
            self.image_shape_ = image_shape
        if array.dtype.kind == "f" and len(array):
            biggest = max(float(np.abs(chunk).max()) for chunk in _chunks(array))
            if biggest > 1e30:
                raise InputError(f"values up to {biggest:.3g}: expected at most 1e30, what float32 holds; rescale them")
        return array

    def _encode(self, X: Any, reset: bool) -> np.ndarray:
        """A table as the numbers of its schema, ``(n, columns modelled)``."""
        frame = as_frame(X, None if reset or self.schema_ is None else self.schema_.given)
        if len(frame) < 1 + reset or not frame.shape[1]:
            raise InputError(
                f"a table of {len(frame)} rows (n_samples={len(frame)}) and {frame.shape[1]} columns: expected at "
                f"least {1 + reset} row{'s' * reset} and 1 column"
            )
        if reset:
            self.schema_ = Schema.infer(frame, self.schema)
            self.image_shape_ = None
            places = [self.schema_.given.index(name) for name in self.schema_.names]
            kept = frame.iloc[:, places]
            validate_data(self, kept if isinstance(X, pd.DataFrame) else kept.to_numpy(), skip_check_array=True)
        assert self.schema_ is not None
        return self.schema_.encode(frame)

    def _split(
        self,
        array: np.ndarray,
        X_valid: ArrayLike | None,
        random: np.random.RandomState,
        device: torch.device,
    ) -> tuple[Rows, Rows]:
        """Training and validation rows; the array itself is shared."""
        if X_valid is not None:
            return Rows(array, device=device), Rows(self._check_rows(X_valid, reset=False), device=device)
        n = len(array)
        n_valid = min(max(1, round(self.validation_fraction * n)), MAX_VALIDATION)
        if n - n_valid < max(1, self.n_components):
            whole = Rows(array, device=device)  # too few rows to spare any
            return whole, whole
        order = random.permutation(n)
        train_index, valid_index = np.sort(order[n_valid:]), np.sort(order[:n_valid])
        shared = Rows(array, train_index, device)
        return shared, shared.at(valid_index)

    def _device(self) -> torch.device:
        device = self._device_asked()
        world().check_device(device)
        return device

    def _device_asked(self) -> torch.device:
        if self.device == "auto":
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
        try:
            here = torch.zeros(1, device=self.device)
            here.item()  # "meta" holds no values
            return here.device
        except (RuntimeError, AssertionError) as error:
            raise InputError(f"device={self.device!r} cannot be used on this machine; use 'cpu' or 'auto'") from error

    def _units(self, X: ArrayLike) -> Iterator[Tensor]:
        """Rows in the model's units, so many at a time that any file can be read."""
        check_is_fitted(self)
        rows = Rows(self._check_rows(X, reset=False), device=next(self.model_.parameters()).device)
        likelihood = self.model_.likelihood
        likelihood.check(rows)
        return (likelihood.to_model(x) for x in rows.chunks())

    def _observed(self, X: ArrayLike) -> Iterator[Tensor]:
        """Rows in the model's units, each with the one observation that bounds are for."""
        return (self.model_.likelihood.draw_fixed(y) for y in self._units(X))

    def _to_shape(self, x: Tensor) -> Any:
        array: np.ndarray = x.numpy(force=True)
        if self.schema_ is not None:
            return self.schema_.decode(array)
        return array if self.image_shape_ is None else array.reshape(-1, *self.image_shape_)

    # -- questions -------------------------------------------------------------------------------------------------

    def evaluate(self, X: ArrayLike, n_samples: int = EVALUATION_DRAWS) -> Evaluation:
        """Bounds, their parts and category posteriors of each row (`cpvae.probability.estimates.Evaluation`).

        Bounds are for one fixed observation of each row. Where observations vary, as the pixels drawn from grey levels
        do, `proba` is the mean of the posteriors of `n_samples` of them.
        """
        return Evaluation.join([self._evaluate(y, n_samples) for y in self._units(X)])

    def _evaluate(self, y: Tensor, n_samples: int) -> Evaluation:
        likelihood = self.model_.likelihood
        result = evaluate(self.model_, likelihood.draw_fixed(y), n_samples)
        if self.n_components == 1:
            return result
        if self._consistent():
            return replace(result, proba=self._encoded(y, n_samples))
        if not likelihood.varies:
            return result
        others = [evaluate(self.model_, likelihood.draw_fixed(y, i), 1, 1000 * i).proba for i in range(1, n_samples)]
        return replace(result, proba=np.mean([result.proba, *others], axis=0))

    def _consistent(self) -> bool:
        """Whether q(c | x) was held to be the same for copies of a row, and so knows more than the bounds do."""
        return False

    def _encoded(self, y: Tensor, n_samples: int) -> np.ndarray:
        """q(c | x) ``(B, K)``; where observations vary, its mean over `n_samples` of them."""
        draws = range(n_samples if self.model_.likelihood.varies else 1)
        seen = [component_probabilities(self.model_, self.model_.likelihood.draw_fixed(y, i)) for i in draws]
        return torch.stack(seen).mean(0).numpy(force=True)

    def decompose(self, X: ArrayLike) -> Decomposition:
        """The parts of eq. (13) for rows taken as the data distribution; costs the square of their number."""
        return decompose(self.model_, torch.cat(list(self._observed(X))))

    def transform(self, X: ArrayLike) -> np.ndarray:
        """Posterior mean of z, ``(n, latent_dim)``."""
        return np.concatenate([latent_means(self.model_, y) for y in self._observed(X)])

    def score_samples(self, X: ArrayLike) -> np.ndarray:
        """L(x), eq. (7): a lower bound of log p(x) for each row, ``(n,)``, nats."""
        return self.evaluate(X).elbo

    def score(self, X: ArrayLike, y: Any = None) -> float:
        """Mean of `score_samples`, nats."""
        return float(self.score_samples(X).mean(dtype=np.float64))

    def log_likelihood(self, X: ArrayLike, n_samples: int = 5000) -> np.ndarray:
        """Importance-weighted estimate of log p(x) for each row, ``(n,)``, nats (Burda et al., 2016).

        A lower bound in expectation, tighter with more samples; 5,000 are what papers report.
        """
        whole("n_samples", n_samples, 1)
        parts = [log_likelihood(self.model_, y, n_samples, self.seed_) for y in self._observed(X)]
        return np.concatenate(parts)

    def reconstruct(self, X: ArrayLike) -> Any:
        """Mean of p(x | z, c) at the likeliest category and its posterior mean of z; in the shape of X.

        With a schema a data frame: of categories the most likely level, counts rounded. It has a value in every cell,
        also where X has none: that is what the model would put there, and no bound or category makes use of it.
        """
        return self._to_shape(torch.cat([self.model_.reconstruct(y) for y in self._observed(X)]))

    def sample(
        self,
        n_samples: int = 1,
        component: int | None = None,
        *,
        weights: str = "auto",
        mean: bool = False,
        random_state: int | np.random.RandomState | None = None,
    ) -> tuple[Any, np.ndarray]:
        """New rows by ancestral sampling (section 3.1 of the paper).

        Args:
            n_samples: how many.
            component: draw all of them from this one; by default a component is drawn for each row.
            weights: by which weights: "prior" is p(c), the model's own; "aggregated" is q(c) of the training rows, eq.
                (14), by which the paper samples CP-VAE. "auto" is "aggregated" for CP-VAE and "prior" for all others.
            mean: give the mean of p(x | z, c) instead of a draw from it, as pictures in papers do.
            random_state: by default the estimator's own, so that two calls give the same rows.

        Returns:
            rows, in the shape and units of the training rows, with a schema a data frame of its columns and levels;
            and the component of each, ``(n_samples,)``.

        Raises:
            InputError: a component that does not exist; fewer than one row.
        """
        check_is_fitted(self)
        whole("n_samples", n_samples, 1)
        if component is not None:
            whole("component", component, 0)
            if component >= self.n_components:
                raise InputError(
                    f"component={component}: expected 0 to {self.n_components - 1}, the categories of this model"
                )
        one_of("weights", weights, ("auto", "aggregated", "prior"))
        seed("random_state", random_state)
        random = check_random_state(self.random_state if random_state is None else random_state)
        with seeded(int(random.randint(2**31 - 1))):
            c = self._draw_components(n_samples, component, weights)
            rows = []
            for part in c.to(next(self.model_.parameters()).device).split(8192):
                rows.append(self.model_.sample(part, mean))
        return self._to_shape(torch.cat(rows)), c.numpy()

    @torch.no_grad()
    def _draw_components(self, n: int, component: int | None, weights: str) -> Tensor:
        if component is not None:
            return torch.full((n,), component)
        prior, mixture = component_prior(self.model_.prior), self.model_.latent().mixture
        if prior is None or mixture is None:
            return torch.zeros(n, dtype=torch.int64)
        weights = self.sampled_by if weights == "auto" else weights
        table = prior.aggregated if weights == "aggregated" else mixture.logits.softmax(-1)
        return torch.multinomial(table.double().cpu(), n, replacement=True)

    # -- files -----------------------------------------------------------------------------------------------------

    def _config(self) -> dict[str, Any]:
        params = {key: _plain(value) for key, value in self.get_params().items() if key != "verbose"}
        return {"estimator": type(self).__name__, "params": params}

    def save(self, path: str | Path) -> None:
        """Write the fitted model to one safetensors file with a JSON header; no pickle, no training rows.

        The pseudo-inputs of a VampPrior are learned, but those that begin as training rows may stay close to them.

        Raises:
            InputError: the path cannot be written.
        """
        check_is_fitted(self)
        names = getattr(self, "feature_names_in_", None)
        fitted = {
            "n_features_in": self.n_features_in_,
            "feature_names_in": None if names is None else [str(name) for name in names],
            "image_shape": self.image_shape_,
            "likelihood": self.likelihood_,
            "schema": None if self.schema_ is None else self.schema_.as_dict(),
            "history": self.history_,
            "stopped": self.stopped_,
            "best_epoch": self.best_epoch_,
            "seed": self.seed_,
            "start_seconds": self.start_seconds_,
            "stability": self.stability_,
        }
        meta = {**self._config(), "fitted": fitted, "versions": runs.versions()}
        save_tensors(path, self.model_.state_dict(), meta)

    def _open(self, path: Path) -> Self:
        """Become the fitted estimator that was saved there."""
        tensors, meta = load_tensors(path)
        with described(path):
            self._restore(tensors, meta["fitted"])
        return self

    def _restore(self, tensors: dict[str, Tensor], fitted: dict[str, Any]) -> None:
        self.n_features_in_ = int(fitted["n_features_in"])
        shape = fitted["image_shape"]
        self.image_shape_ = None if shape is None else tuple(int(size) for size in shape)
        self.likelihood_ = str(fitted["likelihood"])
        self.history_ = list(fitted["history"])
        self.n_iter_ = len(self.history_)
        self.stopped_, self.best_epoch_ = fitted["stopped"], int(fitted["best_epoch"])
        self.seed_ = int(fitted["seed"])
        self.start_seconds_ = float(fitted.get("start_seconds", 0.0))
        stability = fitted.get("stability")
        self.stability_ = None if stability is None else float(stability)
        names = fitted["feature_names_in"]
        if names is not None:
            self.feature_names_in_ = np.array([str(name) for name in names], dtype=object)
        schema = fitted.get("schema")
        self.schema_ = None if schema is None else Schema.from_dict(schema)
        sizes = {
            "feature_names_in": names and len(names),
            "image_shape": shape and math.prod(shape),
            "schema": self.schema_ and len(self.schema_.columns),
        }
        for name, size in sizes.items():
            if size is not None and size != self.n_features_in_:
                raise InputError(f"{name} of {size} columns where n_features_in is {self.n_features_in_}; fit again")
        with torch.device("meta"):  # shapes first: a header cannot make this machine run out of memory
            likelihood = likelihoods.empty(self.likelihood_, self.n_features_in_, self.noise, self.schema_)
            self.model_ = self._module(likelihood).eval()
        self.model_.load_state_dict(tensors, assign=True)
        try:
            self._device_asked()
        except InputError:  # fitted where there was such a device
            warnings.warn(
                f"saved with device={self.device!r}, which cannot be used on this machine; device='auto' from here on",
                FitWarning,
                stacklevel=4,
            )
            self.device = "auto"
        self.model_.to(self._device())
        self._set_mixture()

    def _keep(self, arguments: dict[str, Any]) -> None:
        """Store the arguments of a constructor, untouched: `locals()` of its `__init__`."""
        for name in self._get_param_names():
            setattr(self, name, arguments[name])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]  # the precision of the weights
        tags.input_tags.allow_nan = True  # in tables: marginalised out
        return tags


class Clusterer(DeepMixture):
    """A model whose prior has components: it says which of them a row came from.

    Attributes:
        weights_: q(c) of the training rows, eq. (14), ``(K,)``.
        means_, scales_: mean and standard deviation of the Gaussians of the prior, ``(K, latent_dim)``.
    """

    weights_: np.ndarray
    means_: np.ndarray
    scales_: np.ndarray

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """The probability of each component for each row, ``(n, K)``.

        With categories that is ``softmax_c [log p(c) + ELBO_c(x)]``, or q(c | x) of a model fitted with copies of its
        rows; for a mixture over z alone, the responsibility ``E_{q(z|x)} p(c | z)``. For grey levels, the mean of it
        over observations of the row (`evaluate`).
        """
        check_is_fitted(self)
        if self._consistent():
            return np.concatenate([self._encoded(y, EVALUATION_DRAWS) for y in self._units(X)])
        return self.evaluate(X).proba

    def predict(self, X: ArrayLike) -> np.ndarray:
        """The likeliest component of each row, int ``(n,)``."""
        return self.predict_proba(X).argmax(1)

    def fit_predict(self, X: ArrayLike, y: Any = None) -> np.ndarray:
        """`fit`, then the component of each row."""
        return self.fit(X).predict(X)

    @torch.no_grad()
    def overlaps(self, n_samples: int | None = None) -> np.ndarray:
        """How far every two components overlap in what they generate, ``(K, K)`` (`cpvae.estimators.groups.overlaps`).

        Args:
            n_samples: rows drawn from each component, the same ones at each call; by default 200, and fewer of each of
                more than a hundred components.
        """
        check_is_fitted(self)
        n_samples = draws_each(self.n_components) if n_samples is None else n_samples
        whole("n_samples", n_samples, 1)
        model, proba = self.model_, []
        with seeded(0):
            for k in range(self.n_components):
                rows = model.sample(torch.full((n_samples,), k, device=next(model.parameters()).device), False)
                proba.append(component_probabilities(model, model.likelihood.to_model(rows)).numpy(force=True))
        return overlaps(proba)

    def groups(self, least: float = OVERLAP) -> np.ndarray:
        """Which components are one source, after a fit with more of them than there are sources.

        Args:
            least: the overlap from which two are joined, between 0 and 1.

        Returns:
            A group for each component, integers ``(K,)``, the one of most rows first; -1 for components not in use.
        """
        check_is_fitted(self)
        between("least", least, 0.0, 1.0)
        return join(self.overlaps(), self.weights_, least)


def as_table(x: np.ndarray | pd.DataFrame, names: Sequence[str] | None) -> Any:
    """Rows with the names of their columns, as a data frame that shares their memory; an array if there are none."""
    return x if names is None or isinstance(x, pd.DataFrame) else pd.DataFrame(x, columns=list(names), copy=False)


def take(x: Any, index: np.ndarray) -> Any:
    """Some rows of a data frame or an array."""
    return x.iloc[index] if isinstance(x, pd.DataFrame) else x[index]


def _plain(value: Any) -> Any:
    """An argument as JSON can hold it; a RandomState has no such form."""
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, torch.device):
        return str(value)
    return value if isinstance(value, (int, float, str, type(None))) else None


def _chunks(array: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(array), 10_000):
        yield array[start : start + 10_000]


def fingerprint(array: np.ndarray) -> dict[str, Any]:
    """By which a resumed run knows its data: shape, and a digest of up to 1,000 rows spread over it."""
    some = np.ascontiguousarray(array[:: max(1, len(array) // 1000)])
    return {
        "rows": len(array),
        "features": int(array.shape[1]),
        "dtype": array.dtype.name,
        "sha256": hashlib.sha256(some.tobytes()).hexdigest()[:16],
    }
