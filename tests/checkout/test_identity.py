"""A checkout keeps its name, and a copy of it gets another."""

import shutil
from pathlib import Path

import pytest

from resnet.checkout.identity import identity, known
from resnet.errors import PipelineError


def test_a_checkout_keeps_its_name_when_it_is_moved_and_a_copy_gets_another(
    tmp_path: Path,
) -> None:
    root = tmp_path / "one"
    root.mkdir()
    assert known(root) == ""
    assert list(root.iterdir()) == []
    name = identity(root)
    assert name.startswith("one-")
    assert identity(root) == known(root) == name

    copy = shutil.copytree(root, tmp_path / "two")
    assert known(copy) == ""
    assert identity(copy) != name
    assert identity(copy) == identity(copy)
    assert identity(root) == name

    moved = root.rename(tmp_path / "three")
    assert known(moved) == name
    assert identity(moved) == name
    other = tmp_path / "one"
    other.mkdir()
    assert identity(other) != name


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    identity(tmp_path)
    (tmp_path / ".state" / "checkout.json").write_text("")
    with pytest.raises(PipelineError, match="checkout.json does not say which checkout this is"):
        identity(tmp_path)
