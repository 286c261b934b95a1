"""Keep a training's state on disk, so that one that was killed goes on where it was.

A checkpoint is one file whose name holds its step and the SHA-256 of its bytes. It is written
beside and renamed, so a kill leaves the whole file or none; the last two are kept, and one that
does not have its hash is set aside for the one before it.
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

from resnet.errors import PipelineError
from resnet.system import disk_errors

Arrays = list[npt.NDArray[Any]]

KEPT = 2
DRAFT, DAMAGED = ".part", ".damaged"


@dataclass
class State:
    """How far a training has come: all that it needs to go on as if nothing had happened."""

    step: int = 0
    rows: list[dict[str, float]] = field(default_factory=list)  # the history
    best_epoch: int = 0
    seconds: float = 0.0  # in the loop
    stepping: float = 0.0  # of these, in steps
    # (steps of the epoch under way, 2): loss, share recognised
    results: npt.NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 2), np.float32))
    best: Arrays = field(default_factory=list)  # the best epoch's weights
    engine: Arrays = field(default_factory=list)  # weights, averages, the optimizer's variables


class Checkpoints:
    """The checkpoints of one training in a folder of its own, written every `seconds`."""

    def __init__(self, folder: Path, seconds: float) -> None:
        self.folder, self._seconds = folder, seconds
        self._written = time.monotonic()

    @contextmanager
    def held(self, patience: float) -> Iterator[None]:
        """Be the only process that trains this for the time of the block.

        Another one that does is waited for, up to `patience` seconds; then PipelineError.
        """
        lock = FileLock(self.folder.with_suffix(".lock"))
        with disk_errors.writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            print("another process is training the same; waiting for it", flush=True)
            try:
                lock.acquire(timeout=patience)
            except Timeout:
                raise PipelineError(
                    f"another process has been training the same for {patience:.0f} s: wait for "
                    f"it, or end it (it holds {lock.lock_file}), and run again"
                ) from None
        try:
            self.folder.mkdir(exist_ok=True)  # who held it before may have ended and removed it
            for draft in self.folder.glob(f"*{DRAFT}"):
                draft.unlink()  # of one that was killed while it wrote
            yield
        finally:
            with suppress(OSError):
                self.folder.rmdir()  # one with nothing in it
            if not self.folder.exists():
                Path(lock.lock_file).unlink()
            lock.release()

    def due(self) -> bool:
        """Whether the last checkpoint is older than `seconds`."""
        return time.monotonic() - self._written >= self._seconds

    def write(self, state: State) -> None:
        """Raises PipelineError where it cannot be written; the checkpoints before stay."""
        content = _packed(state)
        path = self.folder / f"{state.step:09}-{hashlib.sha256(content).hexdigest()}.npz"
        draft = path.with_suffix(DRAFT)
        with disk_errors.writing(path):
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

    def latest(self) -> State | None:
        """The newest checkpoint that is whole; None without one.

        Damaged ones are set aside: they must not count among the last that are kept.
        """
        files = self._files()
        for number, path in enumerate(files, start=1):
            try:
                content = path.read_bytes()
            except OSError:
                content = b""
            if hashlib.sha256(content).hexdigest() == path.stem.partition("-")[2]:
                return _unpacked(content)
            aside = path.with_suffix(DAMAGED)
            with disk_errors.writing(aside):
                path.rename(aside)
            print(
                f"warning: the checkpoint {path} is damaged, it is now {aside.name}; "
                + ("taking the one before it" if files[number:] else "there is none before it"),
                file=sys.stderr,
            )
        return None

    def clear(self) -> None:
        """Training is done: remove the folder, and with it what else was kept there."""
        shutil.rmtree(self.folder)

    def _files(self) -> list[Path]:
        """The newest first."""
        return sorted(self.folder.glob("*.npz"), reverse=True)


def _packed(state: State) -> bytes:
    told = {
        "step": state.step,
        "rows": state.rows,
        "best_epoch": state.best_epoch,
        "seconds": state.seconds,
        "stepping": state.stepping,
    }
    stream = io.BytesIO()
    arrays: dict[str, Any] = {
        "told": np.array(json.dumps(told)),
        "results": state.results,
        **{f"best.{k}": array for k, array in enumerate(state.best)},
        **{f"engine.{k}": array for k, array in enumerate(state.engine)},
    }
    np.savez(stream, **arrays)
    return stream.getvalue()


def _unpacked(content: bytes) -> State:
    with np.load(io.BytesIO(content), allow_pickle=False) as found:

        def numbered(name: str) -> Arrays:
            count = sum(key.startswith(f"{name}.") for key in found.files)
            return [found[f"{name}.{k}"] for k in range(count)]

        return State(
            **json.loads(str(found["told"])),
            results=found["results"],
            best=numbered("best"),
            engine=numbered("engine"),
        )
