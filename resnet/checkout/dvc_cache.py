"""DVC's cache, read as files: what an md5 stands for, and which md5 a path has.

DVC identifies a file by the md5 of its bytes, and a folder by the md5 of a listing of its files,
which is in the cache as well, with the suffix `.dir`.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from resnet.errors import PipelineError
from resnet.system import files

FOLDER = ".dir"
IGNORED = "__pycache__"  # as in .dvcignore; a folder in DVC's cache has none


def place(cache: Path, md5: str) -> Path:
    """The path in the cache of what has that `md5`, whether it is there or not."""
    return cache / "files" / "md5" / md5[:2] / md5[2:]


def restore(cache: Path, md5: str, to: Path) -> bool:
    """Copy what has that `md5` to the path `to`; if a part is missing, nothing is copied: False.

    The bytes are copied unchecked: `digest` tells whether they are the right ones. Raises
    PipelineError if the listing of a folder is damaged.
    """
    entry = place(cache, md5)
    if not entry.is_file():
        return False
    parts = {to: entry}
    if md5.endswith(FOLDER):
        parts = {to / name: place(cache, part) for name, part in listing(entry).items()}
    if not all(part.is_file() for part in parts.values()):
        return False
    for target, part in parts.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(part, target)
    return True


def listing(path: Path) -> dict[str, str]:
    """The md5 of each file of a folder in the cache, by its path in the folder.

    Raises PipelineError if the listing is damaged.
    """
    try:
        return {entry["relpath"]: entry["md5"] for entry in json.loads(path.read_bytes())}
    except (ValueError, KeyError, TypeError) as error:
        raise PipelineError(
            f"{path} is not a listing of a folder ({error}): remove it, and run 'dvc pull' or "
            "'dvc repro'"
        ) from None


def digest(path: Path) -> str:
    """DVC's md5 of a file or a folder, computed from its bytes."""
    if path.is_file():
        return files.digest(path, "md5")
    return digest_of(
        {
            file.relative_to(path).as_posix(): files.digest(file, "md5")
            for file in path.rglob("*")
            if file.is_file() and IGNORED not in file.parts
        }
    )


def digest_of(parts: Mapping[str, str]) -> str:
    """DVC's md5 of a folder, from the md5 of each of its files by the path inside it."""
    listing = [{"md5": md5, "relpath": name} for name, md5 in sorted(parts.items())]
    text = json.dumps(listing, sort_keys=True)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() + FOLDER
