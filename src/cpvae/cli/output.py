"""Printing: results on standard output, words for the user on standard error.

What is printed cannot control the terminal, and is never lost to an encoding: characters that the terminal obeys, or
that it lacks, are shown as escapes. Words for the user are a courtesy: a closed or full standard error stops no work.
"""

from __future__ import annotations

import io
import json
import os
import sys
from contextlib import suppress
from typing import Any, TextIO

from cpvae.errors import printable
from cpvae.fitting.devices.rank import is_main


def say(text: str) -> None:
    """Print a line for the user on standard error; of several processes the first one speaks."""
    if is_main():
        print(printable(text), file=sys.stderr)  # noqa: T201


def put(text: str) -> None:
    """Print a result on standard output."""
    print("\n".join(map(printable, text.split("\n"))))  # noqa: T201


def put_json(value: Any) -> None:
    """Print one JSON object on standard output; a number that JSON does not have is null."""
    finite = json.loads(json.dumps(value), parse_constant=lambda name: None)
    put(json.dumps(finite, indent=2, allow_nan=False))


def two_columns(values: dict[str, Any]) -> str:
    """Write names and values in two columns."""
    width = max(map(len, values))
    return "\n".join(f"{name:{width}}  {printable(show(value))}" for name, value in values.items())


def show(value: Any) -> str:
    """A number with four decimals, anything else as it is."""
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def prepare_streams() -> None:
    """Make standard input, output and error streams that can be used, whatever the process was started with.

    A stream that is closed goes nowhere: otherwise the next file that is opened would take its number, and what
    libraries print would be written into it.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115  # until the process ends
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if not isinstance(sys.stderr, Courtesy):
        sys.stderr = Courtesy(sys.stderr)


class Courtesy(io.TextIOBase):
    """Standard error whose failures stop nothing: from the first one on, what is written to it goes nowhere."""

    def __init__(self, stream: TextIO):
        self.stream = stream

    def write(self, text: str) -> int:
        try:
            return self.stream.write(text)
        except (OSError, ValueError):  # full, left by its reader, closed
            silence(self.stream)
            return len(text)

    def flush(self) -> None:
        try:
            self.stream.flush()
        except (OSError, ValueError):
            silence(self.stream)

    def isatty(self) -> bool:
        return self.stream.isatty()

    def fileno(self) -> int:
        return self.stream.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self.stream.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        return self.stream.errors


def silence(stream: TextIO) -> None:
    """Let what is still buffered, and all that follows, go nowhere."""
    with suppress(OSError, ValueError):
        number = stream.fileno()
        os.dup2(os.open(os.devnull, os.O_WRONLY), number)
