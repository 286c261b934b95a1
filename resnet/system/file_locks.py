"""Lock files of jobs: the process that does a job holds one, and releases it however it ends."""

import errno
import fcntl
from pathlib import Path

HELD = {errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES}


def is_held(lock: Path) -> bool:
    """Whether a process holds the lock file now. It need not be open to writing."""
    try:
        file = lock.open("rb")
    except FileNotFoundError:
        return False
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # released when the file is closed
        except OSError as error:
            if error.errno not in HELD:
                raise
            return True
    return False
