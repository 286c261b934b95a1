"""DVC's cache as files: the md5s here are those that dvc 3.67.1 computed."""

from pathlib import Path

import pytest

from resnet.checkout import dvc_cache
from resnet.errors import PipelineError

FILE, FOLDER = "b026324c6904b2a9cb4b88d6d61c81d1", "2bb1ab0d4a051c86389bd68a9371f6ba.dir"


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A cache that holds a folder with the one file x, which says 1."""
    for md5, content in (
        (FILE, "1\n"),
        (FOLDER, f'[{{"md5": "{FILE}", "relpath": "x"}}]'),
    ):
        place = dvc_cache.place(tmp_path / "cache", md5)
        place.parent.mkdir(parents=True)
        place.write_text(content)
    return tmp_path / "cache"


def test_a_folder_has_the_md5_that_dvc_computes_whatever_python_left_in_it(tmp_path: Path) -> None:
    (tmp_path / "d" / "__pycache__").mkdir(parents=True)
    (tmp_path / "d" / "x").write_text("1\n")
    (tmp_path / "d" / "__pycache__" / "y.pyc").write_text("2\n")
    assert dvc_cache.digest(tmp_path / "d") == FOLDER
    assert dvc_cache.digest(tmp_path / "d" / "x") == FILE


def test_what_has_an_md5_is_copied_out_of_the_cache(cache: Path, tmp_path: Path) -> None:
    assert dvc_cache.restore(cache, FOLDER, tmp_path / "folder")
    assert dvc_cache.digest(tmp_path / "folder") == FOLDER
    assert dvc_cache.restore(cache, FILE, tmp_path / "new" / "file")
    assert (tmp_path / "new" / "file").read_text() == "1\n"


def test_nothing_is_copied_where_a_part_is_missing(cache: Path, tmp_path: Path) -> None:
    assert not dvc_cache.restore(cache, "0" * 32, tmp_path / "folder")
    dvc_cache.place(cache, FILE).unlink()
    assert not dvc_cache.restore(cache, FOLDER, tmp_path / "folder")
    assert not (tmp_path / "folder").exists()


def test_a_damaged_listing_is_an_error(cache: Path, tmp_path: Path) -> None:
    dvc_cache.place(cache, FOLDER).write_text("nonsense")
    with pytest.raises(PipelineError, match="is not a listing of a folder"):
        dvc_cache.restore(cache, FOLDER, tmp_path / "folder")
