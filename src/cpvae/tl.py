"""Cells by the conventions of scverse: what is found is kept in the AnnData object, under names that scanpy expects.

model = cpvae.tl.fit(adata, n_components=8, layer="counts")
scanpy.pp.neighbors(adata, use_rep="X_cpvae")
scanpy.pl.umap(adata, color="cpvae")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cpvae.errors import InputError, nearest
from cpvae.estimators.clusterer import Clusterer
from cpvae.estimators.zoo import CPVAE

if TYPE_CHECKING:
    from anndata import AnnData

__all__ = ["annotate", "fit"]


def fit(
    adata: AnnData, n_components: int = 10, *, layer: str | None = None, key_added: str = "cpvae", **params: Any
) -> CPVAE:
    """Fit a `cpvae.CPVAE` to cells, without labels, and keep what it finds with them (`annotate`).

    Args:
        adata: cells x genes, changed in place. Whole numbers are taken for counts.
        n_components: number of categories.
        layer: layer to fit; by default X. Raw counts are best: their depth is a part of the model.
        key_added: what the results are called.
        params: other arguments of `cpvae.CPVAE`, such as ``random_state=0``.

    Returns:
        The fitted model, which draws new cells and can be saved; `annotate` uses it on other cells.

    Raises:
        InputError: no AnnData object, no such layer, cells that cannot be used. The object is then as it was.

    Examples:
        >>> import numpy as np
        >>> from anndata import AnnData
        >>> counts = np.random.default_rng(0).poisson(np.repeat([[1.0, 9.0], [9.0, 1.0]], 20, 0)).astype("float32") + 1
        >>> cells = AnnData(counts)
        >>> model = fit(cells, 2, latent_dim=1, hidden=(4,), max_epochs=1, random_state=0)
        >>> list(cells.obs), list(cells.obsm), cells.obsm["X_cpvae"].shape, cells.uns["cpvae"]["params"]["n_components"]
        (['cpvae', 'cpvae_probability'], ['X_cpvae', 'cpvae_proba'], (40, 1), 2)
    """
    cells = _cells(adata, layer)
    model = CPVAE(n_components, **params).fit(cells)
    _keep(adata, cells, model, layer, key_added, {"n_components": n_components, **params})
    return model


def annotate(adata: AnnData, model: Clusterer, *, layer: str | None = None, key_added: str = "cpvae") -> None:
    """Put what a fitted model says of cells with them, in place.

    - ``obs[key]``: the category of each cell, "0", "1", ..., or the name that it was given;
    - ``obs[key + "_probability"]``: how sure that is;
    - ``obsm["X_" + key]``: the latent code, ``(n, latent_dim)``;
    - ``obsm[key + "_proba"]``: the probability of each category, ``(n, K)``;
    - ``uns[key]``: the arguments of the fit and the layer.

    Args:
        adata: cells x genes, with the genes of the fit, in any order.
        model: fitted to cells.
        layer: layer to read; by default X.
        key_added: what the results are called.

    Raises:
        InputError: no AnnData object, no such layer, cells that the model does not take. The object is then as it was.
    """
    _keep(adata, _cells(adata, layer), model, layer, key_added, model.get_params())


def _cells(adata: AnnData, layer: str | None) -> AnnData:
    """Give the cells with one layer as their X."""
    if not hasattr(adata, "obs_names") or not hasattr(adata, "layers"):
        raise InputError(
            f"cells of type {type(adata).__name__}: expected an AnnData object; give CPVAE().fit other rows"
        )
    if layer is None:
        return adata
    if layer not in adata.layers:
        known = [*adata.layers]
        raise InputError(
            f"no layer {layer!r}{nearest(layer, known) if known else '; there is only X: leave layer out'}"
        )
    return type(adata)(adata.layers[layer], obs=adata.obs[[]], var=adata.var[[]])


def _keep(
    adata: AnnData, cells: AnnData, model: Clusterer, layer: str | None, key: str, params: dict[str, Any]
) -> None:
    """Ask a model about cells, then write all of its answers."""
    proba, codes = model.predict_proba(cells), model.transform(cells)
    names = [model.names_.get(k, str(k)) for k in range(model.n_components_)]
    text: Any = pd.Index(names, dtype=object)  # AnnData writes no other text of every version of pandas
    found = pd.Categorical.from_codes(proba.argmax(1), text).remove_unused_categories()
    adata.obs[key] = found
    adata.obs[f"{key}_probability"] = proba.max(1)
    adata.obsm[f"X_{key}"], adata.obsm[f"{key}_proba"] = codes, proba
    plain = {name: value for name, value in params.items() if isinstance(value, (str, bool, int, float, np.generic))}
    adata.uns[key] = {"params": plain | ({} if layer is None else {"layer": layer})}
