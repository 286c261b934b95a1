"""Files of samples in a folder are found, whatever their form; what else is there is named."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from resnet.errors import PipelineError
from resnet.forms.sample_files import Listing, listing


def listed(folder: Path, *, follow_links: bool) -> Listing:
    return listing(folder, {".png"}, follow_links=follow_links)


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def test_what_is_no_sample_is_listed_as_well_and_what_is_hidden_is_not(tmp_path: Path) -> None:
    for name in ("b/2.png", "b.c/1.png", "b/IMG_1.HEIC", "b/notes", ".b/1.png", "b/.1.png"):
        touch(tmp_path / name)
    (tmp_path / "gone.png").symlink_to("nowhere")
    os.mkfifo(tmp_path / "queue.png")  # to open it would wait for ever
    found = listed(tmp_path, follow_links=False)
    assert found.samples == ["b/2.png", "b.c/1.png"]
    assert found.others == ["b/IMG_1.HEIC", "b/notes", "gone.png", "queue.png"]
    assert found.first_other == "4 other files, the first is b/IMG_1.HEIC"


def test_a_link_to_a_folder_is_followed_or_refused(tmp_path: Path) -> None:
    touch(tmp_path / "elsewhere" / "1.png")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "cat").symlink_to("../elsewhere")
    assert listed(tmp_path / "in", follow_links=True).samples == ["cat/1.png"]
    with pytest.raises(PipelineError, match=r"in/cat is a link to a folder, which DVC leaves out"):
        listed(tmp_path / "in", follow_links=False)


def test_links_that_lead_round_in_a_circle_are_named(tmp_path: Path) -> None:
    for one, other in (("a", "b"), ("b", "a")):
        (tmp_path / one).mkdir()
        (tmp_path / one / "to").symlink_to(f"../{other}")
    with pytest.raises(PipelineError, match="/to/to is a link to a folder that it is in itself"):
        listed(tmp_path, follow_links=True)


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
        listed(unreadable, follow_links=True)
