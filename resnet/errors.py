"""The exceptions whose messages are meant for the user, and the exit code of an interruption."""

from resnet.messages.redaction import redact

STOPPED = 75  # interrupted, with a checkpoint to resume from: EX_TEMPFAIL of sysexits.h


class PipelineError(Exception):
    """An expected error: a missing file, invalid parameters, a server that does not answer.

    Its message says what was found, what was wanted, and what to do next. The `resnet` command
    prints it and exits with 1; any other exception is a defect of this project. It is logged and
    recorded as well, so no address in it keeps its login.
    """

    def __init__(self, message: str) -> None:
        super().__init__(redact(message))


class UsageError(PipelineError):
    """A command was given words that mean nothing here; it exits with 2, as for wrong options."""


class UnreachableError(PipelineError):
    """A server does not answer now, but may later: it is worth retrying."""


class StoppedError(PipelineError):
    """A job was interrupted; run it again to resume."""


class MovedError(PipelineError):
    """The basis of a decision has changed in the meantime: read it again, and decide again."""
