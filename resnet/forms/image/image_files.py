"""Read image files as images of CIFAR-10's size: files in, uint8 (N, 32, 32, 3) out.

Training and scoring both use these functions, so that a photograph is read in the same way.
"""

import io
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from resnet.errors import PipelineError
from resnet.forms.image.shape import IMAGE, SIDE

SUFFIXES = {
    *(".apng", ".avif", ".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png"),
    *(".pnm", ".ppm", ".tif", ".tiff", ".webp"),
}
# Pillow goes by a file's content; of the formats that it would try, some start other programs.
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
# What `decode` raises for a file that is not such an image, is cut off, or has too many pixels.
UNREADABLE = (OSError, SyntaxError, ValueError)

Reader = Callable[[Any], NDArray[np.uint8]]
"""A value → an image, uint8 (32, 32, 3). Raises one of `UNREADABLE`, TypeError, OverflowError."""


@dataclass(frozen=True)
class Listing:
    """What is in a folder and its subfolders, hidden files and folders aside: paths in it, sorted.

    A link to a file is a file; a link to nothing is among the others.
    """

    images: list[str]  # files whose suffix is one of `SUFFIXES`
    others: list[str]

    @property
    def first_other(self) -> str:
        """The number of the others and the first of them, in words."""
        files = "1 other file" if len(self.others) == 1 else f"{len(self.others):,} other files"
        return f"{files}, the first is {self.others[0]}"


def listing(folder: Path, *, follow_links: bool) -> Listing:
    """The content of `folder`. Raises PipelineError if a folder in it cannot be read, or is a link
    that is not to be followed, or that leads round in a circle.
    """
    listing = Listing([], [])
    for path in sorted(_files(str(folder), "", follow_links, ()), key=lambda path: path.split("/")):
        is_image = Path(path).suffix.lower() in SUFFIXES and (folder / path).is_file()
        (listing.images if is_image else listing.others).append(path)
    return listing


def _files(
    folder: str, prefix: str, follow_links: bool, above: tuple[tuple[int, int], ...]
) -> Iterator[str]:
    """`prefix` and the name of all in `folder` that is no folder; the folders `above` lead to it.

    Not by Path.rglob, which passes by the folders that it may not read, and the links to folders.
    """
    try:
        status = Path(folder).stat()
        with os.scandir(folder) as entries:
            visible = [entry for entry in entries if not entry.name.startswith(".")]
            folders = {entry.name for entry in visible if entry.is_dir()}
    except OSError as error:
        raise PipelineError(
            f"{folder} cannot be read ({error}): change its permissions, or move it elsewhere"
        ) from None
    here = status.st_dev, status.st_ino
    if here in above:
        raise PipelineError(f"{folder} is a link to a folder that it is in itself: remove it")
    for entry in visible:
        if entry.name not in folders:
            yield prefix + entry.name
        elif entry.is_symlink() and not follow_links:
            raise PipelineError(
                f"{entry.path} is a link to a folder, which DVC leaves out: put the folder itself "
                "there"
            )
        else:
            yield from _files(entry.path, f"{prefix}{entry.name}/", follow_links, (*above, here))


def read(entries: Iterable[tuple[object, Any, Reader]]) -> NDArray[np.uint8]:
    """Each (name, value, reader) of `entries`, read into one array (N, 32, 32, 3).

    Raises PipelineError with the name of the first that cannot be read.
    """
    images = []
    for name, value, reader in entries:
        try:
            images.append(reader(value))
        except (*UNREADABLE, TypeError, OverflowError) as error:
            raise PipelineError(f"{name} is not an image that can be read: {error}") from None
    return np.stack(images) if images else np.empty((0, *IMAGE), np.uint8)


def decode(file: Path | io.BytesIO) -> NDArray[np.uint8]:
    """An encoded image (PNG, JPEG, …) as uint8 (32, 32, 3), red, green, blue.

    It is rotated as its EXIF data say, converted to RGB, and, unless it is 32 × 32, resized to that
    without keeping its aspect ratio. Raises one of `UNREADABLE`, without decoding an image that has
    more pixels than Pillow's limit: at the limit it takes 0.7 GB.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            return _decode(file)
        except (Image.DecompressionBombWarning, Image.DecompressionBombError):
            raise ValueError(
                f"it has more than {Image.MAX_IMAGE_PIXELS:,} pixels: make it smaller"
            ) from None
        except UnidentifiedImageError:
            raise ValueError(f"its format is none of {', '.join(FORMATS)}") from None


def _decode(file: Path | io.BytesIO) -> NDArray[np.uint8]:
    with Image.open(file, formats=FORMATS) as image:
        if image.mode.startswith(("I", "F")):  # Pillow would clip these at 255
            raise ValueError("its channels have more than 8 bits")
        ImageOps.exif_transpose(image, in_place=True)  # each copy of a large image takes memory
        upright = image if image.mode == "RGB" else image.convert("RGB")
        if upright.size != (SIDE, SIDE):
            upright = upright.resize((SIDE, SIDE), Image.Resampling.LANCZOS)
        return np.asarray(upright)
