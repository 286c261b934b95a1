"""Turn the errors of a full, read-only or broken disk into one clear error."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from resnet.errors import PipelineError
from resnet.system import account

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}
ADVICE = (
    "give this account the right to it, or work in a checkout of its own; 'resnet history', "
    "'versions', 'diff', 'verify' and 'doctor' need to write nothing into the checkout"
)


@contextmanager
def explain_write_errors(path: Path) -> Iterator[None]:
    """Turn an OSError in the block, which writes `path`, into a PipelineError with advice."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise PipelineError(
                f"{path} was not written, the disk is full ({error.strerror}): free some space and "
                "run this again"
            ) from error
        raise PipelineError(
            f"{path} was not written: {error}; fix that and run this again"
        ) from error


def denied(error: OSError) -> str | None:
    """What to tell of an error because this account may not write or read; None for others."""
    if error.errno not in DENIED:
        return None
    path = error.filename or "a file"
    return f"{path} is not open to account {account.user()} ({error.strerror}): {ADVICE}"
