"""Run git: the commit of HEAD, and what differs from it."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from resnet.errors import PipelineError

# One form of patch, whatever the user's git settings are.
DIFF = (
    *("diff", "--binary", "--no-ext-diff", "--no-textconv", "--no-color"),
    *("--src-prefix=a/", "--dst-prefix=b/"),
)


def run(
    root: Path,
    *words: str,
    env: Mapping[str, str] | None = None,
    stdin: str = "",
    check: bool = True,
) -> str:
    """What git prints, given `stdin`; bytes that are not UTF-8 are surrogates in both.

    Raises PipelineError if git is not installed or fails; without `check` the result is then empty.
    """
    content = stdin.encode(errors="surrogateescape")
    try:
        process = subprocess.run(
            ["git", *words], cwd=root, env=env, input=content, capture_output=True, check=check
        )
    except (OSError, subprocess.CalledProcessError) as error:
        if not check:
            return ""
        message = getattr(error, "stderr", b"").decode(errors="replace").strip()
        raise PipelineError(f"git {words[0]} in {root} failed: {message or error}") from None
    return process.stdout.decode(errors="surrogateescape") if process.returncode == 0 else ""


def commit(root: Path) -> str | None:
    """The commit of HEAD; None if `root` is not the top of a git checkout, or has no commit."""
    words = ("rev-parse", "--show-toplevel", "--verify", "--quiet", "HEAD")
    top, _, head = run(root, *words, check=False).strip().partition("\n")
    return head if top == str(root.resolve()) and head else None


def listed(root: Path, pathspec: str) -> list[str]:
    """The files that match, tracked or new; those that git ignores do not count."""
    words = ("ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate")
    return _paths(run(root, *words, "--", pathspec))


def untracked(root: Path, exclude: Iterable[str] = ()) -> list[str]:
    """The new files that git does not ignore, but for the pathspecs `exclude`.

    A repository of its own among them is one path, with a slash at its end.
    """
    words = ("ls-files", "--others", "--exclude-standard", "-z", *_scope(exclude))
    return _paths(run(root, *words))


def changed(root: Path, exclude: Iterable[str] = ()) -> dict[str, int]:
    """The tracked files that differ from HEAD, but for `exclude`; their bytes in HEAD, 0 if new."""
    paths = _paths(run(root, "diff", "--name-only", "--no-renames", "-z", "HEAD", *_scope(exclude)))
    if not paths:
        return {}
    sizes = {}
    for entry in _paths(run(root, "ls-tree", "-r", "-z", "--long", "HEAD")):
        described, _, path = entry.partition("\t")
        size = described.split()[-1]
        sizes[path] = int(size) if size.isdecimal() else 0  # a submodule has none
    return {path: sizes.get(path, 0) for path in paths}


def patch(
    root: Path,
    new: Iterable[str] = (),
    exclude: Iterable[str] = (),
    without: Iterable[str] = (),
) -> str:
    """The difference from HEAD, for `git apply`, with the untracked files `new`.

    The pathspecs `exclude` and the paths `without` are left out. Works on a copy of the index, and
    adds no object to the repository. Raises PipelineError if git cannot add a new file.
    """
    new = list(new)
    with tempfile.TemporaryDirectory() as folder:
        index = Path(folder) / "index"
        # With its time: git looks into files that were written in the second of the index or later.
        shutil.copy2(root / run(root, "rev-parse", "--git-path", "index").strip(), index)
        env = {**os.environ, "GIT_INDEX_FILE": str(index)}
        if new:
            _intend_to_add(root, new, env)
        return run(root, *DIFF, "HEAD", *_scope(exclude, without), env=env)


def _intend_to_add(root: Path, new: list[str], env: Mapping[str, str]) -> None:
    words = ("add", "--intent-to-add", "--pathspec-from-file=-", "--pathspec-file-nul")
    try:
        run(root, *words, env={**env, "GIT_LITERAL_PATHSPECS": "1"}, stdin="\0".join(new))
    except PipelineError as error:
        if not (empty := _empty_repositories(root, new)):
            raise
        raise PipelineError(
            f"{', '.join(empty)} in {root}: a git repository of its own without a commit, "
            "which no patch can contain: commit there, move it out of the checkout, or add it "
            "to .gitignore"
        ) from error


def _scope(exclude: Iterable[str], without: Iterable[str] = ()) -> list[str]:
    """The pathspec of all below the working directory but for some pathspecs and some paths."""
    pathspecs = [f":(exclude){pathspec}" for pathspec in exclude]
    return ["--", ".", *pathspecs, *(f":(exclude,literal){path}" for path in without)]


def _paths(listed: str) -> list[str]:
    """The paths in what git lists with -z."""
    return [path for path in listed.split("\0") if path]


def _empty_repositories(root: Path, new: Iterable[str]) -> list[str]:
    """Those of the new paths that are git repositories of their own without a commit."""
    head = ("rev-parse", "--verify", "--quiet", "HEAD")
    return [path for path in new if path.endswith("/") and not run(root / path, *head, check=False)]
