"""Read image files as images of CIFAR-10's size: files in, uint8 (N, 32, 32, 3) out.

Training and scoring both use these functions, so that a photograph is read in the same way.
"""

import io
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from resnet.errors import PipelineError
from resnet.forms.image.shape import IMAGE, SIDE

SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}
# What Pillow raises for a file that is not an image, is cut off, or is a decompression bomb.
UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)

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
    without keeping its aspect ratio. Raises one of `UNREADABLE`.
    """
    with Image.open(file) as image:
        if image.mode.startswith(("I", "F")):  # Pillow would clip these at 255
            raise ValueError("its channels have more than 8 bits")
        upright = ImageOps.exif_transpose(image).convert("RGB")
    if upright.size != (SIDE, SIDE):
        upright = upright.resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    return np.asarray(upright)
