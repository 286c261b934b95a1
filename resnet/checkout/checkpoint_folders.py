"""Where trainings keep their checkpoints: a folder each, and a lock beside it.

`resnet.training.checkpoint` writes what is in a folder. It names the lock by itself, for DVC trains
anew when a file there changes; a test holds the two together.
"""

import shutil
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from resnet.checkout import project
from resnet.system import file_locks


def home(root: Path) -> Path:
    """The folder of all checkpoints of the checkout at `root`; it need not be there yet."""
    return project.state(root) / "checkpoints"


def note(folder: Path) -> Path:
    """The file with the id of the MLflow run in which a training goes on."""
    return folder / "mlflow-run"


def abandoned(root: Path, before: float) -> list[Path]:
    """The folders of trainings that nobody is at, unchanged since `before`, seconds since 1970."""
    return [
        folder
        for folder in _folders(root)
        if not file_locks.is_held(_lock(folder)) and _changed(folder) < before
    ]


def kept(root: Path, before: float) -> list[Path]:
    """The other folders: a training can go on there."""
    gone = abandoned(root, before)
    return [folder for folder in _folders(root) if folder not in gone]


def remove(folder: Path) -> None:
    """Remove the folder, unless somebody has taken the training up."""
    with suppress(Timeout), FileLock(_lock(folder), timeout=0):
        shutil.rmtree(folder)
        _lock(folder).unlink()


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in home(root).glob("*") if path.is_dir())


def _changed(folder: Path) -> float:
    return max(path.stat().st_mtime for path in (folder, *folder.iterdir()))


def _lock(folder: Path) -> Path:
    """What the process that trains holds."""
    return folder.with_suffix(".lock")
