"""The entry point: runs a command, and turns errors into one line and an exit code."""

from __future__ import annotations

import functools
import os
import signal
import sys
import threading
import time
import warnings
from _thread import interrupt_main
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any, NoReturn

import typer

from cpvae.cli import (
    assess,
    choose,
    cluster,
    compare,
    continuing,
    data,
    describe,
    drift,
    evaluate,
    explore,
    fit,
    impute,
    rename,
    report,
    reproduce,
    sample,
)
from cpvae.cli.app import app, data_app
from cpvae.cli.output import prepare_streams, say, silence
from cpvae.errors import FitWarning, InputError, nearest, readable
from cpvae.fitting.devices.memory import keep_freed
from cpvae.fitting.devices.rank import check_environment, is_main, n_processes
from cpvae.fitting.devices.waiting import wait_asleep

SHARED = ("fit", "continue")  # commands whose work several processes share
ALONE_AFTER = 10.0  # seconds after which an error of one process alone is told
AGAIN_AFTER = 0.1  # seconds after which a Ctrl-C that was lost is given again
COMMANDS: tuple[Callable[..., None], ...] = (
    fit.fit,
    continuing.continue_,
    evaluate.evaluate,
    cluster.cluster,
    describe.describe,
    drift.drift,
    rename.rename,
    sample.sample,
    impute.impute,
    assess.assess,
    report.report,
    explore.explore,
    compare.compare,
    choose.choose,
    reproduce.reproduce,
)
DATA_COMMANDS: dict[str, Callable[..., None]] = {
    "list": data.data_list,
    "fetch": data.data_fetch,
    "verify": data.data_verify,
}


def aborting(command: Callable[..., None]) -> Callable[..., None]:
    """Make Ctrl-C in a command an abort, of which `main` tells; typer would end without a word."""

    @functools.wraps(command)
    def called(**values: Any) -> None:
        try:
            command(**values)
        except KeyboardInterrupt as error:
            raise typer.Abort from error

    return called


for command in COMMANDS:
    app.command(command.__name__.rstrip("_"))(aborting(command))
for name, command in DATA_COMMANDS.items():
    data_app.command(name)(aborting(command))


def main() -> NoReturn:
    """Run a command and exit.

    The exit code is 0 for success, 1 if `--verify` finds a difference or the reader of a pipe has left, 2 with one line
    for bad usage or input, and 130 after Ctrl-C.
    """
    prepare_streams()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a polite stop is a stop, whoever asks
    sys.unraisablehook = _insist
    warnings.showwarning = _warning_shower()
    keep_freed()
    wait_asleep()
    os.environ.pop("MPLBACKEND", None)  # figures have canvases of their own; matplotlib refuses a name it does not know
    arguments = sys.argv[1:]
    try:
        check_environment()
        _refuse_no_folder()
        _refuse_empty(arguments)
        _refuse_several(arguments)
        if arguments in ([], ["data"]):
            arguments = [*arguments, "--help"]
        result = _commands().main(arguments, prog_name="cpvae", standalone_mode=False)
        sys.stdout.flush()
    except InputError as error:
        _fail(str(error))
    except typer.TyperException as error:
        _fail(_usage_message(error))
    except BrokenPipeError:  # `| head` has seen enough
        silence(sys.stdout)
        sys.exit(1)  # as click does
    except OSError as error:
        silence(sys.stdout)  # what cannot be written now cannot be written at exit either
        _fail(f"{error.filename or 'output'}: {error.strerror or error}; check the path and the room on the disk")
    except (KeyboardInterrupt, typer.Abort):  # an abort is a RuntimeError, too
        say("stopped")
        sys.exit(130)
    except (MemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
        _fail("more memory needed than there is; use smaller layers, fewer components or fewer rows")
    sys.exit(result if isinstance(result, int) else 0)


@cache
def _commands() -> Any:
    """Build all commands, once for a process that calls `main` more than once."""
    return typer.main.get_command(app)


def _insist(lost: sys.UnraisableHookArgs) -> None:
    """Repeat a Ctrl-C that arrived where Python cannot raise it, such as in a callback of the garbage collector."""
    if issubclass(lost.exc_type, KeyboardInterrupt):
        again = threading.Timer(AGAIN_AFTER, interrupt_main)
        again.daemon = True
        again.start()
    else:
        sys.__unraisablehook__(lost)


def _refuse_no_folder() -> None:
    """Refuse to work in a folder that was deleted: libraries would end the process there without a message."""
    try:
        os.getcwd()
    except OSError as error:
        raise InputError(f"the current folder cannot be used ({error.strerror}); change to one that exists") from error


def _refuse_empty(arguments: list[str]) -> None:
    """Refuse an empty or blank argument: it comes from an unset variable, and as a path it may mean this folder."""
    for before, argument in zip(["", *arguments], arguments, strict=False):
        option, _, value = argument.partition("=")
        if not argument.strip() or (option.startswith("--") and "=" in argument and not value.strip()):
            after = f" after {before!r}" if before and not argument.strip() else f" in {argument!r}" if argument else ""
            raise InputError(f"an empty argument{after}; expected a value; leave it out or give one")


def _refuse_several(arguments: list[str]) -> None:
    """Refuse commands that share no work under torchrun, where every process would repeat them."""
    if n_processes() > 1 and not {*SHARED} & {*arguments[:1]}:
        given = f"{n_processes()} processes for cpvae {' '.join(arguments[:1])}"
        raise InputError(
            f"{given}: expected cpvae {' or '.join(SHARED)}, which share their work among them; leave torchrun out"
        )


def _is_out_of_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or "allocate memory" in str(error) or "out of memory" in str(error)


def _usage_message(error: Any) -> str:
    message = " ".join(error.format_message().split()).rstrip(".")
    inputs = [one["input"] for one in getattr(error.__cause__, "errors", list)()]
    if inputs:  # newer versions of typer do not say what was given
        message += f", not {inputs[0]!r}"
    context = getattr(error, "ctx", None)
    if context is None:
        return f"{message}; see `cpvae --help`"
    name = getattr(error, "option_name", None)
    known = [option for parameter in context.command.params for option in parameter.opts if option.startswith("--")]
    if name and known and "--" not in message.replace(name, ""):
        message += nearest(name, known)
    return f"{message}; see `{context.command_path} --help`"


def _fail(message: str) -> NoReturn:
    message = readable(message)
    if not is_main():  # the first says the same, after which torchrun ends all; if not, it is news
        with suppress(KeyboardInterrupt):
            time.sleep(ALONE_AFTER)
            print(f"error: process {os.environ['RANK']}: {message}", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    say(f"error: {message}")
    sys.exit(2)


def _warning_shower() -> Callable[..., None]:
    """Make what shows our own warnings, each once, however often a command comes across it."""
    shown: set[str] = set()

    def show(message: Any, category: type[Warning], *rest: Any, **named: Any) -> None:
        if issubclass(category, FitWarning) and str(message) not in shown:
            shown.add(str(message))
            say(f"warning: {message}")

    return show
