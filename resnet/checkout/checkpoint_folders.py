"""Where trainings keep their checkpoints: one folder each, with a lock beside it.

`resnet.training.checkpoint` writes what is in a folder.
"""

import shutil
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from resnet.checkout import project
from resnet.system import file_locks

NAME = "checkpoints"  # of the folder in the state


def home(root: Path) -> Path:
    """The folder of all checkpoints of the checkout at `root`; it need not be there yet."""
    return project.state(root) / NAME


def run_id_file(folder: Path) -> Path:
    """The file with the id of the MLflow run that a resumed training continues."""
    return folder / "mlflow-run"


def lock_file(folder: Path) -> Path:
    """The lock that the training process holds."""
    return folder.with_suffix(".lock")


def abandoned(root: Path, before: float) -> list[Path]:
    """The folders that no process trains in, unchanged since `before`, in seconds since 1970."""
    return [
        folder
        for folder in _folders(root)
        if not file_locks.is_held(lock_file(folder)) and _changed(folder) < before
    ]


def resumable(root: Path, before: float) -> list[Path]:
    """The other folders, whose trainings are running or can be resumed."""
    excluded = abandoned(root, before)
    return [folder for folder in _folders(root) if folder not in excluded]


def remove(folder: Path) -> None:
    """Remove the folder, unless its training has been resumed."""
    with suppress(Timeout), FileLock(lock_file(folder), timeout=0):
        shutil.rmtree(folder)
        lock_file(folder).unlink()


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in home(root).glob("*") if path.is_dir())


def _changed(folder: Path) -> float:
    return max(path.stat().st_mtime for path in (folder, *folder.iterdir()))
