"""Image files are read by what they are, and not before their size is known."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resnet.errors import PipelineError
from resnet.forms import sample_files
from resnet.forms.image import files

SHAPE = 32, 32, 3


def read(path: Path) -> np.ndarray:
    entry = path, path, lambda file: files.decode(file, SHAPE)
    return sample_files.read([entry], "an image", SHAPE)


def png(width: int, height: int) -> bytes:
    """A PNG file that declares a size, and has no pixels."""

    def chunk(name: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


@pytest.mark.parametrize("side", [9500, 13_000, 60_000])
def test_an_image_of_more_pixels_than_memory_should_hold_is_refused_before_it_is_decoded(
    tmp_path: Path, side: int
) -> None:
    path = tmp_path / "large.png"
    path.write_bytes(png(side, side))
    with pytest.raises(PipelineError, match=r"large.png .*89,478,485 pixels: make it smaller"):
        read(path)


def test_a_file_that_pillow_would_give_to_another_program_is_no_image(tmp_path: Path) -> None:
    path = tmp_path / "drawing.png"
    Image.new("RGB", (32, 32)).save(path, "EPS")
    with pytest.raises(PipelineError, match=r"drawing.png .*: its format is none of AVIF, BMP"):
        read(path)


@pytest.mark.parametrize("suffix", [".jfif", ".jpe", ".JPG", ".apng", ".avif", ".pnm"])
def test_an_image_is_read_under_each_name_that_its_format_has(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    Image.new("RGB", (32, 32), (200, 0, 0)).save(path)
    assert sample_files.listing(tmp_path, files.SUFFIXES, follow_links=False).samples == [path.name]
    assert read(path)[0, 16, 16, 0] > 190


def test_an_image_is_resized_to_the_shape_that_is_wanted_in_colour_or_grey(tmp_path: Path) -> None:
    path = tmp_path / "wide.png"
    Image.new("RGB", (200, 100), (0, 255, 0)).save(path)
    colour, grey = files.decode(path, (48, 64, 3)), files.decode(path, (48, 64, 1))
    assert (colour.shape, grey.shape) == ((48, 64, 3), (48, 64, 1))
    assert colour[20, 30].tolist() == [0, 255, 0]
    assert grey[20, 30].tolist() == [150]  # the luma of green, rounded
