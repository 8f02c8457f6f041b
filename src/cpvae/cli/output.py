"""Printing: results on standard output, words for the user on standard error."""

from __future__ import annotations

import json
import sys
from typing import Any

from cpvae.fitting.devices.rank import is_main


def say(text: str) -> None:
    """A line for the user, on standard error; of several processes the first one speaks."""
    if is_main():
        print(text, file=sys.stderr)  # noqa: T201


def put(text: str) -> None:
    """A result, on standard output."""
    print(text)  # noqa: T201


def put_json(value: Any) -> None:
    """One JSON object on standard output; a number that JSON does not have is null."""
    finite = json.loads(json.dumps(value), parse_constant=lambda name: None)
    put(json.dumps(finite, indent=2, allow_nan=False))


def two_columns(values: dict[str, Any]) -> str:
    """Write names and values in two columns."""
    width = max(map(len, values))
    return "\n".join(f"{name:{width}}  {show(value)}" for name, value in values.items())


def show(value: Any) -> str:
    """A number with four decimals, anything else as it is."""
    return f"{value:.4f}" if isinstance(value, float) else str(value)
