"""A second working tree of the checkout, for a run with parameters of its own.

The tree stands under `.state/runs/`, at the checkout's commit and with its uncommitted changes;
only params.yaml is another. It shares DVC's cache and remotes with the checkout, so that what was
computed in one is restored in the other.
"""

import configparser
import math
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

from resnet import params
from resnet.checkout import dvc_cache, git, project
from resnet.errors import PipelineError
from resnet.system import file_locks


@contextmanager
def worktree(root: Path, name: str, values: Mapping[str, Any]) -> Iterator[Path]:
    """The path of a working tree of `root` whose params.yaml is `values`.

    It is removed when the block ends, and kept for a look when the block raises, until another of
    its name is wanted: a run that is retried has the same. Raises PipelineError where `root` is not
    a git checkout.
    """
    if git.commit(root) is None:
        raise PipelineError(
            f"{root} is no git checkout with a commit, and other parameters than params.yaml's "
            "need one: run 'git init' and commit, or edit params.yaml"
        )
    tree = _home(root) / name
    tree.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(_lock(tree)):
        if tree.exists():
            shutil.rmtree(tree)
        git.run(root, "worktree", "prune")
        git.run(root, "worktree", "add", "--detach", "--quiet", str(tree), "HEAD")
        changes = git.patch(root)
        if changes:
            git.run(tree, "apply", "--whitespace=nowarn", "-", stdin=changes)
        (tree / "params.yaml").write_text(params.dump(with_absolute_archive(values, root)))
        _share_cache(root, tree)
        yield tree
        git.run(root, "worktree", "remove", "--force", str(tree))
        _lock(tree).unlink()


def with_absolute_archive(values: Mapping[str, Any], root: Path) -> dict[str, Any]:
    """`values` for another folder: a relative paths.archive is from `root`, ~ is the home."""
    paths = dict(values.get("paths", {}))
    if not paths.get("archive"):
        return dict(values)
    archive = root / Path(paths["archive"]).expanduser()
    return {**values, "paths": {**paths, "archive": str(archive)}}


def settings(root: Path) -> configparser.ConfigParser:
    """The checkout's settings of DVC, those of config.local before the others, for any folder.

    A remote's path is in full: DVC reads one that is not from the folder of the settings.
    """
    found = dvc_cache.settings(root)
    for name in found.sections():
        url = found.get(name, "url", fallback="")
        if url and "://" not in url:
            path = root / ".dvc" / Path(url).expanduser()  # an absolute path stays as it is
            found.set(name, "url", os.path.normpath(path))
    return found


def left_over(root: Path, before: float = math.inf) -> list[Path]:
    """Trees that failed runs have left, before that time in seconds since 1970.

    Those of runs under way are not among them.
    """
    return [
        tree
        for tree in _trees(root)
        if tree.stat().st_mtime < before and not file_locks.is_held(_lock(tree))
    ]


def busy(root: Path) -> list[Path]:
    """Trees of runs under way."""
    return [tree for tree in _trees(root) if file_locks.is_held(_lock(tree))]


def remove_left_over(root: Path, before: float = math.inf) -> None:
    """Remove the trees that failed runs have left, before that time in seconds since 1970."""
    for tree in left_over(root, before):
        shutil.rmtree(tree)
        _lock(tree).unlink(missing_ok=True)
    git.run(root, "worktree", "prune")


def _home(root: Path) -> Path:
    return root / project.STATE / "runs"


def _trees(root: Path) -> list[Path]:
    return [tree for tree in sorted(_home(root).glob("*")) if tree.is_dir()]


def _lock(tree: Path) -> Path:
    """The file that the process at work in the tree holds; it lets go of it however it ends."""
    return tree.with_name(f"{tree.name}.lock")


def _share_cache(root: Path, tree: Path) -> None:
    """The checkout's DVC settings, its cache by its full path, and links instead of copies."""
    local = settings(root)
    if not local.has_section("cache"):
        local.add_section("cache")
    local.set("cache", "dir", str(dvc_cache.folder(root)))
    local.set("cache", "type", "reflink,hardlink,copy")  # nobody edits data in such a tree
    with (tree / ".dvc" / "config.local").open("w") as stream:
        local.write(stream)
