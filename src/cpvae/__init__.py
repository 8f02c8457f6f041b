"""Deep mixture models you can fit, cluster with and sample from.

    from cpvae import CPVAE, load
    model = CPVAE(n_components=10, random_state=0).fit(X)

Names are imported when they are first used, so that the command line answers at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cpvae import tl
    from cpvae.errors import FitWarning, InputError
    from cpvae.estimators.zoo import CPHVAE, CPVAE, HVAE, VAE, MoGVAE, VampHVAE, VampVAE, load
    from cpvae.study.choice import choose_components
    from cpvae.study.drift import drift

__version__ = "0.2.0"

__all__ = [
    "CPHVAE",
    "CPVAE",
    "HVAE",
    "VAE",
    "FitWarning",
    "InputError",
    "MoGVAE",
    "VampHVAE",
    "VampVAE",
    "choose_components",
    "drift",
    "load",
    "tl",
]

_HOME = {
    **dict.fromkeys(
        ("CPHVAE", "CPVAE", "HVAE", "VAE", "MoGVAE", "VampHVAE", "VampVAE", "load"), "cpvae.estimators.zoo"
    ),
    **dict.fromkeys(("FitWarning", "InputError"), "cpvae.errors"),
    "choose_components": "cpvae.study.choice",
    "drift": "cpvae.study.drift",
}


_MODULES = ("tl",)


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"cpvae.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'cpvae' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME, *_MODULES])
