"""Read image files in the form of CIFAR-10: files in, uint8 (N, 32, 32, 3) out.

Training and scoring read by these functions alike: a photograph is trained on as it is scored.
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
# What Pillow raises for a file that is no image, cut off, or a bomb.
UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)

Reader = Callable[[Any], NDArray[np.uint8]]
"""A value → an image, uint8 (32, 32, 3). Raises one of `UNREADABLE`, TypeError, OverflowError."""


def visible(folder: Path) -> dict[str, Path]:
    """The files in a folder with all its folders, by their paths in it, in that order.

    What is hidden is passed over, as is what lies in a hidden folder.
    """
    inside = {path.relative_to(folder): path for path in sorted(folder.rglob("*"))}
    return {
        name.as_posix(): path
        for name, path in inside.items()
        if path.is_file() and not any(part.startswith(".") for part in name.parts)
    }


def listed(folder: Path) -> dict[str, Path]:
    """The image files among the `visible` ones; the others are passed over."""
    return {name: path for name, path in visible(folder).items() if is_image(path)}


def is_image(path: Path) -> bool:
    """Whether its suffix is one of `SUFFIXES`."""
    return path.suffix.lower() in SUFFIXES


def read(entries: Iterable[tuple[object, Any, Reader]]) -> NDArray[np.uint8]:
    """Each (name, value, reader) of `entries` read, as one array (N, 32, 32, 3).

    Raises PipelineError, with the name, at the first that cannot be read.
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

    It is turned as its EXIF says, made RGB, and, where it is not 32 × 32, resized to that without
    keeping its proportions. Raises one of `UNREADABLE`.
    """
    with Image.open(file) as image:
        if image.mode.startswith(("I", "F")):  # Pillow would cut these off at 255
            raise ValueError("its channels have more than 8 bits")
        upright = ImageOps.exif_transpose(image).convert("RGB")
    if upright.size != (SIDE, SIDE):
        upright = upright.resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    return np.asarray(upright)
