"""What the commands about versions do with their arguments."""

import argparse
from pathlib import Path

import pytest

from resnet.cli import registry
from resnet.errors import PipelineError


def test_a_file_to_write_is_in_a_folder_that_exists_and_none_is_made(tmp_path: Path) -> None:
    there = argparse.Namespace(out=Path("card.html"), here=tmp_path)
    assert registry._out(there) == tmp_path / "card.html"
    mistyped = argparse.Namespace(out=Path("cards/card.html"), here=tmp_path)
    with pytest.raises(PipelineError, match=r"cards is not a folder: make it, or name another"):
        registry._out(mistyped)
    assert list(tmp_path.iterdir()) == []
    assert registry._out(argparse.Namespace(out=None, here=tmp_path)) is None
