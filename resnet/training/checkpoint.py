"""Keep a training's state on disk, so that one that was killed goes on where it was.

A checkpoint is one file whose name holds its step and the SHA-256 of its bytes. It is written
beside and renamed, so a kill leaves the whole file or none; the last two are kept, and one that
does not have its hash is passed over for the one before it.
"""

import hashlib
import io
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from filelock import FileLock, Timeout

from resnet.errors import PipelineError

Arrays = list[npt.NDArray[Any]]

KEPT = 2


@dataclass(frozen=True)
class Snapshot:
    """All that training needs to go on after `step` steps as if nothing had happened."""

    step: int
    state: Arrays  # of the engine: weights and optimizer
    results: npt.NDArray[np.float32]  # (steps of the epoch under way, 2): loss, share recognised
    rows: list[dict[str, float]] = field(default_factory=list)  # the history
    best_epoch: int = 0
    best: Arrays = field(default_factory=list)  # the best epoch's weights


class Checkpoints:
    """The checkpoints of one training in a folder of its own, written every `seconds`."""

    def __init__(self, folder: Path, seconds: float) -> None:
        self._folder, self._seconds = folder, seconds
        self._written = time.monotonic()

    @contextmanager
    def held(self, patience: float) -> Iterator[None]:
        """Be the only process that trains this for the time of the block.

        Another one that does is waited for, up to `patience` seconds; then PipelineError.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self._folder.with_suffix(".lock"), timeout=patience):
                yield
        except Timeout:
            raise PipelineError(
                f"another process has been training the same for {patience:.0f} s "
                f"({self._folder.with_suffix('.lock')} is held): wait for it or end it"
            ) from None

    def due(self) -> bool:
        """Whether the last checkpoint is older than `seconds`."""
        return time.monotonic() - self._written >= self._seconds

    def write(self, snapshot: Snapshot) -> None:
        """Raises PipelineError where it cannot be written; the checkpoints before stay."""
        content = _packed(snapshot)
        name = f"{snapshot.step:09}-{hashlib.sha256(content).hexdigest()}"
        draft = self._folder / f"{name}.part"
        try:
            with draft.open("wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            draft.rename(self._folder / name)
        except OSError as error:
            draft.unlink(missing_ok=True)
            raise PipelineError(
                f"the checkpoint after step {snapshot.step} cannot be written to {self._folder}: "
                f"{error.strerror}; make room and run again, the one before it is intact"
            ) from error
        for old in self._files()[KEPT:]:
            old.unlink()
        self._written = time.monotonic()

    def latest(self) -> Snapshot | None:
        """The newest checkpoint that is whole; None without one."""
        for path in self._files():
            content = path.read_bytes()
            if hashlib.sha256(content).hexdigest() == path.name.partition("-")[2]:
                return _unpacked(content)
            print(
                f"warning: the checkpoint {path} is damaged; taking the one before it",
                file=sys.stderr,
            )
        return None

    def clear(self) -> None:
        """Training is done: remove them."""
        for path in (*self._files(), *self._folder.glob("*.part")):
            path.unlink()
        self._folder.rmdir()

    def _files(self) -> list[Path]:
        """The newest first."""
        return sorted(self._folder.glob("*-*[0-9a-f]"), reverse=True)


def _packed(snapshot: Snapshot) -> bytes:
    told = {
        "step": snapshot.step,
        "rows": snapshot.rows,
        "best_epoch": snapshot.best_epoch,
        "states": len(snapshot.state),
        "bests": len(snapshot.best),
    }
    stream = io.BytesIO()
    arrays: dict[str, Any] = {
        "told": np.array(json.dumps(told)),
        "results": snapshot.results,
        **{f"state{k}": array for k, array in enumerate(snapshot.state)},
        **{f"best{k}": array for k, array in enumerate(snapshot.best)},
    }
    np.savez(stream, **arrays)
    return stream.getvalue()


def _unpacked(content: bytes) -> Snapshot:
    with np.load(io.BytesIO(content), allow_pickle=False) as found:
        told = json.loads(str(found["told"]))
        return Snapshot(
            step=told["step"],
            state=[found[f"state{k}"] for k in range(told["states"])],
            results=found["results"],
            rows=told["rows"],
            best_epoch=told["best_epoch"],
            best=[found[f"best{k}"] for k in range(told["bests"])],
        )
