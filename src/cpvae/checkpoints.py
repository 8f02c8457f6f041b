"""Files: safetensors with a JSON header. No pickle; nothing is executed on load; each write is all or nothing."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from cpvae.errors import InputError

FORMAT_VERSION = 1


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


def _digest(tensors: dict[str, Tensor], header: dict[str, Any]) -> str:
    """SHA-256 of names, dtypes, shapes and bytes, and of the header but for the checksum itself."""
    sha = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        sha.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        sha.update(tensor.numpy().tobytes())
    rest = {key: value for key, value in header.items() if key != "sha256"}
    sha.update(json.dumps(rest, sort_keys=True).encode())
    return sha.hexdigest()


def save_tensors(path: str | os.PathLike[str], tensors: dict[str, Tensor], meta: dict[str, Any]) -> None:
    """Write tensors and a JSON header to one safetensors file, atomically.

    Raises:
        InputError: the path cannot be written.
    """
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    header = json.loads(json.dumps({"format_version": FORMAT_VERSION, **meta}, allow_nan=False))
    header["sha256"] = _digest(plain, header)
    content = safetensors.torch.save(plain, metadata={"cpvae": json.dumps(header)})
    write_atomic(path, content)


def load_tensors(path: str | os.PathLike[str]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `save_tensors` wrote.

    Raises:
        InputError: missing, not such a file, of a newer format, damaged or changed since it was written.
    """
    path = Path(path)
    check_exists(path)
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            meta = parse((file.metadata() or {})["cpvae"])
            check_version(meta, path)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        intact = meta.get("sha256") == _digest(tensors, meta)
    except InputError:
        raise
    except Exception as error:  # a damaged file reaches corners of safetensors, json and torch alike
        reason = "no header of cpvae" if isinstance(error, KeyError) else one_line(error)
        raise InputError(
            f"{path} is not a model that cpvae saved, or it is damaged ({reason}); fit again or restore a copy"
        ) from error
    if not intact:
        raise InputError(
            f"{path} is damaged or was changed after it was saved (its checksum differs); fit again or restore a copy"
        )
    return tensors, meta


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
            f"{str(path)[:200]} does not exist or is no file; give the folder that `cpvae fit` wrote, or a saved model"
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


def one_line(error: Exception) -> str:
    """The first line of what an error says, of readable length."""
    lines = str(error).splitlines()
    return lines[0][:200] if lines else type(error).__name__


@contextmanager
def described(path: str | os.PathLike[str]) -> Iterator[None]:
    """A block that makes a model from the header of a file: whatever nonsense in it causes becomes an `InputError`.

    The catch is broad on purpose: a header may say anything, and torch documents no class for what follows.
    """
    try:
        yield
    except InputError as error:
        raise InputError(f"{path} does not hold a model that can be used: {error}") from error
    except Exception as error:
        raise InputError(
            f"{path} does not hold the model its header names ({one_line(error)}); fit again or restore a copy"
        ) from error
