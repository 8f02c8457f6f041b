"""scikit-learn estimators: the models of the paper with the method names of `sklearn.mixture`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, get_args

import torch
from sklearn.utils import check_random_state

from cpvae.data.augment import AUGMENTS, Augment
from cpvae.data.overcount import overcount
from cpvae.data.rows import Rows
from cpvae.data.signals import STATIONARY, share_of_time
from cpvae.errors import InputError, counted
from cpvae.estimators import files
from cpvae.estimators.clusterer import Clusterer
from cpvae.estimators.contract import DeepMixture
from cpvae.estimators.params import among, argument, falling, optional, takes_arguments, within
from cpvae.fitting.presets import MANY
from cpvae.fitting.schedules import exponential, linear_fall
from cpvae.fitting.starts.start import STARTS, choose
from cpvae.fitting.starts.task import Start
from cpvae.probability import likelihoods, recipes
from cpvae.probability.expectations import Exact, Expectation, Relaxed, StraightThrough, SumAndSample
from cpvae.probability.models import VAE as VAEModule
from cpvae.probability.objectives import Bound, Consistent, Copies, Weight
from cpvae.probability.priors import COVARIANCES, PRIORS, Weights, component_prior

SLIGHT, COPIED = 0.5, 0.8  # how large deformations are in the bound, and in which part of the planned steps
CONSISTENCY = 20.0  # the default weight; rows without copies take no other, apart from 0
START_WEIGHT = 6.0  # of few rows, or where the categories of some are known: see `CPVAE`
FULL_SHARE, FULL_DIM = 2.5, 64  # by which covariances are chosen: see `CPVAE`
EXPECTATIONS = ("auto", "exact", "sum-and-sample", "straight-through", "relaxed")


def among_copies(bound: Bound, augment: Augment, share: float, total_steps: int) -> Bound:
    """Put slight copies in the place of a share of the rows, which falls to 0 in four fifths of the steps."""
    slight = Copies(augment.times(SLIGHT))
    return replace(bound, slight=slight, replaced=linear_fall(share, round(COPIED * total_steps)))


@takes_arguments
class CPVAE(Clusterer):
    """A deep mixture model: a VAE with a category, a Gaussian code, and a prior p(z | c) learned from the data.

    The model comes from "the paper": Lavda, Gregorová and Kalousis, "Improving VAE generations of multimodal data
    through data-dependent conditional priors" (2020). It is fitted without labels. It then says which source a row came
    from (`predict`, `predict_proba`), and draws new rows from one chosen source (`sample`).

    Args:
        n_components: K, the number of categories.
        latent_dim: dimensions of z.
        network: "dense", the paper's gated layers; or "conv", gated convolutions, for images and signals
            (`cpvae.nn.convolutions`).
        hidden: widths of the encoder's hidden layers, in a dense network.
        decoder_hidden: widths of the decoder's hidden layers, in a dense network; None mirrors the encoder's.
        kind: what rows are: "table", "matrix", "counts", "images" or "signals"; "auto" follows the rule of
            `cpvae.data.row_kinds`.
        likelihood: distribution of the values: "bernoulli" (ink: black and white, or drawn from grey levels), "levels"
            (pictures in grey or colour), "gaussian" (measurements), "isotropic" (Gaussian with one scale for all
            columns, for embeddings and principal components), "counts" (counts per row, such as genes in a cell),
            "zinb" (the same, zero-inflated), "columns" (tables, each column by its kind), or "auto", which decides from
            the data (`cpvae.probability.likelihoods.choice.choose`) and prints its choice if `verbose`.
        noise: standard deviation of the Gaussian likelihood, in standard deviations of the columns, from 0.001 to
            1,000; None learns it.
        schema: kinds of the columns of a table: name -> "numeric", "amount", "count", "categorical", "date" or
            "ignore". "*" stands for all columns that are not named; columns without names are called "0", "1", ... The
            rule of `cpvae.data.kinds` decides for all other columns.
        weights: p(c): "uniform" (the paper), "learned", or "empirical" (set to q(c) of eq. 14 after the fit).
        covariance_type: form of the covariance of p(z | c): "diag" (the paper), "full" (its footnote 3), or "low-rank",
            a diagonal and as many factors as an eighth of `latent_dim`. "auto" is "full" for 20,000 training rows or
            more and a `latent_dim` of at most 64, if a category has 2.5 rows for each dimension on average; and "diag"
            for any other fit.
        expectation: estimate of the sum over c in training: "exact"; "sum-and-sample" (the two likeliest categories and
            one drawn from the others, decoded where they weigh something); "straight-through"; or "relaxed"
            (Gumbel-softmax, whose objective is not a bound). "auto" is "sum-and-sample".
        temperature: temperatures of the Gumbel-softmax: at the first step, and from half of the training on.
        init: start, which gives each category rows of its own before the bound decides. On a map of neighbours: "umap"
            (of the code of an autoencoder), "edges" (of that code, alone or beside the edges of pictures), "signals"
            (of that code, or spectra, or both beside the values), "spectrum" (of spectra of signals beside that code),
            "map" (of rows), "directions" (of rows without their length). By Gaussians: "autoencoder" (on its code),
            "gmm" (on rows). "rows" takes "gmm", a mixture of fewer parameters or k-means, or "map" where sources lie
            apart. "kmeans" is k-means of rows. "auto" depends on the kind of data
            (`cpvae.fitting.starts.start.choose`). "random" has no clustering and mostly ends in few categories.
        augment: copies that should keep the category of their row: "affine" rotates, scales and shifts images slightly;
            "shift" moves signals in time, scales them and adds noise; "roll" shifts signals circularly by any time;
            "hide" hides cells of tables, so that q(c | x) of a row with gaps is as sure as it should be; "none" makes
            no copies. "auto" is "affine" for images of 8 pixels a side or more; it blurs ink, which needs 16. For
            signals "auto" is "roll" if time tells less than a fifth of their variance
            (`cpvae.data.signals.share_of_time`), and for tables it is "hide". With `init="random"` it is "none",
            because categories that begin at random agree most easily if there is only one.
        consistency: weight of KL(q(c | x) || q(c | copy)) beside the bound, of which copies with hidden cells have a
            twentieth; with 0 only the start uses copies. Rows without copies refuse any other weight than the
            default and 0.
        copy_share: share of the images in a step whose place copies take in the bound, at most: it falls to 0 in the
            first four fifths of the planned steps. These copies are half as strongly deformed, and a decoder does not
            learn the rows by heart. There are none with `consistency=0`, with `preset="paper"`, or while the start
            holds.
        start_weight: log-odds, nats, by which the category that the start gave a row goes before another one, to the
            end of the fit. A row leaves its category where its values say more than that. Of pictures and signals,
            whose neighbouring values err together, it is multiplied by how often they say the same
            (`cpvae.data.overcount`). With 0 the start is forgotten as soon as the bound decides. None is 0 for 20,000
            training rows or more, whose bound is better without and whose categories are as good; and 6 for fewer, or
            where the categories of some rows are known, which the start gives to their neighbours.
        n_init: number of fits; the one with the best validation bound is kept.
        preset: "fast" or "paper": settings of the training (`cpvae.fitting.presets`). Each of the next five arguments
            replaces a value of the preset.
        max_epochs: largest number of passes over the rows.
        batch_size: rows in a step.
        learning_rate: step size of Adam.
        warmup_epochs: epochs in which the weight of both KL terms grows from 0 to 1.
        patience: epochs without a clearly better validation bound after which training stops.
        max_seconds: time that the fit is planned for, its start included, where `max_epochs` passes would take longer:
            it makes as many as the speed of this machine allows for, so that its result depends on that speed.
        precision: "float32" or "bfloat16" for matrix products in training (bfloat16 is faster on some hardware).
        validation_fraction: share of the rows kept for the validation bound, if `fit` is given no `X_valid`.
        device: "auto", "cpu", "cuda", ...
        random_state: seed of all random numbers of a fit.
        verbose: 1 shows progress.

    Attributes:
        weights_: q(c) of the training rows, eq. (14), ``(K,)``.
        means_, scales_: mean and standard deviation of p(z | c), ``(K, latent_dim)``.
        schema_: kinds and levels of the columns (`cpvae.schema.Schema`), or None if rows are plain numbers.
        stability_: mean adjusted Rand index of the categories of rows, over all pairs of restarts; None if there are no
            restarts.
        history_: one record an epoch (`cpvae.fitting.records.EpochRecord`).
        model_: the torch module.

    Examples:
        >>> import numpy as np
        >>> random = np.random.RandomState(0)
        >>> X = np.concatenate([random.normal(-3, 1, (200, 2)), random.normal(3, 1, (200, 2))])
        >>> model = CPVAE(2, latent_dim=2, hidden=(16,), max_epochs=10, batch_size=20, random_state=0).fit(X)
        >>> labels = model.predict(X)
        >>> bool((labels[:200] == labels[0]).mean() > 0.9 and (labels[200:] != labels[0]).mean() > 0.9)
        True
        >>> rows, categories = model.sample(3, component=1)
        >>> rows.shape, categories.tolist()
        ((3, 2), [1, 1, 1])
    """

    name = "cpvae"
    takes_known = True
    sampled_by = "aggregated"
    part_name = "categories"
    remedy = "refit with n_init=5 and without init='random', or with fewer components"
    _recipe: ClassVar[Callable[..., VAEModule]] = staticmethod(recipes.cpvae)

    weights: str = argument(among(get_args(Weights)), default="uniform")
    covariance_type: str = argument(among(("auto", *COVARIANCES)), default="auto")
    expectation: str = argument(among(EXPECTATIONS), default="auto")
    temperature: tuple[float, float] = argument(falling, default=(1.0, 0.5))
    init: str = argument(among(("auto", *STARTS)), default="auto")
    augment: str = argument(among(("auto", "none", *AUGMENTS)), default="auto")
    consistency: float = argument(within(0.0, 1e6, True, True), default=CONSISTENCY)
    copy_share: float = argument(within(0.0, 1.0, True, True), default=0.5)
    start_weight: float | None = argument(optional(within(0.0, 1e6, True, True)), default=None)

    def _module(self, likelihood: likelihoods.Likelihood, **parts: Any) -> VAEModule:
        return self._recipe(
            likelihood,
            int(self.n_components),
            self.latent_dim,
            self._network(),
            self.weights,
            covariance=self._chosen_covariance(),
            **parts,
        )

    def _expectation(self, total_steps: int) -> Expectation:
        if self.expectation == "exact":
            return Exact()
        if self.expectation in ("auto", "sum-and-sample"):
            return SumAndSample()
        first, last = self.temperature
        rate = max(0.0, math.log(first / last)) / max(1, total_steps // 2)
        schedule = exponential(first, rate, last)
        return Relaxed(schedule) if self.expectation == "relaxed" else StraightThrough(schedule)

    def _objective(self, beta: Weight, total_steps: int) -> Bound:
        augment, parts = self._augment(), (self._expectation(total_steps), beta)
        weight = self._start_weight if self.start_weight is None else self.start_weight
        if augment is None and self.n_components > 1 and self.consistency not in (0.0, CONSISTENCY):
            raise InputError(
                f"consistency={self.consistency:g} for {self.kind_} rows without copies: it weighs how far the copies "
                "of a row agree; leave it out, or ask for copies (augment, --augment), which images, signals and "
                "tables have"
            )
        bound = Bound(*parts, start_weight=weight, overcount=self._overcount)
        if augment is None or self.consistency == 0:
            return bound
        if self._consistent():
            bound = Consistent(**vars(bound), copies=Copies(augment), weight=self.consistency * augment.weight)
        if not augment.learned or self.preset == "paper" or not self.copy_share:
            return bound
        return among_copies(bound, augment, self.copy_share, total_steps)

    def _start(self) -> Start:
        for init, shape, expected in (
            ("signals", self.signal_shape_, "signals (n, channels, time)"),
            ("spectrum", self.signal_shape_, "signals (n, channels, time)"),
            ("edges", self.image_shape_, "pictures (n, height, width)"),
        ):
            if self.init == init and shape is None:
                raise InputError(
                    f"init={init!r} for rows taken for {self.kind_}: expected {expected}; reshape them, or leave init "
                    "at 'auto'"
                )
        if self.init != "auto":
            return STARTS[self.init]
        by_neighbours = likelihoods.LIKELIHOODS[self.likelihood_].by_neighbours
        return choose(self._form().shape, self._stationary, by_neighbours)

    _time_tells = _overcount = 1.0  # of what was not looked at, nothing is changed
    _start_weight = START_WEIGHT

    def _look_at(self, rows: Rows, known: bool) -> None:
        self._start_weight = START_WEIGHT if known or len(rows) < MANY else 0.0
        shape = self.signal_shape_
        self._time_tells = 1.0 if shape is None else share_of_time(rows, shape)
        self._overcount = 1.0 if len(self._form().shape) == 1 else overcount(rows)

    @property
    def _stationary(self) -> bool:
        return self._time_tells < STATIONARY

    def _covariance(self, n_rows: int) -> str:
        if self.covariance_type != "auto":
            return self.covariance_type
        many = n_rows >= max(MANY, FULL_SHARE * self.latent_dim * self.n_components)
        return "full" if many and self.latent_dim <= FULL_DIM else "diag"

    def _seen(self) -> list[str]:
        found = []
        if self.covariance_type == "auto" and self.covariance_ == "full":
            found.append(
                "full covariances of the code in each category, as for 20,000 training rows and more: better bounds, "
                "slower steps (covariance_type='diag', --covariance diag: without)"
            )
        if self._stationary and self._augment() is not None:
            found.append(
                f"signals that may begin anywhere: time tells {self._time_tells:.0%} of their variance; their "
                "categories begin with their spectrum and do not depend on where a signal begins (augment='none', "
                "init='signals', or --augment none, --init signals: they do)"
            )
        return found

    def _augment(self) -> Augment | None:
        by_column = likelihoods.by_schema(self.likelihood_)
        auto = "affine" if self.image_shape_ else "roll" if self._stationary else "hide" if by_column else "none"
        name = auto if self.augment == "auto" else self.augment
        if name == "none":
            return None
        shape = self._form().shape if by_column else self.image_shape_ or self.signal_shape_
        maker = AUGMENTS[name]
        if shape is None or maker.kind != ("table" if by_column else self.kind_):
            expected = {
                "images": "(n, channels, height, width)",
                "signals": "(n, channels, time)",
                "table": "whose columns have kinds (schema)",
            }[maker.kind]
            raise InputError(
                f"augment={self.augment!r} for rows taken for {self.kind_}: expected {maker.kind} {expected}; reshape "
                "them, or leave augment at 'auto'"
            )
        alone = self.n_components == 1 and not maker.learned  # a single category is the same for all copies
        small = self.image_shape_ is not None and min(shape[1:]) < likelihoods.LIKELIHOODS[self.likelihood_].least_side
        if self.augment == "auto" and (alone or self.init == "random" or small):
            return None
        return maker(shape)

    def _consistent(self) -> bool:
        return self.consistency > 0 and self.n_components > 1 and self._augment() is not None


@takes_arguments
class VAE(DeepMixture):
    """A variational autoencoder with the standard normal prior (Kingma and Welling, 2014; eq. 2 of the paper).

    `VAE` takes all arguments of `CPVAE` that do not concern categories, and:

    Args:
        prior: p(z), a name in `cpvae.probability.priors.PRIORS`.

    Examples:
        >>> import numpy as np
        >>> X = np.random.RandomState(0).normal(size=(200, 3))
        >>> model = VAE(latent_dim=2, hidden=(8,), max_epochs=2, random_state=0).fit(X)
        >>> model.transform(X).shape
        (200, 2)
        >>> rows, _ = model.sample(5)
        >>> rows.shape
        (5, 3)
    """

    name = "vae"

    prior: str = argument(among(PRIORS), default="normal")

    def _module(self, likelihood: likelihoods.Likelihood) -> VAEModule:
        return recipes.one_level(likelihood, PRIORS[self.prior](self.latent_dim), self.latent_dim, self._network())


class HVAE(VAE):
    """A VAE with two levels of codes, `latent_dim` dimensions each (Tomczak and Welling, 2018).

    The model is ``p(z2) p(z1 | z2) p(x | z1, z2)`` with a standard normal p(z2). `HVAE` takes the arguments of `VAE`;
    `prior` is the prior of the top level, z2. `transform` gives both levels, z2 first.

    Examples:
        >>> import numpy as np
        >>> X = np.random.RandomState(0).normal(size=(200, 3))
        >>> HVAE(latent_dim=2, hidden=(8,), max_epochs=2, random_state=0).fit(X).transform(X).shape
        (200, 4)
    """

    name = "hvae"

    def _module(self, likelihood: likelihoods.Likelihood) -> VAEModule:
        return recipes.two_level(likelihood, PRIORS[self.prior](self.latent_dim), self.latent_dim, self._network())


@takes_arguments
class MoGVAE(Clusterer):
    """A VAE whose prior is a learned mixture of K Gaussians, MG in the paper.

    Encoder and decoder do not depend on the component. `predict_proba` gives responsibilities,
    ``E_{q(z|x)} p(k | z)``. `MoGVAE` takes the arguments of `CPVAE`, except `expectation`, `temperature`, `init`,
    `augment`, `consistency`, `copy_share` and `start_weight`. `weights` and `covariance_type` are the weights and
    covariances of the components; `covariance_type` is "diag" unless it is given.

    Examples:
        >>> import numpy as np
        >>> X = np.random.RandomState(0).normal(size=(200, 3))
        >>> model = MoGVAE(4, latent_dim=2, hidden=(8,), max_epochs=2, random_state=0).fit(X)
        >>> model.predict_proba(X).shape, model.means_.shape
        ((200, 4), (4, 2))
    """

    name = "mog"

    weights: str = argument(among(get_args(Weights)), default="uniform")
    covariance_type: str = argument(among(COVARIANCES), default="diag")

    def _module(self, likelihood: likelihoods.Likelihood) -> VAEModule:
        return recipes.mog(
            likelihood,
            int(self.n_components),
            self.latent_dim,
            self._network(),
            weights=self.weights,  # type: ignore[arg-type]
            covariance=self._chosen_covariance(),
        )


@takes_arguments
class VampVAE(Clusterer):
    """A VAE with a VampPrior, VP in the paper: ``p(z) = 1/K sum_k q(z | u_k)`` (Tomczak and Welling, 2018).

    The K pseudo-inputs u_k are learned. By default they begin as training rows. They are part of a saved model, so
    after a short fit, or with a small learning rate, the file may still hold those rows. If your data must stay
    private, use ``pseudo_inputs="random"``: the file then holds no row. `predict_proba` gives the responsibility of
    each pseudo-input, ``E_{q(z|x)} p(k | z)``. `VampVAE` takes the arguments of `MoGVAE`, except `weights` and
    `covariance_type`, and:

    Args:
        pseudo_inputs: first values of the pseudo-inputs: "rows" are training rows drawn at random; "random" are numbers
            drawn as the authors of the VampPrior do for binary images (`cpvae.probability.priors.Vamp`).

    Examples:
        >>> import numpy as np
        >>> X = np.random.RandomState(0).normal(size=(200, 3))
        >>> model = VampVAE(4, latent_dim=2, hidden=(8,), max_epochs=2, random_state=0).fit(X)
        >>> model.predict_proba(X).shape, model.means_.shape
        ((200, 4), (4, 2))
    """

    name = "vamp"
    part_name = "pseudo-inputs"

    pseudo_inputs: str = argument(among(("rows", "random")), default="rows")

    def _module(self, likelihood: likelihoods.Likelihood) -> VAEModule:
        return recipes.vamp(likelihood, int(self.n_components), self.latent_dim, self._network())

    def _prepare(self, model: VAEModule, rows: Rows, seed: int) -> None:
        prior = component_prior(model.prior)
        if self.pseudo_inputs == "rows" and prior is not None:
            if len(rows) < self.n_components:
                raise InputError(
                    f"{counted(len(rows), 'training row')} for {self.n_components} pseudo-inputs: expected at least "
                    "as many; give more rows, ask for fewer components, or say pseudo_inputs='random'"
                )
            chosen = check_random_state(seed).choice(len(rows), self.n_components, replace=False)
            x = rows.take(torch.from_numpy(chosen).to(rows.device))
            prior.set_pseudo_inputs(model.likelihood.inputs(model.likelihood.to_model(x)))


class VampHVAE(VampVAE):
    """`HVAE` with a VampPrior on its top level, HVP in the paper (Tomczak and Welling, 2018).

    `VampHVAE` takes the arguments of `VampVAE`. The components belong to the top level.

    Examples:
        >>> import numpy as np
        >>> X = np.random.RandomState(0).normal(size=(200, 3))
        >>> model = VampHVAE(4, latent_dim=2, hidden=(8,), max_epochs=2, random_state=0).fit(X)
        >>> model.predict_proba(X).shape, model.transform(X).shape
        ((200, 4), (200, 4))
    """

    name = "hvae-vamp"

    def _module(self, likelihood: likelihoods.Likelihood) -> VAEModule:
        return recipes.hvae_vamp(likelihood, int(self.n_components), self.latent_dim, self._network())


class CPHVAE(CPVAE):
    """`HVAE` with the categories and the conditional prior of `CPVAE` on its top level; the paper does not have it.

    `CPHVAE` takes the arguments of `CPVAE`. The categories belong to the top level: z2 depends on c, z1 on z2, and
    the mean of a row on both codes. Where each category has a noise of its own, that depends on c.

    Examples:
        >>> import numpy as np
        >>> random = np.random.RandomState(0)
        >>> X = np.concatenate([random.normal(-3, 1, (200, 2)), random.normal(3, 1, (200, 2))])
        >>> model = CPHVAE(2, latent_dim=2, hidden=(16,), max_epochs=10, batch_size=20, random_state=0).fit(X)
        >>> labels = model.predict(X)
        >>> bool((labels[:200] == labels[0]).mean() > 0.9 and (labels[200:] != labels[0]).mean() > 0.9)
        True
        >>> model.transform(X).shape
        (400, 4)
    """

    name = "hvae-cp"
    _recipe = staticmethod(recipes.hvae_cp)


MODELS = (CPVAE, VAE, MoGVAE, VampVAE, HVAE, VampHVAE, CPHVAE)
ESTIMATORS: dict[str, type[DeepMixture]] = {cls.name: cls for cls in MODELS}


def load(path: str | Path) -> DeepMixture:
    """Open a saved model, or the model of a run folder. Nothing in the file is executed.

    If the fit was stopped, a warning says how to resume it.

    Raises:
        InputError: the path holds no saved model and no run, the run has no model, or the file is damaged, was changed,
            or comes from a newer version.
    """
    return files.load(path, ESTIMATORS.values())
