"""An expected failure is told once in a flow run's log, by its task, and without a traceback."""

import logging

from resnet.errors import PipelineError

FINISHED = "Finished in state Failed"
FLOW_RUNS, TASK_RUNS = "prefect.flow_runs", "prefect.task_runs"  # Prefect's loggers

_told: set[tuple[object, str]] = set()  # (a flow run's id, the message that its log has)


def tell_once() -> None:
    """From now on Prefect logs a PipelineError so. Safe to repeat."""
    for name in (FLOW_RUNS, TASK_RUNS):
        logging.getLogger(name).addFilter(_shortened)


def _shortened(record: logging.LogRecord) -> bool:
    """Shorten the record; False if it has nothing new to tell."""
    run = getattr(record, "flow_run_id", None)
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, PipelineError):
        message = str(error)
        if record.name == FLOW_RUNS and (run, message) in _told:
            return False  # its task has told it
        _told.add((run, message))
        record.msg, record.args, record.exc_info = "%s", (message,), None
    elif _repeats(record.getMessage(), run):
        record.msg, record.args = FINISHED, ()
    return True


def _repeats(text: str, run: object) -> bool:
    """Whether the text is that of a run's end, with a message that its log already has."""
    told = (message for teller, message in _told if teller == run)
    return text.startswith(f"{FINISHED}(") and any(message in text for message in told)
