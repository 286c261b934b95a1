"""git, called as a command: what HEAD is, and what differs from it."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from resnet.errors import PipelineError

# One form of patch, whatever the user's own settings of git are.
DIFF = (
    *("diff", "--binary", "--no-ext-diff", "--no-textconv", "--no-color"),
    *("--src-prefix=a/", "--dst-prefix=b/"),
)


def run(
    root: Path,
    *words: str,
    env: Mapping[str, str] | None = None,
    stdin: str = "",
    must: bool = True,
) -> str:
    """What git says, given `stdin`; bytes that are no UTF-8 go through both as surrogates.

    Raises PipelineError where there is no git or it refuses; without `must` it then says nothing.
    """
    given = stdin.encode(errors="surrogateescape")
    try:
        done = subprocess.run(
            ["git", *words], cwd=root, env=env, input=given, capture_output=True, check=must
        )
    except (OSError, subprocess.CalledProcessError) as error:
        if not must:
            return ""
        said = getattr(error, "stderr", b"").decode(errors="replace").strip()
        raise PipelineError(f"git {words[0]} in {root} failed: {said or error}") from None
    return done.stdout.decode(errors="surrogateescape") if done.returncode == 0 else ""


def commit(root: Path) -> str | None:
    """What HEAD names; nothing where `root` is not the top of a git checkout, or has no commit."""
    words = ("rev-parse", "--show-toplevel", "--verify", "--quiet", "HEAD")
    top, _, head = run(root, *words, must=False).strip().partition("\n")
    return head if top == str(root.resolve()) and head else None


def patch(root: Path, exclude: Iterable[str] = ()) -> str:
    """What differs from HEAD, as `git apply` takes it; new files that git does not ignore as well.

    Works on a copy of the index, and adds no object to the repository. Raises PipelineError where
    git cannot add a new file.
    """
    scope = ["--", ".", *(f":(exclude){path}" for path in exclude)]
    with tempfile.TemporaryDirectory() as folder:
        index = Path(folder) / "index"
        shutil.copyfile(root / run(root, "rev-parse", "--git-path", "index").strip(), index)
        env = {**os.environ, "GIT_INDEX_FILE": str(index)}
        try:
            run(root, "add", "--intent-to-add", "--", ".", env=env)
        except PipelineError as error:
            if not (unborn := _unborn(root)):
                raise
            raise PipelineError(
                f"{', '.join(unborn)} in {root}: a git repository of its own without a commit, "
                "which no patch can hold: commit there, move it out of the checkout, or name it in "
                ".gitignore"
            ) from error
        return run(root, *DIFF, "HEAD", *scope, env=env)


def _unborn(root: Path) -> list[str]:
    """Folders of the checkout that are git repositories of their own, and have no commit."""
    new = run(root, "ls-files", "--others", "--exclude-standard", "-z").split("\0")
    head = ("rev-parse", "--verify", "--quiet", "HEAD")
    return [one for one in new if one.endswith("/") and not run(root / one, *head, must=False)]
