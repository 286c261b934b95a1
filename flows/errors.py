"""Show the user's errors without a traceback, and everything else with one."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from resnet.errors import PipelineError

LOGGERS = ("prefect.flow_runs", "prefect.task_runs")


@contextmanager
def told_plainly() -> Iterator[None]:
    """While the block runs, Prefect logs a PipelineError as its message alone."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    for logger in loggers:
        logger.addFilter(_without_traceback)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(_without_traceback)


def _without_traceback(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, PipelineError):
        record.msg, record.args, record.exc_info = str(error).replace("%", "%%"), (), None
    return True
