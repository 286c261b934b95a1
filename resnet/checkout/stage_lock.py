"""One process at a time computes a stage from the same inputs, whichever working tree it is in.

DVC's own locks are those of one tree. A process that has waited here finds in the cache, which the
trees share, what the one before it has computed, and DVC restores it.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from resnet import params
from resnet.checkout import dvc_cache, dvc_lock, dvc_yaml, project
from resnet.system import mappings
from resnet.system.processes import Say

NAME = "stages"  # of the folder in the state
POLL_SECONDS = 0.5


@contextmanager
def holding(stage: str, root: Path, lock_seconds: float, say: Say) -> Iterator[None]:
    """Make this the only process that computes the stage from the inputs that it has in `root`.

    The stages before it have run. Waits for another process as long as it lives, and says so every
    `lock_seconds`. The lock is released however a process ends.
    """
    path = project.state(root) / NAME / f"{stage}-{_inputs(stage, root)}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    _acquire(lock, 0, lock_seconds, lambda: say(_waiting(stage, path)))
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        lock.release()


def _acquire(lock: FileLock, timeout: float, again: float, say: Callable[[], None]) -> None:
    """Acquire the lock; `say` is called after `timeout` seconds, and then every `again` seconds."""
    while True:
        try:
            lock.acquire(timeout=timeout, poll_interval=POLL_SECONDS)
            return
        except Timeout:
            say()
            timeout = again


def _waiting(stage: str, path: Path) -> str:
    return (
        f"{stage}: another process runs this stage with the same inputs, and holds {path}; "
        "waiting for its result"
    )


def _inputs(stage: str, root: Path) -> str:
    """SHA-256, hex, of what the result follows from: parameters, dependencies, the command."""
    values = params.read(root)
    made = dvc_lock.outputs(root)
    dependencies = {
        path: made.get(path) or dvc_cache.digest(root / path)
        for path in dvc_yaml.dependencies(stage, root, values)
    }
    parameters = {key: mappings.at(values, key) for key in dvc_yaml.parameters(stage, root)}
    parts = [dvc_yaml.command(stage, root), parameters, dependencies]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()
