"""A second working tree of the checkout, for a run with parameters of its own.

The tree is in `.state/runs/`, at the checkout's commit and with its uncommitted changes of code;
only params.yaml differs. It shares DVC's cache and remotes with the checkout, so that what was
computed in one is restored in the other.
"""

import logging
import math
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

from resnet import params
from resnet.checkout import changes, dvc_settings, git, project
from resnet.errors import PipelineError
from resnet.system import file_locks

log = logging.getLogger(__name__)


@contextmanager
def worktree(
    root: Path, name: str, values: Mapping[str, Any], keep_failed: bool = True
) -> Iterator[Path]:
    """The path of the checkout in a working tree of `root`; its params.yaml is `values`.

    It is removed at the end of the block. If the block raises it is kept for inspection, until the
    next tree of that name replaces it: a run that is retried has the same; without `keep_failed` it
    is removed then, too. Raises PipelineError if `root` is not a git checkout.
    """
    if git.commit(root) is None:
        remedy = "commit its code" if git.top(root) else "run 'git init' and commit"
        raise PipelineError(
            f"{root} is not a git checkout with a commit, which parameters other than those of "
            f"params.yaml need: {remedy}, or edit params.yaml"
        )
    tree = _home(root) / name
    tree.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(_lock(tree)):
        if tree.exists():
            shutil.rmtree(tree)
        git.run(root, "worktree", "prune")
        git.run(
            root, "worktree", "add", "--detach", "--quiet", str(tree), "HEAD", as_committed=True
        )
        _apply_changes(root, tree)
        checkout = checkout_in(tree, root)
        (checkout / "params.yaml").write_text(params.dump(with_absolute_archive(values, root)))
        _share_cache(root, checkout)
        kept = False
        try:
            yield checkout
        except BaseException:
            kept = keep_failed
            raise
        finally:
            if not kept:
                git.run(root, "worktree", "remove", "--force", str(tree))
                _lock(tree).unlink()


def _apply_changes(root: Path, tree: Path) -> None:
    """Make the checkout's changes in the tree too, and say which new code it does not get."""
    patch, lacking = changes.for_run(root)
    for file in lacking:
        log.warning("%s is not in the tree of this run (%s)", file.path, file.why)
    if patch:
        git.run(tree, "apply", "--whitespace=nowarn", "-", stdin=patch, as_committed=True)


def with_absolute_archive(values: Mapping[str, Any], root: Path) -> dict[str, Any]:
    """`values` for another folder: a relative paths.archive is from `root`, ~ is the home."""
    paths = dict(values.get("paths", {}))
    if not paths.get("archive"):
        return dict(values)
    archive = root / Path(paths["archive"]).expanduser()
    return {**values, "paths": {**paths, "archive": str(archive)}}


def checkout_in(tree: Path, root: Path) -> Path:
    """The folder of a tree that `root` is of its own repository: the tree, if that is the top."""
    return tree / git.prefix(root)


def left_over(root: Path, before: float = math.inf) -> list[Path]:
    """The trees that failed runs left before that time, in seconds since 1970.

    Those of running flows are not among them.
    """
    return [
        tree
        for tree in _trees(root)
        if tree.stat().st_mtime < before and not file_locks.is_held(_lock(tree))
    ]


def in_use(root: Path) -> list[Path]:
    """The trees of running flows."""
    return [tree for tree in _trees(root) if file_locks.is_held(_lock(tree))]


def remove_left_over(root: Path, before: float = math.inf) -> None:
    """Remove the trees that failed runs left before that time, in seconds since 1970."""
    for tree in left_over(root, before):
        shutil.rmtree(tree)
        _lock(tree).unlink(missing_ok=True)
    git.run(root, "worktree", "prune")


def _home(root: Path) -> Path:
    return root / project.STATE / "runs"


def _trees(root: Path) -> list[Path]:
    return [tree for tree in sorted(_home(root).glob("*")) if tree.is_dir()]


def _lock(tree: Path) -> Path:
    """The file that the process in the tree locks; the lock is released however it ends."""
    return tree.with_name(f"{tree.name}.lock")


def _share_cache(root: Path, tree: Path) -> None:
    """Give the tree the checkout's DVC settings and cache, with links instead of copies."""
    settings = dvc_settings.read(root)
    shared = {
        **settings.get("cache", {}),
        "dir": str(dvc_settings.cache_folder(root)),
        "type": "reflink,hardlink,copy",  # nobody edits data in such a tree
    }
    dvc_settings.write(tree, {**settings, "cache": shared})
