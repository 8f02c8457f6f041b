"""Model cards: what a saved model is, which rows it learned from and how far it can be relied on, in Markdown.

A card begins with the header that hubs of models read. It stands beside the file of the model, by its name and `.md`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cpvae import __version__
from cpvae.data.rows import Rows
from cpvae.errors import InputError, counted, warn
from cpvae.files import write_atomic
from cpvae.probability.estimates import evaluate, standard_error
from cpvae.probability.models import VAE
from cpvae.words.phrases import agreement

if TYPE_CHECKING:
    from cpvae.estimators.contract import DeepMixture

LIBRARY = "library_name: cpvae"  # by which a card is told from a file of somebody else
MOST_ROWS = 1000  # validation rows behind the bound of a card
NOT_SAID = "unknown"  # what hubs call a licence that nobody has named
LICENCE = re.compile(r"[a-z0-9][a-z0-9.+-]{0,63}")


@dataclass(frozen=True)
class LearnedFrom:
    """The rows that a model learned from, and its bound on validation rows.

    Attributes:
        rows, features: how many there were, those for validation among them unless they were given apart.
        digest: of all values, hexadecimal.
        valid_rows: validation rows behind the bound, 0 of a fit that was stopped or held no rows out.
        negative_elbo, negative_elbo_se: mean of -L over them and its standard error, nats a row; None without any.
        before: rows that the models learned from which this one continues; 0 of a model that continues none.
    """

    rows: int
    features: int
    digest: str
    valid_rows: int = 0
    negative_elbo: float | None = None
    negative_elbo_se: float | None = None
    before: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Give the record as JSON holds it; a model that continues none has the record that it always had."""
        return {name: value for name, value in asdict(self).items() if name != "before" or value}

    @classmethod
    def from_dict(cls, value: Any) -> LearnedFrom | None:
        """Read the record from a file; None of a file that is older.

        Raises:
            InputError: it holds something else.
        """
        if value is None:
            return None
        try:
            found = cls(**value)
            whole = (found.rows, found.features, found.valid_rows, found.before)
            real = [one for one in (found.negative_elbo, found.negative_elbo_se) if one is not None]
            right = all(type(one) is int and one >= 0 for one in whole) and all(map(math.isfinite, real))
            right = right and re.fullmatch("[0-9a-f]{1,64}", found.digest) is not None
        except (TypeError, OverflowError):
            right = False
        if not right:
            raise InputError(
                f"learned_from={str(value)[:40]}: expected rows, features, a digest and a bound; fit again"
            )
        return found


def learned_from(data: Mapping[str, Any], model: VAE, valid: Rows | None) -> LearnedFrom:
    """Record the rows of a fit, and measure the bound on some of its validation rows.

    Args:
        data: what tells the rows from others (`cpvae.data.split.fingerprint`).
        valid: validation rows, or None of a fit that was stopped or held none out.
    """
    found = LearnedFrom(data["rows"], data["features"], data["digest"])
    if valid is None:
        return found
    some = valid.some(np.random.RandomState(0).permutation(len(valid))[:MOST_ROWS])
    elbo = evaluate(model, model.likelihood.fixed(some)).elbo.astype(np.float64)
    if not np.isfinite(elbo).all():
        return found
    return LearnedFrom(found.rows, found.features, found.digest, len(elbo), -float(elbo.mean()), standard_error(elbo))


def card_of(path: Path) -> Path:
    """Name the card of a saved model."""
    return path.with_name(f"{path.name}.md")


def check_free(place: Path) -> None:
    """Refuse to write a card over a file of somebody else.

    Raises:
        InputError: the file that is there is no card of a model.
    """
    if place.is_file() and LIBRARY not in place.read_text(errors="replace")[:1000]:
        raise InputError(f"{place} is there and is no card of a model; move it, or choose another place")


def write(text: str, place: Path) -> None:
    """Write a card. The model stands already: if its card cannot be written, a warning says so."""
    try:
        check_free(place)
        write_atomic(place, text)
    except (InputError, OSError) as error:
        warn(f"the model was saved without its card: {error}")


def check_licence(licence: str | None) -> str:
    """Give the name of a licence as hubs write it.

    >>> check_licence("CC-BY-4.0"), check_licence(None)
    ('cc-by-4.0', 'unknown')

    Raises:
        InputError: no name.
    """
    name = NOT_SAID if licence is None else str(licence).lower()
    if not LICENCE.fullmatch(name):
        raise InputError(f"license={str(licence)[:40]!r}: expected a name such as 'mit' or 'cc-by-4.0'")
    return name


def card(estimator: DeepMixture, name: str, licence: str | None = None) -> str:
    """Write the card of a fitted model.

    Args:
        name: of its file.
        licence: of the model, such as "cc-by-4.0"; None where nobody has said one.

    Raises:
        InputError: the licence has no name that hubs know.
    """
    licence = check_licence(licence)
    kind = type(estimator).__name__
    lines = [
        "---",
        LIBRARY,
        f"license: {licence}",
        "tags: [clustering, mixture-model, variational-autoencoder]",
        "---",
        "",
        f"# {kind}, a deep mixture model",
        "",
        f"Fitted {_labels(estimator)} and saved by cpvae {__version__}.",
        "",
        "| | |",
        "|---|---|",
        *(f"| {title} | {text} |" for title, text in _facts(estimator).items()),
        f"| licence | {'not said: ask who made it' if licence == NOT_SAID else licence} |",
        "",
        "```python",
        "from cpvae import load",
        "",
        f"model = load({name!r})  # no pickle: nothing in the file runs",
        "```",
        "",
        *(f"- {text}" for text in _cautions(estimator)),
    ]
    return "\n".join(lines) + "\n"


def _labels(estimator: DeepMixture) -> str:
    known = estimator.known_
    return "without labels" if known is None else f"with the labels of {counted(sum(known), 'row')}"


def _facts(estimator: DeepMixture) -> dict[str, str]:
    """Say what the model is and how it was made, by title."""
    learned, k = estimator.learned_from_, estimator.n_components_
    shape = estimator.image_shape_ or estimator.signal_shape_
    values = counted(estimator.n_features_in_, "value") + (f" ({' x '.join(map(str, shape))})" if shape else "")
    rows = "not kept" if learned is None else f"{learned.rows:,}"
    rows += (
        f", after {learned.before:,} of the models that it continues" if learned is not None and learned.before else ""
    )
    facts = {
        "rows of the fit": f"{rows}, taken for {estimator.kind_}; {values} each",
        "digest of the rows": "not kept" if learned is None else f"`{learned.digest}`",
        "likelihood": estimator.likelihood_,
    }
    if estimator.has_components:
        facts[f"{estimator.part_name}, K"] = f"{k}"
    if estimator.covariance_ is not None:
        facts[f"covariances of the {estimator.part_name}"] = estimator.covariance_
    return facts | {
        "bound": _bound(estimator),
        "stability": agreement(estimator.n_init, estimator.stability_, estimator.stability_rows_)
        or "not known: one fit",
        "training": f"{counted(estimator.n_iter_, 'epoch')}, weights of epoch {estimator.best_epoch_}, "
        f"{estimator.stopped_}",
        "seed": _seed(estimator),
    }


def _seed(estimator: DeepMixture) -> str:
    """Say from what the random numbers of the fit were drawn."""
    given = estimator.random_state
    if given is None or isinstance(given, np.random.RandomState):
        return f"{estimator.seed_}, drawn at random: no `random_state` was given that would draw it again"
    return f"`random_state={given}` (on the command line `--seed {given}`), from which {estimator.seed_} was drawn"


def _bound(estimator: DeepMixture) -> str:
    """Say the bound, of which kind it is, its error, and of which rows."""
    learned = estimator.learned_from_
    if learned is None or learned.negative_elbo is None:
        return "not measured on rows held out"
    error = "" if learned.negative_elbo_se is None else f" ± {learned.negative_elbo_se:.2f}"
    return (
        f"-L = {learned.negative_elbo:.2f}{error} nats a row (mean and standard error over {learned.valid_rows:,} "
        "validation rows). L is a lower bound of log p(x) by one draw of z a row. These rows chose the weights, so "
        "that new rows may have a lower L"
    )


def _cautions(estimator: DeepMixture) -> list[str]:
    """Say what to know before the model is used or given away."""
    found = ["Categories are found, not promised: another seed may find others."] if estimator.has_components else []
    if estimator.get_params().get("pseudo_inputs") == "rows":
        found.append("Pseudo-inputs are part of the model. They begin as training rows and may still equal some.")
    if estimator.schema_ is not None:
        found.append("The file has the names of the columns, their ranges, and the levels of columns with text.")
    return [*found, "New rows are drawn from a model. They are not measurements."]
