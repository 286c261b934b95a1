"""Image files are read by what they are, and not before their size is known."""

import os
import struct
import tempfile
import zlib
from collections.abc import Iterator
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
    with pytest.raises(PipelineError, match=r"drawing.png .*: its format is none of AVIF, BMP"):
        image_files.read([(path, path, image_files.decode)])


@pytest.mark.parametrize("suffix", [".jfif", ".jpe", ".JPG", ".apng", ".avif", ".pnm"])
def test_an_image_is_read_under_each_name_that_its_format_has(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    Image.new("RGB", (32, 32), (200, 0, 0)).save(path)
    assert image_files.listing(tmp_path, follow_links=False).images == [path.name]
    assert image_files.decode(path)[16, 16, 0] > 190


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def test_what_is_no_image_is_listed_as_well_and_what_is_hidden_is_not(tmp_path: Path) -> None:
    for name in ("b/2.png", "b.c/1.png", "b/IMG_1.HEIC", "b/notes", ".b/1.png", "b/.1.png"):
        touch(tmp_path / name)
    (tmp_path / "gone.png").symlink_to("nowhere")
    os.mkfifo(tmp_path / "queue.png")  # to open it would wait for ever
    listing = image_files.listing(tmp_path, follow_links=False)
    assert listing.images == ["b/2.png", "b.c/1.png"]
    assert listing.others == ["b/IMG_1.HEIC", "b/notes", "gone.png", "queue.png"]
    assert listing.first_other == "4 other files, the first is b/IMG_1.HEIC"


def test_a_link_to_a_folder_is_followed_or_refused(tmp_path: Path) -> None:
    touch(tmp_path / "elsewhere" / "1.png")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "cat").symlink_to("../elsewhere")
    assert image_files.listing(tmp_path / "in", follow_links=True).images == ["cat/1.png"]
    with pytest.raises(PipelineError, match=r"in/cat is a link to a folder, which DVC leaves out"):
        image_files.listing(tmp_path / "in", follow_links=False)


def test_links_that_lead_round_in_a_circle_are_named(tmp_path: Path) -> None:
    for one, other in (("a", "b"), ("b", "a")):
        (tmp_path / one).mkdir()
        (tmp_path / one / "to").symlink_to(f"../{other}")
    with pytest.raises(PipelineError, match="/to/to is a link to a folder that it is in itself"):
        image_files.listing(tmp_path, follow_links=True)


@pytest.fixture
def unreadable() -> Iterator[Path]:
    """A folder with a folder that this process may not read, as whoever it runs."""
    with tempfile.TemporaryDirectory() as name:
        closed = Path(name) / "closed"
        touch(closed / "1.png")
        Path(name).chmod(0o755)
        closed.chmod(0)
        user = os.geteuid()
        if user == 0:  # root may read everything
            os.seteuid(65534)
        try:
            yield Path(name)
        finally:
            os.seteuid(user)
            closed.chmod(0o755)


def test_a_folder_that_cannot_be_read_is_named(unreadable: Path) -> None:
    with pytest.raises(PipelineError, match="closed cannot be read .*change its permissions"):
        image_files.listing(unreadable, follow_links=True)
