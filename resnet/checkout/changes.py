"""What differs from the commit: which changes a patch may hold, and which are only named.

A patch is stored with every version that is made from it, and cannot be taken back. So secrets,
large files and files that are no code stay out of it.
"""

import hashlib
import itertools
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from resnet.checkout import git
from resnet.system import files

CODE_FOLDERS = ("resnet", "flows")  # what pyproject.toml installs; new files elsewhere are no code
READ_BY_DVC = ("*.dvc", "dvc.yaml", "dvc.lock", ".dvcignore", ".gitignore")  # code or not
MAX_BYTES = 1_000_000  # of one file; the largest here that somebody edits has 400,000
# Names of files and folders, in lower case.
SECRETS = (
    *(".env*", "*.env", "credentials*", "*.credentials", ".git-credentials", "secret*", "*.secret"),
    *("id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*", ".ssh", ".gnupg", ".aws", ".kube"),
    *("*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.keystore", "*.kdbx", "*.asc", "*.gpg"),
    *(".netrc", "_netrc", ".pgpass", ".pypirc", ".npmrc", ".htpasswd", "service-account*.json"),
)
NOTE = "# "  # begins a line above a patch; `git apply` and readers skip it


@dataclass(frozen=True)
class Withheld:
    """A file that differs from the commit, and whose change is in no patch."""

    path: str
    digest: str  # its SHA-256; a repository's commit
    why: str

    def __str__(self) -> str:
        return f"{self.digest} {json.dumps(self.path)}: {self.why}"  # no line of a patch, ever


def for_record(root: Path, exclude: Iterable[str] = ()) -> str:
    """What differs from HEAD, but for the pathspecs `exclude`: a patch, below notes of its gaps.

    Empty where nothing differs. Raises PipelineError where git cannot add a new file.
    """
    exclude = list(exclude)
    new = git.untracked(root, exclude)
    sizes = git.changed(root, exclude)
    reasons = {path: _unfit(root, path, sizes[path]) for path in sizes}
    reasons |= {path: _not_code(path) or _unfit(root, path) for path in new}
    withheld = [Withheld(path, _digest(root / path), why) for path, why in reasons.items() if why]
    kept = [path for path in new if not reasons[path]]
    patch = git.patch(root, kept, exclude, [path for path in sizes if reasons[path]])
    return _notes(withheld) + patch


def for_run(root: Path) -> tuple[str, list[Withheld]]:
    """The patch for a working tree of the same checkout, and the new code that it lacks.

    All changes of what git tracks are in it: the tree has these files anyway, and would else run
    with old code.
    """
    reasons = {path: _not_code(path) or _unfit(root, path) for path in git.untracked(root)}
    kept = [path for path, why in reasons.items() if not why]
    lacking = [
        Withheld(path, _digest(root / path), why)
        for path, why in reasons.items()
        if why and not _not_code(path)
    ]
    return git.patch(root, kept), lacking


def split(recorded: str) -> tuple[list[str], str]:
    """The notes of what `for_record` returned, and the patch alone."""
    lines = recorded.splitlines(keepends=True)
    notes = list(itertools.takewhile(lambda line: line.startswith(NOTE), lines))
    return [note.removeprefix(NOTE).strip() for note in notes[1:]], "".join(lines[len(notes) :])


def _notes(withheld: list[Withheld]) -> str:
    if not withheld:
        return ""
    lines = [
        "These files differ from the commit too; only their SHA-256 is recorded:",
        *map(str, withheld),
    ]
    return "".join(f"{NOTE}{line}\n" for line in lines)


def _not_code(path: str) -> str | None:
    """Why a file that git does not track is taken for no code; None if it is code."""
    name = PurePosixPath(path)
    if name.parts[0] in CODE_FOLDERS or any(fnmatch(name.name, one) for one in READ_BY_DVC):
        return None
    return f"git does not track it, and it is not below {' or '.join(CODE_FOLDERS)}"


def _unfit(root: Path, path: str, committed: int = 0) -> str | None:
    """Why no patch may hold the file, which has so many bytes in the commit; None if it may."""
    parts = [part.lower() for part in PurePosixPath(path).parts]
    if any(fnmatch(part, pattern) for part in parts for pattern in SECRETS):
        return "its name is that of a secret"
    whole = root / path
    here = whole.lstat().st_size if os.path.lexists(whole) and not whole.is_dir() else 0
    if (size := max(here, committed)) > MAX_BYTES:
        return f"{size:,} bytes are more than {MAX_BYTES:,}"
    return None


def _digest(path: Path) -> str:
    if path.is_symlink():
        return hashlib.sha256(os.fsencode(path.readlink())).hexdigest()
    if path.is_dir():  # a repository of its own
        head = ("rev-parse", "--verify", "--quiet", "HEAD")
        return git.run(path, *head, check=False).strip() or "without-a-commit"
    try:
        return files.digest(path)
    except FileNotFoundError:
        return "deleted"
    except PermissionError:
        return "unreadable"
