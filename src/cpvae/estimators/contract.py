"""The interface that all estimators share: scikit-learn's methods, and the questions that a fitted model answers.

Constructors store arguments unchanged, and `fit` checks them. Learned attributes end in an underscore, and answers
depend on these attributes only. Rows are ``(n, features)``, ``(n, channels, height, width)`` or
``(n, channels, time)``. Log-densities are in nats, for rows in their own units.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from sklearn.base import ClassNamePrefixFeaturesOutMixin, DensityMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from cpvae.arguments import as_path, one_of, seed, whole, widths
from cpvae.data.augment import Augment
from cpvae.data.containers import repeated
from cpvae.data.row_kinds import KINDS
from cpvae.data.rows import Rows
from cpvae.data.schema import check_given
from cpvae.data.weights import repeats
from cpvae.errors import InputError
from cpvae.estimators import continuing, files, gaps, learning, params, running
from cpvae.estimators.given import log_prob_given, sample_given
from cpvae.estimators.hub import OnHub
from cpvae.estimators.imputing import fill
from cpvae.estimators.learned import Learned
from cpvae.estimators.params import RandomState, among, argument, optional, takes_arguments, whole_from, within
from cpvae.estimators.rows_in import check_labels
from cpvae.fitting import jobs
from cpvae.fitting.presets import PRESETS
from cpvae.fitting.progress import Reporter
from cpvae.fitting.starts.start import STARTS
from cpvae.fitting.starts.task import Start
from cpvae.nn.convolutions import Conv
from cpvae.nn.draws import multinomial, seeded
from cpvae.nn.layers import Dense, Network
from cpvae.nn.products import PRECISIONS
from cpvae.probability import likelihoods
from cpvae.probability.conditional import CANDIDATES
from cpvae.probability.estimates import (
    Decomposition,
    Evaluation,
    batches,
    component_probabilities,
    decompose,
    evaluate,
    latent_means,
    log_likelihood,
)
from cpvae.probability.expectations import Exact, Expectation
from cpvae.probability.models import VAE as VAEModule
from cpvae.probability.objectives import Bound, Weight
from cpvae.probability.priors import component_prior
from cpvae.probability.refinement import Refinement
from cpvae.words.names import position

NETWORKS = ("dense", "conv")
MOST_DIMENSIONS = 100_000  # of z: each row of a batch has as many numbers for each category
EVALUATION_DRAWS = 4  # of z behind each ELBO_c when rows are scored
SAMPLED_AT_ONCE = 8192  # rows


@takes_arguments
# More than 250 lines: half of them are the docstrings of what a user can ask.
class DeepMixture(OnHub, ClassNamePrefixFeaturesOutMixin, TransformerMixin, DensityMixin, Learned, ABC):  # type: ignore[misc]
    """Base of all estimators: `fit` takes rows and trains a `cpvae.probability.models.VAE`, which the methods question.

    A subclass makes the module that it trains (`_module`) and lists its own arguments.
    """

    name: ClassVar[str]
    has_components: ClassVar[bool] = False  # whether the prior has components, which rows can be put to
    takes_known: ClassVar[bool] = False  # whether `fit` takes known categories of rows
    sampled_by: ClassVar[str] = "prior"
    part_name: ClassVar[str] = "components"
    remedy: ClassVar[str] = "refit with n_init=5, or with fewer components"
    n_components = 1

    latent_dim: int = argument(whole_from(1, MOST_DIMENSIONS), default=40)
    network: str = argument(among(NETWORKS), default="dense")
    hidden: tuple[int, ...] = argument(widths, default=(300, 300))
    decoder_hidden: tuple[int, ...] | None = argument(optional(widths), default=None)
    kind: str = argument(among(("auto", *KINDS)), default="auto")
    likelihood: str = argument(among(("auto", *likelihoods.NAMES)), default="auto")
    noise: float | None = argument(optional(within(*likelihoods.NOISE, True, True)), default=None)
    schema: dict[str, str] | None = argument(optional(lambda name, value: check_given(value)), default=None)
    n_init: int = argument(whole_from(1, jobs.MOST), default=1)
    preset: str = argument(among(tuple(PRESETS)), default="fast")
    max_epochs: int | None = argument(optional(whole_from(1)), default=None)
    max_seconds: float | None = argument(optional(within(0.0, params.MOST_SECONDS, highest=True)), default=None)
    batch_size: int | None = argument(optional(whole_from(1)), default=None)
    learning_rate: float | None = argument(optional(within(0.0, 1.0)), default=None)
    warmup_epochs: int | None = argument(optional(whole_from(0)), default=None)
    patience: int | None = argument(optional(whole_from(1)), default=None)
    precision: str = argument(among(PRECISIONS), default="float32")
    validation_fraction: float = argument(within(0.0, 1.0), default=0.1)
    device: str = argument(params.device, default="auto")
    random_state: RandomState = argument(params.random_state, default=None)
    verbose: int = argument(params.anything, default=0)

    # -- to be said by each model ----------------------------------------------------------------------------------

    @abstractmethod
    def _module(self, likelihood: likelihoods.Likelihood) -> VAEModule:
        """Make the torch module to train."""

    def _network(self) -> Network:
        """Say how encoders and decoders are built."""
        if self.network == "conv":
            return Conv(self.image_shape_ or self.signal_shape_)
        return Dense(tuple(self.hidden), tuple(self.decoder_hidden or self.hidden[::-1]))

    def _expectation(self, total_steps: int) -> Expectation:
        """Say how the sum over categories is taken in training."""
        return Exact()

    def _objective(self, beta: Weight, total_steps: int) -> Bound:
        """Say what a step minimises; `beta` is the weight of the KL terms."""
        return Bound(self._expectation(total_steps), beta)

    def _start(self) -> Start:
        """Say how categories get rows of their own before the bound decides."""
        return STARTS["random"]

    def _augment(self) -> Augment | None:
        """Give the transformation that makes copies of rows, or None."""
        return None

    def _consistent(self) -> bool:
        """Say whether training makes q(c | x) agree between a row and its copies."""
        return False

    def _prepare(self, model: VAEModule, rows: Rows, seed: int) -> None:
        """Set the parts of a new module that depend on the training rows."""

    def _look_at(self, rows: Rows, known: bool) -> None:
        """Measure properties of the training rows that later choices depend on.

        Args:
            known: whether the categories of some of them are known.
        """

    def _covariance(self, n_rows: int) -> str | None:
        """Choose the form of the covariances of components for so many training rows; None without components."""
        return getattr(self, "covariance_type", None)

    def _chosen_covariance(self) -> Any:
        """Give the form that was chosen; of an estimator that has not seen rows, that of few."""
        return self.covariance_ or self._covariance(0)

    def _seen(self) -> list[str]:
        """Say what was found in the training rows and how to override it, one line for each finding."""
        return []

    def check_params(self) -> None:
        """Refuse invalid arguments, and name all of them in one line."""
        params.check(self)
        if self.schema is None:
            return
        faults = []
        if self.likelihood != "auto" and not likelihoods.by_schema(self.likelihood):
            faults.append(
                f"likelihood={self.likelihood!r} with a schema: expected 'columns' or 'auto', which take the kinds "
                "of columns into account"
            )
        if self.kind not in ("auto", "table", "matrix"):
            faults.append(f"kind={self.kind!r} with a schema: expected 'table' or 'auto', which have columns")
        if faults:
            raise InputError(f"{'; '.join(faults)}; leave the schema out, or the other")

    # -- fitting ---------------------------------------------------------------------------------------------------

    @torch.inference_mode(False)  # whatever mode the caller is in
    @torch.enable_grad()
    def fit(
        self,
        X: ArrayLike,
        y: Any = None,
        *,
        known: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        X_valid: ArrayLike | None = None,
        out: str | Path | None = None,
        resume: bool = False,
        reporter: Reporter | None = None,
        about: dict[str, Any] | None = None,
    ) -> Self:
        """Learn the model from rows, without labels or with `known` categories of some rows.

        Args:
            X: rows, ``(n, features)``, ``(n, channels, height, width)`` or ``(n, channels, time)``, in any container
                (`cpvae.data.containers`). A memory-mapped array is not read whole, and a sparse matrix stays sparse. A
                data frame with text, and rows with missing cells (NaN, None), are modelled column by column
                (`cpvae.schema`). Missing cells are marginalised out, never filled in.
            y: labels, which are ignored; scikit-learn's pipelines pass them.
            known: the categories of rows where they are known, one label for each row of X, ``(n,)``; -1, NaN, None or
                empty text for a row without one. Whole numbers are the numbers of categories. Text names classes; they
                get the categories in sorted order, and their names (`names_`). All other rows learn from these, and
                categories that no label names are found (docs/known.md). For `CPVAE` and `CPHVAE` only.
            sample_weight: weights of the rows of X, ``(n,)``: a row of weight 2 counts as two rows, and one of weight 0
                is left out (`cpvae.data.weights`).
            X_valid: rows for the validation bound, which chooses the weights and the restart; by default a share
                `validation_fraction` of X, at most 10,000 rows.
            out: run folder for history, checkpoints and the fitted model (`cpvae.estimators.running.fit`).
            resume: whether to continue the run in `out`, with the rows and seeds it began with.
            about: JSON kept with the run, for instance where the rows came from.
            reporter: object that is told of each epoch; by default a progress bar if `verbose`.

        Raises:
            InputError: arguments or rows cannot be used (a ValueError).
            KeyboardInterrupt: Ctrl-C or SIGTERM stopped the fit. The estimator has the best weights so far, and
                ``stopped_`` is "interrupted". If no epoch had ended, ``n_iter_`` is 0 and the weights are those of a
                short training from quick categories. A second Ctrl-C ends at once.
        """
        check_labels(X, y)
        rows: Any = X
        if sample_weight is not None:
            rows = repeated(X, sample_weight)
            if known is not None:
                labels = np.asarray(known, dtype=object)
                known = labels[repeats(sample_weight, len(labels))]
        place = None if out is None else as_path("out", out)
        before = dict(self.__dict__)
        try:
            if place is None:
                learning.fit(self, rows, X_valid, reporter, known)
            else:
                running.fit(
                    self, rows, place, X_valid=X_valid, known=known, resume=resume, reporter=reporter, about=about
                )
        except Exception:  # what was seen of rows that cannot be used is no part of the model that was there
            self.__dict__.clear()
            self.__dict__.update(before)
            raise
        return self

    @torch.inference_mode(False)
    @torch.enable_grad()
    def continue_fit(
        self,
        X_new: ArrayLike,
        *,
        n_new: int | str = continuing.AUTO,
        replay: float = 1.0,
        out: str | Path | None = None,
        resume: bool = False,
        reporter: Reporter | None = None,
        about: dict[str, Any] | None = None,
    ) -> Self:
        """Learn from new rows, and keep what was learned from the rows before, of which none is needed.

        The model as it is draws rows, as many from each of its categories, and learns from these and the new rows
        together (`cpvae.estimators.continuing`; Shin et al., 2017). Categories keep their numbers and names; new ones
        come after them. Likelihood, units, columns and kinds stay those of the first fit, and so do all arguments but
        `n_components`; `set_params` changes those of the training. `weights_` become those of all rows, old and new.

        Args:
            X_new: rows as for `predict`, ``(n, ...)``.
            n_new: number of new categories. "auto" adds those that the rows need. It looks whether more rows than
                chance allows for have a bound below the fifth percentile of what their category draws. If so, it
                counts the groups of new rows that stand apart from rows of the categories.
            replay: rows drawn from each category, for every row that a new category has on average; without new
                categories, for every row of a category. At most ten rows are drawn for each new one. With 0 nothing is
                drawn, and what was learned before is forgotten.
            out, resume, reporter, about: as for `fit`. A run goes on if it is resumed with the model it began with.

        Raises:
            InputError: the model does not put rows into categories that can be drawn from (only `CPVAE` and `CPHVAE`
                do), or has not finished; arguments or rows cannot be used.
            KeyboardInterrupt: Ctrl-C or SIGTERM. The estimator stays as it was. In `out` there are the state and the
                best weights so far, as for `fit`.

        Examples:
            >>> import numpy as np
            >>> from cpvae import CPVAE
            >>> random = np.random.RandomState(0)
            >>> old = np.concatenate([random.normal(-8, 1, (100, 2)), random.normal(8, 1, (100, 2))])
            >>> asked = {"latent_dim": 1, "hidden": (16,), "max_epochs": 20, "batch_size": 20, "random_state": 0}
            >>> model = CPVAE(2, **asked).fit(old)
            >>> before = model.predict(old)
            >>> model.continue_fit(random.normal([-8, 8], 1, (100, 2)), n_new=1).n_components_
            3
            >>> bool((model.predict(old) == before).all())
            True
        """
        student = continuing.fit(
            self,
            X_new,
            n_new,
            replay,
            None if out is None else as_path("out", out),
            resume=resume,
            reporter=reporter,
            about=about,
        )
        self.__dict__.update(vars(student))
        return self

    # -- questions -------------------------------------------------------------------------------------------------

    @torch.inference_mode(False)  # whatever mode the caller is in: a refinement takes gradients
    def evaluate(self, X: ArrayLike, n_samples: int = EVALUATION_DRAWS, *, refine: int = 0) -> Evaluation:
        """Compute bounds, their parts and category posteriors of each row (`cpvae.probability.estimates.Evaluation`).

        Bounds are in nats, for one fixed observation of each row. If observations vary, as pixels drawn from grey
        levels do, `proba` is the mean of the posteriors of `n_samples` observations.

        Args:
            X: rows, ``(n, ...)``.
            n_samples: draws of z behind each ELBO_c.
            refine: gradient steps that refine the posterior of each row (`cpvae.probability.refinement`). With any,
                everything is of the refined posteriors and of one observation; where the prior is a mixture over z
                alone, `proba` and `q_c` stay those of the encoder.

        Raises:
            InputError: `n_samples` is below one, `refine` is below zero, the model does not take these rows, or a bound
                is not finite.
        """
        whole("n_samples", n_samples, 1)
        whole("refine", refine, 0)
        found = Evaluation.join([self._evaluate(y, n_samples, refine) for y in self._units(X)])
        broken = int((~np.isfinite(found.elbo)).sum())
        if broken:
            raise InputError(
                f"bounds of {broken:,} of {len(found.elbo):,} rows are not finite, as of a model whose weights are too "
                "large; expected numbers; fit again, or restore a copy of the model"
            )
        return found

    def _evaluate(self, y: Tensor, n_samples: int, refine: int) -> Evaluation:
        likelihood = self.model_.likelihood
        improve = Refinement(refine) if refine else None
        result = evaluate(self.model_, likelihood.draw_fixed(y), n_samples, improve=improve)
        if self.n_components_ == 1 or refine:
            return result
        if self.consistent_:
            taught = self._taught_by_copies(y).numpy(force=True)
            return replace(result, proba=np.where(taught, self._encoded(y, n_samples), result.proba))
        if not likelihood.varies:
            return result
        others = [
            evaluate(self.model_, one, 1, 1000 * i).proba
            for i, one in enumerate(likelihood.observations(y, range(1, n_samples)), 1)
        ]
        return replace(result, proba=np.mean([result.proba, *others], axis=0))

    def _taught_by_copies(self, y: Tensor) -> Tensor:
        """Say of which rows copies taught q(c | x), ``(B, 1)``: in a table of those with missing cells, else of all."""
        if self.schema_ is None:
            return torch.ones_like(y[:, :1], dtype=torch.bool)
        return y.isnan().any(1, keepdim=True)

    def _encoded(self, y: Tensor, n_samples: int) -> np.ndarray:
        """Compute q(c | x) ``(B, K)``; where observations vary, its mean over `n_samples` of them."""
        likelihood = self.model_.likelihood
        observations = likelihood.observations(y, range(n_samples if likelihood.varies else 1))
        seen = [component_probabilities(self.model_, one) for one in observations]
        return torch.stack(seen).mean(0).numpy(force=True)

    def decompose(self, X: ArrayLike) -> Decomposition:
        """Compute the parts of eq. (13), with the rows as data distribution; the cost grows as their number squared."""
        return decompose(self.model_, torch.cat(list(self._observed(X))))

    def transform(self, X: ArrayLike) -> np.ndarray:
        """Compute the posterior mean of z, ``(n, latent_dim)``."""
        return np.concatenate([latent_means(self.model_, y) for y in self._observed(X)])

    @property
    def _n_features_out(self) -> int:
        """The columns of `transform`, for scikit-learn's `get_feature_names_out`."""
        return self.model_.latent_dim

    def score_samples(self, X: ArrayLike, refine: int = 0) -> np.ndarray:
        """Compute L(x), eq. (7): a lower bound of log p(x) for each row, ``(n,)``, in nats.

        Args:
            X: rows, ``(n, ...)``.
            refine: gradient steps on each row's own bound, from the encoder's posterior on
                (`cpvae.probability.refinement`). The result is a bound, too, and on average closer to log p(x); the
                difference is the amortisation gap. Published bounds are without. Ten steps take about nine times as
                long as none.

        Raises:
            InputError: `refine` is below zero, the model does not take these rows, or a bound is not finite.

        Examples:
            >>> import numpy as np
            >>> from cpvae import VAE
            >>> X = np.random.RandomState(0).normal(size=(60, 3))
            >>> model = VAE(latent_dim=2, hidden=(4,), max_epochs=2, random_state=0).fit(X)
            >>> bool(model.score_samples(X, refine=10).mean() > model.score_samples(X).mean())
            True
        """
        return self.evaluate(X, refine=refine).elbo

    def score(self, X: ArrayLike, y: Any = None) -> float:
        """Compute the mean of `score_samples`, in nats."""
        return float(self.score_samples(X).mean(dtype=np.float64))

    def log_likelihood(self, X: ArrayLike, n_samples: int = 5000) -> np.ndarray:
        """Estimate log p(x) of each row by importance weighting, ``(n,)``, in nats (Burda et al., 2016).

        The estimate is a lower bound in expectation. More samples make it tighter; papers use 5,000.
        """
        whole("n_samples", n_samples, 1)
        parts = [log_likelihood(self.model_, y, n_samples, self.seed_) for y in self._observed(X)]
        return np.concatenate(parts)

    def log_prob(
        self, X: ArrayLike, columns: Sequence[Any], given: Sequence[Any] = (), n_samples: int = CANDIDATES
    ) -> np.ndarray:
        """Estimate log p(x of some columns | x of others) of each row by importance weighting, ``(n,)``, in nats.

        Cells of all other columns, and those that are missing, are marginalised. The prior is the model's p(c).

        Args:
            X: rows of a table or a matrix of columns.
            columns: names of the columns that are scored.
            given: names of the columns that are known; none gives log p(x of `columns`).
            n_samples: candidates of each row behind each of the two estimates.

        Raises:
            InputError: unknown columns, or one in both lists; `n_samples` is below 4; pictures or signals.
        """
        check_is_fitted(self)
        whole("n_samples", n_samples, 4)
        self._check_drawn(n_samples, f"n_samples={n_samples}")
        with seeded(self.seed_):
            return log_prob_given(self, X, columns, given, n_samples)

    def reconstruct(self, X: ArrayLike) -> Any:
        """Compute the mean of p(x | z, c), in the shape of X, at the likeliest c and the posterior mean of z given c.

        With a schema the result is a data frame. A categorical column has its likeliest level, and counts are rounded.
        Cells that are missing in X have the value that the model expects. No bound and no category uses such a value.
        """
        parts = [self.model_.reconstruct(y) for large in self._observed(X) for y in batches(large, 1)]
        rows = self._to_shape(torch.cat(parts))
        return rows.set_axis(X.index) if isinstance(rows, pd.DataFrame) and isinstance(X, pd.DataFrame) else rows

    def sample(
        self,
        n_samples: int = 1,
        component: int | str | None = None,
        *,
        weights: str = "auto",
        mean: bool = False,
        given: Any = None,
        missing: bool = False,
        random_state: RandomState = None,
    ) -> tuple[Any, np.ndarray]:
        """Draw new rows by ancestral sampling (section 3.1 of the paper), or rows of which something is known.

        Args:
            n_samples: number of rows.
            component: the component of all rows, by its number or by the name that `rename` gave it; by default each
                row draws its own.
            weights: weights of the components: "prior" is the model's p(c); "aggregated" is q(c) of the training rows,
                eq. (14), which the paper uses for CP-VAE. "auto" is "aggregated" for CP-VAE and "prior" for all others.
            mean: give the mean of p(x | z, c) instead of a draw from it, as pictures in papers do.
            given: what is known of the rows (`cpvae.estimators.given.sample_given`). For a model of columns: column ->
                a value, or a range ``(low, high)`` in which the row lies; None is an open end. For pictures and
                signals: an array of the shape of a row, NaN where a value is not known. No row is thrown away.
            missing: leave cells of a table missing as often as those of its column are among the training rows of the
                component, and let signals end as theirs do (`cpvae.estimators.gaps`). What is given is never missing.
            random_state: seed; by default the estimator's own, so that two calls give the same rows.

        Returns:
            New rows in the shape and units of the training rows (with a schema: a data frame with its columns and
            levels), and the component of each row, ``(n_samples,)``.

        Raises:
            InputError: the component does not exist; `n_samples` is below one, or more than memory holds; weights
                beside a component, or for a model without components; what is `given` cannot be; `missing` for rows
                that are neither a table nor signals.
        """
        check_is_fitted(self)
        whole("n_samples", n_samples, 1)
        self._check_drawn(n_samples, f"n_samples={n_samples}")
        k = None
        if component is not None:
            if not self.has_components:
                raise InputError(f"component for a {self.name!r} model, which has no categories; leave it out")
            k = position("component", component, self.names_, self.n_components_)
        one_of("weights", weights, ("auto", "aggregated", "prior"))
        if weights != "auto" and component is not None:
            raise InputError(
                f"weights={weights!r} with component={component}: all rows come from that component; leave one of the "
                "two out"
            )
        if weights == "aggregated" and not self.has_components:
            raise InputError(f"weights='aggregated' for a {self.name!r} model, which has no categories; leave it out")
        seed("random_state", random_state)
        random = check_random_state(self.random_state if random_state is None else random_state)
        with seeded(int(random.randint(2**31 - 1))):
            if given is not None and not (isinstance(given, Mapping) and not given):
                if mean:
                    raise InputError("mean=True with given: expected draws; leave mean out")
                return sample_given(self, n_samples, given, self._component_weights(k, weights), missing)
            c = self._draw_components(n_samples, k, weights).numpy()
            return self._draw_rows(c, mean, missing), c

    def _draw_rows(self, c: np.ndarray, mean: bool, missing: bool) -> Any:
        """Draw a row of each of the components `c`, int64 ``(n,)``, as `sample` gives them."""
        parts = torch.from_numpy(c).to(self.model_.device).split(SAMPLED_AT_ONCE)
        x = torch.cat([self.model_.sample(part, mean) for part in parts])
        if missing:
            x[torch.from_numpy(gaps.drawn(self, c)).to(x.device)] = torch.nan
        return self._to_shape(x, drawn=not mean)

    @torch.no_grad()
    def _draw_components(self, n: int, component: int | None, weights: str) -> Tensor:
        """Draw the component of each new row, ``(n,)``."""
        if component is not None:
            return torch.full((n,), component)
        table = self._component_weights(None, weights)
        return torch.zeros(n, dtype=torch.int64) if len(table) == 1 else multinomial(table, n)

    @torch.no_grad()
    def _component_weights(self, component: int | None = None, weights: str = "auto") -> Tensor:
        """Give the weights of the components, or all of it to one of them: float64 ``(K,)``, adding up to one."""
        prior, mixture = component_prior(self.model_.prior), self.model_.latent().mixture
        if component is not None or prior is None or mixture is None:
            return torch.eye(self.n_components_, dtype=torch.float64)[component or 0]
        weights = self.sampled_by if weights == "auto" else weights
        table = prior.aggregated if weights == "aggregated" else mixture.logits.softmax(-1)
        return table.double().cpu()

    def impute(self, X: ArrayLike, n_draws: int = 5, *, mean: bool = False, random_state: RandomState = None) -> Any:
        """Fill missing cells by draws from p(missing cells | observed cells), so that their spread is kept.

        Observed cells stay as they are, in their dtype and container. Components have the weights that `sample` gives
        them. Whatever is computed from filled tables should be computed from each of them; its spread over the tables
        then shows what the missing cells leave open (Rubin, "Multiple Imputation for Nonresponse in Surveys", 1987).
        Draws of numbers of a table are `stretch_` times as far from their median as the model has them. So 90 % of
        hidden numbers of validation rows lie in the middle 90 % of their draws (`cpvae.estimators.stretch`).

        Args:
            X: rows with missing values: a table, a matrix, signals or pictures.
            n_draws: number of filled tables.
            mean: give one table of means and likeliest levels instead; of an amount the mean on its scale.
            random_state: seed; by default the estimator's own.

        Returns:
            A list of `n_draws` filled tables like X, or one table if `mean`.

        Raises:
            InputError: `n_draws` is below one, or more than memory holds; the model does not take these rows, or none
                with missing cells.

        Examples:
            >>> import pandas as pd
            >>> from cpvae import VAE
            >>> people = pd.DataFrame({"age": [20, 30, 40, None, 50, 60], "sex": ["f", "m", None, "m", "f", "f"]})
            >>> model = VAE(latent_dim=1, hidden=(4,), max_epochs=1, random_state=0).fit(people)
            >>> filled = model.impute(people, n_draws=2)
            >>> len(filled), int(filled[0].isna().sum().sum()), filled[0]["age"].tolist()[:3]
            (2, 0, [20.0, 30.0, 40.0])
        """
        check_is_fitted(self)
        whole("n_draws", n_draws, 1)
        seed("random_state", random_state)
        random = check_random_state(self.random_state if random_state is None else random_state)
        with seeded(int(random.randint(2**31 - 1))):
            filled = fill(self, X, 0 if mean else n_draws, self._component_weights(), self.stretch_)
        return filled[0] if mean else filled

    # -- files -----------------------------------------------------------------------------------------------------

    def save(self, path: str | Path, *, license: str | None = None) -> None:
        """Write the fitted model to one safetensors file with a JSON header; no pickle.

        Beside it a model card is written, with ``.md`` after the name of the file (`cpvae.estimators.cards`): the rows,
        the bound and its error, stability, licence.

        The file holds no training rows, with one exception: the pseudo-inputs of a VampPrior begin as training rows by
        default, and are part of the model. After a short fit, or with a small learning rate, they may still equal those
        rows. Fit with ``pseudo_inputs="random"`` if you will share the file and the rows are private.

        Args:
            path: of the file.
            license: of the model, for its card: a name such as "mit" or "cc-by-4.0"; by default none is said.

        Raises:
            InputError: the path cannot be written; no name of a licence.
        """
        check_is_fitted(self)
        files.save(self, path, license)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]  # the precision of the weights
        tags.input_tags.sparse = True  # made dense a batch at a time
        tags.input_tags.allow_nan = True  # in tables: marginalised out
        return tags
