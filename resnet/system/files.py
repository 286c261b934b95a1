"""Write files completely or not at all, and identify their content."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from resnet.errors import PipelineError

# libyaml's takes an eighth of the time; PyYAML may have been built without it.
YAML_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to, a file or a folder; it becomes `path` when the block ends.

    When the block raises, what was written is removed and `path` stays as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        draft = folder / path.name
        yield draft
        if path.is_dir() and not path.is_symlink():
            path.rename(folder / "old")
        draft.replace(path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def require_folder(path: Path) -> None:
    """Raise PipelineError unless `path` is in a folder: one that a user mistyped is not made."""
    if not path.parent.is_dir():
        raise PipelineError(
            f"{path} cannot be written, {path.parent} is not a folder: make it, or name another "
            "file (--out)"
        )


def write_text(path: Path, text: str) -> None:
    with replacing(path) as draft:
        draft.write_text(text)


def write_json(path: Path, value: Any) -> None:
    """`value` as JSON, with the keys in the given order; NaN is refused."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    return json.loads(path.read_text())


def read_yaml(path: Path) -> Any:
    """The content of a YAML file. Raises yaml.YAMLError, which shows the invalid line."""
    content = path.read_bytes()
    try:
        return yaml.load(content, Loader=YAML_LOADER)  # noqa: S506  (both loaders are safe)
    except yaml.YAMLError:
        return yaml.safe_load(content)  # libyaml's error has only its number


def digest(path: Path, algorithm: str = "sha256") -> str:
    """The hex digest of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()


def size(path: Path) -> int:
    """The bytes of a file, or of all files of a folder."""
    parts = path.rglob("*") if path.is_dir() else [path]
    return sum(part.lstat().st_size for part in parts if not part.is_dir())
