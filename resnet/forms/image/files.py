"""Read image files as images of a model's size: a file in, uint8 (H, W, C) out.

Training and scoring both use it, so that a photograph is read in the same way.
"""

import io
import warnings
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

SUFFIXES: Collection[str] = frozenset(
    {
        *(".apng", ".avif", ".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm"),
        *(".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"),
    }
)
COLUMN = "image"
# Pillow goes by a file's content; of the formats that it would try, some start other programs.
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
MODES = {1: "L", 3: "RGB"}  # of Pillow, by the number of channels


def decode(file: Path | io.BytesIO, shape: Sequence[int]) -> NDArray[np.uint8]:
    """An encoded image (PNG, JPEG, …) as uint8 of `shape` (H, W, C): red, green, blue, or grey.

    It is rotated as its EXIF data say, converted to RGB or grey, and, unless it is H × W, resized
    to that without keeping its aspect ratio. Raises one of `sample_files.UNREADABLE`, without
    decoding an image that has more pixels than Pillow's limit: at the limit it takes 0.7 GB.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            return _decode(file, shape)
        except (Image.DecompressionBombWarning, Image.DecompressionBombError):
            raise ValueError(
                f"it has more than {Image.MAX_IMAGE_PIXELS:,} pixels: make it smaller"
            ) from None
        except UnidentifiedImageError:
            raise ValueError(f"its format is none of {', '.join(FORMATS)}") from None


def _decode(file: Path | io.BytesIO, shape: Sequence[int]) -> NDArray[np.uint8]:
    height, width, channels = shape
    mode = MODES[channels]
    with Image.open(file, formats=FORMATS) as image:
        if image.mode.startswith(("I", "F")):  # Pillow would clip these at 255
            raise ValueError("its channels have more than 8 bits")
        ImageOps.exif_transpose(image, in_place=True)  # each copy of a large image takes memory
        upright = image if image.mode == mode else image.convert(mode)
        if upright.size != (width, height):
            upright = upright.resize((width, height), Image.Resampling.LANCZOS)
        return np.asarray(upright).reshape(height, width, channels)
