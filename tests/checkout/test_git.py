"""What git says and writes for us does not depend on the user's settings, hooks and variables."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from resnet.checkout import changes, worktree
from resnet.checkout import git as gits
from tests.support import git

SETTINGS = """
[diff]
    context = 0
    noprefix = true
    external = false
    orderFile = /nowhere
    renames = copies
    relative = true
    submodule = log
[color]
    ui = always
    diff = always
[core]
    quotePath = true
    attributesFile = {home}/attributes
[apply]
    whitespace = error
    ignoreWhitespace = change
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's home, which holds no settings of git yet."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "home" / "gitconfig"))
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def checkout(home: Path, tmp_path: Path) -> Path:
    """A checkout with an edited file, a renamed one and a new one."""
    root = tmp_path / "checkout"
    (root / "resnet").mkdir(parents=True)
    (root / ".dvc").mkdir()
    (root / ".dvc" / "config").touch()
    (root / ".gitignore").write_text("/.state/\n/.dvc/tmp\n/.dvc/config.local\n")
    (root / "params.yaml").write_text("seed: 1\n")
    (root / "resnet" / "old.py").write_text("".join(f"line {k}\n" for k in range(20)))
    (root / "resnet" / "übung.py").write_text("".join(f"row {k}\n" for k in range(20)))
    git(root, "init", "--quiet")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "First")
    return root


def edit(root: Path, ends: str = "\n") -> None:
    """As a user does whose editor ends lines with `ends`."""
    rows = [f"row {k}{' edited' if k in (3, 15) else ''}{ends}" for k in range(20)]
    (root / "resnet" / "übung.py").write_text("".join(rows), newline="")
    (root / "resnet" / "old.py").rename(root / "resnet" / "new.py")
    (root / "resnet" / "added.py").write_text("new = 1  \n", newline=ends)


def test_the_users_settings_do_not_change_the_patch(
    checkout: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(checkout)
    patch = changes.for_record(checkout)
    (home / "gitconfig").write_text(SETTINGS.format(home=home))
    (home / "attributes").write_text("*.py diff=secret\n")
    git(checkout, "config", "diff.secret.textconv", "false")
    monkeypatch.setenv("GIT_DIFF_OPTS", "--unified=0")
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", "false")
    assert changes.for_record(checkout) == patch
    assert patch.count("\n@@") == 5  # two places of one file; three files that came or went
    with worktree.worktree(checkout, "a", {}) as tree:
        assert changes.for_record(tree, exclude=["params.yaml"]) == patch


def test_the_files_of_a_runs_tree_are_the_commits_whatever_the_checkouts_line_ends_are(
    checkout: Path, home: Path
) -> None:
    (home / "gitconfig").write_text(
        f"[core]\n    autocrlf = true\n    attributesFile = {home}/attributes\n"
    )
    (home / "attributes").write_text("*.py text eol=crlf\n")
    for path in (checkout / "resnet").iterdir():
        path.unlink()
    git(checkout, "checkout", "--", ".")
    assert b"\r\n" in (checkout / "resnet" / "old.py").read_bytes()
    edit(checkout, ends="\r\n")
    with worktree.worktree(checkout, "b", {}) as tree:
        for name in ("übung.py", "new.py", "added.py"):
            assert b"\r" not in (tree / "resnet" / name).read_bytes()
        assert "row 15 edited" in (tree / "resnet" / "übung.py").read_text()


def test_a_run_with_parameters_of_its_own_works_after_dvc_install(checkout: Path) -> None:
    missing = {"outs": [{"md5": "0" * 32, "hash": "md5", "path": "images"}]}
    (checkout / "images.dvc").write_text(yaml.safe_dump(missing))
    git(checkout, "add", "--all")
    git(checkout, "commit", "--quiet", "--message", "Images that are in no cache here")
    subprocess.run([sys.executable, "-m", "dvc", "install"], cwd=checkout, check=True)
    assert (checkout / ".git" / "hooks" / "post-checkout").exists()
    with worktree.worktree(checkout, "c", {}) as tree:
        assert (tree / "resnet" / "old.py").exists()


def test_in_a_hook_of_git_the_repository_is_that_of_the_folder(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = git(checkout, "rev-parse", "HEAD").strip()
    for name, value in {
        "GIT_DIR": ".git",
        "GIT_INDEX_FILE": ".git/index",
        "GIT_PREFIX": "",
    }.items():
        monkeypatch.setenv(name, value)
    with worktree.worktree(checkout, "d", {}) as tree:
        assert gits.commit(tree) == commit
