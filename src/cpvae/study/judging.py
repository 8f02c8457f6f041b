"""A fitted model before a judge: its rows are drawn, and measured beside real ones (`cpvae.study.quality`)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from cpvae.arguments import whole
from cpvae.data.loaders import Dataset
from cpvae.data.schema import as_frame
from cpvae.errors import InputError
from cpvae.estimators.clusterer import clusters
from cpvae.estimators.contract import DeepMixture
from cpvae.estimators.rows_in import as_table
from cpvae.study.evaluation import choose_split, some_rows
from cpvae.study.judge import Judge
from cpvae.study.quality import quality


def judge_model(
    model: DeepMixture,
    data: Dataset,
    judge: Judge,
    split_name: str | None = None,
    n_samples: int = 2000,
    per_component: int = 100,
    seed: int = 0,
    *,
    mean: bool | None = None,
) -> dict[str, Any]:
    """Measure the `quality` of what a fitted model generates, beside as many real rows of a split.

    Rows are compared with their like. Where the model draws pixels from grey levels, those of the real rows are drawn
    too. Where cells of a real row are missing, the same cells are taken out of the generated row beside it.

    Args:
        model: a fitted estimator; purity is for those with components.
        split_name: of the real rows, as for `cpvae.study.evaluation.choose_split`; not the one the judge learned from.
        n_samples: rows on each side, or all of the split where it has fewer.
        per_component: rows from each component, for purity, at least 2.
        seed: of all draws.
        mean: generate means of p(x | z, c) instead of draws from it. None draws tables and black-and-white images;
            for images with grey levels it gives the figures of means, as the paper's pictures are, and beside them,
            under ``drawn``, those of draws.

    Returns:
        As `quality`, and before it ``split``, ``n`` (rows on each side) and ``mean``.

    Raises:
        InputError: no such split, a split without labels, or whatever `quality` refuses.
    """
    whole("n_samples", n_samples, 1)
    whole("per_component", per_component, 2)
    split_name = choose_split(data, split_name)
    split = some_rows(data.splits[split_name], n_samples, seed)
    if split.y is None:
        raise InputError(f"{data.name} has no labels in {split_name!r}: expected some, to check the judge by; add them")
    rows = as_table(split.x, data.feature_names)
    kinds = [mean] if mean is not None else [True, False] if _is_grey(split.x) else [False]
    random = np.random.RandomState(seed)
    means, *draws = [_judged(model, judge, rows, split.y, per_component, random, seed, kind) for kind in kinds]
    found = {"split": split_name, "n": len(split.x), "mean": kinds[0], **means}
    return found | ({"drawn": draws[0]} if draws else {})


def _judged(
    model: DeepMixture,
    judge: Judge,
    real: Any,
    labels: np.ndarray,
    per_component: int,
    random: np.random.RandomState,
    seed: int,
    mean: bool,
) -> dict[str, Any]:
    """Measure the `quality` of means, or of draws, of one model."""
    if not mean and model.model_.likelihood.varies:
        real = judge.draw(real, seed)
    generated, _ = model.sample(len(real), mean=mean, random_state=random)
    groups = None
    if clusters(model) and model.n_components_ > 1:
        draws = (model.sample(per_component, k, mean=mean, random_state=random) for k in range(model.n_components_))
        groups = [rows for rows, _ in draws]
    weights = model.weights_ if groups is not None else None
    return quality(judge, real, labels, _with_gaps_of(real, generated), groups, weights, seed=seed)


def _with_gaps_of(real: Any, generated: Any) -> Any:
    """Take the cells out of generated rows that are missing in the real rows beside them."""
    if isinstance(generated, pd.DataFrame):
        frame = as_frame(real)
        missing = frame[[name for name in frame.columns if str(name) in generated.columns]].isna().to_numpy()
        return generated.mask(missing) if missing.any() else generated
    missing = pd.isna(np.asarray(real))
    return np.where(missing, np.nan, generated) if missing.any() else generated


def _is_grey(x: Any) -> bool:
    """Say whether rows are images with more than two levels."""
    return isinstance(x, np.ndarray) and x.ndim == 4 and bool(((x != x.min()) & (x != x.max())).any())
