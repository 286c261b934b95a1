"""Image files are read by what they are, and not before their size is known."""

import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image

from resnet.errors import PipelineError
from resnet.forms.image import image_files


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
        image_files.read([(path, path, image_files.decode)])


def test_a_file_that_pillow_would_give_to_another_program_is_no_image(tmp_path: Path) -> None:
    path = tmp_path / "drawing.png"
    Image.new("RGB", (32, 32)).save(path, "EPS")
    with pytest.raises(PipelineError, match=r"drawing.png is not an image .*cannot identify"):
        image_files.read([(path, path, image_files.decode)])
