"""A tree of categories: which two join first, by the rows that they share.

Two categories share a row as far as its probabilities cannot say from which of the two it came. Categories that share
most are joined first. Two branches share what their categories share on average. No fit is repeated.

Hennig (2010, "Methods for merging Gaussian mixture components") joins by such misclassification probabilities, and
Baudry et al. (2010) by the entropy of the same probabilities. Shares of rows can be said in words. With averages a
large branch does not draw one category after the other, only because it is large.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.cluster.hierarchy import linkage

from cpvae.words.names import numbered
from cpvae.words.phrases import listed, percent

MOST_LEAVES = 60  # categories of a tree that can still be read
HARDLY = 0.001  # share of rows below which nothing is told


@dataclass(frozen=True)
class Join:
    """Two branches that become one.

    Attributes:
        left, right: categories of the two, by their numbers; the branch with more rows is the left one.
        shared: share of their rows that they have in common, from 0 (never mixed up) to 1 (the same); of branches with
            several categories the mean over pairs, one category of each.
    """

    left: tuple[int, ...]
    right: tuple[int, ...]
    shared: float


@dataclass(frozen=True, eq=False)
class Tree:
    """Order in which categories join.

    Attributes:
        joins: first to last, one fewer than there are leaves.
        linkage: the same in the form of `scipy.cluster.hierarchy.linkage`, ``(joins, 4)``, leaves in their order here
            and 1 - shared as the distance.
        leaves: category -> share of the rows, for categories that hold rows, the largest first, at most `MOST_LEAVES`.
        names: category -> name that the user gave it.
        left_out: categories that hold rows and are no leaves.

    Examples:
        >>> proba = np.array([[0.9, 0.1, 0.0], [0.4, 0.6, 0.0], [0.2, 0.8, 0.0], [0.0, 0.01, 0.99]])
        >>> print(tree_of(proba, {2: "Gentoo"}))
        1 and 0 join first: they share 65 % of their rows; then 2 (Gentoo) joins them (0.8 %).
    """

    joins: tuple[Join, ...]
    linkage: np.ndarray
    leaves: Mapping[int, float]
    names: Mapping[int, str]
    left_out: int = 0

    def __str__(self) -> str:
        return self.in_words

    @property
    def in_words(self) -> str:
        """The tree as a sentence, as far as categories share rows; empty of two, which can join in one way only."""
        if len(self.joins) < 2:
            return ""
        told = [join for join in self.joins if join.shared >= HARDLY]
        if not told:
            return f"No two categories share {percent(HARDLY)} of their rows or more."
        parts = [self._words(i, join) for i, join in enumerate(told)]
        rest = f". The rest shares less than {percent(HARDLY)}" if len(told) < len(self.joins) else ""
        return f"{'; then '.join(parts)}{rest}."

    def _words(self, i: int, join: Join) -> str:
        """Say one join: of two categories, of one to what was just joined, or of two branches."""
        if not i:
            whole = f"{self._branch(join.left)} and {self._branch(join.right)} join first"
            return f"{whole}: they share {percent(join.shared)} of their rows"
        before = {*self.joins[i - 1].left, *self.joins[i - 1].right}
        for one, other in ((join.left, join.right), (join.right, join.left)):
            if set(other) == before:
                joins = "joins" if len(one) == 1 else "join"
                return f"{self._branch(one)} {joins} them ({percent(join.shared)})"
        return f"{self._branch(join.left)} with {self._branch(join.right)} ({percent(join.shared)})"

    def _branch(self, categories: tuple[int, ...]) -> str:
        return listed([numbered(k, self.names) for k in categories])

    def label(self, k: int) -> str:
        """Name a leaf, with its share: `2 (Gentoo), 36 %`."""
        return f"{numbered(k, self.names)}, {percent(self.leaves[k])}"

    def to_frame(self) -> pd.DataFrame:
        """Give a table with a line for each join, first to last: its two branches, and the share of rows in common."""
        lines = [{"left": list(one.left), "right": list(one.right), "shared": one.shared} for one in self.joins]
        return pd.DataFrame(lines, columns=["left", "right", "shared"])

    def as_dict(self) -> dict[str, Any]:
        """Give plain values, as JSON can hold them, and the words."""
        return {"words": self.in_words, "joins": self.to_frame().to_dict("records")}


def tree_of(proba: np.ndarray, names: Mapping[int, str]) -> Tree:
    """Join categories, those first that share most rows.

    Args:
        proba: of the categories, ``(n, K)``.
        names: category -> name that the user gave it.
    """
    counts = np.bincount(proba.argmax(1), minlength=proba.shape[1])
    used = [int(k) for k in np.argsort(-counts, kind="stable") if counts[k]]
    leaves = used[:MOST_LEAVES]
    p = proba[:, leaves].astype(np.float64)
    apart = 1.0 - np.array([shared_with(p, j) for j in range(len(leaves))])
    lines = linkage(apart[np.triu_indices(len(leaves), 1)], "average") if len(leaves) > 1 else np.empty((0, 4))
    shares = {k: float(counts[k] / len(proba)) for k in leaves}
    return Tree(tuple(_joins(lines, leaves, counts[leaves])), lines, shares, dict(names), len(used) - len(leaves))


def _joins(lines: np.ndarray, leaves: list[int], rows: np.ndarray) -> Iterator[Join]:
    """Read the joins from SciPy's `linkage`; `rows` ``(L,)`` says which of two branches is the larger one."""
    branches: list[tuple[int, ...]] = [(k,) for k in leaves]
    sizes = rows.tolist()
    for a, b, height, _ in lines:
        one, other = sorted((int(a), int(b)), key=lambda i: -sizes[i])
        yield Join(branches[one], branches[other], float(1.0 - height))
        branches.append(tuple(sorted(branches[one] + branches[other])))
        sizes.append(sizes[one] + sizes[other])


def shared_with(p: np.ndarray, j: int) -> np.ndarray:
    """Measure which share of their rows category `j` and each other one have in common.

    It is the probability that a row of one of the two is put to the other, added for the two. It is 0 where they are
    never mixed up and 1 where nothing tells them apart, however many rows either has.

    Args:
        p: probabilities of the categories, ``(n, L)``.

    Returns:
        Shares, ``(L,)``.

    >>> shared_with(np.array([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]]), 0).tolist()
    [1.0, 1.0, 0.0]
    """
    both = p + p[:, [j]]
    mixed = np.divide(p * p[:, [j]], both, out=np.zeros_like(p), where=both > 0).sum(0)
    rows = np.maximum(p.sum(0), np.finfo(np.float64).tiny)
    return np.minimum(mixed * (1 / rows + 1 / rows[j]), 1.0)
