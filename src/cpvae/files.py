"""Text and bytes in files: each write is all or nothing, each read is of a regular file of readable size.

A file is never written through a link: a run folder may come from somebody else, and a link in it must not lead to a
file of the user. Where the user names a file that is a link, `behind` follows it.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from cpvae.errors import InputError

PICTURES, TABLES = (".png", ".svg", ".pdf"), (".npz", ".csv")  # suffixes of what is made from a model
FORMAT_VERSION = 1  # of models and run folders
LONGEST = 2**28  # bytes of JSON that are read: a schema of millions of columns has fewer


def write_atomic(path: str | os.PathLike[str], content: bytes | str) -> None:
    """Write a file so that a reader finds the old content or the new, whole; make folders that are missing.

    Characters that UTF-8 lacks (half of a surrogate pair, as in file names of other encodings) are written as escapes.

    Raises:
        InputError: the path cannot be written, or the disk is full.
    """
    data = content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content
    with replacing(path) as file:
        file.write(data)


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Give a file to write that takes the place of `path` when the block ends, and is gone if it fails.

    A new file has the mode that the umask leaves, an existing one keeps its mode and, where that is allowed, its owner.
    A link is replaced by the file, not followed. Folders that are missing are made.

    Raises:
        InputError: the path cannot be written, or the disk is full.
    """
    path = Path(path)
    with _described(path):
        _check_target(path)
        make_folders(path.parent)
        with _replacement(path) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())


def append_line(path: str | os.PathLike[str], line: str) -> None:
    """Add a line to a file, or leave it as it is.

    Raises:
        InputError: the path cannot be written, or is a link, or the disk is full.
    """
    data = line.encode() + b"\n"
    with _described(path):
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        try:
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


def check_writable(path: str | os.PathLike[str]) -> None:
    """Refuse a file that could not be written, before any work is done for it; leave nothing behind.

    Raises:
        InputError: as `write_atomic` would.
    """
    path = Path(path)
    with _described(path):
        _check_target(path)
        folder = next(parent for parent in path.parents if parent.exists())
        with tempfile.TemporaryFile(dir=folder):
            pass


def make_folders(folder: Path) -> list[Path]:
    """Make a folder and those above it that are missing; return the new ones, the innermost first.

    `Path.mkdir(parents=True)` calls itself once for each, and so fails below a thousand of them.

    Raises:
        OSError: one of them cannot be made.
    """
    missing = []
    for place in (folder, *folder.parents):
        if place.exists():
            break
        missing.append(place)
    made: list[Path] = []
    try:
        for place in reversed(missing):
            place.mkdir(exist_ok=True)
            made.insert(0, place)
    except OSError:
        for place in made:
            with suppress(OSError):  # another process has put something there
                place.rmdir()
        raise
    return made


def behind(path: Path) -> Path:
    """Return the file behind a link that the user named; a path without links stays as it was given.

    Raises:
        InputError: the link leads back to itself.
    """
    with _described(path):
        if not path.is_symlink():
            return path
        target = Path(os.path.realpath(path))
        if target.is_symlink():
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        return target


@contextmanager
def _replacement(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that takes the place of `path` when the block ends, and is gone if it fails.

    It can never be read by more people than the file at `path`, not even while it is written.
    """
    existing = _regular(path)
    temporary = path.with_name(f".{path.name[:50]}.{secrets.token_hex(4)}")

    def create(name: str, flags: int) -> int:
        return os.open(name, flags, 0o666 if existing is None else 0o600)

    try:
        with open(temporary, "xb", opener=create) as file:
            if existing is not None:
                with suppress(OSError, AttributeError):  # not ours to give away; Windows has no owners of this kind
                    os.chown(temporary, existing.st_uid, existing.st_gid)
                shutil.copymode(path, temporary)
            yield file
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _regular(path: Path) -> os.stat_result | None:
    """Read the state of a file; None where there is none, or a link."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    return found if stat.S_ISREG(found.st_mode) else None


def _check_target(path: Path) -> None:
    """Refuse what must not be replaced: what is there must be a file that may be written, a link, or nothing."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode):
        raise InputError(f"cannot write {path}: it is a folder; give the name of a file")
    if not stat.S_ISREG(mode) and not stat.S_ISLNK(mode):
        raise InputError(f"cannot write {path}: it is neither a file nor a folder; give the name of a file")
    if stat.S_ISREG(mode) and not os.access(path, os.W_OK):
        raise InputError(f"cannot write {path}: it is read-only; give another name, or allow writing it")


@contextmanager
def _described(path: str | os.PathLike[str]) -> Iterator[None]:
    """Make what the system says against it an `InputError`, in a block that writes `path`."""
    try:
        yield
    except InputError:
        raise
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise InputError(
            f"cannot write {os.fspath(path)}: {reason}; choose a path that can be written, on a disk with room"
        ) from error


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write JSON, atomically, indented, with NaN and infinity refused."""
    write_atomic(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def parse(text: str) -> Any:
    """Parse JSON without NaN and infinity, which the standard does not have."""

    def refuse(name: str) -> None:
        raise ValueError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refuse)


def read_any_json(path: str | os.PathLike[str]) -> Any:
    """Read JSON from a regular file of readable size: no pipe, which may never end, and no device.

    Raises:
        OSError, ValueError, RecursionError: it cannot be read, is no such file, or holds no JSON.
    """
    if not stat.S_ISREG(mode := os.stat(path).st_mode):
        raise ValueError("a folder" if stat.S_ISDIR(mode) else "neither a file nor a folder")
    with open(path, "rb") as file:
        content = file.read(LONGEST + 1)
    if len(content) > LONGEST:
        raise ValueError(f"it has more than {LONGEST:,} bytes")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError("it is no text in UTF-8") from error
    return parse(text)


def read_json(path: str | os.PathLike[str], expected: str, advice: str) -> dict[str, Any]:
    """Read a JSON object.

    Args:
        path: a file.
        expected: what the file should be, and advice: what to do where it is not, for the message.

    Raises:
        InputError: the file is missing or not a JSON object.
    """
    try:
        value = read_any_json(path)
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is not {expected} ({error}); {advice}") from error
    if not isinstance(value, dict):
        raise InputError(f"{path} is not {expected}: it holds no JSON object; {advice}")
    return value


def check_exists(path: Path) -> None:
    """Refuse a model that is not there.

    Raises:
        InputError: the path is not a file.
    """
    try:
        there = path.is_file()
    except (OSError, ValueError):  # too long, a null byte
        there = False
    if not there:
        raise InputError(
            f"{path} does not exist or is no file; give the folder that `cpvae fit` wrote, or a saved model"
        )


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
