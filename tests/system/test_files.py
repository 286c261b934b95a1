"""A file is written whole or not at all."""

import pytest
import yaml

from resnet.system import files


def test_a_file_replaces_the_one_before(tmp_path):
    target = tmp_path / "new" / "folder" / "file"
    for text in ("old", "new"):
        files.write_text(target, text)
    assert target.read_text() == "new"
    assert list(target.parent.iterdir()) == [target]


def test_a_folder_replaces_the_one_before(tmp_path):
    target = tmp_path / "folder"
    for name in ("old", "new"):
        with files.replacing(target) as draft:
            draft.mkdir()
            (draft / name).touch()
    assert [path.name for path in target.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [target]


def test_a_failed_write_leaves_what_was_there(tmp_path):
    target = tmp_path / "file"
    target.write_text("old")
    with pytest.raises(RuntimeError), files.replacing(target) as draft:
        draft.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_nan_never_gets_into_json(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(tmp_path / "x.json", {"loss": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_yaml_is_shown_with_its_place(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("data: {dataset: cifar10}\ntrain: [1\n")
    with pytest.raises(yaml.YAMLError, match=r"train: \[1\n +\^"):
        files.read_yaml(path)
    path.write_text("data: {dataset: cifar10}\n")
    assert files.read_yaml(path) == {"data": {"dataset": "cifar10"}}
