"""Whether a job's lock is held can be seen by who may only read it."""

import os
import subprocess
import sys
from pathlib import Path

from filelock import FileLock

from resnet.system import file_locks
from tests.support import REPOSITORY, unknown_account

LOOK = """
import sys
from pathlib import Path
from resnet.system import file_locks
print(file_locks.is_held(Path(sys.argv[1])))
"""


def looked(lock: Path) -> str:
    """What an account sees that may read the file and not write it."""
    return subprocess.run(
        [*unknown_account(), sys.executable, "-c", LOOK, str(lock)],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


def test_a_lock_is_seen_as_held_or_not_where_it_cannot_be_written(tmp_path: Path) -> None:
    lock = tmp_path / "job.lock"
    assert not file_locks.is_held(lock)
    with FileLock(lock):
        lock.chmod(0o444)
        assert file_locks.is_held(lock)
        assert looked(lock) == "True"
    assert not file_locks.is_held(lock)
    assert looked(lock) == "False"
