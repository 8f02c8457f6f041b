"""The store of the named sets: its place; fetching and checking them.

A folder that already holds the files is used as it is and never written to.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from cpvae.data.loaders.checks import expanded, input_error, reading
from cpvae.data.loaders.records import Array, DatasetStatus, FileStatus
from cpvae.data.loaders.registry import REGISTRY, Entry, File, Variant
from cpvae.errors import InputError, nearest
from cpvae.extras import needed

TIMEOUT = 30.0  # seconds without an answer before the next mirror is tried


def data_root() -> Path:
    """The folder of the named sets: `CPVAE_DATA` where that is set, else the platform's cache folder."""
    given = os.environ.get("CPVAE_DATA")
    if given:
        return expanded(Path(given))
    with needed("finding the cache without CPVAE_DATA"):
        import pooch
    return Path(pooch.os_cache("cpvae"))


def fetch(name: str, root: Path | None = None, progress: Callable[[str], None] | None = None) -> list[Path]:
    """Download the absent files of a named set and check all of them.

    Args:
        name: one of `NAMES`. A set that comes with the package has nothing to fetch.
        root: by default `data_root()`.
        progress: called with one line for each download that starts.

    Returns:
        The files of the set, all checked.

    Raises:
        InputError: a checksum that differs, a folder that cannot be written, no mirror that answers.
    """
    entry = _entry(name)
    if entry.folder is None:
        return []
    folder = _folder(entry, root)
    variant = _wanted(entry, folder)
    for file in variant.files:
        if _locate(file, folder) is None:
            _download(file, folder, name, progress)
    return checked(name, variant, folder)


def verify(name: str, root: Path | None = None) -> list[FileStatus]:
    """Each file of a named set as it lies in its folder; nothing is downloaded."""
    entry = _entry(name)
    if entry.folder is None:
        return []
    folder = _folder(entry, root)
    variant = _present(entry, folder) or _wanted(entry, folder)
    found = []
    for file in variant.files:
        path = _locate(file, folder)
        ok = None if path is None else _is_right(file, path)
        shown = path or folder / file.name
        found.append(FileStatus(shown.name, shown, path is not None, ok))
    return found


def status(root: Path | None = None) -> list[DatasetStatus]:
    """Every named set, and whether its files are there. Nothing is read: see `verify` for checksums."""
    found = []
    for name, entry in REGISTRY.items():
        folder = None if entry.folder is None else _folder(entry, root)
        present = folder is None or _present(entry, folder) is not None
        found.append(DatasetStatus(name, entry.description, present, folder))
    return found


def obtain(name: str, root: Path | None = None) -> tuple[Variant, list[Path]]:
    """The variant of a named set to be read and its files, checked; downloaded where there is none."""
    entry = _entry(name)
    folder = _folder(entry, root)
    variant = _present(entry, folder)
    if variant is None:
        fetch(name, root)
        variant = _wanted(entry, folder)
    return variant, checked(name, variant, folder)


def checked(name: str, variant: Variant, folder: Path) -> list[Path]:
    """The files of a variant; `InputError` where one has another md5 than it should."""
    paths = []
    for file in variant.files:
        path = _locate(file, folder)
        if path is None:
            raise input_error(f"{folder / file.name}: no such file; fetch it with cpvae data fetch {name}")
        found, expected = _digest(file, path), _expected(file, path)
        if found != expected:
            raise input_error(
                f"{path}: md5 {found}, expected {expected}; delete the file and run cpvae data fetch {name}"
            )
        paths.append(path)
    return paths


def read_amat(path: Path) -> Array:
    """(n, 784) uint8 zeros and ones from a text file of binary pixels.

    Only the digits are kept, which is faster than parsing; the md5 of the result vouches for it.
    """
    with reading(path, "a .amat file"):
        text = np.fromfile(path, np.uint8)
        pixels = text[text > ord(" ")] - ord("0")
        return pixels.reshape(-1, 784)


def _entry(name: str) -> Entry:
    if name not in REGISTRY:
        raise input_error(f"no data set called {name!r}{nearest(name.lower(), REGISTRY)}")
    return REGISTRY[name]


def _folder(entry: Entry, root: Path | None) -> Path:
    return (data_root() if root is None else Path(root)) / (entry.folder or "")


def _present(entry: Entry, folder: Path) -> Variant | None:
    """The first variant that is there as a whole."""
    for variant in entry.variants:
        if all(_locate(file, folder) for file in variant.files):
            return variant
    return None


def _wanted(entry: Entry, folder: Path) -> Variant:
    """Choose the variant that `fetch` ends with: the best to download, or one that is there and as good."""
    for variant in entry.variants:
        if variant.downloadable or all(_locate(file, folder) for file in variant.files):
            return variant
    raise AssertionError("every named set has a variant with mirrors")


def _locate(file: File, folder: Path) -> Path | None:
    names = [file.name] if file.unpacked_md5 is None else [file.name, file.name.removesuffix(".gz")]
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _expected(file: File, path: Path) -> str | None:
    return file.array_md5 or (file.md5 if path.name == file.name else file.unpacked_md5)


def _is_right(file: File, path: Path) -> bool:
    try:
        return _digest(file, path) == _expected(file, path)
    except InputError:  # not even readable
        return False


def _digest(file: File, path: Path) -> str:
    if file.array_md5 is not None:
        return hashlib.md5(read_amat(path).tobytes(), usedforsecurity=False).hexdigest()
    with reading(path, "a file"), path.open("rb") as opened:
        return hashlib.file_digest(opened, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _download(file: File, folder: Path, name: str, progress: Callable[[str], None] | None) -> None:
    """One file from the first mirror that has it. pooch renames it into place once its md5 is right."""
    with needed(f"{name}: downloading it"):
        import pooch
    _check_writable(folder, name)
    failures = []
    for url in file.urls:
        if progress is not None:
            progress(f"downloading {url}")
        try:
            with _quiet(pooch.get_logger()):
                pooch.retrieve(
                    url,
                    known_hash=None if file.md5 is None else f"md5:{file.md5}",
                    fname=file.name,
                    path=folder,
                    downloader=pooch.HTTPDownloader(timeout=TIMEOUT, chunk_size=1 << 20),
                )
            _discard_if_wrong(file, folder / file.name)
            return
        except (OSError, ValueError) as error:  # requests' errors are OSError, a wrong md5 is ValueError
            failures.append(f"{url} ({str(error)[:150]})")
    raise input_error(
        f"{name}: {file.name} could not be downloaded from {' or '.join(failures)}; expected it in {folder}; "
        f"connect to the network, or set CPVAE_DATA to a folder that holds {folder.name}/{file.name}"
    )


def _discard_if_wrong(file: File, path: Path) -> None:
    """The check that pooch cannot make: that of the array inside."""
    if file.array_md5 is None:
        return
    if not _is_right(file, path):
        path.unlink()
        raise ValueError(f"md5 of the pixels is not {file.array_md5}")


def _check_writable(folder: Path, name: str) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK)
    except OSError:
        writable = False
    if not writable:
        raise input_error(
            f"{folder}: cannot be written, and files of {name} are absent there; expected a writable folder "
            "or all the files; set CPVAE_DATA to another folder"
        )


@contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
