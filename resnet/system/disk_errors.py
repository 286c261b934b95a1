"""Turn a full, read-only or broken disk into one clear error."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from resnet.errors import PipelineError

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Inside it, an OSError while `path` is written is a PipelineError that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise PipelineError(
                f"{path} was not made, the disk is full ({error.strerror}): make room and run "
                "this again"
            ) from error
        raise PipelineError(
            f"{path} was not made: {error}; mend that and run this again"
        ) from error
