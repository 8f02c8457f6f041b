"""One self-contained HTML page about a fitted model: what was fitted, its categories, what to watch out for.

The page needs nothing but itself: pictures are inlined, no script, no request to any server (its own
Content-Security-Policy forbids them). Whatever comes from the user is escaped by the template.
"""

from __future__ import annotations

import base64
import io
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from math import log, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from PIL import Image
from scipy.stats import entropy
from sklearn.decomposition import PCA
from sklearn.utils.validation import check_is_fitted

from cpvae import figures, metrics, runs
from cpvae.base import Clusterer, DeepMixture
from cpvae.checkpoints import write_atomic
from cpvae.errors import InputError
from cpvae.findings import findings, percent
from cpvae.groups import OVERLAP, in_use
from cpvae.inference import Evaluation, components_used, information_c, standard_error
from cpvae.schema import KINDS, Schema, as_frame

MAX_ROWS = 5_000  # rows looked at
MAX_DECODED = 100_000  # rows times categories, if that is less: a page takes a minute, not an hour
MAX_PAIRED = 2_000  # rows in the map, and in the n-by-n sum of eq. (13)
MAX_PAIRS = 40_000_000  # n^2 K of that sum
DRAWN = 30  # categories at most
SHOWN = 8  # images or rows of each kind
NEW_ROWS = 300  # of a table, for a profile
FEW_COLUMNS = 12  # columns that fit side by side in a printed table
FEW_LINES = 40  # and below each other
LARGEST_SIDE = 96  # pixels of an image on the page

MODELS = {
    "CPVAE": "CP-VAE, a deep mixture model",
    "VAE": "VAE, with a standard normal prior and no categories",
    "MoGVAE": "VAE with a mixture-of-Gaussians prior (MG); its categories are the components of the prior",
    "VampVAE": "VAE with a VampPrior (VP); its categories are the pseudo-inputs of the prior",
    "HVAE": "HVAE, a VAE with two levels of codes, a standard normal prior and no categories",
    "VampHVAE": "HVAE with a VampPrior (HVP), two levels of codes; its categories are the pseudo-inputs of the prior",
}
LIKELIHOODS = {
    "bernoulli": "Bernoulli: a value is the probability of ink; the bound is for one draw of the pixels",
    "gaussian": "Gaussian: columns standardised inside, densities in the units of the data",
    "columns": "each column after its kind (normal, categorical, negative binomial), missing cells marginalised out; "
    "densities in the units of the data",
}


@dataclass(frozen=True)
class Fact:
    """A line of the table at the top, or a key number: `meaning` says in a sentence what it tells."""

    name: str
    value: str
    meaning: str = ""


@dataclass(frozen=True)
class Picture:
    """An image of the page: `source` is a data URI."""

    source: str
    alt: str
    smooth: bool


@dataclass(frozen=True)
class Table:
    """Numbers in print: `rows` are a heading and its cells."""

    caption: str
    columns: list[str]
    rows: list[tuple[str, list[str]]]


@dataclass(frozen=True)
class Category:
    """What the page shows of one category."""

    number: int
    share: float
    count: int
    label: str
    traits: str
    nearest: list[int]
    nearest_pictures: list[Picture]
    new_pictures: list[Picture]
    figure: Markup | None
    table: Table | None


@dataclass(frozen=True)
class Shown:
    """The rows a page is about, and what the model says of them.

    Attributes:
        given: as the estimator takes them.
        values: ``(n, F)`` float64, in the units of the data; of a table with a schema one column for each level, NaN
            where a cell is missing.
        index: their numbers in what was given, ``(n,)``; total: how many were given.
        labels: ``(n,)`` or None.
        names: of the columns of `values`.
        missing: share of the cells of the table that are missing.
        z: posterior means, ``(n, D)``.
        categories: ``(n,)``, or None for a model without.
    """

    given: Any
    values: np.ndarray
    index: np.ndarray
    total: int
    labels: np.ndarray | None
    names: list[str]
    missing: float
    evaluation: Evaluation
    z: np.ndarray
    categories: np.ndarray | None

    @property
    def standardised(self) -> np.ndarray:
        """`values` in standard deviations from the mean of these rows."""
        return self.standardise(self.values)

    def standardise(self, values: np.ndarray) -> np.ndarray:
        scale = means(np.square(self.values - self.means)) ** 0.5
        return (values - self.means) / np.where(scale > 0, scale, 1.0)

    @property
    def means(self) -> np.ndarray:
        """Of the columns."""
        return means(self.values)


def write_report(
    model: DeepMixture,
    X: ArrayLike,
    *,
    path: str | Path,
    data_name: str,
    labels: ArrayLike | None = None,
    rows_name: str = "",
    config: Mapping[str, Any] | None = None,
    feature_names: Sequence[str] | None = None,
    run: str | Path | None = None,
    max_rows: int = MAX_ROWS,
) -> Path:
    """Write the page of a fitted model.

    Args:
        model: fitted.
        X: rows to show and to measure on, as the model takes them; only `max_rows` of them, drawn with a fixed seed.
        path: where the page goes.
        data_name: what the data are called.
        labels: of the rows, ``(n,)``, any type; used to judge, never to fit.
        rows_name: which rows these are, such as "test".
        config: of the run (``config.json``).
        feature_names: of the columns, by default those the model or the rows bring.
        run: the run folder, for the commands at the end; by default the folder of `path` if it is one.

    Returns:
        `path`.

    Raises:
        InputError: rows the model cannot take, labels of another length, a path that cannot be written.
    """
    path = Path(path)
    if run is None and (path.parent / runs.CONFIG).is_file():
        run = path.parent
    page = render(
        model,
        X,
        data_name=data_name,
        labels=labels,
        rows_name=rows_name,
        config=config,
        feature_names=feature_names,
        run=run,
        max_rows=max_rows,
    )
    write_atomic(path, page)
    return path


def render(
    model: DeepMixture,
    X: ArrayLike,
    *,
    data_name: str,
    labels: ArrayLike | None = None,
    rows_name: str = "",
    config: Mapping[str, Any] | None = None,
    feature_names: Sequence[str] | None = None,
    run: str | Path | None = None,
    max_rows: int = MAX_ROWS,
) -> str:
    """The page as text; arguments as for `write_report`."""
    check_is_fitted(model)
    config = config or {}
    shown = look_at(model, X, labels, feature_names, max_rows)
    drawn = np.array([], np.int64)
    if shown.categories is not None:
        drawn = categories_to_draw(model.weights_, np.bincount(shown.categories, minlength=model.n_components))
    context = {
        "data_name": data_name,
        "headline": headline(model, config),
        "summary": summary(model, shown),
        "rows_line": rows_line(shown, rows_name),
        "numbers": list(key_numbers(model, shown)),
        "facts": list(facts(model, shown, config)),
        "settings": [Fact(name, str(value)) for name, value in sorted(model.get_params().items())],
        "findings": findings(model, shown.evaluation, shown.values),
        "bounds": inline(figures.bound_curves(model.history_, model.best_epoch_)) if model.history_ else None,
        "kl": inline(kl_figure(model)) if model.history_ else None,
        "diagnosis": diagnosis(model),
        "bounds_text": bounds_text(model),
        "is_image": model.image_shape_ is not None,
        "has_categories": shown.categories is not None,
        "categories": [category(model, shown, int(k)) for k in drawn],
        "categories_line": categories_line(model, shown, drawn) if shown.categories is not None else "",
        "overview": overview(model, shown, drawn),
        "labels_table": labels_table(shown, drawn),
        **new_rows(model, shown),
        **reconstructions(model, shown),
        **latent_space(shown),
        "commands": commands(model, run, config),
    }
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["percent"] = percent
    template = environment.from_string(files("cpvae").joinpath("report.html.j2").read_text("utf-8"))
    return template.render(context)


# -- rows -------------------------------------------------------------------------------------------------------------


def look_at(
    model: DeepMixture, X: ArrayLike, labels: ArrayLike | None, feature_names: Sequence[str] | None, max_rows: int
) -> Shown:
    """Choose rows and ask the model about them."""
    X = X if hasattr(X, "shape") else np.asarray(X)
    total = X.shape[0]
    y = None if labels is None else np.asarray(labels)
    if y is not None and y.shape != (total,):
        raise InputError(
            f"labels of shape {y.shape} for {total} rows: expected ({total},); give one label for each row"
        )
    n = min(total, max_rows, max(1_000, MAX_DECODED // model.n_components))
    index = np.sort(np.random.RandomState(0).permutation(total)[:n])
    given = _as_fitted(model, X.iloc[index] if isinstance(X, pd.DataFrame) else X[index])  # type: ignore[index]
    evaluation = model.evaluate(given)
    names: Sequence[str] | None
    missing = 0.0
    if model.schema_ is not None:
        matrix = model.schema_.encode(given)
        values, names = model.schema_.expand(matrix)
        missing = float(np.isnan(matrix).mean())
    else:
        values = np.asarray(given, dtype=np.float64).reshape(n, -1)
        names = feature_names if feature_names is not None else getattr(model, "feature_names_in_", None)
        if names is None or len(names) != values.shape[1]:
            names = [f"column {i}" for i in range(values.shape[1])]
    mixed = len(getattr(model, "weights_", ())) == evaluation.proba.shape[1]
    return Shown(
        given=given,
        values=values,
        index=index,
        total=total,
        labels=_usable(None if y is None else y[index]),
        names=[str(name) for name in names],
        missing=missing,
        evaluation=evaluation,
        z=model.transform(given),
        categories=evaluation.proba.argmax(1) if mixed else None,
    )


def _as_fitted(model: DeepMixture, rows: Any) -> Any:
    """Rows with names of columns if the model was fitted with them, and without otherwise, as scikit-learn wants it."""
    if model.schema_ is not None:
        return as_frame(rows, model.schema_.given)
    names = getattr(model, "feature_names_in_", None)
    if isinstance(rows, pd.DataFrame):
        return rows if names is not None else rows.to_numpy()
    rows = np.asarray(rows)
    if names is None:
        return rows
    if rows.ndim != 2 or rows.shape[1] != len(names):
        raise InputError(f"rows of shape {rows.shape[1:]}: expected the {len(names)} columns the model was fitted on")
    return pd.DataFrame(rows, columns=list(names))


def _take(given: Any, index: np.ndarray) -> Any:
    return given.iloc[index] if isinstance(given, pd.DataFrame) else given[index]


def _usable(labels: np.ndarray | None) -> np.ndarray | None:
    """Labels as text; None if they are measurements rather than labels: more than half of them distinct."""
    if labels is None:
        return None
    text = labels.astype(str)
    return text if len(np.unique(text)) <= max(20, len(text) // 2) else None


def nearest_rows(
    z: np.ndarray, categories: np.ndarray, k: int, mean: np.ndarray, scale: np.ndarray, m: int
) -> np.ndarray:
    """The rows of category `k` nearest to its centre.

    Args:
        z: latent means, ``(n, D)``, the top level first; categories: of the rows, ``(n,)``.
        mean, scale: of p(z | c = k), ``(D,)``.
        m: how many at most.

    Returns:
        Indices, nearest first, by the distance in standard deviations of p(z | c = k) (Mahalanobis).
    """
    own = np.flatnonzero(categories == k)
    distance = np.square((z[own, : len(mean)] - mean) / scale).sum(1)  # of the top level, where there are two
    return own[np.argsort(distance, kind="stable")[:m]]


def categories_to_draw(weights: np.ndarray, counts: np.ndarray, most: int = DRAWN) -> np.ndarray:
    """The categories worth a picture, largest first: those with at least a tenth of an even share.

    Args:
        weights: their shares, ``(K,)``.
        counts: how many of the rows shown are in each; one without is left out, unless the rows are too few to tell.
        most: at most so many.
    """
    order = np.argsort(-weights, kind="stable")
    worth = in_use(weights)
    if counts.sum() >= len(weights):
        worth &= counts > 0
    return order[worth[order]][:most]


# -- words and numbers ------------------------------------------------------------------------------------------------


def plain(value: float) -> str:
    """A number in four significant digits, without an exponent where it can be helped.

    >>> plain(1234567.0), plain(3.14159), plain(0.00001234), plain(-0.0)
    ('1,234,567', '3.142', '1.234e-05', '0')
    """
    if value == 0 or not np.isfinite(value):
        return "0" if value == 0 else str(value)
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def means(values: np.ndarray) -> np.ndarray:
    """Means of the columns ``(n, F)`` over the cells that are not missing; NaN where there are none.

    >>> means(np.array([[1.0, np.nan], [3.0, np.nan]])).tolist()
    [2.0, nan]
    """
    known = ~np.isnan(values)
    count = known.sum(0)
    total = np.where(known, values, 0.0).sum(0)
    return np.divide(total, count, out=np.full(values.shape[1], np.nan), where=count > 0)


def duration(seconds: float) -> str:
    """Seconds in words.

    >>> duration(8.21), duration(75), duration(7300)
    ('8.2 s', '1 min 15 s', '2 h 1 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def stopped_words(model: DeepMixture) -> str:
    """Why training stopped."""
    why = {
        "max_epochs": f"it had made the {_epochs(model)} asked for",
        "early_stopping": "the validation bound had stopped improving",
        "not_finite": "a value became infinite or not a number",
    }.get(model.stopped_, str(model.stopped_))
    return f"{why}; the weights of epoch {model.best_epoch_} were kept"


def headline(model: DeepMixture, config: Mapping[str, Any]) -> str:
    """What was fitted, in a line."""
    words = [MODELS.get(type(model).__name__, type(model).__name__).split(",")[0].split(";")[0]]
    words += [f"{model.n_components} categories"] if model.n_components > 1 else []
    words += [f"{model.likelihood_} likelihood", f"{_shape(model)}"]
    fitted_on = config.get("data", {}).get("rows")
    words += [f"fitted on {fitted_on:,} rows"] if fitted_on is not None else []
    return " · ".join([*words, f"{_epochs(model)} in {duration(_seconds(model))}", f"seed {model.random_state}"])


def _epochs(model: DeepMixture) -> str:
    return f"{model.n_iter_} epoch{'s' * (model.n_iter_ != 1)}"


def _shape(model: DeepMixture) -> str:
    if model.image_shape_ is None:
        return f"{model.n_features_in_:,} column{'s' * (model.n_features_in_ != 1)}"
    channels, height, width = model.image_shape_
    return f"images of {height} by {width} pixels" + (f", {channels} channels" if channels > 1 else "")


def used_categories(shown: Shown) -> int:
    """How many categories are in use on these rows (`cpvae.inference.components_used`)."""
    q_c = shown.evaluation.q_c
    return components_used(np.bincount(q_c.argmax(1), minlength=q_c.shape[1]))


def summary(model: DeepMixture, shown: Shown) -> str:
    """What was found, in a few sentences."""
    if shown.categories is None:
        return (
            "The model has no categories: it describes all rows by one continuous code and can draw new rows like them."
        )
    k, used = model.n_components, used_categories(shown)
    weights = model.weights_
    text = f"All {k} categories are in use" if used == k else f"{used} of {k} categories are in use"
    text = {1: "There is a single category", 2: "Both categories are in use"}.get(k, text) if used == k else text
    if used > 1:
        text += f"; the largest holds {percent(weights.max())} of the training rows"
        sure = float((shown.evaluation.proba.max(1) >= 0.9).mean())
        text += f". For {percent(sure)} of the rows the model is at least 90 % sure of the category"
    if shown.labels is not None and k > 1:
        same = metrics.accuracy_hungarian(shown.labels, shown.categories)
        text += f". With one label for each category, {percent(same)} of the rows agree with their label"
    return text + "."


def rows_line(shown: Shown, rows_name: str) -> str:
    """Which rows the numbers are about."""
    n, name = len(shown.index), f"{rows_name} " if rows_name else ""
    text = f"Measured on {n:,} {name}rows"
    if n < shown.total:
        text = f"Measured on {n:,} of {shown.total:,} {name}rows, drawn at random"
    if shown.missing:
        text += f"; {percent(shown.missing)} of the cells are missing, and no number here fills them"
    return text + ". Rows are counted from 0."


def key_numbers(model: DeepMixture, shown: Shown) -> Iterator[Fact]:
    """The numbers one looks at first, each with what it means."""
    found = shown.evaluation
    bound = f"{-found.elbo.mean(dtype=np.float64):,.2f}"
    if len(found.elbo) > 1:
        bound += f" ± {standard_error(found.elbo):.2f}"
    yield Fact(
        "negative bound, nats a row",
        bound,
        "An upper limit of -log p(x), averaged over the rows, with its standard error: lower is better. It compares "
        "models of the same data only.",
    )
    if model.model_.n_categories > 1:
        yield Fact(
            "tight bound, nats a row",
            f"{-found.elbo_tight.mean(dtype=np.float64):,.2f}",
            "The same limit with the best possible choice of categories; far below the first number it says that the "
            "network guesses categories badly.",
        )
    if shown.categories is not None:
        yield Fact(
            "information about c, nats a row",
            f"{information_c(found.q_c):.2f}",
            "What a row tells about its category: their mutual information. At most "
            f"log {model.n_components} = {log(model.n_components):.2f}, and 0 if categories are not used.",
        )
    yield Fact(
        "KL(z), nats a row",
        f"{found.kl_z.mean(dtype=np.float64):.2f}",
        "What a row tells about its continuous code"
        + (" beyond its category" if model.model_.n_categories > 1 else "")
        + "; near 0 the code is not used.",
    )
    yield _information(model, shown)
    if shown.categories is not None:
        q_c = found.q_c.mean(0, dtype=np.float64)
        spread, most = float(entropy(q_c)), log(model.n_components)
        yield Fact(
            "entropy of q(c), nats",
            f"{spread:.2f} of {most:.2f}",
            f"How evenly the rows fill the categories: as much as {np.exp(spread):.1f} categories of equal size would.",
        )
        yield Fact(
            "categories in use",
            f"{used_categories(shown)} of {model.n_components}",
            "Those that are the likeliest category of at least a tenth of an even share of these rows.",
        )
        if model.n_components > 2:
            yield Fact(
                "groups of categories",
                str(int(model.groups().max() + 1)),
                f"Categories in use are one group where what they generate is mixed up in {OVERLAP / 2:.0%} of rows or "
                "more: with more categories than sources, several share one.",
            )
        if shown.labels is not None:
            yield from _agreement(shown.labels, shown.categories)


def _information(model: DeepMixture, shown: Shown) -> Fact:
    """Mutual information of eq. (13), on so many rows as the sum over pairs allows."""
    n = min(len(shown.index), MAX_PAIRED, int(sqrt(MAX_PAIRS / model.n_components)))
    parts = model.decompose(_take(shown.given, np.arange(n)))
    value, most = float(parts.mutual_information.mean()), log(n)
    text = f"What the code of a row tells about which of {n:,} rows it is; it cannot exceed log {n:,} = {most:.2f}"
    full = value > most - 0.05
    return Fact(
        "mutual information, nats",
        f"{'≥ ' * full}{value:.2f}",
        f"{text}{', and is there: every row has a code of its own' * full}.",
    )


def _agreement(labels: np.ndarray, categories: np.ndarray) -> Iterator[Fact]:
    yield Fact(
        "accuracy, one-to-one",
        percent(metrics.accuracy_hungarian(labels, categories)),
        "Rows whose label is that of their category, under the best pairing of categories with labels on these rows.",
    )
    yield Fact(
        "accuracy, majority",
        percent(metrics.accuracy_majority(labels, categories)),
        "The same where each category takes its most frequent label; it grows with the number of categories.",
    )
    yield Fact(
        "NMI",
        f"{metrics.nmi(labels, categories):.3f}",
        "Normalised mutual information of categories and labels: 0 unrelated, 1 the same.",
    )
    yield Fact(
        "ARI",
        f"{metrics.ari(labels, categories):.3f}",
        "Adjusted Rand index: 0 as by chance, 1 the same grouping.",
    )


def facts(model: DeepMixture, shown: Shown, config: Mapping[str, Any]) -> Iterator[Fact]:
    """What was fitted, to what, how, and with which software."""
    yield Fact("Model", MODELS.get(type(model).__name__, type(model).__name__))
    fitted_on = config.get("data", {}).get("rows")
    if fitted_on is not None:
        yield Fact("Rows fitted on", f"{fitted_on:,}")
    yield Fact("A row", _shape(model))
    yield Fact("Likelihood", LIKELIHOODS.get(model.likelihood_, model.likelihood_))
    if model.schema_ is not None:
        kinds = [column.kind for column in model.schema_.columns]
        counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in KINDS if kind in kinds)
        ignored = f"; left out: {', '.join(model.schema_.ignored)}" if model.schema_.ignored else ""
        yield Fact("Kinds of columns", counts + ignored)
    if shown.categories is not None:
        yield Fact("Categories (K)", str(model.n_components))
    yield Fact("Dimensions of the code z", str(model.latent_dim))
    yield Fact("Weights in the networks", f"{sum(p.numel() for p in model.model_.parameters()):,}")
    yield Fact("Training", f"{_epochs(model)} in {duration(_seconds(model))}, without the start")
    yield Fact("Stopped because", stopped_words(model))
    place = next(model.model_.parameters()).device
    yield Fact("Device", str(config.get("device") or (model.device if model.device != "auto" else place)))
    yield Fact("Seed", f"{model.seed_} (random_state={model.random_state!r})")
    versions = config.get("versions") or runs.versions()
    yield Fact("Versions", ", ".join(f"{name} {version}" for name, version in versions.items()))


def _seconds(model: DeepMixture) -> float:
    return float(sum(record["seconds"] for record in model.history_))


def bounds_text(model: DeepMixture) -> str:
    """The curves in a sentence, for those who cannot see them."""
    if not model.history_:
        return "No epoch was completed."
    first, last = model.history_[0], model.history_[-1]
    text = (
        f"From epoch {first['epoch']} to {last['epoch']} the negative bound of the validation rows went from "
        f"{first['valid_negative_elbo']:.2f} to {last['valid_negative_elbo']:.2f} nats a row"
    )
    begin, end = first["train_negative_elbo"], last["train_negative_elbo"]
    return text + (
        "." if begin is None or end is None else f", that of the training rows from {begin:.2f} to {end:.2f}."
    )


def kl_figure(model: DeepMixture) -> Figure:
    """The divergences over training."""
    return figures.kl_curves(model.history_, model.n_components, model.model_.n_categories)


def diagnosis(model: DeepMixture) -> Markup | None:
    """The parts of eq. (13) over training, for a model with categories whose history has them."""
    if not isinstance(model, Clusterer) or not model.history_ or "mutual_information_c" not in model.history_[0]:
        return None
    return inline(figures.diagnosis_curves(model.history_, model.n_components))


# -- pictures ---------------------------------------------------------------------------------------------------------


def inline(figure: Figure) -> Markup:
    """A figure as SVG; its text was escaped as it was written."""
    return Markup(figures.svg(figure))


def data_uri(tile: np.ndarray) -> str:
    """uint8 ``(h, w[, 3])`` as an image in a data URI, at most 96 pixels wide: PNG, or JPEG where PNG is large."""
    image = Image.fromarray(tile)
    if max(image.size) > LARGEST_SIDE:
        image.thumbnail((LARGEST_SIDE, LARGEST_SIDE), Image.Resampling.BOX)
    kind, content = "png", _encoded(image, "PNG", optimize=True)
    if len(content) > 5_000:
        kind, content = "jpeg", _encoded(image, "JPEG", quality=85)
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def pictures(images: np.ndarray, alts: Sequence[str], limits: tuple[float, float]) -> list[Picture]:
    """Images ``(n, c, h, w)`` for the page."""
    tiles = figures.pixels(images, limits)
    smooth = max(tiles.shape[1:3]) > 40
    return [Picture(data_uri(tile), alt, smooth) for tile, alt in zip(tiles, alts, strict=True)]


def _images(model: DeepMixture, values: np.ndarray) -> np.ndarray:
    assert model.image_shape_ is not None
    return values.reshape(-1, *model.image_shape_)


def _limits(model: DeepMixture, shown: Shown) -> tuple[float, float]:
    """Black and white, the same in every image of the page."""
    full = getattr(model.model_.likelihood, "full", None)
    return (0.0, float(full)) if isinstance(full, torch.Tensor) else figures.value_limits(shown.values)


def _draw(model: DeepMixture, n: int, component: int | None, mean: bool) -> np.ndarray:
    """New rows ``(n, F)``, float64, the same each time the page is made."""
    rows, _ = model.sample(n, component, mean=mean, random_state=0 if component is None else component)
    if model.schema_ is not None:
        return model.schema_.expand(model.schema_.encode(rows))[0]
    return rows.reshape(n, -1).astype(np.float64)


# -- categories -------------------------------------------------------------------------------------------------------


def categories_line(model: DeepMixture, shown: Shown, drawn: np.ndarray) -> str:
    """What is not drawn."""
    assert shown.categories is not None
    counts = np.bincount(shown.categories, minlength=model.n_components)
    worth = categories_to_draw(model.weights_, counts, model.n_components)
    rest, text = worth[len(drawn) :], ""
    if len(rest):
        share = percent(float(model.weights_[rest].sum()))
        text = f"The {len(drawn)} largest are shown; {len(rest)} more in use, {share} of the rows, are left out. "
    hardly = np.setdiff1d(np.arange(model.n_components), worth)
    if len(hardly):
        numbers = ", ".join(str(k) for k in hardly[:40]) + (", …" if len(hardly) > 40 else "")
        text += f"Hardly used and not drawn, {len(hardly)} of {model.n_components}: {numbers}."
    return text.strip()


def category(model: DeepMixture, shown: Shown, k: int) -> Category:
    """Rows nearest to the centre of category `k`, and new rows from it."""
    assert shown.categories is not None
    own = shown.categories == k
    near = nearest_rows(shown.z, shown.categories, k, model.means_[k], model.scales_[k], SHOWN)
    old: list[Picture] = []
    new: list[Picture] = []
    figure = table = None
    if model.image_shape_ is not None:
        limits = _limits(model, shown)
        alts = [f"row {shown.index[i]}" for i in near]
        if len(near):
            old = pictures(_images(model, shown.values[near]), alts, limits)
        drawn = _images(model, _draw(model, SHOWN, k, mean=True))
        new = pictures(drawn, [f"new image {i + 1} of category {k}" for i in range(SHOWN)], limits)
    else:
        rows = _draw(model, NEW_ROWS if len(shown.names) > 1 else 2_000, k, mean=False)
        figure = inline(_comparison(shown, shown.values[own], rows))
        if len(shown.names) <= FEW_LINES:
            table = _columns_table(shown, own, rows, near, k)
    return Category(
        number=k,
        share=float(model.weights_[k]),
        count=int(own.sum()),
        label=_main_label(shown, own),
        traits=_traits(shown, own) if model.image_shape_ is None else "",
        nearest=[int(shown.index[i]) for i in near],
        nearest_pictures=old,
        new_pictures=new,
        figure=figure,
        table=table,
    )


def _comparison(shown: Shown, rows: np.ndarray, new: np.ndarray) -> Figure:
    """Given and new rows of a table: a histogram of one column, a profile of several."""
    if len(shown.names) == 1:
        limits = (float(np.nanmin(shown.values)), float(np.nanmax(shown.values)))
        rows = rows[~np.isnan(rows[:, 0])]
        return figures.histograms(rows[:, 0], {"new rows": new[:, 0]}, name=shown.names[0], limits=limits)
    groups = {"rows": shown.standardise(rows), "new rows": shown.standardise(new)}
    return figures.profiles(groups, shown.names)


def _columns_table(shown: Shown, own: np.ndarray, new: np.ndarray, near: np.ndarray, k: int) -> Table:
    """Means of columns in the units of the data, one line for each column."""
    columns = ["all rows", "rows here", "new rows", *(f"row {shown.index[i]}" for i in near[:1])]
    lines = []
    of_all, of_these, of_new = means(shown.values), means(shown.values[own]), means(new)
    for j, name in enumerate(shown.names):
        cells = [of_all[j], of_these[j], of_new[j], *(shown.values[i, j] for i in near[:1])]
        lines.append((name, ["" if np.isnan(cell) else plain(cell) for cell in cells]))
    return Table(f"Means in category {k}" + ", and its nearest row" * bool(len(near)), columns, lines)


def _traits(shown: Shown, own: np.ndarray, most: int = 3) -> str:
    """The columns in which a category differs most from all rows, in standard deviations."""
    if not own.any() or len(shown.names) < 2:
        return ""
    mean = np.nan_to_num(means(shown.standardised[own]))
    order = np.argsort(-np.abs(mean), kind="stable")[:most]
    return ", ".join(f"{shown.names[j]} {mean[j]:+.1f} s.d." for j in order if abs(mean[j]) >= 0.5)


def _main_label(shown: Shown, own: np.ndarray) -> str:
    if shown.labels is None or not own.any():
        return ""
    names, counts = np.unique(shown.labels[own], return_counts=True)
    return f"label {names[counts.argmax()]} in {percent(counts.max() / own.sum())} of them"


def overview(model: DeepMixture, shown: Shown, drawn: np.ndarray) -> Table | None:
    """The means of all columns in all categories side by side, if either are few; categories side by side at best."""
    if shown.categories is None or model.image_shape_ is not None or len(drawn) < 2:
        return None
    lines = [("all rows", [percent(1.0), *map(plain, shown.means)])]
    for k in drawn:
        cells = ["" if np.isnan(mean) else plain(mean) for mean in means(shown.values[shown.categories == k])]
        lines.append((f"category {k}", [percent(float(model.weights_[k])), *cells]))
    caption, names = "Means of the columns, in the units of the data", ["share", *shown.names]
    if len(shown.names) <= FEW_COLUMNS:
        return Table(caption, names, lines)
    if len(shown.names) > FEW_LINES or len(drawn) > FEW_COLUMNS:
        return None
    across = [(name, [cells[j] for _, cells in lines]) for j, name in enumerate(names)]
    return Table(caption, [heading for heading, _ in lines], across)


def labels_table(shown: Shown, drawn: np.ndarray) -> Table | None:
    """How many rows of each label each category holds, if both are few."""
    if shown.labels is None or shown.categories is None or len(drawn) < 2:
        return None
    names = np.unique(shown.labels)
    if len(names) > 20:
        return None
    lines = []
    for k in drawn:
        own = shown.labels[shown.categories == k]
        counts = [int((own == name).sum()) for name in names]
        lines.append((f"category {k}", [f"{count:,}" if count else "·" for count in counts]))
    return Table("Rows of each label in each category", [str(name) for name in names], lines)


# -- the model as a whole ---------------------------------------------------------------------------------------------


def new_rows(model: DeepMixture, shown: Shown) -> dict[str, Any]:
    """New rows, categories drawn by their share."""
    if model.image_shape_ is None:
        rows = _draw(model, 2_000 if len(shown.names) == 1 else 500, None, mean=False)
        return {"new_pictures": [], "new_figure": inline(_comparison(shown, shown.values, rows))}
    images = _images(model, _draw(model, 4 * SHOWN, None, mean=True))
    alts = [f"new image {i + 1}" for i in range(len(images))]
    return {"new_pictures": pictures(images, alts, _limits(model, shown)), "new_figure": None}


def reconstructions(model: DeepMixture, shown: Shown) -> dict[str, Any]:
    """Some rows beside what the model makes of them."""
    chosen = np.unique(np.linspace(0, len(shown.index) - 1, SHOWN).round().astype(np.int64))
    again = model.reconstruct(_take(shown.given, chosen))
    rows, numbers = shown.values[chosen], shown.index[chosen]
    result: dict[str, Any] = {"pairs": [], "pairs_table": None, "pairs_figure": None}
    if model.schema_ is not None:
        made = model.schema_.expand(model.schema_.encode(again))[0]
        if len(model.schema_.columns) <= FEW_COLUMNS:
            result["pairs_table"] = _cells_table(model.schema_, _take(shown.given, chosen), again, numbers)
            return result
    else:
        made = np.asarray(again, np.float64).reshape(len(chosen), -1)
    if model.image_shape_ is not None:
        limits = _limits(model, shown)
        old = pictures(_images(model, rows), [f"row {i}" for i in numbers], limits)
        new = pictures(_images(model, made), [f"reconstruction of row {i}" for i in numbers], limits)
        result["pairs"] = list(zip(old, new, strict=True))
    elif len(shown.names) <= FEW_COLUMNS:
        lines = []
        for i, row, made_up in zip(numbers, rows, made, strict=True):
            lines.append((f"row {i}", [plain(value) for value in row]))
            lines.append(("reconstruction", [plain(value) for value in made_up]))
        result["pairs_table"] = Table("Rows and their reconstructions, in the units of the data", shown.names, lines)
    else:
        titles = [f"row {i}" for i in numbers]
        result["pairs_figure"] = inline(figures.overlays(shown.standardise(rows), shown.standardise(made), titles))
    return result


def _cells_table(schema: Schema, rows: pd.DataFrame, again: pd.DataFrame, numbers: np.ndarray) -> Table:
    """Rows and their reconstructions with levels by name."""

    def words(frame: pd.DataFrame, i: int) -> list[str]:
        cells = [(frame[column.name].iloc[i], column.kind) for column in schema.columns]
        return ["·" if pd.isna(cell) else str(cell) if kind == "categorical" else plain(cell) for cell, kind in cells]

    lines = []
    for i, number in enumerate(numbers):
        lines += [(f"row {number}", words(rows, i)), ("reconstruction", words(again, i))]
    return Table("Rows and their reconstructions; · is a missing cell, filled here only", list(schema.names), lines)


def latent_space(shown: Shown) -> dict[str, Any]:
    """A map of latent means: their first two principal axes, or z against the category where z is one number."""
    z = shown.z[:MAX_PAIRED].astype(np.float64)
    categories = None if shown.categories is None else shown.categories[:MAX_PAIRED]
    if len(z) < 3 or (z.shape[1] == 1 and categories is None):
        return {"map": None, "map_text": ""}
    if z.shape[1] == 1 and categories is not None:
        points, labels = np.column_stack([z[:, 0], categories]), ("z", "category")
        text = f"{len(z):,} rows: the posterior mean of z, one line for each category."
    else:
        axes = PCA(2, svd_solver="full").fit(z)
        points, labels = axes.transform(z), ("first principal axis of z", "second principal axis of z")
        held = float(np.nan_to_num(axes.explained_variance_ratio_).sum())
        text = (
            f"{len(z):,} rows: posterior means of the {z.shape[1]}-dimensional code on their two main axes, which hold "
            f"{percent(held)} of its variance. What overlaps here may be apart in the other dimensions."
            if z.shape[1] > 2
            else f"{len(z):,} rows: posterior means of the two-dimensional code."
        )
    if categories is not None:
        text += " Coloured by category" + (", its number at the middle." if len(np.unique(categories)) <= 30 else ".")
    return {"map": inline(figures.latent_map(points, categories, labels)), "map_text": text}


def commands(model: DeepMixture, run: str | Path | None, config: Mapping[str, Any]) -> list[Fact]:
    """What to type next, if the folder of the run is known."""
    if run is None:
        return []
    place = shlex.quote(str(run))
    source = config.get("about", {}).get("source")
    data = "DATA" if source is None else shlex.quote(str(source))
    suffix = "csv" if model.image_shape_ is None else "png"
    found = [Fact("New rows", f"cpvae sample {place} -n 64 --out new.{suffix}")]
    if hasattr(model, "weights_"):
        k = int(np.argmax(model.weights_))
        found = [
            Fact(f"New rows from category {k}", f"cpvae sample {place} --component {k} -n 64 --out new.{suffix}"),
            Fact("The category of each row", f"cpvae cluster {place} {data} --out labels.csv"),
        ]
    found.append(Fact("Bounds, and log p(x)", f"cpvae evaluate {place} {data} --importance-samples 5000"))
    return [*found, Fact("From Python", f"from cpvae import load; model = load({str(run)!r})")]
