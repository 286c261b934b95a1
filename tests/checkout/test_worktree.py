"""A run with its own parameters has a tree of its own, and the checkout stays as it was."""

import shutil
import subprocess
import sys

import pytest
import yaml

from resnet.checkout import dvc, dvc_cache, dvc_settings, worktree
from resnet.errors import PipelineError
from tests.support import git

LOOK = """
import sys
from pathlib import Path
from resnet.checkout import worktree
worktree.remove_left_over(Path(sys.argv[1]))
print(worktree.left_over(Path(sys.argv[1])))
"""


@pytest.fixture
def checkout(tmp_path):
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "config", "user.name", "A Tester")
    git(tmp_path, "config", "user.email", "tester@example.org")
    (tmp_path / ".gitignore").write_text("/.state/\nignored\n/.dvc/config.local\n")
    (tmp_path / "params.yaml").write_text("train: {epochs: 1}\n")
    (tmp_path / "code.py").write_text("committed\n")
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config").write_text("[core]\n    remote = local\n")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--message", "first")
    return tmp_path


def test_the_tree_has_the_uncommitted_changes_and_its_own_parameters(checkout):
    (checkout / "code.py").write_text("edited\n")
    (checkout / "resnet").mkdir()
    (checkout / "resnet" / "new.bin").write_bytes(bytes(range(256)))
    (checkout / "ignored").touch()
    before = git(checkout, "status", "--porcelain")
    with worktree.worktree(checkout, "a", {"train": {"epochs": 9}}) as tree:
        assert (tree / "code.py").read_text() == "edited\n"
        assert (tree / "resnet" / "new.bin").read_bytes() == bytes(range(256))
        assert not (tree / "ignored").exists()
        assert yaml.safe_load((tree / "params.yaml").read_text()) == {"train": {"epochs": 9}}
        assert git(tree, "rev-parse", "HEAD") == git(checkout, "rev-parse", "HEAD")
    assert git(checkout, "status", "--porcelain") == before
    assert worktree.left_over(checkout) == []
    assert git(checkout, "worktree", "list").count("\n") == 1


def test_an_archive_is_the_same_one_in_the_tree_as_in_the_checkout(checkout, monkeypatch):
    monkeypatch.setenv("HOME", "/home/ann")
    for number, (named, meant) in enumerate(
        {
            None: None,
            "~/cifar.tar.gz": "/home/ann/cifar.tar.gz",
            "cifar": str(checkout / "cifar"),
            "/data/cifar": "/data/cifar",
        }.items()
    ):
        values = {"paths": {"archive": named, "raw": "data/raw"}}
        with worktree.worktree(checkout, f"l{number}", values) as tree:
            written = yaml.safe_load((tree / "params.yaml").read_text())
        assert written == {"paths": {"archive": meant, "raw": "data/raw"}}


def test_the_users_own_git_settings_do_not_matter(checkout):
    for name, value in {"diff.noprefix": "true", "color.ui": "always"}.items():
        git(checkout, "config", name, value)
    (checkout / "code.py").write_text("edited\n")
    with worktree.worktree(checkout, "i", {}) as tree:
        assert (tree / "code.py").read_text() == "edited\n"


def test_the_tree_shares_the_cache_and_keeps_the_users_settings(checkout):
    (checkout / ".dvc" / "config.local").write_text("[core]\n    jobs = 3\n")
    with worktree.worktree(checkout, "b", {}) as tree:
        settings = dvc_settings.read(tree)
    assert settings["cache"]["dir"] == str(checkout / ".dvc" / "cache")
    assert settings["core"]["jobs"] == "3"


def test_the_tree_pulls_from_a_remote_whose_path_is_relative_to_the_checkout(checkout):
    remote = "[core]\n    remote = local\n['remote \"local\"']\n    url = ../.state/remote\n"
    (checkout / ".dvc" / "config").write_text(remote)
    (checkout / "batch").write_text("images\n")
    md5 = dvc_cache.digest(checkout / "batch")
    place = dvc_cache.place(checkout / ".state" / "remote", md5)
    place.parent.mkdir(parents=True)
    (checkout / "batch").rename(place)
    outs = [{"md5": md5, "hash": "md5", "path": "batch"}]
    (checkout / "batch.dvc").write_text(yaml.safe_dump({"outs": outs}))
    with worktree.worktree(checkout, "k", {}) as tree:
        dvc.run("pull", ["pull", "batch.dvc"], tree, 60, lambda line: None)
        assert (tree / "batch").read_text() == "images\n"
    assert dvc_cache.place(checkout / ".dvc" / "cache", md5).exists()


def test_the_tree_of_a_failed_run_is_kept(checkout):
    with pytest.raises(RuntimeError), worktree.worktree(checkout, "c", {}):
        raise RuntimeError
    assert [tree.name for tree in worktree.left_over(checkout)] == ["c"]


def test_a_run_that_is_retried_has_a_new_tree_in_place_of_the_one_it_left(checkout):
    for left in ("half", None):
        with pytest.raises(RuntimeError), worktree.worktree(checkout, "j", {}) as tree:
            assert not (tree / "half").exists()
            (tree / "half").touch()
            raise RuntimeError
        if left is None:
            shutil.rmtree(tree)  # by hand: git still knows it
    with worktree.worktree(checkout, "j", {"seed": 1}) as tree:
        assert yaml.safe_load((tree / "params.yaml").read_text()) == {"seed": 1}
    assert worktree.left_over(checkout) == []


def test_the_tree_of_a_running_flow_is_not_left_over(checkout):
    with worktree.worktree(checkout, "g", {}) as tree:
        done = subprocess.run(
            [sys.executable, "-c", LOOK, str(checkout)], capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == "[]"
        assert tree.exists()


def test_trees_that_failed_runs_left_can_be_removed(checkout):
    with pytest.raises(RuntimeError), worktree.worktree(checkout, "h", {}):
        raise RuntimeError
    worktree.remove_left_over(checkout)
    assert worktree.left_over(checkout) == []
    assert git(checkout, "worktree", "list").count("\n") == 1


def test_two_trees_stand_side_by_side(checkout):
    with (
        worktree.worktree(checkout, "d", {"seed": 1}) as first,
        worktree.worktree(checkout, "e", {"seed": 2}) as second,
    ):
        assert (first / "params.yaml").read_text() != (second / "params.yaml").read_text()


def test_a_checkout_in_a_larger_repository_has_a_tree_of_all_of_it(checkout):
    folder = checkout / "models" / "cifar"
    (folder / "resnet").mkdir(parents=True)
    shutil.copytree(checkout / ".dvc", folder / ".dvc")
    for name in ("params.yaml", "dvc.lock", "resnet/code.py"):
        (folder / name).write_text("{}\n")
    (folder / ".gitignore").write_text("/.state/\n")
    git(checkout, "add", "--all")
    git(checkout, "commit", "--quiet", "--message", "second")
    (folder / "resnet" / "code.py").write_text("edited\n")
    with pytest.raises(RuntimeError), worktree.worktree(folder, "m", {"seed": 1}) as tree:
        assert tree.parts[-3:] == ("m", "models", "cifar")
        assert yaml.safe_load((tree / "params.yaml").read_text()) == {"seed": 1}
        assert (tree / "resnet" / "code.py").read_text() == "edited\n"
        assert dvc_settings.cache_folder(tree) == dvc_settings.cache_folder(folder)
        raise RuntimeError
    (left,) = worktree.left_over(folder)
    assert worktree.checkout_in(left, folder) == tree
    worktree.remove_left_over(folder)
    assert git(checkout, "worktree", "list").count("\n") == 1


def test_a_folder_that_is_not_a_checkout_is_an_error(tmp_path):
    def refused():
        with (
            pytest.raises(PipelineError, match="is not a git checkout with a commit") as raised,
            worktree.worktree(tmp_path, "f", {}),
        ):
            pass
        return str(raised.value)

    assert "run 'git init' and commit" in refused()
    git(tmp_path, "init", "--quiet")
    assert "commit its code" in refused()
    assert "git init" not in refused()
