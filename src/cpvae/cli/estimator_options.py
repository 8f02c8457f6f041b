"""Options of commands that are arguments of estimators, each written once.

A command takes some of them in place of its parameter `params`: the values that were given, by the names of the
estimator's arguments. What is not given is left to the estimator.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from typer import Option

from cpvae.cli.options import expand, parse_numbers, read_schema

PRESETS_OWN = "the preset's"
OPTIONS: dict[str, Any] = {
    "n_components": Annotated[
        int | None, Option("--components", "-k", help="Categories, or components of the prior.", show_default="10")
    ],
    "max_epochs": Annotated[
        int | None, Option("--epochs", help="Passes over the rows at most.", show_default=PRESETS_OWN)
    ],
    "random_state": Annotated[int | None, Option("--seed", help="Fixes everything.", show_default="0")],
    "n_init": Annotated[
        int | None, Option("--restarts", help="Fits; the best validation bound is kept.", show_default="1")
    ],
    "latent_dim": Annotated[int | None, Option(help="Dimensions of z.", show_default="40")],
    "hidden": Annotated[str | None, Option(help="Widths of hidden layers.", show_default="300,300")],
    "kind": Annotated[
        str | None,
        Option(help="What rows are: table, matrix, counts, images, signals or auto.", show_default="auto: said aloud"),
    ],
    "likelihood": Annotated[
        str | None,
        Option(
            help="bernoulli (ink), levels (of pictures), gaussian (measurements), isotropic (embeddings, components), "
            "counts (cells x genes), columns (of a table, each after its kind) or auto.",
            show_default="auto",
        ),
    ],
    "schema": Annotated[
        Path | None,
        Option(
            metavar="FILE.json",
            help='What columns of a table hold: {"visits": "count", "city": "categorical", "size": "numeric", '
            '"since": "date", "id": "ignore"}; "*" is for all others.',
            show_default="inferred from their cells",
            callback=expand,
        ),
    ],
    "noise": Annotated[
        float | None, Option(help="Gaussian noise, in standard deviations of the columns.", show_default="learned")
    ],
    "weights": Annotated[str | None, Option(help="p(c): uniform, empirical or learned.", show_default="uniform")],
    "covariance_type": Annotated[
        str | None,
        Option(
            "--covariance",
            help="Of p(z|c), also of mog: diag (the paper), or full, with better bounds.",
            show_default="diag",
        ),
    ],
    "expectation": Annotated[
        str | None,
        Option(
            help="Over c: exact, sum-and-sample, straight-through, relaxed or auto.",
            show_default="auto: by the number of components",
        ),
    ],
    "init": Annotated[
        str | None,
        Option(
            help="How categories begin: umap, autoencoder, rows, gmm, kmeans, random or auto.",
            show_default="auto: by the data",
        ),
    ],
    "augment": Annotated[
        str | None,
        Option(
            help="Copies that have the category of their row: affine (of images), shift (of signals), none or auto.",
            show_default="auto: affine for images, roll for signals that may begin anywhere",
        ),
    ],
    "consistency": Annotated[
        float | None, Option(help="Weight of the copies' agreement beside the bound.", show_default="20")
    ],
    "network": Annotated[str | None, Option(help="dense, or conv (convolutions, for images).", show_default="dense")],
    "prior": Annotated[str | None, Option(help="Of vae and hvae.", show_default="normal")],
    "pseudo_inputs": Annotated[
        str | None, Option(help="Of vamp and hvae-vamp, how they begin: rows or random.", show_default="rows")
    ],
    "preset": Annotated[str | None, Option(help="How to train: fast or paper.", show_default="fast")],
    "batch_size": Annotated[
        int | None, Option(help="Rows in a step.", show_default="the preset's: 100, or 200 of 20,000 rows on")
    ],
    "learning_rate": Annotated[float | None, Option(help="Of Adam.", show_default=PRESETS_OWN)],
    "warmup_epochs": Annotated[
        int | None, Option(help="Epochs in which the KL terms grow to full weight.", show_default=PRESETS_OWN)
    ],
    "patience": Annotated[
        int | None,
        Option(help="Stop after so many epochs without a better validation bound.", show_default="50"),
    ],
    "precision": Annotated[
        str | None, Option(help="Of products in training: float32 or bfloat16.", show_default="float32")
    ],
    "device": Annotated[str | None, Option(help="cpu, cuda or auto.", show_default="auto")],
}


def takes(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make options of arguments of estimators, in place of the parameter `params` of a command.

    Args:
        names: of the arguments, in the order of the help.
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
    """Make the arguments of an estimator from the options that were given: read widths and schema.

    Raises:
        InputError: widths that are no numbers; a schema that cannot be read.
    """
    params = dict(given)
    if "hidden" in params:
        params["hidden"] = parse_numbers("--hidden", params["hidden"], "300,300")
    if "schema" in params:
        params["schema"] = read_schema(params["schema"])
    return params
