"""Arguments of the estimators for griffe, which reads the code for the reference and does not run it."""

from __future__ import annotations

import inspect
from typing import Any

import griffe

import cpvae


class Arguments(griffe.Extension):
    """Constructors of the estimators, which `cpvae.estimators.params.takes_arguments` makes of fields."""

    def on_class(self, *, cls: griffe.Class, **_: Any) -> None:
        """Give an estimator the signature that Python has for it."""
        if cls.name not in cpvae.__all__ or not cls.path.startswith("cpvae.estimators."):
            return
        own = [griffe.Parameter("self", kind=griffe.ParameterKind.positional_or_keyword)]
        for name, one in inspect.signature(getattr(cpvae, cls.name)).parameters.items():
            kind = griffe.ParameterKind(one.kind.description)
            own.append(griffe.Parameter(name, annotation=one.annotation, kind=kind, default=repr(one.default)))
        cls.set_member("__init__", griffe.Function("__init__", parameters=griffe.Parameters(*own)))
