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


def patch(root: Path, exclude: Iterable[str] = ()) -> str:
    """The difference from HEAD, for `git apply`, with the new files that git does not ignore.

    Works on a copy of the index, and adds no object to the repository. Raises PipelineError if git
    cannot add a new file.
    """
    scope = ["--", ".", *(f":(exclude){path}" for path in exclude)]
    with tempfile.TemporaryDirectory() as folder:
        index = Path(folder) / "index"
        shutil.copyfile(root / run(root, "rev-parse", "--git-path", "index").strip(), index)
        env = {**os.environ, "GIT_INDEX_FILE": str(index)}
        try:
            run(root, "add", "--intent-to-add", "--", ".", env=env)
        except PipelineError as error:
            if not (empty := _empty_repositories(root)):
                raise
            raise PipelineError(
                f"{', '.join(empty)} in {root}: a git repository of its own without a commit, "
                "which no patch can contain: commit there, move it out of the checkout, or add it "
                "to .gitignore"
            ) from error
        return run(root, *DIFF, "HEAD", *scope, env=env)


def _empty_repositories(root: Path) -> list[str]:
    """Folders of the checkout that are git repositories of their own without a commit."""
    new = run(root, "ls-files", "--others", "--exclude-standard", "-z").split("\0")
    head = ("rev-parse", "--verify", "--quiet", "HEAD")
    return [path for path in new if path.endswith("/") and not run(root / path, *head, check=False)]
