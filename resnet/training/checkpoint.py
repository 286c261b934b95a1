"""Keep a training's state on disk, so that a training that was killed can be resumed.

A checkpoint is one file whose name holds its step and the SHA-256 of its bytes. It is written under
another name and renamed, so a kill leaves the whole file or none. The last two are kept. A file
that does not match its hash is set aside, and the one before it is used.
"""

import hashlib
import io
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from filelock import FileLock, Timeout

from resnet.checkout import checkpoint_folders
from resnet.errors import PipelineError
from resnet.system import disk_errors, file_locks
from resnet.training.engines.interface import Arrays

KEPT = 2
DRAFT, DAMAGED = ".part", ".damaged"


@dataclass
class TrainingState:
    """How far a training has come: all that is needed to resume it with the same bits."""

    step: int = 0
    rows: list[dict[str, float]] = field(default_factory=list)  # the history
    best_epoch: int = 0
    seconds: float = 0.0  # in the loop
    step_seconds: float = 0.0  # the part of these that steps took
    # (steps of the unfinished epoch, 2): loss, accuracy
    results: npt.NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 2), np.float32))
    best_weights: Arrays = field(default_factory=list)
    engine_state: Arrays = field(default_factory=list)  # weights, averages, optimizer variables


class Checkpoints:
    """The checkpoints of one training in a folder of its own, written every `seconds`."""

    def __init__(self, folder: Path, seconds: float) -> None:
        self.folder, self._seconds = folder, seconds
        self._written = time.monotonic()

    @contextmanager
    def lock(self, timeout: float) -> Iterator[None]:
        """Make this the only process that runs this training, as long as the block lasts.

        Waits up to `timeout` seconds for another process that runs it, then raises PipelineError.
        """
        lock = FileLock(checkpoint_folders.lock_file(self.folder))
        with disk_errors.explain_write_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            print("the same training is running in another process; waiting", flush=True)
            try:
                lock.acquire(timeout=timeout)
            except Timeout:
                raise PipelineError(
                    f"the same training was still running in another process after {timeout:.0f} s "
                    f"of waiting: wait for it, or end it (it holds {lock.lock_file}), and run again"
                ) from None
        try:
            self.folder.mkdir(exist_ok=True)  # the process before may have ended and removed it
            for draft in self.folder.glob(f"*{DRAFT}"):
                draft.unlink()  # of a process that was killed while it wrote
            yield
        finally:
            with suppress(OSError):
                self.folder.rmdir()  # if it is empty
            if not self.folder.exists():
                Path(lock.lock_file).unlink()
            lock.release()

    def has_begun(self) -> bool:
        """Whether there is a checkpoint, or a process that runs this training now.

        A training that was interrupted before its first step leaves the id of its MLflow run only.
        """
        return bool(self._files()) or file_locks.is_held(checkpoint_folders.lock_file(self.folder))

    def due(self) -> bool:
        """Whether the last checkpoint is older than `seconds`."""
        return time.monotonic() - self._written >= self._seconds

    def write(self, state: TrainingState) -> None:
        """Raises PipelineError where it cannot be written; earlier checkpoints stay intact."""
        content = _to_bytes(state)
        path = self.folder / f"{state.step:09}-{hashlib.sha256(content).hexdigest()}.npz"
        draft = path.with_suffix(DRAFT)
        with disk_errors.explain_write_errors(path):
            try:
                with draft.open("wb") as stream:
                    stream.write(content)
                    stream.flush()
                    os.fsync(stream.fileno())
                draft.rename(path)
            except OSError:
                draft.unlink(missing_ok=True)
                raise
        for old in self._files()[KEPT:]:
            old.unlink()
        self._written = time.monotonic()

    def latest(self) -> TrainingState | None:
        """The newest intact checkpoint, or None.

        Damaged files are renamed, so that they do not count among the last that are kept.
        """
        files = self._files()
        for number, path in enumerate(files, start=1):
            try:
                content = path.read_bytes()
            except OSError:
                content = b""
            if hashlib.sha256(content).hexdigest() == path.stem.partition("-")[2]:
                return _from_bytes(content)
            damaged = path.with_suffix(DAMAGED)
            with disk_errors.explain_write_errors(damaged):
                path.rename(damaged)
            print(
                f"warning: the checkpoint {path} is damaged and was renamed to {damaged.name}; "
                + ("using the one before it" if files[number:] else "there is none before it"),
                file=sys.stderr,
            )
        return None

    def clear(self) -> None:
        """Remove the folder with all that it holds: the training is finished."""
        shutil.rmtree(self.folder)

    def _files(self) -> list[Path]:
        """The checkpoints, the newest first."""
        return sorted(self.folder.glob("*.npz"), reverse=True)


def _to_bytes(state: TrainingState) -> bytes:
    values = {
        "step": state.step,
        "rows": state.rows,
        "best_epoch": state.best_epoch,
        "seconds": state.seconds,
        "step_seconds": state.step_seconds,
    }
    stream = io.BytesIO()
    arrays: dict[str, Any] = {
        "values": np.array(json.dumps(values)),
        "results": state.results,
        **{f"best_weights.{k}": array for k, array in enumerate(state.best_weights)},
        **{f"engine_state.{k}": array for k, array in enumerate(state.engine_state)},
    }
    np.savez(stream, **arrays)
    return stream.getvalue()


def _from_bytes(content: bytes) -> TrainingState:
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:

        def numbered(name: str) -> Arrays:
            count = sum(key.startswith(f"{name}.") for key in arrays.files)
            return [arrays[f"{name}.{k}"] for k in range(count)]

        return TrainingState(
            **json.loads(str(arrays["values"])),
            results=arrays["results"],
            best_weights=numbered("best_weights"),
            engine_state=numbered("engine_state"),
        )
