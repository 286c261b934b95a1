"""Run git: the commit of HEAD, and what differs from it.

A checkout may be a folder of a larger repository: what differs elsewhere in it does not count.

What git prints or writes here is the same whatever the user's settings and variables are; those
that `core.autocrlf` and its like give to the checkout's own files hold for these alone.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from resnet.errors import PipelineError

# A diff that obeys no setting of the user's: `git diff` obeys two dozen, from diff.context on.
DIFF = ("diff-index", "--no-renames", "HEAD")
PATCH = (*DIFF, "--patch", "--binary", "--no-textconv", "--no-relative")
SETTINGS = {
    "core.quotePath": "false",
    "core.hooksPath": os.devnull,  # such as those of `dvc install`: they are for the user's commits
    "apply.ignoreWhitespace": "false",
}
# With them git writes files as they are in the commit: those of a tree are compared by bytes.
AS_COMMITTED = {
    "core.autocrlf": "false",
    "core.eol": "lf",
    "core.attributesFile": os.devnull,
}
# They name another repository or another form of diff; a hook of git has some of them set.
MISLEADING = (
    *("GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE", "GIT_PREFIX"),
    *("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_NAMESPACE"),
    *("GIT_DIFF_OPTS", "GIT_EXTERNAL_DIFF"),
    *("GIT_LITERAL_PATHSPECS", "GIT_GLOB_PATHSPECS", "GIT_NOGLOB_PATHSPECS", "GIT_ICASE_PATHSPECS"),
)


def run(
    root: Path,
    *words: str,
    env: Mapping[str, str] | None = None,
    stdin: str = "",
    check: bool = True,
    as_committed: bool = False,
) -> str:
    """What git prints, given `stdin`; bytes that are not UTF-8 are surrogates in both.

    `env` is laid over this process's environment. With `as_committed` git writes files without the
    user's line ends. Raises PipelineError if git is not installed or fails; without `check` the
    result is then empty.
    """
    settings = SETTINGS | (AS_COMMITTED if as_committed else {})
    try:
        process = _start(root, words, env, stdin, settings)
    except PipelineError:
        if check:
            raise
        return ""
    if check and process.returncode:
        raise _failed(root, words, process)
    return process.stdout.decode(errors="surrogateescape") if process.returncode == 0 else ""


def commit(root: Path) -> str | None:
    """The commit of HEAD; None where `root` is in no repository, or in one without a commit.

    Raises PipelineError where git does not look at the repository, such as at that of another
    account, and where the repository around `root` does not have its code.
    """
    if top(root) is None:
        return None
    head = run(root, "rev-parse", "--verify", "--quiet", "HEAD", check=False).strip()
    if not head:
        return None
    if prefix(root) and not run(root, "ls-tree", "--name-only", "HEAD", check=False):
        raise PipelineError(
            f"{root} is in the git repository {top(root)}, which has no commit of it: commit it "
            "there, or move it out and clone it as a repository of its own"
        )
    return head


def top(root: Path) -> Path | None:
    """The top of the repository that `root` is in; None if it is in none.

    Raises PipelineError, with git's own words, where git does not look at the repository.
    """
    words = ("rev-parse", "--show-toplevel")
    process = _start(root, words)
    if process.returncode == 0:
        return Path(os.fsdecode(process.stdout.removesuffix(b"\n")))
    if b"not a git repository (or any" in process.stderr:
        return None
    raise _failed(root, words, process)


def prefix(root: Path) -> str:
    """The path of `root` below the top of its repository; "" if it is the top."""
    return run(root, "rev-parse", "--show-prefix").removesuffix("\n").removesuffix("/")


def _start(
    root: Path,
    words: Iterable[str],
    env: Mapping[str, str] | None = None,
    stdin: str = "",
    settings: Mapping[str, str] = SETTINGS,
) -> subprocess.CompletedProcess[bytes]:
    options = [word for item in settings.items() for word in ("-c", "=".join(item))]
    # git speaks English, and is in the repository of its folder.
    own = {name: value for name, value in os.environ.items() if name not in MISLEADING}
    try:
        return subprocess.run(
            ["git", *options, *words],
            cwd=root,
            env={**own, "LC_ALL": "C", **(env or {})},
            input=stdin.encode(errors="surrogateescape"),
            capture_output=True,
            check=False,
        )
    except OSError as error:
        raise PipelineError(f"git cannot be run in {root} ({error}): is it installed?") from None


def _failed(
    root: Path, words: Sequence[str], process: subprocess.CompletedProcess[bytes]
) -> PipelineError:
    """git's own words, on one line: they say what to do, such as about safe.directory."""
    message = " ".join(process.stderr.decode(errors="replace").split())
    return PipelineError(
        f"git {words[0]} in {root} failed: {message or f'it exited with {process.returncode}'}"
    )


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
    words = (*DIFF, "--name-only", "--relative", "-z", *_scope(exclude))
    with _copied_index(root) as env:
        paths = _paths(run(root, *words, env=env))
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
    with _copied_index(root) as env:
        if new:
            _intend_to_add(root, new, env)
        return run(root, *PATCH, *_scope(exclude, without), env=env)


@contextmanager
def _copied_index(root: Path) -> Iterator[dict[str, str]]:
    """The environment in which git works on a copy of the index, which knows each file's state."""
    with tempfile.TemporaryDirectory() as folder:
        index = Path(folder) / "index"
        # With its time: git looks into files that were written in the second of the index or later.
        shutil.copy2(root / run(root, "rev-parse", "--git-path", "index").strip(), index)
        env = {"GIT_INDEX_FILE": str(index)}
        # Or `git diff-index` would list files that were only touched.
        run(root, "update-index", "-q", "--refresh", env=env, check=False)
        yield env


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
