"""p(x | z, c): from the output of the decoder to a distribution of x, in the units of the data.

A likelihood also owns the units. It is made from the training rows once, and keeps what it learned of their scale in
its state, so that it travels with the weights. It applies that to every row it ever sees. Each has a file of its own in
this folder, whose docstring says what rows it is for; `cpvae.probability.likelihoods.choice` has their names.

Shapes: rows as given ``(B, features)``; rows in the model's units ``(B, F)``, where F is smaller than `features` if
constant columns are left out; what the encoder sees of them ``(B, n_inputs)``; decoder output ``(B, M, n_outputs)``,
or ``(B, M, n_outputs + n_of_category)`` where a model has categories and the likelihood has numbers for each.
Units of densities: nats.
"""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from cpvae.data.rows import Rows
from cpvae.data.schema import Schema

Parts = Sequence[tuple[Tensor, Distribution]]  # places of columns (m,) among the F, a distribution of shape (..., m)

TRIES = 100  # of drawing a row that is possible (`Likelihood.impossible`)
NOISE = 1e-3, 1e3  # standard deviations of a column, between which a noise that is not learned may be


def log_noise(noise: float | None, shape: tuple[int, ...]) -> Tensor:
    """Make the logarithm of a noise, or of 1 where it is learned, as often as asked.

    The logarithm is that of a number. Arithmetic with a tensor without values, of which a restored model is made first,
    would import PyTorch's compiler, which takes longer than most answers.

    >>> log_noise(None, (2,))
    tensor([0., 0.])
    """
    number = torch.tensor(1.0 if noise is None else float(noise), dtype=torch.float32, device="cpu")
    return torch.full(shape, number.log().item(), dtype=torch.float32)


@dataclass(frozen=True)
class Form:
    """The form of rows: all that is known beside their values.

    Attributes:
        shape: of a row: ``(features,)``, ``(channels, time)`` of a signal or ``(channels, height, width)`` of a
            picture.
        names: of the columns, for messages; None numbers them.
        schema: of a table with columns of several kinds.
        noise: standard deviation that is not learned, in standard deviations of the columns; None learns it.
        kind: what the rows were taken for, one of `cpvae.data.row_kinds.KINDS`, or "auto" where nobody said.
        hides: whether training shows the encoder rows of a table with any of their cells hidden.
    """

    shape: tuple[int, ...]
    names: Sequence[str] | None = None
    schema: Schema | None = None
    noise: float | None = None
    kind: str = "auto"
    hides: bool = False

    @property
    def features(self) -> int:
        """Count the values of a row."""
        return math.prod(self.shape)

    @property
    def channels(self) -> int | None:
        """Count the channels that share the values of a signal or picture; None for columns."""
        return self.shape[0] if len(self.shape) > 1 else None

    def column(self, i: int) -> str:
        """Name a column for a message."""
        return column_named(i, self.names)


def column_named(i: int, names: Sequence[str] | None) -> str:
    """Name a column for a message, by its number where columns have no names.

    >>> column_named(2, None), column_named(0, ["age"])
    ('2', "'age'")
    """
    return str(i) if names is None else repr(str(names[i]))


class Cells(NamedTuple):
    """The cells of a table by their kind: standardised numbers, 0 where missing, and which are observed, ``(n, P)``;
    one-hot levels, all 0 where missing, ``(n, T)``; and the number of levels of each categorical column."""

    numbers: Tensor
    observed: Tensor
    levels: Tensor
    sizes: list[int]


class Likelihood(nn.Module, ABC):
    """A density of x given the output of the decoder.

    Attributes:
        name: as on the command line.
        description: a line for reports.
        discrete: whether it gives rows a probability; otherwise a density, which moves with the units of the data.
        by_schema: whether it is made from the schema of a table.
        mixed: whether columns are of several kinds, so that distances between rows say little and rows are clustered
            by latent classes of their `cells`.
        least_side: pixels a side that pictures need so that turned and shifted copies of them show the same. More are
            needed where ink is drawn from what interpolation blurred.
        by_neighbours: whether a start groups rows by their neighbours, since the spread of a group goes with something
            else, as that of counts does with their depth.
        has_noise: whether it has a noise that a person may fix.
        n_inputs: how many numbers the encoder gets for one row.
        n_outputs: how many numbers the decoder must give for one row.
        ranged: whether values can be held in a range (`cpvae.probability.likelihoods.ranges`).
        column_kind: what columns hold that have no schema, one of `cpvae.data.columns.KINDS`.
        limits: between which the inputs of the encoder lie; None for any number.
    """

    name: ClassVar[str]
    description: ClassVar[str]
    discrete: ClassVar[bool] = False
    by_schema: ClassVar[bool] = False
    least_side: ClassVar[int] = 8
    by_neighbours: ClassVar[bool] = False
    ranged: ClassVar[bool] = True
    column_kind: ClassVar[str] = "numeric"
    mixed: bool = False
    has_noise: bool = True
    n_inputs: int
    n_outputs: int
    limits: tuple[float, float] | None = None

    # -- making one ------------------------------------------------------------------------------------------------

    @classmethod
    @abstractmethod
    def of(cls, rows: Rows, form: Form, valid: Rows | None = None) -> Self:
        """Make one with the units of the training rows.

        Args:
            rows: training rows; read in chunks.
            form: what is known of them.
            valid: validation rows; they count where training rows alone say nothing, as for a column that varies there
                and not in the training rows.

        Raises:
            InputError: rows that the likelihood cannot have produced.
        """

    @classmethod
    @abstractmethod
    def like(cls, state: Mapping[str, Tensor], form: Form) -> Self:
        """Make one with the shapes of a saved state; its values are still to be loaded.

        Raises:
            InputError: a state that does not fit the form.
        """

    # -- units -----------------------------------------------------------------------------------------------------

    @abstractmethod
    def to_model(self, x: Tensor) -> Tensor:
        """Turn rows as given, of any numeric dtype, into the units of the model, in the dtype of its weights."""

    @abstractmethod
    def to_data(self, y: Tensor) -> Tensor:
        """Turn rows in the units of the model into those of the data."""

    def inputs(self, y: Tensor) -> Tensor:
        """Make the inputs of the encoder from rows in the units of the model: ``(..., F)`` -> ``(..., n_inputs)``."""
        return y

    def check(self, rows: Rows, names: Sequence[str] | None = None) -> None:
        """Refuse rows that the likelihood cannot have produced.

        Args:
            rows: in the units of the data.
            names: of the columns, for messages; None numbers them.

        Raises:
            InputError: naming the values and what is expected.
        """

    @property
    def n_of_category(self) -> int:
        """Count the numbers that each category has whatever z is, after those of the decoder; 0 for none.

        At first they are 0, or `of_spread` for the rows of a start.
        """
        return 0

    def spread(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Compute mean and standard deviation of what those numbers are for: ``(B, F)`` -> ``(B, m)`` twice.

        Here m is 0: there are no such numbers.
        """
        return y[:, :0], y[:, :0]

    def of_spread(self, spread: Tensor) -> Tensor:
        """Give the numbers of categories whose rows have such standard deviations, ``(K, m)``."""
        return spread.log()

    @property
    def span(self) -> tuple[float, float] | None:
        """The values of black and white in the units of the data; None where rows have no such ends."""
        return None

    @property
    def step(self) -> float | None:
        """The difference of neighbouring values, in the units of the data; None where values lie on no grid."""
        return None

    # -- observations ----------------------------------------------------------------------------------------------

    def draw(self, y: Tensor) -> Tensor:
        """Draw a fresh observation of a training row; the row itself unless it holds probabilities."""
        return y

    @property
    def varies(self) -> bool:
        """Tell whether observations of a row differ from draw to draw."""
        return False

    def draw_fixed(self, y: Tensor, i: int = 0) -> Tensor:
        """Draw the i-th observation of a row, a function of the row; the first is the one that bounds are for."""
        return next(iter(self.observations(y, [i])))

    def observations(self, y: Tensor, which: Sequence[int]) -> Iterator[Tensor]:
        """Make some observations of rows, by their numbers (`draw_fixed`); what they share is computed once."""
        yield from (y for _ in which)

    def fixed(self, rows: Rows) -> Tensor:
        """Give all rows in the model's units, each with its one observation: ``(n, F)``."""
        return torch.cat([self.draw_fixed(self.to_model(x)) for x in rows.chunks()])

    # -- clustering ------------------------------------------------------------------------------------------------

    def for_code(self) -> Self:
        """Give a copy for the autoencoder of a start, which may look closer at rows than the model does."""
        return copy.deepcopy(self)

    def cells(self, y: Tensor) -> Cells:
        """Give the cells of rows by their kind, for latent classes: here what the encoder sees, all of it numbers."""
        numbers = self.inputs(y)
        return Cells(numbers, torch.ones_like(numbers), numbers[:, :0], [])

    # -- what is known of a part of a row ----------------------------------------------------------------------------

    @abstractmethod
    def with_gaps(self) -> Self:
        """Give a likelihood of the same weights that marginalises missing values, NaN."""

    def impossible(self, y: Tensor) -> Tensor:
        """Say which rows it gives no probability, though each of their cells has some: ``(..., F)`` -> ``(...)``."""
        return torch.zeros(y.shape[:-1], dtype=torch.bool, device=y.device)

    def nearest(self, params: Tensor, y: Tensor, free: Tensor) -> Tensor:
        """Change cells of `impossible` rows so that they have a probability.

        Args:
            params: output of the decoder, ``(..., P)``.
            y: rows ``(..., F)``.
            free: the cells that may change, booleans ``(..., F)``, one or more in each row.
        """
        return y

    def constants(self) -> dict[int, float]:
        """Give the values of columns that are no part of the model, since they are constant, by their places."""
        return {}

    @abstractmethod
    def parts(self, params: Tensor) -> Parts:
        """Give the places of columns, and their distributions given z, c and the depth that `of_depth` sets."""

    def draw_depth(self, params: Tensor, y: Tensor) -> tuple[Tensor, Tensor] | None:
        """Draw the depth that rows have at their codes: ``(B, S, n_outputs)``, ``(B, F)`` with NaN -> ``(B, S)``.

        Returns:
            Depths, and the log of the density that they have in new rows over that of the draws, float64 ``(B, S)``;
            None where rows have no depth.
        """
        return None

    def of_depth(self, depth: Tensor | None) -> Self:
        """Give a likelihood of the same weights for rows of a depth, ``(B, S)``; itself where rows have none."""
        return self

    # -- density ---------------------------------------------------------------------------------------------------

    @abstractmethod
    def forward(self, params: Tensor) -> Distribution:
        """Turn decoder output ``(..., n_outputs)`` into p(x | z, c) in the model's units, event shape ``(F,)``."""

    def expected(self, params: Tensor, y: Tensor) -> Tensor:
        """Compute the mean of p(x | z, c), in the model's units: ``(B, n_outputs)``, ``(B, F)`` -> ``(B, F)``."""
        mean: Tensor = self(params).mean
        return mean

    def log_abs_det(self) -> Tensor | float:
        """Give the log-determinant of `to_model`, nats: what a density gains on the way back to the data's units."""
        return 0.0

    def log_prob(self, params: Tensor, y: Tensor) -> Tensor:
        """Compute log p(x | z, c), x in the data's units: ``(B, M, n_outputs)``, ``(B, F)`` -> ``(B, M)``."""
        log_prob: Tensor = self(params).log_prob(y.unsqueeze(-2))
        return log_prob + self.log_abs_det()
