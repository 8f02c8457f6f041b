"""Printing: results on standard output, words for the user on standard error.

Printed text cannot control the terminal: control characters, and characters that its encoding lacks, are shown as
escapes. Messages on standard error are a courtesy: if that stream is closed or full, the work continues.
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
    """Print a line for the user on standard error; only the first of several processes does."""
    if is_main():
        print(printable(text), file=sys.stderr)  # noqa: T201


def put(text: str) -> None:
    """Print a result on standard output."""
    print("\n".join(map(printable, text.split("\n"))))  # noqa: T201


def put_json(value: Any) -> None:
    """Print one JSON object on standard output; NaN and infinities become null."""
    finite = json.loads(json.dumps(value), parse_constant=lambda name: None)
    put(json.dumps(finite, indent=2, allow_nan=False))


def two_columns(values: dict[str, Any]) -> str:
    """Write names and values in two columns."""
    width = max(map(len, values))
    return "\n".join(f"{name:{width}}  {printable(show(value))}" for name, value in values.items())


def show(value: Any) -> str:
    """Write a float with four decimals, - where there is no value, and other values unchanged."""
    if value is None:
        return "-"
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def prepare_streams() -> None:
    """Make standard input, output and error usable, whatever state the process was started in.

    A closed stream is replaced by the null device. Otherwise the next file to be opened would take the stream's number,
    and the output of libraries would be written into that file.
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
    """Standard error whose failures stop nothing: after the first failure, all output to it is dropped."""

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
    """Drop the buffered output of a stream, and all later output."""
    with suppress(OSError, ValueError):
        number = stream.fileno()
        os.dup2(os.open(os.devnull, os.O_WRONLY), number)
