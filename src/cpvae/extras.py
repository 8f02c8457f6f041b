"""Packages that not every estimator needs. They come with an extra, as in `pip install 'cpvae[cli]'`.

A module imports such a package in a block of `needed`. If the package is missing, the message says what to install.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

from cpvae.errors import InputError, one_line

PACKAGES = {  # module: its package, and the extra that brings it (pyproject.toml)
    "anndata": ("anndata", "cells"),
    "arff": ("liac-arff", "tables"),
    "bokeh": ("bokeh", "explore"),
    "dask": ("dask", "dask"),
    "distributed": ("distributed", "dask"),
    "h5py": ("h5py", "cells"),
    "huggingface_hub": ("huggingface_hub", "hub"),
    "jinja2": ("jinja2", "report"),
    "markupsafe": ("markupsafe", "report"),
    "matplotlib": ("matplotlib", "report"),
    "openpyxl": ("openpyxl", "tables"),
    "PIL": ("pillow", "images"),
    "pooch": ("pooch", "cli"),
    "pyarrow": ("pyarrow", "parquet"),
    "ray": ("ray", "ray"),
    "rich": ("rich", "cli"),
    "typer": ("typer", "cli"),
    "umap": ("umap-learn", "umap"),
    "zarr": ("zarr", "cells"),
}
ABSENT = re.compile(
    r"(?:No module named|[Mm]issing optional dependency|required package|[Nn]eeds?|requires?) '?([\w.]+)"
)


@contextmanager
def needed(what: str, otherwise: str = "") -> Iterator[None]:
    """Say how to install a package that the imports of a block lack.

    Args:
        what: what the package is for; the message begins with it.
        otherwise: what can be done without the package.

    Raises:
        InputError: a package of an extra is missing, or something that it needs cannot be imported.

    Examples:
        >>> with needed("reading cells.h5ad"):
        ...     raise ModuleNotFoundError("No module named 'h5py'", name="h5py")
        Traceback (most recent call last):
        cpvae.errors.InputError: reading cells.h5ad needs h5py, which is not installed; pip install 'cpvae[cells]'
    """
    try:
        yield
    except ImportError as error:
        package, extra = _missing(error)
        advice = f", or {otherwise}" * bool(otherwise)
        if not package:
            raise InputError(
                f"{what} needs a package that cannot be imported ({one_line(error)}); install it again{advice}"
            ) from error
        raise InputError(
            f"{what} needs {package}, which is not installed; pip install 'cpvae[{extra}]'{advice}"
        ) from error


def require(what: str, *modules: str) -> None:
    """Import modules of extras, or say how to install the first that is missing.

    Raises:
        InputError: as `needed`.
    """
    with needed(what):
        for module in modules:
            import_module(module)


def _missing(error: ImportError) -> tuple[str, str]:
    """Find the package that an error says is missing, and its extra; some libraries say it in words only."""
    named = [error.name] if isinstance(error, ModuleNotFoundError) and error.name else ABSENT.findall(str(error))
    modules = [name.partition(".")[0] for name in named]
    return next((PACKAGES[name] for name in modules if name in PACKAGES), ("", ""))
