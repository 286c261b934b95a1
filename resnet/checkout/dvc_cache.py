"""DVC's cache, read as files: where it is, what an md5 in it names, and what md5 a path has.

DVC names a file by the md5 of its bytes, and a folder by the md5 of a listing of its files, which
lies in the cache beside them with the ending `.dir`.
"""

import configparser
import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from resnet.errors import PipelineError
from resnet.system import files

FOLDER = ".dir"
IGNORED = "__pycache__"  # as .dvcignore says; a folder that DVC has put into its cache has none


def settings(root: Path) -> configparser.ConfigParser:
    """The checkout's own settings of DVC, those of `.dvc/config.local` before the others."""
    found = configparser.ConfigParser(interpolation=None)
    for name in ("config", "config.local"):
        found.read(root / ".dvc" / name)
    return found


def folder(root: Path) -> Path:
    """The cache that the checkout at `root` uses; it need not be there yet."""
    return (root / ".dvc" / settings(root).get("cache", "dir", fallback="cache")).resolve()


def place(cache: Path, md5: str) -> Path:
    """Where the cache keeps what `md5` names, whether it is there or not."""
    return cache / "files" / "md5" / md5[:2] / md5[2:]


def restore(cache: Path, md5: str, to: Path) -> bool:
    """Copy what `md5` names to the path `to`; False, and nothing copied, where a part is missing.

    The bytes are copied as they are: `digest` tells whether they are the right ones. Raises
    PipelineError where the listing of a folder is damaged.
    """
    found = place(cache, md5)
    if not found.is_file():
        return False
    parts = {to: found}
    if md5.endswith(FOLDER):
        parts = {to / name: place(cache, part) for name, part in _listing(found).items()}
    if not all(part.is_file() for part in parts.values()):
        return False
    for target, part in parts.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(part, target)
    return True


def _listing(path: Path) -> dict[str, str]:
    """The md5 of each file of a folder in the cache, by its path in the folder."""
    try:
        return {one["relpath"]: one["md5"] for one in json.loads(path.read_bytes())}
    except (ValueError, KeyError, TypeError) as error:
        raise PipelineError(
            f"{path} is no listing of a folder ({error}): remove it, and run 'dvc pull' or "
            "'dvc repro'"
        ) from None


def digest(path: Path) -> str:
    """DVC's md5 of a file or a folder, computed from its bytes."""
    if path.is_file():
        return files.digest(path, "md5")
    return digest_of(
        {
            one.relative_to(path).as_posix(): files.digest(one, "md5")
            for one in path.rglob("*")
            if one.is_file() and IGNORED not in one.parts
        }
    )


def digest_of(parts: Mapping[str, str]) -> str:
    """DVC's md5 of a folder, from the md5 of each file in it by its path there."""
    listing = [{"md5": md5, "relpath": name} for name, md5 in sorted(parts.items())]
    text = json.dumps(listing, sort_keys=True)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() + FOLDER
