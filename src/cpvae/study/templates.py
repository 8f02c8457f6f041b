"""Templates of pages."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files

from jinja2 import Environment, StrictUndefined, Template


def template(package: str, name: str, **filters: Callable[..., str]) -> Template:
    """Read a template of HTML from a package: what it is given is escaped, and what it is not given is an error."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= filters
    return environment.from_string(files(package).joinpath(name).read_text("utf-8"))
