"""Where trainings keep their checkpoints: a folder each, and a lock beside it.

`resnet.training.checkpoint` writes what is in a folder.
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


def lock_file(folder: Path) -> Path:
    """The lock that the process that trains holds."""
    return folder.with_suffix(".lock")


def abandoned(root: Path, before: float) -> list[Path]:
    """The folders of trainings that nobody is at, unchanged since `before`, seconds since 1970."""
    return [
        folder
        for folder in _folders(root)
        if not file_locks.is_held(lock_file(folder)) and _changed(folder) < before
    ]


def kept(root: Path, before: float) -> list[Path]:
    """The other folders: a training can go on there."""
    gone = abandoned(root, before)
    return [folder for folder in _folders(root) if folder not in gone]


def remove(folder: Path) -> None:
    """Remove the folder, unless somebody has taken the training up."""
    with suppress(Timeout), FileLock(lock_file(folder), timeout=0):
        shutil.rmtree(folder)
        lock_file(folder).unlink()


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in home(root).glob("*") if path.is_dir())


def _changed(folder: Path) -> float:
    return max(path.stat().st_mtime for path in (folder, *folder.iterdir()))
