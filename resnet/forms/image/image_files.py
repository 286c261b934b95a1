"""Read image files as images of CIFAR-10's size: files in, uint8 (N, 32, 32, 3) out.

Training and scoring both use these functions, so that a photograph is read in the same way.
"""

import io
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from resnet.errors import PipelineError
from resnet.forms.image.shape import IMAGE, SIDE

SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}
# Pillow goes by a file's content; of the formats that it would try, some start other programs.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
# What `decode` raises for a file that is not such an image, is cut off, or has too many pixels.
UNREADABLE = (OSError, SyntaxError, ValueError)

Reader = Callable[[Any], NDArray[np.uint8]]
"""A value → an image, uint8 (32, 32, 3). Raises one of `UNREADABLE`, TypeError, OverflowError."""


def visible(folder: Path) -> dict[str, Path]:
    """Relative path → path of the files in a folder and its subfolders, sorted.

    Hidden files and files in hidden folders are skipped.
    """
    inside = {path.relative_to(folder): path for path in sorted(folder.rglob("*"))}
    return {
        name.as_posix(): path
        for name, path in inside.items()
        if path.is_file() and not any(part.startswith(".") for part in name.parts)
    }


def listed(folder: Path) -> dict[str, Path]:
    """The image files among the `visible` ones; the others are skipped."""
    return {name: path for name, path in visible(folder).items() if is_image(path)}


def is_image(path: Path) -> bool:
    """Whether its suffix is one of `SUFFIXES`."""
    return path.suffix.lower() in SUFFIXES


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


def _decode(file: Path | io.BytesIO) -> NDArray[np.uint8]:
    with Image.open(file, formats=FORMATS) as image:
        if image.mode.startswith(("I", "F")):  # Pillow would clip these at 255
            raise ValueError("its channels have more than 8 bits")
        ImageOps.exif_transpose(image, in_place=True)  # each copy of a large image takes memory
        upright = image if image.mode == "RGB" else image.convert("RGB")
        if upright.size != (SIDE, SIDE):
            upright = upright.resize((SIDE, SIDE), Image.Resampling.LANCZOS)
        return np.asarray(upright)
