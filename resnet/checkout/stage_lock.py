"""One process at a time computes a stage from the same inputs, whichever working tree it is in.

DVC's own locks are those of one tree. A process that has waited here finds in the cache, which the
trees share, what the one before it has computed, and DVC restores it.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from resnet import params
from resnet.checkout import dvc_cache, dvc_lock, dvc_yaml, project
from resnet.errors import PipelineError
from resnet.system import mappings
from resnet.system.processes import Say

NAME = "stages"  # of the folder in the state


@contextmanager
def holding(stage: str, root: Path, lock_seconds: float, say: Say) -> Iterator[None]:
    """Make this the only process that computes the stage from the inputs that it has in `root`.

    The stages before it have run. Waits up to `lock_seconds` for another process, then raises
    PipelineError. The lock is released however the process ends.
    """
    path = project.state(root) / NAME / f"{stage}-{_inputs(stage, root)}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(
            f"{stage}: another process runs this stage with the same inputs; waiting for its result"
        )
        try:
            lock.acquire(timeout=lock_seconds)
        except Timeout:
            raise PipelineError(
                f"{stage}: another process was still running this stage with the same inputs after "
                f"{lock_seconds:.0f} s of waiting (runtime.lock_seconds): wait for it, or end it "
                f"(it holds {path}), and run this again"
            ) from None
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        lock.release()


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
