"""The parts of a page, and how much room there is for each."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

SHOWN = 8  # images or rows of each kind
FEW_COLUMNS = 12  # columns that fit side by side in a printed table
FEW_LINES = 40  # and below each other
MOST_TOLD = 8  # columns of a category, of more than can be listed


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
    """One category, as the page shows it.

    Attributes:
        summary_pictures: of images, their mean and their spread.
        examples: of curves, typical rows and rows on the border.
        told: columns that set it apart, with their tests; table: means of all columns, where they are few.
    """

    label: str
    share: float
    count: int
    judged: str
    traits: str
    nearest: list[int]
    border: str
    nearest_pictures: list[Picture]
    new_pictures: list[Picture]
    border_pictures: list[Picture]
    summary_pictures: list[Picture]
    figure: Markup | None
    examples: Markup | None
    told: Table | None
    table: Table | None
    note: str
