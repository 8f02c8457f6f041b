"""Text and bytes in files: each write is all or nothing, each read is of a regular file."""

from __future__ import annotations

import errno
import json
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from cpvae.errors import InputError

FORMAT_VERSION = 1  # of models and run folders


def write_atomic(path: str | os.PathLike[str], content: bytes | str) -> None:
    """Write a file so that a reader finds the old content or the new, whole; folders that are missing are made.

    Raises:
        InputError: the path cannot be written, or the disk is full.
    """
    data = content.encode() if isinstance(content, str) else content
    temporary = None
    try:
        target = _target(Path(path))
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name[:100]}.", delete=False) as file:
            temporary = Path(file.name)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(target)
    except BaseException as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        if isinstance(error, (OSError, ValueError)) and not isinstance(error, InputError):
            raise _cannot_write(path, error) from error
        raise


def append_line(path: str | os.PathLike[str], line: str) -> None:
    """Add a line to a file, or leave it as it is.

    Raises:
        InputError: the path cannot be written, or the disk is full.
    """
    data = line.encode() + b"\n"
    try:
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        end = os.fstat(file).st_size
        try:
            if os.write(file, data) < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            with suppress(OSError):
                os.ftruncate(file, end)
            raise
        finally:
            os.close(file)
    except OSError as error:
        raise _cannot_write(path, error) from error


def check_writable(path: str | os.PathLike[str]) -> None:
    """Refuse a file that could not be written, before any work is done for it; leaves nothing behind.

    Raises:
        InputError: as `write_atomic` would.
    """
    try:
        target = _target(Path(path))
        target.exists()  # a name that is too long
        folder = next(parent for parent in target.parents if parent.exists())
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise _cannot_write(path, error) from error


def _target(path: Path) -> Path:
    """The file behind symbolic links; what is there must be a file, or nothing."""
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise InputError(f"cannot write {path}: it is a folder; give the name of a file")
    if target.exists() and not target.is_file():
        raise InputError(f"cannot write {path}: it is neither a file nor a folder; give the name of a file")
    return target


def _cannot_write(path: str | os.PathLike[str], error: OSError | ValueError) -> InputError:
    reason = (error.strerror if isinstance(error, OSError) else None) or error
    return InputError(f"cannot write {path}: {reason}; choose a path that can be written, on a disk with room")


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write JSON, atomically, indented, with NaN and infinity refused."""
    write_atomic(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def parse(text: str) -> Any:
    """JSON without NaN and infinity, which the standard does not have."""

    def refuse(name: str) -> None:
        raise ValueError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refuse)


def read_json(path: str | os.PathLike[str], expected: str, advice: str) -> dict[str, Any]:
    """Read a JSON object.

    Args:
        expected: what the file should be, and advice: what to do where it is not, for the message.

    Raises:
        InputError: the file is missing or not a JSON object.
    """
    try:
        value = parse(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is not {expected} ({error}); {advice}") from error
    if not isinstance(value, dict):
        raise InputError(f"{path} is not {expected}: it holds no JSON object; {advice}")
    return value


def check_version(meta: dict[str, Any], where: object) -> None:
    """Refuse a format that this package does not read.

    Raises:
        InputError: none, or a newer one.
    """
    version = meta.get("format_version")
    if type(version) is not int or version < 1:
        raise InputError(
            f"{where} has the format_version {str(version)[:40]!r}: expected a whole number from 1 to "
            f"{FORMAT_VERSION}; fit again or restore a copy"
        )
    if version > FORMAT_VERSION:
        raise InputError(
            f"{where} has format {version}, newer than {FORMAT_VERSION}, the newest this version reads; upgrade cpvae"
        )
