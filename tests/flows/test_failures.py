"""What Prefect logs of a failure, once `flows.failures` shortens it; Prefect's own loggers."""

import logging
from collections.abc import Iterator

import pytest

from flows import failures
from resnet.errors import PipelineError

MESSAGE = "fetch: the archive is not there: name another one"


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """What the loggers let pass."""
    lines: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage() + ("" if record.exc_info is None else " traceback"))

    failures.tell_once()
    handler = Handler()
    loggers = [logging.getLogger(name) for name in (failures.TASK_RUNS, failures.FLOW_RUNS)]
    for logger in loggers:
        logger.addHandler(handler)
    yield lines
    for logger in loggers:
        logger.removeHandler(handler)


def fail(error: Exception, run: str, task: bool = True) -> None:
    """Log as Prefect does when a task fails, and with it its flow."""
    for name, kind in ((failures.TASK_RUNS, "Task"), (failures.FLOW_RUNS, "Flow")):
        if name == failures.FLOW_RUNS or task:
            logger = logging.LoggerAdapter(logging.getLogger(name), {"flow_run_id": run})
            logger.error("%s run failed with exception: %r", kind, error, exc_info=error)
            logger.error(f"Finished in state Failed('{kind} run encountered {error}')")


def test_an_expected_failure_is_told_once_in_a_runs_log(logged: list[str]) -> None:
    for run in ("one", "another"):
        fail(PipelineError(MESSAGE), run)
    assert logged == [MESSAGE, "Finished in state Failed", "Finished in state Failed"] * 2


def test_what_no_task_has_told_the_flow_tells(logged: list[str]) -> None:
    fail(PipelineError(MESSAGE), "alone", task=False)
    assert logged == [MESSAGE, "Finished in state Failed"]


def test_a_defect_keeps_its_traceback_wherever_it_is_told(logged: list[str]) -> None:
    fail(KeyError("x"), "broken")
    assert len(logged) == 4
    assert [line.endswith(" traceback") for line in logged] == [True, False, True, False]
