"""A folder of images, read with Pillow."""

from __future__ import annotations

import logging
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cpvae.data.loaders.checks import check_rows, input_error, reading
from cpvae.data.loaders.records import Array, Split

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")
OTHER_SUFFIXES = (".npy", ".npz", ".csv", ".parquet")  # for the hint in a folder without images
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP")  # Pillow would run Ghostscript on others
GREY = ("1", "L", "LA", "La", "I;16", "I;16L", "I;16B", "I;16N")


def read_images(folder: Path) -> Split:
    """All images in a folder, in the order of their paths.

    Files that start with a dot and other suffixes are left out. Images in subfolders are labelled by the name
    of the subfolder. Colour is kept if any image has it, else one grey channel; 16-bit grey keeps its upper
    eight bits; transparent parts become white; of an animation or a stack the first frame is read.

    Returns:
        x: (n, 1 or 3, height, width) uint8; y: (n,) str, or None.

    Raises:
        InputError: no images, images both in the folder and in subfolders, of different sizes, or damaged.
    """
    paths = _find(folder)
    pillow = logging.getLogger("PIL")
    if not pillow.handlers:  # otherwise a damaged file prints a line of Pillow's before ours
        pillow.addHandler(logging.NullHandler())
    check_rows(len(paths), folder)
    x = _read_all(paths)
    parents = [path.parent.relative_to(folder).as_posix() for path in paths]
    inside = [parent != "." for parent in parents]
    if any(inside) and not all(inside):
        raise input_error(
            f"{folder}: {paths[inside.index(False)].name} lies in the folder itself and "
            f"{paths[inside.index(True)].relative_to(folder)} in a subfolder; expected all images in the "
            "folder, or all in subfolders named after their labels; move them"
        )
    return Split(x, np.array(parents) if all(inside) else None)


def _find(folder: Path) -> list[Path]:
    def refuse(error: OSError) -> None:
        raise input_error(f"{error.filename}: {error.strerror}; expected a readable folder; allow reading it")

    found = []
    for parent, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(parent, name) for name in names if not name.startswith(".")]
    images = sorted(path for path in found if path.suffix.lower() in SUFFIXES)
    odd = next((path for path in images if not path.is_file()), None)
    if odd is not None:  # a pipe would be waited for without end
        raise input_error(f"{odd}: not a file; expected images; remove it, or the broken link")
    if not images:
        others = sorted(path for path in found if path.suffix.lower() in OTHER_SUFFIXES or "ubyte" in path.name)
        instead = f"; to read one file give its path, for example {others[0]}" if others else ""
        raise input_error(f"{folder}: a folder without images; expected {' '.join(SUFFIXES)}{instead}")
    return images


def _read_all(paths: list[Path]) -> Array:
    first = _read(paths[0])
    x = np.empty((len(paths), *first.shape), np.uint8)
    for k, path in enumerate(paths):
        pixels = first if k == 0 else _read(path)
        if pixels.shape[1:] != x.shape[2:]:
            raise input_error(
                f"{path} is {pixels.shape[2]} x {pixels.shape[1]} pixels and {paths[0]} is "
                f"{x.shape[3]} x {x.shape[2]}; expected one size for all images; resize or remove it"
            )
        if len(pixels) > x.shape[1]:
            x = np.repeat(x, 3, axis=1)  # the first colour image: what was grey so far gets three channels
        x[k] = pixels  # one grey channel spreads over three
    return x


def _read(path: Path) -> Array:
    """(1 or 3, height, width) uint8."""
    from PIL import Image, ImageOps

    with reading(path, "an image"):
        # an image that unpacks to gigabytes is an attack or a damaged header
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(path, formats=FORMATS) as file:
            return _pixels(ImageOps.exif_transpose(file), file.format, path)


def _pixels(image: Image, kind: str | None, path: Path) -> Array:
    if image.mode.startswith("I;16") or (image.mode == "I" and kind == "PNG"):
        return (np.asarray(image).astype(np.int64) >> 8).astype(np.uint8)[None]
    if image.mode in ("I", "F"):
        raise input_error(f"{path}: an image of 32-bit values; expected 8 or 16 bits; save it as 8-bit PNG")
    mode = image.mode
    if "A" in image.getbands() or "a" in image.getbands() or "transparency" in image.info:
        image = _on_white(image)
    grey = mode in GREY
    if mode == "P":  # a palette may well hold greys only
        colours = np.asarray(image.convert("RGB"))
        grey = bool((colours == colours[..., :1]).all())
    pixels = np.asarray(image.convert("L" if grey else "RGB"))
    return pixels[None] if grey else pixels.transpose(2, 0, 1)


def _on_white(image: Image) -> Image:
    from PIL import Image as module

    layer = image.convert("RGBA")
    return module.alpha_composite(module.new("RGBA", layer.size, "white"), layer)
