"""Tensors in files: safetensors with a JSON header. No pickle; nothing is executed on load."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from cpvae.errors import InputError, one_line
from cpvae.files import FORMAT_VERSION, check_exists, check_version, parse, write_atomic


def _digest(tensors: dict[str, Tensor], header: dict[str, Any]) -> str:
    """Compute the SHA-256 of names, dtypes, shapes and bytes, and of the header but for the checksum itself."""
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


def part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Take the tensors whose names begin so, by the rest of their names."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


@contextmanager
def described(path: str | os.PathLike[str]) -> Iterator[None]:
    """Make whatever nonsense in the header of a file causes an `InputError`, in the block that makes a model from it.

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
