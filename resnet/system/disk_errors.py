"""Turn the errors of a full, read-only or broken disk into one clear error."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from resnet.errors import PipelineError

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


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
