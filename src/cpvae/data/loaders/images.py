"""Pictures, read with Pillow: a folder of them, or a list in memory.

First each file is opened for what its header says: its size, whether it has colours, and how deep its levels are. From
that come the size that all pictures get and the memory needed, and every fault is named before a pixel is read.
"""

from __future__ import annotations

import logging
import math
import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from cpvae.data.faults import enumerated
from cpvae.data.limits import check_memory
from cpvae.data.loaders.checks import check_rows, input_error, listed, reading, refuse_odd
from cpvae.data.loaders.records import Array, Asked, Opened, Split
from cpvae.data.loaders.roles import SPLIT_NAMES
from cpvae.errors import InputError
from cpvae.extras import needed

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm", ".pbm", ".pnm")
OTHER_SUFFIXES = (".npy", ".npz", ".csv", ".parquet", ".ts", ".mat", ".h5", ".h5ad")  # for the hint without images
OF_SYSTEMS = ("thumbs.db", "desktop.ini")  # files that Windows puts beside pictures, in lower case
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")  # Pillow would run Ghostscript on others
REAL = "F"  # Pillow's name for 32-bit floating-point levels
GREY = ("1", "L", "LA", "La", "I;16", "I;16L", "I;16B", "I;16N", "I", REAL)
MOST_SIDE = 64  # pixels of the longer side, where pictures are large, or have many sizes and none is the usual one
LARGE = 2**14  # numbers in a picture of a folder: a fit of some hundred larger ones takes longer than people wait
MOST_VALUES = 2**22  # numbers in a picture: more are a slip, as of photographs that nobody made smaller
ORIENTATION = 0x0112  # the tag of a photograph that says how it was held; from 5 on its sides change places

Size = tuple[int, int]
T = TypeVar("T")


@dataclass(frozen=True)
class Header:
    """A picture before its pixels are read.

    Attributes:
        size: height and width, upright.
        colour: whether it has colours.
        deep: whether its levels have 16 bits.
        real: whether they are floating-point numbers.
        clear: whether parts of it are transparent.
        more: whether more pictures follow the first in the same file.
    """

    size: Size
    colour: bool
    deep: bool
    real: bool
    clear: bool
    more: bool


def read_images(folder: Path, asked: Asked) -> Opened:
    """Read all pictures in a folder, in the order of their paths.

    Files that start with a dot are left out, and so are those with other suffixes, which is noted. Pictures in several
    subfolders are labelled by their names; folders called train, valid (val) and test are splits. Grey pictures have
    one channel. Grey levels of 16 bits are kept, and so are floating-point ones. Transparent parts become white; of an
    animation or a stack the first picture is read. Where sizes differ, or are large, all are resized (`common_size`).
    Each of these is noted.

    Returns:
        x: (n, 1 or 3, height, width), uint8, uint16 where a picture has 16 bits, or float32 where they have
        floating-point levels; y: (n,) str, or None; the names of rows are the paths in the folder.

    Raises:
        InputError: no pictures, pictures both in the folder and in subfolders, grey ones beside colours, floating-point
            levels beside others or not finite, files that are damaged (all are named), or more pixels than there is
            memory for.
    """
    paths, left_out = _find(folder)
    _quiet_pillow()
    check_rows(len(paths), folder)
    names = [path.relative_to(folder).as_posix() for path in paths]
    folders = _apart([name.split("/")[:-1] for name in names])
    parts = _splits(folders)
    split = "all" not in parts
    y = {name: _labels(folder, names[part], [own[split:] for own in folders[part]]) for name, part in parts.items()}
    plan = _plan(folder, names, _headers(folder, paths), asked.sides, LARGE)
    x = _filled(plan, _each(folder, paths, lambda path: _read(path, plan.pixels)))
    splits = {name: Split(x[part], y[name], np.array(names[part])) for name, part in parts.items()}
    outermost = sorted({own[0] for own in folders}) if split else []
    told = [f"the folders {enumerated(outermost)} are splits; for one of them give its path"] * split
    told += [_told_others(left_out)] if left_out else []
    return Opened(splits, "images", notes=(*told, *plan.notes))


def stack(images: Sequence[Image]) -> tuple[Array, tuple[str, ...]]:
    """Put pictures in memory into one array ``(n, 1 or 3, height, width)``; give it, and notes like `read_images`.

    Large pictures stay large: whoever has them in memory has chosen their size.
    """
    names = [f"picture {k}" for k in range(len(images))]
    plan = _plan("a list of pictures", names, list(map(_header, images, names)), None)
    return _filled(plan, map(plan.pixels, images, names)), plan.notes


def common_size(sizes: Sequence[Size], most: float = math.inf) -> Size:
    """Choose the size of pictures: that of at least half of them, unless it has over `most` pixels, or 64 a side.

    The latter has the median shape, and the median length of the longer side up to `MOST_SIDE`.

    >>> common_size([(100, 100), (100, 100), (3024, 3024)])
    (100, 100)
    >>> common_size([(100, 100), (100, 100), (3024, 3024)], most=5000)
    (64, 64)
    >>> common_size([(300, 400), (600, 800), (375, 500)])
    (48, 64)
    """
    usual, count = Counter(sizes).most_common(1)[0]
    if 2 * count >= len(sizes):
        if math.prod(usual) <= most:
            return usual
        sizes = [usual]
    height, width = np.array(sizes, dtype=float).T
    longer = min(MOST_SIDE, float(np.median(np.maximum(height, width))))
    tall = float(np.exp(np.median(np.log(height / width))))  # height over width
    return max(1, round(longer * min(1.0, tall))), max(1, round(longer * min(1.0, 1 / tall)))


# -- files -------------------------------------------------------------------------------------------------------------


def _find(folder: Path) -> tuple[list[Path], list[Path]]:
    """Find the pictures in a folder, in order, and the other files in it."""

    def refuse(error: OSError) -> None:
        raise input_error(f"{error.filename}: {error.strerror}; expected a readable folder; allow reading it")

    found = []
    for parent, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(parent, name) for name in names if not name.startswith(".") and name.lower() not in OF_SYSTEMS]
    images = sorted(path for path in found if path.suffix.lower() in SUFFIXES)
    refuse_odd(images, folder, "images")
    if not images:
        others = sorted(path for path in found if path.suffix.lower() in OTHER_SUFFIXES or "ubyte" in path.name)
        instead = f"; to read one file give its path, for example {others[0]}" if others else ""
        instead += "; to read several join them into one, recordings as an array (n, channels, time)" * (
            len(others) > 1
        )
        raise input_error(f"{folder}: a folder without images; expected {' '.join(SUFFIXES)}{instead}")
    return images, sorted(set(found) - set(images))


def _told_others(paths: Sequence[Path]) -> str:
    """Say which files are no pictures that can be read."""
    suffixes = sorted({path.suffix.lower() or path.name for path in paths})
    files = f"{len(paths):,} other file{'s are' if len(paths) != 1 else ' is'}"
    return f"{files} left out ({enumerated(suffixes)}); save pictures among them as .jpg or .png"


def _apart(folders: Sequence[list[str]]) -> list[list[str]]:
    """Leave out the folders in which all pictures lie, which tell none from another."""
    shared = len(os.path.commonprefix(folders))  # noqa: RUF071 of lists of names, not of letters
    return [own[shared:] for own in folders]


def _splits(folders: Sequence[list[str]]) -> dict[str, slice]:
    """Find the splits of pictures, in order of their paths, whose outermost folders are called train, test and so on.

    >>> _splits([["test"], ["train", "cat"], ["train", "dog"]])
    {'train': slice(1, 3, None), 'test': slice(0, 1, None)}
    >>> _splits([["car"], ["train"]])
    {'all': slice(0, 2, None)}
    """
    split_of = {ending: split for split, endings in SPLIT_NAMES.items() for ending in endings}
    found = [split_of.get(own[0].lower(), "") if own else "" for own in folders]
    if not all(found) or len(set(found)) < len({own[0] for own in folders}):
        return {"all": slice(0, len(folders))}
    first = {split: found.index(split) for split in SPLIT_NAMES if split in found}
    return {split: slice(start, start + found.count(split)) for split, start in first.items()}


def _labels(folder: Path, names: Sequence[str], folders: Sequence[list[str]]) -> Array | None:
    """Give the names of subfolders, or None where all pictures lie in one."""
    parents = ["/".join(own) for own in _apart(folders)]
    inside = [bool(parent) for parent in parents]
    if any(inside) and not all(inside):
        raise input_error(
            f"{folder}: {names[inside.index(False)]} lies in the folder itself and {names[inside.index(True)]} in a "
            "subfolder; expected all images in the folder, or all in subfolders named after their labels; move them"
        )
    return np.array(parents) if all(inside) else None


def _quiet_pillow() -> None:
    pillow = logging.getLogger("PIL")
    if not pillow.handlers:  # otherwise a damaged file prints a line of Pillow's before ours
        pillow.addHandler(logging.NullHandler())


def _each(folder: Path, paths: Sequence[Path], read: Callable[[Path], T]) -> Iterator[T]:
    """Give what `read` makes of each file; in the end name all those that it refused, in one line."""
    faults = []
    for path in paths:
        try:
            yield read(path)
        except InputError as error:
            faults.append((path, error))
    if len(faults) == 1:
        raise faults[0][1]
    if faults:
        first = listed([path for path, _ in faults], folder)
        raise input_error(f"{folder}: {len(faults)} of {len(paths)} images cannot be used ({first}); {faults[0][1]}")


def _headers(folder: Path, paths: Sequence[Path]) -> list[Header]:
    try:
        return list(_each(folder, paths, lambda path: _read(path, _header)))
    except InputError:
        list(_each(folder, paths, lambda path: _read(path, _loaded)))  # names those that are cut short, too
        raise


def _read(path: Path, use: Callable[[Image, str], T]) -> T:
    """Make the first picture of a file, upright."""
    with needed(f"{path}: reading it"):
        from PIL import Image
    with reading(path, "an image"):
        # an image that unpacks to gigabytes is an attack or a damaged header
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(path, formats=FORMATS) as file:
            return use(file, str(path))


# -- pictures ----------------------------------------------------------------------------------------------------------


def _header(image: Image, where: str) -> Header:
    if image.mode == "I" and image.format not in ("PNG", "PPM", "TIFF", None):
        raise input_error(f"{where}: an image of 32-bit values; expected 8 or 16 bits; save it as 8-bit PNG")
    size = image.height, image.width
    turned = image.getexif().get(ORIENTATION, 1) >= 5
    colour = image.mode not in GREY
    if image.mode == "P":  # a palette may well hold greys only
        colours = np.asarray(image.convert("RGB"))
        colour = bool((colours != colours[..., :1]).any())
    more = bool(getattr(image, "is_animated", False))
    deep, real = image.mode.startswith("I"), image.mode == REAL
    return Header(size[::-1] if turned else size, colour, deep, real, _is_clear(image), more)


def _loaded(image: Image, where: str) -> None:
    """Read a picture whole, as far as it is one."""
    _header(image, where)
    image.load()


def _refuse_levels(levels: Array, real: bool, where: str) -> None:
    """Refuse floating-point levels that are not finite, and whole ones that 16 bits do not hold."""
    if real and not np.isfinite(levels).all():
        odd = int((~np.isfinite(levels)).sum())
        raise input_error(
            f"{where}: {odd:,} of {levels.size:,} pixels are infinite or no number; expected finite levels; give them "
            "a value, or drop the picture"
        )
    if not real and (levels.min() < 0 or levels.max() > 65535):
        raise input_error(
            f"{where}: an image of 32-bit values, {levels.min():g} to {levels.max():g}; expected 8 or 16 bits, or "
            "floating point; save it as 16-bit PNG, or as a TIFF of 32-bit floating point"
        )


def _is_clear(image: Image) -> bool:
    """Tell whether a picture says how opaque its parts are."""
    return "A" in image.getbands() or "a" in image.getbands() or "transparency" in image.info


@dataclass(frozen=True)
class Plan:
    """The form that all pictures get: one size, one number of channels, one depth.

    Attributes:
        n: how many pictures.
        size: height and width.
        colour: whether they get three channels.
        deep: whether they get levels of 16 bits.
        real: whether they have floating-point levels.
        notes: what was decided, a line each.
    """

    n: int
    size: Size
    colour: bool
    deep: bool
    real: bool
    notes: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape of one picture: ``(channels, height, width)``."""
        return (3 if self.colour else 1, *self.size)

    @property
    def dtype(self) -> type[np.uint8 | np.uint16 | np.float32]:
        """The type of its levels."""
        return np.float32 if self.real else np.uint16 if self.deep else np.uint8

    def pixels(self, image: Image, where: str) -> Array:
        """Read the levels of a picture, ``(1 or 3, height, width)``."""
        from PIL import Image as module
        from PIL import ImageOps

        image = ImageOps.exif_transpose(image)
        wanted = self.size[::-1]  # Pillow counts across first
        if image.mode.startswith("I") or image.mode == REAL:
            levels = np.asarray(image).astype(np.float32)
            _refuse_levels(levels, self.real, where)
            if image.size != wanted:
                levels = np.asarray(module.fromarray(levels).resize(wanted, module.Resampling.BILINEAR))
            return (levels if self.real else np.rint(levels).astype(self.dtype))[None]
        if _is_clear(image):
            layer = image.convert("RGBA")
            image = module.alpha_composite(module.new("RGBA", layer.size, "white"), layer)
        image = image.convert("RGB" if self.colour else "L")
        if image.size != wanted:
            image = image.resize(wanted, module.Resampling.BILINEAR)
        levels = np.asarray(image).astype(self.dtype)
        if self.deep:
            levels *= 257  # 255 is 65535
        return levels.transpose(2, 0, 1) if self.colour else levels[None]


def _refuse_two_kinds(where: object, names: Sequence[str], has: Sequence[bool], one: str, other: str) -> None:
    """Refuse pictures of which some are of one kind and the rest of another, naming the first of the fewer."""
    n, some = len(has), sum(has)
    if not 0 < some < n:
        return
    fewer = one if 2 * some <= n else other
    first = [name for name, mine in zip(names, has, strict=True) if mine == (fewer == one)]
    shown = ", ".join(first[:3]) + ", ..." * (len(first) > 3)
    raise input_error(
        f"{where}: {some:,} of {n:,} pictures {one} and {n - some:,} {other} ({shown}); expected one kind; "
        "convert those, or move them apart"
    )


def _plan(
    where: object, names: Sequence[str], headers: Sequence[Header], asked: Size | None, largest: float = math.inf
) -> Plan:
    """Decide what pictures become; refuse those of kinds that do not go together, and more than there is memory for."""
    n, notes = len(headers), []
    floating, coloured = [header.real for header in headers], [header.colour for header in headers]
    _refuse_two_kinds(where, names, floating, "have floating-point levels", "have bytes or 16 bits")
    _refuse_two_kinds(where, names, coloured, "have colours", "are grey")
    real, colours, deep = any(floating), any(coloured), sum(header.deep for header in headers)
    if deep:
        rest = "" if deep == n else f"; those of 8 bits of the {n - deep:,} others are multiplied by 257"
        notes.append(f"{deep:,} of {n:,} pictures have grey levels of 16 bits, which are kept{rest}")
    if real:
        notes.append(f"{n:,} of {n:,} pictures have grey levels in floating point, which are kept")
    if any(header.clear for header in headers):
        clear = sum(header.clear for header in headers)
        notes.append(f"{clear:,} of {n:,} pictures may be transparent in parts, which are read as white")
    if any(header.more for header in headers):
        more = sum(header.more for header in headers)
        notes.append(f"{more:,} of {n:,} files hold several pictures, of which the first is read")
    sizes = [header.size for header in headers]
    size = common_size(sizes, largest / (3 if colours else 1)) if asked is None else asked
    others = sum(one != size for one in sizes)
    if others:
        shapes = [one for one in sizes if one != size]
        least, most = (_by(pick(shapes, key=math.prod)) for pick in (min, max))
        had = f"{least} pixels" if least == most else f"{least} to {most} pixels"
        other = "" if asked else "; for another size say size=32 (--size 32)"
        notes.append(f"{others:,} of {n:,} pictures had {had} and were resized to {_by(size)}{other}")
    plan = Plan(n, size, colours, bool(deep), real, tuple(notes))
    values = math.prod(plan.shape)
    if values > MOST_VALUES:
        raise input_error(
            f"{where}: pictures of {_by(size)} pixels, {values:,} numbers each; expected at most {MOST_VALUES:,}; "
            "have them made smaller by size=64 (--size 64)"
        )
    check_memory(
        n * values * np.dtype(plan.dtype).itemsize, f"{where}: {n:,} pictures of {_by(size)} pixels", "size=32"
    )
    return plan


def _by(size: Size) -> str:
    """Say height by width as people do: across first."""
    return f"{size[1]} x {size[0]}"


def _filled(plan: Plan, pictures: Iterable[Array]) -> Array:
    x = np.zeros((plan.n, *plan.shape), plan.dtype)
    for k, levels in enumerate(pictures):
        x[k] = levels
    return x
