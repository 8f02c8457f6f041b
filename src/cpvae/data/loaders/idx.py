"""IDX, the format of the MNIST files (Y. LeCun, C. Cortes, C. Burges, 1998).

Two zero bytes, a byte for the dtype, a byte for the number of dimensions, each dimension as a big-endian
uint32, then the values, big-endian, last dimension fastest.
"""

from __future__ import annotations

import gzip
import math
import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np

from cpvae.data.loaders.checks import input_error, reading
from cpvae.data.loaders.records import Array

DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def is_idx(path: Path) -> bool:
    """Tell whether the first bytes, unpacked where they are gzip, are those of an IDX file."""
    try:
        with _open(path) as file:
            head = file.read(4)
    except (OSError, EOFError, ValueError):
        return False
    except Exception:  # zlib.error is a plain Exception
        return False
    return _is_magic(head)


def read_idx(path: Path) -> Array:
    """Read the array of an IDX file, plain or gzip, in its own shape and native byte order.

    Raises:
        InputError: not IDX, shorter or longer than its header says, or a damaged gzip stream.
    """
    with reading(path, "an IDX file"), _open(path) as file:
        head = file.read(4)
        if not _is_magic(head):
            raise input_error(
                f"{path}: starts with the bytes {head.hex(' ') or '(none)'}; expected an IDX file (00 00, a "
                "type of 08 to 0e, a number of dimensions); give it the suffix of its real format"
            )
        sizes = file.read(4 * head[3])
        if len(sizes) < 4 * head[3]:
            raise input_error(f"{path}: ends within the IDX header; expected a complete file; write it again")
        shape = struct.unpack(f">{head[3]}I", sizes)
        dtype = np.dtype(DTYPES[head[2]])
        expected = math.prod(shape) * dtype.itemsize
        values = file.read(expected + 1)  # the byte beyond the end makes gzip compare its checksum
        if len(values) != expected:
            found = "more" if len(values) > expected else str(len(values))
            raise input_error(
                f"{path}: header says {shape}, that is {expected} bytes of values, and {found} follow; "
                "expected a complete IDX file; write it again"
            )
        return np.frombuffer(values, dtype).reshape(shape).astype(dtype.newbyteorder("="))  # a writable copy


def labels_beside(path: Path) -> Path | None:
    """Find the labels that belong to an images file by MNIST's naming: t10k-images-idx3-ubyte.gz and so on."""
    if "images" not in path.name:
        return None
    stem = path.name.removesuffix(".gz").replace("images", "labels").replace("idx3", "idx1")
    candidates = [path.with_name(stem + ending) for ending in ("", ".gz")]
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def _open(path: Path) -> BinaryIO:
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if packed else path.open("rb")  # type: ignore[return-value]


def _is_magic(head: bytes) -> bool:
    return len(head) == 4 and head[:2] == b"\0\0" and head[2] in DTYPES and head[3] >= 1
