"""Rows that show what a category is: the most typical ones, and those on its border to another category."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cpvae.words.phrases import percent

UNSURE = 0.2  # probability of another category from which a row is on the border to it


@dataclass(frozen=True)
class Border:
    """A row on the border of its category.

    Attributes:
        row: its number.
        neighbour: the second likeliest category; probability: of that one; name: that the user gave it, or "".

    >>> str(Border(144, 0, 0.48, "Gentoo"))
    '144 (to 0 Gentoo, 48 %)'
    """

    row: int
    neighbour: int
    probability: float
    name: str = ""

    def __str__(self) -> str:
        name = f"{self.neighbour} {self.name}".rstrip()
        return f"{self.row} (to {name}, {percent(self.probability)})"


def typical_rows(z: np.ndarray, proba: np.ndarray, k: int, mean: np.ndarray, scale: np.ndarray, m: int) -> np.ndarray:
    """Find the rows nearest to the centre of category `k` that are on no border; where all are, any of its rows.

    Arguments and result are those of `nearest_rows`; `proba` of the categories, ``(n, K)``.

    >>> z, proba = np.array([[0.1], [2.0], [0.3]]), np.array([[0.6, 0.4], [0.9, 0.1], [0.95, 0.05]])
    >>> typical_rows(z, proba, 0, np.zeros(1), np.ones(1), 5)
    array([2, 1])
    """
    categories = proba.argmax(1)
    sure = np.where(proba.max(1) > 1 - UNSURE, categories, -1)
    return nearest_rows(z, sure if (sure == k).any() else categories, k, mean, scale, m)


def nearest_rows(
    z: np.ndarray, categories: np.ndarray, k: int, mean: np.ndarray, scale: np.ndarray, m: int
) -> np.ndarray:
    """Find the rows of category `k` nearest to its centre.

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


def border_rows(proba: np.ndarray, k: int, m: int) -> list[Border]:
    """Find the rows of category `k` that may belong to another one, the least sure first.

    Args:
        proba: of the categories, ``(n, K)``.
        m: how many at most.

    >>> border_rows(np.array([[0.5, 0.3, 0.2], [0.9, 0.1, 0.0], [0.1, 0.8, 0.1]]), 0, 5)
    [Border(row=0, neighbour=1, probability=0.3, name='')]
    """
    own = np.flatnonzero(proba.argmax(1) == k)
    if proba.shape[1] < 2:
        return []
    rest = proba[own].copy()
    rest[:, k] = -1.0
    second = rest.max(1)
    found = [i for i in np.argsort(-second, kind="stable")[:m] if second[i] >= UNSURE]
    return [Border(int(own[i]), int(rest[i].argmax()), float(second[i])) for i in found]
