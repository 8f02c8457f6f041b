"""Levers of the bound: what each change of model or training does to the bound of validation rows.

    python benchmarks/levers.py --lever none --lever "dropout, 0.1" --epochs 90
    python benchmarks/render.py    # docs/bound.md, from the file

Each fit is CP-VAE with the paper's network on 10,000 training rows of MNIST, trained on the bound alone from the start
of the library. It holds a tenth of the rows out, which choose its weights. Few rows show soon what lets a decoder
generalise. A lever changes one thing. 5,000 validation rows judge a fit with all categories, as they would choose a
lever. No test row is read. The fits of a process share their starts.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import matplotlib.pyplot as plt
import numpy as np
import torch
from field import ROOT
from torch import Tensor, nn
from torch.nn import functional as F

from cpvae import CPHVAE, CPVAE
from cpvae.data.augment import Affine
from cpvae.data.loaders import Dataset, load
from cpvae.estimators.zoo import among_copies
from cpvae.files import append_line
from cpvae.fitting import presets
from cpvae.fitting.starts.task import Code, Start, Task
from cpvae.nn.layers import GatedLinear, Linear
from cpvae.probability.bounds import Terms, average, terms_given
from cpvae.probability.distributions import DiagonalNormal, Latent
from cpvae.probability.expectations import Expectation, Joint
from cpvae.probability.likelihoods.likelihood import Likelihood
from cpvae.probability.models import VAE
from cpvae.probability.objectives import Batch, Bound
from cpvae.study import markdown, metrics
from cpvae.study.evaluation import rows_at
from cpvae.study.evidence import evidence

RESULTS, PICTURE = ROOT / "results" / "levers.jsonl", ROOT / "docs" / "levers.png"
ROWS = 10_000  # of a fit, a tenth held out
JUDGED = 5_000  # by the bound with all categories, at the end
SHAPE = (1, 28, 28)


class Dropped(nn.Module):
    """Layers whose outputs are dropped at random, with probability p, wherever a gradient is kept.

    Validation keeps no gradient, so it sees all outputs.
    """

    def __init__(self, layers: nn.Module, p: float):
        super().__init__()
        self.layers, self.p = layers, p

    def forward(self, *inputs: Tensor) -> Tensor:
        return F.dropout(self.layers(*inputs), self.p, torch.is_grad_enabled())


def dropping(p: float) -> Callable[[VAE], None]:
    """Drop the outputs of each hidden layer of the decoder."""

    def change(model: VAE) -> None:
        hidden: Any = model.decoder.hidden
        hidden.first = Dropped(hidden.first, p)
        hidden.rest = nn.Sequential(*(Dropped(layer, p) for layer in hidden.rest))

    return change


def thin(rank: int) -> Callable[[VAE], None]:
    """Give the decoder's last layer a matrix of low rank."""

    def change(model: VAE) -> None:
        last: Any = model.decoder.output
        model.decoder.output = nn.Sequential(Linear(last.in_features, rank), Linear(rank, last.out_features))

    return change


class JoinOfCategory(nn.Module):
    """The layers in which both codes of HCP meet, with the category as a third input."""

    def __init__(self, join: Any, n_categories: int):
        super().__init__()
        self.left, self.right = join.left, join.right
        self.join = GatedLinear(2 * join.out_features, join.out_features, n_categories)

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        left, right = x.chunk(2, -1)
        joined: Tensor = self.join(torch.cat([self.left(left), self.right(right)], -1), c)
        return joined


def seeing_category(model: VAE) -> None:
    """Let the decoder of HCP see the category."""
    model.decoder.hidden = JoinOfCategory(model.decoder.hidden, model.n_categories)


@dataclass(frozen=True)
class OtherPixels(Bound):
    """The bound of rows with the posterior of another draw of their pixels."""

    def __call__(self, model: VAE, batch: Batch, step: Tensor) -> tuple[Tensor, Terms]:
        likelihood: Likelihood = model.likelihood
        q = model.encode(likelihood.draw(likelihood.to_model(batch.x)))
        loss, terms = self.loss(model, batch.y, step, q)
        return loss - self.observed(q, batch.c), terms


class AlongPath:
    """A prior whose divergence is estimated at the draw, with the gradient of its path alone (Roeder et al., 2017)."""

    def __init__(self, prior: Latent):
        self.prior, self.logits = prior, prior.logits

    def kl_given(self, q: DiagonalNormal, z: Tensor, c: Tensor) -> Tensor:
        fixed = DiagonalNormal(q.loc.detach(), q.scale.detach())
        return fixed.log_prob(z) - self.prior.log_prob_given(z, c)


def along_path(model: VAE, y: Tensor, expectation: Expectation, step: Tensor, q: Joint) -> Terms:
    """Compute the terms of L, with the gradient of the path alone for q(z | x, c)."""
    p = model.latent()
    categories = expectation(q.logits, step)
    given = terms_given(model, y, q, cast(Latent, AlongPath(p)), categories.c, decoded=categories.decoded)
    return average(given, categories, q, p)


def of_draws(n: int, model: VAE, y: Tensor, expectation: Expectation, step: Tensor, q: Joint) -> Terms:
    """Compute the terms of L at several draws of z and of the category, as their mean."""
    p, drawn = model.latent(), []
    for _ in range(n):
        categories = expectation(q.logits, step)
        given = terms_given(model, y, q, p, categories.c, decoded=categories.decoded)
        drawn.append(average(given, categories, q, p))
    return Terms(*(torch.stack(one).mean(0) for one in zip(*drawn, strict=True)))


@dataclass(frozen=True)
class Lever:
    """A change of model or training.

    Attributes:
        about: what it is, for the page.
        arguments: of the estimator.
        model: changes the module before it is trained.
        objective: changes what is trained, given the number of steps.
        constants: of `cpvae.fitting.presets`.
        models: that it can be tried with.
    """

    about: str
    arguments: dict[str, Any] = field(default_factory=dict)
    model: Callable[[VAE], None] | None = None
    objective: Callable[[Bound, int], Bound] | None = None
    constants: dict[str, float] = field(default_factory=dict)
    models: tuple[str, ...] = ("cpvae", "hvae-cp")


def estimated(how: Callable[..., Terms]) -> Callable[[Bound, int], Bound]:
    """Replace the estimate of L."""
    return lambda bound, total: replace(bound, estimate=how)


def deformed(share: float) -> Callable[[Bound, int], Bound]:
    """Put slightly deformed copies in the place of a share of the rows, so large at first and 0 in the last fifth."""
    return lambda bound, total: among_copies(bound, Affine(SHAPE), share, total)


def with_other_pixels(bound: Bound, total: int) -> Bound:
    """Replace the posterior by that of another draw of the pixels."""
    return OtherPixels(bound.expectation, bound.beta, bound.estimate, bound.start_weight, bound.overcount)


LEVERS = {
    "none": Lever("the recipe as it is"),
    "dropout, 0.1": Lever(
        "a tenth of the decoder's hidden units is dropped at each step", model=dropping(0.1), models=("cpvae",)
    ),
    "dropout, 0.3": Lever(
        "three tenths of the decoder's hidden units are dropped at each step", model=dropping(0.3), models=("cpvae",)
    ),
    "last layer, rank 100": Lever("the decoder's last matrix has rank 100 in place of 300", model=thin(100)),
    "last layer, rank 50": Lever("the decoder's last matrix has rank 50 in place of 300", model=thin(50)),
    "weights' prior, 3": Lever("the Gaussian prior of the decoder's weights is half as wide", constants={"SPREAD": 3}),
    "weights' prior, 1.5": Lever(
        "the Gaussian prior of the decoder's weights is a quarter as wide", constants={"SPREAD": 1.5}
    ),
    "copies, 0.5": Lever(
        "half of the rows are slightly deformed at first, none in the last fifth",
        objective=deformed(0.5),
    ),
    "copies, 1.0": Lever(
        "all rows are slightly deformed at first, none in the last fifth",
        objective=deformed(1.0),
    ),
    "other pixels": Lever("the encoder sees another draw of the pixels", objective=with_other_pixels),
    "path": Lever("gradient of the path alone, divergence at the draw", objective=estimated(along_path)),
    "two draws": Lever("two draws of z and c for each row", objective=estimated(partial(of_draws, 2))),
    "exact sum": Lever("all categories are decoded", arguments={"expectation": "exact"}),
    "batch 50": Lever("batches of 50 rows", arguments={"batch_size": 50}),
    "batch 200": Lever("batches of 200 rows", arguments={"batch_size": 200}),
    "batch 200, rate 4e-3": Lever(
        "batches of 200 rows and twice the rate", arguments={"batch_size": 200, "learning_rate": 4e-3}
    ),
    "rate 1e-3": Lever("half the rate", arguments={"learning_rate": 1e-3}),
    "rate 4e-3": Lever("twice the rate", arguments={"learning_rate": 4e-3}),
    "average of a tenth": Lever(
        "weights averaged over a tenth of the steps, not a thirtieth", constants={"AVERAGED": 10}
    ),
    "start forgotten": Lever(
        "after the start, no weight holds rows in its categories", arguments={"start_weight": 0.0}
    ),
    "decoder sees c": Lever(
        "as in CP; the decoder of HCP sees the codes alone", model=seeing_category, models=("hvae-cp",)
    ),
    "full covariances": Lever("of p(z | c), in place of diagonal ones", arguments={"covariance_type": "full"}),
    "covariances of low rank": Lever(
        "of p(z | c): five factors and a diagonal", arguments={"covariance_type": "low-rank"}
    ),
}


@dataclass(frozen=True)
class Kept:
    """A start that is found once."""

    start: Start
    found: dict[Any, Tensor | None]
    key: Any

    @property
    def way(self) -> tuple[Code, ...]:
        return self.start.way

    def epochs(self, task: Task) -> int:
        return self.start.epochs(task)

    def __call__(self, task: Task) -> Tensor | None:
        if self.key not in self.found:
            self.found[self.key] = self.start(task)
        return self.found[self.key]


class Levered(CPVAE):
    """CP-VAE with a lever, and a start that is shared."""

    lever: Lever
    found: dict[Any, Tensor | None]

    def _start(self) -> Start:
        return Kept(super()._start(), self.found, (self.random_state, self.n_components))

    def _prepare(self, model: VAE, rows: Any, seed: int) -> None:
        super()._prepare(model, rows, seed)
        if self.lever.model is not None:
            self.lever.model(model)

    def _objective(self, beta: Any, total_steps: int) -> Bound:
        bound = super()._objective(beta, total_steps)
        return bound if self.lever.objective is None else self.lever.objective(bound, total_steps)


class LeveredTwoLevels(Levered, CPHVAE):
    """HCP with a lever, and a start that is shared."""


METHODS = {"cpvae": "CP", "hvae-cp": "HCP"}
KINDS: dict[str, type[CPVAE]] = {"cpvae": Levered, "hvae-cp": LeveredTwoLevels}


def rows() -> Dataset:
    """Load the rows of a fit and all validation rows."""
    data = load("mnist")
    index = np.sort(np.random.RandomState(0).choice(len(data.splits["train"].x), ROWS, replace=False))
    return replace(data, splits={"train": rows_at(data.splits["train"], index), "valid": data.splits["valid"]})


def measure(
    data: Dataset, kind: str, name: str, k: int, epochs: int, seed: int, found: dict[Any, Tensor | None]
) -> dict[str, Any]:
    """Fit with a lever, and judge by training and validation rows."""
    lever = LEVERS[name]
    before = {constant: getattr(presets, constant) for constant in lever.constants}
    given: dict[str, Any] = {
        "covariance_type": "diag",
        "likelihood": "bernoulli",
        "expectation": "sum-and-sample",
        "consistency": 0.0,
        "max_epochs": epochs,
        "patience": epochs,
    }
    model: Any = KINDS[kind](k, random_state=seed, **{**given, **lever.arguments})
    model.lever, model.found = lever, found
    vars(presets).update(lever.constants)
    began = time.perf_counter()
    try:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model.fit(data.splits["train"].x)
    finally:
        vars(presets).update(before)
    seconds = time.perf_counter() - began
    at = {name: -float(model.score(part.x[:JUDGED])) for name, part in data.splits.items()}
    train, valid = data.splits["train"], data.splits["valid"]
    digits = metrics.majority_mapping(np.asarray(train.y), model.predict(train.x))
    return {
        "model": kind,
        "lever": name,
        "n_components": k,
        "seed": seed,
        "rows": ROWS,
        "epochs": epochs,
        "best_epoch": model.best_epoch_,
        "train_negative_elbo": round(at["train"], 3),
        "valid_negative_elbo": round(at["valid"], 3),
        "majority": round(metrics.accuracy(np.asarray(valid.y), model.predict(valid.x), digits), 4),
        "valid_by_epoch": [round(record["valid_negative_elbo"], 2) for record in model.history_],
        "seconds": round(seconds, 1),
        **evidence(),
    }


def of_what(line: dict[str, Any]) -> str:
    """Name what a line was fitted with: lines of one name are compared."""
    name = METHODS[line.get("model", "cpvae")]
    return f"{name}, {line['n_components']}, seed {line['seed']}, {line['epochs']} epochs"


def without(line: dict[str, Any], lines: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Find the fit without a lever that a line is compared with: of the same commit, if there is one.

    Another machine can give another start, and so another bound.
    """
    plain = [one for one in lines if one["lever"] == "none" and of_what(one) == of_what(line)]
    return next((one for one in plain if one["commit"] == line["commit"]), plain[0] if plain else None)


def tables(lines: list[dict[str, Any]]) -> str:
    """Tabulate all fits, each beside the one without a lever."""
    head = ("model, K", "lever", "", "validation rows", "beside none", "training rows", "best epoch", "majority")
    found = []
    for shown in dict.fromkeys(map(of_what, lines)):
        mine = sorted((one for one in lines if of_what(one) == shown), key=lambda one: one["valid_negative_elbo"])
        for line in mine:
            plain = without(line, lines)
            valid, train = line["valid_negative_elbo"], line["train_negative_elbo"]
            beside = "" if plain in (line, None) else f"{valid - plain['valid_negative_elbo']:+.2f}"
            majority = f"{line['majority']:.3f}" if "majority" in line else ""
            about = LEVERS[line["lever"]].about
            found.append(
                (shown, line["lever"], about, f"{valid:.2f}", beside, f"{train:.2f}", str(line["best_epoch"]), majority)
            )
    said = (
        "-L in nats, one fit each. *Best epoch* is the one with the best bound of the tenth that the fit holds out, "
        "whose weights are kept. *Majority* is the share of validation rows with the digit of most training rows of "
        "their category"
    )
    return f"{markdown.table(head, found)}\n{said}: [levers]({{}}/levers.jsonl)."


def draw(lines: list[dict[str, Any]]) -> None:
    """Draw docs/levers.png: the bound of the tenth held out against epochs, beside no lever, of the first setting."""
    mine = [line for line in lines if of_what(line) == of_what(lines[0]) and line["lever"] != "none"]
    figure, axes = plt.subplots(figsize=(9, 5), layout="constrained")
    for number, line in enumerate(sorted(mine, key=lambda one: -one["valid_negative_elbo"])):
        plain = without(line, lines) or line
        difference = np.array(line["valid_by_epoch"]) - np.array(plain["valid_by_epoch"])
        style = ("-", "--", ":")[number // 10 % 3]
        axes.plot(np.arange(1, len(difference) + 1), difference, style, label=line["lever"], lw=1.5)
    axes.axhline(0.0, color="gray", lw=0.8)
    axes.set(
        ylim=(-4, 6), xlabel="epoch", ylabel="-L of the tenth held out, beside no lever, nats", title=of_what(lines[0])
    )
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.savefig(PICTURE, dpi=120)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lever", action="append", choices=list(LEVERS), help="may be repeated; by default all")
    parser.add_argument("--model", choices=list(KINDS), default="cpvae")
    parser.add_argument("--components", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=90)
    parser.add_argument("--seed", action="append", type=int, help="may be repeated; by default 0")
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    wrong = [name for name in args.lever or () if args.model not in LEVERS[name].models]
    if wrong:
        parser.error(f"{', '.join(wrong)}: not for {args.model}")
    torch.set_num_threads(1)
    data = rows()
    found: dict[Any, Tensor | None] = {}
    for seed in args.seed or [0]:
        for name in args.lever or [name for name, lever in LEVERS.items() if args.model in lever.models]:
            line = measure(data, args.model, name, args.components, args.epochs, seed, found)
            append_line(args.out, json.dumps(line))
            print(name, seed, line["train_negative_elbo"], line["valid_negative_elbo"], line["seconds"], flush=True)


if __name__ == "__main__":
    main()
