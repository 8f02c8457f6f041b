"""Files: safetensors with a JSON header. No pickle; nothing is executed on load; each write is all or nothing."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from cpvae.errors import InputError

FORMAT_VERSION = 1


def write_atomic(path: str | os.PathLike[str], content: bytes | str) -> None:
    """Write a file so that a reader finds the old content or the new, whole.

    Raises:
        InputError: the path cannot be written, or the disk is full.
    """
    path = Path(path)
    data = content.encode() if isinstance(content, str) else content
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            temporary = Path(file.name)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise InputError(
            f"cannot write {path}: {error.strerror or error}; choose a path that can be written, on a disk with room"
        ) from error


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write JSON, atomically, indented, with NaN and infinity refused."""
    write_atomic(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_json(path: str | os.PathLike[str], expected: str) -> dict[str, Any]:
    """Read a JSON object.

    Args:
        expected: what the file should be, for the message.

    Raises:
        InputError: the file is missing or not a JSON object.
    """
    try:
        value = json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is not {expected} ({error}); give the folder that `cpvae fit` wrote") from error
    if not isinstance(value, dict):
        raise InputError(f"{path} is not {expected}: it holds no JSON object; give the folder that `cpvae fit` wrote")
    return value


def _digest(tensors: dict[str, Tensor]) -> str:
    """SHA-256 of names, dtypes, shapes and bytes."""
    sha = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        sha.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        sha.update(tensor.numpy().tobytes())
    return sha.hexdigest()


def save_tensors(path: str | os.PathLike[str], tensors: dict[str, Tensor], meta: dict[str, Any]) -> None:
    """Write tensors and a JSON header to one safetensors file, atomically.

    Raises:
        InputError: the path cannot be written.
    """
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    header = {"format_version": FORMAT_VERSION, "sha256": _digest(plain), **meta}
    content = safetensors.torch.save(plain, metadata={"cpvae": json.dumps(header, allow_nan=False)})
    write_atomic(path, content)


def load_tensors(path: str | os.PathLike[str]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `save_tensors` wrote.

    Raises:
        InputError: missing, not such a file, of a newer format, damaged or changed since it was written.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path} does not exist or is not a file; give a model saved by cpvae")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        meta = json.loads(metadata["cpvae"])
        version = int(meta["format_version"])
    except (OSError, safetensors.SafetensorError, KeyError, ValueError, TypeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"{path} is not a model that cpvae saved, or it is damaged ({reason}); fit again or restore a copy"
        ) from error
    if version > FORMAT_VERSION:
        raise InputError(
            f"{path} has format {version}, newer than {FORMAT_VERSION}, the newest this version reads; upgrade cpvae"
        )
    if meta.get("sha256") != _digest(tensors):
        raise InputError(
            f"{path} is damaged or was changed after it was saved (its checksum differs); fit again or restore a copy"
        )
    return tensors, meta
