"""Command-line options for the arguments of estimators, each written once.

A command replaces its parameter `params` with some of these options. It then gets the values that the user gave, by the
names of the estimator's arguments. The estimator's defaults hold for all others.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from typer import Option

from cpvae.cli.options import expand, parse_numbers, parse_time, read_schema

PRESETS_OWN = "the preset's"
OPTIONS: dict[str, Any] = {
    "n_components": Annotated[
        int | None, Option("--components", "-k", help="Categories, or components of the prior.", show_default="10")
    ],
    "max_epochs": Annotated[
        int | None, Option("--epochs", help="Largest number of passes over the rows.", show_default=PRESETS_OWN)
    ],
    "max_seconds": Annotated[
        str | None,
        Option(
            "--time",
            metavar="5m",
            help="Time that the fit is planned for, start included: 90s, 5m, 2h. It then makes fewer epochs.",
            show_default="none",
        ),
    ],
    "random_state": Annotated[int | None, Option("--seed", help="Seed of all random numbers.", show_default="0")],
    "n_init": Annotated[
        int | None,
        Option("--restarts", help="Number of fits; the one with the best validation bound is kept.", show_default="1"),
    ],
    "latent_dim": Annotated[int | None, Option(help="Dimensions of z.", show_default="40")],
    "hidden": Annotated[
        str | None,
        Option(
            help="Widths of the encoder's hidden layers, with commas.",
            show_default="300,300",
        ),
    ],
    "kind": Annotated[
        str | None,
        Option(
            help="What rows are: table, matrix, counts, images, signals or auto.",
            show_default="auto: the fit prints its choice",
        ),
    ],
    "likelihood": Annotated[
        str | None,
        Option(
            help="Distribution of the values: bernoulli (ink), levels (pictures), gaussian (measurements), isotropic "
            "(embeddings, principal components), counts (cells x genes), zinb (zero-inflated counts), columns (tables) "
            "or auto.",
            show_default="auto",
        ),
    ],
    "schema": Annotated[
        Path | None,
        Option(
            metavar="FILE.json",
            help='Kinds of the columns of a table: {"visits": "count", "city": "categorical", "size": "numeric", '
            '"since": "date", "id": "ignore"}; "*" stands for all others.',
            show_default="inferred from the cells",
            callback=expand,
        ),
    ],
    "noise": Annotated[
        float | None,
        Option(help="Scale of Gaussian noise, in standard deviations of the columns.", show_default="learned"),
    ],
    "weights": Annotated[
        str | None, Option(help="Weights p(c): uniform, empirical or learned.", show_default="uniform")
    ],
    "covariance_type": Annotated[
        str | None,
        Option(
            "--covariance",
            help="Covariance of p(z|c), or of the components of mog: diag (the paper), low-rank, or full; auto is full "
            "for 20,000 training rows and more.",
            show_default="auto; diag for mog",
        ),
    ],
    "expectation": Annotated[
        str | None,
        Option(
            help="Sum over c in training: exact, sum-and-sample, straight-through, relaxed or auto.",
            show_default="auto: depends on the number of components",
        ),
    ],
    "init": Annotated[
        str | None,
        Option(
            help="Start, a clustering: edges, signals, spectrum, umap, autoencoder, rows, map, directions, gmm, "
            "kmeans, random or auto.",
            show_default="auto: depends on the data",
        ),
    ],
    "augment": Annotated[
        str | None,
        Option(
            help="Copies that keep the category of their row: affine (images), shift or roll (signals), hide (tables), "
            "none or auto.",
            show_default="auto: affine for images, roll for signals that may begin anywhere, hide for tables",
        ),
    ],
    "consistency": Annotated[
        float | None,
        Option(help="Weight of the term that makes copies agree, beside the bound; 0: none.", show_default="20"),
    ],
    "copy_share": Annotated[
        float | None,
        Option(
            help="Share of images in whose place slight copies are learned, at most; it falls to 0. 0: none.",
            show_default="0.5",
        ),
    ],
    "start_weight": Annotated[
        float | None,
        Option(
            help="What the category that the start gave a row counts for to the end, in nats.",
            show_default="6, or 0 from 20,000 rows on if no label is known",
        ),
    ],
    "network": Annotated[
        str | None,
        Option(help="Kind of network: dense, or conv (convolutions, for images and signals).", show_default="dense"),
    ],
    "prior": Annotated[str | None, Option(help="Prior of vae and hvae.", show_default="normal")],
    "pseudo_inputs": Annotated[
        str | None, Option(help="First pseudo-inputs of vamp and hvae-vamp: rows or random.", show_default="rows")
    ],
    "preset": Annotated[str | None, Option(help="Settings of the training: fast or paper.", show_default="fast")],
    "batch_size": Annotated[
        int | None, Option(help="Rows in a step.", show_default="the preset's: 100, or 200 from 20,000 rows on")
    ],
    "learning_rate": Annotated[float | None, Option(help="Learning rate of Adam.", show_default=PRESETS_OWN)],
    "warmup_epochs": Annotated[
        int | None, Option(help="Epochs in which the KL terms grow to full weight.", show_default=PRESETS_OWN)
    ],
    "patience": Annotated[
        int | None,
        Option(
            help="Stop after so many epochs without a clearly better validation bound.",
            show_default="15, or 50 for paper",
        ),
    ],
    "precision": Annotated[
        str | None,
        Option(help="Precision of matrix products in training: float32 or bfloat16.", show_default="float32"),
    ],
    "device": Annotated[str | None, Option(help="Device: cpu, cuda or auto.", show_default="auto")],
}


def takes(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Replace the parameter `params` of a command with options for arguments of estimators.

    Args:
        names: names of the arguments, in the order of the help.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        parameters: list[inspect.Parameter] = []
        keyword = inspect.Parameter.KEYWORD_ONLY
        for one in inspect.signature(command, eval_str=True).parameters.values():
            if one.name == "params":
                parameters += [
                    inspect.Parameter(name, keyword, default=None, annotation=OPTIONS[name]) for name in names
                ]
            else:
                parameters.append(one.replace(kind=keyword))

        @functools.wraps(command)
        def with_options(**values: Any) -> None:
            given = {name: values.pop(name) for name in names}
            command(**values, params=read({name: value for name, value in given.items() if value is not None}))

        with_options.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        with_options.__annotations__ = {one.name: one.annotation for one in parameters}
        return with_options

    return decorate


def read(given: dict[str, Any]) -> dict[str, Any]:
    """Make the arguments of an estimator from the options that were given: read widths, time and schema.

    Raises:
        InputError: the widths are not numbers, the time is none, or the schema cannot be read.
    """
    params = dict(given)
    if "hidden" in params:
        params["hidden"] = parse_numbers("--hidden", params["hidden"], "300,300")
    if "max_seconds" in params:
        params["max_seconds"] = parse_time("--time", params["max_seconds"])
    if "schema" in params:
        params["schema"] = read_schema(params["schema"])
    return params
